//! `carrack-install resume`: going on with what was interrupted.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::{signals, target};
use crate::apply::{ApplyError, Invocation, Left, RootLock, Unfinished, is_left, prepared, resume, tidy, unfinished};
use crate::cli::{CliError, Kind, Ui};
use crate::host::Root;
use crate::io::PathError;

/// How long a medium that comes with the host is waited for.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(500);

/// Go on with an installation that was interrupted
///
/// The host does this by itself when it starts. What had begun to change is carried out, or put back where that fails; what had
/// changed nothing yet is begun again, with the bundle where it was.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Look below this folder instead of at the running host
    #[arg(long, value_name = "DIR")]
    pub(super) root: Option<PathBuf>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    version: u32,
    /// `nothing`, `finished` or `deferred`.
    left: &'static str,
    what: Option<String>,
}

pub(super) fn run(args: &Args, ui: &Ui) -> Result<(), CliError> {
    let root = target::installed_root(args.root.as_deref())?;
    let runtime = target::runtime()?;
    signals::listen(&runtime, ui)?;
    let lock = RootLock::take(&root)?;
    let left = go_on(&root, false, &runtime, ui)?;
    if matches!(left, Left::Nothing) {
        tidy(&root)?;
    }
    // What is begun again takes it for itself.
    drop(lock);
    let (left, what) = match left {
        Left::Begun { command, .. } => return again(&command, &root, ui),
        Left::Nothing => ("nothing", None),
        Left::Finished { what, .. } => ("finished", Some(what)),
        Left::Deferred { what } => ("deferred", Some(what)),
    };
    if ui.wants_json() {
        return ui.json(&Report { version: 1, left, what });
    }
    if what.is_none() {
        ui.status("nothing was interrupted");
    }
    Ok(())
}

/// Goes on below `root`, whose lock is held, and tells of it. Where nothing had changed yet, `discard` says whether what was
/// staged is removed.
pub(super) fn go_on(root: &Root, discard: bool, runtime: &tokio::runtime::Runtime, ui: &Ui) -> Result<Left, CliError> {
    if !is_left(root)? {
        return Ok(Left::Nothing);
    }
    let progress = Arc::default();
    let shown = ui.show("resuming", &progress);
    let left = runtime.block_on(resume(root, discard, &signals::change(), &progress));
    drop(shown);
    signals::rest();
    let left = left?;
    match &left {
        Left::Nothing => {}
        Left::Begun { what, .. } => {
            ui.status(&format!("an earlier run ({what}) was interrupted before it changed anything"));
        }
        Left::Finished { what, warnings, verified } => {
            warnings.iter().for_each(|warning| ui.warn(warning));
            let verified = if verified.is_empty() { String::new() } else { format!("; {verified}") };
            ui.status(&format!("an earlier run ({what}) was interrupted, and is finished now{verified}"));
        }
        Left::Deferred { what } => ui.status(&format!("{what} is finished when this system starts for the first time")),
    }
    Ok(left)
}

/// Goes on with what was interrupted, before something else is begun. Returns what a system that was prepared waits to finish at
/// its first start: until then it takes nothing else.
pub(super) fn make_way(root: &Root, runtime: &tokio::runtime::Runtime, ui: &Ui) -> Result<Option<String>, CliError> {
    match go_on(root, true, runtime, ui)? {
        Left::Deferred { what } => Ok(Some(what)),
        _ => Ok(None),
    }
}

/// The refusal of a system that waits for its first start to do `what`.
pub(super) fn waits(root: &Root, what: &str) -> CliError {
    let folder = root.folder().display();
    let message = format!("{folder} is prepared already ({what}), and waits for its first start");
    CliError::new(Kind::NotReady, message)
        .hint("start that system once; or prepare one that nothing was installed into")
}

