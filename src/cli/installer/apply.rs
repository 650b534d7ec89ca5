//! `carrack-install apply`: trust, preflight, plan, content, names, files, receipt.

use std::io::IsTerminal;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

use super::ask::{self, Line};
use super::{pinned, plan, preflight, resume, signals, target, variables};
use crate::apply::plan::{FileAction, HostPlan, ImageAction};
use crate::apply::receipt::ReceiptArchive;
use crate::apply::{
    ApplyError, Asked, Inputs, Invocation, Memory, Options, Outcome, RootLock, Target, apply, prepare_again, survey,
    take_up,
};
use crate::bundle::Contents;
use crate::cli::identity::IdentityArgs;
use crate::cli::ui::{bytes, counted};
use crate::cli::{CliError, Kind, Ui};
use crate::oci::{Digest, Platform};
use crate::progress::Progress;
use crate::site::Site;
use crate::site::node::Node;
use crate::trust;
use crate::variables::Values;

/// Install a bundle: its images, its files, its Kubernetes manifests
///
/// Everything is checked before anything changes. Run again, it changes nothing; killed and run again, it goes on; failed,
/// it puts back what it had changed.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The bundle
    bundle: PathBuf,
    #[command(flatten)]
    identity: IdentityArgs,
    #[command(flatten)]
    pub(super) target: target::TargetArgs,
    #[command(flatten)]
    skip: preflight::SkipArgs,
    #[command(flatten)]
    variables: variables::VariableArgs,
    #[command(flatten)]
    keep: target::KeepArgs,
    #[command(flatten)]
    images_only: target::ImagesOnlyArgs,
    /// Blobs read, and images unpacked, at once
    #[arg(long, short, value_name = "N", default_value = "4")]
    jobs: NonZeroUsize,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
    /// Show what would change, as plan does, and stop
    #[arg(long)]
    dry_run: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    version: u32,
    changed: bool,
    /// Whether the rest waits for the first start of the system that was prepared.
    deferred: bool,
    receipt: Option<PathBuf>,
    imported: Imported,
    archive: Option<ReceiptArchive>,
    plan: plan::Report,
    warnings: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Imported {
    blobs: usize,
    bytes: u64,
    present_blobs: usize,
    unpacked_layers: usize,
    names: usize,
}

impl Report {
    fn prepared_again(plan: plan::Report) -> Self {
        let imported = Imported { blobs: 0, bytes: 0, present_blobs: 0, unpacked_layers: 0, names: 0 };
        let warnings = Vec::new();
        Self { version: 1, changed: false, deferred: true, receipt: None, imported, archive: None, plan, warnings }
    }
}

impl Args {
    /// The bundle.
    pub(super) fn bundle(&self) -> &Path {
        &self.bundle
    }
}

pub(super) fn run(args: &Args, ui: &Ui) -> Result<(), CliError> {
    run_as(args, None, ui)
}

