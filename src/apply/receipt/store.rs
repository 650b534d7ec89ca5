//! The folder of receipts: a file for each, with a number that grows.

use std::io;
use std::path::PathBuf;

use serde::Deserialize;

use super::{RECEIPT_VERSION, Receipt};
use crate::apply::ApplyError;
use crate::apply::files::FileError;
use crate::apply::foreign;
use crate::host::Root;
use crate::io::{AtPath, AtomicFile, PathError, Place};
use crate::places::OWN;

/// No receipt is longer: ten thousand images and files make a few MiB.
const LIMIT: u64 = 64 << 20;

/// All receipts of what was installed below `root`, the newest first; not those of images alone.
///
/// # Errors
/// [`ApplyError::Receipt`], or a folder or file that cannot be read.
pub(in crate::apply) fn all(root: &Root) -> Result<Vec<Receipt>, ApplyError> {
    let receipts = entries(root)?.into_iter().map(|(_, _, receipt)| receipt);
    Ok(receipts.filter(|receipt| !receipt.images_only).collect())
}

/// All receipts with their numbers and files.
///
/// # Errors
/// As [`all`].
pub(in crate::apply) fn entries(root: &Root) -> Result<Vec<(u32, String, Receipt)>, ApplyError> {
    let mut numbered = numbered(root)?;
    numbered.sort_unstable();
    let folder = folder(root)?;
    let read = |(number, name): (u32, String)| read(&folder.child(&name)?).map(|receipt| (number, name, receipt));
    numbered.into_iter().rev().map(read).collect()
}

fn read(place: &Place) -> Result<Receipt, ApplyError> {
    /// What all receipts have.
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Any {
        receipt_version: u32,
    }
    let path = place.shown();
    let version = serde_json::from_reader::<_, Any>(text(place)?).map_or(0, |any| any.receipt_version);
    if version > RECEIPT_VERSION {
        return Err(ApplyError::LaterReceipt { path: path.to_owned(), version });
    }
    let receipt = serde_json::from_reader(text(place)?);
    let mut receipt: Receipt = receipt.map_err(|source| ApplyError::Receipt { path: path.to_owned(), source })?;
    foreign::receipt(place, &receipt)?;
    receipt.renew();
    Ok(receipt)
}

/// The text of a receipt, to be read piece by piece: those of many images are long.
fn text(place: &Place) -> Result<impl io::Read, PathError> {
    let file = place.open()?;
    if file.metadata().at("read", place.shown())?.len() > LIMIT {
        return Err(io::Error::other(format!("it has more than {LIMIT} bytes"))).at("read", place.shown());
    }
    Ok(io::BufReader::new(io::Read::take(file, LIMIT)))
}

/// Writes a receipt under the file name `name`, and returns its path on this host.
///
/// # Errors
/// Where it cannot be written.
pub(in crate::apply) fn write_as(root: &Root, name: &str, receipt: &Receipt) -> Result<PathBuf, ApplyError> {
    let place = folder(root)?.child(name)?;
    // With the digest of a file, and all else in it known, a short secret could be guessed.
    let private = receipt.site.is_some()
        || receipt.files.iter().any(|file| receipt.has_secret(&file.path) || file.replaced_private());
    AtomicFile::write_json(&place, if private { 0o600 } else { 0o644 }, receipt)?;
    Ok(place.shown().to_owned())
}

/// Whether there is a receipt with the file name `name`.
///
/// # Errors
/// Where the folder means nothing below `root`.
pub(in crate::apply) fn is_there(root: &Root, name: &str) -> Result<bool, ApplyError> {
    Ok(folder(root)?.child(name)?.is_there())
}

/// A receipt that was damaged, and that a person has moved away as the hint says: [`DAMAGED`] ends its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::apply) struct Lost {
    /// Its number.
    pub(in crate::apply) number: u32,
    /// The profile's name.
    pub(in crate::apply) name: String,
    /// The profile's version.
    pub(in crate::apply) version: String,
    /// Its file, a single path component.
    pub(in crate::apply) file: String,
}

/// Ends the name of a receipt that a person has moved away.
pub(in crate::apply) const DAMAGED: &str = ".damaged";

impl Lost {
    /// What the name of a file says; nothing where it is not one of a receipt.
    pub(in crate::apply) fn of(file: &str) -> Option<Self> {
        let (number, rest) = file.strip_suffix(DAMAGED).unwrap_or(file).strip_suffix(".json")?.split_once('-')?;
        // Names have hyphens too, and so have versions.
        let splits = rest.match_indices('-').map(|(at, _)| (&rest[..at], &rest[at + 1..]));
        let (name, version) = splits.into_iter().find(|(_, version)| semver::Version::parse(version).is_ok())?;
        let (name, version) = (name.to_owned(), version.to_owned());
        Some(Self { number: number.parse().ok()?, name, version, file: file.to_owned() })
    }
}

/// The receipts that persons have moved away.
///
/// # Errors
/// Where the folder cannot be read.
pub(in crate::apply) fn lost(root: &Root) -> Result<Vec<Lost>, ApplyError> {
    let files = folder(root)?.names()?.into_iter().filter_map(|name| name.into_string().ok());
    Ok(files.filter(|name| name.ends_with(DAMAGED)).filter_map(|name| Lost::of(&name)).collect())
}

/// Removes receipts by file name, and the folder where none is left.
///
/// # Errors
/// Where one cannot be removed.
pub(in crate::apply) fn remove(root: &Root, names: &[String]) -> Result<(), ApplyError> {
    let folder = folder(root)?;
    for name in names {
        folder.child(name)?.remove()?;
    }
    // It stays where other receipts are.
    let _ = folder.remove_empty();
    Ok(())
}

/// Whether nothing is installed.
///
/// # Errors
/// Where the folder cannot be read.
pub(in crate::apply) fn is_none_left(root: &Root) -> Result<bool, ApplyError> {
    Ok(numbered(root)?.is_empty())
}

/// `NNNN-NAME-VERSION.json`.
///
/// # Errors
/// [`ApplyError::Name`] where name or version are not what a profile may have.
pub(in crate::apply) fn file_name(number: u32, receipt: &Receipt) -> Result<String, ApplyError> {
    check_name(&receipt.name, &receipt.version)?;
    Ok(format!("{number:04}-{}-{}.json", receipt.name, receipt.version))
}

/// # Errors
/// [`ApplyError::Name`]
pub(in crate::apply) fn check_name(name: &str, version: &str) -> Result<(), ApplyError> {
    for text in [name, version] {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'+');
        if text.is_empty() || text.len() > 100 || text.starts_with('.') || !text.bytes().all(plain) {
            return Err(ApplyError::Name(text.to_owned()));
        }
    }
    Ok(())
}

/// The folder of receipts.
///
/// # Errors
/// Where it means nothing below `root`.
pub(in crate::apply) fn folder(root: &Root) -> Result<Place, ApplyError> {
    let place = |source| FileError::Place { pack: "(receipts)".to_owned(), source };
    Ok(root.below(OWN, "receipts").map_err(place)?)
}

fn numbered(root: &Root) -> Result<Vec<(u32, String)>, ApplyError> {
    let mut found = Vec::new();
    for name in folder(root)?.names()? {
        let Ok(name) = name.into_string() else { continue };
        let number = name.strip_suffix(".json").and_then(|name| name.split_once('-')).and_then(|(n, _)| n.parse().ok());
        found.extend(number.map(|number| (number, name)));
    }
    Ok(found)
}
