//! The host plan: what apply would change, from what the bundle wants and what the host has. Pure.

use std::collections::BTreeSet;

use super::containerd::{RuntimeState, Wanted, WantedImage};
use super::files::{FileKind, Found, TargetFile};
use crate::oci::{Digest, Reference};

/// What apply would do to the host.
#[derive(Debug, Clone, Default)]
pub struct HostPlan {
    /// Files and Kubernetes manifests, in the bundle's order.
    pub files: Vec<PlannedFile>,
    /// Images, in the bundle's order. Empty where images are left alone.
    pub images: Vec<PlannedImage>,
}

/// What would become of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedFile {
    /// The file.
    pub file: TargetFile,
    /// What is there now.
    pub found: Found,
    /// What would be done.
    pub action: FileAction,
}

/// What is done to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileAction {
    /// Nothing is there yet.
    Create,
    /// Something else is there.
    Replace,
    /// It is as it must be.
    Keep,
}

/// What would become of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedImage {
    /// The image.
    pub reference: Reference,
    /// Digest of what its names stand for.
    pub target: Digest,
    /// Its names.
    pub names: Vec<String>,
    /// Bytes that the runtime lacks. What two images lack counts for both.
    pub missing_bytes: u64,
    /// What would be done.
    pub action: ImageAction,
}

/// What is done to an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageAction {
    /// None of its names exists.
    Add,
    /// A name exists and stands for another image, or something below it is missing.
    Update,
    /// It is as it must be.
    Keep,
}

impl HostPlan {
    /// Compares what is wanted with what was found. `runtime` is what the runtime holds, and the top snapshots that each
    /// image needs, in the order of `wanted.images`; nothing where images are left alone.
    pub fn new(files: Vec<(TargetFile, Found)>, runtime: Option<(&Wanted, &RuntimeState, &[Vec<Digest>])>) -> Self {
        let files = files.into_iter().map(|(file, found)| {
            let action = match &found {
                found if file.is(found) => FileAction::Keep,
                Found::Absent => FileAction::Create,
                Found::Regular { .. } | Found::Link => FileAction::Replace,
            };
            PlannedFile { file, found, action }
        });
        let images = runtime.map(|(wanted, state, tops)| {
            let pairs = wanted.images.iter().zip(tops);
            pairs.map(|(image, tops)| planned_image(image, wanted, state, tops)).collect()
        });
        Self { files: files.collect(), images: images.unwrap_or_default() }
    }

    /// Adds images that go into an archive together.
    pub(super) fn add_archive(&mut self, wanted: &Wanted, present: bool) {
        let state = RuntimeState::default();
        let planned = wanted.images.iter().map(|image| PlannedImage {
            names: image.reference.runtime_names(),
            action: if present { ImageAction::Keep } else { ImageAction::Add },
            ..planned_image(image, wanted, &state, &[])
        });
        self.images.extend(planned);
    }

    /// Whether the host is already as the bundle wants it.
    pub fn is_empty(&self) -> bool {
        self.files.iter().all(|file| file.action == FileAction::Keep)
            && self.images.iter().all(|image| image.action == ImageAction::Keep)
    }

    /// How many files of a kind an action is done to.
    pub fn count(&self, kind: FileKind, action: FileAction) -> usize {
        self.files.iter().filter(|file| file.file.kind == kind && file.action == action).count()
    }

    /// How many images an action is done to.
    pub fn count_images(&self, action: ImageAction) -> usize {
        self.images.iter().filter(|image| image.action == action).count()
    }

    /// Bytes of files that will be written.
    pub fn file_bytes(&self) -> u64 {
        self.files.iter().filter(|file| file.action != FileAction::Keep).map(|file| file.file.size).sum()
    }
}

fn planned_image(image: &WantedImage, wanted: &Wanted, state: &RuntimeState, tops: &[Digest]) -> PlannedImage {
    let blobs = content_of(image);
    let missing = blobs.iter().filter(|digest| !state.blobs.contains(digest));
    let missing: Vec<u64> = missing.filter_map(|digest| wanted.blobs.get(digest)).map(|blob| blob.size).collect();
    let target = image.target.digest.to_string();
    let right = |name: &String| state.names.get(name).is_some_and(|named| named.target == target && named.managed);
    let complete = missing.is_empty() && tops.iter().all(|chain| state.chains.contains(chain));
    let action = if complete && image.names.iter().all(right) {
        ImageAction::Keep
    } else if image.names.iter().any(|name| state.names.contains_key(name)) {
        ImageAction::Update
    } else {
        ImageAction::Add
    };
    PlannedImage {
        reference: image.reference.clone(),
        target: image.target.digest,
        names: image.names.clone(),
        missing_bytes: missing.iter().sum(),
        action,
    }
}

fn content_of(image: &WantedImage) -> BTreeSet<Digest> {
    let below = image.manifests.iter().flat_map(|manifest| {
        [&manifest.descriptor, &manifest.config].into_iter().chain(&manifest.layers).map(|descriptor| descriptor.digest)
    });
    below.chain([image.target.digest]).collect()
}
