//! A program that is run to its end, or to limits on its time, its memory and what it writes.

use std::io::Read;
use std::process::{Command, ExitStatus};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process_group, prlimit};

/// What one run may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) time: Duration,
    /// Bytes on standard output, and as many on standard error.
    pub(super) output: u64,
    /// Bytes.
    pub(super) memory: u64,
}

/// What a run left.
pub(super) struct Ran {
    pub(super) status: ExitStatus,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: Vec<u8>,
}

impl Ran {
    /// Whether it ended as Go programs do that get no more memory.
    pub(super) fn had_no_memory(&self) -> bool {
        let text = String::from_utf8_lossy(&self.stderr);
        text.lines().any(|line| line.starts_with("fatal error: ") && line.contains("memory"))
    }
}

/// Why a run has no end.
pub(super) enum Cut {
    /// It could not be started, or not be read from.
    System(std::io::Error),
    Time,
    Size,
}

impl Cut {
    pub(super) fn reason(&self, limits: Limits) -> String {
        match self {
            Self::System(error) => error.to_string(),
            Self::Time => format!("no answer within {} s", limits.time.as_secs()),
            Self::Size => format!("more than {} MiB of output", limits.output >> 20),
        }
    }
}

/// Runs a command to its end or to the limits. Whatever it has started ends with it.
pub(super) fn to_the_end(mut command: Command, limits: Limits) -> Result<Ran, Cut> {
    let mut child = command.spawn().map_err(Cut::System)?;
    let group = Pid::from_child(&child);
    let memory = Rlimit { current: Some(limits.memory), maximum: Some(limits.memory) };
    // One that has ended already needs none.
    let _ = prlimit(Some(group), Resource::Data, memory);
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (sender, ended) = mpsc::channel();
    let reader = thread::spawn(move || read_limited(stdout, limits.output));
    let complaints = thread::spawn(move || read_limited(stderr, limits.output));
    thread::spawn(move || {
        // Its pipes first: a helm that writes too much is left without a reader, and ends.
        let (stdout, stderr) = (reader.join(), complaints.join());
        let _ = sender.send((stdout, stderr, child.wait()));
    });
    let Ok((stdout, stderr, status)) = ended.recv_timeout(limits.time) else {
        // Where the group is gone already, there is nothing left to end.
        let _ = kill_process_group(group, Signal::KILL);
        return Err(Cut::Time);
    };
    let whole =
        |read: thread::Result<Result<Vec<u8>, Cut>>| read.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    let (stdout, stderr) = (whole(stdout)?, whole(stderr)?);
    Ok(Ran { status: status.map_err(Cut::System)?, stdout, stderr })
}

/// All that a pipe gives. A part of it would be less than the program said, and is nothing.
fn read_limited(pipe: Option<impl Read>, limit: u64) -> Result<Vec<u8>, Cut> {
    let mut bytes = Vec::new();
    if let Some(pipe) = pipe {
        pipe.take(limit + 1).read_to_end(&mut bytes).map_err(Cut::System)?;
    }
    if bytes.len() as u64 <= limit { Ok(bytes) } else { Err(Cut::Size) }
}
