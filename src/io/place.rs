//! Places of files below a folder that is held open. What is done at a place is done relative to that folder and follows no
//! symbolic link, so that it stays below the folder whoever changes things there in the meantime.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{
    self, AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, Stat, StatxAttributes, StatxFlags, Timestamps,
};
use rustix::io::Errno;

use super::{AtPath, PathError};
use crate::oci::Digest;

/// Where a process finds the folders that it holds open, by number.
pub(super) const FOLDERS: &str = "/proc/self/fd";
/// Permission bits of folders that are made, whatever the umask.
const FOLDER_MODE: u32 = 0o755;

/// A folder that is held open, with the path that people know it by.
#[derive(Debug, Clone)]
pub struct OpenFolder(Arc<(OwnedFd, PathBuf)>);

/// A place for a file or folder: a path of plain names below an [`OpenFolder`]. Nothing need be there.
#[derive(Clone)]
pub struct Place {
    base: OpenFolder,
    within: PathBuf,
    shown: PathBuf,
}

impl OpenFolder {
    /// Opens the folder at `path`, which is known as `shown`. Links are followed.
    ///
    /// # Errors
    /// Where there is no folder, or it cannot be opened.
    pub fn open(path: &Path, shown: PathBuf) -> Result<Self, PathError> {
        let folder = fs::open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
        Ok(Self(Arc::new((folder.at("open the folder", path)?, shown))))
    }

    /// The path that people know it by.
    pub fn shown(&self) -> &Path {
        &self.0.1
    }

    /// The place of `within`, a path of plain names; empty, it is the folder itself.
    ///
    /// # Errors
    /// Where it is absolute, or `..` is in it.
    pub fn place(&self, within: &Path) -> Result<Place, PathError> {
        if !within.components().all(|part| matches!(part, Component::Normal(_))) {
            return Err(not_plain()).at("use the path", within);
        }
        let shown = if within.as_os_str().is_empty() { self.shown().to_owned() } else { self.shown().join(within) };
        Ok(Place { base: self.clone(), within: within.components().collect(), shown })
    }
}

impl Place {
    /// The place of `path` on this machine. The folder that it is in is opened now, with links followed; it must be there.
    ///
    /// # Errors
    /// Where the folder cannot be opened, or the path does not end in a name.
    pub fn of(path: &Path) -> Result<Self, PathError> {
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let name = path.file_name().ok_or_else(not_plain).at("use the path", path)?;
        let base = OpenFolder::open(folder, path.parent().unwrap_or(Path::new("")).to_owned())?;
        base.place(Path::new(name))
    }

    /// Its path, for messages and for programs.
    pub fn shown(&self) -> &Path {
        &self.shown
    }

    /// Its path below the folder that is held open.
    pub fn within(&self) -> &Path {
        &self.within
    }

    /// The last component; empty for the folder that is held open.
    pub fn name(&self) -> &OsStr {
        self.within.file_name().unwrap_or_default()
    }

    /// The folder that it is in; none for the folder that is held open.
    pub fn folder(&self) -> Option<Self> {
        let within = self.within.parent()?;
        self.base.place(within).ok()
    }

    /// Another name in the same folder.
    ///
    /// # Errors
    /// Where `name` is not a single plain component.
    pub fn beside(&self, name: impl AsRef<OsStr>) -> Result<Self, PathError> {
        let path = self.within.with_file_name(plain(name.as_ref())?);
        self.base.place(&path)
    }

    /// The same name with an ending. Where that would be too long for a file system, the digest of the name stands for it.
    ///
    /// # Errors
    /// Where the place has no name.
    pub fn with_ending(&self, ending: &str) -> Result<Self, PathError> {
        self.beside(with_ending(self.name(), ending))
    }

    /// A name in the folder that is at this place.
    ///
    /// # Errors
    /// Where `name` is not a single plain component.
    pub fn child(&self, name: impl AsRef<OsStr>) -> Result<Self, PathError> {
        self.base.place(&self.within.join(plain(name.as_ref())?))
    }

    /// What is there, links not followed; nothing where nothing is.
    ///
    /// # Errors
    /// Where the system does not say.
    pub fn stat(&self) -> Result<Option<Stat>, PathError> {
        let found = self.in_folder(|folder, name| Ok(fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?));
        match found {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            other => other.at("look at", &self.shown).map(Some),
        }
    }

