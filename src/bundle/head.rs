//! Opening a bundle: its head is read, checked by digest and understood; nothing of the large blobs is read.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use super::contents::Contents;
use super::error::BundleError;
use super::reader::{Entry, FrameReader, Frames, Walk};
use super::{FORMAT, annotation, contents};
use crate::io::{VerifiedReader, with_causes};
use crate::oci::{Annotations, Descriptor, Digest, ImageIndex, MAX_MANIFEST_BYTES, Manifest, layout, media_type};

/// The largest `index.json` that is read: some ten thousand images.
const MAX_INDEX_BYTES: u64 = 16 << 20;

/// Manifests and configurations that are kept in memory, at most, in bytes: those of some ten thousand images. A few
/// hundred bytes of the file may decode to the largest of them.
const MAX_DOCUMENT_BYTES: u64 = 256 << 20;

/// A bundle whose head has been read and checked.
#[derive(Debug, Clone)]
pub struct Bundle {
    frames: Frames,
    contents: Arc<Contents>,
    blobs: Vec<(BlobEntry, Entry)>,
    by_digest: HashMap<Digest, usize>,
    named: Named,
}

/// A blob in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlobEntry {
    /// Its digest.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
}

/// What a descriptor was found to name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Role {
    Data,
    Config,
    Manifest,
}

/// Every descriptor found so far, and the bytes of the documents among them.
#[derive(Debug, Clone, Default)]
pub(super) struct Named {
    roles: HashMap<Digest, (Role, Descriptor)>,
    /// Raw bytes of manifests and configurations, by digest.
    pub(super) documents: HashMap<Digest, Vec<u8>>,
    /// Parsed manifests, by digest.
    pub(super) manifests: HashMap<Digest, Manifest>,
    /// What must be in the file: descriptors named by something that is in it.
    required: HashSet<Digest>,
    /// The first digest that is named with two sizes, and these.
    conflict: Option<(Digest, u64, u64)>,
}

impl Named {
    fn add(&mut self, role: Role, descriptor: &Descriptor, required: bool) {
        let known = self.roles.entry(descriptor.digest).or_insert_with(|| (role, descriptor.clone()));
        known.0 = known.0.max(role);
        if known.1.size != descriptor.size {
            self.conflict.get_or_insert((descriptor.digest, known.1.size, descriptor.size));
        }
        if required {
            self.required.insert(descriptor.digest);
        }
    }

    fn add_manifest(&mut self, digest: Digest, manifest: Manifest) {
        match &manifest {
            // Manifests of platforms that the bundle does not serve are left out of it.
            Manifest::Index(index) => index.manifests.iter().for_each(|child| self.add(Role::Manifest, child, false)),
            Manifest::Image(image) => {
                self.add(Role::Config, &image.config, true);
                image.layers.iter().for_each(|layer| self.add(Role::Data, layer, true));
            }
        }
        self.manifests.insert(digest, manifest);
    }
}

impl Bundle {
    /// Opens the bundle at `path` and reads its head.
    ///
    /// # Errors
    /// Where the file cannot be read, is no bundle, is of a newer format, or its head is damaged.
    pub fn open(path: &Path) -> Result<Self, BundleError> {
        Self::open_only(path, None)
    }

    /// Opens the bundle at `path` and reads its head, where it is the one with the identity `wanted`. Of another, nothing but the
    /// bytes of the index is used, which the identity is the digest of.
    ///
    /// # Errors
    /// As [`Bundle::open`], and [`BundleError::Another`].
    pub fn open_only(path: &Path, wanted: Option<&Digest>) -> Result<Self, BundleError> {
        let frames = Frames::open(path)?;
        let mut walk = Walk::new();
        let index = read_layout(&frames, &mut walk)?;
        let identity = Digest::of(&index);
        if let Some(wanted) = wanted.filter(|wanted| **wanted != identity) {
            return Err(BundleError::Another { path: path.to_owned(), wanted: *wanted, found: identity });
        }
        let index = parse_index(path, &index)?;
        let mut named = Named::default();
        for descriptor in &index.manifests {
            named.add(Role::Manifest, descriptor, descriptor.annotation(annotation::ABSENT).is_none());
        }
        let mut bundle = Opening { frames, blobs: Vec::new(), by_digest: HashMap::new(), named };
        bundle.read_documents(&mut walk)?;
        if let Some((digest, one, other)) = bundle.named.conflict {
            let reason = format!("it is named with {one} bytes and with {other}");
            return Err(BundleError::damaged(path, format!("blob {digest}"), reason));
        }
        let contents = contents::assemble(identity, &index, &bundle.named).map_err(|reason| {
            match contents::later_installer(&index, &bundle.named) {
                Some(needs) => BundleError::LaterInstaller { path: path.to_owned(), needs: needs.to_string() },
                None => BundleError::damaged(path, "its index", reason),
            }
        })?;
        let Opening { frames, blobs, by_digest, named } = bundle;
        Ok(Self { frames, contents: Arc::new(contents), blobs, by_digest, named })
    }

