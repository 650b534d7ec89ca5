//! Which objects mean something in another cluster, and why the others do not.

use std::collections::BTreeSet;
use std::fmt;

use super::{Object, Wanted};

/// Namespaces that are the cluster's own.
const SYSTEM_NAMESPACES: &[&str] = &["kube-system", "kube-public", "kube-node-lease"];
/// What k3s and RKE2 apply themselves, by the name that they give it.
const ADDONS: &[&str] = &[
    "aggregated-metrics-reader",
    "auth-delegator",
    "auth-reader",
    "ccm",
    "coredns",
    "local-storage",
    "metrics-apiservice",
    "metrics-server-deployment",
    "metrics-server-service",
    "resource-reader",
    "rolebindings",
    "runtimes",
    "traefik",
];

/// A release by its namespace and name.
pub(super) type ReleaseName = (String, String);

/// Why an object is left out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reason {
    /// A controller makes it of another object.
    Controller,
    /// It is being deleted.
    Deleted,
    /// Every cluster has one of its own.
    Cluster,
    /// The distribution puts it there.
    Distribution,
    /// It is in a namespace of the system that nobody has named.
    System,
    /// It is in a chart that is exported.
    Release(ReleaseName),
    /// Helm makes it in passing, or keeps its books in it.
    Helm,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Controller => f.write_str("made by a controller of another object"),
            Self::Deleted => f.write_str("being deleted"),
            Self::Cluster => f.write_str("every cluster makes its own"),
            Self::Distribution => f.write_str("the Kubernetes distribution puts it there"),
            Self::System => f.write_str("in a namespace of the system; name it in --namespaces to have it exported"),
            Self::Release((namespace, name)) => write!(f, "in the chart of the Helm release {namespace}/{name}"),
            Self::Helm => f.write_str("Helm's own records and hooks"),
        }
    }
}

/// What has to be known of a cluster to decide.
#[derive(Debug, Default)]
pub(super) struct Decider<'w> {
    pub(super) wanted: Option<&'w Wanted>,
    /// Releases whose charts are exported.
    pub(super) charts: BTreeSet<ReleaseName>,
    /// Releases of the distribution.
    pub(super) of_distribution: BTreeSet<ReleaseName>,
    /// Resource definitions that the charts have outside their templates, each with its release.
    pub(super) definitions: BTreeSet<(String, ReleaseName)>,
}

/// The release that Helm says an object belongs to.
pub(super) fn release_of(object: &Object) -> Option<ReleaseName> {
    let name = object.annotation("meta.helm.sh/release-name")?;
    let namespace = object.annotation("meta.helm.sh/release-namespace")?;
    let by_helm = object.label("app.kubernetes.io/managed-by") == Some("Helm");
    by_helm.then(|| (namespace.to_owned(), name.to_owned()))
}

/// Whether k3s, RKE2 or Canonical Kubernetes install this release themselves.
pub(super) fn is_of_distribution((namespace, name): &ReleaseName) -> bool {
    namespace == "kube-system"
        && (name == "traefik" || name == "traefik-crd" || name.starts_with("rke2-") || name.starts_with("ck-"))
}

impl Decider<'_> {
    /// Whether objects of `namespace` are left to the system.
    pub(super) fn is_system(&self, namespace: &str) -> bool {
        let named = self.wanted.is_some_and(|wanted| wanted.namespaces.contains(namespace));
        SYSTEM_NAMESPACES.contains(&namespace) && !named
    }

    /// Why `object` is left out, where it is.
    pub(super) fn reason(&self, object: &Object) -> Option<Reason> {
        if let Some(release) = release_of(object) {
            if self.charts.contains(&release) {
                return Some(Reason::Release(release));
            }
            if self.of_distribution.contains(&release) {
                return Some(Reason::Distribution);
            }
        }
        if let Some(reason) = self.of_helm(object) {
            return Some(reason);
        }
        if object.owners().next().is_some() || is_derived(object) {
            return Some(Reason::Controller);
        }
        if object.is_deleted() {
            return Some(Reason::Deleted);
        }
        if is_clusters_own(object) {
            return Some(Reason::Cluster);
        }
        if is_distributions_own(object) {
            return Some(Reason::Distribution);
        }
        object.namespace().filter(|namespace| self.is_system(namespace)).map(|_| Reason::System)
    }

    fn of_helm(&self, object: &Object) -> Option<Reason> {
        if object.annotation("helm.sh/hook").is_some() || is_helm_record(object) {
            return Some(Reason::Helm);
        }
        if object.is("apiextensions.k8s.io", "CustomResourceDefinition") {
            let found = self.definitions.iter().find(|(name, _)| name == object.name());
            return found.map(|(_, release)| Reason::Release(release.clone()));
        }
        // k3s and RKE2 make a release of such an object, and Carrack makes such an object of a chart.
        if object.is("helm.cattle.io", "HelmChart") {
            let namespace = object.value["spec"]["targetNamespace"].as_str().or(object.namespace())?;
            let release = (namespace.to_owned(), object.name().to_owned());
            return match () {
                () if self.charts.contains(&release) => Some(Reason::Release(release)),
                () if is_of_distribution(&release) => Some(Reason::Distribution),
                () => None,
            };
        }
        None
    }
}

/// Whether Helm keeps a release in it.
pub(super) fn is_helm_record(object: &Object) -> bool {
    let map = object.is("", "ConfigMap") && object.label("owner") == Some("helm") && object.label("version").is_some();
    object.is("", "Secret") && object.value["type"] == "helm.sh/release.v1" || map
}

