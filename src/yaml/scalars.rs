//! Where in a text its scalars stand, for those who change some of them and nothing else.

use std::ops::Range;

use serde_saphyr::granit_parser::{self, Event, Parser, StructureStyle};

use super::build::{position, styled, syntax};
use super::{Mistake, Style};
use crate::problem::Position;

/// A scalar of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located {
    /// Where it begins; for a block, its first line.
    pub at: Position,
    /// Its bytes: quotes are in it; of a block only the lines, and some of what follows them.
    pub bytes: Range<usize>,
    /// The text after unescaping and folding.
    pub text: String,
    /// How it is written.
    pub style: Style,
    /// Columns that the lines of a block are indented by; none for other styles.
    pub indent: usize,
    /// Whether it is inside `[]` or `{}`.
    pub flow: bool,
}

/// What is written in a text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Written {
    /// Keys and values, in the order of the text.
    pub scalars: Vec<Located>,
    /// The bytes of each comment.
    pub comments: Vec<Range<usize>>,
}

/// The scalars and comments of a text of any number of documents.
///
/// # Errors
/// The first mistake in its syntax.
pub fn scalars(text: &str) -> Result<Written, Mistake> {
    let mut options = granit_parser::Options::default();
    options.set_emit_comments(true);
    let (mut written, mut nested) = (Written::default(), Vec::new());
    for event in Parser::new_from_str_with_options(text, options) {
        let (event, span) =
            event.map_err(|error| Mistake { at: position(*error.marker()), message: syntax(&error) })?;
        let bytes = || span.byte_range().unwrap_or_default();
        match event {
            Event::SequenceStart(style, ..) | Event::MappingStart(style, ..) => {
                nested.push(style == StructureStyle::Flow);
            }
            Event::SequenceEnd | Event::MappingEnd => drop(nested.pop()),
            Event::Comment(..) => written.comments.push(bytes()),
            // An empty place is a scalar of no bytes.
            Event::Scalar(scalar, style, ..) => written.scalars.push(Located {
                at: position(span.start),
                bytes: bytes(),
                text: scalar.into_owned(),
                style: styled(style),
                indent: span.indent.unwrap_or_default(),
                flow: nested.last().copied().unwrap_or_default(),
            }),
            _ => {}
        }
    }
    Ok(written)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_are_found_where_they_stand() {
        let text = "é: plain\nq: ['a', \"b\\n\"] # c\nl: |2\n   x\n  y\nf: >-\n\n a\n b\n";
        let written = scalars(text).unwrap();
        let shown: Vec<(&str, &str, Style, usize, bool)> = written
            .scalars
            .iter()
            .map(|one| (&text[one.bytes.clone()], &*one.text, one.style, one.indent, one.flow))
            .filter(|(_, text, ..)| text.len() != 1 || *text == "a")
            .collect();
        assert_eq!(
            shown,
            [
                ("é", "é", Style::Plain, 0, false),
                ("plain", "plain", Style::Plain, 0, false),
                ("'a'", "a", Style::Single, 0, true),
                ("\"b\\n\"", "b\n", Style::Double, 0, true),
                (" x\n  y\n", " x\ny\n", Style::Literal, 2, false),
                ("a\n b\n", "\na b", Style::Folded, 1, false),
            ]
        );
        assert_eq!(written.comments.iter().map(|one| &text[one.clone()]).collect::<Vec<_>>(), ["# c"]);
        assert_eq!(scalars("a: [").unwrap_err().at.line, 1);
    }
}
