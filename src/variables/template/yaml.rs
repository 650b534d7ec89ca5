//! Putting values into YAML, so that each is read back as itself and everything else as before.

use std::collections::BTreeSet;
use std::ops::Range;

use super::Placeholder;
use super::fill::{Chosen, Filled, Put};
use super::protect::{Piece, Protected};
use super::spelling::{Spelling, is_printable};
use crate::variables::Format;
use crate::yaml::{Kind, Located, Mistake, Style, Written, scalars};

/// A part of what comes in the place of a scalar.
enum Part {
    Text(String),
    /// The value of the placeholder of this number.
    Value(usize, Spelling),
}

/// What goes to each placeholder; nothing for those that stay as they are.
type Values<'v> = [Option<Chosen<'v>>];

/// The placeholders that stand in keys and values, and what is wrong with the others: those in comments are as good as
/// not there, and where else one stands no value can.
pub(super) fn used(protected: &Protected) -> (Vec<&Placeholder>, Vec<Mistake>) {
    match scalars(protected.text()) {
        Err(mistake) => (Vec::new(), vec![mistake]),
        Ok(written) => {
            let (used, mistakes) = numbers(protected, &written);
            (used.into_iter().map(|number| &protected.placeholders()[number]).collect(), mistakes)
        }
    }
}

fn numbers(protected: &Protected, written: &Written) -> (BTreeSet<usize>, Vec<Mistake>) {
    let of = |text: &str| {
        protected
            .pieces(text)
            .into_iter()
            .filter_map(|(piece, _)| match piece {
                Piece::Placeholder(number) => Some(number),
                Piece::Text(_) => None,
            })
            .collect::<Vec<_>>()
    };
    let used: BTreeSet<usize> = written.scalars.iter().flat_map(|scalar| of(&scalar.text)).collect();
    let comments = written.comments.iter().flat_map(|bytes| of(&protected.text()[bytes.clone()]));
    let told: BTreeSet<usize> = used.iter().copied().chain(comments).collect();
    let lost = protected.placeholders().iter().enumerate().filter(|(number, _)| !told.contains(number));
    let message = "no value can stand here: a placeholder stands in a key or in a value";
    let mistakes = lost.map(|(_, one)| Mistake { at: one.at, message: message.to_owned() }).collect();
    (used, mistakes)
}

/// Fills the placeholders that stand in keys and values.
pub(super) fn fill<'v>(
    protected: &Protected,
    choose: impl Fn(&Placeholder) -> Result<Chosen<'v>, String>,
) -> Result<Filled, Vec<Mistake>> {
    let written = scalars(protected.text()).map_err(|mistake| vec![mistake])?;
    let (used, mut mistakes) = numbers(protected, &written);
    let mut values: Vec<Option<Chosen<'v>>> = Vec::new();
    for (number, one) in protected.placeholders().iter().enumerate() {
        let chosen = used.contains(&number).then(|| choose(one)).transpose();
        values.push(chosen.map_err(|message| mistakes.push(Mistake { at: one.at, message })).unwrap_or_default());
    }
    if !mistakes.is_empty() {
        return Err(mistakes);
    }
    let mut changes = Vec::new();
    for scalar in &written.scalars {
        let Some(first) = first(protected, scalar) else { continue };
        match replaced(protected, scalar, &values) {
            Ok(change) => changes.push(change),
            Err(message) => mistakes.push(Mistake { at: first.at, message }),
        }
    }
    if !mistakes.is_empty() {
        return Err(mistakes);
    }
    let filled = assemble(protected, &changes, &values);
    match changed_otherwise(protected, &written, &filled, &values) {
        None => Ok(filled),
        Some(mistake) => Err(vec![mistake]),
    }
}

fn first<'p>(protected: &'p Protected, scalar: &Located) -> Option<&'p Placeholder> {
    protected.pieces(&scalar.text).into_iter().find_map(|(piece, _)| match piece {
        Piece::Placeholder(number) => Some(&protected.placeholders()[number]),
        Piece::Text(_) => None,
    })
}

