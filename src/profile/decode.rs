//! From the tree to the model, telling every mistake: the documents, and what they have in common.

use std::path::Path;

use super::load::Document;
use super::packs::{Decoder, Known};
use super::paths::Folder;
use super::{API_VERSION, IgnoredImage, Layer, Pack, Position, Profile, ready, requirements};
use crate::oci::Platform;
use crate::problem::Report;
use crate::text::{self, LONGEST_VERSION};
use crate::variables::{self, Variable};
use crate::yaml::Fields;

pub(super) const DOCUMENT: &[&str] = &["apiVersion", "kind", "metadata", "spec"];
pub(super) const METADATA: &[&str] = &["name", "version", "description"];
pub(super) const SPEC: &[&str] =
    &["platforms", "kubernetesVersion", "variables", "requirements", "ready", "packs", "ignoreImages"];
pub(super) const IGNORED: &[&str] = &["image", "reason"];

/// The profile of `document`, or nothing where a part without which there is none is wrong. Both ways, `report` has all
/// mistakes of the profile itself, and `known` those of the documents of its packs.
pub(super) fn decode(
    file: &Path,
    Document { protected, node }: &Document,
    known: &mut Known<'_>,
    report: &mut Report,
) -> Option<Profile> {
    let fields = Fields::open(node, "a profile", DOCUMENT, &[], report)?;
    if !check_kind(fields, "ClusterProfile", report) {
        return None;
    }
    let metadata =
        fields.required("metadata", report).and_then(|node| Fields::open(node, "`metadata`", METADATA, &[], report));
    let metadata = metadata.map(|metadata| {
        let name = name_of(metadata, report);
        let version = semantic_version(metadata, report);
        let description = description(metadata, report);
        (name, version, description)
    });
    let spec = fields.required("spec", report)?;
    let spec = Fields::open(spec, "`spec`", SPEC, &[], report)?;
    let folder = match Folder::of(file) {
        Ok(folder) => folder,
        Err(error) => {
            report.add(Position::START, format!("the profile's folder cannot be read: {error}"));
            return None;
        }
    };
    known.platforms = platforms(spec, report);
    known.variables = variables(spec, report).into_iter().map(|variable| (variable, file.to_owned())).collect();
    known.ignored = ignored(spec, file, report);
    let requirements = requirements::decode(spec, report);
    let ready = ready::decode(spec, report);
    let packs = Decoder { file, protected, folder, report, known }.packs(spec);
    let kubernetes_version = kubernetes_version(spec, &packs, report);
    let (name, version, description) = metadata?;
    Some(Profile {
        file: file.to_owned(),
        name: name?,
        version: version?,
        description,
        platforms: std::mem::take(&mut known.platforms),
        variables: std::mem::take(&mut known.variables).into_iter().map(|(variable, _)| variable).collect(),
        kubernetes_version,
        requirements,
        ready,
        packs,
        ignore_images: std::mem::take(&mut known.ignored),
    })
}

/// `description` of a document's metadata, in one line.
pub(super) fn description(metadata: Fields<'_>, report: &mut Report) -> String {
    let description = text::folded(metadata.optional_text("description", report).unwrap_or_default());
    if let Err(reason) = text::check(&description) {
        report.add(metadata.value_at("description"), format!("`description` {reason}"));
    }
    description
}

/// `name` of a document's metadata.
pub(super) fn name_of(metadata: Fields<'_>, report: &mut Report) -> Option<String> {
    let name = metadata.required_text("name", report)?;
    check_label(name, "`metadata.name`", metadata.value_at("name"), report);
    Some(name.to_owned())
}

/// Whether this is a document of `kind` at all; the fields of anything else would only be noise.
pub(super) fn check_kind(fields: Fields<'_>, kind: &str, report: &mut Report) -> bool {
    let mut right = true;
    if let Some(version) = fields.required_text("apiVersion", report).filter(|version| *version != API_VERSION) {
        let message = format!("`apiVersion` is {version:?}; this version of Carrack reads `{API_VERSION}`");
        report.add(fields.value_at("apiVersion"), message);
        right = false;
    }
    if let Some(other) = fields.required_text("kind", report).filter(|other| *other != kind) {
        let hint = match other {
            "Site" => "; a site file is for carrack-install, with --site",
            "Pack" => "; a pack is named by a profile, as its `source`",
            _ => "",
        };
        report.add(fields.value_at("kind"), format!("`kind` is {other:?}, expected `{kind}`{hint}"));
        right = false;
    }
    right
}

