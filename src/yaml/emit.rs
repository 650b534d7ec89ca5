//! Tree to text, for other programs to read: every text in quotes, so that no reader takes it for a number or a truth
//! value, and everything else as it was written.

use std::fmt::Write as _;

use super::node::{Kind, Node, Scalar, Style, Value};

/// `node` as a YAML document in block style. Parsed again, it is the same tree. Texts that were written without quotes
/// and are words of `bare` stay without them.
pub fn to_text(node: &Node, bare: impl Fn(&str) -> bool) -> String {
    let mut writer = Writer { text: String::new(), bare: &bare };
    match &node.value {
        Value::Scalar(scalar) => writer.scalar(scalar),
        _ if is_empty(node) => writer.empty(node),
        _ => writer.block(node, 0),
    }
    if !writer.text.ends_with('\n') {
        writer.text.push('\n');
    }
    writer.text
}

struct Writer<'b> {
    text: String,
    bare: &'b dyn Fn(&str) -> bool,
}

fn is_empty(node: &Node) -> bool {
    node.items().is_empty() && node.entries().is_empty()
}

impl Writer<'_> {
    fn empty(&mut self, node: &Node) {
        self.text.push_str(if matches!(node.value, Value::Sequence(_)) { "[]" } else { "{}" });
    }

    fn indent(&mut self, indent: usize) {
        self.text.extend(std::iter::repeat_n(' ', indent));
    }

    /// The lines of a list or mapping that is not empty. The first line has its indentation already.
    fn block(&mut self, node: &Node, indent: usize) {
        for (index, item) in node.items().iter().enumerate() {
            self.indent(if index > 0 { indent } else { 0 });
            self.text.push_str("- ");
            self.inner(item, indent + 2, false);
        }
        for (index, entry) in node.entries().iter().enumerate() {
            self.indent(if index > 0 { indent } else { 0 });
            push_quoted(&mut self.text, &entry.key);
            self.text.push(':');
            self.inner(&entry.value, indent + 2, true);
        }
    }

    fn inner(&mut self, node: &Node, indent: usize, after_key: bool) {
        let scalar = node.scalar();
        if scalar.is_none() && !is_empty(node) {
            if after_key {
                self.text.push('\n');
                self.indent(indent);
            }
            return self.block(node, indent);
        }
        if after_key {
            self.text.push(' ');
        }
        match scalar {
            Some(scalar) => self.scalar(scalar),
            None => self.empty(node),
        }
        self.text.push('\n');
    }

    fn scalar(&mut self, scalar: &Scalar) {
        match scalar.kind {
            Kind::Text if scalar.style == Style::Plain && (self.bare)(&scalar.text) => self.text.push_str(&scalar.text),
            Kind::Text => push_quoted(&mut self.text, &scalar.text),
            Kind::Null => self.text.push_str("null"),
            Kind::Bool | Kind::Int | Kind::Float => self.text.push_str(&scalar.text),
        }
    }
}

/// In double quotes (YAML 1.2.2, chapter 7.3.1).
fn push_quoted(text: &mut String, content: &str) {
    text.push('"');
    for character in content.chars() {
        match character {
            '"' | '\\' => {
                text.push('\\');
                text.push(character);
            }
            '\n' => text.push_str("\\n"),
            '\t' => text.push_str("\\t"),
            // Not printable in YAML, or taken for a line's end or a byte order mark (YAML 1.2.2, chapter 5.1).
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}') => {
                let _ = write!(text, "\\u{:04x}", u32::from(c));
            }
            c => text.push(c),
        }
    }
    text.push('"');
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;
    use proptest::prelude::*;

    fn again(text: &str) -> String {
        let parsed = parse(text);
        assert_eq!(parsed.mistakes, [], "{text}");
        to_text(&parsed.documents[0], |_| false)
    }

    #[test]
    fn texts_are_quoted_and_the_rest_is_as_written() {
        let text = "a: {b: [1.10, yes, 'x: y', null, true], c: {}, d: []}\ne: |\n  one\n  two\n0755: 0755\n";
        let want = "\"a\":\n  \"b\":\n    - 1.10\n    - \"yes\"\n    - \"x: y\"\n    - null\n    - true\n  \"c\": {}\n  \"d\": []\n\
                    \"e\": \"one\\ntwo\\n\"\n\"0755\": 0755\n";
        assert_eq!(again(text), want);
        assert_eq!(again(want), want);
        assert_eq!(again("- [{a: 1, b: 2}, [x]]\n"), "- - \"a\": 1\n    \"b\": 2\n  - - \"x\"\n");
        assert_eq!(again("{}"), "{}\n");
        assert_eq!(again("x"), "\"x\"\n");
    }

    proptest! {
        #[test]
        fn any_text_survives(text in "\\PC{0,40}|[\\x00-\\x7f\u{85}\u{a0}\u{2028}\u{feff}]{0,20}") {
            let mut quoted = String::new();
            push_quoted(&mut quoted, &text);
            let parsed = parse(&quoted);
            prop_assert_eq!(parsed.documents[0].text(), Some(text.as_str()), "{}", quoted);
        }
    }
}
