//! A journal or a receipt that is damaged: what its hint says is done step by step, and nothing is lost on the way.

use std::fs;

use crate::files;
use crate::host::{Host, build, prepared};
use crate::kinds::{PATHS, make, snapshot};

/// The ways in which a file is damaged.
fn damages(text: &str) -> [Vec<u8>; 4] {
    [Vec::new(), b"\0\xff{".to_vec(), text.as_bytes()[..text.len() / 2].to_vec(), b"{}".to_vec()]
}

#[test]
fn a_damaged_journal_costs_no_original() {
    for (index, phase) in ["changing", "starting", "restoring", "starting"].into_iter().enumerate() {
        let host = Host::new();
        make(&host);
        let before = snapshot(&host);
        let bundle = prepared(&host, &files("one", &PATHS));
        host.phase("starting", phase);
        let journal = host.at(&format!("/var/lib/carrack/journal/{phase}.json"));
        fs::write(&journal, &damages(&fs::read_to_string(&journal).unwrap())[index]).unwrap();
        let changed = snapshot(&host);
        for command in [&["resume"][..], &["status"], &["apply", &bundle, "--yes"], &["uninstall", "--yes"]] {
            let told = host.run(command, 25).stderr;
            assert!(told.contains(&format!("{phase}.json {}", "$ROOT/work/host/var/lib/carrack/journal")), "{told}");
            assert!(told.contains(&format!("{phase}.json.damaged")) && told.contains("NAME.carrack-old"), "{told}");
        }
        assert_eq!(snapshot(&host), changed, "only looked at");
        fs::rename(&journal, journal.with_extension("json.damaged")).unwrap();
        host.run(&["status"], 40);
        let told = host.run(&["apply", &bundle, "--yes"], 0).stderr;
        assert!(told.contains("/etc/acl was put back, which an interrupted run had replaced"), "{told}");
        // That is a change like any other, and can be undone.
        host.phase("starting", "restoring");
        host.run(&["resume"], 50);
        assert_eq!(snapshot(&host), before, "{phase}");
    }
}

#[test]
fn two_journals_are_one_too_many() {
    let host = Host::new();
    host.write("/etc/app.conf", "theirs");
    prepared(&host, &[("/etc/app.conf", "one")]);
    let journal = |phase: &str| host.at(&format!("/var/lib/carrack/journal/{phase}.json"));
    fs::copy(journal("starting"), journal("changing")).unwrap();
    let told = host.run(&["resume"], 25).stderr;
    assert!(told.contains("changing.json") && told.contains("starting.json"), "{told}");
    fs::rename(journal("changing"), journal("changing").with_extension("json.damaged")).unwrap();
    host.phase("starting", "restoring");
    host.run(&["resume"], 50);
    assert_eq!(host.read("/etc/app.conf"), "theirs");
}

/// What an interrupted run left, and nobody knows what it is, is nobody's to remove.
#[test]
fn what_nobody_knows_stays() {
    let host = Host::new();
    let bundle = build(&host.sandbox, "1.0.0", &[("/etc/app.conf", "one")], &[]);
    host.write("/etc/app.conf", "changed by a person");
    host.write("/etc/app.conf.carrack-old", "the only copy");
    let told = host.run(&["apply", &bundle, "--yes"], 40).stderr;
    assert!(told.contains("app.conf.carrack-old") && told.contains("hint: look at both; to restore it: mv "), "{told}");
    assert_eq!(host.read("/etc/app.conf.carrack-old"), "the only copy");
    // As the hint says.
    fs::rename(host.at("/etc/app.conf.carrack-old"), host.at("/etc/app.conf")).unwrap();
    host.run(&["apply", &bundle, "--yes"], 0);
    host.write("/etc/app.conf.carrack-old", "somebody's");
    let told = host.run(&["status"], 40).stderr;
    assert!(told.contains("app.conf.carrack-old: want absent"), "{told}");
    host.run(&["uninstall", "--yes"], 40);
    fs::remove_file(host.at("/etc/app.conf.carrack-old")).unwrap();
    host.write("/var/lib/carrack/kept/somebodys", "whatever this is");
    host.run(&["uninstall", "--yes"], 0);
    assert_eq!(host.read("/etc/app.conf"), "the only copy");
    assert_eq!(host.read("/var/lib/carrack/kept/somebodys"), "whatever this is");
}

