//! How a value is spelled where it was put.

use serde::{Deserialize, Serialize};

use crate::yaml;

/// How a value is spelled where it was put, so that it can be read from there again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Spelling {
    /// As it is.
    AsIs,
    /// Inside `'`.
    Single,
    /// Inside `"`.
    Double,
    /// In a literal block whose lines are indented by this many spaces.
    Block(usize),
}

impl Spelling {
    /// The value as it stands there.
    pub(super) fn write(self, value: &str) -> String {
        match self {
            Self::AsIs => value.to_owned(),
            Self::Single => value.replace('\'', "''"),
            Self::Double => escaped(value),
            Self::Block(indent) => value.replace('\n', &format!("\n{}", " ".repeat(indent))),
        }
    }

    /// The value that stands there as `text`; nothing where it cannot have been written so.
    pub fn read(self, text: &str) -> Option<String> {
        let value = match self {
            Self::AsIs => text.to_owned(),
            Self::Single => text.replace("''", "'"),
            Self::Block(indent) => text.replace(&format!("\n{}", " ".repeat(indent)), "\n"),
            Self::Double => {
                let parsed = yaml::parse(&format!("\"{text}\""));
                parsed.documents.first()?.text()?.to_owned()
            }
        };
        (self.write(&value) == text).then_some(value)
    }
}

/// `text` for double quotes. What stands at an edge of a line is escaped, since folding would take it.
fn escaped(text: &str) -> String {
    let last = text.chars().count().saturating_sub(1);
    let mut escaped = String::with_capacity(text.len());
    for (index, character) in text.chars().enumerate() {
        match character {
            '"' => escaped.push_str("\\\""),
            '\\' => escaped.push_str("\\\\"),
            '\n' => escaped.push_str("\\n"),
            '\t' => escaped.push_str("\\t"),
            '\r' => escaped.push_str("\\r"),
            ' ' if index == 0 || index == last => escaped.push_str("\\x20"),
            character if is_printable(character) => escaped.push(character),
            character => escaped.push_str(&match u32::from(character) {
                code @ 0..=0xFF => format!("\\x{code:02x}"),
                code @ 0x100..=0xFFFF => format!("\\u{code:04x}"),
                code => format!("\\U{code:08x}"),
            }),
        }
    }
    escaped
}

/// Whether YAML has `character` as it is, in all its versions and within a line.
pub(super) fn is_printable(character: char) -> bool {
    match character {
        '\u{2028}' | '\u{2029}' | '\u{FEFF}' | '\u{FFFE}' | '\u{FFFF}' => false,
        ' '..='~' | '\u{A0}'.. => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read_again(value in "(\\PC|\n|\t|\r|\"|'|\\\\| |\u{0}|\u{85}){0,12}") {
            for spelling in [Spelling::AsIs, Spelling::Single, Spelling::Double, Spelling::Block(0), Spelling::Block(3)] {
                let written = spelling.write(&value);
                let read = spelling.read(&written);
                prop_assert_eq!(read.as_deref(), Some(&*value), "{:?} {}", spelling, written);
            }
        }
    }

    #[test]
    fn what_was_not_written_so_is_not_read() {
        assert_eq!(Spelling::Double.read("a\" b"), None);
        assert_eq!(Spelling::Double.read("a\nb"), None);
        assert_eq!(Spelling::Single.read("it's"), None);
        assert_eq!(Spelling::Block(2).read("a\nb"), None);
    }
}
