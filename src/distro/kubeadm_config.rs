//! kubeadm's configuration: what the profile says of clusters, and the site of one machine.

use super::cluster::Cluster;
use super::eviction::{self, Eviction, Free};
use super::kubeadm::{api, endpoint};
use super::tree::{Map, list, map, number, text, texts};
use super::{labels, proxy};
use crate::places::{check_data_folder, check_removable};
use crate::site::node::{Membership, Node, Role, Secret};
use crate::yaml;

/// The parts of a profile's `config`, as Cluster API calls them too, with their kinds.
const PARTS: [(&str, &str, &str); 5] = [
    ("clusterConfiguration", "ClusterConfiguration", ""),
    ("initConfiguration", "InitConfiguration", ""),
    ("joinConfiguration", "JoinConfiguration", ""),
    ("kubeletConfiguration", "KubeletConfiguration", "kubelet.config.k8s.io/v1beta1"),
    ("kubeProxyConfiguration", "KubeProxyConfiguration", "kubeproxy.config.k8s.io/v1alpha1"),
];
/// The runtime's socket where the profile says nothing.
const SOCKET: &str = "unix:///run/containerd/containerd.sock";
/// The network of services where the profile says nothing.
const SERVICES: &str = "10.96.0.0/12";

/// The versions of kubeadm's configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Api {
    /// Arguments are a mapping.
    V1Beta3,
    /// Arguments are a list of names and values.
    V1Beta4,
}

/// What the profile says, and for which Kubernetes.
pub(super) struct Config {
    profile: Map,
    api: Api,
    /// Of Kubernetes, with `v`.
    pub(super) version: String,
    /// The minor version of it.
    pub(super) minor: u64,
    /// The runtime's socket.
    pub(super) socket: String,
}

/// What kubeadm needs of a site.
pub(super) fn refusals(node: &Node) -> Vec<String> {
    let mut refusals = Vec::new();
    let token = match &node.cluster {
        Membership::Init { token } => {
            if node.role == Role::Agent {
                refusals.push(
                    "`role: agent` of the site: an agent joins a cluster; say which in `cluster: {join: …}`".to_owned(),
                );
            }
            token.as_ref()
        }
        Membership::Join { token, ca_hash, certificate_key, .. } => {
            if ca_hash.is_none() {
                refusals.push(
                    "`cluster.caCertHash` of the site is missing, by which kubeadm knows the cluster; the first server's `kubeadm token \
                     create --print-join-command` shows it"
                        .to_owned(),
                );
            }
            match (node.role, certificate_key) {
                (Role::Server, None) => refusals.push(
                    "`cluster.certificateKeyFile` of the site is missing, which a further server needs; the first server's `kubeadm init \
                     phase upload-certs --upload-certs --config /var/lib/carrack/kubeadm/config.yaml` shows it, and it is good for two \
                     hours"
                        .to_owned(),
                ),
                (Role::Agent, Some(_)) => {
                    refusals.push("`cluster.certificateKeyFile` of the site is for servers; leave it out for an agent".to_owned());
                }
                _ => {}
            }
            Some(token)
        }
    };
    if token.is_some_and(|token| !is_token(&token.0)) {
        refusals.push(
            "the token of the site is not one of kubeadm's, six and sixteen of a-z and 0-9: abcdef.0123456789abcdef"
                .to_owned(),
        );
    }
    refusals
}

/// <https://kubernetes.io/docs/reference/access-authn-authz/bootstrap-tokens/>
fn is_token(token: &str) -> bool {
    let plain =
        |part: &str, length| part.len() == length && part.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9'));
    token.split_once('.').is_some_and(|(id, secret)| plain(id, 6) && plain(secret, 16))
}

