//! Image discovery over fixtures/discovery: which images are found where, and what is said about the rest.
#![cfg(feature = "operator")]
#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

mod operators;
mod spellings;

use std::path::Path;

use carrack::images::{DiscoverError, Discovery, Options, Reason, discover};
use carrack::problem::{Problem, Problems};
use carrack::profile::{self, Loaded, Packs, Profile};
use proptest::prelude::*;

const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn load(path: &Path) -> Result<Profile, Problems> {
    match profile::load(path, &Packs::new())? {
        Loaded::Profile(profile) => Ok(*profile),
        Loaded::Needs(packs) => panic!("no pack is in a registry: {packs:?}"),
    }
}

/// What is discovered in a fixture, with the problems' texts where there are any. `ignored` is YAML for `ignoreImages`.
fn discovered(fixture: &str, ignored: &str) -> Result<Discovery, Vec<String>> {
    let folder = tempfile::tempdir().unwrap();
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/discovery").join(fixture);
    std::fs::copy(from, folder.path().join(fixture)).unwrap();
    let text = format!(
        "apiVersion: carrack/v1\nkind: ClusterProfile\nmetadata: {{name: p, version: 1.0.0}}\nspec:\n  packs:\n    - name: pack\n      layer: addon\n      manifests: [./{fixture}]\n  ignoreImages: [{ignored}]\n"
    );
    let file = folder.path().join("carrack.yaml");
    std::fs::write(&file, text).unwrap();
    let short = |problem: &Problem| first_line(problem, folder.path());
    let profile = load(&file).unwrap();
    let mut discovery =
        without_charts(&profile).map_err(|problems| problems.found().iter().map(short).collect::<Vec<_>>())?;
    for warning in &mut discovery.warnings {
        warning.message = short(warning);
    }
    Ok(discovery)
}

fn without_charts(profile: &Profile) -> Result<Discovery, Problems> {
    discover(profile, &[], Options::default()).map_err(|error| match error {
        DiscoverError::Problems(problems) => problems,
        DiscoverError::Charts(errors) => panic!("{errors:?}"),
    })
}

fn first_line(problem: &Problem, folder: &Path) -> String {
    let text = problem.to_string().replace(&format!("{}/", folder.display()), "");
    text.lines().next().unwrap_or_default().to_owned()
}

fn place(reason: &Reason) -> String {
    let object = reason.object.as_ref().map(ToString::to_string).unwrap_or_default();
    format!("{}:{} {object} {}", reason.pack, reason.line, reason.field)
}

fn lines<'r>(found: impl IntoIterator<Item = (String, &'r Vec<Reason>)>) -> String {
    let mut text = String::new();
    for (reference, reasons) in found {
        let name = reference.replace("registry.example.org/", "").replace(DIGEST, "DIGEST");
        for reason in reasons {
            text += &format!("{name} <- {}\n", place(reason));
        }
    }
    text
}

fn images(discovery: &Discovery) -> String {
    lines(discovery.images.iter().map(|image| (image.reference.to_string(), &image.reasons)))
}

fn candidates(discovery: &Discovery) -> String {
    lines(discovery.candidates.iter().map(|image| (image.reference.to_string(), &image.reasons)))
}

fn warnings(discovery: &Discovery) -> Vec<&str> {
    discovery.warnings.iter().map(|warning| warning.message.as_str()).collect()
}

