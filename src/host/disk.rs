//! Space, file systems and the disks below them.

use std::path::{Path, PathBuf};

use rustix::fs::{Dir, FileType, Mode, OFlags, open};

use super::Facts;
use crate::io::{AtPath, PathError};

/// The file system that a path is or would be on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Space {
    /// The deepest folder of the path that exists.
    pub folder: PathBuf,
    /// Bytes that this user may still write.
    pub free: u64,
    /// Bytes that it has in all.
    pub size: u64,
    /// Tells file systems apart.
    pub device: u64,
}

/// Free space where `path` is or would be made.
///
/// # Errors
/// Where the system does not tell.
pub fn space(path: &Path) -> Result<Space, PathError> {
    let folder = path.ancestors().find(|folder| folder.is_dir()).unwrap_or(Path::new("/"));
    let facts = rustix::fs::statvfs(folder).at("find the free space of", folder)?;
    let device = rustix::fs::stat(folder).at("look at", folder)?.st_dev;
    let bytes = |blocks: u64| blocks.saturating_mul(facts.f_frsize);
    Ok(Space { folder: folder.to_owned(), free: bytes(facts.f_bavail), size: bytes(facts.f_blocks), device })
}

/// Whether this user may make files where `path` is or would be made.
pub fn is_writable(path: &Path) -> bool {
    let folder = path.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("/"));
    rustix::fs::access(folder, rustix::fs::Access::WRITE_OK).is_ok()
}

/// Whether the file system that `path` is or would be on is mounted for reading alone.
pub fn is_read_only(path: &Path) -> bool {
    let folder = path.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("/"));
    rustix::fs::statvfs(folder).is_ok_and(|facts| facts.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY))
}

/// A file system that is mounted (proc_pid_mountinfo(5)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// The folder that it is mounted at.
    pub folder: PathBuf,
    /// Its type: `ext4`, `vfat`.
    pub kind: String,
    /// What it is made of, such as `/dev/sda1`.
    pub source: PathBuf,
    /// The device's numbers, `8:1`.
    pub device: String,
}

/// What a disk is, the fastest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Medium {
    /// It does not rotate.
    Solid,
    /// A virtual one, which says that it rotates whatever is below.
    Virtual,
    /// It rotates.
    Rotating,
}

/// What hypervisors call their disks.
const VIRTUAL: [&str; 4] = ["QEMU", "VMware", "VBOX", "Virtual"];
/// Volumes on volumes.
const MAX_LAYERS: usize = 8;

impl Facts {
    /// All that is mounted, what was mounted later after what was before.
    pub fn mounts(&self) -> Vec<Mount> {
        self.text("/proc/self/mountinfo").unwrap_or_default().lines().filter_map(mount).collect()
    }

    /// The file system that `path` is or would be on. Symbolic links are followed.
    pub fn mount(&self, path: &str) -> Option<Mount> {
        let text = self.text("/proc/self/mountinfo")?;
        let real = self.real(Path::new(path));
        // What was mounted last covers what was there before.
        let over = text.lines().filter_map(mount).filter(|mount| real.starts_with(&mount.folder));
        over.reduce(|best, mount| if mount.folder.starts_with(&best.folder) { mount } else { best })
    }

    /// `path` without links, as far as it exists.
    fn real(&self, path: &Path) -> PathBuf {
        let there = path.ancestors().find(|folder| self.at(folder).exists()).unwrap_or(Path::new("/"));
        let real = std::fs::canonicalize(self.at(there)).ok().and_then(|real| self.within(&real));
        let rest = path.strip_prefix(there).unwrap_or(Path::new(""));
        real.map_or_else(|| path.to_owned(), |real| if rest.as_os_str().is_empty() { real } else { real.join(rest) })
    }

    /// The disk that a file system is on, by name, and what it is; of several, the slowest. Nothing where that is no disk.
    pub fn disk(&self, mount: &Mount) -> Option<(String, Medium)> {
        let numbers = self.at(Path::new("/sys/dev/block").join(&mount.device));
        let folder = std::fs::canonicalize(numbers).ok().or_else(|| {
            // A file system of several devices, such as btrfs, has numbers that are no disk's.
            let device = std::fs::canonicalize(self.at(&mount.source)).unwrap_or_else(|_| mount.source.clone());
            std::fs::canonicalize(self.at(Path::new("/sys/class/block").join(device.file_name()?))).ok()
        })?;
        self.block(&folder, MAX_LAYERS)
    }

    /// The same of a folder of the kernel's block devices. A volume is what its slowest part is.
    fn block(&self, folder: &Path, layers: usize) -> Option<(String, Medium)> {
        let folder = if folder.join("partition").exists() { folder.parent()? } else { folder };
        let name = folder.file_name()?.to_str()?.to_owned();
        let parts = std::fs::read_dir(folder.join("slaves")).into_iter().flatten().flatten();
        let parts =
            parts.filter_map(|part| self.block(&std::fs::canonicalize(part.path()).ok()?, layers.checked_sub(1)?));
        if let Some((part, medium)) = parts.max_by_key(|(_, medium)| *medium) {
            return Some((part, medium));
        }
        let read = |file: &str| self.line(self.within(&folder.join(file))?);
        let says = |file: &str| read(file).is_some_and(|text| VIRTUAL.iter().any(|word| text.contains(word)));
        let medium = match read("queue/rotational")?.as_str() {
            "0" => Medium::Solid,
            _ if name.starts_with("vd") || name.starts_with("xvd") => Medium::Virtual,
            _ if says("device/vendor") || says("device/model") => Medium::Virtual,
            _ => Medium::Rotating,
        };
        Some((name, medium))
    }

