//! Opening a bundle: its head is read, checked by digest and understood; nothing of the large blobs is read.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use super::contents::Contents;
use super::documents::{Annotations, Artifact, Described, Document, Index, Words};
use super::error::BundleError;
use super::reader::{Entry, FrameReader, Frames, Walk};
use super::{FORMAT, annotation, contents};
use crate::io::VerifiedReader;
use crate::oci::{Blob, Digest, MAX_MANIFEST_BYTES, layout, media_type};

/// The largest `index.json` that is read: some ten thousand images.
const MAX_INDEX_BYTES: u64 = 16 << 20;

/// Manifests and configurations that are read, at most, in bytes: those of some ten thousand images. A few hundred bytes of
/// the file may decode to the largest of them.
const MAX_DOCUMENT_BYTES: u64 = 256 << 20;

/// Descriptors in index.json and all manifests and indexes together, at most. What is kept of each is what a bundle takes in
/// memory.
pub(super) const MAX_DESCRIPTORS: usize = 400_000;

/// A bundle whose head has been read and checked.
#[derive(Debug, Clone)]
pub struct Bundle {
    frames: Frames,
    contents: Arc<Contents>,
    blobs: Arc<[BlobEntry]>,
    /// Places in `blobs`, sorted by digest.
    by_digest: Arc<[u32]>,
    /// What its head names, until the whole archive has been walked.
    known: Option<Arc<HashMap<Digest, Known>>>,
}

/// A blob in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlobEntry {
    /// Its digest.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// The first frame of its data.
    first_frame: u32,
}

/// What a descriptor was found to name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Role {
    Data,
    Config,
    Manifest,
}

/// What is known of a digest that something names.
#[derive(Debug, Clone)]
struct Known {
    size: u64,
    role: Role,
    /// Whether it must be in the file: something that is in it names it.
    required: bool,
    /// Whether it has been found in the file.
    found: bool,
    /// Place of its media type in the list of these.
    kind: u16,
}

/// An image as index.json names it.
#[derive(Debug)]
pub(super) struct NamedImage {
    pub(super) target: Blob,
    /// Its full name, which it must have.
    pub(super) name: Option<String>,
    /// Whether it is declared absent.
    pub(super) absent: bool,
    /// The only platforms that it is for, as it is written.
    pub(super) platforms: Option<String>,
}

/// Every descriptor found so far, and what the documents among them say.
#[derive(Debug, Default)]
pub(super) struct Named {
    known: HashMap<Digest, Known>,
    kinds: Vec<Arc<str>>,
    words: Words,
    descriptors: usize,
    /// The profile's manifest, and what it says once it is read.
    profile: Option<Digest>,
    pub(super) artifact: Option<Artifact>,
    /// The resolved profile as it is written.
    pub(super) resolved: Option<Vec<u8>>,
    /// Its digest.
    resolved_digest: Option<Digest>,
    /// The images, in the index's order.
    pub(super) images: Vec<NamedImage>,
    pub(super) documents: HashMap<Digest, Document>,
    /// The first digest that is named with two sizes, and these.
    conflict: Option<(Digest, u64, u64)>,
}

impl Named {
    /// Takes what index.json names. The error is a reason.
    fn of(index: Index) -> Result<Self, String> {
        let mut named = Self::default();
        for described in index.manifests.0 {
            let absent = described.annotations.get(annotation::ABSENT).is_some();
            let target = named.words.blob(&described)?;
            named.add(Role::Manifest, &target, !absent)?;
            if is_profile(&described) {
                if named.profile.replace(target.digest).is_some() {
                    return Err("it does not name exactly one profile".to_owned());
                }
                continue;
            }
            let name = described.annotations.get(annotation::CONTAINERD_NAME).map(str::to_owned);
            let platforms = described.annotations.get(annotation::PLATFORMS).map(str::to_owned);
            named.images.push(NamedImage { target, name, absent, platforms });
        }
        if named.profile.is_none() {
            return Err("it does not name exactly one profile".to_owned());
        }
        Ok(named)
    }

    fn add(&mut self, role: Role, blob: &Blob, required: bool) -> Result<(), String> {
        self.descriptors += 1;
        if self.descriptors > MAX_DESCRIPTORS {
            return Err(format!("its documents have more than {MAX_DESCRIPTORS} descriptors, which no bundle's have"));
        }
        let kind = self.kinds.iter().position(|kind| Arc::ptr_eq(kind, &blob.media_type));
        let kind = kind.unwrap_or_else(|| {
            self.kinds.push(Arc::clone(&blob.media_type));
            self.kinds.len() - 1
        }) as u16;
        let new = Known { size: blob.size, role, required: false, found: false, kind };
        let known = self.known.entry(blob.digest).or_insert(new);
        known.role = known.role.max(role);
        known.required |= required;
        if known.size != blob.size {
            self.conflict.get_or_insert((blob.digest, known.size, blob.size));
        }
        Ok(())
    }

