//! What one reference means for the wanted platforms.

use super::{LockedImage, LockedManifest};
use crate::oci::{
    Descriptor, Digest, ImageConfig, ImageIndex, ImageManifest, MAX_INDEX_DEPTH, MAX_INNER_INDEXES, MAX_MANIFEST_BYTES,
    Manifest, ManifestError, Platform, Reference, media_type,
};
use crate::registry::{FetchedManifest, Registry, RegistryError, RegistryErrorKind};

/// Marks what `docker buildx` puts beside an image in its index.
const REFERENCE_TYPE: &str = "vnd.docker.reference.type";

/// Why a reference cannot be resolved.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// The registry failed, or has no such image.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The registry has something else under this name.
    #[error("{reference}: {what} cannot be used")]
    Manifest {
        /// The image.
        reference: Reference,
        /// `manifest sha256:…`.
        what: String,
        /// What is wrong with it.
        source: ManifestError,
    },
    /// The image's configuration cannot be read.
    #[error("{reference}: configuration {digest} cannot be used: {reason}")]
    Config {
        /// The image.
        reference: Reference,
        /// The configuration.
        digest: Digest,
        /// What is wrong with it.
        reason: String,
    },
    /// What its layers are is nothing that a container has.
    #[error("{reference} is no image: it is {what} ({media_type})")]
    NoImage {
        /// What was asked for.
        reference: Reference,
        /// Such as `a signature`.
        what: &'static str,
        /// The media type that says so.
        media_type: String,
    },
    /// Indexes within the index that are more, or deeper, than any image has.
    #[error(
        "{reference}: its index has more than {MAX_INNER_INDEXES} indexes below it, or {MAX_INDEX_DEPTH} within each other"
    )]
    NestedIndexes {
        /// The image.
        reference: Reference,
    },
    /// What an index names is of another kind than it says.
    #[error("{reference}: its index says that {digest} is {said}, and it is {found}")]
    OtherKind {
        /// The image.
        reference: Reference,
        /// What the index names.
        digest: Digest,
        /// Its media type by the index.
        said: String,
        /// Such as `an index`.
        found: &'static str,
    },
    /// The image is not made for a wanted platform.
    #[error("{reference} is not made for {}; it is made for {}", list(.missing), list(.available))]
    NoPlatform {
        /// The image.
        reference: Reference,
        /// Wanted platforms that it lacks.
        missing: Vec<Platform>,
        /// Wanted platforms that it is made for.
        served: Vec<Platform>,
        /// Platforms that it has.
        available: Vec<Platform>,
    },
}

fn list(platforms: &[Platform]) -> String {
    if platforms.is_empty() {
        return "no platform at all".to_owned();
    }
    platforms.iter().map(Platform::to_string).collect::<Vec<_>>().join(", ")
}

/// Asks the registry what `reference` means: at `pin`, where given, else where the tag is now.
pub(super) async fn select(
    registry: &Registry,
    reference: &Reference,
    platforms: &[Platform],
    pin: Option<Digest>,
) -> Result<LockedImage, ResolveError> {
    let mut selection = Selection { registry, reference, inner: 0 };
    let fetched = selection.fetch(pin.or(reference.digest())).await?;
    let platforms = match selection.parse(&fetched)? {
        Manifest::Image(image) => vec![selection.of_image(&fetched, &image, platforms).await?],
        Manifest::Index(index) => selection.of_index(&index, platforms).await?,
    };
    let size = fetched.raw.len() as u64;
    Ok(LockedImage { digest: fetched.digest, media_type: fetched.media_type, size, platforms })
}

struct Selection<'a> {
    registry: &'a Registry,
    reference: &'a Reference,
    /// Indexes that were looked into, besides the reference's own.
    inner: usize,
}

/// What one index has.
#[derive(Default)]
struct Found {
    /// Manifests that serve a wanted platform.
    chosen: Vec<LockedManifest>,
    /// Platforms that it has manifests for.
    available: Vec<Platform>,
}

impl Found {
    /// Those of `wanted` that nothing was found for.
    fn missing(&self, wanted: &[Platform]) -> Vec<Platform> {
        let lacks = |wanted: &&Platform| !self.chosen.iter().any(|manifest| manifest.serves(wanted));
        wanted.iter().filter(lacks).cloned().collect()
    }
}

