//! The configuration of a cluster that kubeadm has made, without what one machine or one cluster alone has.
//!
//! Only fields that are known to mean the same elsewhere, and to hold no secret, are taken: what is not in the lists here is
//! named to the person, without its value.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::Object;
use crate::yaml::{self, Kind, Node};

/// Bytes of a configuration; those of kubeadm have a few thousand.
const MAX_TEXT: usize = 128 << 10;
/// Bytes of one value.
const MAX_VALUE: usize = 512;
/// Values of one part.
const MAX_VALUES: usize = 500;

/// Names of fields in one sentence.
const MAX_NAMES: usize = 40;

/// Fields of `ClusterConfiguration`, by their path. `imageRepository` is where a mirror has the images.
const CLUSTER: &[&str] = &[
    "caCertificateValidityPeriod",
    "certificateValidityPeriod",
    "clusterName",
    "dns.imageRepository",
    "dns.imageTag",
    "encryptionAlgorithm",
    "etcd.local.imageRepository",
    "etcd.local.imageTag",
    "featureGates",
    "imageRepository",
    "networking.dnsDomain",
    "networking.podSubnet",
    "networking.serviceSubnet",
    "proxy.disabled",
    "dns.disabled",
];
/// Fields that are the machine's or that Carrack fills in, and that nobody has to be told of.
const CLUSTER_QUIET: &[&str] = &[
    "apiVersion",
    "certificatesDir",
    "etcd.local.dataDir",
    "kind",
    "kubernetesVersion",
    "apiServer.timeoutForControlPlane",
];
/// Arguments of the control plane that mean the same elsewhere.
const ARGUMENTS: &[&str] = &[
    "allocate-node-cidrs",
    "audit-log-maxage",
    "audit-log-maxbackup",
    "audit-log-maxsize",
    "authorization-mode",
    "bind-address",
    "default-not-ready-toleration-seconds",
    "default-unreachable-toleration-seconds",
    "disable-admission-plugins",
    "enable-admission-plugins",
    "feature-gates",
    "node-cidr-mask-size",
    "node-cidr-mask-size-ipv4",
    "node-cidr-mask-size-ipv6",
    "profiling",
    "runtime-config",
    "service-node-port-range",
    "terminated-pod-gc-threshold",
    "tls-min-version",
];
const KUBELET: &[&str] = &[
    "allowedUnsafeSysctls",
    "cgroupDriver",
    "containerLogMaxFiles",
    "containerLogMaxSize",
    "cpuManagerPolicy",
    "evictionHard",
    "evictionMinimumReclaim",
    "evictionSoft",
    "evictionSoftGracePeriod",
    "failSwapOn",
    "featureGates",
    "imageGCHighThresholdPercent",
    "imageGCLowThresholdPercent",
    "kubeReserved",
    "maxParallelImagePulls",
    "maxPods",
    "memoryManagerPolicy",
    "memorySwap.swapBehavior",
    "podPidsLimit",
    "protectKernelDefaults",
    "rotateCertificates",
    "seccompDefault",
    "serializeImagePulls",
    "serverTLSBootstrap",
    "shutdownGracePeriod",
    "shutdownGracePeriodCriticalPods",
    "systemReserved",
    "topologyManagerPolicy",
];
/// What kubeadm writes itself into every kubelet's configuration.
const KUBELET_QUIET: &[&str] = &[
    "apiVersion",
    "authentication",
    "authorization",
    "clusterDNS",
    "clusterDomain",
    "containerRuntimeEndpoint",
    "crashLoopBackOff",
    "healthzBindAddress",
    "healthzPort",
    "kind",
    "logging",
    "resolvConf",
    "staticPodPath",
];
const PROXY: &[&str] = &["featureGates", "ipvs.scheduler", "ipvs.strictARP", "metricsBindAddress", "mode"];
const PROXY_QUIET: &[&str] = &["apiVersion", "bindAddress", "clientConnection", "clusterCIDR", "kind", "logging"];

/// What was made of it.
#[derive(Debug, Default)]
pub(super) struct Configuration {
    /// `config` of the pack.
    pub(super) config: Map<String, Value>,
    pub(super) decisions: Vec<String>,
}

