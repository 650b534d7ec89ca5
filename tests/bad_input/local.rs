//! This machine in the way: outputs that cannot be written, locks that are wrong, hosts that are not ready.

use std::fs;
use std::os::unix::fs::symlink;

use carrack::oci::Platform;
use carrack::registry::in_process::{Image, InProcessRegistry, Layer};

use super::common::Sandbox;
use super::forge::Draft;
use super::{assert_refused, install, json_error, profile};

#[test]
fn an_output_that_cannot_be_written_is_named() {
    let sandbox = Sandbox::new();
    sandbox.write("carrack.yaml", profile("version: \"1\""));
    sandbox.write("file", "");
    fs::create_dir_all(sandbox.work().join("folder/inside")).unwrap();
    for (output, words) in [
        ("none/out", &["cannot write into none", "No such file or directory"][..]),
        ("file/out", &["cannot write into file", "not a directory"]),
        ("folder", &["cannot write folder", "is a directory"]),
        ("/proc/out", &["/proc/out.partial"]),
    ] {
        for command in ["build", "export"] {
            assert_refused(&sandbox.carrack(&[command, ".", "-o", output]), 25, words);
        }
    }
    assert!(sandbox.work().join("folder/inside").is_dir());
    assert!(!sandbox.work().join("folder.partial").exists(), "told before the work, not after it");
}

#[test]
fn a_host_file_with_another_digest_is_named() {
    let sandbox = Sandbox::new();
    sandbox.write("tool", "content");
    let wrong = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    sandbox.write("carrack.yaml", profile(&format!("files: [{{source: tool, path: /x, sha256: {wrong}}}]")));
    let ran = sandbox.carrack(&["build", ".", "-o", "out"]);
    assert_refused(
        &ran,
        10,
        &["tool", "hashes to", "ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73"],
    );
    assert!(!sandbox.work().join("out").exists());
}

#[test]
fn a_lock_that_is_wrong_or_missing_is_named() {
    let sandbox = Sandbox::new();
    sandbox.write("carrack.yaml", profile("images: [\"127.0.0.1:1/app:1\"]"));
    let locked = ["build", ".", "-o", "out", "--locked"];
    assert_refused(&sandbox.carrack(&locked), 10, &["carrack.lock", "127.0.0.1:1/app:1"]);
    for text in ["{", "lockVersion: 99\n", "a: 1\n", "\u{0}"] {
        sandbox.write("carrack.lock", text);
        assert_refused(&sandbox.carrack(&locked), 10, &["carrack.lock"]);
    }
}

#[test]
fn a_host_without_containerd_is_not_ready() {
    let sandbox = Sandbox::new();
    let registry = InProcessRegistry::start().unwrap();
    let here = Platform::of_this_machine();
    let layer = Layer::tar(&[("x", 0o644, b"x")]).unwrap();
    let image = Image { platform: here.clone(), layers: vec![layer], command: vec![] };
    registry.put_image("app", Some("1"), &image);
    let text = profile(&format!("images: [\"{}/app:1\"]", registry.host()));
    sandbox.write("carrack.yaml", text.replace("spec:", &format!("spec:\n  platforms: [{here}]")));
    assert_eq!(sandbox.carrack(&["build", ".", "-o", "bundle"]).code, 0);
    fs::create_dir(sandbox.work().join("root")).unwrap();
    sandbox.write("text.sock", "no socket");
    for socket in ["none.sock", "text.sock"] {
        for command in ["plan", "apply"] {
            let flags = ["--root", "root", "--runtime", "containerd", "--containerd-address", socket];
            let ran = install(&sandbox, &[&[command, "bundle"][..], &flags].concat());
            assert_refused(&ran, 40, &["this host is not ready", "containerd", socket, "hint: start containerd"]);
            let ran = install(&sandbox, &[&[command, "bundle", "--json"][..], &flags].concat());
            assert_eq!(json_error(&ran, 40)["report"]["ready"], false);
        }
    }
    assert_eq!(fs::read_dir(sandbox.work().join("root")).unwrap().count(), 0);
}

#[test]
fn what_stands_in_the_way_of_a_file_is_named() {
    let sandbox = Sandbox::new();
    sandbox.write("bundle", Draft::new().write());
    let root = sandbox.work().join("root");
    let apply = || install(&sandbox, &["apply", "bundle", "--root", "root", "--yes"]);
    assert_refused(&apply(), 25, &["root", "hint: make the folder first"]);
    fs::create_dir_all(root.join("etc/forged")).unwrap();
    assert_refused(&apply(), 40, &["etc/forged is not a file"]);
    fs::remove_dir_all(root.join("etc")).unwrap();
    fs::write(root.join("etc"), "").unwrap();
    assert_refused(&apply(), 40, &["needs a folder where", "root/etc"]);
    fs::remove_file(root.join("etc")).unwrap();
    // A root that somebody else has prepared must not lead out of itself.
    fs::create_dir(sandbox.work().join("outside")).unwrap();
    symlink("../outside", root.join("etc")).unwrap();
    assert_refused(&apply(), 40, &["leads out of"]);
    assert_eq!(fs::read_dir(sandbox.work().join("outside")).unwrap().count(), 0);
    fs::remove_file(root.join("etc")).unwrap();
    symlink("/outside", root.join("etc")).unwrap();
    assert_eq!(apply().code, 0);
    assert!(root.join("outside/forged").is_file());
}

#[test]
fn a_host_of_another_platform_is_not_ready() {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.work().join("root")).unwrap();
    let mut draft = Draft::new();
    draft.profile["platforms"] = serde_json::json!([{"os": "linux", "architecture": "none"}]);
    sandbox.write("bundle", draft.write());
    let ran = install(&sandbox, &["apply", "bundle", "--root", "root"]);
    assert_refused(&ran, 40, &["platform: needed linux/none"]);
}

#[test]
fn a_receipt_that_is_none_is_named() {
    let sandbox = Sandbox::new();
    sandbox.write("bundle", Draft::new().write());
    sandbox.write("root/var/lib/carrack/receipts/0001-p-1.0.0.json", "{");
    let named = "0001-p-1.0.0.json is not a receipt";
    assert_refused(&install(&sandbox, &["apply", "bundle", "--root", "root"]), 25, &[named]);
    assert_refused(&install(&sandbox, &["status", "--root", "root"]), 25, &[named]);
    assert!(!sandbox.work().join("root/etc").exists());
}
