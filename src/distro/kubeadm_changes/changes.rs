//! What is to be changed of a node.

use std::collections::BTreeSet;

use super::Configuration;
use super::meaning::{arguments, changed, differs, labels, leaves, meaning, push, same_labels, taints, within};
use crate::distro::tree::Map;

/// The static pods that kubeadm makes, in the order in which they are made again.
const COMPONENTS: [&str; 4] = ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"];
/// Fields that no configuration changes, with what they are where it does not say. All that is not known is one of them.
const DEFAULTS: [(&str, &str); 8] = [
    ("networking.dnsDomain", "cluster.local"),
    ("networking.serviceSubnet", "10.96.0.0/12"),
    ("clusterName", "kubernetes"),
    ("certificatesDir", "/etc/kubernetes/pki"),
    ("imageRepository", "registry.k8s.io"),
    ("etcd.local.dataDir", "/var/lib/etcd"),
    ("proxy.disabled", "false"),
    ("bindPort", "6443"),
];
/// Fields of etcd on this machine that it is made with.
const ETCD_FIXED: [&str; 3] = ["dataDir", "peerCertSANs", "serverCertSANs"];
/// Fields of the whole cluster that only certificates of later have.
const LATER: [&str; 3] = ["caCertificateValidityPeriod", "certificateValidityPeriod", "encryptionAlgorithm"];
/// Arguments of the kubelet that it is made with.
const KUBELET_FIXED: [&str; 2] = ["root-dir", "hostname-override"];
/// Arguments of the kubelet that count when its node is registered, and never again: no restart brings them.
pub(super) const LABELS: &str = "node-labels";
const TAINTS: &str = "register-with-taints";
/// What is said of an argument that is gone.
const ABSENT: &str = "nothing";

/// A taint, as `kubectl taint` takes it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodeTaint {
    /// Its key.
    pub key: String,
    /// Its value, which may be empty.
    pub value: String,
    /// Its effect.
    pub effect: String,
}

/// What is to be changed of a node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// What cannot be.
    pub fixed: Vec<Fixed>,
    /// The fields that change, for people.
    pub fields: Vec<String>,
    /// Whether that is what kubeadm keeps in the cluster of the whole of it.
    pub cluster: bool,
    /// Whether the API server gets another certificate, and the names that come into it.
    pub certificate: Option<Vec<String>>,
    /// The parts of the control plane that change.
    pub components: BTreeSet<&'static str>,
    /// The fields of the configuration of all kubelets that change.
    pub kubelet: Vec<String>,
    /// Arguments of this kubelet that come, or go.
    pub arguments: Vec<(String, Option<String>)>,
    /// Whether kube-proxy's configuration changes.
    pub proxy: bool,
    /// Labels that come, and those of before that go.
    pub labels: Edits<(String, String)>,
    /// The same of taints.
    pub taints: Edits<NodeTaint>,
}

/// A field that a node keeps as it was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fixed {
    /// The field, as kubeadm calls it.
    pub name: String,
    /// What it is.
    pub before: String,
    /// What it is to be.
    pub after: String,
}

/// What comes and what goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edits<T> {
    /// What is to be there.
    pub set: Vec<T>,
    /// What was to be there, and is not any more.
    pub removed: Vec<T>,
}

impl<T> Default for Edits<T> {
    fn default() -> Self {
        Self { set: Vec::new(), removed: Vec::new() }
    }
}

impl<T> Edits<T> {
    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.set.is_empty() && self.removed.is_empty()
    }
}

impl std::fmt::Display for Fixed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { name, before, after } = self;
        write!(f, "`{name}` would change from {before} to {after}")
    }
}

impl std::fmt::Display for NodeTaint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { key, value, effect } = self;
        if value.is_empty() { write!(f, "{key}:{effect}") } else { write!(f, "{key}={value}:{effect}") }
    }
}

