//! What a site says of its machine: every mistake with its message, and every field with what becomes of it.

use super::*;
use crate::site::node::{
    Address, Certificate, Endpoint, Membership, Proxy, Registries, RegistryConfig, Role, Secret, Taint,
};
use std::collections::BTreeMap;

/// Blocks of what is wrong in the `spec` of a site, whose first line is line 4, and of what is told, after `! `.
const WRONG: &str = include_str!("wrong.txt");

/// A folder with what the sites of the tests name.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let certificate = fixture("corp-root.pem");
    let (body, end) = certificate.split_at(certificate.len() - 40);
    let key = "-----BEGIN EC PRIVATE KEY-----\nY2FuYXJ5\n-----END EC PRIVATE KEY-----\n";
    fs::create_dir(folder.path().join("more")).unwrap();
    for (name, text) in [
        ("token", "canary-token\n"),
        ("key", &*format!("{}\n", "0f".repeat(32))),
        ("empty", "\n"),
        ("two-lines", "canary\ncanary\n"),
        ("large", &*"canary".repeat(60 << 10)),
        ("ca.pem", &*certificate),
        ("more/ca.crt", &*certificate),
        ("ca canary.pem", &*certificate),
        (".canary.pem", &*certificate),
        ("key.pem", key),
        ("both.pem", &*format!("{certificate}{key}")),
        ("no-base64.pem", &*format!("{}canary!{}", &body[..60], &certificate[60..])),
        ("no-certificate.pem", "-----BEGIN CERTIFICATE-----\nY2FuYXJ5\n-----END CERTIFICATE-----\n"),
        ("endless.pem", &*certificate.replace("-----END CERTIFICATE-----", "")),
        ("request.pem", &*certificate.replace("CERTIFICATE", "CERTIFICATE REQUEST")),
    ] {
        fs::write(folder.path().join(name), text).unwrap();
    }
    assert!(end.contains("END CERTIFICATE"));
    fs::write(folder.path().join("binary"), [0xFF, 0xFE]).unwrap();
    folder
}

fn fixture(name: &str) -> String {
    fs::read_to_string(fixtures().join(name)).unwrap()
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/site")
}

fn told(folder: &Path, spec: &str) -> Vec<String> {
    let file = folder.join("site.yaml");
    fs::write(&file, site(spec)).unwrap();
    let problems = Site::load(&file).err().map(|problems| problems.found().to_vec()).unwrap_or_default();
    problems
        .iter()
        .map(|problem| problem.to_string().replace(&format!("{}/site.yaml:", folder.display()), ""))
        .collect()
}

#[test]
fn every_mistake_is_told_where_it_is_and_without_what_is_there() {
    let folder = folder();
    let mut seen = 0;
    for block in WRONG.split("\n\n") {
        let (expected, spec): (Vec<&str>, Vec<&str>) = block.lines().partition(|line| line.starts_with("! "));
        let spec: String = spec.iter().map(|line| format!("  {line}\n")).collect();
        let told: Vec<String> = told(folder.path(), &spec).into_iter().map(|line| format!("! {line}")).collect();
        assert_eq!(told, expected, "{spec}");
        assert!(!told.is_empty() && !told.iter().any(|line| line.contains("canary")), "{spec}: {told:?}");
        seen += 1;
    }
    assert!(seen > 120, "{seen}");
}

/// Where a text can stand.
const PLACES: &[&str] = &[
    "  role: X\n",
    "  hostname: X\n",
    "  nodeAddress: X\n",
    "  nodeAddress: {interface: X}\n",
    "  dummyRoute: X\n",
    "  cluster: {join: X, tokenFile: X, caCertHash: X, certificateKeyFile: X}\n",
    "  endpoint: {vip: X, interface: X}\n",
    "  endpoint: {dns: X}\n",
    "  proxy: {http: X, https: X, noProxy: [X]}\n",
    "  caCertificates: [X]\n",
    "  registries: {mirrors: {X: {endpoint: [X]}}, configs: {X: {auth: {username: X, passwordFile: X}, tls: {caFile: X}}}}\n",
    "  installRoot: X\n",
    "  nodeLabels: {X: X}\n",
    "  nodeTaints: [X, X]\n",
    "  X: X\n",
    "  X\n",
    "  [X]\n",
];

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config { cases: 16, ..Default::default() })]

    #[test]
    fn whatever_stands_in_a_site_is_in_no_message(text in "[ -~]{0,12}canary[ -~]{0,12}|.{0,8}canary.{0,8}|http://.{0,4}:canary@.{0,8}") {
        let folder = tempfile::tempdir().unwrap();
        let quoted = serde_json::to_string(&text).unwrap();
        for place in PLACES {
            for written in [&quoted, &text] {
                let told = told(folder.path(), &place.replace('X', written));
                proptest::prop_assert!(!told.iter().any(|line| line.contains("canary")), "{told:?}");
            }
        }
    }
}

