//! What is wrong with a document that a person wrote, and where: `file:line:column: message` with the line shown.
//!
//! Mistakes are collected, not thrown, so that a document is corrected in one go.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::io::{AtPath, PathError};
use crate::text::is_unseen;

/// Largest document in bytes.
const MAX_BYTES: u64 = 16 << 20;
/// Characters of an offending line that are shown.
const SHOWN: usize = 160;
/// Problems of one report that are kept; a person corrects no more at once, and a hostile document may have millions.
const KEPT: usize = 200;

/// A place in a text. Both numbers begin at 1; the column counts characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Line number.
    pub line: usize,
    /// Column number, in characters.
    pub column: usize,
}

impl Position {
    /// The first character of a text.
    pub const START: Self = Self { line: 1, column: 1 };
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// A document's text and the name it was read under. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Source(Arc<(PathBuf, String)>);

impl Source {
    /// `text` as read from `file`.
    pub fn new(file: &Path, text: String) -> Self {
        Self(Arc::new((file.to_owned(), text)))
    }

    /// The file, as it should be shown.
    pub fn file(&self) -> &Path {
        &self.0.0
    }

    /// The whole text.
    pub fn text(&self) -> &str {
        &self.0.1
    }

    /// A problem at `position`, with the line that it is in.
    pub fn problem(&self, position: Position, message: impl Into<String>) -> Problem {
        let line = position.line.checked_sub(1).and_then(|skip| self.text().lines().nth(skip));
        let line = line.map(|line| line.trim_start_matches('\u{feff}').chars().take(SHOWN).collect());
        Problem { file: self.file().to_owned(), position: Some(position), line, message: message.into() }
    }
}

/// One mistake in a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The document.
    pub file: PathBuf,
    /// Where in it, unless it is about the file as a whole.
    pub position: Option<Position>,
    /// The beginning of the line at that position.
    pub line: Option<String>,
    /// What is wrong, in one line.
    pub message: String,
}

impl Problem {
    /// A problem with a file as a whole.
    pub fn with_file(file: &Path, message: impl Into<String>) -> Self {
        Self { file: file.to_owned(), position: None, line: None, message: message.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file.display())?;
        if let Some(position) = self.position {
            write!(f, "{position}:")?;
        }
        write!(f, " {}", printable(&self.message))?;
        let (Some(position), Some(line)) = (self.position, &self.line) else { return Ok(()) };
        let number = position.line.to_string();
        let gutter = " ".repeat(number.len());
        // Tabs stay tabs, so that the caret stands under its character whatever their width.
        let blank: String =
            line.chars().take(position.column - 1).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
        let missing = (position.column - 1).saturating_sub(line.chars().count()).min(1);
        write!(f, "\n  {number} | {}\n  {gutter} | {blank}{}^", printable(line), " ".repeat(missing))
    }
}

/// Foreign text with U+FFFD for every character that a terminal would act on or a reader not see: as many characters as before.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if is_unseen(c) && c != '\t' { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// Why a document cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Problems {
    /// The document itself cannot be read from disk.
    #[error(transparent)]
    Unreadable(#[from] PathError),
    /// Everything that is wrong with it and with the files it names, in the order found. Never empty.
    #[error("{}", list(.0))]
    Found(Vec<Problem>),
}

fn list(problems: &[Problem]) -> String {
    problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n")
}

impl Problems {
    /// The problems with content; empty where the document could not be read.
    pub fn found(&self) -> &[Problem] {
        match self {
            Self::Unreadable(_) => &[],
            Self::Found(problems) => problems,
        }
    }
}