/// What a controller makes without saying whose it is.
fn is_derived(object: &Object) -> bool {
    match (&*object.kind.group, &*object.kind.kind) {
        ("", "Secret") => object.annotation("cert-manager.io/certificate-name").is_some(),
        ("", "PersistentVolume") => object.annotation("pv.kubernetes.io/provisioned-by").is_some(),
        ("cilium.io", kind) => ["CiliumEndpoint", "CiliumIdentity", "CiliumNode"].contains(&kind),
        ("crd.projectcalico.org", kind) => kind.starts_with("IPAM") || kind == "BlockAffinity",
        _ => false,
    }
}

/// What API server and controller manager make in every cluster.
fn is_clusters_own(object: &Object) -> bool {
    let name = object.name();
    let type_is = |text: &str| object.value["type"] == text;
    match (&*object.kind.group, &*object.kind.kind) {
        ("", "Node") => true,
        ("", "Namespace") => name == "default" || SYSTEM_NAMESPACES.contains(&name),
        ("", "ConfigMap") => ["kube-root-ca.crt", "openshift-service-ca.crt"].contains(&name),
        ("", "ServiceAccount") => name == "default" && object.value["imagePullSecrets"].is_null(),
        ("", "Service") => name == "kubernetes" && object.namespace() == Some("default"),
        ("", "Secret") => type_is("kubernetes.io/service-account-token") || type_is("bootstrap.kubernetes.io/token"),
        ("rbac.authorization.k8s.io", _) => {
            object.label("kubernetes.io/bootstrapping").is_some() || name.starts_with("system:")
        }
        ("apiregistration.k8s.io", "APIService") => object.value["spec"]["service"].is_null(),
        ("scheduling.k8s.io", "PriorityClass") => name.starts_with("system-"),
        ("flowcontrol.apiserver.k8s.io", _) => object.annotation("apf.kubernetes.io/autoupdate-spec").is_some(),
        ("networking.k8s.io", "ServiceCIDR") => name == "kubernetes",
        _ => false,
    }
}

fn is_distributions_own(object: &Object) -> bool {
    let addon = object.annotation("objectset.rio.cattle.io/owner-gvk") == Some("k3s.cattle.io/v1, Kind=Addon");
    let owner = object.annotation("objectset.rio.cattle.io/owner-name").unwrap_or_default();
    let known = ADDONS.contains(&owner) || owner.starts_with("rke2-");
    let role = object.kind.group == "rbac.authorization.k8s.io";
    let named = ["k3s-", "rke2-", "kubeadm:", "clustercidrs-node", "local-path-provisioner"];
    let definition = object.is("apiextensions.k8s.io", "CustomResourceDefinition")
        && [".k3s.cattle.io", ".helm.cattle.io"].iter().any(|group| object.name().ends_with(group));
    addon && known || definition || role && named.iter().any(|start| object.name().starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::ApiKind;
    use serde_json::{Value, json};

    fn object(group: &str, kind: &str, metadata: Value, more: Value) -> Object {
        let namespaced = metadata["namespace"].is_string();
        let word = |text: &str| text.to_owned();
        let kind = ApiKind { group: word(group), version: word("v1"), plural: word("x"), kind: word(kind), namespaced };
        let mut value = more;
        value["metadata"] = metadata;
        Object::new(&kind, value).unwrap()
    }

    #[test]
    fn what_every_cluster_or_its_distribution_makes_is_left_out() {
        let addon = |name: &str| {
            json!({"name": "x", "namespace": "shop", "annotations": {
                "objectset.rio.cattle.io/owner-gvk": "k3s.cattle.io/v1, Kind=Addon", "objectset.rio.cattle.io/owner-name": name,
            }})
        };
        let named = |name: &str| json!({"name": name});
        let inside = |namespace: &str, name: &str| json!({"name": name, "namespace": namespace});
        let decider = Decider::default();
        for (reason, group, kind, metadata, more) in [
            (Some(Reason::Distribution), "", "ConfigMap", addon("coredns"), json!({})),
            (Some(Reason::Distribution), "", "ConfigMap", addon("rke2-cilium"), json!({})),
            (None, "", "ConfigMap", addon("my-own-manifest"), json!({})),
            (
                Some(Reason::Distribution),
                "rbac.authorization.k8s.io",
                "ClusterRole",
                named("k3s-cloud-controller-manager"),
                json!({}),
            ),
            (Some(Reason::Distribution), "helm.cattle.io", "HelmChart", inside("kube-system", "traefik"), json!({})),
            (None, "helm.cattle.io", "HelmChart", inside("shop", "traefik"), json!({})),
            (Some(Reason::Cluster), "apiregistration.k8s.io", "APIService", named("v1.apps"), json!({"spec": {}})),
            (
                None,
                "apiregistration.k8s.io",
                "APIService",
                named("v1.x.org"),
                json!({"spec": {"service": {"name": "x"}}}),
            ),
            (Some(Reason::Cluster), "scheduling.k8s.io", "PriorityClass", named("system-node-critical"), json!({})),
            (
                Some(Reason::Cluster),
                "",
                "Secret",
                inside("shop", "t"),
                json!({"type": "kubernetes.io/service-account-token"}),
            ),
            (Some(Reason::System), "apps", "DaemonSet", inside("kube-system", "mine"), json!({})),
            (
                Some(Reason::Helm),
                "batch",
                "Job",
                json!({"name": "x", "namespace": "shop", "annotations": {"helm.sh/hook": "pre-install"}}),
                json!({}),
            ),
            (
                Some(Reason::Deleted),
                "",
                "Pod",
                json!({"name": "x", "namespace": "shop", "deletionTimestamp": "t"}),
                json!({}),
            ),
            (None, "", "Service", inside("shop", "kubernetes"), json!({})),
        ] {
            let object = object(group, kind, metadata, more);
            assert_eq!(decider.reason(&object), reason, "{object}");
        }
    }
}
