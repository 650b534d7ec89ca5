//! What libyaml and Go's copy of it take, by which Kubernetes and Helm read, and YAML's specification does not: a quoted text whose next line
//! is indented no more than its key (YAML 1.2.2, 7.3), a comment right after a quote (6.6), and tabs before a line between brackets or in
//! a quoted text (6.1).
//!
//! Blanks at the beginning of a quoted text's line mean nothing, and before a comment neither; so what is missing is put there, one
//! place after the other, and the text read again. Documents of our own are not read so.

use std::borrow::Cow;

use super::build::{self, Reading};
use super::{Mistake, Parsed};

/// Places of a text that are mended; who has more has to correct them.
const MOST: usize = 100;
/// Bytes that are read again for that, which makes the places fewer where a text is long: it may be hostile.
const MOST_BYTES: usize = 32 << 20;
/// More than any key is indented by.
const INDENTATION: &str = "                                                                                ";
const QUOTED: &str = "invalid indentation in multiline quoted scalar";
const TABS: [&str; 2] = ["tabs disallowed within this context", "tab cannot be used as indentation"];
const COMMENT: &str = "comments must be separated from other tokens by whitespace";

/// As [`build::build`], of the text as libyaml would have it.
pub(super) fn build(text: &str, reading: Reading) -> Parsed {
    let mut mended = Cow::Borrowed(text);
    let mut parsed = build::build(text, reading);
    for _ in 0..MOST.min(MOST_BYTES / text.len().max(1)) {
        let Some(next) = parsed.mistakes.iter().find_map(|mistake| mend(&mended, mistake)) else { break };
        mended = Cow::Owned(next);
        parsed = build::build(&mended, reading);
    }
    // A place is that of the text as it was.
    if matches!(mended, Cow::Owned(_)) && !parsed.mistakes.is_empty() { build::build(text, reading) } else { parsed }
}

/// The text with blanks at the mistake, where it is one of those.
fn mend(text: &str, mistake: &Mistake) -> Option<String> {
    let is = |message: &str| mistake.message.contains(message);
    if TABS.iter().any(|tabs| is(tabs)) {
        return without_tabs(text);
    }
    let start: usize = text.split_inclusive('\n').take(mistake.at.line - 1).map(str::len).sum();
    let line = text[start..].split('\n').next()?;
    let (at, blanks) = if is(QUOTED) {
        (start, INDENTATION)
    } else if is(COMMENT) {
        let column = line.char_indices().nth(mistake.at.column - 1).map_or(line.len(), |(index, _)| index);
        (start + column + line[column..].find('#')?, " ")
    } else {
        return None;
    };
    Some(format!("{}{blanks}{}", &text[..at], &text[at..]))
}

/// The text with blanks instead of tabs before each line between brackets or quotes; nothing where there is no such tab.
fn without_tabs(text: &str) -> Option<String> {
    let mut brackets = Brackets::default();
    let mut changed = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let tabs = line.len() - line.trim_start_matches([' ', '\t']).len();
        let (before, rest) = line.split_at(if brackets.open() { tabs } else { 0 });
        changed.push_str(&before.replace('\t', " "));
        changed.push_str(rest);
        brackets.read(line);
    }
    (changed != text).then_some(changed)
}

/// How many brackets are open after some lines, as far as that is told without a parser.
#[derive(Default)]
struct Brackets {
    depth: usize,
    quote: Option<char>,
    /// The indentation of the line that a block of text belongs to.
    block: Option<usize>,
}

impl Brackets {
    fn open(&self) -> bool {
        self.depth > 0 || self.quote.is_some()
    }

