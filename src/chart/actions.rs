//! What is between `{{` and `}}` in a chart's files, word by word: no grammar, only enough to tell what templates ask.

/// Actions of one chart that are kept. A chart with more is one of which not all is known.
pub(super) const MAX_ACTIONS: usize = 20_000;

/// One word of an action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Word {
    /// A text in quotes.
    Text(String),
    /// A number.
    Number(String),
    /// A field or a variable: `.Values.mode`, `$x.mode`, `.`.
    Field(String),
    /// A function or a keyword; `:=` and `=` too.
    Name(String),
    /// `(`.
    Open,
    /// `)`.
    Close,
    /// `|`.
    Pipe,
}

/// One action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Action {
    /// The named template that it is in, as far as `define` tells.
    pub(super) scope: Option<String>,
    pub(super) words: Vec<Word>,
}

impl Action {
    /// Whether a function or keyword of this name is in it.
    pub(super) fn has(&self, name: &str) -> bool {
        self.words.iter().any(|word| matches!(word, Word::Name(there) if there == name))
    }
}

/// The actions of one file.
pub(super) fn read(text: &str) -> Vec<Action> {
    let (mut found, mut scope, mut rest) = (Vec::new(), None, text);
    while let Some(start) = rest.find("{{") {
        rest = &rest[start + 2..];
        if let Some(comment) = rest.strip_prefix("- ").unwrap_or(rest).strip_prefix("/*") {
            rest = comment.find("*/").map_or("", |end| &comment[end..]);
            continue;
        }
        let (words, after) = words(rest);
        rest = after;
        let action = Action { scope: None, words };
        if action.has("define") {
            scope = action.words.iter().find_map(|word| match word {
                Word::Text(name) => Some(name.clone()),
                _ => None,
            });
        }
        if !action.words.is_empty() && found.len() <= MAX_ACTIONS {
            found.push(Action { scope: scope.clone(), ..action });
        }
    }
    found
}

/// The words up to `}}`, and what follows.
fn words(text: &str) -> (Vec<Word>, &str) {
    let (mut found, mut rest) = (Vec::new(), text);
    while let Some(first) = rest.chars().next() {
        if let Some(after) = rest.strip_prefix("}}") {
            return (found, after);
        }
        let length = match first {
            '"' | '`' => {
                let (length, text) = quoted(rest, first);
                found.push(Word::Text(text));
                length
            }
            '(' | ')' | '|' => {
                found.push(match first {
                    '(' => Word::Open,
                    ')' => Word::Close,
                    _ => Word::Pipe,
                });
                1
            }
            _ if rest.starts_with(":=") => {
                found.push(Word::Name(":=".to_owned()));
                2
            }
            '=' => {
                found.push(Word::Name("=".to_owned()));
                1
            }
            _ if is_inner(first) => {
                let end = rest.find(|c| !is_inner(c)).unwrap_or(rest.len());
                found.extend(word(&rest[..end]));
                end
            }
            _ => first.len_utf8(),
        };
        rest = &rest[length..];
    }
    (found, "")
}

fn is_inner(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '.' | '$' | '_' | '-' | '+')
}

fn word(text: &str) -> Option<Word> {
    let text = text.to_owned();
    match text.chars().next()? {
        // `{{-` and `-}}`.
        '-' if text == "-" => None,
        '.' | '$' => Some(Word::Field(text)),
        c if c.is_ascii_digit() || matches!(c, '-' | '+') => Some(Word::Number(text)),
        _ => Some(Word::Name(text)),
    }
}

/// A text in quotes: how long it is with them, and what it says.
fn quoted(text: &str, quote: char) -> (usize, String) {
    let (mut said, mut escaped) = (String::new(), false);
    for (index, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => {
                said.push(c);
                escaped = false;
            }
            '\\' if quote == '"' => escaped = true,
            _ if c == quote => return (index + 1, said),
            _ => said.push(c),
        }
    }
    (text.len(), said)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn actions_are_read_word_by_word() {
        let text =
            "a: {{- if and (eq .Values.mode \"h\\\"a}}\") $x -}} {{/* lookup */}}{{- /* eq */ -}}{{ $y:=3 | int }}{{ x";
        let field = |text: &str| Word::Field(text.to_owned());
        let name = |text: &str| Word::Name(text.to_owned());
        let first = [
            name("if"),
            name("and"),
            Word::Open,
            name("eq"),
            field(".Values.mode"),
            Word::Text("h\"a}}".to_owned()),
            Word::Close,
            field("$x"),
        ];
        let second = [field("$y"), name(":="), Word::Number("3".to_owned()), Word::Pipe, name("int")];
        let read: Vec<Vec<Word>> = read(text).into_iter().map(|action| action.words).collect();
        assert_eq!(read, [first.to_vec(), second.to_vec(), vec![name("x")]]);
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in "([{}\"`/*()|$.=:a1é -]){0,60}") {
            read(&text);
        }
    }
}
