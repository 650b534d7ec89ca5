//! What k3s and RKE2 have in common: RKE2 is k3s with other names and other parts, and reads its configuration with the
//! same code (k3s, `pkg/configfilearg`).

use super::cluster::{Cluster, UNITS};
use super::eviction::{self, Eviction, Free};
use super::objects::with;
use super::tree::{Map, text, truth};
use super::{SAVED, Save, SetupFile, Step, file, guarded, kube_vip, labels, proxy, registries, words};
use crate::options::{Options, Part};
use crate::places::{check_data_folder, check_file};
use crate::site::node::{Endpoint, Membership, Role, Secret};

/// What one of the two calls its things.
#[derive(Debug)]
pub(super) struct Names {
    /// The distribution, its program and its folders.
    pub(super) name: &'static str,
    /// As people write it.
    pub(super) shown: &'static str,
    /// Where its program is published.
    pub(super) program_from: &'static str,
    /// The unit of a server.
    pub(super) server_unit: &'static str,
    /// The unit of an agent.
    pub(super) agent_unit: &'static str,
    /// The file of variables that the units read, before and after the unit's name without its ending.
    pub(super) environment: (&'static str, &'static str),
    /// The port at which servers take nodes.
    pub(super) port: &'static str,
    /// Interfaces that it makes itself.
    pub(super) interfaces: &'static [&'static str],
    /// Lines of its unit that the other does not have.
    pub(super) unit_lines: &'static str,
}

/// What takes more than a command.
const SAVE: &str = include_str!("rancher-save.sh");
const RESTORE: &str = include_str!("rancher-restore.sh");
/// Where the runtimes of both keep what runs.
const STATE: &str = "/run/k3s";
const KUBELET: &str = "/var/lib/kubelet";
/// What a server's state is, in its folder, where it is not in etcd.
pub(super) const PARTS: [&str; 4] = ["db", "token", "cred", "tls"];

/// Keys of the configuration that are lists, and have what the profile says and what the site says.
const JOINED: [&str; 3] = ["tls-san", "node-label", "node-taint"];

/// One of the two, told of a machine.
pub(super) struct Rancher<'a> {
    names: &'static Names,
    pub(super) cluster: &'a Cluster<'a>,
    profile: Map,
}

impl<'a> Rancher<'a> {
    pub(super) fn of(names: &'static Names, cluster: &'a Cluster<'a>) -> Result<Self, String> {
        let profile = Map::parse(cluster.config)
            .map_err(|reason| format!("`config` of the pack {} cannot be read: {reason}", cluster.pack))?;
        Ok(Self { names, cluster, profile })
    }

    /// Whether it is a server.
    pub(super) fn is_server(&self) -> bool {
        self.cluster.node.role == Role::Server
    }

