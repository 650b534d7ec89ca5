//! The values that the variables of a profile have on this host, from the newest receipt of that profile.

use std::fmt;
use std::fs;

use serde::{Deserialize, Serialize};

use super::ApplyError;
use super::files::FileError;
use super::receipt::{self, Receipt};
use crate::host::Root;
use crate::oci::Digest;
use crate::variables::Values;
use crate::variables::template::Spelling;

/// Where a sensitive value stands, so that it is on the host just where it is needed and nowhere else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KeptValue {
    /// The file, within the root; one of the receipt's.
    pub path: String,
    /// Bytes before it.
    pub offset: usize,
    /// Bytes of it.
    pub length: usize,
    /// How it is spelled there.
    pub spelling: Spelling,
}

/// What an earlier apply has left.
#[derive(Debug, Default)]
pub struct Installed {
    /// The values that could be read.
    pub values: Values,
    /// The values that could not.
    pub lost: Vec<Lost>,
}

/// A sensitive value that is no longer where it stood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    /// The variable.
    pub variable: String,
    /// The file that it stood in, within the root.
    pub path: String,
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { variable, path } = self;
        write!(f, "the value that variable {variable} had is gone: {path} is not what was installed")
    }
}

/// The values of the profile `name` below `root`; none where it was never installed.
///
/// # Errors
/// Where receipts cannot be read.
pub fn installed(root: &Root, name: &str) -> Result<Installed, ApplyError> {
    let receipts = receipt::all(root)?;
    let Some(receipt) = receipts.iter().find(|receipt| receipt.name == name) else { return Ok(Installed::default()) };
    let mut installed = Installed::default();
    for variable in &receipt.variables {
        match (&variable.value, &variable.kept) {
            (Some(value), _) => drop(installed.values.insert(variable.name.clone(), value.clone())),
            (None, Some(kept)) => match read(kept, receipt, root)? {
                Some(value) => drop(installed.values.insert(variable.name.clone(), value)),
                None => installed.lost.push(Lost { variable: variable.name.clone(), path: kept.path.clone() }),
            },
            (None, None) => {}
        }
    }
    Ok(installed)
}

/// The value, where the file is still what was installed: in another one, something else may stand there.
fn read(kept: &KeptValue, receipt: &Receipt, root: &Root) -> Result<Option<String>, ApplyError> {
    let Some(file) = receipt.files.iter().find(|file| file.path == kept.path) else { return Ok(None) };
    let place = |source| FileError::Place { pack: file.pack.clone(), source };
    let path = root.resolve(&file.path).map_err(place)?;
    let regular = fs::symlink_metadata(&path).is_ok_and(|found| found.is_file() && found.len() == file.size);
    let Some(content) = regular.then(|| fs::read(&path).ok()).flatten() else { return Ok(None) };
    if Digest::of(&content) != file.digest {
        return Ok(None);
    }
    let bytes = kept.offset.checked_add(kept.length).and_then(|end| content.get(kept.offset..end));
    Ok(bytes.and_then(|bytes| std::str::from_utf8(bytes).ok()).and_then(|text| kept.spelling.read(text)))
}
