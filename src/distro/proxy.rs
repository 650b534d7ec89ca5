//! How the outside is reached: environment variables of units.

use super::cluster::Cluster;
use crate::site::node::{Endpoint, Membership, Proxy};

/// What never goes through a proxy: this machine, and what is within the cluster.
const WITHIN: [&str; 4] = ["localhost", "127.0.0.0/8", ".svc", ".cluster.local"];

/// The variables that programs of Go read (golang.org/x/net/http/httpproxy), which all distributions are written in.
/// `networks` are those of the cluster's pods and services, where the distribution does not add them itself.
pub(super) fn variables(cluster: &Cluster<'_>, networks: &[&str]) -> Vec<(&'static str, String)> {
    let Some(proxy) = &cluster.node.proxy else { return Vec::new() };
    let mut variables = Vec::new();
    variables.extend(proxy.http.clone().map(|address| ("HTTP_PROXY", address)));
    variables.extend(proxy.https.clone().map(|address| ("HTTPS_PROXY", address)));
    if !variables.is_empty() {
        variables.push(("NO_PROXY", without(cluster, proxy, networks).join(",")));
    }
    variables
}

/// What the site says, and the cluster itself.
fn without(cluster: &Cluster<'_>, proxy: &Proxy, networks: &[&str]) -> Vec<String> {
    let mut all: Vec<String> = WITHIN.iter().chain(networks).map(|one| (*one).to_owned()).collect();
    all.extend(cluster.node.address.iter().flat_map(|address| &address.addresses).map(ToString::to_string));
    match &cluster.node.endpoint {
        Some(Endpoint::Vip { address, .. }) => all.push(address.to_string()),
        Some(Endpoint::Dns(name)) => all.push(name.clone()),
        None => {}
    }
    if let Membership::Join { server, .. } = &cluster.node.cluster {
        all.extend(host_of(server).map(str::to_owned));
    }
    all.extend(proxy.no_proxy.iter().cloned());
    let mut seen = std::collections::BTreeSet::new();
    all.retain(|one| seen.insert(one.clone()));
    all
}

/// The host of `https://HOST:PORT`; of an address of IPv6 without its brackets.
pub(super) fn host_of(address: &str) -> Option<&str> {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    let authority = rest.split('/').next()?;
    match authority.strip_prefix('[') {
        Some(rest) => rest.split_once(']').map(|(host, _)| host),
        None => Some(authority.rsplit_once(':').map_or(authority, |(host, _)| host)),
    }
    .filter(|host| !host.is_empty())
}

/// Whether a user's password is in one of the addresses.
pub(super) fn is_private(variables: &[(&str, String)]) -> bool {
    variables.iter().any(|(name, value)| *name != "NO_PROXY" && value.contains('@'))
}

/// As a file of variables (systemd.exec(5), `EnvironmentFile=`): in double quotes a backslash takes the meaning from
/// quotes, backslashes, `$` and backticks.
pub(super) fn environment(variables: &[(&str, String)]) -> String {
    let escaped = |value: &str| {
        value.chars().fold(String::new(), |mut text, c| {
            if matches!(c, '"' | '\\' | '$' | '`') {
                text.push('\\');
            }
            text.push(c);
            text
        })
    };
    variables.iter().map(|(name, value)| format!("{name}=\"{}\"\n", escaped(value))).collect()
}

/// A drop-in by which a unit reads the file of variables at `path`. They do not stand in the drop-in itself: systemd shows what
/// `Environment=` has to every user of the host (systemd.exec(5)), and a password may be among them.
pub(super) fn drop_in(path: &str) -> String {
    format!("[Service]\nEnvironmentFile={path}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_of_addresses() {
        for (address, host) in [
            ("https://10.0.0.1:6443", "10.0.0.1"),
            ("https://api.example.org", "api.example.org"),
            ("https://[fd00::1]:6443/", "fd00::1"),
            ("10.0.0.1:6443", "10.0.0.1"),
        ] {
            assert_eq!(host_of(address), Some(host), "{address}");
        }
    }

    #[test]
    fn values_are_quoted_for_systemd() {
        let variables = [("HTTP_PROXY", "http://u:p\"$%@proxy:3128".to_owned())];
        assert_eq!(environment(&variables), "HTTP_PROXY=\"http://u:p\\\"\\$%@proxy:3128\"\n");
        assert!(!drop_in("/a").contains("HTTP_PROXY"));
        assert!(is_private(&variables));
        assert!(!is_private(&[("NO_PROXY", "a@b".to_owned())]));
    }
}
