//! From the tree to the model, telling every mistake.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::paths::{self, Folder};
use super::{API_VERSION, Distribution, FileSource, IgnoredImage, Layer, Pack, Position, Profile};
use crate::oci::{Digest, Platform, Reference};
use crate::problem::Report;
use crate::yaml::{Fields, Node};

pub(super) const DOCUMENT: &[&str] = &["apiVersion", "kind", "metadata", "spec"];
pub(super) const METADATA: &[&str] = &["name", "version", "description"];
pub(super) const SPEC: &[&str] = &["platforms", "packs", "ignoreImages"];
pub(super) const PACK: &[&str] =
    &["name", "layer", "version", "distribution", "files", "imageLists", "images", "manifests"];
pub(super) const FILE: &[&str] = &["source", "sha256", "platform", "path", "mode", "owner"];
pub(super) const IGNORED: &[&str] = &["image", "reason"];

const NOT_YET_SPEC: &[(&str, &str)] = &[("variables", "spec.variables"), ("requirements", "spec.requirements")];
const NOT_YET_PACK: &[(&str, &str)] = &[
    ("chart", "packs[].chart"),
    ("charts", "packs[].charts"),
    ("config", "packs[].config"),
    ("source", "packs[].source"),
];
const NOT_YET_FILE: &[(&str, &str)] = &[("extract", "files[].extract"), ("symlink", "files[].symlink")];
const NOT_YET_DISTRIBUTIONS: &[&str] = &["kubeadm", "canonical"];

const DEFAULT_MODE: u32 = 0o644;

/// What is known while a profile is read.
struct Decoder<'r> {
    report: &'r mut Report,
    folder: Folder,
    platforms: Vec<Platform>,
    layers: HashMap<Layer, (String, usize)>,
    names: HashMap<String, usize>,
    host_paths: Vec<(String, Option<Platform>, usize)>,
}

/// The profile of `document`, or nothing where a part without which there is none is wrong. Both ways, `report` has all
/// mistakes.
pub(super) fn decode(file: &Path, document: &Node, report: &mut Report) -> Option<Profile> {
    let fields = Fields::open(document, "a profile", DOCUMENT, &[], report)?;
    if !check_kind(fields, report) {
        return None;
    }
    let metadata = fields
        .required("metadata", report)
        .and_then(|node| Fields::open(node, "`metadata`", METADATA, &[], report))
        .map(|metadata| {
            let name = metadata.required_text("name", report).map(str::to_owned);
            if let Some(name) = &name {
                check_label(name, "`metadata.name`", metadata.value_at("name"), report);
            }
            let version = semantic_version(metadata, report);
            let description = metadata.optional_text("description", report).unwrap_or_default().to_owned();
            (name, version, description)
        });
    let spec = fields.required("spec", report)?;
    let spec = Fields::open(spec, "`spec`", SPEC, NOT_YET_SPEC, report)?;
    let folder = match Folder::of(file) {
        Ok(folder) => folder,
        Err(error) => {
            report.add(Position::START, format!("the profile's folder cannot be read: {error}"));
            return None;
        }
    };
    let platforms = platforms(spec, report);
    let mut decoder =
        Decoder { report, folder, platforms, layers: HashMap::new(), names: HashMap::new(), host_paths: Vec::new() };
    let packs = decoder.packs(spec);
    let Decoder { platforms, .. } = decoder;
    let ignore_images = ignored(spec, report);
    let (name, version, description) = metadata?;
    Some(Profile {
        file: file.to_owned(),
        name: name?,
        version: version?,
        description,
        platforms,
        packs,
        ignore_images,
    })
}

/// Whether this is a cluster profile at all; the fields of anything else would only be noise.
fn check_kind(fields: Fields<'_>, report: &mut Report) -> bool {
    let mut right = true;
    if let Some(version) = fields.required_text("apiVersion", report).filter(|version| *version != API_VERSION) {
        let message = format!("`apiVersion` is {version:?}; this version of Carrack reads `{API_VERSION}`");
        report.add(fields.value_at("apiVersion"), message);
        right = false;
    }
    match fields.required_text("kind", report) {
        None | Some("ClusterProfile") => {}
        Some("Site") => {
            report.add(fields.value_at("kind"), "kind `Site` is not supported by this version of Carrack yet");
            right = false;
        }
        Some(kind) => {
            report.add(fields.value_at("kind"), format!("`kind` is {kind:?}, expected `ClusterProfile`"));
            right = false;
        }
    }
    right
}