/// The bytes to take away for a scalar, and what comes there.
fn replaced(protected: &Protected, scalar: &Located, values: &Values<'_>) -> Result<(Range<usize>, Vec<Part>), String> {
    let source = &protected.text()[scalar.bytes.clone()];
    let inside: Vec<(usize, &Chosen<'_>)> = chosen(protected, &scalar.text, values);
    let all = |fits: fn(&str) -> bool| inside.iter().all(|(_, chosen)| fits(&chosen.value));
    let in_place = |spelling| Ok((scalar.bytes.clone(), parts(protected, source, spelling, false)));
    let quoted = || {
        let mut quoted = vec![Part::Text("\"".to_owned())];
        quoted.extend(parts(protected, &scalar.text, Spelling::Double, true));
        quoted.push(Part::Text("\"".to_owned()));
        quoted
    };
    // A line that an empty value leaves empty would be a line end.
    let keeps_lines = !source.contains('\n') || all(|value| !value.is_empty());
    match scalar.style {
        Style::Plain => {
            if let ([(Piece::Placeholder(number), _)], [(_, chosen)]) = (&protected.pieces(source)[..], &inside[..]) {
                let plain = chosen.variable.format.is_typed() || is_plain_text(&chosen.value);
                let part = vec![Part::Value(*number, Spelling::AsIs)];
                return Ok((scalar.bytes.clone(), if plain { part } else { quoted() }));
            }
            stays_plain(&expected(protected, &scalar.text, values), scalar, &inside)?;
            in_place(Spelling::AsIs)
        }
        Style::Single if keeps_lines && all(fits_a_line) => in_place(Spelling::Single),
        Style::Double if keeps_lines => in_place(Spelling::Double),
        Style::Single | Style::Double => Ok((scalar.bytes.clone(), quoted())),
        Style::Literal if all(fits_a_block) => in_place(Spelling::Block(scalar.indent)),
        Style::Folded if all(|value| !value.is_empty() && fits_a_line(value)) => in_place(Spelling::AsIs),
        // What a block cannot hold, or would hold otherwise, double quotes can.
        Style::Literal | Style::Folded => {
            let end = scalar.bytes.start + source.trim_end().len();
            Ok((header(protected.text(), scalar.bytes.start)..end, quoted()))
        }
    }
}

/// Where the `|` or `>` of the block stands whose lines begin at `start`.
fn header(text: &str, start: usize) -> usize {
    let before = text[..start].trim_end();
    let line = before.rfind('\n').map_or(0, |end| end + 1);
    let is_header = |rest: &str| {
        let rest = rest[1..].trim_start_matches(|c: char| c.is_ascii_digit() || c == '+' || c == '-');
        rest.trim_start().is_empty() || rest.starts_with([' ', '\t']) && rest.trim_start().starts_with('#')
    };
    let found = before[line..].match_indices(['|', '>']).find(|(at, _)| is_header(&before[line + at..]));
    found.map_or(start, |(at, _)| line + at)
}

fn chosen<'c, 'v>(protected: &Protected, text: &str, values: &'c Values<'v>) -> Vec<(usize, &'c Chosen<'v>)> {
    let pieces = protected.pieces(text).into_iter();
    pieces
        .filter_map(|(piece, _)| match piece {
            Piece::Placeholder(number) => Some((number, values[number].as_ref()?)),
            Piece::Text(_) => None,
        })
        .collect()
}

/// What is read where `text` is read now.
fn expected(protected: &Protected, text: &str, values: &Values<'_>) -> String {
    let one = |piece| match piece {
        Piece::Text(text) => text,
        Piece::Placeholder(number) => values[number].as_ref().map_or("", |chosen| &chosen.value),
    };
    protected.pieces(text).into_iter().map(|(piece, _)| one(piece)).collect()
}

/// `text` with its values in the given spelling, and what is between them too where `requoted`.
fn parts(protected: &Protected, text: &str, spelling: Spelling, requoted: bool) -> Vec<Part> {
    let pieces = protected.pieces(text).into_iter();
    pieces
        .map(|(piece, _)| match piece {
            Piece::Text(text) if requoted => Part::Text(spelling.write(text)),
            Piece::Text(text) => Part::Text(text.to_owned()),
            Piece::Placeholder(number) => Part::Value(number, spelling),
        })
        .collect()
}

fn assemble(protected: &Protected, changes: &[(Range<usize>, Vec<Part>)], values: &Values<'_>) -> Filled {
    let (mut filled, mut from) = (Filled { text: String::new(), puts: Vec::new() }, 0);
    for (bytes, parts) in changes {
        filled.text.push_str(&protected.restore(&protected.text()[from..bytes.start]));
        from = bytes.end;
        for part in parts {
            let start = filled.text.len();
            match part {
                Part::Text(text) => filled.text.push_str(text),
                Part::Value(number, spelling) => {
                    let value = values[*number].as_ref().map_or("", |chosen| &chosen.value);
                    filled.text.push_str(&spelling.write(value));
                    let name = protected.placeholders()[*number].name.clone();
                    filled.puts.push(Put { name, bytes: start..filled.text.len(), spelling: *spelling });
                }
            }
        }
    }
    filled.text.push_str(&protected.restore(&protected.text()[from..]));
    filled
}

/// The first placeholder whose value is read as something else, or changes what is around it. The rules for each style
/// should leave none; what they overlook ends here, and not in a cluster.
fn changed_otherwise(protected: &Protected, before: &Written, filled: &Filled, values: &Values<'_>) -> Option<Mistake> {
    let after = scalars(&filled.text).unwrap_or_default();
    let same = |(old, new): (&Located, &Located)| expected(protected, &old.text, values) == new.text;
    let agreeing = before.scalars.iter().zip(&after.scalars).take_while(|pair| same(*pair)).count();
    if agreeing == before.scalars.len() && agreeing == after.scalars.len() {
        return None;
    }
    let near = before.scalars[..(agreeing + 1).min(before.scalars.len())].iter().rev();
    let culprit = near.clone().find_map(|scalar| first(protected, scalar)).or(protected.placeholders().first())?;
    let message = format!("the value of variable {} changes what is around it; put the text in quotes", culprit.name);
    Some(Mistake { at: culprit.at, message })
}

/// Whether `value` can stand in a line between other text.
fn fits_a_line(value: &str) -> bool {
    value.chars().all(is_printable) && value.trim() == value
}

/// Whether `value` can stand in a literal block without changing where the block begins and ends.
fn fits_a_block(value: &str) -> bool {
    let printable = |c| is_printable(c) || matches!(c, '\n' | '\t');
    !value.is_empty() && value.trim() == value && value.chars().all(printable)
}

/// Whether every version of YAML reads `value` without quotes as text, wherever it stands.
fn is_plain_text(value: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '/' | ':' | '@' | '-');
    value.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')
        && !value.ends_with(':')
        && value.chars().all(word)
        && !is_special(value)
}

