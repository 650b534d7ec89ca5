//! What an installed version has and the next one does not want.

use std::collections::BTreeMap;

use super::ApplyError;
use super::files::{Before, FileError};
use super::history::{Entry, History};
use super::plan::{HostPlan, Removal};
use super::receipt::ReceiptFile;
use super::transaction::{Kept, Originals};
use crate::host::Root;
use crate::oci::Digest;

/// What becomes of files that are not wanted any more.
#[derive(Debug, Default)]
pub(super) struct Dropped {
    /// Those that are taken away.
    pub(super) removals: Vec<Removal>,
    /// Paths of those that stay, since somebody has changed them.
    pub(super) stays: Vec<String>,
    /// What was there before those that stay, by path; it stays where it is kept.
    pub(super) originals: Vec<(String, Before)>,
}

impl Dropped {
    fn stays(&mut self, path: String, original: Option<Before>) {
        self.originals.extend(original.map(|original| (path.clone(), original)));
        self.stays.push(path);
    }
}

/// Tells where the originals of files that stay are.
pub(super) fn left_originals(originals: &[(String, Before)]) -> Vec<String> {
    let told = originals.iter().filter_map(|(path, original)| {
        let place = match (&original.kept, &original.digest, &original.link) {
            (Some(name), _, _) => format!("is kept as {}", Originals::shown(name, path)),
            (None, Some(digest), _) => format!("is kept as {}", Kept::shown(digest)),
            (None, None, Some(link)) => format!("was a symbolic link to {:?}", link.as_os_str()),
            (None, None, None) => return None,
        };
        Some(format!("{path}: what was there before Carrack's file is not restored, and {place}"))
    });
    told.collect()
}

/// Files of the installed version of the profile `name` that are not in `plan`: those that are taken away, and those
/// that stay, since somebody has changed them. One that another profile has too becomes what that one has installed, where its
/// content is on this host.
///
/// # Errors
/// Where one cannot be looked at.
pub(super) fn files(history: &History, name: &str, root: &Root, plan: &HostPlan) -> Result<Dropped, ApplyError> {
    let wanted = |path: &str| {
        plan.files.iter().any(|planned| planned.file.path == path)
            || plan.archive.as_ref().is_some_and(|archive| archive.path == path)
    };
    let kept = Kept::of(root)?;
    let others: BTreeMap<String, Before> =
        history.others(name).into_iter().rev().flat_map(|entry| entry.receipt.as_installed()).collect();
    let mut dropped = Dropped::default();
    for (path, installed) in installed(history, name).into_iter().filter(|(path, _)| !wanted(path)) {
        let place = |source| FileError::Place { pack: installed.pack.clone(), source };
        let target = root.place(&path).map_err(place)?;
        if target.is_folder() {
            dropped.stays(path, installed.original);
            continue;
        }
        let found = Before::at(&target)?;
        let is_there = |was: &Before| found.as_ref().is_some_and(|found| found.is(was));
        let ours = !installed.by_hand && found.as_ref().is_none_or(|found| found.digest == Some(installed.digest));
        if let Some(theirs) = others.get(&path) {
            let here = theirs.digest.is_some_and(|digest| kept.holds(&digest));
            match (ours && !is_there(theirs), here) {
                (true, true) => {
                    let original = Some(theirs.clone());
                    dropped.removals.push(Removal { path, target, pack: installed.pack, original });
                }
                (true, false) if found.is_some() => dropped.stays(path, None),
                _ => {}
            }
            continue;
        }
        // What was moved away is not there, whatever looks like it.
        if installed.original.as_ref().is_some_and(|original| original.kept.is_none() && is_there(original)) {
            continue;
        }
        match &found {
            None if installed.original.is_none() => {}
            Some(_) if !ours => dropped.stays(path, installed.original),
            _ => dropped.removals.push(Removal { path, target, pack: installed.pack, original: installed.original }),
        }
    }
    Ok(dropped)
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
            let original = archive.original.clone();
            let one = Installed { pack: "(images)".to_owned(), digest: archive.digest, by_hand: false, original };
            (archive.path.clone(), one)
        });
        for (path, one) in receipt.files.iter().map(file).chain(archive) {
            installed.entry(path).or_insert(one);
        }
    }
    installed
}
