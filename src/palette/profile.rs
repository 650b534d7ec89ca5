//! An exported profile: JSON with metadata, variables and packs.

use std::path::Path;

use serde_json::{Map, Value};

use super::charts::Remote;
use super::constraints::Known;
use super::descriptor::Descriptor;
use super::error::PaletteError;
use super::left::{Use, below};
use super::pack::{self, Input};
use super::source::{PackFolder, find_pack};
use super::values::{MAX_PARTS, label};
use super::{Import, Packs};

const DOCUMENT: &[(&str, Use)] = &[
    ("metadata", Use::Object),
    ("spec", Use::Object),
    ("apiVersion", Use::Palette),
    ("kind", Use::Palette),
    ("status", Use::Palette),
];
const METADATA: &[(&str, Use)] = &[
    ("name", Use::Text),
    ("description", Use::Text),
    ("labels", Use::Palette),
    ("annotations", Use::Palette),
    ("uid", Use::Palette),
    ("creationTimestamp", Use::Palette),
    ("lastModifiedTimestamp", Use::Palette),
];
const SPEC: &[(&str, Use)] = &[("version", Use::Text), ("variables", Use::List), ("template", Use::Object)];
const TEMPLATE: &[(&str, Use)] = &[("packs", Use::List), ("type", Use::Palette), ("cloudType", Use::Palette)];
const PACK: &[(&str, Use)] = &[
    ("name", Use::Text),
    ("type", Use::Text),
    ("layer", Use::Text),
    ("version", Use::Text),
    ("tag", Use::Text),
    ("values", Use::Text),
    ("manifests", Use::List),
    ("registry", Use::Object),
    ("server", Use::Text),
    ("uid", Use::Palette),
    ("packUid", Use::Palette),
    ("registryUid", Use::Palette),
    ("displayName", Use::Palette),
    ("annotations", Use::Palette),
    ("logo", Use::Palette),
    ("digest", Use::Palette),
];
const REGISTRY: &[(&str, Use)] = &[("metadata", Use::Object), ("spec", Use::Object)];
const REGISTRY_METADATA: &[(&str, Use)] = &[
    ("name", Use::Text),
    ("kind", Use::Text),
    ("providerType", Use::Text),
    ("uid", Use::Palette),
    ("isPrivate", Use::Palette),
    ("isDefault", Use::Palette),
    ("isSyncSupported", Use::Palette),
];
const REGISTRY_SPEC: &[(&str, Use)] = &[("endpoint", Use::Text)];
const MANIFEST: &[(&str, Use)] =
    &[("name", Use::Text), ("content", Use::Text), ("uid", Use::Palette), ("kind", Use::Palette)];
/// Packs of one profile that are read.
const MAX_PACKS: usize = 500;

/// What a profile is called.
pub(super) struct Head {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) description: Option<String>,
}

fn text<'v>(object: &'v Map<String, Value>, name: &str) -> Option<&'v str> {
    object.get(name)?.as_str().map(str::trim).filter(|text| !text.is_empty())
}

