//! Canonical Kubernetes, the snap `k8s`: <https://documentation.ubuntu.com/canonical-kubernetes/>. Its commands are those of
//! `docs/canonicalk8s/_parts/commands` of its sources, the keys of its configuration those of `bootstrap_config.md`,
//! `control_plane_join_config.md` and `worker_join_config.md` beside them, how it is installed without a network that of
//! `snap/howto/install/offline.md`.

use super::cluster::Cluster;
use super::eviction::{self, Eviction, Free};
use super::objects::{self, with};
use super::tree::{Map, text};
use super::{Distribution, FOREIGN, Join, Save, SetupFile, Step, file, guarded, hosts, kube_vip, labels, proxy, words};
use crate::options::{Options, Part};
use crate::site::node::{Endpoint, Membership, Role};

/// Where it is remembered how far making the node went, and what it is made with.
const STATE: &str = "/var/lib/carrack/canonical";
/// Archives of images in here are put where the snap's containerd imports them from when it starts.
pub const IMAGES: &str = "/var/lib/carrack/canonical/images";
/// The folders that the snap fills.
pub(super) const FOLDERS: [&str; 3] = ["/var/snap/k8s", "/etc/kubernetes", KUBELET];
const KUBELET: &str = "/var/lib/kubelet";
const MAKE: &str = include_str!("canonical.sh");
const UPGRADE: &str = include_str!("canonical-upgrade.sh");
const K8S: &str = "/snap/bin/k8s";
/// The networks of pods and services where the profile says nothing.
const NETWORKS: [&str; 2] = ["10.1.0.0/16", "10.152.183.0/24"];

/// The snap on one machine.
pub(super) struct Canonical<'a> {
    cluster: &'a Cluster<'a>,
    profile: Map,
}

impl<'a> Canonical<'a> {
    pub(super) fn of(cluster: &'a Cluster<'a>) -> Result<Self, String> {
        let profile = Map::parse(cluster.config)
            .map_err(|reason| format!("`config` of the pack {} cannot be read: {reason}", cluster.pack))?;
        Ok(Self { cluster, profile })
    }

    fn is_server(&self) -> bool {
        self.cluster.node.role == Role::Server
    }

    fn is_first(&self) -> bool {
        matches!(self.cluster.node.cluster, Membership::Init { .. })
    }

