//! From what a bundle is to hold, to `index.json` and the order of all blobs.

use std::collections::HashSet;
use std::sync::Arc;

use super::annotation;
use super::artifact::{ChartFile, ConfigFile, HostFile, ManifestFile};
use super::contents::ResolvedProfile;
use super::documents::{Document, Words};
use super::head::MAX_DESCRIPTORS;
use super::plan::Regions;
use super::texts;
use crate::oci::{Annotations, Blob, Descriptor, Digest, ImageIndex, ImageManifest, Platform, Reference, media_type};

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
    /// Helm charts: the package, and the bytes of the values, where the chart has values.
    pub charts: Vec<(ChartFile, FileContent, Vec<u8>)>,
    /// What is added to the distribution's configuration, with its bytes.
    pub config: Option<(ConfigFile, Vec<u8>)>,
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
    /// The only platforms of the profile that the image is for; empty where it is for all.
    pub platforms: Vec<Platform>,
    /// Raw bytes of the index, where it names one, and of those within it that lead to manifests; each after one that lists it.
    pub indexes: Vec<Vec<u8>>,
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

/// An image for a folder from which a Kubernetes distribution imports: one platform, under every name it is asked for by.
#[derive(Debug, Clone)]
pub struct FolderImage {
    /// The names, each with a tag or a digest.
    pub names: Vec<String>,
    /// The manifest.
    pub manifest: Blob,
    /// The configuration.
    pub config: Blob,
    /// The layers.
    pub layers: Arc<[Blob]>,
}

