//! Writing files beside their places, where they wait for their names.

use std::ffi::OsStr;
use std::io::{self, Read, Write};

use super::ApplyError;
use super::files::{Before, LinkTarget, TargetFile};
use super::plan::Removal;
use super::transaction::{Change, Kept, Originals, Staged};
use crate::host::Root;
use crate::io::{AtPath, AtomicFile, PathError, Place, Provisional, VerifiedReader, copy_whole};

/// A file that is complete beside its target. Dropped before it is left for the transaction, it is removed.
#[derive(Debug)]
pub(super) struct StagedFile {
    /// Which file.
    pub file: TargetFile,
    provisional: Provisional,
}

impl StagedFile {
    /// Leaves it for the transaction.
    ///
    /// # Errors
    /// Where its name cannot be made durable; then it is removed.
    pub(super) fn leave(self) -> Result<Staged, PathError> {
        left(self.provisional)
    }
}

/// A file that is being written beside its target.
#[derive(Debug)]
pub(super) struct Writer {
    file: TargetFile,
    writer: AtomicFile,
}

impl Writer {
    /// Begins a file, making folders where they are missing.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub(super) fn begin(file: TargetFile) -> Result<Self, PathError> {
        let writer = AtomicFile::replacing(&file.target, file.mode)?;
        if let Some((uid, gid)) = file.owner {
            writer.set_owner(uid, gid)?;
        }
        Ok(Self { file, writer })
    }

    /// Adds the next bytes.
    ///
    /// # Errors
    /// Where they cannot be written.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<(), PathError> {
        self.writer.write_all(bytes).at("write", self.file.target.shown())
    }

    /// Ends it, synced and closed: any number of files waits for names without a descriptor of its own.
    ///
    /// # Errors
    /// Where it does not reach the disk; then it is removed.
    pub(super) fn end(self) -> Result<StagedFile, PathError> {
        Ok(StagedFile { file: self.file, provisional: self.writer.close()? })
    }
}

/// Stages files whose content is in memory.
///
/// # Errors
/// The first that cannot be written; then all are removed.
pub(super) fn stage_written(files: Vec<TargetFile>) -> Result<Vec<StagedFile>, PathError> {
    let stage = |file: TargetFile| {
        let written = file.content.clone();
        let mut writer = Writer::begin(file)?;
        if let Some(written) = written {
            writer.push(&written.bytes)?;
        }
        writer.end()
    };
    files.into_iter().map(stage).collect()
}

/// Stages another file with the content of one that is staged, which is checked again.
///
/// # Errors
/// Where it cannot be read or written; then it is removed.
pub(super) fn stage_copy(file: TargetFile, of: &StagedFile) -> Result<StagedFile, PathError> {
    let mut writer = Writer::begin(file)?;
    let mut reader = VerifiedReader::new(of.provisional.open()?, of.file.digest, of.file.size);
    io::copy(&mut reader, &mut writer.writer).at("write", writer.file.target.shown())?;
    writer.end()
}

fn left(provisional: Provisional) -> Result<Staged, PathError> {
    let (_, inode) = provisional.inode();
    Ok(Staged { name: provisional.leave()?, inode })
}

/// What becomes of a file that is taken away: what was there before anything was installed waits beside it for its name.
///
/// # Errors
/// As [`original`].
pub(super) fn removal(removal: &Removal, root: &Root) -> Result<Change, ApplyError> {
    let (staged, restores) = match &removal.original {
        Some(was) => {
            let (staged, restores) = original(&removal.path, &removal.target, was, root)?;
            (Some(staged), Some(restores))
        }
        None => (None, None),
    };
    Ok(Change { path: removal.path.clone(), before: Before::at(&removal.target)?, staged, restores })
}

/// Stages the original `was` of the file `path`, which is to be at `target`, and returns what it must be then. The file itself comes
/// back as it is kept; what earlier installers kept is written anew.
///
/// # Errors
/// Where it is not there any more, or as [`stage_again`].
pub(super) fn original(path: &str, target: &Place, was: &Before, root: &Root) -> Result<(Staged, Before), ApplyError> {
    let Some(name) = &was.kept else {
        let content = was.digest.as_ref().map(|digest| Kept::of(root)?.open(digest).map_err(ApplyError::from));
        return Ok((stage_again(target, was, content.transpose()?)?, was.clone()));
    };
    let originals = Originals::of(root);
    let staged = originals.stage(name, path, target)?;
    let place = originals.place(name, path)?;
    let restores = originals.look(name, path)?.ok_or(io::ErrorKind::NotFound).at("read", place.shown())?;
    Ok((staged, restores))
}

/// Copies the file or link at `from` beside `target`, with all that it is.
///
/// # Errors
/// Where it cannot be read or written.
pub(super) fn stage_whole(target: &Place, from: &Place) -> Result<Staged, PathError> {
    let at = AtomicFile::provisional(target)?;
    target.make_folders()?;
    at.remove()?;
    copy_whole(from, &at)?;
    staged_at(&at)
}

/// What waits at `at` for its name.
pub(super) fn staged_at(at: &Place) -> Result<Staged, PathError> {
    at.sync_folder()?;
    let inode = at.inode().ok_or(io::ErrorKind::NotFound).at("look at", at.shown())?;
    Ok(Staged { name: at.name().to_string_lossy().into_owned(), inode })
}

/// Writes what `was` somewhere beside `target`, with `content` where it was a file.
///
/// # Errors
/// Where the content is not what it was, or it cannot be written.
pub(super) fn stage_again(target: &Place, was: &Before, content: Option<impl Read>) -> Result<Staged, ApplyError> {
    let mode = u32::from_str_radix(&was.mode, 8).unwrap_or(0o600);
    let owner = was.owner.split_once(':').and_then(|(user, group)| Some((user.parse().ok()?, group.parse().ok()?)));
    let (Some(digest), Some(content)) = (&was.digest, content) else { return Ok(stage_link(target, was, owner)?) };
    let mut writer = AtomicFile::replacing(target, mode)?;
    // Only root gives files to others, and only root has put such ones here.
    if let Some((uid, gid)) = owner.filter(|_| rustix::process::geteuid().is_root()) {
        writer.set_owner(uid, gid)?;
    }
    let mut reader = VerifiedReader::new(content, *digest, was.size);
    io::copy(&mut reader, &mut writer).at("put back", target.shown())?;
    Ok(left(writer.close()?)?)
}

fn stage_link(target: &Place, was: &Before, owner: Option<(u32, u32)>) -> Result<Staged, PathError> {
    let at = AtomicFile::provisional(target)?;
    target.make_folders()?;
    at.remove()?;
    at.symlink(was.link.as_ref().map_or(OsStr::new(""), LinkTarget::as_os_str))?;
    if let Some((uid, gid)) = owner.filter(|_| rustix::process::geteuid().is_root()) {
        at.set_owner(uid, gid)?;
    }
    staged_at(&at)
}

/// Folders on the way to `target` that are not there yet, within its root, the outer ones first.
pub(super) fn missing_folders(target: &Place) -> Vec<String> {
    let folders = std::iter::successors(target.folder(), Place::folder).take_while(|folder| !folder.is_there());
    let mut missing: Vec<String> = folders.map(|folder| format!("/{}", folder.within().display())).collect();
    missing.reverse();
    missing
}
