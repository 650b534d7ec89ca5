//! What a site says of its machine: every mistake with its message, and every field with what becomes of it.

use super::*;
use crate::site::node::{Certificate, Endpoint, Membership, Proxy, Registries, RegistryConfig, Role, Secret, Taint};
use std::collections::BTreeMap;

/// What is wrong with a site, with what is told: its `spec`, whose first line is line 4.
const WRONG: &[(&str, &[&str])] = &[
    ("  role: canary\n", &[]),
    ("  role: [canary]\n", &[]),
    ("  role: 42\n", &[]),
    ("  role:\n", &[]),
    ("  role: \"\"\n", &[]),
    ("  hostname: Canary\n", &[]),
    ("  hostname: canary_\n", &[]),
    ("  hostname: canary-\n", &[]),
    ("  hostname: canary.\n", &[]),
    ("  hostname: 42\n", &[]),
    ("  hostname: cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc\n", &[]),
    ("  cluster: canary\n", &[]),
    ("  cluster: {}\n", &[]),
    ("  cluster: {init: false}\n", &[]),
    ("  cluster: {init: canary}\n", &[]),
    ("  cluster: {init: true, join: \"https://canary:6443\", tokenFile: token}\n", &[]),
    ("  cluster: {join: \"https://canary:6443\"}\n", &[]),
    ("  cluster: {join: \"http://canary:6443\", tokenFile: token}\n", &[]),
    ("  cluster: {join: \"canary:6443\", tokenFile: token}\n", &[]),
    ("  cluster: {join: \"https://canary\", tokenFile: token}\n", &[]),
    ("  cluster: {join: \"https://canary:0\", tokenFile: token}\n", &[]),
    ("  cluster: {join: \"https://canary:6443/canary\", tokenFile: token}\n", &[]),
    ("  cluster: {join: \"https://user:canary@canary:6443\", tokenFile: token}\n", &[]),
    ("  cluster: {join: \"https://fd00::1:6443\", tokenFile: token}\n", &[]),
    ("  cluster: {join: \"https://canary:6443\", tokenFile: canary}\n", &[]),
    ("  cluster: {join: \"https://canary:6443\", tokenFile: .}\n", &[]),
    ("  cluster: {join: \"https://canary:6443\", tokenFile: empty}\n", &[]),
    ("  cluster: {join: \"https://canary:6443\", tokenFile: two-lines}\n", &[]),
    ("  cluster: {join: \"https://canary:6443\", tokenFile: binary}\n", &[]),
    ("  cluster: {join: \"https://canary:6443\", tokenFile: large}\n", &[]),
    ("  cluster: {join: \"https://canary:6443\", token: canary}\n", &[]),
    ("  cluster: {join: \"https://canary:6443\", tokenFile: token, caCertHash: canary}\n", &[]),
    ("  cluster: {join: \"https://canary:6443\", tokenFile: token, caCertHash: \"sha256:0011\"}\n", &[]),
    ("  cluster: {join: \"https://canary:6443\", tokenFile: token, certificateKeyFile: token}\n", &[]),
    ("  cluster: {init: true, caCertHash: canary, certificateKeyFile: token}\n", &[]),
    ("  cluster: {canary: canary}\n", &[]),
    ("  role: agent\n", &[]),
    ("  role: agent\n  cluster: {init: true}\n", &[]),
    ("  role: agent\n  cluster: {init: true, tokenFile: token}\n", &[]),
    ("  role: agent\n  cluster: {join: \"https://canary:6443\", tokenFile: token, certificateKeyFile: key}\n", &[]),
    ("  role: agent\n  cluster: {join: \"https://canary:6443\", tokenFile: token}\n  endpoint: {vip: 10.0.0.10, interface: eth0}\n", &[]),
    ("  role: agent\n  cluster: {join: \"https://canary:6443\", tokenFile: token}\n  endpoint: {dns: canary.example.org}\n", &[]),
    ("  endpoint: {}\n", &[]),
    ("  endpoint: canary\n", &[]),
    ("  endpoint: {vip: 10.0.0.10}\n", &[]),
    ("  endpoint: {interface: eth0}\n", &[]),
    ("  endpoint: {vip: 10.0.0.256, interface: eth0}\n", &[]),
    ("  endpoint: {vip: 10.0.0.10/24, interface: eth0}\n", &[]),
    ("  endpoint: {vip: 127.0.0.1, interface: eth0}\n", &[]),
    ("  endpoint: {vip: \"::\", interface: eth0}\n", &[]),
    ("  endpoint: {vip: 224.0.0.1, interface: eth0}\n", &[]),
    ("  endpoint: {vip: canary, interface: eth0}\n", &[]),
    ("  endpoint: {vip: 10.0.0.10, interface: canary canary}\n", &[]),
    ("  endpoint: {vip: 10.0.0.10, interface: canary/canary}\n", &[]),
    ("  endpoint: {vip: 10.0.0.10, interface: canarycanarycanary}\n", &[]),
    ("  endpoint: {vip: 10.0.0.10, interface: ..}\n", &[]),
    ("  endpoint: {vip: 10.0.0.10, interface: eth0, dns: canary}\n", &[]),
    ("  endpoint: {dns: canary, interface: eth0}\n", &[]),
    ("  endpoint: {dns: 10.0.0.10}\n", &[]),
    ("  endpoint: {dns: \"*.canary\"}\n", &[]),
    ("  endpoint: {dns: \"canary:6443\"}\n", &[]),
    ("  proxy: canary\n", &[]),
    ("  proxy: {}\n", &[]),
    ("  proxy: {noProxy: [canary]}\n", &[]),
    ("  proxy: {\"http://user:canary@proxy:3128\"}\n", &[]),
    ("  proxy: {http: canary}\n", &[]),
    ("  proxy: {http: \"socks5://canary:1080\"}\n", &[]),
    ("  proxy: {http: \"http://\"}\n", &[]),
    ("  proxy: {http: \"http://canary:99999\"}\n", &[]),
    ("  proxy: {http: \"http://canary/canary\"}\n", &[]),
    ("  proxy: {https: \"http://user:can ary@proxy:3128\"}\n", &[]),
    ("  proxy: {https: \"http://user:canary@proxy:3128?canary\"}\n", &[]),
    ("  proxy: {http: \"http://canary:3128\", noProxy: canary}\n", &[]),
    ("  proxy: {http: \"http://canary:3128\", noProxy: []}\n", &[]),
    ("  proxy: {http: \"http://canary:3128\", noProxy: [\"*\", \"*.canary\", \"canary,canary\", 10.0.0.0/33, \"fd00::/129\", \"10.0.0.0/8:80\", \"http://canary\", \"\", 42, [canary]]}\n", &[]),
    ("  caCertificates: ./canary.pem\n", &[]),
    ("  caCertificates: [./canary.pem]\n", &[]),
    ("  caCertificates: [.]\n", &[]),
    ("  caCertificates: [key.pem]\n", &[]),
    ("  caCertificates: [both.pem]\n", &[]),
    ("  caCertificates: [no-base64.pem]\n", &[]),
    ("  caCertificates: [no-certificate.pem]\n", &[]),
    ("  caCertificates: [endless.pem]\n", &[]),
    ("  caCertificates: [request.pem]\n", &[]),
    ("  caCertificates: [token]\n", &[]),
    ("  caCertificates: [binary]\n", &[]),
    ("  caCertificates: [\"ca canary.pem\"]\n", &[]),
    ("  caCertificates: [.canary.pem]\n", &[]),
    ("  caCertificates: [ca.pem, more/ca.crt]\n", &[]),
    ("  caCertificates: [\"\"]\n", &[]),
    ("  registries: canary\n", &[]),
    ("  registries: {mirror: {}}\n", &[]),
    ("  registries: {mirrors: [canary]}\n", &[]),
    ("  registries: {mirrors: {\"canary/canary\": {endpoint: [\"https://canary\"]}}}\n", &[]),
    ("  registries: {mirrors: {docker.io: [\"https://canary\"]}}\n", &[]),
    ("  registries: {mirrors: {docker.io: {endpoint: \"https://canary\"}}}\n", &[]),
    ("  registries: {mirrors: {docker.io: {endpoint: []}}}\n", &[]),
    ("  registries: {mirrors: {docker.io: {}}}\n", &[]),
    ("  registries: {mirrors: {docker.io: }}\n", &[]),
    ("  registries: {mirrors: {docker.io: {endpoints: [\"https://canary\"]}}}\n", &[]),
    ("  registries: {mirrors: {docker.io: {endpoint: [\"canary:5000\"]}}}\n", &[]),
    ("  registries: {mirrors: {docker.io: {endpoint: [\"https://user:canary@canary\"]}}}\n", &[]),
    ("  registries: {mirrors: {docker.io: {endpoint: [\"https://canary\"], rewrite: {canary: canary}}}}\n", &[]),
    ("  registries: {configs: {\"https://canary\": {}}}\n", &[]),
    ("  registries: {configs: {canary: {auth: canary, tls: canary}}}\n", &[]),
    ("  registries: {configs: {canary: {auth: {username: canary}}}}\n", &[]),
    ("  registries: {configs: {canary: {auth: {username: canary, password: canary}}}}\n", &[]),
    ("  registries: {configs: {canary: {auth: {username: \"canary:canary\", passwordFile: token}}}}\n", &[]),
    ("  registries: {configs: {canary: {auth: {username: canary, passwordFile: canary}}}}\n", &[]),
    ("  registries: {configs: {canary: {tls: {ca_file: canary, insecure_skip_verify: true, cert_file: canary}}}}\n", &[]),
    ("  registries: {configs: {canary: {tls: {caFile: canary.pem}}}}\n", &[]),
    ("  registries: {configs: {canary: {tls: {caFile: /canary.pem, insecureSkipVerify: true}}}}\n", &[]),
    ("  registries: {configs: {canary: {tls: {insecureSkipVerify: canary}}}}\n", &[]),
    ("  installRoot: canary\n", &[]),
    ("  installRoot: /\n", &[]),
    ("  installRoot: /canary/\n", &[]),
    ("  installRoot: /canary/../canary\n", &[]),
    ("  installRoot: //canary\n", &[]),
    ("  installRoot: \"/can ary\"\n", &[]),
    ("  nodeLabels: [canary]\n", &[]),
    ("  nodeLabels: {canary: 7}\n", &[]),
    ("  nodeLabels: {canary: }\n", &[]),
    ("  nodeLabels: {canary: [canary]}\n", &[]),
    ("  nodeLabels: {canary/: canary, -canary: canary, \"a/b/canary\": canary, Canary/b: canary, canary: \"canary/\", other: canary.}\n", &[]),
    ("  nodeLabels: {node-role.kubernetes.io/canary: \"\", canary.k8s.io/a: b}\n", &[]),
    ("  nodeTaints: canary\n", &[]),
    ("  nodeTaints: [canary, canary=canary, \"canary=canary:canary\", \"canary=can/ary:NoSchedule\", \":NoSchedule\", 7]\n", &[]),
    ("  nodeTaints: [\"canary=a:NoSchedule\", \"canary=b:NoSchedule\"]\n", &[]),
    ("  canary: {canary: canary}\n", &[]),
];

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
    problems.iter().map(|problem| problem.to_string().replace(&format!("{}/site.yaml:", folder.display()), "")).collect()
}

#[test]
fn every_mistake_is_told_where_it_is_and_without_what_is_there() {
    let folder = folder();
    for (spec, expected) in WRONG {
        let told = told(folder.path(), spec);
        if std::env::var("PRINT").is_ok() { println!("@@{}", serde_json::json!([spec, told])); continue; }
        assert_eq!(told, *expected, "{spec}");
        assert!(!told.is_empty() && !told.iter().any(|line| line.contains("canary")), "{spec}: {told:?}");
    }
}
