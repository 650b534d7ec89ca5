//! Values to text, for people to read and change.

use serde::Serialize;
use serde_json::Value;
use serde_saphyr::SerializerOptions;

use super::Node;
use super::node::{self, Kind};

/// `value` as a YAML document in block style, with quotes only where some reader, of YAML 1.1 too, would take a text for
/// something else. Parsed again, it is the same value.
///
/// # Errors
/// Where `value` is nothing that JSON has, such as a mapping whose keys are no texts.
pub fn written<T: Serialize>(value: &T) -> Result<String, serde_json::Error> {
    let wanted = serde_json::to_value(value)?;
    let mut options = SerializerOptions::default();
    // Lines are never folded: a reference or a certificate is one line.
    options.folded_wrap_chars = usize::MAX;
    if let Ok(text) = serde_saphyr::to_string_with_options(value, options)
        && let [document] = &super::parse(&text).documents[..]
        && is(document, &wanted)
    {
        return Ok(text);
    }
    // JSON is YAML too.
    serde_json::to_string_pretty(&wanted).map(|text| text + "\n")
}

/// Whether `node` is `value`.
fn is(node: &Node, value: &Value) -> bool {
    match (&node.value, value) {
        (node::Value::Mapping(entries), Value::Object(fields)) => {
            let same = |entry: &node::Entry| fields.get(&*entry.key).is_some_and(|field| is(&entry.value, field));
            entries.len() == fields.len() && entries.iter().all(same)
        }
        (node::Value::Sequence(items), Value::Array(values)) => {
            items.len() == values.len() && items.iter().zip(values).all(|(item, value)| is(item, value))
        }
        (node::Value::Scalar(scalar), value) => match (scalar.kind, value) {
            (Kind::Null, Value::Null) => true,
            (Kind::Bool, Value::Bool(value)) => scalar.text.parse() == Ok(*value),
            (Kind::Int | Kind::Float, Value::Number(number)) => {
                let read = scalar.text.parse::<f64>().ok();
                scalar.text.as_ref() == number.to_string() || read.is_some() && read == number.as_f64()
            }
            (Kind::Text, Value::String(text)) => *scalar.text == **text,
            _ => false,
        },
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn people_can_read_it() {
        let long = format!("quay.io/a@sha256:{} and {}", "a".repeat(64), "b".repeat(40));
        let value = json!({
            "apiVersion": "v1", "data": {"on": "yes", "port": "080", "n": 80, "f": 1.5, "t": true, "x": null, "e": {}, "l": []},
            "lines": "one\n  two\nthree\n", "long": long, "list": [{"name": "a", "more": ["x"]}, {"name": "b"}],
        });
        let text = written(&value).unwrap();
        let want = format!(
            "apiVersion: v1\ndata:\n  e: {{}}\n  f: 1.5\n  l: []\n  \"n\": 80\n  \"on\": \"yes\"\n  port: \"080\"\n  t: true\n  x: null\n\
             lines: |\n  one\n    two\n  three\nlist:\n- more:\n  - x\n  name: a\n- name: b\nlong: {long}\n"
        );
        assert_eq!(text, want);
    }

    proptest! {
        #[test]
        fn any_value_survives(
            text in "(\\PC|\n|\t|\r| |#|:|-|'|\"|\u{0}|\u{85}|\u{2028}|\u{feff}|[0-9a-z.]){0,12}",
            key in "(\\PC|\n|:| |#|[a-z~<=0-9]){0,6}",
            number in any::<f64>(),
        ) {
            let value = json!({key.clone(): text, "number": number, "list": [text, [text], {key: {"x": text}}]});
            let written = written(&value).unwrap();
            let parsed = crate::yaml::parse(&written);
            prop_assert_eq!(&parsed.mistakes[..], &[], "{}", &written);
            prop_assert!(is(&parsed.documents[0], &value), "{}", written);
        }
    }
}
