use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use super::*;

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn at(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn write(&self, path: &str, text: &str) {
        fs::create_dir_all(self.at(path).parent().unwrap()).unwrap();
        fs::write(self.at(path), text).unwrap();
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.at(path)).unwrap_or_else(|error| format!("{path}: {error}"))
    }

    fn copy(&self, from: &str, to: &str, manner: Manner) -> Result<(), CopyError> {
        copy(&self.at(from), &self.at(to), manner, true, &Interrupt::never())
    }
}

/// etcd's data, with everything that a file can have.
fn data(place: &Place) {
    place.write("etcd/member/wal/0.wal", "written by 1.30");
    place.write("etcd/member/snap/db", "keys");
    fs::hard_link(place.at("etcd/member/snap/db"), place.at("etcd/member/snap/db.again")).unwrap();
    symlink("snap/db", place.at("etcd/member/link")).unwrap();
    symlink("/nowhere", place.at("etcd/dangling")).unwrap();
    fs::create_dir(place.at("etcd/empty")).unwrap();
    fs::set_permissions(place.at("etcd/member"), fs::Permissions::from_mode(0o700)).unwrap();
    fs::set_permissions(place.at("etcd/member/snap/db"), fs::Permissions::from_mode(0o4750)).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, place.at("etcd/pipe"), Mode::RUSR).unwrap();
    let hole = File::create(place.at("etcd/hole")).unwrap();
    hole.set_len(64 << 20).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&hole, b"data", 32 << 20).unwrap();
    let past = Timespec { tv_sec: 1_000_000_000, tv_nsec: 123 };
    let times = Timestamps { last_access: past, last_modification: past };
    utimensat(rustix::fs::CWD, place.at("etcd/member/wal/0.wal"), &times, AtFlags::empty()).unwrap();
    let attribute = rustix::fs::setxattr(place.at("etcd/member/snap"), "user.carrack", b"kept", XattrFlags::empty());
    assert!(attribute.is_ok() || attribute == Err(Errno::NOTSUP));
}

#[test]
fn a_copy_is_all_that_was_there() {
    let place = Place::new();
    data(&place);
    place.copy("etcd", "states/0007/etcd", Manner::Exact).unwrap();
    let (from, to) = (place.at("etcd"), place.at("states/0007/etcd"));
    assert_eq!(Listing::of(&from, true).unwrap(), Listing::of(&to, true).unwrap());
    let db = to.join("member/snap/db").metadata().unwrap();
    assert_eq!((db.nlink(), db.ino()), (2, to.join("member/snap/db.again").metadata().unwrap().ino()));
    assert!(to.join("hole").metadata().unwrap().blocks() * 512 < 8 << 20, "holes stay holes");
    let wal = to.join("member/wal/0.wal").metadata().unwrap();
    assert_eq!((wal.mtime(), wal.mtime_nsec()), (1_000_000_000, 123));
    assert_eq!(to.join("member").metadata().unwrap().mode() & 0o7777, 0o700);
    let attribute = |path: PathBuf| {
        let mut buffer = vec![0; 64];
        rustix::fs::getxattr(path.join("member/snap"), "user.carrack", &mut buffer)
            .map(|length| buffer[..length].to_vec())
    };
    assert_eq!(attribute(from), attribute(to));
}

#[test]
fn what_is_restored_is_what_was_saved() {
    for target in ["etcd", "linked"] {
        let place = Place::new();
        data(&place);
        if target == "linked" {
            fs::create_dir(place.at("disk")).unwrap();
            fs::rename(place.at("etcd"), place.at("disk/etcd")).unwrap();
            symlink("disk/etcd", place.at("linked")).unwrap();
        }
        let before = Listing::of(&place.at(target), true).unwrap();
        place.copy(target, "saved", Manner::Exact).unwrap();
        assert!(place.at("saved").symlink_metadata().unwrap().is_dir());
        place.write(&format!("{target}/member/wal/0.wal"), "written by 1.31");
        place.write(&format!("{target}/member/wal/1.wal"), "written by 1.31");
        fs::remove_file(place.at(&format!("{target}/member/snap/db"))).unwrap();
        for _ in 0..2 {
            copy(&place.at("saved"), &place.at(target), Manner::Exact, false, &Interrupt::never()).unwrap();
            assert_eq!(Listing::of(&place.at(target), true).unwrap(), before);
        }
        assert_eq!(place.at(target).symlink_metadata().unwrap().is_symlink(), target == "linked");
        assert!(!place.at(&format!("{target}.listing.json")).exists());
    }
}

