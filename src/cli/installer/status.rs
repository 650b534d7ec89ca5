//! `carrack-install status`: what is installed, and whether it still is.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{resume, target};
use crate::apply::prepared;
use crate::apply::receipt::{Receipt, newest};
use crate::apply::status::{Difference, differences};
use crate::cli::ui::counted;
use crate::cli::{CliError, Kind, Ui};
use crate::variables::MASK;

/// Show what is installed, by digest, and whether it still is what was installed
///
/// Exits with 0 where everything is as it was installed, and with 40 where something differs, nothing is installed, a run was
/// interrupted, or a system was prepared and has yet to start.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Look below this folder instead of at the running host
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report<'a> {
    version: u32,
    intact: bool,
    receipt: &'a Path,
    installed: serde_json::Value,
    differences: &'a [Difference],
}

pub(super) fn run(args: &Args, ui: &Ui) -> Result<(), CliError> {
    let root = target::installed_root(args.root.as_deref())?;
    if let Some(what) = prepared(&root)? {
        let folder = root.folder().display();
        let error =
            CliError::new(Kind::NotReady, format!("{folder} is prepared ({what}), and waits for its first start"));
        return Err(error.hint("what is installed is known, and written down, once that system has started"));
    }
    resume::refuse_unfinished(&root)?;
    let Some((_, path, receipt)) = newest(&root)? else {
        let error = CliError::new(Kind::NotReady, format!("nothing is installed in {}", root.folder().display()));
        return Err(error.hint("install a bundle: carrack-install apply BUNDLE"));
    };
    let differences = target::runtime()?.block_on(differences(&receipt, &root)).map_err(CliError::before_changes)?;
    let intact = differences.is_empty();
    let report =
        Report { version: 1, intact, receipt: &path, installed: without_digests(&receipt)?, differences: &differences };
    if !ui.wants_json() {
        ui.data(&text(&receipt));
    } else if intact {
        ui.json(&report)?;
    }
    if intact {
        return Ok(());
    }
    let found = counted(differences.len(), "difference");
    let message = format!("{found} from what {} {} installed", receipt.name, receipt.version);
    let mut error = CliError::new(Kind::NotReady, message)
        .hint("put right what this host has all of: carrack-install repair; the rest comes from the bundle: carrack-install apply BUNDLE");
    error.causes =
        differences.iter().map(|one| format!("{}: want {}, found {}", one.what, one.expected, one.found)).collect();
    let details = serde_json::to_value(&report).map_err(|error| CliError::from_error(Kind::Bug, &error))?;
    Err(error.report(details))
}

/// The receipt without the digests of files in which sensitive values stand, and of those that were there before and others may
/// not read.
fn without_digests(receipt: &Receipt) -> Result<serde_json::Value, CliError> {
    let mut value = serde_json::to_value(receipt).map_err(|error| CliError::from_error(Kind::Bug, &error))?;
    let files = value.get_mut("files").and_then(serde_json::Value::as_array_mut);
    for (file, shown) in receipt.files.iter().zip(files.into_iter().flatten()) {
        if file.replaced_private()
            && let Some(original) = shown.get_mut("original").and_then(serde_json::Value::as_object_mut)
        {
            original.remove("digest");
        }
        if receipt.has_secret(&file.path)
            && let Some(fields) = shown.as_object_mut()
        {
            for digest in ["digest", "wanted", "keys", "changedBefore"] {
                fields.remove(digest);
            }
        }
    }
    Ok(value)
}

fn text(receipt: &Receipt) -> String {
    let mut lines = vec![
        format!("{} {}", receipt.name, receipt.version),
        format!("bundle   {}", receipt.bundle),
        format!("applied  {} by carrack-install {}", receipt.applied, receipt.installer),
    ];
    lines.extend(receipt.variables.iter().map(|variable| {
        let value = variable.value.as_ref().map_or(MASK.to_owned(), |value| format!("{value:?}"));
        format!("variable {} = {value}", variable.name)
    }));
    lines.extend(receipt.files.iter().map(|file| {
        let digest = if receipt.has_secret(&file.path) { MASK.to_owned() } else { file.digest.to_string() };
        format!("{:8} {digest} {}", file.kind, file.path)
    }));
    lines.extend(receipt.images.iter().map(|image| format!("image    {} {}", image.target, image.reference)));
    lines.extend(receipt.archive().map(|archive| format!("archive  {} {}", archive.digest, archive.path)));
    lines.join("\n")
}