/// Why parts make no bundle.
#[derive(Debug, thiserror::Error)]
pub enum ComposeError {
    /// A text that no reader takes; those who write profiles are told with the place.
    #[error("the bundle cannot be made: {0}")]
    Text(String),
    /// A document cannot be written.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

/// Builds `index.json` of a bundle and puts every blob into its region, once.
///
/// # Errors
/// Where a reader would refuse a text, or a document cannot be written as JSON, which is a bug.
pub fn compose(parts: &Parts) -> Result<Regions, ComposeError> {
    texts::check_parts(parts).map_err(ComposeError::Text)?;
    check_documents(parts).map_err(ComposeError::Text)?;
    let config = canonical_json(&parts.profile)?;
    let profile = canonical_json(&profile_manifest(parts, &config))?;
    let mut composer = Composer::new(canonical_json(&index(parts, &profile))?);
    composer.head(&profile);
    composer.head(&config);
    for image in &parts.images {
        image.indexes.iter().filter(|_| !image.manifests.is_empty()).for_each(|raw| composer.head(raw));
        image.manifests.iter().for_each(|manifest| composer.manifest(manifest));
    }
    let files = parts.files.iter().map(|(file, content)| (&file.blob, content));
    let manifests = parts.manifests.iter().map(|(file, content)| (&file.blob, content));
    let charts = parts.charts.iter().map(|(chart, content, _)| (&chart.blob, content));
    let with_values = parts.charts.iter().filter(|(chart, ..)| chart.values.is_some());
    with_values.for_each(|(_, _, values)| composer.head(values));
    parts.config.iter().for_each(|(_, content)| composer.head(content));
    for (blob, content) in files.chain(manifests).chain(charts) {
        match content {
            FileContent::Inline(bytes) => composer.head(bytes),
            FileContent::Stored => composer.large(blob.digest, blob.size, true),
            FileContent::Tail => composer.large(blob.digest, blob.size, false),
        }
    }
    parts.images.iter().flat_map(|image| &image.manifests).for_each(|manifest| composer.layers(manifest));
    Ok(composer.regions)
}

/// The same for an archive of images alone: an index of plain manifests, which every importer understands. Manifests and
/// configurations are stored as they are, so that they need not be there yet.
///
/// # Errors
/// Where the index cannot be written as JSON, which is a bug.
pub fn compose_images(images: &[FolderImage]) -> Result<Regions, serde_json::Error> {
    // One descriptor after another: a tree of all of them would take many times their length.
    let mut index = br#"{"manifests":["#.to_vec();
    for image in images {
        for name in &image.names {
            if index.last() == Some(&b'}') {
                index.push(b',');
            }
            index.extend(canonical_json(&name_image(&image.manifest.descriptor(), name))?);
        }
    }
    index.extend(format!(r#"],"mediaType":"{}","schemaVersion":2}}"#, media_type::IMAGE_INDEX).bytes());
    let mut composer = Composer::new(index);
    for image in images {
        composer.large(image.manifest.digest, image.manifest.size, true);
        composer.large(image.config.digest, image.config.size, true);
    }
    for layer in images.iter().flat_map(|image| image.layers.iter()) {
        composer.large(layer.digest, layer.size, media_type::is_compressed(&layer.media_type));
    }
    Ok(composer.regions)
}

/// Checks that a reader takes the documents of the images.
fn check_documents(parts: &Parts) -> Result<(), String> {
    let (mut words, mut descriptors) = (Words::default(), 0);
    for image in &parts.images {
        let of_image = |reason| format!("{}: {reason}", image.reference);
        let manifests = image.manifests.iter().map(|manifest| (&manifest.raw, media_type::IMAGE_MANIFEST));
        let indexes = image.indexes.iter().map(|raw| (raw, media_type::IMAGE_INDEX));
        for (raw, hint) in indexes.chain(manifests) {
            descriptors += match words.manifest(raw, hint).map_err(of_image)? {
                Document::Image { layers, .. } => layers.len() + 1,
                Document::Index(children) => children.len(),
                Document::Config(_) => 0,
            };
        }
        descriptors += 2;
    }
    if descriptors > MAX_DESCRIPTORS {
        return Err(format!(
            "its images have {descriptors} manifests and layers, at most {MAX_DESCRIPTORS} are possible"
        ));
    }
    Ok(())
}

/// Puts blobs into regions, each where it is first used.
struct Composer {
    regions: Regions,
    seen: HashSet<Digest>,
}

impl Composer {
    fn new(index: Vec<u8>) -> Self {
        Self { regions: Regions { index, ..Regions::default() }, seen: HashSet::new() }
    }

    fn head(&mut self, content: &[u8]) {
        let digest = Digest::of(content);
        if self.seen.insert(digest) {
            self.regions.head.push((digest, content.to_vec()));
        }
    }

    fn manifest(&mut self, manifest: &ManifestParts) {
        self.head(&manifest.raw);
        self.head(&manifest.config);
    }

    fn large(&mut self, digest: Digest, size: u64, compressed: bool) {
        if self.seen.insert(digest) {
            let region = if compressed { &mut self.regions.stored } else { &mut self.regions.tail };
            region.push((digest, size));
        }
    }

    fn layers(&mut self, manifest: &ManifestParts) {
        for layer in &manifest.manifest.layers {
            self.large(layer.digest, layer.size, media_type::is_compressed(&layer.media_type));
        }
    }
}

/// JSON with sorted keys and no white space, so that equal values are equal bytes.
fn canonical_json<T: serde::Serialize>(value: &T) -> Result<Vec<u8>, serde_json::Error> {
    serde_json::to_vec(&serde_json::to_value(value)?)
}

fn profile_manifest(parts: &Parts, config: &[u8]) -> ImageManifest {
    let layers = parts.files.iter().map(|(file, _)| file.describe());
    let layers = layers.chain(parts.manifests.iter().map(|(manifest, _)| manifest.describe()));
    let layers = layers.chain(parts.charts.iter().flat_map(|(chart, ..)| chart.describe()));
    let layers = layers.chain(parts.config.iter().map(|(config, _)| config.describe())).collect();
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

fn name_image(image: &Descriptor, name: &str) -> Descriptor {
    let annotations =
        [annotation::REF_NAME, annotation::CONTAINERD_NAME].map(|key| (key.to_owned(), name.to_owned())).into();
    Descriptor { annotations, ..image.clone() }
}

fn index(parts: &Parts, profile: &[u8]) -> ImageIndex {
    let profile_descriptor = Descriptor {
        artifact_type: Some(media_type::PROFILE.to_owned()),
        ..Descriptor::of(media_type::IMAGE_MANIFEST, profile)
    };
    let (mut manifests, mut named) = (vec![profile_descriptor], HashSet::new());
    for image in &parts.images {
        // `a:1@DIGEST` beside `a:1` gives a name twice; the plan has seen to it that both mean the same.
        for name in image.reference.runtime_names().into_iter().filter(|name| named.insert(name.clone())) {
            let mut descriptor = name_image(&image.target, &name);
            if image.manifests.is_empty() {
                descriptor.annotations.insert(annotation::ABSENT.to_owned(), "true".to_owned());
            }
            if !image.platforms.is_empty() {
                let platforms: Vec<String> = image.platforms.iter().map(Platform::to_string).collect();
                descriptor.annotations.insert(annotation::PLATFORMS.to_owned(), platforms.join(","));
            }
            manifests.push(descriptor);
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