    /// Whether something is there; not where that cannot be told.
    pub fn is_there(&self) -> bool {
        self.stat().is_ok_and(|found| found.is_some())
    }

    /// Whether a folder is there, and no link to one.
    pub fn is_folder(&self) -> bool {
        self.stat().is_ok_and(|found| found.is_some_and(|found| file_type(&found) == FileType::Directory))
    }

    /// Whether something is mounted at just this place (`STATX_ATTR_MOUNT_ROOT` of statx(2)); not where the kernel, older than
    /// Linux 5.8, does not tell.
    pub fn is_mount_point(&self) -> bool {
        let attributes = self.in_folder(|folder, name| {
            let found = fs::statx(folder, name, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::empty())?;
            Ok(found.stx_attributes & found.stx_attributes_mask)
        });
        attributes.is_ok_and(|attributes| attributes.contains(StatxAttributes::MOUNT_ROOT))
    }

    /// Device and inode of what is there.
    ///
    /// # Errors
    /// Where the system does not say.
    pub fn id(&self) -> Result<Option<(u64, u64)>, PathError> {
        Ok(self.stat()?.map(|found| (found.st_dev, found.st_ino)))
    }

    /// What tells this place from others whatever their names: device and inode of the deepest folder that is there, and the path
    /// from it.
    ///
    /// # Errors
    /// Where the system does not say.
    pub fn anchor(&self) -> Result<(u64, u64, PathBuf), PathError> {
        for folder in std::iter::successors(self.folder(), Self::folder) {
            if let Some((device, inode)) = folder.id()? {
                let rest = self.within.strip_prefix(&folder.within).unwrap_or(&self.within);
                return Ok((device, inode, rest.to_owned()));
            }
        }
        Ok((0, 0, self.within.clone()))
    }

