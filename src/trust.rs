//! From a bundle that somebody handed over to one that may be applied: the installer's steps accept nothing else.
//!
//! Proven here: the framing is whole, the head hashes to what the index names, every blob that is needed is there with
//! the right size, and nothing else is. What the large blobs hash to is proven as each is read, once, by whoever reads it.

use std::io;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::bundle::{BlobEntry, Bundle, BundleError, Contents, FrameReader};
use crate::io::VerifiedReader;
use crate::oci::Digest;
use crate::progress::Progress;

/// A bundle whose structure and head are proven.
#[derive(Debug, Clone)]
pub struct Trusted {
    bundle: Bundle,
}

/// Opens the bundle at `path` and proves what the module says.
///
/// # Errors
/// Where the file cannot be read, is no bundle, is of a newer format, or is damaged.
pub fn establish(path: &Path) -> Result<Trusted, BundleError> {
    establish_only(path, None)
}

/// Opens the bundle at `path` and proves what the module says, where it is the one with the identity `wanted`.
///
/// # Errors
/// As [`establish`], and [`BundleError::Another`].
pub fn establish_only(path: &Path, wanted: Option<&Digest>) -> Result<Trusted, BundleError> {
    Ok(Trusted { bundle: Bundle::open_only(path, wanted)?.walk_all()? })
}

impl Trusted {
    /// What the bundle holds.
    pub fn contents(&self) -> &Contents {
        self.bundle.contents()
    }

    /// Every blob in the file, in file order.
    pub fn blobs(&self) -> &[BlobEntry] {
        self.bundle.blobs()
    }

    /// The file.
    pub fn file(&self) -> &Path {
        self.bundle.file()
    }

    /// A reader of a blob; the read that ends it fails with [`io::ErrorKind::InvalidData`] where the blob is damaged.
    ///
    /// # Errors
    /// Where the bundle does not hold the blob.
    pub fn open(&self, digest: &Digest) -> Result<VerifiedReader<FrameReader>, BundleError> {
        self.bundle.blob(digest)
    }

    /// The error for a failed read of `digest`'s data: names the blob and what needs it.
    pub fn read_error(&self, digest: &Digest, error: io::Error) -> BundleError {
        self.bundle.read_error(digest, error)
    }

    /// Reads every blob and checks it, on `jobs` threads. Returns what is damaged, in file order; empty means that the
    /// bundle is whole.
    pub fn verify(&self, jobs: usize, progress: &Progress) -> Vec<BundleError> {
        let blobs = self.blobs();
        progress.add_total(blobs.iter().map(|blob| blob.size).sum());
        let (next, found) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
        let work = || {
            while let Some(at) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|at| *at < blobs.len()) {
                if let Err(error) = self.verify_blob(&blobs[at], progress) {
                    found.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push((at, error));
                }
            }
        };
        std::thread::scope(|scope| (0..jobs.max(1)).for_each(|_| drop(scope.spawn(work))));
        let mut found = found.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        found.sort_by_key(|(at, _)| *at);
        found.into_iter().map(|(_, error)| error).collect()
    }

    fn verify_blob(&self, blob: &BlobEntry, progress: &Progress) -> Result<(), BundleError> {
        let _in_flight = progress.begin(&blob.digest.short());
        let drained = self.open(&blob.digest)?.drain();
        progress.advance(blob.size);
        drained.map_err(|error| self.read_error(&blob.digest, error))
    }
}
