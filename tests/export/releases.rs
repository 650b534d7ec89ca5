//! Helm releases: their charts, their values, and their objects, which are exported once.

use std::path::Path;

use serde_json::{Value, json};

use super::cluster::{Cluster, by_helm, object, owned, release, template};
use super::helm::helms;
use super::server::ApiServer;
use super::{Place, expected, succeed};

const TEMPLATE: &str = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: {{ .Release.Name }}}\nspec:\n  template:\n    spec:\n      \
    containers:\n      - {name: main, image: \"{{ .Values.image.repository }}:{{ .Values.image.tag }}\"}\n";
const DEFINITION: &str =
    "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: posts.example.org}\n";

fn chart(version: &str, dependencies: Value) -> Value {
    json!({
        "metadata": {"apiVersion": "v2", "name": "blog", "version": version, "dependencies": dependencies},
        "templates": {"templates/deployment.yaml": TEMPLATE},
        "values": {"image": {"repository": "nowhere.example.org/none", "tag": "0"}},
        "files": {"crds/post.yaml": DEFINITION, "README.md": "hello"},
    })
}

/// A release with what it has made, and an image that its deployment runs.
fn cluster(dependencies: Value) -> Cluster {
    let mut cluster = Cluster::new(ApiServer::plain());
    let image = cluster.steady("shop/blog");
    let (repository, tag) = image.0.rsplit_once(':').unwrap();
    let values = json!({"image": {"repository": repository, "tag": tag}});
    for (revision, status) in [(1, "superseded"), (9, "superseded"), (10, "deployed"), (11, "failed")] {
        let chart = chart(&format!("1.0.{revision}"), dependencies.clone());
        cluster.add(release("shop", "journal", revision, status, &chart, &values));
    }
    let made = object("apps/v1", "Deployment", "shop", "journal", json!({"spec": {"template": template(&image.0)}}));
    cluster.add(by_helm(made, "shop", "journal"));
    let set = object("apps/v1", "ReplicaSet", "shop", "journal-1", json!({"spec": {"template": template(&image.0)}}));
    cluster.add(owned(set, "apps/v1", "Deployment", "journal"));
    cluster.pod("journal-1-a", Some(("apps/v1", "ReplicaSet", "journal-1")), &[("main", &image)]);
    cluster.add(object(
        "apiextensions.k8s.io/v1",
        "CustomResourceDefinition",
        "",
        "posts.example.org",
        json!({"spec": {}}),
    ));
    cluster.add(object("v1", "ConfigMap", "shop", "by-hand", json!({"data": {"a": "b"}})));
    cluster
}

#[test]
fn the_chart_of_a_release_is_exported_and_its_objects_are_not() {
    let cluster = cluster(Value::Null);
    let place = Place::of(&cluster);
    let ran = succeed(place.export(&[]));
    assert!(ran.stderr.contains("1 Helm release") && !ran.stderr.contains("warning"), "{}", ran.stderr);
    assert!(place.file("journal/chart/blog/Chart.yaml").contains("version: \"1.0.10\""));
    assert_eq!(place.file("journal/chart/blog/templates/deployment.yaml"), TEMPLATE);
    assert_eq!(place.file("journal/chart/blog/crds/post.yaml"), DEFINITION);
    assert!(place.file("journal/values.yaml").contains("repository: 127.0.0.1:"));
    let profile = place.file("carrack.yaml");
    assert!(profile.contains("release: journal") && profile.contains("namespace: shop"), "{profile}");
    let names: Vec<String> = place.files().iter().map(|file| file.display().to_string()).collect();
    assert!(names.iter().all(|name| !name.contains("deployments") && !name.contains("definitions")), "{names:?}");
    assert!(place.file("shop/configmaps.yaml").contains("by-hand"));
    assert!(place.file("NOT-EXPORTED.md").contains("in the chart of the Helm release shop/journal"));
    assert_eq!(place.build(&["--allow-unrendered"]), expected(&cluster));
    for helm in helms("an exported chart is rendered") {
        assert_eq!(
            place.build_with(&[], &[("CARRACK_HELM", helm.as_os_str())]),
            expected(&cluster),
            "{}",
            helm.display()
        );
    }
}

#[test]
fn a_tag_that_has_moved_since_is_refused_and_not_taken() {
    let mut cluster = cluster(Value::Null);
    cluster.moved("shop/blog");
    let running = cluster.running["shop/blog"];
    let place = Place::of(&cluster);
    succeed(place.export(&[]));
    let ran = place.sandbox.carrack(&["build", "out", "-o", "bundle.tar.zst", "--allow-unrendered"]);
    assert_eq!(ran.code, 10, "{ran:?}");
    assert!(
        ran.stderr.contains("shop/blog:1 would stand for") && ran.stderr.contains(&running.to_string()),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_release_without_its_subcharts_is_exported_as_objects() {
    let cluster = cluster(json!([{"name": "redis", "version": "1.0.0", "repository": "https://charts.example.org"}]));
    let place = Place::of(&cluster);
    let ran = succeed(place.export(&[]));
    let told =
        "Helm release shop/journal: no chart can be made of it: Helm keeps no subcharts in a release, and it has redis";
    assert!(ran.stderr.contains(told), "{}", ran.stderr);
    let text = place.file("shop/deployments.yaml");
    assert!(text.contains("name: journal") && !text.contains("Helm") && !text.contains("meta.helm.sh"), "{text}");
    assert!(place.file("cluster/customresourcedefinitions.yaml").contains("posts.example.org"));
    assert_eq!(place.build(&[]), expected(&cluster));
}

#[test]
fn records_that_mean_harm_are_told_and_do_none() {
    let cluster = Cluster::new(ApiServer::plain());
    let mut paths = chart("1.0.0", Value::Null);
    paths["templates"]["../../../../etc/cron.d/x"] = "* * * * * root true".into();
    let mut deep = chart("1.0.0", Value::Null);
    deep["metadata"]["name"] = "../x".into();
    let mut large = chart("1.0.0", Value::Null);
    large["files"]["zeros"] = "0".repeat(6 << 20).into();
    for (name, chart) in [("paths", &paths), ("deep", &deep), ("large", &large)] {
        cluster.add(release("shop", name, 1, "deployed", chart, &json!({})));
    }
    let mut garbage = release("shop", "garbage", 1, "deployed", &paths, &json!({}));
    garbage["data"]["release"] = "bm90IGEgcmVsZWFzZQ==".into();
    cluster.add(garbage);
    cluster.add(release("shop", "failed", 1, "failed", &chart("1.0.0", Value::Null), &json!({})));
    let literal = json!({"motd": "{{.carrack.var.x}}"});
    cluster.add(release("shop", "literal", 1, "deployed", &chart("1.0.0", Value::Null), &literal));
    let place = Place::of(&cluster);
    let ran = succeed(place.export(&[]));
    for told in [
        "shop/paths: no chart",
        "shop/deep: no chart",
        "shop/large: no chart",
        "shop/garbage: its record",
        "shop/failed: no revision",
        "shop/literal: its values",
    ] {
        assert!(ran.stderr.contains(told), "{told}: {}", ran.stderr);
    }
    assert!(ran.stderr.contains("0 Helm releases"), "{}", ran.stderr);
    assert!(place.files().iter().all(|file| !file.ends_with("x")));
}

/// What helm 3.22 wrote for a chart with helpers, a schema, a resource definition and a subchart.
const RECORDED: &str = include_str!("recorded/helm-3-release.json");
const RECORDED_WITH_A_SUBCHART: &str = include_str!("recorded/helm-3-release-with-a-subchart.json");

fn recorded(text: &str) -> Value {
    let mut record: Value = serde_json::from_str(text).unwrap();
    record["apiVersion"] = "v1".into();
    record["kind"] = "Secret".into();
    record
}

#[test]
fn a_record_of_helm_itself_is_a_chart_again() {
    let cluster = Cluster::new(ApiServer::plain());
    cluster.add(recorded(RECORDED));
    let place = Place::of(&cluster);
    let ran = succeed(place.export(&[]));
    assert!(ran.stderr.contains("1 Helm release") && !ran.stderr.contains("warning"), "{}", ran.stderr);
    let chart = place.sandbox.work().join("out/journal/chart/blog");
    let mut files: Vec<String> =
        place.files().iter().filter_map(|file| Some(file.strip_prefix(&chart).ok()?.display().to_string())).collect();
    files.sort();
    let there = [".helmignore", "Chart.yaml", "README.md", "crds/post.yaml", "files/motd", "templates/NOTES.txt"];
    let more = ["templates/_helpers.tpl", "templates/deployment.yaml", "values.schema.json", "values.yaml"];
    assert_eq!(files, [&there[..], &more].concat());
    assert_eq!(place.file("journal/values.yaml"), "replicas: 3\n");
    for helm in helms("a chart that Helm has recorded is rendered") {
        let program = Path::new(env!("CARGO_BIN_EXE_carrack"));
        let ran = succeed(place.sandbox.run_with(program, &["images", "out"], &[("CARRACK_HELM", helm.as_os_str())]));
        assert_eq!(ran.stdout, "registry.example.org/shop/blog:1\n", "{}", helm.display());
    }
}

#[test]
fn a_record_in_a_config_map_is_one_too_and_a_subchart_is_missed() {
    use base64::Engine;
    let cluster = Cluster::new(ApiServer::plain());
    let mut record = recorded(RECORDED_WITH_A_SUBCHART);
    let text = base64::engine::general_purpose::STANDARD.decode(record["data"]["release"].as_str().unwrap()).unwrap();
    record["kind"] = "ConfigMap".into();
    record["data"]["release"] = String::from_utf8(text).unwrap().into();
    cluster.add(record);
    let place = Place::of(&cluster);
    let ran = succeed(place.export(&[]));
    let told =
        "Helm release shop/journal: no chart can be made of it: Helm keeps no subcharts in a release, and it has extra";
    assert!(ran.stderr.contains(told), "{}", ran.stderr);
    assert!(!place.sandbox.work().join("out/shop").exists());
}
