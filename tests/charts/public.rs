//! Charts of the shape that well-known public ones have, in fixtures/public-charts: exactly their images and candidates, and nothing
//! more to say of them.
//!
//! A folder there is a chart, `values.yaml` of the profile where it has one, and what has to be found: `images.txt`,
//! `candidates.txt`, and the beginnings of the messages in `warnings.txt`. A file that is not there is an empty one.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::helm::helms;
use super::shop::Shop;

macro_rules! public_charts {
    ($($test:ident: $name:literal,)*) => {
        const READ: &[&str] = &[$($name),*];
        $(
            #[test]
            fn $test() {
                check($name);
            }
        )*
    };
}

public_charts! {
    argo_cd: "argo-cd",
    cert_manager: "cert-manager",
    cilium: "cilium",
    cloudnative_pg: "cloudnative-pg",
    gpu_operator: "gpu-operator",
    harbor: "harbor",
    ingress_nginx: "ingress-nginx",
    istio_gateway: "gateway",
    istiod: "istiod",
    kube_prometheus_stack: "kube-prometheus-stack",
    longhorn: "longhorn",
    metallb: "metallb",
    rook_ceph: "rook-ceph",
    strimzi: "strimzi-kafka-operator",
    traefik: "traefik",
    vault: "vault",
    velero: "velero",
}

#[test]
fn every_public_chart_is_read() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/public-charts");
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(names.collect::<BTreeSet<_>>(), READ.iter().map(|name| (*name).to_owned()).collect());
}

/// The lines of a file of the fixture; none where there is no such file.
fn listed(shop: &Shop, file: &str) -> Vec<String> {
    let text = fs::read_to_string(shop.sandbox.work().join(file)).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// One text of each item of a list of the report.
fn texts<'d>(report: &'d serde_json::Value, list: &str, field: &str) -> Vec<&'d str> {
    report[list].as_array().unwrap().iter().map(|item| item[field].as_str().unwrap()).collect()
}

fn check(name: &str) {
    for helm in helms(name) {
        let shop = Shop::folder(&format!("public-charts/{name}"));
        let values = if shop.sandbox.work().join("values.yaml").exists() { "./values.yaml" } else { "" };
        let profile = format!(
            "apiVersion: carrack/v1\nkind: ClusterProfile\nmetadata: {{name: p, version: 1.0.0}}\nspec:\n  packs:\n    \
             - {{name: kubernetes, layer: k8s, version: 1.32.5, distribution: none}}\n    \
             - {{name: {name}, layer: addon, chart: {{source: ./chart, namespace: ns, values: [{values}]}}}}\n"
        );
        shop.sandbox.write("carrack.yaml", profile);
        let ran = shop.carrack(&helm, &["images", ".", "--json"]);
        assert_eq!(ran.code, 0, "{name} with {}: {}", helm.display(), ran.stderr);
        let report: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
        for (list, file) in [("images", "images.txt"), ("candidates", "candidates.txt")] {
            let wanted = listed(&shop, file);
            assert_eq!(texts(&report, list, "reference"), wanted, "{list} of {name} with {}", helm.display());
        }
        let (warnings, wanted) = (texts(&report, "warnings", "message"), listed(&shop, "warnings.txt"));
        assert_eq!(warnings.len(), wanted.len(), "{name} with {}: {warnings:#?}", helm.display());
        for (warning, wanted) in warnings.iter().zip(&wanted) {
            assert!(warning.contains(&**wanted), "{name} with {}: {warning}", helm.display());
        }
    }
}
