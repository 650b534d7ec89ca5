//! Whether something answers where the images of a definition are pulled from.
//!
//! It is the runtime that pulls them, with credentials and certificates of its own. What can be known before is whether a
//! connection can be made: to the registry, to one of its mirrors, or to the proxy between.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::process::Stdio;
use std::time::Duration;

use hyper_util::client::proxy::matcher::Matcher;
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::task::JoinSet;
use tonic::transport::Uri;

use super::check::{Check, Verdict};
use crate::bundle::Contents;
use crate::oci::Platform;
use crate::site::node::{Node, Registries};

/// How long an address may take to be found, and to answer. Slower ones are no use for gigabytes.
const PATIENCE: Duration = Duration::from_secs(5);
/// Looks names up as the machine is set up to, which a static program cannot: that takes libraries of the machine.
const LOOK_UP: &str = "getent";

/// Where a connection is made to.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Peer {
    host: String,
    port: u16,
    /// Whether it is a proxy.
    proxy: bool,
}

/// Why a peer is of no use.
enum Refused {
    /// It does not answer, or has no address.
    No(String),
    /// This machine cannot look its name up.
    Unknown,
}

/// A check for each registry that an absent image names.
pub(super) async fn checks(contents: &Contents, platform: &Platform, node: &Node) -> Vec<Check> {
    let absent = contents.images.iter().filter(|image| image.is_absent() && image.is_for(platform));
    let named: BTreeSet<&str> = absent.map(|image| image.reference.registry()).collect();
    let proxies = proxies(node);
    let asked = named.into_iter().map(|registry| {
        let peers = endpoints(registry, &node.registries).into_iter().map(|endpoint| peer(&endpoint, &proxies));
        let asked: Vec<_> = peers.map(|peer| (peer.clone(), tokio::spawn(answers(peer)))).collect();
        (registry, asked)
    });
    // All of them are on their way before the first is waited for.
    let asked: Vec<_> = asked.collect();
    let mut checks = Vec::with_capacity(asked.len());
    for (registry, asked) in asked {
        let mut answers = Vec::with_capacity(asked.len());
        for (peer, answer) in asked {
            answers.push((peer, answer.await.unwrap_or_else(|error| Err(Refused::No(error.to_string())))));
        }
        checks.push(check(registry, &answers));
    }
    checks
}

fn check(registry: &str, answers: &[(Peer, Result<(), Refused>)]) -> Check {
    let shown = answers.iter().map(|(peer, _)| peer.shown()).collect::<Vec<_>>().join(" or ");
    let made = |found: String, verdict| {
        Check::new(format!("registry-{registry}"), format!("answers at {shown}"), found, verdict)
    };
    if let Some((peer, _)) = answers.iter().find(|(_, answer)| answer.is_ok()) {
        return made(format!("{} answers", peer.shown()), Verdict::Ok);
    }
    let reasons = answers.iter().filter_map(|(peer, answer)| match answer.as_ref().err()? {
        Refused::No(reason) => Some(format!("{}: {reason}", peer.shown())),
        Refused::Unknown => None,
    });
    let reasons: Vec<String> = reasons.collect();
    if reasons.len() < answers.len() {
        let check = made(format!("cannot tell: there is no {LOOK_UP} here to look names up with"), Verdict::Warn);
        return check.or("see for yourself that this machine reaches it");
    }
    made(reasons.join("; "), Verdict::Fail)
        .or("the runtime pulls the images from there: let this host reach it, or build a bundle with the images: carrack build")
}

/// Where the images of a registry may come from: its mirrors first, and always the registry itself.
fn endpoints(registry: &str, site: &Registries) -> Vec<String> {
    let mirrors = site.mirrors.get(registry).or_else(|| site.mirrors.get("*"));
    let own = if registry == "docker.io" { "registry-1.docker.io" } else { registry };
    let all = mirrors.into_iter().flatten().map(String::as_str).chain([own]);
    all.map(|text| if text.contains("://") { text.to_owned() } else { format!("https://{text}") }).collect()
}

fn proxies(node: &Node) -> Matcher {
    let Some(proxy) = &node.proxy else { return Matcher::builder().build() };
    let (http, https) = (proxy.http.clone().unwrap_or_default(), proxy.https.clone().unwrap_or_default());
    Matcher::builder().http(http).https(https).no(proxy.no_proxy.join(",")).build()
}