/// The same; `called` says how, where that was another process.
pub(super) fn run_as(args: &Args, called: Option<&Invocation>, ui: &Ui) -> Result<(), CliError> {
    let bundle = match called.and_then(|called| called.bundle) {
        // What is begun again needs that bundle, and says so by its own name below.
        Some(_) => trust::establish(&args.bundle)?,
        None => args.identity.establish(&args.bundle)?,
    };
    let contents = bundle.contents();
    if let Some(other) = called.and_then(|called| called.bundle).filter(|other| *other != contents.identity) {
        return Err(another(&args.bundle, contents, &other));
    }
    called.map_or(Ok(()), pinned::require_files)?;
    let (root, source) = (args.target.root()?, target::source(&bundle));
    let runtime = target::runtime()?;
    let (lock, waiting) = if args.dry_run {
        resume::warn_unfinished(&root, ui)?;
        (Ok(None), None)
    } else {
        signals::listen(&runtime, ui)?;
        match RootLock::take(&root) {
            // Preflight tells more of a host that cannot be written: all that is wrong, and what to do.
            Err(error) if cannot_be_written(&error) => (Err(error), None),
            lock => (Ok(Some(lock?)), resume::make_way(&root, &runtime, ui)?),
        }
    };
    // What was interrupted may have written another receipt just now.
    let memory = Memory::of(&root, &contents.profile.name).map_err(CliError::before_changes)?;
    let choices = args.keep.choices(&args.skip.choices(&args.target.choices(&memory.choices)));
    let asked = Asked { images_only: args.images_only.images_only, ..args.variables.asked() };
    let target = args.target.target(root, Some(contents), choices, asked)?;
    let target = runtime.block_on(target.ask());
    let site = args.variables.site()?;
    called.map_or(Ok(()), |called| pinned::require_site(called, site.as_ref()))?;
    let (values, node) = match asked.images_only {
        // Whatever the site says, the images are these.
        true => (Values::new(), Node::default()),
        false => {
            let values = args.variables.values(site.as_ref(), contents, &args.bundle, &target.root, !args.yes, ui)?;
            called.map_or(Ok(()), |called| pinned::require_values(called, &values, contents))?;
            (values, variables::node(site.as_ref(), &memory, &target.root)?)
        }
    };
    let inputs = Inputs { contents, source: &source, values: &values, node: &node };
    if matches!(lock, Ok(Some(_))) && waiting.is_none() && !asked.images_only {
        take_up(inputs, &target)?.iter().for_each(|told| ui.warn(told));
    }
    let survey = runtime.block_on(async {
        let checks = args.skip.require(inputs, &target, ui).await?;
        let mut survey = survey(inputs, &target, lock?).await.map_err(CliError::before_changes)?;
        survey.preflight = checks;
        Ok::<_, CliError>(survey)
    })?;
    if !target.root.is_host() && survey.has_to_start() {
        require_own_platform(&contents.profile.platforms)?;
    }
    if args.dry_run {
        return plan::show(&survey.plan, contents, &values, ui);
    }
    let host_plan = survey.plan.clone();
    if let Some(what) = waiting {
        if !prepare_again(&survey, inputs)? {
            return Err(resume::waits(&target.root, &what));
        }
        if ui.wants_json() {
            return ui.json(&Report::prepared_again(plan::Report::new(&host_plan, contents, &values)));
        }
        ui.status("nothing to change: it is prepared just so, and waits for its first start");
        return Ok(());
    }
    if !host_plan.is_empty() {
        let lines = variables::lines(&values, contents).into_iter().chain(plan::lines(&host_plan));
        show_before(args.yes, lines, ui);
        ui.status(&plan::summary(&host_plan));
        if !args.yes {
            confirm(&question(contents, &target), ui)?;
        }
    }
    let progress = Arc::new(Progress::default());
    let shown = ui.show("installing", &progress);
    let outcome = runtime.block_on(async {
        let options = Options {
            command: called.cloned().unwrap_or_else(|| invocation(contents, site.as_ref(), &values, args.yes)),
            jobs: args.jobs.get(),
            progress: Arc::clone(&progress),
            interrupt: signals::change(),
        };
        Ok::<_, CliError>(apply(survey, inputs, &options).await?)
    })?;
    drop(shown);
    report(outcome, &host_plan, contents, &values, &target, ui)
}

