//! Where images are pulled from, as k3s and RKE2 read it.

use super::tree::{Map, list, map, text, truth};
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
            mirrors.set(registry, map([("endpoint", list(endpoints.iter().map(|one| text(one.as_str())).collect()))]));
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
        if config.insecure_skip_verify {
            tls.set("insecure_skip_verify", truth(true));
        }
    });
    all
}
