//! The fenced blocks of a document, and the marks before them. CONTRIBUTING.md states the rules.

/// A fenced block.
#[derive(Debug)]
pub struct Block {
    /// Line of the opening fence, from 1.
    pub line: usize,
    /// What stands behind the opening fence.
    pub language: String,
    /// The comment on the line before it.
    pub mark: Mark,
    /// What is between the fences.
    pub text: String,
}

/// What is to be done with a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mark {
    /// Run it, if it is a console; the last command ends with this code.
    Run { exit: i32, real: bool, helm: bool },
    /// Write it to this file.
    File(String),
    /// Do not run it; this says what does.
    Covered(String),
}

/// A command of a console block.
#[derive(Debug, PartialEq, Eq)]
pub struct Command {
    /// As it is typed, over one or more lines.
    pub text: String,
    /// What is shown below it.
    pub output: Vec<String>,
}

/// All blocks, in order.
pub fn blocks(document: &str) -> Vec<Block> {
    let mut found = Vec::new();
    let mut lines = document.lines().enumerate();
    let mut before = "";
    while let Some((number, line)) = lines.next() {
        let Some(language) = line.strip_prefix("```") else {
            before = line;
            continue;
        };
        let body = lines.by_ref().map(|(_, line)| line).take_while(|line| *line != "```");
        let text = body.fold(String::new(), |text, line| text + line + "\n");
        found.push(Block { line: number + 1, language: language.to_owned(), mark: mark(before), text });
        before = "";
    }
    found
}

fn mark(line: &str) -> Mark {
    let comment = line.strip_prefix("<!-- ").and_then(|line| line.strip_suffix(" -->"));
    let (mut exit, mut real, mut helm) = (0, false, false);
    match comment.and_then(|comment| comment.split_once(": ")) {
        Some(("file", path)) => return Mark::File(path.to_owned()),
        Some(("test", words)) => {
            for word in words.split(", ") {
                match word.split_once(' ') {
                    Some(("exit", code)) => exit = code.parse().unwrap(),
                    Some(("covered", by)) => return Mark::Covered(by.strip_prefix("by ").unwrap().to_owned()),
                    None if word == "real" => real = true,
                    None if word == "helm" => helm = true,
                    _ => panic!("unknown mark {line:?}"),
                }
            }
        }
        _ => {}
    }
    Mark::Run { exit, real, helm }
}

/// The commands of a console block. One that ends with `\` goes on in the next line.
pub fn commands(text: &str) -> Vec<Command> {
    let mut commands: Vec<Command> = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        match line.strip_prefix("$ ") {
            Some(command) => {
                let mut text = command.to_owned();
                while text.ends_with('\\') {
                    text = format!("{text}\n{}", lines.next().expect("a line after one that ends with \\"));
                }
                commands.push(Command { text, output: Vec::new() });
            }
            None => commands.last_mut().expect("a command before its output").output.push(line.to_owned()),
        }
    }
    commands
}

/// Whether `output` is what `shown` shows: the same lines, where `...` alone stands for any lines and `…` for any text
/// within one. A command that shows nothing may print anything.
pub fn is_shown(shown: &[String], output: &[&str]) -> bool {
    fn matches(shown: &[String], output: &[&str]) -> bool {
        match (shown, output) {
            ([], []) => true,
            ([gap, rest @ ..], _) if gap == "..." => (0..=output.len()).any(|at| matches(rest, &output[at..])),
            ([line, shown @ ..], [printed, output @ ..]) => line_is_shown(line, printed) && matches(shown, output),
            _ => false,
        }
    }
    shown.is_empty() || matches(shown, output)
}

fn line_is_shown(shown: &str, printed: &str) -> bool {
    let mut parts = shown.trim_end().split('…');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = printed.trim_end().strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[test]
fn blocks_have_marks_and_commands() {
    let document = "a\n\n<!-- file: x.yaml -->\n```yaml\na: 1\n```\ntext\n<!-- test: real, exit 10 -->\n```console\n$ a \\\n  b\nout\n$ c\n```\n";
    let found = blocks(document);
    assert_eq!((found[0].mark.clone(), found[0].text.as_str()), (Mark::File("x.yaml".into()), "a: 1\n"));
    assert_eq!(found[1].mark, Mark::Run { exit: 10, real: true, helm: false });
    assert_eq!(mark("<!-- test: helm -->"), Mark::Run { exit: 0, real: false, helm: true });
    let command = |text: &str, output: &[&str]| Command {
        text: text.into(),
        output: output.iter().map(|line| (*line).to_owned()).collect(),
    };
    assert_eq!(commands(&found[1].text), [command("a \\\n  b", &["out"]), command("c", &[])]);
}

#[test]
fn output_is_compared_line_by_line() {
    let shown = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
    assert!(is_shown(&shown(&["a", "...", "size … of … B"]), &["a", "b", "c", "size 1 of 2 B"]));
    assert!(is_shown(&shown(&["..."]), &[]));
    assert!(is_shown(&[], &["anything"]));
    assert!(!is_shown(&shown(&["a"]), &["a", "b"]));
    assert!(!is_shown(&shown(&["a…b"]), &["a"]));
    assert!(!is_shown(&shown(&["ab…b"]), &["ab"]));
}
