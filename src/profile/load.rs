//! From a path to a checked profile.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::decode::decode;
use super::{FILE_NAME, Problem, Problems, Profile};
use crate::io::{AtPath, PathError};
use crate::problem::{Position, Report, Source};
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

/// Reads a document of at most [`yaml::MAX_BYTES`]. The inner error says what is wrong with its content.
pub(crate) fn read_document(file: &Path) -> Result<Result<Source, Problem>, PathError> {
    let mut bytes = Vec::new();
    let opened = File::open(file).at("read", file)?;
    opened.take(yaml::MAX_BYTES + 1).read_to_end(&mut bytes).at("read", file)?;
    if bytes.len() as u64 > yaml::MAX_BYTES {
        let message = format!("larger than {} MiB, which no document of this kind is", yaml::MAX_BYTES >> 20);
        return Ok(Err(Problem::with_file(file, message)));
    }
    Ok(match String::from_utf8(bytes) {
        Ok(text) => Ok(Source::new(file, text)),
        Err(error) => {
            let valid = String::from_utf8_lossy(&error.as_bytes()[..error.utf8_error().valid_up_to()]);
            let column = valid.rsplit('\n').next().map_or(0, |line| line.chars().count()) + 1;
            let at = Position { line: valid.matches('\n').count() + 1, column };
            let problem = Source::new(file, valid.into_owned()).problem(at, "not text in UTF-8");
            Err(problem)
        }
    })
}

/// A path to open: `file` itself, spelled so that it can be shown.
pub(super) fn shown(folder: &Path, relative: &str) -> PathBuf {
    let trimmed = relative.trim_start_matches("./");
    if folder == Path::new(".") && !trimmed.is_empty() { PathBuf::from(trimmed) } else { folder.join(trimmed) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::images::discover;
    use proptest::prelude::*;

    /// Lines that make most texts near to a profile, so that more than the parser is reached.
    const WORDS: &[&str] = &[
        "apiVersion: carrack/v1\n",
        "kind: ClusterProfile\n",
        "metadata: {name: p, version: 1.0.0}\n",
        "spec:\n",
        "  platforms: [linux/amd64, linux/arm64]\n",
        "  packs:\n",
        "    - name: a\n",
        "    - {name: b, layer: addon}\n",
        "      layer: k8s\n",
        "      distribution: rke2\n",
        "      images: [nginx:1, 12, null, {}]\n",
        "      manifests: ['*.yaml', '**', '[', '../*', '/']\n",
        "      imageLists: [carrack.yaml, .]\n",
        "      files: [{source: carrack.yaml, path: /x, mode: '0755'}, {source: [], path: {}}, x]\n",
        "  ignoreImages: [{image: x, reason: y}, {}]\n",
        "      files:\n",
        "      - &a {source: *a}\n",
        "<<: {}\n",
        "---\n",
    ];

    fn near_profile() -> impl Strategy<Value = String> {
        let line = prop_oneof![8 => proptest::sample::select(WORDS).prop_map(str::to_owned), 1 => "\\PC{0,20}\n"];
        proptest::collection::vec(line, 0..16).prop_map(|lines| lines.concat())
    }

    proptest! {
        #[test]
        fn any_text_is_a_profile_or_problems(text in prop_oneof!["\\PC{0,80}", near_profile()]) {
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join(FILE_NAME), &text).unwrap();
            match load(folder.path()) {
                // What is found in a profile that reads itself as manifest or list is not of interest here.
                Ok(profile) => drop(discover(&profile)),
                Err(problems) => prop_assert!(!problems.found().is_empty()),
            }
        }
    }
}
