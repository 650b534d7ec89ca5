//! `carrack-install status`: what is installed, and whether it still is.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{resume, target};
use crate::apply::prepared;
use crate::apply::receipt::Receipt;
use crate::apply::status::{Difference, Installed, installed};
use crate::cli::ui::counted;
use crate::cli::{CliError, Kind, Ui};
use crate::host::Root;
use crate::site::node::{Membership, Node, Role};
use crate::variables::MASK;

/// Show what is installed, by digest, and whether it still is what was installed
///
/// Exits with 0 where everything is as it was installed, and with 40 where something differs, nothing is installed, a run was
/// interrupted, or a system was prepared and has yet to start.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Look below this folder instead of at the running host
    #[arg(long, value_name = "DIR")]
    pub(super) root: Option<PathBuf>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report<'a> {
    version: u32,
    intact: bool,
    /// What was installed last first.
    profiles: Vec<Profile<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Profile<'a> {
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
    let installed = target::runtime()?.block_on(installed(&root)).map_err(CliError::before_changes)?;
    if installed.is_empty() {
        let error = CliError::new(Kind::NotReady, format!("nothing is installed in {}", root.folder().display()));
        return Err(error.hint("install a bundle: carrack-install apply BUNDLE"));
    }
    let report = report(&installed)?;
    if !ui.wants_json() {
        ui.listing(&installed.iter().map(|one| text(&one.receipt)).collect::<Vec<_>>().join("\n\n"));
    } else if report.intact {
        ui.json(&report)?;
    }
    if report.intact {
        return Ok(());
    }
    let details = serde_json::to_value(&report).map_err(|error| CliError::from_error(Kind::Bug, &error))?;
    Err(differing(&installed, &root).report(details))
}

fn report(installed: &[Installed]) -> Result<Report<'_>, CliError> {
    let intact = installed.iter().all(|one| one.differences.is_empty());
    let profiles = installed.iter().map(profile).collect::<Result<_, _>>()?;
    Ok(Report { version: 2, intact, profiles })
}

fn profile(one: &Installed) -> Result<Profile<'_>, CliError> {
    Ok(Profile { receipt: &one.path, installed: without_digests(&one.receipt)?, differences: &one.differences })
}

/// What differs, by profile.
fn differing(installed: &[Installed], root: &Root) -> CliError {
    let found: Vec<_> = installed.iter().filter(|one| !one.differences.is_empty()).collect();
    let one = |one: &&Installed| {
        let count = counted(one.differences.len(), "difference");
        format!("{count} from what {} {} installed", one.receipt.name, one.receipt.version)
    };
    let repair = match (installed, found.as_slice()) {
        ([_, _, ..], [only]) => format!("carrack-install repair {}", only.receipt.name),
        ([_, _, ..], _) => "carrack-install repair PROFILE".to_owned(),
        _ => "carrack-install repair".to_owned(),
    };
    let at = if root.is_host() { String::new() } else { format!(" --root {}", root.folder().display()) };
    let message = found.iter().map(one).collect::<Vec<_>>().join("; ");
    let hint = format!(
        "put right what this host has all of: {repair}{at}; the rest comes from the bundle: carrack-install apply BUNDLE{at}"
    );
    let mut error = CliError::new(Kind::NotReady, message).hint(hint);
    let all = found.iter().flat_map(|one| &one.differences);
    error.causes = all.map(|one| format!("{}: want {}, found {}", one.what, one.expected, one.found)).collect();
    error
}

/// The receipt without the digests of files in which sensitive values stand, and of those that were there before and others may
/// not read.
fn without_digests(receipt: &Receipt) -> Result<serde_json::Value, CliError> {
    let mut value = serde_json::to_value(receipt).map_err(|error| CliError::from_error(Kind::Bug, &error))?;
    if let Some(site) = value.get_mut("site").and_then(serde_json::Value::as_object_mut) {
        // Where secrets stand, some of them here.
        site.remove("secrets");
    }
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
    let only = if receipt.images_only { ": its images only, ahead of the version itself" } else { "" };
    let mut lines = vec![
        format!("{} {}{only}", receipt.name, receipt.version),
        format!("bundle   {}", receipt.bundle),
        format!("applied  {} by carrack-install {}", receipt.applied, receipt.installer),
    ];
    lines.extend(receipt.site.iter().map(|site| format!("site     {} {}", site.digest, part(&site.machine))));
    let chosen = receipt.choices.as_ref().filter(|choices| !choices.is_empty());
    lines.extend(chosen.map(|choices| format!("chosen   {}", choices.flags().join(" "))));
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

/// What a machine does in its cluster.
fn part(machine: &Node) -> String {
    let role = match machine.role {
        Role::Server => "server",
        Role::Agent => "agent",
    };
    match &machine.cluster {
        Membership::Init { .. } => format!("{role}, the first of its cluster"),
        Membership::Join { server, .. } => format!("{role}, joined {server}"),
    }
}
