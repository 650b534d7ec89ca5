//! Copying a folder with all that is in it, and holding the copy against it.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, Stat, Timespec, Timestamps, XattrFlags, chownat, fchmod, fsync, futimens, linkat,
    mkdirat, mknodat, openat, readlinkat, renameat, statat, symlinkat, unlinkat, utimensat,
};
use rustix::io::Errno;

use super::listing::{CHUNK, Inside, Listing, Summary, below};
use super::removal::{Keeping, empty};
use super::{Entry, Folder};
use crate::apply::Interrupt;
use crate::io::{AtPath, AtomicFile, PathError, create_folders};

/// Ends the name of the file that says how much a copy has.
const SUMMARY: &str = ".listing.json";
/// Begins the name of a file until it is whole.
const PARTIAL: &str = ".carrack-new-";

/// What becomes of what is in the target besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::apply) enum Manner {
    /// It goes: the target is what is copied. Links to folders elsewhere are followed, since the data is there.
    Exact,
    /// It stays: others have something there too. Links are copied as links.
    Over,
}

/// Why a folder was not copied.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The user wants it to stop.
    #[error("interrupted")]
    Interrupted,
    /// The copy that is to be put back is not what was saved.
    #[error("the copy {} is not what was saved: {}; nothing was put back from it", copy.display(), why)]
    Damaged {
        /// The copy.
        copy: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// What was written is not what was read.
    #[error("{} was copied to {} and is another there: {what}", from.display(), to.display())]
    Differs {
        /// What was copied.
        from: PathBuf,
        /// Where to.
        to: PathBuf,
        /// The first entry that differs.
        what: String,
    },
    /// The system refuses.
    #[error(transparent)]
    Path(#[from] PathError),
}

impl CopyError {
    /// An error of the system, of which one says that it was interrupted here.
    fn of(error: PathError) -> Self {
        if is_stop(&error.source) {
            return Self::Interrupted;
        }
        Self::Path(error)
    }
}

#[derive(Debug, thiserror::Error)]
#[error("interrupted")]
struct Stopped;

fn is_stop(error: &io::Error) -> bool {
    matches!(error.get_ref(), Some(inner) if inner.downcast_ref::<Stopped>().is_some())
}

/// Copies a folder or file, nothing where there is none, unless a listing beside `from` says that there was. Links and mount points on both sides are followed: the contents are
/// copied, and a mount point stays one. The copy is read again and compared before this returns. `keeps` says whether how much
/// there is is written beside the copy; where it stands beside `from`, it is checked before anything changes.
///
/// # Errors
/// See [`CopyError`].
pub(in crate::apply) fn copy(
    from: &Path,
    to: &Path,
    manner: Manner,
    keeps: bool,
    interrupt: &Interrupt,
) -> Result<(), CopyError> {
    let found = match fs::metadata(from) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return saved_nothing(from),
        other => other.at("look at", from)?,
    };
    let follows = manner == Manner::Exact;
    let source = Listing::of(from, follows).at("read", from)?;
    let saved = checked(from, &source)?;
    let to = real(to)?;
    create_folders(to.parent().unwrap_or(Path::new("/")))?;
    let job = Job { interrupt, linked: HashMap::new() };
    let written = if found.is_dir() { job.folder(from, &to, manner, saved.as_ref()) } else { job.single(from, &to) };
    written.at("copy to", &to).map_err(CopyError::of)?;
    synced(&to)?;
    let there = Listing::of(&to, follows).at("read", &to)?;
    if let Some(what) = source.first_missing_in(&there) {
        return Err(CopyError::Differs { from: from.to_owned(), to, what });
    }
    if keeps {
        let summary = serde_json::to_vec(&source.summary()).map_err(io::Error::from).at("write", &to)?;
        AtomicFile::write_all(&summary_of(&to), 0o600, &summary)?;
    }
    Ok(())
}

/// Whether nothing was there when what is missing now was saved.
fn saved_nothing(copy: &Path) -> Result<(), CopyError> {
    let listing = summary_of(copy);
    if !listing.try_exists().at("look at", &listing)? {
        return Ok(());
    }
    let why = format!("it is missing, and {} lists what it had", listing.display());
    Err(CopyError::Damaged { copy: copy.to_owned(), why })
}

