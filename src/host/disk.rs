//! Free space, and space in all.

use std::path::{Path, PathBuf};

use crate::io::{AtPath, PathError};

/// The file system that a path is or would be on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Space {
    /// The deepest folder of the path that exists.
    pub folder: PathBuf,
    /// Bytes that this user may still write.
    pub free: u64,
    /// Bytes that it has in all.
    pub size: u64,
    /// Tells file systems apart.
    pub device: u64,
}

/// Free space where `path` is or would be made.
///
/// # Errors
/// Where the system does not tell.
pub fn space(path: &Path) -> Result<Space, PathError> {
    let folder = path.ancestors().find(|folder| folder.is_dir()).unwrap_or(Path::new("/"));
    let facts = rustix::fs::statvfs(folder).at("find the free space of", folder)?;
    let device = rustix::fs::stat(folder).at("look at", folder)?.st_dev;
    let bytes = |blocks: u64| blocks.saturating_mul(facts.f_frsize);
    Ok(Space { folder: folder.to_owned(), free: bytes(facts.f_bavail), size: bytes(facts.f_blocks), device })
}

/// Whether this user may make files where `path` is or would be made.
pub fn is_writable(path: &Path) -> bool {
    let folder = path.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("/"));
    rustix::fs::access(folder, rustix::fs::Access::WRITE_OK).is_ok()
}
