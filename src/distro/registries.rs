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
