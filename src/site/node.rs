//! What a site says of the machine that is installed: its part in the cluster, and how it reaches the others.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use super::format::has_credentials;

/// One machine of a cluster. The default is the only server of a cluster of its own.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Node {
    /// What it does.
    pub role: Role,
    /// What it is called; what the machine is called already where absent. A DNS-1123 subdomain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// Its addresses in the cluster; those of the interface with the default route where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<Address>,
    /// Whether a dummy interface has a default route, for a host that has none.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dummy_route: bool,
    /// How it comes to its cluster.
    pub cluster: Membership,
    /// Where the cluster's API is reached, whichever server answers; this machine's own address where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<Endpoint>,
    /// How the outside is reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<Proxy>,
    /// Authorities that the system and its runtime trust besides their own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<Certificate>,
    /// Where images are pulled from instead of where their names say.
    pub registries: Registries,
    /// The folder that the distribution keeps its data in, instead of its usual one. Absolute, without `.` and `..`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub install_root: Option<String>,
    /// Labels of the node in the cluster.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Taints of the node in the cluster.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub taints: Vec<Taint>,
}

impl Node {
    /// The only server of a cluster of its own, as where there is no site.
    pub fn alone() -> &'static Self {
        static ALONE: LazyLock<Node> = LazyLock::new(Node::default);
        &ALONE
    }

    /// Every text that is secret, always in the same order: the token, the key to the certificates, the URLs of the proxy that
    /// have a password, the passwords of registries in the order of their names.
    pub fn secrets_mut(&mut self) -> Vec<&mut String> {
        let mut secrets = Vec::new();
        match &mut self.cluster {
            Membership::Init { token } => secrets.extend(token.as_mut().map(|token| &mut token.0)),
            Membership::Join { token, certificate_key, .. } => {
                secrets.push(&mut token.0);
                secrets.extend(certificate_key.as_mut().map(|key| &mut key.0));
            }
        }
        if let Some(proxy) = &mut self.proxy {
            let urls = [&mut proxy.http, &mut proxy.https].into_iter().flatten();
            secrets.extend(urls.filter(|url| url.is_empty() || has_credentials(url)));
        }
        let passwords = self.registries.configs.values_mut().filter_map(|config| config.password.as_mut());
        secrets.extend(passwords.map(|password| &mut password.0));
        secrets
    }
}

/// What a machine does in its cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Role {
    /// The control plane, and work too.
    #[default]
    Server,
    /// Work.
    Agent,
}

/// How a machine comes to its cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Membership {
    /// It is the first.
    Init {
        /// What others join with; the distribution makes one up where absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        token: Option<Secret>,
    },
    /// It joins.
    Join {
        /// Where the cluster is, `https://HOST:PORT`.
        server: String,
        /// What it joins with.
        token: Secret,
        /// `sha256:HEX` of the public key of the cluster's authority; kubeadm alone asks for it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ca_hash: Option<String>,
        /// The key to the certificates of the control plane, for a further server; kubeadm alone asks for it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        certificate_key: Option<Secret>,
    },
}

impl Default for Membership {
    fn default() -> Self {
        Self::Init { token: None }
    }
}

/// A text that no message and no output repeats.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The addresses of a node in its cluster, one for each family of addresses, the more important one first.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Address {
    /// The addresses. Empty only in a site that names an interface, until it is looked up on the host.
    pub addresses: Vec<IpAddr>,
    /// The network interface that they were taken from, where the site names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
}

impl fmt::Display for Address {
    /// As `--node-ip` of all distributions takes them: `10.0.0.1,fd00::1`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.addresses.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(","))
    }
}

/// Where the cluster's API is reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Endpoint {
    /// An address that the servers hand on among themselves.
    Vip {
        /// The address.
        address: IpAddr,
        /// The network interface that bears it.
        interface: String,
    },
    /// A name.
    Dns(String),
}

/// How the outside is reached. A password may be in the URLs, so what they are put into is private where
/// [`Self::has_credentials`] says so.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Proxy {
    /// For `http://`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<String>,
    /// For `https://`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub https: Option<String>,
    /// What is reached without it: names, domains that begin with a dot, addresses, networks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub no_proxy: Vec<String>,
}

impl Proxy {
    /// Whether a user and mostly a password are in one of the URLs.
    pub fn has_credentials(&self) -> bool {
        self.http.iter().chain(&self.https).any(|url| has_credentials(url))
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |url: &Option<String>| {
            url.as_ref().map(|url| if has_credentials(url) { "a URL with a secret".to_owned() } else { url.clone() })
        };
        f.debug_struct("Proxy")
            .field("http", &shown(&self.http))
            .field("https", &shown(&self.https))
            .field("no_proxy", &self.no_proxy)
            .finish()
    }
}

/// An authority.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Certificate {
    /// The name of its file without folder and ending, fit for a file name.
    pub name: String,
    /// One or more certificates, PEM.
    pub pem: String,
}

/// Where images are pulled from.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Registries {
    /// Where to ask first, by the registry in an image's name; `*` is for all others. In order.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub mirrors: BTreeMap<String, Vec<String>>,
    /// What becomes of the names of repositories at the mirrors of a registry: regular expressions, each with what takes the place
    /// of what it matches.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub rewrites: BTreeMap<String, BTreeMap<String, String>>,
    /// How to talk to a registry, by its host and port.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub configs: BTreeMap<String, RegistryConfig>,
}

impl Registries {
    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        self.mirrors.is_empty() && self.configs.is_empty()
    }
}

/// How to talk to a registry.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct RegistryConfig {
    /// The user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// The password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<Secret>,
    /// The file on the host with the authority that its certificate is from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<String>,
    /// Whether its certificate is taken as it is.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub insecure_skip_verify: bool,
    /// The files on the host with the certificate by which this machine is known to it, and with that one's key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<(String, String)>,
}

/// What keeps pods from a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Taint {
    /// Its key.
    pub key: String,
    /// Its value, possibly empty.
    pub value: String,
    /// `NoSchedule`, `PreferNoSchedule` or `NoExecute`.
    pub effect: String,
}
