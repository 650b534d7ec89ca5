//! What another site changes, field by field.

use std::collections::BTreeMap;

use super::installed_machine;
use crate::apply::ApplyError;
use crate::apply::history::History;
use crate::host::Root;
use crate::oci::Digest;
use crate::site::node::{Endpoint, Membership, Node, Proxy, RegistryConfig, Role, Secret};
use crate::variables::MASK;

/// A field of the site that another site changes. Secrets are masked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteChange {
    /// The field, as in a site file: `nodeLabels.tier`.
    pub field: String,
    /// What it was; absent where it was not given.
    pub before: Option<String>,
    /// What it becomes; absent where it is no longer given.
    pub after: Option<String>,
}

/// What `node` changes of the site that is installed of the profile `name`; nothing where none is known.
pub(in crate::apply) fn changes(
    node: &Node,
    history: &History,
    name: &str,
    root: &Root,
) -> Result<Vec<SiteChange>, ApplyError> {
    let installed = installed_machine(history, name, root)?;
    Ok(installed.map(|installed| between(&installed, node)).unwrap_or_default())
}

pub(super) fn between(before: &Node, after: &Node) -> Vec<SiteChange> {
    let (before, after) = (Fields::of(before).0, Fields::of(after).0);
    let names: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let changed = names.into_iter().filter(|name| before.get(*name) != after.get(*name));
    let shown = |value: Option<&Field>| value.map(|field| field.shown.clone());
    changed
        .map(|name| SiteChange { field: name.clone(), before: shown(before.get(name)), after: shown(after.get(name)) })
        .collect()
}

#[derive(PartialEq, Eq)]
struct Field {
    value: String,
    shown: String,
}

/// Every field of a site that says something, by name.
struct Fields(BTreeMap<String, Field>);

impl Fields {
    fn of(node: &Node) -> Self {
        let mut fields = Self(BTreeMap::new());
        fields.plain("role", if node.role == Role::Agent { "agent" } else { "server" });
        fields.some("hostname", node.hostname.as_deref());
        if let Some(address) = &node.address {
            fields.plain("nodeAddress", &address.to_string());
        }
        if node.dummy_route {
            fields.plain("dummyRoute", "true");
        }
        fields.cluster(&node.cluster);
        fields.some("installRoot", node.install_root.as_deref());
        match &node.endpoint {
            Some(Endpoint::Vip { address, interface }) => {
                fields.plain("endpoint.vip", &address.to_string());
                fields.plain("endpoint.interface", interface);
            }
            Some(Endpoint::Dns(name)) => fields.plain("endpoint.dns", name),
            None => {}
        }
        node.proxy.iter().for_each(|proxy| fields.proxy(proxy));
        for certificate in &node.certificates {
            fields.plain(
                &format!("caCertificates.{}", certificate.name),
                &Digest::of(certificate.pem.as_bytes()).to_string(),
            );
        }
        for (registry, endpoints) in &node.registries.mirrors {
            fields.plain(&format!("registries.mirrors.{registry}"), &endpoints.join(", "));
        }
        for (registry, rules) in &node.registries.rewrites {
            let rules: Vec<String> = rules.iter().map(|(from, to)| format!("{from} -> {to}")).collect();
            fields.plain(&format!("registries.mirrors.{registry}.rewrite"), &rules.join(", "));
        }
        node.registries.configs.iter().for_each(|(registry, config)| fields.registry(registry, config));
        for (key, value) in &node.labels {
            fields.plain(&format!("nodeLabels.{key}"), value);
        }
        for taint in &node.taints {
            fields.plain(&format!("nodeTaints.{}:{}", taint.key, taint.effect), &taint.value);
        }
        fields
    }

    fn plain(&mut self, name: &str, value: &str) {
        self.0.insert(name.to_owned(), Field { value: value.to_owned(), shown: value.to_owned() });
    }

    fn some(&mut self, name: &str, value: Option<&str>) {
        value.into_iter().for_each(|value| self.plain(name, value));
    }

    fn secret(&mut self, name: &str, Secret(value): &Secret) {
        self.0.insert(name.to_owned(), Field { value: value.clone(), shown: MASK.to_owned() });
    }

    fn cluster(&mut self, cluster: &Membership) {
        let token = match cluster {
            Membership::Init { token } => {
                self.plain("cluster.init", "true");
                token.as_ref()
            }
            Membership::Join { server, token, ca_hash, certificate_key } => {
                self.plain("cluster.join", server);
                self.some("cluster.caCertHash", ca_hash.as_deref());
                certificate_key.iter().for_each(|key| self.secret("cluster.certificateKey", key));
                Some(token)
            }
        };
        token.into_iter().for_each(|token| self.secret("cluster.token", token));
    }

    fn proxy(&mut self, proxy: &Proxy) {
        for (name, url) in [("proxy.http", &proxy.http), ("proxy.https", &proxy.https)] {
            match url {
                Some(url) if url.contains('@') || url.is_empty() => self.secret(name, &Secret(url.clone())),
                Some(url) => self.plain(name, url),
                None => {}
            }
        }
        if !proxy.no_proxy.is_empty() {
            self.plain("proxy.noProxy", &proxy.no_proxy.join(", "));
        }
    }

    fn registry(&mut self, registry: &str, config: &RegistryConfig) {
        let of = |field: &str| format!("registries.configs.{registry}.{field}");
        self.some(&of("username"), config.username.as_deref());
        config.password.iter().for_each(|password| self.secret(&of("password"), password));
        self.some(&of("caFile"), config.ca_file.as_deref());
        if let Some((certificate, key)) = &config.client {
            self.plain(&of("certFile"), certificate);
            self.plain(&of("keyFile"), key);
        }
        if config.insecure_skip_verify {
            self.plain(&of("insecureSkipVerify"), "true");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(server: &str, token: &str) -> Node {
        let cluster = Membership::Join {
            server: server.to_owned(),
            token: Secret(token.to_owned()),
            ca_hash: None,
            certificate_key: None,
        };
        Node { role: Role::Agent, cluster, ..Node::default() }
    }

    #[test]
    fn changes_are_named_and_secrets_are_not_shown() {
        let (mut before, mut after) = (joined("https://a:6443", "canary-one"), joined("https://a:6443", "canary-two"));
        before.labels.insert("tier".to_owned(), "edge".to_owned());
        before.hostname = Some("n1".to_owned());
        after.labels.insert("tier".to_owned(), "store".to_owned());
        let url = Some("http://u:canary@proxy:3128".to_owned());
        after.proxy = Some(Proxy { http: url, ..Proxy::default() });
        let changes = between(&before, &after);
        let all: Vec<(&str, Option<&str>, Option<&str>)> =
            changes.iter().map(|one| (one.field.as_str(), one.before.as_deref(), one.after.as_deref())).collect();
        let expected = [
            ("cluster.token", Some(MASK), Some(MASK)),
            ("hostname", Some("n1"), None),
            ("nodeLabels.tier", Some("edge"), Some("store")),
            ("proxy.http", None, Some(MASK)),
        ];
        assert_eq!(all, expected);
        assert!(!format!("{changes:?}").contains("canary"));
        assert!(between(&before, &before).is_empty());
    }
}
