//! The archive for k3s and RKE2, imported by a real containerd the way their start does: all platforms, no network.

use std::fs;
use std::process::Command;

use carrack::oci::Digest;

use super::parts::{Containerd, available, output};
use super::project::{Project, both, succeed};

#[test]
fn a_distributions_archive_imports_without_a_platform() {
    let tools = ["docker-registry", "skopeo", "containerd", "ctr", "runc", "ip", "busybox", "zstd", "tar"];
    if !available("a_distributions_archive_imports_without_a_platform", &tools) {
        return;
    }
    let project = Project::new();
    let bundle = project.build("trip.tar.zst");
    let root = project.path("host");
    fs::create_dir(&root).unwrap();
    let containerd = Containerd::start(project.folder.path());
    let installer = |command: &str| {
        let mut installer = containerd.network.command(env!("CARGO_BIN_EXE_carrack-install"));
        installer.arg(command).arg("--root").arg(&root);
        installer
    };
    let apply = || installer("apply").arg(&bundle).args(["--runtime", "k3s", "--yes"]).output().unwrap();
    let first = apply();
    assert!(first.status.success(), "{}", both(&first));
    let archive = root.join("var/lib/rancher/k3s/agent/images/trip-1.0.0.tar.zst");
    let path = archive.to_str().unwrap();

    let shell = |script: &str| succeed(Command::new("bash").args(["-o", "pipefail", "-ec", script]));
    output("zstd", ["-t", "-q", path]);
    let list = shell(&format!("zstd -dc {path} | tar -t"));
    assert!(list.starts_with("oci-layout\nindex.json\nblobs/sha256/"), "{list}");
    let address = containerd.address.display();
    for all in ["", "--all-platforms"] {
        shell(&format!("zstd -dc {path} | ctr -a {address} -n k8s.io images import {all} -"));
    }
    let host = &project.registry.host;
    let (pinned, index) = (project.pinned.digest, project.index.digest);
    for (name, id, said) in [
        (format!("{host}/app/tagged:1.0"), "tagged", "hello by tag\n"),
        (format!("{host}/app/pinned@{pinned}"), "pinned", "hello by digest\n"),
        (format!("{host}/app/multi:2.0"), "multi", "I am linux/amd64\n"),
        (format!("{host}/app/multi@{index}"), "multi-pinned", "I am linux/amd64\n"),
    ] {
        assert_eq!(containerd.run_image(&name, id), said, "{name}");
    }

    let content = Digest::of(&fs::read(&archive).unwrap());
    let again = apply();
    assert!(again.status.success() && both(&again).contains("nothing to change"), "{}", both(&again));
    assert_eq!(Digest::of(&fs::read(&archive).unwrap()), content);
    succeed(&mut installer("status"));
    let leftovers = fs::read_dir(archive.parent().unwrap()).unwrap().count();
    assert_eq!(leftovers, 1);
}

#[test]
fn a_damaged_bundle_leaves_no_archive() {
    if !available("a_damaged_bundle_leaves_no_archive", &["docker-registry", "skopeo", "busybox"]) {
        return;
    }
    let project = Project::new();
    let bundle = project.build("trip.tar.zst");
    let mut content = fs::read(&bundle).unwrap();
    let middle = content.len() / 2;
    content[middle] ^= 1;
    fs::write(&bundle, content).unwrap();
    let root = project.path("host");
    fs::create_dir(&root).unwrap();
    let mut apply = Command::new(env!("CARGO_BIN_EXE_carrack-install"));
    let output = apply.arg("apply").arg(&bundle).args(["--runtime", "k3s", "--yes", "--root"]).arg(&root).output();
    let output = output.unwrap();
    assert_eq!(output.status.code(), Some(30), "{}", both(&output));
    assert_eq!(fs::read_dir(&root).unwrap().count(), 0);
}
