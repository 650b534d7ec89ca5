//! Workloads and the images that they run.

use serde_json::json;

use super::cluster::{Cluster, object, owned, template};
use super::server::ApiServer;
use super::{Place, expected, succeed};

/// Every kind of workload, each with an image whose tag has moved since it was pulled.
fn workloads() -> Cluster {
    let mut cluster = Cluster::new(ApiServer::plain());
    for (kind, api_version) in [
        ("Deployment", "apps/v1"),
        ("StatefulSet", "apps/v1"),
        ("DaemonSet", "apps/v1"),
        ("ReplicaSet", "apps/v1"),
        ("Job", "batch/v1"),
        ("ReplicationController", "v1"),
    ] {
        let name = kind.to_lowercase();
        let image = cluster.moved(&format!("shop/{name}"));
        let mut spec = json!({"template": template(&image.0), "selector": {"matchLabels": {"app": "x"}}});
        if kind == "Job" {
            spec["template"]["metadata"]["labels"] = json!({"batch.kubernetes.io/controller-uid": "u", "app": "x"});
        }
        cluster.add(object(api_version, kind, "shop", &name, json!({"spec": spec, "status": {"replicas": 1}})));
        if kind == "Deployment" {
            let set = object(
                "apps/v1",
                "ReplicaSet",
                "shop",
                "deployment-5d",
                json!({"spec": {"template": template(&image.0)}}),
            );
            cluster.add(owned(set, "apps/v1", "Deployment", &name));
            // What admission has put in, and what somebody has looked inside with.
            let sidecar = cluster.moved("shop/sidecar");
            cluster.pod(
                "deployment-5d-a",
                Some(("apps/v1", "ReplicaSet", "deployment-5d")),
                &[("main", &image), ("proxy", &sidecar)],
            );
        } else {
            cluster.pod(&format!("{name}-a"), Some((api_version, kind, &name)), &[("main", &image)]);
        }
    }
    let image = cluster.moved("shop/cronjob");
    let job = json!({"jobTemplate": {"spec": {"template": template(&image.0)}}, "schedule": "* * * * *"});
    cluster.add(object("batch/v1", "CronJob", "shop", "nightly", json!({"spec": job})));
    let job = object("batch/v1", "Job", "shop", "nightly-29", json!({"spec": {"template": template(&image.0)}}));
    cluster.add(owned(job, "batch/v1", "CronJob", "nightly"));
    cluster.pod("nightly-29-x", Some(("batch/v1", "Job", "nightly-29")), &[("main", &image)]);
    let image = cluster.moved("shop/pod");
    cluster.pod("alone", None, &[("main", &image)]);
    // What an operator makes of a resource of its own.
    let image = cluster.moved("shop/operated");
    let definition = json!({"spec": {"group": "example.org", "names": {"kind": "Widget", "plural": "widgets"}, "scope": "Namespaced",
        "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {"type": "object"}}}]}});
    cluster.add(object("apiextensions.k8s.io/v1", "CustomResourceDefinition", "", "widgets.example.org", definition));
    cluster.add(object(
        "example.org/v1",
        "Widget",
        "shop",
        "wide",
        json!({"spec": {"size": 3}, "status": {"ok": true}}),
    ));
    let made = object("apps/v1", "Deployment", "shop", "wide-made", json!({"spec": {"template": template(&image.0)}}));
    cluster.add(owned(made, "example.org/v1", "Widget", "wide"));
    let set = object("apps/v1", "ReplicaSet", "shop", "wide-made-1", json!({"spec": {"template": template(&image.0)}}));
    cluster.add(owned(set, "apps/v1", "Deployment", "wide-made"));
    cluster.pod("wide-made-1-a", Some(("apps/v1", "ReplicaSet", "wide-made-1")), &[("main", &image)]);
    cluster
}

#[test]
fn a_build_of_the_export_has_the_images_that_run() {
    let cluster = workloads();
    let place = Place::of(&cluster);
    let ran = succeed(place.export(&[]));
    assert!(!ran.stderr.contains("warning"), "{}", ran.stderr);
    succeed(place.sandbox.carrack(&["check", "out"]));
    assert_eq!(place.build(&[]), expected(&cluster));
    let profile = place.file("carrack.yaml");
    assert!(profile.contains("distribution: k3s") && profile.contains("version: 1.32.5+k3s1"), "{profile}");
    assert!(profile.contains("- example.org/v1/Widget"), "{profile}");
    let deployments = place.file("shop/deployments.yaml");
    for gone in ["status", "uid", "managedFields", "last-applied", "resourceVersion", "creationTimestamp", "Always"] {
        assert!(!deployments.contains(gone), "{gone}: {deployments}");
    }
    assert!(deployments.contains("team: blue") && !deployments.contains("wide-made"), "{deployments}");
    let pod = place.file("shop/pods.yaml");
    for gone in ["nodeName", "kube-api-access", "tolerations", "priority", "serviceAccount:", "deployment-5d"] {
        assert!(!pod.contains(gone), "{gone}: {pod}");
    }
    assert!(!place.file("shop/jobs.yaml").contains("controller-uid"));
    let notes = place.file("NOT-EXPORTED.md");
    assert!(notes.contains("Pod: shop/cronjob") || notes.contains("shop/nightly-29-x"), "{notes}");
}

#[test]
fn pods_that_do_not_agree_are_told() {
    let mut cluster = Cluster::new(ApiServer::plain());
    let (old, new) = (cluster.steady("shop/rolled"), ("x".to_owned(), "y".to_owned()));
    let spec = json!({"spec": {"template": template(&old.0)}});
    for name in ["rolled", "moved", "local", "idle"] {
        cluster.add(object("apps/v1", "DaemonSet", "shop", name, spec.clone()));
    }
    let owner = |name| Some(("apps/v1", "DaemonSet", name));
    cluster.pod("rolled-1", owner("rolled"), &[("main", &old)]);
    cluster.pod("rolled-2", owner("rolled"), &[("main", &new)]);
    let other = format!("{}@sha256:{}", old.0, "b".repeat(64));
    cluster.pod("moved-1", owner("moved"), &[("main", &old)]);
    cluster.pod("moved-2", owner("moved"), &[("main", &(old.0.clone(), other))]);
    cluster.pod("local-1", owner("local"), &[("main", &(old.0.clone(), format!("sha256:{}", "c".repeat(64))))]);
    let place = Place::of(&cluster);
    let ran = succeed(place.export(&[]));
    for told in [
        "DaemonSet.apps shop/rolled, container main: some pods run x, and ",
        "DaemonSet.apps shop/moved, container main: ",
        " and as sha256:bbbb",
        "DaemonSet.apps shop/local, container main: ",
        "runs as sha256:cccc",
        "DaemonSet.apps shop/idle, container main: ",
        "has no pod that says which digest it is",
    ] {
        assert!(ran.stderr.contains(told), "{told}: {}", ran.stderr);
        assert!(place.file("NOT-EXPORTED.md").contains(told), "{told}");
    }
    let text = place.file("shop/daemonsets.yaml");
    assert_eq!(text.matches("@sha256:").count(), 1, "{text}");
    // The tag has not moved, so it means the same image.
    assert_eq!(place.build(&[]), expected(&cluster));
}

#[test]
fn every_container_of_a_pod_counts() {
    let mut cluster = Cluster::new(ApiServer::plain());
    let [main, first, debug] = ["main", "first", "debug"].map(|name| cluster.moved(&format!("shop/{name}")));
    let mut spec = json!({"template": template(&main.0)});
    spec["template"]["spec"]["initContainers"] = json!([{"name": "first", "image": first.0}]);
    cluster.add(object("apps/v1", "StatefulSet", "shop", "db", json!({"spec": spec})));
    let one = |name: &str, image: &(String, String)| json!([{"name": name, "image": image.0, "imageID": image.1}]);
    let pod = json!({
        "spec": {"containers": one("main", &main), "initContainers": one("first", &first), "ephemeralContainers": one("debug", &debug)},
        "status": {
            "containerStatuses": one("main", &main),
            "initContainerStatuses": [{"name": "first", "imageID": format!("docker-pullable://{}", first.1)}],
            "ephemeralContainerStatuses": one("debug", &debug),
        },
    });
    cluster.add(owned(object("v1", "Pod", "shop", "db-0", pod.clone()), "apps/v1", "StatefulSet", "db"));
    let mut leaving = object("v1", "Pod", "shop", "db-1", pod);
    leaving["status"]["containerStatuses"][0]["imageID"] = format!("x@sha256:{}", "d".repeat(64)).into();
    leaving["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
    cluster.add(owned(leaving, "apps/v1", "StatefulSet", "db"));
    let place = Place::of(&cluster);
    let ran = succeed(place.export(&[]));
    assert!(!ran.stderr.contains("warning"), "{}", ran.stderr);
    assert_eq!(place.build(&[]), expected(&cluster));
}

#[test]
fn what_the_cluster_writes_into_objects_is_left_out() {
    let cluster = Cluster::new(ApiServer::plain());
    let ports = json!([{"port": 80, "nodePort": 30080}]);
    for (name, spec) in [
        (
            "inner",
            json!({"type": "ClusterIP", "clusterIP": "10.43.0.9", "clusterIPs": ["10.43.0.9"], "ports": [{"port": 80}]}),
        ),
        (
            "headless",
            json!({"type": "ClusterIP", "clusterIP": "None", "clusterIPs": ["None"], "ports": [{"port": 81}]}),
        ),
        ("outer", json!({"type": "NodePort", "clusterIP": "10.43.0.10", "ports": ports})),
        (
            "balanced",
            json!({"type": "LoadBalancer", "clusterIP": "10.43.0.11", "ports": ports, "healthCheckNodePort": 31000}),
        ),
    ] {
        cluster.add(object("v1", "Service", "shop", name, json!({"spec": spec, "status": {"loadBalancer": {}}})));
    }
    let mut claim = object(
        "v1",
        "PersistentVolumeClaim",
        "shop",
        "data",
        json!({"spec": {"volumeName": "pvc-77", "resources": {"requests": {"storage": "1Gi"}}}, "status": {"phase": "Bound"}}),
    );
    claim["metadata"]["annotations"]["pv.kubernetes.io/bind-completed"] = "yes".into();
    claim["metadata"]["annotations"]["volume.kubernetes.io/selected-node"] = "one".into();
    claim["metadata"]["finalizers"] = json!(["kubernetes.io/pvc-protection"]);
    cluster.add(claim);
    let mut volume = object("v1", "PersistentVolume", "", "pvc-77", json!({"spec": {}}));
    volume["metadata"]["annotations"]["pv.kubernetes.io/provisioned-by"] = "rancher.io/local-path".into();
    cluster.add(volume);
    for (kind, name) in [
        ("ServiceAccount", "default"),
        ("ServiceAccount", "web"),
        ("ConfigMap", "kube-root-ca.crt"),
        ("ConfigMap", "web"),
    ] {
        cluster.add(object("v1", kind, "shop", name, json!({"secrets": [{"name": "web-token-1"}]})));
    }
    cluster.add(object("v1", "ConfigMap", "kube-system", "coredns", json!({"data": {"a": "b"}})));
    let mut role = object("rbac.authorization.k8s.io/v1", "ClusterRole", "", "cluster-admin", json!({"rules": []}));
    role["metadata"]["labels"] = json!({"kubernetes.io/bootstrapping": "rbac-defaults"});
    cluster.add(role);
    cluster.add(object("rbac.authorization.k8s.io/v1", "ClusterRole", "", "shop:reader", json!({"rules": []})));
    let place = Place::of(&cluster);
    succeed(place.export(&[]));
    let services = place.file("shop/services.yaml");
    assert!(!services.contains("10.43.0") && services.contains("clusterIP: None"), "{services}");
    assert_eq!(services.matches("30080").count(), 1, "{services}");
    let claims = place.file("shop/persistentvolumeclaims.yaml");
    assert!(!claims.contains("pvc") && !claims.contains("kubernetes.io") && claims.contains("1Gi"), "{claims}");
    let accounts = place.file("shop/serviceaccounts.yaml");
    assert!(
        accounts.contains("name: web") && !accounts.contains("default") && !accounts.contains("token"),
        "{accounts}"
    );
    assert!(!place.file("shop/configmaps.yaml").contains("kube-root-ca"));
    let roles = place.file("cluster/clusterroles.yaml");
    assert!(roles.contains("shop:reader") && !roles.contains("cluster-admin"), "{roles}");
    let notes = place.file("NOT-EXPORTED.md");
    for told in ["kube-system/coredns", "PersistentVolume: pvc-77", "name it in --namespaces"] {
        assert!(notes.contains(told), "{told}: {notes}");
    }
    succeed(place.sandbox.carrack(&["export", "--from-cluster", "--namespaces", "kube-system", "-o", "system"]));
    let none = succeed(place.sandbox.carrack(&["export", "--from-cluster", "--namespaces", "shop,mars", "-o", "mars"]));
    assert!(none.stderr.contains("Namespace mars is not there"), "{}", none.stderr);
    let system = std::fs::read_to_string(place.sandbox.work().join("system/kube-system/configmaps.yaml")).unwrap();
    assert!(system.contains("coredns"), "{system}");
    assert!(!place.sandbox.work().join("system/shop").exists());
}

#[test]
fn what_an_operator_alone_understands_keeps_nobody_from_building() {
    let mut cluster = Cluster::new(ApiServer::plain());
    let image = cluster.moved("shop/operated");
    let name = image.0.trim_end_matches(":1");
    let spec = json!({"spec": {"image": {"repository": name}, "disk": {"image": "https://example.org/disk.iso"}}});
    cluster.add(object("example.org/v1", "Widget", "shop", "wide", spec));
    let made = object("apps/v1", "StatefulSet", "shop", "wide", json!({"spec": {"template": template(&image.0)}}));
    cluster.add(owned(made, "example.org/v1", "Widget", "wide"));
    cluster.pod("wide-0", Some(("apps/v1", "StatefulSet", "wide")), &[("main", &image)]);
    let place = Place::of(&cluster);
    let ran = succeed(place.export(&[]));
    for text in [name, "https://example.org/disk.iso"] {
        assert!(
            ran.stderr.contains(&format!("{text:?} names no image that a registry can be asked for")),
            "{}",
            ran.stderr
        );
    }
    assert_eq!(place.build(&[]), expected(&cluster));
}
