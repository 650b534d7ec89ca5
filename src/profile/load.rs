//! From a path to a checked profile.

use std::path::{Path, PathBuf};

use super::decode::decode;
use super::{FILE_NAME, Problems, Profile};
use crate::problem::{Position, Report, Source, read_document};
use crate::yaml;

/// Reads and checks the profile at `path`: the file, or a folder with a `carrack.yaml` in it.
///
/// # Errors
/// [`Problems::Unreadable`] where the profile itself cannot be read, else everything that is wrong with it and with the
/// files it names.
pub fn load(path: &Path) -> Result<Profile, Problems> {
    let file = if path.is_dir() { shown(path, FILE_NAME) } else { path.to_owned() };
    let source = match read_document(&file)? {
        Ok(source) => source,
        Err(problem) => return Err(Problems::Found(vec![problem])),
    };
    parse(&file, source)
}

fn parse(file: &Path, source: Source) -> Result<Profile, Problems> {
    let parsed = yaml::parse(source.text());
    let mut report = Report::new(source);
    for mistake in parsed.mistakes {
        report.add(mistake.at, mistake.message);
    }
    let profile = match &parsed.documents[..] {
        // A text whose syntax is broken has no documents, and that is already reported.
        [] => {
            if report.is_empty() {
                report.add(Position::START, "the profile is empty");
            }
            None
        }
        [document] => decode(file, document, &mut report),
        [_, second, ..] => {
            report.add(second.at, "a profile is one document; this begins another");
            None
        }
    };
    match profile {
        Some(profile) if report.is_empty() => Ok(profile),
        _ => Err(Problems::Found(report.into_problems())),
    }
}

/// `relative` inside `folder`, without the `./` that would only be noise in messages.
pub(super) fn shown(folder: &Path, relative: &str) -> PathBuf {
    let trimmed = relative.trim_start_matches("./");
    if folder == Path::new(".") && !trimmed.is_empty() { PathBuf::from(trimmed) } else { folder.join(trimmed) }
}
