//! kubeadm, by which PXK-E and most clusters without a distribution of their own are made:
//! <https://kubernetes.io/docs/reference/setup-tools/kubeadm/>. The fields are those of
//! `cmd/kubeadm/app/apis/kubeadm/v1beta4` and `v1beta3`, the kubelet's unit is that of
//! <https://kubernetes.io/docs/setup/production-environment/tools/kubeadm/kubelet-integration/>.

#[cfg(test)]
mod tests;

use super::cluster::{Cluster, UNITS};
use super::kubeadm_config::{self, Api, Config};
use super::kubeadm_upgrade;
use super::objects::{self, with};
use super::{
    Configure, Distribution, Eviction, FOREIGN, SAVED, Save, SetupFile, Step, file, guarded, hosts, kube_vip, proxy,
    registries, words,
};
use crate::site::node::{Endpoint, Membership, Role};

/// Where it is remembered how far making the node went, and what it is made with.
const STATE: &str = "/var/lib/carrack/kubeadm";
const MAKE: &str = concat!("# Makes the node.\n", include_str!("kubeadm-out.sh"), "\n", include_str!("kubeadm.sh"));
const LEAVE: &str =
    concat!("# Takes the node away.\n", include_str!("kubeadm-out.sh"), "\n", include_str!("kubeadm-leave.sh"));
/// Where kubeadm writes what the kubelet reads, and where the kubelet keeps what it has unless it is told otherwise.
const KUBELET: &str = "/var/lib/kubelet";
const ADMIN: &str = "/etc/kubernetes/admin.conf";
const DROP_IN: &str = "kubelet.service.d/10-kubeadm.conf";
const STATIC_POD: &str = "/etc/kubernetes/manifests/kube-vip.yaml";

/// What the kernel has to let pass between pods (<https://kubernetes.io/docs/setup/production-environment/container-runtimes/>).
/// The modules come first, since the settings of one are there once it is loaded; where one cannot be, kubeadm says so.
const MODULES: (&str, &str) = ("/etc/modules-load.d/carrack-kubeadm.conf", "overlay\nbr_netfilter\n");
const SETTINGS: (&str, &str) = (
    "/etc/sysctl.d/90-carrack-kubeadm.conf",
    "net.bridge.bridge-nf-call-iptables = 1\nnet.bridge.bridge-nf-call-ip6tables = 1\nnet.ipv4.ip_forward = 1\n",
);
const PREPARE: &str = "/sbin/modprobe -a overlay br_netfilter || true; exec systemctl restart systemd-sysctl.service";

/// kubeadm on one machine.
pub(super) struct Kubeadm<'a> {
    cluster: &'a Cluster<'a>,
    config: Config,
}

impl<'a> Kubeadm<'a> {
    pub(super) fn of(cluster: &'a Cluster<'a>) -> Result<Self, Vec<String>> {
        Ok(Self { cluster, config: Config::read(cluster)? })
    }

    fn is_server(&self) -> bool {
        self.cluster.node.role == Role::Server
    }

    fn is_first(&self) -> bool {
        matches!(self.cluster.node.cluster, Membership::Init { .. })
    }

    fn applies_objects(&self) -> bool {
        super::applies_objects("kubeadm", self.cluster.node)
    }

    fn program(&self, name: &str) -> String {
        self.cluster.program(name).unwrap_or_default().to_owned()
    }

    /// `kubectl` with the means of an administrator, or of the node alone.
    fn kubectl(&self) -> Vec<String> {
        let kubeconfig = if self.is_server() { ADMIN } else { "/etc/kubernetes/kubelet.conf" };
        vec![self.program("kubectl"), "--kubeconfig".to_owned(), kubeconfig.to_owned()]
    }

    fn config_file() -> String {
        format!("{STATE}/config.yaml")
    }

    /// What brings it what has changed of its configuration since it was made.
    fn configure(&self) -> Configure {
        Configure {
            kubeadm: self.program("kubeadm"),
            kubectl: self.kubectl(),
            node: self.cluster.node_name(),
            folder: STATE.to_owned(),
            seconds: 3600,
        }
    }

