//! Lock and registry to bundle: every byte planned first, then streamed to its place.
//!
//! Owns the order of the work: metadata and local files are read, the bundle is planned, blobs are moved. It must not
//! know how a bundle is encoded nor how a registry is asked.

mod charts;
mod error;
mod local;
mod metadata;
mod places;
mod transfer;
mod web;

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;

pub use charts::check_templates;
pub use error::FetchError;
pub use places::check_places;
pub use transfer::{Transfer, Written};

use crate::bundle::{
    BundlePlan, ImageParts, MAX_BYTES, Parts, ResolvedDependency, ResolvedPack, ResolvedProfile, compose,
};
use crate::chart::Chart;
use crate::download::{Address, Downloader};
use crate::images::Discovery;
use crate::lock::Lock;
use crate::oci::{Descriptor, Digest, Reference};
use crate::profile::{Dependency, Distribution, Profile};
use crate::registry::Registry;

/// The first release whose installer applies what this one builds. It moves when a bundle says something that older
/// installers would not understand.
const OLDEST_INSTALLER: &str = "0.1.0";
/// The same where a bundle has charts, configuration, variables or constraints.
const FILLING_INSTALLER: &str = "0.2.0";
/// The first that knows for how long to wait for what was applied.
const WAITING_INSTALLER: &str = "0.4.0";
/// The same where a bundle starts services.
const STARTING_INSTALLER: &str = "0.3.0";

/// The same where a distribution is one that installers did not know before.
const MAKING_INSTALLER: &str = "0.3.0";
/// Those distributions.
const MADE: [Distribution; 2] = [Distribution::Kubeadm, Distribution::Canonical];

/// A bundle that is known to the last offset, and where each of its large blobs comes from.
#[derive(Debug, Clone)]
pub struct PlannedBuild {
    /// SHA-256 of the bundle's `index.json`.
    pub identity: Digest,
    /// Where every byte goes.
    pub plan: BundlePlan,
    /// The image names that the bundle has.
    pub names: BTreeSet<String>,
    sources: HashMap<Digest, Source>,
}

/// Where a blob's bytes come from.
#[derive(Debug, Clone)]
enum Source {
    /// A repository that has it: the image that needs it, by digest.
    Registry(Reference),
    /// A file on this machine.
    File(PathBuf),
    /// A file of a web server.
    Web(Address),
}

/// What a bundle is to hold: the results of the steps before.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// What runs.
    pub profile: &'a Profile,
    /// Its charts, as packages.
    pub charts: &'a [Chart],
    /// The images that both name.
    pub discovery: &'a Discovery,
    /// What the names are exactly.
    pub lock: &'a Lock,
}

/// Where everything comes from that is not on this machine.
#[derive(Clone, Copy)]
pub struct Remotes<'a> {
    /// Registries.
    pub registry: &'a Registry,
    /// Web servers.
    pub downloader: &'a Downloader,
}

/// Whether a bundle carries its images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Images {
    /// All of them.
    Carried,
    /// None; the host's runtime pulls them by the digests of the lock.
    Absent,
}

/// Reads manifests, configurations, local files and small ones of web servers, and plans the bundle. Nothing large is fetched. `created` is what
/// the bundle says of when it was made (RFC 3339). Manifests are fetched `jobs` at once.
///
/// # Errors
/// Where a registry, a web server or a local file fails, or content is not what the lock or profile says.
pub async fn plan(
    inputs: Inputs<'_>,
    remotes: Remotes<'_>,
    images: Images,
    created: Option<String>,
    jobs: usize,
) -> Result<PlannedBuild, FetchError> {
    let Inputs { profile, charts, discovery, lock } = inputs;
    let mut sources = HashMap::new();
    let web = web::Web { downloader: remotes.downloader, locked: &lock.files };
    let (files, manifests) = local::read(profile, &web, &mut sources).await?;
    let charts = charts::read(profile, charts, &mut sources)?;
    let mut images = metadata::fetch(&lock.images, remotes.registry, images, jobs).await?;
    for image in &mut images {
        // They are sorted.
        let found = discovery.images.binary_search_by(|needed| needed.reference.cmp(&image.reference));
        let platforms = found.ok().map(|at| &discovery.images[at].platforms);
        image.platforms = platforms.filter(|only| **only != profile.platforms).cloned().unwrap_or_default();
    }
    let local = files.iter().map(|(file, _)| &file.blob).chain(manifests.iter().map(|(file, _)| &file.blob));
    check_sizes(local.chain(charts.iter().map(|(chart, ..)| &chart.blob)), &images)?;
    let names = check_names(&images)?;
    for image in &images {
        add_sources(image, &mut sources);
    }
    let mut parts = Parts {
        profile: resolve(profile, discovery, manifests.iter().any(|(manifest, _)| manifest.template)),
        created,
        requires_installer: OLDEST_INSTALLER.to_owned(),
        files,
        manifests,
        charts,
        config: charts::config(profile)?,
        images,
    };
    if parts.profile.packs.iter().any(|pack| !pack.services.is_empty()) {
        parts.requires_installer = STARTING_INSTALLER.to_owned();
    } else if says_more(&parts) {
        parts.requires_installer = FILLING_INSTALLER.to_owned();
    }
    if profile.packs.iter().filter_map(|pack| pack.distribution).any(|one| MADE.contains(&one)) {
        parts.requires_installer = MAKING_INSTALLER.to_owned();
    }
    if profile.ready.is_some() || parts.images.iter().any(is_odd) {
        parts.requires_installer = WAITING_INSTALLER.to_owned();
    }
    let regions = compose(&parts)?;
    let plan = BundlePlan::new(&regions).map_err(FetchError::Encode)?;
    Ok(PlannedBuild { identity: Digest::of(&regions.index), plan, names, sources })
}

