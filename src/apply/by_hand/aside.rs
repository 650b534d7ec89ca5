//! What a person has changed and had to give way, as a file that is written with the same transaction.

use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::apply::ApplyError;
use crate::apply::files::{Before, FileError};
use crate::apply::staging::stage_again;
use crate::apply::transaction::Change;
use crate::host::Root;
use crate::io::AtPath;
use crate::places::OWN;

/// A copy of a file that gives way.
#[derive(Debug, Clone)]
pub(in crate::apply) struct Aside {
    /// Its path within the root.
    pub(in crate::apply) path: String,
    /// Its path on the running host.
    pub(in crate::apply) target: PathBuf,
    from: PathBuf,
}

impl Aside {
    /// One of the file at `target`, which is `path` within the root and gives way to what receipt `number` will be of. It does
    /// not stay beside: the kubelet runs whatever lies in its folder of manifests.
    pub(in crate::apply) fn new(path: &str, target: &Path, number: u32, root: &Root) -> Result<Self, ApplyError> {
        let path = format!("{OWN}/by-hand/{number:04}{path}");
        let place = |source| FileError::Place { pack: "(changed by hand)".to_owned(), source };
        Ok(Self { target: root.resolve(&path).map_err(place)?, path, from: target.to_owned() })
    }

    /// Writes it beside its place.
    ///
    /// # Errors
    /// Where it cannot be read or written.
    pub(in crate::apply) fn stage(&self) -> Result<Change, ApplyError> {
        let Self { path, target, from } = self;
        let was = Before::at(from)?.ok_or(ErrorKind::NotFound).at("read", from)?;
        let staged = stage_again(target, &was, Some(File::open(from).at("read", from)?))?;
        Ok(Change { path: path.clone(), staged: Some(staged), before: Before::at(target)? })
    }
}
