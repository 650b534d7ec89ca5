//! `carrack check`: every problem at once.

use std::path::PathBuf;

use serde::Serialize;

use super::RegistryArgs;
use super::discover::{DiscoverArgs, StrictArgs};
use super::images::{Found, print_candidates};
use super::open::{Opened, look_at};
use crate::cli::ui::counted;
use crate::cli::{CliError, Ui};
use crate::profile;

/// Check a profile and everything it names, and tell every problem at once
///
/// Changes nothing, and needs no network but for packs and charts from elsewhere that are not kept yet. Exit code 10 means that something is wrong.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  carrack check edge/carrack.yaml")]
pub(super) struct Args {
    /// The profile, or the folder with its carrack.yaml
    pub(super) profile: PathBuf,
    #[command(flatten)]
    discover: DiscoverArgs,
    #[command(flatten)]
    strict: StrictArgs,
    #[command(flatten)]
    registry: RegistryArgs,
}

/// What `--json` prints.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CheckReport<'d> {
    api_version: &'static str,
    kind: &'static str,
    packs: usize,
    files: usize,
    manifests: usize,
    charts: usize,
    images: usize,
    #[serde(flatten)]
    found: Found<'d>,
}

pub(super) fn run(args: &Args, ui: &Ui) -> Result<(), CliError> {
    let Opened { profile, charts, warnings, .. } = look_at(&args.profile, &args.registry, ui)?;
    let mut discovery = args.discover.discover(&profile, &charts, ui)?;
    args.strict.check(&discovery, &warnings)?;
    discovery.warnings.extend(warnings);
    let report = CheckReport {
        api_version: profile::API_VERSION,
        kind: "CheckReport",
        packs: profile.packs.len(),
        files: profile.packs.iter().map(|pack| pack.files.len()).sum(),
        manifests: profile.packs.iter().map(|pack| pack.manifests.len()).sum(),
        charts: charts.len(),
        images: discovery.images.len(),
        found: Found::new(&profile, &discovery),
    };
    if ui.wants_json() {
        return ui.json(&report);
    }
    for warning in &discovery.warnings {
        ui.warn(&warning.to_string());
    }
    print_candidates(&discovery, ui);
    let counts = [
        (report.packs, "pack"),
        (report.files, "host file"),
        (report.manifests, "manifest"),
        (report.charts, "chart"),
        (report.images, "image"),
        (discovery.warnings.len(), "warning"),
        (discovery.candidates.len(), "candidate"),
    ];
    let counts: Vec<String> = counts.iter().map(|(count, noun)| counted(*count, noun)).collect();
    ui.listing(&format!("{} {} is right: {}", profile.name, profile.version, counts.join(", ")));
    Ok(())
}
