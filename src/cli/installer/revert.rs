//! `carrack-install repair`, `rollback` and `uninstall`: the ways back.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;

use super::{apply, plan, resume, signals, target};
use crate::apply::{Goal, Invocation, Revert, RootLock, give_up, look_back};
use crate::cli::ui::counted;
use crate::cli::{CliError, Kind, Ui};

/// Go back to the version that was installed before
///
/// Its files come from what was kept of them, its images are still in the runtime. Where the upgrade had saved the cluster's
/// state, that is put back too: what has changed in the cluster since then is lost. The state of several servers is put back
/// by hand; where the copy is, is said.
#[derive(Debug, clap::Args)]
pub(super) struct RollbackArgs {
    #[command(flatten)]
    pub(super) common: CommonArgs,
}

/// Remove what Carrack has put on this host, and nothing else
///
/// What was there before is put back. Files that somebody has changed since stay, and are named.
#[derive(Debug, clap::Args)]
pub(super) struct UninstallArgs {
    #[command(flatten)]
    pub(super) common: CommonArgs,
}

/// Put back what status finds changed or missing, from what is on this host
///
/// Modes, owners, names of images and services are put right at once. Content that is lost has to come from the bundle: run apply
/// with it.
#[derive(Debug, clap::Args)]
pub(super) struct RepairArgs {
    #[command(flatten)]
    pub(super) common: CommonArgs,
}

#[derive(Debug, clap::Args)]
pub(super) struct CommonArgs {
    /// The profile; needed where several are installed
    profile: Option<String>,
    /// Change what is below this folder instead of the running host
    #[arg(long, value_name = "DIR")]
    pub(super) root: Option<PathBuf>,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
    /// Show what would change, and stop
    #[arg(long)]
    dry_run: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report<'a> {
    version: u32,
    what: &'a str,
    changed: bool,
    restored: Vec<&'a str>,
    removed: Vec<&'a str>,
    stays: &'a [String],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    by_hand: Vec<plan::ByHandReport>,
    missing: &'a [String],
    names: &'a [String],
    stopped: &'a [String],
    started: &'a [String],
    /// What takes the distribution away besides.
    steps: &'a [String],
    /// Folders that are not removed, each with why.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    kept: &'a [String],
    state_of: Option<&'a str>,
    state_by_hand: Option<StateByHand<'a>>,
    warnings: Vec<String>,
}

/// A copy of the cluster's state that stays where it is.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StateByHand<'a> {
    made: &'a str,
    folder: &'a str,
}

pub(super) fn rollback(args: &RollbackArgs, ui: &Ui) -> Result<(), CliError> {
    go(Goal::Before, &args.common, "rollback", ui)
}

pub(super) fn uninstall(args: &UninstallArgs, ui: &Ui) -> Result<(), CliError> {
    go(Goal::Nothing, &args.common, "uninstall", ui)
}

pub(super) fn repair(args: &RepairArgs, ui: &Ui) -> Result<(), CliError> {
    go(Goal::Installed, &args.common, "repair", ui)
}

fn go(goal: Goal, args: &CommonArgs, command: &str, ui: &Ui) -> Result<(), CliError> {
    let root = target::installed_root(args.root.as_deref())?;
    let runtime = target::runtime()?;
    let mut lock = None;
    if args.dry_run {
        resume::refuse_unfinished(&root)?;
    } else {
        signals::listen(&runtime, ui)?;
        lock = Some(RootLock::take(&root)?);
        resume::make_way(&root, &runtime, ui)?.map_or(Ok(()), |what| Err(resume::waits(&root, &what)))?;
        if goal == Goal::Nothing
            && args.profile.is_none()
            && let Some(what) = give_up(&root)?
        {
            return given_up(&what, ui);
        }
    }
    let mut arguments = vec![command.to_owned(), "--yes".to_owned()];
    arguments.extend(args.profile.clone());
    if !root.is_host() {
        arguments.extend(["--root".to_owned(), root.folder().display().to_string()]);
    }
    let invocation = Invocation { arguments, folder: "/".into(), ..Invocation::default() };
    let way = look_back(goal, args.profile.as_deref(), &root, invocation, lock);
    let way = runtime.block_on(way).map_err(CliError::before_changes)?;
    way.stays.iter().for_each(|path| {
        ui.warn(&format!("{path} was changed since it was installed; it stays, so look whether it is needed"));
    });
    way.warnings().iter().for_each(|warning| ui.warn(warning));
    if let Some(saved) = &way.state_by_hand {
        ui.warn(&format!(
            "the cluster's state stays as it is, since other servers have it too: an older Kubernetes may not be able to read it. \
             The copy from {}, before the upgrade, is in {}; putting it back is done by hand, for all servers together",
            saved.made, saved.folder
        ));
    }
    let mut lost = lost(&way);
    // A repair puts right what it can all the same.
    if (goal != Goal::Installed || way.is_empty())
        && let Some(lost) = lost.take()
    {
        return Err(lost);
    }
    let lines = lines(&way);
    if args.dry_run || way.is_empty() {
        return show(&way, &lines, Vec::new(), args.dry_run, ui);
    }
    apply::show_before(args.yes, lines.into_iter(), ui);
    ui.status(&summary(&way));
    if !args.yes {
        if goal != Goal::Installed && !std::io::stdin().is_terminal() {
            let message = format!("nobody can be asked whether to {}", way.what);
            return Err(CliError::new(Kind::Usage, message).hint("say so: --yes; see what would change: --dry-run"));
        }
        apply::confirm(&format!("{} {}?", way.what, target::within(&root)), ui)?;
    }
    let report = serde_json::to_value(report(&way, Vec::new(), true));
    let report = report.map_err(|error| CliError::from_error(Kind::Bug, &error))?;
    let what = way.what.clone();
    let progress = Arc::default();
    let shown = ui.show("restoring", &progress);
    let gone = runtime.block_on(way.go(&signals::change(), &progress));
    drop(shown);
    let (warnings, verified) = gone?;
    warnings.iter().for_each(|warning| ui.warn(warning));
    let verified = if verified.is_empty() { String::new() } else { format!("; {verified}") };
    ui.status(&format!("done: {what}{verified}"));
    if let Some(lost) = lost {
        return Err(lost);
    }
    if ui.wants_json() {
        return ui.json(&with_warnings(report, warnings));
    }
    Ok(())
}

