//! Writing an archive of images: an OCI layout that every importer understands, filled in the one pass over the bundle.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::Permissions;
use std::io::{self, Read, Write as _};
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::containerd::WantedImage;
use super::files::hash;
use super::image_folder::MODE;
use super::plan::PlannedArchive;
use super::receipt::ReceiptArchive;
use super::source::Source;
use super::transaction::Staged;
use super::{ApplyError, Interrupt};
use crate::bundle::{
    BundlePlan, BundledManifest, FolderImage, PartialBundle, StoredPlace, TailError, TailWriter, WriteError,
    compose_images, partial_place,
};
use crate::io::{AtPath, PathError, Place};
use crate::oci::Digest;

/// zstd's level for layers that nobody compressed: the archive is read once, so speed counts for more than size.
const LEVEL: i32 = 3;
/// Read and written at once.
const CHUNK: usize = 1 << 20;

/// An archive under its provisional name, which no importer looks at. Dropped before it has its own, it is removed.
pub(super) struct Archive {
    path: String,
    /// Its provisional name.
    partial: Place,
    /// What it is written to before it is decompressed, where its importer takes no compressed one.
    packed: Option<Place>,
    file: PartialBundle,
    plan: BundlePlan,
    stored: HashMap<Digest, StoredPlace>,
    tail: Mutex<Option<TailWriter>>,
    in_tail: BTreeSet<Digest>,
    removal: RemoveOnDrop,
}

/// Why a blob could not be put into the archive.
#[derive(Debug)]
pub(super) enum PutError {
    /// Reading it failed, or what was read is not the blob.
    Read(io::Error),
    /// Writing it failed.
    Write(PathError),
}

impl Archive {
    /// Begins the archive of `images` beside its place. The folder must exist.
    ///
    /// # Errors
    /// Where the file cannot be made, or its disk has no room.
    pub(super) fn begin(planned: &PlannedArchive, images: &[WantedImage], source: &Source) -> Result<Self, ApplyError> {
        let mut regions = compose_images(&parts(images)).map_err(|error| ApplyError::Compose(error.into()))?;
        // In the order of the bundle, which is read forward.
        let order: BTreeMap<Digest, usize> =
            source.blobs().iter().enumerate().map(|(at, (digest, _))| (*digest, at)).collect();
        regions.stored.sort_by_key(|(digest, _)| order.get(digest));
        regions.tail.sort_by_key(|(digest, _)| order.get(digest));
        let plan = BundlePlan::new(&regions).map_err(ApplyError::Compose)?;
        let partial = partial_place(&planned.target)?;
        let packed = packed(planned)?;
        // Before it is there, because opening may fail half-way.
        let places = provisional(planned)?;
        let removal = RemoveOnDrop { places, done: AtomicBool::new(false) };
        let file = PartialBundle::open(packed.as_ref().unwrap_or(&planned.target), &plan)?;
        Ok(Self {
            path: planned.path.clone(),
            partial,
            packed: packed.as_ref().map(partial_place).transpose()?,
            stored: plan.stored.iter().map(|place| (place.digest, place.clone())).collect(),
            tail: Mutex::new(Some(file.tail(&plan, LEVEL))),
            in_tail: plan.tail.iter().map(|place| place.digest).collect(),
            file,
            plan,
            removal,
        })
    }

    /// What still has to be put into it.
    pub(super) fn needs(&self) -> impl Iterator<Item = &Digest> {
        self.stored.keys().chain(&self.in_tail)
    }

    /// Whether the blob has to be put into it.
    pub(super) fn wants(&self, digest: &Digest) -> bool {
        self.stored.contains_key(digest) || self.in_tail.contains(digest)
    }

    /// Whether the blob may be put only after all others of its kind that are before it in the bundle.
    pub(super) fn wants_in_turn(&self, digest: &Digest) -> bool {
        self.in_tail.contains(digest)
    }

    /// Puts a blob that it [wants](Self::wants).
    ///
    /// # Errors
    /// See [`PutError`].
    pub(super) fn put(&self, digest: &Digest, source: &mut dyn Read) -> Result<(), PutError> {
        match self.stored.get(digest) {
            Some(place) => self.put_stored(place, source),
            None => self.put_tail(source),
        }
    }

