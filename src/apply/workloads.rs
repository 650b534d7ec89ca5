//! What of the bundle runs in the cluster: the objects of its manifests that keep pods, and the releases of its charts.

use super::ApplyError;
use super::cluster;
use super::files::{FileKind, TargetFile};
use super::settle::Settler;
use super::targets::Inputs;
use crate::distro::{Applied, applies_objects};
use crate::yaml::{self, Node};

/// Kinds that keep pods, which are waited for.
const KINDS: [&str; 3] = ["Deployment", "DaemonSet", "StatefulSet"];
/// For how long, where the profile does not say.
const SECONDS: u32 = 600;

/// What is applied from this machine, and for how long it is waited for. `files` are those of the bundle, manifests among them.
///
/// # Errors
/// Where a manifest cannot be read from the bundle.
pub(super) fn applied(inputs: Inputs<'_>, settler: &Settler<'_>, files: &[TargetFile]) -> Result<Applied, ApplyError> {
    let (_, distribution) = cluster::distribution(inputs.contents);
    let seconds = inputs.contents.profile.ready_seconds.unwrap_or(SECONDS);
    // Manifests are not read for nothing: they lie anywhere in a bundle on a slow medium.
    if distribution == cluster::NONE || seconds == 0 {
        return Ok(Applied::default());
    }
    let mut workloads = Vec::new();
    for file in files.iter().filter(|file| file.kind == FileKind::Manifest) {
        let plain = inputs.contents.manifests.iter().find(|manifest| manifest.blob.digest == file.digest);
        let text = match (&file.content, plain) {
            (Some(written), _) => String::from_utf8_lossy(&written.bytes).into_owned(),
            (None, Some(manifest)) => String::from_utf8_lossy(&settler.plain(&manifest.blob)?.bytes).into_owned(),
            (None, None) => continue,
        };
        let parsed = yaml::parse(&text);
        parsed.documents.iter().for_each(|document| add(document, &mut workloads));
    }
    let charts = inputs.contents.charts.iter().filter(|_| applies_objects(distribution, inputs.node));
    let releases = charts.map(|chart| format!("{}/{}", chart.namespace, chart.release)).collect();
    Ok(Applied { workloads, releases, seconds })
}

/// Adds the object, or those of a list of objects.
fn add(object: &Node, all: &mut Vec<String>) {
    let text = |node: &Node, key: &str| node.get(key)?.scalar().map(|scalar| scalar.text.to_string());
    let kind = text(object, "kind").unwrap_or_default();
    if kind == "List" {
        object.get("items").map(Node::items).unwrap_or_default().iter().for_each(|item| add(item, all));
    }
    let Some(name) = object.get("metadata").and_then(|metadata| text(metadata, "name")) else { return };
    if KINDS.contains(&kind.as_str()) {
        let namespace = object.get("metadata").and_then(|metadata| text(metadata, "namespace"));
        all.push(format!("{kind} {}/{name}", namespace.as_deref().unwrap_or("default")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_keeps_pods_is_named() {
        let text = "kind: Deployment\nmetadata: {name: web}\n---\nkind: Service\nmetadata: {name: web}\n---\n---\n\
            kind: List\nitems:\n  - {kind: DaemonSet, metadata: {name: log, namespace: ops}}\n  - {kind: StatefulSet}\n---\n[]\n";
        let mut all = Vec::new();
        yaml::parse(text).documents.iter().for_each(|document| add(document, &mut all));
        assert_eq!(all, ["Deployment default/web", "DaemonSet ops/log"]);
    }
}
