//! `carrack init`, `check`, `images` and `schema`, as a user runs them.
#![cfg(feature = "operator")]
#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

mod common;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use common::Sandbox;

/// A profile with `spec` after `packs:`, which may go on with more.
fn profile(packs: &str) -> String {
    format!(
        "apiVersion: carrack/v1\nkind: ClusterProfile\nmetadata: {{name: p, version: 1.0.0}}\nspec:\n  packs:\n{packs}"
    )
}

/// What `carrack check` says of a profile, without the last line's count.
fn problems(text: &str) -> String {
    let sandbox = Sandbox::new();
    sandbox.write("host.txt", "content");
    sandbox.write("../outside.txt", "secret");
    sandbox.write("carrack.yaml", text);
    let ran = sandbox.carrack(&["check", "carrack.yaml"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (10, ""), "{}", ran.stderr);
    ran.stderr.split_once('\n').unwrap().1.to_owned()
}

#[test]
fn a_first_profile_is_right_as_it_is() {
    let sandbox = Sandbox::new();
    let ran = sandbox.carrack(&["init", "edge"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, "edge/carrack.yaml\nedge/hello/hello.yaml\n"));
    assert_eq!(ran.stderr, "next: carrack check edge/carrack.yaml\n");
    for profile in ["edge", "edge/carrack.yaml"] {
        let ran = sandbox.carrack(&["check", profile]);
        let summary = "my-cluster 0.1.0 is right: 2 packs, 0 host files, 1 manifest, 0 charts, 1 image, 0 warnings, 0 candidates\n";
        assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (0, summary, ""));
    }
    std::fs::remove_file(sandbox.work().join("edge/carrack.yaml")).unwrap();
    let again = sandbox.carrack(&["init", "edge"]);
    assert_eq!(again.code, 25);
    let refusal = "error: cannot create edge/hello/hello.yaml\n  cause: it exists\n  hint: carrack init OTHER-FOLDER\n";
    assert_eq!(again.stderr, refusal);
    assert!(!sandbox.work().join("edge/carrack.yaml").exists());
}

#[test]
fn images_are_listed_with_reasons_on_request() {
    let sandbox = Sandbox::new();
    sandbox.carrack(&["init"]);
    let plain = sandbox.carrack(&["images", "."]);
    assert_eq!((plain.code, plain.stdout.as_str()), (0, "registry.k8s.io/pause:3.10\n"));
    let why = sandbox.carrack(&["images", ".", "--why"]);
    assert_eq!(
        why.stdout,
        "registry.k8s.io/pause:3.10\n  pack hello, hello/hello.yaml:16, Deployment default/hello, \
         spec.template.spec.containers[0].image\n"
    );
}

#[test]
fn json_shapes_are_pinned() {
    let sandbox = Sandbox::new();
    let packs = "    - {name: a, layer: addon, images: [nginx:1], manifests: [m.yaml]}\n";
    sandbox.write("carrack.yaml", profile(packs));
    sandbox.write(
        "m.yaml",
        "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec:\n  containers:\n    - image: quay.io/a/b\n      args: [--image=quay.io/c/d:1]\n",
    );
    let json = |command: &str| -> serde_json::Value {
        let ran = sandbox.carrack(&[command, ".", "--json"]);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
        serde_json::from_str(&ran.stdout).unwrap()
    };
    let pod = serde_json::json!({"kind": "Pod", "name": "x"});
    let candidates = serde_json::json!([{"reference": "quay.io/c/d:1", "reasons": [
        {"pack": "a", "file": "m.yaml", "line": 7, "object": pod, "field": "spec.containers[0].args[0]"},
    ]}]);
    let warnings = serde_json::json!([{
        "message": "Pod x: spec.containers[0]: quay.io/a/b:latest is pulled at every start, as its tag is `latest`; set `imagePullPolicy`",
        "file": "m.yaml", "line": 6, "column": 14,
    }]);
    let name = serde_json::json!({"name": "p", "version": "1.0.0"});
    let platforms = serde_json::json!([{"os": "linux", "architecture": "amd64"}]);
    assert_eq!(
        json("images"),
        serde_json::json!({
            "apiVersion": "carrack/v1", "kind": "ImageList", "profile": name,
            "images": [
                {"reference": "docker.io/library/nginx:1", "platforms": platforms, "reasons": [
                    {"pack": "a", "file": "carrack.yaml", "line": 6, "field": "spec.packs[0].images[0]"},
                ]},
                {"reference": "quay.io/a/b:latest", "platforms": platforms, "reasons": [
                    {"pack": "a", "file": "m.yaml", "line": 6, "object": pod, "field": "spec.containers[0].image"},
                ]},
            ],
            "candidates": candidates, "warnings": warnings,
        })
    );
    assert_eq!(
        json("check"),
        serde_json::json!({
            "apiVersion": "carrack/v1", "kind": "CheckReport", "profile": name,
            "packs": 1, "files": 0, "charts": 0, "manifests": 1, "images": 2, "candidates": candidates, "warnings": warnings,
        })
    );
}

