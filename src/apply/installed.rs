//! The values that the variables of a profile have on this host, from the newest receipt of that profile.

use rustix::fs::{FileType, Stat};
use serde::{Deserialize, Serialize};

use super::ApplyError;
use super::files::FileError;
use super::receipt::{self, Receipt, ReceiptFile, ReceiptVariable};
use super::transaction::backup_of;
use crate::host::Root;
use crate::io::{PathError, Place, file_type};
use crate::oci::Digest;
use crate::variables::template::Spelling;
use crate::variables::{Installed, InstalledValue};

/// A place where a sensitive value stands, so that it is on the host just where it is needed and nowhere else.
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

impl KeptValue {
    /// A value that stands in the file `path` as it is.
    pub(super) fn as_it_is(path: String, offset: usize, length: usize) -> Self {
        Self { path, offset, length, spelling: Spelling::AsIs }
    }
}

/// The values of the profile `name` below `root`; none where it was never installed.
///
/// # Errors
/// Where receipts cannot be read.
pub fn installed(root: &Root, name: &str) -> Result<Installed, ApplyError> {
    let receipts = receipt::all(root)?;
    let Some(receipt) = receipts.iter().find(|receipt| receipt.name == name) else { return Ok(Installed::new()) };
    let mut installed = Installed::new();
    for variable in &receipt.variables {
        installed.extend(value(variable, receipt, root)?.map(|value| (variable.name.clone(), value)));
    }
    Ok(installed)
}

fn value(variable: &ReceiptVariable, receipt: &Receipt, root: &Root) -> Result<Option<InstalledValue>, ApplyError> {
    if let Some(value) = &variable.value {
        return Ok(Some(InstalledValue::Value { value: value.clone(), default: variable.default, plain: true }));
    }
    for kept in &variable.kept {
        if let Some(value) = read(kept, receipt, root)? {
            return Ok(Some(InstalledValue::Value { value, default: false, plain: false }));
        }
    }
    let lost = |kept: &KeptValue| {
        InstalledValue::Lost(format!("the value that it had is gone, since {} is not what was installed", kept.path))
    };
    Ok(variable.kept.first().map(lost))
}

/// The value, where the file is still what was installed: in another one, something else may stand there. A run that was
/// killed may have replaced the file and left it beside the new one.
pub(super) fn read(kept: &KeptValue, receipt: &Receipt, root: &Root) -> Result<Option<String>, ApplyError> {
    let Some(file) = receipt.files.iter().find(|file| file.path == kept.path) else { return Ok(None) };
    let place = |source| FileError::Place { pack: file.pack.clone(), source };
    let at = root.place(&file.path).map_err(place)?;
    let content = match content(&at, file)? {
        None => content(&backup_of(&at)?, file)?,
        there => there,
    };
    let bytes = content.as_ref().and_then(|content| content.get(kept.offset..kept.offset.checked_add(kept.length)?));
    Ok(bytes.and_then(|bytes| std::str::from_utf8(bytes).ok()).and_then(|text| kept.spelling.read(text)))
}

/// What is at `at`, where that is the file as it was installed.
fn content(at: &Place, file: &ReceiptFile) -> Result<Option<Vec<u8>>, PathError> {
    let is_file = |found: &Stat| file_type(found) == FileType::RegularFile && found.st_size as u64 == file.size;
    if !at.stat()?.is_some_and(|found| is_file(&found)) {
        return Ok(None);
    }
    let Some(content) = at.read(file.size)? else { return Ok(None) };
    Ok((Digest::of(&content) == file.digest).then_some(content))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A system that was prepared has both until its first start.
    #[test]
    fn a_value_is_read_from_what_was_installed_or_from_what_is_kept_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::new(folder.path()).unwrap();
        let (text, kept) = ("key=canary\n", KeptValue::as_it_is("/shop.conf".to_owned(), 4, 6));
        let mut receipt = Receipt::empty("shop", "1.0.0");
        receipt.files = vec![ReceiptFile {
            path: kept.path.clone(),
            digest: Digest::of(text.as_bytes()),
            size: text.len() as u64,
            mode: "0600".to_owned(),
            owner: None,
            pack: "shop".to_owned(),
            kind: "file".to_owned(),
            wanted: None,
            keys: Vec::new(),
            changed_before: None,
            private: true,
            original: None,
        }];
        let (there, old) = (folder.path().join("shop.conf"), folder.path().join("shop.conf.carrack-old"));
        let value = || read(&kept, &receipt, &root).unwrap();
        assert_eq!(value(), None);
        fs::write(&there, text).unwrap();
        assert_eq!(value().as_deref(), Some("canary"));
        fs::rename(&there, &old).unwrap();
        fs::write(&there, "key=others\n").unwrap();
        assert_eq!(value().as_deref(), Some("canary"));
        fs::write(&old, "key=theirs\n").unwrap();
        assert_eq!(value(), None);
    }
}