impl Config {
    /// What a pack says.
    pub(super) fn read(cluster: &Cluster<'_>) -> Result<Self, Vec<String>> {
        let pack = cluster.pack;
        let mut refusals = Vec::new();
        let profile = Map::parse(cluster.config).unwrap_or_else(|reason| {
            refusals.push(format!("`config` of the pack {pack} cannot be read: {reason}"));
            Map::default()
        });
        let known: Vec<&str> = PARTS.iter().map(|(key, ..)| *key).collect();
        for key in profile.keys().filter(|key| !known.contains(key)) {
            let nearest = yaml::nearest(key, &known).map(|name| format!("; did you mean `{name}`?"));
            refusals.push(format!(
                "`config` of the pack {pack} has `{key}`, which is none of kubeadm's: {}{}",
                known.join(", "),
                nearest.unwrap_or_default()
            ));
        }
        let semantic = cluster
            .version
            .map(|version| version.trim_start_matches('v'))
            .and_then(|text| text.parse::<semver::Version>().ok());
        let api = semantic.as_ref().filter(|version| version.major == 1).and_then(|version| api(version.minor));
        let (Some(version), Some(api), true) = (semantic, api, refusals.is_empty()) else {
            if api.is_none() {
                let found = cluster.version.unwrap_or("none");
                refusals.push(format!(
                    "the pack {pack} has the version {found}; kubeadm needs the one of Kubernetes, 1.22.0 or later, and would otherwise \
                     ask for the newest one on the internet"
                ));
            }
            return Err(refusals);
        };
        let registration = |part: &str| profile.get(part).map(Map::of)?.get("nodeRegistration").map(Map::of);
        let socket = ["initConfiguration", "joinConfiguration"].into_iter().filter_map(registration);
        let socket = socket.filter_map(|part| part.text("criSocket").map(str::to_owned)).next();
        Ok(Self {
            api,
            version: format!("v{}.{}.{}", version.major, version.minor, version.patch),
            minor: version.minor,
            socket: socket.unwrap_or_else(|| SOCKET.to_owned()),
            profile,
        })
    }

    fn part(&self, key: &str) -> Map {
        self.profile.get(key).map(Map::of).unwrap_or_default()
    }

    /// The networks of pods and services, those that the profile names and kubeadm's own.
    pub(super) fn networks(&self) -> Vec<String> {
        let networking = self.part("clusterConfiguration").get("networking").map(Map::of).unwrap_or_default();
        let services = networking.text("serviceSubnet").unwrap_or(SERVICES);
        let all = networking.text("podSubnet").into_iter().chain([services]);
        all.flat_map(|networks| networks.split(',')).map(str::to_owned).collect()
    }

    /// Whether etcd is on other machines.
    pub(super) fn has_external_etcd(&self) -> bool {
        self.part("clusterConfiguration").get("etcd").is_some_and(|etcd| etcd.get("external").is_some())
    }

    /// The folder of etcd's data on this machine.
    pub(super) fn etcd_folder(&self, node: &Node) -> String {
        let root = node.install_root.as_ref().map(|root| format!("{root}/etcd"));
        let said = || {
            let etcd = self.part("clusterConfiguration").get("etcd").map(Map::of)?;
            etcd.get("local").map(Map::of)?.text("dataDir").map(str::to_owned)
        };
        root.or_else(said).unwrap_or_else(|| "/var/lib/etcd".to_owned())
    }

    /// The folder of the cluster's certificates.
    pub(super) fn certificates_folder(&self) -> String {
        let whole = self.part("clusterConfiguration");
        whole.text("certificatesDir").unwrap_or("/etc/kubernetes/pki").to_owned()
    }

    /// The kubelet's folder, where it is told one.
    pub(super) fn kubelet_folder(&self, node: &Node) -> Option<String> {
        let root = node.install_root.as_ref().map(|root| format!("{root}/kubelet"));
        root.or_else(|| self.kubelet_argument("root-dir", node))
    }

