//! What the values of a Palette pack say: of the pack itself, of each of its charts and of each of its manifests.

use std::collections::{BTreeMap, BTreeSet};

use super::Import;
use super::document::{Document, Ready};
use super::left::below;
use super::macros::Mapped;
use crate::oci::Reference;
use crate::yaml::{Kind, Node, Value};

/// Charts and manifests that a pack may have, of each.
pub(super) const MAX_PARTS: usize = 1000;

/// The values of one pack.
#[derive(Debug, Default)]
pub(super) struct PackValues {
    /// Where its charts and manifests go.
    pub(super) namespace: Option<String>,
    /// Labels of namespaces.
    pub(super) labels: Vec<(String, BTreeMap<String, String>)>,
    /// Names of releases by chart.
    pub(super) releases: BTreeMap<String, String>,
    /// Images that the pack lists.
    pub(super) images: Vec<String>,
    /// Values by chart.
    pub(super) charts: Vec<Part>,
    /// Values by manifest.
    pub(super) manifests: Vec<Part>,
    /// The distribution's configuration.
    pub(super) config: Option<Ready>,
}

/// The values of a chart or manifest.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) name: String,
    pub(super) values: Ready,
    /// The manifest itself, where the values hold it, and the lines above it.
    pub(super) contents: Option<(Mapped, usize)>,
    pub(super) place: String,
    pub(super) line: Option<usize>,
    pub(super) field: String,
}

/// Reads the values `text` of a pack. `config` says whether its distribution has a configuration that Carrack writes.
pub(super) fn read(import: &mut Import, place: &str, text: &str, config: bool) -> PackValues {
    let mut values = PackValues::default();
    let Some(document) = Document::read(import, place, text) else { return values };
    if !matches!(document.node.value, Value::Mapping(_)) {
        document.out(import, &document.node, "", "values are a mapping");
        return values;
    }
    let reader = Reader { document: &document };
    for entry in document.node.entries() {
        let node = &entry.value;
        match &*entry.key {
            "pack" => reader.pack(import, node, &mut values),
            "charts" => values.charts = reader.parts(import, node, "charts", false),
            "manifests" => values.manifests = reader.parts(import, node, "manifests", true),
            "cluster" if config => values.config = reader.cluster(import, node),
            _ if is_nothing(node) => {}
            _ => document.out_entry(import, entry, &document.key(entry), "Carrack has nothing that does this"),
        }
    }
    values
}

fn is_nothing(node: &Node) -> bool {
    match &node.value {
        Value::Scalar(scalar) => scalar.kind == Kind::Null || scalar.text.is_empty(),
        _ => node.items().is_empty() && node.entries().is_empty(),
    }
}

struct Reader<'d> {
    document: &'d Document,
}

