use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use super::*;
use crate::apply::claims::look;

struct Host {
    folder: tempfile::TempDir,
    root: Root,
}

impl Host {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::new(folder.path()).unwrap();
        Self { folder, root }
    }

    fn at(&self, path: &str) -> PathBuf {
        self.folder.path().join(path.trim_start_matches('/'))
    }

    fn write(&self, path: &str, text: &str) {
        fs::create_dir_all(self.at(path).parent().unwrap()).unwrap();
        fs::write(self.at(path), text).unwrap();
    }

    fn make(&self, path: &str) {
        fs::create_dir_all(self.at(path)).unwrap();
    }

    fn look(&self, path: &str) -> Claim {
        look(path, &self.root, &|_| false).unwrap().0
    }

    fn remove(&self, claim: &Claim) -> Vec<String> {
        remove(claim, &self.root).unwrap()
    }

    /// Every path, with the content of files and the targets of links.
    fn tree(&self) -> BTreeMap<PathBuf, String> {
        let (mut found, mut pending) = (BTreeMap::new(), vec![self.folder.path().to_owned()]);
        while let Some(folder) = pending.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let facts = path.symlink_metadata().unwrap();
                let what = match (facts.is_dir(), facts.is_symlink()) {
                    (true, _) => {
                        pending.push(path.clone());
                        "folder".to_owned()
                    }
                    (_, true) => format!("-> {}", path.read_link().unwrap().display()),
                    _ => fs::read_to_string(&path).unwrap(),
                };
                found.insert(path, what);
            }
        }
        found
    }
}

#[test]
fn what_was_made_goes_and_what_was_there_stays() {
    let host = Host::new();
    host.make("/var/lib");
    host.make("/etc/kubernetes/manifests");
    host.write("/data/photos", "of ten years");
    host.make("/disk/etcd");
    symlink("/disk/etcd", host.at("/var/lib/etcd")).unwrap();
    symlink("/disk", host.at("/var/lib/rancher")).unwrap();
    let before = host.tree();
    let claims = ["/var/lib/kubelet", "/etc/kubernetes", "/var/lib/etcd", "/var/lib/rancher/k3s", "/run/k3s"];
    let claims = claims.map(|path| host.look(path));
    for claim in &claims {
        host.write(&format!("{}/inner/deep/file", claim.real()), "ours");
        host.make(&format!("{}/empty", claim.real()));
        symlink("/data", host.at(claim.real()).join("link")).unwrap();
        symlink(host.at("/data"), host.at(claim.real()).join("out")).unwrap();
    }
    host.write("/etc/kubernetes/manifests/pod.yaml", "ours");
    for claim in &claims {
        assert_eq!(host.remove(claim), Vec::<String>::new(), "{claim:?}");
        assert_eq!(host.remove(claim), Vec::<String>::new(), "again: {claim:?}");
    }
    fs::remove_dir(host.at("/run")).unwrap();
    assert_eq!(host.tree(), before);
}

#[test]
fn a_file_goes_where_nothing_was_there() {
    let host = Host::new();
    host.make("/root");
    let claim = host.look("/root/k3s.yaml");
    host.write("/root/k3s.yaml", "ours");
    host.remove(&claim);
    assert!(!host.at("/root/k3s.yaml").exists() && host.at("/root").exists());
    host.write("/root/other", "theirs");
    let claim = host.look("/root/other");
    assert_eq!(claim.before, Prior::Foreign);
    assert!(remove(&claim, &host.root).is_err());
    assert!(host.at("/root/other").exists());
}

