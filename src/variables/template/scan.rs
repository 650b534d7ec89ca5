//! Finding placeholders.

use super::{Placeholder, Scan};
use crate::problem::Position;
use crate::variables::is_name;
use crate::yaml::Mistake;

/// Bytes of what is no placeholder that a message shows.
const SHOWN: usize = 60;

/// The placeholders of a text. Anything else in `{{ }}` is not looked at.
pub fn scan(text: &str) -> Scan {
    let mut found = Scan::default();
    let (mut from, mut counted, mut at) = (0, 0, Position::START);
    while let Some(start) = text[from..].find("{{").map(|start| from + start) {
        let inside = &text[start + 2..];
        // Go templates take `{{-` too, which trims what is around; a placeholder leaves that alone.
        let bare = inside.strip_prefix('-').unwrap_or(inside).trim_start();
        if bare.strip_prefix(".carrack").is_none_or(|rest| rest.starts_with(is_word)) {
            // Of `{{{`, the last two may begin one.
            from = start + 1;
            continue;
        }
        for character in text[counted..start].chars() {
            at = if character == '\n' {
                Position { line: at.line + 1, column: 1 }
            } else {
                Position { column: at.column + 1, ..at }
            };
        }
        counted = start;
        from = start + 2;
        match placeholder(inside) {
            Some((name, default, length)) => {
                from += length;
                found.placeholders.push(Placeholder { at, bytes: start..from, name, default });
            }
            None => found.mistakes.push(Mistake { at, message: no_placeholder(&text[start..]) }),
        }
    }
    found
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, '_' | '-')
}

/// Name, default and length of what stands after `{{`.
fn placeholder(inside: &str) -> Option<(String, Option<String>, usize)> {
    let blank = [' ', '\t'];
    let rest = inside.trim_start_matches(blank).strip_prefix(".carrack.var.")?;
    let (name, rest) = rest.split_at(rest.find(|c: char| !is_word(c)).unwrap_or(rest.len()));
    let mut rest = rest.trim_start_matches(blank);
    let mut default = None;
    if let Some(piped) = rest.strip_prefix('|') {
        let word = piped.trim_start_matches(blank).strip_prefix("default")?;
        let (text, after) = quoted(word.trim_start_matches(blank))?;
        default = Some(text);
        rest = after.trim_start_matches(blank);
    }
    let rest = rest.strip_prefix("}}")?;
    is_name(name).then(|| (name.to_owned(), default, inside.len() - rest.len()))
}

/// The text in `"` at the beginning of `text`, and what follows. In YAML's double quotes the quotes may have a backslash
/// each; then there are no escapes between them.
fn quoted(text: &str) -> Option<(String, &str)> {
    if let Some(inner) = text.strip_prefix("\\\"") {
        let (value, rest) = inner.split_once("\\\"")?;
        return (!value.contains(['\\', '"', '\n'])).then(|| (value.to_owned(), rest));
    }
    let inner = text.strip_prefix('"')?;
    let mut value = String::new();
    let mut characters = inner.char_indices();
    while let Some((index, character)) = characters.next() {
        match character {
            '"' => return Some((value, &inner[index + 1..])),
            '\n' => return None,
            '\\' => value.push(match characters.next()?.1 {
                'n' => '\n',
                't' => '\t',
                same @ ('"' | '\\') => same,
                _ => return None,
            }),
            other => value.push(other),
        }
    }
    None
}

fn no_placeholder(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    let end = line.find("}}").map_or(line.len(), |end| end + 2);
    let shown: String = line[..end].chars().take(SHOWN).collect();
    format!(
        "{shown:?} is no placeholder; write {{{{.carrack.var.NAME}}}} or {{{{.carrack.var.NAME | default \"text\"}}}}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn placeholders_are_found_with_their_places() {
        let text = "é {{.carrack.var.a}}\n  {{  .carrack.var.b_1\t}}{{.carrack.var._c|default \"x\\\"\\n}}\"}}{{.carrack.var.d | default \\\"y\\\" }}";
        let found = scan(text);
        assert_eq!(found.mistakes, []);
        let shown: Vec<(String, &str, Option<&str>)> =
            found.placeholders.iter().map(|one| (one.at.to_string(), &*one.name, one.default.as_deref())).collect();
        assert_eq!(
            shown,
            [
                ("1:3".to_owned(), "a", None),
                ("2:3".to_owned(), "b_1", None),
                ("2:26".to_owned(), "_c", Some("x\"\n}}")),
                ("2:63".to_owned(), "d", Some("y")),
            ]
        );
        assert_eq!(&text[found.placeholders[0].bytes.clone()], "{{.carrack.var.a}}");
    }

    #[test]
    fn what_is_not_ours_is_left_alone() {
        for text in [
            "{{ .Values.x }}",
            "{{.carracks.var.x}}",
            "{{ carrack }}",
            "{.carrack.var.x}",
            "{{",
            "}} {{{{",
            "{{.spectro.var.x}}",
        ] {
            assert_eq!(scan(text), Scan::default(), "{text}");
        }
        assert_eq!(scan("{{{.carrack.var.x}}}").placeholders[0].bytes, 1..19);
    }

    #[test]
    fn what_is_nearly_ours_is_a_mistake() {
        for text in [
            "{{.carrack}}",
            "{{.carrack.var.}}",
            "{{.carrack.vra.x}}",
            "{{.carrack.var.x",
            "{{.carrack.var.x}",
            "{{.carrack.var.1x}}",
            "{{.carrack.var.x-y}}",
            "{{- .carrack.var.x -}}",
            "{{.carrack.var.x\n}}",
            "{{.carrack.var.x | upper}}",
            "{{.carrack.var.x | default y}}",
            "{{.carrack.var.x | default \"y}}",
            "{{.carrack.var.x | default \"\\q\"}}",
            "{{.carrack.var.x | default \"y\" | upper}}",
        ] {
            let found = scan(text);
            assert_eq!((found.placeholders.len(), found.mistakes.len()), (0, 1), "{text}");
        }
        assert_eq!(
            scan("a\nb {{ .carrack.var }} c").mistakes[0],
            Mistake {
                at: Position { line: 2, column: 3 },
                message: "\"{{ .carrack.var }}\" is no placeholder; write {{.carrack.var.NAME}} or {{.carrack.var.NAME | default \"text\"}}".to_owned(),
            }
        );
    }

    proptest! {
        #[test]
        fn any_text_can_be_scanned(text in "(\\{\\{|\\}\\}|\\.carrack|\\.var|\\.x| |\\||default|\"|\\\\|\n|é){0,30}") {
            for one in scan(&text).placeholders {
                prop_assert!(text[one.bytes.clone()].starts_with("{{") && text[one.bytes].ends_with("}}"));
            }
        }
    }
}