    /// The type of the file system that it is on, or would be (`f_type` of statfs(2)).
    ///
    /// # Errors
    /// Where the system does not say.
    pub fn file_system(&self) -> Result<u32, PathError> {
        for folder in std::iter::successors(self.folder(), Self::folder) {
            match folder.open_folder(OFlags::PATH) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                opened => {
                    let opened = opened.at("open the folder", &folder.shown)?;
                    return Ok(fs::fstatfs(opened).at("find the file system of", &folder.shown)?.f_type as u32);
                }
            }
        }
        Ok(0)
    }

    /// The inode of what is there.
    pub fn inode(&self) -> Option<u64> {
        Some(self.stat().ok()??.st_ino)
    }

    /// Where the symbolic link leads that is there.
    ///
    /// # Errors
    /// Where there is none.
    pub fn read_link(&self) -> Result<OsString, PathError> {
        let target = self.in_folder(|folder, name| Ok(fs::readlinkat(folder, name, Vec::new())?));
        Ok(OsString::from_vec(target.at("read the link", &self.shown)?.into_bytes()))
    }

    /// Opens the regular file that is there for reading. Neither a link is followed nor a device or pipe waited for.
    ///
    /// # Errors
    /// Where nothing or something else is there.
    pub fn open(&self) -> Result<File, PathError> {
        let other = || Err(io::Error::other("it is not a regular file")).at("read", &self.shown);
        // Before it is opened: opening a device may do something already.
        if self.stat()?.is_some_and(|found| file_type(&found) != FileType::RegularFile) {
            return other();
        }
        let file = self.open_as(OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY, 0).at("read", &self.shown)?;
        if file.metadata().at("read", &self.shown)?.is_file() { Ok(file) } else { other() }
    }

    /// The content of the regular file that is there; nothing where nothing is.
    ///
    /// # Errors
    /// Where something else is there, or more than `limit` bytes.
    pub fn read(&self, limit: u64) -> Result<Option<Vec<u8>>, PathError> {
        let file = match self.open() {
            Err(error) if error.source.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        let mut content = Vec::new();
        file.take(limit + 1).read_to_end(&mut content).at("read", &self.shown)?;
        match content.len() as u64 <= limit {
            true => Ok(Some(content)),
            false => Err(io::Error::other(format!("it has more than {limit} bytes"))).at("read", &self.shown),
        }
    }

    /// Makes a new file for reading and writing. Nothing may be there.
    ///
    /// # Errors
    /// Where something is there, or it cannot be made.
    pub fn create(&self, mode: u32) -> Result<File, PathError> {
        self.open_as(OFlags::RDWR | OFlags::CREATE | OFlags::EXCL, mode).at("create", &self.shown)
    }

    /// Opens the regular file that is there for reading and writing, or makes one with these permission bits, less the umask.
    ///
    /// # Errors
    /// Where something else is there, or it cannot be made.
    pub fn open_or_create(&self, mode: u32) -> Result<File, PathError> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NONBLOCK | OFlags::NOCTTY;
        self.open_as(flags, mode).at("create", &self.shown)
    }

    /// Makes a symbolic link to `target`. Nothing may be there.
    ///
    /// # Errors
    /// Where something is there, or it cannot be made.
    pub fn symlink(&self, target: &OsStr) -> Result<(), PathError> {
        self.in_folder(|folder, name| Ok(fs::symlinkat(target, folder, name)?)).at("link", &self.shown)
    }

    /// Gives what is there the name `to`, replacing what has it.
    ///
    /// # Errors
    /// Where nothing is there, or it cannot be renamed.
    pub fn rename(&self, to: &Self) -> io::Result<()> {
        self.in_folder(|from_folder, from| {
            to.in_folder(|to_folder, to| Ok(fs::renameat(from_folder, from, to_folder, to)?))
        })
    }

    /// Gives the file that is there a second name.
    ///
    /// # Errors
    /// Where nothing is there, or something has the name.
    pub fn hard_link(&self, to: &Self) -> io::Result<()> {
        self.in_folder(|from_folder, from| {
            to.in_folder(|to_folder, to| Ok(fs::linkat(from_folder, from, to_folder, to, AtFlags::empty())?))
        })
    }

    /// Gives what is there, a link itself and not what it leads to, to a user and a group.
    ///
    /// # Errors
    /// Where the system refuses.
    pub fn set_owner(&self, uid: u32, gid: u32) -> Result<(), PathError> {
        let (uid, gid) = (fs::Uid::from_raw(uid), fs::Gid::from_raw(gid));
        let given = self
            .in_folder(|folder, name| Ok(fs::chownat(folder, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?));
        given.at("set the owner of", &self.shown)
    }

    /// Removes what is there, where something is; not a folder.
    ///
    /// # Errors
    /// Where it cannot be removed.
    pub fn remove(&self) -> Result<(), PathError> {
        match self.in_folder(|folder, name| Ok(fs::unlinkat(folder, name, AtFlags::empty())?)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other.at("remove", &self.shown),
        }
    }

    /// Removes the folder that is there, where it is empty.
    ///
    /// # Errors
    /// Where it is not empty, or no folder.
    pub fn remove_empty(&self) -> Result<(), PathError> {
        let removed = self.in_folder(|folder, name| Ok(fs::unlinkat(folder, name, AtFlags::REMOVEDIR)?));
        removed.at("remove", &self.shown)
    }

    /// Makes the folders above it that are missing, mode 0755 whatever the umask, and makes their names durable.
    ///
    /// # Errors
    /// Where one cannot be made, or its name not be synced.
    pub fn make_folders(&self) -> Result<(), PathError> {
        self.folder().map_or(Ok(()), |folder| folder.make_folder())
    }

    /// Makes a folder there, and those above it, as far as they are missing.
    ///
    /// # Errors
    /// As [`Place::make_folders`].
    pub fn make_folder(&self) -> Result<(), PathError> {
        match self.open_folder(OFlags::PATH) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => return other.map(drop).at("open the folder", &self.shown),
        }
        self.make_folders()?;
        let made = self.in_folder(|folder, name| Ok(fs::mkdirat(folder, name, Mode::from_raw_mode(FOLDER_MODE))?));
        match made {
            // Somebody else was faster, and the folder is theirs.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && self.is_folder() => return Ok(()),
            other => other.at("create the folder", &self.shown)?,
        }
        self.set_folder_mode(FOLDER_MODE)?;
        self.sync_folder()
    }

    /// Gives the folder that is there these permission bits.
    ///
    /// # Errors
    /// Where no folder is there, or the system refuses.
    pub fn set_folder_mode(&self, mode: u32) -> Result<(), PathError> {
        let folder = self.open_folder(OFlags::RDONLY).at("open the folder", &self.shown)?;
        fs::fchmod(&folder, Mode::from_raw_mode(mode)).at("set the mode of", &self.shown)
    }

    /// Makes the names durable that are in the folder that this place is in.
    ///
    /// # Errors
    /// Where the folder cannot be opened or synced.
    pub fn sync_folder(&self) -> Result<(), PathError> {
        let folder = self.shown.parent().unwrap_or(Path::new("/"));
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        let above = self.open_above(OFlags::RDONLY).and_then(|handle| Ok(fs::fsync(handle)?));
        above.at("sync the folder", folder)
    }

    /// The names in the folder that is there; none where nothing is.
    ///
    /// # Errors
    /// Where it is no folder, or cannot be read.
    pub fn names(&self) -> Result<Vec<OsString>, PathError> {
        let folder = match self.open_folder(OFlags::RDONLY) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.at("read the folder", &self.shown)?,
        };
        names(folder.as_fd()).at("read the folder", &self.shown)
    }

    /// Does something with a path that leads here through the folder that is held open, for calls that take paths alone. The last
    /// component is not looked up on the way.
    pub(super) fn with_path<T>(&self, act: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
        self.in_folder(|folder, name| act(&Path::new(FOLDERS).join(folder.as_raw_fd().to_string()).join(name)))
    }

    /// Sets the times of what is there, a link itself and not what it leads to.
    pub(super) fn set_times(&self, times: &Timestamps) -> io::Result<()> {
        self.in_folder(|folder, name| Ok(fs::utimensat(folder, name, times, AtFlags::SYMLINK_NOFOLLOW)?))
    }

    /// Opens what is there, and no link.
    fn open_as(&self, flags: OFlags, mode: u32) -> io::Result<File> {
        let mode = Mode::from_raw_mode(mode);
        self.in_folder(|folder, name| {
            let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            Ok(File::from(fs::openat(folder, name, flags, mode)?))
        })
    }

    fn open_folder(&self, flags: OFlags) -> io::Result<OwnedFd> {
        open_below(self.base.0.0.as_fd(), &self.within, flags)
    }

    fn open_above(&self, flags: OFlags) -> io::Result<OwnedFd> {
        open_below(self.base.0.0.as_fd(), self.within.parent().unwrap_or(Path::new("")), flags)
    }

    /// Does something with the folder that this place is in and the name in it.
    fn in_folder<T>(&self, act: impl FnOnce(BorrowedFd<'_>, &OsStr) -> io::Result<T>) -> io::Result<T> {
        let folder = self.open_above(OFlags::PATH)?;
        act(folder.as_fd(), self.within.file_name().unwrap_or(OsStr::new(".")))
    }
}

