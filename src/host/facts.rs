//! Where facts are read from: the files in which the kernel and the system say what there is.

use std::fmt;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use super::addresses::InterfaceAddress;
use super::disk::{self, Space};
use crate::io::PathError;

/// No file that facts are in is larger; what is, is not read to its end.
const LIMIT: u64 = 32 << 20;

type Measure = dyn Fn(&Path) -> Result<Space, PathError> + Send + Sync;

/// A machine: this one, or one that is made up of files for a test. What it does not tell is absent.
pub struct Facts {
    root: PathBuf,
    measure: Box<Measure>,
    /// Those of a machine that is made up; the kernel is asked where there are none.
    pub(super) addresses: Option<Vec<InterfaceAddress>>,
}

impl fmt::Debug for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Facts").field("root", &self.root).finish_non_exhaustive()
    }
}

impl Facts {
    /// This machine.
    pub fn here() -> Self {
        Self { addresses: None, ..Self::below(Path::new("/"), disk::space) }
    }

    /// The machine whose `/proc`, `/sys` and other files are below `root`. The kernel tells of space by a call and not by a
    /// file, so `measure` does it; and of addresses too, of which it has none but those [`with_addresses`](Self::with_addresses).
    pub fn below(root: &Path, measure: impl Fn(&Path) -> Result<Space, PathError> + Send + Sync + 'static) -> Self {
        let root = fs::canonicalize(root).unwrap_or_else(|_| root.to_owned());
        Self { root, measure: Box::new(measure), addresses: Some(Vec::new()) }
    }

    /// The same machine with these addresses.
    #[must_use]
    pub fn with_addresses(self, addresses: Vec<InterfaceAddress>) -> Self {
        Self { addresses: Some(addresses), ..self }
    }

    /// The file system that a path is or would be on.
    ///
    /// # Errors
    /// Where the system does not tell.
    pub fn space(&self, path: &Path) -> Result<Space, PathError> {
        (self.measure)(path)
    }

    /// Where `path` is on the machine that this runs on.
    pub(super) fn at(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// The path on the machine of what is at `real` on this one.
    pub(super) fn within(&self, real: &Path) -> Option<PathBuf> {
        Some(Path::new("/").join(real.strip_prefix(&self.root).ok()?))
    }

    /// The text of a file. What is no UTF-8 in it is replaced: names of processes and mounts may be anything.
    pub(super) fn text(&self, path: impl AsRef<Path>) -> Option<String> {
        let mut bytes = Vec::new();
        File::open(self.at(path)).ok()?.take(LIMIT).read_to_end(&mut bytes).ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The text of a file of one line.
    pub(super) fn line(&self, path: impl AsRef<Path>) -> Option<String> {
        Some(self.text(path)?.trim().to_owned())
    }

    /// Whether there is something at a path.
    pub fn exists(&self, path: &str) -> bool {
        self.at(path).symlink_metadata().is_ok()
    }
}
