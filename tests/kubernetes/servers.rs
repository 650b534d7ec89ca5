//! A cluster of three servers that hand on an address: they join, one dies and comes back, and one leaves.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::bundle::{Parts, SERVERS, SERVERS_2, Version};
use super::cluster::{INSTALLER, KUBECTL, address, apply, command, pods};
use super::node::{Node, Wire};
use super::registry::Registry;
use super::times::tell;

/// The address of whichever server answers.
const ADDRESS: &str = "10.77.0.100";
/// The servers, by name; their numbers count from 1.
pub(crate) const NAMES: [&str; 3] = ["till", "desk", "safe"];
/// What the site of each of them says of it.
pub(crate) const HANDS_ON: &str = "  endpoint: {vip: 10.77.0.100, interface: host0}\n";
/// What each is installed with: the last one has another containerd.
const VERSIONS: [Version; 3] = [SERVERS, SERVERS, SERVERS_2];

/// The servers that there are.
pub(crate) struct Servers<'w> {
    pub(crate) nodes: Vec<Node<'w>>,
    stick: PathBuf,
}

#[test]
fn servers_join_die_come_back_and_leave() {
    const TEST: &str = "servers_join_die_come_back_and_leave";
    let Some((system, parts)) = Parts::with_system(TEST) else {
        return;
    };
    let begun = Instant::now();
    let reached = |what: &str| tell(&format!("{what} after {:.0?}", begun.elapsed()));
    let (workbench, wire) = (parts.workbench(), Wire::new());
    let registry = Registry::start(&workbench.join("registry"), &parts.images());
    [SERVERS, SERVERS_2].iter().for_each(|version| parts.build(&registry, &workbench, version));
    drop(registry);
    reached("the bundles are built");

    let mut servers = Servers::boot(NAMES.len(), &system, &workbench, &wire, &parts);
    servers.install();
    servers.wait_until_well(&[0, 1, 2]);
    assert_eq!(servers.members(1), NAMES, "the members of etcd");
    reached("three servers are well");

    let bearer = servers.bearer(&[0, 1, 2]);
    let others: Vec<usize> = (0..NAMES.len()).filter(|server| *server != bearer).collect();
    let before = servers.containers(others[0]);
    servers.nodes[bearer].cut_power();
    servers.wait_for_address(&others);
    reached("another server has the address of the one that died");
    servers.nodes[others[0]].wait_for("the API at the address", &at_address("get --raw /readyz"));
    assert_eq!(servers.containers(others[0]), before, "what runs beside the one that died");
    servers.nodes[bearer].boot();
    servers.wait_until_well(&[0, 1, 2]);
    reached("the one that died is back");

    // The one that has the address leaves: it needs it until it is gone.
    let leaver = servers.bearer(&[0, 1, 2]);
    println!("{}", servers.nodes[leaver].succeed(&format!("{INSTALLER} uninstall --yes")));
    let stay: Vec<usize> = (0..NAMES.len()).filter(|server| *server != leaver).collect();
    servers.wait_for_address(&stay);
    let names: Vec<&str> = stay.iter().map(|server| NAMES[*server]).collect();
    assert_eq!(servers.members(stay[0]), names, "the members of etcd");
    servers.nodes[stay[0]].succeed(&at_address(&format!("delete node {}", NAMES[leaver])));
    servers.wait_until_well(&stay);
    reached("one has left");
}

impl<'w> Servers<'w> {
    /// So many nodes on which nothing is installed. The third one has a containerd 2.x.
    pub(crate) fn boot(count: usize, system: &Path, workbench: &Path, wire: &'w Wire, parts: &Parts) -> Self {
        let stick = workbench.join("stick");
        let node = |(name, number): (&str, u8)| {
            let mut node = Node::new(name, system, &workbench.join("nodes"), &stick);
            let others = (1..).zip(NAMES).filter(|(_, other)| *other != name);
            let routes = others.map(|(other, _)| format!("route add {} via {}\n", pods(other), address(other)));
            node.plug_into(wire, &format!("addr add {}/24 dev host0\n{}", address(number), routes.collect::<String>()));
            if name == NAMES[2] {
                parts.newer_containerd(workbench, name);
            }
            node.boot();
            node
        };
        Self { nodes: NAMES.into_iter().zip(1..).take(count).map(node).collect(), stick }
    }

    /// Makes the cluster with the first one, and has the others join it.
    fn install(&mut self) {
        let mut joining = String::new();
        for (server, version) in VERSIONS.iter().enumerate() {
            let role = format!("{HANDS_ON}{}", if server == 0 { self.beginning() } else { joining.clone() });
            self.site(server, &role);
            if server == 2 {
                newer_runtime(&mut self.nodes[server], NAMES[server], version);
            }
            apply(&mut self.nodes[server], NAMES[server], version);
            if server == 0 {
                joining = self.joining();
            }
        }
    }

    /// Writes the site of a server.
    pub(crate) fn site(&self, server: usize, role: &str) {
        let number = (1..).nth(server).unwrap();
        let text = format!(
            "apiVersion: carrack/v1\nkind: Site\nspec:\n  nodeAddress: {}\n  variables: {{podNetwork: {}}}\n{role}",
            address(number),
            pods(number)
        );
        fs::write(self.stick.join(format!("{}.yaml", NAMES[server])), text).unwrap();
    }

