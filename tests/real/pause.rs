//! The image that every pod starts with, as the containerd that runs has it.

use std::fs;
use std::path::Path;

use super::parts::{Containerd, available, output};
use super::pinned::later_containerd;
use super::project::{Project, both, succeed};

const TOOLS: [&str; 6] = ["docker-registry", "ctr", "ip", "busybox", "containerd", "bash"];

/// What preflight says of the image, as `ok   pause-image …`.
fn told(containerd: &Containerd, bundle: &Path) -> String {
    let output = containerd.installer("preflight").arg(bundle).args(["--runtime", "containerd"]).output().unwrap();
    let text = both(&output);
    let line = text.lines().find(|line| line.contains("pause-image")).unwrap_or_else(|| panic!("{text}"));
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A bundle for kubeadm with the images of the project.
fn bundle(project: &Project) -> std::path::PathBuf {
    let host = &project.registry.host;
    let profile = format!(
        "apiVersion: carrack/v1\nkind: ClusterProfile\nmetadata: {{name: node, version: 1.0.0}}\nspec:\n  packs:\n    \
         - {{name: kubernetes, layer: k8s, version: 1.34.4, distribution: kubeadm, images: [\"{host}/app/tagged:1.0\"]}}\n"
    );
    fs::write(project.path("carrack.yaml"), profile).unwrap();
    project.build("node.tar.zst")
}

/// The configuration of a CRI plugin that starts pods with `image`.
fn config(plugin: &str, image: &str) -> String {
    format!("[plugins.\"io.containerd.grpc.v1.cri\"]\n  {plugin} = \"{image}\"\n")
}

#[test]
fn the_runtime_says_what_pods_start_with() {
    let test = "the_runtime_says_what_pods_start_with";
    if !available(test, &TOOLS) {
        return;
    }
    let project = Project::new();
    let (bundle, host) = (bundle(&project), &project.registry.host);
    let carried = format!("{host}/app/tagged:1.0");
    let containerd = Containerd::start_with(project.folder.path(), &config("sandbox_image", &carried));
    let version = containerd.ctr(["version"]);
    let version = version.lines().rfind(|line| line.contains("Version:")).unwrap().split_whitespace().last().unwrap();
    let said = told(&containerd, &bundle);
    assert!(said.starts_with("ok ") && said.contains(&format!("{carried} in the bundle, as containerd")), "{said}");
    assert!(said.contains(version), "{said} {version}");
    drop(containerd);

    // Another one that the bundle lacks, and one that nobody has named.
    let other = format!("{host}/app/none:9");
    for (text, wanted) in
        [(config("sandbox_image", &other), other.as_str()), (String::new(), "registry.k8s.io/pause:3.6")]
    {
        let containerd = Containerd::start_with(project.folder.path(), &text);
        let said = told(&containerd, &bundle);
        assert!(said.starts_with("FAIL ") && said.contains(&format!("{wanted} in the bundle")), "{said}");
        assert!(said.ends_with("none"), "{said}");
    }
    // What is there need not be in the bundle.
    let containerd = Containerd::start_with(project.folder.path(), &config("sandbox_image", &other));
    let root = project.path("host");
    fs::create_dir(&root).unwrap();
    let mut apply = containerd.installer("apply");
    succeed(apply.arg(&bundle).arg("--root").arg(&root).args([
        "--runtime",
        "containerd",
        "--skip",
        "pause-image",
        "--yes",
    ]));
    containerd.ctr(["images", "tag", &carried, &other]);
    let said = told(&containerd, &bundle);
    assert!(said.starts_with("ok ") && said.ends_with("named in containerd"), "{said}");
}

#[test]
fn a_later_containerd_says_it_too_or_its_release_does() {
    let Some(program) = later_containerd("a_later_containerd_says_it_too_or_its_release_does") else { return };
    let project = Project::new();
    let bundle = bundle(&project);
    let containerd = Containerd::start_program(&program, project.folder.path(), "");
    let said = told(&containerd, &bundle);
    let defaults = output(program.to_str().unwrap(), ["config", "default"]);
    let image = defaults.lines().find_map(|line| line.trim().strip_prefix("sandbox = '")?.strip_suffix('\'')).unwrap();
    assert!(said.starts_with("FAIL ") && said.contains(&format!(" {image} in the bundle, as ")), "{said} {image}");
}
