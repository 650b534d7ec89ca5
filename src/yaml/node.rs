//! The tree.

use std::fmt;
use std::sync::Arc;

use crate::problem::Position;

/// A value and where it stands. Cheap to clone: subtrees that aliases repeat are shared.
#[derive(Debug, Clone)]
pub struct Node {
    /// Where it is written; for an alias, where the alias is; for a block scalar, its first line.
    pub at: Position,
    /// What is written there.
    pub value: Value,
}

/// The three kinds of node.
#[derive(Debug, Clone)]
pub enum Value {
    /// Text, a number, a truth value or nothing.
    Scalar(Scalar),
    /// A list.
    Sequence(Arc<[Node]>),
    /// Keys and values, in the order written, each key once.
    Mapping(Arc<[Entry]>),
}

/// A key and its value.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The key's text, whatever its kind.
    pub key: Arc<str>,
    /// Where the key stands.
    pub key_at: Position,
    /// The value.
    pub value: Node,
}

/// A scalar as written, and what the core schema makes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scalar {
    /// The text after unescaping and folding.
    pub text: Arc<str>,
    /// What it is.
    pub kind: Kind,
    /// How it is written.
    pub style: Style,
}

/// Scalar styles (YAML 1.2.2, chapters 7.3 and 8.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Style {
    /// As it is.
    Plain,
    /// In `'`.
    Single,
    /// In `"`, with escapes.
    Double,
    /// A block after `|`, whose lines are lines of the document.
    Literal,
    /// A block after `>`, whose lines are joined.
    Folded,
}

/// Scalar kinds of the core schema (YAML 1.2.2, chapter 10.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `null`, `~` or nothing at all.
    Null,
    /// `true` or `false`.
    Bool,
    /// `12`, `0o14`, `0xC`.
    Int,
    /// `1.2`, `1e3`, `.inf`.
    Float,
    /// Everything else, and everything in quotes.
    Text,
}

impl Kind {
    /// What the core schema makes of an unquoted scalar.
    pub fn of_plain(text: &str) -> Self {
        match text {
            "" | "~" | "null" | "Null" | "NULL" => return Self::Null,
            "true" | "True" | "TRUE" | "false" | "False" | "FALSE" => return Self::Bool,
            ".nan" | ".NaN" | ".NAN" => return Self::Float,
            _ => {}
        }
        let digits = |text: &str, ok: fn(&u8) -> bool| !text.is_empty() && text.as_bytes().iter().all(ok);
        let octal = text.strip_prefix("0o").is_some_and(|rest| digits(rest, |b| matches!(b, b'0'..=b'7')));
        let hexadecimal = text.strip_prefix("0x").is_some_and(|rest| digits(rest, u8::is_ascii_hexdigit));
        let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
        if octal || hexadecimal || digits(unsigned, u8::is_ascii_digit) {
            Self::Int
        } else if matches!(unsigned, ".inf" | ".Inf" | ".INF") || is_float(unsigned) {
            Self::Float
        } else {
            Self::Text
        }
    }
}

/// `( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )?`
fn is_float(text: &str) -> bool {
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let (number, exponent) = text.split_once(['e', 'E']).map_or((text, None), |(n, e)| (n, Some(e)));
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let exponent_ok = exponent.is_none_or(|e| {
        let e = e.strip_prefix(['-', '+']).unwrap_or(e);
        !e.is_empty() && digits(e)
    });
    digits(whole) && digits(fraction) && !(whole.is_empty() && fraction.is_empty()) && exponent_ok
}

impl Node {
    /// The scalar, where it is one.
    pub fn scalar(&self) -> Option<&Scalar> {
        match &self.value {
            Value::Scalar(scalar) => Some(scalar),
            _ => None,
        }
    }

    /// The text, where it is text: not a number, truth value or nothing.
    pub fn text(&self) -> Option<&str> {
        self.scalar().filter(|scalar| scalar.kind == Kind::Text).map(|scalar| &*scalar.text)
    }

    /// The items of a list; nothing for everything else.
    pub fn items(&self) -> &[Node] {
        match &self.value {
            Value::Sequence(items) => items,
            _ => &[],
        }
    }

    /// The entries of a mapping; nothing for everything else.
    pub fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Mapping(entries) => entries,
            _ => &[],
        }
    }

    /// The value of a mapping's key.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entries().iter().find(|entry| &*entry.key == key).map(|entry| &entry.value)
    }

    /// Whether there is nothing: `null`, `~` or an empty place.
    pub fn is_null(&self) -> bool {
        self.scalar().is_some_and(|scalar| scalar.kind == Kind::Null)
    }

    /// What it is, for messages: `a list`, `the number 1.10`.
    pub fn describe(&self) -> String {
        match &self.value {
            Value::Sequence(_) => "a list".to_owned(),
            Value::Mapping(_) => "a mapping".to_owned(),
            Value::Scalar(scalar) => scalar.to_string(),
        }
    }
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Kind::Null => f.write_str("nothing"),
            Kind::Bool => write!(f, "the truth value {}", self.text),
            Kind::Int | Kind::Float => write!(f, "the number {}", self.text),
            Kind::Text => write!(f, "the text {:?}", self.text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_scalars_have_the_kinds_of_the_core_schema() {
        for (kind, texts) in [
            (Kind::Null, &["", "~", "null", "NULL"][..]),
            (Kind::Bool, &["true", "False"]),
            (Kind::Int, &["0", "-12", "+7", "0755", "0o755", "0xFf"]),
            (Kind::Float, &["1.10", ".5", "1.", "1e3", "-1.5E-3", ".inf", "-.INF", ".nan"]),
            (Kind::Text, &["1.4.0", "yes", "off", "0o8", "0x", "-", "+", ".", "e3", "1e", "nan", "12:30", "1_000"]),
        ] {
            for text in texts {
                assert_eq!(Kind::of_plain(text), kind, "{text:?}");
            }
        }
    }
}
