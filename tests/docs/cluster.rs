//! The cluster that docs/export.md exports.

use std::path::Path;

use carrack::oci::Digest;
use serde_json::json;

use super::server::{ApiServer, Fault};

/// A server with a workload of `image`, which runs as `digest`, and the kubeconfig of `home`.
pub fn start(home: &Path, image: &str, digest: Digest) -> ApiServer {
    let server = ApiServer::plain();
    for (api_version, plural, kind, namespaced) in [
        ("v1", "namespaces", "Namespace", false),
        ("v1", "nodes", "Node", false),
        ("v1", "pods", "Pod", true),
        ("v1", "secrets", "Secret", true),
        ("v1", "services", "Service", true),
        ("apps/v1", "deployments", "Deployment", true),
        ("networking.k8s.io/v1", "ingresses", "Ingress", true),
    ] {
        server.kind(api_version, plural, kind, namespaced);
    }
    server.fault("ingresses", Fault::Forbidden);
    let containers = json!([{"name": "api", "image": image, "imagePullPolicy": "Always"}]);
    let status = json!({"containerStatuses": [{"name": "api", "imageID": format!("{image}@{digest}")}]});
    let info = json!({"nodeInfo": {"kubeletVersion": "v1.32.5+k3s1", "architecture": "amd64"}});
    let owner = json!([{"apiVersion": "apps/v1", "kind": "Deployment", "name": "api", "uid": "1", "controller": true}]);
    for object in [
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}),
        json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "one"}, "status": info}),
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "api", "namespace": "shop"}, "spec": {"ports": [{"port": 80}]}}),
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db", "namespace": "shop"}, "type": "Opaque",
            "data": {"password": "aHVudGVyMg=="}}),
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "api", "namespace": "shop", "uid": "1"},
            "spec": {"template": {"spec": {"containers": containers}}}}),
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "api-1", "namespace": "shop", "uid": "2", "ownerReferences": owner},
            "spec": {"containers": containers}, "status": status}),
    ] {
        server.object(object);
    }
    std::fs::create_dir(home.join(".kube")).unwrap();
    server.write_kubeconfig(&home.join(".kube/config"));
    server
}
