//! pack.json: what a Palette pack says of itself.

use serde_json::{Map, Value};

use super::error::PaletteError;
use super::left::{Left, Use, text};
use super::source::{PACK_JSON, PackFolder};
use super::values::MAX_PARTS;

const FIELDS: &[(&str, Use)] = &[
    ("name", Use::Text),
    ("displayName", Use::Text),
    ("layer", Use::Text),
    ("version", Use::Text),
    ("charts", Use::List),
    ("kubeManifests", Use::List),
    ("KubeManifests", Use::List),
    ("constraints", Use::Object),
    ("annotations", Use::Palette),
    ("addonType", Use::Palette),
    ("addonSubType", Use::Palette),
    ("cloudTypes", Use::Palette),
    ("cloudType", Use::Palette),
    ("eol", Use::Palette),
    ("group", Use::Palette),
];
const CONSTRAINTS: &[(&str, Use)] = &[("dependencies", Use::List), ("resources", Use::List)];
const DEPENDENCY: &[(&str, Use)] = &[
    ("packName", Use::Text),
    ("layer", Use::Palette),
    ("minVersion", Use::Text),
    ("maxVersion", Use::Text),
    ("type", Use::Text),
];
const RESOURCE: &[(&str, Use)] = &[("type", Use::Text), ("minLimit", Use::Number)];

/// A pack.json.
#[derive(Debug)]
pub(super) struct Descriptor {
    /// Where it is, for the list.
    pub(super) place: String,
    pub(super) name: String,
    pub(super) display_name: Option<String>,
    pub(super) layer: String,
    pub(super) version: String,
    /// Paths of charts in the pack's folder.
    pub(super) charts: Vec<String>,
    /// Paths of manifests in the pack's folder.
    pub(super) manifests: Vec<String>,
    pub(super) dependencies: Vec<Dependency>,
    /// Thousandths of a core, MiB, GiB.
    pub(super) resources: [Option<u64>; 3],
}

/// A pack that a pack speaks of.
#[derive(Debug)]
pub(super) struct Dependency {
    pub(super) field: String,
    pub(super) pack: String,
    pub(super) kind: String,
    pub(super) min: Option<String>,
    pub(super) max: Option<String>,
}

impl Descriptor {
    /// Reads that of `folder`.
    ///
    /// # Errors
    /// Where there is none, or it does not say which pack it is.
    pub(super) fn read(folder: &mut PackFolder, left: &mut Left) -> Result<Self, PaletteError> {
        let path = folder.path.join(PACK_JSON);
        let not = |reason: String| PaletteError::not_palette(&path, reason);
        let json = folder.text(PACK_JSON).map_err(|reason| PaletteError::not_palette(&folder.path, reason))?;
        let document: Value = serde_json::from_str(&json).map_err(|error| not(format!("it is not JSON: {error}")))?;
        let object = document.as_object().ok_or_else(|| not("it is no object".to_owned()))?;
        let place = folder.place(PACK_JSON);
        left.fields(&place, "", object, FIELDS);
        let required =
            |name: &str| text(object, name).map(str::to_owned).ok_or_else(|| not(format!("it has no {name:?}")));
        let mut this = Self {
            name: required("name")?,
            layer: required("layer")?,
            version: required("version")?,
            display_name: text(object, "displayName").map(str::to_owned),
            charts: paths(object, &["charts"], &place, left),
            manifests: paths(object, &["kubeManifests", "KubeManifests"], &place, left),
            dependencies: Vec::new(),
            resources: [None; 3],
            place,
        };
        if let Some(constraints) = object.get("constraints").and_then(Value::as_object) {
            left.fields(&this.place, "constraints", constraints, CONSTRAINTS);
            this.dependencies(constraints, left);
            this.resources(constraints, left);
        }
        Ok(this)
    }

    fn dependencies(&mut self, constraints: &Map<String, Value>, left: &mut Left) {
        for (field, object) in objects(constraints, "dependencies", &self.place, left) {
            left.fields(&self.place, &field, object, DEPENDENCY);
            let owned = |name: &str| text(object, name).map(str::to_owned);
            self.dependencies.push(Dependency {
                pack: owned("packName").unwrap_or_default(),
                kind: owned("type").unwrap_or_default(),
                min: owned("minVersion"),
                max: owned("maxVersion"),
                field,
            });
        }
    }

    fn resources(&mut self, constraints: &Map<String, Value>, left: &mut Left) {
        for (field, object) in objects(constraints, "resources", &self.place, left) {
            let slot = match text(object, "type") {
                Some("cpu") => 0,
                Some("memory") => 1,
                Some("diskSize") => 2,
                _ => {
                    left.out(&self.place, None, &field, "an unknown resource");
                    continue;
                }
            };
            left.fields(&self.place, &field, object, RESOURCE);
            match object.get("minLimit").filter(|limit| !limit.is_null()) {
                None => left.out(&self.place, None, &field, "it has no `minLimit`"),
                Some(_) if self.resources[slot].is_some() => {
                    left.out(&self.place, None, &field, "this resource has a limit already");
                }
                Some(limit) => self.resources[slot] = limit.as_u64(),
            }
        }
    }
}

fn objects<'v>(
    parent: &'v Map<String, Value>,
    name: &str,
    place: &str,
    left: &mut Left,
) -> Vec<(String, &'v Map<String, Value>)> {
    let mut found = Vec::new();
    let items = parent.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    for (index, item) in items.iter().enumerate() {
        let field = format!("constraints.{name}[{index}]");
        match item.as_object() {
            Some(object) => found.push((field, object)),
            None => left.out(place, None, &field, "it is no object"),
        }
    }
    found
}

fn paths(object: &Map<String, Value>, names: &[&str], place: &str, left: &mut Left) -> Vec<String> {
    let mut paths = Vec::new();
    for name in names {
        for (index, item) in object.get(*name).and_then(Value::as_array).into_iter().flatten().enumerate() {
            match item.as_str() {
                Some(_) if paths.len() >= MAX_PARTS => {
                    left.out(place, None, name, format!("only {MAX_PARTS} of these are imported"));
                }
                Some(path) => paths.push(path.to_owned()),
                None => left.out(place, None, &format!("{name}[{index}]"), "it is no path"),
            }
        }
    }
    paths
}
