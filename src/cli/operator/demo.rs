//! `carrack demo`: the whole trip on built-in data, each step shown as the command that a user would type.

use std::ffi::OsString;
use std::path::Path;

use super::generate::refuse_json;
use crate::cli::{CliError, Kind, Ui, installer};
use crate::io::{AtPath, AtomicFile};
use crate::oci::Platform;
use crate::registry::in_process::{Image, InProcessRegistry, Layer};

/// Make the whole trip on built-in data: no network, no root, seconds
///
/// Starts a registry on loopback inside this process, writes a profile into a temporary folder, and runs check, images,
/// lock, build, inspect and verify, then apply and status of carrack-install, into a folder instead of this machine.
#[derive(Debug, clap::Args)]
pub(super) struct Args {}

const MANIFEST: &str = "\
apiVersion: apps/v1
kind: Deployment
metadata: {name: shop, namespace: shop}
spec:
  selector: {matchLabels: {app: shop}}
  template:
    metadata: {labels: {app: shop}}
    spec:
      containers:
        - {name: api, image: \"REGISTRY/shop/api:2.3.1\", imagePullPolicy: IfNotPresent}
        - {name: web, image: \"REGISTRY/shop/web:1.0.0\", imagePullPolicy: IfNotPresent}
";

const SCRIPT: &str = "#!/bin/sh\necho 'the shop is open'\n";

const PROFILE: &str = "\
apiVersion: carrack/v1
kind: ClusterProfile
metadata:
  name: demo
  version: 1.0.0
  description: Two images, one manifest and one host file
spec:
  platforms: [PLATFORM]
  packs:
    - name: base
      layer: k8s
      distribution: none
      files:
        - {source: ./shop-status, path: /usr/local/bin/shop-status, mode: \"0755\"}
    - name: shop
      layer: addon
      manifests: [./shop.yaml]
";

pub(super) fn run(_args: &Args, ui: &Ui) -> Result<(), CliError> {
    refuse_json("demo", ui)?;
    let folder = tempfile::tempdir().at("create a folder in", &std::env::temp_dir())?;
    let registry = InProcessRegistry::start().at("start a registry on", Path::new("127.0.0.1"))?;
    fill(&registry).at("make images for", Path::new("the demo"))?;
    let path = |name: &str| folder.path().join(name);
    let write = |name: &str, mode: u32, text: &str| AtomicFile::write_all(&path(name), mode, text.as_bytes());
    write("carrack.yaml", 0o644, &PROFILE.replace("PLATFORM", &Platform::of_this_machine().to_string()))?;
    write("shop.yaml", 0o644, &MANIFEST.replace("REGISTRY", &registry.host()))?;
    write("shop-status", 0o755, SCRIPT)?;
    ui.status(&format!(
        "A registry answers at {}; the profile is {}.",
        registry.host(),
        path("carrack.yaml").display()
    ));
    let (profile, bundle, root) = (path("carrack.yaml"), path("demo.tar.zst"), path("host"));
    let (profile, bundle, root) = (profile.as_os_str(), bundle.as_os_str(), root.as_os_str());
    step(ui, &["carrack", "check"], &[profile])?;
    step(ui, &["carrack", "images", "--why"], &[profile])?;
    step(ui, &["carrack", "lock"], &[profile])?;
    step(ui, &["carrack", "build"], &[profile, "-o".as_ref(), bundle])?;
    step(ui, &["carrack", "inspect"], &[bundle])?;
    step(ui, &["carrack", "verify"], &[bundle])?;
    // From here on nothing asks the registry: this is the other side of the air gap.
    drop(registry);
    std::fs::create_dir(path("host")).at("create", &path("host"))?;
    ui.status("\nThe registry is gone. What follows needs the bundle alone.");
    // Somebody at a terminal would be asked otherwise, and this folder was made for nothing else.
    step(ui, &["carrack-install", "apply"], &[bundle, "--root".as_ref(), root, "--yes".as_ref()])?;
    step(ui, &["carrack-install", "status"], &["--root".as_ref(), root])?;
    ui.status("\nThe whole trip worked. Next: carrack init my-cluster");
    Ok(())
}

/// Two images that share their first layer, so that the bundle shows that it carries it once.
fn fill(registry: &InProcessRegistry) -> std::io::Result<()> {
    let base = Layer::tar(&[("etc/os-release", 0o644, b"NAME=demo\n".as_slice())])?.zstd()?;
    for (name, tag) in [("api", "2.3.1"), ("web", "1.0.0")] {
        let own = Layer::tar(&[(&format!("app/{name}"), 0o755, name.as_bytes())])?.zstd()?;
        let image = Image {
            platform: Platform::of_this_machine(),
            layers: vec![base.clone(), own],
            command: vec![format!("/app/{name}")],
        };
        registry.put_image(&format!("shop/{name}"), Some(tag), &image);
    }
    Ok(())
}

/// Shows a command as one would type it, and runs it in this process.
fn step(ui: &Ui, command: &[&str], arguments: &[&std::ffi::OsStr]) -> Result<(), CliError> {
    let quiet = ui.is_quiet().then_some("--quiet");
    let command_words = command.iter().copied().chain(quiet).map(OsString::from);
    let words: Vec<OsString> = command_words.chain(arguments.iter().map(OsString::from)).collect();
    let line: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
    ui.status(&format!("\n$ {}", line.join(" ")));
    let code = match command.first() {
        Some(&"carrack-install") => installer::run(words.iter().cloned()),
        _ => super::run(words.iter().cloned()),
    };
    match code {
        0 => Ok(()),
        code => {
            Err(CliError::new(Kind::Bug, format!("the demo's step ended with exit code {code}: {}", line.join(" "))))
        }
    }
}
