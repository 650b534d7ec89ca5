//! What is below the index that a reference names: manifests, and indexes within it.

use std::collections::HashMap;

use super::contents::{BundledIndex, BundledManifest, bundled_manifest};
use super::documents::Document;
use super::head::{MAX_DESCRIPTORS, Named};
use crate::oci::{Blob, Digest, MAX_INDEX_DEPTH, MAX_INNER_INDEXES};

/// What an image's index leads to.
#[derive(Default)]
pub(super) struct Below {
    /// As [`super::BundledImage::indexes`].
    pub(super) indexes: Vec<BundledIndex>,
    /// The manifests that are present, in the order of the indexes.
    pub(super) manifests: Vec<BundledManifest>,
}

/// Reads what is below the indexes of a bundle's images. What indexes list may be shared and repeated, so steps are counted.
#[derive(Default)]
pub(super) struct Within {
    /// Entries of inner indexes, each as often as it was looked at.
    steps: usize,
}

/// The walk below one image's index.
struct Walk<'a> {
    named: &'a Named,
    below: Below,
    /// The inner indexes that were looked into, and whether they lead to a manifest.
    seen: HashMap<Digest, bool>,
}

impl Within {
    /// What is below `target`, which is an index. The error is a reason.
    pub(super) fn below(&mut self, target: &Blob, named: &Named) -> Result<Below, String> {
        let mut walk = Walk { named, below: Below::default(), seen: HashMap::new() };
        self.add(&mut walk, target, 0)?;
        Ok(walk.below)
    }

    /// Adds an index and what is below it, where it leads to a manifest. `depth` is the number of indexes around it.
    fn add(&mut self, walk: &mut Walk<'_>, index: &Blob, depth: usize) -> Result<bool, String> {
        let Some(Document::Index(listed)) = walk.named.documents.get(&index.digest) else { return Ok(false) };
        if let Some(leads) = walk.seen.get(&index.digest) {
            return Ok(*leads);
        }
        if depth > 0 {
            walk.seen.insert(index.digest, false);
            self.steps += listed.len();
        }
        if depth > MAX_INDEX_DEPTH || walk.seen.len() > MAX_INNER_INDEXES || self.steps > MAX_DESCRIPTORS {
            return Err("its images have more indexes within indexes than any bundle's".to_owned());
        }
        let mut children = Vec::new();
        for (child, platform) in listed.iter() {
            if let Some(manifest) = bundled_manifest(child, platform.as_ref(), walk.named)? {
                walk.below.manifests.push(manifest);
            } else if !self.add(walk, child, depth + 1)? {
                continue;
            }
            children.push(child.digest);
        }
        let leads = !children.is_empty();
        if leads {
            walk.seen.entry(index.digest).and_modify(|known| *known = true);
            walk.below.indexes.push(BundledIndex { blob: index.clone(), children: children.into() });
        }
        Ok(leads)
    }
}
