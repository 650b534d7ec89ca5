//! Originals that cannot simply be moved: to another file system, or not at all. As root, with real mounts and flags.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::Command;

use rustix::fs::{IFlags, ioctl_getflags, ioctl_setflags};

use crate::available::skip;
use crate::host::{Host, build};

/// A file system in memory, while this lives.
struct Disk(PathBuf);

impl Disk {
    fn mount(at: PathBuf) -> Option<Self> {
        fs::create_dir_all(&at).unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "originals"]).arg(&at).status();
        mounted.is_ok_and(|status| status.success()).then_some(Self(at))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn what_a_store_on_another_disk_cannot_keep_is_told_before() {
    let host = Host::new();
    let Some(_disk) = Disk::mount(host.at("/var/lib/carrack")) else {
        return skip("what_a_store_on_another_disk_cannot_keep_is_told_before: needs to mount");
    };
    host.write("/etc/linked", "two names");
    fs::hard_link(host.at("/etc/linked"), host.at("/etc/stays")).unwrap();
    host.write("/etc/plain", "one name");
    let times = || fs::metadata(host.at("/etc/plain")).map(|found| (found.mtime(), found.mtime_nsec())).unwrap();
    let before = times();
    let bundle = build(&host.sandbox, "1.0.0", &[("/etc/linked", "new"), ("/etc/plain", "new")], &[]);
    for command in [&["plan", &bundle][..], &["apply", &bundle, "--yes"]] {
        let told = host.run(command, 0).stderr;
        let lost = "/etc/linked is replaced, and kept as a copy, since /var/lib/carrack is on another file system: it has 2 names";
        assert!(told.contains(lost), "{told}");
        assert!(!told.contains("/etc/plain is replaced"), "{told}");
    }
    let told = host.run(&["uninstall", "--yes"], 0).stderr;
    assert!(told.contains("verified: 2 files"), "{told}");
    assert_eq!((host.read("/etc/linked"), host.read("/etc/plain")), ("two names".to_owned(), "one name".to_owned()));
    assert_eq!(times(), before);
    // As it was said before.
    assert_eq!(fs::metadata(host.at("/etc/linked")).unwrap().nlink(), 1);
    assert_eq!(host.read("/etc/stays"), "two names");
}

/// As containers have /etc/resolv.conf and /etc/hosts.
#[test]
fn what_is_mounted_over_is_told_before() {
    let host = Host::new();
    host.write("/etc/app.conf", "below");
    host.write("/elsewhere", "theirs");
    let (over, path) = (host.at("/elsewhere"), host.at("/etc/app.conf"));
    let mounted = Command::new("mount").arg("--bind").args([&over, &path]).status();
    if !mounted.is_ok_and(|status| status.success()) {
        return skip("what_is_mounted_over_is_told_before: needs to mount");
    }
    let disk = Disk(path);
    let bundle = build(&host.sandbox, "1.0.0", &[("/etc/app.conf", "new"), ("/etc/other", "new")], &[]);
    for command in [&["plan", &bundle][..], &["apply", &bundle, "--yes"]] {
        let told = host.run(command, 40).stderr;
        assert!(told.contains("etc/app.conf is a mount point, and cannot be replaced"), "{told}");
        assert!(told.contains("hint: see what is mounted there: findmnt "), "{told}");
        assert!(!host.at("/etc/other").exists());
    }
    assert_eq!(host.read("/elsewhere"), "theirs");
    // One that is as it must be needs no replacing.
    let same = build(&host.sandbox, "1.1.0", &[("/etc/other", "new")], &[]);
    host.run(&["apply", &same, "--yes"], 0);
    host.run(&["uninstall", "--yes"], 0);
    drop(disk);
    assert_eq!(host.read("/etc/app.conf"), "below");
    host.run(&["apply", &bundle, "--yes"], 0);
}

#[test]
fn a_folder_that_somebody_uses_by_now_stays_and_is_named() {
    let host = Host::new();
    let files = [("/etc/shop/deep/one", "one"), ("/etc/shop/two", "two"), ("/opt/empty/three", "three")];
    let bundle = build(&host.sandbox, "1.0.0", &files, &[]);
    host.run(&["apply", &bundle, "--yes"], 0);
    host.write("/etc/shop/deep/notes.txt", "theirs");
    let told = host.run(&["uninstall", "--yes"], 0).stderr;
    let stays = "/etc/shop/deep was made for what is gone now, and stays, since notes.txt is in it";
    assert!(told.contains(stays), "{told}");
    assert!(!told.contains("/etc/shop was made") && !told.contains("/opt/empty was made"), "{told}");
    assert_eq!(host.read("/etc/shop/deep/notes.txt"), "theirs");
    assert!(!host.at("/opt").exists() && !host.at("/etc/shop/two").exists());
}

#[test]
fn what_cannot_be_replaced_is_told_before() {
    let host = Host::new();
    host.write("/etc/app.conf", "theirs");
    let file = File::open(host.at("/etc/app.conf")).unwrap();
    let Ok(flags) = ioctl_getflags(&file) else {
        return skip("what_cannot_be_replaced_is_told_before: needs a file system with flags");
    };
    if ioctl_setflags(&file, flags | IFlags::IMMUTABLE).is_err() {
        return skip("what_cannot_be_replaced_is_told_before: needs root");
    }
    let bundle = build(&host.sandbox, "1.0.0", &[("/etc/app.conf", "new"), ("/etc/other", "new")], &[]);
    let told = [&["plan", &bundle][..], &["apply", &bundle, "--yes"]].map(|command| host.run(command, 40).stderr);
    ioctl_setflags(&file, flags).unwrap();
    for told in told {
        assert!(told.contains("etc/app.conf is immutable or append-only"), "{told}");
        assert!(told.contains("hint: where it may be replaced, allow it: chattr -i -a "), "{told}");
    }
    assert!(!host.at("/etc/other").exists());
    host.run(&["apply", &bundle, "--yes"], 0);
}
