//! How operators, charts and policies spell images: what is taken as one, what is offered, and what is none.

use std::path::Path;

use carrack::images::{Options, discover};

use super::load;

/// What was found.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) images: Vec<String>,
    pub(crate) candidates: Vec<String>,
    pub(crate) warnings: Vec<String>,
}

/// Reads a manifest. `ignored` is YAML for `ignoreImages`.
pub(crate) fn read(manifest: &str, ignored: &str) -> Found {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(Path::new(folder.path()).join(name), text).unwrap();
    write("m.yaml", manifest);
    write(
        "carrack.yaml",
        &format!(
            "apiVersion: carrack/v1\nkind: ClusterProfile\nmetadata: {{name: p, version: 1.0.0}}\nspec:\n  packs: [{{name: a, layer: addon, manifests: [./m.yaml]}}]\n  ignoreImages: [{ignored}]\n"
        ),
    );
    let profile = load(&folder.path().join("carrack.yaml")).unwrap();
    let found = discover(&profile, &[], Options::default()).unwrap_or_else(|error| panic!("{error:?}: {manifest}"));
    let short = |name: String| name.replace("registry.example.org/", "");
    Found {
        images: found.images.iter().map(|image| short(image.reference.to_string())).collect(),
        candidates: found.candidates.iter().map(|image| short(image.reference.to_string())).collect(),
        warnings: found
            .warnings
            .iter()
            .map(|warning| warning.message.lines().next().unwrap_or_default().to_owned())
            .collect(),
    }
}

/// A custom resource with this `spec`.
fn resource(spec: &str) -> String {
    format!("apiVersion: example.org/v1\nkind: Thing\nmetadata: {{name: x}}\nspec: {spec}\n")
}

/// A ConfigMap with one file, of these lines.
fn config(file: &str) -> String {
    let lines: String = file.lines().map(|line| format!("    {line}\n")).collect();
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: x}}\ndata:\n  file: |\n{lines}")
}

fn environment(variables: &[(&str, &str)]) -> String {
    let variables: Vec<String> =
        variables.iter().map(|(name, value)| format!("{{name: {name}, value: \"{value}\"}}")).collect();
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: x}}\nspec:\n  containers: [{{name: a, image: registry.example.org/main:1, env: [{}]}}]\n",
        variables.join(", ")
    )
}

#[test]
fn parts_are_put_together_as_operators_do() {
    const REG: &str = "registry.example.org";
    for (spec, images) in [
        ("{binder: {image: {repository: REG/sched, name: binder, tag: v1}}}", vec!["sched/binder:v1"]),
        ("{image: {registry: REG, repository: team, name: operator, tag: \"2\"}}", vec!["team/operator:2"]),
        ("{image: {registry: REG, repository: team/operator, tag: \"2\"}}", vec!["team/operator:2"]),
        ("{driver: {repository: REG/gpu, image: driver, version: \"550\"}}", vec!["gpu/driver:550"]),
        ("{image: {hub: REG/mesh, image: proxy, tag: v3}}", vec!["mesh/proxy:v3"]),
        ("{image: {repo: REG/team, image: agent, tag: v3}}", vec!["team/agent:v3"]),
        ("{image: {base: REG/team, image: agent, tag: v3}}", vec!["team/agent:v3"]),
        ("{image: {repository: REG/team/agent, imageTag: v3}}", vec!["team/agent:v3"]),
        ("{image: {registry: REG/, repository: agent, tag: v3}}", vec!["agent:v3"]),
        ("{image: {repository: REG/a, image: REG/a, tag: v3}}", vec!["a:v3"]),
        ("{image: {repository: REG/a, image: REG/b/c, tag: v3}}", vec!["b/c:v3"]),
        ("{image: {repository: \"\", name: \"\", tag: v3}}", vec![]),
        ("{image: REG/a:1}", vec!["a:1"]),
        ("{image: {image: 'REG/a:1', name: app, tag: x}}", vec!["a:1"]),
        ("{image: REG/a, tag: v1, base: {image: 'REG/b:1'}, version: {image: 'REG/c:1'}}", vec!["a:v1", "b:1", "c:1"]),
        ("{repository: REG/a, tag: v1, version: 1.10}", vec!["a:v1"]),
    ] {
        let found = read(&resource(&spec.replace("REG", REG)), "");
        assert_eq!(
            (&found.images, found.candidates.len()),
            (&images.iter().map(|i| (*i).to_owned()).collect(), 0),
            "{spec}"
        );
        assert_eq!(found.warnings, [""; 0], "{spec}");
    }
}

