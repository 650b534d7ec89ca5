//! Files take the places of others, together: forward, back, and for good. Each can be broken off anywhere and begun again.

use std::io::{self, ErrorKind};

use super::journal::{Change, Staged};
use super::kept::Kept;
use super::originals::Originals;
use crate::apply::ApplyError;
use crate::apply::files::{Before, FileError};
use crate::host::Root;
use crate::io::{AtPath, PathError, Place, copy_whole, with_causes};

/// Ends the name of what a new file replaced, until everything is done.
const BACKUP: &str = ".carrack-old";

/// Gives all staged files their names, and takes away what is to be removed. What was there is kept beside.
///
/// # Errors
/// The first failure. [`back`] puts right what was changed before it.
pub(super) fn forward(changes: &[Change], root: &Root) -> Result<(), ApplyError> {
    for change in changes {
        let target = resolve(&change.path, root)?;
        match &change.staged {
            Some(staged) => put(&target, staged, change.before.is_some())?,
            // It may have gone with its folder, when a distribution was taken away.
            None if !has_folder(&target) => continue,
            None => take_away(&target)?,
        }
        target.sync_folder()?;
    }
    Ok(())
}

fn put(target: &Place, staged: &Staged, replaces: bool) -> Result<(), PathError> {
    let (from, backup) = (target.beside(&staged.name)?, backup_of(target)?);
    if !from.is_there() {
        // A run before this one has done it. Some file systems, FAT among them, give other inodes when they are mounted anew.
        let done = target.inode() == Some(staged.inode) || (target.is_there() && replaces == backup.is_there());
        let lost = || Err(io::Error::new(ErrorKind::NotFound, "neither it nor its new name is there"));
        return if done { Ok(()) } else { lost().at("rename", from.shown()) };
    }
    if replaces {
        backup.remove()?;
        keep(target, &backup)?;
    }
    from.rename(target).at("rename to", target.shown())
}

fn take_away(target: &Place) -> Result<(), PathError> {
    match target.rename(&backup_of(target)?) {
        // A run before this one has done it, or somebody else.
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other.at("remove", target.shown()),
    }
}

/// Removes what was staged, where no file has changed yet, and the folders `made`. Returns what could not be removed.
pub(super) fn unstage(changes: &[Change], made: &[String], root: &Root) -> Vec<String> {
    let staged = changes.iter().filter_map(|change| Some((change, change.staged.as_ref()?)));
    let removed = staged.map(|(change, staged)| {
        let target = resolve(&change.path, root)?;
        let waiting = target.beside(&staged.name)?;
        if waiting.is_there() {
            waiting.remove()?;
            // Before the journal goes: nothing else knows that it is ours.
            waiting.sync_folder()?;
        }
        Ok::<_, ApplyError>(())
    });
    let left = removed.filter_map(|removed| Some(with_causes(&removed.err()?))).collect();
    remove_empty(made.iter().rev(), root);
    left
}

/// Makes all files what they were, and removes what was staged and the folders `made`. Returns what could not be put back.
pub(super) fn back(changes: &[Change], made: &[String], root: &Root) -> Vec<String> {
    let mut left = Vec::new();
    for change in changes.iter().rev() {
        let restored = resolve(&change.path, root).and_then(|target| Ok(restore(&target, change)?));
        left.extend(restored.err().map(|error| with_causes(&error)));
    }
    remove_empty(made.iter().rev(), root);
    left
}

fn restore(target: &Place, change: &Change) -> Result<(), PathError> {
    let backup = backup_of(target)?;
    let waiting = change.staged.as_ref().map(|staged| target.beside(&staged.name)).transpose()?;
    let gone = || io::Error::new(ErrorKind::NotFound, "what was there before is gone");
    match (&change.before, &change.staged) {
        // It has not changed. What lies beside it may be half a copy of it.
        (_, Some(_)) if waiting.as_ref().is_some_and(Place::is_there) => backup.remove()?,
        (Some(_), None) if target.is_there() => {}
        (Some(_), _) if backup.is_there() => backup.rename(target).at("put back", target.shown())?,
        (Some(_), Some(staged)) if target.inode() == Some(staged.inode) => {
            return Err(gone()).at("put back", target.shown());
        }
        (Some(before), _) if !Before::at(target)?.is_some_and(|found| found.is(before)) => {
            return Err(gone()).at("put back", target.shown());
        }
        // What stands there otherwise may be somebody else's, and the reason why the new name could not be given.
        (None, Some(staged)) if target.inode() == Some(staged.inode) => target.remove()?,
        _ => {}
    }
    if let Some(waiting) = waiting {
        waiting.remove()?;
    }
    if has_folder(target) { target.sync_folder() } else { Ok(()) }
}

