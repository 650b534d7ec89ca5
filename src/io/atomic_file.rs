//! Files that appear whole or not at all: written beside their target, synced, renamed, folder synced.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::Path;

use super::{AtPath, PathError, Place};

/// Ends the name of every file that is being written.
const SUFFIX: &str = ".carrack-new";

/// A file on its way to its name. Dropped before [`AtomicFile::commit`], it leaves nothing behind.
#[derive(Debug)]
pub struct AtomicFile {
    file: File,
    mode: u32,
    provisional: Provisional,
}

/// A file under its provisional name. Dropped before it has its own or is [left](Provisional::leave), it is removed.
#[derive(Debug)]
pub struct Provisional {
    at: Place,
    target: Place,
    inode: (u64, u64),
    done: bool,
}

impl AtomicFile {
    /// Begins a file that will be named `target` with the permission bits `mode` (such as `0o644`), whatever the umask.
    /// Missing parent folders are made, mode 0755. What an earlier, killed writer of the same target left is replaced.
    ///
    /// # Errors
    /// Where a folder or the file cannot be made.
    pub fn create(target: &Path, mode: u32) -> Result<Self, PathError> {
        create_folders(target.parent().unwrap_or(Path::new(".")))?;
        Self::replacing(&Place::of(target)?, mode)
    }

    /// Begins one at a place, as [`AtomicFile::create`] does.
    ///
    /// # Errors
    /// Where a folder or the file cannot be made.
    pub fn replacing(target: &Place, mode: u32) -> Result<Self, PathError> {
        target.make_folders()?;
        let at = Self::provisional(target)?;
        at.remove()?;
        // Private until complete: what is being written may be a secret.
        let file = at.create(0o600)?;
        let found = file.metadata().at("look at", at.shown())?;
        let inode = (found.dev(), found.ino());
        Ok(Self { file, mode, provisional: Provisional { at, target: target.clone(), inode, done: false } })
    }

    /// Where a file for `target` is until it is complete. Every name that a file system takes has one.
    ///
    /// # Errors
    /// Where `target` has no name.
    pub fn provisional(target: &Place) -> Result<Place, PathError> {
        target.with_ending(SUFFIX)
    }

    /// Where the file will be.
    pub fn target(&self) -> &Path {
        self.provisional.target.shown()
    }

    /// The file itself.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Gives the file to the user `uid` and the group `gid`, which only root may do for others than itself.
    ///
    /// # Errors
    /// Where the system refuses.
    pub fn set_owner(&self, uid: u32, gid: u32) -> Result<(), PathError> {
        fchown(&self.file, Some(uid), Some(gid)).at("set the owner of", self.provisional.at.shown())
    }

    /// Syncs what was written to the disk and closes the file, without giving it its name yet.
    ///
    /// # Errors
    /// Where the system reports that the bytes did not reach the disk; then the file is removed.
    pub fn close(self) -> Result<Provisional, PathError> {
        let at = self.provisional.at.shown();
        self.file.set_permissions(Permissions::from_mode(self.mode)).at("set the mode of", at)?;
        self.file.sync_all().at("sync", at)?;
        Ok(self.provisional)
    }

    /// Gives the file its name, replacing what had it, and makes that durable.
    ///
    /// # Errors
    /// Where syncing or renaming fails; then the target is what it was.
    pub fn commit(self) -> Result<(), PathError> {
        let mut provisional = self.close()?;
        let Provisional { at, target, .. } = &provisional;
        at.rename(target).at("rename to", target.shown())?;
        provisional.done = true;
        provisional.target.sync_folder()
    }

    /// Writes `value` as JSON with a line end at a place, piece by piece: it may be large.
    ///
    /// # Errors
    /// As [`AtomicFile::write_at`], and where the value cannot be written as JSON.
    pub fn write_json<T: serde::Serialize>(target: &Place, mode: u32, value: &T) -> Result<(), PathError> {
        let mut file = Self::replacing(target, mode)?;
        let mut writer = io::BufWriter::with_capacity(64 << 10, &mut file);
        let written = serde_json::to_writer_pretty(&mut writer, value).map_err(io::Error::from);
        written.and_then(|()| writer.write_all(b"\n")).and_then(|()| writer.flush()).at("write", target.shown())?;
        drop(writer);
        file.commit()
    }

