//! An archive for the folder from which k3s and RKE2 import images when they start.
//!
//! They import every platform that they find, and some releases fail on an index whose manifests are not all there, so the
//! archive has plain manifests of one platform. While it is written it has a suffix that they ignore.

use std::fs::{self, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::ApplyError;
use super::containerd::{Wanted, WantedImage};
use super::files::{FileError, hash};
use super::receipt::{self, ReceiptRuntime};
use super::source::{BlobReader, Source};
use super::staging::{self, Backup, CommitError, MadeFolders};
use crate::bundle::{
    BundlePlan, Contents, FolderImage, ManifestParts, PartialBundle, TailError, WriteError, compose_images,
};
use crate::host::Root;
use crate::io::{AtPath, PathError};
use crate::oci::{Digest, Manifest, Platform};
use crate::progress::Progress;

/// zstd's level for layers that came uncompressed: the archive is read at every start, and lies beside what it came from.
const LEVEL: i32 = 3;
/// The archive's permission bits, whatever the umask.
pub(super) const MODE: u32 = 0o644;

/// An archive that is to be in an image folder.
#[derive(Debug)]
pub(super) struct FolderArchive {
    /// Its path within the root.
    path: String,
    /// Its path on this host.
    pub(super) target: PathBuf,
    plan: BundlePlan,
    pub(super) wanted: Wanted,
    /// What the newest receipt says of it, where it still is so.
    pub(super) present: Option<ReceiptRuntime>,
}

/// An archive that is complete and has not its name yet.
pub(super) struct WrittenArchive<'a> {
    archive: &'a FolderArchive,
    partial: PartialBundle,
    tail: Vec<(u32, u32)>,
    made: MadeFolders,
}

/// An archive that has its name, and can still be taken back.
pub(super) struct CommittedArchive {
    target: PathBuf,
    backup: Option<Backup>,
    made: MadeFolders,
}

impl FolderArchive {
    /// Plans `FOLDER/NAME-VERSION.tar.zst` within the root.
    pub(super) fn new(
        contents: &Contents,
        source: &Source,
        root: &Root,
        platform: &Platform,
        folder: &str,
    ) -> Result<Self, ApplyError> {
        let wanted = Wanted::of(contents, platform)?;
        let images: Result<Vec<FolderImage>, ApplyError> =
            wanted.images.iter().map(|image| folder_image(image, source)).collect();
        let regions = compose_images(&images?).map_err(io::Error::from);
        let plan =
            regions.and_then(|regions| BundlePlan::new(&regions)).at("plan the archive for", Path::new(folder))?;
        let path = format!("{folder}/{}-{}.tar.zst", contents.profile.name, contents.profile.version);
        let place = |source| FileError::Place { pack: "(images)".to_owned(), source };
        let target = root.resolve(&path).map_err(place)?;
        let present = present(contents, root, &path, &target)?;
        Ok(Self { path, target, plan, wanted, present })
    }

    /// Blobs that the archive reads by itself, with their lengths.
    pub(super) fn reads(&self) -> impl Iterator<Item = (Digest, u64)> {
        let stored = self.plan.stored.iter().map(|place| (place.digest, place.size));
        stored.chain(self.plan.tail.iter().map(|place| (place.digest, place.size)))
    }

    /// Writes the archive beside its target; every blob is verified on the way. `stop` ends it early.
    pub(super) fn write(
        &self,
        source: &Source,
        progress: &Progress,
        stop: impl Fn() -> bool,
    ) -> Result<WrittenArchive<'_>, ApplyError> {
        let made = staging::make_folders(&self.target)?;
        let written = PartialBundle::open(&self.target, &self.plan)
            .map_err(ApplyError::from)
            .and_then(|partial| Ok((self.fill(&partial, source, progress, stop)?, partial)));
        match written {
            Ok((tail, partial)) => Ok(WrittenArchive { archive: self, partial, tail, made }),
            Err(error) => {
                discard(&self.target, made);
                Err(error)
            }
        }
    }

    fn fill(
        &self,
        partial: &PartialBundle,
        source: &Source,
        progress: &Progress,
        stop: impl Fn() -> bool,
    ) -> Result<Vec<(u32, u32)>, ApplyError> {
        for place in &self.plan.stored {
            let (mut blob, digest) = (partial.stored(place)?, place.digest);
            let mut reader = self.open(source, &digest, blob.position())?;
            let mut buffer = vec![0; 1 << 20];
            loop {
                let count = reader.read(&mut buffer).map_err(|error| self.blame(digest, error))?;
                if stop() {
                    return Err(ApplyError::Interrupted);
                }
                if count == 0 {
                    break;
                }
                blob.push(&buffer[..count]).map_err(|error| self.failed(digest, error))?;
                progress.advance(count as u64);
            }
            blob.finish().map_err(|mismatch| self.failed(digest, mismatch.into()))?;
        }
        let mut tail = partial.tail(&self.plan, LEVEL);
        while let Some(blob) = tail.next_blob()? {
            let digest = blob.place().digest;
            let mut reader = self.open(source, &digest, blob.position())?;
            blob.put(&mut reader, |bytes| progress.advance(bytes)).map_err(|error| match error {
                TailError::Source(error) => self.blame(digest, error),
                TailError::Write(error) => self.failed(digest, error),
            })?;
            if stop() {
                return Err(ApplyError::Interrupted);
            }
        }
        Ok(tail.finish())
    }

    /// Reads the blob, past what a killed run has written of it.
    fn open(&self, source: &Source, digest: &Digest, from: u64) -> Result<BlobReader, ApplyError> {
        let mut reader = source.open(digest).map_err(|error| self.blame(*digest, error))?;
        io::copy(&mut (&mut reader).take(from), &mut io::sink()).map_err(|error| self.blame(*digest, error))?;
        Ok(reader)
    }

    fn failed(&self, digest: Digest, error: WriteError) -> ApplyError {
        match error {
            WriteError::Io(error) => error.into(),
            WriteError::Mismatch(mismatch) => self.blame(digest, io::Error::new(io::ErrorKind::InvalidData, mismatch)),
        }
    }

    fn blame(&self, digest: Digest, source: io::Error) -> ApplyError {
        ApplyError::Blob { digest, needed_by: Vec::new(), source }
    }
}

