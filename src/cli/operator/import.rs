//! `carrack import`: Palette's packs and profiles as a profile's folder.

use std::path::PathBuf;

use serde::Serialize;

use crate::cli::{CliError, Ui};
use crate::folder::ProfileFolder;
use crate::palette::{self, Loss, NotImported};
use crate::profile;

/// Import a pack folder or an exported profile of Palette
///
/// Writes a profile that `carrack check` takes. What has no counterpart in Carrack is told, and listed in NOT-IMPORTED.md
/// beside the profile.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  carrack import store.json --packs packs -o store\n  \
                        carrack import packs/hello-1.0.0 -o hello")]
pub(super) struct Args {
    /// The exported profile, a JSON file, or a pack's folder with its pack.json
    source: PathBuf,
    /// Folder to write the profile into: a new or empty one
    #[arg(long, short, value_name = "DIR")]
    output: PathBuf,
    /// Folder with the pack folders that an exported profile names
    #[arg(long, value_name = "DIR")]
    packs: Option<PathBuf>,
}

/// What `--json` prints.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ImportReport {
    api_version: &'static str,
    kind: &'static str,
    files: Vec<PathBuf>,
    not_imported: Vec<NotImported>,
}

pub(super) fn run(args: &Args, ui: &Ui) -> Result<(), CliError> {
    ProfileFolder::check_target(&args.output)?;
    let imported = palette::import(&args.source, args.packs.as_deref())?;
    imported.folder.write(&args.output)?;
    let files: Vec<PathBuf> = imported.folder.files().map(|(path, _)| args.output.join(path)).collect();
    if ui.wants_json() {
        let (api_version, kind) = (profile::API_VERSION, "ImportReport");
        return ui.json(&ImportReport { api_version, kind, files, not_imported: imported.left });
    }
    for file in &files {
        ui.data(&file.display().to_string());
    }
    for one in imported.left.iter().filter(|one| one.kind.matters()) {
        ui.status(&format!("not imported: {one}"));
    }
    if !imported.left.is_empty() {
        let count = |kind: &Loss| imported.left.iter().filter(|one| one.kind == *kind).count();
        let kinds = Loss::ALL.iter().map(|kind| (kind, count(kind))).filter(|(_, count)| *count > 0);
        let told: Vec<String> = kinds.map(|(kind, count)| kind.counted(count)).collect();
        ui.status(&format!("{}: {}", told.join(", "), args.output.join(palette::LIST).display()));
    }
    ui.status(&format!("next: carrack check {}", args.output.display()));
    Ok(())
}
