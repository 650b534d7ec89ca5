//! Packs: in a profile, or in a document of their own that a profile names.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::decode::{check_kind, check_label, find, ignored, name_of, one_of, variables};
use super::options;
use super::paths::Folder;
use super::{
    Dependency, Distribution, IgnoredImage, Layer, ListedImage, Origin, PACK_FILE_NAME, Pack, Packs, Position,
    Template, config_paths, constraints, decode, load, load::Document, requirements,
};
use crate::io::with_causes;
use crate::oci::{Platform, Reference};
use crate::problem::{Problem, Problems, Report};
use crate::text::{self, UNITS, is_unit};
use crate::variables::Variable;
use crate::variables::template::Protected;
use crate::yaml::{self, Fields, Node, Value};

pub(super) const PACK: &[&str] = &[
    "name",
    "layer",
    "version",
    "distribution",
    "dependsOn",
    "requirements",
    "upgradeFrom",
    "apiVersions",
    "config",
    "files",
    "services",
    "platforms",
    "imageLists",
    "images",
    "manifests",
    "chart",
    "charts",
];
pub(super) const SOURCED: &[&str] = &["name", "source", "version", "platforms", "values"];
pub(super) const PACK_METADATA: &[&str] = &["name", "version", "description"];
pub(super) const PACK_SPEC: &[&str] = &[
    "layer",
    "distribution",
    "variables",
    "dependsOn",
    "requirements",
    "upgradeFrom",
    "apiVersions",
    "config",
    "files",
    "services",
    "platforms",
    "imageLists",
    "images",
    "manifests",
    "chart",
    "charts",
    "ignoreImages",
];
pub(super) const LISTED_IMAGE: &[&str] = &["image", "platforms"];
pub(super) const DEPENDENCY: &[&str] = &["pack", "version"];
/// A line of a document.
pub(super) type Place = (PathBuf, usize);

/// What is known of all documents of a profile while they are read.
pub(super) struct Known<'p> {
    pub(super) fetched: &'p Packs,
    /// Packs of registries that are not there yet.
    pub(super) needs: Vec<Reference>,
    /// Mistakes in the documents of packs.
    pub(super) problems: Vec<Problem>,
    pub(super) platforms: Vec<Platform>,
    /// Each with the document that declares it.
    pub(super) variables: Vec<(Variable, PathBuf)>,
    pub(super) ignored: Vec<IgnoredImage>,
    /// Paths of host files, each with the place that has it first.
    pub(super) host_paths: Vec<(String, Option<Platform>, Place)>,
    layers: HashMap<Layer, (String, Place)>,
    names: HashMap<String, usize>,
}

impl<'p> Known<'p> {
    pub(super) fn new(fetched: &'p Packs) -> Self {
        Self {
            fetched,
            needs: Vec::new(),
            problems: Vec::new(),
            platforms: Vec::new(),
            variables: Vec::new(),
            ignored: Vec::new(),
            host_paths: Vec::new(),
            layers: HashMap::new(),
            names: HashMap::new(),
        }
    }
}

/// One document on its way to the model.
pub(super) struct Decoder<'d, 'p> {
    pub(super) file: &'d Path,
    pub(super) protected: &'d Protected,
    pub(super) folder: Folder,
    pub(super) report: &'d mut Report,
    pub(super) known: &'d mut Known<'p>,
}

impl Decoder<'_, '_> {
    /// The packs of a profile.
    pub(super) fn packs(&mut self, spec: Fields<'_>) -> Vec<Pack> {
        if spec.required("packs", self.report).is_some_and(|node| node.items().is_empty()) {
            self.report.add(spec.value_at("packs"), "`packs` is empty; a profile has at least one pack");
        }
        spec.list("packs", self.report).iter().filter_map(|node| self.pack(node)).collect()
    }

    fn pack(&mut self, node: &Node) -> Option<Pack> {
        if node.get("source").is_some() {
            return self.sourced(node);
        }
        let fields = Fields::open(node, "a pack", PACK, &[], self.report)?;
        let name = self.pack_name(fields);
        let version = fields.optional_text("version", self.report).map(str::to_owned);
        self.check_text(version.as_deref(), fields, "version");
        self.content(fields, name.as_deref().unwrap_or("?"), version, Origin::Profile)
    }

