//! Doing the steps of a distribution and of services on the running host: systemd's units, and programs.

use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::apply::Interrupt;
use crate::distro::Step;
use crate::host::Root;
use crate::io::{AtPath, PathError};

/// There where systemd is process 1 (sd_booted(3)).
const SYSTEMD: &str = "/run/systemd/system";
/// Where programs are looked for, as services do (systemd.exec(5)).
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// How long a unit may take: its own limit is mostly 90 seconds, and some have none.
const UNIT_LIMIT: Duration = Duration::from_secs(20 * 60);
/// How long a unit is looked at whose type does not tell when it is ready.
const WATCHED: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(50);
/// Between two askings of what is waited for.
const PAUSE: Duration = Duration::from_millis(500);
/// How much of what a program says is repeated.
const SAID: usize = 600;
/// How much of what a program says is kept.
const KEPT: usize = 64 << 10;
/// How long what a program has said is waited for after it has ended: a daemon that it left may never close the pipe.
const REST: Duration = Duration::from_secs(1);

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// systemd is not there.
    #[error("{0} cannot be started: systemd does not run here")]
    NoSystemd(String),
    /// A unit did not come up.
    #[error("{unit} does not come up: {why}")]
    Unit {
        /// The unit.
        unit: String,
        /// What systemd says of it.
        why: String,
    },
    /// A program failed.
    #[error("cannot {what}: {program} {why}")]
    Program {
        /// What for.
        what: String,
        /// The program.
        program: String,
        /// How it ended.
        why: String,
    },
    /// It was waited for in vain.
    #[error("{what} not within {seconds} seconds: {last}")]
    Late {
        /// What was waited for.
        what: String,
        /// For how long.
        seconds: u32,
        /// How the last asking ended.
        last: String,
    },
    /// The user wants it to stop.
    #[error("interrupted")]
    Interrupted,
    /// A folder could not be copied or removed.
    #[error(transparent)]
    Path(#[from] PathError),
}

/// Whether systemd runs on this host.
pub(in crate::apply) fn has_systemd() -> bool {
    Path::new(SYSTEMD).is_dir()
}

/// Has systemd read its units again.
///
/// # Errors
/// Where it does not.
pub(super) fn reload() -> Result<(), StepError> {
    if has_systemd() { systemctl(&["daemon-reload"], "read the units again").map(drop) } else { Ok(()) }
}

/// Does one step.
///
/// # Errors
/// See [`StepError`].
pub(super) fn run(step: &Step, root: &Root, interrupt: &Interrupt) -> Result<(), StepError> {
    match step {
        Step::Start { unit, restart } => start(unit, *restart, interrupt),
        Step::Stop { unit } => stop(unit),
        Step::Disable { unit } => {
            stop(unit)?;
            disable(unit);
            Ok(())
        }
        Step::Enabled { unit, enabled: true } => enable(unit),
        Step::Enabled { unit, enabled: false } => {
            disable(unit);
            Ok(())
        }
        Step::Run { what, command, unless, seconds, .. } => {
            if unless.as_ref().is_some_and(|path| root.resolve(path).is_ok_and(|path| path.exists())) {
                return Ok(());
            }
            program(what, command, limit(*seconds), interrupt)
        }
        Step::Load { what, command, seconds } => program(what, command, limit(*seconds), interrupt),
        Step::Wait { what, command, seconds } => wait(what, command, *seconds, interrupt),
        Step::Copy { from, to } => copy(Path::new(from), Path::new(to), interrupt),
        Step::Remove { path } => remove(Path::new(path)),
    }
}

/// What systemd says of a unit.
#[derive(Debug, Default, PartialEq, Eq)]
struct State {
    /// Whether its file could be read.
    load: String,
    active: String,
    sub: String,
    result: String,
    kind: String,
    restarts: u32,
    /// Whether it has been started since the host has.
    ran: bool,
    /// Whether systemd still has something to do for it.
    queued: bool,
}