    fn read(&mut self, line: &str) {
        let indentation = line.len() - line.trim_start_matches(' ').len();
        match self.block {
            Some(outer) if line.trim().is_empty() || indentation > outer => return,
            _ => self.block = None,
        }
        if self.quote.is_none() && (line.starts_with("---") || line.starts_with("...")) {
            self.depth = 0;
        }
        let mut last = ' ';
        let mut characters = line.chars().peekable();
        while let Some(character) = characters.next() {
            let begins = last.is_whitespace() || matches!(last, '[' | '{' | ',' | ':');
            match (self.quote, character) {
                (Some('"'), '\\') => drop(characters.next()),
                (Some('\''), '\'') if characters.peek() == Some(&'\'') => drop(characters.next()),
                (Some(quote), character) if quote == character => self.quote = None,
                (None, '"' | '\'') if begins => self.quote = Some(character),
                (None, '#') if last.is_whitespace() => break,
                (None, '[' | '{') if begins || self.depth > 0 => self.depth += 1,
                (None, ']' | '}') => self.depth = self.depth.saturating_sub(1),
                (None, '|' | '>') if begins && self.depth == 0 => self.block = Some(indentation),
                _ => {}
            }
            last = character;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::Node;

    fn read(text: &str) -> Result<Vec<(String, String)>, String> {
        let parsed = build(text, Reading::MergeKeys);
        if let Some(mistake) = parsed.mistakes.first() {
            return Err(format!("{}: {}", mistake.at, mistake.message));
        }
        let text = |node: &Node| node.scalar().map(|scalar| scalar.text.to_string()).unwrap_or_default();
        let entries = parsed.documents.iter().flat_map(Node::entries);
        Ok(entries.map(|entry| (entry.key.to_string(), text(&entry.value))).collect())
    }

    #[test]
    fn what_libyaml_takes_is_taken() {
        for (text, value) in [
            ("a: \"one\ntwo\"\nb: x\n", "one two"),
            ("a: 'one\ntwo'\nb: x\n", "one two"),
            ("a: \"one\n\n\ntwo\"\nb: x\n", "one\n\ntwo"),
            ("a: \"one\ntwo\nthree\"\nb: x\n", "one two three"),
            ("a: \"one\"#comment\nb: x\n", "one"),
            ("a: 'one'# comment\nb: x\n", "one"),
            ("a: \"ö\"#ü\nb: x\n", "ö"),
        ] {
            let expected = [("a".to_owned(), value.to_owned()), ("b".to_owned(), "x".to_owned())];
            assert_eq!(read(text), Ok(expected.to_vec()), "{text}");
        }
    }

    #[test]
    fn tabs_are_blanks_between_brackets_alone() {
        for text in [
            "a: {\n\tx: one}\nb: x\n",
            "a:\n  - {\n\t\t\"x\": [\n\t\"one\"\n\t]\n\t}\nb: x\n",
            "a: [\"]\", 'it''s {', # [\n\tone]\nb: x\n",
            "a: \"one\n\ttwo\"\nb: x\n",
            "a: 'one\n\t\ttwo'\nb: x\n",
        ] {
            assert_eq!(read(text).map(|entries| entries.len()), Ok(2), "{text}");
        }
        for text in ["a:\n\tb: x\n", "a: [x]\nb:\n\tc: x\n", "a: |\n  {\nb:\n\tc: x\n", "a: '{'\nb:\n\tc: x\n"] {
            assert!(read(text).is_err(), "{text}");
        }
        let tabs = "a: |\n  {\n  \tx\nb: {\n\tc: x}\n";
        assert_eq!(read(tabs).unwrap()[0].1, "{\n\tx\n");
    }

    #[test]
    fn what_it_does_not_take_is_told_where_it_stands() {
        let broken = read("a: \"one\ntwo\"\nb: [x\n").unwrap_err();
        assert!(broken.starts_with("2:"), "{broken}");
        assert!(read(&"a: \"one\ntwo\"\n---\n".repeat(MOST + 1)).is_err());
        let (long, text) = ("#".repeat(MOST_BYTES / 2 - 100), "\na: \"one\ntwo\"\n");
        assert!(read(&format!("{long}{text}")).is_ok());
        assert!(read(&format!("{long}{long}{text}{text}")).is_err());
    }
}
