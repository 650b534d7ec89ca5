//! Images into the folder that k3s or RKE2 imports from: what the archive holds, and that it comes whole or not at all.
#![expect(clippy::unwrap_used, reason = "what a test needs and lacks fails it")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

use carrack::apply::{
    ApplyError, ImageFolder, Inputs, Interrupter, Invocation, Options, RootLock, Source, Survey, Target, TargetRuntime,
    apply, survey,
};
use carrack::bundle::{
    BundlePlan, Contents, FileContent, HostFile, ImageParts, ManifestParts, PartialBundle, Parts, ResolvedPack,
    ResolvedProfile, compose,
};
use carrack::host::Root;
use carrack::oci::{Descriptor, Digest, ImageIndex, ImageManifest, Platform, media_type};
use carrack::progress::Progress;
use carrack::site::node::Node;
use carrack::trust::{self, Trusted};
use carrack::variables::Values;

const GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const PLAIN: &str = "application/vnd.oci.image.layer.v1.tar";
const ARCHIVE: &str = "var/lib/rancher/k3s/agent/images/sample-1.0.0.tar.zst";

/// Bytes that do not compress, different for each seed.
fn noise(seed: u64, count: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    })
    .take(count)
    .collect()
}

fn text(seed: u8, count: usize) -> Vec<u8> {
    (0..count).map(|at| (at / 97 % 251) as u8 ^ seed).collect()
}

/// A bundle whose variables have no values.
fn without_values<'a>(contents: &'a Contents, source: &'a Source) -> Inputs<'a> {
    static NONE: Values = Values::new();
    Inputs { contents, source, values: &NONE, node: Node::alone() }
}

/// What a bundle is made of.
struct Sample {
    parts: Parts,
    large: BTreeMap<Digest, Vec<u8>>,
}

impl Sample {
    fn new(version: &str, platforms: &[Platform]) -> Self {
        let profile = ResolvedProfile {
            name: "sample".to_owned(),
            version: version.to_owned(),
            platforms: platforms.to_vec(),
            ..Default::default()
        };
        let (files, manifests, charts, config, images) = Default::default();
        let requires_installer = "0.1.0".to_owned();
        let parts = Parts { profile, created: None, requires_installer, files, manifests, charts, config, images };
        Self { parts, large: BTreeMap::new() }
    }

    /// Two images, one of them for two platforms that share a layer, and a file that is a layer too. All kinds of places
    /// that a blob can have are there.
    fn usual(version: &str) -> Self {
        let (here, other) = (Platform::of_this_machine(), Platform::new("linux", "s390x"));
        let mut sample = Self::new(version, &[other.clone(), here.clone()]);
        let (packed, plain) = (noise(1, 2_500_000), text(7, 5_000_000));
        let app = sample.manifest(&here, &[(GZIP, packed.clone()), (PLAIN, plain.clone())]);
        sample.image("example.org/app:1", app);
        let shared = text(9, 300_000);
        // The other platform first, so that its layers stand before those that they are mixed with here.
        let theirs = sample.manifest(&other, &[(PLAIN, shared.clone()), (GZIP, noise(2, 1_000))]);
        let ours = sample.manifest(&here, &[(PLAIN, text(11, 70_000)), (PLAIN, shared), (GZIP, packed)]);
        sample.index("example.org/multi:2", vec![(other, theirs), (here, ours)]);
        sample.file("/opt/layer", plain, FileContent::Tail);
        sample.file("/usr/local/bin/tool", b"#!/bin/sh\n".to_vec(), FileContent::Inline(b"#!/bin/sh\n".to_vec()));
        sample
    }

    fn manifest(&mut self, platform: &Platform, layers: &[(&str, Vec<u8>)]) -> ManifestParts {
        let config = serde_json::json!({
            "os": platform.os, "architecture": platform.architecture, "rootfs": {"type": "layers", "diff_ids": []},
        });
        let config = config.to_string().into_bytes();
        let described = |(kind, content): &(&str, Vec<u8>)| Descriptor::of(kind, content);
        let manifest = ImageManifest {
            schema_version: 2,
            media_type: Some(media_type::IMAGE_MANIFEST.to_owned()),
            artifact_type: None,
            config: Descriptor::of(media_type::IMAGE_CONFIG, &config),
            layers: layers.iter().map(described).collect(),
            annotations: Default::default(),
        };
        self.large.extend(layers.iter().map(|(_, content)| (Digest::of(content), content.clone())));
        ManifestParts { raw: serde_json::to_vec(&manifest).unwrap(), manifest, config }
    }