/// Reads the profile in `json`, which is of `file`, into `import`.
pub(super) fn read(
    import: &mut Import,
    file: &Path,
    json: &str,
    folders: Option<&Path>,
    packs: &mut Packs,
) -> Result<Head, PaletteError> {
    let not = |reason: &str| PaletteError::not_palette(file, reason);
    let document: Value = serde_json::from_str(json).map_err(|error| not(&format!("it is not JSON: {error}")))?;
    let place = file.display().to_string();
    let root = document.as_object().ok_or_else(|| not("it is no profile: it is no object"))?;
    let object = |parent: &Map<String, Value>, name: &str| parent.get(name).and_then(Value::as_object).cloned();
    let missing = || not("it is no exported profile: it has no `metadata.name` and `spec.template.packs`");
    let metadata = object(root, "metadata").ok_or_else(missing)?;
    let spec = object(root, "spec").ok_or_else(missing)?;
    let template = object(&spec, "template").ok_or_else(missing)?;
    let items =
        template.get("packs").and_then(Value::as_array).filter(|items| !items.is_empty()).ok_or_else(missing)?;
    for (path, object, known) in [
        ("", root, DOCUMENT),
        ("metadata", &metadata, METADATA),
        ("spec", &spec, SPEC),
        ("spec.template", &template, TEMPLATE),
    ] {
        import.left.fields(&place, path, object, known);
    }
    let head = head(import, &place, &metadata, &spec).ok_or_else(missing)?;
    for (index, item) in spec.get("variables").and_then(Value::as_array).into_iter().flatten().enumerate() {
        let path = format!("spec.variables[{index}]");
        match item.as_object() {
            Some(variable) => import.variables.declare(variable, &place, &path, &mut import.left),
            None => import.left.out(&place, None, &path, "a variable is an object"),
        }
    }
    let entries: Vec<Entry<'_>> = items
        .iter()
        .enumerate()
        .take(MAX_PACKS)
        .filter_map(|(index, item)| {
            let field = format!("spec.template.packs[{index}]");
            let entry = item.as_object().and_then(|object| Entry::new(object, field.clone()));
            if entry.is_none() {
                import.left.out(&place, None, &field, "a pack is an object with a `name` and a `layer`");
            }
            entry
        })
        .collect();
    if items.len() > MAX_PACKS {
        import.left.out(&place, None, "spec.template.packs", format!("only {MAX_PACKS} packs of a profile are read"));
    }
    let mut kept: Vec<(Entry<'_>, String)> = Vec::new();
    for entry in entries {
        if let Some(name) = packs.admit(import, &place, &entry.field, entry.name, entry.layer) {
            kept.push((entry, name));
        }
    }
    // Of several, the first is meant.
    let named =
        kept.iter().rev().map(|(entry, name)| (entry.name.to_owned(), (name.clone(), entry.version().to_owned())));
    let names: Known = named.collect();
    for (entry, name) in kept {
        let sourced = entry.place(import, &place, &name, folders, &names)?;
        packs.items.push(sourced);
    }
    Ok(head)
}

fn head(import: &mut Import, place: &str, metadata: &Map<String, Value>, spec: &Map<String, Value>) -> Option<Head> {
    let palette = text(metadata, "name")?;
    let name = label(palette, 63);
    if name != palette {
        import.left.out(place, None, "metadata.name", format!("profile {palette:?} is called {name} now"));
    }
    let version = text(spec, "version").unwrap_or("1.0.0");
    let version = match semver::Version::parse(version) {
        Ok(_) => version.to_owned(),
        Err(_) => {
            let reason = format!("{version:?} is no semantic version; the profile has 1.0.0");
            import.left.out(place, None, "spec.version", reason);
            "1.0.0".to_owned()
        }
    };
    Some(Head { name, version, description: text(metadata, "description").map(str::to_owned) })
}

/// A pack of the profile.
struct Entry<'v> {
    object: &'v Map<String, Value>,
    field: String,
    name: &'v str,
    layer: &'v str,
}

impl<'v> Entry<'v> {
    fn new(object: &'v Map<String, Value>, field: String) -> Option<Self> {
        Some(Self { object, field, name: text(object, "name")?, layer: text(object, "layer")? })
    }