    /// The snap of this name among the bundle's files, `k8s.snap` or `k8s_1234.snap`.
    fn snaps(&self, is: impl Fn(&str) -> bool) -> Vec<&'a str> {
        let name = |path: &str| {
            let file = path.rsplit('/').next()?.strip_suffix(".snap")?;
            Some(file.split('_').next().unwrap_or(file).to_owned())
        };
        let wanted = |path: &&str| name(path).is_some_and(|name| is(&name));
        self.cluster.files.iter().map(String::as_str).filter(wanted).collect()
    }

    fn snap(&self) -> Option<&'a str> {
        self.snaps(|name| name == "k8s").first().copied()
    }

    /// The snaps that it needs: its base, and snapd where the bundle has one.
    fn bases(&self) -> Vec<&'a str> {
        self.snaps(|name| name != "k8s")
    }

    fn config_file() -> String {
        format!("{STATE}/config.yaml")
    }

    fn token_file(&self) -> Option<SetupFile> {
        match &self.cluster.node.cluster {
            Membership::Join { token, .. } => Some(guarded(format!("{STATE}/token"), format!("{}\n", token.0), true)),
            Membership::Init { .. } => None,
        }
    }

    fn kubectl() -> Vec<String> {
        words([K8S, "kubectl"])
    }

    /// The same with the means of the node alone.
    fn node_kubectl() -> Vec<String> {
        words(["/snap/k8s/current/bin/kubectl", "--kubeconfig", "/etc/kubernetes/kubelet.conf"])
    }

    /// What the profile says of clusters, as far as this node may be told it, with what the site says of it.
    fn config(&self) -> Map {
        let node = self.cluster.node;
        let mut config = self.profile.clone();
        if let Some(options) = Options::of("canonical", self.cluster.version).filter(|_| !self.is_first()) {
            let part = if self.is_server() { Part::Server } else { Part::Agent };
            let refused: Vec<String> =
                config.keys().filter(|key| !options.takes(key, part)).map(str::to_owned).collect();
            refused.iter().for_each(|key| config.remove(key));
        }
        if self.is_server() {
            config.join(
                "extra-sans",
                node.endpoint.iter().map(|endpoint| match endpoint {
                    Endpoint::Vip { address, .. } => address.to_string(),
                    Endpoint::Dns(name) => name.clone(),
                }),
            );
        }
        if let Some(address) = &node.address {
            let address = text(address.to_string());
            config.within("extra-node-kubelet-args", |arguments| arguments.set("--node-ip", address));
        }
        let taints: Vec<String> = labels::taints(node).collect();
        if self.is_first() {
            config.join("control-plane-taints", taints);
        } else if !taints.is_empty() {
            config.within("extra-node-kubelet-args", |arguments| {
                let all = arguments.text("--register-with-taints").map(str::to_owned).into_iter().chain(taints);
                arguments.set("--register-with-taints", text(all.collect::<Vec<_>>().join(",")));
            });
        }
        config
    }

    /// The address by which the others know this machine; the snap finds one by itself where there is none.
    fn address(&self) -> Option<std::net::IpAddr> {
        self.cluster.node.address.as_ref()?.addresses.first().copied()
    }

    fn vip_file(&self) -> Option<SetupFile> {
        let vip = kube_vip::of(self.cluster).filter(|_| self.is_first())?;
        Some(file(format!("{STATE}/kube-vip.yaml"), vip.daemon_set()))
    }

    /// Joins by the request that `k8s join-cluster` makes (k8sd, `pkg/client/k8sd/cluster.go`), and remembers that it has.
    fn join(&self) -> Vec<Step> {
        const JOINED: &str = "set -eu\n\
            [ -e \"$1/begun\" ] || exit 0\n\
            : >\"$1/made\"\n\
            sync\n\
            rm \"$1/begun\"";
        let Membership::Join { server, .. } = &self.cluster.node.cluster else { return Vec::new() };
        let join = Join {
            what: "join the cluster".to_owned(),
            socket: "/var/snap/k8s/common/var/lib/k8sd/state/control.socket".to_owned(),
            request: "/1.0/k8sd/cluster/join".to_owned(),
            name: self.cluster.node_name(),
            server: server.clone(),
            address: self.address(),
            port: 6400,
            token: self.token_file().map(|file| file.path).unwrap_or_default(),
            config: Self::config_file(),
            when: format!("{STATE}/begun"),
            seconds: 900,
        };
        let remember = Step::Run {
            what: "remember that it has joined".to_owned(),
            command: words(["/bin/sh", "-c", JOINED, "joined", STATE]),
            unless: None,
            undo: None,
            seconds: 60,
        };
        vec![Step::Join(join), remember]
    }

    fn make(&self) -> Step {
        let (verb, what) =
            if self.is_first() { ("bootstrap", "make the cluster") } else { ("join", "install the snap") };
        let name = self.cluster.node_name();
        let snap = self.snap().unwrap_or_default();
        let address = self.address().map(|address| address.to_string()).unwrap_or_default();
        let config = Self::config_file();
        let command = words(["/bin/sh", "-c", MAKE, "make", verb, &config, STATE, &name, &address, FOREIGN, snap]);
        Step::Run {
            what: what.to_owned(),
            command: with(&command, &self.bases()),
            unless: Some(format!("{STATE}/made")),
            undo: Some(leave()),
            seconds: 1800,
        }
    }
}

/// Takes the snap with its data away, where it is this one that brought it. Where data of others was there before, snapd keeps a
/// snapshot of what goes.
fn leave() -> Vec<String> {
    const LEAVE: &str = "set -eu\n\
        [ -e \"$1/begun\" ] || [ -e \"$1/made\" ] || exit 0\n\
        : >\"$1/begun\"\n\
        if [ -n \"$2\" ]; then snap remove k8s; else snap remove k8s --purge; fi\n\
        rm -f \"$1/made\" \"$1/begun\"";
    words(["/bin/sh", "-c", LEAVE, "leave", STATE, FOREIGN])
}

