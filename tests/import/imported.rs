//! What becomes of the fixtures, and of what is none of Palette's.

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::{Value, json};

use crate::{files, load, sandbox, succeed, tree};

#[test]
fn an_exported_profile_and_its_packs_are_imported() {
    let sandbox = sandbox();
    let ran = succeed(sandbox.carrack(&["import", "store.json", "--packs", "packs", "-o", "store"]));
    let folder = sandbox.work().join("store");
    insta::assert_snapshot!("store", tree(&folder));
    let printed: Vec<String> = files(&folder).iter().map(|file| format!("store/{file}")).collect();
    assert_eq!(ran.stdout.lines().collect::<Vec<_>>(), printed);
    // What is printed is what the list begins with.
    let list = fs::read_to_string(folder.join("NOT-IMPORTED.md")).unwrap();
    let listed: Vec<String> = list
        .lines()
        .take_while(|line| !line.starts_with("## Files"))
        .filter_map(|line| line.strip_prefix("- "))
        .map(|line| format!("not imported: {line}"))
        .collect();
    let said: Vec<&str> = ran.stderr.lines().filter(|line| line.starts_with("not imported: ")).collect();
    assert!(listed.len() > 30);
    assert_eq!(said, listed);
    assert!(ran.stderr.ends_with("NOT-IMPORTED.md\nnext: carrack check store\n"), "{}", ran.stderr);
    let profile = load(&folder);
    assert_eq!((profile.packs.len(), profile.variables.len()), (8, 12));
}

#[test]
fn without_its_packs_a_profile_has_what_its_values_hold() {
    let sandbox = sandbox();
    succeed(sandbox.carrack(&["import", "store.json", "-o", "store"]));
    let folder = sandbox.work().join("store");
    let profile = load(&folder);
    let charts: usize = profile.packs.iter().map(|pack| pack.charts.len()).sum();
    assert_eq!((profile.packs.len(), charts), (8, 0));
    let list = fs::read_to_string(folder.join("NOT-IMPORTED.md")).unwrap();
    for pack in ["edge-k3s 1.32.5", "cni-mesh 1.2.0", "local-disk 0.0.30", "metrics 2.1.0", "kiosk 0.9.0"] {
        let line = format!("pack {pack} is not in the profile; name the folder that has it with --packs\n");
        assert!(list.contains(&line), "{pack}: {list}");
    }
    let checked = succeed(sandbox.carrack(&["check", "store"]));
    assert!(checked.stdout.contains("4 images"), "{}", checked.stdout);
}

#[test]
fn charts_of_registries_are_named_where_the_address_is_known() {
    let sandbox = sandbox();
    let ran = succeed(sandbox.carrack(&["import", "charts.json", "-o", "charts"]));
    let folder = sandbox.work().join("charts");
    insta::assert_snapshot!("charts", tree(&folder));
    assert_eq!(load(&folder).packs[0].charts[0].namespace, "shop");
    assert!(!tree(&folder).contains("canary") && !format!("{ran:?}").contains("canary"));
}

#[test]
fn a_pack_alone_becomes_a_profile_with_it() {
    let sandbox = sandbox();
    for pack in ["batch-3.0.0", "edge-k8s-1.32.5"] {
        let folder = sandbox.work().join(pack);
        succeed(sandbox.carrack(&["import", &format!("packs/{pack}"), "-o", pack]));
        insta::assert_snapshot!(pack, tree(&folder));
        let checked = succeed(sandbox.carrack(&["check", pack]));
        assert!(checked.stdout.contains("1 pack, "), "{}", checked.stdout);
    }
    for (pack, charts) in [("edge-k3s-1.32.5", 0), ("cni-mesh-1.2.0", 1), ("metrics-2.1.0", 1), ("kiosk/0.9.0", 2)] {
        succeed(sandbox.carrack(&["import", &format!("packs/{pack}"), "-o", &format!("one/{pack}")]));
        let profile = load(&sandbox.work().join("one").join(pack));
        assert_eq!((profile.packs.len(), profile.packs[0].charts.len()), (1, charts), "{pack}");
    }
}