/// Whether a copy is what was saved. One that an installer before 0.4.0 has made does not say.
fn checked(copy: &Path, found: &Listing) -> Result<Option<Summary>, CopyError> {
    let path = summary_of(copy);
    let text = match fs::read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.at("read", &path)?,
    };
    let damaged = |why: String| Err(CopyError::Damaged { copy: copy.to_owned(), why });
    let Ok(saved) = serde_json::from_slice::<Summary>(&text) else {
        return damaged(format!("{} cannot be read", path.display()));
    };
    let now = found.summary();
    // Where links led and what was mounted belongs to the place that was saved, not to the copy.
    if (now.entries, now.bytes, now.digest) == (saved.entries, saved.bytes, saved.digest) {
        return Ok(Some(saved));
    }
    damaged(format!(
        "it had {} entries with {} bytes, and has {} with {}{}",
        saved.entries,
        saved.bytes,
        now.entries,
        now.bytes,
        if (now.entries, now.bytes) == (saved.entries, saved.bytes) { ", of other content" } else { "" }
    ))
}

fn summary_of(copy: &Path) -> PathBuf {
    let mut name = OsString::from(copy.file_name().unwrap_or_default());
    name.push(SUMMARY);
    copy.with_file_name(name)
}

/// A path without links, also the last one; as it is where there is nothing.
fn real(path: &Path) -> Result<PathBuf, PathError> {
    match fs::canonicalize(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let parent = path.parent().unwrap_or(Path::new("/"));
            let parent = fs::canonicalize(parent).unwrap_or_else(|_| parent.to_owned());
            Ok(path.file_name().map_or_else(|| parent.clone(), |name| parent.join(name)))
        }
        other => other.at("find", path),
    }
}

/// Has the file system that a path is on write everything down.
fn synced(path: &Path) -> Result<(), PathError> {
    let file = File::open(path).at("open", path)?;
    rustix::fs::syncfs(&file).at("sync", path)
}

struct Job<'a> {
    interrupt: &'a Interrupt,
    /// Files with several names, by device and number, and the path of the first one.
    linked: HashMap<(u64, u64), Vec<u8>>,
}