#[test]
fn parts_that_can_be_read_in_several_ways_are_offered_in_all() {
    const REG: &str = "registry.example.org";
    for (spec, candidates) in [
        ("{image: {repository: REG/team/agent, name: agent, tag: v1}}", vec!["team/agent:v1", "team/agent/agent:v1"]),
        ("{image: {repository: REG/team/agent, name: main, tag: v1}}", vec!["team/agent:v1", "team/agent/main:v1"]),
        ("{hub: REG/mesh, tag: v3, proxy: {image: proxyv2}}", vec!["mesh/proxyv2:v3"]),
        ("{global: {hub: REG/mesh, tag: v3}, proxy: {image: proxyv2}}", vec!["mesh/proxyv2:v3"]),
        (
            "{global: {imageRegistry: REG}, db: {image: {repository: team/db, tag: \"1\"}}}",
            vec!["docker.io/team/db:1", "team/db:1"],
        ),
        (
            "{registry: REG/storage, parts: [{image: server, tag: v1}, {image: client, tag: v2}]}",
            vec!["storage/client:v2", "storage/server:v1"],
        ),
    ] {
        let found = read(&resource(&spec.replace("REG", REG)), "");
        assert_eq!(found.candidates, candidates, "{spec}");
        assert_eq!(found.images, [""; 0], "{spec}");
    }
}

#[test]
fn half_a_name_is_told_and_never_completed() {
    for spec in [
        "{server: {image: server, tag: v1}}",
        "{image: {name: server, tag: v1}}",
        "{image: {repository: \"\", image: server, tag: v1}}",
    ] {
        let found = read(&resource(spec), "");
        assert_eq!((found.images, found.candidates), (vec![], vec![]), "{spec}");
        let [warning] = &found.warnings[..] else { panic!("{:?}: {spec}", found.warnings) };
        assert!(warning.contains("\"server:v1\" is a part of an image's name"), "{warning}");
        assert_eq!(read(&resource(spec), "{image: 'server:v1', reason: r}").warnings, [""; 0]);
    }
}

#[test]
fn one_word_is_half_a_name_outside_of_containers() {
    let image = |spec: &str| read(&resource(spec), "");
    for spec in [
        "{manager: {image: manager}}",
        "{image: manager, version: null}",
        "{template: {image: manager, flavor: small}}",
        "{repository: \"\", image: manager, pullPolicy: IfNotPresent}",
    ] {
        let found = image(spec);
        assert_eq!((found.images, found.candidates), (vec![], vec![]), "{spec}");
        assert!(matches!(&found.warnings[..], [warning] if warning.contains("\"manager\" is a part")), "{spec}");
    }
    assert_eq!(image("{manager: {enabled: false, image: manager}}").warnings, [""; 0]);
    let application = "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: {name: a}\nspec: {source: {helm: {valuesObject: {image: pilot}}}}\n";
    let found = read(application, "");
    assert_eq!((found.images.len(), found.candidates.len(), found.warnings.len()), (0, 0, 1), "{found:?}");
    let values = read(&config("global:\n  proxy: {image: proxyv2}\n"), "");
    assert_eq!((values.candidates, values.warnings.len()), (vec![], 1));
    for (spec, name) in [
        ("{step: {image: bash, script: echo}}", "bash"),
        ("{template: {container: {image: alpine, command: [sh]}}}", "alpine"),
        ("{containers: [{image: busybox}]}", "busybox"),
    ] {
        assert_eq!(image(spec).images, [format!("docker.io/library/{name}:latest")], "{spec}");
    }
}

