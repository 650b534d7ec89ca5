//! Who can keep an installer from its work: another installer, and nobody else.

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, symlink};

use carrack::apply::{ApplyError, RootLock};
use carrack::host::Root;
use rustix::fs::{CWD, FlockOperation, Mode, flock};

use super::{FIRST, Host, SECOND};

const LOCK: &str = "/var/lib/carrack/lock";

/// Commands that look only.
const LOOKING: [&[&str]; 5] = [
    &["plan", "1.1.0.tar.zst"],
    &["preflight", "1.1.0.tar.zst"],
    &["apply", "1.1.0.tar.zst", "--dry-run"],
    &["uninstall", "--dry-run"],
    &["status"],
];
/// Commands that change something.
const CHANGING: [&[&str]; 6] =
    [FIRST, &["resume"], &["repair", "--yes"], SECOND, &["rollback", "--yes"], &["uninstall", "--yes"]];

/// Everybody may open a folder that everybody may read, and lock it for ever.
#[test]
fn locks_that_others_can_take_keep_nothing_from_its_work() {
    let host = Host::new(2);
    host.run(FIRST, 0);
    let places = ["/", "/var", "/var/lib", "/var/lib/carrack", "/var/lib/carrack/receipts", "/opt/shop", "/opt/shop/0"];
    let held: Vec<File> = places.iter().map(|place| File::open(host.at(place)).unwrap()).collect();
    for file in &held {
        flock(file, FlockOperation::NonBlockingLockExclusive).unwrap();
    }
    for command in LOOKING.iter().chain(&CHANGING) {
        host.run(command, 0);
    }
    drop(held);
}

#[test]
fn one_changes_a_root_at_a_time_and_says_who_it_is() {
    let host = Host::new(2);
    host.run(FIRST, 0);
    let before = host.tree();
    let lock = RootLock::take(&Root::new(&host.at("/")).unwrap()).unwrap();
    let mode = fs::metadata(host.at(LOCK)).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600, "nobody else can open it");
    let this = format!("(process {})", std::process::id());
    for command in CHANGING {
        let ran = host.run(command, 40);
        assert!(ran.stderr.contains("another carrack-install is at work in"), "{}", ran.stderr);
        assert!(ran.stderr.contains(&this) && ran.stderr.contains("hint: wait until it has ended"), "{}", ran.stderr);
    }
    for command in LOOKING {
        let refuses = matches!(command[0], "status" | "uninstall");
        let ran = host.run(command, if refuses { 40 } else { 0 });
        assert!(ran.stderr.contains(&this), "{command:?}: {}", ran.stderr);
    }
    drop(lock);
    assert_eq!(host.tree(), before);
}

#[test]
fn who_only_looks_writes_nothing() {
    let host = Host::new(2);
    for installed in [false, true] {
        if installed {
            host.run(FIRST, 0);
        }
        let folders = ["/", "/var/lib/carrack", "/opt/shop"].map(|folder| host.at(folder));
        let times = || folders.iter().map(|folder| folder.metadata().and_then(|facts| facts.modified()).ok()).collect();
        let (tree, before): (_, Vec<_>) = (host.tree(), times());
        for command in LOOKING {
            host.try_run(command);
        }
        assert_eq!((host.tree(), times()), (tree, before));
    }
}

/// Whatever becomes of it, a run leaves no lock, and no folder that was made for one.
#[test]
fn nothing_is_left_of_a_lock() {
    let host = Host::new(2);
    let begin = host.tree();
    for (command, code) in [
        (&["apply", "p/0", "--yes"][..], 30),
        (&["apply", "1.0.0.tar.zst", "--yes", "--set", "a=b"], 10),
        (&["resume"], 0),
        (&["uninstall", "--yes"], 40),
        (&["rollback", "--yes"], 40),
        (&["repair", "--yes"], 40),
    ] {
        host.run(command, code);
        assert_eq!(host.tree(), begin, "{command:?}");
    }
    // A root without /var, one with a part of the way, and one with all of it.
    for there in ["/", "/var", "/var/lib"] {
        fs::create_dir_all(host.at(there)).unwrap();
        let before = host.tree();
        host.run(FIRST, 0);
        assert!(!host.at(LOCK).exists());
        host.run(SECOND, 0);
        host.run(&["rollback", "--yes"], 0);
        host.run(&["uninstall", "--yes"], 0);
        assert_eq!(host.tree(), before, "{there}");
    }
}

