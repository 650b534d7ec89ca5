//! From what a bundle is to hold, to `index.json` and the order of all blobs.

use std::collections::{BTreeMap, HashSet};

use super::annotation;
use super::contents::{HostFile, ManifestFile, ResolvedProfile};
use super::plan::Regions;
use crate::oci::{Annotations, Descriptor, Digest, ImageIndex, ImageManifest, Reference, media_type};

/// Everything that goes into a bundle, small blobs with their bytes.
#[derive(Debug, Clone)]
pub struct Parts {
    /// The resolved profile.
    pub profile: ResolvedProfile,
    /// When the bundle says it was made (RFC 3339); never the clock.
    pub created: Option<String>,
    /// The oldest installer that may apply it, a semantic version.
    pub requires_installer: String,
    /// Host files.
    pub files: Vec<(HostFile, FileContent)>,
    /// Kubernetes manifests, with their bytes.
    pub manifests: Vec<(ManifestFile, FileContent)>,
    /// Images, sorted by reference.
    pub images: Vec<ImageParts>,
}

/// Where a file's bytes go.
#[derive(Debug, Clone)]
pub enum FileContent {
    /// Small: with the head.
    Inline(Vec<u8>),
    /// Compressed already: stored.
    Stored,
    /// Large and compressible: the tail.
    Tail,
}

/// An image with its metadata.
#[derive(Debug, Clone)]
pub struct ImageParts {
    /// As the profile has it.
    pub reference: Reference,
    /// What the reference names.
    pub target: Descriptor,
    /// Raw bytes of the index, where it names one.
    pub index: Option<Vec<u8>>,
    /// The manifests to carry; none means that the image is declared absent.
    pub manifests: Vec<ManifestParts>,
}

/// A manifest with its configuration.
#[derive(Debug, Clone)]
pub struct ManifestParts {
    /// Raw bytes of the manifest.
    pub raw: Vec<u8>,
    /// The manifest, parsed.
    pub manifest: ImageManifest,
    /// Raw bytes of the configuration.
    pub config: Vec<u8>,
}

/// Builds `index.json` and puts every blob into its region, once.
///
/// # Errors
/// Where a document cannot be written as JSON, which is a bug.
pub fn compose(parts: &Parts) -> Result<Regions, serde_json::Error> {
    let config = canonical_json(&parts.profile)?;
    let profile = canonical_json(&profile_manifest(parts, &config))?;
    let mut regions = Regions { index: canonical_json(&index(parts, &profile))?, ..Regions::default() };
    let mut seen = HashSet::new();
    let mut head = |content: &[u8]| {
        let digest = Digest::of(content);
        if seen.insert(digest) {
            regions.head.push((digest, content.to_vec()));
        }
    };
    head(&profile);
    head(&config);
    for image in &parts.images {
        image.index.iter().filter(|_| !image.manifests.is_empty()).for_each(|raw| head(raw));
        for manifest in &image.manifests {
            head(&manifest.raw);
            head(&manifest.config);
        }
    }
    let files = parts.files.iter().map(|(file, content)| (&file.blob, content));
    let files: Vec<_> = files.chain(parts.manifests.iter().map(|(file, content)| (&file.blob, content))).collect();
    for (_, content) in &files {
        if let FileContent::Inline(bytes) = content {
            head(bytes);
        }
    }
    let layers = parts.images.iter().flat_map(|image| &image.manifests).flat_map(|manifest| &manifest.manifest.layers);
    let layers = layers.map(|layer| (layer, media_type::is_compressed(&layer.media_type)));
    let large = files.into_iter().map(|(blob, content)| (blob, matches!(content, FileContent::Stored)));
    for (blob, compressed) in large.chain(layers) {
        if seen.insert(blob.digest) {
            let region = if compressed { &mut regions.stored } else { &mut regions.tail };
            region.push((blob.digest, blob.size));
        }
    }
    Ok(regions)
}

/// JSON with sorted keys and no white space, so that equal values are equal bytes.
fn canonical_json<T: serde::Serialize>(value: &T) -> Result<Vec<u8>, serde_json::Error> {
    serde_json::to_vec(&serde_json::to_value(value)?)
}

fn profile_manifest(parts: &Parts, config: &[u8]) -> ImageManifest {
    let layers = parts.files.iter().map(|(file, _)| describe_file(file));
    let layers = layers.chain(parts.manifests.iter().map(|(manifest, _)| describe_manifest(manifest))).collect();
    let requires = (annotation::REQUIRES_INSTALLER.to_owned(), parts.requires_installer.clone());
    ImageManifest {
        schema_version: 2,
        media_type: Some(media_type::IMAGE_MANIFEST.to_owned()),
        artifact_type: Some(media_type::PROFILE.to_owned()),
        config: Descriptor::of(media_type::PROFILE, config),
        layers,
        annotations: Annotations::from([requires]),
    }
}

fn describe_file(file: &HostFile) -> Descriptor {
    let title = file.path.rsplit('/').next().unwrap_or(&file.path);
    let mut annotations = BTreeMap::from([
        (annotation::TITLE, title.to_owned()),
        (annotation::PACK, file.pack.clone()),
        (annotation::PATH, file.path.clone()),
        (annotation::MODE, format!("{:04o}", file.mode)),
    ]);
    annotations.extend(file.owner.clone().map(|owner| (annotation::OWNER, owner)));
    annotations.extend(file.platform.as_ref().map(|platform| (annotation::PLATFORM, platform.to_string())));
    annotated(&file.blob, annotations)
}

fn describe_manifest(manifest: &ManifestFile) -> Descriptor {
    let annotations = [(annotation::TITLE, manifest.name.clone()), (annotation::PACK, manifest.pack.clone())];
    annotated(&manifest.blob, annotations.into())
}

fn annotated(blob: &Descriptor, annotations: BTreeMap<&str, String>) -> Descriptor {
    let annotations = annotations.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    Descriptor { annotations, ..blob.clone() }
}

fn index(parts: &Parts, profile: &[u8]) -> ImageIndex {
    let profile_descriptor = Descriptor {
        artifact_type: Some(media_type::PROFILE.to_owned()),
        ..Descriptor::of(media_type::IMAGE_MANIFEST, profile)
    };
    let mut manifests = vec![profile_descriptor];
    for image in &parts.images {
        for name in image.reference.runtime_names() {
            let mut annotations = Annotations::from([
                (annotation::REF_NAME.to_owned(), name.clone()),
                (annotation::CONTAINERD_NAME.to_owned(), name),
            ]);
            if image.manifests.is_empty() {
                annotations.insert(annotation::ABSENT.to_owned(), "true".to_owned());
            }
            manifests.push(Descriptor { annotations, ..image.target.clone() });
        }
    }
    let mut annotations = Annotations::from([
        (annotation::NAME.to_owned(), parts.profile.name.clone()),
        (annotation::VERSION.to_owned(), parts.profile.version.clone()),
        (annotation::FORMAT.to_owned(), super::FORMAT.to_string()),
    ]);
    annotations.extend(parts.created.clone().map(|created| (annotation::CREATED.to_owned(), created)));
    ImageIndex {
        schema_version: 2,
        media_type: Some(media_type::IMAGE_INDEX.to_owned()),
        artifact_type: Some(media_type::BUNDLE.to_owned()),
        manifests,
        annotations,
    }
}