    fn image(&mut self, reference: &str, manifest: ManifestParts) {
        let (target, reference) =
            (Descriptor::of(media_type::IMAGE_MANIFEST, &manifest.raw), reference.parse().unwrap());
        self.parts.images.push(ImageParts { reference, target, index: None, manifests: vec![manifest] });
    }

    fn index(&mut self, reference: &str, manifests: Vec<(Platform, ManifestParts)>) {
        let described = |(platform, manifest): &(Platform, ManifestParts)| Descriptor {
            platform: Some(platform.clone()),
            ..Descriptor::of(media_type::IMAGE_MANIFEST, &manifest.raw)
        };
        let index = ImageIndex {
            schema_version: 2,
            media_type: Some(media_type::IMAGE_INDEX.to_owned()),
            artifact_type: None,
            manifests: manifests.iter().map(described).collect(),
            annotations: Default::default(),
        };
        let raw = serde_json::to_vec(&index).unwrap();
        let (target, reference) = (Descriptor::of(media_type::IMAGE_INDEX, &raw), reference.parse().unwrap());
        let manifests = manifests.into_iter().map(|(_, manifest)| manifest).collect();
        self.parts.images.push(ImageParts { reference, target, index: Some(raw), manifests });
    }

    fn file(&mut self, path: &str, content: Vec<u8>, place: FileContent) {
        let blob = Descriptor::of(media_type::HOST_FILE, &content);
        self.large.insert(blob.digest, content);
        let (pack, path) = ("base".to_owned(), path.to_owned());
        self.parts
            .files
            .push((HostFile { blob, pack, path, mode: 0o755, owner: None, platform: None, template: false }, place));
    }

    fn distribution(&mut self, name: &str) {
        let program = format!("/usr/local/bin/{name}");
        self.file(&program, b"a program".to_vec(), FileContent::Inline(b"a program".to_vec()));
        self.parts.profile.packs.push(ResolvedPack {
            name: "base".to_owned(),
            layer: "k8s".to_owned(),
            distribution: Some(name.to_owned()),
            ..Default::default()
        });
    }

    fn write(&self, folder: &Path) -> PathBuf {
        let target = folder.join(format!("sample-{}.tar.zst", self.parts.profile.version));
        let plan = BundlePlan::new(&compose(&self.parts).unwrap()).unwrap();
        let partial = PartialBundle::open(&target, &plan).unwrap();
        for place in &plan.stored {
            let mut blob = partial.stored(place).unwrap();
            blob.push(&self.large[&place.digest]).unwrap();
            blob.finish().unwrap();
        }
        let mut tail = partial.tail(&plan, 3);
        while let Some(mut blob) = tail.next_blob().unwrap() {
            let digest = blob.place().digest;
            blob.put(&mut self.large[&digest].as_slice(), |_| {}).unwrap();
        }
        partial.commit(&plan, &tail.finish()).unwrap();
        target
    }
}

/// A bundle and a root to install it into.
struct Site {
    folder: tempfile::TempDir,
    bundle: PathBuf,
}