/// Without a journal that was set aside, a backup is somebody's own, also where the bundle's file is there or none is.
#[test]
fn a_backup_without_a_lost_journal_stays() {
    for standing in [None, Some("one"), Some("theirs")] {
        let host = Host::new();
        let bundle = build(&host.sandbox, "1.0.0", &[("/etc/app.conf", "one"), ("/etc/other", "new")], &[]);
        host.write("/etc/app.conf.carrack-old", "my own");
        standing.into_iter().for_each(|text| host.write("/etc/app.conf", text));
        // Where the file is right already, its name is not needed.
        host.run(&["apply", &bundle, "--yes"], if standing == Some("one") { 0 } else { 40 });
        assert_eq!(host.read("/etc/app.conf.carrack-old"), "my own");
        match standing {
            Some(text) => assert_eq!(host.read("/etc/app.conf"), text),
            None => assert!(!host.at("/etc/app.conf").exists()),
        }
    }
}

/// What waits beside a file under its provisional name goes where the bundle has the same content, and stays otherwise.
#[test]
fn only_what_the_bundle_has_is_removed_under_a_provisional_name() {
    let host = Host::new();
    let bundle = build(&host.sandbox, "1.0.0", &[("/etc/app.conf", "one")], &[]);
    host.write("/etc/app.conf", "theirs");
    host.write("/etc/app.conf.carrack-new", "half of o");
    host.write("/var/lib/carrack/journal/changing.json.damaged", "as the hint says");
    let told = host.run(&["apply", &bundle, "--yes"], 40).stderr;
    assert!(told.contains("app.conf.carrack-new is not Carrack's"), "{told}");
    assert_eq!(host.read("/etc/app.conf.carrack-new"), "half of o");
    host.write("/etc/app.conf.carrack-new", "one");
    host.run(&["apply", &bundle, "--yes"], 0);
    assert!(!host.at("/etc/app.conf.carrack-new").exists());
    host.run(&["uninstall", "--yes"], 0);
    assert_eq!(host.read("/etc/app.conf"), "theirs");
}

/// What Carrack had installed does not become the operator's, and what was theirs does not become Carrack's.
#[test]
fn a_damaged_receipt_costs_no_original() {
    for index in 0..4 {
        let host = Host::new();
        make(&host);
        let before = snapshot(&host);
        let all: Vec<_> = [files("one", &PATHS), vec![("/etc/new", "new")]].concat();
        let bundle = build(&host.sandbox, "1.0.0", &all, &[]);
        let other = build(&host.sandbox, "1.1.0", &all, &[]);
        host.run(&["apply", &bundle, "--yes"], 0);
        let receipt = host.at("/var/lib/carrack/receipts/0001-shop-1.0.0.json");
        fs::write(&receipt, &damages(&fs::read_to_string(&receipt).unwrap())[index]).unwrap();
        for command in [&["status"][..], &["apply", &bundle, "--yes"], &["uninstall", "--yes"]] {
            let told = host.run(command, 25).stderr;
            assert!(told.contains("0001-shop-1.0.0.json.damaged, and apply the bundle of the same version"), "{told}");
        }
        fs::rename(&receipt, receipt.with_extension("json.damaged")).unwrap();
        let told = host.run(&["apply", &other, "--yes"], 40).stderr;
        assert!(told.contains("the receipt of shop 1.0.0 is lost") && told.contains("apply the bundle of shop 1.0.0"));
        host.run(&["apply", &bundle, "--yes"], 0);
        host.run(&["status"], 0);
        host.run(&["uninstall", "--yes"], 0);
        assert_eq!(snapshot(&host), before);
        assert!(!host.at("/var/lib/carrack/receipts").exists() && !host.at("/var/lib/carrack/originals").exists());
    }
}
