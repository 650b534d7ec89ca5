//! Applying a bundle: one suite, against a stand-in for containerd and against a real one; and what only one of them can
//! show.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test that cannot set itself up has failed")]

mod ahead;
#[path = "../common/available.rs"]
mod available;
mod fake;
mod faults;
mod files;
mod hostile;
mod image;
mod real;
mod suite;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use carrack::apply::containerd::{Client, ContainerdError, Session};
use carrack::apply::{
    ApplyError, Asked, Choices, Inputs, Interrupt, Interrupter, Invocation, Left, Options, Outcome, RootLock, Source,
    Survey, Target, TargetRuntime, apply, resume, survey,
};
use carrack::bundle::Contents;
use carrack::host::Root;
use carrack::oci::Platform;
use carrack::progress::Progress;
use carrack::site::node::Node;
use carrack::variables::Values;
use tonic::Code;

use fake::Fake;
use image::{Layer, TestBundle};
use real::Real;
use suite::{Runtime, bundle};

/// A bundle whose variables have no values.
fn without_values<'a>(contents: &'a Contents, source: &'a Source) -> Inputs<'a> {
    static NONE: Values = Values::new();
    Inputs { contents, source, values: &NONE, node: Node::alone() }
}

/// Installs into `root`, with images going to the socket where one is given.
async fn install(bundle: &TestBundle, root: &Path, socket: Option<&Path>) -> Result<Outcome, ApplyError> {
    install_to(bundle, root, runtime(socket)).await
}

async fn install_to(bundle: &TestBundle, root: &Path, runtime: TargetRuntime) -> Result<Outcome, ApplyError> {
    install_from(bundle, &bundle.source(), root, runtime).await
}

async fn install_from(
    bundle: &TestBundle,
    source: &Source,
    root: &Path,
    runtime: TargetRuntime,
) -> Result<Outcome, ApplyError> {
    let target = Target {
        root: Root::new(root).unwrap(),
        runtime,
        platform: Platform::of_this_machine(),
        keep: 1,
        choices: Choices::default(),
        asked: Asked::default(),
        containerd: None,
    };
    let inputs = without_values(&bundle.contents, source);
    patiently(async || {
        let survey = survey(inputs, &target, Some(RootLock::take(&target.root)?)).await?;
        let (_interrupter, interrupt) = Interrupter::new();
        apply(survey, inputs, &options(interrupt)).await
    })
    .await
}

/// A program that another test starts has copies of all locks of this process for a moment, until it is that program.
async fn patiently<T, E: Into<ApplyError>>(attempt: impl AsyncFn() -> Result<T, E>) -> Result<T, ApplyError> {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        match attempt().await.map_err(Into::into) {
            Err(ApplyError::Busy(..) | ApplyError::Containerd(ContainerdError::Busy(_)))
                if Instant::now() < deadline =>
            {
                tokio::task::yield_now().await;
            }
            other => return other,
        }
    }
}

/// A session of the test's own.
async fn begin(client: &Client) -> Session {
    patiently(async || Session::begin(client).await).await.unwrap()
}

fn options(interrupt: Interrupt) -> Options {
    Options { command: Invocation::default(), jobs: 4, progress: Arc::new(Progress::default()), interrupt }
}

async fn look(bundle: &TestBundle, root: &Path, socket: Option<&Path>) -> Result<Survey, ApplyError> {
    let (root, runtime) = (Root::new(root).unwrap(), runtime(socket));
    let target = Target {
        root,
        runtime,
        platform: Platform::of_this_machine(),
        keep: 1,
        choices: Choices::default(),
        asked: Asked::default(),
        containerd: None,
    };
    let source = bundle.source();
    let inputs = without_values(&bundle.contents, &source);
    patiently(async || survey(inputs, &target, Some(RootLock::take(&target.root)?)).await).await
}

