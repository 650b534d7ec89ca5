//! What a person has changed and had to give way, as a file that is written with the same transaction.

use std::io::ErrorKind;

use crate::apply::ApplyError;
use crate::apply::files::{Before, FileError};
use crate::apply::staging::stage_whole;
use crate::apply::transaction::Change;
use crate::host::Root;
use crate::io::{AtPath, Place};
use crate::places::OWN;

/// A copy of a file that gives way.
#[derive(Debug, Clone)]
pub(in crate::apply) struct Aside {
    /// Its path within the root.
    pub(in crate::apply) path: String,
    /// Where that is on the running host.
    pub(in crate::apply) target: Place,
    from: Place,
}

impl Aside {
    /// One of the file at `target`, which is `path` within the root and gives way to what receipt `number` will be of. It does
    /// not stay beside: the kubelet runs whatever lies in its folder of manifests.
    pub(in crate::apply) fn new(path: &str, target: &Place, number: u32, root: &Root) -> Result<Self, ApplyError> {
        let path = format!("{OWN}/by-hand/{number:04}{path}");
        let place = |source| FileError::Place { pack: "(changed by hand)".to_owned(), source };
        Ok(Self { target: root.place(&path).map_err(place)?, path, from: target.clone() })
    }

    /// Writes it beside its place.
    ///
    /// # Errors
    /// Where it cannot be read or written.
    pub(in crate::apply) fn stage(&self) -> Result<Change, ApplyError> {
        let Self { path, target, from } = self;
        let was = Before::at(from)?.ok_or(ErrorKind::NotFound).at("read", from.shown())?;
        let staged = Some(stage_whole(target, from)?);
        Ok(Change { path: path.clone(), staged, before: Before::at(target)?, restores: Some(was) })
    }
}
