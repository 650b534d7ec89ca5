//! One Kubernetes object: containers, image volumes and environment anywhere in it, and everything else by the names
//! that operators give their fields.

use super::parts;
use super::placeholders::{ISTIO, Names, completes, is_placeholder, names};
use super::walk::{POLICIES, Walk};
use super::{ObjectName, Sink, candidates, charts, pairs};
use crate::oci::Reference;
use crate::problem::{Position, Source};
use crate::yaml::{Entry, Node, Value};

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
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    sink.object(group, object);
    let (built_in, names) = (is_built_in(group), names(group, object));
    let mut walk = Walk::new(source, object, sink, prefix, group, (built_in, names));
    for entry in node.entries() {
        match (&*entry.key, object.kind.as_str()) {
            // Nothing of a secret is ever shown.
            (_, "Secret") if built_in => {}
            ("metadata", _) => walk.below("metadata", |walk| walk.annotations(&entry.value)),
            // What the cluster says of it asks for no image.
            ("apiVersion" | "kind" | "status", _) => {}
            _ if names == Names::Nothing => {}
            (_, "ConfigMap") if built_in => {
                walk.below(&entry.key, |walk| walk.unsure(|walk| walk.value(&entry.key, &entry.value)));
            }
            (_, "CustomResourceDefinition") => walk.below(&entry.key, |walk| walk.only_defaults(&entry.value)),
            _ => walk.below(&entry.key, |walk| walk.value(&entry.key, &entry.value)),
        }
    }
}

/// Groups of Kubernetes itself have no dot (`apps`) or end in `k8s.io`.
fn is_built_in(group: &str) -> bool {
    !group.contains('.') || group.ends_with(".k8s.io")
}

impl Walk<'_> {
    /// The value of the field `key`.
    pub(super) fn value(&mut self, key: &str, node: &Node) {
        match &node.value {
            Value::Scalar(scalar) => {
                if !self.documents(node, scalar, |walk, document| walk.value("", document)) {
                    self.candidates(node);
                    self.called_image(key, node);
                }
            }
            Value::Sequence(items) => {
                self.arguments(items);
                self.named_values(key, items);
                for (index, item) in items.iter().enumerate() {
                    self.below(&format!("[{index}]"), |walk| walk.item(key, item));
                }
            }
            Value::Mapping(entries) => self.within(node, |walk| walk.mapping(key, node, entries)),
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
            self.within(item, |walk| walk.mapping("", item, entries));
        }
    }

    fn mapping(&mut self, key: &str, node: &Node, entries: &[Entry]) {
        // The `image` of a volume in Ceph is a block device.
        if key == "rbd" && node.get("monitors").is_some() {
            return;
        }
        let consumed = parts::read(self, key, node);
        let paired = self.pairs(entries);
        // A mapping under such a name is no part of it, and may have images of its own.
        let is_part = |entry: &Entry| consumed.contains(&&*entry.key) && entry.value.scalar().is_some();
        for (index, entry) in entries.iter().enumerate().filter(|(_, entry)| !is_part(entry)) {
            match image_text(&entry.value).filter(|_| &*entry.key == "image") {
                None if paired.contains(&index) => self.below(&entry.key, |walk| walk.candidates(&entry.value)),
                Some(text) => self.field_image(node, text, entry.value.at),
                None => self.below(&entry.key, |walk| walk.value(&entry.key, &entry.value)),
            }
        }
    }

    /// What the field `image` of a mapping that is no container says.
    fn field_image(&mut self, node: &Node, text: &str, at: Position) {
        if completes(self.group, self.object, self.field()) && !text.contains('@') {
            return parts::say_completed(self, node, "image", text, at);
        }
        match self.built_in && !self.unsure {
            // Kubernetes' own objects have containers for images; what is called so besides may be a parameter of something else.
            true if parts::is_word(text) => self.below("image", |walk| walk.half(text, at)),
            true => self.image(node, "image", text, at),
            false if parts::below_hub(self, text, at) || parts::is_half(self, node, text, at) => {}
            false => self.image(node, "image", text, at),
        }
    }

    fn container(&mut self, node: &Node, entries: &[Entry]) {
        let image = node.get("image");
        match (image, image.and_then(image_text)) {
            (Some(image), Some(ISTIO)) => {
                let message = "Istio's webhook puts its proxy in the place of `auto`; add the proxy of its istiod (`hub`/proxyv2:`tag`) to `images`";
                self.below("image", |walk| walk.warn(image.at, message));
            }
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
                Some(text) if parts::is_word(text) => self.below("value", |walk| walk.half(text, entry.value.at)),
                Some(text) => drop(self.named_field("value", text, entry.value.at)),
                None => self.below(&entry.key, |walk| {
                    walk.value(if &*entry.key == "value" { name } else { &entry.key }, &entry.value);
                }),
            }
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

    /// Images that the items of a list of names and values give together: of an environment, or values for a chart.
    fn named_values(&mut self, list: &str, items: &[Node]) {
        let given = parts::list(items);
        let mut found: Vec<(String, usize)> =
            pairs::find(&given).into_iter().map(|(text, _, index)| (text, index)).collect();
        if list != "env" {
            found.extend(parts::dotted(&given));
        }
        for (text, index) in found {
            let Some(value) = items[index].get("value") else { continue };
            self.below(&format!("[{index}]"), |walk| walk.below("value", |walk| walk.reading(&text, value.at)));
        }
    }

    /// Images that two fields give together. Returns which entries have their names.
    fn pairs(&mut self, entries: &[Entry]) -> Vec<usize> {
        let mut paired = Vec::new();
        let given = parts::fields(entries);
        for (text, reference, index) in pairs::find(&given) {
            let entry = &entries[index];
            self.below(&entry.key, |walk| walk.candidate(&text, reference, entry.value.at));
            paired.push(index);
        }
        // Keys with dots are paths of settings: `trivy.repository` with `trivy.tag`.
        for (text, index) in parts::dotted(&given).into_iter().filter(|(_, index)| given[*index].0.contains('.')) {
            let entry = &entries[index];
            self.below(&entry.key, |walk| walk.reading(&text, entry.value.at));
            paired.push(index);
        }
        paired
    }

    /// The value of a field or variable whose name says that it is an image: it needs less to look like one.
    fn called_image(&mut self, key: &str, node: &Node) {
        let Some(text) = node.text().map(str::trim).filter(|text| !is_placeholder(text)) else { return };
        let is_whole = |reference: &Reference| names_registry(text, reference) && key.ends_with("Image");
        let Ok(reference) = text.parse::<Reference>() else { return };
        if is_whole(&reference) || pairs::says_image(key) && pairs::has_tag(text) {
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

    /// A schema's texts are prose, apart from the values that it fills in.
    fn only_defaults(&mut self, node: &Node) {
        for (index, item) in node.items().iter().enumerate() {
            self.below(&format!("[{index}]"), |walk| walk.only_defaults(item));
        }
        for entry in node.entries() {
            self.below(&entry.key, |walk| match &*entry.key {
                "default" => walk.unsure(|walk| walk.value("", &entry.value)),
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
    const WORDS: [&str; 8] = ["true", "false", "none", "null", "auto", "default", "enabled", "disabled"];
    text.is_empty() || WORDS.contains(&text) || text.bytes().all(|b| b.is_ascii_digit())
}