    /// The static pod of kube-vip as it is while the first server is made. From 1.29 on an administrator may do nothing until
    /// kubeadm is through (<https://github.com/kube-vip/kube-vip/issues/684>).
    fn first_pod(&self) -> Option<SetupFile> {
        let vip = kube_vip::of(self.cluster).filter(|_| self.is_first())?;
        let kubeconfig = if self.config.minor >= 29 { "/etc/kubernetes/super-admin.conf" } else { ADMIN };
        Some(file(format!("{STATE}/kube-vip-first.yaml"), vip.static_pod(kubeconfig)))
    }

    fn pod(&self) -> Option<SetupFile> {
        let vip = kube_vip::of(self.cluster)?;
        Some(file(format!("{STATE}/kube-vip.yaml"), vip.static_pod(ADMIN)))
    }

    /// The folders that go with the node. kubeadm empties its own.
    fn made(&self) -> Vec<String> {
        let mut folders = words(["/etc/kubernetes", KUBELET]);
        folders.extend(self.config.kubelet_folder(self.cluster.node).filter(|folder| folder != KUBELET));
        if self.is_server() && !self.config.has_external_etcd() {
            folders.push(self.etcd());
        }
        folders
    }

    /// The kubelet's folder; its configuration is in [`KUBELET`] all the same.
    fn kubelet(&self) -> String {
        self.config.kubelet_folder(self.cluster.node).unwrap_or_else(|| KUBELET.to_owned())
    }

    fn etcd(&self) -> String {
        self.config.etcd_folder(self.cluster.node)
    }

    fn uses_containerd(&self) -> bool {
        self.config.socket.contains("containerd")
    }

    /// The unit, and how kubeadm tells the kubelet what to read, where packages bring neither.
    fn kubelet_files(&self) -> Vec<SetupFile> {
        let kubelet = self.program("kubelet");
        let mut files = Vec::new();
        if kubelet.is_empty() {
            return files;
        }
        if !self.cluster.has_unit("kubelet.service") {
            let text = format!(
                "[Unit]\n\
                 Description=kubelet: the Kubernetes node agent\n\
                 Wants=network-online.target\n\
                 After=network-online.target\n\
                 StartLimitIntervalSec=0\n\
                 \n\
                 [Service]\n\
                 ExecStart={kubelet}\n\
                 Restart=always\n\
                 RestartSec=10\n\
                 \n\
                 [Install]\n\
                 WantedBy=multi-user.target\n"
            );
            files.push(file(format!("{}kubelet.service", UNITS[0]), text));
        }
        if !self.cluster.has_unit(DROP_IN) {
            let text = format!(
                "[Service]\n\
                 Environment=\"KUBELET_KUBECONFIG_ARGS=--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf \
                 --kubeconfig=/etc/kubernetes/kubelet.conf\"\n\
                 Environment=\"KUBELET_CONFIG_ARGS=--config=/var/lib/kubelet/config.yaml\"\n\
                 # kubeadm writes it.\n\
                 EnvironmentFile=-/var/lib/kubelet/kubeadm-flags.env\n\
                 EnvironmentFile=-/etc/default/kubelet\n\
                 EnvironmentFile=-/etc/sysconfig/kubelet\n\
                 ExecStart=\n\
                 ExecStart={kubelet} $KUBELET_KUBECONFIG_ARGS $KUBELET_CONFIG_ARGS $KUBELET_KUBEADM_ARGS $KUBELET_EXTRA_ARGS\n"
            );
            files.push(file(format!("{}{DROP_IN}", UNITS[0]), text));
        }
        files
    }

    fn proxy_files(&self) -> Vec<SetupFile> {
        let networks = self.config.networks();
        let networks: Vec<&str> = networks.iter().map(String::as_str).collect();
        let variables = proxy::variables(self.cluster, &networks);
        if variables.is_empty() {
            return Vec::new();
        }
        let private = proxy::is_private(&variables);
        let units = ["containerd", "kubelet"].into_iter().skip(usize::from(!self.uses_containerd()));
        let path = |unit: &str| format!("{}{unit}.service.d/50-carrack-proxy.conf", UNITS[0]);
        let environment = format!("{STATE}/proxy.env");
        let drop_ins = units.map(|unit| file(path(unit), proxy::drop_in(&environment)));
        let variables = guarded(&environment, proxy::environment(&variables), private);
        std::iter::once(variables).chain(drop_ins).collect()
    }

