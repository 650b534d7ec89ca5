//! Files take the places of others, together: forward, back, and for good. Each can be broken off anywhere and begun again.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::journal::{Change, Staged};
use super::kept::Kept;
use crate::apply::ApplyError;
use crate::apply::files::{Before, FileError};
use crate::host::Root;
use crate::io::{AtPath, PathError, sync_dir, with_causes};

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
            None if !parent(&target).is_dir() => continue,
            None => take_away(&target)?,
        }
        sync_dir(parent(&target))?;
    }
    Ok(())
}

fn put(target: &Path, staged: &Staged, replaces: bool) -> Result<(), PathError> {
    let from = target.with_file_name(&staged.name);
    if !is_there(&from) {
        // A run before this one has done it. Some file systems, FAT among them, give other inodes when they are mounted anew.
        let done =
            inode(target) == Some(staged.inode) || (is_there(target) && replaces == is_there(&backup_of(target)));
        let lost = || Err(io::Error::new(ErrorKind::NotFound, "neither it nor its new name is there"));
        return if done { Ok(()) } else { lost().at("rename", &from) };
    }
    if replaces {
        let backup = backup_of(target);
        remove_if_there(&backup)?;
        keep(target, &backup)?;
    }
    fs::rename(&from, target).at("rename to", target)
}

fn take_away(target: &Path) -> Result<(), PathError> {
    match fs::rename(target, backup_of(target)) {
        // A run before this one has done it, or somebody else.
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other.at("remove", target),
    }
}

/// Removes what was staged, where no file has changed yet, and the folders `made`. Returns what could not be removed.
pub(super) fn unstage(changes: &[Change], made: &[String], root: &Root) -> Vec<String> {
    let staged = changes.iter().filter_map(|change| Some((change, change.staged.as_ref()?)));
    let removed = staged.map(|(change, staged)| {
        let target = resolve(&change.path, root)?;
        Ok::<_, ApplyError>(remove_if_there(&target.with_file_name(&staged.name))?)
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

fn restore(target: &Path, change: &Change) -> Result<(), PathError> {
    let backup = backup_of(target);
    let waiting = change.staged.as_ref().map(|staged| target.with_file_name(&staged.name));
    let gone = || io::Error::new(ErrorKind::NotFound, "what was there before is gone");
    match (&change.before, &change.staged) {
        // It has not changed. What lies beside it may be half a copy of it.
        (_, Some(_)) if waiting.as_ref().is_some_and(|waiting| is_there(waiting)) => remove_if_there(&backup)?,
        (Some(_), None) if is_there(target) => {}
        (Some(_), _) if is_there(&backup) => fs::rename(&backup, target).at("put back", target)?,
        (Some(_), Some(staged)) if inode(target) == Some(staged.inode) => return Err(gone()).at("put back", target),
        (Some(before), _) if Before::at(target)?.as_ref() != Some(before) => return Err(gone()).at("put back", target),
        // What stands there otherwise may be somebody else's, and the reason why the new name could not be given.
        (None, Some(staged)) if inode(target) == Some(staged.inode) => remove_if_there(target)?,
        _ => {}
    }
    if let Some(waiting) = waiting {
        remove_if_there(&waiting)?;
    }
    if parent(target).is_dir() { sync_dir(parent(target)) } else { Ok(()) }
}

/// Lets go of what was there before: what a later way back needs goes to `kept`, the rest is removed.
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
        let Some(before) = &change.before else { continue };
        let done = resolve(&change.path, root).and_then(|target| {
            let backup = backup_of(&target);
            match &before.digest {
                Some(digest) if needed(before) => kept.take(&backup, digest)?,
                _ => remove_if_there(&backup)?,
            }
            Ok(())
        });
        result = result.and(done);
    }
    result
}

/// Removes folders as far as they are empty: what somebody else has put there stays.
pub(super) fn remove_empty<'a>(folders: impl Iterator<Item = &'a String>, root: &Root) {
    for folder in folders {
        let _ = resolve(folder, root).map(fs::remove_dir);
    }
}

/// Removes what a killed run left beside a file.
///
/// # Errors
/// Where it is there and cannot be removed.
pub(in crate::apply) fn clean(target: &Path) -> Result<(), PathError> {
    crate::io::remove_leftovers(target)?;
    remove_if_there(&backup_of(target))
}

/// Where what a file replaced is until everything is done.
pub(in crate::apply) fn backup_of(target: &Path) -> PathBuf {
    let mut name = OsString::from(target.file_name().unwrap_or_default());
    name.push(BACKUP);
    target.with_file_name(name)
}

fn resolve(path: &str, root: &Root) -> Result<PathBuf, ApplyError> {
    root.resolve(path).map_err(|source| FileError::Place { pack: "(journal)".to_owned(), source }.into())
}

fn parent(target: &Path) -> &Path {
    target.parent().unwrap_or(Path::new("/"))
}

fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

fn inode(path: &Path) -> Option<u64> {
    Some(path.symlink_metadata().ok()?.ino())
}

pub(super) fn remove_if_there(path: &Path) -> Result<(), PathError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error).at("remove", path),
        _ => Ok(()),
    }
}

/// Gives the old file a second name. FAT and some network file systems have no hard links, and the kernel may refuse one to
/// who does not own the file: then it is copied.
fn keep(target: &Path, backup: &Path) -> Result<(), PathError> {
    match fs::hard_link(target, backup) {
        Err(error) if matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::Unsupported) => {
            // Under another name until it is whole.
            let mut partial = backup.as_os_str().to_owned();
            partial.push(".new");
            let partial = Path::new(&partial);
            let copied = copy(target, partial).and_then(|()| fs::rename(partial, backup));
            if copied.is_err() {
                let _ = fs::remove_file(partial);
            }
            copied.at("keep the old file as", backup)
        }
        linked => linked.at("keep the old file as", backup),
    }
}

/// Copies content, mode and owner, and syncs them.
pub(super) fn copy(target: &Path, backup: &Path) -> io::Result<()> {
    fs::copy(target, backup)?;
    let found = fs::metadata(target)?;
    std::os::unix::fs::chown(backup, Some(found.uid()), Some(found.gid()))?;
    File::open(backup)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_file_may_go_with_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::new(folder.path()).unwrap();
        let change = Change { path: "/gone/file".to_owned(), staged: None, before: None };
        forward(std::slice::from_ref(&change), &root).unwrap();
        assert_eq!(back(&[change], &[], &root), Vec::<String>::new());
    }

    #[test]
    fn a_copy_is_the_old_file() {
        let folder = tempfile::tempdir().unwrap();
        let (target, backup) = (folder.path().join("file"), folder.path().join("file.old"));
        fs::write(&target, "old").unwrap();
        fs::set_permissions(&target, fs::Permissions::from_mode(0o750)).unwrap();
        copy(&target, &backup).unwrap();
        assert_eq!(fs::read(&backup).unwrap(), b"old");
        assert_eq!(fs::metadata(&backup).unwrap().permissions().mode() & 0o7777, 0o750);
    }
}
