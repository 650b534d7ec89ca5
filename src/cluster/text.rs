//! Objects as text. What a cluster has may look like one of Carrack's placeholders, and must not become one.

use serde_json::{Map, Value};

use crate::variables::template;
use crate::yaml;

/// Stands for `{{` that a cluster has, until the text is written; a private-use character, so that no cluster has it.
const MARK: char = '\u{10F8FE}';

/// Whether some text in `value` would be taken for a placeholder, or for something that stands for one.
pub(super) fn is_taken_for_placeholder(value: &Value) -> bool {
    match value {
        Value::String(text) => text_is(text),
        Value::Array(items) => items.iter().any(is_taken_for_placeholder),
        Value::Object(fields) => fields.iter().any(|(key, value)| text_is(key) || is_taken_for_placeholder(value)),
        _ => false,
    }
}

fn text_is(text: &str) -> bool {
    text.contains(MARK) || text.contains("{{") && template::scan(text) != template::Scan::default()
}

/// `value` with every `{{` marked, so that [`written()`] writes it in a way that only YAML understands.
pub(super) fn marked(value: &Value) -> Value {
    let mark = |text: &str| text.replace("{{", &format!("{MARK}{{"));
    match value {
        Value::String(text) => Value::String(mark(text)),
        Value::Array(items) => Value::Array(items.iter().map(marked).collect()),
        Value::Object(fields) => {
            Value::Object(fields.iter().map(|(key, value)| (mark(key), marked(value))).collect::<Map<_, _>>())
        }
        other => other.clone(),
    }
}

/// `value` as a YAML document.
pub(super) fn written(value: &Value) -> Result<String, serde_json::Error> {
    let has_marks = |text: &str| text.contains(MARK);
    let text = yaml::written(value)?;
    if !has_marks(&text) && !text.contains("10F8FE") {
        return Ok(text);
    }
    // JSON is YAML in which every text is in double quotes, and there an escape can stand for a brace.
    let text = serde_json::to_string_pretty(value)? + "\n";
    Ok(text.replace(MARK, "\\u007b"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_looks_like_a_placeholder_stays_what_it_is() {
        let value = json!({"a": "x {{ .carrack.var.y }}", "{{.carrack}}": ["{{.Values.z}} {{{"], "b": 1});
        assert!(is_taken_for_placeholder(&value));
        assert!(!is_taken_for_placeholder(&json!({"a": "{{ .Values.x }}"})));
        let text = written(&marked(&value)).unwrap();
        assert_eq!(template::scan(&text), template::Scan::default(), "{text}");
        let read = &yaml::parse(&text).documents[0];
        assert_eq!(read.get("a").unwrap().text(), Some("x {{ .carrack.var.y }}"));
        assert_eq!(read.get("{{.carrack}}").unwrap().items()[0].text(), Some("{{.Values.z}} {{{"));
    }
}
