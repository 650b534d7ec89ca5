//! The shape of packs: in a profile, in a document of their own, and what they have.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::{IgnoredImage, Requirements, Variable};

/// One part of a cluster, written here or in a document of its own.
#[derive(Debug, Clone, JsonSchema, Serialize)]
#[serde(untagged)]
pub enum PackItem {
    /// Written here.
    Here(Box<Pack>),
    /// In a folder or a registry.
    Elsewhere(SourcedPack),
}

/// An image that a pack lists.
#[derive(Debug, Clone, JsonSchema, Serialize)]
#[serde(untagged)]
pub enum ListedImage {
    /// The reference.
    Plain(String),
    /// The reference, and what it is made for.
    MadeFor(ImageMadeFor),
}

impl From<String> for ListedImage {
    fn from(reference: String) -> Self {
        Self::Plain(reference)
    }
}

/// An image that is made for some of the profile's platforms only.
#[derive(Debug, Clone, JsonSchema, Serialize)]
#[schemars(deny_unknown_fields)]
pub struct ImageMadeFor {
    /// The reference.
    pub image: String,
    /// The platforms of the profile that it is made for, wherever else it is named.
    #[schemars(length(min = 1))]
    pub platforms: Vec<String>,
}

/// A part of a cluster that has a document of its own.
#[derive(Debug, Clone, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(deny_unknown_fields)]
pub struct SourcedPack {
    /// Unique in the profile; lowercase letters, digits and `-`, up to 63.
    #[schemars(regex(pattern = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"))]
    pub name: String,
    /// A folder with a `pack.yaml`, or `oci://HOST/REPOSITORY:TAG`.
    pub source: String,
    /// The platforms of the profile that its images are needed for; what the pack itself says where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub platforms: Option<Vec<String>>,
    /// The version that the pack must have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Values for its only chart, over the pack's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub values: Option<Vec<Values>>,
}

/// One part of a cluster.
#[derive(Debug, Clone, Default, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(deny_unknown_fields)]
pub struct Pack {
    /// Unique in the profile; lowercase letters, digits and `-`, up to 63.
    #[schemars(regex(pattern = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"))]
    pub name: String,
    /// Its place in the cluster.
    pub layer: Layer,
    /// The version of what it carries, as its makers write it. In quotes where it looks like a number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Which Kubernetes distribution; only on layer k8s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub distribution: Option<Distribution>,
    /// Packs that must be in the profile too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub depends_on: Option<Vec<Dependency>>,
    /// What a host must have for this pack, besides the others'.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requirements: Option<Requirements>,
    /// The versions of this pack from which a host can be upgraded: a range such as `>=1.2, <2`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upgrade_from: Option<String>,
    /// What the cluster's API has besides Kubernetes' own, for charts that ask: `GROUP/VERSION[/KIND]`; only on layer k8s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_versions: Option<Vec<String>>,
    /// Added to the distribution's own configuration; only on layer k8s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<serde_json::Map<String, Value>>,
    /// Files to put on the host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files: Option<Vec<File>>,
    /// systemd units to enable and start once the files are there, by name with ending.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub services: Option<Vec<String>>,
    /// Text files inside the folder with one image reference per line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_lists: Option<Vec<String>>,
    /// Images that no manifest names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub images: Option<Vec<ListedImage>>,
    /// The platforms of the profile that its images are needed for; all where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub platforms: Option<Vec<String>>,
    /// Kubernetes manifests inside the folder; `*` and `**` are patterns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manifests: Option<Vec<String>>,
    /// A Helm chart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chart: Option<Chart>,
    /// Helm charts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub charts: Option<Vec<Chart>>,
}

/// A part of a cluster as a document of its own: `pack.yaml`.
#[derive(Debug, Clone, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(deny_unknown_fields)]
pub struct PackDocument {
    /// Version of this format.
    #[schemars(extend("const" = "carrack/v1"))]
    pub api_version: String,
    /// Kind of document.
    #[schemars(extend("const" = "Pack"))]
    pub kind: String,
    /// What the pack is called.
    pub metadata: PackMetadata,
    /// What it contains.
    pub spec: PackSpec,
}

