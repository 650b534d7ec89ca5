//! Runs the commands of the documents, in order, in a folder for each document.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use carrack::oci::Digest;
use carrack::registry::in_process::{Image, InProcessRegistry, Layer};

use super::blocks::{Mark, blocks, commands, is_shown};
use super::helms::helms;
use super::parts::{Containerd, available};
use super::server::ApiServer;
use super::{documents, package};

/// Blocks that are not run here: document, what covers them, and the first command.
const COVERED: &[(&str, &str, &str)] = &[
    ("README.md", "the test `the_demo_makes_the_whole_trip`", "cargo run --release --bin carrack -- demo"),
    ("README.md", "`.ci/run`", "./scripts/test"),
    ("CONTRIBUTING.md", "itself", ".ci/run"),
    ("docs/install.md", "`.ci/run`", "scripts/release"),
];

/// What blocks marked `real` need, besides root.
const TOOLS: &[&str] = &["containerd", "ctr", "ip", "nsenter", "runc", "skopeo", "tar", "zstd"];

/// The registry that documents name, and the one that answers.
const REGISTRY: &str = "registry.example.org";
/// The API server that documents name, and the one that answers.
const CLUSTER: &str = "https://cluster.example.org:6443";
/// The USB stick that documents name.
const STICK: &str = "/media/usb";

macro_rules! documents_that_are_run {
    ($($test:ident: $path:literal,)*) => {
        const RUN: &[&str] = &[$($path),*];
        $(
            #[test]
            fn $test() {
                run($path);
            }
        )*
    };
}

documents_that_are_run! {
    contributing: "CONTRIBUTING.md",
    readme: "README.md",
    bundle_format: "docs/bundle-format.md",
    charts: "docs/charts.md",
    distributions: "docs/distributions.md",
    export: "docs/export.md",
    install: "docs/install.md",
    operations: "docs/operations.md",
    packs: "docs/packs.md",
    palette: "docs/palette.md",
    profile: "docs/profile.md",
    quickstart: "docs/quickstart.md",
    site: "docs/site.md",
    variables: "docs/variables.md",
}

#[test]
fn no_command_is_left_out() {
    let mut covered = Vec::new();
    for (path, text) in documents() {
        let path = path.to_str().unwrap();
        for block in blocks(&text) {
            let place = format!("{path}:{}", block.line);
            match &block.mark {
                Mark::Covered(by) => {
                    let command = commands(&block.text).swap_remove(0).text;
                    covered.push((path.to_owned(), by.clone(), command));
                }
                _ if block.language == "console" => assert!(RUN.contains(&path), "{place} is run by no test"),
                _ => {}
            }
            let shell = ["sh", "bash", "shell", "shell-session"].contains(&block.language.as_str());
            assert!(!shell, "{place}: commands stand in `console` blocks");
        }
    }
    let mut wanted: Vec<_> =
        COVERED.iter().map(|(a, b, c)| ((*a).to_owned(), (*b).to_owned(), (*c).to_owned())).collect();
    covered.sort();
    wanted.sort();
    assert_eq!(covered, wanted);
}

/// A folder in which a document's commands are run.
struct Place {
    folder: tempfile::TempDir,
    registry: InProcessRegistry,
    cluster: ApiServer,
    containerd: Option<Containerd>,
    helm: Option<PathBuf>,
}

fn run(document: &str) {
    let text = fs::read_to_string(package().join(document)).unwrap();
    let blocks = blocks(&text);
    let real = blocks.iter().any(|block| matches!(block.mark, Mark::Run { real: true, .. }));
    let real = real && available(&format!("the parts of {document} that need real parts"), TOOLS);
    let helm = blocks.iter().any(|block| matches!(block.mark, Mark::Run { helm: true, .. }));
    let helm = if helm { helms(&format!("the parts of {document} that need helm")).into_iter().next() } else { None };
    let place = Place::new(real, helm);
    for block in blocks {
        match block.mark {
            Mark::File(path) => place.write(&path, &block.text),
            Mark::Run { exit, real, helm } if block.language == "console" && place.has(real, helm) => {
                let commands = commands(&block.text);
                let last = commands.len() - 1;
                for (at, command) in commands.iter().enumerate() {
                    let (code, output) = place.bash(&command.text);
                    let where_it_is = format!("{document}:{}: $ {}\n{output}", block.line, command.text);
                    assert_eq!(code, if at == last { exit } else { 0 }, "{where_it_is}");
                    let lines: Vec<&str> = output.lines().collect();
                    assert!(is_shown(&command.output, &lines), "{where_it_is}\nis not\n{}", command.output.join("\n"));
                }
            }
            Mark::Run { .. } | Mark::Covered(_) => {}
        }
    }
}

