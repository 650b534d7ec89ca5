//! A place in which somebody works at a terminal, with bundles of two versions.

use std::fs;
use std::path::{Path, PathBuf};

use crate::common::Sandbox;
use crate::terminal::{Left, Terminal};

/// The widths of every terminal here.
pub(crate) const WIDTHS: [u16; 3] = [80, 100, 120];

/// A folder to work in, with `edge-1.0.0.tar.zst`, `edge-1.1.0.tar.zst`, and a root `host` with a file that stood there before.
pub(crate) struct Scene {
    pub(crate) sandbox: Sandbox,
}

const VERSIONS: [(&str, &str); 2] = [("1.0.0", "one\n"), ("1.1.0", "two\n")];

impl Scene {
    /// Without variables.
    pub(crate) fn new() -> Self {
        Self::with("")
    }

    /// With these lines below `spec`.
    pub(crate) fn with(spec: &str) -> Self {
        let sandbox = Sandbox::new();
        for (version, text) in VERSIONS {
            sandbox.write("profile/config", text);
            sandbox.write("profile/tool", "#!/bin/sh\necho shop\n");
            sandbox.write("profile/carrack.yaml", profile(version, spec));
            let bundle = format!("edge-{version}.tar.zst");
            let ran = sandbox.carrack(&["build", "profile", "-o", &bundle]);
            assert_eq!(ran.code, 0, "{}", ran.stderr);
        }
        sandbox.write("host/etc/shop/config", "what was there\n");
        Self { sandbox }
    }

    /// Whether the host has what it had, and nothing of Carrack's.
    pub(crate) fn is_untouched(&self) -> bool {
        let config = fs::read_to_string(self.host("etc/shop/config")).unwrap();
        config == "what was there\n" && !self.host("usr").exists() && !self.host("var/lib/carrack/receipts").exists()
    }

    pub(crate) fn host(&self, path: &str) -> PathBuf {
        self.sandbox.work().join("host").join(path)
    }

    /// Runs the installer where nobody can be asked.
    pub(crate) fn prepared(&self, arguments: &[&str]) {
        let ran = self.sandbox.run(installer(), arguments);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
    }

    /// The installer on a terminal.
    pub(crate) fn install(&self, arguments: &[&str], columns: u16) -> Terminal {
        self.start(installer(), arguments, columns)
    }

    /// A program on a terminal, in the folder to work in.
    pub(crate) fn start(&self, program: &Path, arguments: &[&str], columns: u16) -> Terminal {
        let home = self.sandbox.work().join("../home");
        Terminal::start(program, arguments, &self.sandbox.work(), &[("HOME", home.as_os_str())], columns)
    }

    /// Runs the installer on a terminal, with an answer to the question that it asks.
    pub(crate) fn answered(&self, arguments: &[&str], keys: &str, columns: u16) -> Left {
        let mut terminal = self.install(arguments, columns);
        terminal.wait_for("[y/N] ");
        terminal.types(keys);
        terminal.end()
    }
}

fn profile(version: &str, spec: &str) -> String {
    format!(
        "apiVersion: carrack/v1\nkind: ClusterProfile\nmetadata: {{name: edge, version: {version}}}\nspec:\n{spec}  packs:\n    - name: \
         shop\n      layer: addon\n      files:\n        - {{source: ./config, path: /etc/shop/config}}\n        - {{source: ./tool, path: \
         /usr/local/bin/shop-status, mode: \"0755\"}}\n"
    )
}

pub(crate) fn installer() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_carrack-install"))
}

pub(crate) fn carrack() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_carrack"))
}
