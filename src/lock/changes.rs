//! What has become of a lock's entries.

use std::collections::BTreeSet;

use super::{Entry, Lock};
use crate::oci::Digest;

/// What has become of one entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It was not locked.
    Added(Entry, Digest),
    /// It meant something else.
    Moved(Moved),
    /// It means the same, with other facts: manifests of other platforms, another address.
    Facts(Entry),
    /// Nothing needs it any more.
    Dropped(Entry),
}

/// An entry that has come to mean something else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// The entry.
    pub entry: Entry,
    /// What is locked.
    pub from: Digest,
    /// What it means now.
    pub to: Digest,
    /// The versions of both, where the entry is a chart.
    pub versions: Option<(String, String)>,
}

/// How `after` differs from `before`, in the order of the entries.
pub fn changes(before: &Lock, after: &Lock) -> Vec<Change> {
    let entries: BTreeSet<Entry> = before.entries().chain(after.entries()).collect();
    let change = |entry: Entry| {
        let (old, new) = (before.digest_of(&entry), after.digest_of(&entry));
        match (old, new) {
            (None, Some(new)) => Some(Change::Added(entry, new)),
            (Some(_), None) => Some(Change::Dropped(entry)),
            (Some(from), Some(to)) if from != to => {
                let versions = before.version_of(&entry).zip(after.version_of(&entry));
                Some(Change::Moved(Moved { entry, from, to, versions }))
            }
            _ if !before.agrees(after, &entry) => Some(Change::Facts(entry)),
            _ => None,
        }
    };
    entries.into_iter().filter_map(change).collect()
}

impl Lock {
    fn digest_of(&self, entry: &Entry) -> Option<Digest> {
        match entry {
            Entry::Image(reference) => self.images.get(reference).map(|image| image.digest),
            Entry::Chart(key) => self.charts.get(key).map(|chart| chart.digest),
            Entry::Pack(reference) => self.packs.get(reference).map(|pack| pack.digest),
            Entry::File(url) => self.files.get(url).map(|file| file.digest),
        }
    }

    fn version_of(&self, entry: &Entry) -> Option<String> {
        match entry {
            Entry::Chart(key) => self.charts.get(key).map(|chart| chart.version.clone()),
            _ => None,
        }
    }

    /// Whether both say the same of `entry`.
    fn agrees(&self, other: &Self, entry: &Entry) -> bool {
        match entry {
            Entry::Image(reference) => self.images.get(reference) == other.images.get(reference),
            Entry::Chart(key) => self.charts.get(key) == other.charts.get(key),
            Entry::Pack(reference) => self.packs.get(reference) == other.packs.get(reference),
            Entry::File(url) => self.files.get(url) == other.files.get(url),
        }
    }
}
