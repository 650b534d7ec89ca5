//! Doing the steps of a distribution and of services on the running host: systemd's units, and programs.

mod configure;
mod join;
mod log;
mod programs;
mod ready;
mod sweep;
mod units;
mod workloads;

use std::io;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

pub(in crate::apply::transaction) use self::units::reload;
pub(in crate::apply) use self::units::{has_systemd, unit_is};

pub use self::log::UnitLog;
use self::programs::{Ended, NOT_RUN, execute, pause};
use self::ready::Ready;
use self::sweep::Swept;
use self::units::{UNIT_LIMIT, disable, enable, start, stop};
use self::workloads::Wanted;
use crate::apply::Interrupt;
use crate::apply::claims::{Claim, Prior};
use crate::apply::states::STATES;
use crate::apply::tree::{self, CopyError, Manner, copy};
use crate::distro::{Configure, Step};
use crate::host::Root;
use crate::io::{AtPath, PathError};
use crate::places::check_clean;

/// Between two askings of what is waited for.
const PAUSE: Duration = Duration::from_millis(500);

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
    /// What was applied did not become ready.
    #[error("{} not ready within {seconds} seconds: {}", counted(unready.len()), unready.join("; "))]
    NotReady {
        /// For how long it was waited for.
        seconds: u32,
        /// What is not ready, each a sentence with the reason.
        unready: Vec<String>,
    },
    /// Any of these, with what units have written meanwhile.
    #[error("{error}")]
    Logged {
        /// What failed.
        error: Box<Self>,
        /// What a unit has written.
        #[source]
        log: UnitLog,
    },
    /// The user wants it to stop.
    #[error("interrupted")]
    Interrupted,
    /// A copy of the cluster's state could not be made, or put back.
    #[error(transparent)]
    Copy(CopyError),
    /// A folder could not be made or removed.
    #[error(transparent)]
    Path(#[from] PathError),
}

/// After how long a step is given up; none where it may take any time.
pub(super) fn limit_of(step: &Step) -> Option<Duration> {
    match step {
        Step::Start { .. } | Step::Stop { .. } | Step::Disable { .. } => Some(UNIT_LIMIT),
        Step::Run { seconds, .. }
        | Step::Load { seconds, .. }
        | Step::Wait { seconds, .. }
        | Step::Ready { seconds, .. }
        | Step::Configure(Configure { seconds, .. }) => Some(limit(*seconds)),
        _ => None,
    }
}

impl From<CopyError> for StepError {
    fn from(error: CopyError) -> Self {
        match error {
            CopyError::Interrupted => Self::Interrupted,
            CopyError::Path(error) => Self::Path(error),
            other => Self::Copy(other),
        }
    }
}

impl StepError {
    /// The same with the last errors that `units` have written since `since`, where they have.
    pub(super) fn with_log(self, units: &[String], since: SystemTime) -> Self {
        if matches!(self, Self::Interrupted) {
            return self;
        }
        match log::of(units, since) {
            Some(log) => Self::Logged { error: Box::new(self), log },
            None => self,
        }
    }
}

fn counted(count: usize) -> String {
    if count == 1 { "1 thing is".to_owned() } else { format!("{count} things are") }
}

/// What a step has to tell a person.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// What stays of what it should have removed.
    pub(super) stays: Vec<String>,
    /// What is not ready and was not waited for.
    pub(super) warnings: Vec<String>,
}

