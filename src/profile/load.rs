//! From a path to a checked profile.

use std::path::{Path, PathBuf};

use super::constraints;
use super::decode::decode;
use super::packs::{self, Known};
use super::{FILE_NAME, Pack, Packs, Problems, Profile};
use crate::oci::{Platform, Reference};
use crate::problem::{Position, Report, Source, read_document};
use crate::variables::template::{Protected, protect};
use crate::yaml::{self, Node};

/// What came of reading a profile.
#[derive(Debug)]
pub enum Loaded {
    /// The profile.
    Profile(Box<Profile>),
    /// Nothing yet: these packs have to be brought from their registries first.
    Needs(Vec<Reference>),
}

/// Reads and checks the profile at `path`: the file, or a folder with a `carrack.yaml` in it. `packs` are the packs that
/// have been brought from registries so far.
///
/// # Errors
/// [`Problems::Unreadable`] where the profile itself cannot be read, else everything that is wrong with it and with the
/// files it names.
pub fn load(path: &Path, packs: &Packs) -> Result<Loaded, Problems> {
    let file = file_of(path);
    let source = match read_document(&file)? {
        Ok(source) => source,
        Err(problem) => return Err(Problems::Found(vec![problem])),
    };
    let mut known = Known::new(packs);
    let mut report = Report::new(source.clone());
    let document = only_document(&source, "a profile", &mut report);
    let profile = document.and_then(|document| decode(&file, &document, &mut known, &mut report));
    let mut problems = report.into_problems();
    problems.append(&mut known.problems);
    // What is not there yet may be what another one depends on.
    if known.needs.is_empty() {
        problems.extend(profile.iter().flat_map(constraints::check));
    }
    match profile {
        Some(_) if problems.is_empty() && !known.needs.is_empty() => Ok(Loaded::Needs(known.needs)),
        Some(profile) if problems.is_empty() => Ok(Loaded::Profile(Box::new(profile))),
        _ => Err(Problems::Found(problems)),
    }
}

/// The file of the profile at `path`: itself, or the `carrack.yaml` in it where it is a folder.
pub fn file_of(path: &Path) -> PathBuf {
    if path.is_dir() { shown(path, FILE_NAME) } else { path.to_owned() }
}

/// Reads and checks the pack in `folder` by itself, before it is shared. Its files may be for any of `platforms`.
///
/// # Errors
/// As [`load`].
pub fn load_pack(folder: &Path, platforms: Vec<Platform>) -> Result<Pack, Problems> {
    packs::load_pack(folder, platforms)
}

/// A document whose placeholders are words.
pub(super) struct Document {
    pub(super) protected: Protected,
    pub(super) node: Node,
}

/// Fields whose placeholders are filled on the host.
const TEMPLATES: [&str; 2] = ["values", "config"];

/// The document of a text that must be one, called `what` in messages.
pub(super) fn only_document(source: &Source, what: &str, report: &mut Report) -> Option<Document> {
    let protected = match protect(source.text()) {
        Ok(protected) => protected,
        Err(mistakes) => {
            mistakes.into_iter().for_each(|mistake| report.add(mistake.at, mistake.message));
            return None;
        }
    };
    let mut parsed = yaml::parse(protected.text());
    for mistake in parsed.mistakes {
        report.add(mistake.at, protected.restore(&mistake.message));
    }
    match &parsed.documents[..] {
        // A text whose syntax is broken has no documents, and that is already reported.
        [] => {
            if report.is_empty() {
                report.add(Position::START, format!("{what} is empty"));
            }
            None
        }
        [_] => {
            let node = parsed.documents.remove(0);
            // What is made of the text of a placeholder would only be noise.
            (!misplaced(&node, &protected, report)).then_some(Document { protected, node })
        }
        [_, second, ..] => {
            report.add(second.at, format!("{what} is one document; this begins another"));
            None
        }
    }
}

/// Reports placeholders where nothing fills them, and whether there are any.
fn misplaced(node: &Node, protected: &Protected, report: &mut Report) -> bool {
    let message = "a variable is not filled in here; it can stand in `values`, `config`, manifests and template files";
    let mut found = false;
    if node.scalar().is_some_and(|scalar| protected.is_in(&scalar.text)) {
        report.add(node.at, message);
        found = true;
    }
    for item in node.items() {
        found |= misplaced(item, protected, report);
    }
    for entry in node.entries() {
        if protected.is_in(&entry.key) {
            report.add(entry.key_at, message);
            found = true;
        }
        found |= !TEMPLATES.contains(&&*entry.key) && misplaced(&entry.value, protected, report);
    }
    found
}

/// `relative` inside `folder`, without the `./` that would only be noise in messages.
pub(super) fn shown(folder: &Path, relative: &str) -> PathBuf {
    let trimmed = relative.trim_start_matches("./");
    if folder == Path::new(".") && !trimmed.is_empty() { PathBuf::from(trimmed) } else { folder.join(trimmed) }
}