#[test]
fn check_prints_warnings_and_candidates() {
    let sandbox = Sandbox::new();
    sandbox.write("carrack.yaml", profile("    - {name: a, layer: addon, manifests: [m.yaml]}\n"));
    sandbox.write(
        "m.yaml",
        "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec:\n  containers:\n    - image: quay.io/a/b\n      args: [--image=quay.io/c/d:1]\n",
    );
    let ran = sandbox.carrack(&["check", "."]);
    assert_eq!(
        (ran.code, ran.stdout.as_str()),
        (0, "p 1.0.0 is right: 1 pack, 0 host files, 1 manifest, 0 charts, 1 image, 1 warning, 1 candidate\n",)
    );
    assert_eq!(
        ran.stderr,
        "\
warning: m.yaml:6:14: Pod x: spec.containers[0]: quay.io/a/b:latest is pulled at every start, as its tag is `latest`; set `imagePullPolicy`
  6 |     - image: quay.io/a/b
    |              ^
These look like images but stand where it cannot be told. Add each to a pack's `images` or to
`ignoreImages` with a reason:
  quay.io/c/d:1
    pack a, m.yaml:7, Pod x, spec.containers[0].args[0]
"
    );
}

#[test]
fn what_nobody_decided_fails_where_that_is_asked_for() {
    let sandbox = Sandbox::new();
    let write = |ignored: &str| {
        let packs = "    - {name: a, layer: addon, manifests: [m.yaml]}\n";
        sandbox.write("carrack.yaml", profile(packs) + &format!("  ignoreImages: [{ignored}]\n"));
    };
    write("");
    sandbox.write(
        "m.yaml",
        "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec:\n  containers:\n    - image: quay.io/a/b:1\n      args: [--image=quay.io/c/d:1]\n",
    );
    assert_eq!(sandbox.carrack(&["check", "."]).code, 0);
    for command in [&["check", "."][..], &["lock", "."], &["build", ".", "-o", "b.tar.zst"]] {
        let ran = sandbox.carrack(&[command, &["--strict", "-q"]].concat());
        assert_eq!((ran.code, ran.stdout.as_str()), (10, ""), "{command:?}: {}", ran.stderr);
        assert_eq!(
            ran.stderr,
            "error: 1 problem found\n\
             m.yaml:7:1: Pod x: spec.containers[0].args[0]: quay.io/c/d:1 looks like an image; add it to `images` or to `ignoreImages`\n"
        );
    }
    write("{image: 'quay.io/c/d:1', reason: not here}");
    assert_eq!(sandbox.carrack(&["check", ".", "--strict"]).code, 0);
    write("{image: 'quay.io/c/d:1', reason: not here}, {image: 'quay.io/e/f:1', reason: gone}");
    let ran = sandbox.carrack(&["check", ".", "--strict"]);
    assert!(ran.code == 10 && ran.stderr.contains("which is found nowhere"), "{}", ran.stderr);
}

