//! Bad input of every kind, through the real binaries: each has its exit code, names the culprit, and changes nothing.
#![cfg(all(feature = "operator", feature = "installer"))]
#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

mod bundles;
#[path = "../common/mod.rs"]
mod common;
mod features;
mod forge;
mod local;
mod memory;
mod properties;
mod registries;
mod texts;

use std::path::Path;

use common::{Ran, Sandbox};

fn install(sandbox: &Sandbox, arguments: &[&str]) -> Ran {
    sandbox.run(Path::new(env!("CARGO_BIN_EXE_carrack-install")), arguments)
}

/// A profile of one pack with these fields.
fn profile(fields: &str) -> String {
    format!(
        "apiVersion: carrack/v1\nkind: ClusterProfile\nmetadata: {{name: p, version: 1.0.0}}\nspec:\n  packs:\n    \
         - {{name: a, layer: addon, {fields}}}\n"
    )
}

/// The run failed with `code`, said each of `words` on standard error, and nothing on standard output.
#[track_caller]
fn assert_refused(ran: &Ran, code: i32, words: &[&str]) {
    assert_eq!((ran.code, ran.stdout.as_str()), (code, ""), "{}", ran.stderr);
    assert!(ran.stderr.contains("error: ") && !ran.stderr.contains("panicked"), "{}", ran.stderr);
    for word in words {
        assert!(ran.stderr.contains(word), "no {word:?} in: {}", ran.stderr);
    }
}

/// The run failed with `code` and printed the one document that `--json` promises. Returns what is under `error`.
#[track_caller]
fn json_error(ran: &Ran, code: i32) -> serde_json::Value {
    assert_eq!(ran.code, code, "{}{}", ran.stdout, ran.stderr);
    let document: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    let error = &document["error"];
    assert_eq!(document.as_object().unwrap().len(), 1);
    assert_eq!(error["code"], code);
    assert!(error["message"].is_string(), "{error}");
    for list in ["causes", "hints"] {
        assert!(error[list].as_array().unwrap().iter().all(serde_json::Value::is_string), "{error}");
    }
    error.clone()
}
