//! Names of images that are let go of: those of versions that nobody can go back to any more.

use std::collections::{BTreeMap, BTreeSet};

use super::ApplyError;
use super::containerd::{Client, NameChange, NameTarget, Wanted};
use super::history::Entry;
use super::receipt::{OriginalName, Receipt};

/// Names of the versions in `chain`, the installed one first, and of the images that were brought ahead, that neither `wanted` nor
/// the first `keep` of the chain have, nor `others`, which are what is there of other profiles. One that stands for something
/// else by now is somebody else's.
///
/// # Errors
/// Where containerd does not answer.
pub(super) async fn names(
    chain: &[&Entry],
    staged: Option<&Entry>,
    keep: usize,
    others: &[&Entry],
    wanted: &Wanted,
    client: &Client,
) -> Result<Vec<NameChange>, ApplyError> {
    let mut needed = names_of(chain.iter().take(keep).chain(others).copied());
    needed.extend(wanted.images.iter().flat_map(|image| &image.names));
    let older: Vec<&Receipt> = chain.iter().skip(keep).copied().chain(staged).map(|entry| &entry.receipt).collect();
    let last: Vec<&Receipt> = chain.first().copied().into_iter().chain(staged).map(|entry| &entry.receipt).collect();
    no_longer(&older, &last, &needed, client).await
}

/// All names of images of some receipts.
pub(super) fn names_of<'a>(entries: impl Iterator<Item = &'a Entry>) -> BTreeSet<&'a String> {
    entries.flat_map(|entry| &entry.receipt.images).flat_map(|image| &image.names).collect()
}

/// Names of `receipts` that are not `needed`, with what they stood for before everything where one of `last` knows it.
///
/// # Errors
/// Where containerd does not answer.
pub(super) async fn no_longer(
    receipts: &[&Receipt],
    last: &[&Receipt],
    needed: &BTreeSet<&String>,
    client: &Client,
) -> Result<Vec<NameChange>, ApplyError> {
    let mut targets: BTreeMap<&String, BTreeSet<String>> = BTreeMap::new();
    for image in receipts.iter().flat_map(|receipt| &receipt.images) {
        for name in image.names.iter().filter(|name| !needed.contains(name)) {
            targets.entry(name).or_default().insert(image.target.to_string());
        }
    }
    let mut released = Vec::new();
    for (name, ours) in targets {
        let Some(before) = client.name_target(name).await?.filter(|target| ours.contains(&target.digest)) else {
            continue;
        };
        let original = last.iter().flat_map(|last| &last.original_names).find(|original| original.name == *name);
        let original = original.map(|original| original.target.clone());
        // Its content may be gone by now, and a name without content is worse than none.
        let target = match original {
            Some(target) if held(&target, client).await? => Some(target),
            _ => None,
        };
        released.push(NameChange { name: name.clone(), target, before: Some(before) });
    }
    Ok(released)
}

async fn held(target: &NameTarget, client: &Client) -> Result<bool, ApplyError> {
    match target.digest.parse() {
        Ok(digest) => Ok(client.holds(&digest).await?),
        Err(_) => Ok(false),
    }
}

/// What names of `receipt` stood for before anything was installed: what `present` say of those that they have, and for others
/// what they stand for before `changes`.
pub(super) fn originals<'a>(
    receipt: &Receipt,
    present: &[&Receipt],
    changes: impl Iterator<Item = &'a NameChange>,
) -> Vec<OriginalName> {
    let ours = |receipt: &Receipt| receipt.images.iter().flat_map(|image| image.names.clone()).collect::<BTreeSet<_>>();
    let (names, before) = (ours(receipt), present.iter().flat_map(|receipt| ours(receipt)).collect::<BTreeSet<_>>());
    let mut known: Vec<OriginalName> = Vec::new();
    for original in present.iter().flat_map(|receipt| &receipt.original_names) {
        if names.contains(&original.name) && !known.iter().any(|other| other.name == original.name) {
            known.push(original.clone());
        }
    }
    let fresh = changes
        .filter(|change| !before.contains(&change.name))
        .filter_map(|change| Some(OriginalName { name: change.name.clone(), target: change.before.clone()? }));
    known.into_iter().chain(fresh).collect()
}
