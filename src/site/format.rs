//! What the texts of a site look like. Each function says in its error what the text must be, and never what it is.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::node::Taint;
use crate::places::check_data_folder;

/// Longest name of a label, and longest value.
const MAX_LABEL: usize = 63;
/// Longest DNS name.
const MAX_DNS: usize = 253;
/// `IFNAMSIZ` of Linux, less the NUL at the end.
const MAX_INTERFACE: usize = 15;
/// Labels of Kubernetes' own domains that a kubelet may give its node: `kubeletapis.IsKubeletLabel` of Kubernetes. It does
/// not start with others.
const KUBELET_LABELS: [&str; 11] = [
    "beta.kubernetes.io/arch",
    "beta.kubernetes.io/instance-type",
    "beta.kubernetes.io/os",
    "failure-domain.beta.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone",
    "kubernetes.io/arch",
    "kubernetes.io/hostname",
    "kubernetes.io/os",
    "node.kubernetes.io/instance-type",
    "topology.kubernetes.io/region",
    "topology.kubernetes.io/zone",
];
/// Domains of which it may give any.
const KUBELET_DOMAINS: [&str; 2] = ["kubelet.kubernetes.io", "node.kubernetes.io"];

const HOSTNAME: &str =
    "the name of a machine: small letters, digits, `-` and `.`, up to 63 characters, such as store-0042";
const DNS: &str = "a DNS name in small letters, such as api.store-0042.example.org";
const ADDRESS: &str = "the IPv4 or IPv6 address of a machine, such as 10.0.0.10";
const NODE_ADDRESS: &str = "the IPv4 or IPv6 address of the node, or one of each with a comma between, such as 10.0.0.1,fd00::1; or \
    {interface: NAME}";
const INTERFACE: &str = "the name of a network interface, such as eth0: up to 15 bytes, without space, `/` and `:`";
const PATH: &str =
    "an absolute path without `.`, `..`, `//` and `/` at its end, of letters, digits, `.`, `_`, `-` and `/`";
const DATA_FOLDER: &str = "a folder of the distribution's own, such as /opt/edge or /mnt/disk1: none of the system, such as /srv, \
    /usr/local and /var/lib, and none of another program";
const JOIN: &str = "https://HOST:PORT, such as https://10.0.0.10:6443";
const PROXY: &str = "http://HOST:PORT or https://HOST:PORT, with USER:PASSWORD@ before the host where the proxy asks for \
    it, in which signs such as @ and / are %40 and %2F";
const ENDPOINT: &str = "the URL of a registry, such as https://registry.store:5000, without a user in it";
const REGISTRY: &str = "a registry as in the names of images, HOST or HOST:PORT, or \"*\" for all others";
const NO_PROXY: &str = "a name, a domain such as .example.org, an address or a network such as 10.0.0.0/8; all but a network \
    may have a port";
const HASH: &str = "sha256: and 64 hexadecimal digits, as `kubeadm token create --print-join-command` shows it";
const TOKEN: &str = "one line of visible ASCII characters and nothing else";
const PASSWORD: &str = "one line of text and nothing else";
const KEY: &str = "64 hexadecimal digits and nothing else";
const LABEL_KEY: &str = "a name of up to 63 letters, digits, `-`, `_` and `.`, with letters or digits at both ends, and before \
    it a DNS name and `/` where it has a prefix";
const LABEL_VALUE: &str = "up to 63 letters, digits, `-`, `_` and `.`, with letters or digits at both ends";
const TAINT: &str = "KEY=VALUE:EFFECT or KEY:EFFECT with effect NoSchedule, PreferNoSchedule or NoExecute";

/// What is said of a label that a node cannot give itself.
pub(super) const RESERVED_LABEL: &str = "a label of kubernetes.io or k8s.io that a node may not give itself, so the kubelet \
    would not start; give it with kubectl, or take another domain";

/// A DNS-1123 subdomain that fits the label `kubernetes.io/hostname` and Linux.
pub(super) fn hostname(text: &str) -> Result<String, &'static str> {
    if text.len() <= MAX_LABEL && is_dns(text) && text.parse::<IpAddr>().is_err() {
        Ok(text.to_owned())
    } else {
        Err(HOSTNAME)
    }
}

/// A DNS-1123 subdomain that is no address.
pub(super) fn dns(text: &str) -> Result<String, &'static str> {
    if is_dns(text) && !ends_in_number(text) { Ok(text.to_owned()) } else { Err(DNS) }
}

/// The address of one machine, as others see it.
pub(super) fn address(text: &str) -> Result<IpAddr, &'static str> {
    let address: IpAddr = text.parse().map_err(|_| ADDRESS)?;
    let none = address.is_unspecified() || address.is_loopback() || address.is_multicast();
    if none || address == IpAddr::V4(Ipv4Addr::BROADCAST) { Err(ADDRESS) } else { Ok(address) }
}

