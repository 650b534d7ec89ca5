//! Questions, and every answer that a keyboard has.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::scene::{Scene, WIDTHS};

const APPLY: [&str; 4] = ["apply", "edge-1.0.0.tar.zst", "--root", "host"];

#[test]
fn a_yes_applies() {
    for (keys, columns) in [("y\r", 80), ("Y\r", 100), ("yes\r", 120), (" YES \r", 40)] {
        let scene = Scene::new();
        let left = scene.answered(&APPLY, keys, columns);
        assert_eq!(left.code, 0, "{}", left.text());
        assert!(scene.host("usr/local/bin/shop-status").exists(), "{}", left.text());
        insta::assert_snapshot!(format!("apply-{columns}"), left.screen());
    }
}

/// Everything else does not, and says so on a line of its own.
#[test]
fn anything_else_changes_nothing() {
    let keys = [
        ("n\r", "no"),
        ("\r", "enter"),
        ("yep\r", "something"),
        ("y\x7f\r", "taken-back"),
        ("\x03", "ctrl-c"),
        ("y\x03", "y-ctrl-c"),
        ("\x04", "ctrl-d"),
    ];
    let scene = Scene::new();
    for (keys, name) in keys {
        let left = scene.answered(&APPLY, keys, 80);
        assert_eq!(left.code, 130, "{name}: {}", left.text());
        assert!(scene.is_untouched(), "{name}");
        insta::assert_snapshot!(format!("apply-{name}"), left.screen());
    }
}

const VARIABLES: &str = "  variables:\n    - {name: storeId, description: The number of the store, format: number, required: true}\n    - {name: token, description: \
                         What the store logs in with, sensitive: true, required: true}\n";

/// How the questions for them end.
const STORE: &str = "a number such as 42, -7 or 1.5: ";
const TOKEN: &str = "(token), any text: ";

#[test]
fn what_is_sensitive_is_not_shown() {
    for columns in WIDTHS {
        let scene = Scene::with(VARIABLES);
        let mut terminal = scene.install(&APPLY, columns);
        // What is typed before a question has ended is shown before it.
        terminal.wait_for(STORE);
        terminal.types("seven\r");
        terminal.wait_for_times(STORE, 2);
        terminal.types("42\r");
        terminal.wait_for(TOKEN);
        terminal.types("canary\x7fy\r");
        terminal.wait_for("[y/N] ");
        terminal.types("y\r");
        let left = terminal.end();
        assert_eq!(left.code, 0, "{}", left.text());
        assert!(!left.text().contains("canar"), "{}", left.text());
        insta::assert_snapshot!(format!("apply-variables-{columns}"), left.screen());
    }
}

#[test]
fn a_value_that_is_not_typed_changes_nothing() {
    for (keys, code, name) in [("\x03", 130, "ctrl-c"), ("\x04", 10, "ctrl-d")] {
        let scene = Scene::with(VARIABLES);
        for (first, variable, question) in [("", "storeId", STORE), ("42\r", "token", TOKEN)] {
            let mut terminal = scene.install(&APPLY, 80);
            if !first.is_empty() {
                terminal.wait_for(STORE);
                terminal.types(first);
            }
            terminal.wait_for(question);
            terminal.types(keys);
            if name == "ctrl-d" && variable == "storeId" {
                terminal.wait_for(TOKEN);
                terminal.types(keys);
            }
            let left = terminal.end();
            assert_eq!(left.code, code, "{}", left.text());
            assert!(scene.is_untouched());
            insta::assert_snapshot!(format!("variable-{variable}-{name}"), left.screen());
        }
    }
}

#[test]
fn the_ways_back_say_what_they_do() {
    for columns in WIDTHS {
        let scene = Scene::new();
        scene.prepared(&["apply", "edge-1.0.0.tar.zst", "--root", "host", "--yes"]);
        scene.prepared(&["apply", "edge-1.1.0.tar.zst", "--root", "host", "--yes"]);
        let go = |command: &str, keys: &str, code: i32| {
            let left = scene.answered(&[command, "--root", "host"], keys, columns);
            assert_eq!(left.code, code, "{}", left.text());
            left.screen()
        };
        assert!(go("rollback", "n\r", 130).contains("roll edge 1.1.0 back to 1.0.0 below"));
        insta::assert_snapshot!(format!("rollback-{columns}"), go("rollback", "y\r", 0));
        fs::write(scene.host("usr/local/bin/shop-status"), "changed").unwrap();
        fs::remove_file(scene.host("etc/shop/config")).unwrap();
        insta::assert_snapshot!(format!("status-changed-{columns}"), {
            let left = scene.install(&["status", "--root", "host"], columns).end();
            assert_eq!(left.code, 40, "{}", left.text());
            left.screen()
        });
        scene.prepared(&["apply", "edge-1.0.0.tar.zst", "--root", "host", "--yes"]);
        let open = Permissions::from_mode(0o777);
        fs::set_permissions(scene.host("usr/local/bin/shop-status"), open).unwrap();
        insta::assert_snapshot!(format!("repair-{columns}"), go("repair", "y\r", 0));
        assert!(go("uninstall", "\x03", 130).contains("uninstall edge 1.0.0 below"));
        insta::assert_snapshot!(format!("uninstall-{columns}"), go("uninstall", "y\r", 0));
        assert!(scene.is_untouched());
    }
}

/// Nothing waits for an answer to a question that nobody sees.
#[test]
fn a_question_that_is_not_seen_is_not_asked() {
    let scene = Scene::new();
    let script = "exec \"$0\" apply edge-1.0.0.tar.zst --root host 2>log";
    let shell = Path::new("/bin/sh");
    let program = crate::scene::installer().display().to_string();
    let left = scene.start(shell, &["-c", script, &program], 80).end();
    assert_eq!(left.code, 2, "{}", left.text());
    let log = fs::read_to_string(scene.sandbox.work().join("log")).unwrap();
    assert!(log.contains("error: nobody would see the question") && log.contains("--yes"), "{log}");
    assert!(scene.is_untouched());
}
