//! Kubernetes manifests: documents, lists, and the objects in them.

use super::ObjectName;
use super::collect::{Collector, Spot};
use super::object;
use crate::problem::Source;
use crate::yaml::{self, Node, Value};

/// Reads every object of a file.
pub(super) fn read(source: &Source, collector: &mut Collector<'_>) {
    let parsed = yaml::parse_with_merge_keys(source.text());
    for mistake in parsed.mistakes {
        collector.problem(Spot { source, at: mistake.at, object: None, field: "" }, mistake.message);
    }
    // Nothing between two `---`, as templates leave behind, is no object.
    for document in parsed.documents.iter().filter(|document| !document.is_null()) {
        read_object(source, document, "", None, collector);
    }
}

/// What items of a typed list have where they do not say it themselves.
#[derive(Clone, Copy)]
struct Inherited<'n> {
    api_version: &'n str,
    kind: &'n str,
}

fn read_object(
    source: &Source,
    node: &Node,
    prefix: &str,
    inherited: Option<Inherited<'_>>,
    collector: &mut Collector<'_>,
) {
    let spot = Spot { source, at: node.at, object: None, field: prefix };
    if !matches!(node.value, Value::Mapping(_)) {
        return collector.problem(spot, format!("a Kubernetes object is a mapping, found {}", node.describe()));
    }
    let text = |name: &str| node.get(name).and_then(Node::text);
    let kind = text("kind").or(inherited.map(|inherited| inherited.kind)).unwrap_or_default();
    let api_version = text("apiVersion").or(inherited.map(|inherited| inherited.api_version)).unwrap_or_default();
    for (name, value) in [("apiVersion", api_version), ("kind", kind)] {
        if value.is_empty() {
            collector.problem(spot, format!("not a Kubernetes object: `{name}` is missing"));
        }
    }
    if api_version.is_empty() || kind.is_empty() {
        return;
    }
    if let (Some(of), Some(items)) = (kind.strip_suffix("List"), node.get("items")) {
        // A bare `List` holds anything, so its items have to say what they are.
        let inherited = (!of.is_empty()).then_some(Inherited { api_version, kind: of });
        for (index, item) in items.items().iter().enumerate() {
            read_object(source, item, &format!("{prefix}items[{index}]."), inherited, collector);
        }
        return;
    }
    let metadata = |name: &str| node.get("metadata")?.get(name)?.scalar().map(|scalar| scalar.text.to_string());
    let name = metadata("name").or_else(|| metadata("generateName")).unwrap_or_default();
    let object = ObjectName { kind: kind.to_owned(), namespace: metadata("namespace"), name };
    object::read(source, node, api_version, &object, prefix, collector);
}
