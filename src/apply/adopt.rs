//! What was there before Carrack's files, for the receipt: known from an earlier receipt, or found now and kept from now on.

use std::collections::BTreeMap;

use super::ApplyError;
use super::files::{Before, FileError};
use super::history::History;
use super::receipt::Receipt;
use super::transaction::{Change, Kept, Originals};
use crate::host::Root;
use crate::io::Place;

/// Completes `receipt`, which will have the number that is the next of `history`, with the originals of its files. What `changes` take the
/// place of for the first time goes into a folder of originals. Returns what a person should know.
///
/// # Errors
/// Where something cannot be looked at.
pub(super) fn adopt(
    receipt: &mut Receipt,
    changes: &mut [Change],
    history: &History,
    root: &Root,
) -> Result<Vec<String>, ApplyError> {
    let originals = Originals::of(root);
    let set = originals.unused(history.next_number())?;
    let name = receipt.name.clone();
    let lost = history.lost(&name, root)?.is_some();
    let kept = Kept::of(root)?;
    let mut adopter = Adopter { name, set, lost, history, root, originals, kept, warnings: Vec::new() };
    let mut changes: BTreeMap<String, &mut Change> =
        changes.iter_mut().map(|change| (change.path.clone(), change)).collect();
    for file in &mut receipt.files {
        file.original = adopter.original(&file.path, changes.get_mut(&file.path).map(|change| &mut **change))?;
    }
    if let Some(archive) = receipt.archive_mut() {
        let change = changes.get_mut(&archive.path).map(|change| &mut **change);
        // An archive that is in its place already is the very one that would be written.
        archive.original = match (history.original(&adopter.name, &archive.path), change) {
            (None, None) => None,
            (_, change) => adopter.original(&archive.path, change)?,
        };
    }
    Ok(adopter.warnings)
}

struct Adopter<'a> {
    /// The profile.
    name: String,
    /// The folder of originals for what is found now.
    set: String,
    /// Whether a receipt of the profile is lost.
    lost: bool,
    history: &'a History,
    root: &'a Root,
    originals: Originals,
    kept: Kept,
    warnings: Vec<String>,
}

impl Adopter<'_> {
    fn original(&mut self, path: &str, change: Option<&mut Change>) -> Result<Option<Before>, ApplyError> {
        let known = self.history.original(&self.name, path);
        let orphan = match known {
            Some(_) => None,
            // Of a receipt that is lost: what was there first counts.
            None => self.originals.having(path)?.into_iter().next(),
        };
        let (found, restores) = match change {
            Some(change) => (change.before.as_mut(), change.restores.as_ref()),
            None => (None, None),
        };
        match (known, orphan, found) {
            // It comes back with this very change, and is right as it is then.
            (Some(Some(known)), _, _) if known.kept.is_some() && restores.is_some_and(|it| it.kept == known.kept) => {
                Ok(Some(Before { kept: None, ..known }))
            }
            (Some(Some(known)), _, Some(found)) if self.was_in_place(path, &known, found) => {
                Ok(Some(self.taken(found)))
            }
            (Some(known), _, _) => Ok(known),
            (None, Some(orphan), found) => {
                if let Some(found) = found {
                    self.taken(found);
                    let copy = Originals::shown(&self.set, path);
                    self.warnings
                        .push(format!("{path} is replaced, and no receipt says whose it was: it is kept as {copy}"));
                }
                let kept = Originals::shown(&orphan, path);
                self.warnings
                    .push(format!("{path}: {kept}, which no receipt names, is taken for what was there before"));
                self.originals.look(&orphan, path)
            }
            (None, None, Some(found)) => Ok(Some(self.taken(found))),
            // With the same content, it is what the receipt that is lost had installed.
            (None, None, None) if self.lost => Ok(None),
            // What was right already was somebody else's.
            (None, None, None) => Ok(Before::at(&self.resolve(path)?)?),
        }
    }

    /// Whether `found` is the original itself, which was right as it was until now; its owner may have changed it since.
    fn was_in_place(&self, path: &str, known: &Before, found: &Before) -> bool {
        let Some(digest) = known.digest.filter(|_| known.kept.is_none()) else { return false };
        let ours = || found.digest.is_some_and(|digest| self.history.was_installed(path, &digest));
        found.is(known) || (!self.kept.holds(&digest) && !ours())
    }

    fn taken(&self, found: &mut Before) -> Before {
        found.kept = Some(self.set.clone());
        found.clone()
    }

    fn resolve(&self, path: &str) -> Result<Place, ApplyError> {
        let place = |source| FileError::Place { pack: "(receipt)".to_owned(), source };
        Ok(self.root.place(path).map_err(place)?)
    }
}
