//! Where images are pulled from instead of where their names say: as the `registries.yaml` of k3s and RKE2
//! (<https://docs.k3s.io/installation/private-registry>), in the spelling of Carrack's documents and with the password in a
//! file.

use std::collections::BTreeMap;

use super::fields::Fields;
use super::files::Reading;
use super::format;
use super::node::{Registries, RegistryConfig};
use crate::yaml::{Node, Value};

pub(super) const REGISTRIES: &[&str] = &["mirrors", "configs"];
pub(super) const MIRROR: &[&str] = &["endpoint", "rewrite"];
pub(super) const CONFIG: &[&str] = &["auth", "tls"];
pub(super) const AUTH: &[&str] = &["username", "passwordFile"];
pub(super) const TLS: &[&str] = &["caFile", "insecureSkipVerify", "certFile", "keyFile"];
/// By which this machine is known.
const CLIENT: &[&str] = &["certFile", "keyFile"];

/// The field `registries`.
pub(super) fn registries(spec: Fields<'_>, reading: &mut Reading<'_>) -> Registries {
    let node = spec.optional("registries", reading.report);
    let Some(fields) = node.and_then(|node| Fields::open(node, "`registries`", REGISTRIES, reading.report)) else {
        return Registries::default();
    };
    let mut found = Registries { configs: by_registry(fields, "configs", reading, config), ..Registries::default() };
    for (registry, (endpoints, rewrite)) in by_registry(fields, "mirrors", reading, mirror) {
        if !rewrite.is_empty() {
            found.rewrites.insert(registry.clone(), rewrite);
        }
        found.mirrors.insert(registry, endpoints);
    }
    found
}

/// A mapping of registries to what `read` reads.
fn by_registry<T>(
    fields: Fields<'_>,
    name: &str,
    reading: &mut Reading<'_>,
    read: fn(&Node, &mut Reading<'_>) -> Option<T>,
) -> BTreeMap<String, T> {
    let Some(node) = fields.optional(name, reading.report) else { return BTreeMap::new() };
    if !matches!(node.value, Value::Mapping(_)) {
        reading.report.add(node.at, format!("`{name}` must be a mapping of registries"));
    }
    let mut found = BTreeMap::new();
    for entry in node.entries() {
        let registry = format::registry(&entry.key);
        if let Err(expected) = registry {
            reading.report.add(entry.key_at, format!("a key of `{name}` must be {expected}"));
        }
        if let (Some(value), Ok(registry)) = (read(&entry.value, reading), registry) {
            found.insert(registry, value);
        }
    }
    found
}

/// Where a registry's images are asked for, and what becomes of their names.
type Mirror = (Vec<String>, BTreeMap<String, String>);

fn mirror(node: &Node, reading: &mut Reading<'_>) -> Option<Mirror> {
    let fields = Fields::open(node, "a mirror", MIRROR, reading.report)?;
    fields.require(&MIRROR[..1], reading.report);
    let endpoints =
        fields.items("endpoint", format::endpoint, reading.report).into_iter().map(|(url, _)| url).collect();
    let mut rewrite = BTreeMap::new();
    let rewrites = fields.optional("rewrite", reading.report);
    if let Some(node) = rewrites.filter(|node| !matches!(node.value, Value::Mapping(_))) {
        reading.report.add(node.at, "`rewrite` must be a mapping of regular expressions to texts");
    }
    for entry in rewrites.map(Node::entries).unwrap_or_default() {
        match (format::rewrite(&entry.key), entry.value.text()) {
            (Ok(pattern), Some(text)) if format::rewrite(text).is_ok() => {
                drop(rewrite.insert(pattern, text.to_owned()));
            }
            _ => reading.report.add(entry.key_at, format!("a rule of `rewrite` must be {}", format::REWRITE)),
        }
    }
    Some((endpoints, rewrite))
}

/// A mapping that says nothing is one: k3s takes it for a registry to which the configuration of `*` does not apply.
fn config(node: &Node, reading: &mut Reading<'_>) -> Option<RegistryConfig> {
    let fields = Fields::open(node, "the configuration of a registry", CONFIG, reading.report)?;
    let mut config = RegistryConfig::default();
    let auth = fields.optional("auth", reading.report);
    if let Some(auth) = auth.and_then(|node| Fields::open(node, "`auth`", AUTH, reading.report)) {
        auth.require(AUTH, reading.report);
        let user = |text: &str| {
            let right = !text.contains(|c: char| c == ':' || c.is_control());
            if right { Ok(text.to_owned()) } else { Err("a name without `:` and control characters") }
        };
        config.username = auth.parsed("username", user, reading.report);
        config.password = reading.secret(auth, "passwordFile", "the password of a registry", format::password);
    }
    let tls = fields.optional("tls", reading.report);
    if let Some(tls) = tls.and_then(|node| Fields::open(node, "`tls`", TLS, reading.report)) {
        config.ca_file = tls.parsed("caFile", format::path, reading.report);
        config.insecure_skip_verify = tls.flag("insecureSkipVerify", reading.report).unwrap_or(false);
        if config.insecure_skip_verify && tls.has("caFile") {
            let message =
                "with `insecureSkipVerify: true` any certificate is taken, so `caFile` has no effect: leave one out";
            reading.report.add(tls.key_at("caFile"), message);
        }
        config.client = client(tls, reading);
    }
    Some(config)
}

/// The files by which this machine is known: both, or none.
fn client(tls: Fields<'_>, reading: &mut Reading<'_>) -> Option<(String, String)> {
    if CLIENT.iter().any(|field| tls.has(field)) {
        tls.require(CLIENT, reading.report);
    }
    let file = |name: &str, reading: &mut Reading<'_>| tls.parsed(name, format::path, reading.report);
    let (certificate, key) = (file(CLIENT[0], reading), file(CLIENT[1], reading));
    certificate.zip(key)
}