#[test]
fn a_kustomization_is_refused_with_the_command_that_builds_it() {
    let sandbox = Sandbox::new();
    sandbox.write("carrack.yaml", profile("    - {name: a, layer: addon, manifests: [app/*.yaml]}\n"));
    for text in [
        "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [deployment.yaml]\n",
        "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nimages: [{name: a, newTag: '2'}]\n",
        "resources: [deployment.yaml]\n",
    ] {
        sandbox.write("app/kustomization.yaml", text);
        let ran = sandbox.carrack(&["check", "."]);
        assert!(ran.code == 10 && ran.stderr.contains("`kubectl kustomize app > FILE`"), "{text}: {}", ran.stderr);
    }
    // Flux's is an object; what it has the cluster fetch is a warning.
    sandbox.write(
        "app/kustomization.yaml",
        "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: x}\nspec: {path: ./app}\n",
    );
    let ran = sandbox.carrack(&["check", "."]);
    assert!(ran.code == 0 && ran.stderr.contains("the cluster fetches this folder by itself"), "{}", ran.stderr);
}

#[test]
fn what_tools_read_and_no_cluster_takes_is_refused() {
    let sandbox = Sandbox::new();
    sandbox.write("carrack.yaml", profile("    - {name: a, layer: addon, manifests: [m.yaml]}\n"));
    for (text, said) in [
        ("kind: Kustomization\nimages: [{name: a, newTag: '2'}]\n", "`kubectl kustomize . > FILE`"),
        ("apiVersion: builtin\nkind: PatchTransformer\nmetadata: {name: p}\n", "`kubectl kustomize . > FILE`"),
        (
            "apiVersion: v1\nkind: List\nitems: [{apiVersion: kustomize.config.k8s.io/v1beta1, kind: Kustomization}]\n",
            "a kustomization is no object",
        ),
        (
            "apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\n",
            "kubeadm's configuration; give it in `config`",
        ),
        ("apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n", "the kubelet's configuration"),
        ("apiVersion: kind.x-k8s.io/v1alpha4\nkind: Cluster\n", "kind's configuration; leave it out"),
        (
            "apiVersion: skaffold/v4beta11\nkind: Config\nbuild: {artifacts: [{image: app}]}\n",
            "Skaffold's configuration",
        ),
        ("apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: Metadata}]\n", "name it in `files`"),
    ] {
        sandbox.write("m.yaml", text);
        let ran = sandbox.carrack(&["check", "."]);
        assert!(ran.code == 10 && ran.stderr.contains(said), "{text}: {}", ran.stderr);
    }
}

#[test]
fn whatever_is_left_to_decide_fails_strictly() {
    let sandbox = Sandbox::new();
    let pod = |fields: &str| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: x}}\nspec: {{containers: [{{image: 'quay.io/a/b:1', {fields}}}]}}\n"
        )
    };
    let config = |data: &str| format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: x}}\ndata: {{{data}}}\n");
    let operator = "apiVersion: rabbitmq.com/v1beta1\nkind: RabbitmqCluster\nmetadata: {name: q}\n";
    for (manifest, said, ignored) in [
        (config("image: 'quay.io/c/d:1'"), "quay.io/c/d:1 looks like an image", "quay.io/c/d:1"),
        (config("a: '{\"image\": \"quay.io/c/d:2\"}'"), "quay.io/c/d:2 looks like an image", "quay.io/c/d:2"),
        (pod("env: [{name: JOB_IMAGE_NAME, value: 'redis:7'}]"), "docker.io/library/redis:7 looks like", "redis:7"),
        (pod("env: [{name: SIDE_IMAGE, value: side}]"), "\"side\" is a part of an image's name", "side"),
        (pod("env: [{name: SIDE_IMAGE, value: '${SIDE}'}]"), "\"${SIDE}\" is no image", "${SIDE}"),
        (operator.to_owned(), "RabbitMQ Cluster Operator starts pods", "docker.io/library/rabbitmq"),
    ] {
        sandbox.write("m.yaml", manifest);
        let with = |ignored: &str| {
            let packs = "    - {name: a, layer: addon, manifests: [m.yaml]}\n";
            sandbox.write("carrack.yaml", profile(packs) + &format!("  ignoreImages: [{ignored}]\n"));
        };
        with("");
        assert_eq!(sandbox.carrack(&["check", "."]).code, 0);
        let ran = sandbox.carrack(&["check", ".", "--strict", "-q"]);
        assert!(ran.code == 10 && ran.stderr.contains(said), "{said}: {}", ran.stderr);
        with(&format!("{{image: '{ignored}', reason: looked at}}"));
        let ran = sandbox.carrack(&["check", ".", "--strict"]);
        assert_eq!(ran.code, 0, "{said}: {}", ran.stderr);
    }
}

