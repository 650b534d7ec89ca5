//! The images of a version, brought ahead of it: what is installed stays in force, and the version finds them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use carrack::apply::receipt::Receipt;
use carrack::apply::status::installed;
use carrack::apply::{
    ApplyError, Asked, Choices, Goal, Interrupter, Invocation, Outcome, RootLock, Target, TargetRuntime, apply,
    look_back, survey,
};
use carrack::host::Root;
use carrack::oci::Platform;

use tonic::Code;

use crate::fake::Fake;
use crate::image::{Layer, TestBundle};
use crate::suite::{Runtime, tree};
use crate::{install, options, patiently, runtime, without_values};

const FILE: &str = "/etc/tool/config";

/// A version of a profile, whose images each say of which version they are.
fn version(number: &str, images: &[&str]) -> TestBundle {
    let mut bundle = TestBundle::new();
    bundle.contents.profile.version = number.to_owned();
    bundle.contents.identity = carrack::oci::Digest::of(number.as_bytes());
    let base = Layer::new(&[("base", b"shared")]);
    for image in images {
        let own = Layer::new(&[("own", format!("{image} {number}").as_bytes())]);
        bundle.image(image, &[base.clone(), own]);
    }
    bundle.file(FILE, 0o644, format!("of {number}\n").as_bytes());
    bundle
}

async fn ahead(bundle: &TestBundle, root: &Path, to: TargetRuntime) -> Result<Outcome, ApplyError> {
    let target = Target {
        root: Root::new(root).unwrap(),
        runtime: to,
        platform: Platform::of_this_machine(),
        containerd: None,
        keep: 1,
        choices: Choices::default(),
        asked: Asked { images_only: true, ..Asked::default() },
    };
    let source = bundle.source();
    let inputs = without_values(&bundle.contents, &source);
    patiently(async || {
        let survey = survey(inputs, &target, Some(RootLock::take(&target.root)?)).await?;
        let (_interrupter, interrupt) = Interrupter::new();
        apply(survey, inputs, &options(interrupt)).await
    })
    .await
}

/// Goes a way back, and says what it was.
async fn back(goal: Goal, root: &Path) -> String {
    let root = Root::new(root).unwrap();
    patiently(async || {
        let lock = RootLock::take(&root)?;
        let way = look_back(goal, None, &root, Invocation::default(), Some(lock)).await?;
        let what = way.what.clone();
        let (_interrupter, interrupt) = Interrupter::new();
        way.go(&interrupt, &std::sync::Arc::default()).await?;
        Ok::<_, ApplyError>(what)
    })
    .await
    .unwrap()
}

/// What is there, by version: whether it is images alone, and how much of it differs.
async fn there(root: &Path) -> Vec<(String, bool, usize)> {
    let all = installed(&Root::new(root).unwrap()).await.unwrap();
    all.iter().map(|one| (one.receipt.version.clone(), one.receipt.images_only, one.differences.len())).collect()
}