/// What a pack is called.
#[derive(Debug, Clone, Default, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(deny_unknown_fields)]
pub struct PackMetadata {
    /// Lowercase letters, digits and `-`, up to 63 (a DNS-1123 label). A profile may give it another name.
    #[schemars(regex(pattern = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"))]
    pub name: String,
    /// The version of what it carries. In quotes where it looks like a number.
    pub version: String,
    /// One line for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// What a pack contains.
#[derive(Debug, Clone, Default, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(deny_unknown_fields)]
pub struct PackSpec {
    /// Its place in the cluster.
    pub layer: Layer,
    /// What differs from site to site.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variables: Option<Vec<Variable>>,
    /// What looks like an image in manifests but is not wanted, each with the reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ignore_images: Option<Vec<IgnoredImage>>,
    /// Which Kubernetes distribution; only on layer k8s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub distribution: Option<Distribution>,
    /// Packs that must be in the profile too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub depends_on: Option<Vec<Dependency>>,
    /// What a host must have for this pack, besides the others'.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requirements: Option<Requirements>,
    /// The versions of this pack from which a host can be upgraded: a range such as `>=1.2, <2`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upgrade_from: Option<String>,
    /// What the cluster's API has besides Kubernetes' own, for charts that ask: `GROUP/VERSION[/KIND]`; only on layer k8s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_versions: Option<Vec<String>>,
    /// Added to the distribution's own configuration; only on layer k8s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<serde_json::Map<String, Value>>,
    /// Files to put on the host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files: Option<Vec<File>>,
    /// systemd units to enable and start once the files are there, by name with ending.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub services: Option<Vec<String>>,
    /// Text files inside the folder with one image reference per line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_lists: Option<Vec<String>>,
    /// Images that no manifest names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub images: Option<Vec<ListedImage>>,
    /// The platforms of the profile that its images are needed for; all where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub platforms: Option<Vec<String>>,
    /// Kubernetes manifests inside the folder; `*` and `**` are patterns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manifests: Option<Vec<String>>,
    /// A Helm chart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chart: Option<Chart>,
    /// Helm charts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub charts: Option<Vec<Chart>>,
}

/// A pack that must be in the profile too.
#[derive(Debug, Clone, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(deny_unknown_fields)]
pub struct Dependency {
    /// Its name.
    pub pack: String,
    /// The versions that will do: a range such as `>=1.2, <2`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// A Helm chart: either `source`, or `repository` and `name`.
#[derive(Debug, Clone, Default, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(deny_unknown_fields)]
pub struct Chart {
    /// A package or folder inside the folder, or `oci://HOST/REPOSITORY[:TAG]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// `https://…` of a chart repository.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// The chart's name in the repository.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The versions that will do: a range such as `~1.7`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The release's name; the chart's where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// The release's namespace; default where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Values, later ones over earlier ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub values: Option<Vec<Values>>,
}

/// Values of a chart.
#[derive(Debug, Clone, JsonSchema, Serialize)]
#[serde(untagged)]
pub enum Values {
    /// A file inside the folder.
    File(String),
    /// The values themselves.
    Here(serde_json::Map<String, Value>),
}

/// A pack's place in the cluster.
#[derive(Debug, Clone, Default, JsonSchema, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Layer {
    /// The operating system.
    Os,
    /// Kubernetes itself.
    K8s,
    /// The network between pods.
    Cni,
    /// Storage.
    Csi,
    /// Everything else.
    #[default]
    Addon,
}

/// A Kubernetes distribution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Distribution {
    /// k3s.
    K3s,
    /// RKE2.
    Rke2,
    /// kubeadm, as in PXK-E.
    Kubeadm,
    /// Canonical Kubernetes, the snap.
    Canonical,
    /// None: the host has its own Kubernetes, or only a container runtime.
    None,
}

/// A file to put on the host.
#[derive(Debug, Clone, Default, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(deny_unknown_fields)]
pub struct File {
    /// A file inside the folder, or `https://…`, which needs `sha256`.
    pub source: String,
    /// SHA-256 that the file must have.
    #[schemars(regex(pattern = r"^[0-9a-f]{64}$"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// The only platform that gets the file; every one where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// Absolute path on the host, without `.` and `..`.
    #[schemars(regex(pattern = r"^/.*[^/]$"))]
    pub path: String,
    /// Permission bits as octal digits in quotes; where absent, `"0755"` for a path below a folder `bin` or `sbin`, and `"0644"` for
    /// any other.
    #[schemars(regex(pattern = r"^[0-7]{3,4}$"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// USER or USER:GROUP, names or numbers; root where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Whether variables in it are filled in on the host; false where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<bool>,
}