#[test]
fn every_kind_with_containers_is_read() {
    let found = discovered("workloads.yaml", "").unwrap();
    assert_eq!(
        images(&found),
        "\
controller:1 <- pack:56 ReplicationController controller spec.template.spec.containers[0].image
cron:1 <- pack:49 CronJob cron spec.jobTemplate.spec.template.spec.containers[0].image
daemon:1 <- pack:34 DaemonSet daemon spec.template.spec.containers[0].image
debug:1 <- pack:11 Pod a/pod spec.ephemeralContainers[0].image
deployment:1@DIGEST <- pack:24 Deployment deployment spec.template.spec.containers[0].image
init:1 <- pack:7 Pod a/pod spec.initContainers[0].image
job:1 <- pack:44 Job job- spec.template.spec.containers[0].image
model:1 <- pack:14 Pod a/pod spec.volumes[0].image.reference
pod:1 <- pack:9 Pod a/pod spec.containers[0].image
replica:1 <- pack:39 ReplicaSet replica spec.template.spec.containers[0].image
stateful:1 <- pack:29 StatefulSet stateful spec.template.spec.containers[0].image
template:1 <- pack:61 PodTemplate template template.spec.containers[0].image
"
    );
    assert_eq!((candidates(&found).as_str(), warnings(&found).len()), ("", 0));
}

#[test]
fn lists_are_opened_however_deep() {
    assert_eq!(
        images(&discovered("lists.yaml", "").unwrap()),
        "\
allow:1 <- pack:27 AllowList allow spec.image
nested:1 <- pack:14 Pod nested items[1].items[0].spec.containers[0].image
one:1 <- pack:7 Pod one items[0].spec.containers[0].image
typed:1 <- pack:21 Pod typed items[0].spec.containers[0].image
"
    );
}

#[test]
fn the_fields_of_operators_are_understood() {
    let found = discovered("operators.yaml", "").unwrap();
    assert_eq!(
        images(&found),
        "\
agent:1.10 <- pack:12 Everything cr spec.agent.repository
csv:1 <- pack:58 ClusterServiceVersion csv spec.install.spec.deployments[0].spec.template.spec.containers[0].image
database:1 <- pack:42 Deployment operators/operator spec.template.spec.containers[0].env[0].value
first:1 <- pack:9 Everything cr spec.images[0]
gpu/driver:550 <- pack:16 Everything cr spec.driver.image
named:v2 <- pack:19 Everything cr spec.named.image.name
operator:1 <- pack:40 Deployment operators/operator spec.template.spec.containers[0].image
pinned@DIGEST <- pack:14 Everything cr spec.pinned.repository
plain:1 <- pack:8 Everything cr spec.image
proxy:1 <- pack:43 Deployment operators/operator spec.template.spec.containers[0].env[1].value
related:1 <- pack:53 ClusterServiceVersion csv spec.relatedImages[0].image
second:1 <- pack:9 Everything cr spec.images[1]
server:1 <- pack:11 Everything cr spec.server.image.repository
sidecar:1 <- pack:28 Everything cr spec.podTemplate.spec.containers[1].image
toolkit:v1 <- pack:17 Everything cr spec.toolkit.image
"
    );
    assert_eq!(
        warnings(&found),
        [
            "operators.yaml:12:67: Everything cr: spec.agent: a tag is text, found the number 1.10; write it in quotes",
            "operators.yaml:28:83: Everything cr: spec.podTemplate.spec.containers[1].imagePullPolicy: `Always` asks a registry at every start although the image is there; use IfNotPresent",
        ]
    );
    let schema = "spec.versions[0].schema.openAPIV3Schema.properties.image.default";
    assert_eq!(
        candidates(&found),
        format!(
            "default:1 <- pack:73 CustomResourceDefinition everythings.example.org {schema}\n\
             helper:1 <- pack:20 Everything cr spec.helperImage\n"
        )
    );
}

#[test]
fn free_text_gives_candidates_and_secrets_give_nothing() {
    let found = discovered("candidates.yaml", "").unwrap();
    assert_eq!(images(&found), "issuer:1 <- pack:26 Deployment issuer spec.template.spec.containers[0].image\n");
    assert_eq!(
        candidates(&found),
        "\
helper:2 <- pack:10 ConfigMap kube-system/config data.helper.yaml.spec.containers[0].image
sidecar:3 <- pack:32 Deployment issuer spec.template.spec.containers[0].env[0].value
solver:1.16.1 <- pack:29 Deployment issuer spec.template.spec.containers[0].args[0]
"
    );
}

