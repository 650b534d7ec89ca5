//! The bundle without Carrack: zstd, tar, ctr and skopeo read it.

use std::fs;
use std::process::Command;

use carrack::oci::Digest;

use super::parts::{Containerd, available, output, run};
use super::project::{Project, succeed};

#[test]
fn other_tools_read_the_bundle() {
    let tools = ["docker-registry", "skopeo", "containerd", "ctr", "runc", "ip", "busybox", "zstd", "tar"];
    if !available("other_tools_read_the_bundle", &tools) {
        return;
    }
    let project = Project::new();
    let bundle = project.build("trip.tar.zst");
    let bundle = bundle.to_str().unwrap();
    let shell = |script: &str| succeed(Command::new("bash").args(["-o", "pipefail", "-ec", script]));

    output("zstd", ["-t", "-q", bundle]);
    let list = shell(&format!("zstd -dc {bundle} | tar -t"));
    assert!(list.starts_with("oci-layout\nindex.json\nblobs/sha256/"), "{list}");

    let containerd = Containerd::start(project.folder.path());
    let address = containerd.address.display();
    shell(&format!("zstd -dc {bundle} | ctr -a {address} -n k8s.io images import --platform linux/amd64 -"));
    let host = &project.registry.host;
    assert_eq!(containerd.run_image(&format!("{host}/app/tagged:1.0"), "imported"), "hello by tag\n");

    let layout = project.path("layout");
    fs::create_dir(&layout).unwrap();
    shell(&format!("zstd -dc {bundle} | tar -x -C {}", layout.display()));
    let reference = format!("oci:{}:{host}/app/tagged:1.0", layout.display());
    assert!(output("skopeo", ["inspect", &reference]).contains("\"Os\": \"linux\""));
    let copied = format!("dir:{}", project.path("copied").display());
    output("skopeo", ["copy", &reference, &copied]);
    let from_registry =
        run("skopeo", ["inspect", "--raw", "--tls-verify=false", &format!("docker://{host}/app/tagged:1.0")]);
    let manifest = fs::read(project.path("copied").join("manifest.json")).unwrap();
    assert_eq!(Digest::of(&manifest), Digest::of(&from_registry.stdout));
    let archive = format!("oci-archive:{bundle}:{host}/app/tagged:1.0");
    output("skopeo", ["copy", &archive, &format!("dir:{}", project.path("from-archive").display())]);

    // The identity is what any tool computes.
    let identity = shell(&format!("zstd -dc {bundle} | tar -xO index.json | sha256sum"));
    let inspected = succeed(Command::new(env!("CARGO_BIN_EXE_carrack")).args(["inspect", bundle]));
    assert!(inspected.contains(identity.split(' ').next().unwrap()), "{inspected}");
}
