//! All that is below a folder, entry by entry, so that a copy can be held against what it is of.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, openat, readlinkat, statat};
use serde::{Deserialize, Serialize};

use super::{Entry, Folder};
use crate::oci::{Digest, Digester};

/// Bytes that are read at once.
pub(super) const CHUNK: usize = 256 << 10;

/// What is below a folder, by paths relative to it, as the bytes that they are. The folder itself has the empty path.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::apply) struct Listing(pub(super) BTreeMap<Vec<u8>, Listed>);

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listed {
    /// What it is, of a link that is followed what that leads to.
    pub(super) kind: Kind,
    /// Permission bits; none of a link.
    pub(super) mode: u32,
    /// User and group.
    pub(super) owner: (u32, u32),
    /// How a folder is reached that is not simply in the one above.
    pub(super) by: Option<By>,
}

/// How a folder is reached that stays where it is when the one above it is emptied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    /// A link leads there.
    Link,
    /// Another file system is mounted there.
    Mount,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// A folder.
    Folder,
    /// A file, of this length and content.
    File(u64, Digest),
    /// A link to these bytes.
    Link(Vec<u8>),
    /// A device, pipe or socket: its type, and the number of the device.
    Special(u32, u64),
}

/// How much a listing has, in a form that fits a small file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Summary {
    /// Entries.
    pub(super) entries: u64,
    /// Bytes in files.
    pub(super) bytes: u64,
    /// Of all entries, with kind, mode, owner and content.
    pub(super) digest: Digest,
    /// Folders to which links led.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) links: Vec<String>,
    /// Folders at which other file systems were mounted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) mounts: Vec<String>,
}

impl Listing {
    /// That of a folder or file. `follows` says whether links to folders that are elsewhere are entered.
    ///
    /// # Errors
    /// Where something cannot be read.
    pub(in crate::apply) fn of(path: &Path, follows: bool) -> io::Result<Self> {
        let mut listing = Self::default();
        let found = rustix::fs::stat(path)?;
        if FileType::from_raw_mode(found.st_mode) == FileType::Directory {
            let top = Folder::open(path)?;
            let inside = Inside { top: top.path()?, follows };
            listing.add(b"", found.st_mode, (found.st_uid, found.st_gid), Kind::Folder, None);
            listing.folder(&top, b"", &inside)?;
            return Ok(listing);
        }
        let parent = Folder::open(path.parent().unwrap_or(Path::new("/")))?;
        let kind = kind_of(&parent, path.file_name().unwrap_or_default(), found.st_mode, found.st_rdev)?;
        listing.add(b"", found.st_mode, (found.st_uid, found.st_gid), kind, None);
        Ok(listing)
    }

    pub(super) fn add(&mut self, path: &[u8], mode: u32, owner: (u32, u32), kind: Kind, by: Option<By>) {
        let mode = if matches!(kind, Kind::Link(_)) { 0 } else { mode & 0o7777 };
        self.0.insert(path.to_vec(), Listed { kind, mode, owner, by });
    }

