//! `carrack-install preflight`: whether this host is ready.

use std::path::PathBuf;

use serde::Serialize;

use super::{resume, target, variables};
use crate::apply::preflight::{Check, UnknownCheck, Verdict, allow_downgrade, preflight, skip, table};
use crate::apply::{Choices, Inputs, Memory, Target};
use crate::cli::identity::IdentityArgs;
use crate::cli::{CliError, Kind, Ui};
use crate::host::Facts;
use crate::trust;

/// Check whether this host is ready, changing nothing
///
/// Every requirement is listed with what is needed and what was found. With a bundle, its own needs are checked too, and the
/// values of its variables.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The bundle that is to be installed
    bundle: Option<PathBuf>,
    #[command(flatten)]
    identity: IdentityArgs,
    #[command(flatten)]
    pub(super) target: target::TargetArgs,
    #[command(flatten)]
    skip: SkipArgs,
    #[command(flatten)]
    variables: variables::VariableArgs,
}

/// What does not matter here.
#[derive(Debug, clap::Args)]
pub(super) struct SkipArgs {
    /// A check of preflight whose verdict does not count, now and for later versions; for more checks give it again, for none of
    /// them any more: --skip none
    #[arg(long, value_name = "CHECK")]
    skip: Vec<String>,
    /// Take a bundle with an older version of the profile than the one that is installed
    #[arg(long)]
    allow_downgrade: bool,
}

/// Checks without which nothing can be installed, so that skipping them would only have it fail later.
const NEEDED: [&str; 9] =
    ["platform", "installer", "distribution", "manifests", "files", "folders", "containerd", "images", "space"];

/// What `--skip` says where every verdict counts again.
const NO_CHECK: &str = "none";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report<'a> {
    version: u32,
    ready: bool,
    checks: Vec<Shown<'a>>,
}

#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    check: &'a Check,
    /// Whether it keeps nothing from being installed.
    ok: bool,
}

impl SkipArgs {
    /// Checks the host. Another root is prepared for a machine that is not this one.
    pub(super) async fn checks(&self, inputs: Option<Inputs<'_>>, target: &Target) -> Result<Vec<Check>, CliError> {
        let machine = target.root.is_host().then(Facts::here);
        let mut checks = preflight(inputs, target, machine.as_ref()).await.map_err(CliError::before_changes)?;
        if self.allow_downgrade {
            allow_downgrade(&mut checks);
        }
        skip(&mut checks, &self.given()).map_err(unknown)?;
        for name in target.choices.skip.iter().filter(|name| !self.skip.contains(name)) {
            // Chosen for an earlier version: this one may not have what it is about.
            let _ = skip(&mut checks, std::slice::from_ref(name));
        }
        Ok(checks)
    }

    fn given(&self) -> Vec<String> {
        self.skip.iter().filter(|name| *name != NO_CHECK).cloned().collect()
    }

    /// These, with what else was chosen `before`.
    pub(super) fn choices(&self, before: &Choices) -> Choices {
        let skip = if self.skip.is_empty() { before.skip.clone() } else { self.given() };
        Choices { skip, ..before.clone() }
    }

    /// The same as a step of another command, which shows only what a person should know.
    pub(super) async fn require(&self, inputs: Inputs<'_>, target: &Target, ui: &Ui) -> Result<Vec<Check>, CliError> {
        let checks = self.checks(Some(inputs), target).await?;
        if checks.iter().any(Check::failed) {
            return Err(not_ready(&checks));
        }
        for check in checks.iter().filter(|check| check.verdict == Verdict::Warn) {
            ui.warn(&line(check));
        }
        Ok(checks)
    }
}

pub(super) fn run(args: &Args, ui: &Ui) -> Result<(), CliError> {
    let bundle = args.bundle.as_deref().map(|bundle| args.identity.establish(bundle)).transpose()?;
    let contents = bundle.as_ref().map(trust::Trusted::contents);
    let root = args.target.root()?;
    let memory = match contents {
        Some(contents) => Memory::of(&root, &contents.profile.name).map_err(CliError::before_changes)?,
        None => Memory::default(),
    };
    let choices = args.skip.choices(&args.target.choices(&memory.choices));
    let target = args.target.target(root, contents, choices, args.variables.asked())?;
    let target = target::runtime()?.block_on(target.ask());
    resume::warn_unfinished(&target.root, ui)?;
    let look = |inputs: Option<Inputs<'_>>| target::runtime()?.block_on(args.skip.checks(inputs, &target));
    let checks = match bundle.as_ref().zip(args.bundle.as_deref()) {
        Some((bundle, path)) => {
            let site = args.variables.site()?;
            let values = args.variables.values(site.as_ref(), bundle.contents(), path, &target.root, true, ui)?;
            let (source, node) = (target::source(bundle), variables::node(site.as_ref(), &memory, &target.root)?);
            look(Some(Inputs { contents: bundle.contents(), source: &source, values: &values, node: &node }))?
        }
        None => look(None)?,
    };
    let ready = !checks.iter().any(Check::failed);
    if !ui.wants_json() {
        ui.listing(&table(&checks));
        hints(&checks).iter().for_each(|hint| ui.status(hint));
    } else if ready {
        ui.json(&report(&checks))?;
    }
    if ready { Ok(()) } else { Err(not_ready(&checks)) }
}

fn unknown(error: UnknownCheck) -> CliError {
    let hint = format!("the checks here are {}", error.known.join(", "));
    CliError::from_error(Kind::Usage, &error).hint(&hint)
}

fn report(checks: &[Check]) -> Report<'_> {
    let shown = |check| Shown { check, ok: !Check::failed(check) };
    Report { version: 1, ready: !checks.iter().any(Check::failed), checks: checks.iter().map(shown).collect() }
}

fn not_ready(checks: &[Check]) -> CliError {
    let failed: Vec<&Check> = checks.iter().filter(|check| check.failed()).collect();
    let message = format!("this host is not ready: {} of {} checks failed", failed.len(), checks.len());
    let mut error = CliError::new(Kind::NotReady, message);
    for check in &failed {
        error.causes.push(line(check));
        error.hints.extend(check.hint.clone().filter(|hint| !error.hints.contains(hint)));
    }
    if let Some(check) = failed.iter().find(|check| !NEEDED.contains(&check.name.as_str())) {
        error.hints.push(format!("where a check does not matter, leave it out: --skip {}", check.name));
    }
    error.report(serde_json::json!(report(checks)))
}

fn line(check: &Check) -> String {
    format!("{}: needed {}, found {}", check.name, check.needed, check.found)
}

/// What to do about warnings; what to do about failures stands below the error.
fn hints(checks: &[Check]) -> Vec<String> {
    let warned = checks.iter().filter(|check| check.verdict == Verdict::Warn);
    warned.filter_map(|check| Some(format!("{}: {}", check.name, check.hint.as_ref()?))).collect()
}
