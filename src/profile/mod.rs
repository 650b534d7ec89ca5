//! What people write: the cluster profile, parsed with positions and checked all at once.
//!
//! Owns the profile's meaning and the rules for the paths in it. It must not know registries, bundles or hosts, nor
//! which images the manifests need.

mod decode;
mod files;
mod load;
mod paths;
pub mod schema;

use std::fmt;
use std::path::{Path, PathBuf};

pub use crate::problem::{Position, Problem, Problems};
pub use load::load;

use crate::oci::{Digest, Platform, Reference};

/// The file name of a profile in a folder that is named instead of a file.
pub const FILE_NAME: &str = "carrack.yaml";

/// What every document of Carrack says in `apiVersion`.
pub const API_VERSION: &str = "carrack/v1";

/// A cluster profile that has been checked: names are unique, every file it names exists inside its folder.
#[derive(Debug, Clone)]
pub struct Profile {
    /// Where it was read from.
    pub file: PathBuf,
    /// A DNS-1123 label.
    pub name: String,
    /// The profile's own version.
    pub version: semver::Version,
    /// For people; possibly empty.
    pub description: String,
    /// What the cluster's nodes run on; at least one.
    pub platforms: Vec<Platform>,
    /// What the cluster is made of, in order.
    pub packs: Vec<Pack>,
    /// Image texts that discovery leaves out.
    pub ignore_images: Vec<IgnoredImage>,
}

impl Profile {
    /// The folder that the profile's paths are relative to.
    pub fn folder(&self) -> &Path {
        paths::folder_of(&self.file)
    }
}

/// One part of a cluster.
#[derive(Debug, Clone)]
pub struct Pack {
    /// A DNS-1123 label, unique in the profile.
    pub name: String,
    /// Its place in the cluster.
    pub layer: Layer,
    /// The version of what it carries, as its makers write it.
    pub version: Option<String>,
    /// Which Kubernetes distribution; only on [`Layer::K8s`].
    pub distribution: Option<Distribution>,
    /// Files for the host.
    pub files: Vec<FileSource>,
    /// Files of image references, one a line.
    pub image_lists: Vec<PathBuf>,
    /// References that no manifest names, and where the profile does.
    pub images: Vec<(Reference, Position)>,
    /// Kubernetes manifests: globs in the profile's order, each expanded and sorted, no file twice.
    pub manifests: Vec<PathBuf>,
}

/// A file for the host.
#[derive(Debug, Clone)]
pub struct FileSource {
    /// The local file.
    pub source: PathBuf,
    /// What the profile says it hashes to; checked when the profile was loaded.
    pub sha256: Option<Digest>,
    /// The only platform that gets it; every one where absent.
    pub platform: Option<Platform>,
    /// Absolute path on the host, without `.` and `..`.
    pub path: String,
    /// Permission bits, up to `0o7777`.
    pub mode: u32,
    /// `USER[:GROUP]`, names or numbers; root where absent.
    pub owner: Option<String>,
}

/// What looks like an image in a manifest or list but is none, or is not wanted. It does not concern what a pack names
/// in `images`.
#[derive(Debug, Clone)]
pub struct IgnoredImage {
    /// The text as it stands where it is found.
    pub image: String,
    /// Why it is left out.
    pub reason: String,
    /// Where the profile says so.
    pub position: Position,
}

/// A pack's place in the cluster. All but [`Layer::Addon`] can be taken once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
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
    Addon,
}

impl Layer {
    pub(crate) const WORDS: &[(&str, Self)] =
        &[("os", Self::Os), ("k8s", Self::K8s), ("cni", Self::Cni), ("csi", Self::Csi), ("addon", Self::Addon)];
}

/// A Kubernetes distribution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Distribution {
    /// k3s.
    K3s,
    /// RKE2.
    Rke2,
    /// None: the host has its own Kubernetes, or only a container runtime.
    None,
}

impl Distribution {
    pub(crate) const WORDS: &[(&str, Self)] = &[("k3s", Self::K3s), ("rke2", Self::Rke2), ("none", Self::None)];
}

fn word<T: PartialEq>(words: &[(&'static str, T)], value: &T) -> &'static str {
    words.iter().find(|(_, candidate)| candidate == value).map_or("", |(word, _)| word)
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(word(Self::WORDS, self))
    }
}

impl fmt::Display for Distribution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(word(Self::WORDS, self))
    }
}
