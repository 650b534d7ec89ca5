//! What packs of others have in them: macros with a capital, templates of injectors, unpacked charts, the version of Kubernetes.

use std::fs;

use carrack::palette::{self, Imported, Loss};
use serde_json::json;

use crate::common::Sandbox;

/// The pack of `files` beside a pack.json that names these charts and manifests, imported.
fn import(files: &[(&str, &str)], charts: &[&str], manifests: &[&str]) -> Imported {
    let sandbox = Sandbox::new();
    let pack = json!({"name": "p", "layer": "addon", "version": "1.0.0", "charts": charts, "kubeManifests": manifests});
    sandbox.write("p/pack.json", pack.to_string());
    for (path, text) in files {
        sandbox.write(&format!("p/{path}"), *text);
    }
    for chart in charts.iter().filter(|chart| chart.ends_with(".tgz") && !sandbox.work().join("p").join(chart).exists())
    {
        let name = chart.trim_start_matches("charts/").rsplit_once('-').unwrap().0;
        let package = carrack::chart::package(&sandbox.work().join("p/charts").join(name)).unwrap();
        fs::write(sandbox.work().join("p").join(chart), package).unwrap();
    }
    palette::import(&sandbox.work().join("p"), None).unwrap()
}

/// What is listed of one kind, without the folder of the packs.
fn listed(imported: &Imported, kind: Loss) -> Vec<String> {
    let line = |one: &palette::NotImported| one.to_string().split_once("/p/").unwrap().1.to_owned();
    imported.left.iter().filter(|one| one.kind == kind).map(line).collect()
}

fn text<'i>(imported: &'i Imported, path: &str) -> Option<&'i str> {
    imported.folder.files().find(|(file, _)| *file == path).map(|(_, bytes)| std::str::from_utf8(bytes).unwrap())
}

const CONFIG: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x, namespace: x}\ndata:\n";

#[test]
fn macros_with_a_capital_are_palettes() {
    for inner in [
        ".Spectro.cluster | quote",
        ".Spectro.cluster.name",
        "$.Spectro.cluster.uid",
        "if .Spectro.edge",
        "printf \"%s\" .Spectro.project.name",
        ".Spectro.system.kubernetes.version",
    ] {
        let manifest = format!("{CONFIG}  a: {{{{ {inner} }}}}\n");
        let files = [("manifests/m.yaml", &*manifest), ("values.yaml", "manifests: {m: {a: b}}\n")];
        let imported = import(&files, &[], &["manifests/m.yaml"]);
        let said = format!("manifests/m.yaml:5: {{{{ {inner} }}}}: only Palette knows this value");
        assert_eq!(listed(&imported, Loss::Macro), [said]);
        assert_eq!(text(&imported, "packs/p/left-out/m.yaml"), Some(&*manifest));
        assert!(listed(&imported, Loss::Part)[0].starts_with("manifests/m.yaml: this manifest is no part of the pack"));
    }
    let files = [
        ("manifests/m.yaml", "kind: X\na: {{ .Values.Spectro }}{{ .SpectroCloud }}\n"),
        ("values.yaml", "manifests: {m: {a: b}}\n"),
    ];
    assert_eq!(listed(&import(&files, &[], &["manifests/m.yaml"]), Loss::Macro), [""; 0]);
}

#[test]
fn a_manifest_without_values_stays_where_it_is_one() {
    for data in [
        "  a: |\n    template: \"{{ Template_Version_Mismatch }}\"\n    labels: {{ .ObjectMeta.Labels }}\n",
        "  a: |\n    {{- if .Values.global.proxy }}\n    x: {{ valueOrDefault .Release.Name 1 }}\n    {{- end }}\n",
        "  a: '{{ $labels.instance }} is down'\n",
        "  a: \"{{ include `x` . }}\"\n",
        "  a: >-\n    {{ range .Alerts }}{{ .Annotations.summary }}{{ end }}\n",
        "  # {{ .Values.x }}\n  a: b\n",
    ] {
        let manifest = format!("{CONFIG}{data}");
        let imported = import(&[("manifests/m.yaml", &manifest), ("values.yaml", "")], &[], &["manifests/m.yaml"]);
        assert_eq!(text(&imported, "packs/p/manifests/m.yaml"), Some(&*manifest));
        let said = "manifests/m.yaml: the values have nothing in `manifests.m`, so its templates stay as they are";
        assert_eq!(listed(&imported, Loss::Other), [said]);
    }
}

#[test]
fn a_template_that_helm_cannot_read_is_no_chart() {
    for (data, values, reason) in [
        ("  a: {{ Mismatch }}\n", "", "has no function Mismatch"),
        ("  a: '{{ valueOrDefault .x 1 }}'\n", "manifests: {m: {a: b}}\n", "has no function valueOrDefault"),
        ("{{ if .Values.a }}\n  a: b\n", "manifests: {m: {a: b}}\n", "has no `end`"),
        ("{{ end }}\n", "", "an `end` too many"),
        ("  a: {{ .Values.a\n", "", "has no `}}`"),
        ("  a: {{ env \"HOME\" }}\n", "manifests: {m: {a: b}}\n", "has no function env"),
    ] {
        let manifest = format!("{CONFIG}{data}");
        let imported = import(&[("manifests/m.yaml", &manifest), ("values.yaml", values)], &[], &["manifests/m.yaml"]);
        assert_eq!(text(&imported, "packs/p/left-out/m.yaml"), Some(&*manifest));
        assert!(listed(&imported, Loss::Other)[0].contains(reason), "{:#?}", imported.left);
    }
    // What helm fills in without values is still a chart.
    let manifest = "kind: ConfigMap\nmetadata: {name: '{{ .Release.Name }}'}\n";
    let imported = import(&[("manifests/m.yaml", manifest), ("values.yaml", "")], &[], &["manifests/m.yaml"]);
    assert_eq!(text(&imported, "packs/p/charts/m/templates/m.yaml"), Some(manifest));
}

