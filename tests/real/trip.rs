//! From a real registry into a real containerd without a network.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use super::parts::{Containerd, available, raw_digest};
use super::project::{Project, both, sha256, succeed};

const TOOLS: [&str; 7] = ["docker-registry", "skopeo", "containerd", "ctr", "runc", "ip", "busybox"];

#[test]
fn images_run_where_there_is_no_network() {
    if !available("images_run_where_there_is_no_network", &TOOLS) {
        return;
    }
    let project = Project::new();
    let bundle = project.build("trip.tar.zst");
    let containerd = Containerd::start(project.folder.path());
    let root = project.path("host");
    fs::create_dir(&root).unwrap();
    let apply = || {
        let mut apply = containerd.installer("apply");
        apply.arg(&bundle).arg("--root").arg(&root).args(["--runtime", "containerd", "--yes"]);
        apply
    };
    succeed(&mut apply());

    let host = &project.registry.host;
    let (tagged, pinned) = (format!("{host}/app/tagged:1.0"), format!("{host}/app/pinned@{}", project.pinned.digest));
    let multi = format!("{host}/app/multi:2.0");
    for name in [&tagged, &pinned, &multi] {
        assert!(containerd.images().contains(name), "{name} is missing from {:?}", containerd.images());
    }
    // One line per image; the fourth column counts what is there of what is needed.
    for line in containerd.ctr(["images", "check"]).lines().skip(1) {
        assert!(line.contains(" complete "), "{line}");
        assert!(line.ends_with("true") || line.trim_end().ends_with("true"), "not unpacked: {line}");
    }
    assert_eq!(containerd.run_image(&tagged, "by-tag"), "hello by tag\n");
    assert_eq!(containerd.run_image(&pinned, "by-digest"), "hello by digest\n");
    assert_eq!(containerd.run_image(&multi, "platform"), "I am linux/amd64\n");

    let list = containerd.ctr(["images", "ls"]);
    for (name, reference) in [(&tagged, &tagged), (&pinned, &pinned), (&multi, &multi)] {
        let digest = raw_digest(reference).to_string();
        let line = list.lines().find(|line| line.starts_with(name.as_str())).unwrap();
        assert!(line.contains(&digest), "{line} is not {digest}");
        for label in ["io.cri-containerd.image=managed", "io.cri-containerd.pinned=pinned"] {
            assert!(line.contains(label), "{line} lacks {label}");
        }
    }
    assert_eq!(raw_digest(&multi), project.index.digest);

    assert_eq!(fs::read_to_string(root.join("usr/local/bin/hello")).unwrap(), "#!/bin/sh\necho hello\n");
    assert!(root.join("var/lib/carrack/manifests/app/app.yaml").is_file());
    let receipts = || fs::read_dir(root.join("var/lib/carrack/receipts")).unwrap().count();
    assert_eq!(receipts(), 1);
    let again = apply().output().unwrap();
    assert!(again.status.success() && both(&again).contains("nothing"), "{}", both(&again));
    assert_eq!(receipts(), 1);
    let mut status = containerd.network.command(env!("CARGO_BIN_EXE_carrack-install"));
    succeed(status.arg("status").arg("--root").arg(&root));

    // What somebody else removes is seen, and put back by the same command.
    let layer = containerd.ctr(["content", "ls"]);
    let layer =
        layer.lines().find(|line| line.contains("containerd.io/uncompressed")).unwrap().split('\t').next().unwrap();
    containerd.ctr(["content", "rm", layer]);
    let differs = status.output().unwrap();
    assert_eq!(differs.status.code(), Some(40), "{}", both(&differs));
    assert!(both(&differs).contains(layer), "{}", both(&differs));
    succeed(&mut apply());
    succeed(&mut status);
}