/// Says that a run was interrupted, to somebody who only looks.
pub(super) fn warn_unfinished(root: &Root, ui: &Ui) -> Result<(), CliError> {
    if let Some(holder) = RootLock::holder(root)? {
        let folder = root.folder().display();
        ui.warn(&format!("another carrack-install is at work in {folder} ({holder}): what is shown here may change"));
    } else if let Some(left) = unfinished(root)? {
        ui.warn(&format!("{}; go on with: {}", interrupted(&left), command(root)));
    }
    if let Some(what) = prepared(root)? {
        let folder = root.folder().display();
        ui.warn(&format!("{folder} is prepared already ({what}), and waits for its first start"));
    }
    Ok(())
}

/// Refuses where a run was interrupted, or the system waits for its first start: what is there is neither what was nor what
/// shall be.
pub(super) fn refuse_unfinished(root: &Root) -> Result<(), CliError> {
    // What is being done is not interrupted.
    if let Some(holder) = RootLock::holder(root)? {
        return Err(ApplyError::Busy(root.folder().to_owned(), holder).into());
    }
    if let Some(left) = unfinished(root)? {
        let hint = format!("go on with: {}", command(root));
        return Err(CliError::new(Kind::NotReady, interrupted(&left)).hint(&hint));
    }
    prepared(root)?.map_or(Ok(()), |what| Err(waits(root, &what)))
}

fn interrupted(left: &Unfinished) -> String {
    format!("interrupted: {} ({})", left.what, left.phase)
}

/// What goes on below `root`.
fn command(root: &Root) -> String {
    match root.is_host() {
        true => "carrack-install resume".to_owned(),
        false => format!("carrack-install resume --root {}", root.folder().display()),
    }
}

/// `arguments` with `root` in place of the root that they name: its folder may be elsewhere by now.
fn rooted(arguments: &[String], root: &Root) -> Vec<String> {
    let mut rooted = Vec::new();
    let mut given = arguments.iter();
    while let Some(argument) = given.next() {
        match argument.as_str() {
            // What follows is no flag.
            "--" => {
                rooted.extend(std::iter::once(argument).chain(given.by_ref()).cloned());
            }
            "--root" => {
                given.next();
            }
            other if other.starts_with("--root=") => {}
            _ => rooted.push(argument.clone()),
        }
    }
    if !root.is_host() {
        let at = rooted.iter().position(|argument| argument == "--").unwrap_or(rooted.len());
        rooted.splice(at..at, ["--root".to_owned(), root.folder().display().to_string()]);
    }
    rooted
}

/// Begins again where the interrupted run was, below `root`.
fn again(command: &Invocation, root: &Root, ui: &Ui) -> Result<(), CliError> {
    let folder = &command.folder;
    std::env::set_current_dir(folder)
        .map_err(|source| CliError::from(PathError { action: "go to", path: folder.clone(), source }))
        .map_err(|error| error.hint("that is where the bundle was; run apply with the path that it has now"))?;
    let again = Invocation { arguments: rooted(&command.arguments, root), ..command.clone() };
    super::again(&again, ui).map_err(|error| {
        let bundle = super::bundle(&command.arguments).filter(|bundle| !bundle.exists());
        match bundle {
            Some(bundle) => {
                let bundle = folder.join(bundle);
                let hint =
                    format!("{} is not there; run apply with the path that the bundle has now", bundle.display());
                error.hint(&hint)
            }
            None => error,
        }
    })
}

/// Waits for a medium that may be mounted later than this runs. Where it does not come, who needs it says so.
pub(super) fn await_medium(bundle: &Path) {
    let begun = Instant::now();
    while !bundle.exists() && begun.elapsed() < PATIENCE {
        std::thread::sleep(PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_begun_again_is_begun_in_the_root_that_is_resumed() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::new(folder.path()).unwrap();
        let here = root.folder().display().to_string();
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        for given in ["apply b.tar.zst --root k --yes", "apply b.tar.zst --root=k --yes", "apply b.tar.zst --yes"] {
            assert_eq!(rooted(&words(given), &root), words(&format!("apply b.tar.zst --yes --root {here}")), "{given}");
        }
        let after = rooted(&words("apply --root k -- --root"), &root);
        assert_eq!(after, words(&format!("apply --root {here} -- --root")));
        let host = Root::new(Path::new("/")).unwrap();
        assert_eq!(rooted(&words("apply b --root k"), &host), words("apply b"));
    }
}