#[test]
fn a_part_of_another_name_is_no_tag_of_the_mapping_around() {
    let values = "base: {enableCRDs: true}\nhub: \"\"\ntag: \"\"\nimage: pilot\nglobal: {hub: registry.example.org/mesh, tag: v1, proxy: {image: proxyv2}}\n";
    let found = read(&config(values), "");
    assert_eq!((found.candidates, found.warnings), (vec!["mesh/pilot:v1".into(), "mesh/proxyv2:v1".into()], vec![]));
}

#[test]
fn tags_that_an_operator_completes_are_no_images() {
    let object = |images: &str, kind: &str, spec: &str| {
        let api = if kind == "ClusterPolicy" { "v1" } else { "v1alpha1" };
        let list = format!("apiVersion: v1\nkind: Pod\nmetadata: {{name: x}}\nspec: {{containers: [{images}]}}\n---\n");
        read(&format!("{list}apiVersion: nvidia.com/{api}\nkind: {kind}\nmetadata: {{name: p}}\nspec: {spec}\n"), "")
    };
    let driver = "repository: registry.example.org/nv, image: driver, version: \"595.91.07\"";
    for (kind, spec) in [
        ("ClusterPolicy", format!("{{driver: {{{driver}}}}}")),
        ("ClusterPolicy", format!("{{gds: {{enabled: true, {driver}}}}}")),
        ("NVIDIADriver", format!("{{{driver}}}")),
        ("NVIDIADriver", "{image: 'registry.example.org/nv/driver:595.91.07'}".to_owned()),
    ] {
        let found = object("{image: registry.example.org/other:1}", kind, &spec);
        assert_eq!((&found.images[..], found.candidates.len()), (&["other:1".to_owned()][..], 0), "{spec}");
        let [warning] = &found.warnings[..] else { panic!("{:?}", found.warnings) };
        assert!(warning.contains("nv/driver:595.91.07-ubuntu24.04"), "{warning}");
        let there = object("{image: 'registry.example.org/nv/driver:595.91.07-rhel9'}", kind, &spec);
        assert_eq!((there.images, there.warnings), (vec!["nv/driver:595.91.07-rhel9".to_owned()], vec![]), "{spec}");
    }
    let digest = format!("{{driver: {{{}}}}}", driver.replace("595.91.07", super::DIGEST));
    let found = object("{image: registry.example.org/other:1}", "ClusterPolicy", &digest);
    assert_eq!((found.images.len(), found.warnings.len()), (2, 0), "{found:?}");
    let off = object(
        "{image: registry.example.org/other:1}",
        "ClusterPolicy",
        &format!("{{gds: {{enabled: false, {driver}}}}}"),
    );
    assert_eq!((off.images.len(), off.warnings.len()), (1, 0));
}

#[test]
fn a_block_device_is_no_image() {
    let volume = "rbd: {monitors: ['10.0.0.1:6789'], pool: p, image: disk}";
    for manifest in [
        format!("apiVersion: v1\nkind: PersistentVolume\nmetadata: {{name: v}}\nspec: {{{volume}}}\n"),
        resource(&format!("{{template: {{volumes: [{{name: v, {volume}}}]}}}}")),
    ] {
        let found = read(&manifest, "");
        assert_eq!((found.images.len(), found.candidates.len(), found.warnings.len()), (0, 0, 0), "{found:?}");
    }
    // What a driver makes of a parameter, nobody knows.
    for manifest in [
        "apiVersion: v1\nkind: PersistentVolume\nmetadata: {name: v}\nspec: {csi: {driver: d, volumeAttributes: {image: disk}}}\n",
        "apiVersion: snapshot.storage.k8s.io/v1\nkind: VolumeSnapshotClass\nmetadata: {name: v}\nparameters: {image: disk.1}\n",
    ] {
        let found = read(manifest, "");
        assert_eq!((found.images.len(), found.candidates.len(), found.warnings.len()), (0, 0, 1), "{found:?}");
    }
}