#[test]
fn ignored_images_are_left_out_and_unused_entries_are_told() {
    let ignored = "{image: 'registry.example.org/helper:2', reason: r}, {image: 'registry.example.org/issuer:1', reason: r}, {image: 'nowhere:1', reason: r}";
    let found = discovered("candidates.yaml", ignored).unwrap();
    assert_eq!(images(&found), "");
    assert!(!candidates(&found).contains("helper"), "{}", candidates(&found));
    let [unused] = warnings(&found)[..] else { panic!("{:?}", warnings(&found)) };
    assert!(unused.starts_with("carrack.yaml:9:"), "{unused}");
    assert!(unused.ends_with("`ignoreImages` names \"nowhere:1\", which is found nowhere"), "{unused}");
}

#[test]
fn what_would_pull_anyway_is_a_warning_with_its_place() {
    let found = discovered("policies.yaml", "").unwrap();
    let always = "`Always` asks a registry at every start although the image is there; use IfNotPresent";
    let latest = "is pulled at every start, as its tag is `latest`; set `imagePullPolicy`";
    assert_eq!(
        warnings(&found),
        [
            &format!("policies.yaml:6:77: Pod pulls: spec.containers[0].imagePullPolicy: {always}"),
            &format!("policies.yaml:7:29: Pod pulls: spec.containers[1]: registry.example.org/latest:latest {latest}"),
            &format!("policies.yaml:8:27: Pod pulls: spec.containers[2]: registry.example.org/none:latest {latest}"),
            "policies.yaml:12:7: Pod pulls: spec.containers[5]: this container has no image",
            &format!("policies.yaml:14:79: Pod pulls: spec.volumes[0].image.pullPolicy: {always}"),
            &format!("policies.yaml:20:73: Thing thing: spec.image.pullPolicy: {always}"),
        ]
    );
}

#[test]
fn what_looks_like_an_image_and_is_none_is_a_problem_with_its_place() {
    let problems = discovered("wrong.yaml", "").unwrap_err();
    assert_eq!(
        problems,
        [
            "wrong.yaml:6:27: Pod b/wrong: spec.containers[0].image: \"registry.example.org/Upper:1\" is not an image reference: the repository must be lowercase",
            "wrong.yaml:7:28: Pod b/wrong: spec.containers[1].image: a container's image must be a reference, found the text \"\"",
            "wrong.yaml:8:29: Pod b/wrong: spec.containers[2].image: a container's image must be a reference, found the number 12",
            "wrong.yaml:9:26: Pod b/wrong: spec.containers[3].image: a container's image must be a reference, found a mapping",
            "wrong.yaml:19:10: Thing thing: spec.image: \"https://example.org/disk.qcow2\" is a URL, not an image reference",
            "wrong.yaml:20:12: Thing thing: spec.images[0]: \"not an image\" is not an image reference: a repository is lowercase words joined by '/', '.', '_', '__' or '-'",
            "wrong.yaml:22:25: Thing thing: spec.server.image.repository: \"registry.example.org/untagged\" has neither `tag` nor `digest`, so which image it is cannot be told",
            "wrong.yaml:24:1: a Kubernetes object is a mapping, found the text \"just text\"",
            "wrong.yaml:26:1: not a Kubernetes object: `apiVersion` is missing",
            "wrong.yaml:30:29: duplicate key \"name\", already given in line 30",
            "wrong.yaml:32:9: not valid YAML: unclosed bracket '['",
        ]
    );
    let ignored = "{image: 'https://example.org/disk.qcow2', reason: a disk}";
    assert_eq!(discovered("wrong.yaml", ignored).unwrap_err().len(), problems.len() - 1);
}

#[test]
fn what_something_puts_an_image_in_the_place_of_is_a_warning() {
    let manifest =
        "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  containers: [{name: a, image: '${IMAGE}'}]\n";
    let found = spellings::read(manifest, "");
    let [warning] = &found.warnings[..] else { panic!("{:?}", found.warnings) };
    assert!(warning.contains("\"${IMAGE}\" is no image") && warning.contains("`ignoreImages`"), "{warning}");
    assert!(spellings::read(manifest, "{image: '${IMAGE}', reason: r}").warnings.is_empty());
}