impl Job<'_> {
    fn go_on(&self) -> io::Result<()> {
        if self.interrupt.is_set() { Err(io::Error::other(Stopped)) } else { Ok(()) }
    }

    fn folder(mut self, from: &Path, to: &Path, manner: Manner, saved: Option<&Summary>) -> io::Result<()> {
        match to.symlink_metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                rustix::fs::mkdir(to, Mode::RWXU)?;
            }
            Err(error) => return Err(error),
            Ok(_) => {}
        }
        let (from, target) = (Folder::open(from)?, Folder::open(to)?);
        if manner == Manner::Exact {
            let parent = Folder::open(to.parent().unwrap_or(Path::new("/")))?;
            // Links and mount points that were not there when it was saved lead to somebody else's data.
            let known = |list: fn(&Summary) -> &[String]| saved.map(list).unwrap_or_default();
            let (mounts, links) = (known(|saved| &saved.mounts), known(|saved| &saved.links));
            let root_mounted = !target.is_mounted_with(&parent);
            let left = empty(&target, &Keeping { folders: &[], mounts, links, root_mounted })?;
            if let Some((path, why)) = left.first() {
                return Err(io::Error::other(format!("{path}: {why}")));
            }
        }
        let inside = Inside { top: from.path()?, follows: manner == Manner::Exact };
        self.all(&from, &target, b"", &target, &inside)?;
        let stat = rustix::fs::fstat(&from)?;
        marks(from.as_fd(), target.as_fd(), &stat)
    }

    fn all(&mut self, from: &Folder, to: &Folder, path: &[u8], top: &Folder, inside: &Inside) -> io::Result<()> {
        for Entry { name, stat } in from.entries()? {
            self.go_on()?;
            let below = below(path, &name);
            let kind = FileType::from_raw_mode(stat.st_mode);
            let entered = kind == FileType::Symlink && inside.enters(from, &name)?;
            if kind == FileType::Directory || entered {
                let inner = if entered { from.follow(&name)? } else { from.open_in(&name)? };
                match mkdirat(to, &name, Mode::RWXU) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(error) => return Err(error.into()),
                }
                // Where the target has a link to a folder, its data is there. Where everything stays, a link is replaced by nothing.
                let made = if inside.follows { to.follow(&name)? } else { to.open_in(&name)? };
                self.all(&inner, &made, &below, top, inside)?;
                marks(inner.as_fd(), made.as_fd(), &rustix::fs::fstat(&inner)?)?;
                continue;
            }
            self.entry(from, to, &name, &stat, &below, top).map_err(|error| {
                if is_stop(&error) {
                    error
                } else {
                    io::Error::new(error.kind(), format!("{}: {error}", name.to_string_lossy()))
                }
            })?;
        }
        Ok(())
    }

    fn entry(
        &mut self,
        from: &Folder,
        to: &Folder,
        name: &OsStr,
        stat: &Stat,
        below: &[u8],
        top: &Folder,
    ) -> io::Result<()> {
        let mut partial = OsString::from(PARTIAL);
        partial.push(name);
        // A name may be as long as one can be.
        let partial = if partial.len() > 255 { OsString::from(format!("{PARTIAL}{}", stat.st_ino)) } else { partial };
        match unlinkat(to, &partial, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
        }
        let key = (stat.st_dev, stat.st_ino);
        let several = stat.st_nlink > 1 && FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
        if several && let Some(first) = self.linked.get(&key) {
            linkat(top, OsStr::from_bytes(first), to, &partial, AtFlags::empty())?;
            // Where both are the same file already, renaming does nothing and leaves the second name.
            renameat(to, &partial, to, name)?;
            let _ = unlinkat(to, &partial, AtFlags::empty());
            return Ok(());
        }
        self.make(from, to, name, &partial, stat)?;
        renameat(to, &partial, to, name)?;
        if several {
            self.linked.insert(key, below.to_vec());
        }
        Ok(())
    }

    fn make(&self, from: &Folder, to: &Folder, name: &OsStr, partial: &OsStr, stat: &Stat) -> io::Result<()> {
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => {
                let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
                let source = openat(from, name, flags, Mode::empty())?;
                let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
                let target = openat(to, partial, flags, Mode::RUSR | Mode::WUSR)?;
                let (source, target) = self.contents(source, target)?;
                return marks(source.as_fd(), target.as_fd(), stat);
            }
            FileType::Symlink => {
                let link = readlinkat(from, name, Vec::new())?;
                symlinkat(&link, to, partial)?;
            }
            special => {
                mknodat(to, partial, special, Mode::from_raw_mode(stat.st_mode), stat.st_rdev)?;
            }
        }
        owned(to, partial, stat)?;
        let (from, target) = (from.path_of(name), to.path_of(partial));
        attributes(&Attributed::Path(&from), &Attributed::Path(&target))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::Symlink {
            rustix::fs::chmodat(to, partial, Mode::from_raw_mode(stat.st_mode & 0o7777), AtFlags::empty())?;
        }
        Ok(utimensat(to, partial, &times(stat), AtFlags::SYMLINK_NOFOLLOW)?)
    }

    /// Copies content, and leaves holes where holes are.
    fn contents(&self, source: OwnedFd, target: OwnedFd) -> io::Result<(File, File)> {
        let (mut source, mut target) = (File::from(source), File::from(target));
        let (size, mut at) = (source.metadata()?.len(), 0);
        let mut buffer = vec![0; CHUNK];
        while at < size {
            let data = match rustix::fs::seek(&source, rustix::fs::SeekFrom::Data(at)) {
                Ok(data) => data,
                // Nothing but a hole to the end.
                Err(Errno::NXIO) => break,
                // A file system that does not know of holes.
                Err(_) => at,
            };
            let end = rustix::fs::seek(&source, rustix::fs::SeekFrom::Hole(data)).unwrap_or(size);
            source.seek(SeekFrom::Start(data))?;
            target.seek(SeekFrom::Start(data))?;
            let mut left = (&source).take(end.saturating_sub(data));
            loop {
                self.go_on()?;
                match left.read(&mut buffer)? {
                    0 => break,
                    count => target.write_all(&buffer[..count])?,
                }
            }
            at = end.max(data + 1);
        }
        target.set_len(size)?;
        Ok((source, target))
    }

    /// One file, which takes the place of what is there at once.
    fn single(&self, from: &Path, to: &Path) -> io::Result<()> {
        let from = fs::canonicalize(from)?;
        let source = Folder::open(from.parent().unwrap_or(Path::new("/")))?;
        let target = Folder::open(to.parent().unwrap_or(Path::new("/")))?;
        let (name, to) = (from.file_name().unwrap_or_default(), to.file_name().unwrap_or_default());
        let stat = statat(&source, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let mut partial = OsString::from(PARTIAL);
        partial.push(to);
        match unlinkat(&target, &partial, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
        }
        self.make(&source, &target, name, &partial, &stat)?;
        renameat(&target, &partial, &target, to)?;
        Ok(fsync(&target)?)
    }
}