#[test]
fn documents_in_texts_are_read_as_documents() {
    const REG: &str = "registry.example.org";
    for (file, candidates) in [
        ("image:\n  repository: REG/a\n  tag: v1\n", vec!["a:v1"]),
        ("{\"agent\": {\"image\": \"REG/agent\", \"tag\": \"v4\"}}", vec!["agent:v4"]),
        ("base: REG/storage\ncomponents:\n  server: {image: server, tag: v1}\n", vec!["storage/server:v1"]),
        ("global: {hub: REG/mesh, tag: \"3\"}\nproxy: {image: proxyv2}\n", vec!["mesh/proxyv2:3"]),
        ("apiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - image: REG/pod:1\n", vec!["pod:1"]),
        ("a: 1\n---\nimage: REG/second:1\n", vec!["second:1"]),
        ("outer: |\n  image:\n    repository: REG/inner\n    tag: v1\n", vec!["inner:v1"]),
        ("containers:\n- name: a\n  image: REG/plain\n", vec!["plain:latest"]),
        ("args: [--helper-image, REG/helper:1]\nenv: [{name: X_IMAGE, value: REG/x:1}]\n", vec!["helper:1", "x:1"]),
        ("{{ if .Values.x }}\nimage: \"REG/templated:1\"\n{{ end }}\n", vec!["templated:1"]),
        ("image: {{ .Values.image | default \"REG/given:1\" }}\n", vec!["given:1"]),
        ("Note: the image is nice,\nand its name: too.\n", vec![]),
        ("Containers may use any image: see the manual.\n", vec![]),
        ("listen: 0.0.0.0:8080\nupstream: redis:6379\n", vec![]),
    ] {
        let found = read(&config(&file.replace("REG", REG)), "");
        assert_eq!(
            (found.candidates.clone(), found.images.len()),
            (candidates.iter().map(|c| (*c).to_owned()).collect(), 0),
            "{file}\n{found:?}"
        );
    }
    let found = read(&config("line: 1\nmore:\n  image: {repository: registry.example.org/a, tag: v1}\n"), "");
    assert_eq!(found.candidates, ["a:v1"]);
}

#[test]
fn values_for_charts_in_objects_are_read() {
    let argo = "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: {name: app}\nspec:\n  source:\n    repoURL: https://git.example.org/x\n    path: chart\n    helm:\n";
    for (more, candidate) in [
        (
            "      values: |\n        image:\n          repository: registry.example.org/app\n          tag: v1\n",
            "app:v1",
        ),
        (
            "      parameters:\n        - {name: a.repository, value: registry.example.org/a}\n        - {name: a.tag, value: v2}\n",
            "a:v2",
        ),
        (
            "      parameters:\n        - {name: image.registry, value: registry.example.org}\n        - {name: image.repository, value: b}\n        - {name: image.tag, value: \"2\"}\n",
            "b:2",
        ),
        ("      parameters: [{name: image, value: \"registry.example.org/c:1\"}]\n", "c:1"),
    ] {
        let found = read(&format!("{argo}{more}"), "");
        assert_eq!(found.candidates, [candidate], "{more}");
        assert!(found.warnings.iter().any(|warning| warning.contains("by itself")), "{:?}", found.warnings);
    }
    let object = format!("{argo}      valuesObject: {{image: {{repository: registry.example.org/d, tag: v1}}}}\n");
    assert_eq!(read(&object, "").images, ["d:v1"]);
    let config = "apiVersion: helm.cattle.io/v1\nkind: HelmChartConfig\nmetadata: {name: traefik, namespace: kube-system}\nspec:\n  valuesContent: |-\n    image:\n      repository: registry.example.org/traefik\n      tag: v3\n";
    let found = read(config, "");
    assert_eq!(found.candidates, ["traefik:v3"]);
    assert_eq!(found.warnings.len(), 1, "{:?}", found.warnings);
}

