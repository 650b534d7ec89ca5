//! The real programs on a pseudo-terminal: what somebody types, and what is seen.
#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]
#![allow(dead_code, reason = "each test file uses its own part")]

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::num::NonZeroU16;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Child;
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use pty_process::Size;
use pty_process::blocking::{Command, Pty};
use regex::bytes::Regex;

/// Rows of every terminal here.
const ROWS: u16 = 24;
/// More rows than any test prints.
const SCROLLBACK: usize = 2000;
/// When a text that does not come is given up.
const PATIENCE: Duration = Duration::from_secs(120);
/// What differs from run to run, and what stands for it: always as many columns, so that lines end where they did.
const VARYING: &[(&str, &str)] = &[
    (r"127\.0\.0\.1:[0-9]{5}", "127.0.0.1:50000"),
    (r"sha256:[0-9a-f]{64}", "sha256:1111111111111111111111111111111111111111111111111111111111111111"),
    (r"sha256:[0-9a-f]{12}", "sha256:111111111111"),
    (r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?Z", "2026-01-01T00:00:00Z"),
    (r"linux/a(md|rm)64", "linux/amd64"),
    (r"[0-9]+\.[0-9]+ s\b", "0.1 s"),
    (r", [0-9]+ s\b", ", 1 s"),
    (r"[0-9]+\.[0-9]{2} [KM]iB", "1.11 KiB"),
    (r"/tmp/\.tmp[A-Za-z0-9]{6}", "/tmp/.tmpfolder"),
];

/// A program that runs on a terminal.
pub(crate) struct Terminal {
    pty: Pty,
    child: Child,
    columns: u16,
    seen: Arc<Seen>,
    reader: JoinHandle<()>,
    /// What keys do, and whether what is typed is shown, at the begin.
    modes: String,
}

/// What the program has printed so far.
#[derive(Default)]
struct Seen {
    printed: Mutex<Printed>,
    more: Condvar,
}

#[derive(Default)]
struct Printed {
    bytes: Vec<u8>,
    /// Whether nobody can print any more.
    ended: bool,
}

/// What a program left.
pub(crate) struct Left {
    /// Exit code; 128 and the signal's number where one ended it, as a shell says it.
    pub(crate) code: i32,
    /// Everything that was printed, as it was.
    pub(crate) raw: Vec<u8>,
    columns: u16,
}

impl Terminal {
    /// Starts a program in `folder` on a terminal of so many columns, with nothing but `environment`.
    pub(crate) fn start(
        program: &Path,
        arguments: &[&str],
        folder: &Path,
        environment: &[(&str, &OsStr)],
        columns: u16,
    ) -> Self {
        let (pty, pts) = pty_process::blocking::open().unwrap();
        pty.resize(Size::new(ROWS, columns)).unwrap();
        let before = modes(&pty);
        let command = Command::new(program).args(arguments).current_dir(folder).env_clear().env("TERM", "xterm");
        let child = command.envs(environment.iter().copied()).spawn(pts).unwrap();
        let seen = Arc::new(Seen::default());
        let master = std::fs::File::from(rustix::io::dup(&pty).unwrap());
        let reader = {
            let seen = Arc::clone(&seen);
            std::thread::spawn(move || seen.read(master))
        };
        Self { pty, child, columns, seen, reader, modes: before }
    }

    /// Waits until `text` has been printed, in one piece.
    pub(crate) fn wait_for(&mut self, text: &str) {
        self.wait_for_times(text, 1);
    }

    /// Waits until `text` has been printed so many times.
    pub(crate) fn wait_for_times(&mut self, text: &str, times: usize) {
        let count =
            |printed: &Printed| printed.bytes.windows(text.len()).filter(|part| *part == text.as_bytes()).count();
        self.wait(text, |printed| count(printed) >= times);
    }

    /// Waits until so much has been printed; a program that does not get there is ended.
    fn wait(&mut self, what: &str, is_enough: impl Fn(&Printed) -> bool) {
        let printed = self.seen.printed.lock().unwrap();
        let (printed, waited) = self
            .seen
            .more
            .wait_timeout_while(printed, PATIENCE, |printed| !is_enough(printed) && !printed.ended)
            .unwrap();
        if !is_enough(&printed) {
            let (why, text) = (waited.timed_out(), String::from_utf8_lossy(&printed.bytes).into_owned());
            drop(printed);
            let _ = self.child.kill();
            panic!("waited for {what:?} {}: {text}", if why { "in vain" } else { "until the end" });
        }
    }

    /// Types what the keys of `text` send.
    pub(crate) fn types(&mut self, text: &str) {
        self.pty.write_all(text.as_bytes()).unwrap();
    }

    /// Makes the terminal so wide.
    pub(crate) fn resize(&self, columns: u16) {
        self.pty.resize(Size::new(ROWS, columns)).unwrap();
    }

    /// The process that runs on it.
    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    /// Waits until the program has ended, which must leave the terminal as it was.
    pub(crate) fn end(mut self) -> Left {
        self.wait("the end", |printed| printed.ended);
        let status = self.child.wait().unwrap();
        self.reader.join().unwrap();
        let raw = std::mem::take(&mut self.seen.printed.lock().unwrap().bytes);
        assert_eq!(modes(&self.pty), self.modes, "the terminal is not as it was");
        let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default());
        Left { code, raw, columns: self.columns }
    }
}

fn modes(pty: &Pty) -> String {
    let found = rustix::termios::tcgetattr(pty).unwrap();
    format!("{:?} {:?}", found.local_modes, found.special_codes)
}

impl Seen {
    /// Reads to the end. Linux ends a terminal that nobody has open any more with an error.
    fn read(&self, mut from: std::fs::File) {
        let mut chunk = [0; 4096];
        while let Ok(length @ 1..) = from.read(&mut chunk) {
            self.printed.lock().unwrap().bytes.extend_from_slice(&chunk[..length]);
            self.more.notify_all();
        }
        self.printed.lock().unwrap().ended = true;
        self.more.notify_all();
    }
}

impl Left {
    /// Everything that was printed, as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.raw).into_owned()
    }

    /// What stands on the terminal in the end, what has scrolled away included, with the same text for what differs from run to
    /// run. A line that the terminal had to break ends with `↩`.
    pub(crate) fn screen(&self) -> String {
        let raw = VARYING.iter().fold(self.raw.clone(), |raw, (pattern, replacement)| {
            Regex::new(pattern).unwrap().replace_all(&raw, replacement.as_bytes()).into_owned()
        });
        rows(&raw, self.columns).join("\n")
    }
}

/// The rows that a terminal of so many columns shows of `raw`, without the empty ones at the end.
fn rows(raw: &[u8], columns: u16) -> Vec<String> {
    let [height, width] = [ROWS, columns].map(|count| NonZeroU16::new(count).unwrap());
    let mut parser = vt100::Parser::new(height, width, SCROLLBACK);
    parser.process(raw);
    let screen = parser.screen_mut();
    screen.set_scrollback(SCROLLBACK);
    let above = screen.scrollback();
    let mut shown = Vec::new();
    for from in (0..=above).rev() {
        screen.set_scrollback(from);
        let rows = if from == 0 { ROWS } else { 1 };
        shown.extend((0..rows).zip(screen.rows(0, columns)).map(|(row, text)| {
            let broken = if screen.row_wrapped(row) { "↩" } else { "" };
            format!("{}{broken}", text.trim_end())
        }));
    }
    while shown.last().is_some_and(String::is_empty) {
        shown.pop();
    }
    shown
}