    fn pack_name(&mut self, fields: Fields<'_>) -> Option<String> {
        let name = fields.required_text("name", self.report)?;
        let at = fields.value_at("name");
        check_label(name, "a pack's `name`", at, self.report);
        if let Some(line) = self.known.names.insert(name.to_owned(), at.line) {
            self.report.add(at, format!("pack {name:?} is already given in line {line}"));
        }
        Some(name.to_owned())
    }

    /// A pack that has a document of its own.
    fn sourced(&mut self, node: &Node) -> Option<Pack> {
        let fields = Fields::open(node, "a pack with a `source`", SOURCED, &[], self.report)?;
        let name = self.pack_name(fields);
        let version = fields.optional_text("version", self.report);
        let platforms = self.platforms(fields);
        let values = self.values(fields);
        let source = fields.required_text("source", self.report)?;
        let at = fields.value_at("source");
        let (file, origin) = self.pack_file(source, at)?;
        let mut pack = read_document(&file, name.as_deref(), origin, self.known)?;
        if let (Some(wanted), found) = (version, pack.version.as_deref().unwrap_or_default())
            && wanted != found
        {
            let message = format!("`version` is {wanted:?}, and {} has {found:?}", file.display());
            self.report.add(fields.value_at("version"), message);
        }
        if !platforms.is_empty() {
            pack.platforms = platforms;
        }
        match &mut pack.charts[..] {
            [chart] => chart.values.extend(values),
            charts if !values.is_empty() => {
                let message =
                    format!("`values` belong to a pack's only chart, and {} has {}", file.display(), charts.len());
                self.report.add(fields.key_at("values"), message);
            }
            _ => {}
        }
        Some(pack)
    }

    /// Where the document of a pack is. Nothing where it has to be brought first, or is not there.
    fn pack_file(&mut self, source: &str, at: Position) -> Option<(PathBuf, Origin)> {
        let Some(text) = source.strip_prefix("oci://") else {
            let folder = source.trim_end_matches('/');
            let file = self.told(self.folder.file(&format!("{folder}/{PACK_FILE_NAME}")), at)?;
            let origin = Origin::Folder(file.with_file_name(""));
            return Some((file, origin));
        };
        let reference = self.told(oci_reference(text), at)?;
        match self.known.fetched.get(&reference) {
            Some(folder) => Some((load::shown(folder, PACK_FILE_NAME), Origin::Oci(reference))),
            None => {
                self.known.needs.push(reference);
                None
            }
        }
    }

    /// What a pack has wherever it is written.
    fn content(&mut self, fields: Fields<'_>, name: &str, version: Option<String>, origin: Origin) -> Option<Pack> {
        let layer = self.layer(fields, name);
        let distribution = self.distribution(fields, layer);
        let upgrade_from = self.upgrade_from(fields, version.as_deref());
        let files = fields.list("files", self.report).iter().filter_map(|node| self.host_file(node)).collect();
        let (config, unsure) = self.config(fields, layer, distribution, version.as_deref());
        let pack = Pack {
            file: self.file.to_owned(),
            origin,
            name: name.to_owned(),
            // What is wrong with it is reported, and then there is no profile.
            layer: layer.unwrap_or(Layer::Addon),
            version,
            distribution,
            files,
            services: self.services(fields),
            image_lists: self.image_lists(fields),
            platforms: self.platforms(fields),
            images: self.images(fields),
            manifests: self.manifests(fields),
            charts: self.charts(fields),
            config,
            unsure,
            api_versions: self.api_versions(fields, layer),
            depends_on: self.depends_on(fields),
            requirements: requirements::decode(fields, self.report),
            upgrade_from,
        };
        layer.map(|_| pack)
    }

    fn layer(&mut self, fields: Fields<'_>, pack: &str) -> Option<Layer> {
        let text = fields.required_text("layer", self.report)?;
        let at = fields.value_at("layer");
        let Some(layer) = find(Layer::WORDS, text) else {
            self.report.add(at, format!("`layer` is {text:?}, expected {}", one_of(Layer::WORDS)));
            return None;
        };
        if layer != Layer::Addon {
            if let Some((first, place)) = self.known.layers.get(&layer) {
                let place = self.shown(place);
                let message = format!("a second pack on layer `{layer}`: {first:?} in {place} already is that one");
                self.report.add(at, message);
            } else {
                self.known.layers.insert(layer, (pack.to_owned(), (self.file.to_owned(), at.line)));
            }
        }
        Some(layer)
    }