impl Site {
    fn new(sample: &Sample) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("root")).unwrap();
        let bundle = sample.write(folder.path());
        Self { folder, bundle }
    }

    /// The usual bundle of a distribution, for Ubuntu.
    fn of(distribution: &str) -> Self {
        let mut sample = Sample::usual("1.0.0");
        sample.distribution(distribution);
        let site = Self::new(&sample);
        fs::create_dir_all(site.root().join("etc")).unwrap();
        fs::write(site.root().join("etc/os-release"), "ID=ubuntu\n").unwrap();
        site
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    fn archive(&self) -> PathBuf {
        self.root().join(ARCHIVE)
    }

    fn run(&self, command: &str, more: &[&str]) -> Output {
        let mut installer = Command::new(env!("CARGO_BIN_EXE_carrack-install"));
        installer.arg(command).arg("--root").arg(self.root());
        if command != "status" {
            installer.arg(&self.bundle);
        }
        installer.args(more).output().unwrap()
    }

    /// Runs it for k3s, and wants this exit code. Returns all that was printed.
    fn k3s(&self, command: &str, code: i32) -> String {
        let more: &[&str] = if command == "status" { &[] } else { &["--runtime", "k3s"] };
        printed(&self.run(command, more), code)
    }

    fn survey_target(&self) -> Target {
        let (root, platform) = (Root::new(&self.root()).unwrap(), Platform::of_this_machine());
        Target { root, runtime: TargetRuntime::Folder(ImageFolder::K3s), platform, keep: 1 }
    }

    async fn look(&self) -> (Trusted, Source, Survey) {
        let trusted = trust::establish(&self.bundle).unwrap();
        let blobs = trusted.blobs().iter().map(|blob| (blob.digest, blob.size)).collect();
        let opened = trusted.clone();
        let source = Source::new(blobs, move |digest| Ok(Box::new(opened.open(digest).unwrap())));
        let target = self.survey_target();
        let lock = loop {
            match RootLock::take(&target.root) {
                // A program that another test starts has copies of all locks for a moment, until it is that program.
                Err(ApplyError::Busy(_)) => tokio::task::yield_now().await,
                taken => break taken.unwrap(),
            }
        };
        let found = survey(without_values(trusted.contents(), &source), &target, lock).await.unwrap();
        (trusted, source, found)
    }

    /// Every path below the root, with the digest of what is a file; but receipts.
    fn tree(&self) -> BTreeMap<String, Option<Digest>> {
        let (mut found, mut pending) = (BTreeMap::new(), vec![self.root()]);
        while let Some(at) = pending.pop() {
            for entry in fs::read_dir(&at).unwrap() {
                let path = entry.unwrap().path();
                let digest = path.is_file().then(|| Digest::of(&fs::read(&path).unwrap()));
                found.insert(path.strip_prefix(self.root()).unwrap().display().to_string(), digest);
                pending.extend(Some(path).filter(|path| path.is_dir()));
            }
        }
        found
    }
}

fn printed(output: &Output, code: i32) -> String {
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{text}");
    text
}

fn options(interrupted: bool) -> Options {
    let (interrupter, interrupt) = Interrupter::new();
    if interrupted {
        interrupter.interrupt();
    }
    Options { command: Invocation::default(), jobs: 3, progress: Arc::new(Progress::default()), interrupt }
}

/// The index of an archive, and its blobs.
fn read_archive(path: &Path) -> (ImageIndex, BTreeMap<Digest, Vec<u8>>) {
    let plain = zstd::stream::decode_all(fs::File::open(path).unwrap()).unwrap();
    let (mut index, mut blobs) = (None, BTreeMap::new());
    for entry in tar::Archive::new(plain.as_slice()).entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().display().to_string();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        if let Some(hex) = name.strip_prefix("blobs/sha256/") {
            assert_eq!(Digest::of(&content).hex(), hex);
            blobs.insert(Digest::of(&content), content);
        } else if name == "index.json" {
            index = Some(serde_json::from_slice(&content).unwrap());
        }
    }
    (index.unwrap(), blobs)
}

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
fn what_a_killed_run_left_is_replaced() {
    let site = Site::new(&Sample::usual("1.0.0"));
    site.k3s("apply", 0);
    let installed = site.tree();
    let content = fs::read(site.archive()).unwrap();
    // Between the archive's name and the receipt, and in the middle of writing.
    fs::remove_dir_all(site.root().join("var/lib/carrack")).unwrap();
    let beside = |suffix: &str| site.archive().with_file_name(format!("sample-1.0.0.tar.zst{suffix}"));
    fs::write(beside(".partial"), &content[..content.len() / 2]).unwrap();
    fs::write(beside(".carrack-old"), b"old").unwrap();
    site.k3s("apply", 0);
    let paths = |tree: BTreeMap<String, _>| tree.into_keys().collect::<Vec<_>>();
    assert_eq!(paths(site.tree()), paths(installed));
    assert!(fs::read(site.archive()).unwrap() == content);
    // With nothing left to change, it is removed all the same.
    fs::write(beside(".partial"), b"half").unwrap();
    assert!(site.k3s("apply", 0).contains("nothing to change"));
    assert!(!beside(".partial").exists());
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
    assert!(matches!(result, Err(ApplyError::RolledBack(_))), "{result:?}");
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
    // What a killed run left.
    fs::create_dir_all(&folder).unwrap();
    for left in ["sample-1.0.0.tar.partial", "sample-1.0.0.tar.zst.partial"] {
        fs::write(folder.join(left), "left").unwrap();
    }
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