    /// The unit.
    pub(super) fn unit(&self) -> &'static str {
        if self.is_server() { self.names.server_unit } else { self.names.agent_unit }
    }

    /// The folder of its data.
    pub(super) fn data(&self) -> String {
        let usual = || format!("/var/lib/rancher/{}", self.names.name);
        self.cluster.node.install_root.clone().unwrap_or_else(usual)
    }

    /// The folder of its configuration.
    pub(super) fn folder(&self) -> String {
        format!("/etc/rancher/{}", self.names.name)
    }

    /// Its program; absent where neither bundle nor host have it, which is refused.
    pub(super) fn program(&self) -> &str {
        self.cluster.program(self.names.name).unwrap_or_default()
    }

    /// Whether it is the bundle that brings it, so that Carrack takes it away again too.
    fn is_ours(&self) -> bool {
        self.cluster.files.iter().any(|path| path == self.program())
    }

    pub(super) fn lacks(&self) -> Vec<String> {
        let (Names { name, program_from, .. }, pack) = (self.names, self.cluster.pack);
        let lacking = self.cluster.program(name).is_none().then(|| {
            format!(
                "neither the bundle nor this host has the program {name}; add it to `files` of the pack {pack}, with the path \
                 /usr/local/bin/{name} ({program_from})"
            )
        });
        lacking.into_iter().collect()
    }

    pub(super) fn refusals(&self) -> Vec<String> {
        let Names { shown, port, .. } = self.names;
        let (cluster, pack) = (self.cluster, self.cluster.pack);
        let mut refusals = Vec::new();
        if let Some(other) = self.profile.text("data-dir").filter(|other| *other != self.data()) {
            refusals.push(format!(
                "`config` of the pack {pack} has `data-dir: {other}`; take it out, and say `installRoot` in the site"
            ));
        }
        let named = |what: &str, path: &str, why: &str| {
            format!("`config` of the pack {pack} has `{what}: {path}`, which {why}")
        };
        if let Err(why) = check_file(&self.kubeconfig()) {
            refusals.push(named("write-kubeconfig", &self.kubeconfig(), why));
        }
        let kubelet = self.kubelet();
        if kubelet != KUBELET
            && let Err(why) = check_data_folder(&kubelet)
        {
            refusals.push(named("kubelet-arg", &format!("root-dir={kubelet}"), why));
        }
        refusals.extend(kube_vip::of(cluster).and_then(|vip| vip.refusal(pack)));
        match &cluster.node.cluster {
            Membership::Init { .. } if !self.is_server() && self.profile.get("server").is_none() => {
                refusals.push(
                    "`role: agent` of the site: an agent joins a cluster; say which in `cluster: {join: …}`".to_owned(),
                );
            }
            Membership::Join { server, ca_hash, certificate_key, .. } => {
                if *port != "6443" && server.trim_end_matches('/').ends_with(":6443") {
                    refusals
                        .push(format!("`cluster.join` of the site: {shown} takes nodes at port {port}, not at 6443"));
                }
                for (field, given) in
                    [("caCertHash", ca_hash.is_some()), ("certificateKeyFile", certificate_key.is_some())]
                {
                    if given {
                        refusals.push(format!(
                            "`cluster.{field}` of the site is kubeadm's; a token of {shown} has in itself what it is checked with"
                        ));
                    }
                }
            }
            Membership::Init { .. } => {}
        }
        refusals
    }

    pub(super) fn files(&self) -> Vec<SetupFile> {
        let (cluster, folder) = (self.cluster, self.folder());
        let config = format!("{folder}/config.yaml.d/50-carrack.yaml");
        let said = Some(self.config()).filter(|said| !said.is_empty());
        let mut files: Vec<SetupFile> =
            said.map(|said| guarded(config, said.written(), cluster.config_is_private)).into_iter().collect();
        files.extend(self.token().map(|token| guarded(self.token_file(), format!("{}\n", token.0), true)));
        files.extend(registries::file(&format!("{folder}/registries.yaml"), &cluster.node.registries));
        let variables = proxy::variables(cluster, &[]);
        if !variables.is_empty() {
            let private = proxy::is_private(&variables);
            files.push(guarded(self.environment(), proxy::environment(&variables), private));
        }
        if self.is_ours() && !cluster.has_unit(self.unit()) {
            files.push(file(format!("{}{}", UNITS[0], self.unit()), self.unit_file()));
        }
        if let Some(vip) = kube_vip::of(cluster) {
            files.push(file(format!("{}/server/manifests/carrack-kube-vip.yaml", self.data()), vip.daemon_set()));
        }
        files
    }

    /// The file of variables that the unit reads.
    fn environment(&self) -> String {
        let (before, after) = self.names.environment;
        format!("{before}{}{after}", self.unit().trim_end_matches(".service"))
    }

    fn token(&self) -> Option<&'a Secret> {
        match &self.cluster.node.cluster {
            Membership::Init { token } => token.as_ref(),
            Membership::Join { token, .. } => Some(token),
        }
    }

    fn token_file(&self) -> String {
        format!("{}/carrack-token", self.folder())
    }

    /// What the profile says, with what the site says of this machine, which counts where both say something. Lists that both
    /// have are joined. The distribution joins this with `config.yaml` and the other files beside it: `KEY+` adds to what
    /// stands there, and `KEY` takes its place (<https://docs.k3s.io/installation/configuration>, multiple config files).
    pub(super) fn config(&self) -> Map {
        let node = self.cluster.node;
        let mut config = self.profile.clone();
        self.for_servers().iter().for_each(|key| config.remove(key));
        if self.token().is_some() {
            config.remove("token");
            config.set("token-file", text(self.token_file()));
        }
        if let Membership::Join { server, .. } = &node.cluster {
            config.set("server", text(server.as_str()));
            config.remove("cluster-init");
        }
        if let Some(hostname) = &node.hostname {
            config.set("node-name", text(hostname.as_str()));
        }
        self.address(&mut config);
        if let Some(root) = &node.install_root {
            config.set("data-dir", text(root.as_str()));
        }
        let names = match &node.endpoint {
            Some(Endpoint::Vip { address, .. }) if self.is_server() => vec![address.to_string()],
            Some(Endpoint::Dns(name)) if self.is_server() => vec![name.clone()],
            _ => Vec::new(),
        };
        let lists = [names, labels::labels(node).collect(), labels::taints(node).collect()];
        for (key, more) in JOINED.into_iter().zip(lists) {
            let added = format!("{key}+");
            let key = if config.get(key).is_some() { key } else { &added };
            config.join(key, more);
        }
        config
    }

    /// The addresses of the node. The Flannel of k3s takes the interface with the default route unless it is told one, and would
    /// take the dummy interface, or end.
    fn address(&self, config: &mut Map) {
        let Some(address) = &self.cluster.node.address else { return };
        config.set("node-ip", text(address.to_string()));
        if let Some(first) = address.addresses.first().filter(|_| self.is_server()) {
            config.set("advertise-address", text(first.to_string()));
        }
        if let Some(interface) = address.interface.as_deref().filter(|_| self.names.name == "k3s") {
            config.set_default("flannel-iface", text(interface));
        }
    }

    /// Keys of the profile's configuration that only servers take, where this is none: `k3s agent` ends where it finds one, since
    /// k3s passes over what it does not know for servers alone (k3s, `pkg/configfilearg`).
    fn for_servers(&self) -> Vec<String> {
        let Some(options) = Options::of(self.names.name, self.cluster.version).filter(|_| !self.is_server()) else {
            return Vec::new();
        };
        let of_servers = |key: &&str| {
            let key = key.trim_end_matches('+');
            options.takes(key, Part::Server) && !options.takes(key, Part::Agent)
        };
        self.profile.keys().filter(of_servers).map(str::to_owned).collect()
    }

    /// A unit as its makers publish it, in the place of the one that their packages bring.
    fn unit_file(&self) -> String {
        let command = if self.is_server() { "server" } else { "agent" };
        let other = if self.is_server() { self.names.agent_unit } else { self.names.server_unit };
        let Names { shown, unit_lines, .. } = self.names;
        let program = self.program();
        format!(
            "[Unit]\n\
             Description={shown} {command}\n\
             Wants=network-online.target\n\
             After=network-online.target\n\
             Conflicts={other}\n\
             \n\
             [Install]\n\
             WantedBy=multi-user.target\n\
             \n\
             [Service]\n\
             Type=notify\n\
             EnvironmentFile=-/etc/default/%N\n\
             EnvironmentFile=-/etc/sysconfig/%N\n\
             # Containers go on while it is started again.\n\
             KillMode=process\n\
             Delegate=yes\n\
             LimitNOFILE=1048576\n\
             LimitNPROC=infinity\n\
             LimitCORE=infinity\n\
             TasksMax=infinity\n\
             TimeoutStartSec=0\n\
             Restart=always\n\
             RestartSec=5s\n\
             ExecStartPre=-/sbin/modprobe br_netfilter\n\
             ExecStartPre=-/sbin/modprobe overlay\n\
             ExecStart={program} {command}\n\
             {unit_lines}"
        )
    }

    /// Starts the unit and waits for the API, where it is a server, and for the node. `kubectl` is the command before its
    /// arguments.
    pub(super) fn start(&self, kubectl: Vec<String>) -> Vec<Step> {
        let mut start = vec![Step::Start { unit: self.unit().to_owned(), restart: false }];
        let kubectl = self.kubectl(kubectl);
        if self.is_server() {
            let ready = with(&kubectl, &["get", "--raw", "/readyz"]);
            start.push(Step::Wait { what: "the API server is ready".to_owned(), command: ready, seconds: 900 });
        }
        let node = self.cluster.node_name();
        let object = format!("node/{node}");
        let ready = with(&kubectl, &["wait", "--for=condition=Ready", "--timeout=10s", &object]);
        start.push(Step::Wait { what: format!("the node {node} is ready"), command: ready, seconds: 900 });
        start
    }

    /// `kubectl`, the command before its arguments, with the means of an administrator, or of the node alone.
    pub(super) fn kubectl(&self, kubectl: Vec<String>) -> Vec<String> {
        // An agent has no other; a node may read itself.
        let of_node = || format!("{}/agent/kubelet.kubeconfig", self.data());
        let kubeconfig = if self.is_server() { self.kubeconfig() } else { of_node() };
        kubectl.into_iter().chain(["--kubeconfig".to_owned(), kubeconfig]).collect()
    }

    /// The file by which an administrator reaches the API.
    fn kubeconfig(&self) -> String {
        let usual = || format!("{}/{}.yaml", self.folder(), self.names.name);
        self.profile.text("write-kubeconfig").map_or_else(usual, str::to_owned)
    }

    /// The kubelet's folder.
    fn kubelet(&self) -> String {
        self.kubelet_argument("root-dir").unwrap_or_else(|| KUBELET.to_owned())
    }

    /// What the kubelet wants to be free. The defaults are k3s' own (k3s, `pkg/daemons/agent/agent_linux.go`).
    pub(super) fn eviction(&self) -> Eviction {
        let said = self.kubelet_argument("eviction-hard").map(|said| eviction::signals(&said));
        Eviction::of(self.kubelet(), said, (Free::Percent(5.0), Free::Percent(5.0)))
    }

    /// What the profile says of an argument of the kubelet.
    fn kubelet_argument(&self, name: &str) -> Option<String> {
        let lists = ["kubelet-arg", "kubelet-arg+"].into_iter().filter_map(|key| self.profile.get(key));
        let texts = lists.flat_map(|node| match node.items() {
            [] => node.scalar().into_iter().collect::<Vec<_>>(),
            items => items.iter().filter_map(|item| item.scalar()).collect(),
        });
        let named: Vec<String> = texts.filter_map(|scalar| Some(argument(&scalar.text, name)?.to_owned())).collect();
        // The last one counts.
        named.into_iter().next_back()
    }

    /// The folders and files that it makes, and that go with it. Nothing where it is not the bundle that brought it: then the
    /// cluster is not Carrack's either.
    fn made(&self) -> Vec<String> {
        if !self.is_ours() {
            return Vec::new();
        }
        // A folder that the site names may have something else in it by then.
        let own = match &self.cluster.node.install_root {
            None => vec![self.data()],
            Some(root) => ["agent", "bin", "data", "server", "storage"].map(|part| format!("{root}/{part}")).to_vec(),
        };
        let made = ["/var/lib/cni", "/var/log/pods", "/var/log/containers", "/etc/rancher/node"];
        let runtime = [self.kubeconfig(), STATE.to_owned(), "/run/flannel".to_owned(), self.kubelet()];
        own.into_iter().chain(runtime).chain(made.map(str::to_owned)).collect()
    }

    /// See [`super::Setup::folders`].
    pub(super) fn folders(&self) -> Vec<String> {
        let root = self.cluster.node.install_root.iter().filter(|_| self.is_ours()).cloned();
        root.chain(self.made()).collect()
    }

    pub(super) fn remove(&self) -> Vec<Step> {
        if !self.is_ours() {
            return Vec::new();
        }
        let sweep = Step::Sweep {
            unit: Some(self.unit().to_owned()),
            data: Some(self.data()),
            state: Some(STATE.to_owned()),
            kubelet: self.kubelet(),
            interfaces: self.names.interfaces.iter().map(|name| (*name).to_owned()).collect(),
        };
        let removed = self.made().into_iter().map(|path| Step::Remove { path });
        [Step::Disable { unit: self.unit().to_owned() }, sweep].into_iter().chain(removed).collect()
    }

    /// How the state is saved. A server that joined has its data from the others, and puts nothing back itself.
    pub(super) fn save(&self) -> Option<Save> {
        let elsewhere = self.says("datastore-endpoint");
        if !self.is_server() || elsewhere || !self.is_ours() {
            return None;
        }
        let joined = matches!(self.cluster.node.cluster, Membership::Join { .. }) || self.says("server");
        Some(saving(self.program(), &format!("{}/server", self.data()), self.unit(), joined))
    }

    /// Adds `cluster-init`; see [`super::k3s`].
    pub(super) fn has_others(&self) -> bool {
        self.token().is_some() || self.cluster.node.endpoint.is_some()
    }

    /// Whether a key of the profile's configuration is there.
    pub(super) fn says(&self, key: &str) -> bool {
        self.profile.get(key).is_some()
    }

    /// Adds to the profile's configuration.
    pub(super) fn add(&mut self, key: &str) {
        self.profile.set_default(key, truth(true));
    }
}