    /// Whether `digest` is the resolved profile's, which an image may have for its configuration, strange as that is.
    pub(super) fn is_resolved(&self, digest: &Digest) -> bool {
        self.resolved_digest == Some(*digest)
    }

    /// Takes a document's content. The error is a reason.
    fn read(&mut self, digest: Digest, role: Role, hint: &str, content: Vec<u8>) -> Result<(), String> {
        let document = match role {
            Role::Manifest if self.profile == Some(digest) => {
                let artifact = self.words.artifact(&content)?;
                self.add(Role::Config, &artifact.config, true)?;
                for layer in &artifact.layers {
                    let layer = Blob::from(layer);
                    self.add(Role::Data, &layer, true)?;
                }
                self.resolved_digest = Some(artifact.config.digest);
                self.artifact = Some(artifact);
                return Ok(());
            }
            Role::Manifest => self.words.manifest(&content, hint)?,
            Role::Config if self.resolved_digest == Some(digest) => {
                self.resolved = Some(content);
                return Ok(());
            }
            Role::Config => self.words.config(&content)?,
            Role::Data => return Ok(()),
        };
        match &document {
            // Manifests of platforms that the bundle does not serve are left out of it.
            Document::Index(children) => {
                children.iter().try_for_each(|(child, _)| self.add(Role::Manifest, child, false))?;
            }
            Document::Image { config, layers } => {
                self.add(Role::Config, config, true)?;
                layers.iter().try_for_each(|layer| self.add(Role::Data, layer, true))?;
            }
            Document::Config(_) => {}
        }
        self.documents.insert(digest, document);
        Ok(())
    }
}

fn is_profile(described: &Described) -> bool {
    described.artifact_type.as_deref() == Some(media_type::PROFILE)
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
        let index = parse_index(path, index)?;
        let created = index.annotations.get(annotation::CREATED).map(str::to_owned);
        let damaged = |reason| BundleError::damaged(path, "its index", reason);
        let mut opening = Opening { frames, blobs: Vec::new(), named: Named::of(index).map_err(damaged)? };
        opening.read_documents(&mut walk)?;
        if let Some((digest, one, other)) = opening.named.conflict {
            let reason = format!("it is named with {one} bytes and with {other}");
            return Err(BundleError::damaged(path, format!("blob {digest}"), reason));
        }
        let Opening { frames, blobs, mut named } = opening;
        let later = contents::later_installer(&named);
        let contents = contents::assemble(identity, created, &mut named).map_err(|reason| match later {
            Some(needs) => BundleError::LaterInstaller { path: path.to_owned(), needs: needs.to_string() },
            None => damaged(reason),
        })?;
        let (contents, known) = (Arc::new(contents), Some(Arc::new(named.known)));
        Ok(Self { frames, contents, by_digest: sorted(&blobs), blobs: blobs.into(), known })
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
    pub fn walk_all(mut self) -> Result<Self, BundleError> {
        // Done before.
        let Some(known) = self.known.take() else { return Ok(self) };
        let mut known = Arc::unwrap_or_clone(known);
        known.values_mut().for_each(|known| known.found = false);
        let (mut blobs, mut walk) = (Vec::new(), Walk::new());
        let skipped = [walk.next(&self.frames)?, walk.next(&self.frames)?];
        debug_assert!(skipped.iter().all(Option::is_some), "open() read both");
        while let Some(entry) = walk.next(&self.frames)? {
            blobs.push(find(&self.frames.path, &mut known, &entry)?.0);
        }
        if let Some((digest, _)) = known.iter().find(|(_, known)| known.required && !known.found) {
            let place = format!("blob {digest}{}", self.contents.needed_by(digest));
            return Err(BundleError::damaged(&self.frames.path, place, "it is missing"));
        }
        drop(known);
        Ok(Self { by_digest: sorted(&blobs), blobs: blobs.into(), ..self })
    }

    /// The blobs found so far, in file order: those of the head after [`Bundle::open`], all after [`Bundle::walk_all`].
    pub fn blobs(&self) -> &[BlobEntry] {
        &self.blobs
    }

    /// A reader of a blob that checks size and digest. What it reads before its end is not yet to be believed.
    ///
    /// # Errors
    /// Where the bundle does not hold the blob.
    pub fn blob(&self, digest: &Digest) -> Result<VerifiedReader<FrameReader>, BundleError> {
        let found = self.by_digest.binary_search_by(|at| self.blobs[*at as usize].digest.cmp(digest));
        let Ok(at) = found else {
            let place = format!("blob {digest}{}", self.contents.needed_by(digest));
            return Err(BundleError::damaged(&self.frames.path, place, "it is missing"));
        };
        let blob = self.blobs[self.by_digest[at] as usize];
        let data = self.frames.entry_data(blob.first_frame as usize, blob.size);
        Ok(VerifiedReader::new(data, blob.digest, blob.size))
    }

    /// The error for a failed read of `digest`'s data: names the blob and what needs it.
    pub fn read_error(&self, digest: &Digest, error: std::io::Error) -> BundleError {
        let place = format!("blob {digest}{}", self.contents.needed_by(digest));
        BundleError::reading(&self.frames.path, place, error)
    }
}

