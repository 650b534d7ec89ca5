//! The shape of a site file, from which its JSON Schema is generated. What cannot be said in a schema (addresses, files that
//! exist, an agent's fields) is left to [`super::Site::load()`].

use std::collections::BTreeMap;

use schemars::JsonSchema;

/// What differs from place to place: the machine, its part in the cluster, and the values of variables.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub struct Site {
    /// Version of this format.
    #[schemars(extend("const" = "carrack/v1"))]
    pub api_version: String,
    /// Kind of document.
    #[schemars(extend("const" = "Site"))]
    pub kind: String,
    /// What differs.
    pub spec: Spec,
}

/// What differs from place to place.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub struct Spec {
    /// What the machine does in its cluster; server where absent.
    pub role: Option<Role>,
    /// What the machine is called, up to 63 characters; what it is called already where absent.
    #[schemars(
        length(max = 63),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
    )]
    pub hostname: Option<String>,
    /// The addresses of the node in its cluster; those of the interface with the default route where absent.
    pub node_address: Option<NodeAddress>,
    /// Whether a dummy interface is made that has a default route, for a host that has none.
    pub dummy_route: Option<bool>,
    /// How the machine comes to its cluster; it is the first where absent.
    pub cluster: Option<Cluster>,
    /// Where the cluster's API is reached, whichever server answers.
    pub endpoint: Option<Endpoint>,
    /// How the outside is reached.
    pub proxy: Option<Proxy>,
    /// Files with authorities that the system and its runtime trust too, in PEM; relative to the site file.
    #[schemars(length(min = 1))]
    pub ca_certificates: Option<Vec<String>>,
    /// Where images are pulled from instead of where their names say.
    pub registries: Option<Registries>,
    /// The folder for the distribution's data, instead of its usual one.
    #[schemars(regex(pattern = r"^(/[A-Za-z0-9._-]+)+$"))]
    pub install_root: Option<String>,
    /// Labels of the node.
    pub node_labels: Option<BTreeMap<String, String>>,
    /// Taints of the node, `KEY=VALUE:EFFECT`.
    #[schemars(length(min = 1), inner(regex(pattern = r"^[^:]+:(NoSchedule|PreferNoSchedule|NoExecute)$")))]
    pub node_taints: Option<Vec<String>>,
    /// Values of the profile's variables, by name.
    pub variables: Option<BTreeMap<String, Value>>,
}

/// What a machine does in its cluster.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(rename_all = "lowercase")]
pub enum Role {
    /// The control plane, and work too.
    Server,
    /// Work.
    Agent,
}

/// The addresses of a node.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(untagged)]
pub enum NodeAddress {
    /// An IPv4 address, an IPv6 address, or one of each with a comma between.
    Addresses(#[schemars(regex(pattern = r"^[0-9A-Fa-f:.]+(,[0-9A-Fa-f:.]+)?$"))] String),
    /// Those of a network interface of the host.
    Of(InterfaceAddress),
}

/// The addresses that a network interface has.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub struct InterfaceAddress {
    /// The network interface.
    #[schemars(length(min = 1, max = 15))]
    pub interface: String,
}

/// How a machine comes to its cluster.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("oneOf" = [{"required": ["init"]}, {"required": ["join", "tokenFile"]}]))]
pub struct Cluster {
    /// Whether it is the first.
    #[schemars(extend("const" = true))]
    pub init: Option<bool>,
    /// Where the cluster is that it joins: `https://HOST:PORT`.
    #[schemars(regex(pattern = r"^https://[^/@]+:[0-9]+/?$"))]
    pub join: Option<String>,
    /// The file with what machines join with; relative to the site file.
    pub token_file: Option<String>,
    /// `sha256:HEX` of the key of the cluster's authority; kubeadm alone asks for it.
    #[schemars(regex(pattern = r"^sha256:[0-9A-Fa-f]{64}$"))]
    pub ca_cert_hash: Option<String>,
    /// The file with the key to the certificates of the cluster, for a further server; kubeadm alone asks for it.
    pub certificate_key_file: Option<String>,
}

/// Where the cluster's API is reached.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("oneOf" = [{"required": ["vip", "interface"]}, {"required": ["dns"]}]))]
pub struct Endpoint {
    /// An address that the servers hand on among themselves.
    pub vip: Option<String>,
    /// The network interface that bears it.
    #[schemars(length(min = 1, max = 15))]
    pub interface: Option<String>,
    /// A name.
    pub dns: Option<String>,
}

