//! `carrack-install resume`: going on with what was interrupted.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::{apply, target};
use crate::apply::{Invocation, Left, resume};
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
    root: Option<PathBuf>,
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
    let (root, lock) = target::locked(args.root.as_deref())?;
    let left = go_on(&root, false, &target::runtime()?, ui)?;
    // What is begun again takes it for itself.
    drop(lock);
    let (left, what) = match left {
        Left::Begun { command, .. } => return again(&command, ui),
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
    let left = runtime.block_on(async { Ok::<_, CliError>(resume(root, discard, &apply::on_signals()?).await?) })?;
    match &left {
        Left::Nothing => {}
        Left::Begun { what, .. } => {
            ui.status(&format!("an earlier run ({what}) was interrupted before it changed anything"));
        }
        Left::Finished { what, warnings } => {
            warnings.iter().for_each(|warning| ui.warn(warning));
            ui.status(&format!("an earlier run ({what}) was interrupted, and is finished now"));
        }
        Left::Deferred { what } => ui.status(&format!("{what} is finished when this system starts for the first time")),
    }
    Ok(left)
}

/// Goes on with what was interrupted, before something else is begun. A system that waits for its first start takes nothing else.
pub(super) fn make_way(root: &Root, runtime: &tokio::runtime::Runtime, ui: &Ui) -> Result<(), CliError> {
    if let Left::Deferred { what } = go_on(root, true, runtime, ui)? {
        let folder = root.folder().display();
        let message = format!("{folder} is prepared already ({what}), and waits for its first start");
        return Err(CliError::new(Kind::NotReady, message)
            .hint("start that system once; or prepare one that nothing was installed into"));
    }
    Ok(())
}

/// Begins again where the interrupted run was.
fn again(command: &Invocation, ui: &Ui) -> Result<(), CliError> {
    let folder = &command.folder;
    std::env::set_current_dir(folder)
        .map_err(|source| CliError::from(PathError { action: "go to", path: folder.clone(), source }))?;
    super::again(command, ui)
}

/// Waits for a medium that may be mounted later than this runs. Where it does not come, who needs it says so.
pub(super) fn await_medium(bundle: &Path) {
    let begun = Instant::now();
    while !bundle.exists() && begun.elapsed() < PATIENCE {
        std::thread::sleep(PAUSE);
    }
}
