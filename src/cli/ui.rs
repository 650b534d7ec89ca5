//! How things are printed: data on standard output, everything else on standard error.
//!
//! Nothing that is printed may end the work: `println!` and `eprintln!` panic where their file cannot be written, on a full
//! disk or after an ssh session was lost, so neither is used. Messages that cannot be written are dropped. Data that cannot be
//! written is an error, but only once the command has done its work.

use std::borrow::Cow;
use std::io::{IsTerminal, Write};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use indicatif::HumanBytes;
use serde::Serialize;
use unicode_width::UnicodeWidthStr;

use super::bar::Shown;
use super::{CliError, Common, fit};
use crate::progress::Progress;
use crate::text::escaped;

/// When to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Color {
    /// On a terminal, unless `NO_COLOR` is set
    #[default]
    Auto,
    /// Even into a file or pipe
    Always,
    /// Never
    Never,
}

/// The user's wishes about output, and the only way to print.
#[derive(Debug, Clone)]
pub struct Ui {
    json: bool,
    quiet: bool,
    verbose: bool,
    color: bool,
    /// Why data did not reach standard output.
    lost: Arc<OnceLock<std::io::Error>>,
}

impl Ui {
    /// Reads the wishes from the common flags and the environment.
    pub fn new(common: &Common) -> Self {
        let color = match common.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => {
                std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()) && std::io::stderr().is_terminal()
            }
        };
        Self { json: common.json, quiet: common.quiet, verbose: common.verbose, color, lost: Arc::default() }
    }

    /// Whether one JSON document is wanted on standard output.
    pub fn wants_json(&self) -> bool {
        self.json
    }

    /// Prints data on standard output, adding a line end. A reader that has gone away (`| head`) is no failure.
    pub fn data(&self, text: &str) {
        let foot = FOOT.lock().unwrap_or_else(PoisonError::into_inner);
        if !foot.line.is_empty() && std::io::stdout().is_terminal() {
            let _ = std::io::stderr().lock().write_all(CLEAR.as_bytes());
        }
        let mut out = std::io::stdout().lock();
        let written = writeln!(out, "{}", escaped(text.strip_suffix('\n').unwrap_or(text))).and_then(|()| out.flush());
        if let Err(error) = written
            && error.kind() != std::io::ErrorKind::BrokenPipe
        {
            self.lost.get_or_init(|| error);
        }
    }

    /// Prints a table or list for people on standard output. On a terminal it fits the width, unless `--verbose` wants all of it.
    pub fn listing(&self, text: &str) {
        match columns_of(std::io::stdout()).filter(|_| !self.verbose) {
            Some(columns) => self.data(&fit::listing(&escaped(text), columns)),
            None => self.data(text),
        }
    }

    /// Shows a table or list to somebody who is about to be asked, on standard error.
    pub fn overview(&self, text: &str) {
        let text = escaped(text);
        match columns_of(std::io::stderr()).filter(|_| !self.verbose) {
            Some(columns) => message(&fit::listing(&text, columns)),
            None => message(&text),
        }
    }

    /// The error for data that was printed and did not arrive, on a full disk for example.
    pub fn lost_data(&self) -> Option<CliError> {
        let error = lost_output(self.lost.get()?);
        Some(error.hint("the command has done its work; only what it printed is lost"))
    }

    /// Whether only data and errors are wanted.
    pub fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Prints a value as the command's one JSON document.
    ///
    /// # Errors
    /// Where the value cannot be written as JSON, which is a bug.
    pub fn json<T: Serialize>(&self, value: &T) -> Result<(), CliError> {
        let text =
            serde_json::to_string_pretty(value).map_err(|error| CliError::from_error(super::Kind::Bug, &error))?;
        self.data(&text);
        Ok(())
    }

    /// Says something about the work, on standard error.
    pub fn status(&self, text: &str) {
        if !self.quiet {
            message(&fitted(0, text));
        }
    }

    /// Asks something, on standard error; the answer comes on the same line.
    pub fn prompt(&self, text: &str) {
        // The space before the answer is no place to break.
        let question = text.trim_end_matches(' ');
        to_stderr(&format!("{}{}", fitted(0, question), &text[question.len()..]));
    }

    /// Says a detail that only `--verbose` wants.
    pub fn detail(&self, text: &str) {
        if self.verbose && !self.quiet {
            message(&fitted(0, text));
        }
    }

    /// Says something that may be wrong, without ending the work.
    pub fn warn(&self, text: &str) {
        if !self.quiet {
            message(&format!("{} {}", self.paint("33", "warning:"), fitted(9, text)));
        }
    }

    /// Prints an error: as JSON on standard output where that is wanted, else for people on standard error.
    pub fn error(&self, error: &CliError) {
        if self.json {
            let causes: Vec<&String> = error.details.iter().chain(&error.causes).collect();
            let mut document = serde_json::json!({"error": {
                "code": error.kind.code(), "message": error.message, "causes": causes, "hints": error.hints,
            }});
            if let Some(report) = &error.report {
                document["error"]["report"] = (**report).clone();
            }
            self.data(&format!("{document:#}"));
            if self.lost.get().is_none() {
                return;
            }
            // Where the document cannot be written, standard error is the only place left for the reason.
        }
        draw("");
        FOOT.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
        message(&format!("{} {}", self.paint("31", "error:"), set_in(7, 2, &error.message)));
        for detail in &error.details {
            // Lines that are set in show a part of a file.
            detail.split('\n').for_each(|line| match line.starts_with(' ') {
                true => message(&escaped(line)),
                false => message(&set_in(0, 2, line)),
            });
        }
        for cause in &error.causes {
            message(&format!("  cause: {}", set_in(9, 9, cause)));
        }
        for hint in &error.hints {
            message(&format!("  {} {}", self.paint("36", "hint:"), fitted_hint(hint)));
        }
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.color { format!("\x1b[1;{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// Shows `progress` until the result is dropped: a line at the foot of a terminal, or plain lines elsewhere. `verb` says what is
    /// done with content.
    pub fn show(&self, verb: &'static str, progress: &Arc<Progress>) -> Shown {
        if self.quiet || self.json { Shown::nothing() } else { Shown::begin(verb, progress) }
    }
}

/// The error for standard output that could not be written.
pub(super) fn lost_output(error: &std::io::Error) -> CliError {
    CliError::new(super::Kind::Local, format!("cannot write to standard output: {error}"))
}

/// What stands at the foot of the terminal, below what is printed. A process has one terminal.
static FOOT: Mutex<Foot> = Mutex::new(Foot { line: String::new(), closed: false });

struct Foot {
    line: String,
    /// Whether an error was printed, after which nothing is drawn.
    closed: bool,
}

/// Clears from the cursor to the end of the screen (ECMA-48, ED).
const CLEAR: &str = "\x1b[J";

/// Writes a line to standard error.
pub(super) fn message(line: &str) {
    to_stderr(&format!("{line}\n"));
}

/// Writes to standard error in one write, so that lines of two processes do not mix. A standard error that cannot be written
/// is no reason to stop: nobody reads it any more, and the work goes on.
fn to_stderr(text: &str) {
    let foot = FOOT.lock().unwrap_or_else(PoisonError::into_inner);
    let text = match foot.line.as_str() {
        "" => Cow::Borrowed(text),
        foot => Cow::Owned(format!("{CLEAR}{text}{foot}\r")),
    };
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

/// Draws the line at the foot of the terminal anew; an empty one takes it away. The cursor is at its begin afterwards, so that the
/// next to write replaces it, and all of it is cleared where a narrower terminal has broken it into several.
pub(super) fn draw(line: &str) {
    let mut foot = FOOT.lock().unwrap_or_else(PoisonError::into_inner);
    if foot.closed || (line.is_empty() && foot.line.is_empty()) {
        return;
    }
    line.clone_into(&mut foot.line);
    let _ = std::io::stderr().lock().write_all(format!("{CLEAR}{line}\r").as_bytes());
}

/// The width of a terminal; nothing where it is none. 80 columns where the terminal does not know.
fn columns_of(file: impl std::os::fd::AsFd) -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(file).ok()?;
    Some(if size.ws_col > 0 { usize::from(size.ws_col) } else { 80 })
}

/// A message in the width of the terminal, behind so many columns that are taken already.
fn fitted(lead: usize, text: &str) -> Cow<'_, str> {
    let text = escaped(text);
    match columns_of(std::io::stderr()) {
        Some(columns) => Cow::Owned(fit::message(lead, &text, columns)),
        None => text,
    }
}

/// A part of an error in the width of the terminal: its digests stay whole, and each line after the first is set in, so that none
/// looks like one of ours.
fn set_in(lead: usize, hanging: usize, text: &str) -> String {
    let text = escaped(text);
    let columns = columns_of(std::io::stderr());
    let one = |line: &str| columns.map_or(line.to_owned(), |columns| fit::wrapped(lead, line, hanging, columns));
    text.split('\n').map(one).collect::<Vec<_>>().join(&format!("\n{:hanging$}", ""))
}

/// A hint in the width of the terminal. A command that it ends with gets a line of its own where it would be broken otherwise.
fn fitted_hint(hint: &str) -> String {
    const INDENT: usize = 8;
    let fits = columns_of(std::io::stderr()).is_none_or(|columns| INDENT + escaped(hint).width() <= columns);
    match fit::command(hint) {
        Some((text, command)) if !fits => {
            format!("{}\n{:INDENT$}{}", set_in(INDENT, INDENT, text), "", escaped(command))
        }
        _ => set_in(INDENT, INDENT, hint),
    }
}

/// Whether standard error is a terminal on which a line can be drawn anew.
pub(super) fn has_foot() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// How wide the terminal is; 80 columns where it does not know.
pub(super) fn columns() -> usize {
    columns_of(std::io::stderr()).unwrap_or(80)
}

/// A count of things for people: `1 image`, `2 images`.
pub(super) fn counted(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

/// A count of bytes for people: `1.50 GiB`.
pub(super) fn bytes(count: u64) -> String {
    HumanBytes(count).to_string()
}
