//! What changes of a node that kubeadm has made, between the configuration that it has and the one that it is to have. Pure.
//!
//! What can be changed, and how, is that of
//! <https://kubernetes.io/docs/tasks/administer-cluster/kubeadm/kubeadm-reconfigure/>.

mod meaning;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use self::meaning::{
    arguments, changed, differs, labels, leaves, meaning, number, push, same_labels, scalar, taints, within,
};
use super::tree::{Map, text};
use crate::yaml::Node;

/// The static pods that kubeadm makes, in the order in which they are made again.
pub(super) const COMPONENTS: [&str; 4] = ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"];
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
const LABELS: &str = "node-labels";
const TAINTS: &str = "register-with-taints";
/// What is said of an argument that is gone.
const ABSENT: &str = "nothing";

/// A node's configuration: that of kubeadm, and what a joined node knows of the whole cluster's.
#[derive(Debug, Clone, Default)]
pub struct Configuration(Vec<Map>);

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
    /// What cannot be, from what to what.
    pub fixed: Vec<String>,
    /// The fields that change, for people.
    pub fields: Vec<String>,
    /// Whether that is what kubeadm keeps in the cluster of the whole of it.
    pub cluster: bool,
    /// Whether the API server gets another certificate, and the names that come into it.
    pub certificate: Option<Vec<String>>,
    /// Those of [`COMPONENTS`] that change.
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

impl std::fmt::Display for NodeTaint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { key, value, effect } = self;
        if value.is_empty() { write!(f, "{key}:{effect}") } else { write!(f, "{key}={value}:{effect}") }
    }
}

impl Configuration {
    /// That of these texts.
    ///
    /// # Errors
    /// Why one of them cannot be read.
    pub fn parse(texts: &[&str]) -> Result<Self, String> {
        let parts = texts.iter().map(|text| Map::parse_all(text)).collect::<Result<Vec<_>, _>>()?;
        Ok(Self(parts.concat()))
    }

    fn part(&self, kind: &str) -> Option<&Map> {
        self.0.iter().find(|part| part.text("kind") == Some(kind))
    }

    /// Whether the node is the first one of its cluster.
    pub fn is_first(&self) -> bool {
        self.part("InitConfiguration").is_some()
    }

    /// Whether it is a server.
    pub fn is_server(&self) -> bool {
        self.is_first() || self.part("JoinConfiguration").is_some_and(|join| join.get("controlPlane").is_some())
    }

    /// What is said of this node.
    fn own(&self) -> Map {
        self.part("InitConfiguration").or_else(|| self.part("JoinConfiguration")).cloned().unwrap_or_default()
    }

    fn registration(&self) -> Map {
        within(&self.own(), "nodeRegistration")
    }

    fn endpoint(&self) -> Map {
        let own = self.own();
        let plane = within(&own, "controlPlane");
        within(if self.is_first() { &own } else { &plane }, "localAPIEndpoint")
    }

    /// The folder of the cluster's certificates.
    pub fn certificates_folder(&self) -> String {
        let whole = self.part("ClusterConfiguration");
        whole.and_then(|whole| whole.text("certificatesDir")).unwrap_or("/etc/kubernetes/pki").to_owned()
    }

    /// The folder of patches that kubeadm is told.
    pub fn patches(&self) -> Option<String> {
        within(&self.own(), "patches").text("directory").map(str::to_owned)
    }

    /// The names of this machine's API server.
    fn names(&self) -> Vec<String> {
        let whole = self.part("ClusterConfiguration");
        let server = whole.map(|whole| within(whole, "apiServer")).unwrap_or_default();
        let names = server.get("certSANs").map(Node::items).unwrap_or_default();
        names.iter().filter_map(scalar).collect()
    }

    /// What is remembered of it: all that can be compared, without what a node is made with once, which is secret.
    #[must_use]
    pub fn record(&self) -> String {
        let part = |part: &Map| {
            let mut part = part.clone();
            for key in ["bootstrapTokens", "certificateKey", "discovery"] {
                part.remove(key);
            }
            part.within("controlPlane", |plane| plane.remove("certificateKey"));
            part.written()
        };
        self.0.iter().map(part).collect::<Vec<_>>().join("---\n")
    }

