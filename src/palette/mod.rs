//! Palette's pack folders and exported profiles, as profiles of ours.
//!
//! Owns what of Palette's corresponds to what, and the list of what does not: nothing is left out without an entry in it.
//! It must not know registries or bundles, and reads only what lies in the source and in a folder of packs.

mod charts;
mod constraints;
mod declaration;
mod descriptor;
mod document;
mod entry;
mod error;
mod expression;
mod functions;
mod left;
mod macros;
mod manifests;
mod pack;
mod parts;
mod profile;
mod source;
mod unused;
mod values;
mod variables;

use std::collections::BTreeMap;
use std::path::Path;

pub use error::PaletteError;
pub use left::{Loss, NotImported};

use crate::folder::ProfileFolder;
use crate::profile::schema::{ClusterProfile, Layer, Metadata, PackItem, SourcedPack, Spec};
use crate::profile::{API_VERSION, FILE_NAME};
use crate::yaml;
use descriptor::Descriptor;
use left::Left;
use pack::Input;
use source::{PACK_JSON, PackFolder};
use values::label;
use variables::Variables;

/// The file in an imported profile's folder that lists what was not imported.
pub const LIST: &str = "NOT-IMPORTED.md";

/// An imported profile.
#[derive(Debug)]
pub struct Imported {
    /// Its files, the list among them.
    pub folder: ProfileFolder,
    /// What is not in it.
    pub left: Vec<NotImported>,
}

/// What comes to be.
#[derive(Debug, Default)]
struct Import {
    folder: ProfileFolder,
    left: Left,
    variables: Variables,
    /// The version of the pack on layer k8s, where there is one.
    kubernetes: Option<String>,
}

impl Import {
    /// `text` with its templates mapped.
    fn mapped(&mut self, text: &str) -> macros::Mapped {
        macros::map(text, &mut self.variables, self.kubernetes.as_deref())
    }
}

/// The packs of the profile that comes to be.
#[derive(Debug, Default)]
struct Packs {
    items: Vec<SourcedPack>,
    names: Vec<String>,
    layers: Vec<String>,
}

/// Imports `source`: a pack's folder, or an exported profile whose packs may be in the folder `packs`.
///
/// # Errors
/// Where it cannot be read, or is neither. What is wrong within it is listed.
pub fn import(source: &Path, packs: Option<&Path>) -> Result<Imported, PaletteError> {
    let mut import = Import::default();
    let mut found = Packs::default();
    let head = if source.is_dir() {
        one_pack(&mut import, source, &mut found)?
    } else {
        let document = crate::problem::read_document(source)??;
        profile::read(&mut import, source, document.text(), packs, &mut found)?
    };
    if found.items.is_empty() {
        return Err(PaletteError::not_palette(source, "it has no pack that can be imported"));
    }
    let Import { mut folder, mut left, variables, .. } = import;
    let texts = folder.files().filter_map(|(_, bytes)| std::str::from_utf8(bytes).ok());
    let variables = variables.finish(texts, &source.display().to_string(), &mut left);
    let document = ClusterProfile {
        api_version: API_VERSION.to_owned(),
        kind: "ClusterProfile".to_owned(),
        metadata: Metadata { name: head.name, version: head.version, description: head.description },
        spec: Spec {
            variables: Some(variables).filter(|variables| !variables.is_empty()),
            packs: found.items.into_iter().map(PackItem::Elsewhere).collect(),
            ..Spec::default()
        },
    };
    folder.add(FILE_NAME, yaml::written(&document)?)?;
    let left = left.into_list();
    if !left.is_empty() {
        folder.add(LIST, left::document(&left))?;
    }
    Ok(Imported { folder, left })
}

/// A profile that has the pack in `path` and no other.
fn one_pack(import: &mut Import, path: &Path, packs: &mut Packs) -> Result<profile::Head, PaletteError> {
    if !path.join(PACK_JSON).is_file() {
        return Err(PaletteError::not_palette(path, "it has no pack.json, and so is no pack of Palette's"));
    }
    let mut folder = PackFolder::open(path)?;
    let descriptor = Descriptor::read(&mut folder, &mut import.left)?;
    let place = descriptor.place.clone();
    let version = descriptor.version.clone();
    let profile_version = semver::Version::parse(version.trim_start_matches('v'));
    let head = profile::Head {
        name: label(&descriptor.name, 63),
        version: profile_version.map_or("1.0.0".to_owned(), |version| version.to_string()),
        description: descriptor.display_name.clone(),
    };
    let palette = descriptor.name.clone();
    let Some(name) = packs.admit(import, &place, "layer", &palette, &descriptor.layer) else { return Ok(head) };
    let layer = layer(&descriptor.layer).unwrap_or_default();
    import.kubernetes = Some(version.clone()).filter(|_| matches!(layer, Layer::K8s));
    let values = own_values(import, &mut folder);
    let names = BTreeMap::from([(palette.clone(), (name.clone(), version.clone()))]);
    let sourced = pack::place(
        import,
        Input {
            palette: &palette,
            name: &name,
            layer,
            version: &version,
            folder: Some((folder, descriptor)),
            values,
            attached: Vec::new(),
            remote: None,
            place,
            field: "name".to_owned(),
            packs: &names,
        },
    )?;
    packs.items.push(sourced);
    Ok(head)
}

/// The values that a pack has in its folder, and their place.
fn own_values(import: &mut Import, folder: &mut PackFolder) -> Option<(String, String)> {
    let place = folder.place("values.yaml");
    match folder.text("values.yaml") {
        Ok(text) => Some((place, text)),
        Err(reason) => {
            import.left.part(&place, None, "", reason);
            None
        }
    }
}

fn layer(word: &str) -> Option<Layer> {
    match word {
        "os" => Some(Layer::Os),
        "k8s" => Some(Layer::K8s),
        "cni" => Some(Layer::Cni),
        "csi" => Some(Layer::Csi),
        "addon" => Some(Layer::Addon),
        _ => None,
    }
}

impl Packs {
    /// Our name for a pack that the profile can have; nothing where its layer is none of ours, or taken.
    fn admit(&mut self, import: &mut Import, place: &str, field: &str, name: &str, word: &str) -> Option<String> {
        if layer(word).is_none() {
            let reason = format!("Carrack has no layer {word:?}; pack {name} is not imported");
            import.left.part(place, None, field, reason);
            return None;
        }
        if word != "addon" && self.layers.iter().any(|taken| taken == word) {
            let reason = format!("a second pack on layer {word}; pack {name} is not imported");
            import.left.part(place, None, field, reason);
            return None;
        }
        self.layers.push(word.to_owned());
        let base = label(name, 60);
        let numbered = (2..).map(|number| format!("{base}-{number}"));
        let mut names = std::iter::once(base.clone()).chain(numbered);
        let free = names.find(|name| !self.names.contains(name)).unwrap_or(base);
        self.names.push(free.clone());
        Some(free)
    }
}