#[test]
fn image_lists_have_one_reference_a_line() {
    let folder = tempfile::tempdir().unwrap();
    let profile = "apiVersion: carrack/v1\nkind: ClusterProfile\nmetadata: {name: p, version: 1.0.0}\nspec:\n  packs:\n    - {name: k3s, layer: k8s, imageLists: [list.txt], images: [nginx:1]}\n";
    std::fs::write(folder.path().join("carrack.yaml"), profile).unwrap();
    let list = folder.path().join("list.txt");
    std::fs::write(&list, "# k3s\r\ndocker.io/rancher/mirrored-pause:3.6\r\n\r\n  nginx:1  # again\n").unwrap();
    let profile = load(folder.path()).unwrap();
    assert_eq!(
        images(&discover(&profile, &[], Options::default()).unwrap()),
        "docker.io/library/nginx:1 <- k3s:6  spec.packs[0].images[0]\ndocker.io/library/nginx:1 <- k3s:4  \n\
         docker.io/rancher/mirrored-pause:3.6 <- k3s:2  \n"
    );
    std::fs::write(&list, "good:1\n  Bad/Name:1\nhttp://x\n").unwrap();
    let problems = without_charts(&profile).unwrap_err();
    let problems: Vec<String> = problems.found().iter().map(|problem| first_line(problem, folder.path())).collect();
    assert_eq!(
        problems,
        [
            "list.txt:2:3: \"Bad/Name:1\" is not an image reference: the repository must be lowercase",
            "list.txt:3:1: \"http://x\" is a URL, not an image reference",
        ]
    );
}

/// Lines that make most texts near to a profile, so that more than the parser is reached.
const PROFILE_LINES: &[&str] = &[
    "apiVersion: carrack/v1\n",
    "kind: ClusterProfile\n",
    "metadata: {name: p, version: 1.0.0}\n",
    "spec:\n",
    "  platforms: [linux/amd64, linux/arm64]\n",
    "  packs:\n",
    "    - name: a\n",
    "    - {name: b, layer: addon}\n",
    "      layer: k8s\n",
    "      distribution: rke2\n",
    "      images: [nginx:1, 12, null, {}]\n",
    "      manifests: ['*.yaml', '**', '[', '../*', '/']\n",
    "      imageLists: [carrack.yaml, .]\n",
    "      files: [{source: carrack.yaml, path: /x, mode: '0755'}, {source: [], path: {}}, x]\n",
    "  ignoreImages: [{image: x, reason: y}, {}]\n",
    "      files:\n",
    "      - &a {source: *a}\n",
    "<<: {}\n",
    "---\n",
];

/// Lines that make most texts near to a manifest.
const MANIFEST_LINES: &[&str] = &[
    "apiVersion: v1\n",
    "kind: Pod\n",
    "kind: List\n",
    "kind: ConfigMap\n",
    "metadata: {name: p, namespace: [], generateName: 1}\n",
    "items: [{}, x, {spec: {image: 1}}]\n",
    "data: {a: 'image: nginx', b: [quay.io/a/b:1]}\n",
    "spec:\n",
    "  containers:\n",
    "    - image: nginx\n",
    "    - {image: [], env: [{name: A_IMAGE, value: {}}, x]}\n",
    "    - <<: *a\n",
    "  volumes: [{image: {reference: {}}}, {image: {reference: a}}, 1]\n",
    "  image: {repository: a, tag: 1.10, digest: x, registry: []}\n",
    "  images: [a, [b], {c: d}, null]\n",
    "  x: &a {image: b, repository: c}\n",
    "---\n",
];

fn near(lines: &'static [&'static str]) -> impl Strategy<Value = String> {
    let line = prop_oneof![8 => proptest::sample::select(lines).prop_map(str::to_owned), 1 => "\\PC{0,20}\n"];
    proptest::collection::vec(line, 0..16).prop_map(|lines| lines.concat())
}

