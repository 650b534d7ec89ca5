//! The folder from which a Kubernetes distribution imports images when it starts, and the one archive in it that is ours.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;

use super::ApplyError;
use super::containerd::{Wanted, WantedImage};
use super::files::{FileError, Found, TargetFile, look_at};
use super::history::History;
use super::plan::{FileAction, PlannedArchive};
use super::receipt::{Receipt, ReceiptImage};
use super::resume::waiting;
use super::targets::Inputs;
use crate::bundle::{BundledManifest, Contents};
use crate::distro::CANONICAL_IMAGES;
use crate::host::Root;
use crate::io::Place;
use crate::oci::{Digest, Platform};
use crate::places::Places;
use crate::site::node::Node;

/// Permission bits of an archive, whatever the umask.
pub(super) const MODE: u32 = 0o644;

/// A distribution that imports images from a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageFolder {
    /// k3s.
    K3s,
    /// RKE2.
    Rke2,
    /// Canonical Kubernetes. Its containerd looks into `/var/snap/k8s/common/images` when it starts, and gives what it has
    /// imported another name there (k8s-snap, side-load-images-plugin.patch); removing the snap removes that folder. So the
    /// archive is in a folder of Carrack's own, and the step that makes the node puts a link to it there.
    Canonical,
}

impl ImageFolder {
    /// The folder of a machine, within the root.
    pub fn path(self, node: &Node) -> String {
        let usual = match self {
            Self::K3s => "/var/lib/rancher/k3s/agent/images",
            Self::Rke2 => "/var/lib/rancher/rke2/agent/images",
            Self::Canonical => CANONICAL_IMAGES,
        };
        self.places().within(usual.to_owned(), node.install_root.as_deref())
    }

    /// The distribution that a profile's pack names, where it is one of these.
    pub fn of_distribution(name: &str) -> Option<Self> {
        match name {
            "k3s" => Some(Self::K3s),
            "rke2" => Some(Self::Rke2),
            "canonical" => Some(Self::Canonical),
            _ => None,
        }
    }

    fn places(self) -> Places {
        match self {
            Self::K3s => Places::K3s,
            Self::Rke2 => Places::Rke2,
            Self::Canonical => Places::Own,
        }
    }

    /// Whether what it imports may be compressed.
    pub(super) fn takes_zstd(self) -> bool {
        match self {
            Self::K3s | Self::Rke2 => true,
            Self::Canonical => false,
        }
    }

    /// Where the folder of a machine is on the running host.
    ///
    /// # Errors
    /// Where the path means nothing below `root`.
    pub fn resolve(self, node: &Node, root: &Root) -> Result<PathBuf, ApplyError> {
        // The last component of a resolved path is not followed; archives are a level below it.
        Ok(resolve(&format!("{}/archive", self.path(node)), root)?.shown().with_file_name(""))
    }
}

impl fmt::Display for ImageFolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::K3s => "k3s",
            Self::Rke2 => "RKE2",
            Self::Canonical => "Canonical Kubernetes",
        })
    }
}

pub(super) fn resolve(path: &str, root: &Root) -> Result<Place, ApplyError> {
    let place = |source| FileError::Place { pack: "(images)".to_owned(), source };
    Ok(root.place(path).map_err(place)?)
}

/// What the images of `contents` need on `platform`, one manifest each: the distribution imports every platform that it
/// finds, and a name stands for one manifest.
///
/// # Errors
/// For the first image that has no manifest for the platform.
pub(super) fn wanted(contents: &Contents, platform: &Platform) -> Result<Wanted, ApplyError> {
    let images = Wanted::images_of(contents, platform)?;
    let mut wanted = Wanted { blobs: BTreeMap::new(), images };
    for image in &mut wanted.images {
        let exact = image.manifests.iter().position(|manifest| manifest.platform.as_deref() == Some(platform));
        image.manifests.swap(0, exact.unwrap_or(0));
        image.manifests.truncate(1);
        image.indexes.clear();
    }
    Ok(wanted)
}

