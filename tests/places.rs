//! Where the parts of a cluster go on a host, and profiles in which two of them would be one.
#![cfg(all(feature = "operator", feature = "installer"))]

mod common;

use std::fs;
use std::path::Path;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use carrack::oci::Digest;
use common::{Ran, Sandbox};
use serde_json::Value;

const CHART: &str = "apiVersion: v2\nname: web\nversion: 1.0.0\n";

/// The name of a manifest that is too long once the pack's name stands before it.
fn long() -> String {
    format!("{}.yaml", "a".repeat(240))
}

/// A profile with these packs, beside a chart `web`, and manifests and files by any name.
fn check(packs: &str) -> (Sandbox, Ran) {
    let sandbox = Sandbox::new();
    sandbox.write("web/Chart.yaml", CHART);
    sandbox.write("web/templates/none.yaml", "");
    sandbox.write("rke2", "#!/bin/sh\n");
    for name in ["a_b.yaml", "a-b.yaml", "m.yaml", "M.json", "chart-web.yaml", "rbac.v1.yaml", "rbac.v2.yaml"] {
        sandbox.write(name, "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n");
    }
    sandbox.write(&long(), "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n");
    let text = format!(
        "apiVersion: carrack/v1\nkind: ClusterProfile\nmetadata: {{name: shop, version: 1.0.0}}\nspec:\n  packs:\n{packs}"
    );
    sandbox.write("carrack.yaml", text);
    let ran = sandbox.carrack(&["check", ".", "--allow-unrendered"]);
    (sandbox, ran)
}

#[test]
fn two_parts_are_never_one_to_the_host() {
    const K3S: &str = "    - {name: k3s, layer: k8s, distribution: k3s}\n";
    let manifests = |names: &str| format!("    - {{name: shop, layer: addon, manifests: [{names}]}}\n");
    let file =
        |path: &str| format!("    - {{name: shop, layer: addon, files: [{{source: ./m.yaml, path: {path}}}]}}\n");
    let web = "chart: {source: ./web}, manifests: [./m.yaml]";
    for (packs, message) in [
        (
            manifests("./a_b.yaml, ./a-b.yaml"),
            "pack shop's manifest a_b.yaml and pack shop's manifest a-b.yaml would be one to k3s",
        ),
        (
            manifests("./m.yaml, ./M.json"),
            "pack shop's manifest m.yaml and pack shop's manifest M.json would be one to k3s",
        ),
        (
            "    - {name: shop, layer: addon, chart: {source: ./web}, manifests: [./chart-web.yaml]}\n".to_owned(),
            "pack shop's manifest chart-web.yaml and pack shop's release web would be one to k3s",
        ),
        (
            format!("    - {{name: a, layer: addon, {web}}}\n    - {{name: b, layer: addon, {web}}}\n"),
            "packs a and b both have a release \"web\", and k3s keeps all in one namespace",
        ),
        (
            file("/var/lib/rancher/k3s/server/manifests/carrack-other-m.yaml")
                + "    - {name: other, layer: addon, manifests: [./m.yaml]}\n",
            "carrack-other-m.yaml and pack other's manifest m.yaml would be one to k3s",
        ),
        (file("/var/lib/carrack/receipts/9999-x-9.0.0.json"), "would be in a place that is carrack-install's own"),
        (file("/etc/motd.carrack-old"), "would be in a place that is carrack-install's own"),
        (
            file("/etc/a") + &file("/etc/a/b").replace("name: shop", "name: other"),
            "host path /etc/a/b cannot be there with /etc/a of line",
        ),
        (
            file("/var/lib/rancher/k3s/server/manifests")
                + "    - {name: other, layer: addon, manifests: [./m.yaml]}\n",
            "pack shop's file /var/lib/rancher/k3s/server/manifests is a file, and pack other's manifest m.yaml needs a folder",
        ),
        (file(&format!("/etc/{}", "a".repeat(256))), "`path` has a component of more than 255 bytes"),
        (manifests(&format!("./{}", long())), "would have a name of more than 255 bytes"),
        (manifests("./rbac.v1.yaml, ./rbac.v2.yaml"), "is right"),
        (file(&format!("/etc/{}", "a".repeat(255))), "is right"),
    ] {
        let (_, ran) = check(&format!("{K3S}{packs}"));
        assert_eq!(ran.code, if message == "is right" { 0 } else { 10 }, "{packs}: {}", ran.stderr);
        assert!(format!("{}{}", ran.stdout, ran.stderr).contains(message), "{packs}: {}", ran.stderr);
    }
    // Elsewhere names stay what they are, and nothing installs releases by name.
    let (_, ran) = check(&manifests("./a_b.yaml, ./a-b.yaml, ./m.yaml, ./M.json"));
    assert_eq!(ran.code, 0, "{}", ran.stderr);
}

/// The API server of RKE2 serves no files.
#[test]
fn rke2_gets_a_chart_within_its_object() {
    let (sandbox, ran) = check(
        "    - {name: rke2, layer: k8s, distribution: rke2, files: [{source: ./rke2, path: /usr/local/bin/rke2}]}\n    - name: shop\n      layer: addon\n      chart: {source: ./web, \
         namespace: shop, values: [{a: 1}]}\n",
    );
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let ran = sandbox.carrack(&["build", ".", "-o", "shop.tar.zst", "--allow-unrendered"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    fs::create_dir(sandbox.work().join("host")).unwrap();
    let installer = Path::new(env!("CARGO_BIN_EXE_carrack-install"));
    let ran = sandbox.run(installer, &["apply", "shop.tar.zst", "--root", "host"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let data = sandbox.work().join("host/var/lib/rancher/rke2/server");
    assert!(!data.join("static").exists());
    let text = fs::read_to_string(data.join("manifests/carrack-shop-chart-web.yaml")).unwrap();
    let object: Value = serde_yaml_ng::from_str(&text).unwrap();
    let spec = &object["spec"];
    assert_eq!((spec.get("chart"), &spec["targetNamespace"]), (None, &Value::from("shop")));
    assert_eq!(spec["valuesContent"], "\"a\": 1\n");
    let package = BASE64_STANDARD.decode(spec["chartContent"].as_str().unwrap()).unwrap();
    let inspected = sandbox.carrack(&["inspect", "shop.tar.zst", "--json"]);
    let bundle: Value = serde_json::from_str(&inspected.stdout).unwrap();
    assert_eq!(bundle["charts"][0]["digest"], Digest::of(&package).to_string());
}