proptest! {
    #[test]
    fn any_text_is_a_profile_or_problems(text in prop_oneof!["\\PC{0,80}", near(PROFILE_LINES)]) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(profile::FILE_NAME), &text).unwrap();
        match load(folder.path()) {
            // What is found in a profile that reads itself as manifest or list is not of interest here.
            Ok(profile) => drop(discover(&profile, &[], Options::default())),
            Err(problems) => prop_assert!(!problems.found().is_empty()),
        }
    }

    #[test]
    fn any_manifest_is_discovered_or_problems(text in near(MANIFEST_LINES)) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("m.yaml"), &text).unwrap();
        let packs = "{name: a, layer: addon, manifests: [m.yaml]}";
        let text = format!("apiVersion: carrack/v1\nkind: ClusterProfile\nmetadata: {{name: p, version: 1.0.0}}\nspec: {{packs: [{packs}]}}\n");
        std::fs::write(folder.path().join(profile::FILE_NAME), text).unwrap();
        drop(discover(&load(folder.path()).unwrap(), &[], Options::default()));
    }
}

#[test]
fn what_two_fields_or_two_arguments_give_together_is_a_candidate() {
    let found = discovered("pairs.yaml", "").unwrap();
    assert_eq!(
        images(&found),
        "controller:1 <- pack:10 Deployment controller spec.template.spec.containers[0].image\n"
    );
    assert_eq!(
        candidates(&found),
        "\
agent:1.10 <- pack:15 Deployment controller spec.template.spec.containers[0].args[3]
helper:latest <- pack:13 Deployment controller spec.template.spec.containers[0].args[1]
proxy:2.4 <- pack:25 Everything cr spec.proxy.imageRepository
sidecar:latest <- pack:14 Deployment controller spec.template.spec.containers[0].args[2]
"
    );
}

#[test]
fn a_template_of_a_chart_is_told_from_a_manifest() {
    let hint = "is a template of a Helm chart, and a manifest is not rendered; name the chart with `chart` instead";
    assert_eq!(
        discovered("template.yaml", "").unwrap_err(),
        [format!("template.yaml:6:5: \"{{{{- include \\\"shop.labels\\\" . | nindent 4 }}}}\" {hint}")]
    );
    assert_eq!(
        discovered("quoted-template.yaml", "").unwrap_err(),
        [format!("quoted-template.yaml:6:27: Pod shop: spec.containers[0].image: \"{{{{ .Values.image }}}}\" {hint}")]
    );
}

#[test]
fn a_file_without_an_object_is_a_warning() {
    assert_eq!(
        warnings(&discovered("empty.yaml", "").unwrap()),
        ["empty.yaml:1:1: no Kubernetes object is in this file"]
    );
}

#[test]
fn a_chart_that_the_cluster_would_fetch_is_a_warning() {
    let message =
        "the cluster fetches this chart by itself, and its images are not read; name it with `chart` in a pack";
    assert_eq!(
        warnings(&discovered("delegated.yaml", "").unwrap()),
        [
            format!("delegated.yaml:6:10: HelmChart kube-system/remote: spec.chart: {message}"),
            format!("delegated.yaml:18:10: HelmRelease flux: spec.chart: {message}"),
            format!("delegated.yaml:24:58: Application argo: spec.source.chart: {message}"),
        ]
    );
}

#[test]
fn fields_that_are_called_image_and_annotations_give_candidates() {
    let found = discovered("called-image.yaml", "").unwrap();
    assert_eq!(images(&found), "");
    assert_eq!(
        candidates(&found),
        "\
quay.io/a/noted:1.2 <- pack:7 Runner ci metadata.annotations.note
base:v1.2 <- pack:11 Runner ci spec.baseImage
proxy:latest <- pack:6 Runner ci metadata.annotations.sidecar.istio.io/proxyImage
runner:latest <- pack:10 Runner ci spec.runnerImage
"
    );
}
