//! Hints of a command that was called with `--root`.

use std::path::Path;

use crate::cli::shell::quoted;

const PROGRAM: &str = "carrack-install ";
/// The commands that have `--root`.
const COMMANDS: [&str; 8] = ["preflight", "plan", "apply", "status", "repair", "rollback", "uninstall", "resume"];

/// `hint` with `--root` in each command that lacks it. Without it, whoever copies the command changes the running host.
pub(super) fn rooted(hint: &str, root: &Path) -> String {
    if hint.contains("--root") {
        return hint.to_owned();
    }
    // The folder may be named relative to the folder that somebody is in now.
    let root = std::fs::canonicalize(root).unwrap_or_else(|_| root.to_owned());
    let mut parts = hint.split(PROGRAM);
    let mut rooted = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (word, rest) = part.split_at(part.find(|c: char| !c.is_ascii_lowercase()).unwrap_or(part.len()));
        rooted.extend([PROGRAM, word]);
        if COMMANDS.contains(&word) {
            rooted.push_str(&format!(" --root {}", quoted(&root.display().to_string())));
        }
        rooted.push_str(rest);
    }
    rooted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_of_a_hint_gets_the_root() {
        let cases = [
            ("install it: carrack-install apply BUNDLE", "install it: carrack-install apply --root /nosuch BUNDLE"),
            (
                "carrack-install uninstall, then carrack-install apply BUNDLE --site FILE",
                "carrack-install uninstall --root /nosuch, then carrack-install apply --root /nosuch BUNDLE --site FILE",
            ),
            ("go on: carrack-install resume", "go on: carrack-install resume --root /nosuch"),
        ];
        for (hint, expected) in cases {
            assert_eq!(rooted(hint, Path::new("/nosuch")), expected);
        }
        assert_eq!(rooted("carrack-install resume", Path::new("/no such")), "carrack-install resume --root '/no such'");
    }

    #[test]
    fn other_hints_stay() {
        for hint in [
            "see what is damaged: carrack-install verify BUNDLE",
            "use the carrack-install that came with the bundle",
            "repair it: carrack-install repair --root /other; or: carrack-install apply BUNDLE --root /other",
        ] {
            assert_eq!(rooted(hint, Path::new("/nosuch")), hint);
        }
    }
}