impl Place {
    fn new(real: bool, helm: Option<PathBuf>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["bin", "home", "root", "usb", "work"] {
            fs::create_dir(path(name)).unwrap();
        }
        let carrack = Path::new(env!("CARGO_BIN_EXE_carrack"));
        let installer = Path::new(env!("CARGO_BIN_EXE_carrack-install"));
        symlink(carrack, path("bin/carrack")).unwrap();
        script(&path("bin/sudo"), "exec \"$@\"");
        // What is copied to the stick is the real program, whatever stands for it on the path.
        fs::copy(installer, path("work/carrack-install")).unwrap();
        let containerd = real.then(|| Containerd::start(folder.path()));
        match &containerd {
            None => symlink(installer, path("bin/carrack-install")).unwrap(),
            Some(containerd) => stand_ins(&path("bin"), &path("root"), containerd),
        }
        let (registry, digest) = registry();
        let image = format!("{}/shop/api:2.3.1", registry.host());
        let cluster = super::cluster::start(&path("home"), &image, digest);
        Self { folder, registry, cluster, containerd, helm }
    }

    /// Whether what a block needs is here.
    fn has(&self, real: bool, helm: bool) -> bool {
        (!real || self.containerd.is_some()) && (!helm || self.helm.is_some())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path("work").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, self.translated(text)).unwrap();
    }

    /// What the document says, for this machine.
    fn translated(&self, text: &str) -> String {
        text.replace(REGISTRY, &self.registry.host()).replace(STICK, self.path("usb").to_str().unwrap())
    }

    /// Runs a command and returns its exit code and all that it printed, in the document's words.
    fn bash(&self, command: &str) -> (i32, String) {
        let mut bash = Command::new("bash");
        bash.args(["-c", &format!("exec 2>&1\nset -o pipefail\n{}", self.translated(command))]);
        let system = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        bash.env_clear().env("PATH", format!("{}:{system}", self.path("bin").display()));
        bash.env("HOME", self.path("home")).env("LC_ALL", "C.UTF-8");
        bash.envs(self.helm.iter().map(|helm| ("CARRACK_HELM", helm)));
        let output = bash.current_dir(self.path("work")).stdin(Stdio::null()).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).replace(&self.registry.host(), REGISTRY);
        let text = text.replace(&self.cluster.url(), CLUSTER);
        let text = text.replace(self.path("usb").to_str().unwrap(), STICK);
        let text = text.replace(self.path("root").to_str().unwrap(), "");
        (output.status.code().unwrap_or(-1), text)
    }
}

/// In blocks with real parts, `carrack-install` and `ctr` work on a containerd and a root of the test's own, in a network
/// namespace without a route; nothing of this machine is changed.
fn stand_ins(bin: &Path, root: &Path, containerd: &Containerd) {
    let offline = |program: &str| {
        let command = containerd.network.command(program);
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        words.map(|word| word.to_str().unwrap()).collect::<Vec<_>>().join(" ")
    };
    let (address, root) = (containerd.address.display(), root.display());
    let installer = offline(env!("CARGO_BIN_EXE_carrack-install"));
    let text = format!(
        "command=$1; shift\n\
         case \" $* \" in *' --root '*) exec {installer} \"$command\" \"$@\" ;; esac\n\
         case $command in\n\
         status) exec {installer} status --root {root} \"$@\" ;;\n\
         preflight|plan|apply) exec {installer} \"$command\" \"$@\" --root {root} --runtime containerd \
         --containerd-address {address} ;;\n\
         *) exec {installer} \"$command\" \"$@\" ;;\n\
         esac"
    );
    script(&bin.join("carrack-install"), &text);
    script(&bin.join("ctr"), &format!("exec {} -a {address} \"$@\"", offline("/usr/bin/ctr")));
}

fn script(path: &Path, text: &str) {
    fs::write(path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// The images that documents name, for both platforms, on a layer that they share; and the digest of the first.
fn registry() -> (InProcessRegistry, Digest) {
    let registry = InProcessRegistry::start().unwrap();
    let mut digests = Vec::new();
    for (name, tag) in [("shop/api", "2.3.1"), ("shop/web", "1.0.0"), ("shop/worker", "2.3.1")] {
        let manifests = ["linux/amd64", "linux/arm64"].map(|platform| {
            let base = Layer::tar(&[("etc/os-release", 0o644, platform.as_bytes())]).unwrap().zstd().unwrap();
            let own =
                Layer::tar(&[("app/run", 0o755, format!("{name} {platform}").as_bytes())]).unwrap().zstd().unwrap();
            let image = Image {
                platform: platform.parse().unwrap(),
                layers: vec![base, own],
                command: vec!["/app/run".to_owned()],
            };
            registry.put_image(name, None, &image)
        });
        digests.push(registry.put_index(name, Some(tag), manifests.into()).digest);
    }
    (registry, digests[0])
}
