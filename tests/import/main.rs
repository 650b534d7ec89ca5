//! `carrack import`: fixtures/palette as profiles of ours, with the exact list of what is not in them, and then built from a
//! registry with stand-ins and applied into a folder.
#![cfg(all(feature = "operator", feature = "installer"))]
#![expect(clippy::print_stdout, reason = "a skipped part is said")]
#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

#[path = "../common/available.rs"]
#[expect(dead_code, reason = "no other real part is needed")]
mod available;
mod built;
#[path = "../common/mod.rs"]
mod common;
mod field;
#[path = "../common/helm.rs"]
mod helm;
mod imported;
mod leaves;
mod right;
#[path = "../common/web.rs"]
mod web;

use std::fs;
use std::path::Path;

use carrack::profile::{self, Loaded, Packs, Profile};
use common::{Ran, Sandbox, copy};

/// The fixtures in a sandbox.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/palette"), &sandbox.work());
    sandbox
}

fn succeed(ran: Ran) -> Ran {
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    ran
}

/// The paths of the files below `folder`, sorted.
fn files(folder: &Path) -> Vec<String> {
    let (mut found, mut pending) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(next) = pending.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                pending.push(path);
            } else {
                found.push(path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

/// Every file of a folder with its text; of a package, its name alone.
fn tree(folder: &Path) -> String {
    let shown = |path: &String| match path.ends_with(".tgz") {
        true => format!("==> {path}\n"),
        false => format!("==> {path}\n{}", fs::read_to_string(folder.join(path)).unwrap()),
    };
    files(folder).iter().map(shown).collect()
}

/// The profile in `folder`, which has no mistake of its own.
fn load(folder: &Path) -> Profile {
    match profile::load(folder, &Packs::new()) {
        Ok(Loaded::Profile(profile)) => *profile,
        other => panic!("{other:?}"),
    }
}