impl Selection<'_> {
    async fn of_image(
        &self,
        fetched: &FetchedManifest,
        image: &ImageManifest,
        wanted: &[Platform],
    ) -> Result<LockedManifest, ResolveError> {
        let platform = self.platform_of(image).await?;
        let size = fetched.raw.len() as u64;
        let manifest = LockedManifest { platform, digest: fetched.digest, size, indexes: Vec::new() };
        if wanted.iter().all(|wanted| manifest.serves(wanted)) {
            return Ok(manifest);
        }
        let available = manifest.platform.clone().into_iter().collect();
        Err(self.no_platform(wanted, &[manifest], available))
    }

    async fn of_index(&mut self, index: &ImageIndex, wanted: &[Platform]) -> Result<Vec<LockedManifest>, ResolveError> {
        let found = self.look_into(index, wanted, &[]).await?;
        if found.missing(wanted).is_empty() {
            return Ok(found.chosen);
        }
        Err(self.no_platform(wanted, &found.chosen, found.available))
    }

    /// Every manifest that satisfies a wanted platform. Where several satisfy one, all are kept: which of them is best
    /// is decided by the machine that runs the image, and it must find that one. `path` leads to the index, from the one below the
    /// reference's own.
    async fn look_into(
        &mut self,
        index: &ImageIndex,
        wanted: &[Platform],
        path: &[Digest],
    ) -> Result<Found, ResolveError> {
        let mut found = Found::default();
        let (mut inner, mut unnamed) = (Vec::new(), Vec::new());
        for entry in index.manifests.iter().filter(|entry| !is_attestation(entry)) {
            if media_type::is_index(&entry.media_type) {
                if entry.platform.is_some() { &mut inner } else { &mut unnamed }.push(entry);
                continue;
            }
            let platform = match &entry.platform {
                Some(platform) => Some(platform.clone()),
                None => self.platform_of_entry(entry).await?,
            };
            let (digest, size, indexes) = (entry.digest, entry.size, path.to_vec());
            let manifest = LockedManifest { platform, digest, size, indexes };
            found.available.extend(manifest.platform.clone());
            if wanted.iter().any(|wanted| manifest.serves(wanted)) && !found.chosen.contains(&manifest) {
                found.chosen.push(manifest);
            }
        }
        // Runtimes take what names its platform before what does not, so an index without one is looked into for the rest only.
        for entry in inner.into_iter().chain(unnamed) {
            let of_branch = |one: &Platform| entry.platform.as_ref().is_none_or(|branch| branch.satisfies(one));
            let mut asked = if entry.platform.is_some() { wanted.to_vec() } else { found.missing(wanted) };
            asked.retain(of_branch);
            if asked.is_empty() {
                found.available.extend(entry.platform.clone());
                continue;
            }
            let below = self.within(entry, &asked, path).await?;
            found.available.extend(below.available.into_iter().filter(of_branch));
            for manifest in below.chosen {
                if !found.chosen.contains(&manifest) {
                    found.chosen.push(manifest);
                }
            }
        }
        Ok(found)
    }

    /// What an index within an index has.
    async fn within(
        &mut self,
        entry: &Descriptor,
        wanted: &[Platform],
        path: &[Digest],
    ) -> Result<Found, ResolveError> {
        self.inner += 1;
        if path.len() == MAX_INDEX_DEPTH || self.inner > MAX_INNER_INDEXES {
            return Err(ResolveError::NestedIndexes { reference: self.reference.clone() });
        }
        let fetched = self.fetch(Some(entry.digest)).await?;
        let path = [path, &[entry.digest]].concat();
        match self.parse(&fetched)? {
            // Awaited in a box: an index may be in an index, a few times.
            Manifest::Index(index) => Box::pin(self.look_into(&index, wanted, &path)).await,
            Manifest::Image(_) => Err(self.other_kind(entry, "an image's manifest")),
        }
    }

    /// An index may leave the platform to the image's own configuration.
    async fn platform_of_entry(&self, entry: &Descriptor) -> Result<Option<Platform>, ResolveError> {
        let fetched = self.fetch(Some(entry.digest)).await?;
        match self.parse(&fetched)? {
            Manifest::Image(image) => self.platform_of(&image).await,
            Manifest::Index(_) => Err(self.other_kind(entry, "an index")),
        }
    }

    fn other_kind(&self, entry: &Descriptor, found: &'static str) -> ResolveError {
        let (reference, digest, said) = (self.reference.clone(), entry.digest, entry.media_type.clone());
        ResolveError::OtherKind { reference, digest, said, found }
    }

    /// What the configuration says; nothing where the manifest is an artifact's, which has none of that kind.
    async fn platform_of(&self, image: &ImageManifest) -> Result<Option<Platform>, ResolveError> {
        let config = &image.config;
        if !media_type::is_image_config(&config.media_type) {
            return Ok(None);
        }
        if let Some((layer, what)) = image.layers.iter().find_map(|layer| Some((layer, no_layer(&layer.media_type)?))) {
            let media_type = layer.media_type.clone();
            return Err(ResolveError::NoImage { reference: self.reference.clone(), what, media_type });
        }
        let unusable = |reason: String| {
            let reference = self.reference.clone();
            ResolveError::Config { reference, digest: config.digest, reason }
        };
        if config.size > MAX_MANIFEST_BYTES {
            return Err(unusable(format!("it is larger than {MAX_MANIFEST_BYTES} bytes")));
        }
        let raw = self.read(config).await?;
        let got = Digest::of(&raw);
        if got != config.digest {
            let kind = RegistryErrorKind::WrongDigest { want: config.digest, got };
            return Err(RegistryError { reference: self.reference.clone(), kind }.into());
        }
        let platform = ImageConfig::parse(&raw).map_err(|error| unusable(error.to_string()))?.platform;
        // Every runtime compares both with the machine that it is on.
        for (field, value) in [("os", &platform.os), ("architecture", &platform.architecture)] {
            if value.is_empty() {
                return Err(unusable(format!("it names no `{field}`, and no runtime takes it")));
            }
        }
        Ok(Some(platform))
    }

    async fn read(&self, blob: &Descriptor) -> Result<Vec<u8>, RegistryError> {
        let mut stream = self.registry.blob(self.reference, &blob.digest, blob.size, 0).await?;
        let mut raw = Vec::new();
        while let Some(chunk) = stream.next().await? {
            raw.extend_from_slice(&chunk);
        }
        Ok(raw)
    }

    /// Errors name the reference that people wrote, also where a digest is asked for.
    async fn fetch(&self, digest: Option<Digest>) -> Result<FetchedManifest, RegistryError> {
        let pinned = digest.map(|digest| self.reference.pinned(digest));
        let result = self.registry.manifest(pinned.as_ref().unwrap_or(self.reference)).await;
        result.map_err(|error| RegistryError { reference: self.reference.clone(), ..error })
    }

    fn parse(&self, fetched: &FetchedManifest) -> Result<Manifest, ResolveError> {
        fetched.parse().map_err(|source| ResolveError::Manifest {
            reference: self.reference.clone(),
            what: format!("manifest {}", fetched.digest),
            source,
        })
    }

    fn no_platform(&self, wanted: &[Platform], found: &[LockedManifest], mut available: Vec<Platform>) -> ResolveError {
        available.sort();
        available.dedup();
        let is_served = |wanted: &Platform| found.iter().any(|manifest| manifest.serves(wanted));
        let (served, missing) = wanted.iter().cloned().partition(is_served);
        ResolveError::NoPlatform { reference: self.reference.clone(), missing, served, available }
    }
}

/// What a layer of this media type is, where it is none of a container
/// (<https://github.com/sigstore/cosign/tree/main/specs>, <https://github.com/in-toto/attestation>).
fn no_layer(media_type: &str) -> Option<&'static str> {
    match media_type {
        "application/vnd.dev.cosign.simplesigning.v1+json" => Some("a signature"),
        "application/vnd.dsse.envelope.v1+json" | "application/vnd.in-toto+json" => Some("an attestation"),
        // <https://github.com/sigstore/cosign/blob/main/specs/SBOM_SPEC.md>
        _ if ["cyclonedx", "spdx", "vnd.syft"].iter().any(|kind| media_type.contains(kind)) => Some("an SBOM"),
        _ => None,
    }
}

fn is_attestation(entry: &Descriptor) -> bool {
    entry.annotation(REFERENCE_TYPE).is_some()
        || entry.platform.as_ref().is_some_and(|platform| *platform == Platform::new("unknown", "unknown"))
}