    /// What the bundle holds.
    pub fn contents(&self) -> &Contents {
        &self.contents
    }

    /// The file.
    pub fn file(&self) -> &Path {
        &self.frames.path
    }

    /// Walks the rest of the archive and proves that it holds what the head names, each once, and nothing else.
    ///
    /// # Errors
    /// Where the framing is damaged, or a blob is missing, listed twice, of another size, or named by nothing.
    pub fn walk_all(self) -> Result<Self, BundleError> {
        let mut opening =
            Opening { frames: self.frames, blobs: Vec::new(), by_digest: HashMap::new(), named: self.named };
        let mut walk = Walk::new();
        let skipped = [walk.next(&opening.frames)?, walk.next(&opening.frames)?];
        debug_assert!(skipped.iter().all(Option::is_some), "open() read both");
        while let Some(entry) = walk.next(&opening.frames)? {
            opening.add(entry)?;
        }
        let Opening { frames, blobs, by_digest, named } = opening;
        let mut missing = named.required.iter().filter(|digest| !by_digest.contains_key(digest));
        if let Some(digest) = missing.next() {
            let place = format!("blob {digest}{}", self.contents.needed_by(digest));
            return Err(BundleError::damaged(&frames.path, place, "it is missing"));
        }
        Ok(Self { frames, contents: self.contents, blobs, by_digest, named })
    }

    /// The blobs found so far, in file order: those of the head after [`Bundle::open`], all after [`Bundle::walk_all`].
    pub fn blobs(&self) -> impl ExactSizeIterator<Item = BlobEntry> {
        self.blobs.iter().map(|(blob, _)| *blob)
    }

    /// A reader of a blob that checks size and digest. What it reads before its end is not yet to be believed.
    ///
    /// # Errors
    /// Where the bundle does not hold the blob.
    pub fn blob(&self, digest: &Digest) -> Result<VerifiedReader<FrameReader>, BundleError> {
        let Some(index) = self.by_digest.get(digest) else {
            let place = format!("blob {digest}{}", self.contents.needed_by(digest));
            return Err(BundleError::damaged(&self.frames.path, place, "it is missing"));
        };
        let (blob, entry) = &self.blobs[*index];
        Ok(VerifiedReader::new(self.frames.entry_data(entry), blob.digest, blob.size))
    }

    /// The error for a failed read of `digest`'s data: names the blob and what needs it.
    pub fn read_error(&self, digest: &Digest, error: std::io::Error) -> BundleError {
        let place = format!("blob {digest}{}", self.contents.needed_by(digest));
        BundleError::reading(&self.frames.path, place, error)
    }
}

/// A bundle while its entries are being found.
struct Opening {
    frames: Frames,
    blobs: Vec<(BlobEntry, Entry)>,
    by_digest: HashMap<Digest, usize>,
    named: Named,
}

impl Opening {
    /// Reads manifests and configurations, which come before everything else.
    fn read_documents(&mut self, walk: &mut Walk) -> Result<(), BundleError> {
        let mut total = 0;
        while let Some(entry) = walk.next(&self.frames)? {
            let (role, descriptor) = self.add(entry.clone())?;
            match role {
                Role::Data => break,
                Role::Config | Role::Manifest => {
                    total += entry.size;
                    if total > MAX_DOCUMENT_BYTES {
                        let reason = "they have more than 256 MiB, which no bundle's have";
                        return Err(BundleError::damaged(&self.frames.path, "manifests and configurations", reason));
                    }
                    let content = self.document(&entry, &descriptor)?;
                    if role == Role::Manifest {
                        let manifest = Manifest::parse(&content, &descriptor.media_type);
                        let place = format!("manifest {}", descriptor.digest);
                        let reason = |error| BundleError::damaged(&self.frames.path, place, with_causes(&error));
                        self.named.add_manifest(descriptor.digest, manifest.map_err(reason)?);
                    }
                    self.named.documents.insert(descriptor.digest, content);
                }
            }
        }
        Ok(())
    }

