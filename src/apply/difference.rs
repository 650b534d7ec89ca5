//! What changes in a file that is replaced, for people to read: a unified diff, unless a secret may stand in it.

use std::io::{ErrorKind, Read};
use std::time::Duration;

use similar::TextDiff;

use super::ApplyError;
use super::files::{Found, TargetFile};
use super::history::History;
use super::plan::{FileAction, PlannedFile};
use super::source::Source;
use crate::io::{AtPath, PathError, Place};
use crate::oci::Digest;

/// The longest text that is compared, in bytes.
const MAX: u64 = 64 << 10;
/// Lines around a change.
const CONTEXT: usize = 3;
/// After this, the diff of texts that have nothing in common is no longer the shortest one.
const PATIENCE: Duration = Duration::from_millis(500);
/// The permission of everybody to read.
const OTHERS_READ: u32 = 0o004;

/// What changes in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Difference {
    /// A unified diff without file names.
    Text(String),
    /// Nothing of its content.
    Attributes,
    /// What is there is a symbolic link.
    Link,
    /// A secret may stand in it.
    Secret,
    /// It is no text, or a long one.
    Other,
}

impl Difference {
    /// Why there is no diff to show.
    pub fn reason(&self) -> Option<&'static str> {
        match self {
            Self::Text(_) => None,
            Self::Attributes => Some("only its mode or owner changes"),
            Self::Link => Some("a symbolic link is there now"),
            Self::Secret => Some("what changes is not shown, since a secret may stand in it"),
            Self::Other => Some("what changes is not shown: it is not text, or has more than 64 KiB"),
        }
    }
}

/// Tells of every file that is replaced what changes in it.
///
/// # Errors
/// Where one cannot be read, here or in the bundle.
pub(super) fn tell(
    mut files: Vec<PlannedFile>,
    source: &Source,
    history: &History,
) -> Result<Vec<PlannedFile>, ApplyError> {
    for planned in files.iter_mut().filter(|planned| planned.action == FileAction::Replace) {
        planned.difference = of(&planned.file, &planned.found, source, history)?;
    }
    Ok(files)
}

fn of(file: &TargetFile, found: &Found, source: &Source, history: &History) -> Result<Option<Difference>, ApplyError> {
    let (digest, mode) = match found {
        Found::Absent => return Ok(None),
        Found::Link => return Ok(Some(Difference::Link)),
        Found::Regular { digest, mode, .. } => (digest, mode),
    };
    if *digest == Some(file.digest) {
        return Ok(Some(Difference::Attributes));
    }
    if file.has_secrets() || history.has_secret(&file.path) {
        return Ok(Some(Difference::Secret));
    }
    if file.size > MAX {
        return Ok(Some(Difference::Other));
    }
    let Some(old) = read(&file.target)? else { return Ok(Some(Difference::Other)) };
    // What not everybody may read, and did not come from a bundle, is shown to nobody.
    if mode & OTHERS_READ == 0 && !history.was_installed(&file.path, &Digest::of(&old)) {
        return Ok(Some(Difference::Secret));
    }
    let new = match &file.content {
        Some(written) => written.bytes.clone(),
        None => source.read(&file.digest).map_err(|source| ApplyError::Blob {
            digest: file.digest,
            needed_by: vec![file.path.clone()],
            source,
        })?,
    };
    Ok(Some(between(&old, &new)))
}

/// The file, where it is short.
fn read(place: &Place) -> Result<Option<Vec<u8>>, PathError> {
    let mut content = Vec::new();
    match place.open() {
        Err(error) if error.source.kind() == ErrorKind::NotFound => return Ok(None),
        other => other?.take(MAX + 1).read_to_end(&mut content).at("read", place.shown())?,
    };
    Ok((content.len() as u64 <= MAX).then_some(content))
}

fn between(old: &[u8], new: &[u8]) -> Difference {
    let text = |bytes| std::str::from_utf8(bytes).ok().filter(|text| !text.contains('\0'));
    let (Some(old), Some(new)) = (text(old), text(new)) else { return Difference::Other };
    // The library would take a carriage return alone for a line's end too, and then count other lines than `patch` does.
    let (old, new): (Vec<&str>, Vec<&str>) = (old.split_inclusive('\n').collect(), new.split_inclusive('\n').collect());
    let diff = TextDiff::configure().timeout(PATIENCE).newline_terminated(true).diff_slices(&old, &new);
    let text = diff.unified_diff().context_radius(CONTEXT).to_string();
    Difference::Text(text.strip_suffix('\n').unwrap_or(&text).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diff_has_a_few_lines_around_each_change() {
        let old: String = (1..=20).map(|line| format!("{line}\n")).collect();
        let new = old.replace("10\n", "ten\n") + "21";
        let Difference::Text(text) = between(old.as_bytes(), new.as_bytes()) else { panic!("no text") };
        let want = "@@ -7,7 +7,7 @@\n 7\n 8\n 9\n-10\n+ten\n 11\n 12\n 13\n@@ -18,3 +18,4 @@\n 18\n 19\n 20\n+21\n\
                    \\ No newline at end of file";
        assert_eq!(text, want);
    }

    #[test]
    fn what_is_no_text_is_not_compared() {
        for other in [&b"\xff\n"[..], b"a\0b\n"] {
            assert_eq!(between(b"a\n", other), Difference::Other);
            assert_eq!(between(other, b"a\n"), Difference::Other);
        }
    }

    #[test]
    fn texts_without_a_common_line_end_in_time() {
        let many = |of: char| (0..16_000).map(|number| format!("{of}{number:04x}\n")).collect::<String>();
        let Difference::Text(text) = between(many('a').as_bytes(), many('b').as_bytes()) else { panic!("no text") };
        assert_eq!(text.lines().filter(|line| line.starts_with('+')).count(), 16_000);
    }
}
