//! Resolving many references at once, and telling what has moved.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;

use futures_util::{StreamExt, stream};

use super::select::select;
use super::{Change, Differences, Entry, Lock, Moved, Needed, ResolveError, changes, compare};
use crate::oci::{Platform, Reference};
use crate::registry::Registry;

/// Which locked references are asked for anew.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Update {
    /// None: what is locked stays.
    #[default]
    Nothing,
    /// Those that are named like this (see [`Entry::is_named`]).
    These(BTreeSet<String>),
    /// Every one.
    All,
}

impl Update {
    /// Whether `entry` is asked for anew.
    pub fn includes(&self, entry: &Entry) -> bool {
        match self {
            Self::Nothing => false,
            Self::These(names) => names.iter().any(|name| entry.is_named(name)),
            Self::All => true,
        }
    }
}

/// A new lock, and how it differs from the one before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// Exactly the images that are needed, and what it had of everything else.
    pub lock: Lock,
    /// In the order of the references.
    pub changes: Vec<Change>,
}

impl Resolved {
    /// The same with the charts, packs and files of `elsewhere`, as changes of what `before` had.
    #[must_use]
    pub fn with(self, elsewhere: Lock, before: &Lock) -> Self {
        let lock = Lock { images: self.lock.images, ..elsewhere };
        Self { changes: changes(before, &lock), lock }
    }
}

/// What `lock --check` finds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Check {
    /// Tags that have moved since they were locked.
    pub moved: Vec<Moved>,
    /// What the lock lacks or has too much.
    pub differences: Differences,
}

/// Makes a lock of exactly the images `needed`, each for the platforms beside it: keeps what `existing` has, unless `update` names it, and asks the registries for the
/// rest, at most `jobs` at a time. Where only a platform is missing, the locked digest is asked for and not the tag.
///
/// # Errors
/// All failures of all references, in their order.
pub async fn resolve(
    registry: &Registry,
    needed: &BTreeMap<Reference, Vec<Platform>>,
    existing: &Lock,
    update: &Update,
    jobs: NonZeroUsize,
) -> Result<Resolved, Vec<ResolveError>> {
    let mut images = BTreeMap::new();
    let mut wanted = Vec::new();
    for (reference, platforms) in needed {
        let locked = existing.images.get(reference).filter(|_| !update.includes(&Entry::Image(reference.clone())));
        match locked.filter(|image| image.covers(platforms)) {
            Some(image) => drop(images.insert(reference.clone(), image.clone().only_for(platforms))),
            None => wanted.push((reference, platforms, locked.map(|image| image.digest))),
        }
    }
    let tasks = wanted.into_iter().map(async |(reference, platforms, pin)| {
        (reference.clone(), select(registry, reference, platforms, pin).await)
    });
    images.extend(run_all(tasks, jobs).await?);
    let lock = Lock { images, ..existing.clone() };
    Ok(Resolved { changes: changes(existing, &lock), lock })
}

/// Asks what the tags mean now, at most `jobs` at a time, and compares the lock with what is needed. References with a
/// digest cannot move and are not asked for.
///
/// # Errors
/// All failures of all references, in their order.
pub async fn check(
    registry: &Registry,
    needed: &Needed,
    lock: &Lock,
    jobs: NonZeroUsize,
) -> Result<Check, Vec<ResolveError>> {
    let moves = |reference: &&Reference| reference.digest().is_none() && needed.images.contains_key(reference);
    let tasks = lock.images.keys().filter(moves).map(async |reference| {
        let now = registry.manifest(reference).await;
        (reference.clone(), now.map(|manifest| manifest.digest).map_err(ResolveError::from))
    });
    let now = run_all(tasks, jobs).await?.into_iter();
    let moved = now.filter_map(|(reference, to)| {
        let from = lock.images.get(&reference)?.digest;
        (from != to).then(|| Moved { entry: reference.into(), from, to, versions: None })
    });
    Ok(Check { moved: moved.collect(), differences: compare(lock, needed) })
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