fn runtime(socket: Option<&Path>) -> TargetRuntime {
    socket.map_or(TargetRuntime::None, |socket| TargetRuntime::Containerd {
        address: socket.to_owned(),
        namespace: "k8s.io".to_owned(),
        unpack: true,
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stand_in_passes_the_suite() {
    suite::all(async || Runtime::Fake(Fake::start())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_real_containerd_passes_the_suite() {
    if Real::is_possible() {
        suite::all(async || Runtime::Real(Real::start())).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_containerd_of_version_2_passes_the_suite() {
    if let Some(program) = Real::later() {
        suite::all(async || Runtime::Real(Real::start_program(&program))).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn images_are_brought_ahead_into_the_stand_in() {
    ahead::all(async || Runtime::Fake(Fake::start())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_failing_call_on_the_way_ahead_leaves_what_is_installed() {
    ahead::failing_calls_leave_what_is_installed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn images_are_brought_ahead_into_the_real_containerd() {
    if Real::is_possible() {
        ahead::all(async || Runtime::Real(Real::start())).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_real_containerd_runs_what_was_imported() {
    if !Real::is_possible() {
        return;
    }
    let (real, root, bundle) = (Real::start(), tempfile::tempdir().unwrap(), bundle());
    install(&bundle, root.path(), Some(&real.socket())).await.unwrap();

    let check = real.ctr(&["images", "check"]);
    let lines: Vec<&str> = check.lines().skip(1).collect();
    assert_eq!(lines.len(), 6, "{check}");
    assert!(lines.iter().all(|line| line.contains(" complete (") && line.trim_end().ends_with("true")), "{check}");

    let by_digest = format!("docker.io/lab/two@{}", bundle.contents.images[1].target.digest);
    // Into a file, since `ctr run` loses the output of what ends at once.
    let out = real.folder().join("out");
    std::fs::create_dir(&out).unwrap();
    let mount = format!("type=bind,src={},dst=/out,options=rbind:rw", out.display());
    for (name, id) in [("quay.io/lab/one:1", "one"), (&by_digest, "two")] {
        let copy = ["/bin/busybox", "cp", "/greeting", &format!("/out/{id}")];
        let run = ["run", "--rm", "--net-host", "--mount", &mount, name, id];
        real.ctr(&[&run[..], &copy[..]].concat());
        assert_eq!(std::fs::read_to_string(out.join(id)).unwrap(), format!("hello from {id}\n"));
    }
    let images = real.ctr(&["images", "ls"]);
    assert_eq!(images.matches("io.cri-containerd.pinned=pinned").count(), 6, "{images}");
}

/// The same images as `ctr images import` leaves them: every label that it sets is set by us too, with the same value.
#[tokio::test(flavor = "multi_thread")]
async fn labels_are_those_of_containerds_own_import() {
    if !Real::is_possible() {
        return;
    }
    let (real, root, bundle) = (Real::start(), tempfile::tempdir().unwrap(), bundle());
    let archive = real.folder().join("images.tar");
    bundle.write_layout(&archive);
    real.ctr_in("theirs", &["images", "import", "--platform", "linux/amd64", archive.to_str().unwrap()]).unwrap();
    install(&bundle, root.path(), Some(&real.socket())).await.unwrap();
    let theirs = suite::labels(&real.ctr_in("theirs", &["content", "ls"]).unwrap());
    let ours = suite::labels(&real.ctr(&["content", "ls"]));
    for (digest, labels) in &ours {
        let mut without_source = labels.clone();
        without_source.retain(|label| !label.starts_with("containerd.io/distribution.source."));
        assert_eq!(Some(&without_source), theirs.get(digest), "{digest}");
    }
    assert_eq!(ours.len(), 11);
}

/// Whatever call fails, and whichever time: nothing is left, and the next run succeeds.
#[tokio::test(flavor = "multi_thread")]
async fn every_failing_call_leaves_nothing_and_the_next_run_succeeds() {
    let (probe, root) = (Fake::start(), tempfile::tempdir().unwrap());
    install(&bundle(), root.path(), Some(&probe.socket())).await.unwrap();
    let calls = probe.state().calls.clone();
    for (call, count) in calls {
        for nth in [0, count / 2, count - 1] {
            let (fake, root) = (Fake::start(), tempfile::tempdir().unwrap());
            fake.state().fault = Some((call, nth, Code::Internal));
            let result = install(&bundle(), root.path(), Some(&fake.socket())).await;
            fake.state().fault = None;
            match (call, result) {
                // The lease then ends by itself, and the installation is complete.
                ("delete lease", Ok(outcome)) => {
                    assert!(outcome.warnings.iter().any(|warning| warning.contains("lease")), "{outcome:?}");
                    continue;
                }
                (_, result) => assert!(result.is_err(), "{call} {nth} was ignored"),
            }
            fake.assert_empty(&format!("{call} {nth}"));
            assert_eq!(suite::tree(root.path()), Vec::<String>::new(), "{call} {nth}");
            install(&bundle(), root.path(), Some(&fake.socket())).await.unwrap();
            assert_eq!(fake.state().images.len(), 6);
        }
    }
}

/// What waits for its turn has not begun, since it would take memory: looking for ten thousand images took 240 MiB.
#[tokio::test(flavor = "multi_thread")]
async fn as_much_begins_as_can_be_done_at_once() {
    const IMAGES: usize = 300;
    let (fake, root, mut bundle) = (Fake::start(), tempfile::tempdir().unwrap(), TestBundle::new());
    for number in 0..IMAGES {
        let layer = Layer::new(&[("name", number.to_string().as_bytes())]);
        bundle.image(&format!("registry.example.org/shop/{number}:1"), &[layer]);
    }
    fake.state().watched = Some((tokio::runtime::Handle::current(), 0));
    install(&bundle, root.path(), Some(&fake.socket())).await.unwrap();
    let state = fake.state();
    let most = state.watched.as_ref().unwrap().1;
    assert!(state.snapshots.len() == IMAGES && most < IMAGES / 4, "{most} tasks at a time");
}

/// An ingest that another process still holds is waited for.
#[tokio::test(flavor = "multi_thread")]
async fn a_locked_ingest_is_asked_for_again() {
    let (fake, root) = (Fake::start(), tempfile::tempdir().unwrap());
    fake.state().fault = Some(("stat", 3, Code::Unavailable));
    install(&bundle(), root.path(), Some(&fake.socket())).await.unwrap();
    assert_eq!(fake.state().images.len(), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_socket_is_said_with_its_path() {
    let root = tempfile::tempdir().unwrap();
    let error = install(&bundle(), root.path(), Some(&root.path().join("none.sock"))).await.unwrap_err();
    assert!(error.to_string().contains("none.sock"), "{error}");
    assert_eq!(suite::tree(root.path()), Vec::<String>::new());
}

/// Killed when containerd was not needed any more, it leaves a lease there; who goes on takes that away.
#[tokio::test(flavor = "multi_thread")]
async fn what_goes_on_without_containerd_takes_the_lease_away() {
    let (fake, folder, bundle) = (Fake::start(), tempfile::tempdir().unwrap(), bundle());
    let journal = |phase: &str| folder.path().join("var/lib/carrack/journal").join(phase);
    let naming = std::future::poll_fn(|context| match journal("naming.json").exists() {
        true => std::task::Poll::Ready(()),
        false => {
            context.waker().wake_by_ref();
            std::task::Poll::Pending
        }
    });
    let socket = fake.socket();
    tokio::select! {
        biased;
        () = naming => {}
        done = install(&bundle, folder.path(), Some(&socket)) => panic!("it was not broken off: {done:?}"),
    }
    assert_eq!(fake.state().leases.len(), 1);
    std::fs::rename(journal("naming.json"), journal("finishing.json")).unwrap();
    let root = Root::new(folder.path()).unwrap();
    let (_interrupter, interrupt) = Interrupter::new();
    let left = resume(&root, false, &interrupt, &Arc::default()).await.unwrap();
    assert!(matches!(&left, Left::Finished { warnings, .. } if warnings.is_empty()), "{left:?}");
    assert_eq!(fake.state().leases.len(), 0);
}
