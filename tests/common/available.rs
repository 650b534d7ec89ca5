//! Whether real parts are here, and what is said where they are not.

use std::fs;
use std::io::Write;

/// Whether the test can run: root, and every one of `tools` on the path. Where it cannot, that is said, written to the
/// file `CARRACK_SKIPPED`, and with `CARRACK_REQUIRE_REAL=1` a failure.
pub(crate) fn available(test: &str, tools: &[&str]) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = |tool: &str| std::env::split_paths(&path).any(|folder| folder.join(tool).is_file());
    let mut lacks: Vec<&str> = tools.iter().copied().filter(|tool| !found(tool)).collect();
    if !rustix::process::geteuid().is_root() {
        lacks.push("root");
    }
    if lacks.is_empty() {
        return true;
    }
    skip(&format!("{test}: needs {}", lacks.join(", ")));
    false
}

/// Says that a test is not run, and why; with `CARRACK_REQUIRE_REAL=1` that is a failure.
pub(crate) fn skip(line: &str) {
    assert!(std::env::var_os("CARRACK_REQUIRE_REAL").is_none_or(|value| value != "1"), "{line}");
    println!("skipped: {line}");
    if let Some(list) = std::env::var_os("CARRACK_SKIPPED") {
        let mut list = fs::OpenOptions::new().append(true).create(true).open(list).unwrap();
        writeln!(list, "{line}").unwrap();
    }
}
