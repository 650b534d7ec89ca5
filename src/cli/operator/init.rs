//! `carrack init`: a commented profile to start from.

use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::cli::{CliError, Ui};
use crate::io::{AtomicFile, PathError};
use crate::profile;

/// The files of a first profile: names relative to its folder, and contents.
const FILES: &[(&str, &str)] =
    &[(profile::FILE_NAME, include_str!("init/carrack.yaml")), ("hello/hello.yaml", include_str!("init/hello.yaml"))];

/// Write a commented profile to start from
///
/// The profile passes `carrack check` as it is. Files that are there already are never overwritten.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  carrack init edge && carrack check edge")]
pub(super) struct Args {
    /// Folder to write it into, made where it is missing
    #[arg(default_value = ".")]
    dir: PathBuf,
}

/// What `--json` prints.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Written {
    api_version: &'static str,
    kind: &'static str,
    files: Vec<PathBuf>,
}

pub(super) fn run(args: &Args, ui: &Ui) -> Result<(), CliError> {
    let files: Vec<(PathBuf, &str)> = FILES.iter().map(|(name, content)| (place(&args.dir, name), *content)).collect();
    // All are looked for before any is written, so that a refusal leaves nothing behind.
    for (path, _) in &files {
        refuse_existing(path)?;
    }
    for (path, content) in &files {
        AtomicFile::write_all(path, 0o644, content.as_bytes())?;
    }
    let files: Vec<PathBuf> = files.into_iter().map(|(path, _)| path).collect();
    if ui.wants_json() {
        return ui.json(&Written { api_version: profile::API_VERSION, kind: "Written", files });
    }
    for file in &files {
        ui.data(&file.display().to_string());
    }
    ui.status(&format!("next: carrack check {}", files[0].display()));
    Ok(())
}

fn place(folder: &Path, name: &str) -> PathBuf {
    if folder == Path::new(".") { PathBuf::from(name) } else { folder.join(name) }
}

fn refuse_existing(path: &Path) -> Result<(), CliError> {
    match path.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => {
            let source = result.err().unwrap_or_else(|| io::Error::new(io::ErrorKind::AlreadyExists, "it exists"));
            let error = PathError { action: "create", path: path.to_owned(), source };
            Err(CliError::from(error).hint("carrack init OTHER-FOLDER"))
        }
    }
}