/// Does one step. `claims` say what may be removed.
///
/// # Errors
/// See [`StepError`].
pub(super) fn run(step: &Step, root: &Root, claims: &[Claim], interrupt: &Interrupt) -> Result<Told, StepError> {
    let done = match step {
        Step::Start { unit, restart } => start(unit, *restart, interrupt),
        Step::Stop { unit } => stop(unit),
        Step::Disable { unit } => stop(unit).map(|()| disable(unit)),
        Step::Enabled { unit, enabled: true } => enable(unit),
        Step::Enabled { unit, enabled: false } => {
            disable(unit);
            Ok(())
        }
        Step::Run { unless: Some(path), .. } if root.exists(path) => Ok(()),
        Step::Run { what, command, seconds, .. } | Step::Load { what, command, seconds } => {
            program(what, command, limit(*seconds), interrupt)
        }
        Step::Wait { what, command, seconds } => wait(what, command, *seconds, interrupt),
        Step::Join(join) => join::join(join, root, interrupt),
        Step::Configure(step) => return configure::configure(step, root, interrupt),
        Step::Copy { unless: Some(path), .. } if root.resolve(path).is_ok_and(|path| path.exists()) => Ok(()),
        Step::Copy { from, to, over, .. } => {
            let manner = if *over { Manner::Over } else { Manner::Exact };
            let keeps = own_copy(to, true).is_some();
            saved_is_there(from, root)?;
            copy(Path::new(from), Path::new(to), manner, keeps, interrupt).map_err(StepError::from)
        }
        Step::Folder { path } => folder(path, root, claims),
        Step::Sweep { unit, data, state, kubelet, interfaces } => {
            let (unit, data, state) = (unit.as_deref(), data.as_deref(), state.as_deref());
            Swept { unit, data, state, kubelet }.sweep(claims, interrupt)?;
            interfaces.iter().try_for_each(|name| interface(name, interrupt))
        }
        Step::Remove { path } => return Ok(Told { stays: remove(path, root, claims)?, ..Told::default() }),
        Step::Ready { kubectl, node, everything, workloads, releases, seconds } => {
            // A system that was prepared may get its name when it starts for the first time.
            let own = rustix::system::uname().nodename().to_string_lossy().to_ascii_lowercase();
            let wanted = Wanted { node: if node.is_empty() { &own } else { node }, workloads, releases };
            let warnings = Ready { kubectl, everything: *everything, wanted }.wait(*seconds, interrupt)?;
            return Ok(Told { warnings, ..Told::default() });
        }
    };
    done.map(|()| Told::default())
}

/// Removes a network interface, where it is there and the system has the program for it.
fn interface(name: &str, interrupt: &Interrupt) -> Result<(), StepError> {
    if Path::new("/sys/class/net").join(name).symlink_metadata().is_err() {
        return Ok(());
    }
    let command = ["ip", "link", "delete", name].map(str::to_owned);
    match execute(&command, UNIT_LIMIT, interrupt) {
        Ok(Ended::Badly(why)) if why.starts_with(NOT_RUN) => Ok(()),
        Ok(Ended::Badly(why)) => {
            let what = format!("remove the network interface {name}");
            Err(StepError::Program { what, program: "ip".to_owned(), why })
        }
        other => other.map(drop),
    }
}

/// Makes a folder for a copy of the cluster's state, empty, for root alone.
fn folder(path: &str, root: &Root, claims: &[Claim]) -> Result<(), StepError> {
    let shown = Path::new(path);
    let own = own_copy(path, false)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "it is not a place for copies"));
    own.at("make", shown)?;
    remove(path, root, claims)?;
    let at = root.resolve(path).map_err(io::Error::other).at("make", shown)?;
    crate::io::create_folders(&at)?;
    Ok(std::fs::set_permissions(&at, std::os::unix::fs::PermissionsExt::from_mode(0o700)).at("set the mode of", &at)?)
}

/// The claim of a copy of the cluster's state, or of something `within` one: it is Carrack's own.
fn own_copy(path: &str, within: bool) -> Option<Claim> {
    let rest = path.strip_prefix(STATES)?.strip_prefix('/')?;
    let plain = check_clean(path).is_ok() && (within || !rest.contains('/'));
    plain.then(|| Claim::new(path, Prior::Absent))
}

