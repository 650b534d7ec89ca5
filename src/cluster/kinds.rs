//! Which kinds of object a cluster has.

use std::collections::BTreeSet;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{APIGroupList, APIResource, APIResourceList};
use kube::Client;
use serde::de::DeserializeOwned;

use super::Failure;
use super::ask::{Refusal, ask};

/// Bytes of a list of groups, or of the kinds of one.
const MAX_DISCOVERY: usize = 16 << 20;
/// Bytes of the name of a kind with its group; files are called so.
const MAX_NAME: usize = 160;

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
    let groups: APIGroupList = told(client, "/apis", patience).await?;
    let (mut kinds, mut failures, mut known) = (Vec::new(), Vec::new(), BTreeSet::new());
    for (group, version) in versions(groups, &mut failures) {
        let what = if group.is_empty() { version.clone() } else { format!("{group}/{version}") };
        let base = if group.is_empty() { "/api" } else { "/apis" };
        match told(client, &format!("{base}/{what}"), patience).await {
            Ok(list) => {
                let new = of_list(&group, &version, list, &mut failures).into_iter();
                kinds.extend(new.filter(|kind| known.insert((kind.group.clone(), kind.kind.clone()))));
            }
            Err(refusal) => failures.push(refusal.failure(what, None)),
        }
    }
    kinds.sort();
    Ok((kinds, failures))
}

async fn told<T: DeserializeOwned>(client: &Client, path: &str, patience: Duration) -> Result<T, Refusal> {
    let bytes = ask(client, path, MAX_DISCOVERY, patience).await?;
    serde_json::from_slice(&bytes).map_err(|_| Refusal::because("the answer is no list of kinds"))
}

/// Groups with their versions, those that the server prefers first.
fn versions(groups: APIGroupList, failures: &mut Vec<Failure>) -> Vec<(String, String)> {
    let mut versions = vec![(String::new(), "v1".to_owned())];
    for group in groups.groups.into_iter().filter(|group| !NO_GROUPS.contains(&&*group.name)) {
        let preferred = group.preferred_version.map(|preferred| preferred.version);
        let mut listed: Vec<String> = group.versions.into_iter().map(|version| version.version).collect();
        listed.sort_by_key(|version| Some(version) != preferred.as_ref());
        for version in listed {
            match is_plain(&group.name) && is_plain(&version) {
                true => versions.push((group.name.clone(), version)),
                false => failures.push(strange(&format!("{}/{version}", group.name))),
            }
        }
    }
    versions
}

fn of_list(group: &str, version: &str, list: APIResourceList, failures: &mut Vec<Failure>) -> Vec<ApiKind> {
    // What has a slash is a part of another kind.
    let is_wanted = |resource: &APIResource| {
        let listable = resource.verbs.iter().any(|verb| verb == "list");
        listable && !resource.name.contains('/') && !NO_KINDS.contains(&(group, &resource.kind))
    };
    let mut kinds = Vec::new();
    for resource in list.resources.into_iter().filter(is_wanted) {
        let kind = ApiKind {
            group: group.to_owned(),
            version: version.to_owned(),
            plural: resource.name,
            kind: resource.kind,
            namespaced: resource.namespaced,
        };
        let plain = is_plain(&kind.plural) && is_plain(&kind.kind);
        match plain && kind.plural.len() + kind.group.len() <= MAX_NAME {
            true => kinds.push(kind),
            false => failures.push(strange(&kind.title())),
        }
    }
    kinds
}

/// Whether a name may become part of a path, here and on the disk.
fn is_plain(name: &str) -> bool {
    let ends = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = name.as_bytes();
    let inside = bytes.iter().all(|b| b.is_ascii_alphanumeric() || b"-.".contains(b));
    inside && ends(bytes.first()) && ends(bytes.last()) && bytes.len() <= MAX_NAME && !name.contains("..")
}

fn strange(name: &str) -> Failure {
    let shown: String = name.chars().take(80).collect();
    let reason = "its name is none that Kubernetes allows, or is too long for a file";
    Refusal::because(reason).failure(format!("{shown:?}"), None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_elsewhere_are_not_plain() {
        for name in ["apps", "networking.k8s.io", "v1beta1", "NetworkPolicy", "k3s.cattle.io", "my-widgets"] {
            assert!(is_plain(name), "{name}");
        }
        for name in
            ["", ".", "..", "a/b", "../x", "a..b", ".hidden", "-x", "x?y", "x#", "a b", "ü", "a\nb", &"x".repeat(161)]
        {
            assert!(!is_plain(name), "{name}");
        }
    }
}
