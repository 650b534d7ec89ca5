//! Standard output and standard error that cannot be written: full, closed, or with a reader that has gone. Nothing panics,
//! nothing stops halfway, and data that is lost is a failure.
#![cfg(all(feature = "operator", feature = "installer"))]
#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

mod common;

use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};

use common::Sandbox;

/// What becomes of a standard stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum To {
    /// It is read.
    Reader,
    /// `/dev/full`.
    Full,
    /// It is closed when the program starts.
    Closed,
    /// A pipe whose reader is gone before the program writes.
    Gone,
    /// A pipe whose reader goes after the first byte.
    Leaving,
}

const BROKEN: [To; 4] = [To::Full, To::Closed, To::Gone, To::Leaving];

/// What a run left.
struct Ran {
    code: i32,
    stdout: String,
    stderr: String,
}

/// Runs a program with these standard streams.
fn run(sandbox: &Sandbox, program: &str, arguments: &[&str], stdout: To, stderr: To) -> Ran {
    let mut command = Command::new("sh");
    let close = |to: To, fd: u8| if to == To::Closed { format!(" {fd}>&-") } else { String::new() };
    let script = format!("exec \"$0\" \"$@\"{}{}", close(stdout, 1), close(stderr, 2));
    command.args(["-c", &script, program]).args(arguments);
    command.current_dir(sandbox.work()).stdin(Stdio::null());
    let mut readers = Vec::new();
    let mut of = |to: To| match to {
        To::Full => Stdio::from(OpenOptions::new().write(true).open("/dev/full").unwrap()),
        To::Closed => Stdio::null(),
        To::Reader | To::Gone | To::Leaving => {
            let (reader, writer) = std::io::pipe().unwrap();
            match to {
                To::Gone => drop(reader),
                _ => readers.push((to, reader)),
            }
            Stdio::from(writer)
        }
    };
    let (out, err) = (of(stdout), of(stderr));
    let mut child = command.stdout(out).stderr(err).spawn().unwrap();
    // The pipes' other ends are the child's alone from here on.
    drop(command);
    let read: Vec<_> = readers
        .into_iter()
        .map(|(to, mut reader)| {
            std::thread::spawn(move || {
                let mut text = Vec::new();
                match to {
                    To::Leaving => drop(reader.read(&mut [0])),
                    _ => drop(reader.read_to_end(&mut text)),
                }
                String::from_utf8(text).unwrap()
            })
        })
        .collect();
    let code = child.wait().unwrap().code().unwrap_or(-1);
    let mut texts = read.into_iter().map(|thread| thread.join().unwrap());
    let mut text = |to: To| match to {
        To::Reader | To::Leaving => texts.next().unwrap(),
        _ => String::new(),
    };
    let (stdout, stderr) = (text(stdout), text(stderr));
    Ran { code, stdout, stderr }
}

const CARRACK: &str = env!("CARGO_BIN_EXE_carrack");
const INSTALL: &str = env!("CARGO_BIN_EXE_carrack-install");

/// A sandbox with a profile, two bundles of it, and an empty root.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    for version in ["1.0.0", "1.1.0"] {
        sandbox.write("p/file", version);
        sandbox.write(
            "p/carrack.yaml",
            format!(
                "apiVersion: carrack/v1\nkind: ClusterProfile\nmetadata: {{name: shop, version: {version}}}\nspec:\n  packs:\n  \
                 - {{name: x, layer: addon, files: [{{source: ./file, path: /etc/shop}}], manifests: [./m.yaml]}}\n"
            ),
        );
        sandbox.write("p/m.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n");
        let ran = sandbox.carrack(&["build", "p", "-o", &format!("{version}.tar.zst")]);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
    }
    fs::create_dir(sandbox.work().join("r")).unwrap();
    sandbox
}

fn prepare(sandbox: &Sandbox, commands: &[&[&str]]) {
    fs::remove_dir_all(sandbox.work().join("r")).unwrap();
    fs::create_dir(sandbox.work().join("r")).unwrap();
    for command in commands {
        let ran = sandbox.run(Path::new(INSTALL), command);
        assert_eq!(ran.code, 0, "{command:?}: {}", ran.stderr);
    }
}

fn installed(sandbox: &Sandbox) -> Option<String> {
    fs::read_to_string(sandbox.work().join("r/etc/shop")).ok()
}

const FIRST: &[&str] = &["apply", "1.0.0.tar.zst", "--root", "r", "--yes"];
const SECOND: &[&str] = &["apply", "1.1.0.tar.zst", "--root", "r", "--yes"];

/// Commands of the installer, what was done before each, and what is in the root after it.
type Case = (&'static [&'static str], &'static [&'static [&'static str]], Option<&'static str>);
const INSTALLER: &[Case] = &[
    (&["verify", "1.0.0.tar.zst"], &[], None),
    (&["plan", "1.0.0.tar.zst", "--root", "r"], &[], None),
    (&["preflight", "1.0.0.tar.zst", "--root", "r"], &[], None),
    (FIRST, &[], Some("1.0.0")),
    (&["apply", "1.0.0.tar.zst", "--root", "r", "--yes", "--json"], &[], Some("1.0.0")),
    (&["apply", "1.0.0.tar.zst", "--root", "r", "--yes", "--verbose"], &[], Some("1.0.0")),
    (&["status", "--root", "r"], &[FIRST], Some("1.0.0")),
    (&["status", "--root", "r", "--json"], &[FIRST], Some("1.0.0")),
    (&["resume", "--root", "r"], &[FIRST], Some("1.0.0")),
    (&["repair", "--root", "r", "--yes"], &[FIRST], Some("1.0.0")),
    (&["rollback", "--root", "r", "--yes"], &[FIRST, SECOND], Some("1.0.0")),
    (&["uninstall", "--root", "r", "--yes"], &[FIRST], None),
    (&["uninstall", "--root", "r", "--yes", "--json"], &[FIRST], None),
    (&["--help"], &[], None),
    (&["--version"], &[], None),
];