#[test]
fn the_schema_is_json() {
    let ran = Sandbox::new().carrack(&["schema"]);
    let schema: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((ran.code, &schema["title"]), (0, &serde_json::json!("ClusterProfile")));
}

#[test]
fn a_profile_that_is_not_there_is_a_matter_of_files() {
    let ran = Sandbox::new().carrack(&["check", "none.yaml"]);
    assert_eq!(ran.code, 25);
    let error = "error: cannot read none.yaml\n  cause: No such file or directory (os error 2)\n";
    assert_eq!(ran.stderr, format!("{error}  hint: begin with a profile that works: carrack init DIR\n"));
}

#[test]
fn with_json_every_problem_is_a_cause() {
    let sandbox = Sandbox::new();
    sandbox.write("carrack.yaml", "{}");
    let ran = sandbox.carrack(&["check", ".", "--json"]);
    let error: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((ran.code, ran.stderr.as_str()), (10, ""));
    assert_eq!(error["error"]["causes"].as_array().unwrap().len(), 4, "{error:#}");
    assert_eq!(error["error"]["code"], 10);
}

#[test]
fn every_mistake_is_told_at_once() {
    let text = "\
apiVersion: carrack/v1
kind: ClusterProfile
metadata:
  nam: p
  version: 1.0
spec:
  platforms: [linux]
  packs:
    - name: one
      layer: k8s
      version: 1.10
    - name: one
      layer: k8s
      images: [UPPER]
";
    assert_eq!(
        problems(text),
        r#"carrack.yaml:4:3: unknown field `nam`; did you mean `name`?
  4 |   nam: p
    |   ^
carrack.yaml:4:3: `name` is missing
  4 |   nam: p
    |   ^
carrack.yaml:5:12: `version` must be text, found the number 1.0; write it in quotes: "1.0"
  5 |   version: 1.0
    |            ^
carrack.yaml:7:15: "linux" is not a platform (expected OS/ARCHITECTURE, such as linux/amd64)
  7 |   platforms: [linux]
    |               ^
carrack.yaml:11:16: `version` must be text, found the number 1.10; write it in quotes: "1.10"
  11 |       version: 1.10
     |                ^
carrack.yaml:12:13: pack "one" is already given in line 9
  12 |     - name: one
     |             ^
carrack.yaml:13:14: a second pack on layer `k8s`: "one" in line 10 already is that one
  13 |       layer: k8s
     |              ^
carrack.yaml:14:16: "UPPER" is not an image reference: the repository must be lowercase
  14 |       images: [UPPER]
     |                ^
"#
    );
}

