//! An imported profile is built from a registry with stand-ins, and applied into a folder.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use carrack::oci::{Annotations, ImageManifest, media_type};
use carrack::registry::in_process::{Image, InProcessRegistry, Layer};
use serde_json::{Value, json};

use crate::common::{Ran, Sandbox};
use crate::web::Web;
use crate::{files, helm, sandbox, succeed};

/// Every image of the profile, as a person lists them.
const IMAGES: &[&str] = &[
    "docker.io/rancher/klipper-helm:v0.9.5-build20250306",
    "registry.example.org/k3s/coredns:1.12.1",
    "registry.example.org/k3s/pause:3.6",
    "registry.example.org/kiosk/app:0.9.0",
    "registry.example.org/mesh/agent:1.2.0",
    "registry.example.org/metrics/probe:2.1.0",
    "registry.example.org/metrics/server:2.1.0",
    "registry.example.org/notes:1.0.0",
];

/// The imported profile, and a registry with stand-ins of its images.
struct Setup {
    sandbox: Sandbox,
    _servers: (InProcessRegistry, Web, Web),
    environment: Vec<(&'static str, String)>,
}

fn setup(helm: &Path) -> Setup {
    let (sandbox, registry) = (sandbox(), InProcessRegistry::start().unwrap());
    for name in IMAGES {
        let (repository, tag) = name.split_once('/').unwrap().1.rsplit_once(':').unwrap();
        let layers = vec![Layer::tar(&[("etc/name", 0o644, name.as_bytes())]).unwrap()];
        let platform = "linux/amd64".parse().unwrap();
        registry.put_image(repository, Some(tag), &Image { platform, layers, command: vec!["/app".to_owned()] });
    }
    let front = Web::front(&["registry.example.org", "registry-1.docker.io"], registry.host().parse().unwrap());
    let authority = sandbox.work().join("../authority.pem");
    front.write_authority(&authority);
    let proxy = Web::proxy(&front);
    let environment = vec![
        ("HTTPS_PROXY", proxy.url("")),
        ("SSL_CERT_FILE", authority.display().to_string()),
        ("CARRACK_HELM", helm.display().to_string()),
    ];
    Setup { sandbox, _servers: (registry, front, proxy), environment }
}

impl Setup {
    fn run(&self, program: &str, arguments: &[&str]) -> Ran {
        let environment: Vec<(&str, &OsStr)> =
            self.environment.iter().map(|(key, value)| (*key, value.as_ref())).collect();
        succeed(self.sandbox.run_with(Path::new(program), arguments, &environment))
    }

    fn manifests(&self) -> PathBuf {
        self.sandbox.work().join("host/var/lib/rancher/k3s/server/manifests")
    }

    /// The documents of a manifest, by a reader that is not ours.
    fn yaml(&self, path: &Path) -> Vec<Value> {
        use serde::Deserialize;
        let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        serde_yaml_ng::Deserializer::from_str(&text).map(|document| Value::deserialize(document).unwrap()).collect()
    }

