//! Where apply gets its bytes: every blob of a bundle, each read verified.

use std::fmt;
use std::io::{self, Read};
use std::sync::Arc;

use crate::oci::{Blob, Descriptor, Digest};

/// A read of one blob that fails with [`io::ErrorKind::InvalidData`] at its end where the bytes are not what the digest
/// names.
pub type BlobReader = Box<dyn Read + Send>;

type Open = dyn Fn(&Digest) -> io::Result<BlobReader> + Send + Sync;

/// The largest image configuration that is read. Real ones have a few kilobytes.
const MAX_CONFIG_BYTES: u64 = 8 << 20;
/// The largest template that is filled in; people write no larger document either.
const MAX_DOCUMENT_BYTES: u64 = 16 << 20;

/// The blobs of a trusted bundle, in the order in which the file has them.
#[derive(Clone)]
pub struct Source {
    blobs: Arc<[(Digest, u64)]>,
    open: Arc<Open>,
}

impl Source {
    /// The blobs with their lengths, in file order, and how to read one. Reads may go on side by side.
    pub fn new(
        blobs: Vec<(Digest, u64)>,
        open: impl Fn(&Digest) -> io::Result<BlobReader> + Send + Sync + 'static,
    ) -> Self {
        Self { blobs: blobs.into(), open: Arc::new(open) }
    }

    /// Digest and length of every blob, in file order.
    pub fn blobs(&self) -> &[(Digest, u64)] {
        &self.blobs
    }

    /// Begins a verified read.
    ///
    /// # Errors
    /// Where the bundle cannot be read.
    pub fn open(&self, digest: &Digest) -> io::Result<BlobReader> {
        (self.open)(digest)
    }

    /// Reads a manifest or a configuration into memory.
    ///
    /// # Errors
    /// A read error, damage, or a blob of more than 8 MiB, which no honest image has as configuration.
    pub fn read_small(&self, blob: &Blob) -> io::Result<Vec<u8>> {
        self.read_at_most(blob.digest, blob.size, MAX_CONFIG_BYTES, "an image configuration")
    }

    /// Reads a document that people wrote into memory.
    ///
    /// # Errors
    /// A read error, damage, or a blob of more than 16 MiB.
    pub fn read_document(&self, blob: &Descriptor) -> io::Result<Vec<u8>> {
        self.read_at_most(blob.digest, blob.size, MAX_DOCUMENT_BYTES, "a document")
    }

    /// Reads the blob that `digest` is of, where it is small.
    ///
    /// # Errors
    /// A read error or damage.
    pub(super) fn read(&self, digest: &Digest) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        self.open(digest)?.read_to_end(&mut content)?;
        Ok(content)
    }

    fn read_at_most(&self, digest: Digest, size: u64, limit: u64, what: &str) -> io::Result<Vec<u8>> {
        if size > limit {
            let message = format!("{size} bytes are too many for {what}");
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        let mut content = Vec::new();
        self.open(&digest)?.read_to_end(&mut content)?;
        Ok(content)
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("blobs", &self.blobs.len()).finish()
    }
}