    /// How the first one begins.
    pub(crate) fn beginning(&self) -> String {
        self.secret("token", "abcdef.0123456789abcdef");
        "  cluster: {init: true, tokenFile: ./token}\n".to_owned()
    }

    /// How others join it.
    pub(crate) fn joining(&mut self) -> String {
        let join = self.nodes[0].succeed("kubeadm token create --print-join-command");
        let hash = join.split_whitespace().find(|word| word.starts_with("sha256:")).unwrap();
        let certificates = self.nodes[0]
            .succeed("kubeadm init phase upload-certs --upload-certs --config /var/lib/carrack/kubeadm/config.yaml");
        self.secret("key", certificates.lines().last().unwrap());
        format!(
            "  cluster:\n    join: https://{ADDRESS}:6443\n    tokenFile: ./token\n    caCertHash: {hash}\n    certificateKeyFile: ./key\n"
        )
    }

    fn secret(&self, name: &str, text: &str) {
        let path = self.stick.join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// The one that has the address, among these.
    fn bearer(&mut self, servers: &[usize]) -> usize {
        *servers.iter().find(|server| self.nodes[**server].run(BEARS).code == 0).unwrap()
    }

    /// Waits until one of these has the address, and the API answers there.
    fn wait_for_address(&mut self, servers: &[usize]) {
        for server in servers {
            self.nodes[*server].wait_for("the API at the address", &at_address("get --raw /readyz"));
        }
        self.bearer(servers);
    }

    /// Waits until these are all nodes of the cluster, ready by news of after this moment, with all pods.
    pub(crate) fn wait_until_well(&mut self, servers: &[usize]) {
        let node = &mut self.nodes[servers[0]];
        let now = node.succeed("date -u +%FT%T");
        for server in servers {
            let name = NAMES[*server];
            let lease = format!("{KUBECTL} -n kube-node-lease get lease {name} -o jsonpath='{{.spec.renewTime}}'");
            node.wait_for(&format!("news of {name}"), &format!("[[ $({lease}) > {now} ]]"));
        }
        let count = format!("[ $({KUBECTL} get nodes -o name | wc -l) = {} ]", servers.len());
        node.wait_for("nodes", &count);
        let wait = |what: &str| format!("{KUBECTL} wait --for=condition=Ready --timeout=5s {what}");
        node.wait_for("ready nodes", &wait("nodes --all"));
        for namespace in ["kube-system", "web", "shopper"] {
            node.wait_for(&format!("pods in {namespace}"), &wait(&format!("pods --all -n {namespace}")));
        }
        for server in servers {
            self.nodes[*server].succeed(&format!("{INSTALLER} status"));
        }
    }

    /// The names of etcd's members, as this server's etcd has them.
    pub(crate) fn members(&mut self, server: usize) -> Vec<String> {
        let pki = "/etc/kubernetes/pki/etcd";
        let list = format!(
            "{KUBECTL} -n kube-system exec etcd-{} -- etcdctl --cacert={pki}/ca.crt --cert={pki}/server.crt --key={pki}/server.key \
             member list",
            NAMES[server]
        );
        let listed = self.nodes[server].succeed(&list);
        let name = |line: &str| line.split(", ").nth(2).map(str::to_owned);
        let names: Vec<String> = listed.lines().filter_map(name).collect();
        NAMES.iter().map(|name| (*name).to_owned()).filter(|name| names.contains(name)).chain(unknown(&names)).collect()
    }

    /// The containers that run on a server.
    fn containers(&mut self, server: usize) -> String {
        self.nodes[server].succeed("ctr -n k8s.io tasks ls -q | sort")
    }
}

/// What is said of a containerd 2.x, and images that are brought ahead into it.
fn newer_runtime(node: &mut Node<'_>, name: &str, version: &Version) {
    let apply = command(name, version);
    let told = node.succeed(&apply.replace(" apply ", " preflight ").replace(" --yes", ""));
    println!("{told}");
    for check in ["containerd-cri", "containerd-cgroups", "containerd-network", "pause-image"] {
        let right = |line: &str| line.split_whitespace().take(2).eq(["ok", check]);
        assert!(told.lines().any(right), "{check}: {told}");
    }
    let bundle = version.bundle();
    println!("{}", node.succeed(&format!("{INSTALLER} apply /media/usb/{bundle} --images-only --yes")));
    let again = node.succeed(&format!("{INSTALLER} plan /media/usb/{bundle} --images-only"));
    assert!(again.contains("nothing to change"), "{again}");
}

/// Whether this node has the address.
const BEARS: &str = "ip -o address show dev host0 | grep -qF 10.77.0.100/";

/// Members of etcd that are no servers.
fn unknown(names: &[String]) -> Vec<String> {
    names.iter().filter(|name| !NAMES.contains(&name.as_str())).cloned().collect()
}

/// `kubectl` with the address, whatever its configuration says.
fn at_address(arguments: &str) -> String {
    format!("{KUBECTL} --server https://{ADDRESS}:6443 --request-timeout=5s {arguments}")
}