/// Lets go of what was there before: originals go to theirs, what a later way back needs goes to `kept`, and the rest is removed.
/// Originals that are in their places again are let go of there.
///
/// # Errors
/// The first that cannot be kept or removed; the others are tried all the same.
pub(super) fn finish(
    changes: &[Change],
    root: &Root,
    kept: &Kept,
    needed: impl Fn(&Before) -> bool,
) -> Result<(), ApplyError> {
    let mut result = Ok(());
    for change in changes {
        let done = resolve(&change.path, root).and_then(|target| let_go(change, &target, root, kept, &needed));
        result = result.and(done);
    }
    result
}

fn let_go(
    change: &Change,
    target: &Place,
    root: &Root,
    kept: &Kept,
    needed: impl Fn(&Before) -> bool,
) -> Result<(), ApplyError> {
    let (backup, originals) = (backup_of(target)?, Originals::of(root));
    match &change.before {
        Some(Before { kept: Some(name), .. }) => originals.take(&backup, name, &change.path)?,
        Some(before @ Before { digest: Some(digest), .. }) if needed(before) => kept.take(&backup, digest)?,
        Some(_) => backup.remove()?,
        None => {}
    }
    // Durable before the journal goes: what is found here without one may be somebody's only copy.
    if change.before.is_some() && has_folder(target) {
        target.sync_folder()?;
    }
    match &change.restores {
        Some(Before { kept: Some(name), .. }) => originals.release(name, &change.path),
        _ => Ok(()),
    }
}

/// Looks again at what was to come back, and returns each file that is not what it was, with what differs. Where `back`, that is what
/// was there before, or nothing where nothing was; otherwise what is staged as such.
pub(super) fn differing(changes: &[Change], root: &Root, back: bool) -> Vec<String> {
    let differing = changes.iter().filter_map(|change| {
        let target = resolve(&change.path, root);
        let wanted = match (back, &change.before) {
            (true, Some(before)) => before,
            (true, None) => {
                return match target {
                    Ok(target) if !target.is_there() => None,
                    Ok(_) => Some(format!("{} is there, where nothing was before", change.path)),
                    Err(error) => Some(with_causes(&error)),
                };
            }
            (false, _) => change.restores.as_ref()?,
        };
        let found = target.and_then(|target| Ok(Before::at(&target)?));
        let differs = match found {
            Ok(Some(found)) => found.differences(wanted).join(", "),
            Ok(None) => "it is not there".to_owned(),
            Err(error) => with_causes(&error),
        };
        (!differs.is_empty()).then(|| format!("{} is not what it was: {differs}", change.path))
    });
    differing.collect()
}

/// Removes folders as far as they are empty: what somebody else has put there stays.
pub(super) fn remove_empty<'a>(folders: impl Iterator<Item = &'a String>, root: &Root) {
    for folder in folders {
        let _ = resolve(folder, root).map(|folder| folder.remove_empty());
    }
}

/// Where what a file replaced is until everything is done.
///
/// # Errors
/// Where the place has no name.
pub(in crate::apply) fn backup_of(target: &Place) -> Result<Place, PathError> {
    target.with_ending(BACKUP)
}

fn resolve(path: &str, root: &Root) -> Result<Place, ApplyError> {
    root.place(path).map_err(|source| FileError::Place { pack: "(journal)".to_owned(), source }.into())
}

fn has_folder(target: &Place) -> bool {
    target.folder().is_some_and(|folder| folder.is_folder())
}

/// Gives the old file a second name. FAT and some network file systems have no hard links, and the kernel may refuse one to
/// who does not own the file: then it is copied.
fn keep(target: &Place, backup: &Place) -> Result<(), PathError> {
    match target.hard_link(backup) {
        Err(error) if matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::Unsupported) => {
            // Under another name until it is whole.
            let partial = backup.with_ending(".new")?;
            partial.remove()?;
            let copied = copy_whole(target, &partial)
                .and_then(|_| partial.rename(backup).at("keep the old file as", backup.shown()));
            if copied.is_err() {
                let _ = partial.remove();
            }
            copied
        }
        linked => linked.at("keep the old file as", backup.shown()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_may_go_with_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::new(folder.path()).unwrap();
        let change = Change { path: "/gone/file".to_owned(), staged: None, before: None, restores: None };
        forward(std::slice::from_ref(&change), &root).unwrap();
        assert_eq!(back(&[change], &[], &root), Vec::<String>::new());
    }
}
