//! The machines of the golden trees.

use std::collections::BTreeMap;

use carrack::distro::{Applied, Cluster, Host, Release, Setup, applies_objects, setup};
use carrack::oci::Reference;
use carrack::site::node::{
    Address, Certificate, Endpoint, Membership, Node, Proxy, Registries, RegistryConfig, Role, Secret, Taint,
};

/// The distributions that make a cluster.
pub(crate) const DISTRIBUTIONS: [&str; 4] = ["k3s", "rke2", "kubeadm", "canonical"];

/// Every machine, by name.
pub(crate) const CASES: [&str; 11] = [
    "server",
    "further-server",
    "agent",
    "virtual-ip",
    "dns",
    "proxy",
    "custom-root",
    "everything",
    "address",
    "further-server-address",
    "agent-address",
];

/// A bundle and a machine, owned.
pub(crate) struct Machine {
    pub(crate) node: Node,
    pub(crate) host: Host,
    pub(crate) version: String,
    pub(crate) upgrade_from: Option<String>,
    pub(crate) config: String,
    pub(crate) files: Vec<String>,
    pub(crate) manifests: Vec<String>,
    pub(crate) releases: Vec<Release>,
    pub(crate) applied: Applied,
    pub(crate) images: Vec<Reference>,
}

impl Machine {
    /// The only server of a cluster of its own.
    pub(crate) fn of(distribution: &str) -> Self {
        let (version, files, config): (&str, &[&str], &str) = match distribution {
            "k3s" => ("1.32.5+k3s1", &["/usr/local/bin/k3s"], "disable: [traefik]\ntls-san: [edge.example.org]\n"),
            "rke2" => ("1.32.5+rke2r1", &["/usr/local/bin/rke2"], "cni: [cilium]\nnode-label: [\"from=profile\"]\n"),
            "kubeadm" => (
                "1.32.5",
                &["/usr/bin/kubeadm", "/usr/bin/kubelet", "/usr/bin/kubectl", "/usr/local/bin/helm"],
                "clusterConfiguration:\n  networking: {podSubnet: 10.244.0.0/16}\n  apiServer: {certSANs: [edge.example.org]}\n\
                 kubeletConfiguration: {maxPods: 50}\n",
            ),
            "canonical" => (
                "1.32.5",
                &["/opt/k8s/core22.snap", "/opt/k8s/core22.assert", "/opt/k8s/k8s.snap", "/opt/k8s/k8s.assert"],
                "cluster-config:\n  ingress: {enabled: true}\npod-cidr: 10.1.0.0/16\nextra-node-kubelet-args: {\"--max-pods\": \"50\"}\n",
            ),
            _ => ("1.0.0", &[], ""),
        };
        let own = !["k3s", "rke2"].contains(&distribution);
        let release = Release {
            name: "cilium".to_owned(),
            namespace: "kube-system".to_owned(),
            package: "/var/lib/carrack/charts/cilium/cilium-1.17.1.tgz".to_owned(),
            values: Some("/var/lib/carrack/charts/cilium/cilium-values.yaml".to_owned()),
        };
        let (os, like) =
            if distribution == "canonical" { ("ubuntu", vec!["debian".to_owned()]) } else { ("debian", Vec::new()) };
        Self {
            node: Node::default(),
            host: Host {
                running: true,
                hostname: "Box-1".to_owned(),
                architecture: "amd64".to_owned(),
                os: os.to_owned(),
                like,
                present: vec!["/usr/bin/snap".to_owned()],
                forgets_pins: false,
            },
            version: version.to_owned(),
            upgrade_from: None,
            config: config.to_owned(),
            files: files.iter().map(|file| (*file).to_owned()).collect(),
            manifests: if own { vec!["/var/lib/carrack/manifests/shop/shop.yaml".to_owned()] } else { Vec::new() },
            releases: if own { vec![release] } else { Vec::new() },
            applied: Applied { seconds: 600, ..Applied::default() },
            images: vec!["ghcr.io/kube-vip/kube-vip:v0.9.2".parse().unwrap()],
        }
    }

    /// One of [`CASES`]. What a distribution cannot do is left out.
    pub(crate) fn case(distribution: &str, case: &str) -> Self {
        let mut machine = Self::of(distribution);
        let node = &mut machine.node;
        match case {
            "server" => {}
            "further-server" => node.cluster = join(distribution, Role::Server),
            "agent" => {
                node.role = Role::Agent;
                node.cluster = join(distribution, Role::Agent);
            }
            "address" => {
                (node.address, node.dummy_route) = (Some(address("10.0.0.12,fd00::12")), true);
                node.proxy = Some(proxy());
            }
            "further-server-address" => {
                node.cluster = join(distribution, Role::Server);
                node.address = Some(address("10.0.0.12"));
            }
            "agent-address" => {
                node.role = Role::Agent;
                node.cluster = join(distribution, Role::Agent);
                node.address = Some(address("10.0.0.13"));
                node.dummy_route = true;
            }
            "virtual-ip" => node.endpoint = Some(vip()),
            "dns" => node.endpoint = Some(Endpoint::Dns("api.store.example.org".to_owned())),
            "proxy" => node.proxy = Some(proxy()),
            "custom-root" => node.install_root = Some("/opt/edge".to_owned()),
            "everything" => everything(distribution, node),
            _ => panic!("{case}"),
        }
        machine
    }

