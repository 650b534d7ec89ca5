//! Which Kubernetes distribution a cluster is, and in which version: as its nodes and its own records say, and only where they do.

use std::collections::BTreeSet;

use super::{Object, Wanted};
use crate::profile::schema::Distribution;

/// The distribution of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Recognised {
    /// Its name, for the pack.
    pub(super) word: &'static str,
    pub(super) distribution: Distribution,
    /// As the pack has it, without `v`.
    pub(super) version: String,
    /// What a person must decide: nodes that run another version.
    pub(super) decisions: Vec<String>,
}

/// What the cluster with these nodes is.
///
/// # Errors
/// Why no pack can be made of it: a sentence for people.
pub(super) fn recognise(nodes: &[&Object], objects: &[Object], wanted: &Wanted) -> Result<Recognised, String> {
    let (word, distribution) = kind(nodes, objects, wanted)?;
    let servers: Vec<&&Object> = nodes.iter().filter(|node| is_server(node)).collect();
    let all = versions(nodes.iter());
    let of_servers = versions(servers.iter().copied());
    let several = |of: &BTreeSet<&str>| of.iter().copied().collect::<Vec<_>>().join(", ");
    // Workers are upgraded after the servers: the version of the cluster is theirs.
    let version = match (all.len(), of_servers.len()) {
        (0, _) => return Err("no node tells its version".to_owned()),
        (1, _) => all.first(),
        (_, 1) => of_servers.first(),
        _ => return Err(format!("the nodes have several versions, {}", several(&all))),
    };
    let version = version.copied().unwrap_or_default();
    let decisions = (all.len() > 1).then(|| {
        format!(
            "The nodes have several versions, {}: the pack {word} has that of the control plane, {version}; finish the \
             upgrade and export again, or check that it is what you want",
            several(&all)
        )
    });
    Ok(Recognised {
        word,
        distribution,
        version: version.trim_start_matches('v').to_owned(),
        decisions: decisions.into_iter().collect(),
    })
}

fn kind(nodes: &[&Object], objects: &[Object], wanted: &Wanted) -> Result<(&'static str, Distribution), String> {
    if let Some(tool) = nodes.iter().find_map(|node| in_containers(node)) {
        return Err(format!("this is a cluster of {tool}, whose nodes are no machines"));
    }
    let builds: BTreeSet<Option<&str>> = versions(nodes.iter())
        .iter()
        .map(|version| {
            let build = version.split_once('+').map(|(_, build)| build);
            ["k3s", "rke2"].into_iter().find(|word| build.is_some_and(|build| build.starts_with(word)))
        })
        .collect();
    match builds.into_iter().collect::<Vec<_>>()[..] {
        [Some("k3s")] => return Ok(("k3s", Distribution::K3s)),
        [Some("rke2")] => return Ok(("rke2", Distribution::Rke2)),
        [None] => {}
        [] => return Err("no node tells its version".to_owned()),
        _ => return Err("its nodes are of several distributions".to_owned()),
    }
    if nodes.iter().any(|node| node.label("k8sd.io/role").is_some()) {
        return Ok(("canonical", Distribution::Canonical));
    }
    let by_kubeadm = |object: &Object| {
        object.is("", "ConfigMap") && object.namespace() == Some("kube-system") && object.name() == "kubeadm-config"
    };
    if objects.iter().any(by_kubeadm) {
        return Ok(("kubeadm", Distribution::Kubeadm));
    }
    let version = versions(nodes.iter()).first().copied().unwrap_or_default().to_owned();
    let unread = !wanted.namespaces.is_empty() && !wanted.namespaces.contains("kube-system");
    Err(match unread {
        true => format!("{version} does not say which distribution it is, and kube-system is not in --namespaces"),
        false => format!("{version} does not say which distribution it is, and there is no ConfigMap kubeadm-config"),
    })
}

/// The tool that runs this node in a container, or for a developer alone. Some of them use kubeadm inside.
fn in_containers(node: &Object) -> Option<&'static str> {
    let provider = node.value["spec"]["providerID"].as_str().unwrap_or_default();
    if provider.starts_with("kind://") {
        return Some("kind");
    }
    node.label("minikube.k8s.io/name").map(|_| "minikube")
}

fn is_server(node: &Object) -> bool {
    ["control-plane", "master"].iter().any(|role| node.label(&format!("node-role.kubernetes.io/{role}")).is_some())
}

fn versions<'n>(nodes: impl Iterator<Item = &'n &'n Object>) -> BTreeSet<&'n str> {
    let told = nodes.filter_map(|node| node.value["status"]["nodeInfo"]["kubeletVersion"].as_str());
    // It becomes part of a profile and of messages.
    told.filter(|version| version.len() <= 64 && version.bytes().all(is_plain)).collect()
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'+' | b'-')
}