#[test]
fn each_mistake_in_a_pack_has_its_place_and_message() {
    let file = |fields: &str| format!("    - {{name: a, layer: addon, files: [{{{fields}}}]}}\n");
    let good = "source: host.txt, path: /etc/host.txt";
    let wrong = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let real = "ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73";
    let later = "is not supported by this version of Carrack yet";
    for (packs, expected) in [
        (file("source: ../outside.txt, path: /x"), "6:48: `../outside.txt` is outside the profile's folder"),
        (
            file("source: /etc/passwd, path: /x"),
            "6:48: `/etc/passwd` is absolute; paths are relative to the profile's folder and stay inside it",
        ),
        (file("source: none.txt, path: /x"), "6:48: `none.txt` does not exist"),
        (file("source: ., path: /x"), "6:48: `.` is not a regular file"),
        (file("path: /x"), "6:39: `source` is missing"),
        (file("source: host.txt"), "6:39: `path` is missing"),
        (file("source: host.txt, path: etc/x"), "6:64: `path` must be absolute, found \"etc/x\""),
        (
            file("source: host.txt, path: /etc/../x"),
            "6:64: `path` must name a file without `.`, `..`, `//` or a final `/`, found \"/etc/../x\"",
        ),
        (file(&format!("{good}, sha256: {wrong}")), "6:87: host.txt hashes to REAL, not to what `sha256` says"),
        (
            file(&format!("{good}, sha256: 12ab")),
            "6:87: `sha256` is \"12ab\", expected 64 lowercase hexadecimal digits",
        ),
        (
            file(&format!("{good}, mode: 0755")),
            "6:85: `mode` must be text, found the number 0755; write it in quotes: \"0755\"",
        ),
        (file(&format!("{good}, mode: \"0899\"")), "6:85: `mode` is \"0899\", expected octal digits such as \"0755\""),
        (
            file(&format!("{good}, owner: \"a b\"")),
            "6:86: `owner` is \"a b\", expected USER or USER:GROUP, names or numbers",
        ),
        (file(&format!("{good}, platform: linux/arm64")), "6:89: platform linux/arm64 is not one of `spec.platforms`"),
        (file(&format!("{good}}}, {{{good}")), "6:105: host path /etc/host.txt is already given in line 6"),
        (
            file(&format!("{good}}}, {{source: host.txt, path: /etc/host.txt/x")),
            "6:105: host path /etc/host.txt/x cannot be there with /etc/host.txt of line 6: one would be file and folder",
        ),
        (file(&format!("{good}, extract: true")), "6:79: `files[].extract` LATER"),
        (file(&format!("{good}, symlink: /x")), "6:79: `files[].symlink` LATER"),
        (
            file("source: https://example.org/k3s, path: /x"),
            "6:48: a file from a server needs `sha256`, the digest that its makers publish",
        ),
        (file("source: oci://example.org/k3s, path: /x"), "6:48: `oci://` cannot stand here: `oci://example.org/k3s`"),
        ("    - {name: a, layer: cni, chart: {source: x}}\n".to_owned(), "6:45: `x` does not exist"),
        (
            "    - {name: a, layer: cni, chart: {}}\n".to_owned(),
            "6:36: a chart has either `source`, or `repository` and `name`",
        ),
        (
            "    - {name: a, layer: cni, chart: {repository: \"http://x.org\", name: a}}\n".to_owned(),
            "6:49: `http://x.org` is plain HTTP, which anybody on the way can change; use https://",
        ),
        (
            "    - {name: a, layer: cni, chart: {source: \"oci://charts/x:1\"}}\n".to_owned(),
            "6:45: `oci://charts/x:1` names no registry; write oci://HOST/REPOSITORY:TAG",
        ),
        (
            "    - {name: a, layer: k8s, config: {}}\n".to_owned(),
            "6:29: `config` is the configuration of a `distribution`, and this pack names none that has one",
        ),
        (
            "    - {name: a, source: \"oci://x\"}\n".to_owned(),
            "6:25: `oci://x` names no registry; write oci://HOST/REPOSITORY:TAG",
        ),
        ("    - {name: a, source: ./p}\n".to_owned(), "6:25: `./p/pack.yaml` does not exist"),
        (
            "    - {name: a, layer: cni, upgradeFrom: new}\n".to_owned(),
            "6:42: `upgradeFrom` \"new\" is not a range such as \">=1.2, <2\": unexpected character 'n' while parsing major \
             version number",
        ),
        (
            "    - {name: a, layer: cni, version: \"{{.carrack.var.x}}\"}\n".to_owned(),
            "6:38: a variable is not filled in here; it can stand in `values`, `config`, manifests and template files",
        ),
        (
            "    - {name: a, layer: k8s, distribution: k8s}\n".to_owned(),
            "6:43: `distribution` is \"k8s\", expected `k3s`, `rke2`, `kubeadm`, `canonical`, `none`",
        ),
        (
            "    - {name: a, layer: cni, distribution: k3s}\n".to_owned(),
            "6:29: `distribution` belongs to a pack on layer `k8s`, this one is on `cni`",
        ),
        (
            "    - {name: a, layer: net}\n".to_owned(),
            "6:24: `layer` is \"net\", expected `os`, `k8s`, `cni`, `csi`, `addon`",
        ),
        (
            "    - {name: A_b, layer: cni}\n".to_owned(),
            "6:14: a pack's `name` is \"A_b\", expected up to 63 lowercase letters, digits and inner `-`",
        ),
        (
            "    - {name: a, layer: cni, images: [\"a:b:c\"]}\n".to_owned(),
            "6:38: \"a:b:c\" is not an image reference: a repository is lowercase words joined by '/', '.', '_', '__' or '-'",
        ),
        ("    - {name: a, layer: cni, manifests: [\"m/*.yaml\"]}\n".to_owned(), "6:41: `m/*.yaml` matches no file"),
        ("    - {name: a, layer: cni, imageLists: [list.txt]}\n".to_owned(), "6:42: `list.txt` does not exist"),
        (
            "    - {name: a, layer: cni, imagelist: x}\n".to_owned(),
            "6:29: unknown field `imagelist`; did you mean `imageLists`?",
        ),
        ("    - {name: a, layer: cni, name: b}\n".to_owned(), "6:29: duplicate key \"name\", already given in line 6"),
        ("    []\n".to_owned(), "6:5: `packs` is empty; a profile has at least one pack"),
        (
            "    - {name: a, layer: cni}\n  requirements: {memory: lots}\n".to_owned(),
            "7:26: `memory` is the text \"lots\", expected an amount such as 512MiB or 4GiB",
        ),
        (
            "    - {name: a, layer: cni}\n  requirements: {installer: 1.0.0}\n".to_owned(),
            "7:18: `requirements.installer` LATER",
        ),
        (
            "    - {name: a, layer: cni}\n  platforms: []\n".to_owned(),
            "7:14: `platforms` is empty; leave it out for linux/amd64",
        ),
        (
            "    - {name: a, layer: cni}\n  platforms: [windows/amd64]\n".to_owned(),
            "7:15: platform windows/amd64 is not supported: nodes run linux",
        ),
        ("    - {name: a, layer: cni}\n  ignoreImages: [{image: x}]\n".to_owned(), "7:18: `reason` is missing"),
        ("    - {name: a, layer: cni}\n---\na: 1\n".to_owned(), "8:1: a profile is one document; this begins another"),
    ] {
        let expected = expected.replace("LATER", later).replace("REAL", real);
        let found = problems(&profile(&packs));
        assert_eq!(found.lines().next().unwrap(), format!("carrack.yaml:{expected}"), "{packs}");
        assert_eq!(found.lines().count(), 3, "more than one problem: {found}");
    }
}

