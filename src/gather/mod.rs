//! What a profile names from elsewhere: packs and charts are brought beside it, and of files it is found out what a build
//! must know of them.
//!
//! Owns where packs and charts come from and how they are kept: by digest in `.carrack`, checked whenever they are used.
//! What the lock has is taken as it is there, and everything else is asked for. It must not know what is in a pack or a
//! chart, nor when a lock is written.

mod charts;
mod error;
mod files;
mod index;
mod kept;
mod packs;
mod push;
mod titles;
mod upstream;

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

pub use error::GatherError;
pub use push::{Pushed, push};

use crate::download::Downloader;
use crate::lock::{ChartKey, Lock, Needed, Update};
use crate::oci::Reference;
use crate::profile::{ChartLocation, ChartSource, FileOrigin, Origin, Profile};
use crate::registry::Registry;

/// The folder beside a profile that keeps what was brought.
const FOLDER: &str = ".carrack";

/// Brings what one profile names.
pub struct Gatherer<'a> {
    registry: &'a Registry,
    downloader: &'a Downloader,
    keep: PathBuf,
    lock: &'a Lock,
    update: &'a Update,
    /// Each repository's index is read once.
    indexes: tokio::sync::Mutex<HashMap<String, Arc<index::Index>>>,
}

impl<'a> Gatherer<'a> {
    /// For the profile in `folder`, whose lock is `lock`. What `update` names is asked for anew.
    pub fn new(
        registry: &'a Registry,
        downloader: &'a Downloader,
        folder: &std::path::Path,
        lock: &'a Lock,
        update: &'a Update,
    ) -> Self {
        // Without the `./` that would only be noise in messages.
        let keep = if folder == std::path::Path::new(".") { PathBuf::from(FOLDER) } else { folder.join(FOLDER) };
        Self { registry, downloader, keep, lock, update, indexes: tokio::sync::Mutex::default() }
    }
}

/// What `profile` needs of what a lock has, images aside.
pub fn needed(profile: &Profile) -> Needed {
    let packs = profile.packs.iter().filter_map(|pack| match &pack.origin {
        Origin::Oci(reference) => Some(reference.clone()),
        Origin::Profile | Origin::Folder(_) => None,
    });
    let files = profile.packs.iter().flat_map(|pack| &pack.files).filter_map(|file| match &file.source {
        FileOrigin::Url { url, sha256 } => Some((url.clone(), *sha256)),
        FileOrigin::Local(_) => None,
    });
    let charts = profile.packs.iter().flat_map(|pack| &pack.charts).filter_map(key);
    Needed { images: BTreeMap::new(), charts: charts.collect(), packs: packs.collect(), files: files.collect() }
}

/// What the lock calls a chart; nothing where it is one of this machine.
fn key(chart: &ChartSource) -> Option<ChartKey> {
    let range = chart.version.as_ref().map(ToString::to_string);
    match &chart.location {
        ChartLocation::Local(_) => None,
        ChartLocation::Oci(text) => Some(ChartKey { source: format!("oci://{text}"), name: None, range }),
        ChartLocation::Repository { url, name } => {
            Some(ChartKey { source: url.clone(), name: Some(name.clone()), range })
        }
    }
}

/// The reference of an `oci://` source, and whether the source itself says which of the repository is meant.
fn reference_of(text: &str) -> Result<(Reference, bool), GatherError> {
    let reference: Reference = text.parse().map_err(GatherError::Reference)?;
    let last = text.rsplit('/').next().unwrap_or_default();
    Ok((reference, last.contains([':', '@'])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_says_which_one_is_meant_or_leaves_it_open() {
        for (text, said) in [
            ("r.example.org/charts/a", false),
            ("localhost:5000/a", false),
            ("r.example.org/charts/a:1", true),
            (&format!("r.example.org/a@sha256:{}", "0".repeat(64)), true),
        ] {
            assert_eq!(reference_of(text).unwrap().1, said, "{text}");
        }
    }
}