    /// What the distribution wants of it.
    pub(crate) fn setup(&self, distribution: &str) -> Result<Setup, Vec<String>> {
        let mut applied = self.applied.clone();
        if applies_objects(distribution, &self.node) {
            let named = |release: &Release| format!("{}/{}", release.namespace, release.name);
            applied.releases.extend(self.releases.iter().map(named));
        }
        let cluster = Cluster {
            node: &self.node,
            host: &self.host,
            pack: "k8s",
            version: Some(&self.version),
            upgrade_from: self.upgrade_from.as_deref(),
            config: &self.config,
            config_is_private: false,
            files: &self.files,
            manifests: &self.manifests,
            releases: &self.releases,
            applied: &applied,
            images: &self.images,
        };
        setup(distribution, &cluster)
    }
}

fn address(text: &str) -> Address {
    Address { addresses: text.split(',').map(|one| one.parse().unwrap()).collect(), interface: None }
}

pub(crate) fn vip() -> Endpoint {
    Endpoint::Vip { address: "10.0.0.10".parse().unwrap(), interface: "eth0".to_owned() }
}

fn proxy() -> Proxy {
    Proxy {
        http: Some("http://proxy:3128".to_owned()),
        https: Some("http://proxy:3128".to_owned()),
        no_proxy: vec!["10.0.0.0/8".to_owned(), ".example.org".to_owned()],
    }
}

pub(crate) fn token(distribution: &str) -> Secret {
    Secret(if distribution == "kubeadm" { "abcdef.0123456789abcdef" } else { "s3cret-token" }.to_owned())
}

pub(crate) fn join(distribution: &str, role: Role) -> Membership {
    let kubeadm = distribution == "kubeadm";
    let port = if distribution == "rke2" { 9345 } else { 6443 };
    Membership::Join {
        server: format!("https://10.0.0.11:{port}"),
        token: token(distribution),
        ca_hash: kubeadm.then(|| format!("sha256:{}", "ab".repeat(32))),
        certificate_key: (kubeadm && role == Role::Server).then(|| Secret("cd".repeat(32))),
    }
}

pub(crate) fn rewrites() -> (String, BTreeMap<String, String>) {
    ("docker.io".to_owned(), BTreeMap::from([("^rancher/(.*)".to_owned(), "mirror/rancher/$1".to_owned())]))
}

fn everything(distribution: &str, node: &mut Node) {
    let canonical = distribution == "canonical";
    let pem = "-----BEGIN CERTIFICATE-----\nQUFB\n-----END CERTIFICATE-----\n";
    *node = Node {
        role: Role::Server,
        hostname: Some("store-0042".to_owned()),
        address: None,
        dummy_route: false,
        cluster: Membership::Init { token: (!canonical).then(|| token(distribution)) },
        endpoint: Some(vip()),
        proxy: Some(Proxy { http: Some("http://me:pass%20word@proxy:3128".to_owned()), ..proxy() }),
        certificates: vec![Certificate { name: "corp-root".to_owned(), pem: format!("{pem}{pem}") }],
        registries: Registries {
            // containerd rewrites no names.
            rewrites: ["k3s", "rke2"].contains(&distribution).then(rewrites).into_iter().collect(),
            mirrors: BTreeMap::from([
                ("*".to_owned(), vec!["https://registry.store:5000".to_owned()]),
                (
                    "docker.io".to_owned(),
                    vec!["https://registry.store:5000".to_owned(), "http://10.0.0.5:5000".to_owned()],
                ),
            ]),
            configs: BTreeMap::from([
                (
                    "registry.store:5000".to_owned(),
                    RegistryConfig {
                        username: Some("store".to_owned()),
                        password: Some(Secret("p\"w".to_owned())),
                        ca_file: Some("/etc/ssl/store.pem".to_owned()),
                        insecure_skip_verify: false,
                        client: Some(("/etc/ssl/till.pem".to_owned(), "/etc/ssl/till.key".to_owned())),
                    },
                ),
                ("other.store".to_owned(), RegistryConfig { insecure_skip_verify: true, ..RegistryConfig::default() }),
            ]),
        },
        install_root: (!canonical).then(|| "/opt/edge".to_owned()),
        labels: BTreeMap::from([
            ("tier".to_owned(), "store".to_owned()),
            ("example.org/zone".to_owned(), "a".to_owned()),
        ]),
        taints: vec![
            Taint { key: "edge".to_owned(), value: "true".to_owned(), effect: "NoSchedule".to_owned() },
            Taint { key: "spare".to_owned(), value: String::new(), effect: "PreferNoSchedule".to_owned() },
        ],
    };
}
