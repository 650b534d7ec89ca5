//! `carrack inspect`: what is inside a bundle, from its head alone.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::Serialize;

use crate::bundle::{BundledImage, ChartFile, Contents};
use crate::cli::identity::IdentityArgs;
use crate::cli::ui::{bytes, counted};
use crate::cli::{CliError, Ui};
use crate::oci::{Digest, Platform};
use crate::variables::Variable;

/// Show what is inside a bundle
///
/// Reads the head of the bundle, which takes milliseconds whatever its size, and checks that alone; `carrack verify`
/// checks everything.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The bundle
    bundle: PathBuf,
    #[command(flatten)]
    identity: IdentityArgs,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report<'a> {
    version: u32,
    identity: Digest,
    name: &'a str,
    profile_version: &'a str,
    description: &'a str,
    created: &'a Option<String>,
    platforms: &'a [Platform],
    images: Vec<ImageReport>,
    files: Vec<FileReport<'a>>,
    manifests: Vec<ManifestReport<'a>>,
    charts: Vec<ChartReport<'a>>,
    /// The pack whose configuration is for the distribution.
    #[serde(skip_serializing_if = "Option::is_none")]
    config: Option<&'a str>,
    /// What differs from site to site.
    variables: &'a [Variable],
    /// Bytes of all blobs that images, files, manifests and charts need, each counted once.
    bytes: u64,
}

#[derive(Serialize)]
struct ImageReport {
    reference: String,
    digest: Digest,
    present: bool,
    platforms: Vec<String>,
    bytes: u64,
}

#[derive(Serialize)]
struct FileReport<'a> {
    pack: &'a str,
    path: &'a str,
    mode: String,
    digest: Digest,
    bytes: u64,
}

#[derive(Serialize)]
struct ManifestReport<'a> {
    pack: &'a str,
    name: &'a str,
    digest: Digest,
    bytes: u64,
}

#[derive(Serialize)]
struct ChartReport<'a> {
    pack: &'a str,
    release: &'a str,
    namespace: &'a str,
    name: &'a str,
    version: &'a str,
    digest: Digest,
    bytes: u64,
}

pub(super) fn run(args: &Args, ui: &Ui) -> Result<(), CliError> {
    let bundle = args.identity.open(&args.bundle)?;
    let contents = bundle.contents();
    let report = Report {
        version: 1,
        identity: contents.identity,
        name: &contents.profile.name,
        profile_version: &contents.profile.version,
        description: &contents.profile.description,
        created: &contents.created,
        platforms: &contents.profile.platforms,
        images: contents.images.iter().map(image_report).collect(),
        files: contents.files.iter().map(file_report).collect(),
        manifests: contents.manifests.iter().map(manifest_report).collect(),
        charts: contents.charts.iter().map(chart_report).collect(),
        config: contents.config.as_ref().map(|config| config.pack.as_str()),
        variables: &contents.profile.variables,
        bytes: total_bytes(contents),
    };
    if ui.wants_json() {
        return ui.json(&report);
    }
    ui.listing(&text(&report));
    Ok(())
}

/// Size of every blob by digest that the image's manifests name, themselves included.
pub(super) fn image_blobs(image: &BundledImage) -> BTreeMap<Digest, u64> {
    let indexes = image.indexes.iter().map(|index| (index.blob.digest, index.blob.size));
    let manifests = image.manifests.iter().flat_map(|manifest| {
        [&manifest.manifest, &manifest.config]
            .into_iter()
            .chain(manifest.layers.iter())
            .map(|blob| (blob.digest, blob.size))
    });
    indexes.chain(manifests).collect()
}

fn total_bytes(contents: &Contents) -> u64 {
    let own = contents.profile_blobs().map(|blob| (blob.digest, blob.size));
    own.chain(contents.images.iter().flat_map(image_blobs)).collect::<BTreeMap<_, _>>().values().sum()
}

fn image_report(image: &BundledImage) -> ImageReport {
    let platforms: BTreeSet<String> =
        image.manifests.iter().filter_map(|manifest| manifest.platform.as_ref()).map(ToString::to_string).collect();
    ImageReport {
        reference: image.reference.to_string(),
        digest: image.target.digest,
        present: !image.is_absent(),
        platforms: platforms.into_iter().collect(),
        bytes: image_blobs(image).values().sum(),
    }
}

fn file_report(file: &crate::bundle::HostFile) -> FileReport<'_> {
    FileReport {
        pack: &file.pack,
        path: &file.path,
        mode: format!("{:04o}", file.mode),
        digest: file.blob.digest,
        bytes: file.blob.size,
    }
}

fn manifest_report(file: &crate::bundle::ManifestFile) -> ManifestReport<'_> {
    ManifestReport { pack: &file.pack, name: &file.name, digest: file.blob.digest, bytes: file.blob.size }
}

fn chart_report(chart: &ChartFile) -> ChartReport<'_> {
    ChartReport {
        pack: &chart.pack,
        release: &chart.release,
        namespace: &chart.namespace,
        name: &chart.name,
        version: &chart.version,
        digest: chart.blob.digest,
        bytes: chart.blob.size,
    }
}

fn variable_line(variable: &Variable) -> String {
    let Variable { name, description, .. } = variable;
    let default = variable.default.as_ref().map(|default| format!(", default {}", variable.shown(default)));
    let needed = if variable.required { ", required" } else { "" };
    let what = if description.is_empty() { String::new() } else { format!(" ({description})") };
    format!("  {name}: {}{}{needed}{what}", variable.expected(), default.unwrap_or_default())
}

fn text(report: &Report<'_>) -> String {
    let platforms: Vec<String> = report.platforms.iter().map(Platform::to_string).collect();
    let mut lines = vec![format!("{} {} ({})", report.name, report.profile_version, platforms.join(", "))];
    lines.extend((!report.description.is_empty()).then(|| report.description.to_owned()));
    lines.push(format!("identity {}", report.identity));
    lines.extend(report.created.iter().map(|created| format!("created {created}")));
    lines.push(format!(
        "\n{}, {} with files, manifests and charts",
        counted(report.images.len(), "image"),
        bytes(report.bytes)
    ));
    for image in &report.images {
        let size = if image.present { bytes(image.bytes) } else { "absent".to_owned() };
        lines.push(format!("  {} {} {size}", image.reference, image.digest));
    }
    if !report.files.is_empty() {
        lines.push(format!("\n{}", counted(report.files.len(), "host file")));
        lines.extend(report.files.iter().map(|f| format!("  {} {} {} ({})", f.path, f.mode, bytes(f.bytes), f.pack)));
    }
    if !report.manifests.is_empty() {
        lines.push(format!("\n{}", counted(report.manifests.len(), "manifest file")));
        lines.extend(report.manifests.iter().map(|m| format!("  {}/{} {}", m.pack, m.name, bytes(m.bytes))));
    }
    if !report.charts.is_empty() {
        lines.push(format!("\n{}", counted(report.charts.len(), "chart")));
        let line = |c: &ChartReport<'_>| {
            format!("  {}/{} {} {} in {} {}", c.pack, c.release, c.name, c.version, c.namespace, bytes(c.bytes))
        };
        lines.extend(report.charts.iter().map(line));
    }
    lines.extend(report.config.map(|pack| format!("\nconfiguration of {pack}")));
    if !report.variables.is_empty() {
        lines.push(format!("\n{}", counted(report.variables.len(), "variable")));
        lines.extend(report.variables.iter().map(variable_line));
    }
    lines.join("\n")
}