    fn distribution(&mut self, fields: Fields<'_>, layer: Option<Layer>) -> Option<Distribution> {
        let text = fields.optional_text("distribution", self.report)?;
        let at = fields.value_at("distribution");
        self.only_on_k8s(fields, "distribution", layer);
        let distribution = find(Distribution::WORDS, text);
        if distribution.is_none() {
            let message = format!("`distribution` is {text:?}, expected {}", one_of(Distribution::WORDS));
            self.report.add(at, message);
        }
        distribution
    }

    fn only_on_k8s(&mut self, fields: Fields<'_>, field: &str, layer: Option<Layer>) {
        if let Some(layer) = layer.filter(|layer| *layer != Layer::K8s) {
            let message = format!("`{field}` belongs to a pack on layer `k8s`, this one is on `{layer}`");
            self.report.add(fields.key_at(field), message);
        }
    }

    fn config(
        &mut self,
        fields: Fields<'_>,
        layer: Option<Layer>,
        distribution: Option<Distribution>,
        version: Option<&str>,
    ) -> (Option<Template>, Vec<String>) {
        let Some(node) = fields.optional("config", self.report) else { return (None, Vec::new()) };
        self.only_on_k8s(fields, "config", layer);
        if matches!(distribution, None | Some(Distribution::None)) {
            let message = "`config` is the configuration of a `distribution`, and this pack names none that has one";
            self.report.add(fields.key_at("config"), message);
        }
        if !matches!(node.value, Value::Mapping(_)) {
            self.report.add(node.at, format!("`config` must be a mapping, found {}", node.describe()));
            return (None, Vec::new());
        }
        if let Some(distribution) = distribution {
            config_paths::check(node, distribution, self.protected, self.report);
        }
        let unsure = distribution.map(|distribution| options::check(distribution, version, node, self.report));
        (Some(self.inline(node)), unsure.unwrap_or_default())
    }

    /// A part of the document as YAML of its own, in which placeholders stand again.
    pub(super) fn inline(&self, node: &Node) -> Template {
        let text = yaml::to_text(node, |text| self.protected.is_placeholder(text));
        Template { file: self.file.to_owned(), inline: Some(node.at), text: self.protected.restore(&text).into_owned() }
    }

