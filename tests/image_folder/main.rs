//! Images into the folder that k3s or RKE2 imports from: what the archive holds, and that it comes whole or not at all.
#![expect(clippy::unwrap_used, reason = "what a test needs and lacks fails it")]

#[path = "../common/noise.rs"]
mod noise;
mod sample;
mod site;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex};

use carrack::apply::{ApplyError, Interrupter, Invocation, Options, Source, apply};
use carrack::bundle::FileContent;
use carrack::oci::{Digest, Platform, media_type};
use carrack::progress::Progress;

use self::noise::noise;
use self::sample::{GZIP, Sample, text};
use self::site::{Site, options, printed, read_archive, without_values};

const ARCHIVE: &str = "var/lib/rancher/k3s/agent/images/sample-1.0.0.tar.zst";

#[test]
fn the_archive_holds_plain_manifests_of_one_platform() {
    let sample = Sample::usual("1.0.0");
    let site = Site::new(&sample);
    site.k3s("apply", 0);
    let (index, blobs) = read_archive(&site.archive());
    let (app, multi) = (&sample.parts.images[0], &sample.parts.images[1]);
    let (app_digest, here) = (app.target.digest, Digest::of(&multi.manifests[1].raw));
    let names: BTreeSet<(String, Digest)> = index
        .manifests
        .iter()
        .map(|manifest| {
            let name = manifest.annotation("io.containerd.image.name").unwrap();
            assert_eq!(manifest.annotation("org.opencontainers.image.ref.name"), Some(name));
            assert_eq!(manifest.media_type, media_type::IMAGE_MANIFEST);
            (name.to_owned(), manifest.digest)
        })
        .collect();
    let expected = [
        ("example.org/app:1".to_owned(), app_digest),
        (format!("example.org/app@{app_digest}"), app_digest),
        ("example.org/multi:2".to_owned(), here),
        (format!("example.org/multi@{}", multi.target.digest), here),
    ];
    assert_eq!(names, BTreeSet::from(expected));
    let mut needed = BTreeSet::new();
    for manifest in [&app.manifests[0], &multi.manifests[1]] {
        needed.extend([Digest::of(&manifest.raw), Digest::of(&manifest.config)]);
        needed.extend(manifest.manifest.layers.iter().map(|layer| layer.digest));
    }
    assert_eq!(blobs.keys().copied().collect::<BTreeSet<_>>(), needed);
    // The layer that is a host file as well went to both.
    assert_eq!(fs::read(site.root().join("opt/layer")).unwrap(), text(7, 5_000_000));
}

#[test]
fn a_second_run_changes_nothing_and_damage_is_repaired() {
    let site = Site::new(&Sample::usual("1.0.0"));
    let planned = site.k3s("plan", 0);
    assert!(planned.contains("create  archive") && planned.contains("add     image"), "{planned}");
    assert!(site.k3s("preflight", 0).contains("ok    space "));
    site.k3s("apply", 0);
    let installed = site.tree();
    let content = fs::read(site.archive()).unwrap();
    let receipt = fs::read(site.root().join("var/lib/carrack/receipts/0001-sample-1.0.0.json")).unwrap();
    let receipt: serde_json::Value = serde_json::from_slice(&receipt).unwrap();
    let expected = serde_json::json!({
        "kind": "k3s",
        "folder": "/var/lib/rancher/k3s/agent/images",
        "archive": {"path": format!("/{ARCHIVE}"), "digest": Digest::of(&content), "size": content.len()},
    });
    assert_eq!(receipt["runtime"], expected);
    assert_eq!(receipt["images"].as_array().unwrap().len(), 2);

    assert!(site.k3s("plan", 0).contains("nothing to change"));
    assert!(site.k3s("apply", 0).contains("nothing to change"));
    assert_eq!(site.tree(), installed);
    assert!(site.k3s("status", 0).contains("archive"));

    let mut damaged = content.clone();
    damaged[1_000_000] ^= 1;
    fs::write(site.archive(), &damaged).unwrap();
    assert!(site.k3s("status", 40).contains("other content"));
    assert!(site.k3s("plan", 0).contains("replace archive"));
    site.k3s("apply", 0);
    assert!(fs::read(site.archive()).unwrap() == content);
    fs::remove_file(site.archive()).unwrap();
    assert!(site.k3s("status", 40).contains("absent"));
    site.k3s("apply", 0);
    assert!(fs::read(site.archive()).unwrap() == content);
    site.k3s("status", 0);
}

#[test]
fn a_damaged_bundle_leaves_nothing() {
    let site = Site::new(&Sample::usual("1.0.0"));
    let whole = fs::read(&site.bundle).unwrap();
    // From the first layer to the tail's last.
    for at in (3_000..whole.len() - 2_000).step_by(whole.len() / 17) {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x10;
        fs::write(&site.bundle, &damaged).unwrap();
        site.k3s("apply", 30);
        assert_eq!(site.tree(), BTreeMap::new(), "byte {at}");
    }
}

