//! `carrack import`: fixtures/palette as profiles of ours, with the exact list of what is not in them, and then built from a
//! registry with stand-ins and applied into a folder.
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

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use carrack::oci::{Annotations, ImageManifest, media_type};
use carrack::palette::{self, PaletteError};
use carrack::profile::{self, Loaded, Packs, Profile};
use carrack::registry::in_process::{Image, InProcessRegistry, Layer};
use carrack::variables::template::{Around, check};
use common::{Ran, Sandbox};
use proptest::prelude::*;
use serde_json::{Value, json};
use web::Web;

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

/// The fixtures in a sandbox.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/palette"), &sandbox.work());
    sandbox
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

fn succeed(ran: Ran) -> Ran {
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    ran
}

/// The paths of the files below `folder`, sorted.
fn files(folder: &Path) -> Vec<String> {
    let (mut found, mut pending) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(next) = pending.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                pending.push(path);
            } else {
                found.push(path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

/// Every file of a folder with its text; of a package, its name alone.
fn tree(folder: &Path) -> String {
    let shown = |path: &String| match path.ends_with(".tgz") {
        true => format!("==> {path}\n"),
        false => format!("==> {path}\n{}", fs::read_to_string(folder.join(path)).unwrap()),
    };
    files(folder).iter().map(shown).collect()
}

/// The profile in `folder`, which has no mistake of its own.
fn load(folder: &Path) -> Profile {
    match profile::load(folder, &Packs::new()) {
        Ok(Loaded::Profile(profile)) => *profile,
        other => panic!("{other:?}"),
    }
}

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
        .skip_while(|line| *line != "## To look at")
        .skip(2)
        .map_while(|line| line.strip_prefix("- "))
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
    load(&folder);
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
    for (pack, charts) in [("edge-k3s-1.32.5", 0), ("cni-mesh-1.2.0", 1), ("metrics-2.1.0", 1), ("kiosk/0.9.0", 1)] {
        succeed(sandbox.carrack(&["import", &format!("packs/{pack}"), "-o", &format!("one/{pack}")]));
        let profile = load(&sandbox.work().join("one").join(pack));
        assert_eq!((profile.packs.len(), profile.packs[0].charts.len()), (1, charts), "{pack}");
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
    let cluster = json!({
        "place": "packs/edge-k8s-1.32.5/values.yaml", "line": 5, "field": "cluster",
        "reason": "Carrack has nothing that does this", "onlyPalette": false
    });
    assert!(report["notImported"].as_array().unwrap().contains(&cluster), "{report:#}");
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

/// Pieces of what packs have in their texts.
const PIECES: &[&str] = &[
    "pack:\n",
    "  namespace: shop\n",
    "  namespace: '{{.spectro.var.a}}'\n",
    "  namespaceLabels: {shop: \"a=b,c=d\", '{{.spectro.var.a}}': x}\n",
    "  releaseNameOverride: {x: A_b}\n",
    "  content: {images: [{image: registry.example.org/a:1}, registry.example.org/b:1, {image: '{{.spectro.var.a}}'}, []]}\n",
    "cluster:\n",
    "  config: |\n    a: {{ .spectro.var.n }}\n    b: '1{{.spectro.var.n}}'\n",
    "  config: {a: {{ .spectro.system.x }}, b: [yes, 0755, 1e3, .inf, {{.spectro.var.a | default \"x\"}}]}\n",
    "charts:\n",
    "  x: {a: \"{{ .spectro.var.a | default \\\"x\\\" }}\", '{{.spectro.var.b-c}}': 1, n: {{.spectro.var.n | default \"x\"}}}\n",
    "manifests:\n",
    "  x:\n    contents: |\n      kind: X\n      metadata: {name: '{{ .spectro.var.a }}'}\n",
    "  y: {a: {{ .spectro.var.a }}}\n",
    "# {{ .spectro.var.comment }} {{ .spectro.system.x }}\n",
    "{{- .spectro.var.a -}}\n",
    "{{ .carrack.var.a }}\n",
    "kind: ConfigMap\nmetadata: {name: x}\ndata: {a: '{{.spectro.var.b-c}}{{ $labels.x }}'}\n",
    "---\n",
    "\t[",
    "\u{10F000}0\u{10F001}",
    "\u{10E000}",
];

/// A text that a profile may have for its values or a manifest.
fn text() -> impl Strategy<Value = String> {
    proptest::collection::vec(proptest::sample::select(PIECES), 0..6).prop_map(|pieces| pieces.concat())
}

/// A variable of a profile.
fn variable() -> impl Strategy<Value = Value> {
    let one_of = |texts: &'static [&'static str]| proptest::sample::select(texts);
    (
        one_of(&["a", "n", "b-c", "b_c", "1", "", "é"]),
        one_of(&["string", "number", "boolean", "ipv4", "version", "email"]),
        one_of(&["", "x", "1", "true", "10.0.0.1", "1.2.3", "********"]),
        one_of(&["", "(", "^[a-z]*$", "[0-9]", "a|b"]),
        proptest::collection::vec(one_of(&["x", "1", "true"]), 0..3),
        any::<[bool; 5]>(),
    )
        .prop_map(|(name, format, default, regex, options, flags)| {
            json!({
                "name": name, "format": format, "defaultValue": default, "regex": regex, "options": options,
                "required": flags[0], "hidden": flags[1], "immutable": flags[2], "isSensitive": flags[3],
                "readOnly": flags[4],
            })
        })
}

/// A pack of a profile.
fn pack() -> impl Strategy<Value = Value> {
    let one_of = |texts: &'static [&'static str]| proptest::sample::select(texts);
    (
        one_of(&["a", "A_b", "edge-k3s", "kubernetes", "../x", ""]),
        one_of(&["os", "k8s", "cni", "addon", "addon", "kernel"]),
        one_of(&["1.0.0", "1.x", "", "v2"]),
        one_of(&["spectro", "helm", "oci", "manifest"]),
        one_of(&["", "https://charts.example.org", "oci://registry.example.org/x", "oci://x", "http://x", "https://"]),
        text(),
        proptest::collection::vec((one_of(&["a", "A.yaml", "../../x", ""]), text()), 0..3),
    )
        .prop_map(|(name, layer, version, kind, server, values, manifests)| {
            let manifests: Vec<Value> =
                manifests.into_iter().map(|(name, content)| json!({"name": name, "content": content})).collect();
            json!({
                "name": name, "layer": layer, "version": version, "type": kind, "server": server, "values": values,
                "manifests": manifests,
            })
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is in a profile, what is imported is a right profile, whose placeholders all can be filled.
    #[test]
    fn what_is_imported_is_always_right(
        packs in proptest::collection::vec(pack(), 1..5),
        variables in proptest::collection::vec(variable(), 0..5),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let profile = json!({"metadata": {"name": "x"}, "spec": {"variables": variables, "template": {"packs": packs}}});
        let source = folder.path().join("x.json");
        fs::write(&source, profile.to_string()).unwrap();
        let imported = match palette::import(&source, None) {
            Ok(imported) => imported,
            Err(PaletteError::NotPalette { reason, .. }) => {
                prop_assert_eq!(reason, "it has no pack that can be imported");
                return Ok(());
            }
            Err(other) => panic!("{other:?}"),
        };
        let target = folder.path().join("out");
        imported.folder.write(&target).unwrap();
        let loaded = match profile::load(&target, &Packs::new()) {
            Ok(Loaded::Profile(profile)) => *profile,
            other => panic!("{other:?} {}", tree(&target)),
        };
        for pack in &loaded.packs {
            let values = pack.charts.iter().flat_map(|chart| &chart.values).chain(&pack.config);
            let manifests = pack.manifests.iter().map(|file| fs::read_to_string(file).unwrap());
            for text in values.map(|template| template.text.clone()).chain(manifests) {
                let mistakes = check(&text, Around::Yaml, &loaded.variables);
                prop_assert!(mistakes.is_empty(), "{:?} in {} of {}", mistakes, text, tree(&target));
            }
        }
    }
}

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
        assert!(checked.stdout.contains("3 charts, 8 images, 0 warnings"), "{}", checked.stdout);
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
        "carrack-kiosk-extra.yaml",
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
    let store = setup.yaml(&setup.manifests().join("carrack-edge-k3s-store-config.yaml"));
    assert_eq!(store[0]["data"], json!({"store": "42", "domain": "store.example.org"}));
    let charts = files(&setup.sandbox.work().join("host/var/lib/rancher/k3s/server/static/charts"));
    let charts: Vec<&str> = charts.iter().map(|name| name.rsplit_once('-').unwrap().0).collect();
    assert_eq!(charts, ["kiosk-0.9.0", "mesh-1.2.0", "metrics-2.1.0"]);
}
