//! What can go wrong while a bundle is being built.

use std::io;
use std::path::PathBuf;

use crate::bundle::ComposeError;
use crate::download::{Address, AddressError, DownloadError};
use crate::io::{Mismatch, PathError};
use crate::oci::{Digest, ManifestError, Reference};
use crate::problem::Problems;
use crate::registry::RegistryError;

/// Why a bundle was not built. What has been fetched so far stays in `OUT.partial`, and the next build goes on from it.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// A registry failed.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// A web server failed.
    #[error(transparent)]
    Download(#[from] DownloadError),
    /// A file's address is none.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The lock has nothing of a file, so its place in the bundle is not known.
    #[error("{0} is not locked with the digest that the profile states")]
    Unlocked(Address),
    /// A web server sent content that is not what the profile names.
    #[error("{address}: the server has something else than the profile says")]
    WrongDownload {
        /// The file.
        address: Address,
        /// Got and want.
        source: Mismatch,
    },
    /// Placeholders or values that cannot be used.
    #[error(transparent)]
    Problems(#[from] Problems),
    /// Something would have no place of its own on a host.
    #[error("{0}")]
    Places(String),
    /// A registry sent content that is not what a digest names.
    #[error("{reference}: the registry sent wrong content for a blob")]
    WrongContent {
        /// The image that needs the blob.
        reference: Reference,
        /// Got and want.
        source: Mismatch,
    },
    /// A manifest cannot be understood.
    #[error("{reference}: its manifest cannot be used")]
    Manifest {
        /// The image.
        reference: Reference,
        /// Why.
        source: ManifestError,
    },
    /// Two references of the profile give one name to different images.
    #[error("{name} would stand for {first} and for {second}")]
    OneName {
        /// The name, as a runtime looks it up.
        name: String,
        /// What one reference means.
        first: Digest,
        /// What the other means.
        second: Digest,
    },
    /// An image's configuration is larger than any that a bundle carries.
    #[error(
        "{reference}: its configuration has {size} bytes, and at most {} are carried",
        crate::oci::MAX_MANIFEST_BYTES
    )]
    LargeConfig {
        /// The image.
        reference: Reference,
        /// Its size.
        size: u64,
    },
    /// Two manifests, or two places in one, say different things of the same blob.
    #[error("{reference}: blob {digest} has {size} bytes by its manifest, and {other} bytes elsewhere in this bundle")]
    Sizes {
        /// The image.
        reference: Reference,
        /// The blob.
        digest: Digest,
        /// Its size by the image's manifest.
        size: u64,
        /// Its size by another.
        other: u64,
    },
    /// The manifests name more than any bundle holds.
    #[error("the images and files have {0} bytes, more than a bundle can hold ({max})", max = crate::bundle::MAX_BYTES)]
    TooLarge(u64),
    /// The lock and what the registry has do not agree, although digests do: the lock was edited.
    #[error("{reference}: the lock does not fit the image: {reason}")]
    Lock {
        /// The image.
        reference: Reference,
        /// What does not fit.
        reason: String,
    },
    /// A local file does not have the digest that the profile states.
    #[error("{} hashes to {got}, and the profile says {want}", path.display())]
    FileDigest {
        /// The file.
        path: PathBuf,
        /// What it hashes to.
        got: Digest,
        /// What the profile says.
        want: Digest,
    },
    /// A local file changed between planning and packing.
    #[error("{} changed while the bundle was being built", path.display())]
    FileChanged {
        /// The file.
        path: PathBuf,
        /// Got and want.
        source: Mismatch,
    },
    /// A local file or the output failed.
    #[error(transparent)]
    Local(#[from] PathError),
    /// A text that no bundle may have, or a document that cannot be written, which is a bug.
    #[error(transparent)]
    Compose(#[from] ComposeError),
    /// libzstd failed, for want of memory.
    #[error("cannot encode the bundle's head")]
    Encode(#[source] io::Error),
}

impl FetchError {
    /// Whether all of a blob came, and was something else.
    pub(super) fn is_mismatch(&self) -> bool {
        matches!(self, Self::WrongContent { .. } | Self::WrongDownload { .. } | Self::FileChanged { .. })
    }
}