/// What is connected to for `endpoint`, an address of the web. One that is none has no host, and no answer.
fn peer(endpoint: &str, proxies: &Matcher) -> Peer {
    let Ok(uri) = endpoint.parse::<Uri>() else {
        return Peer { host: endpoint.to_owned(), port: 0, proxy: false };
    };
    let (uri, proxy) = match proxies.intercept(&uri) {
        Some(proxy) => (proxy.uri().clone(), true),
        None => (uri, false),
    };
    let default = if uri.scheme_str() == Some("http") { 80 } else { 443 };
    Peer { host: uri.host().unwrap_or_default().to_owned(), port: uri.port_u16().unwrap_or(default), proxy }
}

impl Peer {
    fn shown(&self) -> String {
        let Self { host, port, proxy } = self;
        if *proxy { format!("the proxy {host}:{port}") } else { format!("{host}:{port}") }
    }
}

async fn answers(peer: Peer) -> Result<(), Refused> {
    let tried = tokio::time::timeout(PATIENCE, async {
        let addresses = addresses(&peer.host).await?;
        connect(&addresses, peer.port).await.map_err(|error| Refused::No(error.to_string()))
    });
    tried.await.unwrap_or_else(|_| Err(Refused::No(format!("no answer within {} s", PATIENCE.as_secs()))))
}

/// The first that answers will do; a machine may have addresses of a network that it does not reach.
async fn connect(addresses: &[IpAddr], port: u16) -> io::Result<()> {
    let mut tries = JoinSet::new();
    for address in addresses {
        tries.spawn(TcpStream::connect(SocketAddr::new(*address, port)));
    }
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    while let Some(tried) = tries.join_next().await {
        match tried? {
            Ok(_) => return Ok(()),
            Err(error) => last = error,
        }
    }
    Err(last)
}

async fn addresses(host: &str) -> Result<Vec<IpAddr>, Refused> {
    if let Ok(address) = host.trim_start_matches('[').trim_end_matches(']').parse() {
        return Ok(vec![address]);
    }
    let mut command = Command::new(LOOK_UP);
    command.args(["ahosts", "--", host]).stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    match command.output().await {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Refused::Unknown),
        Err(error) => Err(Refused::No(error.to_string())),
        Ok(output) => match found(&String::from_utf8_lossy(&output.stdout)) {
            none if none.is_empty() => Err(Refused::No("the name has no address".to_owned())),
            found => Ok(found),
        },
    }
}

