//! Names of images that are let go of: those of versions that nobody can go back to any more.

use std::collections::{BTreeMap, BTreeSet};

use super::ApplyError;
use super::containerd::{Client, NameChange, NameTarget, Wanted};
use super::history::Entry;
use super::receipt::{OriginalName, Receipt, ReceiptImage};

/// Names of the versions in `chain`, the installed one first, that neither `wanted` nor the first `keep` of them have, nor
/// `others`, which are what is installed of other profiles. One that stands for something else by now is somebody else's.
///
/// # Errors
/// Where containerd does not answer.
pub(super) async fn names(
    chain: &[&Entry],
    keep: usize,
    others: &[&Entry],
    wanted: &Wanted,
    client: &Client,
) -> Result<Vec<NameChange>, ApplyError> {
    let kept: Vec<&ReceiptImage> =
        chain.iter().take(keep).chain(others).flat_map(|entry| &entry.receipt.images).collect();
    let mut needed: BTreeSet<&String> = wanted.images.iter().flat_map(|image| &image.names).collect();
    needed.extend(kept.iter().flat_map(|image| &image.names));
    let older: Vec<&Receipt> = chain.iter().skip(keep).map(|entry| &entry.receipt).collect();
    let first = chain.first().map(|entry| &entry.receipt);
    no_longer(&older, first, &needed, client).await
}

/// Names of `receipts` that are not `needed`, with what they stood for before everything where `last` knows it.
///
/// # Errors
/// Where containerd does not answer.
pub(super) async fn no_longer(
    receipts: &[&Receipt],
    last: Option<&Receipt>,
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
        let original = last.and_then(|last| last.original_names.iter().find(|original| original.name == *name));
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

/// What names of `receipt` stood for before anything was installed: what `installed` says of those that it has, and for others
/// what they stand for before `changes`.
pub(super) fn originals<'a>(
    receipt: &Receipt,
    installed: Option<&Receipt>,
    changes: impl Iterator<Item = &'a NameChange>,
) -> Vec<OriginalName> {
    let ours = |receipt: &Receipt| receipt.images.iter().flat_map(|image| image.names.clone()).collect::<BTreeSet<_>>();
    let (names, before) = (ours(receipt), installed.map(ours).unwrap_or_default());
    let known = installed.iter().flat_map(|receipt| &receipt.original_names);
    let known = known.filter(|original| names.contains(&original.name)).cloned();
    let fresh = changes
        .filter(|change| !before.contains(&change.name))
        .filter_map(|change| Some(OriginalName { name: change.name.clone(), target: change.before.clone()? }));
    known.chain(fresh).collect()
}