#[test]
fn a_broken_standard_error_ends_nothing() {
    let sandbox = sandbox();
    for (command, before, after) in INSTALLER {
        for stderr in BROKEN {
            prepare(&sandbox, before);
            let ran = run(&sandbox, INSTALL, command, To::Reader, stderr);
            assert_eq!(
                (ran.code, installed(&sandbox).as_deref()),
                (0, *after),
                "{command:?} {stderr:?} {}",
                ran.stderr
            );
            assert!(!ran.stderr.contains("panicked"), "{command:?} {stderr:?}: {}", ran.stderr);
        }
    }
    for command in [
        &["check", "p"][..],
        &["images", "p"],
        &["lock", "p"],
        &["build", "p", "-o", "out"],
        &["inspect", "1.0.0.tar.zst"],
        &["verify", "1.0.0.tar.zst"],
        &["diff", "1.0.0.tar.zst", "1.1.0.tar.zst"],
        &["schema", "profile"],
        &["man"],
        &["completions", "bash"],
        &["demo"],
    ] {
        for stderr in BROKEN {
            let ran = run(&sandbox, CARRACK, command, To::Reader, stderr);
            assert_eq!(ran.code, 0, "{command:?} {stderr:?}: {} {}", ran.stdout, ran.stderr);
        }
    }
}

#[test]
fn what_fails_keeps_its_exit_code_where_nobody_can_be_told() {
    let sandbox = sandbox();
    for (command, code) in [
        (&["verify", "none.tar.zst"][..], 25),
        (&["apply", "p/file", "--root", "r", "--yes"], 30),
        (&["status", "--root", "r"], 40),
        (&["appply"], 2),
        (&["apply"], 2),
    ] {
        for broken in BROKEN {
            for (stdout, stderr) in [(To::Reader, broken), (broken, broken)] {
                let ran = run(&sandbox, INSTALL, command, stdout, stderr);
                assert_eq!(ran.code, code, "{command:?} {stdout:?} {stderr:?}");
            }
        }
    }
}

#[test]
fn data_that_is_lost_is_a_failure_after_the_work_is_done() {
    let sandbox = sandbox();
    for (command, before, after) in INSTALLER {
        for stdout in BROKEN {
            for stderr in [To::Reader, To::Full] {
                prepare(&sandbox, before);
                let ran = run(&sandbox, INSTALL, command, stdout, stderr);
                let silent = matches!(command[0], "resume" | "repair")
                    || matches!(command, ["rollback" | "uninstall", _, _, "--yes"]);
                let lost = stdout == To::Full && !silent;
                let code = if lost { 25 } else { 0 };
                assert_eq!(
                    (ran.code, installed(&sandbox).as_deref()),
                    (code, *after),
                    "{command:?} {stdout:?} {}",
                    ran.stderr
                );
                let told = ran.stderr.contains("error: cannot write to standard output: No space left on device");
                assert_eq!(told, lost && stderr == To::Reader, "{command:?} {stdout:?}: {}", ran.stderr);
            }
        }
    }
    for command in [
        &["check", "p", "--json"][..],
        &["lock", "p", "--json"],
        &["build", "p", "-o", "out"],
        &["inspect", "1.0.0.tar.zst"],
        &["schema", "profile"],
        &["man"],
        &["completions", "bash"],
        &["--help"],
    ] {
        for stdout in BROKEN {
            let ran = run(&sandbox, CARRACK, command, stdout, To::Reader);
            let code = if stdout == To::Full { 25 } else { 0 };
            assert_eq!(ran.code, code, "{command:?} {stdout:?}: {}", ran.stderr);
        }
    }
    assert!(sandbox.work().join("out").exists(), "the bundle is complete, whatever became of its identity");
}

#[test]
fn an_error_in_json_that_cannot_be_written_is_told_on_standard_error() {
    let sandbox = sandbox();
    let ran = run(&sandbox, INSTALL, &["verify", "none.tar.zst", "--json"], To::Full, To::Reader);
    assert_eq!(ran.code, 25);
    assert!(ran.stderr.contains("none.tar.zst"), "{}", ran.stderr);
}

/// A file that is opened gets the lowest free number: without care, the journal would be what messages are written into.
#[test]
fn streams_that_are_closed_at_the_start_are_no_files_of_the_host() {
    let sandbox = sandbox();
    let script = format!("exec {INSTALL} apply 1.0.0.tar.zst --root r --yes --verbose 0<&- 1>&- 2>&-");
    let status = Command::new("sh").args(["-c", &script]).current_dir(sandbox.work()).status().unwrap();
    assert_eq!(status.code(), Some(0));
    assert_eq!(installed(&sandbox).as_deref(), Some("1.0.0"));
    let mut receipt = String::new();
    let path = sandbox.work().join("r/var/lib/carrack/receipts/0001-shop-1.0.0.json");
    File::open(path).unwrap().read_to_string(&mut receipt).unwrap();
    serde_json::from_str::<serde_json::Value>(&receipt).unwrap();
}
