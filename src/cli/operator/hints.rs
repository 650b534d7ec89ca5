//! Hints of a command that was given a profile.

use std::path::Path;

use crate::cli::shell::quoted;

/// The commands whose first argument is a profile, as hints write them.
const COMMANDS: [&str; 2] = ["carrack lock PROFILE", "carrack images PROFILE"];

/// `hint` with the profile's path in its commands, so that they can be copied.
pub(super) fn named(hint: &str, profile: &Path) -> String {
    let path = quoted(&profile.display().to_string());
    COMMANDS.iter().fold(hint.to_owned(), |hint, command| hint.replace(command, &command.replace("PROFILE", &path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_get_the_profile() {
        let hint = "resolve it anew: carrack lock PROFILE --update 'a b'";
        assert_eq!(named(hint, Path::new("shop")), "resolve it anew: carrack lock shop --update 'a b'");
        let hint = "see which pack needs it: carrack images PROFILE --why";
        assert_eq!(named(hint, Path::new("a b's")), r"see which pack needs it: carrack images 'a b'\''s' --why");
        let hint = "name the file that was built: carrack build PROFILE -o BUNDLE";
        assert_eq!(named(hint, Path::new("shop")), hint);
    }
}