impl PartialEq for Place {
    fn eq(&self, other: &Self) -> bool {
        self.shown == other.shown
    }
}

impl Eq for Place {}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shown.fmt(f)
    }
}

/// What kind of file was found.
pub fn file_type(found: &Stat) -> FileType {
    FileType::from_raw_mode(found.st_mode)
}

/// Whether `name` is a single component that names something in a folder.
pub fn is_plain(name: &OsStr) -> bool {
    let bytes = name.as_bytes();
    !matches!(bytes, b"" | b"." | b"..") && !bytes.contains(&b'/') && !bytes.contains(&0)
}

/// The longest name that file systems take, in bytes.
const LONGEST: usize = 255;

/// `name` with an ending. Where that would be too long for a file system, the digest of the name stands for it.
fn with_ending(name: &OsStr, ending: &str) -> OsString {
    let mut with = name.to_owned();
    with.push(ending);
    if with.len() <= LONGEST {
        return with;
    }
    format!(".{}{ending}", &Digest::of(name.as_bytes()).hex()[..32]).into()
}

fn plain(name: &OsStr) -> Result<&OsStr, PathError> {
    if is_plain(name) { Ok(name) } else { Err(not_plain()).at("use the name", Path::new(name)) }
}

fn not_plain() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "a plain name is needed here, without '/' and '..'")
}

/// Opens the folder at `path` below `base`. No component may be a link. Kernels before 5.6, and some sandboxes, have no
/// openat2; there, every component is opened by itself, which is as safe since the path has no `..`.
fn open_below(base: BorrowedFd<'_>, path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
    let flags = flags | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    if path.as_os_str().is_empty() {
        return Ok(fs::openat(base, ".", flags, Mode::empty())?);
    }
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let opened = match fs::openat2(base, path, flags, Mode::empty(), resolve) {
        Err(Errno::NOSYS | Errno::PERM) => walk_below(base, path, flags),
        other => other,
    };
    opened.map_err(|error| match error {
        Errno::LOOP => io::Error::other("a symbolic link stands where a folder is needed"),
        other => other.into(),
    })
}