    /// What the kubelet in the folder `kubelet` wants to be free: an argument counts more than its configuration, which has
    /// Kubernetes' own defaults (`pkg/kubelet/apis/config/v1beta1/defaults_linux.go`).
    pub(super) fn eviction(&self, kubelet: String, node: &Node) -> Eviction {
        const DEFAULTS: [(&str, &str); 2] = [("nodefs.available", "10%"), ("imagefs.available", "15%")];
        let defaults = (Free::Percent(10.0), Free::Percent(15.0));
        if let Some(said) = self.kubelet_argument("eviction-hard", node) {
            return Eviction::of(kubelet, Some(eviction::signals(&said)), defaults);
        }
        let config = self.part("kubeletConfiguration");
        let said = config.get("evictionHard").map(Map::of).map(|said| {
            let merged = config.text("mergeDefaultEvictionSettings") == Some("true");
            let defaults =
                DEFAULTS.into_iter().filter(|_| merged).map(|(signal, text)| (signal.to_owned(), text.to_owned()));
            let own = said.keys().filter_map(|signal| Some((signal.to_owned(), said.text(signal)?.to_owned())));
            defaults.chain(own).collect()
        });
        Eviction::of(kubelet, said, defaults)
    }

    /// What the profile says of an argument of the kubelet of this node.
    fn kubelet_argument(&self, name: &str, node: &Node) -> Option<String> {
        let key = match node.cluster {
            Membership::Init { .. } => "initConfiguration",
            Membership::Join { .. } => "joinConfiguration",
        };
        let registration = self.part(key).get("nodeRegistration").map(Map::of)?;
        let arguments = registration.get("kubeletExtraArgs")?;
        let scalar = |node: &yaml::Node| node.scalar().map(|scalar| scalar.text.to_string());
        let listed = arguments.items().iter().find(|item| item.get("name").and_then(scalar).as_deref() == Some(name));
        listed.and_then(|item| item.get("value")).or_else(|| arguments.get(name)).and_then(scalar)
    }

    /// Which paths of the configuration cannot be what they are for.
    pub(super) fn path_refusals(&self, cluster: &Cluster<'_>) -> Vec<String> {
        let pack = cluster.pack;
        let named = |what: &str, path: &str, why: &str| {
            format!("`config` of the pack {pack} has `{what}: {path}`, which {why}")
        };
        let (etcd, pki) = (self.etcd_folder(cluster.node), self.certificates_folder());
        let mut refusals = Vec::new();
        if let Err(why) = check_data_folder(&etcd) {
            refusals.push(named("etcd.local.dataDir", &etcd, why));
        }
        if let Err(why) = check_removable(&pki) {
            refusals.push(named("certificatesDir", &pki, why));
        }
        if let Some(kubelet) = self.kubelet_folder(cluster.node)
            && let Err(why) = check_data_folder(&kubelet)
        {
            refusals.push(named("kubeletExtraArgs.root-dir", &kubelet, why));
        }
        refusals
    }

    /// The document for this machine, and whether the site's secrets are in it.
    pub(super) fn written(&self, cluster: &Cluster<'_>) -> (String, bool) {
        let node = cluster.node;
        let (mut documents, secret) = match &node.cluster {
            Membership::Init { token } => {
                let others = [
                    ("kubeletConfiguration", self.kubelet(cluster)),
                    ("kubeProxyConfiguration", self.part("kubeProxyConfiguration")),
                ];
                let others = others.into_iter().filter(|(_, part)| !part.is_empty());
                let mut all = vec![
                    ("initConfiguration", self.init(cluster, token.as_ref())),
                    ("clusterConfiguration", self.whole(node)),
                ];
                all.extend(others);
                (all, token.is_some())
            }
            Membership::Join { .. } => (vec![("joinConfiguration", self.join(cluster))], true),
        };
        let written = documents.drain(..).map(|(key, part)| self.headed(key, part).written());
        (written.collect::<Vec<_>>().join("---\n"), secret)
    }

