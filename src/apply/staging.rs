//! Writing files beside their places, where they wait for their names.

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, lchown, symlink};
use std::path::Path;

use super::ApplyError;
use super::files::{Before, TargetFile};
use super::plan::Removal;
use super::transaction::{Change, Kept, Staged};
use crate::host::Root;
use crate::io::{AtPath, AtomicFile, PathError, VerifiedReader, create_folders, sync_dir};

/// A file that is being written beside its target.
#[derive(Debug)]
pub(super) struct StagedFile {
    /// Which file.
    pub file: TargetFile,
    /// Its content goes here.
    pub writer: AtomicFile,
}

impl StagedFile {
    /// Leaves it for the transaction, synced.
    ///
    /// # Errors
    /// Where that fails; then it is removed.
    pub(super) fn leave(self) -> Result<Staged, PathError> {
        let (_, inode) = self.writer.inode()?;
        Ok(Staged { name: self.writer.leave()?, inode })
    }
}

/// Begins files beside their targets, making folders where they are missing.
///
/// # Errors
/// The first that cannot be made; the files before it are removed.
pub(super) fn stage<'a>(files: impl Iterator<Item = &'a TargetFile>) -> Result<Vec<StagedFile>, PathError> {
    files.map(begin).collect()
}

fn begin(file: &TargetFile) -> Result<StagedFile, PathError> {
    let mut writer = AtomicFile::create(&file.target, file.mode)?;
    if let Some((uid, gid)) = file.owner {
        writer.set_owner(uid, gid)?;
    }
    if let Some(written) = &file.content {
        writer.write_all(&written.bytes).at("write", &file.target)?;
        writer.sync()?;
    }
    Ok(StagedFile { file: file.clone(), writer })
}

/// What becomes of a file that is taken away: what was there before anything was installed is written beside it.
///
/// # Errors
/// As [`stage_again`].
pub(super) fn removal(removal: &Removal, kept: &Kept) -> Result<Change, ApplyError> {
    let staged = match &removal.original {
        Some(original) => {
            let content = original.digest.as_ref().map(|digest| kept.open(digest)).transpose()?;
            Some(stage_again(&removal.target, original, content)?)
        }
        None => None,
    };
    Ok(Change { path: removal.path.clone(), before: Before::at(&removal.target)?, staged })
}

/// Writes what `was` somewhere beside `target`, with `content` where it was a file.
///
/// # Errors
/// Where the content is not what it was, or it cannot be written.
pub(super) fn stage_again(target: &Path, was: &Before, content: Option<impl Read>) -> Result<Staged, ApplyError> {
    create_folders(target.parent().unwrap_or(Path::new("/")))?;
    let mode = u32::from_str_radix(&was.mode, 8).unwrap_or(0o600);
    let owner = was.owner.split_once(':').and_then(|(user, group)| Some((user.parse().ok()?, group.parse().ok()?)));
    let (Some(digest), Some(content)) = (&was.digest, content) else { return Ok(stage_link(target, was, owner)?) };
    let mut writer = AtomicFile::create(target, mode)?;
    // Only root gives files to others, and only root has put such ones here.
    if let Some((uid, gid)) = owner.filter(|_| rustix::process::geteuid().is_root()) {
        writer.set_owner(uid, gid)?;
    }
    let mut reader = VerifiedReader::new(content, *digest, was.size);
    io::copy(&mut reader, &mut writer).at("put back", target)?;
    let (_, inode) = writer.inode()?;
    Ok(Staged { name: writer.leave()?, inode })
}

fn stage_link(target: &Path, was: &Before, owner: Option<(u32, u32)>) -> Result<Staged, PathError> {
    let name = format!("{}.carrack-new", target.file_name().unwrap_or_default().to_string_lossy());
    let path = target.with_file_name(&name);
    super::transaction::clean(target)?;
    symlink(was.link.as_deref().unwrap_or_default(), &path).at("link", &path)?;
    if let Some((uid, gid)) = owner.filter(|_| rustix::process::geteuid().is_root()) {
        lchown(&path, Some(uid), Some(gid)).at("set the owner of", &path)?;
    }
    sync_dir(target.parent().unwrap_or(Path::new("/")))?;
    let inode = fs::symlink_metadata(&path).at("look at", &path)?.ino();
    Ok(Staged { name, inode })
}

/// Folders on the way to `target` that are not there yet, within `root`, the outer ones first.
pub(super) fn missing_folders(target: &Path, root: &Root) -> Vec<String> {
    let missing = target.ancestors().skip(1).take_while(|folder| !folder.exists());
    let within = |folder: &Path| Some(format!("/{}", folder.strip_prefix(root.folder()).ok()?.display()));
    let mut missing: Vec<String> = missing.filter_map(within).collect();
    missing.reverse();
    missing
}
