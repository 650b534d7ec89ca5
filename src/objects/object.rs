//! One Kubernetes object: containers, image volumes and environment anywhere in it, and everything else by the names
//! that operators give their fields.

use super::{ObjectName, Place, Sink, candidates, charts, lines_after, operator, pairs};
use crate::oci::Reference;
use crate::problem::{Position, Source};
use crate::yaml::{Entry, Kind, Node, Style, Value};

/// Names of the field that says when to pull.
pub(super) const POLICIES: &[&str] = &["imagePullPolicy", "pullPolicy"];
const CONTAINER_LISTS: &[&str] = &["containers", "initContainers", "ephemeralContainers"];

/// Reads an object whose fields are shown after `prefix`.
pub(super) fn read(
    source: &Source,
    node: &Node,
    api_version: &str,
    object: &ObjectName,
    prefix: &str,
    sink: &mut dyn Sink,
) {
    charts::read(source, node, api_version, object, sink);
    let built_in = is_built_in(api_version);
    let mut walk = Walk { source, object, sink, path: prefix.to_owned(), built_in };
    for entry in node.entries() {
        match (&*entry.key, object.kind.as_str()) {
            // Nothing of a secret is ever shown.
            (_, "Secret") if built_in => {}
            ("metadata", _) => walk.below("metadata", |walk| walk.annotations(&entry.value)),
            // What the cluster says of it asks for no image.
            ("apiVersion" | "kind" | "status", _) => {}
            (_, "ConfigMap") if built_in => walk.below(&entry.key, |walk| walk.only_candidates(&entry.value)),
            (_, "CustomResourceDefinition") => walk.below(&entry.key, |walk| walk.only_defaults(&entry.value)),
            _ => walk.below(&entry.key, |walk| walk.value(&entry.key, &entry.value)),
        }
    }
}

/// Groups of Kubernetes itself have no dot (`apps`) or end in `k8s.io`.
fn is_built_in(api_version: &str) -> bool {
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    !group.contains('.') || group.ends_with(".k8s.io")
}

/// The way through one object.
pub(super) struct Walk<'w> {
    source: &'w Source,
    object: &'w ObjectName,
    sink: &'w mut dyn Sink,
    path: String,
    built_in: bool,
}

