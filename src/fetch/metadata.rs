//! Manifests and configurations: small, fetched first, kept byte for byte.

use std::collections::{BTreeMap, HashMap};

use futures_util::{StreamExt, TryStreamExt, stream};

use super::{FetchError, Images};
use crate::bundle::{ImageParts, ManifestParts};
use crate::lock::LockedImage;
use crate::oci::{Descriptor, Digest, ImageIndex, ImageManifest, MAX_MANIFEST_BYTES, Manifest, Reference};
use crate::registry::Registry;

/// Fetches what the bundle's head holds of every locked image, in the lock's order.
pub(super) async fn fetch(
    locked: &BTreeMap<Reference, LockedImage>,
    registry: &Registry,
    images: Images,
    jobs: usize,
) -> Result<Vec<ImageParts>, FetchError> {
    let fetch_one = |(reference, locked): (Reference, LockedImage)| async move {
        match images {
            Images::Carried => image(reference, &locked, registry).await,
            Images::Absent => Ok(absent(reference, &locked)),
        }
    };
    let locked: Vec<_> = locked.iter().map(|(reference, locked)| (reference.clone(), locked.clone())).collect();
    stream::iter(locked).map(fetch_one).buffered(jobs.max(1)).try_collect().await
}

fn target(locked: &LockedImage) -> Descriptor {
    Descriptor::new(&locked.media_type, locked.digest, locked.size)
}

fn absent(reference: Reference, locked: &LockedImage) -> ImageParts {
    let (target, platforms) = (target(locked), Vec::new());
    ImageParts { reference, target, platforms, indexes: Vec::new(), manifests: Vec::new() }
}

async fn image(reference: Reference, locked: &LockedImage, registry: &Registry) -> Result<ImageParts, FetchError> {
    let fetched = registry.manifest(&reference.pinned(locked.digest)).await?;
    let disagrees = |reason: String| FetchError::Lock { reference: reference.clone(), reason };
    if fetched.raw.len() as u64 != locked.size || fetched.media_type != locked.media_type {
        let (size, kind) = (fetched.raw.len(), &fetched.media_type);
        return Err(disagrees(format!("{} is a {kind} of {size} bytes", locked.digest)));
    }
    let manifest = fetched.parse().map_err(|source| FetchError::Manifest { reference: reference.clone(), source })?;
    let mut parts = absent(reference, locked);
    match manifest {
        Manifest::Image(manifest) => {
            let raw = fetched.raw.to_vec();
            parts.manifests.push(with_config(&parts.reference, locked.digest, raw, manifest, registry).await?);
        }
        Manifest::Index(index) => {
            parts.indexes.push(fetched.raw.to_vec());
            let mut within = HashMap::new();
            for child in &locked.platforms {
                let mut index = &index;
                for inner in &child.indexes {
                    must_list(index, inner, &parts.reference)?;
                    if !within.contains_key(inner) {
                        let (raw, read) = inner_index(&parts.reference, *inner, registry).await?;
                        parts.indexes.push(raw);
                        within.insert(*inner, read);
                    }
                    index = &within[inner];
                }
                must_list(index, &child.digest, &parts.reference)?;
                parts.manifests.push(child_manifest(&parts.reference, child.digest, registry).await?);
            }
        }
    }
    Ok(parts)
}

fn must_list(index: &ImageIndex, child: &Digest, reference: &Reference) -> Result<(), FetchError> {
    if index.manifests.iter().any(|listed| listed.digest == *child) {
        return Ok(());
    }
    Err(FetchError::Lock { reference: reference.clone(), reason: format!("its index does not list {child}") })
}

async fn inner_index(
    reference: &Reference,
    digest: Digest,
    registry: &Registry,
) -> Result<(Vec<u8>, ImageIndex), FetchError> {
    let fetched = registry.manifest(&reference.pinned(digest)).await?;
    match fetched.parse().map_err(|source| FetchError::Manifest { reference: reference.clone(), source })? {
        Manifest::Index(index) => Ok((fetched.raw.to_vec(), index)),
        Manifest::Image(_) => {
            let reason = format!("{digest} is no index");
            Err(FetchError::Lock { reference: reference.clone(), reason })
        }
    }
}

async fn child_manifest(
    reference: &Reference,
    digest: Digest,
    registry: &Registry,
) -> Result<ManifestParts, FetchError> {
    let fetched = registry.manifest(&reference.pinned(digest)).await?;
    match fetched.parse().map_err(|source| FetchError::Manifest { reference: reference.clone(), source })? {
        Manifest::Image(manifest) => with_config(reference, digest, fetched.raw.to_vec(), manifest, registry).await,
        Manifest::Index(_) => {
            let reason = format!("{digest} is an index");
            Err(FetchError::Lock { reference: reference.clone(), reason })
        }
    }
}

async fn with_config(
    reference: &Reference,
    digest: Digest,
    raw: Vec<u8>,
    manifest: ImageManifest,
    registry: &Registry,
) -> Result<ManifestParts, FetchError> {
    let Descriptor { digest: config_digest, size, .. } = manifest.config;
    if size > MAX_MANIFEST_BYTES {
        return Err(FetchError::LargeConfig { reference: reference.clone(), size });
    }
    let pinned = reference.pinned(digest);
    let mut stream = registry.blob(&pinned, &config_digest, size, 0).await?;
    let mut config = Vec::with_capacity(size as usize);
    while let Some(chunk) = stream.next().await? {
        config.extend_from_slice(&chunk);
    }
    let got = Digest::of(&config);
    if got != config_digest {
        let source = crate::io::Mismatch::Digest { got, want: config_digest };
        return Err(FetchError::WrongContent { reference: pinned, source });
    }
    Ok(ManifestParts { raw, manifest, config })
}
