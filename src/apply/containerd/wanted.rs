//! Which content, snapshots and names a bundle's images need on one platform. Pure.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::Labels;
use super::labels::Repository;
use crate::bundle::{BundledImage, BundledIndex, BundledManifest, Contents};
use crate::oci::{Blob, Digest, Platform, Reference};

/// Everything that the images of a bundle need.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// The content, each digest once.
    pub blobs: BTreeMap<Digest, WantedBlob>,
    /// The images, in the bundle's order.
    pub images: Vec<WantedImage>,
}

/// Content that containerd must hold.
#[derive(Debug, Clone)]
pub struct WantedBlob {
    /// Length in bytes.
    pub size: u64,
    /// What its labels must say.
    pub labels: Labels,
}

/// An image that containerd must know.
#[derive(Debug, Clone)]
pub struct WantedImage {
    /// As the bundle has it.
    pub reference: Reference,
    /// The names under which it is looked up: by tag, and always by the digest of its target.
    pub names: Vec<String>,
    /// What the names stand for.
    pub target: Blob,
    /// The index that the names stand for, and those within it, as far as they lead to the manifests: each after those that it
    /// lists, and with what is imported of its children. Empty where the names stand for a manifest.
    pub indexes: Vec<BundledIndex>,
    /// The manifests for the platform; most images have one.
    pub manifests: Vec<BundledManifest>,
}

/// Why a bundle's images cannot be imported.
#[derive(Debug, thiserror::Error)]
pub enum WantedError {
    /// An image is not there for this machine.
    #[error("{image} is not in the bundle for {platform} (it has {has})")]
    Platform {
        /// The image.
        image: String,
        /// This machine's platform.
        platform: String,
        /// What there is instead.
        has: String,
    },
}

impl Wanted {
    /// What the images of `contents` need on `platform`. Those that the bundle declares absent need nothing: the host's
    /// runtime pulls them; nor do those that are for other platforms alone.
    ///
    /// # Errors
    /// [`WantedError`] for the first image that has no manifest for the platform.
    pub fn of(contents: &Contents, platform: &Platform) -> Result<Self, WantedError> {
        let mut wanted = Self { blobs: BTreeMap::new(), images: Self::images_of(contents, platform)? };
        wanted.images.iter().for_each(|image| add_content(&mut wanted.blobs, image));
        Ok(wanted)
    }

    /// The images alone, without what containerd wants to know of their content.
    ///
    /// # Errors
    /// As [`Wanted::of`].
    pub fn images_of(contents: &Contents, platform: &Platform) -> Result<Vec<WantedImage>, WantedError> {
        let present = contents.images.iter().filter(|image| !image.is_absent() && image.is_for(platform));
        let wanted = |image: &BundledImage| {
            let manifests = for_platform(image, platform)?;
            Ok(WantedImage {
                reference: image.reference.clone(),
                names: names(image),
                target: image.target.clone(),
                indexes: leading_to(&manifests, image),
                manifests,
            })
        };
        present.map(wanted).collect()
    }
}

fn add_content(blobs: &mut BTreeMap<Digest, WantedBlob>, image: &WantedImage) {
    let mut add = |blob: &Blob, labels: Labels| {
        let wanted = || WantedBlob { size: blob.size, labels: Labels::default() };
        blobs.entry(blob.digest).or_insert_with(wanted).labels.add(labels);
    };
    for index in &image.indexes {
        add(&index.blob, Labels::index(index.children.iter().copied()));
    }
    let repository = Arc::new(Repository::of(&image.reference));
    for manifest in &image.manifests {
        let layers = manifest.layers.iter().map(|layer| layer.digest);
        add(&manifest.manifest, Labels::manifest(manifest.config.digest, layers));
        add(&manifest.config, Labels::default());
        for layer in manifest.layers.iter() {
            add(layer, Labels::layer(&repository));
        }
    }
}

/// The indexes of an image that lead to `manifests`, and which of their children do.
fn leading_to(manifests: &[BundledManifest], image: &BundledImage) -> Vec<BundledIndex> {
    let mut imported: HashSet<Digest> = manifests.iter().map(|manifest| manifest.manifest.digest).collect();
    let mut indexes = Vec::with_capacity(image.indexes.len());
    for index in &image.indexes {
        let children: Box<[Digest]> = index.children.iter().copied().filter(|child| imported.contains(child)).collect();
        if !children.is_empty() {
            imported.insert(index.blob.digest);
            indexes.push(BundledIndex { blob: index.blob.clone(), children });
        }
    }
    indexes
}

fn for_platform(image: &BundledImage, platform: &Platform) -> Result<Vec<BundledManifest>, WantedError> {
    let fits = |manifest: &&BundledManifest| match &manifest.platform {
        Some(made_for) => made_for.satisfies(platform),
        // Only an artifact says nothing, and serves every platform.
        None => true,
    };
    let manifests: Vec<BundledManifest> = image.manifests.iter().filter(fits).cloned().collect();
    if !manifests.is_empty() {
        return Ok(manifests);
    }
    let has: Vec<String> =
        image.manifests.iter().filter_map(|m| m.platform.as_ref()).map(ToString::to_string).collect();
    let has = if has.is_empty() { "none".to_owned() } else { has.join(", ") };
    Err(WantedError::Platform { image: image.reference.to_string(), platform: platform.to_string(), has })
}

/// The CRI plugin answers for a digest only where a name with that digest exists, so there always is one.
fn names(image: &BundledImage) -> Vec<String> {
    let mut names = image.reference.runtime_names();
    let pinned = image.reference.pinned(image.target.digest).to_string();
    if !names.contains(&pinned) {
        names.push(pinned);
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle::ResolvedProfile;
    use crate::oci::media_type;

    #[test]
    fn absent_images_need_nothing() {
        let absent = BundledImage {
            reference: "registry.example.org/a:1".parse().unwrap(),
            target: Blob::of(media_type::IMAGE_MANIFEST, b"{}"),
            platforms: Vec::new(),
            indexes: Vec::new(),
            manifests: Vec::new(),
        };
        let profile = ResolvedProfile { name: "p".to_owned(), version: "1.0.0".to_owned(), ..Default::default() };
        let contents = Contents {
            identity: Digest::of(b""),
            profile,
            created: None,
            requires_installer: None,
            files: Vec::new(),
            manifests: Vec::new(),
            charts: Vec::new(),
            config: None,
            images: vec![absent],
        };
        let wanted = Wanted::of(&contents, &Platform::new("linux", "amd64")).unwrap();
        assert!(wanted.images.is_empty() && wanted.blobs.is_empty());
    }
}
