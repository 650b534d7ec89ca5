//! Putting files in place: all are written beside their targets first, and get their names together, at the end.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::archive::Archive;
use super::files::{Found, TargetFile};
use crate::io::{AtPath, AtomicFile, PathError, create_folders, remove_leftovers, sync_dir};

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
    made.note_missing(&file.target);
    let mut writer = AtomicFile::create(&file.target, file.mode)?;
    if let Some((uid, gid)) = file.owner {
        writer.set_owner(uid, gid)?;
    }
    if let Some(written) = &file.content {
        writer.write_all(&written.bytes).at("write", &file.target)?;
        writer.sync()?;
    }
    Ok(StagedFile { file: file.clone(), writer, replaces })
}

impl MadeFolders {
    /// Makes the folders on the way to `target`.
    ///
    /// # Errors
    /// Where one cannot be made.
    pub(super) fn make_for(&mut self, target: &Path) -> Result<(), PathError> {
        self.note_missing(target);
        create_folders(target.parent().unwrap_or(Path::new("/")))
    }

    fn note_missing(&mut self, target: &Path) {
        let missing = target.ancestors().skip(1).take_while(|folder| !folder.exists());
        let missing: Vec<PathBuf> = missing.map(Path::to_owned).collect();
        self.0.extend(missing.into_iter().rev());
    }

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
    /// Where what it replaced is.
    backup: Option<PathBuf>,
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

/// An archive that is complete and waits for its name.
#[derive(Debug)]
pub(super) struct StagedArchive {
    /// Where it goes.
    pub target: PathBuf,
    /// What it is.
    pub archive: Arc<Archive>,
    /// Whether something is there.
    pub replaces: bool,
}

/// Gives all files their names. What they replace is kept beside them until [`Committed::finish`].
///
/// # Errors
/// The first failure; the files before it have been put back.
pub(super) fn commit(
    staged: Vec<StagedFile>,
    archive: Option<StagedArchive>,
    made: MadeFolders,
) -> Result<Committed, CommitError> {
    let mut committed = Committed { done: Vec::new(), made };
    let mut staged = staged.into_iter();
    while let Some(file) = staged.next() {
        if let Err(source) = committed.add(file) {
            // Before their folders, which are to be empty.
            drop(staged);
            archive.iter().for_each(|staged| staged.archive.discard());
            return Err(CommitError { source, left: committed.undo() });
        }
    }
    // Last, because a distribution that runs may import it the moment it appears.
    if let Some(StagedArchive { target, archive, replaces }) = archive
        && let Err(source) =
            archive.inode().and_then(|inode| committed.replace(target, replaces, inode, || archive.name()))
    {
        archive.discard();
        return Err(CommitError { source, left: committed.undo() });
    }
    Ok(committed)
}

impl Committed {
    fn add(&mut self, staged: StagedFile) -> Result<(), PathError> {
        let inode = staged.writer.inode()?;
        self.replace(staged.file.target, staged.replaces, inode, || staged.writer.commit())
    }

    fn replace(
        &mut self,
        target: PathBuf,
        replaces: bool,
        inode: (u64, u64),
        name: impl FnOnce() -> Result<(), PathError>,
    ) -> Result<(), PathError> {
        let backup = replaces.then(|| backup_of(&target));
        if let Some(backup) = &backup {
            remove_if_there(backup)?;
            keep(&target, backup)?;
        }
        // Before the commit, since that may fail after the rename.
        self.done.push(Done { target, backup, inode });
        name()
    }

    /// Puts everything back. Returns what could not be.
    pub(super) fn undo(self) -> Vec<PathError> {
        let mut left = Vec::new();
        for Done { target, backup, inode } in self.done.into_iter().rev() {
            let restored = match backup {
                // Where the new name was never given, both are the old file, and the rename leaves both.
                Some(backup) => {
                    fs::rename(&backup, &target).at("put back", &target).and_then(|()| remove_if_there(&backup))
                }
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
        self.done.iter().filter_map(|done| done.backup.as_ref()).try_for_each(|backup| remove_if_there(backup))
    }
}

/// Removes what a killed run left beside a file.
///
/// # Errors
/// Where it is there and cannot be removed.
pub(super) fn clean(target: &Path) -> Result<(), PathError> {
    remove_leftovers(target)?;
    remove_if_there(&backup_of(target))
}

/// Where what a file replaced is until everything is done.
pub(super) fn backup_of(target: &Path) -> PathBuf {
    let mut name = OsString::from(target.file_name().unwrap_or_default());
    name.push(BACKUP);
    target.with_file_name(name)
}

fn is_inode(path: &Path, (device, inode): (u64, u64)) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| (found.dev(), found.ino()) == (device, inode))
}

fn remove_if_there(path: &Path) -> Result<(), PathError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error).at("remove", path),
        _ => Ok(()),
    }
}

/// Gives the old file a second name. FAT and some network file systems have no hard links, and the kernel may refuse one to
/// who does not own the file: then it is copied.
fn keep(target: &Path, backup: &Path) -> Result<(), PathError> {
    match fs::hard_link(target, backup) {
        Err(error) if matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::Unsupported) => {
            copy(target, backup).at("keep the old file as", backup)
        }
        linked => linked.at("keep the old file as", backup),
    }
}

/// Copies content, mode and owner, and syncs them.
fn copy(target: &Path, backup: &Path) -> io::Result<()> {
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