#[test]
fn variables_that_say_image_are_read() {
    for (variables, candidates) in [
        (
            vec![("SIDECAR_IMAGE_REPOSITORY", "registry.example.org/sidecar"), ("SIDECAR_IMAGE_TAG", "v1")],
            vec!["sidecar:v1"],
        ),
        (vec![("IMAGE", "redis:7")], vec!["docker.io/library/redis:7"]),
        (vec![("JOB_IMAGE_NAME", "postgres:16")], vec!["docker.io/library/postgres:16"]),
        (vec![("IMAGE_WORKER", "busybox:1")], vec!["docker.io/library/busybox:1"]),
        (
            vec![
                ("SIDECAR_IMAGE_REGISTRY", "registry.example.org"),
                ("SIDECAR_IMAGE_NAME", "x"),
                ("SIDECAR_IMAGE_TAG", "v1"),
            ],
            vec!["x:v1"],
        ),
        (vec![("DEFAULT_IMAGE_URI", "registry.example.org/y:1")], vec!["y:1"]),
        (vec![("IMAGE_TAG", "v1"), ("IMAGE_PULL_POLICY", "IfNotPresent"), ("IMAGE_PULL_SECRETS", "a:1")], vec![]),
        (vec![("CACHE", "redis:6379"), ("IMAGINE", "a:1"), ("IMAGE_SIZE", "a:100")], vec![]),
    ] {
        let found = read(&environment(&variables), "");
        assert_eq!(found.candidates, candidates, "{variables:?}");
        assert_eq!(found.images, ["main:1"], "{variables:?}");
    }
}

#[test]
fn a_variable_may_switch_something() {
    for value in ["none", "disabled", "auto", "false", "0", ""] {
        let found = read(&environment(&[("SIDE_IMAGE", value)]), "");
        assert_eq!((&found.images[..], found.warnings.len()), (&["main:1".to_owned()][..], 0), "{value}");
    }
}