#[test]
fn files_that_nothing_names_are_told_by_folder() {
    let chart = "apiVersion: v2\nname: c\nversion: 1.0.0\n";
    let other = "apiVersion: v2\nname: d\nversion: 2.0.0\n";
    let copy = "charts/c: an unpacked copy of chart c 1.0.0, which pack.json names as a package";
    for (more, want) in [
        (
            vec![("charts/c/a", ""), ("charts/c/templates/b.yaml", ""), ("charts/c/charts/d/Chart.yaml", other)],
            vec![copy],
        ),
        (
            vec![("charts/d/Chart.yaml", other), ("charts/d/a", "")],
            vec![copy, "charts/d: chart d 2.0.0, which pack.json does not name"],
        ),
        (
            vec![("x/1", ""), ("x/2", "")],
            vec![copy, "x/1: pack.json does not name this file", "x/2: pack.json does not name this file"],
        ),
        (
            vec![("x/1", ""), ("x/2", ""), ("x/y/3", ""), ("x/y/4", "")],
            vec![copy, "x: pack.json does not name these 4 files, among them x/1, x/2, x/y/3"],
        ),
        (vec![("z/Chart.yaml", "name: [")], vec![copy, "z/Chart.yaml: pack.json does not name this file"]),
        (vec![("a.sh", "")], vec!["a.sh: pack.json does not name this file"]),
    ] {
        let mut files = vec![("values.yaml", ""), ("charts/c/Chart.yaml", chart)];
        files.extend(more);
        let imported = import(&files, &["charts/c-1.0.0.tgz"], &[]);
        let mut lines = listed(&imported, Loss::File);
        assert!(want.iter().all(|line| lines.contains(&(*line).to_owned())), "{want:?}: {lines:?}");
        lines.retain(|line| !want.contains(&&**line) && line != copy);
        assert_eq!(lines, [""; 0]);
    }
}

#[test]
fn what_matters_is_told_first() {
    let files = [
        ("charts/c/Chart.yaml", "apiVersion: v2\nname: c\nversion: 1.0.0\n"),
        ("charts/c-1.0.0.tgz", "broken"),
        ("charts/c/templates/a.yaml", ""),
        ("a/b", ""),
        ("logo.png", ""),
        ("values.yaml", "pack: {namespace: x, other: 1, content: {images: ['{{ .spectro.system.cluster.uid }}']}}\n"),
    ];
    let imported = import(&files, &["charts/c-1.0.0.tgz"], &[]);
    let kinds: Vec<Loss> = imported.left.iter().map(|one| one.kind).collect();
    assert!(kinds.is_sorted(), "{kinds:?}");
    assert!(Loss::ALL.iter().all(|kind| kinds.contains(kind)), "{kinds:?}");
    assert!(listed(&imported, Loss::Part)[0].contains("is not a chart that can be used"), "{:#?}", imported.left);
    let copy = "charts/c: an unpacked copy of chart c 1.0.0, which pack.json names as a package";
    assert_eq!(
        listed(&imported, Loss::File),
        ["a/b: pack.json does not name this file", copy].map(str::to_owned).into_iter().rev().collect::<Vec<_>>()
    );
}

#[test]
fn the_version_of_kubernetes_is_that_of_its_pack() {
    let sandbox = Sandbox::new();
    for (expression, with) in [
        (".spectro.system.kubernetes.version | substr 0 4", Some("1.33")),
        (".spectro.system.kubernetes.version", Some("1.33.4")),
        ("(semver .spectro.system.kubernetes.version).Minor", Some("33")),
        (".spectro.system.kubernetes.version | trunc 4 | replace `.` `-`", Some("1-33")),
        ("substr 0 4 .spectro.system.kubernetes.version", Some("1.33")),
        (".spectro.system.cluster.kubernetes.version", None),
        (".spectro.system.kubernetes.version | sha256sum", None),
    ] {
        let values = format!("pack:\n  namespaceLabels:\n    p: \"enforce-version=v{{{{ {expression} }}}}\"\n");
        let addon = json!({"name": "p", "layer": "addon", "version": "1.0.0", "type": "manifest", "values": values});
        let k8s = json!({"name": "edge-k3s", "layer": "k8s", "version": "1.33.4", "type": "manifest", "values": ""});
        for (packs, told) in [(vec![addon.clone(), k8s], with), (vec![addon], None)] {
            let profile = json!({"metadata": {"name": "x"}, "spec": {"template": {"packs": packs}}});
            let source = sandbox.write("x.json", profile.to_string());
            let imported = palette::import(&source, None).unwrap();
            let namespace = text(&imported, "packs/p/manifests/namespace-p.yaml");
            let macros = imported.left.iter().filter(|one| one.kind == Loss::Macro).count();
            assert_eq!((namespace.is_some(), macros), (told.is_some(), usize::from(told.is_none())), "{expression}");
            if let (Some(namespace), Some(told)) = (namespace, told) {
                assert!(
                    namespace.contains(&format!("v{told}\n")) || namespace.contains(&format!("v{told}\"\n")),
                    "{namespace}"
                );
            }
        }
    }
}