impl WrittenArchive<'_> {
    /// Gives the archive its name. Returns what the receipt says of it, and how to take it back.
    pub(super) fn commit(self) -> Result<(ReceiptRuntime, CommittedArchive), CommitError> {
        let Self { archive, partial, tail, made } = self;
        let target = archive.target.clone();
        let backup = match Backup::of(&target) {
            Ok(backup) => backup,
            Err(error) => {
                discard(&target, made);
                return Err(CommitError { source: error, left: Vec::new() });
            }
        };
        let readable =
            fs::set_permissions(partial_of(&target), Permissions::from_mode(MODE)).at("set the mode of", &target);
        let committed = CommittedArchive { target, backup, made };
        let named = readable.and_then(|()| partial.commit(&archive.plan, &tail));
        match named.and_then(|size| Ok((size, hash(&archive.target)?))) {
            Ok((size, digest)) => {
                Ok((ReceiptRuntime::ImageFolder { path: archive.path.clone(), digest, size }, committed))
            }
            Err(source) => Err(CommitError { source, left: committed.undo() }),
        }
    }

    /// Gives the archive up.
    pub(super) fn discard(self) {
        discard(&self.archive.target, self.made);
    }
}

impl CommittedArchive {
    /// Puts back what was there. Returns what could not be.
    pub(super) fn undo(self) -> Vec<PathError> {
        let restored = match self.backup {
            Some(backup) => backup.restore(),
            None => staging::remove_if_there(&self.target),
        };
        discard(&self.target, self.made);
        restored.err().into_iter().collect()
    }

    /// Forgets what was replaced.
    pub(super) fn finish(self) -> Result<(), PathError> {
        self.backup.map_or(Ok(()), Backup::forget)
    }
}

/// Removes what was written, and the folders that were made for it.
fn discard(target: &Path, made: MadeFolders) {
    // What cannot be removed is ignored in the folder, and the next run takes it over.
    let _ = fs::remove_file(partial_of(target));
    made.remove();
}

/// Where the archive is while it is written; see [`PartialBundle::open`].
fn partial_of(target: &Path) -> PathBuf {
    let mut name = target.as_os_str().to_owned();
    name.push(".partial");
    name.into()
}

fn folder_image(image: &WantedImage, source: &Source) -> Result<FolderImage, ApplyError> {
    // Where several fit, the first is what containerd itself would take.
    let manifest = &image.manifests[0];
    let name = image.reference.to_string();
    let blame = |digest, source| ApplyError::Blob { digest, needed_by: vec![name.clone()], source };
    let parsed = match Manifest::parse(&manifest.raw, &manifest.descriptor.media_type) {
        Ok(Manifest::Image(parsed)) => parsed,
        other => {
            let reason = other.err().map_or_else(|| "an index in an index".to_owned(), |error| error.to_string());
            return Err(blame(manifest.descriptor.digest, io::Error::new(io::ErrorKind::InvalidData, reason)));
        }
    };
    let config = source.read_small(&manifest.config).map_err(|error| blame(manifest.config.digest, error))?;
    Ok(FolderImage {
        names: image.reference.runtime_names(),
        descriptor: manifest.descriptor.clone(),
        manifest: ManifestParts { raw: manifest.raw.clone(), manifest: parsed, config: config.to_vec() },
    })
}

fn present(contents: &Contents, root: &Root, path: &str, target: &Path) -> Result<Option<ReceiptRuntime>, ApplyError> {
    let Some((_, _, receipt)) = receipt::newest(root)? else { return Ok(None) };
    let ReceiptRuntime::ImageFolder { path: written, digest, size } = &receipt.runtime else { return Ok(None) };
    if receipt.bundle != contents.identity || written != path {
        return Ok(None);
    }
    let same = match fs::symlink_metadata(target) {
        Ok(found) if found.is_file() && found.len() == *size => hash(target)? == *digest,
        _ => false,
    };
    Ok(same.then_some(receipt.runtime))
}
