//! Why nothing is imported.

use std::path::PathBuf;

use crate::folder::FolderError;
use crate::io::PathError;
use crate::problem::Problem;

/// Why nothing is imported at all. What is only a part of it is a [`super::NotImported`].
#[derive(Debug, thiserror::Error)]
pub enum PaletteError {
    /// The source cannot be read.
    #[error(transparent)]
    Io(#[from] PathError),
    /// The source is neither a pack's folder nor an exported profile.
    #[error("{} cannot be imported: {reason}", path.display())]
    NotPalette {
        /// The file or folder.
        path: PathBuf,
        /// What it is not.
        reason: String,
    },
    /// A file of the profile has no place.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// A document cannot be written, which is a mistake of ours.
    #[error("a document of the profile cannot be written")]
    Document(#[from] serde_json::Error),
}

impl PaletteError {
    pub(super) fn not_palette(path: impl Into<PathBuf>, reason: impl Into<String>) -> Self {
        Self::NotPalette { path: path.into(), reason: reason.into() }
    }
}

impl From<Problem> for PaletteError {
    fn from(problem: Problem) -> Self {
        Self::NotPalette { path: problem.file, reason: problem.message }
    }
}