#[test]
fn what_no_journal_names_stays_beside_an_archive() {
    let site = Site::new(&Sample::usual("1.0.0"));
    site.k3s("apply", 0);
    let installed = site.tree();
    let content = fs::read(site.archive()).unwrap();
    // An archive that no receipt has.
    fs::remove_dir_all(site.root().join("var/lib/carrack")).unwrap();
    let beside = |suffix: &str| site.archive().with_file_name(format!("sample-1.0.0.tar.zst{suffix}"));
    for suffix in [".partial", ".carrack-old"] {
        fs::write(beside(suffix), "mine").unwrap();
        assert!(site.k3s("apply", 40).contains(&format!("sample-1.0.0.tar.zst{suffix}")));
        assert_eq!(fs::read(beside(suffix)).unwrap(), b"mine");
        fs::remove_file(beside(suffix)).unwrap();
    }
    site.k3s("apply", 0);
    let kept = "var/lib/carrack/originals";
    let paths = |tree: BTreeMap<String, _>| tree.into_keys().filter(|path| !path.starts_with(kept)).collect::<Vec<_>>();
    assert_eq!(paths(site.tree()), paths(installed));
    assert!(fs::read(site.archive()).unwrap() == content);
    // With nothing left to change, no name is needed.
    fs::write(beside(".partial"), b"mine").unwrap();
    assert!(site.k3s("apply", 0).contains("nothing to change"));
    assert_eq!(fs::read(beside(".partial")).unwrap(), b"mine");
}

/// Before the first blob, and as each blob is begun: a stored one, the first and the last of the tail.
#[tokio::test(flavor = "multi_thread")]
async fn an_interrupt_leaves_nothing() {
    let site = Site::new(&Sample::usual("1.0.0"));
    let (trusted, source, survey) = site.look().await;
    let result = apply(survey, without_values(trusted.contents(), &source), &options(true)).await;
    assert!(matches!(result, Err(ApplyError::Interrupted)), "{result:?}");
    assert_eq!(site.tree(), BTreeMap::new());
    for content in [noise(1, 2_500_000), text(7, 5_000_000), text(11, 70_000)] {
        let (trusted, _, survey) = site.look().await;
        let (interrupter, interrupt) = Interrupter::new();
        let (opened, at) = (trusted.clone(), Digest::of(&content));
        let blobs = trusted.blobs().iter().map(|blob| (blob.digest, blob.size)).collect();
        let source = Source::new(blobs, move |digest| {
            if *digest == at {
                interrupter.interrupt();
            }
            Ok(Box::new(opened.open(digest).unwrap()))
        });
        let options =
            Options { command: Invocation::default(), jobs: 3, progress: Arc::new(Progress::default()), interrupt };
        let result = apply(survey, without_values(trusted.contents(), &source), &options).await;
        assert!(matches!(result, Err(ApplyError::Interrupted)), "{result:?}");
        assert_eq!(site.tree(), BTreeMap::new());
    }
}

/// Every blob is read from the bundle once, and in its order; those of other platforms too, to see that they are whole.
#[tokio::test(flavor = "multi_thread")]
async fn the_bundle_is_read_once() {
    let site = Site::new(&Sample::usual("1.0.0"));
    let (trusted, _, survey) = site.look().await;
    let (opened, reads) = (trusted.clone(), Arc::new(Mutex::new(Vec::new())));
    let order: Vec<Digest> = trusted.blobs().iter().map(|blob| blob.digest).collect();
    let blobs = trusted.blobs().iter().map(|blob| (blob.digest, blob.size)).collect();
    let seen = Arc::clone(&reads);
    let source = Source::new(blobs, move |digest| {
        seen.lock().unwrap().push(*digest);
        Ok(Box::new(opened.open(digest).unwrap()))
    });
    let options = Options { jobs: 1, ..options(false) };
    apply(survey, without_values(trusted.contents(), &source), &options).await.unwrap();
    let mut reads = reads.lock().unwrap().clone();
    // The images' one configuration comes first, since it is at the archive's head.
    let others = reads.split_off(1);
    let place = |digest: &Digest| order.iter().position(|other| other == digest).unwrap();
    assert!(others.is_sorted_by_key(place), "{others:?}");
    let distinct: BTreeSet<Digest> = reads.iter().chain(&others).copied().collect();
    assert_eq!(distinct.len(), reads.len() + others.len(), "a blob was read twice");
}

