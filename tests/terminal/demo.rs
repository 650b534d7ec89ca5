//! The first command of README.md, at a terminal.

use std::path::Path;

use crate::terminal::Terminal;

/// The demo runs through, asks nothing, and leaves nothing.
#[test]
fn the_demo_asks_nothing() {
    for columns in [80, 100, 120] {
        let home = tempfile::tempdir().unwrap();
        let environment = [("HOME", home.path().as_os_str())];
        let carrack = Path::new(env!("CARGO_BIN_EXE_carrack"));
        let left = Terminal::start(carrack, &["demo"], home.path(), &environment, columns).end();
        assert_eq!(left.code, 0, "{}", left.text());
        assert!(!left.text().contains("[y/N]"), "{}", left.text());
        insta::assert_snapshot!(format!("demo-{columns}"), left.screen());
        assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0, "the demo leaves nothing behind");
    }
}