/// The configuration that kubeadm keeps in its ConfigMaps, for Kubernetes of this version.
pub(super) fn of_kubeadm(objects: &[Object], version: &str) -> Configuration {
    let minor = version.split('.').nth(1).and_then(|minor| minor.parse().ok());
    let mut made = Configuration::default();
    if let Some(node) = made.document(objects, "kubeadm-config", "ClusterConfiguration") {
        let said = node.get("kubernetesVersion").and_then(Node::text).filter(|said| is_plain(said));
        if let Some(said) = said.filter(|said| said.trim_start_matches('v') != version) {
            made.decisions.push(format!(
                "kubeadm says that the cluster has {said}, and its servers run kubelets of {version}, which the pack has: \
                 finish the upgrade and export again, or set the version that you want"
            ));
        }
        let mut part = made.part("kubeadm-config", &node, &[CLUSTER, &["apiServer.extraArgs"]].concat(), CLUSTER_QUIET);
        part.remove("apiServer");
        for component in ["apiServer", "controllerManager", "scheduler"] {
            if let Some(arguments) = made.arguments(component, &node, minor) {
                part.insert(component.to_owned(), json!({"extraArgs": arguments}));
            }
        }
        made.put("clusterConfiguration", part);
    }
    if let Some(node) = made.document(objects, "kubelet-config", "kubelet") {
        let part = made.part("kubelet-config", &node, KUBELET, KUBELET_QUIET);
        made.put("kubeletConfiguration", part);
    }
    if let Some(node) = made.document(objects, "kube-proxy", "config.conf") {
        let part = made.part("kube-proxy", &node, PROXY, PROXY_QUIET);
        made.put("kubeProxyConfiguration", part);
    }
    made
}

impl Configuration {
    fn put(&mut self, name: &str, part: Map<String, Value>) {
        if !part.is_empty() {
            self.config.insert(name.to_owned(), part.into());
        }
    }

    fn document(&mut self, objects: &[Object], name: &str, key: &str) -> Option<Node> {
        let map = objects.iter().find(|object| {
            object.is("", "ConfigMap") && object.namespace() == Some("kube-system") && object.name() == name
        });
        let said = match map.map(|map| map.value["data"][key].as_str()) {
            Some(Some(text)) if text.len() <= MAX_TEXT => {
                let mut parsed = yaml::parse(text);
                match (parsed.documents.pop(), parsed.documents.is_empty() && parsed.mistakes.is_empty()) {
                    (Some(node), true) => return Some(node),
                    _ => "is not one YAML document",
                }
            }
            Some(Some(_)) => "is larger than any that kubeadm writes",
            Some(None) => "is not there",
            None if name == "kube-proxy" => return None,
            None => "cannot be read",
        };
        self.decisions.push(format!("ConfigMap kube-system/{name}: `{key}` {said}; its configuration is not exported"));
        None
    }

    /// The fields of `known`, and in decisions the names of others that are set and not `quiet`.
    fn part(&mut self, map: &str, node: &Node, known: &[&str], quiet: &[&str]) -> Map<String, Value> {
        let mut walk = Walk { known, quiet, left: MAX_VALUES, others: BTreeSet::new() };
        let part = match walk.value(node, "", false) {
            Some(Value::Object(part)) => part,
            _ => Map::new(),
        };
        if walk.left == 0 {
            self.decisions.push(format!(
                "ConfigMap kube-system/{map} has more values than any that kubeadm writes; its configuration is not exported"
            ));
            return Map::new();
        }
        if !walk.others.is_empty() {
            let names = shown(walk.others);
            self.decisions.push(format!(
                "ConfigMap kube-system/{map}: {names} are not exported, as they may be of one machine or secret; put into \
                 `config` of the pack what is meant for the new cluster"
            ));
        }
        part
    }

    /// `extraArgs` of a component, as the version of kubeadm's configuration for this Kubernetes has them.
    fn arguments(&mut self, component: &str, node: &Node, minor: Option<u64>) -> Option<Value> {
        let given = node.get(component)?.get("extraArgs")?;
        let listed = given.items().iter().map(|item| (item.get("name").and_then(Node::text), item.get("value")));
        let mapped = given.entries().iter().map(|entry| (Some(&*entry.key), Some(&entry.value)));
        let (mut taken, mut others) = (Vec::new(), BTreeSet::new());
        for (name, value) in listed.chain(mapped).take(MAX_VALUES) {
            let Some(name) = name else { continue };
            match value.and_then(Node::scalar).filter(|value| ARGUMENTS.contains(&name) && is_plain(&value.text)) {
                Some(value) => taken.push((name.to_owned(), value.text.to_string())),
                None => drop(others.insert(named(name))),
            }
        }
        if !others.is_empty() {
            let names = shown(others);
            self.decisions.push(format!(
                "Arguments of the {component}, {names}: their values are not exported, as they may name files of one machine or be \
                 secret; put into `config` of the pack what is meant for the new cluster"
            ));
        }
        let list = minor.is_some_and(|minor| minor >= 31);
        (!taken.is_empty()).then(|| match list {
            true => taken.into_iter().map(|(name, value)| json!({"name": name, "value": value})).collect(),
            false => Value::Object(taken.into_iter().map(|(name, value)| (name, value.into())).collect()),
        })
    }
}

