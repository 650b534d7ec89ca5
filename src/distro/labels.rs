//! Labels and taints of nodes as the kubelet takes them.

use crate::site::node::{Node, Taint};

/// The labels within Kubernetes' own names that a kubelet may set on its node: well_known_labels.go of
/// <https://pkg.go.dev/k8s.io/kubelet/pkg/apis>.
const KUBELET_LABELS: [&str; 12] = [
    "kubernetes.io/hostname",
    "topology.kubernetes.io/zone",
    "topology.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region",
    "node.kubernetes.io/instance-type",
    "beta.kubernetes.io/instance-type",
    "kubernetes.io/os",
    "kubernetes.io/arch",
    "beta.kubernetes.io/os",
    "beta.kubernetes.io/arch",
    "node.kubernetes.io/windows-build",
];
/// The parts of those names where it may set all; see [`KUBELET_LABELS`].
const KUBELET_NAMESPACES: [&str; 2] = ["kubelet.kubernetes.io", "node.kubernetes.io"];

/// A kubelet that is told to set other labels of Kubernetes' own names does not start.
pub(super) fn refusals(node: &Node) -> Vec<String> {
    let refused = node.labels.keys().filter(|key| !is_allowed(key));
    let refusal = |key: &String| {
        format!(
            "`nodeLabels` of the site: a kubelet refuses to set {key:?}, which is a label of Kubernetes' own; use another name"
        )
    };
    refused.map(refusal).collect()
}

fn is_allowed(key: &str) -> bool {
    let namespace = key.split_once('/').map(|(namespace, _)| namespace).unwrap_or_default();
    let within =
        |suffix: &str| namespace.strip_suffix(suffix).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    let own = within("kubernetes.io") || within("k8s.io");
    !own || KUBELET_LABELS.contains(&key) || KUBELET_NAMESPACES.iter().any(|allowed| within(allowed))
}

/// Every label as `KEY=VALUE`.
pub(super) fn labels(node: &Node) -> impl Iterator<Item = String> {
    node.labels.iter().map(|(key, value)| format!("{key}={value}"))
}

/// Every taint as `KEY=VALUE:EFFECT`, which `--register-with-taints` of the kubelet takes.
pub(super) fn taints(node: &Node) -> impl Iterator<Item = String> {
    node.taints.iter().map(
        |Taint { key, value, effect }| {
            if value.is_empty() { format!("{key}:{effect}") } else { format!("{key}={value}:{effect}") }
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_of_kubernetes_own_are_refused_but_for_the_kubelets() {
        for key in
            ["tier", "example.org/tier", "node.kubernetes.io/kind", "a.kubelet.kubernetes.io/b", "kubernetes.io/os"]
        {
            assert!(is_allowed(key), "{key}");
        }
        for key in ["node-role.kubernetes.io/edge", "kubernetes.io/tier", "k8s.io/a", "x.k8s.io/a"] {
            assert!(!is_allowed(key), "{key}");
        }
        assert!(is_allowed("notk8s.io/a"));
    }
}