    /// Makes the node.
    fn make(&self) -> Step {
        let (verb, what) = if self.is_first() { ("init", "make the cluster") } else { ("join", "join the cluster") };
        let (kubeadm, pod) = (self.program("kubeadm"), self.first_pod().map(|file| file.path).unwrap_or_default());
        Step::Run {
            what: what.to_owned(),
            command: words(["/bin/sh", "-c", MAKE, "make", &kubeadm, verb, &Self::config_file(), STATE, &pod, FOREIGN]),
            unless: Some(format!("{STATE}/made")),
            undo: Some(words(["/bin/sh", "-c", LEAVE, "reset", &kubeadm, STATE, FOREIGN])),
            seconds: 900,
        }
    }

    fn upgrade(&self) -> Option<Step> {
        self.cluster.upgrade_from?;
        let (kubeadm, version) = (self.program("kubeadm"), &self.config.version);
        Some(if self.is_first() {
            kubeadm_upgrade::first(&kubeadm, version, &self.cluster.node_name(), &self.program("kubectl"))
        } else {
            kubeadm_upgrade::further(&kubeadm, version)
        })
    }

    /// A copy of everything while nothing runs. Static pods go on when the kubelet is stopped, so their processes are ended:
    /// nobody starts them again until it runs. As with the kubelet, what does not end in 30 seconds is killed: an API server
    /// waits longer for the requests that it has.
    fn copy(&self) -> Save {
        const END: &str = "for name in kube-apiserver etcd; do\n\
            for process in /proc/[0-9]*; do\n\
            [ \"$(cat \"$process/comm\" 2>/dev/null)\" = \"$name\" ] || continue\n\
            for signal in TERM KILL; do\n\
            kill \"-$signal\" \"${process#/proc/}\" 2>/dev/null || break\n\
            tries=0\n\
            while [ -e \"$process\" ] && [ \"$tries\" -lt 30 ]; do sleep 1; tries=$((tries + 1)); done\n\
            [ -e \"$process\" ] || break\n\
            done\n\
            [ ! -e \"$process\" ] || exit 1\n\
            done\n\
            done";
        let etcd = self.etcd();
        let stop = || {
            let command = words(["/bin/sh", "-c", END]);
            let what = "end the API server and etcd".to_owned();
            [
                Step::Stop { unit: "kubelet.service".to_owned() },
                Step::Run { what, command, unless: None, undo: None, seconds: 180 },
            ]
        };
        let parts = [
            ("/etc/kubernetes", "kubernetes"),
            (etcd.as_str(), "etcd"),
            ("/var/lib/kubelet/config.yaml", "config.yaml"),
            ("/var/lib/kubelet/kubeadm-flags.env", "kubeadm-flags.env"),
        ];
        // Only etcd's folder is all its own.
        let copy = |from: String, to: String, own: &str| Step::Copy { from, to, unless: None, over: own != etcd };
        let save = parts.map(|(from, to)| copy(from.to_owned(), format!("{SAVED}/{to}"), etcd.as_str()));
        let restore = parts.map(|(to, from)| copy(format!("{SAVED}/{from}"), to.to_owned(), to));
        let started = Step::Start { unit: "kubelet.service".to_owned(), restart: false };
        Save {
            state: etcd.clone(),
            // The kubelet that is saved goes on until the API server is upgraded.
            save: stop().into_iter().chain(save).chain([started]).collect(),
            restore: stop().into_iter().chain(restore).collect(),
        }
    }

