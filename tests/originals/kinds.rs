//! Files of every kind, and all that the system says of them.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, chown, symlink};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, XattrFlags, lgetxattr, llistxattr, lsetxattr, utimensat};

use crate::available::skip;
use crate::host::Host;

/// Where each of them is.
pub(crate) const PATHS: [&str; 17] = [
    "/etc/capabilities",
    "/etc/acl",
    "/etc/attributes",
    "/etc/sparse",
    "/etc/linked-outside",
    "/etc/linked-a",
    "/etc/linked-b",
    "/etc/link-bytes",
    "/etc/link-folder",
    "/etc/setuid",
    "/etc/owned",
    "/etc/before-1970",
    "/etc/after-2038",
    "/etc/read-only",
    "/etc/empty",
    "/etc/twice-a",
    "/etc/twice-b",
];

/// `cap_net_raw` permitted and effective, as the kernel keeps it (linux/capability.h, version 2).
const CAPABILITY: [u8; 20] = [1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
/// User 1 may read and write, as the kernel keeps it (linux/posix_acl_xattr.h, version 2).
const ACL: [u8; 44] = [
    2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255, 2, 0, 6, 0, 1, 0, 0, 0, 4, 0, 4, 0, 255, 255, 255, 255, 16, 0, 6, 0,
    255, 255, 255, 255, 32, 0, 4, 0, 255, 255, 255, 255,
];

/// What stands in the sparse file, and where.
const MIDDLE: &[u8] = b"in the middle";
const AT: u64 = 512 << 10;

/// Makes them all, as far as this user and the file system can.
pub(crate) fn make(host: &Host) {
    for path in PATHS.iter().filter(|path| !path.contains("link-")) {
        host.write(path, &format!("what was at {path}"));
    }
    attribute(host, "/etc/capabilities", "security.capability", &CAPABILITY);
    attribute(host, "/etc/acl", "system.posix_acl_access", &ACL);
    for (name, value) in [("user.note", &b"hello"[..]), ("user.empty", b""), ("user.bytes", b"\0\xff")] {
        attribute(host, "/etc/attributes", name, value);
    }
    let sparse = File::create(host.at("/etc/sparse")).unwrap();
    sparse.set_len(1 << 20).unwrap();
    sparse.write_all_at(MIDDLE, AT).unwrap();
    fs::hard_link(host.at("/etc/linked-outside"), host.at("/etc/stays")).unwrap();
    fs::remove_file(host.at("/etc/linked-b")).unwrap();
    fs::hard_link(host.at("/etc/linked-a"), host.at("/etc/linked-b")).unwrap();
    symlink(OsStr::from_bytes(b"/opt/\xff\xfe"), host.at("/etc/link-bytes")).unwrap();
    fs::create_dir_all(host.at("/srv/folder")).unwrap();
    symlink("../srv/folder", host.at("/etc/link-folder")).unwrap();
    let mode = |path: &str, mode| fs::set_permissions(host.at(path), Permissions::from_mode(mode)).unwrap();
    mode("/etc/setuid", 0o4755);
    mode("/etc/read-only", 0o400);
    host.write("/etc/empty", "");
    host.write("/etc/twice-a", "twice");
    host.write("/etc/twice-b", "twice");
    mode("/etc/twice-b", 0o600);
    attribute(host, "/etc/twice-b", "user.note", b"the second");
    match rustix::process::geteuid().is_root() {
        true => chown(host.at("/etc/owned"), Some(12_345), Some(54_321)).unwrap(),
        false => skip("a file of another owner comes back: needs root"),
    }
    time(host, "/etc/before-1970", -86_400);
    time(host, "/etc/after-2038", 5_000_000_000);
    time(host, "/etc/link-bytes", 1_000);
}

/// Makes the sparse file one that is longer than people like to copy.
pub(crate) fn stretch(host: &Host) {
    File::options().write(true).open(host.at("/etc/sparse")).unwrap().set_len(100 << 20).unwrap();
}

fn attribute(host: &Host, path: &str, name: &str, value: &[u8]) {
    if let Err(error) = lsetxattr(host.at(path), name, value, XattrFlags::empty()) {
        skip(&format!("{name} comes back: the folder of tests cannot have it: {error}"));
    }
}

fn time(host: &Host, path: &str, seconds: i64) {
    let time = Timespec { tv_sec: seconds, tv_nsec: 123_456_789 };
    let times = Timestamps { last_access: time, last_modification: time };
    utimensat(CWD, host.at(path), &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

/// All that the system says of each of them, and of the name that one has outside.
pub(crate) fn snapshot(host: &Host) -> BTreeMap<&'static str, String> {
    PATHS.into_iter().chain(["/etc/stays"]).map(|path| (path, facts(&host.at(path)))).collect()
}

/// All that the system says of a file.
pub(crate) fn facts(path: &Path) -> String {
    let found = path.symlink_metadata().unwrap();
    let content = match found.is_symlink() {
        true => fs::read_link(path).unwrap().into_os_string().into_vec(),
        // Of the sparse one, what is no hole.
        false if found.len() > AT => {
            let mut middle = vec![0; MIDDLE.len()];
            File::open(path).unwrap().read_exact_at(&mut middle, AT).unwrap();
            middle
        }
        false => fs::read(path).unwrap(),
    };
    let mut names = vec![0; 4096];
    let length = llistxattr(path, &mut names[..]).unwrap_or_default();
    let mut attributes: Vec<_> = names[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty()).collect();
    attributes.sort_unstable();
    let value = |name: &&[u8]| {
        let mut value = vec![0; 4096];
        let length = lgetxattr(path, OsStr::from_bytes(name), &mut value[..]).unwrap();
        format!("{}={:?}", String::from_utf8_lossy(name), &value[..length])
    };
    let attributes: Vec<String> = attributes.iter().map(value).collect();
    format!(
        "inode {} mode {:o} owner {}:{} size {} blocks {} links {} time {}.{} {attributes:?} {}",
        found.ino(),
        found.mode(),
        found.uid(),
        found.gid(),
        found.size(),
        found.blocks(),
        found.nlink(),
        found.mtime(),
        found.mtime_nsec(),
        content.escape_ascii()
    )
}