/// How the outside is reached.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("anyOf" = [{"required": ["http"]}, {"required": ["https"]}]))]
pub struct Proxy {
    /// The proxy for `http://`.
    #[schemars(regex(pattern = r"^https?://"))]
    pub http: Option<String>,
    /// The proxy for `https://`.
    #[schemars(regex(pattern = r"^https?://"))]
    pub https: Option<String>,
    /// What is reached without it: names, domains that begin with a dot, addresses, networks.
    #[schemars(length(min = 1))]
    pub no_proxy: Option<Vec<String>>,
}

/// Where images are pulled from instead of where their names say.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub struct Registries {
    /// Where to ask first, by the registry in an image's name; `*` is for all others.
    pub mirrors: Option<BTreeMap<String, Mirror>>,
    /// How to talk to a registry, by its host and port; `*` is for all others.
    pub configs: Option<BTreeMap<String, RegistryConfig>>,
}

/// Where to ask first.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub struct Mirror {
    /// URLs, in order.
    #[schemars(length(min = 1), inner(regex(pattern = r"^https?://")))]
    pub endpoint: Vec<String>,
    /// What becomes of the names of repositories there, for k3s and RKE2: regular expressions, each with what takes the place of what
    /// it matches.
    pub rewrite: Option<BTreeMap<String, String>>,
}

/// How to talk to a registry.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub struct RegistryConfig {
    /// Who asks.
    pub auth: Option<Auth>,
    /// Whom to believe.
    pub tls: Option<Tls>,
}

/// Who asks.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub struct Auth {
    /// The user.
    pub username: String,
    /// The file with the password; relative to the site file.
    pub password_file: String,
}

/// Whom to believe.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub struct Tls {
    /// The file on the host with the authority that the registry's certificate is from.
    #[schemars(regex(pattern = r"^(/[A-Za-z0-9._-]+)+$"))]
    pub ca_file: Option<String>,
    /// Whether its certificate is taken as it is.
    pub insecure_skip_verify: Option<bool>,
    /// The file on the host with the certificate by which this machine is known to the registry.
    #[schemars(regex(pattern = r"^(/[A-Za-z0-9._-]+)+$"))]
    pub cert_file: Option<String>,
    /// The file on the host with its key.
    #[schemars(regex(pattern = r"^(/[A-Za-z0-9._-]+)+$"))]
    pub key_file: Option<String>,
}

/// The value of a variable.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(untagged)]
pub enum Value {
    /// Text.
    Text(String),
    /// A number, where the variable takes one.
    Number(f64),
    /// A truth value, where the variable takes one.
    Boolean(bool),
    /// What is in a file.
    File(FromFile),
}

/// What is in a file.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub struct FromFile {
    /// The file; relative to the site file.
    pub from_file: String,
}

#[cfg(test)]
mod tests {
    use super::Site;
    use crate::profile::schema::schema_of;
    use crate::site::{DOCUMENT, FROM_FILE, SPEC, cluster, machine, registries};

    #[test]
    fn the_schema_and_the_decoder_know_the_same_fields() {
        let schema = serde_json::to_value(schema_of::<Site>()).unwrap();
        for (name, known) in [
            ("", DOCUMENT),
            ("Spec", SPEC),
            ("InterfaceAddress", machine::NODE_ADDRESS),
            ("Cluster", cluster::CLUSTER),
            ("Endpoint", cluster::ENDPOINT),
            ("Proxy", machine::PROXY),
            ("Registries", registries::REGISTRIES),
            ("Mirror", registries::MIRROR),
            ("RegistryConfig", registries::CONFIG),
            ("Auth", registries::AUTH),
            ("Tls", registries::TLS),
            ("FromFile", FROM_FILE),
        ] {
            let schema = if name.is_empty() { &schema } else { &schema["$defs"][name] };
            let mut properties: Vec<&String> = schema["properties"].as_object().unwrap().keys().collect();
            let mut known = known.to_vec();
            properties.sort();
            known.sort_unstable();
            assert_eq!(properties, known, "{name}");
            assert_eq!(schema["additionalProperties"], serde_json::Value::Bool(false), "{name}");
        }
    }

    #[test]
    fn the_shipped_schema_is_current() {
        let path = format!("{}/docs/schema/site.schema.json", env!("CARGO_MANIFEST_DIR"));
        let current = serde_json::to_string_pretty(&schema_of::<Site>()).unwrap() + "\n";
        let shipped = std::fs::read_to_string(path).unwrap_or_default();
        assert!(shipped == current, "run: cargo run --bin carrack -- schema site > docs/schema/site.schema.json");
    }
}