#[test]
fn patterns_and_placeholders_are_no_images() {
    let object = |api: &str, kind: &str, spec: &str| {
        format!("apiVersion: {api}\nkind: {kind}\nmetadata: {{name: x}}\nspec: {spec}\n")
    };
    for manifest in [
        object(
            "kyverno.io/v1",
            "ClusterPolicy",
            "{rules: [{validate: {pattern: {spec: {containers: [{image: \"*/nginx:*\"}]}}}}]}",
        ),
        object(
            "kyverno.io/v2beta1",
            "Policy",
            "{rules: [{verifyImages: [{imageReferences: [\"ghcr.io/*\"]}], validate: {pattern: {spec: {containers: [{image: \"!*:latest\"}]}}}}]}",
        ),
        object(
            "constraints.gatekeeper.sh/v1beta1",
            "K8sAllowedRepos",
            "{parameters: {images: [\"quay.io/*\"], exemptImages: [\"a/*\"]}}",
        ),
        object("policy.sigstore.dev/v1beta1", "ClusterImagePolicy", "{images: [{glob: \"**\"}]}"),
        object(
            "tekton.dev/v1",
            "Task",
            "{params: [{name: image}], steps: [{image: $(params.image)}, {image: \"$(params.a):$(params.b)\"}]}",
        ),
        object(
            "argoproj.io/v1alpha1",
            "Workflow",
            "{templates: [{container: {image: \"{{inputs.parameters.image}}\"}}]}",
        ),
        object("image.toolkit.fluxcd.io/v1beta2", "ImageRepository", "{image: ghcr.io/a/b, interval: 5m}"),
    ] {
        let found = read(&manifest, "");
        assert_eq!((&found.images[..], &found.candidates[..]), (&[][..], &[][..]), "{manifest}");
        assert_eq!(found.warnings, [""; 0], "{manifest}");
    }
    let gateway = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: g}\nspec:\n  template:\n    metadata: {labels: {sidecar.istio.io/inject: \"true\"}}\n    spec: {containers: [{name: istio-proxy, image: auto}]}\n";
    let found = read(gateway, "");
    assert_eq!((found.images.len(), found.candidates.len(), found.warnings.len()), (0, 0, 1), "{found:?}");
    let task = object(
        "tekton.dev/v1",
        "Task",
        "{params: [{name: image, default: \"registry.example.org/builder:1\"}], steps: [{image: registry.example.org/step:1}]}",
    );
    let found = read(&task, "");
    assert_eq!((found.images, found.candidates), (vec!["step:1".to_owned()], vec!["builder:1".to_owned()]));
    let mutate = object(
        "kyverno.io/v1",
        "ClusterPolicy",
        "{rules: [{mutate: {patchStrategicMerge: {spec: {containers: [{name: s, image: registry.example.org/side:1}]}}}}]}",
    );
    assert_eq!(read(&mutate, "").candidates, ["side:1"]);
}

#[test]
fn images_of_a_distribution_that_are_missing_are_named() {
    const KUBERNETES: &str =
        "kube-apiserver:v1.33.4, kube-controller-manager:v1.33.4, kube-scheduler:v1.33.4, kube-proxy:v1.33.4";
    let all = "registry.k8s.io/kube-apiserver:v1.33.4, registry.k8s.io/kube-controller-manager:v1.33.4, registry.k8s.io/kube-scheduler:v1.33.4, mirror.example.org/k8s/kube-proxy:v1.33.4, registry.k8s.io/etcd:3.5.21-0, registry.k8s.io/coredns/coredns:v1.12.0, registry.k8s.io/pause:3.10";
    for (pack, missing) in [
        ("distribution: kubeadm, version: 1.33.4".to_owned(), format!("{KUBERNETES}, etcd, coredns, pause; name what `kubeadm config images list --kubernetes-version v1.33.4` prints")),
        (format!("distribution: kubeadm, version: 1.33.4, images: [{all}]"), String::new()),
        (format!("distribution: kubeadm, version: 1.33.5, images: [{all}]"), KUBERNETES.replace("33.4", "33.5") + "; name what"),
        (
            "distribution: kubeadm, version: v1.33.4, config: {clusterConfiguration: {etcd: {external: {endpoints: ['https://e:2379']}}}, initConfiguration: {skipPhases: [addon/kube-proxy, addon/coredns]}}".to_owned(),
            KUBERNETES.replace(", kube-proxy:v1.33.4", "") + ", pause; name what",
        ),
        (
            // What is external here is no etcd.
            format!(
                "distribution: kubeadm, version: 1.33.4, images: [{}], config: {{clusterConfiguration: {{apiServer: {{extraArgs: [{{name: cloud-provider, value: external}}]}}}}}}",
                all.replace("registry.k8s.io/etcd:3.5.21-0, ", "")
            ),
            "etcd; name what".to_owned(),
        ),
        ("distribution: k3s, version: 1.33.4+k3s1, config: {disable: 'traefik,servicelb, metrics-server,local-storage'}".to_owned(), "mirrored-pause, mirrored-coredns-coredns; name k3s-images.txt".to_owned()),
        ("distribution: rke2, version: 1.33.4+rke2r1".to_owned(), "rke2-runtime, hardened-kubernetes, hardened-etcd, mirrored-pause, hardened-coredns; name rke2-images-all".to_owned()),
        ("distribution: k3s, version: 1.33.4+k3s1, config: {disable: [traefik, servicelb, metrics-server, local-storage]}".to_owned(), "mirrored-pause, mirrored-coredns-coredns; name k3s-images.txt".to_owned()),
        ("distribution: k3s, version: 1.33.4+k3s1, files: [{source: ./images.tar, path: /var/lib/rancher/k3s/agent/images/k3s.tar}]".to_owned(), String::new()),
        ("distribution: canonical, version: 1.33.4".to_owned(), "pause, coredns; name what `k8s list-images` prints".to_owned()),
        ("distribution: none, version: 1.33.4".to_owned(), String::new()),
        // What is carried under the names that others ask for is not what this one asks for.
        (
            format!("distribution: kubeadm, version: 1.33.4, images: [{all}], config: {{clusterConfiguration: {{imageRepository: mirror.example.org/k8s}}}}"),
            "mirror.example.org/k8s/…/kube-apiserver:v1.33.4, mirror.example.org/k8s/…/kube-controller-manager:v1.33.4, mirror.example.org/k8s/…/kube-scheduler:v1.33.4, mirror.example.org/k8s/…/etcd, mirror.example.org/k8s/…/coredns, mirror.example.org/k8s/…/pause; name what".to_owned(),
        ),
        (
            format!("distribution: kubeadm, version: 1.33.4, images: [{}], config: {{clusterConfiguration: {{imageRepository: mirror.example.org/k8s}}}}", all.replace("registry.k8s.io", "mirror.example.org/k8s")),
            String::new(),
        ),
        (
            format!("distribution: kubeadm, version: 1.33.4, images: [{all}], config: {{clusterConfiguration: {{dns: {{imageRepository: mirror.example.org/dns}}, etcd: {{local: {{imageRepository: registry.k8s.io}}}}}}}}"),
            "mirror.example.org/dns/…/coredns; name what".to_owned(),
        ),
        (
            "distribution: k3s, version: 1.33.4+k3s1, images: ['docker.io/rancher/mirrored-pause:3.6', 'mirror.example.org/rancher/mirrored-coredns-coredns:1.12.1'], config: {system-default-registry: mirror.example.org, disable: [traefik, servicelb, metrics-server, local-storage]}".to_owned(),
            "mirror.example.org/…/mirrored-pause; name k3s-images.txt".to_owned(),
        ),
        (
            "distribution: k3s, version: 1.33.4+k3s1, images: ['rancher/mirrored-pause:3.6', 'rancher/mirrored-coredns-coredns:1.12.1'], config: {pause-image: 'registry.example.org/pause:1', disable: [traefik, servicelb, metrics-server, local-storage]}".to_owned(),
            "registry.example.org/pause:1; name k3s-images.txt".to_owned(),
        ),
        (
            "distribution: k3s, version: 1.33.4+k3s1, images: ['rancher/mirrored-pause:3.6', 'rancher/mirrored-coredns-coredns:1.12.1'], config: {system-default-registry: '{{.carrack.var.registry}}', disable: [traefik, servicelb, metrics-server, local-storage]}".to_owned(),
            String::new(),
        ),
        (
            "distribution: rke2, version: 1.33.4+rke2r1, images: ['registry.example.org/etcd:3', 'rancher/rke2-runtime:v1', 'rancher/hardened-kubernetes:v1', 'rancher/mirrored-pause:3.6'], config: {etcd-image: 'registry.example.org/etcd:3', disable: [rke2-coredns]}".to_owned(),
            String::new(),
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("images.tar"), "").unwrap();
        let profile = format!(
            "apiVersion: carrack/v1\nkind: ClusterProfile\nmetadata: {{name: p, version: 1.0.0}}\nspec:\n  variables: [{{name: registry}}]\n  packs: [{{name: k, layer: k8s, {pack}}}]\n"
        );
        std::fs::write(folder.path().join("carrack.yaml"), profile).unwrap();
        let profile = load(&folder.path().join("carrack.yaml")).unwrap_or_else(|error| panic!("{error}: {pack}"));
        let found = discover(&profile, &[], Options::default()).unwrap();
        let warnings: Vec<&str> = found.warnings.iter().map(|warning| &*warning.message).collect();
        match &warnings[..] {
            [] => assert_eq!(missing, "", "{pack}"),
            [warning] => assert!(!missing.is_empty() && warning.contains(&format!("lacks their images: {missing}")), "{pack}: {warning}"),
            more => panic!("{pack}: {more:?}"),
        }
    }
}
