//! What can be wrong with a bundle.

use std::io;
use std::path::{Path, PathBuf};

use crate::io::PathError;
use crate::oci::Digest;

/// Why a file is no bundle that this Carrack believes.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// The file cannot be opened or read.
    #[error(transparent)]
    Io(#[from] PathError),
    /// The file is another archive, or its end is missing.
    #[error("{} is not a complete Carrack bundle: {reason}", path.display())]
    NotABundle {
        /// The file.
        path: PathBuf,
        /// What is missing or unexpected.
        reason: String,
    },
    /// The file is of another kind altogether, so no better copy of it helps.
    #[error("{} is not a Carrack bundle: {reason}", path.display())]
    Other {
        /// The file.
        path: PathBuf,
        /// What it is.
        reason: &'static str,
    },
    /// The bundle was made by a newer Carrack.
    #[error("{} has bundle format {found}; this Carrack reads format {}", path.display(), super::FORMAT)]
    Newer {
        /// The file.
        path: PathBuf,
        /// The format that it states.
        found: String,
    },
    /// The file is another bundle than the one that was asked for.
    #[error("{} is not the bundle {wanted}; its identity is {found}", path.display())]
    Another {
        /// The file.
        path: PathBuf,
        /// The identity that was asked for.
        wanted: Digest,
        /// The identity of the file.
        found: Digest,
    },
    /// The bundle says something that only a later installer understands.
    #[error("{} needs carrack-install {needs} or later; this is {}", path.display(), env!("CARGO_PKG_VERSION"))]
    LaterInstaller {
        /// The file.
        path: PathBuf,
        /// The version.
        needs: String,
    },
    /// Bytes are not what they should be.
    #[error("{} is damaged: {place}: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Which part: a blob with what needs it, a header, the seek table.
        place: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl BundleError {
    pub(super) fn damaged(path: &Path, place: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Damaged { path: path.to_owned(), place: place.into(), reason: reason.into() }
    }

    /// Sorts a failed read of `place`: content that is wrong or missing is damage, the rest is the disk's failure.
    pub(super) fn reading(path: &Path, place: impl Into<String>, error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::InvalidData => Self::damaged(path, place, error.to_string()),
            io::ErrorKind::UnexpectedEof => Self::damaged(path, place, "the file ends before it"),
            _ => Self::Io(PathError { action: "read", path: path.to_owned(), source: error }),
        }
    }
}