    /// What a node that joins follows of what the first server says of all of them, since it has that from the cluster: the
    /// kubelets' configuration, and on a server that of the control plane. Nothing for the first server.
    pub(super) fn of_cluster(&self, cluster: &Cluster<'_>) -> Option<String> {
        let node = cluster.node;
        if matches!(node.cluster, Membership::Init { .. }) {
            return None;
        }
        let mut parts = Vec::new();
        if node.role == Role::Server {
            parts.push(("clusterConfiguration", self.whole(node)));
        }
        parts.push(("kubeletConfiguration", self.part("kubeletConfiguration")));
        let written = parts.into_iter().map(|(key, part)| self.headed(key, part).written());
        Some(written.collect::<Vec<_>>().join("---\n"))
    }

    /// With its version and kind.
    fn headed(&self, key: &str, part: Map) -> Map {
        let (kind, version) =
            PARTS.iter().find(|(name, ..)| *name == key).map_or(("", ""), |(_, kind, version)| (kind, version));
        let own = match self.api {
            Api::V1Beta3 => "kubeadm.k8s.io/v1beta3",
            Api::V1Beta4 => "kubeadm.k8s.io/v1beta4",
        };
        let mut all =
            Map::from([("apiVersion", text(if version.is_empty() { own } else { version })), ("kind", text(kind))]);
        all.extend(part);
        all
    }

    fn init(&self, cluster: &Cluster<'_>, token: Option<&Secret>) -> Map {
        let mut init = self.part("initConfiguration");
        if let Some(token) = token {
            init.set("bootstrapTokens", list(vec![map([("token", text(token.0.as_str()))])]));
        }
        advertise(&mut init, cluster.node);
        init.within("nodeRegistration", |registration| self.register(registration, cluster));
        init
    }

    /// What is said of the whole cluster, once.
    fn whole(&self, node: &Node) -> Map {
        let mut whole = self.part("clusterConfiguration");
        whole.set("kubernetesVersion", text(self.version.as_str()));
        if let Some(at) = &node.endpoint {
            let at = endpoint(at);
            let name = proxy::host_of(&at).unwrap_or_default().to_owned();
            whole.set("controlPlaneEndpoint", text(at));
            whole.within("apiServer", |server| server.join("certSANs", [name]));
        }
        if let Some(root) = node.install_root.as_ref().filter(|_| !self.has_external_etcd()) {
            whole.within("etcd", |etcd| {
                etcd.within("local", |local| local.set("dataDir", text(format!("{root}/etcd"))));
            });
        }
        whole
    }

    /// What is said of all kubelets.
    fn kubelet(&self, cluster: &Cluster<'_>) -> Map {
        let mut kubelet = self.part("kubeletConfiguration");
        if self.keeps_images(cluster) {
            kubelet.set("imageGCHighThresholdPercent", number(100));
        }
        kubelet
    }

    /// Whether the kubelet is told to leave images alone however full the disk is: a pin says nothing to it here, and nobody can
    /// pull again what it removes. What the profile says counts more.
    fn keeps_images(&self, cluster: &Cluster<'_>) -> bool {
        cluster.host.forgets_pins
            && self.part("kubeletConfiguration").get("imageGCHighThresholdPercent").is_none()
            && self.kubelet_argument("image-gc-high-threshold", cluster.node).is_none()
    }

    fn join(&self, cluster: &Cluster<'_>) -> Map {
        let mut join = self.part("joinConfiguration");
        if let Membership::Join { server, token, ca_hash, certificate_key } = &cluster.node.cluster {
            let at = server.split_once("://").map_or(server.as_str(), |(_, rest)| rest).trim_end_matches('/');
            join.within("discovery", |discovery| {
                discovery.within("bootstrapToken", |bootstrap| {
                    bootstrap.set("token", text(token.0.as_str()));
                    bootstrap.set("apiServerEndpoint", text(at));
                    bootstrap.set("caCertHashes", texts(ca_hash.clone()));
                });
            });
            if let Some(key) = certificate_key {
                join.within("controlPlane", |plane| plane.set("certificateKey", text(key.0.as_str())));
            }
            if cluster.node.role == Role::Server {
                join.within("controlPlane", |plane| advertise(plane, cluster.node));
            }
        }
        join.within("nodeRegistration", |registration| self.register(registration, cluster));
        join
    }

