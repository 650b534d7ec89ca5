//! What changes of a node that kubeadm has made, between the configuration that it has and the one that it is to have. Pure.
//!
//! What can be changed, and how, is that of
//! <https://kubernetes.io/docs/tasks/administer-cluster/kubeadm/kubeadm-reconfigure/>.

mod changes;
mod meaning;
#[cfg(test)]
mod tests;

pub use self::changes::{Changes, Fixed, NodeTaint};
use self::meaning::{differs, meaning, number, scalar, within};
use super::tree::{Map, text};
use crate::yaml::Node;

/// A node's configuration: that of kubeadm, and what a joined node knows of the whole cluster's.
#[derive(Debug, Clone, Default)]
pub struct Configuration(Vec<Map>);

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
