//! How far a long step has come: counters that a step writes and a user interface reads.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// Shared between a running step and whoever shows it. All counts are bytes.
#[derive(Debug, Default)]
pub struct Progress {
    total: AtomicU64,
    done: AtomicU64,
    in_flight: Mutex<BTreeSet<String>>,
}

impl Progress {
    /// Says how much there is to do in all. It may grow while work goes on.
    pub fn add_total(&self, bytes: u64) {
        self.total.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Says that `bytes` more are done.
    pub fn advance(&self, bytes: u64) {
        self.done.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Bytes done and bytes in all.
    pub fn counts(&self) -> (u64, u64) {
        (self.done.load(Ordering::Relaxed), self.total.load(Ordering::Relaxed))
    }

    /// Marks `item` as being worked on until the guard is dropped.
    pub fn begin<'a>(&'a self, item: &str) -> InFlight<'a> {
        self.items().insert(item.to_owned());
        InFlight { progress: self, item: item.to_owned() }
    }

    /// What is being worked on now, sorted.
    pub fn in_flight(&self) -> Vec<String> {
        self.items().iter().cloned().collect()
    }

    fn items(&self) -> std::sync::MutexGuard<'_, BTreeSet<String>> {
        self.in_flight.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// See [`Progress::begin`].
#[derive(Debug)]
pub struct InFlight<'a> {
    progress: &'a Progress,
    item: String,
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.progress.items().remove(&self.item);
    }
}
