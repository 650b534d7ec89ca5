//! A profile with charts in a sandbox, and the commands that read it.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use super::common::{Ran, Sandbox};

/// A profile in the working folder of a sandbox.
pub(crate) struct Shop {
    pub(crate) sandbox: Sandbox,
}

impl Shop {
    /// What is in `fixtures/charts/NAME`.
    pub(crate) fn fixture(name: &str) -> Self {
        let sandbox = Sandbox::new();
        copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/charts").join(name), &sandbox.work());
        Self { sandbox }
    }

    /// A command with the helm that is named.
    pub(crate) fn carrack(&self, helm: &Path, arguments: &[&str]) -> Ran {
        self.with(arguments, &[("CARRACK_HELM", helm.as_os_str())])
    }

    /// A command with these variables.
    pub(crate) fn with(&self, arguments: &[&str], environment: &[(&str, &OsStr)]) -> Ran {
        self.sandbox.run_with(Path::new(env!("CARGO_BIN_EXE_carrack")), arguments, environment)
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &target),
            false => drop(fs::copy(entry.path(), target).unwrap()),
        }
    }
}