/// The addresses of a node, one for each family at most. A kubelet takes none that is valid on one link alone.
pub(super) fn node_addresses(text: &str) -> Result<Vec<IpAddr>, &'static str> {
    let addresses = text.split(',').map(address).collect::<Result<Vec<_>, _>>().map_err(|_| NODE_ADDRESS)?;
    let on_one_link = |address: &IpAddr| match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    let right = match addresses.as_slice() {
        [_] => true,
        [first, second] => first.is_ipv4() != second.is_ipv4(),
        _ => false,
    };
    if right && !addresses.iter().any(on_one_link) { Ok(addresses) } else { Err(NODE_ADDRESS) }
}

/// What Linux takes as the name of an interface, in visible characters.
pub(super) fn interface(text: &str) -> Result<String, &'static str> {
    let fits = !text.is_empty() && text.len() <= MAX_INTERFACE && text != "." && text != "..";
    let bad = |c: char| c == '/' || c == ':' || c.is_whitespace() || c.is_control();
    if fits && !text.contains(bad) { Ok(text.to_owned()) } else { Err(INTERFACE) }
}

/// What [`rewrite`] wants.
pub(super) const REWRITE: &str =
    "a regular expression and what takes the place of what it matches, each up to 500 visible characters";

/// One side of a rule by which names of repositories are rewritten. Go's regular expressions are its reader's; of them, only that
/// they are a text in one line is checked.
pub(super) fn rewrite(text: &str) -> Result<String, &'static str> {
    let right = !text.is_empty() && text.len() <= 500 && crate::text::check(text).is_ok();
    if right { Ok(text.to_owned()) } else { Err(REWRITE) }
}

/// A folder or file of the host that a distribution can be told on a command line.
pub(super) fn path(text: &str) -> Result<String, &'static str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let clean = |part: &str| !matches!(part, "" | "." | "..") && part.bytes().all(plain);
    match text.strip_prefix('/') {
        Some(parts) if parts.split('/').all(clean) => Ok(text.to_owned()),
        _ => Err(PATH),
    }
}

/// A folder that a program has for itself.
pub(super) fn data_folder(text: &str) -> Result<String, &'static str> {
    let path = path(text)?;
    check_data_folder(&path).map_err(|_| DATA_FOLDER)?;
    Ok(path)
}

/// Where a cluster is, without a `/` at its end.
pub(super) fn join(text: &str) -> Result<String, &'static str> {
    let url = Url::parse(text).ok_or(JOIN)?;
    let right = url.https && url.credentials.is_none() && url.port.is_some() && matches!(url.path, "" | "/");
    if right { Ok(text.trim_end_matches('/').to_owned()) } else { Err(JOIN) }
}

/// A proxy.
pub(super) fn proxy(text: &str) -> Result<String, &'static str> {
    let url = Url::parse(text).ok_or(PROXY)?;
    if matches!(url.path, "" | "/") { Ok(text.to_owned()) } else { Err(PROXY) }
}

/// Whether a user and mostly a password stand in a URL.
pub(super) fn has_credentials(url: &str) -> bool {
    Url::parse(url).is_some_and(|url| url.credentials.is_some())
}

/// Where a registry is asked.
pub(super) fn endpoint(text: &str) -> Result<String, &'static str> {
    let url = Url::parse(text).ok_or(ENDPOINT)?;
    if url.credentials.is_none() { Ok(text.to_owned()) } else { Err(ENDPOINT) }
}

/// A registry as images name it.
pub(super) fn registry(text: &str) -> Result<String, &'static str> {
    if text == "*" || host_and_port(text).is_some() { Ok(text.to_owned()) } else { Err(REGISTRY) }
}

/// What is reached without a proxy.
pub(super) fn no_proxy(text: &str) -> Result<String, &'static str> {
    let network = |(address, bits): (&str, &str)| {
        let most = if address.parse::<Ipv4Addr>().is_ok() { 32 } else { 128 };
        let digits = bits.bytes().all(|b| b.is_ascii_digit()) && (bits == "0" || !bits.starts_with('0'));
        address.parse::<IpAddr>().is_ok() && digits && bits.parse::<u8>().is_ok_and(|bits| bits <= most)
    };
    let right = match text.split_once('/') {
        Some(parts) => network(parts),
        None => match text.strip_prefix('.') {
            Some(domain) => host_and_port(domain).is_some_and(|(host, _)| host.parse::<IpAddr>().is_err()),
            None => text.parse::<Ipv6Addr>().is_ok() || host_and_port(text).is_some(),
        },
    };
    if right { Ok(text.to_owned()) } else { Err(NO_PROXY) }
}

/// `sha256:HEX`, in small letters.
pub(super) fn hash(text: &str) -> Result<String, &'static str> {
    match text.strip_prefix("sha256:") {
        Some(digits) if is_hex_64(digits) => Ok(text.to_ascii_lowercase()),
        _ => Err(HASH),
    }
}

