//! Removing a folder with all that is below it.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::Path;

use rustix::fs::{AtFlags, FileType, fsync, renameat, unlinkat};
use rustix::io::Errno;

use super::{Entry, Folder, join};
use crate::apply::claims::{Claim, Prior, place};
use crate::host::Root;
use crate::io::{AtPath, PathError};
use crate::places::check_removable;

/// Folders below folders that are entered from one another. What lies deeper is taken to the top first, so that neither open
/// files nor memory run out whatever a container has made.
const DEPTH: usize = 100;
/// What such a folder is called there.
const DEEP: &str = ".carrack-removed-";
/// What a file system of its own has from the beginning (mke2fs(8)).
pub(in crate::apply) const LOST_AND_FOUND: &str = "lost+found";

/// Removes what was made at a path since `claim` was recorded, and nothing else: where nothing was there, all of it; where an
/// empty folder was there, what is in it. Mounts are entered only where they were there before, and stay. Returns what
/// stays for another reason, for people, each with why.
///
/// # Errors
/// Where the claim does not allow it, its path is not one that is ever removed, or the system refuses.
pub(in crate::apply) fn remove(claim: &Claim, root: &Root) -> Result<Vec<String>, PathError> {
    let shown = Path::new(&claim.path);
    let refused = |why: &str| Err(io::Error::new(io::ErrorKind::InvalidInput, why.to_owned())).at("remove", shown);
    if let Err(why) = check_removable(&claim.path) {
        return refused(&format!("the path {why}"));
    }
    if let Some(why) = claim.keeps() {
        return refused(&why);
    }
    let Some(found) = place(&claim.path, root) else { return Ok(Vec::new()) };
    let stays = |why: String| Ok(vec![format!("{}: {why}", claim.path)]);
    if check_removable(&found.within).is_err() || found.within != claim.real() {
        return stays(format!("it has led to {} only since the installation", found.within));
    }
    let parent = found.at.parent().unwrap_or(Path::new("/"));
    let name = found.at.file_name().unwrap_or_default();
    let parent = Folder::open(parent).at("open", parent)?;
    let top = match parent.open_in(name) {
        Ok(top) => top,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) if is_no_folder(&error) && claim.before == Prior::Absent => {
            return match unlinkat(&parent, name, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => Ok(Vec::new()),
                Err(error) => Err(error).at("remove", shown),
            };
        }
        Err(error) if is_no_folder(&error) => return stays("it is no folder any more".to_owned()),
        Err(error) => return Err(error).at("open", shown),
    };
    // Where the way there was changed since it was looked up, this is another folder.
    if top.path().at("look at", shown)? != found.at {
        return stays("it was moved while it was being removed".to_owned());
    }
    let is_mount = !top.is_mounted_with(&parent);
    if is_mount && !claim.mounts.iter().any(String::is_empty) {
        return stays("a file system was mounted there after the installation".to_owned());
    }
    let keeping = Keeping { folders: &claim.folders, mounts: &claim.mounts, links: &[], root_mounted: is_mount };
    let left = empty(&top, &keeping).at("remove", shown)?;
    if left.is_empty() && claim.before == Prior::Absent && !is_mount {
        match unlinkat(&parent, name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => return Err(error).at("remove", shown),
        }
        let _ = fsync(&parent);
    }
    Ok(left.into_iter().map(|(path, why)| format!("{}/{path}: {why}", claim.path)).collect())
}

/// What stays of what is in a folder that is emptied, by paths relative to it.
pub(super) struct Keeping<'a> {
    /// Folders that stay, and are emptied.
    pub(super) folders: &'a [String],
    /// Mount points that are entered, and stay.
    pub(super) mounts: &'a [String],
    /// Links to folders that are followed, and stay.
    pub(super) links: &'a [String],
    /// Whether the folder itself is a mount point.
    pub(super) root_mounted: bool,
}

impl Keeping<'_> {
    fn has(list: &[String], path: &str) -> bool {
        list.iter().any(|one| one == path)
    }

    /// Whether something at or below a path stays.
    fn is_known(&self, path: &str) -> bool {
        let all = self.folders.iter().chain(self.mounts).chain(self.links);
        all.into_iter().any(|one| one == path || one.strip_prefix(path).is_some_and(|rest| rest.starts_with('/')))
    }
}

/// What stays, by its path, and why.
pub(super) type Left = Vec<(String, String)>;

/// Empties a folder. Returns what stays although nothing says that it should.
///
/// # Errors
/// Where the system refuses.
pub(super) fn empty(top: &Folder, keeping: &Keeping<'_>) -> io::Result<Left> {
    let mut emptier = Emptier { top, keeping, deep: VecDeque::new(), moved: 0, left: Left::new() };
    emptier.all(top, "", 0)?;
    while let Some(name) = emptier.deep.pop_front() {
        emptier.folder(top, &name, &name.to_string_lossy(), 1)?;
    }
    fsync(top)?;
    Ok(emptier.left)
}

