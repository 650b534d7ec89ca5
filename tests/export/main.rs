//! `carrack export --from-cluster` against a stand-in for an API server, and builds of what it exports.
#![cfg(feature = "operator")]
#![expect(clippy::print_stdout, reason = "a skipped part is said")]
#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

#[path = "../common/available.rs"]
#[expect(dead_code, reason = "no other real part is needed")]
mod available;
mod cluster;
#[path = "../common/mod.rs"]
mod common;
#[path = "../common/helm.rs"]
mod helm;
mod server;

mod distributions;
mod faults;
mod releases;
mod secrets;
mod workloads;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use carrack::bundle::Bundle;
use carrack::oci::Digest;
use cluster::Cluster;
use common::{Ran, Sandbox};

/// Where a cluster is exported to.
struct Place {
    sandbox: Sandbox,
}

impl Place {
    fn of(cluster: &Cluster) -> Self {
        let sandbox = Sandbox::new();
        let home = sandbox.work().parent().unwrap().join("home/.kube");
        fs::create_dir(&home).unwrap();
        cluster.server.write_kubeconfig(&home.join("config"));
        Self { sandbox }
    }

    fn export(&self, more: &[&str]) -> Ran {
        self.sandbox.carrack(&[&["export", "--from-cluster", "-o", "out"], more].concat())
    }

    fn file(&self, path: &str) -> String {
        fs::read_to_string(self.sandbox.work().join("out").join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    fn files(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut folders = vec![self.sandbox.work().join("out")];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() { folders.push(path) } else { found.push(path) }
            }
        }
        found
    }

    /// Builds what was exported. Returns the digests in the bundle by repository.
    fn build(&self, more: &[&str]) -> BTreeMap<String, BTreeSet<Digest>> {
        self.build_with(more, &[])
    }

    /// The same with variables in the environment.
    fn build_with(&self, more: &[&str], environment: &[(&str, &OsStr)]) -> BTreeMap<String, BTreeSet<Digest>> {
        let arguments = [&["build", "out", "-o", "bundle.tar.zst"], more].concat();
        succeed(self.sandbox.run_with(Path::new(env!("CARGO_BIN_EXE_carrack")), &arguments, environment));
        let bundle = Bundle::open(&self.sandbox.work().join("bundle.tar.zst")).unwrap();
        let mut found: BTreeMap<String, BTreeSet<Digest>> = BTreeMap::new();
        for image in &bundle.contents().images {
            found.entry(image.reference.repository().to_owned()).or_default().insert(image.target.digest);
        }
        found
    }
}

fn succeed(ran: Ran) -> Ran {
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    ran
}

fn expected(cluster: &Cluster) -> BTreeMap<String, BTreeSet<Digest>> {
    cluster.running.iter().map(|(name, digest)| (name.clone(), BTreeSet::from([*digest]))).collect()
}
