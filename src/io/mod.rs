//! The only code that writes files which must survive a crash, and the reader that believes bytes only after their
//! digest agrees.
//!
//! It must not know what the files are for.

mod atomic_file;
mod place;
mod verified_reader;
mod whole;

use std::io;
use std::path::{Path, PathBuf};

pub use atomic_file::{AtomicFile, Provisional, create_folders, sync_dir};
pub use place::{OpenFolder, Place, file_type, is_plain};
pub use verified_reader::{Mismatch, VerifiedReader};
pub use whole::{attributes, copy_whole};

/// An I/O error with the path that it happened at.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}", path.display())]
pub struct PathError {
    /// What was tried, as a verb: `read`, `create`, `rename`.
    pub action: &'static str,
    /// The file or folder.
    pub path: PathBuf,
    /// What the system answered.
    pub source: io::Error,
}

/// An error and its causes in one line.
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}

/// Adds the path to an I/O result.
pub trait AtPath<T> {
    /// Names what was tried and where.
    fn at(self, action: &'static str, path: &Path) -> Result<T, PathError>;
}

impl<T, E: Into<io::Error>> AtPath<T> for Result<T, E> {
    fn at(self, action: &'static str, path: &Path) -> Result<T, PathError> {
        self.map_err(|source| PathError { action, path: path.to_owned(), source: source.into() })
    }
}