/// Reads a document of at most 16 MiB. The inner error says what is wrong with its content.
///
/// # Errors
/// Where it cannot be read.
pub fn read_document(file: &Path) -> Result<Result<Source, Problem>, PathError> {
    let mut bytes = Vec::new();
    // Opening a pipe would wait for its other end.
    if file.metadata().at("read", file)?.file_type().is_fifo() {
        return Ok(Err(Problem::with_file(file, "a pipe, and not a file".to_owned())));
    }
    let opened = File::open(file).at("read", file)?;
    opened.take(MAX_BYTES + 1).read_to_end(&mut bytes).at("read", file)?;
    if bytes.len() as u64 > MAX_BYTES {
        let message = format!("larger than {} MiB, which no document of this kind is", MAX_BYTES >> 20);
        return Ok(Err(Problem::with_file(file, message)));
    }
    Ok(match String::from_utf8(bytes) {
        Ok(text) => Ok(Source::new(file, text)),
        Err(error) => {
            let valid = String::from_utf8_lossy(&error.as_bytes()[..error.utf8_error().valid_up_to()]);
            let column = valid.rsplit('\n').next().map_or(0, |line| line.chars().count()) + 1;
            let at = Position { line: valid.matches('\n').count() + 1, column };
            let problem = Source::new(file, valid.into_owned()).problem(at, "not text in UTF-8");
            Err(problem)
        }
    })
}

/// A list of problems that stays short whatever is fed to it.
#[derive(Debug, Clone, Default)]
pub struct ProblemList {
    kept: Vec<Problem>,
    left_out: usize,
}

impl ProblemList {
    /// Adds what `problem` makes, unless it is there already or the list is full; then it is only counted.
    pub fn add(&mut self, problem: impl FnOnce() -> Problem) {
        if self.kept.len() == KEPT {
            self.left_out += 1;
            return;
        }
        let problem = problem();
        // A field that is read twice is wrong once.
        if !self.kept.contains(&problem) {
            self.kept.push(problem);
        }
    }

    /// Whether nothing is wrong so far.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// The problems file by file as they came, in the order of their positions; where some were only counted, the last
    /// one says how many.
    pub fn into_vec(mut self) -> Vec<Problem> {
        let mut files: Vec<PathBuf> = Vec::new();
        for problem in &self.kept {
            if !files.contains(&problem.file) {
                files.push(problem.file.clone());
            }
        }
        self.kept.sort_by_key(|problem| (files.iter().position(|file| *file == problem.file), problem.position));
        if let Some(file) = self.kept.last().filter(|_| self.left_out > 0).map(|last| last.file.clone()) {
            self.kept.push(Problem::with_file(&file, format!("{} more are not shown", self.left_out)));
        }
        self.kept
    }
}

/// Collects the problems of one document.
#[derive(Debug)]
pub struct Report {
    source: Source,
    problems: ProblemList,
}

impl Report {
    /// An empty report about `source`.
    pub fn new(source: Source) -> Self {
        Self { source, problems: ProblemList::default() }
    }

    /// Adds a problem at `position`.
    pub fn add(&mut self, position: Position, message: impl Into<String>) {
        self.problems.add(|| self.source.problem(position, message));
    }

    /// Whether nothing is wrong so far.
    pub fn is_empty(&self) -> bool {
        self.problems.is_empty()
    }

    /// The problems in the order of their positions.
    pub fn into_problems(self) -> Vec<Problem> {
        self.problems.into_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_the_line_and_points_at_the_column() {
        let source = Source::new(Path::new("a.yaml"), "one\n\ttwo: x\u{1b}[31m\r\n".to_owned());
        let problem = source.problem(Position { line: 2, column: 7 }, "bad\u{7} value");
        assert_eq!(problem.to_string(), "a.yaml:2:7: bad\u{fffd} value\n  2 | \ttwo: x\u{fffd}[31m\n    | \t     ^");
    }

    #[test]
    fn a_place_behind_the_text_is_no_panic() {
        let source = Source::new(Path::new("a.yaml"), "x".to_owned());
        for position in [Position { line: 9, column: 9 }, Position { line: 1, column: 2 }, Position::START] {
            assert!(source.problem(position, "m").to_string().starts_with("a.yaml:"));
        }
    }
}
