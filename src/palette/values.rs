//! What the values of a Palette pack say: of the pack itself, of each of its charts and of each of its manifests.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::Import;
use super::document::{Document, Ready};
use super::left::below;
use super::parts::{Part, Said};
use crate::oci::Reference;
use crate::yaml::{Entry, Kind, Node, Value};

/// Charts and manifests that a pack may have, of each.
pub(super) const MAX_PARTS: usize = 1000;

/// The values of one pack.
#[derive(Default)]
pub(super) struct PackValues {
    /// Where its charts and manifests go.
    pub(super) namespace: Option<Said>,
    /// Labels of namespaces.
    pub(super) labels: Vec<(String, BTreeMap<String, String>)>,
    /// Names of releases by chart.
    pub(super) releases: BTreeMap<String, Said>,
    /// Images that the pack lists.
    pub(super) images: Vec<String>,
    /// Values by chart.
    pub(super) charts: Vec<Part>,
    /// Values by manifest.
    pub(super) manifests: Vec<Part>,
    /// The distribution's configuration.
    pub(super) config: Option<Ready>,
}

/// Reads the values `text` of a pack. `config` says whether its distribution has a configuration that Carrack writes.
pub(super) fn read(import: &mut Import, place: &str, text: &str, config: bool) -> PackValues {
    let mut values = PackValues::default();
    let Some(document) = Document::read(import, place, text) else { return values };
    if !matches!(document.node.value, Value::Mapping(_)) {
        document.out(import, &document.node, "", "values are a mapping");
        return values;
    }
    let document = Rc::new(document);
    let reader = Reader { document: &document };
    for entry in document.node.entries() {
        let node = &entry.value;
        match &*entry.key {
            "pack" => reader.pack(import, node, &mut values),
            "charts" => values.charts = reader.parts(import, node, "charts"),
            "manifests" => values.manifests = reader.parts(import, node, "manifests"),
            "cluster" if config => values.config = reader.cluster(import, node),
            _ if is_nothing(node) => {}
            _ => document.out_entry(import, entry, &document.key(entry), "Carrack has nothing that does this"),
        }
    }
    values
}

/// Whether nothing is said.
pub(super) fn is_nothing(node: &Node) -> bool {
    match &node.value {
        Value::Scalar(scalar) => scalar.kind == Kind::Null || scalar.text.is_empty(),
        _ => node.items().is_empty() && node.entries().is_empty(),
    }
}

struct Reader<'d> {
    document: &'d Rc<Document>,
}

impl Reader<'_> {
    /// What is in a mapping. What is none is listed.
    fn entries<'n>(&self, import: &mut Import, node: &'n Node, field: &str) -> &'n [Entry] {
        if !matches!(node.value, Value::Mapping(_)) && !is_nothing(node) {
            self.document.out(import, node, field, "a mapping is expected");
        }
        node.entries()
    }

    fn said(&self, text: String, entry: &Entry, field: String) -> Said {
        Said { text, place: self.document.place.clone(), line: self.document.line(entry), field }
    }

    fn pack(&self, import: &mut Import, node: &Node, values: &mut PackValues) {
        for entry in self.entries(import, node, "pack") {
            let (node, field) = (&entry.value, below("pack", &self.document.key(entry)));
            match &*entry.key {
                _ if is_nothing(node) => {}
                "namespace" => {
                    let text = self.namespace(import, node, &field);
                    values.namespace = text.map(|text| self.said(text, entry, field));
                }
                "namespaceLabels" => self.labels(import, node, &field, values),
                "releaseNameOverride" => self.releases(import, node, &field, values),
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

    /// `CHART: RELEASE`.
    fn releases(&self, import: &mut Import, node: &Node, field: &str, values: &mut PackValues) {
        for entry in self.entries(import, node, field) {
            let field = below(field, &self.document.key(entry));
            let name = self.document.fixed(import, &entry.value, &field);
            values.releases.extend(name.map(|name| (entry.key.to_string(), self.said(name, entry, field))));
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
        for entry in self.entries(import, node, field) {
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
        for entry in self.entries(import, node, field) {
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
        if !matches!(node.value, Value::Sequence(_)) {
            self.document.out(import, node, field, "a list is expected");
        }
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
    fn parts(&self, import: &mut Import, node: &Node, field: &str) -> Vec<Part> {
        let entries = self.entries(import, node, field);
        if let Some(entry) = entries.get(MAX_PARTS) {
            self.document.out_entry(import, entry, field, format!("only {MAX_PARTS} of these are imported"));
        }
        let part = |entry| Part::new(self.document, entry, below(field, &self.document.key(entry)));
        entries.iter().take(MAX_PARTS).map(part).collect()
    }

    /// `cluster.config` is a text of its own or a mapping.
    fn cluster(&self, import: &mut Import, node: &Node) -> Option<Ready> {
        let entries = self.entries(import, node, "cluster");
        for entry in entries.iter().filter(|entry| &*entry.key != "config" && !is_nothing(&entry.value)) {
            let field = below("cluster", &self.document.key(entry));
            self.document.out_entry(import, entry, &field, "Carrack has nothing that does this");
        }
        let node = node.get("config").filter(|node| !is_nothing(node))?;
        if let Value::Mapping(_) = node.value {
            return Some(self.document.ready(import, node, "cluster.config"));
        }
        let Some((inner, above)) = self.document.inner(node) else {
            self.document.out(import, node, "cluster.config", "a configuration is a mapping");
            return None;
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
