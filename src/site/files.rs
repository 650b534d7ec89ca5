//! The files that a site names. Their paths are in no message: where a path should be, somebody may have put the secret.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::fields::Fields;
use super::node::Secret;
use super::sources::Sources;
use crate::io::with_causes;
use crate::problem::Report;

/// Longest value from a file in bytes; no variable takes a longer one.
pub(super) const MAX_VALUE: u64 = 256 << 10;
/// The permission of others to read.
const OTHERS_READ: u32 = 0o004;

/// A secret that everybody on the host can read.
#[derive(Debug, Clone)]
pub(super) struct Exposed {
    /// What it is.
    pub(super) what: Held,
    /// The file that it is in.
    pub(super) file: PathBuf,
}

/// What is in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Held {
    /// The value of a variable, which the bundle may declare as sensitive.
    Value(String),
    /// What is always secret, such as `the token`.
    Secret(&'static str),
}

/// What the fields of a site are read with, and what is found besides.
pub(super) struct Reading<'r> {
    /// What is wrong.
    pub(super) report: &'r mut Report,
    /// The site.
    pub(super) file: &'r Path,
    /// Secrets that everybody can read.
    pub(super) exposed: Vec<Exposed>,
    /// What was read.
    pub(super) sources: Sources,
}

impl Reading<'_> {
    /// The secret in the file that the field `name` names, called `what` in a warning. The error of `parse` says what the
    /// file must have.
    pub(super) fn secret(
        &mut self,
        fields: Fields<'_>,
        name: &str,
        what: &'static str,
        parse: fn(&str) -> Result<String, &'static str>,
    ) -> Option<Secret> {
        let text = fields.text(name, self.report)?;
        let path = self.path(text);
        let read = self.text_of(&path, MAX_VALUE);
        match read.and_then(|text| parse(&text).map_err(|expected| format!("must have {expected}"))) {
            Ok(secret) => {
                self.expose(Held::Secret(what), &path);
                Some(Secret(secret))
            }
            Err(message) => {
                self.report.add(fields.value_at(name), format!("the file that `{name}` names {message}"));
                None
            }
        }
    }

    /// Notes that `what` is in `file`, if everybody can read that.
    pub(super) fn expose(&mut self, what: Held, file: &Path) {
        if file.metadata().is_ok_and(|metadata| metadata.permissions().mode() & OTHERS_READ != 0) {
            self.exposed.push(Exposed { what, file: file.to_owned() });
        }
    }

    /// The text of a file of at most `most` bytes, without its last line end. The error continues a message that has named the
    /// file.
    pub(super) fn text_of(&mut self, path: &Path, most: u64) -> Result<String, String> {
        let bytes = bytes_of(path, most)?;
        self.sources.add(path, &bytes);
        let text = String::from_utf8(bytes).map_err(|_| "is not text in UTF-8".to_owned())?;
        let line = text.strip_suffix('\n').unwrap_or(&text);
        Ok(line.strip_suffix('\r').unwrap_or(line).to_owned())
    }

    /// A path of the site, which is relative to its file.
    pub(super) fn path(&self, text: &str) -> PathBuf {
        self.file.parent().unwrap_or(Path::new("")).join(text)
    }
}

/// The bytes of a file of at most `most` bytes. The error continues a message that has named the file.
fn bytes_of(path: &Path, most: u64) -> Result<Vec<u8>, String> {
    let unreadable = |error: &std::io::Error| format!("cannot be read: {}", with_causes(error));
    let metadata = path.metadata().map_err(|error| unreadable(&error))?;
    if !metadata.is_file() {
        return Err("is not a file".to_owned());
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| unreadable(&error))?;
    file.take(most + 1).read_to_end(&mut bytes).map_err(|error| unreadable(&error))?;
    if bytes.len() as u64 > most {
        return Err(format!("is larger than {} KiB", most >> 10));
    }
    Ok(bytes)
}
