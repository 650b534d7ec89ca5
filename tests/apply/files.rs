//! Installing files into a folder, without a runtime.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use carrack::apply::files::FileError;
use carrack::apply::status::{Difference, installed};
use carrack::apply::{
    ApplyError, Asked, Choices, ImageFolder, Inputs, RootLock, Source, Target, TargetRuntime, survey,
};
use carrack::host::Root;
use carrack::oci::{Digest, ImageIndex, Platform};
use carrack::site::node::Node;
use carrack::variables::{Values, Variable};

use crate::image::TestBundle;
use crate::suite::{bundle, tree};
use crate::{install, install_from, install_to, look, patiently, runtime};

#[tokio::test(flavor = "multi_thread")]
async fn images_are_checked_even_where_they_are_left_alone() {
    let (mut bundle, root) = (bundle(), tempfile::tempdir().unwrap());
    bundle.damage();
    let error = install(&bundle, root.path(), None).await.unwrap_err();
    assert!(matches!(error, ApplyError::Blob { .. }), "{error:?}");
    assert_eq!(tree(root.path()), Vec::<String>::new());
}

/// What is not as the only profile that is installed below `root` says.
async fn differences(root: &Root) -> Vec<Difference> {
    let mut all = installed(root).await.unwrap();
    assert_eq!(all.len(), 1);
    all.remove(0).differences
}

