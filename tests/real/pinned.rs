//! Image removal that honours pins, by a containerd that tells of them: 1.7 or later, which Debian 12 does not have.

use std::path::{Path, PathBuf};
use std::{env, fs};

use carrack::registry::in_process::InProcessRegistry;

use super::available::skip;
use super::cri::Cri;
use super::parts::{Containerd, available, layer, output, speaking};
use super::project::{Project, succeed};

const TOOLS: [&str; 7] = ["docker-registry", "skopeo", "ctr", "ip", "busybox", "zstd", "bash"];

/// The containerd that `CARRACK_CONTAINERD2` names.
pub(super) fn later_containerd(test: &str) -> Option<PathBuf> {
    let Some(program) = env::var_os("CARRACK_CONTAINERD2").filter(|program| !program.is_empty()) else {
        skip(&format!("{test}: needs a containerd 1.7 or later, named in CARRACK_CONTAINERD2"));
        return None;
    };
    available(test, &TOOLS).then(|| program.into())
}

/// What `crictl rmi --prune` and the kubelet's garbage collection of images do when no container runs: everything goes but
/// what is pinned (cmd/crictl/image.go of cri-tools; imagesInEvictionOrder in pkg/kubelet/images of Kubernetes).
async fn prune(cri: &mut Cri) -> usize {
    let images = cri.images().await;
    let doomed: Vec<_> = images.into_iter().filter(|image| !image.pinned).collect();
    for image in &doomed {
        cri.remove(&image.id).await;
    }
    doomed.len()
}

/// Waits for a collection, whatever started others before.
fn collect_garbage(containerd: &Containerd) {
    let lease = containerd.ctr(["leases", "create"]);
    containerd.ctr(["leases", "delete", "--sync", lease.trim()]);
}

fn content(containerd: &Containerd) -> Vec<String> {
    let mut digests: Vec<String> = containerd.ctr(["content", "ls", "-q"]).lines().map(str::to_owned).collect();
    digests.sort();
    digests
}

#[test]
fn pinned_images_are_left_by_who_removes_unused_ones() {
    let Some(program) = later_containerd("pinned_images_are_left_by_who_removes_unused_ones") else { return };
    let project = Project::new();
    let bundle = project.build("trip.tar.zst");
    let containerd = Containerd::start_program(&program, project.folder.path(), "");
    let root = project.path("host");
    fs::create_dir(&root).unwrap();
    let mut apply = containerd.installer("apply");
    let said =
        succeed(apply.arg(&bundle).arg("--root").arg(&root).args(["--runtime", "containerd", "--yes", "--json"]));
    assert!(!said.contains("may remove them"), "{said}");
    let (names, blobs) = (containerd.images(), content(&containerd));

    import_unpinned(&containerd, &project.path("other.tar"));
    assert!(content(&containerd).len() > blobs.len());

    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let mut cri = Cri::connect(&containerd.address).await;
        let (images, before) = (cri.images().await, containerd.images());
        assert!(before.iter().any(|name| name.contains("other.example")), "{before:?}");
        let pinned: Vec<bool> = images.iter().map(|image| image.pinned).collect();
        assert_eq!(pinned.iter().filter(|pinned| **pinned).count(), 3, "{images:?}");
        assert_eq!(prune(&mut cri).await, 1, "{images:?}");
        assert_eq!(prune(&mut cri).await, 0);
        assert_eq!(cri.images().await.len(), 3);
    });
    collect_garbage(&containerd);
    let left: Vec<String> = containerd.images().into_iter().filter(|name| names.contains(name)).collect();
    assert_eq!((left, content(&containerd)), (names, blobs));
    let check = containerd.ctr(["images", "check"]);
    assert!(check.lines().skip(1).all(|line| line.contains(" complete ")), "{check}");
}

#[test]
fn a_later_containerd_finds_what_the_image_folders_archive_holds() {
    let Some(program) = later_containerd("a_later_containerd_finds_what_the_image_folders_archive_holds") else {
        return;
    };
    let project = Project::new();
    let bundle = project.build("trip.tar.zst");
    let root = project.path("host");
    fs::create_dir(&root).unwrap();
    let containerd = Containerd::start_program(&program, project.folder.path(), "");
    let mut apply = containerd.network.command(env!("CARGO_BIN_EXE_carrack-install"));
    succeed(apply.arg("apply").arg(&bundle).args(["--runtime", "k3s", "--yes", "--root"]).arg(&root));
    import(&containerd, &root.join("var/lib/rancher/k3s/agent/images/trip-1.0.0.tar.zst"));
    let (host, pinned) = (&project.registry.host, project.pinned.digest);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let mut cri = Cri::connect(&containerd.address).await;
        for name in ["app/tagged:1.0", "app/multi:2.0", &format!("app/pinned@{pinned}")] {
            assert!(cri.image(&format!("{host}/{name}")).await.is_some(), "{name}: {:?}", cri.images().await);
        }
    });
}

/// An image of somebody else's, as `other.example/lab/other:1`.
fn import_unpinned(containerd: &Containerd, archive: &Path) {
    let source = InProcessRegistry::start().unwrap();
    let other = speaking("linux/amd64", vec![layer(&[("etc/other", "other")])], "hello");
    source.put_image("lab/other", Some("1"), &other);
    let (from, to) = (source.host(), archive.display());
    let (from, to) = (format!("docker://{from}/lab/other:1"), format!("docker-archive:{to}:other.example/lab/other:1"));
    output("skopeo", ["copy", "--src-tls-verify=false", &from, &to]);
    containerd.ctr(["images", "import", archive.to_str().unwrap()]);
}

/// As k3s does when it starts: decompressed, all platforms.
fn import(containerd: &Containerd, archive: &Path) {
    let plain = archive.with_extension("");
    output("zstd", ["-q", "-d", archive.to_str().unwrap(), "-o", plain.to_str().unwrap()]);
    containerd.ctr(["images", "import", "--all-platforms", plain.to_str().unwrap()]);
}