    fn version(&self) -> &'v str {
        text(self.object, "version").or(text(self.object, "tag")).unwrap_or("0")
    }

    fn place(
        &self,
        import: &mut Import,
        place: &str,
        name: &str,
        folders: Option<&Path>,
        packs: &Known,
    ) -> Result<crate::profile::schema::SourcedPack, PaletteError> {
        let (object, field) = (self.object, &self.field);
        import.left.fields(place, field, object, PACK);
        let versions: Vec<&str> = ["version", "tag"].iter().filter_map(|name| text(object, name)).collect();
        let version = self.version();
        let registry = self.registry(import, place);
        let kind = text(object, "type").unwrap_or("spectro");
        let is_chart = kind == "helm" || registry.2;
        let (attached, mut folder) = (self.manifests(import, place), None);
        if !is_chart && kind != "manifest" {
            let found = folders.map(|folders| find_pack(folders, self.name, &versions)).transpose()?.flatten();
            match found {
                Some(path) => {
                    let mut pack = PackFolder::open(&path)?;
                    let descriptor = Descriptor::read(&mut pack, &mut import.left)?;
                    folder = Some((pack, descriptor));
                }
                None => {
                    let reason = match folders {
                        Some(folders) => format!("pack {} {version} is not in {}", self.name, folders.display()),
                        None => format!(
                            "pack {} {version} is not in the profile; name the folder that has it with --packs",
                            self.name
                        ),
                    };
                    import.left.out(place, None, field, reason);
                }
            }
        }
        let values = match text(object, "values") {
            Some(_) => object["values"].as_str().map(|text| (format!("{place} {field}.values"), text.to_owned())),
            None => folder.as_mut().and_then(|(pack, _)| super::own_values(import, pack)),
        };
        if let Some((pack, _)) = &mut folder {
            // What the profile has instead of it is a copy of it with changes.
            let _ = pack.find("values.yaml");
        }
        let remote = is_chart.then_some(Remote { registry: registry.0, address: registry.1 });
        let layer = super::layer(self.layer).unwrap_or_default();
        pack::place(
            import,
            Input {
                palette: self.name,
                name,
                layer,
                version,
                folder,
                values,
                attached,
                remote,
                place: place.to_owned(),
                field: field.clone(),
                packs,
            },
        )
    }

    /// The registry's name and address, and whether it is one of charts.
    fn registry(&self, import: &mut Import, place: &str) -> (String, Option<String>, bool) {
        let mut address = text(self.object, "server").map(str::to_owned);
        let Some(registry) = self.object.get("registry").and_then(Value::as_object) else {
            return (String::new(), address, false);
        };
        let path = below(&self.field, "registry");
        import.left.fields(place, &path, registry, REGISTRY);
        if let Some(spec) = registry.get("spec").and_then(Value::as_object) {
            import.left.fields(place, &below(&path, "spec"), spec, REGISTRY_SPEC);
            address = text(spec, "endpoint").map(str::to_owned).or(address);
        }
        let Some(metadata) = registry.get("metadata").and_then(Value::as_object) else {
            return (String::new(), address, false);
        };
        import.left.fields(place, &below(&path, "metadata"), metadata, REGISTRY_METADATA);
        let charts = text(metadata, "kind") == Some("helm") || text(metadata, "providerType") == Some("helm");
        (text(metadata, "name").unwrap_or_default().to_owned(), address, charts)
    }

    fn manifests(&self, import: &mut Import, place: &str) -> Vec<(String, String, String)> {
        let mut manifests = Vec::new();
        for (index, item) in self.object.get("manifests").and_then(Value::as_array).into_iter().flatten().enumerate() {
            let field = format!("{}.manifests[{index}]", self.field);
            let Some(object) = item.as_object() else {
                import.left.out(place, None, &field, "a manifest is an object");
                continue;
            };
            import.left.fields(place, &field, object, MANIFEST);
            match object.get("content").and_then(Value::as_str).filter(|content| !content.trim().is_empty()) {
                Some(_) if manifests.len() >= MAX_PARTS => {
                    import.left.out(place, None, &field, format!("only {MAX_PARTS} manifests of a pack are imported"));
                }
                Some(content) => {
                    let name = text(object, "name").unwrap_or("manifest").to_owned();
                    manifests.push((name, format!("{place} {field}.content"), content.to_owned()));
                }
                None => import.left.out(place, None, &field, "a manifest without content"),
            }
        }
        manifests
    }
}