impl Reader<'_> {
    fn pack(&self, import: &mut Import, node: &Node, values: &mut PackValues) {
        for entry in node.entries() {
            let (node, field) = (&entry.value, below("pack", &self.document.key(entry)));
            match &*entry.key {
                _ if is_nothing(node) => {}
                "namespace" => values.namespace = self.namespace(import, node, &field),
                "namespaceLabels" => self.labels(import, node, &field, values),
                "releaseNameOverride" => {
                    for entry in node.entries() {
                        let name = self.document.fixed(import, &entry.value, &below(&field, &self.document.key(entry)));
                        values.releases.extend(name.map(|name| (entry.key.to_string(), name)));
                    }
                }
                "content" => self.content(import, node, &field, values),
                "spectrocloud.com/display-name" => {
                    import.left.palettes(&self.document.place, &field, "only Palette uses it");
                }
                "spectrocloud.com/install-priority" => {
                    self.document.out_entry(import, entry, &field, "packs are installed in the order of the profile");
                }
                _ => self.document.out_entry(import, entry, &field, "Carrack has nothing that does this"),
            }
        }
    }

    /// A namespace is the same at every place; of a variable, its default is taken.
    fn namespace(&self, import: &mut Import, node: &Node, field: &str) -> Option<String> {
        let text = self.document.text(import, node, field)?;
        let text = match crate::variables::template::scan(&text).placeholders.first() {
            None => text,
            Some(one) => {
                let default = import.variables.default_of(&one.name).map(str::to_owned).or(one.default.clone());
                let taken = default.filter(|_| one.bytes == (0..text.len()));
                let said =
                    taken.as_deref().map_or("it is `default` now".to_owned(), |taken| format!("it is {taken:?} now"));
                self.document.out(import, node, field, format!("a namespace cannot be a variable; {said}"));
                taken?
            }
        };
        if is_label(&text) {
            return Some(text);
        }
        self.document.out(import, node, field, format!("{text:?} is no name of a namespace"));
        None
    }

    /// `NAMESPACE: label=value,label=value`.
    fn labels(&self, import: &mut Import, node: &Node, field: &str, values: &mut PackValues) {
        for entry in node.entries() {
            let field = below(field, &self.document.key(entry));
            let Some(text) = self.document.fixed(import, &entry.value, &field) else { continue };
            let pairs = text.split(',').map(str::trim).filter(|pair| !pair.is_empty());
            let labels: Option<BTreeMap<String, String>> =
                pairs.map(|pair| pair.split_once('=').map(|(a, b)| (a.to_owned(), b.to_owned()))).collect();
            match labels {
                Some(labels) if is_label(&entry.key) => values.labels.push((entry.key.to_string(), labels)),
                _ => self.document.out_entry(import, entry, &field, "these are no labels of a namespace"),
            }
        }
    }

    fn content(&self, import: &mut Import, node: &Node, field: &str, values: &mut PackValues) {
        for entry in node.entries() {
            let (node, field) = (&entry.value, below(field, &self.document.key(entry)));
            match &*entry.key {
                _ if is_nothing(node) => {}
                "images" => self.images(import, node, &field, values),
                "charts" => {
                    let reason =
                        "Palette only carries these charts; write them as `charts` of the pack if they are installed";
                    self.document.out_entry(import, entry, &field, reason);
                }
                _ => self.document.out_entry(import, entry, &field, "an unknown field"),
            }
        }
    }

    fn images(&self, import: &mut Import, node: &Node, field: &str, values: &mut PackValues) {
        let mut seen = BTreeSet::new();
        for (index, item) in node.items().iter().enumerate() {
            let field = format!("{field}[{index}]");
            for entry in item.entries().iter().filter(|entry| &*entry.key != "image") {
                self.document.out_entry(import, entry, &below(&field, &self.document.key(entry)), "an unknown field");
            }
            let Some(text) = self.document.fixed(import, item.get("image").unwrap_or(item), &field) else { continue };
            match text.parse::<Reference>() {
                Ok(_) if !seen.insert(text.clone()) => {}
                Ok(_) => values.images.push(text),
                Err(error) => self.document.out(import, item, &field, format!("{text:?} is no image: {error}")),
            }
        }
    }

    /// The values of each chart or manifest.
    fn parts(&self, import: &mut Import, node: &Node, field: &str, contents: bool) -> Vec<Part> {
        let mut parts = Vec::new();
        if let Some(entry) = node.entries().get(MAX_PARTS) {
            self.document.out_entry(import, entry, field, format!("only {MAX_PARTS} of these are imported"));
        }
        for entry in node.entries().iter().take(MAX_PARTS) {
            let (node, field) = (&entry.value, below(field, &self.document.key(entry)));
            // As a manifest it keeps its placeholders and its macros.
            let inside = node.get("contents").filter(|_| contents).and_then(|node| self.document.inner(node));
            let values = if inside.is_some() && node.entries().len() == 1 {
                Ready::default()
            } else {
                self.document.ready(import, node, &field)
            };
            parts.push(Part {
                name: self.document.key(entry),
                values,
                contents: inside,
                place: self.document.place.clone(),
                line: self.document.line(entry),
                field,
            });
        }
        parts
    }

    /// `cluster.config` is a text of its own or a mapping.
    fn cluster(&self, import: &mut Import, node: &Node) -> Option<Ready> {
        for entry in node.entries().iter().filter(|entry| &*entry.key != "config" && !is_nothing(&entry.value)) {
            let field = below("cluster", &self.document.key(entry));
            self.document.out_entry(import, entry, &field, "Carrack has nothing that does this");
        }
        let node = node.get("config").filter(|node| !is_nothing(node))?;
        let Some((inner, above)) = self.document.inner(node) else {
            return Some(self.document.ready(import, node, "cluster.config"));
        };
        let document = Document::of(import, &self.document.place, above, inner)?;
        if !matches!(document.node.value, Value::Mapping(_)) {
            document.out(import, &document.node, "cluster.config", "a configuration is a mapping");
            return None;
        }
        Some(document.ready(import, &document.node, "cluster.config"))
    }
}

/// RFC 1123 label as Kubernetes has it.
pub(super) fn is_label(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let edge = |b: Option<&u8>| b.is_some_and(|b| *b != b'-');
    let bytes = text.as_bytes();
    text.len() <= 63 && bytes.iter().all(|b| inner(*b)) && edge(bytes.first()) && edge(bytes.last())
}

/// A name for something of Palette's: lowercase letters, digits and inner `-`, at most `most` of them.
pub(super) fn label(text: &str, most: usize) -> String {
    let letter = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let label: String = text.chars().map(letter).skip_while(|c| *c == '-').take(most).collect();
    let label = label.trim_end_matches('-');
    if label.is_empty() { "x".to_owned() } else { label.to_owned() }
}
