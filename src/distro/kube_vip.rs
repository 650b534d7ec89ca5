//! kube-vip, which hands a virtual address on among the servers: <https://kube-vip.io/docs/installation/daemonset/> and
//! <https://kube-vip.io/docs/installation/static/>.
//!
//! The variables' names are those of its `pkg/kubevip/config_envvar.go`; `vip_cidr` is what `vip_subnet` was called before
//! 0.9, and each release passes over the other. The rules of access are those of <https://kube-vip.io/manifests/rbac.yaml>.

use std::net::IpAddr;

use super::cluster::Cluster;
use super::tree::{Map, list, map, text, texts, truth};
use crate::oci::Reference;
use crate::site::node::{Endpoint, Role};
use crate::yaml::Node;

/// A virtual address that this machine may bear.
#[derive(Debug, Clone, Copy)]
pub(super) struct Vip<'a> {
    address: IpAddr,
    interface: &'a str,
    image: Option<&'a Reference>,
}

/// The virtual address of the servers; none where this is no server, or there is none.
pub(super) fn of<'a>(cluster: &Cluster<'a>) -> Option<Vip<'a>> {
    let Some(Endpoint::Vip { address, interface }) = &cluster.node.endpoint else { return None };
    let is = |image: &&Reference| image.repository().rsplit('/').next() == Some("kube-vip");
    let image = cluster.images.iter().find(is);
    (cluster.node.role == Role::Server).then_some(Vip { address: *address, interface, image })
}

impl Vip<'_> {
    /// What is missing.
    pub(super) fn refusal(&self, pack: &str) -> Option<String> {
        self.image.is_none().then(|| {
            format!(
                "`endpoint` of the site: a virtual address is borne by kube-vip, whose image the bundle does not have; add one \
                 such as ghcr.io/kube-vip/kube-vip:v1.0.0 to `images` of the pack {pack}"
            )
        })
    }

    /// For servers that are up without the address: a set of pods, one on each, and what these may do.
    pub(super) fn daemon_set(&self) -> String {
        let account = map([
            ("apiVersion", text("v1")),
            ("kind", text("ServiceAccount")),
            ("metadata", map([("name", text("kube-vip")), ("namespace", text("kube-system"))])),
        ]);
        let documents = [account, role(), binding(), self.set()];
        let written = documents.map(|document| Map::of(&document).written());
        written.join("---\n")
    }

    /// For servers that are reached by the address before anything else is up: a pod that the kubelet starts by itself.
    /// `kubeconfig` is the file on the host by which it reaches this server's API.
    pub(super) fn static_pod(&self, kubeconfig: &str) -> String {
        let mut container = self.container();
        // The name of the file in the image, whatever it is on the host.
        let mounted = map([("name", text("kubeconfig")), ("mountPath", text("/etc/kubernetes/admin.conf"))]);
        container.set("volumeMounts", list(vec![mounted]));
        let host = map([("path", text(kubeconfig)), ("type", text("FileOrCreate"))]);
        let volume = map([("name", text("kubeconfig")), ("hostPath", host)]);
        let alias = map([("ip", text("127.0.0.1")), ("hostnames", list(vec![text("kubernetes")]))]);
        let spec = map([
            ("hostNetwork", truth(true)),
            ("hostAliases", list(vec![alias])),
            ("priorityClassName", text("system-node-critical")),
            ("containers", list(vec![container.node()])),
            ("volumes", list(vec![volume])),
        ]);
        Map::from([
            ("apiVersion", text("v1")),
            ("kind", text("Pod")),
            ("metadata", map([("name", text("kube-vip")), ("namespace", text("kube-system"))])),
            ("spec", spec),
        ])
        .written()
    }

    fn set(&self) -> Node {
        let anywhere = |effect: &str| map([("effect", text(effect)), ("operator", text("Exists"))]);
        let on = |label: &str| {
            let exists = map([("key", text(label)), ("operator", text("Exists"))]);
            map([("matchExpressions", list(vec![exists]))])
        };
        let terms = ["node-role.kubernetes.io/master", "node-role.kubernetes.io/control-plane"].map(on).to_vec();
        let required = map([("nodeSelectorTerms", list(terms))]);
        let affinity = map([("nodeAffinity", map([("requiredDuringSchedulingIgnoredDuringExecution", required)]))]);
        let pod = map([
            ("serviceAccountName", text("kube-vip")),
            ("hostNetwork", truth(true)),
            ("priorityClassName", text("system-node-critical")),
            ("tolerations", list(["NoSchedule", "NoExecute"].map(anywhere).to_vec())),
            ("affinity", affinity),
            ("containers", list(vec![self.container().node()])),
        ]);
        let labels = || map([("app.kubernetes.io/name", text("kube-vip-ds"))]);
        let template = map([("metadata", map([("labels", labels())])), ("spec", pod)]);
        map([
            ("apiVersion", text("apps/v1")),
            ("kind", text("DaemonSet")),
            ("metadata", map([("name", text("kube-vip-ds")), ("namespace", text("kube-system"))])),
            ("spec", map([("selector", map([("matchLabels", labels())])), ("template", template)])),
        ])
    }

    fn container(&self) -> Map {
        let address = self.address.to_string();
        let bits = if self.address.is_ipv4() { "32" } else { "128" };
        let variables = [
            ("vip_arp", "true"),
            ("port", "6443"),
            ("vip_interface", self.interface),
            ("vip_cidr", bits),
            ("vip_subnet", bits),
            ("cp_enable", "true"),
            ("cp_namespace", "kube-system"),
            ("vip_leaderelection", "true"),
            ("vip_leaseduration", "5"),
            ("vip_renewdeadline", "3"),
            ("vip_retryperiod", "1"),
            ("address", &address),
        ];
        let variable = |(name, value): (&str, &str)| map([("name", text(name)), ("value", text(value))]);
        let mut env = variables.map(variable).to_vec();
        let of_node = map([("fieldRef", map([("fieldPath", text("spec.nodeName"))]))]);
        env.push(map([("name", text("vip_nodename")), ("valueFrom", of_node)]));
        let may = texts(["NET_ADMIN", "NET_RAW"].map(str::to_owned));
        Map::from([
            ("name", text("kube-vip")),
            ("image", text(self.image.map(Reference::to_string).unwrap_or_default())),
            ("imagePullPolicy", text("IfNotPresent")),
            ("args", list(vec![text("manager")])),
            ("env", list(env)),
            ("securityContext", map([("capabilities", map([("add", may)]))])),
        ])
    }
}