fn node(name: &str) -> Node {
    Site::load(&fixtures().join(name)).unwrap_or_else(|problems| panic!("{name}: {problems}")).node
}

fn token() -> Secret {
    Secret("fixture-token-0123456789abcdef".to_owned())
}

fn joining(hostname: &str) -> Node {
    let server = "https://10.0.0.10:6443".to_owned();
    let cluster = Membership::Join { server, token: token(), ca_hash: None, certificate_key: None };
    Node { cluster, ..named(hostname) }
}

fn named(hostname: &str) -> Node {
    Node { hostname: Some(hostname.to_owned()), ..Node::default() }
}

fn vip() -> Endpoint {
    Endpoint::Vip { address: [10, 0, 0, 10].into(), interface: "eth0".to_owned() }
}

fn proxy() -> Proxy {
    let url = Some("http://proxy.store.example.org:3128".to_owned());
    let no_proxy = ["10.0.0.0/8", ".svc", ".store.example.org"].map(str::to_owned);
    Proxy { http: url.clone(), https: url, no_proxy: no_proxy.to_vec() }
}

#[test]
fn each_kind_of_machine_is_read() {
    assert_eq!(node("server.yaml"), named("store-0042"));
    assert_eq!(node("join.yaml"), joining("store-0043"));
    assert_eq!(node("agent.yaml"), Node { role: Role::Agent, ..joining("store-0044") });
    let first = Node { cluster: Membership::Init { token: Some(token()) }, ..named("store-0042") };
    assert_eq!(node("vip.yaml"), Node { endpoint: Some(vip()), ..first.clone() });
    let name = "api.store-0042.example.org".to_owned();
    assert_eq!(node("dns.yaml"), Node { endpoint: Some(Endpoint::Dns(name)), ..first });
    assert_eq!(node("proxy.yaml"), Node { proxy: Some(proxy()), ..named("store-0042") });
    assert_eq!(node("custom-root.yaml"), Node { install_root: Some("/opt/edge".to_owned()), ..named("store-0042") });
    let cluster = Membership::Join {
        server: "https://10.0.0.10:6443".to_owned(),
        token: token(),
        ca_hash: Some(format!("sha256:{}", "0123456789abcdef".repeat(4))),
        certificate_key: Some(Secret("0123456789abcdef".repeat(4))),
    };
    assert_eq!(node("join-kubeadm.yaml"), Node { cluster, ..named("store-0043") });
}

#[test]
fn everything_that_a_site_can_say_is_read() {
    let text = |text: &str| text.to_owned();
    let registries = Registries {
        rewrites: BTreeMap::from([(
            "docker.io".to_owned(),
            BTreeMap::from([("^(.*)$".to_owned(), "all/$1".to_owned())]),
        )]),
        mirrors: BTreeMap::from([
            (text("docker.io"), vec![text("https://registry.store.example.org:5000")]),
            (text("*"), vec![text("https://registry.store.example.org:5000/all"), text("http://10.0.0.5:5000")]),
        ]),
        configs: BTreeMap::from([
            (
                text("registry.store.example.org:5000"),
                RegistryConfig {
                    client: Some(("/etc/ssl/till.pem".to_owned(), "/etc/ssl/till.key".to_owned())),
                    username: Some(text("store")),
                    password: Some(Secret(text("fixture-password"))),
                    ca_file: Some(text("/etc/ssl/registry.pem")),
                    insecure_skip_verify: false,
                },
            ),
            (text("10.0.0.5:5000"), RegistryConfig { insecure_skip_verify: true, ..RegistryConfig::default() }),
        ]),
    };
    let expected = Node {
        role: Role::Server,
        hostname: Some(text("store-0042")),
        address: Some(Address { addresses: vec![[10, 0, 0, 11].into()], interface: None }),
        dummy_route: true,
        cluster: Membership::Init { token: Some(token()) },
        endpoint: Some(vip()),
        proxy: Some(proxy()),
        certificates: vec![Certificate { name: text("corp-root"), pem: fixture("corp-root.pem") }],
        registries,
        install_root: Some(text("/opt/edge")),
        labels: BTreeMap::from([(text("tier"), text("store")), (text("example.org/lane"), text("7"))]),
        taints: vec![Taint { key: text("example.org/dedicated"), value: text("pos"), effect: text("NoSchedule") }],
    };
    assert_eq!(node("everything.yaml"), expected);
    let document = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/site.md")).unwrap();
    assert!(document.contains(&format!("```yaml\n{}```\n", fixture("everything.yaml"))), "docs/site.md shows another");
}

