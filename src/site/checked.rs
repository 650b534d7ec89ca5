//! A machine that was written down before, checked again: who can change a folder that becomes a root can change what is
//! written down there.

use super::certificates;
use super::format;
use super::node::{Endpoint, Membership, Node, Registries, Role};

impl Node {
    /// Checks every field as a site file's are checked.
    ///
    /// # Errors
    /// The name of the first field that no site file could have given.
    pub fn checked(self) -> Result<Self, &'static str> {
        let has = |right: bool, field: &'static str| if right { Ok(()) } else { Err(field) };
        has(self.hostname.as_deref().is_none_or(|name| format::hostname(name).is_ok()), "hostname")?;
        let address = self.address.as_ref();
        let is_interface = |name: &String| format::interface(name).is_ok();
        has(
            address.is_none_or(|address| {
                format::node_addresses(&address.to_string()).is_ok()
                    && address.interface.as_ref().is_none_or(is_interface)
            }),
            "nodeAddress",
        )?;
        has(is_membership(&self.cluster, self.role), "cluster")?;
        has(
            self.endpoint.as_ref().is_none_or(|endpoint| self.role == Role::Server && is_endpoint(endpoint)),
            "endpoint",
        )?;
        let urls = self.proxy.iter().flat_map(|proxy| proxy.http.iter().chain(&proxy.https));
        has(urls.into_iter().all(|url| format::proxy(url).is_ok()), "proxy")?;
        let without = self.proxy.iter().flat_map(|proxy| &proxy.no_proxy);
        has(without.into_iter().all(|item| format::no_proxy(item).is_ok()), "proxy.noProxy")?;
        let mut certificates = self.certificates.iter();
        has(certificates.all(certificates::is_certificate), "caCertificates")?;
        has(is_registries(&self.registries), "registries")?;
        has(self.install_root.as_deref().is_none_or(|path| format::path(path).is_ok()), "installRoot")?;
        let label =
            |(key, value): (&String, &String)| format::label_key(key).is_ok() && format::label_value(value).is_ok();
        has(self.labels.iter().all(label), "nodeLabels")?;
        let taint = |taint: &super::node::Taint| {
            format::taint(&format!("{}={}:{}", taint.key, taint.value, taint.effect))
                .is_ok_and(|parsed| parsed == *taint)
        };
        has(self.taints.iter().all(taint), "nodeTaints")?;
        Ok(self)
    }
}

fn is_membership(cluster: &Membership, role: Role) -> bool {
    match cluster {
        Membership::Init { token } => {
            role == Role::Server && token.as_ref().is_none_or(|token| format::token(&token.0).is_ok())
        }
        Membership::Join { server, token, ca_hash, certificate_key } => {
            format::join(server).is_ok()
                && format::token(&token.0).is_ok()
                && ca_hash.as_deref().is_none_or(|hash| format::hash(hash).is_ok())
                && certificate_key.as_ref().is_none_or(|key| format::certificate_key(&key.0).is_ok())
        }
    }
}

fn is_endpoint(endpoint: &Endpoint) -> bool {
    match endpoint {
        Endpoint::Vip { address, interface } => {
            format::address(&address.to_string()).is_ok() && format::interface(interface).is_ok()
        }
        Endpoint::Dns(name) => format::dns(name).is_ok(),
    }
}

fn is_registries(registries: &Registries) -> bool {
    let mirrors = registries.mirrors.iter().all(|(registry, endpoints)| {
        format::registry(registry).is_ok() && endpoints.iter().all(|url| format::endpoint(url).is_ok())
    });
    let rewrites = registries.rewrites.iter().all(|(registry, rules)| {
        let is_rule = |(from, to): (&String, &String)| format::rewrite(from).is_ok() && format::rewrite(to).is_ok();
        registries.mirrors.contains_key(registry) && rules.iter().all(is_rule)
    });
    let plain = |user: &String| !user.contains(|c: char| c == ':' || c.is_control());
    let configs = registries.configs.iter().all(|(registry, config)| {
        format::registry(registry).is_ok()
            && config.username.as_ref().is_none_or(plain)
            && config.password.as_ref().is_none_or(|password| format::password(&password.0).is_ok())
            && config.ca_file.as_deref().is_none_or(|path| format::path(path).is_ok())
            && config
                .client
                .as_ref()
                .is_none_or(|(certificate, key)| format::path(certificate).is_ok() && format::path(key).is_ok())
    });
    mirrors && rewrites && configs
}
