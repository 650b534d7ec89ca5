//! Putting files in place: all are written beside their targets first, and get their names together, at the end.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::files::{Found, TargetFile};
use crate::io::{AtPath, AtomicFile, PathError, remove_leftovers, sync_dir};

/// Ends the name of what a new file replaced, until everything is done.
const BACKUP: &str = ".carrack-old";

/// A file that is being written beside its target.
#[derive(Debug)]
pub(super) struct StagedFile {
    /// Which file.
    pub file: TargetFile,
    /// Its content goes here.
    pub writer: AtomicFile,
    replaces: bool,
}

/// Folders that were made for staged files; see [`MadeFolders::remove`].
#[derive(Debug, Default)]
pub(super) struct MadeFolders(Vec<PathBuf>);

/// Begins files beside their targets, making folders where they are missing.
///
/// # Errors
/// The first that cannot be made; what was made is removed.
pub(super) fn stage<'a>(
    files: impl Iterator<Item = (&'a TargetFile, &'a Found)>,
) -> Result<(Vec<StagedFile>, MadeFolders), PathError> {
    let (mut staged, mut made) = (Vec::new(), MadeFolders::default());
    for (file, found) in files {
        match begin(file, *found != Found::Absent, &mut made) {
            Ok(one) => staged.push(one),
            Err(error) => {
                drop(staged);
                made.remove();
                return Err(error);
            }
        }
    }
    Ok((staged, made))
}

fn begin(file: &TargetFile, replaces: bool, made: &mut MadeFolders) -> Result<StagedFile, PathError> {
    made.0.extend(missing_folders(&file.target));
    let writer = AtomicFile::create(&file.target, file.mode)?;
    if let Some((uid, gid)) = file.owner {
        writer.set_owner(uid, gid)?;
    }
    Ok(StagedFile { file: file.clone(), writer, replaces })
}

/// Folders above `target` that are not there, the highest first.
fn missing_folders(target: &Path) -> Vec<PathBuf> {
    let missing = target.ancestors().skip(1).take_while(|folder| !folder.exists());
    let mut missing: Vec<PathBuf> = missing.map(Path::to_owned).collect();
    missing.reverse();
    missing
}

/// Makes the folders above `target` that are not there.
///
/// # Errors
/// Where one cannot be made.
pub(super) fn make_folders(target: &Path) -> Result<MadeFolders, PathError> {
    let mut made = MadeFolders::default();
    for folder in missing_folders(target) {
        if let Err(error) = fs::create_dir(&folder).at("create the folder", &folder) {
            made.remove();
            return Err(error);
        }
        made.0.push(folder);
    }
    Ok(made)
}

impl MadeFolders {
    /// Removes the folders again, as far as they are empty: what somebody else has put there stays.
    pub(super) fn remove(self) {
        for folder in self.0.into_iter().rev() {
            let _ = fs::remove_dir(folder);
        }
    }
}

/// Files that have their names, and can still be put back.
#[derive(Debug)]
#[must_use]
pub(super) struct Committed {
    done: Vec<Done>,
    made: MadeFolders,
}

/// A file that may have its name.
#[derive(Debug)]
struct Done {
    target: PathBuf,
    /// What it replaced.
    backup: Option<Backup>,
    /// Of the new file.
    inode: (u64, u64),
}

/// Why the files did not all get their names.
#[derive(Debug, thiserror::Error)]
#[error("the files could not be put in place")]
pub(super) struct CommitError {
    /// What failed.
    pub source: PathError,
    /// What could then not be put back; empty where the host is as it was.
    pub left: Vec<PathError>,
}

/// Gives all files their names. What they replace is kept beside them until [`Committed::finish`].
///
/// # Errors
/// The first failure; the files before it have been put back.
pub(super) fn commit(staged: Vec<StagedFile>, made: MadeFolders) -> Result<Committed, CommitError> {
    let mut committed = Committed { done: Vec::new(), made };
    let mut staged = staged.into_iter();
    while let Some(file) = staged.next() {
        if let Err(source) = committed.add(file) {
            // Before their folders, which are to be empty.
            drop(staged);
            return Err(CommitError { source, left: committed.undo() });
        }
    }
    Ok(committed)
}

impl Committed {
    fn add(&mut self, staged: StagedFile) -> Result<(), PathError> {
        let target = staged.file.target;
        let backup = if staged.replaces { Backup::of(&target)? } else { None };
        // Before the commit, since that may fail after the rename.
        self.done.push(Done { target, backup, inode: staged.writer.inode()? });
        staged.writer.commit()
    }

    /// Puts everything back. Returns what could not be.
    pub(super) fn undo(self) -> Vec<PathError> {
        let mut left = Vec::new();
        for Done { target, backup, inode } in self.done.into_iter().rev() {
            let restored = match backup {
                Some(backup) => backup.restore(),
                // What stands there may be somebody else's, and the reason why the new name could not be given.
                None if is_inode(&target, inode) => remove_if_there(&target),
                None => Ok(()),
            };
            let restored = restored.and_then(|()| sync_dir(target.parent().unwrap_or(Path::new("/"))));
            left.extend(restored.err());
        }
        self.made.remove();
        left
    }

    /// Forgets what was replaced.
    ///
    /// # Errors
    /// The first old file that cannot be removed.
    pub(super) fn finish(self) -> Result<(), PathError> {
        self.done.into_iter().filter_map(|done| done.backup).try_for_each(Backup::forget)
    }
}

/// Removes what a killed run left beside a file.
///
/// # Errors
/// Where it is there and cannot be removed.
pub(super) fn clean(file: &TargetFile) -> Result<(), PathError> {
    remove_leftovers(&file.target)?;
    remove_if_there(&backup_of(&file.target))
}

/// What a file replaces, kept beside it.
#[derive(Debug)]
pub(super) struct Backup {
    target: PathBuf,
    backup: PathBuf,
}

impl Backup {
    /// Keeps what is at `target` now, where something is.
    ///
    /// # Errors
    /// Where it cannot be kept.
    pub(super) fn of(target: &Path) -> Result<Option<Self>, PathError> {
        if fs::symlink_metadata(target).is_err() {
            return Ok(None);
        }
        let backup = backup_of(target);
        remove_if_there(&backup)?;
        fs::hard_link(target, &backup).at("keep the old file as", &backup)?;
        Ok(Some(Self { target: target.to_owned(), backup }))
    }

    /// Puts it back.
    ///
    /// # Errors
    /// Where it cannot be put back.
    pub(super) fn restore(self) -> Result<(), PathError> {
        // Where the new name was never given, both are the old file, and the rename leaves both.
        fs::rename(&self.backup, &self.target).at("put back", &self.target)?;
        remove_if_there(&self.backup)
    }

    /// Gives it up.
    ///
    /// # Errors
    /// Where it cannot be removed.
    pub(super) fn forget(self) -> Result<(), PathError> {
        remove_if_there(&self.backup)
    }
}

fn backup_of(target: &Path) -> PathBuf {
    let mut name = OsString::from(target.file_name().unwrap_or_default());
    name.push(BACKUP);
    target.with_file_name(name)
}

fn is_inode(path: &Path, (device, inode): (u64, u64)) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| (found.dev(), found.ino()) == (device, inode))
}

pub(super) fn remove_if_there(path: &Path) -> Result<(), PathError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error).at("remove", path),
        _ => Ok(()),
    }
}