#[test]
fn what_is_no_profile_is_told_in_one_problem() {
    let bomb: String = (1..9).fold("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned(), |text, level| {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        text + &format!("a{level}: &a{level} [{aliases}]\n")
    });
    for (text, expected) in [
        ("", "1:1: a profile is empty"),
        ("{a: [}", "1:5: not valid YAML: mismatched bracket '[' closed by '}'"),
        ("just text", "1:1: a profile must be a mapping, found the text \"just text\""),
        (&bomb, "5:45: aliases make this document too large (more than 100000 nodes)"),
        (
            "apiVersion: carrack/v1\nkind: Site\nspec: {role: server}\n",
            "2:7: `kind` is \"Site\", expected `ClusterProfile`; a site file is for carrack-install, with --site",
        ),
        (
            "apiVersion: carrack/v2\nkind: ClusterProfile\n",
            "1:13: `apiVersion` is \"carrack/v2\"; this version of Carrack reads `carrack/v1`",
        ),
        ("apiVersion: v1\nkind: Pod\n", "1:13: `apiVersion` is \"v1\"; this version of Carrack reads `carrack/v1`"),
    ] {
        let found = problems(text);
        assert_eq!(found.lines().next().unwrap(), format!("carrack.yaml:{expected}"));
    }
    let sandbox = Sandbox::new();
    sandbox.write("carrack.yaml", b"a: 1\nb: \xff\xfe\n");
    let ran = sandbox.carrack(&["check", "."]);
    assert_eq!(ran.stderr.lines().nth(1), Some("carrack.yaml:2:4: not text in UTF-8"));
    sandbox.write("carrack.yaml", vec![b'#'; (16 << 20) + 1]);
    let ran = sandbox.carrack(&["check", "."]);
    let large = "carrack.yaml: larger than 16 MiB, which no document of this kind is";
    assert_eq!((ran.code, ran.stderr.lines().nth(1)), (10, Some(large)));
}