    /// The values that k3s gives to a chart.
    fn values(&self, name: &str) -> Value {
        let object = self.yaml(&self.manifests().join(format!("carrack-{name}.yaml"))).remove(0);
        serde_yaml_ng::from_str(object["spec"]["valuesContent"].as_str().unwrap()).unwrap()
    }
}

#[test]
fn what_is_imported_is_built_and_applied() {
    for helm in helm::helms("what_is_imported_is_built_and_applied") {
        let setup = setup(&helm);
        let (carrack, install) = (env!("CARGO_BIN_EXE_carrack"), env!("CARGO_BIN_EXE_carrack-install"));
        setup.run(carrack, &["import", "store.json", "--packs", "packs", "-o", "store"]);
        let checked = setup.run(carrack, &["check", "store"]);
        // The machines of Palette have the program and its images already, and a profile of it has neither.
        assert!(checked.stdout.contains("4 charts, 8 images, 2 warnings"), "{}", checked.stdout);
        assert!(checked.stderr.contains("brings no program k3s; each host must have one"), "{}", checked.stderr);
        assert!(
            checked.stderr.contains("k3s starts pods of its own, and the profile lacks their images"),
            "{}",
            checked.stderr
        );
        let listed = setup.run(carrack, &["images", "store"]);
        assert_eq!(listed.stdout.lines().collect::<Vec<_>>(), IMAGES);
        setup.run(carrack, &["build", "store", "-o", "store.tar.zst"]);
        fs::create_dir(setup.sandbox.work().join("host")).unwrap();
        let apply = ["apply", "store.tar.zst", "--root", "host", "--runtime", "k3s"];
        let given = ["--set", "store=42", "--set", "adminPassword=secret", "--set", "retention_days=30"];
        setup.run(install, &[&apply[..], &given[..]].concat());
        check_host(&setup);
    }
}

/// Charts that a profile of Palette names in registries are fetched from there, with its values.
#[test]
fn charts_of_registries_are_built() {
    for helm in helm::helms("charts_of_registries_are_built") {
        let (sandbox, registry, web) = (sandbox(), InProcessRegistry::start().unwrap(), Web::plain());
        let layers = vec![Layer::tar(&[("etc/name", 0o644, b"x".as_slice())]).unwrap()];
        let image = Image { platform: "linux/amd64".parse().unwrap(), layers, command: vec!["/app".to_owned()] };
        registry.put_image("board", Some("dark"), &image);
        registry.put_image("board", Some("true"), &image);
        for name in ["dashboards", "alarms"] {
            let template = "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec:\n  containers:\n    - name: x\n      image: {{ .Values.host }}/board:{{ .Values.theme | default .Values.mail }}\n";
            sandbox.write(&format!("{name}/Chart.yaml"), format!("apiVersion: v2\nname: {name}\nversion: 1.0.0\n"));
            sandbox
                .write(&format!("{name}/templates/pod.yaml"), template.replace("{{ .Values.host }}", &registry.host()));
        }
        let package = |name: &str| carrack::chart::package(&sandbox.work().join(name)).unwrap();
        let index = "apiVersion: v1\nentries:\n  dashboards:\n    - {name: dashboards, version: 1.0.0, urls: [dashboards-1.0.0.tgz]}\n";
        web.put("stable/index.yaml", index);
        web.put("stable/dashboards-1.0.0.tgz", package("dashboards"));
        push_chart(&registry, "charts/alarms", &package("alarms"));
        let json = fs::read_to_string(sandbox.work().join("charts.json")).unwrap();
        let json = json.replace("https://charts.example.org/stable/", &web.url("stable/"));
        let json = json.replace("oci://registry.example.org", &format!("oci://{}", registry.host()));
        let json = json.replace("\"2.0.0\"", "\"1.0.0\"").replace("{{ .spectro.var.theme }}", "dark");
        sandbox.write("charts.json", json);
        succeed(sandbox.carrack(&["import", "charts.json", "-o", "charts"]));
        let environment: [(&str, &OsStr); 1] = [("CARRACK_HELM", helm.as_ref())];
        let carrack = |arguments: &[&str]| {
            succeed(sandbox.run_with(Path::new(env!("CARGO_BIN_EXE_carrack")), arguments, &environment))
        };
        let host = registry.host();
        assert_eq!(carrack(&["images", "charts"]).stdout, format!("{host}/board:dark\n{host}/board:true\n"));
        carrack(&["build", "charts", "-o", "charts.tar.zst"]);
        let bundle = carrack::bundle::Bundle::open(&sandbox.work().join("charts.tar.zst")).unwrap();
        assert_eq!(bundle.contents().charts.len(), 2);
    }
}

/// Puts a chart of version 1.0.0 into a registry, as helm does.
fn push_chart(registry: &InProcessRegistry, repository: &str, package: &[u8]) {
    let manifest = ImageManifest {
        schema_version: 2,
        media_type: Some(media_type::IMAGE_MANIFEST.to_owned()),
        artifact_type: None,
        config: registry.put_blob("application/vnd.cncf.helm.config.v1+json", "{}"),
        layers: vec![registry.put_blob(media_type::HELM_CHART, package.to_vec())],
        annotations: Annotations::new(),
    };
    let raw = serde_json::to_vec(&manifest).unwrap();
    registry.put_manifest(repository, Some("1.0.0"), raw, media_type::IMAGE_MANIFEST);
}

fn check_host(setup: &Setup) {
    let names: Vec<String> = files(&setup.manifests());
    let expected = [
        "carrack-cni-mesh-chart-cni-mesh-mesh.yaml",
        "carrack-edge-k3s-store-config.yaml",
        "carrack-kiosk-chart-kiosk-kiosk.yaml",
        "carrack-kiosk-chart-kiosk-noted.yaml",
        "carrack-kiosk-extra.yaml",
        "carrack-kiosk-fixed.yaml",
        "carrack-kiosk-rules.yaml",
        "carrack-local-disk-class.yaml",
        "carrack-metrics-chart-metrics.yaml",
        "carrack-metrics-namespace-monitoring.yaml",
        "carrack-notes-notes.yaml",
    ];
    assert_eq!(names, expected);
    let config = setup.yaml(&setup.sandbox.work().join("host/etc/rancher/k3s/config.yaml.d/50-carrack.yaml"));
    let wanted = json!({
        "flannel-backend": "none", "disable-network-policy": true, "disable": ["traefik", "servicelb"],
        "cluster-cidr": "10.42.0.0/16", "node-label": ["store=42"], "kubelet-arg": ["max-pods=110"],
    });
    assert_eq!(config, [wanted]);
    let metrics = json!({
        "image": "registry.example.org/metrics/server:2.1.0", "replicas": "2", "retention": 30,
        "storage": {"size": 1.1, "debug": false}, "host": "metrics.store.example.org", "dashboards": ["{{ instance }}"],
    });
    assert_eq!(setup.values("metrics-chart-metrics"), metrics);
    let kiosk = json!({
        "images": {"app": "registry.example.org/kiosk/app:0.9.0"}, "namespace": "kiosk", "replicas": "1",
        "paletteVariables": {"domain": "store.example.org"},
    });
    assert_eq!(setup.values("kiosk-chart-kiosk-kiosk"), kiosk);
    let noted = setup.values("kiosk-chart-kiosk-noted");
    let noted: Value = serde_yaml_ng::from_str(noted["contents"].as_str().unwrap()).unwrap();
    assert_eq!((&noted["kind"], &noted["data"]), (&json!("ConfigMap"), &json!({"domain": "store.example.org"})));
    let store = setup.yaml(&setup.manifests().join("carrack-edge-k3s-store-config.yaml"));
    assert_eq!(store[0]["data"], json!({"store": "42", "domain": "store.example.org"}));
    let charts = files(&setup.sandbox.work().join("host/var/lib/rancher/k3s/server/static/charts"));
    let charts: Vec<&str> = charts.iter().map(|name| name.rsplit_once('-').unwrap().0).collect();
    assert_eq!(charts, ["kiosk-0.9.0", "mesh-1.2.0", "metrics-2.1.0", "noted-0.9.0"]);
}
