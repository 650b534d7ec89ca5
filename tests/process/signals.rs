//! Signals that ask a run to end: a lost terminal, Ctrl-C, a service manager. What had begun is taken back or finished.

use std::fs;
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use super::{FIRST, Host, INSTALL, SECOND};

const SIGNALS: [Signal; 4] = [Signal::HUP, Signal::INT, Signal::QUIT, Signal::TERM];
/// So many that files change for some time.
const FILES: usize = 25;
/// Files that say how far a run has come.
const MOMENTS: [&str; 4] = ["lock", "journal/preparing.json", "journal/changing.json", "journal/finishing.json"];

fn send(child: &Child, signal: Signal) {
    // It may have ended.
    let _ = kill_process(Pid::from_child(child), signal);
}

/// Waits until a run has come so far, or has ended.
fn await_moment(host: &Host, child: &mut Child, moment: &str) {
    let path = host.at("/var/lib/carrack").join(moment);
    while !path.exists() && child.try_wait().unwrap().is_none() {
        std::thread::yield_now();
    }
}

/// The host is what it was, or what was wanted, and nothing is left of the run.
#[track_caller]
fn assert_whole(
    host: &Host,
    code: i32,
    before: &impl PartialEq<std::collections::BTreeMap<std::path::PathBuf, (u32, Vec<u8>)>>,
    wanted: Option<&str>,
    what: &str,
) {
    assert!(!host.at("/var/lib/carrack/journal").exists(), "{what}: unfinished");
    assert!(!host.at("/var/lib/carrack/lock").exists(), "{what}: locked");
    match code {
        130 => assert!(*before == host.tree(), "{what}: it was interrupted, and the host is not what it was"),
        // What it printed is lost where a terminal is: 25.
        0 | 25 => {
            for index in 0..FILES {
                let found = fs::read_to_string(host.at(&format!("/opt/shop/{index}"))).ok();
                assert_eq!(found, wanted.map(|version| format!("{version} {index}")), "{what}");
            }
        }
        other => panic!("{what}: exit code {other}"),
    }
}

#[test]
fn a_signal_at_any_moment_leaves_a_whole_host() {
    let host = Host::new(FILES);
    for (command, prepared, wanted) in [
        (FIRST, &[][..], Some("1.0.0")),
        (SECOND, &[FIRST], Some("1.1.0")),
        (&["rollback", "--yes"], &[FIRST, SECOND], Some("1.0.0")),
        (&["uninstall", "--yes"], &[FIRST], None),
    ] {
        for moment in MOMENTS {
            // An upgrade takes every signal; the others are told of it in the same place.
            let signals = if command == SECOND { &SIGNALS[..] } else { &SIGNALS[..1] };
            for signal in signals.iter().copied() {
                host.try_run(&["uninstall", "--yes"]);
                for command in prepared {
                    host.run(command, 0);
                }
                let before = host.tree();
                // The reader of standard error goes with the terminal.
                let mut child = host.command(command).stderr(Stdio::piped()).spawn().unwrap();
                drop(child.stderr.take());
                await_moment(&host, &mut child, moment);
                send(&child, signal);
                send(&child, signal);
                let status = child.wait().unwrap();
                let what = format!("{command:?} {moment} {signal:?}");
                assert_eq!(status.signal(), None, "{what}: it was killed");
                assert_whole(&host, status.code().unwrap(), &before, wanted, &what);
            }
        }
    }
}

#[test]
fn nohup_outlasts_the_terminal() {
    let host = Host::new(FILES);
    for moment in MOMENTS {
        host.try_run(&["uninstall", "--yes"]);
        let mut command = Command::new("nohup");
        command.arg(INSTALL).args(FIRST).args(["--root", "host"]).current_dir(host.sandbox.work());
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        await_moment(&host, &mut child, moment);
        // Until then it may be nohup itself, which does not ignore it yet.
        if host.at("/var/lib/carrack").exists() {
            send(&child, Signal::HUP);
        }
        assert_eq!(child.wait().unwrap().code(), Some(0), "{moment}");
        assert_eq!(fs::read_to_string(host.at("/opt/shop/0")).unwrap(), "1.0.0 0");
    }
}

/// A terminal that goes away: the kernel sends the signal, and nothing can be written there any more.
#[test]
fn a_terminal_that_is_lost_ends_a_run_as_a_signal_does() {
    let host = Host::new(FILES);
    for moment in MOMENTS {
        host.try_run(&["uninstall", "--yes"]);
        let before = host.tree();
        let (pty, pts) = pty_process::blocking::open().unwrap();
        let command = pty_process::blocking::Command::new(INSTALL);
        let command = command.args(FIRST).args(["--root", "host"]).current_dir(host.sandbox.work());
        let mut child = command.spawn(pts).unwrap();
        await_moment(&host, &mut child, moment);
        drop(pty);
        let status = child.wait().unwrap();
        assert_eq!(status.signal(), None, "{moment}: it was killed");
        assert_whole(&host, status.code().unwrap(), &before, Some("1.0.0"), moment);
    }
}

/// While somebody is asked, nothing has changed, and a signal ends the run at once; so does a terminal that is lost.
#[test]
fn a_signal_at_the_question_leaves_nothing() {
    let host = Host::new(2);
    for signal in [Some(Signal::HUP), Some(Signal::INT), Some(Signal::QUIT), Some(Signal::TERM), None] {
        let before = host.tree();
        let (mut pty, pts) = pty_process::blocking::open().unwrap();
        // Whoever runs the tests may ignore a signal, as nohup does, which the installer would too.
        let command = pty_process::blocking::Command::new("env").args(["--default-signal", INSTALL]);
        let command = command.args(["apply", "1.0.0.tar.zst", "--root", "host"]).current_dir(host.sandbox.work());
        let mut child = command.spawn(pts).unwrap();
        let mut seen = Vec::new();
        while !seen.windows(5).any(|part| part == b"[y/N]") {
            let mut chunk = [0; 4096];
            let length = pty.read(&mut chunk).unwrap();
            seen.extend_from_slice(&chunk[..length]);
        }
        match signal {
            Some(signal) => send(&child, signal),
            None => drop(pty),
        }
        assert_eq!(child.wait().unwrap().code(), Some(130), "{signal:?}");
        assert_eq!(host.tree(), before, "{signal:?}");
    }
}