#[test]
fn folders_and_files_do_not_depend_on_the_umask() {
    let sandbox = Sandbox::new();
    let script = format!("umask 077 && exec {} init new/edge", env!("CARGO_BIN_EXE_carrack"));
    let ran = sandbox.run(Path::new("/bin/sh"), &["-c", &script]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    for (name, mode) in [("new", 0o755), ("new/edge/hello", 0o755), ("new/edge/carrack.yaml", 0o644)] {
        let found = std::fs::metadata(sandbox.work().join(name)).unwrap().permissions().mode() & 0o7777;
        assert_eq!(found, mode, "{name}");
    }
}

/// How long what was applied is waited for goes into the bundle, which then needs an installer that knows of it.
#[test]
fn a_time_to_be_ready_is_checked_and_carried() {
    let packs = "    - {name: a, layer: addon, files: [{source: ./host.txt, path: /opt/host.txt}]}\n";
    let with = |ready: &str| profile(packs).replace("spec:\n", &format!("spec:\n  ready: {ready}\n"));
    for (ready, said) in [
        ("{timeout: soon}", "`timeout` is \"soon\", expected a time such as 90s, 10m or 1h"),
        ("{timeout: 25h}", "`timeout` is \"25h\""),
        ("{limit: 5m}", "limit"),
        ("5m", "`ready`"),
    ] {
        let problems = problems(&with(ready));
        assert!(problems.contains(said), "{ready}: {problems}");
    }
    let sandbox = Sandbox::new();
    sandbox.write("host.txt", "content");
    let built = |text: String| {
        sandbox.write("carrack.yaml", text);
        let built = sandbox.carrack(&["build", ".", "-o", "bundle"]);
        assert_eq!(built.code, 0, "{}", built.stderr);
        let bundle = std::fs::read(sandbox.work().join("bundle")).unwrap();
        String::from_utf8_lossy(&zstd::decode_all(&*bundle).unwrap()).into_owned()
    };
    let has = |text: &str, installer: &str| text.contains(&format!("installer\":\"{installer}\""));
    let plain = built(profile(packs));
    assert!(!plain.contains("readySeconds") && has(&plain, "0.1.0"));
    for (timeout, seconds) in [("5m", 300), ("0s", 0)] {
        let text = built(with(&format!("{{timeout: {timeout}}}")));
        assert!(text.contains(&format!("\"readySeconds\":{seconds}")) && has(&text, "0.4.0"), "{timeout}");
    }
}
