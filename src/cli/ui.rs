//! How things are printed: data on standard output, everything else on standard error.
//!
//! Nothing that is printed may end the work: `println!` and `eprintln!` panic where their file cannot be written, on a full
//! disk or after an ssh session was lost, so neither is used. Messages that cannot be written are dropped. Data that cannot be
//! written is an error, but only once the command has done its work.

use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use super::{CliError, Common};
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
        let mut out = std::io::stdout().lock();
        let written = writeln!(out, "{}", escaped(text.strip_suffix('\n').unwrap_or(text))).and_then(|()| out.flush());
        if let Err(error) = written
            && error.kind() != std::io::ErrorKind::BrokenPipe
        {
            self.lost.get_or_init(|| error);
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
            message(&escaped(text));
        }
    }

    /// Asks something, on standard error; the answer comes on the same line.
    pub fn prompt(&self, text: &str) {
        to_stderr(&escaped(text));
    }

    /// Says a detail that only `--verbose` wants.
    pub fn detail(&self, text: &str) {
        if self.verbose && !self.quiet {
            message(&escaped(text));
        }
    }

    /// Says something that may be wrong, without ending the work.
    pub fn warn(&self, text: &str) {
        if !self.quiet {
            message(&format!("{} {}", self.paint("33", "warning:"), escaped(text)));
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
        message(&format!("{} {}", self.paint("31", "error:"), escaped(&error.message)));
        for detail in &error.details {
            message(&escaped(detail));
        }
        for cause in &error.causes {
            // A line of it must not look like one of ours.
            message(&format!("  cause: {}", escaped(cause).replace('\n', "\n         ")));
        }
        for hint in &error.hints {
            message(&format!("  {} {}", self.paint("36", "hint:"), escaped(hint)));
        }
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.color { format!("\x1b[1;{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// Shows `progress` until the result is dropped: a bar on a terminal, a line every ten seconds elsewhere.
    pub fn show(&self, verb: &'static str, progress: &Arc<Progress>) -> Shown {
        let stop = Arc::new(AtomicBool::new(false));
        if self.quiet || self.json {
            return Shown { stop, thread: None };
        }
        let (stopped, progress) = (Arc::clone(&stop), Arc::clone(progress));
        let thread = std::thread::spawn(move || {
            if std::io::stderr().is_terminal() {
                draw_bar(verb, &progress, &stopped);
            } else {
                print_lines(verb, &progress, &stopped);
            }
        });
        Shown { stop, thread: Some(thread) }
    }
}

/// The error for standard output that could not be written.
pub(super) fn lost_output(error: &std::io::Error) -> CliError {
    CliError::new(super::Kind::Local, format!("cannot write to standard output: {error}"))
}

/// Writes a line to standard error.
fn message(line: &str) {
    to_stderr(&format!("{line}\n"));
}

/// Writes to standard error in one write, so that lines of two processes do not mix. A standard error that cannot be written
/// is no reason to stop: nobody reads it any more, and the work goes on.
fn to_stderr(text: &str) {
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

/// Progress on display; see [`Ui::show`].
pub struct Shown {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Shown {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // A panic in there has been printed already and must not hide the command's own result.
            let _ = thread.join();
        }
    }
}

fn draw_bar(verb: &str, progress: &Progress, stopped: &AtomicBool) {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    let template = "{prefix} {bytes}/{total_bytes} {binary_bytes_per_sec} {eta} {wide_bar} {msg}";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.set_prefix(verb.to_owned());
    while !stopped.load(Ordering::Relaxed) {
        let (done, total) = progress.counts();
        bar.set_length(total);
        bar.set_position(done);
        bar.set_message(progress.in_flight().join(" "));
        std::thread::park_timeout(Duration::from_millis(200));
    }
    bar.finish_and_clear();
}

fn print_lines(verb: &str, progress: &Progress, stopped: &AtomicBool) {
    const EVERY: Duration = Duration::from_secs(10);
    let start = Instant::now();
    let mut due = start + EVERY;
    while !stopped.load(Ordering::Relaxed) {
        std::thread::park_timeout(due.saturating_duration_since(Instant::now()));
        if Instant::now() >= due {
            let (done, total) = progress.counts();
            let rate = (done as f64 / start.elapsed().as_secs_f64()) as u64;
            let left = total.saturating_sub(done).checked_div(rate).unwrap_or(0);
            let (done, total, rate) = (HumanBytes(done), HumanBytes(total), HumanBytes(rate));
            message(&format!("{verb} {done} of {total}, {rate}/s, {left} s left"));
            due += EVERY;
        }
    }
}

/// A count of things for people: `1 image`, `2 images`.
pub(super) fn counted(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

/// A count of bytes for people: `1.50 GiB`.
pub(super) fn bytes(count: u64) -> String {
    HumanBytes(count).to_string()
}
