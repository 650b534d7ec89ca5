//! Placeholders as words that YAML takes for text: unprotected, `{{` begins a mapping in a mapping.

use std::borrow::Cow;

use super::{Placeholder, scan};
use crate::problem::Position;
use crate::yaml::Mistake;

/// Begins a protected placeholder. This and what follows are private-use characters, which YAML takes for letters and
/// hardly any document has.
const START: char = '\u{10E000}';
/// Makes it as long as what it stands for.
const FILL: char = '\u{10E001}';
/// The first of the sixteen digits.
const ZERO: u32 = 0x10_E010;
/// Digits of a placeholder's number; the shortest placeholder has 17 characters.
const DIGITS: usize = 6;

/// A text whose placeholders are words of the same number of characters, so that every position stays true.
#[derive(Debug, Clone)]
pub struct Protected {
    text: String,
    originals: Vec<String>,
    placeholders: Vec<Placeholder>,
}

/// A piece of a protected text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Piece<'t> {
    /// What is in no placeholder.
    Text(&'t str),
    /// The placeholder of this number.
    Placeholder(usize),
}

/// Protects the placeholders of `text`.
///
/// # Errors
/// What begins as a placeholder and is none, and the first character that only protected texts have.
pub fn protect(text: &str) -> Result<Protected, Vec<Mistake>> {
    let found = scan(text);
    let mut mistakes = found.mistakes;
    mistakes.extend(reserved(text));
    if !mistakes.is_empty() {
        return Err(mistakes);
    }
    let (mut protected, mut from) = (String::with_capacity(text.len()), 0);
    let mut originals = Vec::new();
    for (number, one) in found.placeholders.iter().enumerate() {
        protected.push_str(&text[from..one.bytes.start]);
        let original = &text[one.bytes.clone()];
        protected.push(START);
        for digit in (0..DIGITS).rev() {
            protected.extend(char::from_u32(ZERO + (number as u32 >> (4 * digit) & 0xF)));
        }
        protected.extend(std::iter::repeat_n(FILL, original.chars().count() - 1 - DIGITS));
        originals.push(original.to_owned());
        from = one.bytes.end;
    }
    protected.push_str(&text[from..]);
    Ok(Protected { text: protected, originals, placeholders: found.placeholders })
}

fn is_reserved(character: char) -> bool {
    character == START || character == FILL || (ZERO..ZERO + 16).contains(&u32::from(character))
}

fn reserved(text: &str) -> Option<Mistake> {
    let (start, character) = text.char_indices().find(|(_, character)| is_reserved(*character))?;
    let before = &text[..start];
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    let at = Position { line: before.matches('\n').count() + 1, column };
    let message = format!("the character U+{:X} cannot stand here: it marks placeholders", u32::from(character));
    Some(Mistake { at, message })
}

impl Protected {
    /// The text, in which no placeholder is left.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The placeholders, as they were.
    pub fn placeholders(&self) -> &[Placeholder] {
        &self.placeholders
    }

    /// Whether `text` is one protected placeholder and nothing else.
    pub fn is_placeholder(&self, text: &str) -> bool {
        matches!(self.pieces(text)[..], [(Piece::Placeholder(_), _)])
    }

    /// Whether a protected placeholder is in `text`.
    pub fn is_in(&self, text: &str) -> bool {
        self.pieces(text).iter().any(|(piece, _)| matches!(piece, Piece::Placeholder(_)))
    }

    /// `text`, any part of the protected text or what was made of it, with its placeholders as they were.
    pub fn restore<'t>(&self, text: &'t str) -> Cow<'t, str> {
        if !text.contains(START) {
            return Cow::Borrowed(text);
        }
        let original = |piece| match piece {
            Piece::Text(text) => text,
            Piece::Placeholder(number) => &*self.originals[number],
        };
        Cow::Owned(self.pieces(text).into_iter().map(|(piece, _)| original(piece)).collect())
    }

    /// The pieces of such a text, each with its length in bytes.
    pub(super) fn pieces<'t>(&self, text: &'t str) -> Vec<(Piece<'t>, usize)> {
        let (mut pieces, mut rest) = (Vec::new(), text);
        while !rest.is_empty() {
            let number = rest.strip_prefix(START).and_then(number);
            let (piece, length) = match number.filter(|number| *number < self.originals.len()) {
                Some(number) => {
                    let word = rest.chars().skip(1).take_while(|c| is_reserved(*c) && *c != START);
                    let length = START.len_utf8() + word.map(char::len_utf8).sum::<usize>();
                    (Piece::Placeholder(number), length)
                }
                None => {
                    // A start that is none is text.
                    let skip = rest.chars().next().map_or(0, char::len_utf8);
                    let length = rest[skip..].find(START).map_or(rest.len(), |next| skip + next);
                    (Piece::Text(&rest[..length]), length)
                }
            };
            pieces.push((piece, length));
            rest = &rest[length..];
        }
        pieces
    }
}

fn number(word: &str) -> Option<usize> {
    let mut number = 0;
    let mut digits = word.chars();
    for _ in 0..DIGITS {
        let digit = u32::from(digits.next()?).checked_sub(ZERO).filter(|digit| *digit < 16)?;
        number = number << 4 | digit as usize;
    }
    Some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_stay_true_and_everything_comes_back() {
        let text = "a: {{.carrack.var.x}}{{ .carrack.var.y }}b: é\nc: {{ .Values }} {{.carrack.var.x}}";
        let protected = protect(text).unwrap();
        assert_eq!(protected.text().chars().count(), text.chars().count());
        assert!(!protected.text().contains("carrack") && protected.text().contains("{{ .Values }}"));
        assert_eq!(protected.restore(protected.text()), text);
        let pieces: Vec<Piece<'_>> = protected.pieces(protected.text()).into_iter().map(|(piece, _)| piece).collect();
        assert_eq!(
            pieces[0..4],
            [Piece::Text("a: "), Piece::Placeholder(0), Piece::Placeholder(1), Piece::Text("b: é\nc: {{ .Values }} ")]
        );
    }

    #[test]
    fn a_text_with_such_characters_is_refused() {
        let mistake = &protect("a\né\u{10E012}").unwrap_err()[0];
        assert_eq!(mistake.at, Position { line: 2, column: 2 });
        assert_eq!(mistake.message, "the character U+10E012 cannot stand here: it marks placeholders");
        let protected = protect("{{.carrack.var.x}}").unwrap();
        assert_eq!(protected.restore("\u{10E000}\u{10E000}x"), "\u{10E000}\u{10E000}x");
    }
}
