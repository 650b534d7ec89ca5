//! SIGKILL at random points: a build and an apply that are started again end as if nothing had happened.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use carrack::registry::in_process::Layer;

use super::noise::noise;
use super::parts::{Containerd, available};
use super::project::{Project, sha256, succeed};

const TOOLS: [&str; 7] = ["docker-registry", "skopeo", "containerd", "ctr", "runc", "ip", "busybox"];
const KILLS: u32 = 20;

/// A layer large enough that most kills come while it is on its way.
fn large_layer(seed: u64) -> Layer {
    let plain = Layer::tar(&[("large", 0o644, noise(seed, 24 << 20).as_slice())]).unwrap();
    plain.zstd().unwrap()
}

fn project() -> Project {
    // One layer that is stored as it is, and one that goes to the tail because nobody compressed it.
    let text = "what compresses well ".repeat(300_000);
    let plain = Layer::tar(&[("plain", 0o644, text.as_bytes())]).unwrap();
    Project::with_extra_layers(vec![large_layer(1), large_layer(2), plain])
}

/// Kills `command` after `delay`. Returns whether it had ended by itself before.
fn kill_after(command: &mut Command, delay: Duration) -> bool {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    thread::sleep(delay);
    let ended = child.try_wait().unwrap().is_some();
    let _ = child.kill();
    child.wait().unwrap();
    ended
}

/// Kills what `start` makes at [`KILLS`] points spread over `whole`, in an order that looks random and is the same every
/// time, and calls `check` after each. A run that has ended by itself is not one of them, and later ones are killed sooner.
fn kill_often(mut whole: Duration, mut start: impl FnMut(u32) -> Command, mut check: impl FnMut(u32, Duration)) {
    let (mut killed, mut run) = (0, 0);
    while killed < KILLS {
        let delay = whole * ((run * 7 + 3) % KILLS) / KILLS;
        if kill_after(&mut start(run), delay) {
            whole = whole * 9 / 10;
        } else {
            killed += 1;
        }
        check(run, delay);
        run += 1;
    }
}

fn verify(bundle: &Path) {
    succeed(Command::new(env!("CARGO_BIN_EXE_carrack")).arg("verify").arg(bundle));
}

#[test]
fn a_killed_build_goes_on() {
    if !available("a_killed_build_goes_on", &TOOLS) {
        return;
    }
    let project = project();
    let whole = sha256(&project.build("whole.tar.zst"));
    let start = Instant::now();
    project.build("whole.tar.zst");
    let duration = start.elapsed();
    let bundle = project.path("killed.tar.zst");
    let build = |_| {
        let mut build = project.carrack("build");
        build.arg("-o").arg(&bundle);
        build
    };
    kill_often(duration, build, |run, delay| {
        if bundle.exists() {
            verify(&bundle);
        }
        // Every second time goes on from what the kill before left; a finished one begins anew.
        if bundle.exists() || run % 2 == 0 {
            project.build("killed.tar.zst");
            assert_eq!(sha256(&bundle), whole, "killed after {delay:?}");
            fs::remove_file(&bundle).unwrap();
        }
    });
    project.build("killed.tar.zst");
    assert_eq!(sha256(&bundle), whole);
}

#[test]
fn a_killed_apply_converges() {
    if !available("a_killed_apply_converges", &TOOLS) {
        return;
    }
    let project = project();
    let bundle = project.build("trip.tar.zst");
    let containerd = Containerd::start(project.folder.path());
    let apply = |root: &Path| {
        let mut apply = containerd.installer("apply");
        apply.arg(&bundle).arg("--root").arg(root).args(["--runtime", "containerd", "--yes"]);
        apply
    };
    let root = project.path("undisturbed");
    fs::create_dir(&root).unwrap();
    let start = Instant::now();
    succeed(&mut apply(&root));
    let (duration, names, files) = (start.elapsed(), containerd.images(), tree(&root));
    let forget = || {
        for name in containerd.images() {
            containerd.ctr(["images", "rm", "--sync", &name]);
        }
    };
    let host = |run: u32| project.path(&format!("killed-{run}"));
    let start = |run| {
        forget();
        fs::create_dir(host(run)).unwrap();
        apply(&host(run))
    };
    kill_often(duration, start, |run, delay| {
        // At no point may a name stand for something incomplete.
        let check = containerd.ctr(["images", "check"]);
        assert!(check.lines().skip(1).all(|line| line.contains(" complete ")), "after {delay:?}:\n{check}");
        succeed(&mut apply(&host(run)));
        assert_eq!(containerd.images(), names, "killed after {delay:?}");
        assert_eq!(tree(&host(run)), files, "killed after {delay:?}");
    });
}

/// Images that are brought ahead: whatever was killed, they come all the same, and the version goes on from what is there.
#[test]
fn images_that_were_killed_on_the_way_ahead_converge() {
    if !available("images_that_were_killed_on_the_way_ahead_converge", &TOOLS) {
        return;
    }
    let project = project();
    let bundle = project.build("trip.tar.zst");
    let containerd = Containerd::start(project.folder.path());
    let apply = |root: &Path, more: &[&str]| {
        let mut apply = containerd.installer("apply");
        apply.arg(&bundle).arg("--root").arg(root).args(["--runtime", "containerd", "--yes"]).args(more);
        apply
    };
    let ahead = |root: &Path| apply(root, &["--images-only"]);
    let root = project.path("undisturbed");
    fs::create_dir(&root).unwrap();
    let start = Instant::now();
    succeed(&mut ahead(&root));
    let (duration, names) = (start.elapsed(), containerd.images());
    assert_eq!(tree(&root), "", "images alone leave a receipt");
    succeed(&mut apply(&root, &[]));
    let files = tree(&root);
    let host = |run: u32| project.path(&format!("killed-{run}"));
    let start = |run| {
        for name in containerd.images() {
            containerd.ctr(["images", "rm", "--sync", &name]);
        }
        fs::create_dir(host(run)).unwrap();
        ahead(&host(run))
    };
    kill_often(duration, start, |run, delay| {
        let check = containerd.ctr(["images", "check"]);
        assert!(check.lines().skip(1).all(|line| line.contains(" complete ")), "after {delay:?}:\n{check}");
        // Every second time, the version comes without another try.
        if run % 2 == 0 {
            succeed(&mut ahead(&host(run)));
            assert_eq!(
                (containerd.images(), tree(&host(run))),
                (names.clone(), String::new()),
                "killed after {delay:?}"
            );
        }
        succeed(&mut apply(&host(run), &[]));
        assert_eq!((containerd.images(), tree(&host(run))), (names.clone(), files.clone()), "killed after {delay:?}");
    });
}

/// Every file under `root` but receipts, with its content's digest and mode.
fn tree(root: &Path) -> String {
    let script = "find . -type f -not -path '*/receipts/*' -printf '%m %p ' -exec sha256sum {} ';' | sort -k2";
    succeed(Command::new("sh").args(["-c", script]).current_dir(root))
}
