//! The installer as a process among others: locks, signals, and what it was called with.
#![cfg(all(feature = "operator", feature = "installer"))]
#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

#[path = "../common/mod.rs"]
mod common;
mod locks;
mod signals;
mod site;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use common::{Ran, Sandbox};

const INSTALL: &str = env!("CARGO_BIN_EXE_carrack-install");

/// A root, and bundles to put there.
struct Host {
    sandbox: Sandbox,
}

impl Host {
    /// One with bundles of `shop` in two versions, with so many files.
    fn new(files: usize) -> Self {
        let sandbox = Sandbox::new();
        for version in ["1.0.0", "1.1.0"] {
            let mut items = String::new();
            for index in 0..files {
                sandbox.write(&format!("p/{index}"), format!("{version} {index}"));
                items.push_str(&format!("        - {{source: ./{index}, path: /opt/shop/{index}}}\n"));
            }
            sandbox.write(
                "p/carrack.yaml",
                format!(
                    "apiVersion: carrack/v1\nkind: ClusterProfile\nmetadata: {{name: shop, version: {version}}}\nspec:\n  packs:\n    \
                     - name: tools\n      layer: addon\n      files:\n{items}"
                ),
            );
            let ran = sandbox.carrack(&["build", "p", "-o", &format!("{version}.tar.zst")]);
            assert_eq!(ran.code, 0, "{}", ran.stderr);
        }
        fs::create_dir(sandbox.work().join("host")).unwrap();
        Self { sandbox }
    }

    fn at(&self, path: &str) -> PathBuf {
        self.sandbox.work().join("host").join(path.trim_start_matches('/'))
    }

    fn try_run(&self, arguments: &[&str]) -> Ran {
        self.sandbox.run(Path::new(INSTALL), &[arguments, &["--root", "host"]].concat())
    }

    #[track_caller]
    fn run(&self, arguments: &[&str], code: i32) -> Ran {
        let ran = self.try_run(arguments);
        assert_eq!(ran.code, code, "{arguments:?}\n{}\n{}", ran.stdout, ran.stderr);
        ran
    }

    /// A run that has yet to be started.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(INSTALL);
        command.args(arguments).args(["--root", "host"]).current_dir(self.sandbox.work());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// Every path below the root, with mode and content.
    fn tree(&self) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
        let (mut found, mut pending) = (BTreeMap::new(), vec![self.at("/")]);
        while let Some(folder) = pending.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let facts = path.symlink_metadata().unwrap();
                let content = if facts.is_file() { fs::read(&path).unwrap() } else { Vec::new() };
                pending.extend(facts.is_dir().then(|| path.clone()));
                found.insert(path, (facts.permissions().mode(), content));
            }
        }
        found
    }
}

const FIRST: &[&str] = &["apply", "1.0.0.tar.zst", "--yes"];
const SECOND: &[&str] = &["apply", "1.1.0.tar.zst", "--yes"];