/// What machines join with: nothing that would have to be written in another way in a file or on a command line.
pub(super) fn token(text: &str) -> Result<String, &'static str> {
    let right = !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
    if right { Ok(text.to_owned()) } else { Err(TOKEN) }
}

/// A password.
pub(super) fn password(text: &str) -> Result<String, &'static str> {
    if text.is_empty() || text.contains(char::is_control) { Err(PASSWORD) } else { Ok(text.to_owned()) }
}

/// The key to the certificates of a cluster, an AES key of 32 bytes.
pub(super) fn certificate_key(text: &str) -> Result<String, &'static str> {
    if is_hex_64(text) { Ok(text.to_owned()) } else { Err(KEY) }
}

fn is_hex_64(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// The key of a label or taint.
pub(super) fn label_key(text: &str) -> Result<String, &'static str> {
    let (prefix, name) = text.split_once('/').map_or((None, text), |(prefix, name)| (Some(prefix), name));
    let right = prefix.is_none_or(is_dns) && !name.is_empty() && label_value(name).is_ok();
    if right { Ok(text.to_owned()) } else { Err(LABEL_KEY) }
}

/// The value of a label or taint, possibly empty.
pub(super) fn label_value(text: &str) -> Result<String, &'static str> {
    let inner = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    let ends = |c: char| c.is_ascii_alphanumeric();
    let right = text.is_empty() || text.bytes().all(inner) && text.starts_with(ends) && text.ends_with(ends);
    if right && text.len() <= MAX_LABEL { Ok(text.to_owned()) } else { Err(LABEL_VALUE) }
}

/// Whether a node may give itself a label with this key.
pub(super) fn is_reserved_label(key: &str) -> bool {
    let Some((domain, _)) = key.split_once('/') else { return false };
    let within = |of: &str| domain.strip_suffix(of).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    let kubernetes = within("kubernetes.io") || within("k8s.io");
    kubernetes && !KUBELET_DOMAINS.into_iter().any(within) && !KUBELET_LABELS.contains(&key)
}

/// A taint as the kubelet and kubectl write it.
pub(super) fn taint(text: &str) -> Result<Taint, &'static str> {
    let (what, effect) = text.rsplit_once(':').ok_or(TAINT)?;
    let (key, value) = what.split_once('=').unwrap_or((what, ""));
    if !["NoSchedule", "PreferNoSchedule", "NoExecute"].contains(&effect) {
        return Err(TAINT);
    }
    match (label_key(key), label_value(value)) {
        (Ok(key), Ok(value)) => Ok(Taint { key, value, effect: effect.to_owned() }),
        _ => Err(TAINT),
    }
}

/// A DNS-1123 subdomain.
fn is_dns(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let label = |label: &str| {
        (1..=MAX_LABEL).contains(&label.len())
            && label.bytes().all(inner)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= MAX_DNS && text.split('.').all(label)
}

/// Whether a name reads as an address, or as a slip in one.
fn ends_in_number(text: &str) -> bool {
    text.rsplit('.').next().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()))
}

/// `HOST` or `HOST:PORT`; an IPv6 address stands in brackets. Names may have capitals and `_`, as in URLs.
fn host_and_port(text: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (address, rest) = rest.split_once(']')?;
            address.parse::<Ipv6Addr>().ok()?;
            (address, if rest.is_empty() { None } else { Some(rest.strip_prefix(':')?) })
        }
        None => {
            let (host, port) = text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)));
            let name = is_dns(&host.to_ascii_lowercase().replace('_', "-")) && !ends_in_number(host);
            (name || host.parse::<Ipv4Addr>().is_ok()).then_some((host, port))?
        }
    };
    let number = |port: &str| {
        let digits = port.bytes().all(|b| b.is_ascii_digit()) && !port.starts_with('0');
        port.parse::<u16>().ok().filter(|_| digits)
    };
    match port {
        None => Some((host, None)),
        Some(port) => Some((host, Some(number(port)?))),
    }
}

/// A URL of HTTP, without query and fragment.
struct Url<'t> {
    https: bool,
    credentials: Option<&'t str>,
    port: Option<u16>,
    path: &'t str,
}

impl<'t> Url<'t> {
    fn parse(text: &'t str) -> Option<Self> {
        let (https, rest) = match text.split_once("://")? {
            ("https", rest) => (true, rest),
            ("http", rest) => (false, rest),
            _ => return None,
        };
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (credentials, host) = match authority.rsplit_once('@') {
            Some((credentials, host)) => (Some(credentials), host),
            None => (None, authority),
        };
        // What RFC 3986 has in these places; the rest is written with `%`.
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=:".contains(&b);
        let in_path = |b: u8| plain(b) || b == b'/' || b == b'@';
        let right = credentials.is_none_or(|text| !text.is_empty() && text.bytes().all(plain));
        let (_, port) = host_and_port(host)?;
        (right && path.bytes().all(in_path)).then_some(Self { https, credentials, port, path })
    }
}
