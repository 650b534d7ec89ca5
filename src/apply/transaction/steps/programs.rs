//! Running a program of the host to its end, or to the end of what it is given.

use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use super::StepError;
use crate::apply::Interrupt;

/// Where programs are looked for, as services do (systemd.exec(5)).
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Where kubectl and Helm keep what they have asked of a cluster. Otherwise that is a folder of whoever runs this, and at the boot,
/// where nobody is, one in `/`.
const CACHE: &str = "/run/carrack/kubectl";
pub(super) const POLL: Duration = Duration::from_millis(50);
/// How much of what a program says is repeated.
const SAID: usize = 600;
/// How much of what a program says is kept.
const KEPT: usize = 64 << 10;
/// The same of one whose whole answer is needed.
pub(super) const KEPT_LONG: usize = 16 << 20;
/// How long what a program has said is waited for after it has ended: a daemon that it left may never close the pipe.
const REST: Duration = Duration::from_secs(1);

/// How a program ended.
pub(super) enum Ended {
    /// Well, with what it wrote to standard output.
    Well(String),
    /// With this.
    Badly(String),
}

/// How it is said that a program is not there, or cannot be run.
pub(super) const NOT_RUN: &str = "cannot be run";

pub(super) fn execute(command: &[String], limit: Duration, interrupt: &Interrupt) -> Result<Ended, StepError> {
    run(command, limit, KEPT, interrupt)
}

/// The same where what it writes to standard output is needed, up to [`KEPT_LONG`] bytes of it.
pub(super) fn execute_long(command: &[String], limit: Duration, interrupt: &Interrupt) -> Result<Ended, StepError> {
    run(command, limit, KEPT_LONG, interrupt)
}

fn run(command: &[String], limit: Duration, kept: usize, interrupt: &Interrupt) -> Result<Ended, StepError> {
    let Some((program, arguments)) = command.split_first() else { return Ok(Ended::Badly("is not named".to_owned())) };
    let mut command = Command::new(program);
    command.args(arguments).env("PATH", PATH).env("LC_ALL", "C").env("KUBECACHEDIR", CACHE);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // Ctrl-C in the terminal is the installer's business, which knows what may be interrupted.
    command.process_group(0);
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return Ok(Ended::Badly(format!("{NOT_RUN}: {error}"))),
    };
    let (out, said) = (drain(child.stdout.take(), kept), drain(child.stderr.take(), KEPT));
    let begun = Instant::now();
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if begun.elapsed() < limit && !interrupt.is_set() => std::thread::sleep(POLL),
            Ok(None) => {
                end(&mut child);
                if interrupt.is_set() {
                    return Err(StepError::Interrupted);
                }
                return Ok(Ended::Badly(format!("did not end within {} seconds", limit.as_secs())));
            }
            Err(error) => return Ok(Ended::Badly(format!("cannot be waited for: {error}"))),
        }
    };
    if status.success() {
        return Ok(Ended::Well(out.text()));
    }
    Ok(Ended::Badly(format!("ended with {status}{}", shortened(&said.text()))))
}

/// Ends a program and what it has started. It has not been waited for yet, so that its number is still its own.
pub(super) fn end(child: &mut Child) {
    // It may have ended by now, and then there is nothing to kill.
    let _ = kill_process_group(Pid::from_child(child), Signal::KILL);
    let _ = child.wait();
}

/// What a program says, while it is being read.
pub(super) struct Said {
    text: Arc<Mutex<Vec<u8>>>,
    /// Closed at the end of what it says.
    ended: Receiver<()>,
}

impl Said {
    /// What there is once the program has ended.
    fn text(self) -> String {
        // The end, or too late: what is there by then is what there is.
        let _ = self.ended.recv_timeout(REST);
        let text = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&text).into_owned()
    }
}

/// Reads what a program says, of which `kept` bytes are kept, so that it is never kept waiting.
fn drain(from: Option<impl Read + Send + 'static>, kept: usize) -> Said {
    let text = Arc::new(Mutex::new(Vec::new()));
    let (ends, ended) = mpsc::channel();
    let said = Said { text: Arc::clone(&text), ended };
    std::thread::spawn(move || {
        let _ends: mpsc::Sender<()> = ends;
        let mut chunk = [0; 8 << 10];
        let mut from = from;
        while let Some(from) = &mut from {
            let length = match from.read(&mut chunk) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                // What cannot be read is not there to be repeated.
                Ok(0) | Err(_) => return,
                Ok(length) => length,
            };
            let mut text = text.lock().unwrap_or_else(PoisonError::into_inner);
            let room = kept - text.len();
            text.extend_from_slice(&chunk[..length.min(room)]);
        }
    });
    said
}

/// The last of what a program said, in one line.
pub(super) fn shortened(said: &str) -> String {
    let line = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ");
    let from = line.char_indices().rev().nth(SAID - 1).map_or(0, |(at, _)| at);
    if line.is_empty() { line } else { format!(": {}", &line[from..]) }
}

pub(super) fn pause(time: Duration, interrupt: &Interrupt) -> Result<(), StepError> {
    std::thread::sleep(time);
    if interrupt.is_set() { Err(StepError::Interrupted) } else { Ok(()) }
}