impl Changes {
    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What restarts, in this order.
    pub fn restarts(&self) -> Vec<&'static str> {
        let mut restarts: Vec<&str> = COMPONENTS.into_iter().filter(|name| self.components.contains(name)).collect();
        let counts = |(name, _): &(String, Option<String>)| ![LABELS, TAINTS].contains(&name.as_str());
        if !self.kubelet.is_empty() || self.arguments.iter().any(counts) {
            restarts.push("kubelet");
        }
        if self.proxy {
            restarts.push("kube-proxy");
        }
        restarts
    }

    pub(super) fn field(&mut self, field: String) {
        if !self.fields.contains(&field) {
            self.fields.push(field);
        }
    }

    fn fix(&mut self, name: &str, key: &str, before: Option<String>, after: Option<String>) {
        let usual = DEFAULTS.iter().find(|(known, _)| *known == key).map(|(_, usual)| (*usual).to_owned());
        let (before, after) = (before.or_else(|| usual.clone()), after.or(usual));
        if before != after {
            let shown = |value: Option<String>| value.unwrap_or_else(|| ABSENT.to_owned());
            let change = Fixed { name: name.to_owned(), before: shown(before), after: shown(after) };
            if !self.fixed.contains(&change) {
                self.fixed.push(change);
            }
        }
    }

    pub(super) fn of_cluster(&mut self, before: &Configuration, after: &Configuration) {
        // A node that has joined before this was known has no record of it.
        let (Some(old), Some(new)) = (before.part("ClusterConfiguration"), after.part("ClusterConfiguration")) else {
            return;
        };
        for key in changed(Some(old), Some(new)) {
            let (was, is) = (within(old, &key), within(new, &key));
            match key.as_str() {
                "kubernetesVersion" => continue,
                "apiServer" => self.of_server(before, after, &was, &is),
                "controllerManager" => self.component(&key, "kube-controller-manager", &was, &is),
                "scheduler" => self.component(&key, "kube-scheduler", &was, &is),
                "etcd" => self.of_etcd(&was, &is),
                "featureGates" => {
                    self.components.extend(COMPONENTS);
                    self.field(key);
                }
                _ if LATER.contains(&key.as_str()) => self.field(key),
                _ => {
                    let leaves = |map: &Map| map.get(&key).map(|value| leaves(&key, value)).unwrap_or_default();
                    self.fixed_leaves(&leaves(old), &leaves(new));
                    continue;
                }
            }
            self.cluster = true;
        }
    }

    fn fixed_leaves(&mut self, old: &[(String, String)], new: &[(String, String)]) {
        let names: BTreeSet<&String> = old.iter().chain(new).map(|(name, _)| name).collect();
        let of = |leaves: &[(String, String)], name: &String| {
            leaves.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
        };
        for name in names {
            self.fix(&format!("clusterConfiguration.{name}"), name, of(old, name), of(new, name));
        }
    }

    fn of_server(&mut self, before: &Configuration, after: &Configuration, was: &Map, is: &Map) {
        let fields = changed(Some(was), Some(is));
        if fields.iter().any(|field| field == "certSANs") {
            let (old, new) = (before.names(), after.names());
            let names = self.certificate.get_or_insert_default();
            names.extend(new.into_iter().filter(|name| !old.contains(name)));
            names.dedup();
            self.field("apiServer.certSANs".to_owned());
        }
        for field in fields.iter().filter(|field| *field != "certSANs") {
            self.components.insert("kube-apiserver");
            self.field(format!("apiServer.{field}"));
        }
    }

    fn component(&mut self, key: &str, name: &'static str, was: &Map, is: &Map) {
        for field in changed(Some(was), Some(is)) {
            self.components.insert(name);
            self.field(format!("{key}.{field}"));
        }
    }

    fn of_etcd(&mut self, was: &Map, is: &Map) {
        let place = |etcd: &Map| if etcd.get("external").is_some() { "external" } else { "local" };
        self.fix("clusterConfiguration.etcd", "etcd", Some(place(was).to_owned()), Some(place(is).to_owned()));
        let (old, new) = (within(was, "local"), within(is, "local"));
        for field in changed(Some(&old), Some(&new)) {
            if ETCD_FIXED.contains(&field.as_str()) {
                let key = format!("etcd.local.{field}");
                let shown = |map: &Map| map.get(&field).map(meaning);
                self.fix(&format!("clusterConfiguration.{key}"), &key, shown(&old), shown(&new));
            } else {
                self.components.insert("etcd");
                self.field(format!("etcd.local.{field}"));
            }
        }
        if differs(Some(&within(was, "external")), Some(&within(is, "external"))) {
            self.components.insert("kube-apiserver");
            self.field("etcd.external".to_owned());
        }
    }

    pub(super) fn of_node(&mut self, before: &Configuration, after: &Configuration, hostname: &str) {
        let (was, is) = (before.registration(), after.registration());
        let name = |registration: &Map| Some(registration.text("name").unwrap_or(hostname).to_owned());
        self.fix("nodeRegistration.name", "name", name(&was), name(&is));
        let socket = |registration: &Map| {
            registration.text("criSocket").map(|socket| socket.trim_start_matches("unix://").to_owned())
        };
        if let (Some(old), Some(new)) = (socket(&was), socket(&is)) {
            self.fix("nodeRegistration.criSocket", "criSocket", Some(old), Some(new));
        }
        // An address that comes or goes says where the API server is to be; it stays where it was made.
        let (old, new) = (before.endpoint(), after.endpoint());
        if let (Some(old), Some(new)) = (old.text("advertiseAddress"), new.text("advertiseAddress")) {
            self.fix("localAPIEndpoint.advertiseAddress", "", Some(old.to_owned()), Some(new.to_owned()));
        }
        if after.is_server() {
            let port = |map: &Map| map.text("bindPort").map(str::to_owned);
            self.fix("localAPIEndpoint.bindPort", "bindPort", port(&old), port(&new));
        }
        let (old, new) = (arguments(was.get("kubeletExtraArgs")), arguments(is.get("kubeletExtraArgs")));
        self.of_arguments(&old, &new);
        self.of_labels(&labels(&old), &labels(&new));
        self.of_taints(&taints(&was), &taints(&is), !after.is_server());
    }

    fn of_arguments(&mut self, old: &[(String, String)], new: &[(String, String)]) {
        let of = |all: &[(String, String)], name: &str| {
            all.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
        };
        let names: BTreeSet<&str> = old.iter().chain(new).map(|(name, _)| name.as_str()).collect();
        for name in names {
            let (was, is) = (of(old, name), of(new, name));
            let shown = format!("kubeletExtraArgs.{name}");
            match (was, is) {
                (was, is) if was == is => {}
                (was, is) if KUBELET_FIXED.contains(&name) => {
                    self.fix(&format!("nodeRegistration.{shown}"), &shown, was, is);
                }
                (was @ Some(_), is @ Some(_)) if name == "node-ip" => {
                    self.fix(&format!("nodeRegistration.{shown}"), &shown, was, is);
                }
                (_, _) if name == "node-ip" => {}
                (_, _) if name == LABELS && same_labels(old, new) => {}
                (_, is) => {
                    if name != LABELS {
                        self.field(shown);
                    }
                    self.argument(name, is);
                }
            }
        }
    }

    fn argument(&mut self, name: &str, value: Option<String>) {
        self.arguments.retain(|(known, _)| known != name);
        self.arguments.push((name.to_owned(), value));
    }

    fn of_labels(&mut self, old: &[(String, String)], new: &[(String, String)]) {
        for label in new.iter().filter(|label| !old.contains(label)) {
            self.field(format!("label {}={}", label.0, label.1));
            push(&mut self.labels.set, label);
        }
        for label in old.iter().filter(|(key, _)| !new.iter().any(|(other, _)| other == key)) {
            self.field(format!("label {} removed", label.0));
            push(&mut self.labels.removed, label);
        }
    }

    fn of_taints(&mut self, old: &[NodeTaint], new: &[NodeTaint], registers: bool) {
        for taint in new.iter().filter(|taint| !old.contains(taint)) {
            self.field(format!("taint {taint}"));
            push(&mut self.taints.set, taint);
        }
        let is_there = |one: &NodeTaint| new.iter().any(|other| (&other.key, &other.effect) == (&one.key, &one.effect));
        for taint in old.iter().filter(|taint| !is_there(taint)) {
            self.field(format!("taint {taint} removed"));
            push(&mut self.taints.removed, taint);
        }
        // What the kubelet registers with, where its node is made anew. A server gets its taints from kubeadm.
        if registers && old != new {
            let all = new.iter().map(NodeTaint::to_string).collect::<Vec<_>>().join(",");
            self.argument(TAINTS, (!all.is_empty()).then_some(all));
        }
    }

    pub(super) fn of_kubelets(&mut self, before: &Configuration, after: &Configuration) {
        for key in changed(before.part("KubeletConfiguration"), after.part("KubeletConfiguration")) {
            self.field(format!("KubeletConfiguration.{key}"));
            push(&mut self.kubelet, &key);
        }
    }
}
