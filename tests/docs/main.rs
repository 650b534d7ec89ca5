//! What the documents say is true: their commands are run and print what is shown, their links lead somewhere, every
//! dependency and every command is described.
#![cfg(all(feature = "operator", feature = "installer"))]
#![expect(clippy::print_stdout, reason = "a skipped part is said")]
#![expect(unreachable_pub, reason = "modules of one test program")]
#![expect(clippy::unwrap_used, reason = "what a test needs and lacks fails it")]

#[path = "../common/available.rs"]
mod available;
mod blocks;
mod cluster;
mod demo;
mod described;
#[path = "../common/helm.rs"]
mod helms;
mod help;
mod run;
#[path = "../export/server.rs"]
#[expect(dead_code, reason = "the tests of exports use the rest")]
mod server;

#[allow(dead_code, reason = "each test uses its own part")]
#[path = "../common/layers.rs"]
mod layers;
#[path = "../real/parts.rs"]
#[expect(dead_code, reason = "the tests with real parts use the rest")]
mod parts;

use std::fs;
use std::path::{Path, PathBuf};

/// The package's folder.
fn package() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every document for people, by its path in the package, with its text.
fn documents() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for folder in ["", "docs"] {
        for entry in fs::read_dir(package().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "md") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path.strip_prefix(package()).unwrap().to_owned(), text));
            }
        }
    }
    found.sort();
    found
}