#[test]
fn what_is_not_recorded_or_is_the_systems_is_refused() {
    let host = Host::new();
    for path in ["/etc", "/usr/local", "/usr/local/bin", "/a", "/var/lib", "/home", "/srv"] {
        host.write(&format!("{path}/file"), "theirs");
    }
    host.write("/var/lib/etcd/wal", "theirs");
    let before = host.tree();
    for path in [
        "/",
        "",
        "//",
        "/etc",
        "/usr/local",
        "/usr/local/bin",
        "/a",
        "/var/lib",
        "/home",
        "/srv",
        "var/lib/etcd",
        "/var/lib/etcd/",
        "/var/lib/../lib/etcd",
        "/var/lib/./etcd",
        "/var//lib/etcd",
        "/var/lib/etcd/..",
    ] {
        for prior in [Prior::Absent, Prior::Empty] {
            assert!(remove(&Claim::new(path, prior), &host.root).is_err(), "{path}");
        }
    }
    for prior in [Prior::Foreign, Prior::Unknown] {
        assert!(remove(&Claim::new("/var/lib/etcd", prior), &host.root).is_err());
    }
    assert_eq!(host.tree(), before);
}

#[test]
fn what_leads_elsewhere_since_then_stays() {
    let host = Host::new();
    host.make("/var/lib");
    host.make("/empty/folder");
    host.write("/home/a/photos", "theirs");
    let absent = host.look("/var/lib/kubelet");
    // A link in the place of what was made.
    symlink("/home/a", host.at("/var/lib/kubelet")).unwrap();
    let left = host.remove(&absent);
    assert!(left[0].contains("it has led to /home/a only since the installation"), "{left:?}");
    // An empty folder that has become a link; a folder behind one that has become another; a file.
    let empty = host.look("/empty/folder");
    fs::remove_dir(host.at("/empty/folder")).unwrap();
    symlink("/home/a", host.at("/empty/folder")).unwrap();
    assert!(!host.remove(&empty).is_empty());
    fs::remove_file(host.at("/empty/folder")).unwrap();
    host.write("/empty/folder", "a file");
    assert!(!host.remove(&empty).is_empty());
    // A way there that leads elsewhere.
    let nested = host.look("/empty/way/data");
    fs::rename(host.at("/home/a"), host.at("/home/data")).unwrap();
    symlink("/home", host.at("/empty/way")).unwrap();
    assert!(!host.remove(&nested).is_empty());
    assert!(host.at("/home/data/photos").exists() && host.at("/empty/folder").exists());
}

#[test]
fn folders_of_any_depth_go() {
    let host = Host::new();
    host.make("/data/x");
    let claim = host.look("/data/x/deep");
    let top = host.at("/data/x/deep");
    fs::create_dir(&top).unwrap();
    // Deeper than a path can be, and than files can be open.
    let mut at = Folder::open(&top).unwrap();
    for count in 0..3000 {
        let name = OsString::from("d".repeat(1 + count % 200));
        rustix::fs::mkdirat(&at, &name, rustix::fs::Mode::RWXU).unwrap();
        at = at.open_in(&name).unwrap();
    }
    assert_eq!(host.remove(&claim), Vec::<String>::new());
    assert!(!top.exists());
}

#[test]
fn only_folders_without_files_are_empty() {
    let host = Host::new();
    host.make("/a/empty/inner/most");
    host.write("/a/full/inner/file", "");
    host.make("/a/linked");
    symlink("nowhere", host.at("/a/linked/link")).unwrap();
    symlink("nowhere", host.at("/a/dangling")).unwrap();
    host.write("/a/file", "");
    (0..2000).for_each(|count| host.make(&format!("/a/many/{count}")));
    for (path, prior) in [
        ("/a/empty", Prior::Empty),
        ("/a/none", Prior::Absent),
        ("/b/none/at/all", Prior::Absent),
        ("/a/full", Prior::Foreign),
        ("/a/linked", Prior::Foreign),
        ("/a/dangling", Prior::Foreign),
        ("/a/file", Prior::Foreign),
        ("/a/file/below", Prior::Foreign),
        ("/a/many", Prior::Foreign),
    ] {
        assert_eq!(host.look(path).before, prior, "{path}");
    }
    assert_eq!(host.look("/a/empty").folders, ["inner", "inner/most"]);
    // Files of Carrack's own are nobody else's, and are not removed with the folder all the same.
    let (claim, ours) = look("/a/full", &host.root, &|path| path == "/a/full/inner/file").unwrap();
    assert_eq!((claim.before, ours), (Prior::Foreign, true));
}
