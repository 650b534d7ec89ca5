//! What is written in a configuration, whichever way it is written.

use std::collections::BTreeSet;

use super::NodeTaint;
use super::changes::LABELS;
use crate::distro::tree::{self, Map, text};
use crate::yaml::{Node, Value};

pub(super) fn push<T: Clone + PartialEq>(all: &mut Vec<T>, one: &T) {
    if !all.contains(one) {
        all.push(one.clone());
    }
}

pub(super) fn within(map: &Map, key: &str) -> Map {
    map.get(key).map(Map::of).unwrap_or_default()
}

pub(super) fn scalar(node: &Node) -> Option<String> {
    node.scalar().map(|scalar| scalar.text.to_string())
}

pub(super) fn number(digits: &str) -> Node {
    match digits.parse() {
        Ok(number) => tree::number(number),
        Err(_) => text(digits),
    }
}

/// Whether two documents say something else.
pub(super) fn differs(old: Option<&Map>, new: Option<&Map>) -> bool {
    !changed(old, new).is_empty()
}

/// The keys of two mappings whose values mean something else, besides what they are.
pub(super) fn changed(old: Option<&Map>, new: Option<&Map>) -> Vec<String> {
    let keys = |map: Option<&Map>| map.map(|map| map.keys().map(str::to_owned).collect::<Vec<_>>()).unwrap_or_default();
    let mut names = keys(old);
    names.extend(keys(new).into_iter().filter(|key| !keys(old).contains(key)));
    let says = |value: &String| !["", "[]", "{}"].contains(&value.as_str());
    let of =
        |map: Option<&Map>, key: &str| map.and_then(|map| map.get(key)).map(|node| value_of(key, node)).filter(says);
    names.retain(|key| !["apiVersion", "kind"].contains(&key.as_str()) && of(old, key) != of(new, key));
    names
}

/// What a value means: how it is written, and in which order keys stand, does not matter.
pub(super) fn meaning(node: &Node) -> String {
    match &node.value {
        Value::Mapping(entries) => {
            let mut all: Vec<String> =
                entries.iter().map(|entry| format!("{}: {}", entry.key, value_of(&entry.key, &entry.value))).collect();
            all.sort();
            format!("{{{}}}", all.join(", "))
        }
        Value::Sequence(items) => format!("[{}]", items.iter().map(meaning).collect::<Vec<_>>().join(", ")),
        _ => scalar(node).unwrap_or_default(),
    }
}

/// The same of a key's. Arguments are written in two ways, depending on the release.
pub(super) fn value_of(key: &str, node: &Node) -> String {
    if key.ends_with("xtraArgs") {
        let all = arguments(Some(node)).into_iter().map(|(name, value)| format!("{name}={value}"));
        return all.collect::<Vec<_>>().join(" ");
    }
    meaning(node)
}

/// Arguments by name and value.
pub(super) fn arguments(node: Option<&Node>) -> Vec<(String, String)> {
    let Some(node) = node else { return Vec::new() };
    let listed = node.items().iter().map(|item| {
        let field = |key: &str| item.get(key).and_then(scalar).unwrap_or_default();
        (field("name"), field("value"))
    });
    let mapped = node.entries().iter().map(|entry| (entry.key.to_string(), scalar(&entry.value).unwrap_or_default()));
    listed.chain(mapped).collect()
}

pub(super) fn labels(arguments: &[(String, String)]) -> Vec<(String, String)> {
    let said = arguments.iter().filter(|(name, _)| name == LABELS).flat_map(|(_, value)| value.split(','));
    let mut labels: Vec<(String, String)> = Vec::new();
    for (key, value) in said.filter_map(|label| label.trim().split_once('=')) {
        // Of two, the later one counts, as for the kubelet.
        labels.retain(|(known, _)| known != key);
        labels.push((key.to_owned(), value.to_owned()));
    }
    labels
}

pub(super) fn same_labels(old: &[(String, String)], new: &[(String, String)]) -> bool {
    let sorted = |arguments| BTreeSet::from_iter(labels(arguments));
    sorted(old) == sorted(new)
}

pub(super) fn taints(registration: &Map) -> Vec<NodeTaint> {
    let items = registration.get("taints").map(Node::items).unwrap_or_default();
    let taint = |node: &Node| {
        let field = |key: &str| node.get(key).and_then(scalar).unwrap_or_default();
        NodeTaint { key: field("key"), value: field("value"), effect: field("effect") }
    };
    items.iter().map(taint).collect()
}

/// Everything below a key that is no mapping, by its path.
pub(super) fn leaves(path: &str, node: &Node) -> Vec<(String, String)> {
    match &node.value {
        Value::Mapping(entries) => {
            entries.iter().flat_map(|entry| leaves(&format!("{path}.{}", entry.key), &entry.value)).collect()
        }
        _ => vec![(path.to_owned(), meaning(node))],
    }
}
