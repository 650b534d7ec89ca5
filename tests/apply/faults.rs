//! What happens to a containerd while a bundle is imported into it. Each case ends in success, or in an error and a host on
//! which nothing refers to what came; and the next run ends as an undisturbed one. What a killed run left in part is a case of
//! the suite.

use std::fs;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use carrack::apply::containerd::{Client, Labels, Opened};
use carrack::apply::{ApplyError, BlobReader, Outcome, Source, TargetRuntime};
use carrack::oci::Digest;
use tonic::Code;

use crate::image::TestBundle;
use crate::suite::{Runtime, bundle, tree};
use crate::{begin, install, install_from};

/// Room for everything but the largest layer; and room for all of it.
const LITTLE: usize = 4 << 20;
/// See [`LITTLE`].
const ENOUGH: usize = 256 << 20;

pub(crate) async fn all(start: impl AsyncFn() -> Runtime) {
    gone_while_writing(start().await).await;
    restarted_while_writing(start().await).await;
    garbage_collected_all_the_time(start().await).await;
    a_lease_that_ends_while_writing(start().await).await;
    a_lease_that_ends_before_names(start().await, true).await;
    a_lease_that_ends_before_names(start().await, false).await;
    no_space(start().await).await;
    an_ingest_that_another_holds(start().await).await;
    aborted(start().await).await;
    a_failed_power(start().await).await;
    a_blob_that_the_power_took(start().await).await;
}

impl Runtime {
    fn vanish(&self) {
        match self {
            Self::Fake(fake) => fake.stop(),
            Self::Real(real) => real.kill(),
        }
    }

    fn come_back(&self) {
        match self {
            Self::Fake(fake) => fake.serve(),
            Self::Real(real) => real.serve(),
        }
    }

    /// Runs the garbage collector, and waits for its end.
    fn collect(&self) {
        match self {
            Self::Fake(fake) => fake.state().collect(),
            Self::Real(real) => {
                let lease = real.ctr(&["leases", "create"]);
                real.ctr(&["leases", "delete", "--sync", lease.trim()]);
            }
        }
    }

    /// Ends all leases, as time does.
    fn end_leases(&self) {
        match self {
            Self::Fake(fake) => fake.state().leases.clear(),
            Self::Real(real) => {
                for lease in real.ctr(&["leases", "ls", "-q"]).lines() {
                    real.ctr(&["leases", "delete", lease]);
                }
            }
        }
    }

    /// Leaves folders of snapshots that it does not know, one of them where that of its first snapshot comes.
    fn lose_power_while_preparing(&self) {
        match self {
            Self::Fake(fake) => {
                let mut state = fake.state();
                (state.unknown_folders, state.in_the_way) = (2, state.snapshots.is_empty());
            }
            Self::Real(real) => {
                for name in ["new-1", "1"] {
                    fs::create_dir_all(real.snapshots().join(name).join("fs")).unwrap();
                }
            }
        }
    }

    /// How many folders of snapshots there are, known and unknown.
    fn snapshot_folders(&self) -> usize {
        match self {
            Self::Fake(fake) => {
                let state = fake.state();
                state.snapshots.len() + state.unknown_folders
            }
            Self::Real(real) => fs::read_dir(real.snapshots()).unwrap().count(),
        }
    }

    /// Takes a blob away of which its database says that it is there.
    fn lose(&self, blob: &Digest) {
        match self {
            Self::Fake(fake) => drop(fake.state().lost.insert(blob.to_string())),
            Self::Real(real) => fs::remove_file(real.blob(blob)).unwrap(),
        }
    }

    fn has_on_disk(&self, blob: &Digest) -> bool {
        match self {
            Self::Fake(fake) => !fake.state().lost.contains(&blob.to_string()),
            Self::Real(real) => real.blob(blob).exists(),
        }
    }

    fn has_room_for(&self, bytes: usize) {
        match self {
            Self::Fake(fake) => fake.state().room = Some(bytes),
            Self::Real(real) if bytes == LITTLE => real.put_on_a_disk(bytes),
            Self::Real(real) => real.grow_the_disk(bytes),
        }
    }

    fn assert_nothing_refers(&self, root: &Path) {
        assert_eq!(self.names().len(), 0);
        assert_eq!(tree(root), Vec::<String>::new());
    }

    /// After a fault, the next run is as if nothing had happened.
    async fn assert_next_run_succeeds(&self, root: &Path) {
        let outcome = install(&bundle(), root, Some(&self.socket())).await.unwrap();
        assert_eq!((outcome.imported.0 + outcome.present, self.names().len()), (11, 6));
        assert_eq!((self.content().len(), self.leftovers()), (11, (0, 0, 4)));
    }
}

/// A reader that does something once, when so many bytes have been read.
struct Disturbed<F> {
    inner: BlobReader,
    left: usize,
    disturb: Option<F>,
}

impl<F: Fn()> Read for Disturbed<F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.left = self.left.saturating_sub(read);
        if self.left == 0
            && let Some(disturb) = self.disturb.take()
        {
            disturb();
        }
        Ok(read)
    }
}

