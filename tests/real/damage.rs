//! Damaged bundles and a real containerd: after each, it holds nothing, and nothing is on its way.

use std::fs;

use super::anatomy::{Part, anatomy};
use super::parts::{Containerd, available};
use super::project::{Project, both};

const TOOLS: [&str; 7] = ["docker-registry", "skopeo", "containerd", "ctr", "runc", "ip", "busybox"];

#[test]
fn a_damaged_bundle_leaves_nothing_in_containerd() {
    if !available("a_damaged_bundle_leaves_nothing_in_containerd", &TOOLS) {
        return;
    }
    let project = Project::new();
    let bundle = project.build("trip.tar.zst");
    let whole = fs::read(&bundle).unwrap();
    let (damaged, root) = (project.path("damaged.tar.zst"), project.path("host"));
    fs::create_dir(&root).unwrap();
    let containerd = Containerd::start(project.folder.path());
    let check = |content: &[u8], what: &str| {
        fs::write(&damaged, content).unwrap();
        let mut apply = containerd.installer("apply");
        let ran = apply.arg(&damaged).arg("--root").arg(&root).args(["--runtime", "containerd", "--yes"]).output();
        let ran = ran.unwrap();
        let text = both(&ran);
        assert_eq!(ran.status.code(), Some(30), "{what}: {text}");
        assert!(!text.contains("panicked"), "{what}: {text}");
        for list in [&["images", "ls", "-q"][..], &["leases", "ls", "-q"], &["content", "ls", "-q"]] {
            assert_eq!(containerd.ctr(list), "", "{what}: ctr {list:?}");
        }
        for list in [&["content", "active"][..], &["snapshots", "ls"]] {
            assert_eq!(containerd.ctr(list).lines().count(), 1, "{what}: ctr {list:?}: only its head line");
        }
        assert_eq!(fs::read_dir(&root).unwrap().count(), 0, "{what}");
        text
    };
    // One byte of the data of each blob, most of which is found only when all of it has been sent.
    let stretches = anatomy(&whole);
    let data = stretches.iter().filter_map(|stretch| match &stretch.part {
        Part::Data(name) => Some((name.strip_prefix("blobs/sha256/")?, stretch)),
        Part::Header | Part::SeekTable => None,
    });
    let data: Vec<_> = data.collect();
    assert!(data.len() >= 15, "{}", data.len());
    for (digest, stretch) in &data {
        let mut bytes = whole.clone();
        let inner = stretch.framing.last().unwrap().clone();
        // The last byte of a checksum, or one far inside of what is stored.
        let at = if inner.end == stretch.range.end { inner.end - 1 } else { (inner.end + stretch.range.end) / 2 };
        bytes[at] ^= 0x10;
        let text = check(&bytes, &format!("byte {at}"));
        assert!(text.contains(digest), "{digest} is damaged: {text}");
    }
    for (number, stretch) in stretches.iter().filter(|stretch| stretch.part == Part::Header).enumerate().step_by(4) {
        let mut bytes = whole.clone();
        bytes[stretch.range.start + 20 + number] ^= 0x10;
        let text = check(&bytes, "a header");
        assert!(text.contains("header"), "{text}");
    }
    for eighth in 0..8 {
        check(&whole[..whole.len() * eighth / 8], &format!("cut to {eighth}/8"));
    }
    // The same containerd takes the bundle when it is whole.
    let mut apply = containerd.installer("apply");
    super::project::succeed(apply.arg(&bundle).arg("--root").arg(&root).args(["--runtime", "containerd", "--yes"]));
    for name in
        ["app/tagged:1.0".to_owned(), format!("app/pinned@{}", project.pinned.digest), "app/multi:2.0".to_owned()]
    {
        let name = format!("{}/{name}", project.registry.host);
        assert!(containerd.images().contains(&name), "{name} is not in {:?}", containerd.images());
    }
}
