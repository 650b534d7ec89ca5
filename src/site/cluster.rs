//! A machine's part in its cluster, and what contradicts it.

use super::fields::Fields;
use super::files::Reading;
use super::format;
use super::node::{Endpoint, Membership, Role, Secret};

pub(super) const CLUSTER: &[&str] = &["init", "join", "tokenFile", "caCertHash", "certificateKeyFile"];
pub(super) const ENDPOINT: &[&str] = &["vip", "interface", "dns"];
/// What only a machine that joins has a use for.
const JOIN_ONLY: &[&str] = &["caCertHash", "certificateKeyFile"];

/// The field `role`; a server where it is not given.
pub(super) fn role(spec: Fields<'_>, reading: &mut Reading<'_>) -> Role {
    let role = |text: &str| match text {
        "server" => Ok(Role::Server),
        "agent" => Ok(Role::Agent),
        _ => Err("`server` or `agent`"),
    };
    spec.parsed("role", role, reading.report).unwrap_or_default()
}

/// The field `cluster`; the first of a cluster where it is not given.
pub(super) fn membership(spec: Fields<'_>, role: Role, reading: &mut Reading<'_>) -> Membership {
    if role == Role::Agent && !spec.has("cluster") {
        let message = "an agent joins a cluster: `cluster: {join: https://HOST:PORT, tokenFile: PATH}` is missing";
        reading.report.add(spec.key_at("role"), message);
    }
    let node = spec.optional("cluster", reading.report);
    let Some(fields) = node.and_then(|node| Fields::open(node, "`cluster`", CLUSTER, reading.report)) else {
        return Membership::default();
    };
    let init = fields.flag("init", reading.report);
    if init == Some(false) {
        reading.report.add(fields.value_at("init"), "`init` is true or left out");
    }
    let token = reading.secret(fields, "tokenFile", "the token of the cluster", format::token);
    match (fields.has("init"), fields.has("join")) {
        (true, true) => {
            reading.report.add(fields.key_at("join"), "a cluster is begun (`init: true`) or joined (`join`), not both");
        }
        (false, false) => {
            reading.report.add(fields.start(), "`cluster` says neither `init: true` nor `join: https://HOST:PORT`");
        }
        (false, true) => return join(fields, role, token, reading),
        (true, false) => {
            if role == Role::Agent {
                let message = "an agent begins no cluster, it joins one: `join: https://HOST:PORT`";
                reading.report.add(fields.key_at("init"), message);
            }
            for name in JOIN_ONLY.iter().filter(|name| fields.has(name)) {
                let message = format!("`{name}` is for joining, and with `init: true` there is nothing to join");
                reading.report.add(fields.key_at(name), message);
            }
        }
    }
    Membership::Init { token }
}

fn join(fields: Fields<'_>, role: Role, token: Option<Secret>, reading: &mut Reading<'_>) -> Membership {
    fields.require(&["tokenFile"], reading.report);
    let server = fields.parsed("join", format::join, reading.report);
    let ca_hash = fields.parsed("caCertHash", format::hash, reading.report);
    let key = "the key to the certificates of the cluster";
    let certificate_key = reading.secret(fields, "certificateKeyFile", key, format::certificate_key);
    if role == Role::Agent && fields.has("certificateKeyFile") {
        let message = "`certificateKeyFile` is for a further server; an agent gets no key of the cluster";
        reading.report.add(fields.key_at("certificateKeyFile"), message);
    }
    match (server, token) {
        (Some(server), Some(token)) => Membership::Join { server, token, ca_hash, certificate_key },
        // What is missing is told.
        _ => Membership::default(),
    }
}

/// The field `endpoint`.
pub(super) fn endpoint(spec: Fields<'_>, role: Role, reading: &mut Reading<'_>) -> Option<Endpoint> {
    let fields = Fields::open(spec.optional("endpoint", reading.report)?, "`endpoint`", ENDPOINT, reading.report)?;
    let report = &mut *reading.report;
    if role == Role::Agent {
        let message = "an agent has no `endpoint`: the servers bear it, and `join` says where they are";
        report.add(spec.key_at("endpoint"), message);
    }
    let address = fields.parsed("vip", format::address, report);
    let interface = fields.parsed("interface", format::interface, report);
    let name = fields.parsed("dns", format::dns, report);
    match (fields.has("vip"), fields.has("dns")) {
        (true, true) => {
            report.add(fields.key_at("dns"), "an endpoint is an address (`vip`) or a name (`dns`), not both");
        }
        (false, false) => report.add(fields.start(), "`endpoint` has neither `vip` and `interface` nor `dns`"),
        (true, false) => fields.require(&["interface"], report),
        (false, true) if fields.has("interface") => {
            report.add(fields.key_at("interface"), "`interface` is what bears a `vip`, and there is none");
        }
        (false, true) => {}
    }
    match (address, interface, name) {
        (Some(address), Some(interface), None) => Some(Endpoint::Vip { address, interface }),
        (None, None, Some(name)) => Some(Endpoint::Dns(name)),
        // What is missing is told.
        _ => None,
    }
}