/// Digest and length in bytes of everything that the archive holds.
pub(super) fn blobs(images: &[WantedImage]) -> BTreeMap<Digest, u64> {
    images.iter().flat_map(|image| &image.manifests).flat_map(blobs_of).collect()
}

/// The same of one manifest.
pub(super) fn blobs_of(manifest: &BundledManifest) -> impl Iterator<Item = (Digest, u64)> {
    let all = [&manifest.manifest, &manifest.config].into_iter().chain(manifest.layers.iter());
    all.map(|blob| (blob.digest, blob.size))
}

/// What would become of the archive on a host with this history; nothing where the bundle has no images.
///
/// # Errors
/// Where something is in the way, or the journal or the archive cannot be read.
pub(super) fn look(
    inputs: Inputs<'_>,
    wanted: &Wanted,
    files: &[TargetFile],
    folder: ImageFolder,
    root: &Root,
    history: &History,
) -> Result<Option<PlannedArchive>, ApplyError> {
    let profile = &inputs.contents.profile;
    let ending = if folder.takes_zstd() { "tar.zst" } else { "tar" };
    let path = format!("{}/{}-{}.{ending}", folder.path(inputs.node), profile.name, profile.version);
    let target = resolve(&path, root)?;
    if let Some(file) = files.iter().find(|file| file.target == target) {
        return Err(FileError::Twice { first: file.path.clone(), second: path }.into());
    }
    if wanted.images.is_empty() {
        return Ok(None);
    }
    let waiting = waiting(root)?;
    let mut receipts = waiting.iter().chain(history.receipts());
    let last = receipts.find_map(|receipt| Some((receipt, receipt.archive()?)).filter(|(_, a)| a.path == path));
    // What is in an archive follows from its images; its digest does only with the release that wrote it, so the receipt
    // has to tell.
    let trusted = last.filter(|(receipt, _)| has_images(receipt, wanted)).map(|(_, archive)| archive);
    let found = look_at(&target, trusted.map_or(u64::MAX, |archive| archive.size))?;
    let kept = trusted.filter(|archive| archive.is(&found)).cloned();
    let action = match &found {
        _ if kept.is_some() => FileAction::Keep,
        Found::Absent => FileAction::Create,
        Found::Regular { .. } | Found::Link => FileAction::Replace,
    };
    let size = blobs(&wanted.images).values().sum();
    Ok(Some(PlannedArchive { folder, path, target, size, found, kept, action }))
}

/// The images as a receipt has them.
pub(super) fn receipt_images(wanted: &Wanted) -> Vec<ReceiptImage> {
    wanted.images.iter().map(receipt_image).collect()
}

fn receipt_image(image: &WantedImage) -> ReceiptImage {
    let blobs =
        image.manifests.iter().flat_map(|manifest| std::iter::once(&manifest.config).chain(manifest.layers.iter()));
    let blobs: BTreeSet<Digest> = blobs.map(|blob| blob.digest).collect();
    let indexes = image.indexes.iter().map(|index| index.blob.digest);
    let inner = indexes.filter(|digest| *digest != image.target.digest);
    ReceiptImage {
        reference: image.reference.clone(),
        names: image.names.clone(),
        target: image.target.digest,
        manifests: image.manifests.iter().map(|manifest| manifest.manifest.digest).chain(inner).collect(),
        blobs: blobs.into_iter().collect(),
    }
}

/// Whether a receipt has just these images. They are compared one by one: a list of many thousands takes megabytes.
fn has_images(receipt: &Receipt, wanted: &Wanted) -> bool {
    let same = |(known, image): (&ReceiptImage, &WantedImage)| *known == receipt_image(image);
    receipt.images.len() == wanted.images.len() && receipt.images.iter().zip(&wanted.images).all(same)
}