/// Tells that what was begun is not gone on with, not at the next start of the host either.
fn given_up(what: &str, ui: &Ui) -> Result<(), CliError> {
    ui.status(&format!("{what} is given up: the files that it had begun are removed, and nothing is installed"));
    match ui.wants_json() {
        true => ui.json(&serde_json::json!({"version": 1, "what": what, "changed": true, "givenUp": true})),
        false => Ok(()),
    }
}

/// What is not on this host any more has to come from the bundle.
fn lost(way: &Revert) -> Option<CliError> {
    if way.missing.is_empty() {
        return None;
    }
    let things = counted(way.missing.len(), "thing");
    let message = format!("cannot {}: {things} cannot be put back from this host", way.what);
    let mut error = CliError::new(Kind::NotReady, message);
    error.causes.clone_from(&way.missing);
    Some(error.hint("install the bundle of that version: carrack-install apply BUNDLE"))
}

fn show(way: &Revert, lines: &[String], warnings: Vec<String>, dry_run: bool, ui: &Ui) -> Result<(), CliError> {
    if ui.wants_json() {
        return ui.json(&report(way, warnings, !dry_run && !way.is_empty()));
    }
    if !lines.is_empty() {
        ui.listing(&lines.join("\n"));
    }
    ui.status(&summary(way));
    Ok(())
}

/// A line for each change.
fn lines(way: &Revert) -> Vec<String> {
    let line = |word: &str, kind: &str, what: &str| format!("{word:7} {kind:8} {what}");
    let mut lines: Vec<String> = way.stopped.iter().map(|unit| line("stop", "service", unit)).collect();
    lines.extend(way.steps.iter().map(|step| line("do", "step", step)));
    lines.extend(way.restored.iter().map(|file| line("restore", "file", &file.path)));
    lines.extend(plan::by_hand(&way.by_hand));
    lines.extend(way.removed.iter().map(|removal| match removal.original {
        Some(_) => line("restore", "file", &format!("{} (what was there before)", removal.path)),
        None => line("remove", "file", &removal.path),
    }));
    lines.extend(way.names.iter().map(|name| line("change", "name", name)));
    lines.extend(
        way.state_of.iter().map(|time| line("restore", "state", &format!("of the cluster, as it was at {time}"))),
    );
    lines.extend(way.started.iter().map(|unit| line("start", "service", unit)));
    lines
}

fn summary(way: &Revert) -> String {
    if way.is_empty() {
        return format!("nothing to do to {}", way.what);
    }
    let state = way.state_of.as_ref().map_or(String::new(), |time| {
        format!("; the cluster's state becomes that of {time}, and what has changed in it since is lost")
    });
    let state = if way.state_by_hand.is_some() { "; the cluster's state stays as it is".to_owned() } else { state };
    format!(
        "{}: {} to restore, {} to remove, {}, {} to stop, {} to start{state}",
        way.what,
        counted(way.restored.len() + originals(way).count(), "file"),
        way.removed.len() - originals(way).count(),
        counted(way.names.len(), "image name"),
        counted(way.stopped.len(), "service"),
        way.started.len(),
    )
}

/// Files in whose place comes what was there before.
fn originals(way: &Revert) -> impl Iterator<Item = &str> {
    way.removed.iter().filter(|removal| removal.original.is_some()).map(|removal| removal.path.as_str())
}

fn report(way: &Revert, warnings: Vec<String>, changed: bool) -> Report<'_> {
    let gone = way.removed.iter().filter(|removal| removal.original.is_none());
    Report {
        version: 1,
        what: &way.what,
        changed,
        restored: way.restored.iter().map(|file| file.path.as_str()).chain(originals(way)).collect(),
        removed: gone.map(|removal| removal.path.as_str()).collect(),
        stays: &way.stays,
        by_hand: way.by_hand.iter().map(plan::ByHandReport::new).collect(),
        missing: &way.missing,
        names: &way.names,
        stopped: &way.stopped,
        started: &way.started,
        steps: &way.steps,
        kept: &way.kept,
        state_of: way.state_of.as_deref(),
        state_by_hand: way.state_by_hand.as_ref().map(|saved| StateByHand { made: &saved.made, folder: &saved.folder }),
        warnings,
    }
}

fn with_warnings(mut report: serde_json::Value, warnings: Vec<String>) -> serde_json::Value {
    if let Some(fields) = report.as_object_mut() {
        fields.insert("warnings".to_owned(), warnings.into());
    }
    report
}