/// Gives a file or folder everything that another one has besides its content. The mode comes after the owner, which takes some
/// of it away, and after the attributes, which have a mode too; capabilities come after the owner.
fn marks(from: rustix::fd::BorrowedFd<'_>, to: rustix::fd::BorrowedFd<'_>, stat: &Stat) -> io::Result<()> {
    let owner = rustix::fs::fstat(to)?;
    if (owner.st_uid, owner.st_gid) != (stat.st_uid, stat.st_gid) {
        let (user, group) = ids(stat);
        rustix::fs::fchown(to, Some(user), Some(group))?;
    }
    attributes(&Attributed::Open(from), &Attributed::Open(to))?;
    fchmod(to, Mode::from_raw_mode(stat.st_mode & 0o7777))?;
    Ok(futimens(to, &times(stat))?)
}

fn owned(to: &Folder, name: &OsStr, stat: &Stat) -> io::Result<()> {
    let (user, group) = ids(stat);
    let found = statat(to, name, AtFlags::SYMLINK_NOFOLLOW)?;
    if (found.st_uid, found.st_gid) != (stat.st_uid, stat.st_gid) {
        chownat(to, name, Some(user), Some(group), AtFlags::SYMLINK_NOFOLLOW)?;
    }
    Ok(())
}

fn ids(stat: &Stat) -> (rustix::fs::Uid, rustix::fs::Gid) {
    (rustix::fs::Uid::from_raw(stat.st_uid), rustix::fs::Gid::from_raw(stat.st_gid))
}

fn times(stat: &Stat) -> Timestamps {
    let time = |seconds: i64, nanoseconds: u64| Timespec {
        tv_sec: seconds,
        tv_nsec: i64::try_from(nanoseconds).unwrap_or_default(),
    };
    Timestamps {
        last_access: time(stat.st_atime, stat.st_atime_nsec),
        last_modification: time(stat.st_mtime, stat.st_mtime_nsec),
    }
}

/// Something with extended attributes: open, or a link or device, which cannot be opened.
enum Attributed<'a> {
    Open(rustix::fd::BorrowedFd<'a>),
    Path(&'a Path),
}

impl Attributed<'_> {
    fn names(&self) -> Result<Vec<OsString>, Errno> {
        let list = |buffer: &mut [u8]| match self {
            Self::Open(fd) => rustix::fs::flistxattr(fd, buffer),
            Self::Path(path) => rustix::fs::llistxattr(*path, buffer),
        };
        let names = grown(list)?;
        let names = names.split(|byte| *byte == 0).filter(|name| !name.is_empty());
        Ok(names.map(|name| OsStr::from_bytes(name).to_owned()).collect())
    }

    fn get(&self, name: &OsStr) -> Result<Vec<u8>, Errno> {
        grown(|buffer: &mut [u8]| match self {
            Self::Open(fd) => rustix::fs::fgetxattr(fd, name, buffer),
            Self::Path(path) => rustix::fs::lgetxattr(*path, name, buffer),
        })
    }

    fn set(&self, name: &OsStr, value: &[u8]) -> Result<(), Errno> {
        match self {
            Self::Open(fd) => rustix::fs::fsetxattr(fd, name, value, XattrFlags::empty()),
            Self::Path(path) => rustix::fs::lsetxattr(*path, name, value, XattrFlags::empty()),
        }
    }
}

/// What a call writes into a buffer, which grows until it is large enough.
fn grown(call: impl Fn(&mut [u8]) -> Result<usize, Errno>) -> Result<Vec<u8>, Errno> {
    let mut buffer = vec![0; 1024];
    loop {
        match call(&mut buffer) {
            Ok(length) => {
                buffer.truncate(length);
                return Ok(buffer);
            }
            Err(Errno::RANGE) if buffer.len() < 1 << 20 => buffer.resize(buffer.len() * 4, 0),
            Err(error) => return Err(error),
        }
    }
}

/// Copies extended attributes: access lists, capabilities and labels are such.
fn attributes(from: &Attributed<'_>, to: &Attributed<'_>) -> io::Result<()> {
    let names = match from.names() {
        // A file system without any.
        Err(Errno::NOTSUP) => return Ok(()),
        other => other?,
    };
    for name in names {
        let value = match from.get(&name) {
            Err(Errno::NODATA) => continue,
            other => other?,
        };
        if to.get(&name).is_ok_and(|there| there == value) {
            continue;
        }
        to.set(&name, &value).map_err(|error| {
            io::Error::new(io::Error::from(error).kind(), format!("the attribute {}: {error}", name.to_string_lossy()))
        })?;
    }
    Ok(())
}

#[cfg(test)]
#[path = "copy_tests.rs"]
mod tests;
