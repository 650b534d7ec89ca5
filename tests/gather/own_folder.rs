//! The folder `.carrack` beside a profile, where something else is in its place.

use std::fs;
use std::os::unix::fs::{chown, symlink};
use std::path::Path;

use super::packs::PROFILE;
use super::{fail, setup, succeed};

const PACK: &str = "apiVersion: carrack/v1\nkind: Pack\nmetadata: {name: web, version: 1.0.0}\nspec: {layer: addon, imageLists: [a]}\n";

/// What somebody may have put there.
type Puts<'a> = Box<dyn Fn(&Path) + 'a>;

#[test]
fn what_is_no_folder_of_ours_is_refused_and_stays() {
    let setup = setup();
    setup.profile(&[PROFILE]);
    setup.artifact("1.0.0", &[("pack.yaml", PACK), ("a", "")]);
    let work = setup.sandbox.work();
    let home = setup.sandbox.write("home/work.txt", "mine");
    let mut cases: Vec<(&str, Puts<'_>)> = vec![
        ("it is a symbolic link", Box::new(|path| symlink(home.parent().unwrap(), path).unwrap())),
        ("it is a symbolic link", Box::new(|path| symlink("home", path).unwrap())),
        ("it is a symbolic link", Box::new(|path| symlink("nothing", path).unwrap())),
        ("it is not a folder", Box::new(|path| fs::write(path, "text").unwrap())),
        ("it is not a folder", Box::new(|path| drop(std::os::unix::net::UnixListener::bind(path).unwrap()))),
    ];
    if rustix::process::geteuid().is_root() {
        cases.push((
            "it belongs to user 65534",
            Box::new(|path| {
                fs::create_dir(path).and_then(|()| chown(path, Some(65534), None)).unwrap();
            }),
        ));
    }
    for place in [".carrack", ".carrack/packs"] {
        for (why, puts) in &cases {
            let path = work.join(place);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            puts(&path);
            for command in [&["check", "."][..], &["images", "."], &["lock", "."], &["build", ".", "-o", "out"]] {
                fail(setup.carrack(command), 25, &[place, why, "hint: move it away"]);
            }
            assert_eq!(fs::read_dir(home.parent().unwrap()).unwrap().count(), 1);
            assert!(path.symlink_metadata().is_ok(), "{why}: it stays");
            let _ = fs::remove_file(&path).or_else(|_| fs::remove_dir(&path));
            let _ = fs::remove_dir_all(work.join(".carrack"));
        }
    }
    succeed(setup.carrack(&["check", "."]));
}

#[test]
fn links_within_are_not_followed() {
    let setup = setup();
    setup.profile(&[PROFILE]);
    setup.artifact("1.0.0", &[("pack.yaml", PACK), ("a", "")]);
    let victim = setup.sandbox.write("home/work.txt", "mine");
    fs::create_dir(setup.sandbox.work().join(".carrack")).unwrap();
    let ignore = setup.sandbox.work().join(".carrack/.gitignore");
    symlink(&victim, &ignore).unwrap();
    succeed(setup.carrack(&["check", "."]));
    assert!(ignore.is_symlink(), "it is somebody else's");
    let kept = setup.kept("packs");
    let folder = kept.iter().find(|path| path.is_dir()).unwrap();
    // A pack, as it was kept, is elsewhere; and then something else.
    for changed in [false, true] {
        let elsewhere = setup.sandbox.work().join("home/pack");
        if folder.is_symlink() || !elsewhere.exists() {
            fs::rename(folder, &elsewhere).unwrap();
        } else {
            fs::remove_dir_all(folder).unwrap();
        }
        if changed {
            fs::write(elsewhere.join("more"), "mine").unwrap();
        }
        symlink(&elsewhere, folder).unwrap();
        succeed(setup.carrack(&["check", "."]));
        assert!(!folder.is_symlink() && folder.is_dir(), "the pack is brought again");
        assert_eq!(elsewhere.join("more").exists(), changed, "and what the link led to stays");
        assert!(elsewhere.join("pack.yaml").exists());
    }
    assert_eq!(fs::read_to_string(victim).unwrap(), "mine");
}

/// A lock that is written through a link of a repository may end anywhere, and one that replaces a link is not where it was.
#[test]
fn a_lock_that_is_no_file_is_not_written() {
    let setup = setup();
    setup.profile(&[PROFILE]);
    setup.artifact("1.0.0", &[("pack.yaml", PACK), ("a", "")]);
    let lock = setup.sandbox.work().join("carrack.lock");
    for target in ["elsewhere", "/dev/null"] {
        let _ = fs::remove_file(&lock);
        symlink(target, &lock).unwrap();
        let ran = setup.carrack(&["lock", "."]);
        assert_ne!(ran.code, 0, "{}", ran.stdout);
        assert!(ran.stderr.contains("carrack.lock"), "{}", ran.stderr);
        assert!(lock.is_symlink() && !setup.sandbox.work().join("elsewhere").exists());
    }
    fs::remove_file(&lock).unwrap();
    succeed(setup.carrack(&["lock", "."]));
    let names = fs::read_dir(setup.sandbox.work()).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(!names.into_iter().any(|name| name.to_string_lossy().starts_with(".carrack.lock")));
}
