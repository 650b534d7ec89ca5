//! A cluster as its API server shows it: every kind of workload, with what controllers and kubelets write into them.

use std::collections::BTreeMap;
use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use carrack::oci::Digest;
use carrack::registry::in_process::{Image, InProcessRegistry, Layer};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use crate::server::ApiServer;

/// Values that only secrets have. None may be anywhere else.
pub(crate) const CANARIES: [&str; 5] = [
    "canary-0f3a91-password",
    "canary 77c2 with spaces",
    "canary-81be-of-helm",
    "canary-line-1\ncanary-line-2\n",
    "canary-c0ffee-in-values",
];

/// A running cluster, and the registry that its images come from.
pub(crate) struct Cluster {
    pub(crate) server: ApiServer,
    pub(crate) registry: InProcessRegistry,
    /// Repositories with the digests that run.
    pub(crate) running: BTreeMap<String, Digest>,
}

fn image(text: &str) -> Image {
    let layer = Layer::tar(&[("app", 0o755, text.as_bytes())]).unwrap();
    Image { platform: "linux/amd64".parse().unwrap(), layers: vec![layer], command: vec!["/app".to_owned()] }
}

/// Metadata with all that a cluster adds.
pub(crate) fn metadata(namespace: &str, name: &str) -> Value {
    let mut metadata = json!({
        "name": name, "uid": format!("uid-{namespace}-{name}"), "resourceVersion": "123", "generation": 3,
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "managedFields": [{"manager": "kubectl", "operation": "Apply", "fieldsV1": {"f:spec": {}}}],
        "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{\"kind\":\"X\"}", "team": "blue"},
    });
    if !namespace.is_empty() {
        metadata["namespace"] = namespace.into();
    }
    metadata
}

pub(crate) fn object(api_version: &str, kind: &str, namespace: &str, name: &str, more: Value) -> Value {
    let mut object = json!({"apiVersion": api_version, "kind": kind, "metadata": metadata(namespace, name)});
    object["metadata"]["uid"] = format!("uid-{kind}-{namespace}-{name}").into();
    for (key, value) in more.as_object().unwrap() {
        object[key] = value.clone();
    }
    object
}

pub(crate) fn owned(mut object: Value, api_version: &str, kind: &str, name: &str) -> Value {
    let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default();
    let uid = format!("uid-{kind}-{namespace}-{name}");
    object["metadata"]["ownerReferences"] =
        json!([{"apiVersion": api_version, "kind": kind, "name": name, "uid": uid, "controller": true}]);
    object
}

pub(crate) fn secret(namespace: &str, name: &str, kind: &str, data: &[(&str, &[u8])]) -> Value {
    let data: serde_json::Map<String, Value> =
        data.iter().map(|(key, value)| ((*key).to_owned(), STANDARD.encode(value).into())).collect();
    let mut secret = object("v1", "Secret", namespace, name, json!({"type": kind, "data": data}));
    let applied = json!({"kind": "Secret", "data": secret["data"]}).to_string();
    secret["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"] = applied.into();
    secret
}

/// How Helm keeps a release.
pub(crate) fn release(
    namespace: &str,
    name: &str,
    revision: u32,
    status: &str,
    chart: &Value,
    values: &Value,
) -> Value {
    let file = |(path, text): (&str, &str)| json!({"name": path, "data": STANDARD.encode(text)});
    let files = |list: &Value| -> Vec<Value> {
        let pairs = list.as_object().unwrap().iter();
        pairs.map(|(path, text)| file((path, text.as_str().unwrap()))).collect()
    };
    let release = json!({
        "name": name, "namespace": namespace, "version": revision, "info": {"status": status, "notes": "x"},
        "chart": {
            "metadata": chart["metadata"], "lock": null, "templates": files(&chart["templates"]),
            "values": chart["values"], "schema": null, "files": files(&chart["files"]),
        },
        "config": values, "manifest": "---\n# Source: x\n",
    });
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(release.to_string().as_bytes()).unwrap();
    let text = STANDARD.encode(encoder.finish().unwrap());
    let mut record = secret(
        namespace,
        &format!("sh.helm.release.v1.{name}.v{revision}"),
        "helm.sh/release.v1",
        &[("release", text.as_bytes())],
    );
    record["metadata"]["labels"] =
        json!({"name": name, "owner": "helm", "status": status, "version": revision.to_string()});
    record
}

pub(crate) fn by_helm(mut object: Value, namespace: &str, release: &str) -> Value {
    object["metadata"]["labels"] = json!({"app.kubernetes.io/managed-by": "Helm", "app": "x"});
    object["metadata"]["annotations"]["meta.helm.sh/release-name"] = release.into();
    object["metadata"]["annotations"]["meta.helm.sh/release-namespace"] = namespace.into();
    object
}