struct Emptier<'a> {
    top: &'a Folder,
    keeping: &'a Keeping<'a>,
    /// Folders that were taken to the top.
    deep: VecDeque<OsString>,
    moved: u64,
    left: Left,
}

impl Emptier<'_> {
    fn all(&mut self, folder: &Folder, path: &str, depth: usize) -> io::Result<()> {
        for Entry { name, stat } in folder.entries()? {
            let below = join(path, &name);
            let mount_root = (depth == 0 && self.keeping.root_mounted) || Keeping::has(self.keeping.mounts, path);
            if mount_root && name == LOST_AND_FOUND {
                continue;
            }
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::Directory => self.folder(folder, &name, &below, depth + 1)?,
                FileType::Symlink if Keeping::has(self.keeping.links, &below) => self.linked(folder, &name, &below)?,
                _ => self.file(folder, &name, &below)?,
            }
        }
        Ok(())
    }

    fn file(&mut self, folder: &Folder, name: &OsStr, below: &str) -> io::Result<()> {
        match unlinkat(folder, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(Errno::BUSY) => {
                self.left.push((below.to_owned(), "something is mounted on it".to_owned()));
                Ok(())
            }
            Err(error) => Err(at_path(error, below)),
        }
    }

    fn folder(&mut self, parent: &Folder, name: &OsStr, below: &str, depth: usize) -> io::Result<()> {
        let folder = match parent.open_in(name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => other.map_err(|error| at_path_io(error, below))?,
        };
        let mounted = !folder.is_mounted_with(parent);
        if mounted && !Keeping::has(self.keeping.mounts, below) {
            self.left.push((below.to_owned(), "a file system is mounted there that was not there before".to_owned()));
            return Ok(());
        }
        if depth > DEPTH && !mounted && folder.is_mounted_with(self.top) && !self.keeping.is_known(below) {
            return self.lift(parent, name, below);
        }
        let stood = self.left.len();
        self.all(&folder, below, depth)?;
        if mounted || Keeping::has(self.keeping.folders, below) || self.left.len() > stood {
            return Ok(());
        }
        // A folder that stays in it keeps it too.
        if self.keeping.is_known(below) {
            return Ok(());
        }
        match unlinkat(parent, name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            // Something deep was taken out, or put in just now: then it is looked into again.
            Err(Errno::NOTEMPTY) => {
                self.all(&folder, below, depth)?;
                unlinkat(parent, name, AtFlags::REMOVEDIR).map_err(|error| at_path(error, below))
            }
            Err(error) => Err(at_path(error, below)),
        }
    }

    /// Takes a deep folder to the top, where it is emptied later.
    fn lift(&mut self, parent: &Folder, name: &OsStr, below: &str) -> io::Result<()> {
        loop {
            let lifted = OsString::from(format!("{DEEP}{}", self.moved));
            self.moved += 1;
            match rustix::fs::statat(self.top, &lifted, AtFlags::SYMLINK_NOFOLLOW) {
                Err(Errno::NOENT) => {
                    renameat(parent, name, self.top, &lifted).map_err(|error| at_path(error, below))?;
                    self.deep.push_back(lifted);
                    return Ok(());
                }
                Err(error) => return Err(at_path(error, below)),
                Ok(_) => {}
            }
        }
    }

    /// Empties the folder that a link leads to, which stays with the link.
    fn linked(&mut self, parent: &Folder, name: &OsStr, below: &str) -> io::Result<()> {
        let folder = parent.follow(name).map_err(|error| at_path_io(error, below))?;
        let inner = |list: &[String]| -> Vec<String> {
            list.iter().filter_map(|one| Some(one.strip_prefix(below)?.strip_prefix('/')?.to_owned())).collect()
        };
        let (folders, mounts, links) =
            (inner(self.keeping.folders), inner(self.keeping.mounts), inner(self.keeping.links));
        let root_mounted = Keeping::has(self.keeping.mounts, below);
        let keeping = Keeping { folders: &folders, mounts: &mounts, links: &links, root_mounted };
        let left = empty(&folder, &keeping)?;
        self.left.extend(left.into_iter().map(|(path, why)| (format!("{below}/{path}"), why)));
        Ok(())
    }
}

fn is_no_folder(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotADirectory || error.raw_os_error() == Some(Errno::LOOP.raw_os_error())
}

fn at_path(error: Errno, below: &str) -> io::Error {
    at_path_io(error.into(), below)
}

fn at_path_io(error: io::Error, below: &str) -> io::Error {
    io::Error::new(error.kind(), format!("{below}: {error}"))
}

#[cfg(test)]
#[path = "removal_tests.rs"]
mod tests;
