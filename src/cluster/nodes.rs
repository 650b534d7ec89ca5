//! What the nodes of a cluster say of it.

use std::collections::BTreeSet;

use super::{Object, Snapshot};
use crate::profile::schema::Distribution;

/// The nodes.
pub(super) fn of(snapshot: &Snapshot) -> Vec<&Object> {
    snapshot.objects.iter().filter(|object| object.is("", "Node")).collect()
}

/// The distribution and its version, where all nodes agree on one that names itself.
pub(super) fn distribution(nodes: &[&Object]) -> Result<(&'static str, Distribution, String), String> {
    let versions: BTreeSet<&str> =
        nodes.iter().filter_map(|node| node.value["status"]["nodeInfo"]["kubeletVersion"].as_str()).collect();
    let versions: Vec<&str> = versions.into_iter().collect();
    let [version] = versions[..] else {
        return Err(match &versions[..] {
            [] => "no node tells its version".to_owned(),
            several => format!("the nodes have several versions, {}", several.join(", ")),
        });
    };
    let bare = version.trim_start_matches('v').to_owned();
    match version.split_once('+').map(|(_, build)| build) {
        Some(build) if build.starts_with("k3s") => Ok(("k3s", Distribution::K3s, bare)),
        Some(build) if build.starts_with("rke2") => Ok(("rke2", Distribution::Rke2, bare)),
        _ => Err(format!("{version} does not say which distribution it is")),
    }
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
