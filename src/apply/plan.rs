//! The host plan: what apply would change, from what the bundle wants and what the host has. Pure.

use std::collections::BTreeSet;

use super::ImageFolder;
use super::SiteChange;
use super::by_hand::ByHand;
use super::configuration::Reconfigured;
use super::containerd::{NameChange, RuntimeState, Wanted, WantedImage};
use super::difference::Difference;
use super::dropped;
use super::files::{Before, Found, TargetFile};
use super::image_folder;
use super::receipt::ReceiptArchive;
use crate::bundle::ResolvedPack;
use crate::io::Place;
use crate::oci::{Digest, Reference};

/// What apply would do to the host.
#[derive(Debug, Clone, Default)]
pub struct HostPlan {
    /// Files and Kubernetes manifests, in the bundle's order.
    pub files: Vec<PlannedFile>,
    /// Images, in the bundle's order. Empty where images are left alone.
    pub images: Vec<PlannedImage>,
    /// The archive that holds the images, where they go into a distribution's folder.
    pub archive: Option<PlannedArchive>,
    /// Files that the installed version of the profile put on the host and this one does not want.
    pub removals: Vec<Removal>,
    /// What stays although it is not wanted any more, within the root, since it is not what was installed.
    pub stays: Vec<String>,
    /// What was there before those, by path; it stays where it is kept.
    pub left_originals: Vec<(String, Before)>,
    /// What of files that are replaced cannot be kept, a sentence for each.
    pub unkept: Vec<String>,
    /// Configuration that was changed by hand, and what becomes of it.
    pub by_hand: Vec<ByHand>,
    /// Files that are replaced although somebody has changed them since they were installed, within the root.
    pub overwritten: Vec<String>,
    /// Files that are replaced and are those of another profile, and its name.
    pub taken: Vec<(String, String)>,
    /// Units of the distribution.
    pub cluster: Vec<PlannedService>,
    /// Units that run, in the profile's order.
    pub services: Vec<PlannedService>,
    /// Units that the installed version runs and this one does not, within the running host.
    pub dropped_services: Vec<String>,
    /// Names of images that no version needs any more that one could go back to.
    pub released: Vec<NameChange>,
    /// Names that stand for other images until the version is installed whose images are brought ahead.
    pub left_names: Vec<String>,
    /// What the site changes of the one that is installed.
    pub site: Vec<SiteChange>,
    /// What changes of the configuration of a node that runs.
    pub configuration: Reconfigured,
    /// What a person should know of the node's addresses.
    pub address: Option<String>,
}

/// A file that is taken away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removal {
    /// Its path within the root.
    pub path: String,
    /// Where that is on the running host.
    pub target: Place,
    /// The pack that it was of.
    pub pack: String,
    /// What was there before anything was installed, and is put back.
    pub original: Option<Before>,
}

/// A unit that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedService {
    /// Its name.
    pub unit: String,
    /// The pack that asks for it.
    pub pack: String,
    /// Whether it runs now.
    pub active: bool,
    /// Whether it starts with the host now.
    pub enabled: bool,
    /// What is done.
    pub action: ServiceAction,
}

/// What is done to a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServiceAction {
    /// It is enabled and started.
    Start,
    /// It runs, and something of its pack has changed.
    Restart,
    /// It is as it must be.
    Keep,
}