/// `getent` prints a line for each address and kind of socket; those of one network alone have its interface behind them,
/// and lead to no registry.
fn found(printed: &str) -> Vec<IpAddr> {
    let first = printed.lines().filter_map(|line| line.split_whitespace().next()?.parse().ok());
    first.collect::<BTreeSet<IpAddr>>().into_iter().collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::net::TcpListener;

    use super::*;
    use crate::bundle::{BundledImage, ResolvedProfile};
    use crate::oci::{Blob, Digest, media_type};
    use crate::site::node::Proxy;

    fn definition(references: &[&str]) -> Contents {
        let image = |text: &&str| BundledImage {
            reference: text.parse().unwrap(),
            target: Blob::of(media_type::IMAGE_MANIFEST, text.as_bytes()),
            platforms: Vec::new(),
            indexes: Vec::new(),
            manifests: Vec::new(),
        };
        Contents {
            identity: Digest::of(b""),
            profile: ResolvedProfile::default(),
            created: None,
            requires_installer: None,
            files: Vec::new(),
            manifests: Vec::new(),
            charts: Vec::new(),
            config: None,
            images: references.iter().map(image).collect(),
        }
    }

    fn listen() -> (TcpListener, u16) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        (listener, port)
    }

    /// A port where nothing listens.
    fn silent() -> u16 {
        listen().1
    }

    fn with_mirrors(registry: &str, mirrors: &[String]) -> Node {
        let mirrors = BTreeMap::from([(registry.to_owned(), mirrors.to_vec())]);
        Node { registries: Registries { mirrors, ..Registries::default() }, ..Node::default() }
    }

    fn ask(references: &[&str], node: &Node) -> Vec<Check> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(checks(&definition(references), &Platform::new("linux", "amd64"), node))
    }

    #[test]
    fn every_registry_is_asked_once() {
        let ((_one, one), (_two, two), none) = (listen(), listen(), silent());
        let names = [
            format!("127.0.0.1:{one}/a:1"),
            format!("127.0.0.1:{one}/b:1"),
            format!("localhost:{two}/a:1"),
            format!("127.0.0.1:{none}/a:1"),
        ];
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let found = ask(&names, &Node::default());
        let mut verdicts: Vec<(&str, Verdict)> =
            found.iter().map(|check| (check.name.as_str(), check.verdict)).collect();
        verdicts.sort_unstable_by_key(|(name, _)| *name);
        let name = |host: &str, port: u16| format!("registry-{host}:{port}");
        let mut expected = [
            (name("127.0.0.1", one), Verdict::Ok),
            (name("127.0.0.1", none), Verdict::Fail),
            (name("localhost", two), Verdict::Ok),
        ];
        expected.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        assert_eq!(verdicts, expected.each_ref().map(|(name, verdict)| (name.as_str(), *verdict)));
        let failed = found.iter().find(|check| check.failed()).unwrap();
        assert_eq!(failed.needed, format!("answers at 127.0.0.1:{none}"));
        assert!(failed.found.contains("refused") && failed.hint.is_some(), "{failed:?}");
        assert_eq!(ask(&[], &Node::default()), []);
    }

    #[test]
    fn a_mirror_will_do_and_so_does_the_registry_behind_one_that_is_gone() {
        let ((_mirror, mirror), none) = (listen(), silent());
        let (image, registry) = (format!("127.0.0.1:{none}/a:1"), format!("127.0.0.1:{none}"));
        for key in [registry.as_str(), "*"] {
            let mirrors = [format!("http://127.0.0.1:{}", silent()), format!("http://127.0.0.1:{mirror}/v2")];
            let asked = ask(&[&image], &with_mirrors(key, &mirrors));
            assert_eq!((asked.len(), asked[0].verdict), (1, Verdict::Ok));
            assert_eq!(asked[0].name, format!("registry-{registry}"));
            assert_eq!(asked[0].found, format!("127.0.0.1:{mirror} answers"));
            assert!(asked[0].needed.ends_with(&format!(" or {registry}")), "{}", asked[0].needed);
        }
        let own = format!("127.0.0.1:{mirror}/a:1");
        let node = with_mirrors(&format!("127.0.0.1:{mirror}"), &[format!("127.0.0.1:{none}")]);
        assert_eq!(ask(&[&own], &node)[0].found, format!("127.0.0.1:{mirror} answers"));
    }

    #[test]
    fn where_there_is_a_proxy_it_is_the_proxy_that_must_answer() {
        let ((_proxy, proxy), none) = (listen(), silent());
        let address = |port: u16| Some(format!("http://127.0.0.1:{port}"));
        let behind = |https: Option<String>, no_proxy: &str| {
            let proxy = Proxy { http: None, https, no_proxy: vec![no_proxy.to_owned(), "other.example".to_owned()] };
            Node { proxy: Some(proxy), ..Node::default() }
        };
        let named = format!("registry.invalid:{none}/a:1");
        let asked = &ask(&[&named], &behind(address(proxy), ".example"))[0];
        assert_eq!(
            (asked.verdict, asked.found.as_str()),
            (Verdict::Ok, &*format!("the proxy 127.0.0.1:{proxy} answers"))
        );
        let asked = &ask(&[&named], &behind(address(none), ".example"))[0];
        assert_eq!(
            (asked.verdict, asked.needed.as_str()),
            (Verdict::Fail, &*format!("answers at the proxy 127.0.0.1:{none}"))
        );
        let own = format!("127.0.0.1:{proxy}/a:1");
        assert_eq!(ask(&[&own], &behind(address(none), "127.0.0.0/8"))[0].found, format!("127.0.0.1:{proxy} answers"));
    }

    #[test]
    fn ports_are_those_that_the_runtime_takes() {
        let plain = proxies(&Node::default());
        let shown = |endpoint: &str| peer(endpoint, &plain).shown();
        assert_eq!(shown("https://quay.io"), "quay.io:443");
        assert_eq!(shown("http://mirror.example/v2/proxy"), "mirror.example:80");
        assert_eq!(shown("https://[::1]:5000"), "[::1]:5000");
        assert_eq!(endpoints("docker.io", &Registries::default()), ["https://registry-1.docker.io"]);
        let mirrored = with_mirrors("docker.io", &["mirror.example".to_owned(), "http://other.example".to_owned()]);
        let expected = ["https://mirror.example", "http://other.example", "https://registry-1.docker.io"];
        assert_eq!(endpoints("docker.io", &mirrored.registries), expected);
        assert_eq!(shown("not an address"), "not an address:0");
    }

    #[test]
    fn addresses_are_read_as_getent_prints_them() {
        let printed = "127.0.0.1       STREAM localhost\n127.0.0.1       DGRAM  \nfe80::1%eth0    STREAM x\n::1             RAW    \n\n";
        assert_eq!(found(printed), ["127.0.0.1".parse::<IpAddr>().unwrap(), "::1".parse().unwrap()]);
    }
}
