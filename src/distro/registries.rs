//! Where images are pulled from, as k3s and RKE2 read it.

use super::tree::{Map, list, text, truth};
use super::{SetupFile, guarded};
use crate::site::node::{Registries, RegistryConfig};

/// `registries.yaml`, <https://docs.k3s.io/installation/private-registry>; none where nothing is said.
pub(super) fn file(path: &str, registries: &Registries) -> Option<SetupFile> {
    if registries.is_empty() {
        return None;
    }
    let mut document = Map::default();
    let mirror = |mirrors: &mut Map| {
        for (registry, endpoints) in &registries.mirrors {
            let endpoints = list(endpoints.iter().map(|one| text(one.as_str())).collect());
            let mut mirror = Map::default();
            mirror.set("endpoint", endpoints);
            mirror.within("rewrite", |all| {
                let rules = registries.rewrites.get(registry).into_iter().flatten();
                rules.for_each(|(from, to)| all.set(from, text(to.as_str())));
            });
            mirrors.set(registry, mirror.node());
        }
    };
    document.within("mirrors", mirror);
    document.within("configs", |configs| {
        for (registry, config) in &registries.configs {
            configs.set(registry, one(config).node());
        }
    });
    let private = registries.configs.values().any(|config| config.password.is_some());
    Some(guarded(path, document.written(), private))
}

fn one(config: &RegistryConfig) -> Map {
    let mut all = Map::default();
    all.within("auth", |auth| {
        if let Some(username) = &config.username {
            auth.set("username", text(username.as_str()));
        }
        if let Some(password) = &config.password {
            auth.set("password", text(password.0.as_str()));
        }
    });
    all.within("tls", |tls| {
        if let Some(file) = &config.ca_file {
            tls.set("ca_file", text(file.as_str()));
        }
        if let Some((certificate, key)) = &config.client {
            tls.set("cert_file", text(certificate.as_str()));
            tls.set("key_file", text(key.as_str()));
        }
        if config.insecure_skip_verify {
            tls.set("insecure_skip_verify", truth(true));
        }
    });
    all
}

/// What only k3s and RKE2 do: containerd has no rules for names (<https://github.com/containerd/containerd/blob/main/docs/hosts.md>).
pub(super) fn refusals(distribution: &str, registries: &Registries) -> Vec<String> {
    let refused = |registry: &String| {
        format!(
            "`registries.mirrors.{registry}.rewrite` of the site: {distribution} has containerd read hosts.toml, which rewrites no names; where \
             the mirror has all images below one path, give that path in `endpoint`"
        )
    };
    registries.rewrites.keys().map(refused).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml;

    /// Rules as the documentation of registries with a path for each project has them, and what somebody else reads of the file.
    #[test]
    fn rules_for_names_are_read_back_as_they_were_given() {
        let rules = [
            // GitLab's and Harbor's proxies, Artifactory, Nexus, one with a quote, one with what YAML would take for something else.
            ("docker.io", "^(.*)$", "group/dependency_proxy/containers/$1"),
            ("quay.io", "^(.*)$", "quay-proxy/$1"),
            ("registry.k8s.io", "(.*)", "artifactory/k8s-remote/$1"),
            ("ghcr.io", "^([^/]+)/(.*)$", "$2-of-$1"),
            ("gcr.io", "^it's/(\\d+): #(.*)$", "\"$1\""),
            ("*", "true", "null"),
        ];
        let mut registries = Registries::default();
        for (host, from, to) in rules {
            registries.mirrors.insert(host.to_owned(), vec!["https://registry.store:5000".to_owned()]);
            registries.rewrites.entry(host.to_owned()).or_default().insert(from.to_owned(), to.to_owned());
        }
        let client = Some(("/etc/ssl/till.pem".to_owned(), "/etc/ssl/till.key".to_owned()));
        registries
            .configs
            .insert("registry.store:5000".to_owned(), RegistryConfig { client, ..RegistryConfig::default() });
        let written = file("/etc/rancher/k3s/registries.yaml", &registries).unwrap();
        let documents = yaml::parse(&written.text).documents;
        let at =
            |path: &[&str]| path.iter().try_fold(&documents[0], |node, key| node.get(key)).and_then(yaml::Node::text);
        for (host, from, to) in rules {
            assert_eq!(at(&["mirrors", host, "rewrite", from]), Some(to), "{}", written.text);
        }
        let tls = |field: &str| at(&["configs", "registry.store:5000", "tls", field]);
        assert_eq!((tls("cert_file"), tls("key_file")), (Some("/etc/ssl/till.pem"), Some("/etc/ssl/till.key")));
        assert_eq!(refusals("kubeadm", &registries).len(), rules.len());
    }
}