fn walk_below(base: BorrowedFd<'_>, path: &Path, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    let step = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut folder = fs::openat(base, ".", step, Mode::empty())?;
    let mut names = path.iter().peekable();
    while let Some(name) = names.next() {
        let flags = if names.peek().is_some() { step } else { flags };
        folder = fs::openat(&folder, name, flags, Mode::empty())?;
    }
    Ok(folder)
}

fn names(folder: BorrowedFd<'_>) -> io::Result<Vec<OsString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if !matches!(name, b"." | b"..") {
            names.push(OsStr::from_bytes(name).to_owned());
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use proptest::prelude::*;

    use super::*;

    fn folder() -> (tempfile::TempDir, OpenFolder) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("a/b")).unwrap();
        std::fs::write(folder.path().join("a/b/file"), "content").unwrap();
        symlink("a", folder.path().join("link")).unwrap();
        symlink("/proc/self/root", folder.path().join("out")).unwrap();
        let open = OpenFolder::open(folder.path(), folder.path().to_owned()).unwrap();
        (folder, open)
    }

    #[test]
    fn no_link_is_followed_on_the_way() {
        let (_folder, open) = folder();
        let place = |path: &str| open.place(Path::new(path)).unwrap();
        assert_eq!(place("a/b/file").read(100).unwrap().unwrap(), b"content");
        for path in ["link/b/file", "out/etc/passwd", "link"] {
            assert!(place(path).open().is_err(), "{path}");
        }
        for path in ["link/new", "out/tmp/new"] {
            assert!(place(path).create(0o600).is_err() && place(path).make_folder().is_err(), "{path}");
        }
        assert!(place("a/b/file").rename(&place("link/file")).is_err());
        assert!(place("a/b/file").hard_link(&place("out/tmp/file")).is_err());
        assert_eq!(place("a/b/file").read(100).unwrap().unwrap(), b"content");
    }

    #[test]
    fn kernels_without_openat2_do_the_same() {
        let (folder, open) = folder();
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let walk = |path: &str| walk_below(open.0.0.as_fd(), Path::new(path), flags);
        let found = fs::fstat(walk("a/b").unwrap()).unwrap();
        assert_eq!(Some((found.st_dev, found.st_ino)), open.place(Path::new("a/b")).unwrap().id().unwrap());
        for path in ["link", "link/b", "out", "out/etc", "a/b/file", "a/none"] {
            assert!(walk(path).is_err(), "{path}");
        }
        drop(folder);
    }

    #[test]
    fn what_is_no_file_is_neither_waited_for_nor_read_to_its_end() {
        let (folder, open) = folder();
        let place = open.place(Path::new("pipe")).unwrap();
        fs::mkfifoat(fs::CWD, folder.path().join("pipe"), Mode::from_raw_mode(0o600)).unwrap();
        assert!(place.open().is_err() && place.read(10).is_err());
        let file = open.place(Path::new("a/b/file")).unwrap();
        assert!(file.read(6).unwrap_err().source.to_string().contains("more than 6 bytes"));
        assert!(open.place(Path::new("a")).unwrap().read(10).is_err());
        assert_eq!(open.place(Path::new("none")).unwrap().read(10).unwrap(), None);
    }

    #[test]
    fn every_name_that_a_file_system_takes_can_have_an_ending() {
        for length in 1..=LONGEST {
            let name = OsString::from("a".repeat(length));
            let with = with_ending(&name, ".carrack-new");
            assert!(with.len() <= LONGEST && is_plain(&with), "{length}");
        }
        let (one, two) = ("a".repeat(250), "a".repeat(251));
        assert_ne!(with_ending(one.as_ref(), ".carrack-new"), with_ending(two.as_ref(), ".carrack-new"));
    }

    proptest! {
        #[test]
        fn whatever_the_name_it_stays_in_its_folder(bytes in proptest::collection::vec(any::<u8>(), 0..12)) {
            let name = OsString::from_vec(bytes);
            let (_folder, open) = folder();
            let folder = open.place(Path::new("a/b")).unwrap();
            for place in [folder.child(&name), folder.child("x").unwrap().beside(&name)].into_iter().flatten() {
                prop_assert_eq!(place.within().parent(), Some(Path::new("a/b")));
                prop_assert_eq!(place.name(), &name);
            }
            for dots in ["..", ".", "", "/", "../x", "x/..", "/etc", "x/y"] {
                prop_assert!(folder.child(dots).is_err());
            }
        }
    }
}