/// Whether a lock was not taken because nothing can be written there.
fn cannot_be_written(error: &ApplyError) -> bool {
    use std::io::ErrorKind::{PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    let kinds = [PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull];
    matches!(error, ApplyError::Path(error) if kinds.contains(&error.source.kind()))
}

/// What somebody is asked: which bundle, and into what.
fn question(contents: &Contents, target: &Target) -> String {
    let (profile, identity) = (&contents.profile, contents.identity.short());
    let what = if target.asked.images_only { "import the images of" } else { "apply" };
    format!("{what} {} {} (sha256:{identity}…) {}?", profile.name, profile.version, target::within(&target.root))
}

/// The refusal to go on with another bundle than the one that was being installed.
fn another(path: &Path, contents: &Contents, wanted: &Digest) -> CliError {
    let (path, profile) = (path.display(), &contents.profile);
    let (name, version, identity) = (&profile.name, &profile.version, contents.identity);
    let message =
        format!("{path} is {name} {version} ({identity}), and not the bundle that was being installed ({wanted})");
    CliError::new(Kind::NotReady, message)
        .hint("put that one there, and go on: carrack-install resume; or install this one: carrack-install apply")
}

/// A system that is prepared gets this installer for its first start, and must be able to run it.
fn require_own_platform(wanted: &[Platform]) -> Result<(), CliError> {
    let here = Platform::of_this_machine();
    if wanted.iter().any(|platform| platform.satisfies(&here)) {
        return Ok(());
    }
    let wanted = wanted.iter().map(Platform::to_string).collect::<Vec<_>>().join(" or ");
    let message = format!(
        "the bundle is for {wanted} and has something to start there, for which this installer would be put there, \
         and it is for {here}"
    );
    Err(CliError::new(Kind::NotReady, message).hint(format!("prepare the system on a machine that is {wanted}")))
}

fn report(
    outcome: Outcome,
    plan: &HostPlan,
    contents: &Contents,
    values: &Values,
    target: &Target,
    ui: &Ui,
) -> Result<(), CliError> {
    let (asked, images) = (target.asked, images_line(&outcome, plan, contents, &target.platform));
    outcome.warnings.iter().for_each(|warning| ui.warn(warning));
    if ui.wants_json() {
        let plan = plan::Report::new(plan, contents, values);
        let Outcome { receipt, imported: (blobs, size), present, unpacked, named, archive, warnings, deferred } =
            outcome;
        let imported = Imported { blobs, bytes: size, present_blobs: present, unpacked_layers: unpacked, names: named };
        return ui.json(&Report {
            version: 1,
            changed: receipt.is_some() || deferred,
            deferred,
            receipt,
            imported,
            archive,
            plan,
            warnings,
        });
    }
    if outcome.deferred {
        ui.status(
            "prepared: the services start, and the receipt is written, when this system starts for the first time",
        );
        return Ok(());
    }
    let Some(receipt) = &outcome.receipt else {
        ui.status(match asked.images_only {
            true => "nothing to change: the images are there",
            false => "nothing to change: this host is as the bundle wants it",
        });
        return Ok(());
    };
    ui.data(&receipt.display().to_string());
    if asked.images_only {
        let (name, version) = (&contents.profile.name, &contents.profile.version);
        ui.status(&format!("images of {name} {version}{images}"));
        return Ok(());
    }
    let files = plan.files.iter().filter(|file| file.action != FileAction::Keep).count();
    ui.status(&format!("installed: {}{images}", counted(files, "file")));
    Ok(())
}

/// What became of the images, to follow what became of the files.
fn images_line(outcome: &Outcome, plan: &HostPlan, contents: &Contents, platform: &Platform) -> String {
    let here = contents.images.iter().filter(|image| image.is_for(platform));
    let (absent, carried): (Vec<_>, Vec<_>) = here.partition(|image| image.is_absent());
    let absent = absent.len();
    let carried = match carried.len() {
        0 => String::new(),
        carried => format!("; {}", carried_line(outcome, plan, &counted(carried, "image"))),
    };
    match absent {
        0 => carried,
        absent => format!("{carried}; {} absent, for the runtime to pull", counted(absent, "image")),
    }
}

fn carried_line(outcome: &Outcome, plan: &HostPlan, images: &str) -> String {
    let Outcome { imported: (blobs, size), present, unpacked, named, archive, .. } = outcome;
    if let Some(ReceiptArchive { path, size, .. }) = archive {
        format!("{images} in {path} ({}), to be imported when the distribution starts", bytes(*size))
    } else if plan.images.is_empty() {
        format!("{images} left alone (runtime none)")
    } else if plan.images.iter().all(|image| image.action == ImageAction::Keep) {
        format!("{images} kept")
    } else {
        let (blobs, layers, names) =
            (counted(*blobs, "blob"), counted(*unpacked, "layer"), counted(*named, "image name"));
        format!("{blobs} ({}) imported, {present} present, {layers} unpacked, {names} set", bytes(*size))
    }
}

/// How this was called, without what nobody may read, for a run that goes on after this one was killed.
fn invocation(contents: &Contents, site: Option<&Site>, values: &Values, yes: bool) -> Invocation {
    let sensitive = |given: &str| {
        let name = given.split('=').next().unwrap_or_default();
        contents.profile.variables.iter().any(|variable| variable.sensitive && variable.name == name)
    };
    let mut given = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned());
    let mut arguments = Vec::new();
    while let Some(argument) = given.next() {
        if let Some(value) = argument.strip_prefix("--set=") {
            if !sensitive(value) {
                arguments.push(argument);
            }
        } else if argument == "--set" {
            let value = given.next().unwrap_or_default();
            if !sensitive(&value) {
                arguments.extend([argument, value]);
            }
        } else {
            arguments.push(argument);
        }
    }
    // Nobody is there to be asked when it is run again.
    let command = arguments.iter().position(|word| word == "apply");
    if let Some(command) = command {
        let after = command + 1..command + 1;
        arguments.splice(after.clone(), (!yes).then(|| "--yes".to_owned()));
        arguments.splice(after, asked(contents, site, values, &arguments));
    }
    Invocation {
        arguments,
        folder: std::env::current_dir().unwrap_or_default(),
        bundle: Some(contents.identity),
        site: site.map(|site| site.sources.pins()).unwrap_or_default(),
        values: pinned::digests(values, contents),
    }
}