#[test]
fn contents_of_manifests_are_rendered_or_listed() {
    let sandbox = sandbox();
    succeed(sandbox.carrack(&["import", "packs/kiosk/0.9.0", "-o", "kiosk"]));
    let pack = sandbox.work().join("kiosk/packs/kiosk");
    let read = |path: &str| fs::read_to_string(pack.join(path)).unwrap_or_default();
    assert!(read("charts/noted/templates/noted.yaml").contains("{{ .Values.contents }}"));
    assert!(read("values/noted.yaml").contains("name: noted"), "{}", tree(&pack));
    assert!(read("manifests/fixed.yaml").contains("name: fixed"));
    let list = fs::read_to_string(sandbox.work().join("kiosk/NOT-IMPORTED.md")).unwrap();
    assert!(list.contains("manifests.fixed: the manifest has no templates, and so no use for values\n"), "{list}");
    assert!(!list.contains("manifests.noted"), "{list}");
}

#[test]
fn values_of_a_manifest_that_is_left_out_are_listed() {
    let sandbox = sandbox();
    let path = sandbox.work().join("packs/kiosk/0.9.0/manifests/kiosk.yaml");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace(".spectro.var.domain", ".spectro.system.cluster.uid")).unwrap();
    let imported = carrack::palette::import(&sandbox.work().join("packs/kiosk/0.9.0"), None).unwrap();
    let line = "manifests.kiosk: these are values of a manifest that is left out";
    assert!(imported.left.iter().any(|one| one.to_string().ends_with(line)), "{:#?}", imported.left);
    assert!(imported.folder.contains("packs/kiosk/left-out/kiosk.yaml"));
}

#[test]
fn values_of_another_shape_are_listed() {
    let sandbox = sandbox();
    for (kind, values, line) in [
        ("spectro", "pack: x", "1: pack: a mapping is expected"),
        ("spectro", "charts: [a]", "1: charts: a mapping is expected"),
        ("spectro", "manifests: x", "1: manifests: a mapping is expected"),
        ("spectro", "charts: {a: 5}", "1: charts.a: values are a mapping"),
        ("spectro", "pack: {content: x}", "1: pack.content: a mapping is expected"),
        ("spectro", "pack: {content: {images: x}}", "1: pack.content.images: a list is expected"),
        ("spectro", "pack: {namespaceLabels: x}", "1: pack.namespaceLabels: a mapping is expected"),
        (
            "spectro",
            "pack: {releaseNameOverride: {gone: x}}",
            "1: pack.releaseNameOverride.gone: no chart of this name",
        ),
        ("spectro", "cluster: x", "1: cluster: a mapping is expected"),
        ("spectro", "cluster: {config: 5}", "1: cluster.config: a configuration is a mapping"),
        ("spectro", "cluster: {config: [a]}", "1: cluster.config: a configuration is a mapping"),
        ("spectro", "manifests: {a: {contents: 'kind: X', b: 1}}", "1: manifests.a.b: the manifest is `contents`"),
        ("helm", "charts: {edge-k3s: {}, b: {c: 1}}", "1: charts.b: the pack has no chart of this name"),
        ("helm", "charts: {b: {c: 1}, d: {}, e: {f: 1}}", "1: charts.e: the pack has no chart of this name"),
    ] {
        let pack = json!({"name": "edge-k3s", "layer": "k8s", "version": "1.0.0", "type": kind, "values": values});
        let profile = json!({"metadata": {"name": "x"}, "spec": {"template": {"packs": [pack]}}});
        let source = sandbox.write("shape.json", profile.to_string());
        let left = carrack::palette::import(&source, None).unwrap().left;
        let place = format!("{} spec.template.packs[0].values:{line}", source.display());
        assert!(left.iter().any(|one| one.to_string().starts_with(&place)), "{place}: {left:#?}");
    }
}

#[test]
fn a_packaged_chart_is_taken_as_it_is() {
    let sandbox = sandbox();
    let pack = sandbox.work().join("packs/cni-mesh-1.2.0");
    let package = carrack::chart::package(&pack.join("charts/mesh")).unwrap();
    fs::remove_dir_all(pack.join("charts/mesh")).unwrap();
    fs::write(pack.join("charts/mesh-1.2.0.tgz"), &package).unwrap();
    let json = fs::read_to_string(pack.join("pack.json")).unwrap();
    fs::write(pack.join("pack.json"), json.replace("charts/mesh\"", "charts/mesh-1.2.0.tgz\"")).unwrap();
    succeed(sandbox.carrack(&["import", "packs/cni-mesh-1.2.0", "-o", "mesh"]));
    let imported = sandbox.work().join("mesh/packs/cni-mesh");
    assert_eq!(fs::read(imported.join("charts/mesh-1.2.0.tgz")).unwrap(), package);
    assert_eq!(load(&sandbox.work().join("mesh")).packs[0].charts.len(), 1);
}

