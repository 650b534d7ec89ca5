//! What people write: the cluster profile, parsed with positions and checked all at once.
//!
//! Owns the profile's meaning and the rules for the paths in it. It must not know registries, bundles or hosts, nor
//! which images the manifests need.

mod charts;
mod config_paths;
mod constraints;
mod decode;
mod files;
mod load;
mod options;
mod packs;
mod paths;
mod ready;
mod requirements;
pub mod schema;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

pub use crate::problem::{Position, Problem, Problems};
pub use load::{Loaded, file_of, load, load_pack};

use crate::oci::{Digest, Platform, Reference};
use crate::requirements::Requirements;
use crate::variables::Variable;

/// The file name of a profile in a folder that is named instead of a file.
pub const FILE_NAME: &str = "carrack.yaml";

/// The file name of a pack in its folder.
pub const PACK_FILE_NAME: &str = "pack.yaml";

/// The folders of packs from registries, by the reference that a profile names them with.
pub type Packs = BTreeMap<Reference, PathBuf>;

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
    /// What differs from site to site: the profile's own variables, then those of its packs, each name once.
    pub variables: Vec<Variable>,
    /// The Kubernetes that the cluster has or will have, where a pack on [`Layer::K8s`] does not say it.
    pub kubernetes_version: Option<semver::Version>,
    /// What a host must have for the cluster as a whole.
    pub requirements: Requirements,
    /// Seconds for which what was applied is waited for; 0 waits for nothing.
    pub ready: Option<u32>,
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
    /// The document that defines it: the profile, or the pack's own.
    pub file: PathBuf,
    /// Where it comes from.
    pub origin: Origin,
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
    /// systemd units that run once the files are there, by name with ending.
    pub services: Vec<String>,
    /// Files of image references, one a line.
    pub image_lists: Vec<PathBuf>,
    /// The platforms of the profile that its images are needed for; empty where for all.
    pub platforms: Vec<Platform>,
    /// References that no manifest names.
    pub images: Vec<ListedImage>,
    /// Kubernetes manifests: globs in the profile's order, each expanded and sorted, no file twice.
    pub manifests: Vec<PathBuf>,
    /// Helm charts.
    pub charts: Vec<ChartSource>,
    /// What is added to the distribution's own configuration: a YAML mapping; only on [`Layer::K8s`].
    pub config: Option<Template>,
    /// Options in that of which no release that is listed knows, where the distribution's release is not listed.
    pub unsure: Vec<String>,
    /// What the cluster's API has besides what Kubernetes has, as Helm takes it: `GROUP/VERSION[/KIND]`; only on
    /// [`Layer::K8s`].
    pub api_versions: Vec<String>,
    /// The packs that it needs.
    pub depends_on: Vec<Dependency>,
    /// What a host must have for this pack, besides the others'.
    pub requirements: Requirements,
    /// The versions of this pack from which a host can be upgraded to this one; every one where absent.
    pub upgrade_from: Option<semver::VersionReq>,
}

impl Pack {
    /// The version of a pack on [`Layer::K8s`], where it is one of Kubernetes: `1.33.4`, `v1.33.4+k3s1`.
    pub fn kubernetes_version(&self) -> Option<semver::Version> {
        semver::Version::parse(self.version.as_deref()?.trim_start_matches('v')).ok()
    }
}

/// An image that a pack lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedImage {
    /// The image.
    pub reference: Reference,
    /// Where [`Pack::file`] lists it.
    pub position: Position,
    /// The platforms of the profile that it is made for, wherever else it is named; empty where that is not said.
    pub platforms: Vec<Platform>,
}

/// Where a pack comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The profile itself.
    Profile,
    /// A folder beside it.
    Folder(PathBuf),
    /// A registry; brought beside the profile.
    Oci(Reference),
}

/// A pack that another one needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependency {
    /// Its name in the profile.
    pub pack: String,
    /// The versions that will do; every one where absent.
    pub version: Option<semver::VersionReq>,
    /// Where the pack says so.
    pub position: Position,
}

/// A Helm chart as a pack names it.
#[derive(Debug, Clone)]
pub struct ChartSource {
    /// Where the chart is.
    pub location: ChartLocation,
    /// The versions that will do; the newest of them is locked. Checked against the chart where it is a file or folder.
    pub version: Option<semver::VersionReq>,
    /// The release's name; the chart's where absent.
    pub release: Option<String>,
    /// The release's namespace.
    pub namespace: String,
    /// Values, the later ones over the earlier.
    pub values: Vec<Template>,
    /// The document that names the chart.
    pub file: PathBuf,
    /// Where in it.
    pub position: Position,
}

/// Where a chart is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum ChartLocation {
    /// A package or a folder beside the profile or in the pack.
    Local(PathBuf),
    /// A registry: `HOST/REPOSITORY[:TAG][@DIGEST]`, which is a reference where `oci://` is left out.
    Oci(String),
    /// A classic chart repository with an `index.yaml`.
    Repository {
        /// `https://…`, without a final slash.
        url: String,
        /// The chart's name in it.
        name: String,
    },
}

/// YAML in which placeholders may stand: a file, or a part of a document, written again as YAML.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    /// The file that it is from.
    pub file: PathBuf,
    /// Where it stands, where it is a part of the file; positions in `text` then mean nothing.
    pub inline: Option<Position>,
    /// The text.
    pub text: String,
}

/// Where a host file comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileOrigin {
    /// This file.
    Local(PathBuf),
    /// A server; `https://…`.
    Url {
        /// The address.
        url: String,
        /// What its content hashes to.
        sha256: Digest,
    },
}

impl FileOrigin {
    /// The file, where it is one of this machine.
    pub fn local(&self) -> Option<&Path> {
        match self {
            Self::Local(path) => Some(path),
            Self::Url { .. } => None,
        }
    }
}

/// A file for the host.
#[derive(Debug, Clone)]
pub struct FileSource {
    /// Where it comes from.
    pub source: FileOrigin,
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
    /// Whether placeholders in it are filled on the host.
    pub template: bool,
    /// Where in [`Pack::file`].
    pub position: Position,
}

/// What looks like an image in a manifest or list but is none, or is not wanted. It does not concern what a pack names
/// in `images`.
#[derive(Debug, Clone)]
pub struct IgnoredImage {
    /// The text as it stands where it is found.
    pub image: String,
    /// Why it is left out.
    pub reason: String,
    /// The document that says so.
    pub file: PathBuf,
    /// Where in it.
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
    /// kubeadm, as in PXK-E.
    Kubeadm,
    /// Canonical Kubernetes, the snap.
    Canonical,
    /// None: the host has its own Kubernetes, or only a container runtime.
    None,
}

impl Distribution {
    pub(crate) const WORDS: &[(&str, Self)] = &[
        ("k3s", Self::K3s),
        ("rke2", Self::Rke2),
        ("kubeadm", Self::Kubeadm),
        ("canonical", Self::Canonical),
        ("none", Self::None),
    ];
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