/// A folder comes in the way of the archive, of a file, or of the receipt; with and without an archive to put back.
#[tokio::test(flavor = "multi_thread")]
async fn a_failed_change_is_taken_back() {
    for in_the_way in [ARCHIVE, "usr/local/bin/tool", "var/lib/carrack/receipts"] {
        let site = Site::new(&Sample::usual("1.0.0"));
        // Otherwise the lock makes them, and takes them with it.
        fs::create_dir_all(site.root().join("var/lib")).unwrap();
        let (trusted, source, survey) = site.look().await;
        let at = site.root().join(in_the_way);
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        // A file where a folder is to be, and the other way round.
        if in_the_way.ends_with("receipts") {
            fs::write(&at, "").unwrap();
        } else {
            fs::create_dir(&at).unwrap();
        }
        let before = site.tree();
        let result = apply(survey, without_values(trusted.contents(), &source), &options(false)).await;
        assert!(result.is_err(), "{in_the_way}: {result:?}");
        assert_eq!(site.tree(), before, "{in_the_way}: {result:?}");
    }
    let site = Site::new(&Sample::usual("1.0.0"));
    site.k3s("apply", 0);
    fs::write(site.archive(), "what an administrator put there").unwrap();
    fs::remove_file(site.root().join("usr/local/bin/tool")).unwrap();
    let (trusted, source, survey) = site.look().await;
    fs::create_dir(site.root().join("usr/local/bin/tool")).unwrap();
    let before = site.tree();
    let result = apply(survey, without_values(trusted.contents(), &source), &options(false)).await;
    assert!(matches!(result, Err(ApplyError::RolledBack { .. })), "{result:?}");
    assert_eq!(site.tree(), before);
}

#[test]
fn another_versions_archive_is_taken_away() {
    let mut site = Site::new(&Sample::usual("1.0.0"));
    site.k3s("apply", 0);
    site.bundle = Sample::usual("1.1.0").write(site.folder.path());
    let planned = site.k3s("plan", 0);
    assert!(planned.contains(&format!("remove  file     /{ARCHIVE}")), "{planned}");
    site.k3s("apply", 0);
    assert!(!site.archive().exists());
    assert!(site.archive().with_file_name("sample-1.1.0.tar.zst").exists());
    // One that is not what was installed is somebody's.
    site.bundle = Sample::usual("1.2.0").write(site.folder.path());
    fs::write(site.archive().with_file_name("sample-1.1.0.tar.zst"), "an administrator's").unwrap();
    let told = site.k3s("apply", 0);
    assert!(told.contains("sample-1.1.0.tar.zst is no longer wanted, but was changed"), "{told}");
    assert!(site.archive().with_file_name("sample-1.1.0.tar.zst").exists());
}

/// A bundle that differs in its files alone leaves the archive as it is, and reads no image.
#[test]
fn the_same_images_are_not_written_again() {
    let mut sample = Sample::usual("1.0.0");
    let mut site = Site::new(&sample);
    site.k3s("apply", 0);
    sample.file("/etc/more", b"more\n".to_vec(), FileContent::Inline(b"more\n".to_vec()));
    site.bundle = sample.write(site.folder.path());
    let planned = site.k3s("plan", 0);
    assert!(planned.contains("/etc/more") && !planned.contains("archive"), "{planned}");
    site.k3s("apply", 0);
    site.k3s("status", 0);
    assert!(site.k3s("apply", 0).contains("nothing to change"));
}

#[test]
fn each_distribution_has_a_folder_of_its_own() {
    for (distribution, runtime) in [("none", "rke2"), ("rke2", "rke2"), ("rke2", "k3s")] {
        let mut sample = Sample::usual("1.0.0");
        sample.distribution(distribution);
        let site = Site::new(&sample);
        printed(&site.run("apply", &["--runtime", runtime]), 0);
        let archive = format!("var/lib/rancher/{runtime}/agent/images/sample-1.0.0.tar.zst");
        assert!(site.tree().contains_key(&archive), "{distribution} {runtime}");
    }
}

#[test]
fn below_a_root_images_go_where_the_distribution_looks_and_else_nowhere() {
    for (distribution, archive) in [
        ("k3s", "var/lib/rancher/k3s/agent/images/sample-1.0.0.tar.zst"),
        ("rke2", "var/lib/rancher/rke2/agent/images/sample-1.0.0.tar.zst"),
        ("canonical", "var/lib/carrack/canonical/images/sample-1.0.0.tar"),
        ("none", ""),
    ] {
        let archives = |more: &[&str]| {
            let site = Site::of(distribution);
            printed(&site.run("apply", more), 0);
            for flag in [&["--no-unpack"][..], &["--namespace", "x"], &["--containerd-address", "/x"]] {
                let refused = printed(&site.run("plan", &[more, flag].concat()), 2);
                assert!(refused.contains(flag[0]) && refused.contains("no effect"), "{refused}");
            }
            let paths = site.tree().into_keys();
            paths.filter(|path| path.contains("sample-1.0.0.tar")).collect::<Vec<_>>()
        };
        let expected = if archive.is_empty() { Vec::new() } else { vec![archive] };
        assert_eq!(archives(&[]), expected, "{distribution}");
        assert_eq!(archives(&["--runtime", "none"]), Vec::<String>::new(), "{distribution}");
    }
}

