//! What was on a host before Carrack, of every kind: it comes back as the very file that it was.
#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]
#![expect(clippy::print_stdout, reason = "a skipped test says so")]

#[path = "../common/available.rs"]
#[expect(dead_code, reason = "only what is said of a skip is used here")]
mod available;
#[path = "../common/mod.rs"]
mod common;
mod disks;
mod golden;
mod host;
mod kinds;
mod lost;

use host::{Host, build, prepared};
use kinds::{PATHS, make, snapshot, stretch};

/// Files of a version, each at the path of an original.
fn files<'a>(version: &'a str, paths: &[&'a str]) -> Vec<(&'a str, &'a str)> {
    paths.iter().map(|path| (*path, version)).collect()
}

#[test]
fn every_kind_comes_back_as_it_was() {
    let host = Host::new();
    make(&host);
    stretch(&host);
    let before = snapshot(&host);
    let first = build(&host.sandbox, "1.0.0", &files("one", &PATHS), &[]);
    let second = build(&host.sandbox, "1.1.0", &files("two", &PATHS), &[]);
    host.run(&["apply", &first, "--yes"], 0);
    assert_ne!(snapshot(&host), before);
    let gone = host.run(&["uninstall", "--yes"], 0).stderr;
    assert_eq!(snapshot(&host), before);
    let verified = format!("verified: {} files (kind, content, link target, mode, owner, modification", PATHS.len());
    assert!(gone.contains(&verified), "{gone}");
    assert!(!host.at("/var").exists());

    host.run(&["apply", &first, "--yes"], 0);
    host.run(&["apply", &second, "--yes"], 0);
    host.run(&["rollback", "--yes"], 0);
    host.run(&["uninstall", "--yes"], 0);
    assert_eq!(snapshot(&host), before);
    assert!(!host.at("/var").exists());
}

/// What a version drops is the operator's again at once, and is theirs too when that version is gone back to.
#[test]
fn what_is_dropped_comes_back_and_is_kept_again() {
    let host = Host::new();
    make(&host);
    let before = snapshot(&host);
    let all = build(&host.sandbox, "1.0.0", &files("one", &PATHS), &[]);
    let less = build(&host.sandbox, "1.1.0", &[("/etc/new", "two")], &[]);
    host.run(&["apply", &all, "--yes"], 0);
    host.run(&["apply", &less, "--yes"], 0);
    assert_eq!(snapshot(&host), before);
    // Its owner changes it in the meantime.
    host.write("/etc/empty", "changed since");
    let changed = snapshot(&host);
    host.run(&["rollback", "--yes"], 0);
    assert_eq!(host.read("/etc/empty"), "one");
    host.run(&["uninstall", "--yes"], 0);
    assert_eq!(snapshot(&host), changed);
}

/// The first version finds a file to be as it must be; it is somebody's all the same.
#[test]
fn what_was_right_already_comes_back_as_the_file_that_it_was() {
    let host = Host::new();
    host.write("/etc/app.conf", "one");
    std::fs::hard_link(host.at("/etc/app.conf"), host.at("/etc/other")).unwrap();
    let before = kinds::facts(&host.at("/etc/app.conf"));
    for way in [&["uninstall"][..], &["rollback", "uninstall"]] {
        for (version, text) in [("1.0.0", "one"), ("1.1.0", "two")] {
            let bundle = build(&host.sandbox, version, &[("/etc/app.conf", text)], &[]);
            host.run(&["apply", &bundle, "--yes"], 0);
        }
        way.iter().for_each(|command| drop(host.run(&[command, "--yes"], 0)));
        assert_eq!(kinds::facts(&host.at("/etc/app.conf")), before, "{way:?}");
    }
}

/// A file that a person has changed stays when its version goes, and so does what was there before.
#[test]
fn the_original_of_a_file_that_stays_is_named() {
    let host = Host::new();
    host.write("/etc/app.conf", "theirs");
    host.run(&["apply", &build(&host.sandbox, "1.0.0", &[("/etc/app.conf", "one")], &[]), "--yes"], 0);
    host.write("/etc/app.conf", "changed");
    let told = host.run(&["uninstall", "--yes"], 0).stderr;
    let kept = "/var/lib/carrack/originals/0001/etc/app.conf";
    assert!(told.contains(&format!("is not restored, and is kept as {kept}")), "{told}");
    assert_eq!((host.read("/etc/app.conf"), host.read(kept)), ("changed".to_owned(), "theirs".to_owned()));
    // Installed again, it counts as what was there first, and what stands there now is kept too.
    host.run(&["apply", &build(&host.sandbox, "1.0.0", &[("/etc/app.conf", "one")], &[]), "--yes"], 0);
    host.run(&["uninstall", "--yes"], 0);
    assert_eq!(host.read("/etc/app.conf"), "theirs");
    assert_eq!(host.read("/var/lib/carrack/originals/0001-2/etc/app.conf"), "changed");
}

/// The file is kept with its other names, and whoever writes to one of these writes to it.
#[test]
fn a_change_through_another_name_is_told() {
    let host = Host::new();
    host.write("/etc/app.conf", "theirs");
    std::fs::hard_link(host.at("/etc/app.conf"), host.at("/etc/other")).unwrap();
    host.run(&["apply", &build(&host.sandbox, "1.0.0", &[("/etc/app.conf", "one")], &[]), "--yes"], 0);
    host.write("/etc/other", "changed since");
    let told = host.run(&["uninstall", "--yes"], 0).stderr;
    assert!(told.contains("/etc/app.conf: the file that was there before was changed while it was kept"), "{told}");
    assert_eq!(host.read("/etc/app.conf"), "changed since");
}

#[test]
fn a_change_that_is_undone_leaves_every_kind_as_it_was() {
    for phase in ["restoring", "undoing"] {
        let host = Host::new();
        make(&host);
        let before = snapshot(&host);
        prepared(&host, &files("one", &PATHS));
        host.phase("starting", phase);
        let told = host.run(&["resume"], 50).stderr;
        let verified = format!("verified: {} files (kind, content, link target, mode", PATHS.len());
        assert!(told.contains("undone") && told.contains(&verified), "{told}");
        assert_eq!(snapshot(&host), before, "{phase}");
    }
}

/// What came back, and is not what it was, is not claimed to be.
#[test]
fn what_differs_after_an_undo_is_named() {
    let host = Host::new();
    host.write("/etc/app.conf", "theirs");
    prepared(&host, &[("/etc/app.conf", "one")]);
    host.write("/etc/app.conf.carrack-old", "somebody was faster");
    host.phase("starting", "restoring");
    let told = host.run(&["resume"], 51).stderr;
    assert!(told.contains("/etc/app.conf is not what it was: content, modification time"), "{told}");
    assert!(!told.contains("verified"), "{told}");
}
