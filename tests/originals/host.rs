//! A root that is installed into through the real program.

use std::fs;
use std::path::{Path, PathBuf};

use crate::common::{Ran, Sandbox};

pub(crate) struct Host {
    pub(crate) sandbox: Sandbox,
}

impl Host {
    pub(crate) fn new() -> Self {
        let sandbox = Sandbox::new();
        fs::create_dir_all(sandbox.work().join("host/etc")).unwrap();
        Self { sandbox }
    }

    pub(crate) fn at(&self, path: &str) -> PathBuf {
        self.sandbox.work().join("host").join(path.trim_start_matches('/'))
    }

    pub(crate) fn write(&self, path: &str, content: &str) {
        fs::create_dir_all(self.at(path).parent().unwrap()).unwrap();
        fs::write(self.at(path), content).unwrap();
    }

    pub(crate) fn read(&self, path: &str) -> String {
        fs::read_to_string(self.at(path)).unwrap()
    }

    pub(crate) fn run(&self, arguments: &[&str], code: i32) -> Ran {
        let installer = Path::new(env!("CARGO_BIN_EXE_carrack-install"));
        let ran = self.sandbox.run(installer, &[arguments, &["--root", "host"]].concat());
        assert_eq!(ran.code, code, "{arguments:?}\n{}\n{}", ran.stdout, ran.stderr);
        ran
    }

    /// Makes the journal one of another phase.
    pub(crate) fn phase(&self, from: &str, to: &str) {
        let journal = |phase: &str| self.at(&format!("/var/lib/carrack/journal/{phase}.json"));
        fs::rename(journal(from), journal(to)).unwrap();
    }
}

/// A bundle of the profile `shop` with these host files, each with its content, and these units.
pub(crate) fn build(sandbox: &Sandbox, version: &str, files: &[(&str, &str)], units: &[&str]) -> String {
    let mut items = String::new();
    for (index, (path, content)) in files.iter().enumerate() {
        sandbox.write(&format!("profile/file-{version}-{index}"), content);
        items.push_str(&format!("        - {{source: ./file-{version}-{index}, path: {path}}}\n"));
    }
    sandbox.write(
        "profile/carrack.yaml",
        format!(
            "apiVersion: carrack/v1\nkind: ClusterProfile\nmetadata: {{name: shop, version: {version}}}\nspec:\n  packs:\n    \
             - name: tools\n      layer: addon\n      services: [{}]\n      files:\n{items}",
            units.join(", ")
        ),
    );
    let bundle = format!("shop-{version}.tar.zst");
    let ran = sandbox.carrack(&["build", "profile", "-o", &bundle]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    bundle
}

/// Prepares the host with these files and a unit, which leaves the journal of a change whose files are all in their places.
/// Returns the bundle.
pub(crate) fn prepared(host: &Host, files: &[(&str, &str)]) -> String {
    let unit = [("/etc/systemd/system/shop.service", "[Service]\nExecStart=/bin/true\n")];
    let bundle = build(&host.sandbox, "1.0.0", &[files, &unit].concat(), &["shop.service"]);
    host.run(&["apply", &bundle, "--yes"], 0);
    bundle
}