fn receipt(root: &Path, file: &str) -> Receipt {
    let path = root.join("var/lib/carrack/receipts").join(file);
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn digest(bundle: &TestBundle, index: usize) -> String {
    bundle.contents.images[index].target.digest.to_string()
}

fn of(names: &BTreeMap<String, String>, name: &str) -> String {
    names.get(name).cloned().unwrap_or_default()
}

/// Everything that the suite shows of it, against one containerd.
pub(crate) async fn all(start: impl AsyncFn() -> Runtime) {
    a_version_goes_on_from_images_that_were_brought_ahead(&start().await).await;
    images_that_were_brought_ahead_go_by_themselves(&start().await).await;
    images_on_a_new_host_are_installed_or_removed(&start().await).await;
}

/// Whatever call fails: the installed version is as before, and the next run succeeds.
pub(crate) async fn failing_calls_leave_what_is_installed() {
    let (one, two) = (version("1.0.0", &["quay.io/lab/one:1"]), version("2.0.0", &["quay.io/lab/two:2"]));
    let begun = async || {
        let (fake, root) = (Fake::start(), tempfile::tempdir().unwrap());
        install(&one, root.path(), Some(&fake.socket())).await.unwrap();
        fake.state().calls.clear();
        (fake, root)
    };
    let (probe, root) = begun().await;
    ahead(&two, root.path(), runtime(Some(&probe.socket()))).await.unwrap();
    let calls = probe.state().calls.clone();
    assert!(calls.contains_key("create") && calls.contains_key("commit snapshot"), "{calls:?}");
    for (call, count) in calls {
        // The lease then ends by itself, and the images are there.
        for nth in [0, count - 1].into_iter().filter(|_| call != "delete lease") {
            let (fake, root) = begun().await;
            let (containerd, files) = (Runtime::Fake(fake), tree(root.path()));
            let Runtime::Fake(fake) = &containerd else { unreachable!() };
            let before = (containerd.names(), containerd.content());
            fake.state().fault = Some((call, nth, Code::Internal));
            let failed = ahead(&two, root.path(), runtime(Some(&fake.socket()))).await;
            fake.state().fault = None;
            assert!(failed.is_err(), "{call} {nth} was ignored");
            assert_eq!((containerd.names(), containerd.content()), before, "{call} {nth}");
            assert_eq!(tree(root.path()), files, "{call} {nth}");
            assert_eq!(there(root.path()).await, [("1.0.0".to_owned(), false, 0)]);
            ahead(&two, root.path(), runtime(Some(&fake.socket()))).await.unwrap();
        }
    }
}

async fn a_version_goes_on_from_images_that_were_brought_ahead(containerd: &Runtime) {
    let (root, socket) = (tempfile::tempdir().unwrap(), containerd.socket());
    let (root, to) = (root.path(), runtime(Some(&socket)));
    let one = version("1.0.0", &["quay.io/lab/gone:1", "quay.io/lab/moved:stable", "quay.io/lab/kept:1"]);
    install(&one, root, Some(&socket)).await.unwrap();
    let (before, files) = (containerd.names(), tree(root));

    let two = version("2.0.0", &["quay.io/lab/new:2", "quay.io/lab/moved:stable"]);
    let brought = ahead(&two, root, to.clone()).await.unwrap();
    assert!(brought.imported.0 > 0 && brought.receipt.is_some());
    let moved = |warning: &String| warning.contains("quay.io/lab/moved:stable goes on standing for the image");
    assert!(brought.warnings.iter().any(moved), "{:?}", brought.warnings);
    let names = containerd.names();
    for (name, target) in &before {
        assert_eq!(names.get(name), Some(target), "what is installed keeps {name}");
    }
    assert_eq!(of(&names, "quay.io/lab/new:2"), digest(&two, 0));
    if let Runtime::Real(real) = containerd {
        let listed = real.ctr(&["images", "ls"]);
        let line = listed.lines().find(|line| line.starts_with("quay.io/lab/new:2 ")).unwrap();
        assert!(line.contains("io.cri-containerd.pinned=pinned"), "{line}");
    }
    let by_digest = format!("quay.io/lab/moved@{}", digest(&two, 1));
    assert_eq!(of(&names, &by_digest), digest(&two, 1));
    let own = tree(root).into_iter().filter(|line| !line.contains("0002-edge-2.0.0.json"));
    assert_eq!(own.collect::<Vec<_>>(), files, "nothing but the receipt");
    let written = receipt(root, "0002-edge-2.0.0.json");
    assert!(written.images_only && written.files.is_empty() && written.images.len() == 2);
    assert_eq!(there(root).await, [("1.0.0".to_owned(), false, 0), ("2.0.0".to_owned(), true, 0)]);

    // Again, there is nothing to do; and the version itself imports nothing.
    assert!(ahead(&two, root, to.clone()).await.unwrap().receipt.is_none());
    let applied = install(&two, root, Some(&socket)).await.unwrap();
    assert_eq!((applied.imported, applied.unpacked), ((0, 0), 0));
    assert_eq!(fs::read_to_string(root.join(&FILE[1..])).unwrap(), "of 2.0.0\n");
    assert_eq!(of(&containerd.names(), "quay.io/lab/moved:stable"), digest(&two, 1));
    assert_eq!(there(root).await, [("2.0.0".to_owned(), false, 0)]);
    assert!(ahead(&two, root, to).await.unwrap().receipt.is_none(), "it is installed");

    assert_eq!(back(Goal::Before, root).await, "roll edge 2.0.0 back to 1.0.0");
    assert_eq!(there(root).await, [("1.0.0".to_owned(), false, 0)]);
    assert_eq!(containerd.names(), before);
    back(Goal::Nothing, root).await;
    assert_eq!((containerd.names(), tree(root)), (BTreeMap::new(), Vec::new()));
}

async fn images_that_were_brought_ahead_go_by_themselves(containerd: &Runtime) {
    let (root, socket) = (tempfile::tempdir().unwrap(), containerd.socket());
    let (root, to) = (root.path(), runtime(Some(&socket)));
    for (number, image) in [("1.0.0", "quay.io/lab/old:1"), ("1.1.0", "quay.io/lab/tool:1")] {
        install(&version(number, &[image, "quay.io/lab/both:1"]), root, Some(&socket)).await.unwrap();
    }
    let (before, content, files) = (containerd.names(), containerd.content(), tree(root));
    let three = version("3.0.0", &["quay.io/lab/three:3", "quay.io/lab/both:1"]);
    let two = version("2.0.0", &["quay.io/lab/tool:2", "quay.io/lab/both:1"]);
    ahead(&three, root, to.clone()).await.unwrap();
    // Another version instead: the images of the first are not needed any more.
    ahead(&two, root, to).await.unwrap();
    let names = containerd.names();
    assert!(!names.contains_key("quay.io/lab/three:3") && names.contains_key("quay.io/lab/tool:2"), "{names:?}");
    assert_eq!(there(root).await, [("1.1.0".to_owned(), false, 0), ("2.0.0".to_owned(), true, 0)]);
    // A repair of what is installed leaves them.
    back(Goal::Installed, root).await;
    assert_eq!(containerd.names(), names);

    assert_eq!(back(Goal::Before, root).await, "remove the images of edge 2.0.0, which is not installed");
    assert_eq!(containerd.names(), before);
    if let Runtime::Real(real) = containerd {
        let lease = real.ctr(&["leases", "create"]);
        real.ctr(&["leases", "delete", "--sync", lease.trim()]);
        assert_eq!(containerd.content(), content, "their content is collected, and no other");
    }
    assert_eq!(tree(root), files);
    assert_eq!(there(root).await, [("1.1.0".to_owned(), false, 0)]);
    // The way back of what is installed is still there.
    assert_eq!(back(Goal::Before, root).await, "roll edge 1.1.0 back to 1.0.0");
    assert_eq!(fs::read_to_string(root.join(&FILE[1..])).unwrap(), "of 1.0.0\n");
    back(Goal::Nothing, root).await;
    assert_eq!((containerd.names(), tree(root)), (BTreeMap::new(), Vec::new()));
}

async fn images_on_a_new_host_are_installed_or_removed(containerd: &Runtime) {
    let (root, socket) = (tempfile::tempdir().unwrap(), containerd.socket());
    let (root, to) = (root.path(), runtime(Some(&socket)));
    let one = version("1.0.0", &["quay.io/lab/one:1"]);
    for goal in [Goal::Before, Goal::Nothing] {
        ahead(&one, root, to.clone()).await.unwrap();
        assert_eq!(there(root).await, [("1.0.0".to_owned(), true, 0)]);
        assert!(!root.join(&FILE[1..]).exists());
        back(goal, root).await;
        assert_eq!((containerd.names(), tree(root)), (BTreeMap::new(), Vec::new()), "{goal:?}");
    }
    ahead(&one, root, to).await.unwrap();
    assert_eq!(install(&one, root, Some(&socket)).await.unwrap().imported, (0, 0));
    assert_eq!(there(root).await, [("1.0.0".to_owned(), false, 0)]);
    back(Goal::Nothing, root).await;
    assert_eq!((containerd.names(), tree(root)), (BTreeMap::new(), Vec::new()));
    // Without a containerd there is nothing that images could be brought into.
    let refused = ahead(&one, root, TargetRuntime::None).await;
    assert!(matches!(refused, Err(ApplyError::ImagesOnly)), "{refused:?}");
    assert_eq!(tree(root), Vec::<String>::new());
}
