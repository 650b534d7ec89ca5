//! What carrack-install 0.3.0 wrote, read and carried on by this version: `fixtures/state/0.3` has hosts as it left them, times and
//! inodes apart.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::Path;

use serde_json::Value;

use crate::host::Host;

/// A host as 0.3.0 left it. Its files are of whoever runs the test.
fn left(name: &str) -> Host {
    let host = Host::new();
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/state/0.3").join(name).with_extension("json");
    let tree: BTreeMap<String, Value> = serde_json::from_slice(&fs::read(fixture).unwrap()).unwrap();
    for (path, what) in &tree {
        let at = host.at(path);
        if let Some(target) = what["link"].as_str() {
            symlink(target, &at).unwrap();
            continue;
        }
        match what["content"].as_str() {
            Some(content) => fs::write(&at, content).unwrap(),
            None => fs::create_dir_all(&at).unwrap(),
        }
        let mode = u32::from_str_radix(what["mode"].as_str().unwrap(), 8).unwrap();
        fs::set_permissions(&at, Permissions::from_mode(mode)).unwrap();
    }
    own(&host, &tree);
    host
}

/// Makes this user the owner that receipts and journals name, and the inodes of the journal those that files have here.
fn own(host: &Host, tree: &BTreeMap<String, Value>) {
    let here = host.at("/").metadata().unwrap();
    for path in tree.keys().filter(|path| path.ends_with(".json")) {
        let owner = format!("\"owner\": \"{}:{}\"", here.uid(), here.gid());
        let text = host.read(path).replace("\"owner\": \"0:0\"", &owner);
        let mut value: Value = serde_json::from_str(&text).unwrap();
        for change in value.get_mut("files").and_then(Value::as_array_mut).into_iter().flatten() {
            let target = host.at(change["path"].as_str().unwrap());
            if let Some(name) = change["staged"]["name"].as_str() {
                let waiting = target.with_file_name(name);
                let there = if waiting.exists() { waiting } else { target };
                change["staged"]["inode"] = there.symlink_metadata().unwrap().ino().into();
            }
        }
        fs::write(host.at(path), value.to_string()).unwrap();
        chown(host.at(path), Some(here.uid()), Some(here.gid())).unwrap();
    }
}

/// What was on the host before: content and mode.
fn is_as_before(host: &Host) {
    let mode = |path: &str| host.at(path).metadata().unwrap().permissions().mode() & 0o7777;
    let found = ["config", "twice-a", "twice-b", "theirs"].map(|name| {
        let path = format!("/etc/shop/{name}");
        (name, host.read(&path), mode(&path))
    });
    let text = |text: &str| format!("{text}\n");
    let (config, same, theirs) = (text("what was there"), text("same"), text("theirs"));
    let want = [
        ("config", config, 0o640),
        ("twice-a", same.clone(), 0o644),
        ("twice-b", same, 0o600),
        ("theirs", theirs, 0o644),
    ];
    assert_eq!(found, want);
    assert_eq!(fs::read_link(host.at("/etc/shop/link")).unwrap(), Path::new("theirs"));
    let mut names: Vec<_> =
        fs::read_dir(host.at("/etc/shop")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort_unstable();
    assert_eq!(names, ["config", "link", "theirs", "twice-a", "twice-b"]);
    assert!(!host.at("/opt").exists() && !host.at("/var").exists());
}

#[test]
fn what_0_3_installed_is_uninstalled() {
    let host = left("installed");
    host.run(&["status"], 0);
    let told = host.run(&["uninstall", "--yes"], 0).stderr;
    assert!(told.contains("verified: 4 files (kind, content, link target, mode, owner)"), "{told}");
    is_as_before(&host);
}

#[test]
fn what_0_3_installed_is_rolled_back() {
    let host = left("installed");
    host.run(&["rollback", "--yes"], 0);
    host.run(&["status"], 0);
    assert_eq!(host.read("/etc/shop/old"), "old");
    host.run(&["uninstall", "--yes"], 0);
    is_as_before(&host);
}

#[test]
fn what_0_3_had_begun_is_carried_out() {
    for name in ["installing", "upgrading"] {
        let host = left(name);
        host.run(&["resume"], 0);
        host.run(&["status"], 0);
        host.run(&["uninstall", "--yes"], 0);
        is_as_before(&host);
    }
}

#[test]
fn what_0_3_had_begun_is_undone() {
    let host = left("installing");
    host.phase("changing", "restoring");
    host.run(&["resume"], 50);
    is_as_before(&host);
    let host = left("upgrading");
    host.phase("changing", "restoring");
    host.run(&["resume"], 50);
    host.run(&["status"], 0);
    host.run(&["uninstall", "--yes"], 0);
    is_as_before(&host);
}
