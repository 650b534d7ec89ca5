//! Applying a bundle, to a stand-in for containerd and to a real one.

mod image;
mod real;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use carrack::apply::{ApplyError, Interrupter, Options, Outcome, Survey, Target, TargetRuntime, apply, survey};
use carrack::host::Root;
use carrack::oci::Platform;
use carrack::progress::Progress;

use image::{Layer, TestBundle};
use real::Real;

/// Installs into `root`, with images going to the socket where one is given.
async fn install(bundle: &TestBundle, root: &Path, socket: Option<&Path>) -> Result<Outcome, ApplyError> {
    let survey = look(bundle, root, socket).await?;
    let (_interrupter, interrupt) = Interrupter::new();
    let options = Options { jobs: 4, progress: Arc::new(Progress::default()), interrupt };
    apply(survey, &bundle.contents, &bundle.source(), &options).await
}

async fn look(bundle: &TestBundle, root: &Path, socket: Option<&Path>) -> Result<Survey, ApplyError> {
    let runtime = socket.map_or(TargetRuntime::None, |socket| TargetRuntime::Containerd {
        address: socket.to_owned(),
        namespace: "k8s.io".to_owned(),
        unpack: true,
    });
    let target = Target { root: Root::new(root).unwrap(), runtime, platform: Platform::of_this_machine() };
    survey(&bundle.contents, &bundle.source(), &target).await
}

fn bundle() -> TestBundle {
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

#[tokio::test(flavor = "multi_thread")]
async fn the_real_containerd_runs_what_was_imported() {
    let Some(real) = Real::start() else { return };
    let (root, bundle) = (tempfile::tempdir().unwrap(), bundle());
    let outcome = install(&bundle, root.path(), Some(&real.socket())).await.unwrap();
    println!("{outcome:?}");
    println!("{}", real.ctr(&["images", "check"]));
    println!("{}", real.ctr(&["content", "ls"]));
    println!("{}", real.ctr(&["images", "ls"]));
    println!("{}", real.ctr(&["leases", "ls"]));
    println!("{}", real.ctr(&["snapshots", "tree"]));
}
