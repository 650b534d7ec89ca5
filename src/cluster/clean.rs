//! An object without what the cluster has written into it.

use serde_json::{Map, Value};

use super::Object;
use super::object::{below, below_mut};

const METADATA: &[&str] = &[
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "finalizers",
    "generateName",
    "generation",
    "managedFields",
    "ownerReferences",
    "resourceVersion",
    "selfLink",
    "uid",
];
/// Annotations and labels that begin so.
const NOTES: &[&str] = &[
    "autoscaling.alpha.kubernetes.io/",
    "batch.kubernetes.io/",
    "cni.projectcalico.org/",
    "control-plane.alpha.kubernetes.io/leader",
    "deployment.kubernetes.io/",
    "deprecated.daemonset.template.generation",
    "k8s.v1.cni.cncf.io/network-status",
    "kubectl.kubernetes.io/last-applied-configuration",
    "meta.helm.sh/",
    "objectset.rio.cattle.io/",
    "pv.kubernetes.io/",
    "volume.beta.kubernetes.io/storage-provisioner",
    "volume.kubernetes.io/",
];

/// `object` as somebody would write it.
pub(super) fn clean(object: &Object) -> Value {
    let mut value = object.value.clone();
    let of_helm = super::decide::release_of(object).is_some();
    if let Some(fields) = value.as_object_mut() {
        fields.remove("status");
    }
    if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
        describe(metadata);
        if of_helm {
            // Helm would refuse to have a release of its own with it.
            remove(metadata, "labels", |label| label == "app.kubernetes.io/managed-by");
        }
        let keys: &[&str] = if object.is("", "Namespace") { &["kubernetes.io/metadata.name"] } else { &[] };
        remove(metadata, "labels", |label| keys.contains(&label));
    }
    own_fields(object, &mut value);
    if let Some(spec) = object.pod_spec_path().and_then(|path| below_mut(&mut value, path)) {
        pod(spec, object.is("", "Pod"));
    }
    value
}

fn describe(metadata: &mut Map<String, Value>) {
    METADATA.iter().for_each(|field| drop(metadata.remove(*field)));
    for notes in ["annotations", "labels"] {
        remove(metadata, notes, |key| NOTES.iter().any(|start| key.starts_with(start)));
    }
}

/// Removes the entries of a map in `fields` whose key is like that, and a map that has none then.
fn remove(fields: &mut Map<String, Value>, map: &str, like: impl Fn(&str) -> bool) {
    let Some(entries) = fields.get_mut(map).and_then(Value::as_object_mut) else { return };
    entries.retain(|key, _| !like(key));
    if entries.is_empty() {
        fields.remove(map);
    }
}

/// What each kind has of its own.
fn own_fields(object: &Object, value: &mut Value) {
    let kind = (&*object.kind.group, &*object.kind.kind);
    if kind == ("", "ServiceAccount")
        && let Some(fields) = value.as_object_mut()
    {
        fields.remove("secrets");
    }
    if kind == ("batch", "CronJob") {
        template(below_mut(value, &["spec", "jobTemplate"]));
        template(below_mut(value, &["spec", "jobTemplate", "spec", "template"]));
    }
    template(below_mut(value, &["spec", "template"]));
    let Some(spec) = value.get_mut("spec").and_then(Value::as_object_mut) else { return };
    match kind {
        ("", "Namespace") => drop(spec.remove("finalizers")),
        ("", "Service") => service(spec),
        ("", "PersistentVolumeClaim") => drop(spec.remove("volumeName")),
        ("", "PersistentVolume") => {
            if let Some(claim) = spec.get_mut("claimRef").and_then(Value::as_object_mut) {
                claim.retain(|field, _| ["namespace", "name"].contains(&&**field));
            }
        }
        ("batch", "Job") if spec.get("manualSelector") != Some(&Value::Bool(true)) => {
            spec.remove("selector");
            let of_job = |label: &str| label.ends_with("controller-uid") || label.ends_with("job-name");
            if let Some(metadata) = spec.get_mut("template").and_then(|template| template.get_mut("metadata"))
                && let Some(metadata) = metadata.as_object_mut()
            {
                remove(metadata, "labels", of_job);
            }
        }
        _ => {}
    }
    if value["spec"].as_object().is_some_and(Map::is_empty)
        && let Some(fields) = value.as_object_mut()
    {
        fields.remove("spec");
    }
}

/// Descriptions within an object say `creationTimestamp: null` too.
fn template(template: Option<&mut Value>) {
    let metadata = template.and_then(|template| template.get_mut("metadata")).and_then(Value::as_object_mut);
    if let Some(metadata) = metadata {
        metadata.remove("creationTimestamp");
    }
}

/// Addresses that the cluster has given. The ports of a `NodePort` are kept: others have been told of them.
fn service(spec: &mut Map<String, Value>) {
    let headless = spec.get("clusterIP").is_some_and(|address| address == "None");
    if !headless {
        ["clusterIP", "clusterIPs", "ipFamilies"].iter().for_each(|field| drop(spec.remove(*field)));
    }
    spec.remove("healthCheckNodePort");
    if spec.get("type").is_some_and(|kind| kind == "LoadBalancer")
        && let Some(ports) = spec.get_mut("ports").and_then(Value::as_array_mut)
    {
        ports.iter_mut().filter_map(Value::as_object_mut).for_each(|port| drop(port.remove("nodePort")));
    }
}

/// What is in the description of every pod, and, where it is a `running` one, what scheduler and admission add to it.
fn pod(spec: &mut Value, running: bool) {
    let injected: Vec<String> =
        names(below(spec, &["volumes"])).filter(|name| name.starts_with("kube-api-access-")).collect();
    let Some(spec) = spec.as_object_mut() else { return };
    spec.remove("serviceAccount");
    if !running {
        return;
    }
    ["nodeName", "ephemeralContainers", "preemptionPolicy", "priority"]
        .iter()
        .for_each(|field| drop(spec.remove(*field)));
    let is_injected = |name: &Value| injected.iter().any(|injected| name == injected);
    retain(spec, "volumes", |volume| !is_injected(&volume["name"]));
    for list in ["containers", "initContainers"] {
        let containers = spec.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten();
        for container in containers.filter_map(Value::as_object_mut) {
            retain(container, "volumeMounts", |mount| !is_injected(&mount["name"]));
        }
    }
    let added = ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"];
    retain(spec, "tolerations", |toleration| {
        !(toleration["tolerationSeconds"] == 300 && added.iter().any(|key| toleration["key"] == *key))
    });
}

fn names(list: &Value) -> impl Iterator<Item = String> {
    list.as_array().into_iter().flatten().filter_map(|item| item["name"].as_str()).map(str::to_owned)
}

fn retain(fields: &mut Map<String, Value>, list: &str, wanted: impl Fn(&Value) -> bool) {
    let Some(items) = fields.get_mut(list).and_then(Value::as_array_mut) else { return };
    items.retain(wanted);
    if items.is_empty() {
        fields.remove(list);
    }
}
