//! Images ahead of a version, as a person brings them: the commands, against a real containerd.

use std::fs;
use std::process::Command;

use super::parts::{Containerd, available};
use super::project::{Project, succeed};

const TOOLS: [&str; 7] = ["docker-registry", "skopeo", "containerd", "ctr", "ip", "busybox", "runc"];

#[test]
fn images_come_before_the_version_that_names_them() {
    if !available("images_come_before_the_version_that_names_them", &TOOLS) {
        return;
    }
    let project = Project::new();
    let profile = fs::read_to_string(project.path("carrack.yaml")).unwrap();
    // The first version has one image fewer.
    let image = format!("      images: [\"{}/app/multi:2.0\"]\n", project.registry.host);
    fs::write(project.path("carrack.yaml"), profile.replace(&image, "")).unwrap();
    let first = project.build("first.tar.zst");
    fs::remove_file(project.path("carrack.lock")).unwrap();
    fs::write(project.path("carrack.yaml"), profile.replace("version: 1.0.0", "version: 1.1.0")).unwrap();
    fs::write(project.path("hello"), "#!/bin/sh\necho hello again\n").unwrap();
    let second = project.build("second.tar.zst");
    let containerd = Containerd::start(project.folder.path());
    let root = project.path("host");
    fs::create_dir(&root).unwrap();
    let command = |verb: &str| {
        let mut command = containerd.installer(verb);
        command.arg("--root").arg(&root);
        command
    };
    let with = |verb: &str, words: &[&str]| -> Command {
        let mut command = command(verb);
        command.arg(&second).args(["--runtime", "containerd"]).args(words);
        command
    };
    succeed(command("apply").arg(&first).args(["--runtime", "containerd", "--yes"]));
    let (names, hello) = (containerd.images(), root.join("usr/local/bin/hello"));
    let installed = fs::read(&hello).unwrap();

    let planned = succeed(&mut with("plan", &["--images-only"]));
    assert!(planned.contains("add     image") && planned.contains("app/multi:2.0"), "{planned}");
    assert!(!planned.contains("hello"), "{planned}");
    succeed(&mut with("apply", &["--images-only", "--yes"]));
    assert!(containerd.images().len() > names.len() && names.iter().all(|name| containerd.images().contains(name)));
    assert_eq!(fs::read(&hello).unwrap(), installed);
    let mut status = containerd.network.command(env!("CARGO_BIN_EXE_carrack-install"));
    let shown = succeed(status.args(["status", "--root"]).arg(&root));
    assert!(shown.contains("trip 1.0.0\n") && shown.contains("trip 1.1.0: its images only"), "{shown}");

    // Nothing is imported a second time, and the version can be gone back from.
    let applied = succeed(&mut with("apply", &["--yes", "--json"]));
    let applied: serde_json::Value = serde_json::from_str(&applied).unwrap();
    assert_eq!((&applied["imported"]["blobs"], &applied["imported"]["names"]), (&0.into(), &0.into()), "{applied}");
    assert_ne!(fs::read(&hello).unwrap(), installed);
    let mut rollback = containerd.network.command(env!("CARGO_BIN_EXE_carrack-install"));
    succeed(rollback.args(["rollback", "--yes", "--root"]).arg(&root));
    assert_eq!((containerd.images(), fs::read(&hello).unwrap()), (names, installed));
}
