//! What a site says of its machine, field by field.

use std::collections::BTreeMap;

use super::certificates::certificates;
use super::cluster::{endpoint, membership, role};
use super::fields::{self, Fields};
use super::files::{Held, Reading};
use super::format;
use super::node::{Address, Node, Proxy, Taint};
use super::registries::registries;
use crate::yaml::Value;

pub(super) const NODE_ADDRESS: &[&str] = &["interface"];
pub(super) const PROXY: &[&str] = &["http", "https", "noProxy"];

/// The machine of a site, as far as it is right.
pub(super) fn machine(spec: Fields<'_>, reading: &mut Reading<'_>) -> Node {
    let role = role(spec, reading);
    Node {
        role,
        hostname: spec.parsed("hostname", format::hostname, reading.report),
        address: address(spec, reading),
        dummy_route: spec.flag("dummyRoute", reading.report) == Some(true),
        cluster: membership(spec, role, reading),
        endpoint: endpoint(spec, role, reading),
        proxy: proxy(spec, reading),
        certificates: certificates(spec, reading),
        registries: registries(spec, reading),
        install_root: spec.parsed("installRoot", format::data_folder, reading.report),
        labels: labels(spec, reading),
        taints: taints(spec, reading),
    }
}

/// The field `nodeAddress`: a text, or the interface that has the addresses.
fn address(spec: Fields<'_>, reading: &mut Reading<'_>) -> Option<Address> {
    let node = spec.optional("nodeAddress", reading.report)?;
    if !matches!(node.value, Value::Mapping(_)) {
        let addresses = spec.parsed("nodeAddress", format::node_addresses, reading.report)?;
        return Some(Address { addresses, interface: None });
    }
    let fields = Fields::open(node, "`nodeAddress`", NODE_ADDRESS, reading.report)?;
    fields.require(NODE_ADDRESS, reading.report);
    let interface = fields.parsed("interface", format::interface, reading.report)?;
    Some(Address { addresses: Vec::new(), interface: Some(interface) })
}

fn proxy(spec: Fields<'_>, reading: &mut Reading<'_>) -> Option<Proxy> {
    let fields = Fields::open(spec.optional("proxy", reading.report)?, "`proxy`", PROXY, reading.report)?;
    let [http, https] = ["http", "https"].map(|name| fields.parsed(name, format::proxy, reading.report));
    let no_proxy = fields.items("noProxy", format::no_proxy, reading.report);
    if !fields.has("http") && !fields.has("https") {
        reading.report.add(fields.start(), "`proxy` has neither `http` nor `https`");
    }
    let proxy = Proxy { http, https, no_proxy: no_proxy.into_iter().map(|(item, _)| item).collect() };
    if proxy.has_credentials() {
        reading.expose(Held::Secret("the password of the proxy"), reading.file);
    }
    Some(proxy)
}

fn labels(spec: Fields<'_>, reading: &mut Reading<'_>) -> BTreeMap<String, String> {
    let Some(node) = spec.optional("nodeLabels", reading.report) else { return BTreeMap::new() };
    let report = &mut *reading.report;
    if !matches!(node.value, Value::Mapping(_)) {
        report.add(node.at, "`nodeLabels` must be a mapping of keys to values");
    }
    let mut labels = BTreeMap::new();
    for entry in node.entries() {
        let key = format::label_key(&entry.key);
        match &key {
            Err(expected) => report.add(entry.key_at, format!("the key of a label must be {expected}")),
            Ok(key) if format::is_reserved_label(key) => report.add(entry.key_at, format::RESERVED_LABEL),
            Ok(_) => {}
        }
        if entry.value.is_null() {
            report.add(entry.key_at, "a label has no value; an empty one is written \"\"");
            continue;
        }
        let Some(text) = fields::text(&entry.value, "the value of a label", report) else { continue };
        match (format::label_value(text), key) {
            (Err(expected), _) => report.add(entry.value.at, format!("the value of a label must be {expected}")),
            (Ok(value), Ok(key)) => drop(labels.insert(key, value)),
            (Ok(_), Err(_)) => {}
        }
    }
    labels
}

fn taints(spec: Fields<'_>, reading: &mut Reading<'_>) -> Vec<Taint> {
    let mut taints: Vec<Taint> = Vec::new();
    for (taint, at) in spec.items("nodeTaints", format::taint, reading.report) {
        if taints.iter().any(|other| other.key == taint.key && other.effect == taint.effect) {
            reading.report.add(at, "another taint has the same key and effect");
        }
        taints.push(taint);
    }
    taints
}
