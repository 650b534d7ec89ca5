//! Two nodes on one wire, and the cluster that is installed on them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::bundle::{FIRST, Version};
use super::node::{Node, Wire};
use super::times::{shared, stamped};

pub(crate) const INSTALLER: &str = "/media/usb/carrack-install";
/// What it keeps is not among the node's files.
pub(crate) const KUBECTL: &str = "kubectl --kubeconfig /etc/kubernetes/admin.conf --cache-dir /run/kubectl";
/// The nodes, by name and number.
pub(crate) const SERVER: (&str, u8) = ("till", 1);
pub(crate) const AGENT: (&str, u8) = ("shelf", 2);

/// A server and an agent.
pub(crate) struct Cluster<'w> {
    pub(crate) server: Node<'w>,
    pub(crate) agent: Node<'w>,
    pub(crate) stick: PathBuf,
}

impl<'w> Cluster<'w> {
    /// Two nodes that are on, and on which nothing is installed.
    pub(crate) fn boot(system: &Path, workbench: &Path, wire: &'w Wire) -> Self {
        let stick = workbench.join("stick");
        let node = |(name, number): (&str, u8), (_, other): (&str, u8)| {
            let mut node = Node::new(name, system, &workbench.join("nodes"), &stick);
            // Pods reach those of the other node through it, as a site's routers have it.
            let route = format!("route add {} via {}", pods(other), address(other));
            node.plug_into(wire, &format!("addr add {}/24 dev host0\n{route}\n", address(number)));
            node.boot();
            node
        };
        Self { server: node(SERVER, AGENT), agent: node(AGENT, SERVER), stick }
    }

    pub(crate) fn site(&self, name: &str, number: u8, role: &str) {
        let text = format!(
            "apiVersion: carrack/v1\nkind: Site\nspec:\n  nodeAddress: {}\n  nodeLabels: {{shelf: \"{number}\"}}\n  \
             variables: {{podNetwork: {}}}\n{role}",
            address(number),
            pods(number)
        );
        fs::write(self.stick.join(format!("{name}.yaml")), text).unwrap();
    }

    /// Makes the cluster, and has the agent join it.
    pub(crate) fn install(&mut self) {
        self.site(SERVER.0, SERVER.1, "");
        apply(&mut self.server, SERVER.0, &FIRST);
        let join = self.server.succeed("kubeadm token create --print-join-command");
        let after = |flag: &str| join.split_whitespace().skip_while(|word| *word != flag).nth(1).unwrap().to_owned();
        let token = self.stick.join("token");
        fs::write(&token, after("--token")).unwrap();
        fs::set_permissions(&token, fs::Permissions::from_mode(0o600)).unwrap();
        let role = format!(
            "  role: agent\n  cluster:\n    join: https://{}:6443\n    tokenFile: ./token\n    caCertHash: {}\n",
            address(SERVER.1),
            after("--discovery-token-ca-cert-hash")
        );
        self.site(AGENT.0, AGENT.1, &role);
        apply(&mut self.agent, AGENT.0, &FIRST);
    }

    /// Takes both nodes to a version.
    pub(crate) fn upgrade(&mut self, version: &Version) {
        apply(&mut self.server, SERVER.0, version);
        apply(&mut self.agent, AGENT.0, version);
    }

    /// `kubectl` as an administrator on the server; it has to succeed.
    pub(crate) fn kubectl(&mut self, arguments: &str) -> String {
        self.server.succeed(&format!("{KUBECTL} {arguments}"))
    }

    /// Waits until nodes, the cluster's own pods and both addons are well in this version, with news from each node after this
    /// moment: what was said of it before it was switched off counts for nothing.
    pub(crate) fn wait_until_well(&mut self, version: &Version) {
        let now = self.server.succeed("date -u +%FT%T");
        for (name, _) in [SERVER, AGENT] {
            let lease = format!("{KUBECTL} -n kube-node-lease get lease {name} -o jsonpath='{{.spec.renewTime}}'");
            self.server.wait_for(&format!("news of {name}"), &format!("[[ $({lease}) > {now} ]]"));
        }
        let versions = format!("{KUBECTL} get nodes -o jsonpath='{{.items[*].status.nodeInfo.kubeletVersion}}'");
        let kubelet = format!("v{}", version.kubernetes);
        self.server.wait_for("the kubelets", &format!("[ \"$({versions})\" = '{kubelet} {kubelet}' ]"));
        let wait = |what: &str| format!("{KUBECTL} wait --for=condition=Ready --timeout=5s {what}");
        self.server.wait_for("ready nodes", &wait("nodes --all"));
        for namespace in ["kube-system", "web", "shopper"] {
            self.server.wait_for(&format!("pods in {namespace}"), &wait(&format!("pods --all -n {namespace}")));
        }
        for pod in self.kubectl("get pods -n shopper -o name").lines() {
            let read = format!("{KUBECTL} exec -n shopper {pod} -- wget -q -O - http://web.web.svc.cluster.local/");
            self.server.wait_for(&format!("the page for {pod}"), &format!("[ \"$({read})\" = '{}' ]", version.page));
        }
        for node in [&mut self.server, &mut self.agent] {
            node.succeed(&format!("{INSTALLER} status"));
        }
    }
}

pub(crate) fn address(number: u8) -> String {
    format!("10.77.0.{number}")
}

pub(crate) fn pods(number: u8) -> String {
    format!("10.244.{number}.0/24")
}

/// The command by which a node is installed with its site.
pub(crate) fn command(site: &str, version: &Version) -> String {
    format!("{INSTALLER} apply /media/usb/{} --site /media/usb/{site}.yaml --yes", version.bundle())
}

pub(crate) fn apply(node: &mut Node<'_>, site: &str, version: &Version) {
    let now = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64();
    let begun = now();
    let ran = node.run(&stamped(&command(site, version)));
    let journal = |node: &mut Node<'_>| node.run("journalctl --no-pager -n 200 -u kubelet -u containerd").output;
    assert_eq!(ran.code, 0, "{site}: {}\n{}", ran.output, journal(node));
    println!("{}", shared(site, begun, now(), &ran.output));
}