    fn folder(&mut self, folder: &Folder, path: &[u8], inside: &Inside) -> io::Result<()> {
        for Entry { name, stat } in folder.entries()? {
            let below = below(path, &name);
            let owner = (stat.st_uid, stat.st_gid);
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::Directory => {
                    let inner = folder.open_in(&name)?;
                    let by = (!inner.is_mounted_with(folder)).then_some(By::Mount);
                    self.add(&below, stat.st_mode, owner, Kind::Folder, by);
                    self.folder(&inner, &below, inside)?;
                }
                FileType::Symlink if inside.enters(folder, &name)? => {
                    let found = statat(folder, &name, AtFlags::empty())?;
                    self.add(&below, found.st_mode, (found.st_uid, found.st_gid), Kind::Folder, Some(By::Link));
                    self.folder(&folder.follow(&name)?, &below, inside)?;
                }
                _ => {
                    let kind = kind_of(folder, &name, stat.st_mode, stat.st_rdev)?;
                    self.add(&below, stat.st_mode, owner, kind, None);
                }
            }
        }
        Ok(())
    }

    /// Paths of folders that are reached in this way, the outer ones first, as far as they are text.
    fn folders(&self, by: By) -> Vec<String> {
        let folders = self.0.iter().filter(|(_, one)| one.by == Some(by));
        folders.filter_map(|(path, _)| String::from_utf8(path.clone()).ok()).collect()
    }

    /// How much it has.
    pub(super) fn summary(&self) -> Summary {
        let mut digester = Digester::new();
        let mut bytes = 0;
        for (path, Listed { kind, mode, owner, .. }) in &self.0 {
            let what = match kind {
                Kind::Folder => "folder".to_owned(),
                Kind::File(size, digest) => {
                    bytes += size;
                    format!("file {size} {digest}")
                }
                Kind::Link(to) => format!("link {}", Digest::of(to)),
                Kind::Special(kind, device) => format!("special {kind} {device}"),
            };
            digester.update(&(path.len() as u64).to_le_bytes());
            digester.update(path);
            digester.update(format!("\0{what} {mode:o} {}:{}\n", owner.0, owner.1).as_bytes());
        }
        let (links, mounts) = (self.folders(By::Link), self.folders(By::Mount));
        Summary { entries: self.0.len() as u64, bytes, digest: digester.finish(), links, mounts }
    }

    /// The first entry of this one that `other` does not have in the same way, for people.
    pub(super) fn first_missing_in(&self, other: &Self) -> Option<String> {
        let same = |path: &Vec<u8>, one: &Listed| {
            let Some(there) = other.0.get(path) else { return false };
            there.kind == one.kind && there.mode == one.mode && there.owner == one.owner
        };
        let path = self.0.iter().find(|(path, one)| !same(path, one))?.0;
        Some(if path.is_empty() { "the folder itself".to_owned() } else { String::from_utf8_lossy(path).into_owned() })
    }
}

/// Which links are entered.
pub(super) struct Inside {
    /// The outermost folder, without links.
    pub(super) top: PathBuf,
    /// Whether any is.
    pub(super) follows: bool,
}

impl Inside {
    /// Whether a link leads to a folder that is not in the tree itself, nor around it.
    ///
    /// # Errors
    /// Where the link cannot be read.
    pub(super) fn enters(&self, folder: &Folder, name: &OsStr) -> io::Result<bool> {
        if !self.follows {
            return Ok(false);
        }
        let is_folder = |found: rustix::fs::Stat| FileType::from_raw_mode(found.st_mode) == FileType::Directory;
        if !statat(folder, name, AtFlags::empty()).is_ok_and(is_folder) {
            return Ok(false);
        }
        let led = folder.follow(name)?.path()?;
        let system = led.to_str().is_none_or(crate::places::is_system_folder);
        Ok(!system && !led.starts_with(&self.top) && !self.top.starts_with(&led))
    }
}

fn kind_of(folder: &Folder, name: &OsStr, mode: u32, device: u64) -> io::Result<Kind> {
    Ok(match FileType::from_raw_mode(mode) {
        FileType::Directory => Kind::Folder,
        FileType::Symlink => Kind::Link(readlinkat(folder, name, Vec::new())?.into_bytes()),
        FileType::RegularFile => {
            let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
            let mut file = File::from(openat(folder, name, flags, Mode::empty())?);
            let (mut digester, mut buffer, mut size) = (Digester::new(), vec![0; CHUNK], 0);
            loop {
                match file.read(&mut buffer)? {
                    0 => break Kind::File(size, digester.finish()),
                    count => {
                        digester.update(&buffer[..count]);
                        size += count as u64;
                    }
                }
            }
        }
        special => Kind::Special(special.as_raw_mode(), device),
    })
}

/// A name below a path.
pub(super) fn below(path: &[u8], name: &OsStr) -> Vec<u8> {
    let mut below = path.to_vec();
    if !path.is_empty() {
        below.push(b'/');
    }
    below.extend_from_slice(name.as_bytes());
    below
}
