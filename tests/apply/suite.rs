//! What every containerd must show.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use carrack::apply::containerd::{Client, ContainerdError, Opened};
use carrack::apply::{ApplyError, Interrupter, apply};
use carrack::oci::Digest;

use crate::fake::Fake;
use crate::faults;
use crate::image::{Layer, TestBundle};
use crate::real::Real;
use crate::{begin, install, look, options, patiently, without_values};

/// One or the other.
pub(crate) enum Runtime {
    Fake(Fake),
    Real(Real),
}

impl Runtime {
    pub(crate) fn socket(&self) -> PathBuf {
        match self {
            Self::Fake(fake) => fake.socket(),
            Self::Real(real) => real.socket(),
        }
    }

    /// Names and what they stand for.
    pub(crate) fn names(&self) -> BTreeMap<String, String> {
        match self {
            Self::Fake(fake) => {
                let images = fake.state().images.clone();
                images.into_iter().map(|(name, image)| (name, image.target.unwrap().digest)).collect()
            }
            Self::Real(real) => {
                let listed = real.ctr(&["images", "ls"]);
                let fields = listed.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
                fields.map(|fields| (fields[0].to_owned(), fields[2].to_owned())).collect()
            }
        }
    }

    pub(crate) fn content(&self) -> BTreeSet<String> {
        match self {
            Self::Fake(fake) => fake.state().content.keys().cloned().collect(),
            Self::Real(real) => real.ctr(&["content", "ls", "-q"]).lines().map(str::to_owned).collect(),
        }
    }

    /// How many ingests, leases and snapshots there are.
    pub(crate) fn leftovers(&self) -> (usize, usize, usize) {
        match self {
            Self::Fake(fake) => {
                let state = fake.state();
                (state.ingests.len(), state.leases.len(), state.snapshots.len())
            }
            Self::Real(real) => {
                let count = |arguments: &[&str]| real.ctr(arguments).lines().skip(1).count();
                (count(&["content", "active"]), count(&["leases", "ls"]), count(&["snapshots", "ls"]))
            }
        }
    }

    pub(crate) fn assert_untouched(&self, root: &Path) {
        assert_eq!((self.names(), self.content()), (BTreeMap::new(), BTreeSet::new()));
        assert_eq!(self.leftovers(), (0, 0, 0));
        assert_eq!(tree(root), Vec::<String>::new());
    }
}

/// Three images that share a layer, files and a manifest.
pub(crate) fn bundle() -> TestBundle {
    static MADE: LazyLock<TestBundle> = LazyLock::new(make);
    MADE.clone()
}

fn make() -> TestBundle {
    let mut bundle = TestBundle::new();
    let busybox = fs::read("/bin/busybox").unwrap_or_else(|_| b"not a program".to_vec());
    let base = Layer::new(&[("bin/busybox", &busybox)]);
    bundle.image("quay.io/lab/one:1", &[base.clone(), Layer::new(&[("greeting", b"hello from one\n")])]);
    bundle.sparse_image("docker.io/lab/two:2", &[base, Layer::new(&[("greeting", b"hello from two\n")])]);
    bundle.image("quay.io/lab/noise:1", &[Layer::noise(7, 5 << 20)]);
    bundle.file("/usr/local/bin/tool", 0o755, b"#!/bin/sh\n");
    bundle.file("/etc/tool/config", 0o600, b"secret\n");
    bundle.file("/etc/tool/same", 0o644, b"secret\n");
    bundle.manifest("shop.yaml", b"kind: Namespace\n");
    bundle
}

/// Files below a folder, with their modes.
pub(crate) fn tree(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut pending = vec![folder.to_owned()];
    while let Some(at) = pending.pop() {
        for entry in fs::read_dir(&at).unwrap() {
            let path = entry.unwrap().path();
            let facts = fs::symlink_metadata(&path).unwrap();
            if facts.is_dir() {
                pending.push(path.clone());
            }
            let name = path.strip_prefix(folder).unwrap().display().to_string();
            found.push(format!("{name} {:o}", facts.permissions().mode() & 0o7777));
        }
    }
    found.sort();
    found
}

/// Labels by digest, from `ctr content ls`.
pub(crate) fn labels(listed: &str) -> BTreeMap<String, BTreeSet<String>> {
    let lines = listed.lines().skip(1).filter(|line| !line.is_empty());
    let fields = lines.map(|line| line.split('\t').filter(|field| !field.is_empty()).collect::<Vec<_>>());
    let set = |labels: &str| labels.split(',').filter(|label| *label != "-").map(str::to_owned).collect();
    fields.map(|fields| (fields[0].to_owned(), set(fields[3]))).collect()
}

