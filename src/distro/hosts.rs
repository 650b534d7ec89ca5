//! Where images are pulled from, as containerd reads it: <https://github.com/containerd/containerd/blob/main/docs/hosts.md>.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use base64::prelude::{BASE64_STANDARD, Engine as _};

use super::{SetupFile, guarded};
use crate::site::node::{Registries, RegistryConfig};

/// A folder for each registry below `folder`, with a `hosts.toml`.
pub(super) fn files(folder: &str, registries: &Registries) -> Vec<SetupFile> {
    let endpoints = registries.mirrors.values().flatten();
    let mirrors: Vec<&str> = endpoints.map(|endpoint| host(endpoint)).collect();
    let mut all: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (registry, endpoints) in &registries.mirrors {
        all.insert(registry, endpoints.clone());
    }
    // How to talk to a registry that stands in for others is said where it does; to others it is said under their own names.
    for registry in registries.configs.keys().filter(|registry| !mirrors.contains(&registry.as_str())) {
        all.entry(registry).or_default().push(format!("https://{registry}"));
    }
    all.into_iter().map(|(registry, endpoints)| one(folder, registry, &endpoints, registries)).collect()
}

fn one(folder: &str, registry: &str, endpoints: &[String], registries: &Registries) -> SetupFile {
    let (name, server) = match registry {
        "*" => ("_default", None),
        "docker.io" => (registry, Some("https://registry-1.docker.io".to_owned())),
        _ => (registry, Some(format!("https://{registry}"))),
    };
    let mut text = server.map(|server| format!("server = {}\n", quoted(&server))).unwrap_or_default();
    let mut private = false;
    for endpoint in endpoints {
        let config = registries.configs.get(host(endpoint));
        let _ = write!(text, "\n[host.{}]\n  capabilities = [\"pull\", \"resolve\"]\n", quoted(endpoint));
        text.push_str(&config.map(|config| settings(endpoint, config)).unwrap_or_default());
        private |= config.is_some_and(|config| config.password.is_some());
    }
    guarded(format!("{folder}/{name}/hosts.toml"), text, private)
}

fn settings(endpoint: &str, config: &RegistryConfig) -> String {
    let mut text = String::new();
    if let Some(file) = &config.ca_file {
        let _ = writeln!(text, "  ca = {}", quoted(file));
    }
    if let Some((certificate, key)) = &config.client {
        let _ = writeln!(text, "  client = [[{}, {}]]", quoted(certificate), quoted(key));
    }
    if config.insecure_skip_verify {
        text.push_str("  skip_verify = true\n");
    }
    if let (Some(username), Some(password)) = (&config.username, &config.password) {
        let basic = BASE64_STANDARD.encode(format!("{username}:{}", password.0));
        let _ = write!(
            text,
            "  [host.{}.header]\n    Authorization = {}\n",
            quoted(endpoint),
            quoted(&format!("Basic {basic}"))
        );
    }
    text
}

/// Host and port of an address.
fn host(address: &str) -> &str {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    rest.split('/').next().unwrap_or(rest)
}

/// A basic string of TOML has JSON's escapes.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