#[test]
fn a_part_that_is_elsewhere_is_saved_and_restored_there() {
    let place = Place::new();
    place.write("disk/member/wal", "1.30");
    place.write("photos/of", "ten years");
    fs::create_dir(place.at("etcd")).unwrap();
    symlink(place.at("disk/member"), place.at("etcd/member")).unwrap();
    symlink("..", place.at("etcd/around")).unwrap();
    symlink(".", place.at("etcd/itself")).unwrap();
    place.copy("etcd", "saved", Manner::Exact).unwrap();
    assert_eq!(place.read("saved/member/wal"), "1.30");
    assert!(place.at("saved/around").symlink_metadata().unwrap().is_symlink());
    place.write("disk/member/wal", "1.31");
    place.write("disk/member/other", "1.31");
    // One that was not there when it was saved leads to somebody else's data.
    symlink(place.at("photos"), place.at("etcd/new")).unwrap();
    copy(&place.at("saved"), &place.at("etcd"), Manner::Exact, false, &Interrupt::never()).unwrap();
    assert!(place.at("etcd/member").symlink_metadata().unwrap().is_symlink());
    assert_eq!(place.read("disk/member/wal"), "1.30");
    assert!(!place.at("disk/member/other").exists() && !place.at("etcd/new").exists());
    assert_eq!(place.read("photos/of"), "ten years");
}

#[test]
fn what_others_have_beside_it_stays() {
    let place = Place::new();
    place.write("kubernetes/admin.conf", "1.30");
    place.write("kubernetes/pki/ca.key", "key");
    place.write("elsewhere/audit", "theirs");
    symlink(place.at("elsewhere"), place.at("kubernetes/audit")).unwrap();
    place.copy("kubernetes", "saved", Manner::Over).unwrap();
    place.write("kubernetes/admin.conf", "1.31");
    place.write("kubernetes/mine", "written since");
    fs::remove_dir_all(place.at("kubernetes/pki")).unwrap();
    copy(&place.at("saved"), &place.at("kubernetes"), Manner::Over, false, &Interrupt::never()).unwrap();
    assert_eq!(place.read("kubernetes/admin.conf"), "1.30");
    assert_eq!(place.read("kubernetes/pki/ca.key"), "key");
    assert_eq!(place.read("kubernetes/mine"), "written since");
    assert_eq!(place.read("kubernetes/audit/audit"), "theirs");
    assert!(place.at("saved/audit").symlink_metadata().unwrap().is_symlink());
}

#[test]
fn a_file_is_replaced_at_once_and_nothing_is_no_error() {
    let place = Place::new();
    place.write("config.yaml", "1.30");
    place.copy("config.yaml", "states/config.yaml", Manner::Over).unwrap();
    place.write("config.yaml", "1.31");
    place.copy("states/config.yaml", "config.yaml", Manner::Over).unwrap();
    assert_eq!(place.read("config.yaml"), "1.30");
    place.copy("none", "config.yaml", Manner::Exact).unwrap();
    assert_eq!(place.read("config.yaml"), "1.30");
}

#[test]
fn a_damaged_copy_is_not_restored() {
    for damage in ["content", "missing", "more", "mode", "listing", "all"] {
        let place = Place::new();
        data(&place);
        place.copy("etcd", "saved", Manner::Exact).unwrap();
        let wal = place.at("saved/member/wal/0.wal");
        match damage {
            "content" => fs::write(wal, "written by 1.29").unwrap(),
            "missing" => fs::remove_file(wal).unwrap(),
            "more" => place.write("saved/member/wal/2.wal", ""),
            "all" => fs::remove_dir_all(place.at("saved")).unwrap(),
            "mode" => fs::set_permissions(wal, fs::Permissions::from_mode(0o777)).unwrap(),
            _ => place.write("saved.listing.json", "{"),
        }
        let before = Listing::of(&place.at("etcd"), true).unwrap();
        let error = copy(&place.at("saved"), &place.at("etcd"), Manner::Exact, false, &Interrupt::never()).unwrap_err();
        assert!(matches!(error, CopyError::Damaged { .. }), "{damage}: {error}");
        assert_eq!(Listing::of(&place.at("etcd"), true).unwrap(), before, "{damage}");
    }
}

#[test]
fn an_interrupt_stops_it() {
    let place = Place::new();
    data(&place);
    let (interrupter, interrupt) = crate::apply::Interrupter::new();
    interrupter.interrupt();
    let error = copy(&place.at("etcd"), &place.at("to"), Manner::Exact, false, &interrupt).unwrap_err();
    assert!(matches!(error, CopyError::Interrupted), "{error:?}");
}