/// How the state of the server in a folder is saved: a snapshot of etcd, which may have members on other machines and goes on, or
/// a copy of everything while the server stands still. Which of the two it is, its folder says.
pub(super) fn saving(program: &str, server: &str, unit: &str, joined: bool) -> Save {
    let run = |what: &str, script: &str, name: &str| Step::Run {
        what: what.to_owned(),
        command: words(["/bin/sh", "-c", script, name, program, SAVED, server, unit]),
        unless: None,
        undo: None,
        seconds: 1800,
    };
    let save = PARTS.map(|part| Step::Copy {
        from: format!("{server}/{part}"),
        to: format!("{SAVED}/{part}"),
        unless: Some(format!("{server}/db/etcd")),
        over: false,
    });
    let restore = PARTS.map(|part| Step::Copy {
        from: format!("{SAVED}/{part}"),
        to: format!("{server}/{part}"),
        unless: None,
        over: false,
    });
    let restore = [Step::Stop { unit: unit.to_owned() }].into_iter().chain(restore);
    let restore = restore.chain([run("restore the cluster's data", RESTORE, "restore-etcd")]);
    Save {
        state: format!("{server}/db"),
        save: [run("save the cluster's data", SAVE, "save-etcd")].into_iter().chain(save).collect(),
        restore: if joined { Vec::new() } else { restore.collect() },
    }
}

/// The value of one of the kubelet's arguments, as `NAME=VALUE` with or without `--`.
fn argument<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.trim_start_matches('-').strip_prefix(name)?.strip_prefix('=')
}
