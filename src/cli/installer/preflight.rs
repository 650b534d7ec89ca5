//! `carrack-install preflight`: whether this host is ready.

use std::path::PathBuf;

use serde::Serialize;

use super::{target, variables};
use crate::apply::preflight::{Check, preflight};
use crate::apply::{Inputs, Target};
use crate::cli::{CliError, Kind, Ui};
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
    target: target::TargetArgs,
    #[command(flatten)]
    variables: variables::VariableArgs,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report<'a> {
    version: u32,
    ready: bool,
    checks: &'a [Check],
}

pub(super) fn run(args: &Args, ui: &Ui) -> Result<(), CliError> {
    let bundle = args.bundle.as_deref().map(trust::establish).transpose()?;
    let target = args.target.target(bundle.as_ref().map(trust::Trusted::contents))?;
    let look = |inputs: Option<Inputs<'_>>| {
        target::runtime()?.block_on(preflight(inputs, &target)).map_err(CliError::before_changes)
    };
    let checks = match bundle.as_ref().zip(args.bundle.as_deref()) {
        Some((bundle, path)) => {
            let values = args.variables.values(bundle.contents(), path, &target.root, true, ui)?;
            look(Some(Inputs { contents: bundle.contents(), source: &target::source(bundle), values: &values }))?
        }
        None => look(None)?,
    };
    let ready = checks.iter().all(|check| check.ok);
    if !ui.wants_json() {
        ui.data(&table(&checks));
    } else if ready {
        ui.json(&Report { version: 1, ready, checks: &checks })?;
    }
    if ready { Ok(()) } else { Err(not_ready(&checks)) }
}

/// The same as a step of another command, which prints nothing where all is well.
pub(super) async fn require(inputs: Inputs<'_>, target: &Target) -> Result<(), CliError> {
    let checks = preflight(Some(inputs), target).await.map_err(CliError::before_changes)?;
    if checks.iter().all(|check| check.ok) { Ok(()) } else { Err(not_ready(&checks)) }
}

fn not_ready(checks: &[Check]) -> CliError {
    let failed: Vec<&Check> = checks.iter().filter(|check| !check.ok).collect();
    let message = format!("this host is not ready: {} of {} checks failed", failed.len(), checks.len());
    let mut error = CliError::new(Kind::NotReady, message);
    for check in failed {
        error.causes.push(format!("{}: needed {}, found {}", check.name, check.needed, check.found));
        error.hints.extend(check.hint.clone());
    }
    error.report(serde_json::json!({"version": 1, "ready": false, "checks": checks}))
}

fn table(checks: &[Check]) -> String {
    let width =
        |column: fn(&Check) -> &str| checks.iter().map(|check| column(check).chars().count()).max().unwrap_or(0);
    let (names, needed) = (width(|check| &check.name), width(|check| &check.needed));
    let line = |check: &Check| {
        let mark = if check.ok { "ok  " } else { "FAIL" };
        format!("{mark}  {:names$}  needed {:needed$}  found {}", check.name, check.needed, check.found)
    };
    checks.iter().map(line).collect::<Vec<_>>().join("\n")
}