impl Distribution for Canonical<'_> {
    fn refusals(&self) -> Vec<String> {
        let (cluster, pack, node) = (self.cluster, self.cluster.pack, self.cluster.node);
        let mut refusals = Vec::new();
        if cluster.host.os != "ubuntu" {
            let found = if cluster.host.os.is_empty() { "an unknown one" } else { &cluster.host.os };
            refusals.push(format!("Canonical Kubernetes is installed on Ubuntu, and this system is {found}"));
        }
        if cluster.host.architecture != "amd64" {
            refusals.push(format!(
                "Canonical Kubernetes is installed on amd64, and this machine is {}",
                cluster.host.architecture
            ));
        }
        if node.install_root.is_some() {
            refusals.push(
                "`installRoot` of the site: a snap has its data in /var/snap and nowhere else; leave it out".to_owned(),
            );
        }
        refusals.extend(kube_vip::of(cluster).and_then(|vip| vip.refusal(pack)));
        refusals.extend(super::registries::refusals("Canonical Kubernetes", &node.registries));
        let agent = node.role == Role::Agent;
        match &node.cluster {
            Membership::Init { .. } if agent => {
                refusals.push("`role: agent` of the site: an agent joins a cluster; say which in `cluster: {join: …}`".to_owned());
            }
            Membership::Init { token: Some(_) } => refusals.push(
                "`cluster.token` of the site: Canonical Kubernetes makes tokens itself, one for each node (k8s get-join-token NAME); \
                 leave it out"
                    .to_owned(),
            ),
            Membership::Init { token: None } => {}
            Membership::Join { ca_hash, certificate_key, .. } => {
                for (field, given) in [("caCertHash", ca_hash.is_some()), ("certificateKeyFile", certificate_key.is_some())] {
                    if given {
                        refusals.push(format!(
                            "`cluster.{field}` of the site is kubeadm's; a token of Canonical Kubernetes has in itself what it is checked with"
                        ));
                    }
                }
            }
        }
        if agent && !node.labels.is_empty() {
            refusals.push(
                "`nodeLabels` of the site: an agent of Canonical Kubernetes has its own; label it from a server (k8s kubectl label node NAME \
                 KEY=VALUE)"
                    .to_owned(),
            );
        }
        refusals
    }

    fn lacks(&self) -> Vec<String> {
        let (cluster, pack) = (self.cluster, self.cluster.pack);
        let mut lacks = Vec::new();
        if self.snap().is_none() || self.bases().is_empty() {
            lacks.push(format!(
                "the bundle lacks k8s.snap or its base, such as core22.snap; add both to `files` of the pack {pack}, each with its \
                 .assert beside it (snap download k8s --basename k8s)"
            ));
        }
        for snap in self.snap().into_iter().chain(self.bases()) {
            let assertion = format!("{}.assert", snap.trim_end_matches(".snap"));
            if !cluster.brings(&assertion) {
                lacks.push(format!("the bundle has {snap} without {assertion}, by which snapd believes it; add it to `files` of the pack {pack}"));
            }
        }
        if cluster.program("snap").is_none() {
            lacks.push("this host has no snapd; install it, as Ubuntu does".to_owned());
        }
        lacks
    }

    fn files(&self) -> Vec<SetupFile> {
        let cluster = self.cluster;
        let mut files = vec![guarded(Self::config_file(), self.config().written(), cluster.config_is_private)];
        files.extend(self.token_file());
        let own = ["pod-cidr", "service-cidr"].map(|key| self.profile.text(key));
        let networks: Vec<&str> = own.iter().zip(NETWORKS).map(|(own, usual)| own.unwrap_or(usual)).collect();
        let variables = proxy::variables(cluster, &networks);
        if !variables.is_empty() {
            let private = proxy::is_private(&variables);
            let path = "/etc/systemd/system/snap.k8s.containerd.service.d/http-proxy.conf";
            let environment = format!("{STATE}/proxy.env");
            files.push(file(path, proxy::drop_in(&environment)));
            files.push(guarded(environment, proxy::environment(&variables), private));
        }
        files.extend(hosts::files("/etc/containerd/hosts.d", &cluster.node.registries));
        files.extend(self.vip_file());
        files
    }

    fn start(&self) -> Vec<Step> {
        let mut start = vec![self.make()];
        start.extend(self.join());
        if self.cluster.upgrade_from.is_some() {
            let command = with(&words(["/bin/sh", "-c", UPGRADE, "upgrade"]), &self.bases());
            let command = with(&command, &[self.snap().unwrap_or_default()]);
            let what = "take the snaps to their new versions".to_owned();
            start.push(Step::Run { what, command, unless: None, undo: None, seconds: 1800 });
        }
        if !self.is_server() {
            // A worker has no administrator's means, and `k8s kubectl` asks for them.
            let node = format!("node/{}", self.cluster.node_name());
            let command = with(&Self::node_kubectl(), &["wait", "--for=condition=Ready", "--timeout=10s", &node]);
            start.push(Step::Wait { what: format!("the {node} is ready"), command, seconds: 900 });
            return start;
        }
        let command = words([K8S, "status", "--wait-ready", "--timeout", "1m"]);
        start.push(Step::Wait { what: "the cluster is ready".to_owned(), command, seconds: 900 });
        let (kubectl, node) = (Self::kubectl(), self.cluster.node_name());
        let labels: Vec<String> = labels::labels(self.cluster.node).collect();
        if !labels.is_empty() {
            let mut command = with(&kubectl, &["label", "--overwrite", "node", &node]);
            command.extend(labels);
            start.push(Step::Wait { what: "label the node".to_owned(), command, seconds: 300 });
        }
        start.extend(self.vip_file().map(|file| objects::manifest(&file.path, &kubectl)));
        if super::applies_objects("canonical", self.cluster.node) {
            start.extend(objects::steps(self.cluster, &kubectl, &words([K8S, "helm"])));
        }
        let object = format!("node/{node}");
        let command = with(&kubectl, &["wait", "--for=condition=Ready", "--timeout=10s", &object]);
        start.push(Step::Wait { what: format!("the node {node} is ready"), command, seconds: 900 });
        start
    }

    /// The snap removes what it has made there, and Carrack nothing besides.
    fn folders(&self) -> Vec<String> {
        words(FOLDERS)
    }

    fn shared(&self) -> Vec<String> {
        Vec::new()
    }

    fn remove(&self) -> Vec<Step> {
        vec![Step::Run {
            what: "remove the snap and its data".to_owned(),
            command: leave(),
            unless: None,
            undo: None,
            seconds: 900,
        }]
    }

    /// None: where its data lies and how it is put back is not published.
    fn save(&self) -> Option<Save> {
        None
    }

    fn kubectl(&self) -> Option<(Vec<String>, bool)> {
        let server = self.is_server();
        Some((if server { Self::kubectl() } else { Self::node_kubectl() }, server))
    }

    /// The snap's own defaults (k8s-snap, `src/k8s/pkg/k8sd/setup/kubelet.go`), or what the profile says of all or of this node.
    fn eviction(&self) -> Option<Eviction> {
        let named = |key: &str, name: &str| Some(self.profile.get(key).map(Map::of)?.text(name)?.to_owned());
        let argument = |name: &str| {
            let keys = ["extra-node-kubelet-args", "extra-kubelet-args"];
            keys.into_iter().find_map(|key| named(key, name))
        };
        let kubelet = argument("--root-dir").unwrap_or_else(|| KUBELET.to_owned());
        let said = argument("--eviction-hard").map(|said| eviction::signals(&said));
        Some(Eviction::of(kubelet, said, (Free::Bytes(1 << 30), Free::Bytes(1 << 30))))
    }
}