    /// Where there may be other servers, what etcd holds is saved, and put back by hand.
    fn snapshot(&self) -> Save {
        let etcd = self.etcd();
        let taken = format!("{etcd}/carrack-snapshot.db");
        let pki = self.config.certificates_folder();
        let pod = format!("etcd-{}", self.cluster.node_name());
        let command = with(
            &self.kubectl(),
            &[
                "--namespace=kube-system",
                "exec",
                &pod,
                "--",
                "etcdctl",
                "--endpoints=https://127.0.0.1:2379",
                &format!("--cacert={pki}/etcd/ca.crt"),
                &format!("--cert={pki}/etcd/server.crt"),
                &format!("--key={pki}/etcd/server.key"),
                "snapshot",
                "save",
                &taken,
            ],
        );
        let copy = |from: &str, to: &str| Step::Copy {
            from: from.to_owned(),
            to: format!("{SAVED}/{to}"),
            unless: None,
            over: false,
        };
        let save = vec![
            Step::Run { what: "take a snapshot of etcd".to_owned(), command, unless: None, undo: None, seconds: 600 },
            copy(&taken, "etcd.db"),
            removed(&taken),
            copy("/etc/kubernetes", "kubernetes"),
        ];
        Save { state: etcd, save, restore: Vec::new() }
    }
}

impl Distribution for Kubeadm<'_> {
    fn refusals(&self) -> Vec<String> {
        let mut refusals = kubeadm_config::refusals(self.cluster.node);
        refusals.extend(registries::refusals("kubeadm", &self.cluster.node.registries));
        refusals.extend(self.config.path_refusals(self.cluster));
        refusals.extend(kube_vip::of(self.cluster).and_then(|vip| vip.refusal(self.cluster.pack)));
        refusals
    }

    fn lacks(&self) -> Vec<String> {
        let (cluster, pack) = (self.cluster, self.cluster.pack);
        let mut lacks: Vec<String> = ["kubeadm", "kubelet", "kubectl"]
            .into_iter()
            .filter(|name| cluster.program(name).is_none())
            .map(|name| {
                format!("neither the bundle nor this host has the program {name}; add it to `files` of the pack {pack}, with the path /usr/bin/{name} (https://dl.k8s.io)")
            })
            .collect();
        if self.applies_objects() && !cluster.releases.is_empty() && cluster.program("helm").is_none() {
            lacks.push(format!(
                "the bundle has charts, and neither it nor this host has Helm; add it to `files` of the pack {pack}, with the path \
                 /usr/local/bin/helm (https://github.com/helm/helm/releases)"
            ));
        }
        lacks
    }

    fn files(&self) -> Vec<SetupFile> {
        let cluster = self.cluster;
        let (text, secret) = self.config.written(cluster);
        let mut files = vec![guarded(Self::config_file(), text, secret || cluster.config_is_private)];
        if let Some(text) = self.config.of_cluster(cluster) {
            files.push(guarded(self.configure().cluster(), text, cluster.config_is_private));
        }
        files.extend([MODULES, SETTINGS].map(|(path, text)| file(path, text)));
        files.extend(self.kubelet_files());
        files.extend(self.proxy_files());
        files.extend(hosts::files("/etc/containerd/certs.d", &cluster.node.registries));
        files.extend(self.first_pod());
        files.extend(self.pod());
        files
    }

    fn start(&self) -> Vec<Step> {
        let mut start = vec![Step::Run {
            what: "have the kernel pass on packets of pods".to_owned(),
            command: words(["/bin/sh", "-c", PREPARE]),
            unless: None,
            undo: None,
            seconds: 60,
        }];
        if self.uses_containerd() {
            start.push(Step::Start { unit: "containerd.service".to_owned(), restart: false });
        }
        start.push(self.make());
        start.extend(self.pod().map(|file| Step::Copy {
            from: file.path,
            to: STATIC_POD.to_owned(),
            unless: None,
            over: true,
        }));
        let kubelet = |restart| Step::Start { unit: "kubelet.service".to_owned(), restart };
        let upgrade = self.upgrade();
        start.push(match &upgrade {
            // kubeadm starts it; it has to start with the machine too, and again where its program is another one.
            None => kubelet(false),
            // The one that runs is older than the API server or as old, and has to be for as long as that is not upgraded.
            Some(_) => Step::Run {
                what: "let the kubelet run".to_owned(),
                command: words(["/usr/bin/systemctl", "start", "kubelet.service"]),
                unless: None,
                undo: None,
                seconds: 120,
            },
        });
        let kubectl = self.kubectl();
        let configure = Step::Configure(self.configure());
        if upgrade.is_none() {
            // Before the API is waited for: what a broken configuration has stopped does not come up without another one.
            start.push(configure.clone());
        }
        if self.is_server() {
            let command = with(&kubectl, &["get", "--raw", "/readyz"]);
            start.push(Step::Wait { what: "the API server is ready".to_owned(), command, seconds: 600 });
        }
        if let Some(upgrade) = upgrade {
            // kubeadm takes the cluster to the version with the configuration that it has.
            start.extend([upgrade, kubelet(true), configure]);
        }
        if self.applies_objects() {
            let helm = words([&self.program("helm"), "--kubeconfig", ADMIN]);
            start.extend(objects::steps(self.cluster, &kubectl, &helm));
        }
        let node = self.cluster.node_name();
        let object = format!("node/{node}");
        let command = with(&kubectl, &["wait", "--for=condition=Ready", "--timeout=10s", &object]);
        start.push(Step::Wait { what: format!("the node {node} is ready"), command, seconds: 900 });
        start
    }

    fn folders(&self) -> Vec<String> {
        let root = self.cluster.node.install_root.iter().cloned();
        root.chain(self.made()).collect()
    }

    fn shared(&self) -> Vec<String> {
        // Where CNI plugins remember addresses, what pods write, and the kubelet's plugins for volumes.
        words(["/var/lib/cni", "/var/log/pods", "/var/log/containers", "/usr/libexec/kubernetes"])
    }

    fn remove(&self) -> Vec<Step> {
        let folders = [self.made(), self.shared()].concat();
        leaving(&self.program("kubeadm"), &self.kubelet(), folders)
    }

    fn save(&self) -> Option<Save> {
        if !self.is_server() || self.config.has_external_etcd() {
            return None;
        }
        let alone = self.is_first() && self.cluster.node.endpoint.is_none();
        Some(if alone { self.copy() } else { self.snapshot() })
    }

    fn kubectl(&self) -> Option<(Vec<String>, bool)> {
        Some((Self::kubectl(self), self.is_server()))
    }

    fn eviction(&self) -> Option<Eviction> {
        Some(self.config.eviction(self.kubelet(), self.cluster.node))
    }
}

