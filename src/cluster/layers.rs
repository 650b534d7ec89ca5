//! Which packs are the network between pods, and which storage: as charts and the pods on every node are called.

use super::{Object, own_images};
use crate::profile::schema::Layer;

/// Charts of networks.
const NETWORK_CHARTS: &[&str] =
    &["antrea", "calico", "canal", "cilium", "flannel", "kube-ovn", "kube-router", "tigera-operator", "weave-net"];
/// The pods of networks on every node, by their DaemonSet.
const NETWORK_SETS: &[&str] =
    &["antrea-agent", "calico-node", "canal", "cilium", "kube-flannel-ds", "kube-ovn-cni", "kube-router", "weave-net"];
/// What every CSI driver runs beside itself on every node.
const REGISTRAR: &str = "csi-node-driver-registrar";

/// The layer of what is in `namespace`, or of the release with this chart.
pub(super) fn of<'o>(chart: Option<&str>, sets: impl Iterator<Item = &'o Object> + Clone) -> Layer {
    let is_network = chart.is_some_and(|chart| NETWORK_CHARTS.contains(&chart))
        || sets.clone().any(|set| NETWORK_SETS.contains(&set.name()));
    match is_network {
        true => Layer::Cni,
        false if sets.clone().any(registers) => Layer::Csi,
        false => Layer::Addon,
    }
}

/// The pods on every node of one namespace.
pub(super) fn sets<'o>(objects: &'o [Object], namespace: &'o str) -> impl Iterator<Item = &'o Object> + Clone {
    objects.iter().filter(move |object| object.is("apps", "DaemonSet") && object.namespace() == Some(namespace))
}

fn registers(set: &Object) -> bool {
    let containers = set.value["spec"]["template"]["spec"]["containers"].as_array();
    containers
        .into_iter()
        .flatten()
        .filter_map(|container| container["image"].as_str())
        .any(|image| own_images::last_word(image).is_some_and(|word| word == REGISTRAR))
}

/// What to decide where `object` is left out with its namespace and is the network or storage of the cluster: a sentence.
pub(super) fn left_out(object: &Object) -> Option<String> {
    if !object.is("apps", "DaemonSet") {
        return None;
    }
    let (what, layer) = match of(None, std::iter::once(object)) {
        Layer::Cni => ("the network between pods", "cni"),
        Layer::Csi => ("storage", "csi"),
        _ => return None,
    };
    Some(format!(
        "{object} is {what}, and is left out with its namespace: add a pack on layer {layer} with the chart or the manifests \
         that it came from, or export its namespace with --namespaces"
    ))
}