    /// Takes note of an entry, which must be a blob that something names, for the first time, of the size it says.
    fn add(&mut self, entry: Entry) -> Result<(Role, Descriptor), BundleError> {
        let damaged =
            |reason: String| BundleError::damaged(&self.frames.path, format!("entry {:?}", entry.name), reason);
        let digest = layout::digest_of_path(&entry.name)
            .ok_or_else(|| damaged("an OCI image layout has no such file".to_owned()))?;
        let (role, descriptor) = self.named.roles.get(&digest).ok_or_else(|| damaged("nothing names it".to_owned()))?;
        if entry.size != descriptor.size {
            return Err(damaged(format!("it has {} bytes and should have {}", entry.size, descriptor.size)));
        }
        if self.by_digest.insert(digest, self.blobs.len()).is_some() {
            return Err(damaged("it is there twice".to_owned()));
        }
        let found = (*role, descriptor.clone());
        self.blobs.push((BlobEntry { digest, size: entry.size }, entry));
        Ok(found)
    }

    fn document(&self, entry: &Entry, descriptor: &Descriptor) -> Result<Vec<u8>, BundleError> {
        let damaged = |reason: String| {
            BundleError::damaged(&self.frames.path, format!("{} {}", descriptor.media_type, descriptor.digest), reason)
        };
        if entry.size > MAX_MANIFEST_BYTES {
            return Err(damaged(format!("its {} bytes are more than any such document has", entry.size)));
        }
        let content = self.frames.entry_content(entry)?;
        let got = Digest::of(&content);
        if got == descriptor.digest { Ok(content) } else { Err(damaged(format!("its content hashes to {got}"))) }
    }
}

/// Reads the first two entries: the version file and the index.
fn read_layout(frames: &Frames, walk: &mut Walk) -> Result<Vec<u8>, BundleError> {
    let not_a_bundle = |reason: &str| BundleError::NotABundle { path: frames.path.clone(), reason: reason.to_owned() };
    let version = walk.next(frames)?.filter(|entry| entry.name == layout::VERSION_FILE);
    let version = version.ok_or_else(|| not_a_bundle("it does not begin with an OCI image layout's version file"))?;
    let expected = layout::VERSION_CONTENT;
    if version.size != expected.len() as u64 || frames.entry_content(&version)? != expected {
        return Err(not_a_bundle("its OCI image layout is of an unknown version"));
    }
    let index = walk.next(frames)?.filter(|entry| entry.name == layout::INDEX_FILE);
    let index = index.ok_or_else(|| not_a_bundle("it has no index.json"))?;
    if index.size > MAX_INDEX_BYTES {
        return Err(not_a_bundle("its index.json is larger than 16 MiB"));
    }
    frames.entry_content(&index)
}

fn parse_index(path: &Path, raw: &[u8]) -> Result<ImageIndex, BundleError> {
    /// What every format says of itself; the rest may have another shape in a newer one.
    #[derive(Default, serde::Deserialize)]
    #[serde(rename_all = "camelCase", default)]
    struct Kind {
        artifact_type: Option<String>,
        annotations: Annotations,
    }
    let not_a_bundle = |reason: String| BundleError::NotABundle { path: path.to_owned(), reason };
    let no_index = |error| not_a_bundle(format!("its index.json is not an index: {error}"));
    let kind: Kind = serde_json::from_slice(raw).map_err(no_index)?;
    if kind.artifact_type.as_deref() != Some(media_type::BUNDLE) {
        return Err(not_a_bundle("it is an OCI image layout, but not one that Carrack made".to_owned()));
    }
    let format = kind.annotations.get(annotation::FORMAT).map_or("", String::as_str);
    match format.parse::<u32>() {
        Ok(number) if number == FORMAT => serde_json::from_slice(raw).map_err(no_index),
        Ok(number) if number > FORMAT => Err(BundleError::Newer { path: path.to_owned(), found: format.to_owned() }),
        _ => Err(not_a_bundle(format!("its format is {format:?}"))),
    }
}
