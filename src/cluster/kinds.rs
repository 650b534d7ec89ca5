//! Which kinds of object a cluster has.

use std::collections::BTreeSet;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::APIResourceList;
use kube::Client;

use super::Failure;
use super::list::{Refusal, patiently};

/// A kind of object, in the version that the server prefers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ApiKind {
    /// Its group; empty for the first one.
    pub group: String,
    /// Its version: `v1`.
    pub version: String,
    /// Its name in paths: `deployments`.
    pub plural: String,
    /// Its name in objects: `Deployment`.
    pub kind: String,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
}

/// Groups whose objects are questions, measurements or what controllers keep for themselves.
const NO_GROUPS: &[&str] = &[
    "authentication.k8s.io",
    "authorization.k8s.io",
    "metrics.k8s.io",
    "custom.metrics.k8s.io",
    "external.metrics.k8s.io",
    "events.k8s.io",
    "coordination.k8s.io",
    "discovery.k8s.io",
    "extensions",
    "internal.apiserver.k8s.io",
];

/// Kinds of other groups that only the cluster itself writes.
const NO_KINDS: &[(&str, &str)] = &[
    ("", "Binding"),
    ("", "ComponentStatus"),
    ("", "Endpoints"),
    ("", "Event"),
    ("apps", "ControllerRevision"),
    ("certificates.k8s.io", "CertificateSigningRequest"),
    ("k3s.cattle.io", "Addon"),
    ("k3s.cattle.io", "ETCDSnapshotFile"),
    ("networking.k8s.io", "IPAddress"),
    ("resource.k8s.io", "ResourceSlice"),
    ("storage.k8s.io", "CSINode"),
    ("storage.k8s.io", "CSIStorageCapacity"),
    ("storage.k8s.io", "VolumeAttachment"),
];

impl ApiKind {
    /// `Deployment.apps`, or `Pod` for the first group.
    pub fn title(&self) -> String {
        if self.group.is_empty() { self.kind.clone() } else { format!("{}.{}", self.kind, self.group) }
    }

    /// What objects say in `apiVersion`.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }

    /// Whether it is this kind.
    pub fn is(&self, group: &str, kind: &str) -> bool {
        self.group == group && self.kind == kind
    }

    /// Whether a resource definition made it: Kubernetes' own groups have no dot or end in `k8s.io`.
    pub fn is_custom(&self) -> bool {
        self.group.contains('.') && !self.group.ends_with(".k8s.io")
    }

    /// The path of the list of its objects.
    pub(super) fn path(&self, namespace: Option<&str>) -> String {
        let Self { group, version, plural, .. } = self;
        let base = if group.is_empty() { format!("/api/{version}") } else { format!("/apis/{group}/{version}") };
        match namespace {
            Some(namespace) => format!("{base}/namespaces/{namespace}/{plural}"),
            None => format!("{base}/{plural}"),
        }
    }
}

/// Every kind whose objects can be listed and mean something elsewhere, and what of that could not be found out.
///
/// # Errors
/// Where not even the groups are told.
pub(super) async fn discover(client: &Client, patience: Duration) -> Result<(Vec<ApiKind>, Vec<Failure>), Refusal> {
    let groups = patiently(patience, client.list_api_groups()).await?;
    let mut versions = vec![(String::new(), "v1".to_owned())];
    for group in groups.groups.into_iter().filter(|group| !NO_GROUPS.contains(&&*group.name)) {
        let preferred = group.preferred_version.map(|preferred| preferred.version);
        let mut listed: Vec<String> = group.versions.into_iter().map(|version| version.version).collect();
        listed.sort_by_key(|version| Some(version) != preferred.as_ref());
        versions.extend(listed.into_iter().map(|version| (group.name.clone(), version)));
    }
    let (mut kinds, mut failures, mut known) = (Vec::new(), Vec::new(), BTreeSet::new());
    for (group, version) in versions {
        let told = match group.is_empty() {
            true => patiently(patience, client.list_core_api_resources(&version)).await,
            false => patiently(patience, client.list_api_group_resources(&format!("{group}/{version}"))).await,
        };
        match told {
            Ok(list) => {
                let new = of_list(&group, &version, list).into_iter();
                kinds.extend(new.filter(|kind| known.insert((kind.group.clone(), kind.kind.clone()))));
            }
            Err(refusal) => {
                let what = if group.is_empty() { version } else { format!("{group}/{version}") };
                failures.push(refusal.failure(what, None));
            }
        }
    }
    kinds.sort();
    Ok((kinds, failures))
}

fn of_list(group: &str, version: &str, list: APIResourceList) -> Vec<ApiKind> {
    let wanted = list.resources.into_iter().filter(|resource| {
        let listable = resource.verbs.iter().any(|verb| verb == "list");
        listable && !resource.name.contains('/') && !NO_KINDS.contains(&(group, &resource.kind))
    });
    let kind = |resource: k8s_openapi::apimachinery::pkg::apis::meta::v1::APIResource| ApiKind {
        group: group.to_owned(),
        version: version.to_owned(),
        plural: resource.name,
        kind: resource.kind,
        namespaced: resource.namespaced,
    };
    // What the server says becomes part of paths, here and on the disk.
    let plain = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b));
    let kinds = wanted.map(kind);
    kinds.filter(|kind| [&kind.plural, &kind.kind, &kind.version].iter().all(|text| plain(text))).collect()
}