/// The containerd may be the one of a distribution that does not come up any more.
#[test]
fn without_its_containerd_a_host_is_told_of_and_goes_back() {
    if !available("without_its_containerd_a_host_is_told_of_and_goes_back", &TOOLS) {
        return;
    }
    let project = Project::new();
    let first = project.build("first.tar.zst");
    let profile = fs::read_to_string(project.path("carrack.yaml")).unwrap();
    fs::write(project.path("carrack.yaml"), profile.replace("version: 1.0.0", "version: 1.1.0")).unwrap();
    fs::write(project.path("hello"), "#!/bin/sh\necho hello again\n").unwrap();
    let second = project.build("second.tar.zst");
    let mut containerd = Containerd::start(project.folder.path());
    let root = project.path("host");
    fs::create_dir(&root).unwrap();
    for bundle in [&first, &second] {
        let mut apply = containerd.installer("apply");
        succeed(apply.arg(bundle).arg("--root").arg(&root).args(["--runtime", "containerd", "--yes"]));
    }
    let installer = |command: &str, code: i32| {
        let mut installer = Command::new(env!("CARGO_BIN_EXE_carrack-install"));
        installer.arg(command).arg("--root").arg(&root);
        if command != "status" {
            installer.arg("--yes");
        }
        let output = installer.output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{command}: {}", both(&output));
        both(&output)
    };
    let hello = || fs::read_to_string(root.join("usr/local/bin/hello")).unwrap();
    let broken = project.path("host/usr/local/bin/hello");

    containerd.stop();
    fs::set_permissions(&broken, fs::Permissions::from_mode(0o644)).unwrap();
    let told = installer("status", 40);
    assert!(told.contains("2 differences") && told.contains("c.sock: want an answer, found "), "{told}");
    let told = installer("repair", 0);
    assert!(told.contains("images were not looked at: cannot reach containerd at "), "{told}");
    assert!(installer("status", 40).contains("1 difference "));
    installer("rollback", 0);
    assert_eq!(hello(), "#!/bin/sh\necho hello\n");
    // What was installed into it is to be removed from it.
    installer("uninstall", 40);
    assert_eq!(hello(), "#!/bin/sh\necho hello\n");

    containerd.restart();
    let name = containerd.images().remove(0);
    containerd.ctr(["images", "label", &name, "io.cri-containerd.pinned="]);
    assert!(installer("status", 40).contains(&name));
    installer("repair", 0);
    installer("status", 0);
}

#[test]
fn a_forced_garbage_collection_leaves_everything() {
    if !available("a_forced_garbage_collection_leaves_everything", &TOOLS) {
        return;
    }
    let project = Project::new();
    let bundle = project.build("trip.tar.zst");
    let mut containerd = Containerd::start(project.folder.path());
    let root = project.path("host");
    fs::create_dir(&root).unwrap();
    let mut apply = containerd.installer("apply");
    succeed(apply.arg(&bundle).arg("--root").arg(&root).args(["--runtime", "containerd", "--yes"]));
    let content = |containerd: &Containerd| containerd.ctr(["content", "ls", "-q"]);
    let (before, leases) = (content(&containerd), containerd.ctr(["leases", "ls", "-q"]));
    assert_eq!(leases, "", "the import's lease is gone");
    containerd.restart();
    // Removing a lease synchronously runs the collector to its end.
    containerd.ctr(["leases", "create", "--id", "force"]);
    containerd.ctr(["leases", "rm", "--sync", "force"]);
    assert_eq!(content(&containerd), before);
    for line in containerd.ctr(["images", "check"]).lines().skip(1) {
        assert!(line.contains(" complete "), "{line}");
    }
}

#[test]
fn the_same_lock_gives_the_same_bytes() {
    if !available("the_same_lock_gives_the_same_bytes", &TOOLS) {
        return;
    }
    let project = Project::new();
    let reference = sha256(&project.build("reference.tar.zst"));
    let build = |name: &str| {
        let mut build = project.carrack("build");
        build.arg("--locked").arg("-o").arg(project.path(name));
        build
    };
    for jobs in ["1", "8"] {
        let name = format!("jobs-{jobs}.tar.zst");
        succeed(build(&name).args(["--jobs", jobs]));
        assert_eq!(sha256(&project.path(&name)), reference, "--jobs {jobs}");
    }
    // Another clock, user's name, umask, time zone and working folder.
    let mut other = std::process::Command::new("sh");
    let command = format!(
        "umask 077 && cd / && exec {} build {} --locked -o {}",
        env!("CARGO_BIN_EXE_carrack"),
        project.path("carrack.yaml").display(),
        project.path("other.tar.zst").display()
    );
    other.arg("-c").arg(command).env("TZ", "Pacific/Auckland").env("USER", "somebody").env("LOGNAME", "somebody");
    succeed(other.env("HOME", "/nonexistent"));
    assert_eq!(sha256(&project.path("other.tar.zst")), reference);
    for file in ["carrack.yaml", "app.yaml", "hello"] {
        succeed(std::process::Command::new("touch").args(["-d", "2001-02-03"]).arg(project.path(file)));
    }
    succeed(&mut build("touched.tar.zst"));
    assert_eq!(sha256(&project.path("touched.tar.zst")), reference);
}