impl Walk<'_> {
    /// Runs `inside` with the path of a field of the current place.
    pub(super) fn below(&mut self, key: &str, inside: impl FnOnce(&mut Self)) {
        let length = self.path.len();
        // A list's items bring their own brackets.
        if !key.starts_with('[') && !self.path.is_empty() && !self.path.ends_with('.') {
            self.path.push('.');
        }
        self.path.push_str(key);
        inside(self);
        self.path.truncate(length);
    }

    /// The value of the field `key`.
    fn value(&mut self, key: &str, node: &Node) {
        match &node.value {
            Value::Scalar(_) => {
                self.candidates(node);
                self.called_image(key, node);
            }
            Value::Sequence(items) => {
                self.arguments(items);
                for (index, item) in items.iter().enumerate() {
                    self.below(&format!("[{index}]"), |walk| walk.item(key, item));
                }
            }
            Value::Mapping(entries) => self.mapping(key, node, entries),
        }
    }

    fn item(&mut self, list: &str, item: &Node) {
        let Value::Mapping(entries) = &item.value else {
            return match image_text(item).filter(|_| list == "images") {
                Some(text) => drop(self.named(text, item.at)),
                // A list in a list has no name of its own.
                None => self.value("", item),
            };
        };
        if CONTAINER_LISTS.contains(&list) {
            self.container(item, entries);
        } else if list == "volumes" && item.get("image").is_some_and(|image| image.get("reference").is_some()) {
            self.volume(entries);
        } else if list == "env" && item.get("name").is_some() {
            self.environment(item, entries);
        } else {
            self.mapping("", item, entries);
        }
    }

    fn mapping(&mut self, key: &str, node: &Node, entries: &[Entry]) {
        let consumed = operator::read(self, key, node);
        let paired = self.pairs(entries);
        for (index, entry) in entries.iter().enumerate().filter(|(_, entry)| !consumed.contains(&&*entry.key)) {
            match image_text(&entry.value).filter(|_| &*entry.key == "image") {
                None if paired.contains(&index) => self.below(&entry.key, |walk| walk.candidates(&entry.value)),
                Some(text) => {
                    let included = self.named_field("image", text, entry.value.at);
                    let pulled = included.as_ref().map(|reference| (reference, entry.value.at));
                    self.pull_policy(node, POLICIES, pulled);
                }
                None => self.below(&entry.key, |walk| walk.value(&entry.key, &entry.value)),
            }
        }
    }

    fn container(&mut self, node: &Node, entries: &[Entry]) {
        let image = node.get("image");
        match (image, image.and_then(image_text)) {
            (Some(image), Some(text)) => {
                let included = self.named_field("image", text, image.at);
                self.pull_policy(node, POLICIES, included.as_ref().map(|reference| (reference, image.at)));
            }
            (Some(image), _) if self.built_in => {
                let message = format!("a container's image must be a reference, found {}", image.describe());
                self.below("image", |walk| walk.problem(image.at, message));
            }
            // A custom resource may name a container only to change something else in it.
            (None, _) if self.built_in => self.warn(node.at, "this container has no image"),
            _ => {}
        }
        for entry in entries.iter().filter(|entry| &*entry.key != "image") {
            self.below(&entry.key, |walk| walk.value(&entry.key, &entry.value));
        }
    }

    fn volume(&mut self, entries: &[Entry]) {
        for entry in entries {
            let reference = entry.value.get("reference").filter(|_| &*entry.key == "image");
            self.below(&entry.key, |walk| match reference {
                None => walk.value(&entry.key, &entry.value),
                Some(reference) => {
                    let text = reference.scalar().map(|scalar| &*scalar.text).unwrap_or_default();
                    let included = walk.named_field("reference", text, reference.at);
                    let pulled = included.as_ref().map(|included| (included, reference.at));
                    walk.pull_policy(&entry.value, &["pullPolicy"], pulled);
                }
            });
        }
    }

    fn environment(&mut self, node: &Node, entries: &[Entry]) {
        let name = node.get("name").and_then(Node::text).unwrap_or_default();
        let names_image = name.starts_with("RELATED_IMAGE_") || name.ends_with("_IMAGE");
        for entry in entries.iter().filter(|entry| &*entry.key != "name") {
            let text = entry.value.text().filter(|_| &*entry.key == "value" && names_image);
            match text.filter(|text| !is_switch(text)) {
                Some(text) => drop(self.named_field("value", text, entry.value.at)),
                None => self.below(&entry.key, |walk| walk.value(&entry.key, &entry.value)),
            }
        }
    }

    /// Reports what would pull although the image is there. `fields` are the names that a policy may have in `node`, and
    /// `pulled` is the image, where it was included.
    pub(super) fn pull_policy(&mut self, node: &Node, fields: &[&str], pulled: Option<(&Reference, Position)>) {
        let policy = fields.iter().find_map(|field| Some((*field, node.get(field)?)));
        match (policy, pulled) {
            (Some((field, policy)), _) if policy.text() == Some("Always") => {
                let message = "`Always` asks a registry at every start although the image is there; use IfNotPresent";
                self.below(field, |walk| walk.warn(policy.at, message));
            }
            (None, Some((reference, at))) if reference.digest().is_none() && reference.tag() == Some("latest") => {
                let field = fields.first().copied().unwrap_or_default();
                self.warn(at, format!("{reference} is pulled at every start, as its tag is `latest`; set `{field}`"));
            }
            _ => {}
        }
    }

    /// An image is named in `field` of the current place.
    pub(super) fn named_field(&mut self, field: &str, text: &str, at: Position) -> Option<Reference> {
        let mut included = None;
        self.below(field, |walk| included = walk.named(text, at));
        included
    }

    fn named(&mut self, text: &str, at: Position) -> Option<Reference> {
        let Self { source, object, sink, path, .. } = self;
        sink.named(text, Place { source, at, object: Some(object), field: path })
    }

    /// Whether the profile ignores `text`.
    pub(super) fn ignores(&mut self, text: &str) -> bool {
        self.sink.ignores(text)
    }

    pub(super) fn problem(&mut self, at: Position, message: impl Into<String>) {
        let Self { source, object, sink, path, .. } = self;
        sink.problem(Place { source, at, object: Some(object), field: path }, message.into());
    }

    pub(super) fn warn(&mut self, at: Position, message: impl Into<String>) {
        let Self { source, object, sink, path, .. } = self;
        sink.warn(Place { source, at, object: Some(object), field: path }, message.into());
    }

    fn candidates(&mut self, node: &Node) {
        let Some(scalar) = node.scalar().filter(|scalar| scalar.kind == Kind::Text) else { return };
        let Self { source, object, sink, path, .. } = self;
        for found in candidates::find(&scalar.text) {
            let at = lines_after(node.at, if scalar.style == Style::Literal { found.line } else { 0 });
            let spot = Place { source, at, object: Some(object), field: path };
            sink.candidate(found.text, found.reference, spot);
        }
    }

    /// Images that a command line's words give, one after the name of a flag or two together.
    fn arguments(&mut self, items: &[Node]) {
        let given = pairs::arguments(items);
        for (text, reference, index) in pairs::find(&given) {
            self.below(&format!("[{index}]"), |walk| walk.candidate(&text, reference, items[index].at));
        }
        for (_, value, index) in given.iter().filter(|(flag, ..)| pairs::takes_image(flag)) {
            for found in candidates::find_after(value, true) {
                self.below(&format!("[{index}]"), |walk| walk.candidate(found.text, found.reference, items[*index].at));
            }
        }
    }

    /// Images that two fields give together. Returns which entries have their names.
    fn pairs(&mut self, entries: &[Entry]) -> Vec<usize> {
        let scalars = entries.iter().enumerate().filter_map(|(index, entry)| {
            let scalar = entry.value.scalar().filter(|scalar| scalar.kind != Kind::Null)?;
            Some((&*entry.key, &*scalar.text, index))
        });
        let mut paired = Vec::new();
        for (text, reference, index) in pairs::find(&scalars.collect::<Vec<_>>()) {
            let entry = &entries[index];
            self.below(&entry.key, |walk| walk.candidate(&text, reference, entry.value.at));
            paired.push(index);
        }
        paired
    }

    /// The value of a field called `…Image`, with the name of a registry: it needs no tag to look like an image.
    fn called_image(&mut self, key: &str, node: &Node) {
        let Some(text) = node.text().map(str::trim).filter(|_| key.ends_with("Image")) else { return };
        if let Some(reference) = text.parse::<Reference>().ok().filter(|reference| names_registry(text, reference)) {
            self.candidate(text, reference, node.at);
        }
    }

    /// Annotations of the object itself: some tell an operator which image to put in.
    fn annotations(&mut self, metadata: &Node) {
        let Some(annotations) = metadata.get("annotations") else { return };
        self.below("annotations", |walk| {
            // What kubectl keeps there is the whole object once more.
            let applied = "kubectl.kubernetes.io/last-applied-configuration";
            for entry in annotations.entries().iter().filter(|entry| &*entry.key != applied) {
                walk.below(&entry.key, |walk| walk.value(&entry.key, &entry.value));
            }
        });
    }

    fn candidate(&mut self, text: &str, reference: Reference, at: Position) {
        let Self { source, object, sink, path, .. } = self;
        sink.candidate(text, reference, Place { source, at, object: Some(object), field: path });
    }

    /// Takes every text as a place where an image may stand, whatever its field is called.
    fn only_candidates(&mut self, node: &Node) {
        self.candidates(node);
        for (index, item) in node.items().iter().enumerate() {
            self.below(&format!("[{index}]"), |walk| walk.only_candidates(item));
        }
        for entry in node.entries() {
            self.below(&entry.key, |walk| walk.only_candidates(&entry.value));
        }
    }

    /// A schema's texts are prose, apart from the values that it fills in.
    fn only_defaults(&mut self, node: &Node) {
        for (index, item) in node.items().iter().enumerate() {
            self.below(&format!("[{index}]"), |walk| walk.only_defaults(item));
        }
        for entry in node.entries() {
            self.below(&entry.key, |walk| match &*entry.key {
                "default" => walk.only_candidates(&entry.value),
                _ => walk.only_defaults(&entry.value),
            });
        }
    }
}

/// The text of a field that names an image; an empty one means the operator's own choice.
fn image_text(node: &Node) -> Option<&str> {
    node.text().filter(|text| !text.trim().is_empty())
}

fn names_registry(text: &str, reference: &Reference) -> bool {
    text.starts_with(&format!("{}/", reference.registry()))
}

/// Values of `*_IMAGE` variables that switch something instead of naming an image.
fn is_switch(text: &str) -> bool {
    text.is_empty() || matches!(text, "true" | "false") || text.bytes().all(|b| b.is_ascii_digit())
}
