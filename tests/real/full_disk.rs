//! Disks that are full or read-only: small file systems in memory, mounted by the test.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use carrack::registry::in_process::{Fault, InProcessRegistry, Layer};

use super::parts::{available, output, run, speaking, wait_until};
use super::project::both;

/// A file system in memory.
struct Disk {
    folder: tempfile::TempDir,
}

impl Disk {
    fn mount(bytes: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = format!("size={bytes}");
        output("mount", ["-t", "tmpfs", "-o", &options, "tmpfs", folder.path().to_str().unwrap()]);
        Self { folder }
    }

    fn remount(&self, options: &str) {
        output("mount", ["-o", &format!("remount,{options}"), self.folder.path().to_str().unwrap()]);
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Leaves no byte free.
    fn fill(&self) {
        let mut file = fs::File::create(self.path("filler")).unwrap();
        while file.write_all(&[0; 4096]).is_ok() {}
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        run("umount", ["-l", self.folder.path().to_str().unwrap()]);
    }
}

/// A profile of one image with a layer of 4 MiB that does not compress.
struct Lab {
    folder: tempfile::TempDir,
    registry: InProcessRegistry,
    layer: Layer,
}

impl Lab {
    fn new() -> Self {
        let (folder, registry) = (tempfile::tempdir().unwrap(), InProcessRegistry::start().unwrap());
        let mut state = 1_u64;
        let mut noise = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) as u8
        };
        let noise: Vec<u8> = (0..4 << 20).map(|_| noise()).collect();
        let layer = Layer::tar(&[("noise", 0o644, &noise)]).unwrap().zstd().unwrap();
        registry.put_image("app", Some("1"), &speaking("linux/amd64", vec![layer.clone()], ""));
        fs::write(folder.path().join("file"), "content of a host file").unwrap();
        let profile = format!(
            "apiVersion: carrack/v1\nkind: ClusterProfile\nmetadata: {{name: disk, version: 1.0.0}}\nspec:\n  packs:\n    \
             - {{name: a, layer: addon, images: [\"{}/app:1\"], files: [{{source: file, path: /etc/file}}]}}\n",
            registry.host()
        );
        fs::write(folder.path().join("carrack.yaml"), profile).unwrap();
        Self { folder, registry, layer }
    }

    fn build(&self, out: &Path) -> Command {
        let mut build = Command::new(env!("CARGO_BIN_EXE_carrack"));
        build.arg("build").arg(self.folder.path()).arg("-o").arg(out).env("HOME", self.folder.path());
        build
    }
}

/// Runs a command that must fail with `code` and say all of `words`.
fn refused(command: &mut Command, code: i32, words: &[&str]) {
    let output = command.output().unwrap();
    let text = both(&output);
    assert_eq!(output.status.code(), Some(code), "{text}");
    words.iter().for_each(|word| assert!(text.contains(word), "no {word:?} in {text}"));
}

#[test]
fn a_disk_that_is_too_small_is_told_before_anything_is_fetched() {
    if !available("a_disk_that_is_too_small_is_told_before_anything_is_fetched", &["mount", "umount"]) {
        return;
    }
    let (lab, disk) = (Lab::new(), Disk::mount(1 << 20));
    let out = disk.path("out");
    refused(&mut lab.build(&out), 25, &["out.partial", "bytes more and its filesystem has", "free"]);
    assert_eq!(lab.registry.served(&carrack::oci::Digest::of(&lab.layer.content)).gets, 0);
    assert!(!out.exists());
    disk.remount("size=16m");
    assert!(lab.build(&out).status().unwrap().success());

    // The host's disk likewise, before anything is read.
    let host = Disk::mount(64 << 10);
    host.fill();
    fs::remove_file(host.path("filler")).unwrap();
    fs::write(host.path("filler"), vec![0; 64 << 10]).unwrap();
    let mut apply = Command::new(env!("CARGO_BIN_EXE_carrack-install"));
    apply.arg("apply").arg(&out).arg("--root").arg(host.path("")).arg("--yes");
    refused(&mut apply, 40, &["space: needed 22 B in", "0 B free"]);
    assert_eq!(fs::read_dir(host.path("")).unwrap().count(), 1);
}

#[test]
fn a_disk_that_fills_while_writing_is_told_and_the_build_goes_on_later() {
    if !available("a_disk_that_fills_while_writing_is_told_and_the_build_goes_on_later", &["mount", "umount"]) {
        return;
    }
    let (lab, disk) = (Lab::new(), Disk::mount(8 << 20));
    let (out, partial, log) = (disk.path("out"), disk.path("out.partial"), lab.folder.path().join("log"));
    let blob = format!("blobs/{}", carrack::oci::Digest::of(&lab.layer.content));
    lab.registry.inject(blob, Fault::Slow(64 << 10, Duration::from_millis(20)));
    let mut build = lab.build(&out);
    let child = build.stdout(Stdio::null()).stderr(fs::File::create(&log).unwrap()).spawn().unwrap();
    // The head is there, so the check of free space is behind it, and the layer is on its way.
    wait_until("the partial bundle", &log, || fs::metadata(&partial).is_ok_and(|facts| facts.len() > 0));
    disk.fill();
    let ended = child.wait_with_output().unwrap();
    let text = fs::read_to_string(&log).unwrap();
    assert_eq!(ended.status.code(), Some(25), "{text}");
    assert!(text.contains("out.partial") && text.contains("No space left on device"), "{text}");
    assert!(!out.exists());
    fs::remove_file(disk.path("filler")).unwrap();
    assert!(lab.build(&out).status().unwrap().success());
    refused(Command::new(env!("CARGO_BIN_EXE_carrack")).arg("verify").arg(&out), 0, &["is whole"]);
}

#[test]
fn a_read_only_disk_is_told() {
    if !available("a_read_only_disk_is_told", &["mount", "umount"]) {
        return;
    }
    let (lab, disk) = (Lab::new(), Disk::mount(16 << 20));
    let out = disk.path("out");
    assert!(lab.build(&out).status().unwrap().success());
    fs::create_dir(disk.path("root")).unwrap();
    disk.remount("ro");
    refused(&mut lab.build(&disk.path("other")), 25, &["other.partial", "Read-only file system"]);
    // A bundle is read where it lies, on media that cannot be written.
    refused(Command::new(env!("CARGO_BIN_EXE_carrack")).arg("verify").arg(&out), 0, &["is whole"]);
    let mut apply = Command::new(env!("CARGO_BIN_EXE_carrack-install"));
    apply.arg("apply").arg(&out).arg("--root").arg(disk.path("root")).arg("--yes");
    refused(&mut apply, 40, &["read-only file system", "remount,rw", "root/etc"]);
}