fn role() -> Node {
    const RULES: [(&str, &[&str], &[&str]); 5] = [
        ("", &["services/status"], &["update"]),
        ("", &["services", "endpoints"], &["list", "get", "watch", "update"]),
        ("", &["nodes"], &["list", "get", "watch", "update", "patch"]),
        ("coordination.k8s.io", &["leases"], &["list", "get", "watch", "update", "create"]),
        ("discovery.k8s.io", &["endpointslices"], &["list", "get", "watch", "update"]),
    ];
    let all = |words: &[&str]| list(words.iter().map(|word| text(*word)).collect());
    let rule = |(group, resources, verbs): (&str, &[&str], &[&str])| {
        map([("apiGroups", list(vec![text(group)])), ("resources", all(resources)), ("verbs", all(verbs))])
    };
    map([
        ("apiVersion", text("rbac.authorization.k8s.io/v1")),
        ("kind", text("ClusterRole")),
        ("metadata", map([("name", text("system:kube-vip-role"))])),
        ("rules", list(RULES.map(rule).to_vec())),
    ])
}

fn binding() -> Node {
    let role = map([
        ("apiGroup", text("rbac.authorization.k8s.io")),
        ("kind", text("ClusterRole")),
        ("name", text("system:kube-vip-role")),
    ]);
    let subject =
        map([("kind", text("ServiceAccount")), ("name", text("kube-vip")), ("namespace", text("kube-system"))]);
    map([
        ("apiVersion", text("rbac.authorization.k8s.io/v1")),
        ("kind", text("ClusterRoleBinding")),
        ("metadata", map([("name", text("system:kube-vip-binding"))])),
        ("roleRef", role),
        ("subjects", list(vec![subject])),
    ])
}