/// A way through one document.
struct Walk<'k> {
    known: &'k [&'k str],
    quiet: &'k [&'k str],
    left: usize,
    others: BTreeSet<String>,
}

impl Walk<'_> {
    /// What of `node`, the field at `path`, is taken. `inside` is whether the field is known as a whole.
    fn value(&mut self, node: &Node, path: &str, inside: bool) -> Option<Value> {
        if self.left == 0 {
            return None;
        }
        self.left -= 1;
        if let Some(scalar) = node.scalar() {
            return self.scalar(scalar.kind, &scalar.text, path, inside);
        }
        if !node.items().is_empty() {
            if !inside {
                self.others.insert(path.to_owned());
                return None;
            }
            let items: Vec<Value> = node.items().iter().filter_map(|item| self.value(item, path, true)).collect();
            return (!items.is_empty()).then_some(Value::Array(items));
        }
        let mut fields = Map::new();
        for entry in node.entries() {
            let below = if path.is_empty() { named(&entry.key) } else { format!("{path}.{}", named(&entry.key)) };
            if self.quiet.contains(&&*below) || entry.value.is_null() || &*entry.key == "extraArgs" {
                continue;
            }
            let known = inside && is_plain(&entry.key) || self.known.contains(&&*below);
            let leads = self.known.iter().any(|known| known.starts_with(&format!("{below}.")));
            if !known && !leads {
                if !is_unset(&entry.value) {
                    self.others.insert(below);
                }
                continue;
            }
            if let Some(value) = self.value(&entry.value, &below, known) {
                fields.insert(entry.key.to_string(), value);
            }
        }
        (!fields.is_empty()).then_some(Value::Object(fields))
    }

    fn scalar(&mut self, kind: Kind, text: &str, path: &str, inside: bool) -> Option<Value> {
        if matches!(text, "" | "0" | "0s") || kind == Kind::Null {
            return None;
        }
        if !inside || !is_plain(text) {
            self.others.insert(path.to_owned());
            return None;
        }
        Some(match kind {
            Kind::Bool => (text.eq_ignore_ascii_case("true")).into(),
            Kind::Int => text.parse::<i64>().map_or_else(|_| text.into(), Value::from),
            _ => text.into(),
        })
    }
}

/// Names for a sentence, as many as a person reads.
fn shown(names: BTreeSet<String>) -> String {
    let more = names.len().saturating_sub(MAX_NAMES);
    let shown = names.into_iter().take(MAX_NAMES).collect::<Vec<_>>().join(", ");
    if more == 0 { shown } else { format!("{shown} and {more} more") }
}

/// Whether a field has the value that Kubernetes writes where nobody has set it.
fn is_unset(node: &Node) -> bool {
    match node.scalar() {
        Some(scalar) => matches!(&*scalar.text, "" | "0" | "0s" | "0001-01-01T00:00:00Z") || scalar.kind == Kind::Null,
        // No deeper: aliases can make a small text a tree without an end.
        None => {
            node.items().is_empty()
                && node.entries().iter().all(|entry| entry.value.scalar().is_some() && is_unset(&entry.value))
        }
    }
}

/// The name of a field for people: names come from the cluster too.
fn named(name: &str) -> String {
    let plain = name.len() <= 80 && is_plain(name);
    if plain { name.to_owned() } else { "(a name that is none)".to_owned() }
}

/// Whether `text` can be nothing but a word, a number, an address or a list of these: no placeholder, no URL with a password.
fn is_plain(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_./:,=%<>* ".contains(&b);
    text.len() <= MAX_VALUE && text.bytes().all(plain) && !text.contains("://")
}