/// What takes a node away that this program has made.
pub(super) fn leaving(kubeadm: &str, kubelet: &str, folders: Vec<String>) -> Vec<Step> {
    let leave = Step::Run {
        what: "leave the cluster".to_owned(),
        command: words(["/bin/sh", "-c", LEAVE, "reset", kubeadm, STATE, FOREIGN]),
        unless: None,
        undo: None,
        seconds: 600,
    };
    let kubelet = kubelet.to_owned();
    let sweep = Step::Sweep { unit: None, data: None, state: None, kubelet, interfaces: Vec::new() };
    let removed = folders.into_iter().map(|path| Step::Remove { path });
    [leave, sweep].into_iter().chain(removed).collect()
}

/// Removes one file.
pub(super) fn removed(path: &str) -> Step {
    let command = words(["/bin/rm", "-f", "--", path]);
    Step::Run { what: format!("remove {path}"), command, unless: None, undo: None, seconds: 60 }
}

/// Where the API is, as kubeadm writes it: a name or address with a port.
pub(super) fn endpoint(endpoint: &Endpoint) -> String {
    match endpoint {
        Endpoint::Vip { address, .. } => std::net::SocketAddr::new(*address, 6443).to_string(),
        Endpoint::Dns(name) => format!("{name}:6443"),
    }
}

/// The version of kubeadm's configuration for a minor version of Kubernetes 1.
pub(super) fn api(minor: u64) -> Option<Api> {
    match minor {
        31.. => Some(Api::V1Beta4),
        22..=30 => Some(Api::V1Beta3),
        _ => None,
    }
}