    fn api_versions(&mut self, fields: Fields<'_>, layer: Option<Layer>) -> Vec<String> {
        let texts = fields.texts("apiVersions", self.report);
        if !texts.is_empty() {
            self.only_on_k8s(fields, "apiVersions", layer);
        }
        let plain = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b"./-".contains(&b));
        let mut versions = Vec::new();
        for (text, node) in texts {
            if plain(text) && !text.starts_with(['-', '/']) {
                versions.push(text.to_owned());
            } else {
                self.report.add(node.at, format!("{text:?} is not `GROUP/VERSION` or `GROUP/VERSION/KIND`"));
            }
        }
        versions
    }

    fn services(&mut self, fields: Fields<'_>) -> Vec<String> {
        let mut units: Vec<String> = Vec::new();
        for (text, node) in fields.texts("services", self.report) {
            if !is_unit(text) {
                let endings = UNITS.join(", ");
                self.report.add(node.at, format!("{text:?} is not a systemd unit; the name of one ends in {endings}"));
            } else if units.iter().any(|unit| unit == text) {
                self.report.add(node.at, format!("{text:?} is in `services` twice"));
            } else {
                units.push(text.to_owned());
            }
        }
        units
    }

    fn depends_on(&mut self, fields: Fields<'_>) -> Vec<Dependency> {
        let mut dependencies = Vec::new();
        for node in fields.list("dependsOn", self.report) {
            let Some(fields) = Fields::open(node, "an item of `dependsOn`", DEPENDENCY, &[], self.report) else {
                continue;
            };
            let version = self.version_range(fields, "version");
            let pack = fields.required_text("pack", self.report).map(str::to_owned);
            self.check_text(pack.as_deref(), fields, "pack");
            dependencies.extend(pack.map(|pack| Dependency { pack, version, position: node.at }));
        }
        dependencies
    }

    pub(super) fn version_range(&mut self, fields: Fields<'_>, name: &str) -> Option<semver::VersionReq> {
        let text = fields.optional_text(name, self.report)?;
        // As Helm has it: a whole version is that one, and not the first of many.
        let exact = text.strip_prefix('v').unwrap_or(text);
        let exact = semver::Version::parse(exact).map(|_| format!("={exact}"));
        let range = semver::VersionReq::parse(exact.as_deref().unwrap_or(text));
        let range = range.map_err(|error| format!("`{name}` {text:?} is not a range such as \">=1.2, <2\": {error}"));
        self.told(range, fields.value_at(name))
    }

    fn upgrade_from(&mut self, fields: Fields<'_>, version: Option<&str>) -> Option<semver::VersionReq> {
        let range = self.version_range(fields, "upgradeFrom")?;
        // The next release compares its own range with this one's version.
        if version.and_then(constraints::semantic).is_none() {
            let found = version.map_or_else(|| "none".to_owned(), |version| format!("{version:?}"));
            let message = format!("its version is {found}, and `upgradeFrom` needs a semantic `version` of this pack");
            self.report.add(fields.key_at("upgradeFrom"), message);
        }
        Some(range)
    }

    fn image_lists(&mut self, fields: Fields<'_>) -> Vec<PathBuf> {
        let texts = fields.texts("imageLists", self.report);
        texts.into_iter().filter_map(|(text, node)| self.told(self.folder.file(text), node.at)).collect()
    }

    fn images(&mut self, fields: Fields<'_>) -> Vec<ListedImage> {
        fields.list("images", self.report).iter().filter_map(|item| self.image(item)).collect()
    }

    /// A reference, or one with what is to be known of it.
    fn image(&mut self, item: &Node) -> Option<ListedImage> {
        let (text, at, platforms) = if matches!(item.value, Value::Mapping(_)) {
            let fields = Fields::open(item, "an item of `images`", LISTED_IMAGE, &[], self.report)?;
            let platforms = self.platforms(fields);
            (fields.required_text("image", self.report)?, fields.value_at("image"), platforms)
        } else {
            (yaml::text(item, "an item of `images`", self.report)?, item.at, Vec::new())
        };
        let reference: Result<Reference, _> = text.parse();
        let reference = self.told(reference.map_err(|error| with_causes(&error)), at)?;
        Some(ListedImage { reference, position: item.at, platforms })
    }

    /// Those of the profile's platforms that something is for; none where it is for all.
    fn platforms(&mut self, fields: Fields<'_>) -> Vec<Platform> {
        let mut platforms = Vec::new();
        for (text, node) in fields.texts("platforms", self.report) {
            let Some(platform) = self.one_platform(text, node.at) else { continue };
            if platforms.contains(&platform) {
                self.report.add(node.at, format!("platform {platform} is listed twice"));
            }
            platforms.push(platform);
        }
        if fields.optional("platforms", self.report).is_some_and(|node| node.items().is_empty()) {
            self.report
                .add(fields.value_at("platforms"), "`platforms` is empty; leave it out for all of the profile's");
        }
        platforms
    }

    /// A platform, which must be one of the profile's.
    pub(super) fn one_platform(&mut self, text: &str, at: Position) -> Option<Platform> {
        let platform: Platform = self.told(text.parse().map_err(|error| format!("{error}")), at)?;
        if !self.known.platforms.iter().any(|wanted| platform.satisfies(wanted)) {
            self.report.add(at, format!("platform {platform} is not one of `spec.platforms`"));
        }
        Some(platform)
    }

    /// The matched files in the order of the globs. Their names must differ: a pack's manifests lie in one folder later.
    fn manifests(&mut self, fields: Fields<'_>) -> Vec<PathBuf> {
        let mut found: Vec<PathBuf> = Vec::new();
        for (pattern, node) in fields.texts("manifests", self.report) {
            for path in self.told(self.folder.glob(pattern), node.at).unwrap_or_default() {
                if found.contains(&path) {
                    continue;
                }
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                let checked = text::check_name(&name).map_err(|reason| format!("the name of a manifest {reason}"));
                self.told(checked, node.at);
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

    /// Reports a text of the field `name` in which something cannot be seen.
    fn check_text(&mut self, text: Option<&str>, fields: Fields<'_>, name: &'static str) {
        let checked = text.map_or(Ok(()), text::check).map_err(|reason| format!("`{name}` {reason}"));
        self.told(checked, fields.value_at(name));
    }

    /// The value, or nothing after reporting what is wrong with it.
    pub(super) fn told<T>(&mut self, result: Result<T, String>, at: Position) -> Option<T> {
        result.map_err(|message| self.report.add(at, message)).ok()
    }

    /// A place as messages about this document name it.
    pub(super) fn shown(&self, (file, line): &Place) -> String {
        if file == self.file { format!("line {line}") } else { format!("{}:{line}", file.display()) }
    }
}

/// `HOST/REPOSITORY[:TAG][@DIGEST]` of an `oci://` source. The host has to be written, since no registry is the usual one
/// of packs or charts.
pub(super) fn oci_reference(text: &str) -> Result<Reference, String> {
    let host = text.split_once('/').map(|(host, _)| host).unwrap_or_default();
    if host != "localhost" && !host.contains(['.', ':']) {
        return Err(format!("`oci://{text}` names no registry; write oci://HOST/REPOSITORY:TAG"));
    }
    text.parse().map_err(|error| with_causes(&error))
}

/// Reads the document of a pack. Its mistakes go to `known`; nothing where there are some without which there is no pack.
pub(super) fn read_document(file: &Path, name: Option<&str>, origin: Origin, known: &mut Known<'_>) -> Option<Pack> {
    let source = match crate::problem::read_document(file) {
        Ok(Ok(source)) => source,
        Ok(Err(problem)) => {
            known.problems.push(problem);
            return None;
        }
        Err(error) => {
            known.problems.push(Problem::with_file(file, with_causes(&error)));
            return None;
        }
    };
    let mut report = Report::new(source.clone());
    let document = load::only_document(&source, "a pack", &mut report);
    let pack = document.and_then(|document| document_pack(file, &document, name, origin, known, &mut report));
    known.problems.extend(report.into_problems());
    pack
}

fn document_pack(
    file: &Path,
    Document { protected, node }: &Document,
    name: Option<&str>,
    origin: Origin,
    known: &mut Known<'_>,
    report: &mut Report,
) -> Option<Pack> {
    let fields = Fields::open(node, "a pack", decode::DOCUMENT, &[], report)?;
    if !check_kind(fields, "Pack", report) {
        return None;
    }
    let metadata = fields.required("metadata", report)?;
    let metadata = Fields::open(metadata, "`metadata`", PACK_METADATA, &[], report)?;
    let own_name = name_of(metadata, report);
    let version = metadata.required_text("version", report).map(str::to_owned);
    decode::description(metadata, report);
    if let Err(reason) = version.as_deref().map_or(Ok(()), text::check) {
        report.add(metadata.value_at("version"), format!("`version` {reason}"));
    }
    let spec = fields.required("spec", report)?;
    let spec = Fields::open(spec, "`spec`", PACK_SPEC, &[], report)?;
    for variable in variables(spec, report) {
        match known.variables.iter().find(|(other, _)| other.name == variable.name) {
            Some((other, _)) if *other == variable => {}
            Some((_, first)) => {
                let message = format!("variable {:?} is declared otherwise in {}", variable.name, first.display());
                report.add(spec.value_at("variables"), message);
            }
            None => known.variables.push((variable, file.to_owned())),
        }
    }
    let ignored = ignored(spec, file, report);
    known.ignored.extend(ignored);
    let folder = match Folder::of(file) {
        Ok(folder) => folder,
        Err(error) => {
            report.add(Position::START, format!("the pack's folder cannot be read: {error}"));
            return None;
        }
    };
    let mut decoder = Decoder { file, protected, folder, report, known };
    decoder.content(spec, name.or(own_name.as_deref()).unwrap_or("?"), version, origin)
}

/// Reads the pack in `folder` by itself, as it is checked before it is shared.
///
/// # Errors
/// As [`super::load()`].
pub(super) fn load_pack(folder: &Path, platforms: Vec<Platform>) -> Result<Pack, Problems> {
    let file = load::shown(folder, PACK_FILE_NAME);
    if let Err(source) = file.metadata() {
        return Err(crate::io::PathError { action: "read", path: file, source }.into());
    }
    let none = Packs::new();
    let mut known = Known::new(&none);
    known.platforms = platforms;
    let pack = read_document(&file, None, Origin::Folder(folder.to_owned()), &mut known);
    match pack {
        Some(pack) if known.problems.is_empty() => Ok(pack),
        _ => Err(Problems::Found(known.problems)),
    }
}