    fn put_stored(&self, place: &StoredPlace, source: &mut dyn Read) -> Result<(), PutError> {
        let mut blob = self.file.stored(place)?;
        let mut buffer = vec![0; usize::try_from(place.size).unwrap_or(CHUNK).clamp(1, CHUNK)];
        loop {
            match source.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => blob.push(&buffer[..count])?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(PutError::Read(error)),
            }
        }
        blob.finish().map_err(|mismatch| WriteError::from(mismatch).into())
    }

    fn put_tail(&self, source: &mut dyn Read) -> Result<(), PutError> {
        let mut tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(writer) = tail.as_mut() else { return Ok(()) };
        let Some(mut blob) = writer.next_blob()? else { return Ok(()) };
        blob.put(source, |_| {}).map_err(|error| match error {
            TailError::Source(error) => PutError::Read(error),
            TailError::Write(error) => error.into(),
        })
    }

    /// Ends it when everything is in it: synced, with its mode, and hashed as it lies there.
    ///
    /// # Errors
    /// Where the disk fails, or `interrupt` comes while hashing.
    pub(super) fn finish(&self, interrupt: &Interrupt) -> Result<ReceiptArchive, ApplyError> {
        let frames = self.tail.lock().unwrap_or_else(PoisonError::into_inner).take().map(TailWriter::finish);
        let mode = self.file.file().set_permissions(Permissions::from_mode(MODE));
        mode.at("set the mode of", self.packed.as_ref().unwrap_or(&self.partial).shown())?;
        let size = self.file.finish(&self.plan, &frames.unwrap_or_default())?;
        let size = match &self.packed {
            Some(packed) => decompress(packed, &self.partial, interrupt)?,
            None => size,
        };
        let digest =
            hash(self.partial.open()?, self.partial.shown(), || !interrupt.is_set())?.ok_or(ApplyError::Interrupted)?;
        Ok(ReceiptArchive { path: self.path.clone(), digest, size, original: None })
    }

    /// Leaves it, complete, under its provisional name for the transaction.
    ///
    /// # Errors
    /// Where the system does not tell what it is, or its name cannot be made durable.
    pub(super) fn leave(&self) -> Result<Staged, PathError> {
        let inode = self.partial.stat()?.map_or(0, |found| found.st_ino);
        self.partial.sync_folder()?;
        self.removal.done.store(true, Ordering::Relaxed);
        Ok(Staged { name: self.partial.name().to_string_lossy().into_owned(), inode })
    }
}

impl std::fmt::Debug for Archive {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Archive").field("partial", &self.partial).finish_non_exhaustive()
    }
}

impl From<PathError> for PutError {
    fn from(error: PathError) -> Self {
        Self::Write(error)
    }
}

impl From<WriteError> for PutError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Io(error) => Self::Write(error),
            WriteError::Mismatch(mismatch) => Self::Read(io::Error::new(io::ErrorKind::InvalidData, mismatch)),
        }
    }
}

/// Writes a finished archive as a plain one, and removes it. Returns the length in bytes.
fn decompress(from: &Place, to: &Place, interrupt: &Interrupt) -> Result<u64, ApplyError> {
    let (packed, plain) = (from.shown(), to.shown());
    let mut reader = zstd::stream::read::Decoder::new(from.open()?).at("read", packed)?;
    let mut to = to.create(MODE)?;
    to.set_permissions(Permissions::from_mode(MODE)).at("set the mode of", plain)?;
    let (mut buffer, mut size) = (vec![0; CHUNK], 0);
    loop {
        if interrupt.is_set() {
            return Err(ApplyError::Interrupted);
        }
        match reader.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => {
                to.write_all(&buffer[..count]).at("write", plain)?;
                size += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error).at("read", packed)?,
        }
    }
    to.sync_all().at("sync", plain)?;
    from.remove()?;
    Ok(size)
}

struct RemoveOnDrop {
    places: Vec<Place>,
    done: AtomicBool,
}

impl RemoveOnDrop {
    fn run(&self) {
        if !self.done.swap(true, Ordering::Relaxed) {
            // Nothing more can be done about a failure here, and the next run removes the file.
            for place in &self.places {
                let _ = place.remove();
            }
        }
    }
}

impl Drop for RemoveOnDrop {
    fn drop(&mut self) {
        self.run();
    }
}

/// The provisional names of what is written for it.
///
/// # Errors
/// Where its place has no name.
pub(super) fn provisional(planned: &PlannedArchive) -> Result<Vec<Place>, PathError> {
    let packed = packed(planned)?;
    [&planned.target].into_iter().chain(&packed).map(partial_place).collect()
}

/// The place of a compressed one, where the importer takes no such.
fn packed(planned: &PlannedArchive) -> Result<Option<Place>, PathError> {
    (!planned.folder.takes_zstd()).then(|| planned.target.with_ending(".zst")).transpose()
}

fn parts(images: &[WantedImage]) -> Vec<FolderImage> {
    let of = |image: &WantedImage| -> Vec<FolderImage> {
        let one = |manifest: &BundledManifest| FolderImage {
            names: image.names.clone(),
            manifest: manifest.manifest.clone(),
            config: manifest.config.clone(),
            layers: Arc::clone(&manifest.layers),
        };
        image.manifests.iter().map(one).collect()
    };
    images.iter().flat_map(of).collect()
}
