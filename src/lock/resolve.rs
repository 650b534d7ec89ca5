//! Resolving many references at once, and telling what has moved.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;

use futures_util::{StreamExt, stream};

use super::select::select;
use super::{Differences, Lock, ResolveError, compare};
use crate::oci::{Digest, Platform, Reference};
use crate::registry::Registry;

/// Which locked references are asked for anew.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Update {
    /// None: what is locked stays.
    #[default]
    Nothing,
    /// These.
    These(BTreeSet<Reference>),
    /// Every one.
    All,
}

impl Update {
    fn includes(&self, reference: &Reference) -> bool {
        match self {
            Self::Nothing => false,
            Self::These(references) => references.contains(reference),
            Self::All => true,
        }
    }
}

/// A new lock, and how it differs from the one before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// Exactly what is needed.
    pub lock: Lock,
    /// In the order of the references.
    pub changes: Vec<Change>,
}

/// What has become of one reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It was not locked.
    Added(Reference, Digest),
    /// It meant something else.
    Moved(Moved),
    /// It means the same, with manifests of other platforms.
    Platforms(Reference),
    /// Nothing needs it any more.
    Dropped(Reference),
}

/// A reference that has come to mean something else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// The reference.
    pub reference: Reference,
    /// What is locked.
    pub from: Digest,
    /// What it means now.
    pub to: Digest,
}

/// What `lock --check` finds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Check {
    /// Tags that have moved since they were locked.
    pub moved: Vec<Moved>,
    /// What the lock lacks or has too much.
    pub differences: Differences,
}

/// Makes a lock of exactly `needed`: keeps what `existing` has, unless `update` names it, and asks the registries for the
/// rest, at most `jobs` at a time. Where only a platform is missing, the locked digest is asked for and not the tag.
///
/// # Errors
/// All failures of all references, in their order.
pub async fn resolve(
    registry: &Registry,
    needed: &[Reference],
    platforms: &[Platform],
    existing: &Lock,
    update: &Update,
    jobs: NonZeroUsize,
) -> Result<Resolved, Vec<ResolveError>> {
    let mut images = BTreeMap::new();
    let mut wanted = Vec::new();
    for reference in needed.iter().collect::<BTreeSet<_>>() {
        let locked = existing.images.get(reference).filter(|_| !update.includes(reference));
        match locked.filter(|image| image.covers(platforms)) {
            Some(image) => drop(images.insert(reference.clone(), image.clone().only_for(platforms))),
            None => wanted.push((reference, locked.map(|image| image.digest))),
        }
    }
    let tasks = wanted
        .into_iter()
        .map(async |(reference, pin)| (reference.clone(), select(registry, reference, platforms, pin).await));
    images.extend(run_all(tasks, jobs).await?);
    let lock = Lock { images };
    Ok(Resolved { changes: changes(existing, &lock), lock })
}

/// Asks what the tags mean now, at most `jobs` at a time, and compares the lock with what is needed. References with a
/// digest cannot move and are not asked for.
///
/// # Errors
/// All failures of all references, in their order.
pub async fn check(
    registry: &Registry,
    needed: &[Reference],
    platforms: &[Platform],
    lock: &Lock,
    jobs: NonZeroUsize,
) -> Result<Check, Vec<ResolveError>> {
    let needed_set: BTreeSet<_> = needed.iter().collect();
    let moves = |reference: &&Reference| reference.digest().is_none() && needed_set.contains(reference);
    let tasks = lock.images.keys().filter(moves).map(async |reference| {
        let now = registry.manifest(reference).await;
        (reference.clone(), now.map(|manifest| manifest.digest).map_err(ResolveError::from))
    });
    let now = run_all(tasks, jobs).await?.into_iter();
    let moved = now.filter_map(|(reference, to)| {
        let from = lock.images.get(&reference)?.digest;
        (from != to).then_some(Moved { reference, from, to })
    });
    Ok(Check { moved: moved.collect(), differences: compare(lock, needed, platforms) })
}

/// Runs the tasks, at most `jobs` at a time, and sorts what comes out by reference.
async fn run_all<T, F>(
    tasks: impl IntoIterator<Item = F>,
    jobs: NonZeroUsize,
) -> Result<BTreeMap<Reference, T>, Vec<ResolveError>>
where
    F: Future<Output = (Reference, Result<T, ResolveError>)>,
{
    let results: BTreeMap<_, _> = stream::iter(tasks).buffer_unordered(jobs.get()).collect().await;
    let mut done = BTreeMap::new();
    let mut failed = Vec::new();
    for (reference, result) in results {
        match result {
            Ok(value) => drop(done.insert(reference, value)),
            Err(error) => failed.push(error),
        }
    }
    if failed.is_empty() { Ok(done) } else { Err(failed) }
}

fn changes(before: &Lock, after: &Lock) -> Vec<Change> {
    let references: BTreeSet<_> = before.images.keys().chain(after.images.keys()).collect();
    let change = |reference: &Reference| match (before.images.get(reference), after.images.get(reference)) {
        (None, Some(new)) => Some(Change::Added(reference.clone(), new.digest)),
        (Some(_), None) => Some(Change::Dropped(reference.clone())),
        (Some(old), Some(new)) if old.digest != new.digest => {
            Some(Change::Moved(Moved { reference: reference.clone(), from: old.digest, to: new.digest }))
        }
        (Some(old), Some(new)) if old != new => Some(Change::Platforms(reference.clone())),
        _ => None,
    };
    references.into_iter().filter_map(change).collect()
}