#[test]
fn the_report_is_json_on_request() {
    let sandbox = sandbox();
    let ran = succeed(sandbox.carrack(&["import", "packs/edge-k8s-1.32.5", "-o", "out", "--json"]));
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((&report["kind"], &ran.stderr), (&json!("ImportReport"), &String::new()));
    assert_eq!(report["files"].as_array().unwrap().len(), 3);
    let clouds = json!({
        "place": "packs/edge-k8s-1.32.5/pack.json", "line": null, "field": "cloudTypes",
        "reason": "only Palette uses it", "kind": "palette", "onlyPalette": true
    });
    assert!(report["notImported"].as_array().unwrap().contains(&clouds), "{report:#}");
}

#[test]
fn what_cannot_be_imported_is_an_error_and_leaves_nothing() {
    let sandbox = sandbox();
    sandbox.write("full/mine", "");
    sandbox.write("broken.json", "{");
    sandbox.write("other.json", "{\"metadata\": {\"name\": \"x\"}}");
    sandbox.write(
        "none.json",
        r#"{"metadata": {"name": "x"}, "spec": {"template": {"packs": [{"name": "a", "layer": "kernel"}]}}}"#,
    );
    sandbox.write("nameless/pack.json", "{\"layer\": \"addon\"}");
    sandbox.write("big/pack.json", vec![b' '; (16 << 20) + 1]);
    sandbox.write("empty/readme", "");
    for (source, output, code, message) in [
        ("store.json", "full", 25, "full is there and not empty; nothing is written into it"),
        ("missing.json", "out", 25, "cannot read missing.json"),
        ("broken.json", "out", 10, "broken.json cannot be imported: it is not JSON: "),
        ("other.json", "out", 10, "it is no exported profile: it has no `metadata.name` and `spec.template.packs`"),
        ("none.json", "out", 10, "none.json cannot be imported: it has no pack that can be imported"),
        ("nameless", "out", 10, "nameless/pack.json cannot be imported: it has no \"name\""),
        ("big", "out", 10, "larger than 16 MiB"),
        ("empty", "out", 10, "empty cannot be imported: it has no pack.json, and so is no pack of Palette's"),
        ("packs/batch-3.0.0", "batch/../..", 25, ""),
    ] {
        let ran = sandbox.carrack(&["import", source, "-o", output]);
        assert_eq!(ran.code, code, "{source}: {}", ran.stderr);
        assert!(ran.stderr.contains(message), "{source}: {}", ran.stderr);
        assert!(!sandbox.work().join("out").exists(), "{source}");
    }
    let ran = sandbox.carrack(&["import", "store.json", "--packs", "missing", "-o", "out"]);
    assert_eq!((ran.code, ran.stderr.lines().next()), (25, Some("error: cannot read missing")));
    assert_eq!(files(&sandbox.work().join("full")), ["mine"]);
}

#[test]
fn nothing_outside_a_pack_is_read() {
    let sandbox = sandbox();
    let secret = sandbox.write("secret.yaml", "canary: true\n");
    let pack = sandbox.work().join("packs/kiosk/0.9.0");
    symlink(&secret, pack.join("manifests/gone.yaml")).unwrap();
    fs::remove_file(pack.join("values.yaml")).unwrap();
    symlink(&secret, pack.join("values.yaml")).unwrap();
    symlink(&secret, pack.join("more.yaml")).unwrap();
    succeed(sandbox.carrack(&["import", "packs/kiosk/0.9.0", "-o", "kiosk"]));
    let tree = tree(&sandbox.work().join("kiosk"));
    assert!(!tree.contains("canary"), "{tree}");
    for line in [
        "values.yaml: values.yaml leads out of the pack's folder\n",
        "kubeManifests: manifests/gone.yaml leads out of the pack's folder\n",
        "kubeManifests: \"../outside.yaml\" is no path in the pack's folder\n",
        "more.yaml: pack.json does not name this file\n",
    ] {
        assert!(tree.contains(line), "{line} is not in {tree}");
    }
}