/// What is copied from a copy of the cluster's state needs the folder of that copy: parts may be missing in it, since not every
/// cluster has all of them.
fn saved_is_there(from: &str, root: &Root) -> Result<(), CopyError> {
    let Some(folder) = Path::new(from).parent().filter(|_| own_copy(from, true).is_some()) else { return Ok(()) };
    let at = root.resolve(&folder.to_string_lossy()).map_err(io::Error::other).at("find", folder)?;
    if at.is_dir() {
        return Ok(());
    }
    Err(CopyError::Damaged { copy: folder.to_owned(), why: "its folder is missing".to_owned() })
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

/// Removes what was made at a path since the installation, as its claim allows. Returns what stays.
///
/// # Errors
/// Where there is no claim, or it does not allow it, or the system refuses.
pub(super) fn remove(path: &str, root: &Root, claims: &[Claim]) -> Result<Vec<String>, PathError> {
    let own = own_copy(path, false).map(|claim| {
        let real =
            root.resolve(path).ok().and_then(|at| Some(format!("/{}", at.strip_prefix(root.folder()).ok()?.to_str()?)));
        Claim { real, ..claim }
    });
    let Some(claim) = claims.iter().find(|claim| claim.path == path).or(own.as_ref()) else {
        let refused = io::Error::new(io::ErrorKind::InvalidInput, "what was there before is not recorded");
        return Err(refused).at("remove", Path::new(path));
    };
    let left = tree::remove(claim, root)?;
    if own.is_some()
        && let Ok(at) = root.resolve(STATES)
    {
        // The folder of all copies, where this was the last.
        let _ = std::fs::remove_dir(at);
    }
    Ok(left)
}

#[cfg(test)]
mod tests {
    use rustix::process::{Pid, Signal};

    use super::programs::POLL;
    use super::*;

    fn step(seconds: u32, words: &[&str]) -> Step {
        let command = words.iter().map(|word| (*word).to_owned()).collect();
        Step::Wait { what: "the test is ready".to_owned(), command, seconds }
    }

    fn root() -> Root {
        Root::new(Path::new("/")).unwrap()
    }

    #[test]
    fn what_fails_is_told_with_what_it_said() {
        let command = ["sh", "-c", "echo one >&2; echo two >&2; exit 3"].map(str::to_owned).to_vec();
        let run_it = Step::Run { what: "try".to_owned(), command, unless: None, undo: None, seconds: 60 };
        let error = run(&run_it, &root(), &[], &Interrupt::never()).unwrap_err();
        assert_eq!(error.to_string(), "cannot try: sh ended with exit status: 3: one; two");
    }

    #[test]
    fn what_is_done_is_not_done_again() {
        let command = vec!["false".to_owned()];
        let unless = Some("/etc/passwd".to_owned());
        let run_it = Step::Run { what: "try".to_owned(), command, unless, undo: None, seconds: 60 };
        run(&run_it, &root(), &[], &Interrupt::never()).unwrap();
    }

    #[test]
    fn what_is_late_is_told() {
        let error = run(&step(0, &["false"]), &root(), &[], &Interrupt::never()).unwrap_err();
        assert!(error.to_string().starts_with("the test is ready not within 0 seconds: ended with"), "{error}");
        let flag = tempfile::tempdir().unwrap().keep().join("flag");
        let script = format!("test -e {0} || {{ touch {0}; false; }}", flag.display());
        run(&step(60, &["sh", "-c", &script]), &root(), &[], &Interrupt::never()).unwrap();
    }

    #[test]
    fn a_program_that_hangs_is_ended() {
        let command = vec!["sleep".to_owned(), "600".to_owned()];
        let run_it = Step::Run { what: "sleep".to_owned(), command, unless: None, undo: None, seconds: 1 };
        let error = run(&run_it, &root(), &[], &Interrupt::never()).unwrap_err();
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
        run(&script(&text, 3), &root(), &[], &Interrupt::never()).unwrap_err();
        await_that(|| is_gone(&file));
        std::fs::remove_file(&file).unwrap();

        let (interrupter, interrupt) = crate::apply::Interrupter::new();
        let run_it = script(&text, 600);
        let running = std::thread::spawn(move || run(&run_it, &root(), &[], &interrupt));
        await_that(|| file.exists());
        assert!(!is_gone(&file));
        interrupter.interrupt();
        assert!(matches!(running.join().unwrap(), Err(StepError::Interrupted)));
        await_that(|| is_gone(&file));
    }

    #[test]
    fn a_program_has_a_process_group_of_its_own() {
        let text = "set -- $(cat /proc/self/stat); test \"$5\" = $$";
        run(&script(text, 60), &root(), &[], &Interrupt::never()).unwrap();
    }

    #[test]
    fn kubectl_keeps_what_it_has_asked_until_the_machine_is_off() {
        run(&script("test $KUBECACHEDIR = /run/carrack/kubectl", 60), &root(), &[], &Interrupt::never()).unwrap();
    }

    #[test]
    fn a_daemon_that_a_program_leaves_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("daemon");
        let text = format!("sleep 600 & echo $! > {}; echo told >&2", file.display());
        run(&script(&text, 60), &root(), &[], &Interrupt::never()).unwrap();
        assert!(!is_gone(&file), "it goes on");
        let end = |file: &Path| {
            let number: i32 = std::fs::read_to_string(file).unwrap().trim().parse().unwrap();
            rustix::process::kill_process(Pid::from_raw(number).unwrap(), Signal::KILL).unwrap();
        };
        end(&file);
        let error = run(&script(&format!("{text}; exit 3"), 60), &root(), &[], &Interrupt::never()).unwrap_err();
        assert_eq!(error.to_string(), "cannot try: sh ended with exit status: 3: told");
        end(&file);
    }

    #[test]
    fn folders_are_copied_over_what_is_there_and_removed_where_that_is_recorded() {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path).display().to_string();
        std::fs::create_dir_all(at("from/inner")).unwrap();
        std::fs::write(at("from/inner/file"), "new").unwrap();
        std::fs::create_dir_all(at("to/old")).unwrap();
        let step = Step::Copy { from: at("from"), to: at("to"), unless: None, over: false };
        run(&step, &root(), &[], &Interrupt::never()).unwrap();
        run(&step, &root(), &[], &Interrupt::never()).unwrap();
        assert_eq!(std::fs::read_to_string(at("to/inner/file")).unwrap(), "new");
        assert!(!Path::new(&at("to/old")).exists());
        let remove = |claims: &[Claim]| run(&Step::Remove { path: at("to") }, &root(), claims, &Interrupt::never());
        let refused = crate::io::with_causes(&remove(&[]).unwrap_err());
        assert!(refused.contains("what was there before is not recorded"), "{refused}");
        assert!(remove(&[Claim::new(&at("to"), Prior::Foreign)]).is_err());
        assert!(Path::new(&at("to/inner/file")).exists());
        assert_eq!(remove(&[Claim::new(&at("to"), Prior::Absent)]).unwrap().stays, Vec::<String>::new());
        assert!(!Path::new(&at("to")).exists());
    }

    #[test]
    fn nothing_is_restored_from_a_copy_that_is_lost() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::new(folder.path()).unwrap();
        let from = "/var/lib/carrack/states/0007/etcd";
        let lost = saved_is_there(from, &root).unwrap_err().to_string();
        assert!(lost.contains("/var/lib/carrack/states/0007 is not what was saved"), "{lost}");
        saved_is_there("/var/lib/etcd", &root).unwrap();
        std::fs::create_dir_all(folder.path().join("var/lib/carrack/states/0007")).unwrap();
        saved_is_there(from, &root).unwrap();
    }

    #[test]
    fn only_a_place_of_its_own_is_a_folder_for_a_copy() {
        assert!(own_copy("/var/lib/carrack/states/0007", false).is_some());
        assert!(own_copy("/var/lib/carrack/states/0007/etcd", true).is_some());
        for path in ["/var/lib/carrack/states", "/var/lib/carrack/states/", "/var/lib/carrack/states/7/x", "/etc/x"] {
            assert!(own_copy(path, false).is_none(), "{path}");
        }
        assert!(own_copy("/var/lib/carrack/states/7/../../x", true).is_none());
        let make = Step::Folder { path: "/etc/kubernetes".to_owned() };
        assert!(run(&make, &root(), &[], &Interrupt::never()).is_err());
    }
}
