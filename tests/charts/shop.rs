//! A profile with charts in a sandbox, and the commands that read it.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::common::{Ran, Sandbox};

/// A profile in the working folder of a sandbox.
pub(crate) struct Shop {
    pub(crate) sandbox: Sandbox,
}

impl Shop {
    /// What is in `fixtures/charts/NAME`.
    pub(crate) fn fixture(name: &str) -> Self {
        Self::folder(&format!("charts/{name}"))
    }

    /// What is in the folder `fixtures/PATH`.
    pub(crate) fn folder(path: &str) -> Self {
        let sandbox = Sandbox::new();
        copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(path), &sandbox.work());
        Self { sandbox }
    }

    /// A profile whose pack `shop` has a chart `shop` with these files and values, in YAML on one line.
    pub(crate) fn chart(values: &str, files: &[(&str, &str)]) -> Self {
        Self::with_variables("[]", values, files)
    }

    /// The same with variables, likewise.
    pub(crate) fn with_variables(variables: &str, values: &str, files: &[(&str, &str)]) -> Self {
        let shop = Self { sandbox: Sandbox::new() };
        shop.profile(variables, "{name: kubernetes, layer: k8s, version: 1.32.5, distribution: none}", values);
        shop.sandbox.write("shop/Chart.yaml", "apiVersion: v2\nname: shop\nversion: 1.2.3\n");
        for (path, text) in files {
            shop.sandbox.write(&format!("shop/{path}"), text);
        }
        shop
    }

    /// Writes the profile anew.
    pub(crate) fn profile(&self, variables: &str, kubernetes: &str, values: &str) {
        let text = format!(
            "apiVersion: carrack/v1\nkind: ClusterProfile\nmetadata: {{name: shop, version: 1.0.0}}\nspec:\n  \
             variables: {variables}\n  packs:\n    - {kubernetes}\n    - name: shop\n      layer: addon\n      \
             chart: {{source: ./shop, namespace: shop, values: {values}}}\n"
        );
        self.sandbox.write("carrack.yaml", text);
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

/// A pod with one container.
pub(crate) fn pod(name: &str, image: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  containers:\n    - {{name: main, image: \"{image}\"}}\n"
    )
}

/// What a command that was to succeed has printed.
pub(crate) fn printed(ran: Ran) -> String {
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    ran.stdout
}

/// What a command that was to find the profile wrong has said.
pub(crate) fn refused(ran: Ran) -> String {
    assert_eq!(ran.code, 10, "{}{}", ran.stdout, ran.stderr);
    assert_eq!(ran.stdout, "");
    ran.stderr
}

/// All of `parts` are in `text`.
pub(crate) fn says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
}

/// A program in the sandbox that is no helm and behaves as `commands` say.
pub(crate) fn script(sandbox: &Sandbox, commands: &str) -> PathBuf {
    let file = sandbox.write("bin/helm", format!("#!/bin/sh\nPATH=/usr/bin:/bin\n{commands}\n"));
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    file
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