    /// What is said of this node. A server works too, so that it has no taint of its own unless somebody says one.
    fn register(&self, registration: &mut Map, cluster: &Cluster<'_>) {
        let node = cluster.node;
        registration.set("name", text(cluster.node_name()));
        registration.set_default("criSocket", text(self.socket.as_str()));
        let mut taints: Vec<yaml::Node> =
            registration.get("taints").map(|taints| taints.items().to_vec()).unwrap_or_default();
        taints.extend(node.taints.iter().map(|taint| {
            let mut one = Map::from([("key", text(taint.key.as_str()))]);
            if !taint.value.is_empty() {
                one.set("value", text(taint.value.as_str()));
            }
            one.set("effect", text(taint.effect.as_str()));
            one.node()
        }));
        if node.role == Role::Server || !taints.is_empty() {
            registration.set("taints", list(taints));
        }
        let labels: Vec<String> = labels::labels(node).collect();
        let mut arguments = Vec::new();
        if !labels.is_empty() {
            arguments.push(("node-labels", labels.join(",")));
        }
        if let Some(address) = &node.address {
            arguments.push(("node-ip", address.to_string()));
        }
        if let Some(root) = &node.install_root {
            arguments.push(("root-dir", format!("{root}/kubelet")));
        }
        // A node that joins has the configuration of the cluster, whose first server may have another containerd.
        if matches!(node.cluster, Membership::Join { .. }) && self.keeps_images(cluster) {
            arguments.push(("image-gc-high-threshold", "100".to_owned()));
        }
        if !arguments.is_empty() {
            let merged = self.arguments(registration.get("kubeletExtraArgs"), arguments);
            registration.set("kubeletExtraArgs", merged);
        }
    }

    /// The kubelet's arguments in the form of this version, whichever the profile has. Labels of both are joined.
    fn arguments(&self, profile: Option<&yaml::Node>, site: Vec<(&str, String)>) -> yaml::Node {
        let mut all: Vec<(String, String)> = Vec::new();
        let scalar = |node: &yaml::Node| node.scalar().map(|scalar| scalar.text.to_string()).unwrap_or_default();
        for entry in profile.map(yaml::Node::entries).unwrap_or_default() {
            all.push((entry.key.to_string(), scalar(&entry.value)));
        }
        for item in profile.map(yaml::Node::items).unwrap_or_default() {
            let field = |key: &str| item.get(key).map(scalar).unwrap_or_default();
            all.push((field("name"), field("value")));
        }
        for (name, value) in site {
            match all.iter_mut().find(|(other, _)| other == name) {
                Some((_, old)) if name == "node-labels" => *old = format!("{old},{value}"),
                Some((_, old)) => *old = value,
                None => all.push((name.to_owned(), value)),
            }
        }
        match self.api {
            Api::V1Beta3 => {
                let mut arguments = Map::default();
                all.into_iter().for_each(|(name, value)| arguments.set(&name, text(value)));
                arguments.node()
            }
            Api::V1Beta4 => {
                list(all.into_iter().map(|(name, value)| map([("name", text(name)), ("value", text(value))])).collect())
            }
        }
    }
}

/// Where the API server of this machine is reached, and its etcd.
fn advertise(part: &mut Map, node: &Node) {
    if let Some(first) = node.address.as_ref().and_then(|address| address.addresses.first()) {
        part.within("localAPIEndpoint", |endpoint| endpoint.set("advertiseAddress", text(first.to_string())));
    }
}
