//! A pack's folder as an artifact in a registry: the pack and what it names, and nothing else of the folder.

use std::collections::{BTreeSet, HashSet};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::{GatherError, titles};
use crate::chart;
use crate::io::{AtPath, PathError};
use crate::oci::{Annotations, Descriptor, Digest, Digester, ImageManifest, Platform, Reference, media_type};
use crate::profile::{self, ChartLocation, Pack};
use crate::registry::{Content, Registry};

/// Files at the top of a folder that belong to a pack although it does not name them.
const FOR_PEOPLE: [&str; 3] = ["LICENSE", "NOTICE", "README.md"];
/// What a pack's files may be for: the profiles that it will be in are not known.
const PLATFORMS: [&str; 7] =
    ["linux/amd64", "linux/386", "linux/arm64", "linux/arm/v7", "linux/ppc64le", "linux/riscv64", "linux/s390x"];

/// A pack that is in a registry now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// Where, by tag.
    pub reference: Reference,
    /// Digest of its manifest: the same for the same folder.
    pub digest: Digest,
    /// The pack's name.
    pub name: String,
    /// The paths of its files.
    pub files: Vec<String>,
    /// Bytes of all of them.
    pub bytes: u64,
    /// Bytes of those that the registry did not have.
    pub sent: u64,
}

/// Checks the pack in `folder` and sends it to `target`: `HOST/REPOSITORY[:TAG]`, where the tag is the pack's version
/// if there is none.
///
/// # Errors
/// Where the pack is wrong, cannot be read, or the registry fails.
pub async fn push(registry: &Registry, folder: &Path, target: &str) -> Result<Pushed, GatherError> {
    let platforms = PLATFORMS.iter().filter_map(|text| text.parse::<Platform>().ok()).collect();
    let pack = profile::load_pack(folder, platforms)?;
    let reference = tagged(target, &pack, folder)?;
    let files = files(folder, &pack)?;
    let manifest = manifest(&pack, &files);
    titles::files(&manifest).map_err(|reason| unshareable(folder, reason))?;
    let (mut sent, mut seen) = (0, HashSet::new());
    let empty = Content::Bytes("{}".into());
    let blobs = std::iter::once((&manifest.config, empty));
    let layers = manifest.layers.iter().zip(&files);
    for (blob, content) in blobs.chain(layers.map(|(blob, (_, path, _))| (blob, Content::File(path.clone())))) {
        if seen.insert(blob.digest) && registry.push_blob(&reference, blob, &content).await? {
            sent += blob.size;
        }
    }
    // Of strings and numbers, so nothing in it can fail.
    let raw = serde_json::to_vec(&manifest).unwrap_or_default().into();
    let digest = registry.push_manifest(&reference, &raw, media_type::IMAGE_MANIFEST).await?;
    let bytes = manifest.layers.iter().map(|layer| layer.size).sum();
    let names = files.into_iter().map(|(title, ..)| title).collect();
    Ok(Pushed { reference, digest, name: pack.name, files: names, bytes, sent })
}

fn unshareable(path: &Path, reason: impl Into<String>) -> GatherError {
    GatherError::Unshareable { path: path.display().to_string(), reason: reason.into() }
}

fn tagged(target: &str, pack: &Pack, folder: &Path) -> Result<Reference, GatherError> {
    let (reference, said) = super::reference_of(target)?;
    if reference.digest().is_some() {
        return Err(unshareable(folder, "the target has a digest, which comes of the content; give a tag or nothing"));
    }
    if said {
        return Ok(reference);
    }
    // Tags have no `+`; Helm writes `_` for it.
    let version = pack.version.as_deref().unwrap_or_default().replace('+', "_");
    let tagged = format!("{}:{version}", reference.name()).parse();
    tagged.map_err(|_| {
        unshareable(folder, format!("its version {version:?} cannot be a tag; name one: oci://{target}:TAG"))
    })
}

/// What is sent, by its path below the folder: sorted, so that the same folder has the same digest.
fn files(folder: &Path, pack: &Pack) -> Result<Vec<(String, PathBuf, Descriptor)>, GatherError> {
    let root = folder.canonicalize().at("read", folder)?;
    let mut files = Vec::new();
    for path in paths(pack)? {
        let within = path.strip_prefix(folder).unwrap_or(&path);
        // The pack has been checked for this, but what is sent cannot be taken back.
        if !path.canonicalize().at("read", &path)?.starts_with(&root) {
            return Err(unshareable(&path, "it leads out of the pack's folder"));
        }
        let title = within.to_str().ok_or_else(|| unshareable(&path, "its name is not UTF-8"))?.to_owned();
        titles::check(&title).map_err(|reason| unshareable(&path, reason))?;
        let blob = describe(&path)?;
        files.push((title, path, blob));
    }
    files.sort_by(|(one, ..), (other, ..)| one.cmp(other));
    Ok(files)
}

fn paths(pack: &Pack) -> Result<BTreeSet<PathBuf>, GatherError> {
    let mut paths = BTreeSet::from([pack.file.clone()]);
    paths.extend(pack.files.iter().filter_map(|file| file.source.local().map(Path::to_owned)));
    paths.extend(pack.image_lists.iter().chain(&pack.manifests).cloned());
    for source in &pack.charts {
        let values = source.values.iter().filter(|values| values.inline.is_none());
        paths.extend(values.map(|values| values.file.clone()));
        match &source.location {
            ChartLocation::Local(chart) if chart.is_dir() => {
                let files = chart::files(chart).map_err(GatherError::Chart)?;
                paths.extend(files.into_iter().map(|file| chart.join(file)));
            }
            ChartLocation::Local(package) => drop(paths.insert(package.clone())),
            ChartLocation::Oci(_) | ChartLocation::Repository { .. } => {}
        }
    }
    let beside = FOR_PEOPLE.iter().map(|name| pack.file.with_file_name(name));
    // The pack's own folder only: a link may mean a file that is nobody's here.
    paths.extend(beside.filter(|path| path.symlink_metadata().is_ok_and(|facts| facts.is_file())));
    Ok(paths)
}

fn describe(path: &Path) -> Result<Descriptor, PathError> {
    let mut file = File::open(path).at("open", path)?;
    let (mut digester, mut size, mut buffer) = (Digester::new(), 0, vec![0; 256 << 10]);
    loop {
        let count = file.read(&mut buffer).at("read", path)?;
        if count == 0 {
            return Ok(Descriptor::new(media_type::PACK_FILE, digester.finish(), size));
        }
        digester.update(&buffer[..count]);
        size += count as u64;
    }
}

fn manifest(pack: &Pack, files: &[(String, PathBuf, Descriptor)]) -> ImageManifest {
    let layer = |(title, _, blob): &(String, PathBuf, Descriptor)| Descriptor {
        annotations: Annotations::from([(titles::TITLE.to_owned(), title.clone())]),
        ..blob.clone()
    };
    let version = pack.version.clone().map(|version| ("org.opencontainers.image.version".to_owned(), version));
    let name = (titles::TITLE.to_owned(), pack.name.clone());
    ImageManifest {
        schema_version: 2,
        media_type: Some(media_type::IMAGE_MANIFEST.to_owned()),
        artifact_type: Some(media_type::PACK.to_owned()),
        config: Descriptor::of(media_type::EMPTY, b"{}"),
        layers: files.iter().map(layer).collect(),
        annotations: std::iter::once(name).chain(version).collect(),
    }
}