    /// Writes `content` as `target` in one go.
    ///
    /// # Errors
    /// As [`AtomicFile::create`] and [`AtomicFile::commit`].
    pub fn write_all(target: &Path, mode: u32, content: &[u8]) -> Result<(), PathError> {
        Self::create(target, mode)?.write_out(content)
    }

    /// Writes `content` at a place in one go.
    ///
    /// # Errors
    /// As [`AtomicFile::replacing`] and [`AtomicFile::commit`].
    pub fn write_at(target: &Place, mode: u32, content: &[u8]) -> Result<(), PathError> {
        Self::replacing(target, mode)?.write_out(content)
    }

    fn write_out(mut self, content: &[u8]) -> Result<(), PathError> {
        self.file.write_all(content).at("write", self.target())?;
        self.commit()
    }
}

impl Provisional {
    /// Device and inode: by these the file is known under its name, too.
    pub fn inode(&self) -> (u64, u64) {
        self.inode
    }

    /// Opens it to read again what was written.
    ///
    /// # Errors
    /// Where it is not there any more.
    pub fn open(&self) -> Result<File, PathError> {
        self.at.open()
    }

    /// Leaves it under its provisional name for somebody who gives it its own; returns the last component of that.
    ///
    /// # Errors
    /// Where its name cannot be made durable; then it is removed.
    pub fn leave(mut self) -> Result<String, PathError> {
        self.at.sync_folder()?;
        self.done = true;
        Ok(self.at.name().to_string_lossy().into_owned())
    }
}

impl Write for AtomicFile {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.file.write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for Provisional {
    fn drop(&mut self) {
        if !self.done {
            // Nothing more can be done about a failure here, and the next writer of this target removes the file.
            let _ = self.at.remove();
        }
    }
}

/// Makes a folder and those above it that are missing, mode 0755 whatever the umask, and makes their names durable.
///
/// # Errors
/// Where one cannot be made, or its name not be synced.
pub fn create_folders(folder: &Path) -> Result<(), PathError> {
    if folder.as_os_str().is_empty() || folder.is_dir() {
        return Ok(());
    }
    let parent = folder.parent().unwrap_or(Path::new("."));
    create_folders(parent)?;
    match fs::create_dir(folder) {
        // Somebody else was faster, and the folder is theirs.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => return Ok(()),
        other => other.at("create the folder", folder)?,
    }
    fs::set_permissions(folder, Permissions::from_mode(0o755)).at("set the mode of", folder)?;
    sync_dir(parent)
}

/// Makes the names in a folder durable.
///
/// # Errors
/// Where the folder cannot be opened or synced.
pub fn sync_dir(folder: &Path) -> Result<(), PathError> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    File::open(folder).and_then(|handle| handle.sync_all()).at("sync the folder", folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn appears_whole_with_its_mode() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("new/file");
        AtomicFile::write_all(&target, 0o755, b"content").unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"content");
        assert_eq!(fs::metadata(&target).unwrap().permissions().mode() & 0o7777, 0o755);
        assert_eq!(names(target.parent().unwrap()), ["file"]);
    }

    #[test]
    fn dropped_it_leaves_the_old_content_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("file");
        fs::write(&target, "old").unwrap();
        let mut file = AtomicFile::create(&target, 0o644).unwrap();
        file.write_all(b"half").unwrap();
        drop(file);
        assert_eq!((fs::read(&target).unwrap(), names(folder.path())), (b"old".to_vec(), vec!["file".to_owned()]));
    }

    #[test]
    fn names_the_path_that_cannot_be_written() {
        let error = AtomicFile::create(Path::new("/proc/none/file"), 0o644).unwrap_err();
        assert!(error.to_string().contains("/proc/none"), "{error}");
    }
}