pub(crate) async fn all(start: impl AsyncFn() -> Runtime) {
    installs_once(&start().await).await;
    damage_leaves_nothing(&start().await).await;
    an_interrupt_leaves_nothing(&start().await).await;
    a_wrong_diff_id_leaves_nothing(&start().await).await;
    a_killed_run_is_resumed(&start().await, 1 << 20).await;
    a_killed_run_is_resumed(&start().await, 0).await;
    a_moved_tag_is_moved(&start().await).await;
    a_failed_change_is_taken_back(&start().await).await;
    faults::all(start).await;
}

async fn installs_once(runtime: &Runtime) {
    let (bundle, root) = (bundle(), tempfile::tempdir().unwrap());
    let outcome = install(&bundle, root.path(), Some(&runtime.socket())).await.unwrap();
    assert_eq!((outcome.imported.0, outcome.present, outcome.unpacked, outcome.named), (11, 0, 4, 6));
    assert_eq!(runtime.names().len(), 6);
    for image in &bundle.contents.images {
        let digest = image.target.digest.to_string();
        assert_eq!(runtime.names()[&image.reference.to_string()], digest);
        assert_eq!(runtime.names()[&format!("{}@{digest}", image.reference.name())], digest);
    }
    let installed = tree(root.path());
    assert!(installed.contains(&"etc/tool/config 600".to_owned()), "{installed:?}");
    assert!(installed.contains(&"usr/local/bin/tool 755".to_owned()), "{installed:?}");
    assert!(installed.contains(&"var/lib/carrack/manifests/shop/shop.yaml 644".to_owned()), "{installed:?}");
    assert!(installed.contains(&"var/lib/carrack/receipts/0001-edge-1.0.0.json 644".to_owned()), "{installed:?}");

    let plan = look(&bundle, root.path(), Some(&runtime.socket())).await.unwrap().plan;
    assert!(plan.is_empty());
    let again = install(&bundle, root.path(), Some(&runtime.socket())).await.unwrap();
    assert_eq!((again.receipt, again.imported.0, again.named), (None, 0, 0));
    assert_eq!(tree(root.path()), installed);
    // Garbage collection comes with the end of a lease, and finds nothing to take.
    let (content, client) = (runtime.content(), Client::connect(&runtime.socket(), "k8s.io").await.unwrap());
    begin(&client).await.end(true).await.unwrap();
    assert_eq!((runtime.content(), runtime.leftovers()), (content, (0, 0, 4)));
}

async fn damage_leaves_nothing(runtime: &Runtime) {
    let (mut bundle, root) = (bundle(), tempfile::tempdir().unwrap());
    let damaged = bundle.damage();
    match install(&bundle, root.path(), Some(&runtime.socket())).await {
        Err(ApplyError::Blob { digest, needed_by, source }) => {
            assert_eq!((digest, source.kind()), (damaged, io::ErrorKind::InvalidData));
            assert_eq!(needed_by, ["quay.io/lab/noise:1"]);
        }
        other => panic!("{other:?}"),
    }
    runtime.assert_untouched(root.path());
}

async fn an_interrupt_leaves_nothing(runtime: &Runtime) {
    let (bundle, root) = (bundle(), tempfile::tempdir().unwrap());
    let source = bundle.source();
    let result = patiently(async || {
        let survey = look(&bundle, root.path(), Some(&runtime.socket())).await?;
        let (interrupter, interrupt) = Interrupter::new();
        interrupter.interrupt();
        apply(survey, without_values(&bundle.contents, &source), &options(interrupt)).await
    });
    let result = result.await;
    assert!(matches!(result, Err(ApplyError::Interrupted)), "{result:?}");
    runtime.assert_untouched(root.path());
}

async fn a_wrong_diff_id_leaves_nothing(runtime: &Runtime) {
    let (mut bundle, root) = (TestBundle::new(), tempfile::tempdir().unwrap());
    let lying = Layer { diff_id: Digest::of(b"other"), ..Layer::new(&[("file", b"content")]) };
    bundle.image("quay.io/lab/lying:1", &[Layer::new(&[("base", b"content")]), lying]);
    let result = install(&bundle, root.path(), Some(&runtime.socket())).await;
    assert!(matches!(result, Err(ApplyError::Containerd(ContainerdError::DiffId { .. }))), "{result:?}");
    runtime.assert_untouched(root.path());
}