/// Whether an image is in the bundle in a way that only later installers know.
fn is_odd(image: &ImageParts) -> bool {
    image.indexes.len() > 1 || !image.platforms.is_empty()
}

/// Whether a bundle says what the first installers do not understand.
fn says_more(parts: &Parts) -> bool {
    let profile = &parts.profile;
    let constrained = |pack: &ResolvedPack| {
        !pack.depends_on.is_empty() || !pack.requirements.is_empty() || pack.upgrade_from.is_some()
    };
    !parts.charts.is_empty()
        || parts.config.is_some()
        || !profile.variables.is_empty()
        || !profile.requirements.is_empty()
        || profile.packs.iter().any(constrained)
        // A placeholder that has a default of its own needs no variable.
        || parts.files.iter().any(|(file, _)| file.template)
        || parts.manifests.iter().any(|(manifest, _)| manifest.template)
}

/// Places are planned by what manifests claim. Each digest has one size, and all of them fit into a bundle.
fn check_sizes<'a>(files: impl Iterator<Item = &'a Descriptor>, images: &'a [ImageParts]) -> Result<(), FetchError> {
    let mut sizes: HashMap<Digest, u64> = files.map(|blob| (blob.digest, blob.size)).collect();
    for image in images {
        for layer in image.manifests.iter().flat_map(|manifest| &manifest.manifest.layers) {
            let other = *sizes.entry(layer.digest).or_insert(layer.size);
            if other != layer.size {
                let (reference, digest, size) = (image.reference.clone(), layer.digest, layer.size);
                return Err(FetchError::Sizes { reference, digest, size, other });
            }
        }
    }
    let total = sizes.values().fold(0, |sum: u64, size| sum.saturating_add(*size));
    if total > MAX_BYTES { Err(FetchError::TooLarge(total)) } else { Ok(()) }
}

/// The names that the images have, each of which may stand for one image only.
fn check_names(images: &[ImageParts]) -> Result<BTreeSet<String>, FetchError> {
    let mut names = HashMap::new();
    for image in images {
        for name in image.reference.runtime_names() {
            let first = *names.entry(name.clone()).or_insert(image.target.digest);
            if first != image.target.digest {
                return Err(FetchError::OneName { name, first, second: image.target.digest });
            }
        }
    }
    Ok(names.into_keys().collect())
}

fn add_sources(image: &ImageParts, sources: &mut HashMap<Digest, Source>) {
    for manifest in &image.manifests {
        let source = image.reference.pinned(Digest::of(&manifest.raw));
        for layer in &manifest.manifest.layers {
            sources.entry(layer.digest).or_insert_with(|| Source::Registry(source.clone()));
        }
    }
}

/// What the installer needs to know of the profile.
fn resolve(profile: &Profile, discovery: &Discovery, templates: bool) -> ResolvedProfile {
    let images_of = |pack: &str| {
        let needs = |reasons: &[crate::images::Reason]| reasons.iter().any(|reason| reason.pack == pack);
        let images = discovery.images.iter().filter(|image| needs(&image.reasons));
        images.map(|image| image.reference.clone()).collect()
    };
    let packs = profile.packs.iter().map(|pack| ResolvedPack {
        name: pack.name.clone(),
        layer: pack.layer.to_string(),
        version: pack.version.clone(),
        distribution: pack.distribution.as_ref().map(ToString::to_string),
        depends_on: pack.depends_on.iter().map(depends_on).collect(),
        requirements: pack.requirements.clone(),
        upgrade_from: pack.upgrade_from.clone(),
        services: pack.services.clone(),
        images: images_of(&pack.name),
    });
    let ignored = profile.ignore_images.iter().filter(|_| templates).map(|ignored| ignored.image.clone());
    ResolvedProfile {
        name: profile.name.clone(),
        version: profile.version.to_string(),
        description: profile.description.clone(),
        platforms: profile.platforms.clone(),
        requirements: profile.requirements.clone(),
        ready_seconds: profile.ready,
        variables: profile.variables.clone(),
        ignore_images: ignored.collect(),
        packs: packs.collect(),
    }
}

fn depends_on(dependency: &Dependency) -> ResolvedDependency {
    ResolvedDependency { pack: dependency.pack.clone(), version: dependency.version.clone() }
}
