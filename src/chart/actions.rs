//! What is between `{{` and `}}` in a chart's files, word by word: no grammar, only enough to tell what templates ask.

use super::influence::{Region, names_image};

/// Functions that change their first argument.
const CHANGING: [&str; 5] = ["set", "merge", "mergeOverwrite", "mustMerge", "mustMergeOverwrite"];
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
    /// Which it is: the number of its file in its chart, and of it in that. Of two charts, they may be the same: then more is taken
    /// to be known than is.
    pub(super) at: (usize, usize),
    /// The `with` or `range` whose value is the dot; absent where it is the one that the template was given.
    pub(super) dot: Option<(usize, usize)>,
    /// Its line.
    pub(super) own: Region,
    /// The block that it begins, or a branch of which it begins.
    pub(super) block: Region,
}

impl Action {
    /// A variable as it is known in all of the chart: those of other files and templates are others.
    pub(super) fn variable(&self, field: &str) -> String {
        let name = field.split('.').next().unwrap_or_default();
        format!("{} {} {name}", self.at.0, self.scope.as_deref().unwrap_or_default())
    }

    /// The variables that get a value, or a part of one.
    pub(super) fn assigned(&self) -> Vec<&str> {
        let is = |word: &Word| matches!(word, Word::Name(name) if name == ":=" || name == "=");
        let before = self.words.iter().position(is).unwrap_or(0);
        let changed = self.words.windows(2).filter_map(|pair| match pair {
            [Word::Name(name), Word::Field(field)] if CHANGING.contains(&&**name) => Some(&**field),
            _ => None,
        });
        let given = self.words[..before].iter().filter_map(|word| match word {
            Word::Field(field) => Some(&**field),
            _ => None,
        });
        given
            .chain(changed)
            .filter(|field| field.starts_with('$') && *field != "$" && !field.starts_with("$."))
            .collect()
    }

    /// Whether it changes a mapping that is read under names of its own, such as `.Values`.
    pub(super) fn changes_others(&self) -> bool {
        self.words.windows(2).any(|pair| match pair {
            [Word::Name(name), Word::Field(field)] if CHANGING.contains(&&**name) => {
                !field.starts_with('$') || field == "$" || field.starts_with("$.")
            }
            [Word::Name(name), Word::Open] => CHANGING.contains(&&**name),
            _ => false,
        })
    }

    /// Whether a function or keyword of this name is in it.
    pub(super) fn has(&self, name: &str) -> bool {
        self.words.iter().any(|word| matches!(word, Word::Name(there) if there == name))
    }
}

/// The actions of the file with this number.
pub(super) fn read(file: usize, text: &str) -> Vec<Action> {
    let (mut found, mut scope, mut rest): (Vec<Action>, _, _) = (Vec::new(), None, text);
    // Blocks that have begun: where in `found`, and from where in the text.
    let mut blocks: Vec<Block> = Vec::new();
    while let Some(start) = rest.find("{{") {
        let at = text.len() - rest.len() + start;
        rest = &rest[start + 2..];
        if let Some(comment) = rest.strip_prefix("- ").unwrap_or(rest).strip_prefix("/*") {
            rest = comment.find("*/").map_or("", |end| &comment[end..]);
            continue;
        }
        let (words, after) = words(rest);
        rest = after;
        let (own, block) = (Region::default(), Region::default());
        let action = Action { scope: None, words, at: (file, found.len()), dot: None, own, block };
        if action.has("define") {
            scope = action.words.iter().find_map(|word| match word {
                Word::Text(name) => Some(name.clone()),
                _ => None,
            });
        }
        let end = text.len() - rest.len();
        if action.words.is_empty() || found.len() > MAX_ACTIONS {
            continue;
        }
        let own = Region::of(&action, lines_around(text, at, end));
        if matches!(action.words.first(), Some(Word::Name(name)) if name == "end")
            && let Some(block) = blocks.pop()
        {
            close(&mut found, &mut blocks, block, text, at);
        }
        if let Some(block) = blocks.last_mut() {
            block.region.add(&own);
            if matches!(action.words.first(), Some(Word::Name(name)) if name == "else") && action.words.len() > 1 {
                block.begun.push(found.len());
            }
        }
        let is = |action: &Action, names: &[&str]| matches!(action.words.first(), Some(Word::Name(name)) if names.contains(&&**name));
        let around =
            blocks.iter().rev().map(|block| &found[block.begun[0]]).take_while(|around| !is(around, &["define"]));
        let dot = around.filter(|around| is(around, &["with", "range"])).map(|around| around.at).next();
        let begins = is(&action, &["if", "with", "range", "define", "block"]);
        found.push(Action { scope: scope.clone(), dot, own, ..action });
        if begins {
            blocks.push(Block { begun: vec![found.len() - 1], from: end, region: Region::default() });
        }
    }
    // What has no end goes on to the end.
    while let Some(block) = blocks.pop() {
        close(&mut found, &mut blocks, block, text, text.len());
    }
    found
}

/// A block that has not ended.
struct Block {
    /// The actions that begin it, or a branch of it.
    begun: Vec<usize>,
    /// Where in the text it begins.
    from: usize,
    region: Region,
}

/// Ends a block at `to`: what is in it is where its actions show, and those of the block around it.
fn close(found: &mut [Action], around: &mut [Block], mut block: Block, text: &str, to: usize) {
    block.region.image = block.region.image || names_image(&text[block.from..to]);
    for at in &block.begun {
        found[*at].block.add(&block.region);
    }
    if let Some(outer) = around.last_mut() {
        outer.region.add(&block.region);
    }
}

/// The lines that `from..to` is in, and the one before, which may begin a text of several lines.
fn lines_around(text: &str, from: usize, to: usize) -> &str {
    let begin = text[..from].rfind('\n').unwrap_or(0);
    let before = text[..begin].rfind('\n').map_or(0, |at| at + 1);
    let own = if begin == 0 { 0 } else { begin + 1 };
    let opens = text[before..begin].trim_end().ends_with(['>', '|', '-', ':', '(']);
    let end = text[to..].find('\n').map_or(text.len(), |at| to + at);
    &text[if opens { before } else { own }..end]
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
        let read: Vec<Vec<Word>> = read(0, text).into_iter().map(|action| action.words).collect();
        assert_eq!(read, [first.to_vec(), second.to_vec(), vec![name("x")]]);
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in "([{}\"`/*()|$.=:a1é -]){0,60}") {
            read(0, &text);
        }
    }
}
