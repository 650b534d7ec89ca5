//! Files that appear whole or not at all: written beside their target, synced, renamed, folder synced.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use super::{AtPath, PathError};

/// Ends the name of every file that is being written. What bears it after a crash is not content and may be removed.
const SUFFIX: &str = ".carrack-new";

/// A file on its way to its name. Dropped before [`AtomicFile::commit`], it leaves nothing behind.
#[derive(Debug)]
pub struct AtomicFile {
    file: File,
    temporary: PathBuf,
    target: PathBuf,
    mode: u32,
    committed: bool,
}

impl AtomicFile {
    /// Begins a file that will be named `target` with the permission bits `mode` (such as `0o644`), whatever the umask.
    /// Missing parent folders are made, mode 0755. What an earlier, killed writer of the same target left is replaced.
    ///
    /// # Errors
    /// Where a folder or the file cannot be made.
    pub fn create(target: &Path, mode: u32) -> Result<Self, PathError> {
        let parent = target.parent().unwrap_or(Path::new("."));
        create_folders(parent)?;
        let mut name = target.file_name().unwrap_or_default().to_owned();
        name.push(SUFFIX);
        let temporary = parent.join(name);
        match fs::remove_file(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error).at("remove", &temporary),
            _ => {}
        }
        // Private until complete: what is being written may be a secret.
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary);
        let file = file.at("create", &temporary)?;
        Ok(Self { file, temporary, target: target.to_owned(), mode, committed: false })
    }

    /// The name that the file will have.
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// Gives the file to the user `uid` and the group `gid`, which only root may do for others than itself.
    ///
    /// # Errors
    /// Where the system refuses.
    pub fn set_owner(&self, uid: u32, gid: u32) -> Result<(), PathError> {
        fchown(&self.file, Some(uid), Some(gid)).at("set the owner of", &self.temporary)
    }

    /// Device and inode: by these the file is known under its name, too.
    ///
    /// # Errors
    /// Where the system does not tell.
    pub fn inode(&self) -> Result<(u64, u64), PathError> {
        let facts = self.file.metadata().at("look at", &self.temporary)?;
        Ok((facts.dev(), facts.ino()))
    }

    /// Syncs what was written to the disk, without giving it its name yet.
    ///
    /// # Errors
    /// Where the system reports that the bytes did not reach the disk.
    pub fn sync(&self) -> Result<(), PathError> {
        self.file.set_permissions(Permissions::from_mode(self.mode)).at("set the mode of", &self.temporary)?;
        self.file.sync_all().at("sync", &self.temporary)
    }

    /// Gives the file its name, replacing what had it, and makes that durable.
    ///
    /// # Errors
    /// Where syncing or renaming fails; then the target is what it was.
    pub fn commit(mut self) -> Result<(), PathError> {
        self.sync()?;
        fs::rename(&self.temporary, &self.target).at("rename to", &self.target)?;
        self.committed = true;
        sync_dir(self.target.parent().unwrap_or(Path::new(".")))
    }

    /// Leaves it, synced, under its provisional name for somebody who gives it its own; returns the last component of that.
    ///
    /// # Errors
    /// Where syncing fails; then it is removed.
    pub fn leave(mut self) -> Result<String, PathError> {
        self.sync()?;
        sync_dir(self.target.parent().unwrap_or(Path::new(".")))?;
        self.committed = true;
        Ok(self.temporary.file_name().unwrap_or_default().to_string_lossy().into_owned())
    }

    /// Writes `content` as `target` in one go.
    ///
    /// # Errors
    /// As [`AtomicFile::create`] and [`AtomicFile::commit`].
    pub fn write_all(target: &Path, mode: u32, content: &[u8]) -> Result<(), PathError> {
        let mut file = Self::create(target, mode)?;
        file.write(content).at("write", target)?;
        file.commit()
    }

    fn write(&mut self, content: &[u8]) -> io::Result<()> {
        self.file.write_all(content)
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

impl Drop for AtomicFile {
    fn drop(&mut self) {
        if !self.committed {
            // Nothing more can be done about a failure here, and the next writer of this target removes the file.
            let _ = fs::remove_file(&self.temporary);
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

/// Removes what a killed writer of `target` left beside it.
///
/// # Errors
/// Where the leftover is there and cannot be removed.
pub fn remove_leftovers(target: &Path) -> Result<(), PathError> {
    let mut name = target.file_name().unwrap_or_default().to_owned();
    name.push(SUFFIX);
    let temporary = target.with_file_name(name);
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error).at("remove", &temporary),
        _ => Ok(()),
    }
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
