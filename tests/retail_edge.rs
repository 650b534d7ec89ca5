//! fixtures/profiles/retail-edge: k3s with its image list, network and storage as charts, three add-ons. Built from a registry
//! with stand-ins of the same names, and applied into a folder; everything is then where k3s looks for it.
#![cfg(all(feature = "operator", feature = "installer"))]
#![expect(clippy::print_stdout, reason = "a skipped part is said")]
#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

#[path = "common/available.rs"]
#[expect(dead_code, reason = "no other real part is needed")]
mod available;
mod common;
#[path = "common/helm.rs"]
mod helm;
#[path = "common/web.rs"]
mod web;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use carrack::oci::Digest;
use carrack::registry::in_process::{Image, InProcessRegistry, Layer};
use common::{Ran, Sandbox, copy};
use serde_json::Value;
use web::Web;

/// Hosts that the images of the profile come from, as a client asks for them.
const HOSTS: &[&str] = &["registry-1.docker.io", "quay.io", "registry.k8s.io", "registry.example.org"];

/// Every image of the profile, as a person lists them: the repository below its host, and the tag.
const IMAGES: &[&str] = &[
    "docker.io/longhornio/csi-provisioner:v4.0.1",
    "docker.io/longhornio/longhorn-engine:v1.7.2",
    "docker.io/longhornio/longhorn-manager:v1.7.2",
    "docker.io/rancher/klipper-helm:v0.9.5-build20250306",
    "docker.io/rancher/klipper-lb:v0.4.13",
    "docker.io/rancher/local-path-provisioner:v0.0.31",
    "docker.io/rancher/mirrored-coredns-coredns:1.12.1",
    "docker.io/rancher/mirrored-library-busybox:1.36.1",
    "docker.io/rancher/mirrored-library-traefik:3.3.6",
    "docker.io/rancher/mirrored-metrics-server:v0.7.2",
    "docker.io/rancher/mirrored-pause:3.6",
    "quay.io/cilium/cilium:v1.16.3",
    "quay.io/cilium/cilium-envoy:v1.29.9",
    "quay.io/cilium/operator-generic:v1.16.3",
    "quay.io/prometheus/blackbox-exporter:v0.25.0",
    "quay.io/prometheus/node-exporter:v1.8.2",
    "quay.io/prometheus/prometheus:v2.55.1",
    "registry.example.org/shop/api-basic:2.3.1",
    "registry.example.org/shop/api-full:2.3.1",
    "registry.example.org/shop/web:2.3.1",
    "registry.k8s.io/ingress-nginx/controller:v1.11.3",
    "registry.k8s.io/ingress-nginx/kube-webhook-certgen:v1.4.4",
];

const TOKEN: &str = "canary-token-5d1f0a9c77e2";
const PASSWORD: &str = "it's: \"#1\" {secret}";

/// The profile in a sandbox, and a registry that has its images, behind a proxy and an authority of its own.
struct Setup {
    sandbox: Sandbox,
    _servers: (InProcessRegistry, Web, Web),
    environment: Vec<(&'static str, String)>,
    /// Digest of what each image's tag names.
    digests: BTreeMap<String, Digest>,
}

fn setup(helm: &Path) -> Setup {
    let (sandbox, registry) = (Sandbox::new(), InProcessRegistry::start().unwrap());
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/profiles/retail-edge");
    copy(&fixture, &sandbox.work());
    let base = Layer::tar(&[("etc/os-release", 0o644, b"NAME=stand-in\n".as_slice())]).unwrap().zstd().unwrap();
    let mut digests = BTreeMap::new();
    for name in IMAGES {
        let (_, path) = name.split_once('/').unwrap();
        let (repository, tag) = path.rsplit_once(':').unwrap();
        let own = Layer::tar(&[("etc/name", 0o644, name.as_bytes())]).unwrap().zstd().unwrap();
        let platform = "linux/amd64".parse().unwrap();
        let image = Image { platform, layers: vec![base.clone(), own], command: vec!["/app".to_owned()] };
        digests.insert((*name).to_owned(), registry.put_image(repository, Some(tag), &image).digest);
    }
    let front = Web::front(HOSTS, registry.host().parse().unwrap());
    let authority = sandbox.work().join("../authority.pem");
    front.write_authority(&authority);
    let proxy = Web::proxy(&front);
    let environment = vec![
        ("HTTPS_PROXY", proxy.url("")),
        ("SSL_CERT_FILE", authority.display().to_string()),
        ("CARRACK_HELM", helm.display().to_string()),
    ];
    Setup { sandbox, _servers: (registry, front, proxy), environment, digests }
}

impl Setup {
    fn carrack(&self, arguments: &[&str]) -> Ran {
        self.run(env!("CARGO_BIN_EXE_carrack"), arguments)
    }