/// Places in `blobs`, sorted by digest.
fn sorted(blobs: &[BlobEntry]) -> Arc<[u32]> {
    let mut places: Vec<u32> = (0..blobs.len() as u32).collect();
    places.sort_unstable_by_key(|at| blobs[*at as usize].digest);
    places.into()
}

/// Takes note of an entry, which must be a blob that something names, for the first time, of the size it says.
fn find(path: &Path, known: &mut HashMap<Digest, Known>, entry: &Entry) -> Result<(BlobEntry, Role, u16), BundleError> {
    let damaged = |reason: String| BundleError::damaged(path, format!("entry {:?}", entry.name), reason);
    let digest = layout::digest_of_path(&entry.name)
        .ok_or_else(|| damaged("an OCI image layout has no such file".to_owned()))?;
    let known = known.get_mut(&digest).ok_or_else(|| damaged("nothing names it".to_owned()))?;
    if entry.size != known.size {
        return Err(damaged(format!("it has {} bytes and should have {}", entry.size, known.size)));
    }
    if std::mem::replace(&mut known.found, true) {
        return Err(damaged("it is there twice".to_owned()));
    }
    let blob = BlobEntry { digest, size: entry.size, first_frame: entry.first_frame as u32 };
    Ok((blob, known.role, known.kind))
}

/// A bundle while its documents are being read.
struct Opening {
    frames: Frames,
    blobs: Vec<BlobEntry>,
    named: Named,
}

impl Opening {
    /// Reads manifests and configurations, which come before everything else.
    fn read_documents(&mut self, walk: &mut Walk) -> Result<(), BundleError> {
        let mut total = 0;
        while let Some(entry) = walk.next(&self.frames)? {
            let (blob, role, kind) = find(&self.frames.path, &mut self.named.known, &entry)?;
            self.blobs.push(blob);
            if role == Role::Data {
                break;
            }
            total += entry.size;
            if total > MAX_DOCUMENT_BYTES {
                let reason = "they have more than 256 MiB, which no bundle's have";
                return Err(BundleError::damaged(&self.frames.path, "manifests and configurations", reason));
            }
            let hint = Arc::clone(&self.named.kinds[kind as usize]);
            let content = self.document(&entry, blob.digest, &hint)?;
            let read = self.named.read(blob.digest, role, &hint, content);
            let what = if role == Role::Manifest { "manifest" } else { "configuration" };
            let place = || format!("{what} {}", blob.digest);
            read.map_err(|reason| BundleError::damaged(&self.frames.path, place(), reason))?;
        }
        Ok(())
    }

    fn document(&self, entry: &Entry, digest: Digest, kind: &str) -> Result<Vec<u8>, BundleError> {
        let damaged = |reason: String| BundleError::damaged(&self.frames.path, format!("{kind} {digest}"), reason);
        if entry.size > MAX_MANIFEST_BYTES {
            return Err(damaged(format!("its {} bytes are more than any such document has", entry.size)));
        }
        let content = self.frames.entry_content(entry)?;
        let got = Digest::of(&content);
        if got == digest { Ok(content) } else { Err(damaged(format!("its content hashes to {got}"))) }
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

fn parse_index(path: &Path, raw: Vec<u8>) -> Result<Index, BundleError> {
    /// What every format says of itself; the rest may have another shape in a newer one.
    #[derive(Default, serde::Deserialize)]
    #[serde(rename_all = "camelCase", default)]
    struct Kind {
        artifact_type: Option<String>,
        annotations: Annotations,
    }
    let not_a_bundle = |reason: String| BundleError::NotABundle { path: path.to_owned(), reason };
    let no_index = |error| not_a_bundle(format!("its index.json is not an index: {error}"));
    let kind: Kind = serde_json::from_slice(&raw).map_err(no_index)?;
    if kind.artifact_type.as_deref() != Some(media_type::BUNDLE) {
        return Err(not_a_bundle("it is an OCI image layout, but not one that Carrack made".to_owned()));
    }
    let format = kind.annotations.get(annotation::FORMAT).unwrap_or_default();
    match format.parse::<u32>() {
        Ok(number) if number == FORMAT => serde_json::from_slice(&raw).map_err(no_index),
        Ok(number) if number > FORMAT => Err(BundleError::Newer { path: path.to_owned(), found: format.to_owned() }),
        _ => Err(not_a_bundle(format!("its format is {}", crate::text::shown(format)))),
    }
}
