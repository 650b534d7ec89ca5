//! Folders with all that is below them: what is there, removing it, and copying it.
//!
//! Everything here works from folders that are held open and never follows a name twice: what somebody renames or links in the
//! meantime leads nowhere else. A mount point is told by the number that the kernel gives each mount, so that one that binds a
//! part of the same file system is told too.
//!
//! [`remove`] is the only code of the installer that removes recursively, and it takes a record of what was there before.

mod copy;
mod listing;
mod removal;

use std::ffi::{CStr, OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat, openat, statat};

pub use self::copy::CopyError;
pub(super) use self::copy::{Manner, copy};
pub(super) use self::removal::{LOST_AND_FOUND, remove};

/// How a folder is opened: nothing but a folder, for its entries.
const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// A folder that is held open.
#[derive(Debug)]
pub(super) struct Folder {
    fd: OwnedFd,
    mount: u64,
}

/// An entry of a folder.
#[derive(Debug)]
pub(super) struct Entry {
    /// Its name, a single component.
    pub(super) name: OsString,
    /// What the system knows of it, of a link itself.
    pub(super) stat: Stat,
}

impl Entry {
    /// What kind of thing it is.
    pub(super) fn kind(&self) -> FileType {
        FileType::from_raw_mode(self.stat.st_mode)
    }
}

impl Folder {
    /// Opens a folder by its path, links included.
    ///
    /// # Errors
    /// Where it cannot be opened, or is none.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Self::of(rustix::fs::open(path, FOLDER, Mode::empty())?)
    }

    /// Opens a folder that is in this one, and no link to one.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub(super) fn open_in(&self, name: &OsStr) -> io::Result<Self> {
        Self::of(openat(&self.fd, name, FOLDER | OFlags::NOFOLLOW, Mode::empty())?)
    }

    /// Opens the folder that a link in this one leads to.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub(super) fn follow(&self, name: &OsStr) -> io::Result<Self> {
        Self::of(openat(&self.fd, name, FOLDER, Mode::empty())?)
    }

    fn of(fd: OwnedFd) -> io::Result<Self> {
        let mount = mount_of(fd.as_fd())?;
        Ok(Self { fd, mount })
    }

    /// Whether another one is in the same mount: neither is mounted between them.
    pub(super) fn is_mounted_with(&self, other: &Self) -> bool {
        self.mount == other.mount
    }

    /// Its entries, without `.` and `..`, in the order of their names.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub(super) fn entries(&self) -> io::Result<Vec<Entry>> {
        let mut found = Vec::new();
        for entry in Dir::read_from(&self.fd)? {
            let entry = entry?;
            let name = entry.file_name();
            if is_dots(name) {
                continue;
            }
            let name = OsString::from_vec(name.to_bytes().to_vec());
            match statat(&self.fd, &name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => found.push(Entry { name, stat }),
                // It is gone by now.
                Err(error) if error == rustix::io::Errno::NOENT => {}
                Err(error) => return Err(error.into()),
            }
        }
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    /// The path that it has at the moment, without links.
    ///
    /// # Errors
    /// Where `/proc` does not tell.
    pub(super) fn path(&self) -> io::Result<PathBuf> {
        std::fs::read_link(format!("/proc/self/fd/{}", self.fd.as_raw_fd()))
    }

    /// A path of an entry by which system calls find it that take no open folder.
    pub(super) fn path_of(&self, name: &OsStr) -> PathBuf {
        Path::new("/proc/self/fd").join(self.fd.as_raw_fd().to_string()).join(name)
    }
}

impl AsFd for Folder {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn is_dots(name: &CStr) -> bool {
    matches!(name.to_bytes(), b"." | b"..")
}

/// The number of the mount that an open file is in. Every kernel that is asked for tells it (proc_pid_fdinfo(5)).
fn mount_of(fd: BorrowedFd<'_>) -> io::Result<u64> {
    let mut text = String::new();
    File::open(format!("/proc/self/fdinfo/{}", fd.as_raw_fd()))?.take(4096).read_to_string(&mut text)?;
    let number = text.lines().find_map(|line| line.strip_prefix("mnt_id:")?.trim().parse().ok());
    number.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the kernel does not tell in which mount it is"))
}

/// A name below a path, both relative to one folder.
fn join(path: &str, name: &OsStr) -> String {
    let name = String::from_utf8_lossy(name.as_bytes());
    if path.is_empty() { name.into_owned() } else { format!("{path}/{name}") }
}