    fn install(&self, arguments: &[&str]) -> Ran {
        self.run(env!("CARGO_BIN_EXE_carrack-install"), arguments)
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Ran {
        let environment: Vec<(&str, &OsStr)> =
            self.environment.iter().map(|(key, value)| (*key, value.as_ref())).collect();
        self.sandbox.run_with(Path::new(program), arguments, &environment)
    }

    fn at(&self, path: &str) -> PathBuf {
        self.sandbox.work().join("host").join(path)
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.at(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    fn yaml(&self, path: &str) -> Vec<Value> {
        let text = self.read(path);
        documents(&text)
    }

    /// Every file below the folder with its mode; but the archive of images, whose name is told apart.
    fn tree(&self) -> Vec<String> {
        let (mut found, mut pending) = (Vec::new(), vec![self.at("")]);
        while let Some(folder) = pending.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let (path, facts) = entry.map(|entry| (entry.path(), entry.metadata().unwrap())).unwrap();
                if facts.is_dir() {
                    pending.push(path);
                } else {
                    let name = path.strip_prefix(self.at("")).unwrap().display().to_string();
                    found.push(format!("{:04o} {name}", facts.permissions().mode() & 0o7777));
                }
            }
        }
        found.sort_unstable();
        found
    }
}

/// YAML documents as JSON has them, by a reader that is not ours.
fn documents(text: &str) -> Vec<Value> {
    use serde::Deserialize;
    serde_yaml_ng::Deserializer::from_str(text).map(|document| Value::deserialize(document).unwrap()).collect()
}

/// The package's name without the digest that it ends with.
fn without_digest(line: &str) -> String {
    match line.strip_suffix(".tgz") {
        Some(stem) => format!("{}-DIGEST.tgz", stem.rsplit_once('-').unwrap().0),
        None => line.to_owned(),
    }
}

#[test]
fn everything_is_where_k3s_looks_for_it() {
    for helm in helm::helms("everything_is_where_k3s_looks_for_it") {
        let setup = setup(&helm);
        let listed = setup.carrack(&["images", "."]);
        assert_eq!(listed.stdout.lines().collect::<Vec<_>>(), IMAGES, "{}", listed.stderr);
        let built = setup.carrack(&["build", ".", "-o", "edge.tar.zst"]);
        assert_eq!(built.code, 0, "{}", built.stderr);
        fs::create_dir(setup.at("")).unwrap();
        let apply = ["apply", "edge.tar.zst", "--site", "site.yaml", "--root", "host", "--runtime", "k3s"];
        let applied = setup.install(&apply);
        assert_eq!(applied.code, 0, "{}", applied.stderr);
        check_tree(&setup);
        check_charts(&setup);
        check_values(&setup);
        check_images(&setup);
        for ran in [&listed, &built, &applied] {
            assert!(!format!("{ran:?}").contains("canary") && !format!("{ran:?}").contains("{secret}"), "{ran:?}");
        }
        let again = setup.install(&apply);
        assert_eq!(again.code, 0, "{}", again.stderr);
        let status = setup.install(&["status", "--root", "host"]);
        assert_eq!(status.code, 40, "{}", status.stderr);
        for ran in [again, status] {
            assert!(ran.stderr.contains("waits for its first start"), "{}", ran.stderr);
        }
    }
}

fn check_tree(setup: &Setup) {
    let tree: Vec<String> = setup.tree().iter().map(|line| without_digest(line)).collect();
    let expected = [
        "0600 etc/rancher/k3s/config.yaml.d/50-carrack.yaml",
        "0600 var/lib/carrack/journal/starting.json",
        "0600 var/lib/rancher/k3s/server/manifests/carrack-shop-api.yaml",
        "0644 etc/motd",
        "0644 etc/systemd/system/carrack-resume.service",
        "0644 etc/systemd/system/k3s.service",
        "0644 etc/systemd/system/k3s.service.d/50-carrack-unfinished.conf",
        "0644 var/lib/rancher/k3s/agent/images/retail-edge-1.4.0.tar.zst",
        "0644 var/lib/rancher/k3s/server/manifests/carrack-cilium-chart-cilium.yaml",
        "0644 var/lib/rancher/k3s/server/manifests/carrack-ingress-chart-ingress-nginx.yaml",
        "0644 var/lib/rancher/k3s/server/manifests/carrack-longhorn-chart-longhorn.yaml",
        "0644 var/lib/rancher/k3s/server/manifests/carrack-monitoring-chart-monitoring.yaml",
        "0644 var/lib/rancher/k3s/server/manifests/carrack-shop-web.yaml",
        "0644 var/lib/rancher/k3s/server/static/charts/cilium-1.16.3-DIGEST.tgz",
        "0644 var/lib/rancher/k3s/server/static/charts/ingress-nginx-4.11.3-DIGEST.tgz",
        "0644 var/lib/rancher/k3s/server/static/charts/longhorn-1.7.2-DIGEST.tgz",
        "0644 var/lib/rancher/k3s/server/static/charts/monitoring-2.55.1-DIGEST.tgz",
        "0755 usr/local/bin/k3s",
        "0755 var/lib/carrack/bin/carrack-install",
        "0777 etc/systemd/system/multi-user.target.wants/carrack-resume.service",
    ];
    assert_eq!(tree, expected);
}

/// Each release names a package that is there, with the values of this place.
fn check_charts(setup: &Setup) {
    for (file, chart, namespace, values) in [
        (
            "cilium-chart-cilium",
            "cilium",
            "kube-system",
            serde_json::json!({"ipam": {"clusterPoolIPv4PodCIDR": "10.42.0.0/16"}, "k8sServiceHost": "10.0.0.10",
                "operator": {"replicas": 1}}),
        ),
        ("longhorn-chart-longhorn", "longhorn", "longhorn-system", serde_json::json!({"defaultReplicas": 2})),
        (
            "monitoring-chart-monitoring",
            "monitoring",
            "monitoring",
            serde_json::json!({"retention": "15d", "exporters": "full", "storeId": "42"}),
        ),
        ("ingress-chart-ingress-nginx", "ingress-nginx", "ingress-nginx", Value::Null),
    ] {
        let object = setup.yaml(&format!("var/lib/rancher/k3s/server/manifests/carrack-{file}.yaml"));
        let [object] = object.as_slice() else { panic!("{file}: {object:?}") };
        assert_eq!(object["apiVersion"], "helm.cattle.io/v1", "{file}");
        assert_eq!(object["kind"], "HelmChart", "{file}");
        assert_eq!(object["metadata"], serde_json::json!({"name": chart, "namespace": "kube-system"}), "{file}");
        let spec = &object["spec"];
        assert_eq!(spec["targetNamespace"], namespace);
        assert_eq!(spec.get("bootstrap"), (chart == "cilium").then_some(&Value::Bool(true)), "{file}");
        let package = spec["chart"].as_str().unwrap();
        let package = package.strip_prefix("https://%{KUBERNETES_API}%/static/charts/").unwrap();
        let bytes = fs::read(setup.at(&format!("var/lib/rancher/k3s/server/static/charts/{package}"))).unwrap();
        assert!(package.ends_with(&format!("-{}.tgz", &Digest::of(&bytes).hex()[..12])), "{package}");
        let content = spec["valuesContent"].as_str().map_or(Value::Null, |text| documents(text).remove(0));
        assert_eq!(content, values, "{file}");
    }
}

/// Every variable is where it is needed, and sensitive ones nowhere else.
fn check_values(setup: &Setup) {
    let config = setup.yaml("etc/rancher/k3s/config.yaml.d/50-carrack.yaml");
    let expected = serde_json::json!({
        "disable": ["traefik"], "flannel-backend": "none", "disable-network-policy": true, "cluster-cidr": "10.42.0.0/16",
        "tls-san": ["10.0.0.10"], "token": TOKEN,
    });
    assert_eq!(config, [expected]);
    assert_eq!(setup.read("etc/motd"), "Store 42, cluster 10.0.0.10, full edition\n");
    let api = setup.yaml("var/lib/rancher/k3s/server/manifests/carrack-shop-api.yaml");
    assert_eq!(api[1]["stringData"]["password"], PASSWORD);
    assert_eq!(api[2]["metadata"]["labels"]["store"], "42");
    let container = &api[2]["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["image"], "registry.example.org/shop/api-full:2.3.1");
    assert_eq!(container["env"][0], serde_json::json!({"name": "STORE", "value": "42"}));
    let with_secrets: Vec<String> = setup
        .tree()
        .into_iter()
        .filter(|line| {
            let path = setup.at(line.split_once(' ').unwrap().1);
            let content = if path.is_symlink() { Vec::new() } else { fs::read(path).unwrap() };
            let text = String::from_utf8_lossy(&content);
            text.contains(TOKEN) || text.contains("{secret}")
        })
        .collect();
    assert_eq!(
        with_secrets,
        [
            "0600 etc/rancher/k3s/config.yaml.d/50-carrack.yaml",
            "0600 var/lib/rancher/k3s/server/manifests/carrack-shop-api.yaml",
        ]
    );
    // The receipt is written when the system has started for the first time.
    let journal: Value = serde_json::from_str(&setup.read("var/lib/carrack/journal/starting.json")).unwrap();
    let receipt = &journal["result"]["receipt"];
    let told =
        |name: &str| receipt["variables"].as_array().unwrap().iter().find(|one| one["name"] == name).unwrap().clone();
    assert_eq!(told("storeId")["value"], "42");
    assert_eq!(told("clusterToken")["kept"][0]["path"], "/etc/rancher/k3s/config.yaml.d/50-carrack.yaml");
}

/// The archive that k3s imports has every image, by its name and by its digest.
fn check_images(setup: &Setup) {
    let archive = fs::File::open(setup.at("var/lib/rancher/k3s/agent/images/retail-edge-1.4.0.tar.zst")).unwrap();
    let plain = zstd::decode_all(archive).unwrap();
    let mut named = BTreeMap::new();
    for entry in tar::Archive::new(plain.as_slice()).entries().unwrap() {
        let entry = entry.unwrap();
        if entry.path().unwrap().as_ref() != Path::new("index.json") {
            continue;
        }
        let index: Value = serde_json::from_reader(entry).unwrap();
        for manifest in index["manifests"].as_array().unwrap() {
            let name = manifest["annotations"]["io.containerd.image.name"].as_str().unwrap().to_owned();
            named.insert(name, manifest["digest"].as_str().unwrap().parse::<Digest>().unwrap());
        }
    }
    let by_tag: BTreeMap<String, Digest> = named.into_iter().filter(|(name, _)| !name.contains('@')).collect();
    assert_eq!(by_tag, setup.digests);
}