impl State {
    fn of(text: &str) -> Self {
        let mut state = Self::default();
        for (key, value) in text.lines().filter_map(|line| line.split_once('=')) {
            match key {
                "LoadState" => value.clone_into(&mut state.load),
                "ActiveState" => value.clone_into(&mut state.active),
                "SubState" => value.clone_into(&mut state.sub),
                "Result" => value.clone_into(&mut state.result),
                "Type" => value.clone_into(&mut state.kind),
                "ExecMainStartTimestampMonotonic" => state.ran = value != "0",
                "NRestarts" => state.restarts = value.parse().unwrap_or_default(),
                // `Job=0` without one, as systemctl shows it, or nothing.
                "Job" => state.queued = !matches!(value, "" | "0"),
                _ => {}
            }
        }
        state
    }

    /// Whether it runs, is being started, as while the host starts, or has done all that it is for. One that has failed and
    /// waits to be started again does not run.
    fn is_active(&self) -> bool {
        let done = self.kind == "oneshot" && self.result == "success" && self.ran;
        match self.active.as_str() {
            "active" | "reloading" => true,
            "activating" => !self.sub.starts_with("auto-restart"),
            "inactive" => done || self.queued,
            _ => false,
        }
    }

    /// Whether there is nothing that could be stopped. One that is not active may still be about to be started.
    fn is_nothing(&self) -> bool {
        matches!(self.load.as_str(), "not-found" | "bad-setting" | "error") && self.active == "inactive"
    }
}

fn enable(unit: &str) -> Result<(), StepError> {
    if !has_systemd() {
        return Err(StepError::NoSystemd(unit.to_owned()));
    }
    systemctl(&["enable", "--quiet", unit], &format!("enable {unit}")).map(drop)
}

fn disable(unit: &str) {
    // One that is gone, or cannot be enabled at all, is not an error here.
    let _ = systemctl(&["disable", "--quiet", unit], "disable the unit");
}

fn start(unit: &str, restart: bool, interrupt: &Interrupt) -> Result<(), StepError> {
    enable(unit)?;
    // One that has failed too often would not be started any more.
    let _ = systemctl(&["reset-failed", unit], "forget failures");
    let verb = if restart { "restart" } else { "start" };
    let command = [SYSTEMCTL, verb, unit].map(str::to_owned);
    let failed = |why| StepError::Unit { unit: unit.to_owned(), why };
    let started = match execute(&command, UNIT_LIMIT, interrupt)? {
        Ended::Well(_) => Ok(()),
        Ended::Badly(why) => Err(failed(format!("{why} (see: journalctl -u {unit})"))),
    };
    started.and_then(|()| watch(unit, interrupt))
}

/// Looks whether a unit that has been started is there to stay.
fn watch(unit: &str, interrupt: &Interrupt) -> Result<(), StepError> {
    let (first, begun) = (state(unit)?, Instant::now());
    loop {
        let now = state(unit)?;
        let done = now.kind == "oneshot" && now.active == "inactive" && now.result == "success";
        let why = match now.active.as_str() {
            "active" | "reloading" if now.restarts == first.restarts => None,
            "active" => Some("it ended and was started again".to_owned()),
            _ if done => None,
            other => Some(format!("it is {other}, its last result {}", now.result)),
        };
        if let Some(why) = why {
            return Err(StepError::Unit { unit: unit.to_owned(), why: format!("{why} (see: journalctl -u {unit})") });
        }
        let tells = !matches!(now.kind.as_str(), "simple" | "exec" | "idle");
        if tells || begun.elapsed() >= WATCHED {
            return Ok(());
        }
        pause(POLL * 4, interrupt)?;
    }
}

fn stop(unit: &str) -> Result<(), StepError> {
    // Without systemd nothing of it runs. With it, also one that is inactive is stopped: its start may be waiting.
    if !has_systemd() || state(unit)?.is_nothing() {
        return Ok(());
    }
    systemctl(&["stop", unit], &format!("stop {unit}")).map(drop)
}