/// Whether some version of YAML reads `text` without quotes as something else than text.
fn is_special(text: &str) -> bool {
    const WORDS: [&str; 10] = ["y", "n", "yes", "no", "on", "off", "true", "false", "null", "~"];
    let joined = text.replace('_', "");
    let unsigned = joined.strip_prefix(['-', '+']).unwrap_or(&joined);
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let binary = unsigned.strip_prefix("0b").is_some_and(|rest| rest.bytes().all(|b| matches!(b, b'0' | b'1')));
    let sixties = unsigned.contains(':') && unsigned.replace(':', "").bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let date = text.len() >= 8 && text.split('-').take(2).all(digits) && text.split('-').count() >= 3;
    WORDS.contains(&text.to_lowercase().as_str()) || Kind::of_plain(&joined) != Kind::Text || binary || sixties || date
}

/// Whether `text`, which has more in it than a value, is read as itself without quotes.
fn stays_plain(text: &str, scalar: &Located, inside: &[(usize, &Chosen<'_>)]) -> Result<(), String> {
    let names: BTreeSet<&str> = inside.iter().map(|(_, chosen)| &*chosen.variable.name).collect();
    let names = names.into_iter().collect::<Vec<_>>().join(", ");
    let broken = |value: &str| value.contains(|c| !is_printable(c));
    let flow = ['[', ']', '{', '}', ','];
    let second = text.chars().nth(1);
    let begins = match text.chars().next() {
        Some('-' | '?' | ':') => second.is_some_and(|c| c != ' ' && !(scalar.flow && flow.contains(&c))),
        Some(first) => {
            !matches!(first, '#' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@' | '`') && !flow.contains(&first)
        }
        None => false,
    };
    let ends = text.trim() != text || text.ends_with(':') || text.contains(": ") || text.contains(" #");
    let marks = text.starts_with("---") || text.starts_with("...") || scalar.flow && text.contains(flow);
    let whole = begins && !ends && !marks && !inside.iter().any(|(_, chosen)| broken(&chosen.value));
    if !whole {
        return Err(format!("the value of variable {names} needs quotes here; put the whole text in quotes"));
    }
    // A number that is made of numbers is one; one that texts happen to make is not meant.
    let typed = inside.iter().all(|(_, chosen)| chosen.variable.format == Format::Number);
    if is_special(text) && !(typed && matches!(Kind::of_plain(text), Kind::Int | Kind::Float)) {
        return Err(format!(
            "with the value of variable {names} this is no text any more; put the whole text in quotes"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
