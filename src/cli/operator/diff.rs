//! `carrack diff`: what one bundle has that another has not.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

use super::inspect::image_blobs;
use crate::bundle::{Bundle, Contents};
use crate::cli::ui::{bytes, counted};
use crate::cli::{CliError, Ui};
use crate::oci::Digest;

/// Compare two bundles
///
/// Prints images, host files, manifests, charts and variables that were added (+), removed (-) or changed (~), and how many bytes the new
/// bundle has that the old one has not. The exit code is 0 whether they differ or not.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The bundle to compare with
    old: PathBuf,
    /// The bundle that may differ
    new: PathBuf,
}

#[derive(Debug, Serialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Change {
    Added,
    Removed,
    Changed,
}

#[derive(Debug, Serialize, PartialEq, Eq)]
struct Item {
    change: Change,
    kind: &'static str,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    old: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    new: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    version: u32,
    identical: bool,
    items: Vec<Item>,
    kept: usize,
    bytes_added: u64,
    bytes_removed: u64,
    bytes_kept: u64,
}

pub(super) fn run(args: &Args, ui: &Ui) -> Result<(), CliError> {
    let (old, new) = (Bundle::open(&args.old)?, Bundle::open(&args.new)?);
    let report = compare(old.contents(), new.contents());
    if ui.wants_json() {
        return ui.json(&report);
    }
    for item in &report.items {
        let sign = match item.change {
            Change::Added => '+',
            Change::Removed => '-',
            Change::Changed => '~',
        };
        let versions: Vec<&str> = item.old.iter().chain(&item.new).map(String::as_str).collect();
        ui.listing(&format!("{sign} {} {} {}", item.kind, item.name, versions.join(" -> ")));
    }
    let (added, removed, kept) = (bytes(report.bytes_added), bytes(report.bytes_removed), bytes(report.bytes_kept));
    ui.status(&format!(
        "{}: {}, {} kept; {added} added, {removed} removed, {kept} kept",
        if report.identical { "the same bundle" } else { "different bundles" },
        counted(report.items.len(), "change"),
        report.kept,
    ));
    Ok(())
}

/// What has a name in a bundle: kind and name, with the digest and, where it matters, the mode.
fn named(contents: &Contents) -> BTreeMap<(&'static str, String), String> {
    let images = contents.images.iter().map(|image| {
        let absent = if image.is_absent() { " (absent)" } else { "" };
        (("image", image.reference.to_string()), format!("{}{absent}", image.target.digest))
    });
    let files = contents.files.iter().map(|file| {
        let platform = file.platform.as_ref().map(|platform| format!(" ({platform})")).unwrap_or_default();
        (("file", format!("{}{platform}", file.path)), format!("{} mode {:04o}", file.blob.digest, file.mode))
    });
    let manifests = contents.manifests.iter().map(|manifest| {
        (("manifest", format!("{}/{}", manifest.pack, manifest.name)), manifest.blob.digest.to_string())
    });
    let charts = contents.charts.iter().map(|chart| {
        let values = chart.values.as_ref().map(|values| format!(" values {}", values.blob.digest)).unwrap_or_default();
        let (pack, release, version) = (&chart.pack, &chart.release, &chart.version);
        (("chart", format!("{pack}/{release}")), format!("{version} {}{values}", chart.blob.digest))
    });
    let config = contents.config.iter().map(|config| (("config", config.pack.clone()), config.blob.digest.to_string()));
    let variables = contents.profile.variables.iter().map(|variable| {
        let said = serde_json::to_string(variable).unwrap_or_default();
        (("variable", variable.name.clone()), said)
    });
    images.chain(files).chain(manifests).chain(charts).chain(config).chain(variables).collect()
}

fn blobs(contents: &Contents) -> BTreeMap<Digest, u64> {
    let own = contents.profile_blobs().map(|blob| (blob.digest, blob.size));
    own.chain(contents.images.iter().flat_map(image_blobs)).collect()
}

fn compare(old: &Contents, new: &Contents) -> Report {
    let (old_named, mut new_named) = (named(old), named(new));
    let (mut items, mut kept) = (Vec::new(), 0);
    for ((kind, name), was) in old_named {
        let is = new_named.remove(&(kind, name.clone()));
        let change = match &is {
            Some(is) if *is == was => {
                kept += 1;
                continue;
            }
            Some(_) => Change::Changed,
            None => Change::Removed,
        };
        items.push(Item { change, kind, name, old: Some(was), new: is });
    }
    let added = |((kind, name), is)| Item { change: Change::Added, kind, name, old: None, new: Some(is) };
    items.extend(new_named.into_iter().map(added));
    items.sort_by(|a, b| (a.kind, &a.name).cmp(&(b.kind, &b.name)));
    let (old_blobs, new_blobs) = (blobs(old), blobs(new));
    let only = |these: &BTreeMap<Digest, u64>, those: &BTreeMap<Digest, u64>| -> u64 {
        these.iter().filter(|(digest, _)| !those.contains_key(digest)).map(|(_, size)| size).sum()
    };
    let bytes_added = only(&new_blobs, &old_blobs);
    Report {
        version: 1,
        identical: old.identity == new.identity,
        items,
        kept,
        bytes_added,
        bytes_removed: only(&old_blobs, &new_blobs),
        bytes_kept: new_blobs.values().sum::<u64>() - bytes_added,
    }
}
