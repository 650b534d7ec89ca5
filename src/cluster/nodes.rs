//! What the nodes of a cluster say of it.

use std::collections::BTreeSet;

use super::{Object, Snapshot};

/// The nodes.
pub(super) fn of(snapshot: &Snapshot) -> Vec<&Object> {
    snapshot.objects.iter().filter(|object| object.is("", "Node")).collect()
}

/// What the nodes run on.
pub(super) fn platforms(nodes: &[&Object]) -> Option<Vec<String>> {
    let word = |node: &&Object| {
        let info = &node.value["status"]["nodeInfo"];
        let architecture = info["architecture"].as_str().filter(|_| info["operatingSystem"] != "windows")?;
        let plain = architecture.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        plain.then(|| format!("linux/{architecture}"))
    };
    let platforms: BTreeSet<String> = nodes.iter().filter_map(word).collect();
    (!platforms.is_empty()).then(|| platforms.into_iter().collect())
}

/// What charts may ask for beyond Kubernetes' own.
pub(super) fn api_versions(snapshot: &Snapshot) -> Option<Vec<String>> {
    let custom = snapshot.kinds.iter().filter(|kind| kind.is_custom());
    let words = custom.flat_map(|kind| [kind.api_version(), format!("{}/{}", kind.api_version(), kind.kind)]);
    let words: BTreeSet<String> = words.collect();
    (!words.is_empty()).then(|| words.into_iter().collect())
}
