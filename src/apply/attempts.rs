//! What failed attempts to install a distribution have left that is Carrack's, for the next attempt: no receipt has it.

use std::io;

use super::ApplyError;
use super::claims::{Claim, inherit};
use super::files::FileError;
use super::foreign;
use crate::host::Root;
use crate::io::{AtPath, AtomicFile, Place};
use crate::places::OWN;

/// Where it is written down, in the installer's folder.
const LEFT: &str = "left.json";
/// It has a few folders.
const LIMIT: u64 = 1 << 20;

/// What failed attempts to install have left that is Carrack's.
///
/// # Errors
/// Where that cannot be read, or is not what Carrack writes.
pub(super) fn left(root: &Root) -> Result<Vec<Claim>, ApplyError> {
    let place = file(root)?;
    let text = match place.read(LIMIT) {
        Ok(None) => return Ok(Vec::new()),
        Err(error) if error.source.kind() == io::ErrorKind::NotADirectory => return Ok(Vec::new()),
        other => other?.unwrap_or_default(),
    };
    let left: Vec<Claim> = serde_json::from_slice(&text).map_err(io::Error::from).at("read", place.shown())?;
    foreign::left(&place, &left)?;
    Ok(left)
}

/// Writes down what a failed attempt to install has left that is Carrack's, besides what earlier attempts have left and is still
/// there.
///
/// # Errors
/// Where what earlier attempts have left cannot be read, or it cannot be written.
pub(super) fn leave(mut claims: Vec<Claim>, root: &Root) -> Result<(), ApplyError> {
    let mut earlier = left(root)?;
    earlier.retain(|claim| claim.has_content(root));
    inherit(&mut claims, earlier);
    write(&claims, root)
}

/// Removes from what failed attempts have left what a receipt has now that has these claims, and what is gone.
///
/// # Errors
/// Where what they have left cannot be read or written.
pub(super) fn taken_over(claims: &[Claim], root: &Root) -> Result<(), ApplyError> {
    let mut left = left(root)?;
    left.retain(|one| claims.iter().all(|claim| claim.path != one.path) && one.has_content(root));
    write(&left, root)
}

fn write(claims: &[Claim], root: &Root) -> Result<(), ApplyError> {
    let place = file(root)?;
    if claims.is_empty() {
        return match place.remove() {
            Err(error) if error.source.kind() != io::ErrorKind::NotADirectory => Err(error.into()),
            _ => Ok(()),
        };
    }
    Ok(AtomicFile::write_json(&place, 0o644, &claims)?)
}

fn file(root: &Root) -> Result<Place, ApplyError> {
    let place = |source| FileError::Place { pack: "(installer)".to_owned(), source };
    Ok(root.below(OWN, LEFT).map_err(place)?)
}
