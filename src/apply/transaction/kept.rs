//! Files that were replaced or removed, by digest, for as long as a way back needs them.

use std::collections::BTreeSet;
use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::switch::{copy, remove_if_there};
use crate::apply::ApplyError;
use crate::apply::files::{Before, FileError};
use crate::host::Root;
use crate::io::{AtPath, PathError, create_folders, sync_dir};
use crate::oci::Digest;

/// Where they are, within the root.
const KEPT: &str = "/var/lib/carrack/kept";
/// Nobody but the owner: a file that was private is so here.
const FOLDER_MODE: u32 = 0o700;

/// The folder of kept files.
#[derive(Debug, Clone)]
pub(in crate::apply) struct Kept(PathBuf);

impl Kept {
    /// That of `root`.
    ///
    /// # Errors
    /// Where the path means nothing there.
    pub(in crate::apply) fn of(root: &Root) -> Result<Self, ApplyError> {
        let probe = root.resolve(&format!("{KEPT}/x"));
        let probe = probe.map_err(|source| FileError::Place { pack: "(kept files)".to_owned(), source })?;
        Ok(Self(probe.with_file_name("")))
    }

    /// Moves the file at `from` here, which `digest` is of. Nothing where it is not there any more.
    ///
    /// # Errors
    /// Where it cannot be moved.
    pub(super) fn take(&self, from: &Path, digest: &Digest) -> Result<(), PathError> {
        if from.symlink_metadata().is_err() {
            return Ok(());
        }
        create_folders(&self.0)?;
        fs::set_permissions(&self.0, Permissions::from_mode(FOLDER_MODE)).at("set the mode of", &self.0)?;
        let to = self.path(digest);
        if to.exists() {
            return remove_if_there(from);
        }
        match fs::rename(from, &to) {
            // Another file system.
            Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
                let partial = to.with_extension("new");
                copy(from, &partial).at("keep the old file as", &partial)?;
                fs::rename(&partial, &to).at("rename to", &to)?;
                sync_dir(&self.0)?;
                remove_if_there(from)
            }
            moved => {
                moved.at("keep the old file as", &to)?;
                sync_dir(&self.0)
            }
        }
    }

    /// Opens a kept file.
    ///
    /// # Errors
    /// Where it is not there.
    pub(in crate::apply) fn open(&self, digest: &Digest) -> Result<File, PathError> {
        let path = self.path(digest);
        File::open(&path).at("read", &path)
    }

    /// Removes all but `needed`, and the folder where nothing is.
    ///
    /// # Errors
    /// The first that cannot be removed.
    pub(super) fn prune(&self, needed: &BTreeSet<Digest>) -> Result<(), PathError> {
        let entries = match fs::read_dir(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => other.at("read", &self.0)?,
        };
        let needed: BTreeSet<String> = needed.iter().map(Digest::hex).collect();
        for entry in entries {
            let path = entry.at("read", &self.0)?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if !needed.contains(name) {
                remove_if_there(&path)?;
            }
        }
        let _ = fs::remove_dir(&self.0);
        Ok(())
    }

    /// Whether the file with this content is here, and is that still: who had it open may have written to it since.
    pub(in crate::apply) fn holds(&self, digest: &Digest) -> bool {
        Before::at(&self.path(digest)).is_ok_and(|found| found.is_some_and(|found| found.digest == Some(*digest)))
    }

    /// Where the file with this content is, or would be.
    pub(in crate::apply) fn path(&self, digest: &Digest) -> PathBuf {
        self.0.join(digest.hex())
    }
}