#[tokio::test(flavor = "multi_thread")]
async fn what_differs_is_told_and_installed_again() {
    let (bundle, folder) = (bundle(), tempfile::tempdir().unwrap());
    install(&bundle, folder.path(), None).await.unwrap();
    let root = Root::new(folder.path()).unwrap();
    assert_eq!(differences(&root).await, []);

    fs::write(folder.path().join("etc/tool/config"), "other\n").unwrap();
    fs::remove_file(folder.path().join("etc/tool/same")).unwrap();
    symlink("/etc/tool/config", folder.path().join("etc/tool/same")).unwrap();
    let found: Vec<String> = differences(&root).await.into_iter().map(|one| one.what).collect();
    assert_eq!(found, ["/etc/tool/config", "/etc/tool/same"]);

    install(&bundle, folder.path(), None).await.unwrap();
    assert_eq!(differences(&root).await, []);
    assert_eq!(fs::read(folder.path().join("etc/tool/same")).unwrap(), b"secret\n");
    let newest = installed(&root).await.unwrap().remove(0).path;
    assert!(newest.ends_with("var/lib/carrack/receipts/0002-edge-1.0.0.json"), "{newest:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_run_has_left_stays_whatever_its_name() {
    for ending in ["carrack-old", "carrack-new"] {
        let (bundle, folder) = (bundle(), tempfile::tempdir().unwrap());
        install(&bundle, folder.path(), None).await.unwrap();
        let config = folder.path().join("etc/tool/config");
        fs::write(config.with_extension(ending), "mine").unwrap();
        // Nothing changes beside it.
        let with_it = tree(folder.path());
        let outcome = install(&bundle, folder.path(), None).await.unwrap();
        assert_eq!((outcome.receipt, tree(folder.path())), (None, with_it));
        fs::write(&config, "changed").unwrap();
        let with_it = tree(folder.path());
        let error = look(&bundle, folder.path(), None).await.unwrap_err();
        let refused = matches!(error, ApplyError::File(FileError::Taken { .. }) | ApplyError::Leftovers(_));
        assert!(refused, "{error:?}");
        assert!(error.to_string().contains(&format!("config.{ending}")), "{error}");
        assert_eq!(tree(folder.path()), with_it);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_file_has_a_place_that_it_can_have() {
    let refused = async |paths: &[&str], make: &dyn Fn(&Path)| {
        let folder = tempfile::tempdir().unwrap();
        make(folder.path());
        let before = tree(folder.path());
        let mut bundle = TestBundle::new();
        for (index, path) in paths.iter().enumerate() {
            bundle.file(path, 0o644, index.to_string().as_bytes());
        }
        let error = look(&bundle, folder.path(), None).await.unwrap_err();
        assert_eq!(tree(folder.path()), before, "{paths:?}");
        let ApplyError::File(error) = error else { panic!("{paths:?}: {error:?}") };
        error
    };
    let nothing = |_: &Path| {};
    let link = |from: &'static str, to: &'static str| {
        move |root: &Path| {
            let from = root.join(from);
            fs::create_dir_all(from.parent().unwrap()).unwrap();
            symlink(to, from).unwrap();
        }
    };
    // One file, and something that needs a folder there.
    let error = refused(&["/etc/a", "/etc/a/b"], &nothing).await;
    assert_eq!(error.to_string(), "/etc/a is a file of the bundle, and /etc/a/b needs a folder there");
    let error = refused(&["/opt/x/y/z", "/opt/x"], &nothing).await;
    assert_eq!(error.to_string(), "/opt/x is a file of the bundle, and /opt/x/y/z needs a folder there");
    // One place with two names.
    for (from, to) in [("lib", "usr/lib"), ("lib", "/usr/lib"), ("lib", "other"), ("x/y", "../usr/lib")] {
        let first = format!("/{from}/a");
        let paths = [first.as_str(), if to == "other" { "/other/a" } else { "/usr/lib/a" }];
        let error = refused(&paths, &link(from, to)).await;
        assert!(matches!(error, FileError::Twice { .. }), "{error:?}");
    }
    // Carrack's own folder, however it is called.
    for (from, to) in [
        ("srv/c", "../var/lib/carrack"),
        ("srv/c", "/var/lib/carrack/"),
        ("srv/c", "/var/lib/carrack/receipts"),
        ("srv/c", "/proc/self/root/var/lib/carrack"),
        ("proc/self/root", "/"),
    ] {
        let path =
            if from.starts_with("proc") { "/proc/self/root/var/lib/carrack/x" } else { "/srv/c/0009-x-1.0.0.json" };
        let error = refused(&[path], &link(from, to)).await;
        assert!(matches!(error, FileError::LeadsToOwn { .. } | FileError::Kernel { .. }), "{from}: {error:?}");
    }
    for path in ["/proc/sys/kernel/core_pattern", "/sys/x", "/dev/shm/x", "/dev/null"] {
        assert!(matches!(refused(&[path], &nothing).await, FileError::Kernel { .. }), "{path}");
    }
    assert!(matches!(refused(&["/etc/k/x"], &link("etc/k", "../proc")).await, FileError::Kernel { .. }));
    // What is no file.
    let pipe = |root: &Path| {
        let (pipe, mode) = (root.join("pipe"), rustix::fs::Mode::from_raw_mode(0o644));
        rustix::fs::mkfifoat(rustix::fs::CWD, pipe, mode).unwrap();
    };
    assert!(matches!(refused(&["/pipe"], &pipe).await, FileError::InTheWay(_)));
    let socket = |root: &Path| drop(std::os::unix::net::UnixListener::bind(root.join("socket")).unwrap());
    assert!(matches!(refused(&["/socket"], &socket).await, FileError::InTheWay(_)));
    let inner = |root: &Path| fs::create_dir(root.join("folder")).unwrap();
    assert!(matches!(refused(&["/folder"], &inner).await, FileError::InTheWay(_)));
    assert!(matches!(refused(&["/pipe/x"], &pipe).await, FileError::Place { .. }));
    // What no file system takes.
    let long = format!("/etc/{}", "a".repeat(256));
    assert!(matches!(refused(&[&long], &nothing).await, FileError::TooLong(_)));
    let deep = format!("/{}", "abcdefg/".repeat(600));
    assert!(matches!(refused(&[deep.trim_end_matches('/')], &nothing).await, FileError::TooLong(_)));
}

/// Names up to what file systems take: no shorter one is the file's own than its provisional name.
#[tokio::test(flavor = "multi_thread")]
async fn long_names_work() {
    let names: Vec<String> = (240..=255).map(|length| "a".repeat(length)).collect();
    let unicode = "ä".repeat(127);
    let folder = tempfile::tempdir().unwrap();
    for content in ["old", "new"] {
        let mut bundle = TestBundle::new();
        bundle.contents.profile.version = if content == "old" { "1.0.0".into() } else { "1.1.0".into() };
        for name in names.iter().chain([&unicode]) {
            bundle.file(&format!("/etc/{name}"), 0o644, content.as_bytes());
        }
        install(&bundle, folder.path(), None).await.unwrap();
        for name in names.iter().chain([&unicode]) {
            assert_eq!(fs::read_to_string(folder.path().join("etc").join(name)).unwrap(), content);
        }
        assert_eq!(fs::read_dir(folder.path().join("etc")).unwrap().count(), names.len() + 1);
    }
}

/// More files than there are descriptors, of the same content and of different ones.
#[tokio::test(flavor = "multi_thread")]
async fn there_may_be_more_files_than_descriptors() {
    let folder = tempfile::tempdir().unwrap();
    let mut bundle = TestBundle::new();
    for index in 0..700 {
        bundle.file(&format!("/opt/same/{index}"), 0o644, b"same");
        bundle.file(&format!("/opt/other/{index}"), 0o644, index.to_string().as_bytes());
    }
    let most = Arc::new(AtomicUsize::new(0));
    let (seen, source) = (Arc::clone(&most), bundle.source());
    let blobs = source.blobs().to_vec();
    let counted = Source::new(blobs, move |digest| {
        let open = fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
        seen.fetch_max(open, Ordering::Relaxed);
        source.open(digest)
    });
    install_from(&bundle, &counted, folder.path(), runtime(None)).await.unwrap();
    assert!(most.load(Ordering::Relaxed) < 512, "{most:?} descriptors");
    for index in [0, 1, 350, 699] {
        let read = |path: String| fs::read_to_string(folder.path().join(path)).unwrap();
        assert_eq!(read(format!("opt/same/{index}")), "same");
        assert_eq!(read(format!("opt/other/{index}")), index.to_string());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_cannot_write_outside_of_the_root() {
    for path in ["/out/file", "/../file", "relative", "/"] {
        let (mut bundle, folder) = (TestBundle::new(), tempfile::tempdir().unwrap());
        symlink("../../../../../../tmp", folder.path().join("out")).unwrap();
        bundle.file(path, 0o644, b"content");
        let error = look(&bundle, folder.path(), None).await.unwrap_err();
        assert!(matches!(error, ApplyError::File(FileError::Place { .. })), "{path}: {error:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_names_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut bundle = TestBundle::new();
    bundle.contents.profile.version = "../../x".into();
    assert!(matches!(look(&bundle, folder.path(), None).await.unwrap_err(), ApplyError::Name(_)));
    let mut bundle = TestBundle::new();
    bundle.manifest("../x.yaml", b"");
    let error = look(&bundle, folder.path(), None).await.unwrap_err();
    assert!(matches!(error, ApplyError::File(FileError::Name(_))), "{error:?}");
    let mut bundle = TestBundle::new();
    bundle.file("/etc/a", 0o644, b"1");
    bundle.file("/etc/./a", 0o644, b"2");
    let error = look(&bundle, folder.path(), None).await.unwrap_err();
    assert!(matches!(error, ApplyError::File(FileError::Twice { .. })), "{error:?}");
}

/// The archive for k3s: whole, of one platform, and the same file on a second run.
#[tokio::test(flavor = "multi_thread")]
async fn an_image_folder_gets_an_archive() {
    const FOLDER: &str = "/var/lib/rancher/k3s/agent/images";
    let (bundle, folder) = (bundle(), tempfile::tempdir().unwrap());
    let runtime = TargetRuntime::Folder(ImageFolder::K3s);
    let first = install_to(&bundle, folder.path(), runtime.clone()).await.unwrap();
    assert!(first.receipt.is_some());
    let installed = tree(folder.path());
    let archive = "var/lib/rancher/k3s/agent/images/edge-1.0.0.tar.zst";
    assert!(installed.contains(&format!("{archive} 644")), "{installed:?}");
    assert!(!installed.iter().any(|path| path.contains(".partial")), "{installed:?}");

    let plain = zstd::decode_all(fs::File::open(folder.path().join(archive)).unwrap()).unwrap();
    let mut names = Vec::new();
    for entry in tar::Archive::new(plain.as_slice()).entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().display().to_string();
        let mut content = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut content).unwrap();
        if let Some(hex) = name.strip_prefix("blobs/sha256/") {
            assert_eq!(Digest::of(&content).hex(), hex);
        }
        if name == "index.json" {
            let index: ImageIndex = serde_json::from_slice(&content).unwrap();
            names = index
                .manifests
                .iter()
                .map(|one| one.annotation("io.containerd.image.name").unwrap().to_owned())
                .collect();
            assert!(index.manifests.iter().all(|one| !one.media_type.contains("index")), "{index:?}");
        }
    }
    let by_tag: Vec<&String> = names.iter().filter(|name| !name.contains('@')).collect();
    assert_eq!(by_tag, ["quay.io/lab/one:1", "docker.io/lab/two:2", "quay.io/lab/noise:1"]);
    // What the CRI plugin finds by digest is a name with that digest.
    for image in &bundle.contents.images {
        assert!(names.contains(&image.reference.pinned(image.target.digest).to_string()), "{names:?}");
    }

    let again = install_to(&bundle, folder.path(), runtime.clone()).await.unwrap();
    assert_eq!((again.receipt, tree(folder.path())), (None, installed));
    let root = Root::new(folder.path()).unwrap();
    assert_eq!(differences(&root).await, []);
    fs::write(folder.path().join(archive), "other").unwrap();
    assert_eq!(differences(&root).await[0].what, format!("{FOLDER}/edge-1.0.0.tar.zst"));
    install_to(&bundle, folder.path(), runtime).await.unwrap();
    assert_eq!(differences(&root).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_bundle_leaves_no_archive() {
    let (mut bundle, folder) = (bundle(), tempfile::tempdir().unwrap());
    bundle.damage();
    let runtime = TargetRuntime::Folder(ImageFolder::K3s);
    let error = install_to(&bundle, folder.path(), runtime).await.unwrap_err();
    assert!(matches!(&error, ApplyError::Blob { needed_by, .. } if needed_by == &["quay.io/lab/noise:1"]), "{error:?}");
    assert_eq!(tree(folder.path()), Vec::<String>::new());
}

/// What a bundle's maker did not foresee is found before anything changes.
#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_a_value_names_must_be_in_the_bundle() {
    let (mut bundle, folder) = (bundle(), tempfile::tempdir().unwrap());
    let template = "apiVersion: v1\nkind: Pod\nmetadata: {name: shop}\nspec:\n  containers:\n    - {name: one, image: \
                    \"quay.io/lab/{{.carrack.var.name}}:1\"}\n";
    bundle.manifest("named.yaml", template.as_bytes());
    bundle.contents.manifests.last_mut().unwrap().template = true;
    bundle.contents.profile.variables = vec![Variable { name: "name".to_owned(), ..Variable::default() }];
    let target = Target {
        root: Root::new(folder.path()).unwrap(),
        runtime: TargetRuntime::None,
        platform: Platform::of_this_machine(),
        keep: 1,
        choices: Choices::default(),
        asked: Asked::default(),
        containerd: None,
    };
    let source = bundle.source();
    let look = async |name: &str| {
        let values = Values::from([("name".to_owned(), name.to_owned())]);
        let inputs = Inputs { contents: &bundle.contents, source: &source, values: &values, node: Node::alone() };
        patiently(async || survey(inputs, &target, Some(RootLock::take(&target.root)?)).await.map(drop)).await
    };
    look("one").await.unwrap();
    let error = look("none").await.unwrap_err();
    let shown = "/var/lib/carrack/manifests/shop/named.yaml:6: Pod shop: spec.containers[0].image: \
                 quay.io/lab/none:1 is not in the bundle";
    assert!(matches!(&error, ApplyError::MissingImages(missing) if missing == &[shown]), "{error:?}");
    let error = look("a secret in a wrong place").await.unwrap_err();
    assert!(matches!(&error, ApplyError::MissingImages(_)) && !error.to_string().contains("secret"), "{error:?}");
    assert_eq!(tree(folder.path()), Vec::<String>::new());
}