    /// The same with the configuration of all kubelets as `other` has it.
    #[must_use]
    pub fn with_kubelet_of(&self, other: &Self) -> Self {
        let is_kubelet = |part: &&Map| part.text("kind") == Some("KubeletConfiguration");
        let rest = self.0.iter().filter(|part| !is_kubelet(part));
        Self(rest.chain(other.0.iter().filter(is_kubelet)).cloned().collect())
    }

    /// The same with the taints of `other`.
    #[must_use]
    pub fn with_taints_of(&self, other: &Self) -> Self {
        let taints = other.registration().get("taints").cloned();
        let change = |part: &Map| {
            let mut part = part.clone();
            if part.get("nodeRegistration").is_some() {
                part.within("nodeRegistration", |registration| match taints.clone() {
                    Some(taints) => registration.set("taints", taints),
                    None => registration.remove("taints"),
                });
            }
            part
        };
        Self(self.0.iter().map(change).collect())
    }

    /// What `kubeadm init phase` reads on a server, also on one that has joined. `endpoint` is where its API server is reached, as
    /// it was made: an address of the machine may have come or gone since.
    #[must_use]
    pub fn phases(&self, endpoint: Option<(&str, &str)>) -> String {
        let mut init = Map::default();
        let whole = self.part("ClusterConfiguration").cloned().unwrap_or_default();
        if let Some(version) = whole.text("apiVersion") {
            init.set("apiVersion", text(version));
        }
        init.set("kind", text("InitConfiguration"));
        for key in ["nodeRegistration", "patches"] {
            if let Some(value) = self.own().get(key) {
                init.set(key, value.clone());
            }
        }
        let mut at = self.endpoint();
        if let Some((address, port)) = endpoint {
            at.set("advertiseAddress", text(address));
            at.set("bindPort", number(port));
        }
        init.within("localAPIEndpoint", |part| part.extend(at));
        let others = ["KubeletConfiguration", "KubeProxyConfiguration"].into_iter().filter_map(|kind| self.part(kind));
        let all = [init, whole].into_iter().chain(others.cloned()).map(Map::written);
        all.collect::<Vec<_>>().join("---\n")
    }

    /// Which of these fields of the kubelets' configuration `installed`, a kubelet's file, does not have as they are here.
    pub fn kubelet_lacks(&self, fields: &[String], installed: &str) -> Vec<String> {
        let installed = Map::parse(installed).unwrap_or_default();
        let wanted = self.part("KubeletConfiguration").cloned().unwrap_or_default();
        let differs = |key: &&String| {
            wanted.get(key).is_some_and(|value| installed.get(key).map(meaning) != Some(meaning(value)))
        };
        fields.iter().filter(differs).cloned().collect()
    }

    /// What is to be changed for this, where the node may be any of `before`: one that was killed on its way may have parts of two.
    /// `hostname` is what the machine is called.
    #[must_use]
    pub fn changes(&self, before: &[Self], hostname: &str) -> Changes {
        let mut all = Changes::default();
        for before in before {
            all.of_cluster(before, self);
            all.of_node(before, self, hostname);
            all.of_kubelets(before, self);
            if self.is_first() && differs(before.part("KubeProxyConfiguration"), self.part("KubeProxyConfiguration")) {
                all.proxy = true;
                all.field("KubeProxyConfiguration".to_owned());
            }
        }
        all
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

    fn field(&mut self, field: String) {
        if !self.fields.contains(&field) {
            self.fields.push(field);
        }
    }

    fn fix(&mut self, name: &str, key: &str, before: Option<String>, after: Option<String>) {
        let usual = DEFAULTS.iter().find(|(known, _)| *known == key).map(|(_, usual)| (*usual).to_owned());
        let (before, after) = (before.or_else(|| usual.clone()), after.or(usual));
        if before != after {
            let shown = |value: Option<String>| value.unwrap_or_else(|| ABSENT.to_owned());
            let change = format!("`{name}` would change from {} to {}", shown(before), shown(after));
            if !self.fixed.contains(&change) {
                self.fixed.push(change);
            }
        }
    }

    fn of_cluster(&mut self, before: &Configuration, after: &Configuration) {
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

    fn of_node(&mut self, before: &Configuration, after: &Configuration, hostname: &str) {
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

    fn of_kubelets(&mut self, before: &Configuration, after: &Configuration) {
        for key in changed(before.part("KubeletConfiguration"), after.part("KubeletConfiguration")) {
            self.field(format!("KubeletConfiguration.{key}"));
            push(&mut self.kubelet, &key);
        }
    }
}