/// The variables that a document declares.
pub(super) fn variables(spec: Fields<'_>, report: &mut Report) -> Vec<Variable> {
    let mut declared: Vec<Variable> = Vec::new();
    for node in spec.list("variables", report) {
        let Some(variable) = variables::decode(node, report) else { continue };
        if declared.iter().any(|other| other.name == variable.name) {
            report.add(node.at, format!("variable {:?} is declared twice", variable.name));
        } else {
            declared.push(variable);
        }
    }
    declared
}

fn semantic_version(metadata: Fields<'_>, report: &mut Report) -> Option<semver::Version> {
    let text = metadata.required_text("version", report)?;
    match semver::Version::parse(text) {
        Ok(_) if text.len() > LONGEST_VERSION => {
            let message = format!("`metadata.version` has {} characters, at most {LONGEST_VERSION}", text.len());
            report.add(metadata.value_at("version"), message);
            None
        }
        Ok(version) => Some(version),
        Err(error) => {
            let message = format!("`metadata.version` {text:?} is not a semantic version such as 1.4.0: {error}");
            report.add(metadata.value_at("version"), message);
            None
        }
    }
}

fn platforms(spec: Fields<'_>, report: &mut Report) -> Vec<Platform> {
    let mut platforms: Vec<Platform> = Vec::new();
    for (text, node) in spec.texts("platforms", report) {
        match text.parse::<Platform>() {
            Err(error) => report.add(node.at, error.to_string()),
            Ok(platform) if platform.os != "linux" => {
                report.add(node.at, format!("platform {platform} is not supported: nodes run linux"));
            }
            Ok(platform) if platforms.contains(&platform) => {
                report.add(node.at, format!("platform {platform} is listed twice"));
            }
            Ok(platform) => platforms.push(platform),
        }
    }
    if platforms.is_empty() {
        if spec.optional("platforms", report).is_some_and(|node| node.items().is_empty()) {
            report.add(spec.value_at("platforms"), "`platforms` is empty; leave it out for linux/amd64");
        }
        platforms.push(Platform::new("linux", "amd64"));
    }
    platforms
}

/// The version of Kubernetes that the profile says, which a pack on layer `k8s` may not contradict.
fn kubernetes_version(spec: Fields<'_>, packs: &[Pack], report: &mut Report) -> Option<semver::Version> {
    let text = spec.optional_text("kubernetesVersion", report)?;
    let at = spec.value_at("kubernetesVersion");
    let Ok(version) = semver::Version::parse(text.trim_start_matches('v')) else {
        report.add(at, format!("`kubernetesVersion` is {text:?}, expected a version such as 1.33.4"));
        return None;
    };
    let numbers = |version: &semver::Version| (version.major, version.minor, version.patch);
    if let Some(pack) = packs.iter().find(|pack| pack.layer == Layer::K8s)
        && let Some(other) = pack.kubernetes_version().filter(|other| numbers(other) != numbers(&version))
    {
        report.add(at, format!("`kubernetesVersion` is {text:?}, and pack {} is version {other}", pack.name));
    }
    Some(version)
}

/// What a document says is no image.
pub(super) fn ignored(spec: Fields<'_>, file: &Path, report: &mut Report) -> Vec<IgnoredImage> {
    let mut ignored: Vec<IgnoredImage> = Vec::new();
    for node in spec.list("ignoreImages", report) {
        let Some(fields) = Fields::open(node, "an item of `ignoreImages`", IGNORED, &[], report) else { continue };
        let image = fields.required_text("image", report);
        let reason = fields.required_text("reason", report);
        let (Some(image), Some(reason)) = (image, reason) else { continue };
        for (name, text) in [("image", image), ("reason", reason)] {
            if let Err(reason) = text::check(&text::folded(text)) {
                report.add(fields.value_at(name), format!("`{name}` {reason}"));
            }
        }
        if ignored.iter().any(|other| other.image == image) {
            report.add(fields.value_at("image"), format!("image {image:?} is ignored twice"));
        }
        ignored.push(IgnoredImage {
            image: image.to_owned(),
            reason: reason.to_owned(),
            file: file.to_owned(),
            position: node.at,
        });
    }
    ignored
}

pub(super) fn find<T: Copy>(words: &[(&str, T)], text: &str) -> Option<T> {
    words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value)
}

pub(super) fn one_of<T>(words: &[(&str, T)]) -> String {
    words.iter().map(|(word, _)| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

/// RFC 1123 label as Kubernetes has it: up to 63 lowercase letters, digits and `-`, not at the ends.
pub(super) fn check_label(text: &str, what: &str, at: Position, report: &mut Report) {
    if !text::is_label(text) {
        let message = format!("{what} is {text:?}, expected up to 63 lowercase letters, digits and inner `-`");
        report.add(at, message);
    }
}