/// Whether a unit is active, being started, or has done all that it is for since the host has started; and whether it starts
/// with the host.
pub(in crate::apply) fn unit_is(unit: &str) -> (bool, bool) {
    if !has_systemd() {
        return (false, false);
    }
    let active = state(unit).is_ok_and(|state| state.is_active());
    (active, systemctl(&["is-enabled", "--quiet", unit], "ask for a unit").is_ok())
}

fn state(unit: &str) -> Result<State, StepError> {
    let properties =
        "--property=LoadState,ActiveState,SubState,Result,Type,NRestarts,ExecMainStartTimestampMonotonic,Job";
    systemctl(&["show", properties, unit], &format!("look at {unit}")).map(|text| State::of(&text))
}

const SYSTEMCTL: &str = "systemctl";

fn systemctl(arguments: &[&str], what: &str) -> Result<String, StepError> {
    let command: Vec<String> = [SYSTEMCTL].iter().chain(arguments).map(|word| (*word).to_owned()).collect();
    match execute(&command, UNIT_LIMIT, &Interrupt::never())? {
        Ended::Well(text) => Ok(text),
        Ended::Badly(why) => Err(StepError::Program { what: what.to_owned(), program: SYSTEMCTL.to_owned(), why }),
    }
}

fn program(what: &str, command: &[String], limit: Duration, interrupt: &Interrupt) -> Result<(), StepError> {
    match execute(command, limit, interrupt)? {
        Ended::Well(_) => Ok(()),
        Ended::Badly(why) => {
            let program = command.first().cloned().unwrap_or_default();
            Err(StepError::Program { what: what.to_owned(), program, why })
        }
    }
}

fn wait(what: &str, command: &[String], seconds: u32, interrupt: &Interrupt) -> Result<(), StepError> {
    let begun = Instant::now();
    loop {
        let left = limit(seconds).saturating_sub(begun.elapsed());
        let last = match execute(command, left.max(PAUSE), interrupt)? {
            Ended::Well(_) => return Ok(()),
            Ended::Badly(why) => why,
        };
        if begun.elapsed() >= limit(seconds) {
            return Err(StepError::Late { what: what.to_owned(), seconds, last });
        }
        pause(PAUSE, interrupt)?;
    }
}

fn limit(seconds: u32) -> Duration {
    Duration::from_secs(seconds.into())
}

/// How a program ended.
enum Ended {
    /// Well, with what it wrote to standard output.
    Well(String),
    /// With this.
    Badly(String),
}

fn execute(command: &[String], limit: Duration, interrupt: &Interrupt) -> Result<Ended, StepError> {
    let Some((program, arguments)) = command.split_first() else { return Ok(Ended::Badly("is not named".to_owned())) };
    let mut command = Command::new(program);
    command.args(arguments).env("PATH", PATH).env("LC_ALL", "C");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // Ctrl-C in the terminal is the installer's business, which knows what may be interrupted.
    command.process_group(0);
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return Ok(Ended::Badly(format!("cannot be run: {error}"))),
    };
    let (out, said) = (drain(child.stdout.take()), drain(child.stderr.take()));
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
fn end(child: &mut Child) {
    // It may have ended by now, and then there is nothing to kill.
    let _ = kill_process_group(Pid::from_child(child), Signal::KILL);
    let _ = child.wait();
}

/// What a program says, while it is being read.
struct Said {
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

/// Reads what a program says, up to a limit, so that it is never kept waiting.
fn drain(from: Option<impl Read + Send + 'static>) -> Said {
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
            let room = KEPT - text.len();
            text.extend_from_slice(&chunk[..length.min(room)]);
        }
    });
    said
}

/// The last of what a program said, in one line.
fn shortened(said: &str) -> String {
    let line = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ");
    let from = line.char_indices().rev().nth(SAID - 1).map_or(0, |(at, _)| at);
    if line.is_empty() { line } else { format!(": {}", &line[from..]) }
}

fn pause(time: Duration, interrupt: &Interrupt) -> Result<(), StepError> {
    std::thread::sleep(time);
    if interrupt.is_set() { Err(StepError::Interrupted) } else { Ok(()) }
}

