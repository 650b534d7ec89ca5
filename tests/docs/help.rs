//! The help of every command is pinned: a change of it is seen, and meant.

use std::process::Command;

fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).env_clear().output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The names of a program's commands, without `help`.
pub fn subcommands(program: &str) -> Vec<String> {
    let help = output(program, &["-h"]);
    let list = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let names = list.filter_map(|line| line.strip_prefix("  ")?.split(' ').next()).filter(|name| !name.is_empty());
    let names: Vec<String> = names.filter(|name| *name != "help").map(str::to_owned).collect();
    assert!(names.len() > 4, "{help}");
    names
}

/// The version, the help, and the help of each command.
fn all_help(program: &str) -> String {
    let version = output(program, &["--version"]).replace(env!("CARGO_PKG_VERSION"), "VERSION");
    let mut text = format!("$ --version\n{version}\n$ --help\n{}", output(program, &["--help"]));
    for command in subcommands(program) {
        text += &format!("\n$ {command} --help\n{}", output(program, &[&command, "--help"]));
    }
    // Trailing spaces come from the library that prints the help, and no file here has any.
    text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

#[test]
fn help_of_carrack() {
    insta::assert_snapshot!("carrack", all_help(env!("CARGO_BIN_EXE_carrack")));
}

#[test]
fn help_of_carrack_install() {
    insta::assert_snapshot!("carrack-install", all_help(env!("CARGO_BIN_EXE_carrack-install")));
}
