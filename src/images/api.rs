//! The Kubernetes that charts are rendered for: its version, and what its API has.

use std::collections::BTreeSet;

use super::Options;
use super::collect::Collector;
use crate::problem::{Problem, read_document};
use crate::profile::{Layer, Profile};
use crate::yaml::{self, Node};

/// The kinds that every Kubernetes has, by group and version. A cluster tells charts of its versions and of its kinds;
/// `helm template` knows of the versions alone.
const KINDS: &[(&str, &[&str])] = &[
    (
        "v1",
        &[
            "ConfigMap",
            "Endpoints",
            "Event",
            "LimitRange",
            "Namespace",
            "Node",
            "PersistentVolume",
            "PersistentVolumeClaim",
            "Pod",
            "PodTemplate",
            "ReplicationController",
            "ResourceQuota",
            "Secret",
            "Service",
            "ServiceAccount",
        ],
    ),
    ("admissionregistration.k8s.io/v1", &["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"]),
    ("apiextensions.k8s.io/v1", &["CustomResourceDefinition"]),
    ("apiregistration.k8s.io/v1", &["APIService"]),
    ("apps/v1", &["ControllerRevision", "DaemonSet", "Deployment", "ReplicaSet", "StatefulSet"]),
    ("authentication.k8s.io/v1", &["TokenReview"]),
    (
        "authorization.k8s.io/v1",
        &["LocalSubjectAccessReview", "SelfSubjectAccessReview", "SelfSubjectRulesReview", "SubjectAccessReview"],
    ),
    ("autoscaling/v1", &["HorizontalPodAutoscaler"]),
    ("autoscaling/v2", &["HorizontalPodAutoscaler"]),
    ("batch/v1", &["CronJob", "Job"]),
    ("certificates.k8s.io/v1", &["CertificateSigningRequest"]),
    ("coordination.k8s.io/v1", &["Lease"]),
    ("discovery.k8s.io/v1", &["EndpointSlice"]),
    ("events.k8s.io/v1", &["Event"]),
    ("networking.k8s.io/v1", &["Ingress", "IngressClass", "NetworkPolicy"]),
    ("node.k8s.io/v1", &["RuntimeClass"]),
    ("policy/v1", &["PodDisruptionBudget"]),
    ("rbac.authorization.k8s.io/v1", &["ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"]),
    ("scheduling.k8s.io/v1", &["PriorityClass"]),
    ("storage.k8s.io/v1", &["CSIDriver", "CSINode", "CSIStorageCapacity", "StorageClass", "VolumeAttachment"]),
];

/// The Kubernetes that charts are rendered for.
pub(super) struct Cluster {
    version: Option<String>,
    api_versions: BTreeSet<String>,
}

impl Cluster {
    /// The profile's.
    pub(super) fn of(profile: &Profile, options: Options<'_>, collector: &mut Collector<'_>) -> Self {
        let pack = profile.packs.iter().find(|pack| pack.layer == Layer::K8s);
        let of_pack = pack.filter(|pack| pack.kubernetes_version().is_some()).and_then(|pack| pack.version.clone());
        let version = of_pack.or_else(|| profile.kubernetes_version.as_ref().map(ToString::to_string));
        if let (None, Some(helm)) = (&version, options.helm) {
            let message = format!(
                "no pack on layer `k8s` says a `version` such as 1.32.5, nor does `spec.kubernetesVersion`, so charts are rendered \
                 for the Kubernetes that helm {} assumes",
                helm.version()
            );
            collector.warned(Problem::with_file(&profile.file, message));
        }
        let built_in =
            KINDS.iter().flat_map(|(version, kinds)| kinds.iter().map(move |kind| format!("{version}/{kind}")));
        let given = profile.packs.iter().flat_map(|pack| pack.api_versions.iter().cloned());
        Self { version, api_versions: built_in.chain(given).collect() }
    }

    /// Its version, where the profile says one.
    pub(super) fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }

    /// What its API has besides the versions that helm knows of: `GROUP/VERSION[/KIND]`.
    pub(super) fn api_versions(&self) -> &BTreeSet<String> {
        &self.api_versions
    }

    /// Adds what definitions among the objects add to the API. Returns whether anything is new.
    pub(super) fn learns(&mut self, defined: &BTreeSet<String>) -> bool {
        let before = self.api_versions.len();
        self.api_versions.extend(defined.iter().cloned());
        self.api_versions.len() > before
    }
}

/// What definitions in the profile's own manifests add to the API.
pub(super) fn manifests_define(profile: &Profile) -> BTreeSet<String> {
    let files = profile.packs.iter().flat_map(|pack| &pack.manifests);
    // One that cannot be read is told elsewhere.
    let texts = files.filter_map(|file| read_document(file).ok()?.ok());
    texts.flat_map(|source| defines(source.text())).collect()
}

/// What the definitions among some objects add to the API: `GROUP/VERSION` and `GROUP/VERSION/KIND`.
pub(super) fn defines(text: &str) -> BTreeSet<String> {
    if !text.contains("CustomResourceDefinition") {
        return BTreeSet::new();
    }
    let mut found = BTreeSet::new();
    for document in yaml::parse_as_helm(text).documents {
        let spec = document
            .get("spec")
            .filter(|_| document.get("kind").and_then(Node::text) == Some("CustomResourceDefinition"));
        let text = |name: &str| spec?.get(name)?.text();
        let kind = spec.and_then(|spec| spec.get("names")?.get("kind")?.text());
        let (Some(group), Some(kind), Some(versions)) =
            (text("group"), kind, spec.and_then(|spec| spec.get("versions")))
        else {
            continue;
        };
        for version in versions.items().iter().filter_map(|version| version.get("name")?.text()) {
            found.extend([format!("{group}/{version}"), format!("{group}/{version}/{kind}")]);
        }
    }
    // Helm takes several after a comma, so one with a comma would be two.
    found.retain(|name| !name.contains(|c: char| c == ',' || c.is_whitespace()));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definitions_add_to_the_api() {
        let text = "kind: CustomResourceDefinition\nspec:\n  group: example.org\n  names: {kind: Thing}\n  versions: [{name: v1}, {name: v2}]\n---\nkind: Other\n";
        let found: Vec<String> = defines(text).into_iter().collect();
        assert_eq!(found, ["example.org/v1", "example.org/v1/Thing", "example.org/v2", "example.org/v2/Thing"]);
        assert!(defines("kind: CustomResourceDefinition\n").is_empty());
    }
}
