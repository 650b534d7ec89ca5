//! What an interrupted run left beside files, where no journal says any more what it is: nobody's to remove, and taken up where
//! receipts or the bundle say what it is.

use std::path::PathBuf;

use super::ApplyError;
use super::files::{Before, FileError};
use super::history::History;
use super::survey::Target;
use super::targets::{Inputs, targets};
use super::transaction::{Originals, backup_of};
use crate::host::Root;
use crate::io::{AtPath, AtomicFile, Place};
use crate::oci::Digest;
use crate::places::OWN;

/// A file that an interrupted run left, and the place that it may belong to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leftover {
    /// Where it is.
    pub left: PathBuf,
    /// Where it may have been.
    pub place: PathBuf,
}

/// Puts back what an interrupted run of the same bundle had replaced, where its journal is lost and a person has renamed it as the
/// hint says: the lock of the root is held, and nothing was looked at yet. Otherwise nothing: a file of such a name is somebody's own. Returns what was done, for people.
///
/// # Errors
/// [`ApplyError::Leftovers`] where nobody but a person can say what is to become of it.
pub fn take_up(inputs: Inputs<'_>, target: &Target) -> Result<Vec<String>, ApplyError> {
    if !journal_is_lost(&target.root)? {
        return Ok(Vec::new());
    }
    let (files, _) = targets(inputs, target)?;
    let history = History::of(&target.root)?;
    let leftovers = Leftovers { history: &history, root: &target.root };
    let (mut told, mut refused) = (Vec::new(), Vec::new());
    for file in &files {
        match leftovers.settle(&file.path, &file.target, Some(file.digest))? {
            Settled::Nothing => {}
            Settled::PutBack => told.push(format!("{} was put back, which an interrupted run had replaced", file.path)),
            Settled::Refused(leftover) => refused.push(leftover),
        }
        remove_staged(&file.target, file.digest)?;
    }
    if refused.is_empty() { Ok(told) } else { Err(ApplyError::Leftovers(refused)) }
}

/// Removes the backups that killed runs left beside files, each with its path within the root, as far as a receipt says that they are
/// of no use or where they belong.
///
/// # Errors
/// [`ApplyError::Leftovers`] for the rest.
pub(super) fn clear<'a>(
    files: impl Iterator<Item = (&'a String, &'a Place)>,
    history: &History,
    root: &Root,
) -> Result<(), ApplyError> {
    let mut refused = Vec::new();
    for (path, target) in files {
        if let Settled::Refused(leftover) = (Leftovers { history, root }).settle(path, target, None)? {
            refused.push(leftover);
        }
    }
    if refused.is_empty() { Ok(()) } else { Err(ApplyError::Leftovers(refused)) }
}

/// Whether a person has set a damaged journal aside.
fn journal_is_lost(root: &Root) -> Result<bool, ApplyError> {
    let place = |source| FileError::Place { pack: "(journal)".to_owned(), source };
    let names = root.below(OWN, "journal").map_err(place)?.names()?;
    Ok(names.iter().any(|name| name.to_string_lossy().ends_with(".json.damaged")))
}

/// Removes what waited for its name beside `target`, where its content is the bundle's: that is written again.
fn remove_staged(target: &Place, wanted: Digest) -> Result<(), ApplyError> {
    let staged = AtomicFile::provisional(target)?;
    if Before::at(&staged)?.is_some_and(|found| found.digest == Some(wanted)) {
        staged.remove()?;
    }
    Ok(())
}

enum Settled {
    /// Nothing is left of it.
    Nothing,
    /// It is back in its place.
    PutBack,
    /// It stays.
    Refused(Leftover),
}

struct Leftovers<'a> {
    history: &'a History,
    root: &'a Root,
}

impl Leftovers<'_> {
    /// Settles what is left beside the file `path`, where the bundle wants `wanted`, if one is there.
    fn settle(&self, path: &str, target: &Place, wanted: Option<Digest>) -> Result<Settled, ApplyError> {
        let left = backup_of(target)?;
        let Some(old) = left.stat()? else { return Ok(Settled::Nothing) };
        let refused = || Settled::Refused(Leftover { left: left.shown().to_owned(), place: target.shown().to_owned() });
        let Some(new) = target.stat()? else {
            return if wanted.is_some() { put_back(&left, target) } else { Ok(refused()) };
        };
        if (old.st_ino, old.st_dev) == (new.st_ino, new.st_dev) {
            // It was about to be replaced.
            left.remove()?;
            return Ok(Settled::Nothing);
        }
        let (old, new) = (Before::at(&left)?, Before::at(target)?);
        let digest = |of: &Option<Before>| of.as_ref().and_then(|of| of.digest);
        let was_installed = |digest: Digest| self.history.was_installed(path, &digest);
        let is_installed = self.history.installed_at(path).any(|installed| Some(installed) == digest(&new));
        if is_installed {
            // The run had finished, but for this.
            if digest(&old).is_some_and(was_installed) {
                left.remove()?;
                return Ok(Settled::Nothing);
            }
            if let Some(name) = self.original_of(path, old.as_ref())? {
                Originals::of(self.root).take(&left, &name, path)?;
                return Ok(Settled::Nothing);
            }
        } else if wanted.is_some() && digest(&new) == wanted {
            // What stands there is the bundle's, and can be written again.
            return put_back(&left, target);
        }
        Ok(refused())
    }

    /// The folder of originals that `old` was on its way to, where a receipt says so.
    fn original_of(&self, path: &str, old: Option<&Before>) -> Result<Option<String>, ApplyError> {
        let named = self.history.installed().into_iter().filter_map(|entry| entry.receipt.original(path)?);
        for original in named {
            let Some(name) = original.kept.clone() else { continue };
            let is_it = old.is_some_and(|old| old.differences(&original).is_empty());
            if is_it && !Originals::of(self.root).place(&name, path)?.is_there() {
                return Ok(Some(name));
            }
        }
        Ok(None)
    }
}

fn put_back(left: &Place, target: &Place) -> Result<Settled, ApplyError> {
    left.rename(target).at("rename to", target.shown())?;
    target.sync_folder()?;
    Ok(Settled::PutBack)
}

/// What is left beside the file `path`; nothing where nothing is.
///
/// # Errors
/// Where that cannot be looked at.
pub(super) fn beside(path: &str, root: &Root) -> Result<Option<PathBuf>, ApplyError> {
    let place = |source| FileError::Place { pack: "(receipt)".to_owned(), source };
    let left = backup_of(&root.place(path).map_err(place)?)?;
    Ok(left.is_there().then(|| left.shown().to_owned()))
}