#[test]
fn what_is_right_in_an_unusual_way_is_taken() {
    let folder = folder();
    let windows = fixture("corp-root.pem").replace('\n', "\r\n");
    fs::write(folder.path().join("two.crt"), format!("# one\r\n{windows}\r\nsubject=two\r\n{windows}")).unwrap();
    fs::write(folder.path().join("umlaut"), "cänäry one\n").unwrap();
    let file = folder.path().join("site.yaml");
    let spec = "
  hostname: a.b
  cluster: {join: \"https://[fd00::10]:9345/\", tokenFile: token}
  endpoint: {vip: fd00::10, interface: br-0.100@x}
  proxy:
    https: http://user:can%40ary@Proxy_1:80/
    noProxy: [localhost, .example.org:443, 10.0.0.1, 10.0.0.1:80, \"fd00::1\", \"[fd00::1]:80\", \"fd00::/8\", 0.0.0.0/0]
  caCertificates: [two.crt]
  registries: {configs: {docker.io: {}, a.b: {auth: {username: ü, passwordFile: umlaut}}, \"*\": {tls: {insecureSkipVerify: true}}}}
  nodeLabels: {topology.kubernetes.io/zone: a, x.node.kubernetes.io/y: \"\", mykubernetes.io/x: z}
  nodeTaints: [\"a:NoSchedule\", \"a=:NoExecute\", \"x/a=b:PreferNoSchedule\"]
";
    fs::write(&file, site(spec)).unwrap();
    let site = Site::load(&file).unwrap_or_else(|problems| panic!("{problems}"));
    let node = &site.node;
    let Membership::Join { server, .. } = &node.cluster else { panic!("{node:?}") };
    assert_eq!(server, "https://[fd00::10]:9345");
    assert_eq!(node.certificates[0].pem, fixture("corp-root.pem").repeat(2));
    assert_eq!(node.proxy.as_ref().unwrap().no_proxy.len(), 8);
    assert_eq!(node.registries.configs["docker.io"], RegistryConfig::default());
    assert_eq!(node.registries.configs["a.b"].password, Some(Secret("cänäry one".to_owned())));
    assert_eq!((node.labels.len(), node.taints.len()), (3, 3));
    assert_eq!(node.taints[0].value, "");
    // The proxy's URL has a password, and the file of the token has the token.
    assert!(
        !["canary", "can%", "cänäry"].iter().any(|canary| format!("{node:?}").contains(canary))
            && node.proxy.as_ref().unwrap().has_credentials(),
        "{node:?}"
    );
}

#[test]
fn the_addresses_of_a_node_are_one_of_each_family_or_those_of_an_interface() {
    let folder = folder();
    let read = |spec: &str| {
        let file = folder.path().join("site.yaml");
        fs::write(&file, site(spec)).unwrap();
        let node = Site::load(&file).unwrap_or_else(|problems| panic!("{problems}")).node;
        (node.address.as_ref().map(ToString::to_string), node.address.and_then(|address| address.interface))
    };
    assert_eq!(read("  {}\n"), (None, None));
    for text in ["10.0.0.1", "fd00::1", "10.0.0.1,fd00::1", "fd00::1,10.0.0.1"] {
        assert_eq!(read(&format!("  nodeAddress: {text}\n")), (Some(text.to_owned()), None));
    }
    assert_eq!(read("  nodeAddress: {interface: eth0}\n"), (Some(String::new()), Some("eth0".to_owned())));
}

#[test]
fn no_secret_is_shown_and_those_that_everybody_can_read_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let key = "ca".repeat(32);
    for (name, text) in [("token", "canary"), ("password", "canary"), ("key", &*key)] {
        fs::write(path(name), text).unwrap();
    }
    let spec = "  cluster: {join: \"https://a:1\", tokenFile: token, certificateKeyFile: key}\n  \
        proxy: {http: \"http://u:canary@proxy\"}\n  \
        registries: {configs: {a: {auth: {username: u, passwordFile: password}}}}\n";
    fs::write(path("site.yaml"), site(spec)).unwrap();
    for (mode, count) in [(0o604, 4), (0o640, 0)] {
        for name in ["token", "password", "key", "site.yaml"] {
            fs::set_permissions(path(name), Permissions::from_mode(mode)).unwrap();
        }
        let site = Site::load(&path("site.yaml")).unwrap_or_else(|problems| panic!("{problems}"));
        let warnings = site.warnings(&[]);
        assert_eq!(warnings.len(), count, "{warnings:?}");
        let shown = format!("{:?} {warnings:?}", site.node);
        assert!(!shown.contains("canary") && !shown.contains(&key), "{shown}");
        if count > 0 {
            let (token, site) = (path("token").display().to_string(), path("site.yaml").display().to_string());
            let told = |file: &str, what: &str| {
                let warning = format!("everybody on this host can read {file}, which has {what}: chmod 600 {file}");
                assert!(warnings.contains(&warning), "{warnings:?}");
            };
            told(&token, "the token of the cluster");
            told(&site, "the password of the proxy");
        }
    }
}