    /// Whether folders tell what their files are, which XFS that was made without `ftype` does not.
    pub fn tells_types(&self, path: &str) -> bool {
        let there = Path::new(path).ancestors().map(|folder| self.at(folder)).find(|folder| folder.is_dir());
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let entries = there.and_then(|folder| Dir::new(open(&folder, flags, Mode::empty()).ok()?).ok());
        entries.into_iter().flatten().flatten().all(|entry| {
            let itself = matches!(entry.file_name().to_bytes(), b"." | b"..");
            itself || entry.file_type() != FileType::Unknown
        })
    }
}

/// A line of `mountinfo`.
fn mount(line: &str) -> Option<Mount> {
    let (before, after) = line.split_once(" - ")?;
    let (mut before, mut after) = (before.split(' '), after.split(' '));
    let (device, folder) = (before.nth(2)?, before.nth(1)?);
    let (kind, source) = (after.next()?, after.next()?);
    Some(Mount {
        folder: unescape(folder).into(),
        kind: kind.to_owned(),
        source: unescape(source).into(),
        device: device.to_owned(),
    })
}

/// Spaces and the like are written as `\040` there.
fn unescape(text: &str) -> String {
    let mut parts = text.split('\\');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let octal = part.get(..3).and_then(|octal| u8::from_str_radix(octal, 8).ok()).filter(u8::is_ascii);
        match octal {
            Some(byte) => {
                plain.push(char::from(byte));
                plain.push_str(&part[3..]);
            }
            None => {
                plain.push('\\');
                plain.push_str(part);
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_are_read_with_any_number_of_optional_fields() {
        let found =
            mount("36 35 98:0 /mnt1 /mnt\\0402 rw,noatime master:1 propagate_from:2 - ext3 /dev/root rw").unwrap();
        assert_eq!((found.device.as_str(), found.folder.as_path()), ("98:0", Path::new("/mnt 2")));
        assert_eq!((found.kind.as_str(), found.source.as_path()), ("ext3", Path::new("/dev/root")));
        assert_eq!(mount("22 27 0:21 / /proc rw,relatime - proc proc rw").unwrap().kind, "proc");
        for bad in ["", "1 2 3", "36 35 98:0 / /mnt rw", " - ext3 x"] {
            assert_eq!(mount(bad), None, "{bad}");
        }
        assert_eq!([unescape("a\\134b"), unescape("a\\9"), unescape("\\")], ["a\\b", "a\\9", "\\"]);
    }

    #[test]
    fn the_last_and_deepest_mount_counts() {
        let folder = tempfile::tempdir().unwrap();
        let line = |device: &str, at: &str| format!("1 1 {device} / {at} rw - ext4 /dev/x rw\n");
        let text =
            [line("8:1", "/"), line("8:2", "/var"), line("8:3", "/var/lib"), line("8:4", "/var"), line("8:5", "/va")];
        std::fs::create_dir_all(folder.path().join("proc/self")).unwrap();
        std::fs::write(folder.path().join("proc/self/mountinfo"), text.concat()).unwrap();
        std::fs::create_dir_all(folder.path().join("opt/data")).unwrap();
        std::fs::create_dir_all(folder.path().join("var")).unwrap();
        std::os::unix::fs::symlink("../opt/data", folder.path().join("var/data")).unwrap();
        let facts = Facts::below(folder.path(), space);
        let device = |path: &str| facts.mount(path).unwrap().device;
        assert_eq!(device("/usr/x"), "8:1");
        assert_eq!(device("/var/new/x"), "8:4");
        assert_eq!(device("/var/data/x"), "8:1");
        assert!(facts.tells_types("/var/data/new"));
        assert!(Facts::here().mount("/").is_some());
    }

    #[test]
    fn a_volume_is_as_slow_as_its_slowest_disk() {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        for (disk, rotates) in [("sda", "0"), ("sdb", "1"), ("vdc", "1")] {
            for part in ["queue", &format!("{disk}1")] {
                std::fs::create_dir_all(at(&format!("sys/block/{disk}/{part}"))).unwrap();
            }
            std::fs::write(at(&format!("sys/block/{disk}/queue/rotational")), rotates).unwrap();
            std::fs::write(at(&format!("sys/block/{disk}/{disk}1/partition")), "1").unwrap();
        }
        std::fs::create_dir_all(at("sys/class/block")).unwrap();
        let volume = |name: &str, parts: &[&str]| {
            let slaves = at(&format!("sys/block/{name}/slaves"));
            std::fs::create_dir_all(&slaves).unwrap();
            for part in parts {
                std::os::unix::fs::symlink(at(&format!("sys/block/{part}")), slaves.join(part.replace('/', "!")))
                    .unwrap();
            }
            std::os::unix::fs::symlink(at(&format!("sys/block/{name}")), at(&format!("sys/class/block/{name}")))
                .unwrap();
        };
        volume("dm-0", &["sda/sda1", "sdb/sdb1"]);
        volume("dm-1", &["vdc/vdc1", "sda/sda1"]);
        volume("md0", &["dm-1"]);
        volume("dm-9", &["dm-9"]);
        let facts = Facts::below(folder.path(), space);
        // btrfs has numbers of its own.
        let disk = |source: &str| {
            let (folder, kind, device) = ("/".into(), "btrfs".to_owned(), "0:31".to_owned());
            facts.disk(&Mount { folder, kind, source: source.into(), device })
        };
        assert_eq!(disk("/dev/dm-0"), Some(("sdb".to_owned(), Medium::Rotating)));
        assert_eq!(disk("/dev/md0"), Some(("vdc".to_owned(), Medium::Virtual)));
        assert_eq!((disk("/dev/none"), disk("tmpfs"), disk("/dev/dm-9")), (None, None, None));
    }
}