/// Copies with everything that the system knows of each file, which is cp's business.
fn copy(from: &Path, to: &Path, interrupt: &Interrupt) -> Result<(), StepError> {
    if from.symlink_metadata().is_err() {
        return Ok(());
    }
    remove(to)?;
    crate::io::create_folders(to.parent().unwrap_or(Path::new("/")))?;
    let words: [PathBuf; 2] = [from.to_owned(), to.to_owned()];
    let mut command = vec!["cp".to_owned(), "-a".to_owned(), "--".to_owned()];
    command.extend(words.iter().map(|path| path.display().to_string()));
    program(&format!("copy {}", from.display()), &command, Duration::from_secs(24 * 60 * 60), interrupt)?;
    let synced = vec!["sync".to_owned(), "-f".to_owned(), to.display().to_string()];
    program("sync the copy", &synced, UNIT_LIMIT, &Interrupt::never())
}

/// Removes a file, or a folder with all that is in it.
///
/// # Errors
/// Where the system refuses.
pub(super) fn remove(path: &Path) -> Result<(), StepError> {
    match path.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Ok(found) if found.is_dir() => Ok(std::fs::remove_dir_all(path).at("remove", path)?),
        _ => Ok(std::fs::remove_file(path).at("remove", path)?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(seconds: u32, words: &[&str]) -> Step {
        let command = words.iter().map(|word| (*word).to_owned()).collect();
        Step::Wait { what: "the test is ready".to_owned(), command, seconds }
    }

    fn root() -> Root {
        Root::new(Path::new("/")).unwrap()
    }

    #[test]
    fn what_is_being_started_counts_as_active_and_is_stopped() {
        let of = |text: &str| State::of(&text.replace(' ', "\n"));
        let loaded = |text: &str| of(&format!("LoadState=loaded {text}"));
        assert!(loaded("ActiveState=active SubState=running").is_active());
        assert!(loaded("ActiveState=activating SubState=start").is_active());
        assert!(loaded("ActiveState=inactive SubState=dead Job=127").is_active());
        assert!(
            loaded("ActiveState=inactive Type=oneshot Result=success ExecMainStartTimestampMonotonic=7").is_active()
        );
        assert!(
            !loaded("ActiveState=inactive Type=oneshot Result=success ExecMainStartTimestampMonotonic=0").is_active()
        );
        assert!(!loaded("ActiveState=inactive SubState=dead Job=0").is_active());
        assert!(!loaded("ActiveState=inactive SubState=dead Job=").is_active());
        assert!(!loaded("ActiveState=activating SubState=auto-restart").is_active());
        assert!(!loaded("ActiveState=failed").is_active());
        assert!(!loaded("ActiveState=inactive Job=127").is_nothing());
        assert!(!loaded("ActiveState=inactive").is_nothing());
        assert!(of("LoadState=not-found ActiveState=inactive").is_nothing());
        assert!(!of("LoadState=not-found ActiveState=active").is_nothing(), "its file is gone and it runs");
    }

    #[test]
    fn what_fails_is_told_with_what_it_said() {
        let command = ["sh", "-c", "echo one >&2; echo two >&2; exit 3"].map(str::to_owned).to_vec();
        let run_it = Step::Run { what: "try".to_owned(), command, unless: None, undo: None, seconds: 60 };
        let error = run(&run_it, &root(), &Interrupt::never()).unwrap_err();
        assert_eq!(error.to_string(), "cannot try: sh ended with exit status: 3: one; two");
    }

    #[test]
    fn what_is_done_is_not_done_again() {
        let command = vec!["false".to_owned()];
        let unless = Some("/etc/passwd".to_owned());
        let run_it = Step::Run { what: "try".to_owned(), command, unless, undo: None, seconds: 60 };
        run(&run_it, &root(), &Interrupt::never()).unwrap();
    }

    #[test]
    fn what_is_late_is_told() {
        let error = run(&step(0, &["false"]), &root(), &Interrupt::never()).unwrap_err();
        assert!(error.to_string().starts_with("the test is ready not within 0 seconds: ended with"), "{error}");
        let flag = tempfile::tempdir().unwrap().keep().join("flag");
        let script = format!("test -e {0} || {{ touch {0}; false; }}", flag.display());
        run(&step(60, &["sh", "-c", &script]), &root(), &Interrupt::never()).unwrap();
    }

    #[test]
    fn a_program_that_hangs_is_ended() {
        let command = vec!["sleep".to_owned(), "600".to_owned()];
        let run_it = Step::Run { what: "sleep".to_owned(), command, unless: None, undo: None, seconds: 1 };
        let error = run(&run_it, &root(), &Interrupt::never()).unwrap_err();
        assert_eq!(error.to_string(), "cannot sleep: sleep did not end within 1 seconds");
    }

    fn script(text: &str, seconds: u32) -> Step {
        let command = ["sh", "-c", text].map(str::to_owned).to_vec();
        Step::Run { what: "try".to_owned(), command, unless: None, undo: None, seconds }
    }

    /// Whether the process that wrote its number to this file is gone, or only waits to be reaped.
    fn is_gone(file: &Path) -> bool {
        let number = std::fs::read_to_string(file).unwrap();
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", number.trim())).unwrap_or_default();
        stat.is_empty() || stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z'))
    }

    fn await_that(is_so: impl Fn() -> bool) {
        while !is_so() {
            std::thread::sleep(POLL);
        }
    }

    #[test]
    fn what_a_program_has_started_ends_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("child");
        let text = format!("sleep 600 & echo $! > {0}.new; mv {0}.new {0}; wait", file.display());
        run(&script(&text, 3), &root(), &Interrupt::never()).unwrap_err();
        await_that(|| is_gone(&file));
        std::fs::remove_file(&file).unwrap();

        let (interrupter, interrupt) = crate::apply::Interrupter::new();
        let run_it = script(&text, 600);
        let running = std::thread::spawn(move || run(&run_it, &root(), &interrupt));
        await_that(|| file.exists());
        assert!(!is_gone(&file));
        interrupter.interrupt();
        assert!(matches!(running.join().unwrap(), Err(StepError::Interrupted)));
        await_that(|| is_gone(&file));
    }

    #[test]
    fn a_program_has_a_process_group_of_its_own() {
        let text = "set -- $(cat /proc/self/stat); test \"$5\" = $$";
        run(&script(text, 60), &root(), &Interrupt::never()).unwrap();
    }

    #[test]
    fn a_daemon_that_a_program_leaves_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("daemon");
        let text = format!("sleep 600 & echo $! > {}; echo told >&2", file.display());
        run(&script(&text, 60), &root(), &Interrupt::never()).unwrap();
        assert!(!is_gone(&file), "it goes on");
        let end = |file: &Path| {
            let number: i32 = std::fs::read_to_string(file).unwrap().trim().parse().unwrap();
            rustix::process::kill_process(Pid::from_raw(number).unwrap(), Signal::KILL).unwrap();
        };
        end(&file);
        let error = run(&script(&format!("{text}; exit 3"), 60), &root(), &Interrupt::never()).unwrap_err();
        assert_eq!(error.to_string(), "cannot try: sh ended with exit status: 3: told");
        end(&file);
    }

    #[test]
    fn folders_are_copied_over_what_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path).display().to_string();
        std::fs::create_dir_all(at("from/inner")).unwrap();
        std::fs::write(at("from/inner/file"), "new").unwrap();
        std::fs::create_dir_all(at("to/old")).unwrap();
        let step = Step::Copy { from: at("from"), to: at("to") };
        run(&step, &root(), &Interrupt::never()).unwrap();
        run(&step, &root(), &Interrupt::never()).unwrap();
        assert_eq!(std::fs::read_to_string(at("to/inner/file")).unwrap(), "new");
        assert!(!Path::new(&at("to/old")).exists());
        run(&Step::Remove { path: at("to") }, &root(), &Interrupt::never()).unwrap();
        assert!(!Path::new(&at("to")).exists());
    }
}
