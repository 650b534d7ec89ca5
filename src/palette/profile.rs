//! An exported profile: JSON with metadata, variables and packs.

use std::path::Path;

use serde_json::{Map, Value};

use super::constraints::Known;
use super::entry::Entry;
use super::error::PaletteError;
use super::left::{Use, text};
use super::values::label;
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
/// Packs of one profile that are read.
const MAX_PACKS: usize = 500;

/// What a profile is called.
pub(super) struct Head {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) description: Option<String>,
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
    let kept = entries(import, &place, items, packs);
    // Of several, the first is meant.
    let named =
        kept.iter().rev().map(|(entry, name)| (entry.name.to_owned(), (name.clone(), entry.version().to_owned())));
    let names: Known = named.collect();
    let kubernetes = kept.iter().find(|(entry, _)| entry.layer == "k8s");
    import.kubernetes = kubernetes.map(|(entry, _)| entry.version().to_owned());
    for (entry, name) in kept {
        let sourced = entry.place(import, &place, &name, folders, &names)?;
        packs.items.push(sourced);
    }
    Ok(head)
}

/// The packs that the profile can have, each with our name.
fn entries<'v>(import: &mut Import, place: &str, items: &'v [Value], packs: &mut Packs) -> Vec<(Entry<'v>, String)> {
    let entries: Vec<Entry<'_>> = items
        .iter()
        .enumerate()
        .take(MAX_PACKS)
        .filter_map(|(index, item)| {
            let field = format!("spec.template.packs[{index}]");
            let entry = item.as_object().and_then(|object| Entry::new(object, field.clone()));
            if entry.is_none() {
                import.left.out(place, None, &field, "a pack is an object with a `name` and a `layer`");
            }
            entry
        })
        .collect();
    if items.len() > MAX_PACKS {
        import.left.out(place, None, "spec.template.packs", format!("only {MAX_PACKS} packs of a profile are read"));
    }
    let mut kept: Vec<(Entry<'_>, String)> = Vec::new();
    for entry in entries {
        if let Some(name) = packs.admit(import, place, &entry.field, entry.name, entry.layer) {
            kept.push((entry, name));
        }
    }
    kept
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