/// The importer of Canonical Kubernetes looks for `*.tar` and decompresses nothing.
#[test]
fn canonical_kubernetes_gets_a_plain_archive() {
    let site = Site::of("canonical");
    let folder = site.root().join("var/lib/carrack/canonical/images");
    printed(&site.run("apply", &["--runtime", "canonical"]), 0);
    let archive = folder.join("sample-1.0.0.tar");
    let plain = fs::read(&archive).unwrap();
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "{:?}", site.tree());
    assert_eq!(archive.metadata().unwrap().permissions().mode() & 0o7777, 0o644);
    let other = Site::of("canonical");
    other.k3s("apply", 0);
    assert_eq!(plain, zstd::stream::decode_all(fs::File::open(other.archive()).unwrap()).unwrap());

    // It is told by its receipt, and damage is found and repaired.
    let receipt = site.root().join("var/lib/carrack/receipts/0001-sample-1.0.0.json");
    let receipt: serde_json::Value = serde_json::from_slice(&fs::read(receipt).unwrap()).unwrap();
    assert_eq!(receipt["runtime"]["kind"], "canonical");
    assert_eq!(receipt["runtime"]["archive"]["size"], plain.len());
    printed(&site.run("status", &[]), 0);
    fs::write(&archive, "damaged").unwrap();
    assert!(printed(&site.run("status", &[]), 40).contains("sample-1.0.0.tar"));
    printed(&site.run("apply", &[]), 0);
    assert_eq!(fs::read(&archive).unwrap(), plain);
}

#[test]
fn a_root_for_another_platform_gets_that_platforms_images() {
    let other = Platform::new("linux", "s390x");
    let mut sample = Sample::new("1.0.0", std::slice::from_ref(&other));
    let manifest = sample.manifest(&other, &[(GZIP, noise(3, 10_000))]);
    let digest = Digest::of(&manifest.raw);
    sample.image("example.org/app:1", manifest);
    let site = Site::new(&sample);
    site.k3s("apply", 0);
    let (index, _) = read_archive(&site.archive());
    assert!(index.manifests.iter().all(|manifest| manifest.digest == digest));
}

#[test]
fn what_cannot_be_is_refused_before_anything_changes() {
    let mut clashing = Sample::usual("1.0.0");
    clashing.file(&format!("/{ARCHIVE}"), b"x".to_vec(), FileContent::Inline(b"x".to_vec()));
    let site = Site::new(&clashing);
    assert!(site.k3s("apply", 40).contains(ARCHIVE));
    assert_eq!(site.tree(), BTreeMap::new());

    let site = Site::new(&Sample::usual("1.0.0"));
    fs::create_dir_all(site.archive()).unwrap();
    assert!(site.k3s("apply", 40).contains("is not a file"));
}

#[test]
fn what_the_bundle_declares_absent_is_left_to_the_runtime() {
    let mut absent = Sample::usual("1.0.0");
    absent.parts.images[0].manifests.clear();
    let site = Site::new(&absent);
    assert!(site.k3s("apply", 0).contains("1 image absent, for the runtime to pull"));
}

#[test]
fn what_an_older_version_put_there_is_taken_away() {
    let mut sample = Sample::usual("1.0.0");
    sample.file("/etc/more", b"more\n".to_vec(), FileContent::Inline(b"more\n".to_vec()));
    let mut site = Site::new(&sample);
    site.k3s("apply", 0);
    site.bundle = Sample::usual("1.1.0").write(site.folder.path());
    let said = site.k3s("plan", 0);
    assert!(said.contains("remove  file     /etc/more"), "{said}");
    site.k3s("apply", 0);
    assert!(!site.tree().contains_key("etc/more"));
}

#[test]
fn without_images_there_is_no_archive() {
    let mut sample = Sample::new("1.0.0", &[Platform::of_this_machine()]);
    sample.file("/etc/file", b"x".to_vec(), FileContent::Inline(b"x".to_vec()));
    let site = Site::new(&sample);
    site.k3s("apply", 0);
    assert!(!site.tree().keys().any(|path| path.contains("rancher")), "{:?}", site.tree());
    assert!(site.k3s("apply", 0).contains("nothing to change"));
    site.k3s("status", 0);
}
