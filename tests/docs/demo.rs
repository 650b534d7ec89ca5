//! The first command of README.md, as somebody runs it who has nothing.

use std::process::Command;

#[test]
fn the_demo_makes_the_whole_trip() {
    let home = tempfile::tempdir().unwrap();
    let mut demo = Command::new(env!("CARGO_BIN_EXE_carrack"));
    demo.arg("demo").env_clear().env("HOME", home.path()).env("PATH", "").current_dir(home.path());
    let output = demo.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    let steps: Vec<String> = said
        .lines()
        .filter_map(|line| line.strip_prefix("$ "))
        .map(|line| line.split(' ').take(2).collect::<Vec<_>>().join(" "))
        .collect();
    let wanted = ["check", "images", "lock", "build", "inspect", "verify"].map(|command| format!("carrack {command}"));
    let wanted: Vec<_> =
        wanted.into_iter().chain(["carrack-install apply", "carrack-install status"].map(str::to_owned)).collect();
    assert_eq!(steps, wanted);
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0, "the demo leaves nothing behind");
}
