//! What an installed version has and the next one does not want.

use std::collections::BTreeMap;

use super::ApplyError;
use super::files::{Before, FileError};
use super::history::{Entry, History};
use super::plan::{HostPlan, Removal};
use super::receipt::ReceiptFile;
use super::transaction::Kept;
use crate::host::Root;
use crate::oci::Digest;

/// Files of the installed version of the profile `name` that are not in `plan`: those that are taken away, and paths of those
/// that stay, since somebody has changed them. One that another profile has too becomes what that one has installed, where its
/// content is on this host.
///
/// # Errors
/// Where one cannot be looked at.
pub(super) fn files(
    history: &History,
    name: &str,
    root: &Root,
    plan: &HostPlan,
) -> Result<(Vec<Removal>, Vec<String>), ApplyError> {
    let wanted = |path: &str| {
        plan.files.iter().any(|planned| planned.file.path == path)
            || plan.archive.as_ref().is_some_and(|archive| archive.path == path)
    };
    let kept = Kept::of(root)?;
    let others: BTreeMap<String, Before> =
        history.others(name).into_iter().rev().flat_map(|entry| entry.receipt.as_installed()).collect();
    let (mut removals, mut stays) = (Vec::new(), Vec::new());
    for (path, installed) in installed(history, name).into_iter().filter(|(path, _)| !wanted(path)) {
        let place = |source| FileError::Place { pack: installed.pack.clone(), source };
        let target = root.place(&path).map_err(place)?;
        if target.is_folder() {
            stays.push(path);
            continue;
        }
        let found = Before::at(&target)?;
        let is_there = |was: &Before| found.as_ref().is_some_and(|found| found.is(was));
        let ours = !installed.by_hand && found.as_ref().is_none_or(|found| found.digest == Some(installed.digest));
        if let Some(theirs) = others.get(&path) {
            let here = theirs.digest.is_some_and(|digest| kept.holds(&digest));
            match (ours && !is_there(theirs), here) {
                (true, true) => {
                    removals.push(Removal { path, target, pack: installed.pack, original: Some(theirs.clone()) });
                }
                (true, false) if found.is_some() => stays.push(path),
                _ => {}
            }
            continue;
        }
        if installed.original.as_ref().is_some_and(is_there) {
            continue;
        }
        match &found {
            None if installed.original.is_none() => {}
            Some(_) if !ours => stays.push(path),
            _ => removals.push(Removal { path, target, pack: installed.pack, original: installed.original }),
        }
    }
    Ok((removals, stays))
}

/// A file that is installed.
struct Installed {
    pack: String,
    digest: Digest,
    /// Whether a person's changes were in it by then.
    by_hand: bool,
    original: Option<Before>,
}

/// By path. The first installers took nothing away, so what any of their receipts names counts.
fn installed(history: &History, name: &str) -> BTreeMap<String, Installed> {
    let mut installed = BTreeMap::new();
    for (index, Entry { receipt, .. }) in history.of_profile(name).enumerate() {
        if index > 0 && receipt.receipt_version >= 3 {
            break;
        }
        let file = |file: &ReceiptFile| {
            let ReceiptFile { pack, digest, wanted, original, .. } = file.clone();
            (file.path.clone(), Installed { pack, digest, by_hand: wanted.is_some(), original })
        };
        let archive = receipt.archive().map(|archive| {
            let one = Installed { pack: "(images)".to_owned(), digest: archive.digest, by_hand: false, original: None };
            (archive.path.clone(), one)
        });
        for (path, one) in receipt.files.iter().map(file).chain(archive) {
            installed.entry(path).or_insert(one);
        }
    }
    installed
}
