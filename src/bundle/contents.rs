//! What a bundle holds, as values: the part of the format that both sides speak of.

use serde::{Deserialize, Serialize};

use crate::oci::{Descriptor, Digest, Platform, Reference};

/// Everything in a bundle, read from its head and checked against its digests.
#[derive(Debug, Clone)]
pub struct Contents {
    /// SHA-256 of `index.json`: the bundle's identity.
    pub identity: Digest,
    /// The resolved profile.
    pub profile: ResolvedProfile,
    /// Files for the host, in the profile's order.
    pub files: Vec<HostFile>,
    /// Kubernetes manifests, in the profile's order.
    pub manifests: Vec<ManifestFile>,
    /// Images, in the index's order.
    pub images: Vec<BundledImage>,
}

/// The config of the profile's artifact manifest: what the profile asks for, without sources.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ResolvedProfile {
    /// The profile's name, a DNS-1123 label.
    pub name: String,
    /// The profile's version, a semantic version.
    pub version: String,
    /// The profile's description, possibly empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Platforms that the bundle serves.
    pub platforms: Vec<Platform>,
    /// Packs in the order of the profile.
    pub packs: Vec<ResolvedPack>,
}

/// One pack of a resolved profile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ResolvedPack {
    /// The pack's name, unique in the profile.
    pub name: String,
    /// `os`, `k8s`, `cni`, `csi` or `addon`.
    pub layer: String,
    /// The pack's version, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// `k3s`, `rke2`, `kubeadm`, `canonical` or `none`; only on the `k8s` layer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distribution: Option<String>,
    /// The references that the pack needs, sorted.
    pub images: Vec<Reference>,
}

/// A file that the installer puts on the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostFile {
    /// Its bytes.
    pub blob: Descriptor,
    /// The pack that asked for it.
    pub pack: String,
    /// Absolute path on the host, without `..` components.
    pub path: String,
    /// Permission bits, such as `0o755`.
    pub mode: u32,
    /// User and group names or numbers, `USER[:GROUP]`; root where absent.
    pub owner: Option<String>,
    /// The only platform that gets it; every one where absent.
    pub platform: Option<Platform>,
}

/// A file of Kubernetes manifests that the bundle carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestFile {
    /// Its bytes.
    pub blob: Descriptor,
    /// The pack that asked for it.
    pub pack: String,
    /// File name, a single path component, unique within the pack.
    pub name: String,
}

/// An image that the bundle names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundledImage {
    /// The reference, as the profile has it, normalised.
    pub reference: Reference,
    /// What the reference names: a manifest, or an index.
    pub target: Descriptor,
    /// Raw bytes of the index, where the reference names one.
    pub index: Option<Vec<u8>>,
    /// The manifests that are present. Empty in an exported definition.
    pub manifests: Vec<BundledManifest>,
}

/// One platform's image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundledManifest {
    /// Of the manifest.
    pub descriptor: Descriptor,
    /// Raw bytes of the manifest.
    pub raw: Vec<u8>,
    /// The platform, where an index or the configuration names one.
    pub platform: Option<Platform>,
    /// The image's configuration.
    pub config: Descriptor,
    /// The image's layers, lowest first.
    pub layers: Vec<Descriptor>,
}
