//! A pack of an exported profile: where it is from, and what the profile has of it.

use std::path::Path;

use serde_json::{Map, Value};

use super::Import;
use super::charts::Remote;
use super::constraints::Known;
use super::descriptor::Descriptor;
use super::error::PaletteError;
use super::left::{Use, below, text};
use super::pack::{self, Input};
use super::source::{PackFolder, find_pack};
use super::values::MAX_PARTS;
use crate::profile::schema::SourcedPack;

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
    ("name", Use::Palette),
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

/// A pack of the profile.
pub(super) struct Entry<'v> {
    object: &'v Map<String, Value>,
    /// Where it is in the profile.
    pub(super) field: String,
    pub(super) name: &'v str,
    pub(super) layer: &'v str,
}

impl<'v> Entry<'v> {
    pub(super) fn new(object: &'v Map<String, Value>, field: String) -> Option<Self> {
        Some(Self { object, field, name: text(object, "name")?, layer: text(object, "layer")? })
    }

    pub(super) fn version(&self) -> &'v str {
        text(self.object, "version").or(text(self.object, "tag")).unwrap_or("0")
    }

    /// Puts the pack into the profile's folder.
    pub(super) fn place(
        &self,
        import: &mut Import,
        place: &str,
        name: &str,
        folders: Option<&Path>,
        packs: &Known,
    ) -> Result<SourcedPack, PaletteError> {
        import.left.fields(place, &self.field, self.object, PACK);
        let remote = self.remote(import, place);
        let attached = self.manifests(import, place);
        let mut folder = match self.kind(import, place) {
            _ if remote.is_some() => None,
            "manifest" => None,
            _ => self.folder(import, place, folders)?,
        };
        let values = self.values(import, place, folder.as_mut().map(|(pack, _)| pack));
        pack::place(
            import,
            Input {
                palette: self.name,
                name,
                layer: super::layer(self.layer).unwrap_or_default(),
                version: self.version(),
                folder,
                values,
                attached,
                remote,
                place: place.to_owned(),
                field: self.field.clone(),
                packs,
            },
        )
    }

    /// Where the pack is from, by Palette's word.
    fn kind(&self, import: &mut Import, place: &str) -> &'v str {
        if let (Some(version), Some(tag)) = (text(self.object, "version"), text(self.object, "tag"))
            && version != tag
        {
            import.left.palettes(place, &below(&self.field, "tag"), "the pack has its `version`");
        }
        let kind = text(self.object, "type").unwrap_or("spectro");
        if !["spectro", "oci", "helm", "manifest"].contains(&kind) {
            let reason = format!("an unknown type {kind:?}; the pack is taken for one with a folder");
            import.left.out(place, None, &below(&self.field, "type"), reason);
        }
        kind
    }

    /// The pack's folder. Where it is not there, that is listed.
    fn folder(
        &self,
        import: &mut Import,
        place: &str,
        folders: Option<&Path>,
    ) -> Result<Option<(PackFolder, Descriptor)>, PaletteError> {
        let versions: Vec<&str> = ["version", "tag"].iter().filter_map(|name| text(self.object, name)).collect();
        let found = folders.map(|folders| find_pack(folders, self.name, &versions)).transpose()?.flatten();
        let Some(path) = found else {
            let pack = format!("pack {} {}", self.name, self.version());
            let reason = match folders {
                Some(folders) => format!("{pack} is not in {}", folders.display()),
                None => format!("{pack} is not in the profile; name the folder that has it with --packs"),
            };
            import.left.part(place, None, &self.field, reason);
            return Ok(None);
        };
        let mut pack = PackFolder::open(&path)?;
        let descriptor = Descriptor::read(&mut pack, &mut import.left)?;
        if descriptor.layer != self.layer {
            let reason = format!("the profile has this pack on layer {}", self.layer);
            import.left.out(&descriptor.place, None, "layer", reason);
        }
        Ok(Some((pack, descriptor)))
    }

    /// The pack's values and their place: the profile's, or those of the pack's folder.
    fn values(&self, import: &mut Import, place: &str, folder: Option<&mut PackFolder>) -> Option<(String, String)> {
        if text(self.object, "values").is_none() {
            return folder.and_then(|pack| super::own_values(import, pack));
        }
        if let Some(pack) = folder {
            // What the profile has instead of it is a copy of it with changes.
            let _ = pack.find("values.yaml");
        }
        let values = self.object["values"].as_str()?;
        Some((format!("{place} {}.values", self.field), values.to_owned()))
    }

    /// The registry of charts that the pack is from. Of others, the pack's folder is taken.
    fn remote(&self, import: &mut Import, place: &str) -> Option<Remote> {
        let none = Map::new();
        let object = |parent: &'v Map<String, Value>, name: &str| parent.get(name).and_then(Value::as_object);
        let registry = object(self.object, "registry");
        let path = below(&self.field, "registry");
        let metadata = registry.and_then(|registry| object(registry, "metadata")).unwrap_or(&none);
        let is_helm = |name: &str| text(metadata, name) == Some("helm");
        if text(self.object, "type") != Some("helm") && !is_helm("kind") && !is_helm("providerType") {
            let said = [registry.filter(|registry| !registry.is_empty()).map(|_| "registry")];
            for name in said.into_iter().chain([text(self.object, "server").map(|_| "server")]).flatten() {
                import.left.palettes(place, &below(&self.field, name), "where Palette has the pack from");
            }
            return None;
        }
        let spec = registry.and_then(|registry| object(registry, "spec")).unwrap_or(&none);
        import.left.fields(place, &path, registry.unwrap_or(&none), REGISTRY);
        import.left.fields(place, &below(&path, "spec"), spec, REGISTRY_SPEC);
        self.registry(import, place, metadata);
        let (endpoint, server) = (text(spec, "endpoint"), text(self.object, "server"));
        if endpoint.is_some() && server.is_some_and(|server| Some(server) != endpoint) {
            let reason = "the registry's own `endpoint` is another";
            import.left.out(place, None, &below(&self.field, "server"), reason);
        }
        let name = text(metadata, "name").unwrap_or_default().to_owned();
        Some(Remote { registry: name, address: endpoint.or(server).map(str::to_owned) })
    }

    /// Lists what a registry of charts has besides its address.
    fn registry(&self, import: &mut Import, place: &str, metadata: &Map<String, Value>) {
        let path = format!("{}.registry.metadata", self.field);
        import.left.fields(place, &path, metadata, REGISTRY_METADATA);
        for (name, known) in [("kind", &["helm", "oci"][..]), ("providerType", &["helm"])] {
            if let Some(word) = text(metadata, name).filter(|word| !known.contains(word)) {
                let reason = format!("an unknown kind of registry of charts, {word:?}");
                import.left.out(place, None, &below(&path, name), reason);
            }
        }
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