/// The bundle's blobs; `disturb` comes once, when so many bytes of `blob` have been read.
fn disturbed(
    bundle: &TestBundle,
    blob: Digest,
    after: usize,
    disturb: impl Fn() + Clone + Send + Sync + 'static,
) -> Source {
    let (source, done) = (bundle.source(), AtomicBool::new(false));
    Source::new(source.blobs().to_vec(), move |digest| {
        let inner = source.open(digest)?;
        if *digest != blob || done.swap(true, Ordering::Relaxed) {
            return Ok(inner);
        }
        Ok(Box::new(Disturbed { inner, left: after, disturb: Some(disturb.clone()) }))
    })
}

fn largest(bundle: &TestBundle) -> (Digest, u64) {
    let (digest, content) = bundle.blobs.iter().max_by_key(|(_, content)| content.len()).unwrap();
    (*digest, content.len() as u64)
}

/// Where images go.
fn into(runtime: &Runtime, unpack: bool) -> TargetRuntime {
    TargetRuntime::Containerd { address: runtime.socket(), namespace: "k8s.io".to_owned(), unpack }
}

/// Installs while `disturb` comes in the middle of the largest blob.
async fn install_disturbed(runtime: &Arc<Runtime>, root: &Path, disturb: fn(&Runtime)) -> Result<Outcome, ApplyError> {
    let (bundle, disturber) = (bundle(), Arc::clone(runtime));
    let source = disturbed(&bundle, largest(&bundle).0, 2 << 20, move || disturb(&disturber));
    install_from(&bundle, &source, root, into(runtime, true)).await
}

async fn gone_while_writing(runtime: Runtime) {
    let (runtime, root) = (Arc::new(runtime), tempfile::tempdir().unwrap());
    let error = install_disturbed(&runtime, root.path(), Runtime::vanish).await.unwrap_err();
    assert!(matches!(error, ApplyError::NotReleased { .. }), "{error:?}");
    runtime.come_back();
    runtime.assert_nothing_refers(root.path());
    runtime.assert_next_run_succeeds(root.path()).await;
}

async fn restarted_while_writing(runtime: Runtime) {
    let (runtime, root) = (Arc::new(runtime), tempfile::tempdir().unwrap());
    let restart = |runtime: &Runtime| {
        runtime.vanish();
        runtime.come_back();
    };
    let error = install_disturbed(&runtime, root.path(), restart).await.unwrap_err();
    assert!(matches!(error, ApplyError::Containerd(_)), "{error:?}");
    runtime.assert_untouched(root.path());
    runtime.assert_next_run_succeeds(root.path()).await;
}

/// At the beginning of every blob, and in the middle of the largest.
async fn garbage_collected_all_the_time(runtime: Runtime) {
    let (runtime, root, bundle) = (Arc::new(runtime), tempfile::tempdir().unwrap(), bundle());
    let collector = Arc::clone(&runtime);
    let source = disturbed(&bundle, largest(&bundle).0, 2 << 20, move || collector.collect());
    let collector = Arc::clone(&runtime);
    let source = Source::new(source.blobs().to_vec(), move |digest| {
        collector.collect();
        source.open(digest)
    });
    let outcome = install_from(&bundle, &source, root.path(), into(&runtime, true)).await.unwrap();
    assert_eq!((outcome.imported.0, outcome.unpacked, runtime.names().len()), (11, 4, 6));
    let content = runtime.content();
    runtime.collect();
    assert_eq!((content.len(), runtime.content(), runtime.leftovers()), (11, content, (0, 0, 4)));
}

async fn a_lease_that_ends_while_writing(runtime: Runtime) {
    let (runtime, root) = (Arc::new(runtime), tempfile::tempdir().unwrap());
    let end = |runtime: &Runtime| {
        runtime.end_leases();
        runtime.collect();
    };
    let error = install_disturbed(&runtime, root.path(), end).await.unwrap_err();
    assert!(matches!(error, ApplyError::Containerd(_)), "{error:?}");
    runtime.collect();
    runtime.assert_untouched(root.path());
    runtime.assert_next_run_succeeds(root.path()).await;
}

/// When the last bytes are read, all images may be there already, and only have no names.
async fn a_lease_that_ends_before_names(runtime: Runtime, unpack: bool) {
    let (runtime, root, bundle) = (Arc::new(runtime), tempfile::tempdir().unwrap(), bundle());
    let ((last, content), disturber) = (bundle.blobs.last().unwrap(), Arc::clone(&runtime));
    let source = disturbed(&bundle, *last, content.len(), move || {
        let deadline = Instant::now() + Duration::from_secs(60);
        while disturber.content().len() < 11 {
            assert!(Instant::now() < deadline, "the rest does not come");
            std::thread::yield_now();
        }
        disturber.end_leases();
        disturber.collect();
    });
    let error = install_from(&bundle, &source, root.path(), into(&runtime, unpack)).await.unwrap_err();
    assert!(!matches!(error, ApplyError::NeedsPerson { .. }), "{error:?}");
    runtime.collect();
    runtime.assert_untouched(root.path());
    runtime.assert_next_run_succeeds(root.path()).await;
}

