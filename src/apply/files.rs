//! Files on the host: what must be there, and what is there now.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::FileType;

pub use super::before::{Before, LinkTarget, Moment};
use super::by_hand::Keys;
use super::settle::Written;
use crate::host::RootError;
use crate::io::{AtPath, PathError, Place, file_type};
use crate::oci::{Digest, Digester};

/// A file that must be on the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetFile {
    /// Its path within the root.
    pub path: String,
    /// Where that is on the running host.
    pub target: Place,
    /// Of its content.
    pub digest: Digest,
    /// Length in bytes.
    pub size: u64,
    /// Permission bits.
    pub mode: u32,
    /// User and group, where they are to be set.
    pub owner: Option<(u32, u32)>,
    /// The pack that asked for it.
    pub pack: String,
    /// What it is to the bundle.
    pub kind: FileKind,
    /// Of what the bundle wants there, where a person has changed that.
    pub wanted: Option<Digest>,
    /// What its keys hold as the bundle wants them, for each of its documents, where they can be joined with a person's.
    pub keys: Vec<Keys>,
    /// Its content, where that is not a blob of the bundle.
    pub(super) content: Option<Arc<Written>>,
}

/// What a file is to the bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// A file for the host.
    Host,
    /// Kubernetes manifests.
    Manifest,
    /// The package of a Helm chart.
    Chart,
    /// What says how a chart is installed: the distribution's object, or values.
    Release,
    /// A part of the distribution's configuration.
    Config,
}

impl FileKind {
    /// The kind as plans, receipts and reports have it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Host => "file",
            Self::Manifest => "manifest",
            Self::Chart => "chart",
            Self::Release => "release",
            Self::Config => "config",
        }
    }
}

/// What is at a file's path now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Nothing.
    Absent,
    /// A file.
    Regular {
        /// Of its content; not looked at where its length differs already.
        digest: Option<Digest>,
        /// Permission bits.
        mode: u32,
        /// User and group.
        owner: (u32, u32),
    },
    /// A symbolic link, which is replaced.
    Link,
}

/// Why a bundle's files cannot be put on this host.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The path means nothing here, or leads out of the root.
    #[error("the file of pack {pack} cannot be installed")]
    Place {
        /// The pack.
        pack: String,
        /// Why.
        source: RootError,
    },
    /// A name that is not one path component.
    #[error("{0:?} is not a file name")]
    Name(String),
    /// A place of the installer's own.
    #[error("{0} is a place of carrack-install's own, and no bundle puts a file there")]
    Reserved(String),
    /// Two files of the bundle are one on this host.
    #[error("{first} and {second} are the same file on this host")]
    Twice {
        /// One path.
        first: String,
        /// The other.
        second: String,
    },
    /// Under another name, it is a place of the installer's own.
    #[error("{path} leads to {real}, a place of carrack-install's own, and no bundle puts a file there")]
    LeadsToOwn {
        /// The path.
        path: String,
        /// Where it leads, within the root.
        real: String,
    },
    /// A link is in the installer's own folder.
    #[error("{} is a symbolic link, and in carrack-install's own folder there is none", .0.display())]
    OwnLink(PathBuf),
    /// It would be in a file system that the kernel makes, or among devices.
    #[error("{path} leads to {real}, where the kernel shows itself and no file can be kept")]
    Kernel {
        /// The path.
        path: String,
        /// Where it leads, within the root.
        real: String,
    },
    /// A file of the bundle is where another one needs a folder.
    #[error("{outer} is a file of the bundle, and {inner} needs a folder there")]
    Within {
        /// The file.
        outer: String,
        /// The file that would be below it.
        inner: String,
    },
    /// No file system takes the name.
    #[error("{0} has a name of more than 255 bytes, or a path of more than 4095")]
    TooLong(String),
    /// A name is taken that is needed.
    #[error("{} is not Carrack's, and has the name that carrack-install needs while it changes {path}", taken.display())]
    Taken {
        /// The file that changes.
        path: String,
        /// What has the name.
        taken: PathBuf,
    },
    /// Its file system lets nobody replace it.
    #[error("{} is immutable or append-only, and cannot be replaced", .0.display())]
    Immutable(PathBuf),
    /// Something is mounted on just this file, so that nothing can take its name.
    #[error("{} is a mount point, and cannot be replaced", .0.display())]
    Mounted(PathBuf),
    /// A folder or device stands there.
    #[error("{} is not a file, and is not replaced", .0.display())]
    InTheWay(PathBuf),
    /// The system did not answer.
    #[error(transparent)]
    Path(#[from] PathError),
}

impl TargetFile {
    /// Whether sensitive values are in it.
    pub fn has_secrets(&self) -> bool {
        self.content.as_ref().is_some_and(|written| written.private || !written.secrets.is_empty())
    }

    /// What is at the path now.
    ///
    /// # Errors
    /// Where something stands there that is not replaced, or cannot be read.
    pub fn look(&self) -> Result<Found, FileError> {
        look_at(&self.target, self.size)
    }

    /// Whether what was found is the file as it must be.
    pub fn is(&self, found: &Found) -> bool {
        matches!(found, Found::Regular { digest, mode, owner }
            if *digest == Some(self.digest) && *mode == self.mode && self.owner.is_none_or(|wanted| wanted == *owner))
    }
}

/// What is at `place` now; hashed only where it has `size` bytes.
///
/// # Errors
/// Where something stands there that is not replaced, or cannot be read.
pub(super) fn look_at(place: &Place, size: u64) -> Result<Found, FileError> {
    let Some(found) = place.stat()? else { return Ok(Found::Absent) };
    match file_type(&found) {
        FileType::Symlink => return Ok(Found::Link),
        FileType::RegularFile => {}
        _ => return Err(FileError::InTheWay(place.shown().to_owned())),
    }
    let digest = if found.st_size as u64 == size { hash_at(place)? } else { None };
    Ok(Found::Regular { digest, mode: found.st_mode & 0o7777, owner: (found.st_uid, found.st_gid) })
}

/// The digest of the file at `place`.
pub(super) fn hash_at(place: &Place) -> Result<Option<Digest>, PathError> {
    hash(place.open()?, place.shown(), || true)
}

/// The digest of a file's content; none where `go_on` became false on the way.
///
/// # Errors
/// Where it cannot be read.
pub(super) fn hash(mut file: impl Read, path: &Path, go_on: impl Fn() -> bool) -> Result<Option<Digest>, PathError> {
    let (mut digester, mut buffer) = (Digester::new(), vec![0; 256 << 10]);
    while go_on() {
        match file.read(&mut buffer).at("read", path)? {
            0 => return Ok(Some(digester.finish())),
            count => digester.update(&buffer[..count]),
        }
    }
    Ok(None)
}
