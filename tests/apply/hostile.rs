//! Roots that somebody else owns, who leads Carrack astray while it works: nothing outside of them is ever written or removed.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use carrack::apply::{ApplyError, Source, TargetRuntime};
use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::image::TestBundle;
use crate::suite::tree;
use crate::{install, install_from};

/// How many files the bundle puts into the folder that is swapped.
const FILES: usize = 4;

fn bundle(version: &str) -> TestBundle {
    let mut bundle = TestBundle::new();
    bundle.contents.profile.version = version.into();
    for index in 0..FILES {
        bundle.file(&format!("/etc/cron.d/job{index}"), 0o644, format!("{version} {index}").as_bytes());
    }
    bundle
}

/// A folder and a link that leads out of the root change places.
fn swap(root: &Path) {
    let at = |name: &str| root.join("etc").join(name);
    renameat_with(CWD, at("cron.d"), CWD, at("link"), RenameFlags::EXCHANGE).unwrap();
}

/// A root with such a folder and link, and what the link leads to, which has files of the same names.
fn trap() -> (tempfile::TempDir, std::path::PathBuf, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let (root, victim) = (folder.path().join("root"), folder.path().join("victim"));
    fs::create_dir_all(root.join("etc/cron.d")).unwrap();
    fs::create_dir(&victim).unwrap();
    for index in 0..FILES {
        for name in [format!("job{index}"), format!("job{index}.carrack-new"), format!("job{index}.carrack-old")] {
            fs::write(victim.join(name), "precious").unwrap();
        }
    }
    symlink(&victim, root.join("etc/link")).unwrap();
    (folder, root, victim)
}

/// The `nth` time that a blob is opened, the folder becomes a link.
fn swapping(bundle: &TestBundle, root: &Path, nth: usize) -> Source {
    let (source, root, count) = (bundle.source(), root.to_owned(), Arc::new(AtomicUsize::new(0)));
    Source::new(source.blobs().to_vec(), move |digest| {
        if count.fetch_add(1, Ordering::SeqCst) == nth {
            swap(&root);
        }
        source.open(digest)
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_becomes_a_link_leads_nowhere() {
    for nth in 0..FILES {
        let (_folder, root, victim) = trap();
        let before = tree(&victim);
        let bundle = bundle("1.0.0");
        let result = install_from(&bundle, &swapping(&bundle, &root, nth), &root, TargetRuntime::None).await;
        assert_eq!(tree(&victim), before, "{nth}");
        assert!(result.is_err(), "{nth}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_becomes_a_link_keeps_nobody_from_going_back() {
    for nth in 0..FILES {
        let (_folder, root, victim) = trap();
        let before = tree(&victim);
        install(&bundle("1.0.0"), &root, None).await.unwrap();
        let newer = bundle("1.1.0");
        let result = install_from(&newer, &swapping(&newer, &root, nth), &root, TargetRuntime::None).await;
        let error = result.unwrap_err();
        assert_eq!(tree(&victim), before, "{nth}");
        // What was staged before is in a folder that is elsewhere now, which a person has to know.
        assert!(matches!(error, ApplyError::NeedsPerson { .. } | ApplyError::Path(_)), "{nth}: {error:?}");
        // The folder is back, and so is everything.
        swap(&root);
        install(&newer, &root, None).await.unwrap();
        assert_eq!(fs::read_to_string(root.join("etc/cron.d/job0")).unwrap(), "1.1.0 0");
        assert_eq!(fs::read_dir(root.join("etc/cron.d")).unwrap().count(), FILES);
        assert_eq!(tree(&victim), before, "{nth}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn links_below_carracks_own_folder_are_refused() {
    for name in ["receipts", "journal", "kept", "states", "by-hand"] {
        let (_folder, root, victim) = trap();
        install(&bundle("1.0.0"), &root, None).await.unwrap();
        let own = root.join("var/lib/carrack");
        let _ = fs::rename(own.join(name), own.join("moved"));
        symlink(&victim, own.join(name)).unwrap();
        let before = tree(&victim);
        let error = install(&bundle("1.1.0"), &root, None).await.unwrap_err();
        assert_eq!(tree(&victim), before, "{name}: {error:?}");
    }
}

/// A receipt or journal that is a pipe, a device or without end is neither waited for nor read to its end.
#[tokio::test(flavor = "multi_thread")]
async fn state_that_is_no_file_is_refused_at_once() {
    let pipe = |path: &Path| rustix::fs::mkfifoat(CWD, path, rustix::fs::Mode::from_raw_mode(0o600)).unwrap();
    let endless = |path: &Path| fs::File::create(path).unwrap().set_len(10 << 30).unwrap();
    let link = |path: &Path| symlink("/dev/zero", path).unwrap();
    let makers: [&dyn Fn(&Path); 3] = [&pipe, &endless, &link];
    for make in makers {
        for name in ["receipts/0001-edge-1.0.0.json", "journal/preparing.json", "journal/changing.json"] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("var/lib/carrack").join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            make(&path);
            let error = install(&bundle("1.0.0"), folder.path(), None).await.unwrap_err();
            // A receipt is read piece by piece, and the first is none.
            let refused =
                matches!(error, ApplyError::Path(_) | ApplyError::Receipt { .. } | ApplyError::Journal { .. });
            assert!(refused, "{name}: {error:?}");
        }
    }
}