async fn no_space(runtime: Runtime) {
    let root = tempfile::tempdir().unwrap();
    runtime.has_room_for(LITTLE);
    let error = install(&bundle(), root.path(), Some(&runtime.socket())).await.unwrap_err();
    let said = carrack::io::with_causes(&error);
    assert!(said.contains("no space left on device"), "{said}");
    runtime.assert_nothing_refers(root.path());
    runtime.has_room_for(ENOUGH);
    runtime.assert_next_run_succeeds(root.path()).await;
}

/// Such as that of a run that was killed a moment ago.
async fn an_ingest_that_another_holds(runtime: Runtime) {
    let (root, bundle) = (tempfile::tempdir().unwrap(), bundle());
    let (digest, size) = largest(&bundle);
    let client = Client::connect(&runtime.socket(), "k8s.io").await.unwrap();
    let session = begin(&client).await;
    let Opened::Wanted(held) = session.open(digest, size).await.unwrap() else { panic!("it is present") };
    drop(session);
    let let_go = async {
        let deadline = Instant::now() + Duration::from_secs(60);
        while runtime.content().len() < 10 {
            assert!(Instant::now() < deadline, "the rest does not come");
            tokio::task::yield_now().await;
        }
        drop(held);
    };
    let source = bundle.source();
    let installing = install_from(&bundle, &source, root.path(), into(&runtime, true));
    let (installed, ()) = tokio::join!(installing, let_go);
    assert_eq!(installed.unwrap().imported.0, 11);
    assert_eq!((runtime.names().len(), runtime.leftovers()), (6, (0, 0, 4)));
}

/// containerd itself never answers so: nothing in its stores does, in 1.6 and in 2.4. What stands for it might.
async fn aborted(runtime: Runtime) {
    let Runtime::Fake(fake) = &runtime else { return };
    let root = tempfile::tempdir().unwrap();
    for call in ["write", "commit", "create", "prepare"] {
        fake.state().calls.clear();
        fake.state().fault = Some((call, 1, Code::Aborted));
        let error = install(&bundle(), root.path(), Some(&fake.socket())).await.unwrap_err();
        assert!(!matches!(error, ApplyError::NeedsPerson { .. }), "{error:?}");
        runtime.assert_untouched(root.path());
    }
    // To take a blob is asked for again.
    fake.state().calls.clear();
    fake.state().fault = Some(("stat", 3, Code::Aborted));
    runtime.assert_next_run_succeeds(root.path()).await;
}

/// It leaves the unit that goes on, a lease, and folders of snapshots that containerd does not know and has no reason to look
/// for. The next run takes them away, also where all else is done.
async fn a_failed_power(runtime: Runtime) {
    let root = tempfile::tempdir().unwrap();
    let client = Client::connect(&runtime.socket(), "k8s.io").await.unwrap();
    for unpacked in [4, 0] {
        runtime.lose_power_while_preparing();
        drop(begin(&client).await);
        let unit = root.path().join("etc/systemd/system/carrack-resume.service");
        fs::create_dir_all(unit.parent().unwrap()).unwrap();
        fs::write(&unit, "").unwrap();
        let outcome = install(&bundle(), root.path(), Some(&runtime.socket())).await.unwrap();
        assert_eq!((outcome.unpacked, outcome.receipt.is_some()), (unpacked, unpacked > 0));
        assert!(!outcome.warnings.iter().any(|warning| warning.contains("lease")), "{:?}", outcome.warnings);
        assert_eq!((runtime.leftovers(), runtime.snapshot_folders()), ((0, 0, 4), 4), "after {unpacked}");
        assert!(!unit.exists(), "after {unpacked}");
    }
}

/// containerd's database is durable before the name of the blob's file is.
async fn a_blob_that_the_power_took(runtime: Runtime) {
    let (root, bundle) = (tempfile::tempdir().unwrap(), bundle());
    let (digest, size) = largest(&bundle);
    let client = Client::connect(&runtime.socket(), "k8s.io").await.unwrap();
    let session = begin(&client).await;
    let Opened::Wanted(mut ingest) = session.open(digest, size).await.unwrap() else { panic!("it is present") };
    let (_, content) = bundle.blobs.iter().find(|(blob, _)| *blob == digest).unwrap();
    for part in content.chunks(1 << 20) {
        ingest.write(part.to_vec().into()).await.unwrap();
    }
    ingest.commit(&Labels::default()).await.unwrap();
    drop(session);
    runtime.lose(&digest);
    let outcome = install(&bundle, root.path(), Some(&runtime.socket())).await.unwrap();
    assert_eq!((outcome.imported.0, runtime.has_on_disk(&digest)), (11, true));
    assert_eq!((runtime.names().len(), runtime.leftovers()), (6, (0, 0, 4)));
}