/// What would become of an archive of images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedArchive {
    /// The folder that it goes into.
    pub folder: ImageFolder,
    /// Its path within the root.
    pub path: String,
    /// Where that is on the running host.
    pub target: Place,
    /// Bytes of the images in it. The file has a little more, or less where layers are compressed on the way.
    pub size: u64,
    /// What is there now.
    pub found: Found,
    /// What is there, where that is the archive as it must be.
    pub kept: Option<ReceiptArchive>,
    /// What would be done.
    pub action: FileAction,
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
    /// What changes in it, where it is replaced.
    pub difference: Option<Difference>,
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
        let images = runtime.map(|(wanted, state, tops)| {
            let pairs = wanted.images.iter().zip(tops);
            pairs.map(|(image, tops)| planned_image(image, wanted, state, tops)).collect()
        });
        Self { files: planned_files(files), images: images.unwrap_or_default(), ..Self::default() }
    }

    /// The same where the images of `wanted` go into an archive.
    pub fn with_archive(files: Vec<(TargetFile, Found)>, wanted: &Wanted, archive: Option<PlannedArchive>) -> Self {
        let images =
            archive.iter().flat_map(|archive| wanted.images.iter().map(|image| archived_image(image, archive.action)));
        let (files, images) = (planned_files(files), images.collect());
        Self { files, images, archive, ..Self::default() }
    }

    /// What a person should know before and after.
    pub fn warnings(&self) -> Vec<String> {
        let stays = self.stays.iter().map(|path| {
            format!("{path} is no longer wanted, but was changed since it was installed; it stays, so look whether it is needed")
        });
        let overwritten = self.overwritten.iter().map(|path| {
            format!("{path} was changed since it was installed, and is replaced; save what is needed of it before")
        });
        let taken = self.taken.iter().map(|(path, profile)| {
            format!("{path} is a file of {profile}, which is installed too, and is replaced; {profile} has it again once this is gone")
        });
        let originals = dropped::left_originals(&self.left_originals);
        stays
            .chain(originals)
            .chain(self.unkept.iter().cloned())
            .chain(self.address.clone())
            .chain(self.configuration.warnings.iter().cloned())
            .chain(self.left_names.iter().map(|name| {
                format!("{name} goes on standing for the image that it has, until this version is installed")
            }))
            .chain(overwritten)
            .chain(taken)
            .chain(self.by_hand.iter().flat_map(ByHand::warnings))
            .collect()
    }

    /// The units of the distribution, and those of packs.
    pub fn units(&self) -> impl Iterator<Item = &PlannedService> {
        self.cluster.iter().chain(&self.services)
    }

    /// Whether anything of a pack changes: what runs of it reads something new.
    pub fn touches(&self, pack: &ResolvedPack) -> bool {
        self.files.iter().any(|file| file.file.pack == pack.name && file.action != FileAction::Keep)
            || self.removals.iter().any(|removal| removal.pack == pack.name)
            || self
                .images
                .iter()
                .any(|image| image.action != ImageAction::Keep && pack.images.contains(&image.reference))
    }

    /// Whether the host is already as the bundle wants it.
    pub fn is_empty(&self) -> bool {
        self.is_in_place()
            && self.removals.is_empty()
            && self.units().all(|service| service.action == ServiceAction::Keep)
            && self.dropped_services.is_empty()
            && self.site.is_empty()
            && self.configuration.fields.is_empty()
    }

    /// Whether everything that the bundle carries is where it belongs, whatever is done to units.
    pub fn is_in_place(&self) -> bool {
        self.files.iter().all(|file| file.action == FileAction::Keep)
            && self.images.iter().all(|image| image.action == ImageAction::Keep)
            && self.archive.as_ref().is_none_or(|archive| archive.action == FileAction::Keep)
    }

    /// How many files an action is done to.
    pub fn count(&self, action: FileAction) -> usize {
        self.files.iter().filter(|file| file.action == action).count()
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

fn planned_files(files: Vec<(TargetFile, Found)>) -> Vec<PlannedFile> {
    let planned = files.into_iter().map(|(file, found)| {
        let action = match &found {
            found if file.is(found) => FileAction::Keep,
            Found::Absent => FileAction::Create,
            Found::Regular { .. } | Found::Link => FileAction::Replace,
        };
        PlannedFile { file, found, action, difference: None }
    });
    planned.collect()
}

/// An archive is written anew or kept as a whole.
fn archived_image(image: &WantedImage, archive: FileAction) -> PlannedImage {
    let (action, missing_bytes) = match archive {
        FileAction::Keep => (ImageAction::Keep, 0),
        FileAction::Create => (ImageAction::Add, image_folder::blobs(std::slice::from_ref(image)).values().sum()),
        FileAction::Replace => (ImageAction::Update, image_folder::blobs(std::slice::from_ref(image)).values().sum()),
    };
    PlannedImage {
        reference: image.reference.clone(),
        target: image.target.digest,
        names: image.names.clone(),
        missing_bytes,
        action,
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
        [&manifest.manifest, &manifest.config].into_iter().chain(manifest.layers.iter()).map(|blob| blob.digest)
    });
    let indexes = image.indexes.iter().map(|index| index.blob.digest);
    below.chain(indexes).chain([image.target.digest]).collect()
}