/// What somebody was asked for and has answered, as arguments; but nothing that is secret.
fn asked(contents: &Contents, site: Option<&Site>, values: &Values, arguments: &[String]) -> Vec<String> {
    let in_site = |name: &str| site.is_some_and(|site| site.values.iter().any(|given| given.name == name));
    let is_set = |name: &str| {
        let value = |word: &String| word.strip_prefix("--set=").unwrap_or(word).starts_with(&format!("{name}="));
        arguments.iter().any(value)
    };
    // Others have a default, or have none and need none.
    let required = contents.profile.variables.iter().filter(|variable| variable.required && !variable.sensitive);
    let asked = required.filter(|variable| !is_set(&variable.name) && !in_site(&variable.name));
    let set = |name: &String| Some(format!("--set={name}={}", values.get(name)?));
    asked.filter_map(|variable| set(&variable.name)).collect()
}

/// Whether somebody can answer and has not answered yet.
fn asks(yes: bool) -> bool {
    !yes && std::io::stdin().is_terminal()
}

/// Shows what would change. Who is asked sees it in any case.
pub(super) fn show_before(yes: bool, lines: impl Iterator<Item = String>, ui: &Ui) {
    match asks(yes) {
        true => ui.overview(&lines.collect::<Vec<_>>().join("\n")),
        false => lines.for_each(|line| ui.detail(&line)),
    }
}

/// Asks where somebody can answer; a script has decided by calling. Only a clear yes is one.
pub(super) fn confirm(question: &str, ui: &Ui) -> Result<(), CliError> {
    if !asks(false) {
        return Ok(());
    }
    if !std::io::stderr().is_terminal() {
        let error = CliError::new(Kind::Usage, "nobody would see the question: standard error is not a terminal");
        return Err(error.hint("answer it beforehand: --yes"));
    }
    let answer = ask::answer(&format!("{question} [y/N] "), ui);
    match answer.map_err(|error| CliError::from_error(Kind::Local, &error))? {
        Line::Text(text) if ["y", "yes"].contains(&text.trim().to_lowercase().as_str()) => Ok(()),
        Line::Text(_) | Line::End => Err(CliError::new(Kind::Interrupted, "not confirmed; nothing was changed")),
        Line::Interrupt => Err(ask::interrupted()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_machine_of_this_kind_can_run_this_installer() {
        let (here, other) = (Platform::of_this_machine(), Platform::new("linux", "riscv64"));
        require_own_platform(&[other.clone(), here]).unwrap();
        let error = require_own_platform(&[other]).unwrap_err();
        assert_eq!(error.kind, Kind::NotReady);
    }
}