impl Cluster {
    /// A cluster with the kinds that every one has, a node, and namespaces.
    pub(crate) fn new(server: ApiServer) -> Self {
        let this = Self::without_nodes(server);
        let info = json!({"status": {"nodeInfo": {"kubeletVersion": "v1.32.5+k3s1", "architecture": "amd64"}}});
        this.add(object("v1", "Node", "", "one", info));
        this
    }

    /// The same without a node.
    pub(crate) fn without_nodes(server: ApiServer) -> Self {
        for (api_version, plural, kind, namespaced) in [
            ("v1", "namespaces", "Namespace", false),
            ("v1", "nodes", "Node", false),
            ("v1", "pods", "Pod", true),
            ("v1", "services", "Service", true),
            ("v1", "endpoints", "Endpoints", true),
            ("v1", "events", "Event", true),
            ("v1", "configmaps", "ConfigMap", true),
            ("v1", "secrets", "Secret", true),
            ("v1", "serviceaccounts", "ServiceAccount", true),
            ("v1", "persistentvolumeclaims", "PersistentVolumeClaim", true),
            ("v1", "persistentvolumes", "PersistentVolume", false),
            ("v1", "replicationcontrollers", "ReplicationController", true),
            ("apps/v1", "deployments", "Deployment", true),
            ("apps/v1", "replicasets", "ReplicaSet", true),
            ("apps/v1", "statefulsets", "StatefulSet", true),
            ("apps/v1", "daemonsets", "DaemonSet", true),
            ("apps/v1", "controllerrevisions", "ControllerRevision", true),
            ("batch/v1", "jobs", "Job", true),
            ("batch/v1", "cronjobs", "CronJob", true),
            ("rbac.authorization.k8s.io/v1", "clusterroles", "ClusterRole", false),
            ("networking.k8s.io/v1", "ingresses", "Ingress", true),
            ("discovery.k8s.io/v1", "endpointslices", "EndpointSlice", true),
            ("coordination.k8s.io/v1", "leases", "Lease", true),
            ("apiextensions.k8s.io/v1", "customresourcedefinitions", "CustomResourceDefinition", false),
            ("example.org/v1", "widgets", "Widget", true),
        ] {
            server.kind(api_version, plural, kind, namespaced);
        }
        let this = Self { server, registry: InProcessRegistry::start().unwrap(), running: BTreeMap::new() };
        for namespace in ["default", "kube-system", "shop", "pay"] {
            let mut object = object("v1", "Namespace", "", namespace, json!({"spec": {"finalizers": ["kubernetes"]}}));
            object["metadata"]["labels"] = json!({"kubernetes.io/metadata.name": namespace});
            this.add(object);
        }
        this
    }

    pub(crate) fn add(&self, object: Value) {
        self.server.object(object);
    }

    /// An image that runs, and whose tag means another one by now. Returns `HOST/REPOSITORY:1` and an `imageID`.
    pub(crate) fn moved(&mut self, repository: &str) -> (String, String) {
        let pulled = self.steady(repository);
        self.registry.put_image(repository, Some("1"), &image(&format!("{repository} pushed later")));
        pulled
    }

    /// An image that runs, and is still what its tag means.
    pub(crate) fn steady(&mut self, repository: &str) -> (String, String) {
        let digest = self.registry.put_image(repository, Some("1"), &image(repository)).digest;
        self.running.insert(repository.to_owned(), digest);
        let name = format!("{}/{repository}", self.registry.host());
        (format!("{name}:1"), format!("{name}@{digest}"))
    }

    /// A pod of `owner` with one container for each image.
    pub(crate) fn pod(&self, name: &str, owner: Option<(&str, &str, &str)>, images: &[(&str, &(String, String))]) {
        let containers: Vec<Value> = images.iter().map(|(name, (image, _))| container(name, image)).collect();
        let statuses: Vec<Value> = images
            .iter()
            .map(|(name, (image, id))| json!({"name": name, "image": image, "imageID": id, "ready": true}))
            .collect();
        let spec = json!({
            "containers": containers, "nodeName": "one", "serviceAccountName": "default", "serviceAccount": "default", "priority": 0,
            "volumes": [{"name": "kube-api-access-x1", "projected": {}}],
            "tolerations": [{"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}],
        });
        let pod = object("v1", "Pod", "shop", name, json!({"spec": spec, "status": {"containerStatuses": statuses}}));
        self.add(match owner {
            Some((api_version, kind, name)) => owned(pod, api_version, kind, name),
            None => pod,
        });
    }
}

pub(crate) fn container(name: &str, image: &str) -> Value {
    json!({"name": name, "image": image, "imagePullPolicy": "Always", "volumeMounts": [{"name": "kube-api-access-x1", "mountPath": "/x"}]})
}

/// `spec.template`.
pub(crate) fn template(image: &str) -> Value {
    let spec = json!({"containers": [{"name": "main", "image": image, "imagePullPolicy": "Always"}]});
    json!({"metadata": {"creationTimestamp": null, "labels": {"app": "x"}}, "spec": spec})
}
