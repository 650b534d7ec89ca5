//! Files that were replaced or removed, by digest, for as long as a way back needs them.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;

use crate::apply::ApplyError;
use crate::apply::files::{Before, FileError};
use crate::host::Root;
use crate::io::{AtPath, PathError, Place, copy_whole};
use crate::oci::Digest;
use crate::places::OWN;

/// Where they are, below Carrack's own folder.
const KEPT: &str = "kept";
/// Nobody but the owner: a file that was private is so here.
const FOLDER_MODE: u32 = 0o700;

/// The folder of kept files.
#[derive(Debug, Clone)]
pub(in crate::apply) struct Kept(Place);

impl Kept {
    /// That of `root`.
    ///
    /// # Errors
    /// Where the path means nothing there.
    pub(in crate::apply) fn of(root: &Root) -> Result<Self, ApplyError> {
        let place = |source| FileError::Place { pack: "(kept files)".to_owned(), source };
        Ok(Self(root.below(OWN, KEPT).map_err(place)?))
    }

    /// Moves the file at `from` here, which `digest` is of. Nothing where it is not there any more.
    ///
    /// # Errors
    /// Where it cannot be moved.
    pub(super) fn take(&self, from: &Place, digest: &Digest) -> Result<(), PathError> {
        if !from.is_there() {
            return Ok(());
        }
        self.0.make_folder()?;
        self.0.set_folder_mode(FOLDER_MODE)?;
        let to = self.place(digest)?;
        if to.is_there() {
            return from.remove();
        }
        match from.rename(&to) {
            // Another file system.
            Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
                let partial = to.with_ending(".new")?;
                partial.remove()?;
                copy_whole(from, &partial)?;
                partial.rename(&to).at("rename to", to.shown())?;
                to.sync_folder()?;
                from.remove()
            }
            moved => {
                moved.at("keep the old file as", to.shown())?;
                to.sync_folder()
            }
        }
    }

    /// Opens a kept file.
    ///
    /// # Errors
    /// Where it is not there.
    pub(in crate::apply) fn open(&self, digest: &Digest) -> Result<File, PathError> {
        self.place(digest)?.open()
    }

    /// Whether nothing is kept.
    ///
    /// # Errors
    /// Where the folder cannot be read.
    pub(super) fn is_empty(&self) -> Result<bool, PathError> {
        Ok(self.0.names()?.is_empty())
    }

    /// Removes those of `known` that are not `needed`, and the folder where nothing is. What no receipt knows of stays: it may be the
    /// only copy of somebody's.
    ///
    /// # Errors
    /// The first that cannot be removed.
    pub(super) fn prune(&self, known: &BTreeSet<Digest>, needed: &BTreeSet<Digest>) -> Result<(), PathError> {
        known.difference(needed).try_for_each(|digest| self.place(digest)?.remove())?;
        let _ = self.0.remove_empty();
        Ok(())
    }

    /// Whether the file with this content is here, and is that still: who had it open may have written to it since.
    pub(in crate::apply) fn holds(&self, digest: &Digest) -> bool {
        let found = self.place(digest).and_then(|place| Before::at(&place));
        found.is_ok_and(|found| found.is_some_and(|found| found.digest == Some(*digest)))
    }

    /// The same within the root, for people.
    pub(in crate::apply) fn shown(digest: &Digest) -> String {
        format!("{OWN}/{KEPT}/{}", digest.hex())
    }

    /// Where the file with this content is, or would be.
    ///
    /// # Errors
    /// None that is expected: a digest is a plain name.
    pub(in crate::apply) fn place(&self, digest: &Digest) -> Result<Place, PathError> {
        self.0.child(digest.hex())
    }
}
