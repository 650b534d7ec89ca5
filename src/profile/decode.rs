//! From the tree to the model, telling every mistake.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::paths::Folder;
use super::{API_VERSION, Distribution, IgnoredImage, Layer, Pack, Position, Profile};
use crate::io::with_causes;
use crate::oci::{Platform, Reference};
use crate::problem::Report;
use crate::yaml::{Fields, Node};

pub(super) const DOCUMENT: &[&str] = &["apiVersion", "kind", "metadata", "spec"];
pub(super) const METADATA: &[&str] = &["name", "version", "description"];
pub(super) const SPEC: &[&str] = &["platforms", "packs", "ignoreImages"];
pub(super) const PACK: &[&str] =
    &["name", "layer", "version", "distribution", "files", "imageLists", "images", "manifests"];
pub(super) const IGNORED: &[&str] = &["image", "reason"];

const NOT_YET_SPEC: &[(&str, &str)] = &[("variables", "spec.variables"), ("requirements", "spec.requirements")];
const NOT_YET_PACK: &[(&str, &str)] = &[
    ("chart", "packs[].chart"),
    ("charts", "packs[].charts"),
    ("config", "packs[].config"),
    ("source", "packs[].source"),
];
const NOT_YET_DISTRIBUTIONS: &[&str] = &["kubeadm", "canonical"];

/// What is known while a profile is read.
pub(super) struct Decoder<'r> {
    pub(super) report: &'r mut Report,
    pub(super) folder: Folder,
    pub(super) platforms: Vec<Platform>,
    pub(super) host_paths: Vec<(String, Option<Platform>, usize)>,
    layers: HashMap<Layer, (String, usize)>,
    names: HashMap<String, usize>,
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

    fn image_lists(&mut self, fields: Fields<'_>) -> Vec<PathBuf> {
        let texts = fields.texts("imageLists", self.report);
        texts.into_iter().filter_map(|(text, node)| self.told(self.folder.file(text), node.at)).collect()
    }

    fn images(&mut self, fields: Fields<'_>) -> Vec<(Reference, Position)> {
        let texts = fields.texts("images", self.report);
        let parsed = texts.into_iter().filter_map(|(text, node)| {
            let reference: Result<Reference, _> = text.parse();
            Some((self.told(reference.map_err(|error| with_causes(&error)), node.at)?, node.at))
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
    pub(super) fn told<T>(&mut self, result: Result<T, String>, at: Position) -> Option<T> {
        result.map_err(|message| self.report.add(at, message)).ok()
    }
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
