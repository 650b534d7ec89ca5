//! `carrack images`: the images, and why each is there.

use std::path::PathBuf;

use serde::Serialize;

use super::RegistryArgs;
use super::discover::DiscoverArgs;
use super::open::{Opened, look_at};
use crate::cli::{CliError, Ui};
use crate::images::{Candidate, Discovery, NeededImage};
use crate::problem::Problem;
use crate::profile::{self, Profile};

/// List the images that a profile needs, one a line
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  carrack images .\n  carrack images . --why")]
pub(super) struct Args {
    /// The profile, or the folder with its carrack.yaml
    pub(super) profile: PathBuf,
    /// Show under each image every place that asks for it (with --json they are always there)
    #[arg(long)]
    why: bool,
    #[command(flatten)]
    discover: DiscoverArgs,
    #[command(flatten)]
    registry: RegistryArgs,
}

/// What `--json` prints.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ImageList<'d> {
    api_version: &'static str,
    kind: &'static str,
    images: &'d [NeededImage],
    #[serde(flatten)]
    found: Found<'d>,
}

/// The part that `check` and `images` have in common.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Found<'d> {
    profile: ProfileName<'d>,
    candidates: &'d [Candidate],
    warnings: Vec<Warning<'d>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ProfileName<'d> {
    name: &'d str,
    version: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Warning<'d> {
    message: &'d str,
    file: &'d std::path::Path,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<usize>,
}

impl<'d> Warning<'d> {
    fn new(problem: &'d Problem) -> Self {
        let (line, column) = problem.position.map(|position| (position.line, position.column)).unzip();
        Self { message: &problem.message, file: &problem.file, line, column }
    }
}

impl<'d> Found<'d> {
    pub(super) fn new(profile: &'d Profile, discovery: &'d Discovery) -> Self {
        Self {
            profile: ProfileName { name: &profile.name, version: profile.version.to_string() },
            candidates: &discovery.candidates,
            warnings: discovery.warnings.iter().map(Warning::new).collect(),
        }
    }
}

pub(super) fn run(args: &Args, ui: &Ui) -> Result<(), CliError> {
    let Opened { profile, charts, .. } = look_at(&args.profile, &args.registry, ui)?;
    let discovery = args.discover.discover(&profile, &charts, ui)?;
    if ui.wants_json() {
        return ui.json(&ImageList {
            api_version: profile::API_VERSION,
            kind: "ImageList",
            images: &discovery.images,
            found: Found::new(&profile, &discovery),
        });
    }
    for image in &discovery.images {
        ui.data(&image.reference.to_string());
        for reason in image.reasons.iter().filter(|_| args.why) {
            ui.listing(&format!("  {reason}"));
        }
    }
    print_candidates(&discovery, ui);
    Ok(())
}

/// Says what looks like an image and is not among them.
pub(super) fn print_candidates(discovery: &Discovery, ui: &Ui) {
    if discovery.candidates.is_empty() {
        return;
    }
    ui.status("These look like images but stand where it cannot be told. Add each to a pack's `images` or to");
    ui.status("`ignoreImages` with a reason:");
    for candidate in &discovery.candidates {
        ui.status(&format!("  {}", candidate.reference));
        for reason in &candidate.reasons {
            ui.status(&format!("    {reason}"));
        }
    }
}