fn semantic_version(metadata: Fields<'_>, report: &mut Report) -> Option<semver::Version> {
    let text = metadata.required_text("version", report)?;
    match semver::Version::parse(text) {
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

fn ignored(spec: Fields<'_>, report: &mut Report) -> Vec<IgnoredImage> {
    let mut ignored: Vec<IgnoredImage> = Vec::new();
    for node in spec.list("ignoreImages", report) {
        let Some(fields) = Fields::open(node, "an item of `ignoreImages`", IGNORED, &[], report) else { continue };
        let image = fields.required_text("image", report);
        let reason = fields.required_text("reason", report);
        let (Some(image), Some(reason)) = (image, reason) else { continue };
        if ignored.iter().any(|other| other.image == image) {
            report.add(fields.value_at("image"), format!("image {image:?} is ignored twice"));
        }
        ignored.push(IgnoredImage { image: image.to_owned(), reason: reason.to_owned(), position: node.at });
    }
    ignored
}

impl Decoder<'_> {
    fn packs(&mut self, spec: Fields<'_>) -> Vec<Pack> {
        if spec.required("packs", self.report).is_some_and(|node| node.items().is_empty()) {
            self.report.add(spec.value_at("packs"), "`packs` is empty; a profile has at least one pack");
        }
        spec.list("packs", self.report).iter().filter_map(|node| self.pack(node)).collect()
    }

    fn pack(&mut self, node: &Node) -> Option<Pack> {
        let fields = Fields::open(node, "a pack", PACK, NOT_YET_PACK, self.report)?;
        let name = fields.required_text("name", self.report);
        if let Some(name) = name {
            let at = fields.value_at("name");
            check_label(name, "a pack's `name`", at, self.report);
            if let Some(line) = self.names.insert(name.to_owned(), at.line) {
                self.report.add(at, format!("pack {name:?} is already given in line {line}"));
            }
        }
        let name = name.unwrap_or("?");
        let layer = self.layer(fields, name);
        let version = fields.optional_text("version", self.report).map(str::to_owned);
        let distribution = self.distribution(fields, layer);
        let files = fields.list("files", self.report).iter().filter_map(|node| self.file(node)).collect();
        let image_lists = self.image_lists(fields);
        let images = self.images(fields);
        let manifests = self.manifests(fields);
        let layer = layer?;
        Some(Pack { name: name.to_owned(), layer, version, distribution, files, image_lists, images, manifests })
    }

    fn layer(&mut self, fields: Fields<'_>, pack: &str) -> Option<Layer> {
        let text = fields.required_text("layer", self.report)?;
        let at = fields.value_at("layer");
        let Some(layer) = find(Layer::WORDS, text) else {
            self.report.add(at, format!("`layer` is {text:?}, expected {}", one_of(Layer::WORDS)));
            return None;
        };
        if layer != Layer::Addon {
            if let Some((first, line)) = self.layers.get(&layer) {
                let message = format!("a second pack on layer `{layer}`: {first:?} in line {line} already is that one");
                self.report.add(at, message);
            } else {
                self.layers.insert(layer, (pack.to_owned(), at.line));
            }
        }
        Some(layer)
    }

    fn distribution(&mut self, fields: Fields<'_>, layer: Option<Layer>) -> Option<Distribution> {
        let text = fields.optional_text("distribution", self.report)?;
        let at = fields.value_at("distribution");
        if let Some(layer) = layer.filter(|layer| *layer != Layer::K8s) {
            let message = format!("`distribution` belongs to a pack on layer `k8s`, this one is on `{layer}`");
            self.report.add(fields.key_at("distribution"), message);
        }
        let distribution = find(Distribution::WORDS, text);
        if NOT_YET_DISTRIBUTIONS.contains(&text) {
            let message = format!("distribution `{text}` is not supported by this version of Carrack yet");
            self.report.add(at, message);
        } else if distribution.is_none() {
            let message = format!("`distribution` is {text:?}, expected {}", one_of(Distribution::WORDS));
            self.report.add(at, message);
        }
        distribution
    }

    fn file(&mut self, node: &Node) -> Option<FileSource> {
        let fields = Fields::open(node, "an item of `files`", FILE, NOT_YET_FILE, self.report)?;
        let source = fields.required_text("source", self.report);
        let source = source.and_then(|text| self.told(self.folder.file(text), fields.value_at("source")));
        let sha256 = self.sha256(fields, source.as_deref());
        let platform = self.platform(fields);
        let path = self.host_path(fields, platform.as_ref());
        let mode = self.mode(fields);
        let owner = fields.optional_text("owner", self.report);
        if let Some(owner) = owner.filter(|owner| !is_owner(owner)) {
            let message = format!("`owner` is {owner:?}, expected USER or USER:GROUP, names or numbers");
            self.report.add(fields.value_at("owner"), message);
        }
        let owner = owner.map(str::to_owned);
        Some(FileSource { source: source?, sha256, platform, path: path?, mode: mode?, owner })
    }

    fn sha256(&mut self, fields: Fields<'_>, source: Option<&Path>) -> Option<Digest> {
        let text = fields.optional_text("sha256", self.report)?;
        let at = fields.value_at("sha256");
        let Ok(wanted) = Digest::from_hex(text) else {
            self.report.add(at, format!("`sha256` is {text:?}, expected 64 lowercase hexadecimal digits"));
            return None;
        };
        let source = source?;
        match paths::digest_of(source) {
            Ok(found) if found == wanted => {}
            Ok(found) => {
                let message = format!("{} hashes to {}, not to what `sha256` says", source.display(), found.hex());
                self.report.add(at, message);
            }
            Err(error) => self.report.add(at, format!("{} cannot be read: {error}", source.display())),
        }
        Some(wanted)
    }

    fn platform(&mut self, fields: Fields<'_>) -> Option<Platform> {
        let text = fields.optional_text("platform", self.report)?;
        let at = fields.value_at("platform");
        let platform: Platform = self.told(text.parse().map_err(|error| format!("{error}")), at)?;
        if !self.platforms.iter().any(|wanted| platform.satisfies(wanted)) {
            self.report.add(at, format!("platform {platform} is not one of `spec.platforms`"));
        }
        Some(platform)
    }

    /// The path on the host, which no other file of the same platform may have or lie under.
    fn host_path(&mut self, fields: Fields<'_>, platform: Option<&Platform>) -> Option<String> {
        let path = fields.required_text("path", self.report)?;
        let at = fields.value_at("path");
        self.told(paths::check_host_path(path), at)?;
        for (other, other_platform, line) in &self.host_paths {
            let meet = match (platform, other_platform) {
                (Some(one), Some(other)) => one.satisfies(other),
                _ => true,
            };
            if let Some(message) = clash(path, other, *line).filter(|_| meet) {
                self.report.add(at, message);
            }
        }
        self.host_paths.push((path.to_owned(), platform.cloned(), at.line));
        Some(path.to_owned())
    }

    fn mode(&mut self, fields: Fields<'_>) -> Option<u32> {
        let Some(node) = fields.optional("mode", self.report) else { return Some(DEFAULT_MODE) };
        let text = fields.optional_text("mode", self.report)?;
        let octal = matches!(text.len(), 3 | 4) && text.bytes().all(|b| matches!(b, b'0'..=b'7'));
        match u32::from_str_radix(text, 8) {
            Ok(mode) if octal => Some(mode),
            _ => {
                self.report.add(node.at, format!("`mode` is {text:?}, expected octal digits such as \"0755\""));
                None
            }
        }
    }

    fn image_lists(&mut self, fields: Fields<'_>) -> Vec<PathBuf> {
        let texts = fields.texts("imageLists", self.report);
        texts.into_iter().filter_map(|(text, node)| self.told(self.folder.file(text), node.at)).collect()
    }

    fn images(&mut self, fields: Fields<'_>) -> Vec<(Reference, Position)> {
        let texts = fields.texts("images", self.report);
        let parsed = texts.into_iter().filter_map(|(text, node)| {
            let reference: Result<Reference, _> = text.parse();
            Some((self.told(reference.map_err(|error| with_cause(&error)), node.at)?, node.at))
        });
        parsed.collect()
    }

    /// The matched files in the order of the globs. Their names must differ: a pack's manifests lie in one folder later.
    fn manifests(&mut self, fields: Fields<'_>) -> Vec<PathBuf> {
        let mut found: Vec<PathBuf> = Vec::new();
        for (pattern, node) in fields.texts("manifests", self.report) {
            for path in self.told(self.folder.glob(pattern), node.at).unwrap_or_default() {
                if found.contains(&path) {
                    continue;
                }
                if let Some(other) = found.iter().find(|other| other.file_name() == path.file_name()) {
                    let message = format!(
                        "{} has the file name of {}; a pack's manifests need different names",
                        path.display(),
                        other.display()
                    );
                    self.report.add(node.at, message);
                }
                found.push(path);
            }
        }
        found
    }

    /// The value, or nothing after reporting what is wrong with it.
    fn told<T>(&mut self, result: Result<T, String>, at: Position) -> Option<T> {
        result.map_err(|message| self.report.add(at, message)).ok()
    }
}

/// Why a file at `path` and one at `other` cannot both be on a host.
fn clash(path: &str, other: &str, line: usize) -> Option<String> {
    let under = |inner: &str, outer: &str| inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with('/'));
    if path == other {
        Some(format!("host path {path} is already given in line {line}"))
    } else if under(path, other) || under(other, path) {
        Some(format!("host path {path} cannot be there with {other} of line {line}: one would be file and folder"))
    } else {
        None
    }
}

/// An error and its causes in one line.
pub(crate) fn with_cause(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

fn find<T: Copy>(words: &[(&str, T)], text: &str) -> Option<T> {
    words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value)
}

fn one_of<T>(words: &[(&str, T)]) -> String {
    words.iter().map(|(word, _)| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

/// RFC 1123 label as Kubernetes has it: up to 63 lowercase letters, digits and `-`, not at the ends.
fn check_label(text: &str, what: &str, at: Position, report: &mut Report) {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if text.len() > 63 || !text.bytes().all(inner) || text.starts_with('-') || text.ends_with('-') {
        let message = format!("{what} is {text:?}, expected up to 63 lowercase letters, digits and inner `-`");
        report.add(at, message);
    }
}

fn is_owner(text: &str) -> bool {
    let name = |part: &str| {
        let first = part.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_');
        first && part.len() <= 32 && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
    };
    text.split_once(':').map_or_else(|| name(text), |(user, group)| name(user) && name(group))
}