/// A run that was killed leaves a lease and the beginning of a blob: the blob's own first bytes, or others.
async fn a_killed_run_is_resumed(runtime: &Runtime, right: usize) {
    let (bundle, root) = (bundle(), tempfile::tempdir().unwrap());
    let (digest, content) = bundle.blobs.iter().max_by_key(|(_, content)| content.len()).unwrap();
    let mut begun = content[..2 << 20].to_vec();
    begun[right..].fill(0);
    begun.truncate(if right == 0 { begun.len() } else { right });
    let client = Client::connect(&runtime.socket(), "k8s.io").await.unwrap();
    let session = begin(&client).await;
    // What was on its way when the connection ended may be lost, so it may take more than one try.
    let mut taken = 0;
    for _ in 0..100 {
        match session.open(*digest, content.len() as u64).await.unwrap() {
            Opened::Present => panic!("it is present"),
            Opened::Wanted(ingest) if ingest.offset() > 0 => {
                taken = ingest.offset();
                break;
            }
            Opened::Wanted(mut ingest) => {
                for part in begun.chunks(64 << 10) {
                    ingest.write(part.to_vec().into()).await.unwrap();
                }
            }
        }
    }
    assert!(taken > 0, "nothing was taken");
    drop(session);
    let outcome = install(&bundle, root.path(), Some(&runtime.socket())).await.unwrap();
    assert_eq!((outcome.imported.0, runtime.names().len()), (11, 6));
    assert_eq!(runtime.leftovers(), (0, 0, 4));
}

async fn a_moved_tag_is_moved(runtime: &Runtime) {
    let root = tempfile::tempdir().unwrap();
    let version = |greeting: &[u8]| {
        let mut bundle = TestBundle::new();
        bundle.contents.identity = Digest::of(greeting);
        let target = bundle.image("quay.io/lab/one:1", &[Layer::new(&[("greeting", greeting)])]);
        bundle.file("/etc/greeting", 0o644, greeting);
        (bundle, target)
    };
    let ((first, old), (second, new)) = (version(b"one"), version(b"two"));
    install(&first, root.path(), Some(&runtime.socket())).await.unwrap();
    install(&second, root.path(), Some(&runtime.socket())).await.unwrap();
    let names = runtime.names();
    assert_eq!(names["quay.io/lab/one:1"], new.to_string());
    assert_eq!(names[&format!("quay.io/lab/one@{old}")], old.to_string());
    assert_eq!(fs::read(root.path().join("etc/greeting")).unwrap(), b"two");
    assert!(tree(root.path()).iter().any(|path| path.contains("0002-edge-1.0.0.json")));
    assert!(!tree(root.path()).iter().any(|path| path.contains(".carrack-")));
}

/// A file that cannot get its name, after others have theirs.
async fn a_failed_change_is_taken_back(runtime: &Runtime) {
    let root = tempfile::tempdir().unwrap();
    let mut first = TestBundle::new();
    first.image("quay.io/lab/one:1", &[Layer::new(&[("greeting", b"one")])]);
    first.file("/etc/tool/config", 0o600, b"before\n");
    install(&first, root.path(), Some(&runtime.socket())).await.unwrap();
    let before = (runtime.names(), runtime.content(), tree(root.path()));

    let mut second = bundle();
    second.contents.identity = Digest::of(b"second");
    let (source, place) = (second.source(), root.path().join("etc/tool/same"));
    let result = patiently(async || {
        let survey = look(&second, root.path(), Some(&runtime.socket())).await?;
        // Somebody puts a folder where a file is to come.
        fs::create_dir_all(place.join("folder")).unwrap();
        let (_interrupter, interrupt) = Interrupter::new();
        let result = apply(survey, without_values(&second.contents, &source), &options(interrupt)).await;
        fs::remove_dir_all(&place).unwrap();
        result
    });
    let result = result.await;
    assert!(matches!(result, Err(ApplyError::RolledBack { .. })), "{result:?}");
    assert_eq!((runtime.names(), runtime.content(), tree(root.path())), before);
    assert_eq!(fs::read(root.path().join("etc/tool/config")).unwrap(), b"before\n");
    assert_eq!(runtime.leftovers(), (0, 0, 1));
}
