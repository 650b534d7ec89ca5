//! `carrack export --from-cluster` against a stand-in for an API server, and builds of what it exports.
#![cfg(feature = "operator")]
#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

mod cluster;
#[path = "../common/mod.rs"]
mod common;
mod server;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use carrack::bundle::Bundle;
use carrack::oci::Digest;
use cluster::{CANARIES, Cluster, by_helm, object, owned, release, secret, template};
use common::{Ran, Sandbox};
use serde_json::json;
use server::{ApiServer, Fault};

/// Where a cluster is exported to.
struct Place {
    sandbox: Sandbox,
}

impl Place {
    fn of(cluster: &Cluster) -> Self {
        let sandbox = Sandbox::new();
        let home = sandbox.work().parent().unwrap().join("home/.kube");
        fs::create_dir(&home).unwrap();
        cluster.server.write_kubeconfig(&home.join("config"));
        Self { sandbox }
    }

    fn export(&self, more: &[&str]) -> Ran {
        self.sandbox.carrack(&[&["export", "--from-cluster", "-o", "out"], more].concat())
    }

    fn file(&self, path: &str) -> String {
        fs::read_to_string(self.sandbox.work().join("out").join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    fn files(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut folders = vec![self.sandbox.work().join("out")];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() { folders.push(path) } else { found.push(path) }
            }
        }
        found
    }

    /// Builds what was exported. Returns the digests in the bundle by repository.
    fn build(&self, more: &[&str]) -> BTreeMap<String, BTreeSet<Digest>> {
        succeed(self.sandbox.carrack(&["check", "out"]));
        succeed(self.sandbox.carrack(&[&["build", "out", "-o", "bundle.tar.zst"], more].concat()));
        let bundle = Bundle::open(&self.sandbox.work().join("bundle.tar.zst")).unwrap();
        let mut found: BTreeMap<String, BTreeSet<Digest>> = BTreeMap::new();
        for image in &bundle.contents().images {
            found.entry(image.reference.repository().to_owned()).or_default().insert(image.target.digest);
        }
        found
    }
}

fn succeed(ran: Ran) -> Ran {
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    ran
}

fn expected(cluster: &Cluster) -> BTreeMap<String, BTreeSet<Digest>> {
    cluster.running.iter().map(|(name, digest)| (name.clone(), BTreeSet::from([*digest]))).collect()
}

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
    assert!(ran.stderr.contains("no answer") || !ran.stderr.contains("warning"), "{}", ran.stderr);
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
