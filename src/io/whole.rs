//! What a file is besides its content, and copies that carry all of it.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
use std::fs::{File, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;

use rustix::fs::{FileType, SeekFrom, Stat, Timespec, Timestamps, XattrFlags};
use rustix::io::Errno;

use super::place::FOLDERS;
use super::{AtPath, PathError, Place, file_type};

/// Read and written at once.
const CHUNK: usize = 256 << 10;

/// The extended attributes of the file or symbolic link at `place`: ACLs, capabilities, the SELinux label and those of users. None
/// where the file system has none; nothing where there is no `/proc` to ask through.
///
/// # Errors
/// Where the system does not tell.
pub fn attributes(place: &Place) -> Result<Option<BTreeMap<CString, Vec<u8>>>, PathError> {
    if !Path::new(FOLDERS).is_dir() {
        return Ok(None);
    }
    place.with_path(attributes_of).at("read the attributes of", place.shown()).map(Some)
}

fn attributes_of(path: &Path) -> io::Result<BTreeMap<CString, Vec<u8>>> {
    let mut found = BTreeMap::new();
    for name in names(path)? {
        let value = grown(
            || rustix::fs::lgetxattr_query(path, name.as_c_str()),
            |buffer| rustix::fs::lgetxattr(path, name.as_c_str(), buffer),
        );
        match value {
            // Somebody has removed it since.
            Err(Errno::NODATA) => {}
            other => drop(found.insert(name.clone(), other?)),
        }
    }
    Ok(found)
}

fn names(path: &Path) -> io::Result<Vec<CString>> {
    let list = grown(|| rustix::fs::llistxattr_query(path), |buffer| rustix::fs::llistxattr(path, buffer));
    let list = match list {
        Err(Errno::NOTSUP | Errno::NOSYS) => return Ok(Vec::new()),
        other => other?,
    };
    let names = list.split_inclusive(|byte| *byte == 0);
    Ok(names.filter_map(|name| CStr::from_bytes_with_nul(name).ok()).map(CStr::to_owned).collect())
}

/// Asks for a length and then for as many bytes, again where they have become more in between.
fn grown(
    length: impl Fn() -> Result<usize, Errno>,
    fill: impl Fn(&mut [u8]) -> Result<usize, Errno>,
) -> Result<Vec<u8>, Errno> {
    loop {
        let mut buffer = vec![0; length()?];
        if buffer.is_empty() {
            return Ok(buffer);
        }
        match fill(&mut buffer) {
            Err(Errno::RANGE) => {}
            other => {
                buffer.truncate(other?);
                return Ok(buffer);
            }
        }
    }
}

/// Copies the file or symbolic link at `from` to `to`, where nothing may be: content with its holes, owner, mode, attributes and
/// times, synced. Returns the names of the attributes that `to` could not get.
///
/// # Errors
/// Where it cannot be read or written; then there may be a part of it at `to`.
pub fn copy_whole(from: &Place, to: &Place) -> Result<Vec<String>, PathError> {
    let facts = from.stat()?.ok_or(ErrorKind::NotFound).at("look at", from.shown())?;
    let copied = match file_type(&facts) {
        FileType::Symlink => {
            to.symlink(&from.read_link()?)?;
            None
        }
        // Opening anything else is refused.
        _ => Some(copy_content(from, to)?),
    };
    // Giving a file away takes its capabilities and its setuid bit, so that comes first. Only root gives files to others.
    if rustix::process::geteuid().is_root() {
        to.set_owner(facts.st_uid, facts.st_gid)?;
    }
    if let Some(file) = &copied {
        file.set_permissions(Permissions::from_mode(facts.st_mode & 0o7777)).at("set the mode of", to.shown())?;
    }
    let mut left = Vec::new();
    for (name, value) in attributes(from)?.unwrap_or_default() {
        let set = to.with_path(|path| Ok(rustix::fs::lsetxattr(path, name.as_c_str(), &value, XattrFlags::empty())?));
        if set.is_err() {
            left.push(name.to_string_lossy().into_owned());
        }
    }
    to.set_times(&times(&facts)).at("set the time of", to.shown())?;
    if let Some(file) = &copied {
        file.sync_all().at("sync", to.shown())?;
    }
    to.sync_folder()?;
    Ok(left)
}

fn times(facts: &Stat) -> Timestamps {
    let time = |seconds, nanoseconds| Timespec { tv_sec: seconds, tv_nsec: nanoseconds };
    Timestamps {
        last_access: time(facts.st_atime, facts.st_atime_nsec as _),
        last_modification: time(facts.st_mtime, facts.st_mtime_nsec as _),
    }
}

/// Copies what is not a hole. What has holes need not fit on the disk without them.
fn copy_content(from: &Place, to: &Place) -> Result<File, PathError> {
    // Private until it has its mode.
    let (source, target) = (from.open()?, to.create(0o600)?);
    let size = source.metadata().at("look at", from.shown())?.len();
    let (from, to) = (from.shown(), to.shown());
    target.set_len(size).at("write", to)?;
    let (mut at, mut buffer) = (0, vec![0; CHUNK]);
    while at < size {
        let start = match rustix::fs::seek(&source, SeekFrom::Data(at)) {
            // Nothing but a hole is left.
            Err(Errno::NXIO) => break,
            other => other.at("read", from)?,
        };
        let end = rustix::fs::seek(&source, SeekFrom::Hole(start)).at("read", from)?;
        at = start;
        while at < end {
            let want = usize::try_from(end - at).unwrap_or(CHUNK).min(CHUNK);
            let count = source.read_at(&mut buffer[..want], at).at("read", from)?;
            if count == 0 {
                return Ok(target);
            }
            target.write_all_at(&buffer[..count], at).at("write", to)?;
            at += count as u64;
        }
    }
    Ok(target)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::fs;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::{MetadataExt, symlink};

    use super::*;

    fn place(path: &Path) -> Place {
        Place::of(path).unwrap()
    }

    #[test]
    fn a_copy_is_the_file_with_all_that_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        let file = File::create(&from).unwrap();
        file.set_len(64 << 20).unwrap();
        file.write_all_at(b"in the middle", 32 << 20).unwrap();
        fs::set_permissions(&from, fs::Permissions::from_mode(0o4750)).unwrap();
        let time = Timespec { tv_sec: -86_400, tv_nsec: 5 };
        let times = Timestamps { last_access: time, last_modification: time };
        place(&from).set_times(&times).unwrap();
        let has = rustix::fs::lsetxattr(&from, c"user.note", b"hello", XattrFlags::empty()).is_ok();
        assert_eq!(copy_whole(&place(&from), &place(&to)).unwrap(), Vec::<String>::new());
        let (one, two) = (from.metadata().unwrap(), to.metadata().unwrap());
        let facts = |of: &fs::Metadata| (of.len(), of.mode(), of.uid(), of.mtime(), of.mtime_nsec());
        assert_eq!(facts(&one), facts(&two));
        assert!(two.blocks() <= one.blocks() + 8, "{} {}", one.blocks(), two.blocks());
        assert_eq!(attributes(&place(&to)).unwrap().unwrap().contains_key(c"user.note"), has);
        assert!(fs::read(&from).unwrap() == fs::read(&to).unwrap());
    }

    #[test]
    fn a_copy_of_a_link_leads_to_the_same_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        symlink(OsStr::from_bytes(b"/opt/\xff\xfe"), &from).unwrap();
        copy_whole(&place(&from), &place(&to)).unwrap();
        assert_eq!(fs::read_link(&to).unwrap().as_os_str().as_bytes(), b"/opt/\xff\xfe");
    }

    #[test]
    fn nothing_is_copied_over() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        fs::write(&from, "new").unwrap();
        fs::write(&to, "theirs").unwrap();
        copy_whole(&place(&from), &place(&to)).unwrap_err();
        assert_eq!(fs::read_to_string(&to).unwrap(), "theirs");
    }
}