#[test]
fn a_lock_that_a_kill_has_left_is_taken_over() {
    let host = Host::new(2);
    let before = host.tree();
    fs::create_dir_all(host.at("/var/lib/carrack")).unwrap();
    // Of a process that is gone, which had made all of the folders.
    fs::write(host.at(LOCK), "1\n/var\n/var/lib\n/var/lib/carrack\n").unwrap();
    host.run(&["status"], 40);
    host.run(FIRST, 0);
    assert!(!host.at(LOCK).exists());
    host.run(&["uninstall", "--yes"], 0);
    assert_eq!(host.tree(), before);
}

/// What stands in a lock file names folders on the way to it, or nothing.
#[test]
fn a_lock_file_has_nothing_else_removed() {
    let host = Host::new(2);
    for folder in ["/var/lib/carrack", "/var/lib/other", "/etc/empty", "/home"] {
        fs::create_dir_all(host.at(folder)).unwrap();
    }
    fs::write(
        host.at(LOCK),
        "x\n/etc/empty\n/home\n/var/lib/other\n../../etc/empty\n/var/lib/carrack/../../../etc/empty\n\n",
    )
    .unwrap();
    host.run(FIRST, 0);
    host.run(&["uninstall", "--yes"], 0);
    for folder in ["/var/lib/other", "/etc/empty", "/home"] {
        assert!(host.at(folder).is_dir(), "{folder}");
    }
}

#[test]
fn what_is_no_lock_file_is_refused_and_stays() {
    let host = Host::new(2);
    fs::create_dir_all(host.at("/var/lib/carrack")).unwrap();
    let victim = host.sandbox.write("victim", "theirs");
    let lock = host.at(LOCK);
    let makes: [(&str, &dyn Fn()); 5] = [
        ("a link", &|| symlink(&victim, &lock).unwrap()),
        ("a link to nothing", &|| symlink("nothing", &lock).unwrap()),
        ("a folder", &|| fs::create_dir(&lock).unwrap()),
        ("a pipe", &|| rustix::fs::mkfifoat(CWD, &lock, Mode::RWXU).unwrap()),
        ("a socket", &|| drop(std::os::unix::net::UnixListener::bind(&lock).unwrap())),
    ];
    for (what, make) in makes {
        make();
        for command in CHANGING {
            let ran = host.run(command, 25);
            assert!(ran.stderr.contains("/var/lib/carrack/lock"), "{what}: {}", ran.stderr);
        }
        assert!(lock.symlink_metadata().is_ok(), "{what} stays");
        let _ = fs::remove_file(&lock).or_else(|_| fs::remove_dir(&lock));
    }
    assert_eq!(fs::read_to_string(victim).unwrap(), "theirs");
    host.run(FIRST, 0);
}

/// Installers up to 0.3 lock the folder of the root: this one keeps them out, and leaves alone what one of them has begun.
#[test]
fn an_earlier_installer_at_work_is_left_alone() {
    let host = Host::new(2);
    let journal = host.at("/var/lib/carrack/journal");
    fs::create_dir_all(&journal).unwrap();
    let text = r#"{"journalVersion": 1, "what": "apply shop 1.0.0", "command": {"arguments": ["apply", "b"], "folder": "/"},
        "files": [], "made": [], "keepsReceipt": false, "own": [], "emptied": [], "names": null, "stop": [], "remove": [],
        "start": [], "undo": [], "restore": [], "again": [], "discarded": [], "guarded": [], "result": null}"#;
    fs::write(journal.join("preparing.json"), text).unwrap();
    let earlier = File::open(host.at("/")).unwrap();
    flock(&earlier, FlockOperation::NonBlockingLockExclusive).unwrap();
    let ran = host.run(FIRST, 40);
    assert!(ran.stderr.contains("at work in") && ran.stderr.contains("(of an earlier version)"), "{}", ran.stderr);
    drop(earlier);
    // A program that another test starts has a copy of that lock for a moment, until it is that program.
    let lock = loop {
        match RootLock::take(&Root::new(&host.at("/")).unwrap()) {
            Err(ApplyError::Busy(..)) => std::thread::yield_now(),
            taken => break taken.unwrap(),
        }
    };
    let earlier = File::open(host.at("/")).unwrap();
    assert!(flock(&earlier, FlockOperation::NonBlockingLockExclusive).is_err(), "it is kept out");
    drop(lock);
    host.run(FIRST, 0);
}
