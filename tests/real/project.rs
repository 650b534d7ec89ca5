//! A profile in a folder of its own, with real images in a real registry.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use carrack::oci::Descriptor;
use carrack::registry::in_process::{InProcessRegistry, Layer};

use super::parts::{RealRegistry, busybox_layer, layer, put_multi_platform, speaking};

/// Everything that a build needs.
pub struct Project {
    pub folder: tempfile::TempDir,
    pub registry: RealRegistry,
    /// The multi-platform index.
    pub index: Descriptor,
    /// What `pinned` is pinned to.
    pub pinned: Descriptor,
}

impl Project {
    /// Two single-platform images (one by tag, one by digest) that share a layer, and a multi-platform one; a manifest
    /// that names two of them, and a host file.
    pub fn new() -> Self {
        Self::with_extra_layers(Vec::new())
    }

    pub fn with_extra_layers(extra: Vec<Layer>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let registry = RealRegistry::start(folder.path());
        let source = InProcessRegistry::start().unwrap();
        let base = busybox_layer(&[("etc/base", "shared")]);
        let mut layers = vec![base.clone(), layer(&[("etc/app", "tagged")])];
        layers.extend(extra);
        source.put_image("app/tagged", Some("1.0"), &speaking("linux/amd64", layers, "hello by tag"));
        let pinned = speaking("linux/amd64", vec![base, layer(&[("etc/app", "pinned")])], "hello by digest");
        let pinned = source.put_image("app/pinned", Some("1.0"), &pinned);
        let (index, _) = put_multi_platform(&source, "app/multi", "2.0");
        for name in ["app/tagged:1.0", "app/pinned:1.0", "app/multi:2.0"] {
            registry.copy_from(&source, name);
        }
        let this = Self { folder, registry, index, pinned };
        this.write_profile();
        this
    }

    fn write_profile(&self) {
        let host = &self.registry.host;
        let manifest = format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: app}}\nspec:\n  containers:\n    \
             - {{name: a, image: \"{host}/app/tagged:1.0\", imagePullPolicy: IfNotPresent}}\n    \
             - {{name: b, image: \"{host}/app/pinned@{}\", imagePullPolicy: IfNotPresent}}\n",
            self.pinned.digest
        );
        fs::write(self.path("app.yaml"), manifest).unwrap();
        fs::write(self.path("hello"), "#!/bin/sh\necho hello\n").unwrap();
        let profile = format!(
            "apiVersion: carrack/v1\nkind: ClusterProfile\nmetadata: {{name: trip, version: 1.0.0}}\nspec:\n  packs:\n    \
             - name: base\n      layer: k8s\n      distribution: none\n      files:\n        \
             - {{source: ./hello, path: /usr/local/bin/hello, mode: \"0755\"}}\n    \
             - name: app\n      layer: addon\n      manifests: [./app.yaml]\n      images: [\"{host}/app/multi:2.0\"]\n"
        );
        fs::write(self.path("carrack.yaml"), profile).unwrap();
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `carrack COMMAND PROFILE`.
    pub fn carrack(&self, command: &str) -> Command {
        let mut carrack = Command::new(env!("CARGO_BIN_EXE_carrack"));
        carrack.env("HOME", self.folder.path()).arg(command).arg(self.path("carrack.yaml"));
        carrack
    }

    /// Builds the profile into `name`.
    pub fn build(&self, name: &str) -> PathBuf {
        let bundle = self.path(name);
        succeed(self.carrack("build").arg("-o").arg(&bundle));
        bundle
    }
}

/// Runs a command that must succeed; returns what it printed on standard output.
pub fn succeed(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}\n{}", output.status, both(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// Everything that a command printed.
pub fn both(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// SHA-256 of a file, by coreutils.
pub fn sha256(path: &Path) -> String {
    super::parts::output("sha256sum", [path]).split(' ').next().unwrap().to_owned()
}
