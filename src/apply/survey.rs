//! Looking at the host before anything changes: what is there of what the bundle wants.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use super::ApplyError;
use super::archive;
use super::by_hand::{self, Aside, Settled};
use super::check::Check;
use super::choices::Choices;
use super::claims::{self, Claimed, Prior};
use super::cluster::distribution;
use super::configuration;
use super::conflicts;
use super::containerd::{Client, RuntimeState, Unpack, Wanted, WantedImage};
use super::difference;
use super::dropped;
use super::files::{Before, FileKind, Found, TargetFile};
use super::folders;
use super::history::History;
use super::image_folder::{self, ImageFolder};
use super::images_only;
use super::lock::RootLock;
use super::plan::{FileAction, HostPlan};
use super::receipt;
use super::released;
use super::services;
use super::site;
use super::source::Source;
use super::targets::{Inputs, targets};
use super::task::joined;
use super::unkept;
use crate::bundle::{BundledManifest, Contents};
use crate::distro::Setup;
use crate::host::Root;
use crate::io::Place;
use crate::oci::{Digest, ImageConfig, Platform, media_type};
use crate::site::node::Node;

/// Where a bundle is to be installed.
#[derive(Debug, Clone)]
pub struct Target {
    /// The file system.
    pub root: Root,
    /// Where images go.
    pub runtime: TargetRuntime,
    /// Which platform's files and images.
    pub platform: Platform,
    /// How many versions before this one can be gone back to: their images and files stay.
    pub keep: usize,
    /// What was chosen, for the versions after this one too.
    pub choices: Choices,
    /// What was said for this time only.
    pub asked: Asked,
    /// The version of the containerd that images go to, where it was asked and has answered; see [`Target::ask`].
    pub containerd: Option<String>,
}

impl Target {
    /// The same once the containerd that images go to was asked for its version. Where it does not answer nothing is known of it;
    /// who needs it says why.
    pub async fn ask(self) -> Self {
        let containerd = match &self.runtime {
            TargetRuntime::Containerd { address, namespace, .. } => {
                Client::connect(address, namespace).await.ok().map(|client| client.version().to_owned())
            }
            _ => None,
        };
        Self { containerd, ..self }
    }
}

/// What somebody has said for one installation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Asked {
    /// Whether a site was given.
    pub site: bool,
    /// Whether the machine may take another part in its cluster, or go to another cluster.
    pub change_role: bool,
    /// Whether the images alone are brought, ahead of the version.
    pub images_only: bool,
}

/// Where images go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TargetRuntime {
    /// Nowhere: images are checked and left in the bundle.
    None,
    /// Into a containerd.
    Containerd {
        /// Its socket.
        address: PathBuf,
        /// Its namespace.
        namespace: String,
        /// Whether layers are unpacked, so that the first start of a container need not.
        unpack: bool,
    },
    /// Into the folder that a Kubernetes distribution imports from when it starts.
    Folder(ImageFolder),
}

/// What a bundle wants, and what the host has of it.
#[derive(Debug)]
pub struct Survey {
    pub(super) target: Target,
    pub(super) runtime: Option<RuntimeSurvey>,
    /// What goes into an archive.
    pub(super) archived: Option<Arc<Wanted>>,
    /// What apply would change.
    pub plan: HostPlan,
    /// What was checked of the host, for the receipt.
    pub preflight: Vec<Check>,
    /// What has been installed before.
    pub(super) history: History,
    /// What the distribution wants.
    pub(super) setup: Setup,
    /// What was at the places that it fills.
    pub(super) claims: Vec<Claimed>,
    /// What is written besides the plan's files.
    pub(super) asides: Vec<Aside>,
    /// None where this only looks.
    pub(super) lock: Option<RootLock>,
}

#[derive(Debug)]
pub(super) struct RuntimeSurvey {
    pub(super) client: Client,
    pub(super) wanted: Arc<Wanted>,
    pub(super) unpacks: Vec<Unpack>,
}

/// Looks at the host. Nothing is changed. `lock` is that of the target's root, taken before the values were settled;
/// none where nothing is going to change.
///
/// # Errors
/// Where something is in the way of what the bundle wants, or does not answer.
pub async fn survey(inputs: Inputs<'_>, target: &Target, lock: Option<RootLock>) -> Result<Survey, ApplyError> {
    let profile = &inputs.contents.profile;
    receipt::check_name(&profile.name, &profile.version)?;
    check_installer(inputs.contents)?;
    if target.asked.images_only {
        return images_only::survey(inputs, target, lock).await;
    }
    let (files, setup) = targets(inputs, target)?;
    let history = History::of(&target.root)?;
    let name = &profile.name;
    site::guard(inputs, target, &history, &files)?;
    let claims = claims::of(&setup, name, &history, &target.root)?;
    folders::refuse_root(&claims, inputs.node)?;
    let setup = folders::told(setup, &claims, &target.root);
    if let Some(version) = history.lost(name, &target.root)?.filter(|version| *version != profile.version) {
        return Err(ApplyError::LostReceipt { name: name.clone(), version });
    }
    let Settled { files, by_hand, asides } = by_hand::settle(files, &history, name, &target.root)?;
    let mut survey = compare(inputs, files, target, &history, lock).await?;
    (survey.setup, survey.claims) = (setup, claims);
    (survey.asides, survey.plan.by_hand) = (asides, by_hand);
    let dropped = dropped::files(&history, name, &target.root, &survey.plan)?;
    (survey.plan.removals, survey.plan.stays) = (dropped.removals, dropped.stays);
    survey.plan.left_originals = dropped.originals;
    survey.plan.site = site::changes(inputs.node, &history, name, &target.root)?;
    let (_, distribution) = distribution(inputs.contents);
    survey.plan.address = site::warning(inputs.node, distribution, &history, name, &target.root)?;
    survey.plan.taken = taken(&history, name, &survey.plan);
    let secret = profile.variables.iter().any(|variable| variable.sensitive);
    survey.plan.configuration = configuration::look(&survey.setup, &survey.plan, &history, name, &target.root, secret)?;
    survey.plan.overwritten = overwritten(&history, name, &survey.plan)?;
    survey.plan.cluster = services::of_cluster(inputs.contents, &survey.setup, &target.root, &survey.plan);
    survey.plan.services = services::planned(&inputs.contents.profile, &target.root, &survey.plan);
    survey.plan.dropped_services = services::dropped(&history, name, &survey.plan);
    survey.plan.files = {
        let (files, history) = (std::mem::take(&mut survey.plan.files), history.clone());
        let source = inputs.source.clone();
        blocking(move || difference::tell(files, &source, &history)).await?
    };
    conflicts::names_are_free(survey.needed_names()?, &target.root)?;
    survey.plan.unkept = unkept::look(&survey.plan, &history, &target.root)?;
    if let Some(RuntimeSurvey { client, wanted, .. }) = &survey.runtime {
        let (behind, others) = (history.behind(name, &inputs.contents.identity), history.others(name));
        let staged = history.staged(name);
        survey.plan.released = released::names(&behind, staged, target.keep, &others, wanted, client).await?;
    }
    survey.history = history;
    Ok(survey)
}

/// Files that are replaced and are those of another profile.
fn taken(history: &History, name: &str, plan: &HostPlan) -> Vec<(String, String)> {
    let replaced = plan.files.iter().filter(|planned| planned.action == FileAction::Replace);
    let owned = replaced.filter_map(|planned| Some((&planned.file.path, history.owner(&planned.file.path)?)));
    owned.filter(|(_, owner)| *owner != name).map(|(path, owner)| (path.clone(), owner.to_owned())).collect()
}

/// Files that are replaced although they are not what was installed; what becomes of configuration is told elsewhere.
fn overwritten(history: &History, name: &str, plan: &HostPlan) -> Result<Vec<String>, ApplyError> {
    let Some(current) = history.of_profile(name).next() else { return Ok(Vec::new()) };
    let mut overwritten = Vec::new();
    let taken = |path: &String| plan.taken.iter().any(|(taken, _)| taken == path);
    let replaced = plan.files.iter().filter(|planned| planned.action == FileAction::Replace);
    let replaced = replaced.filter(|planned| !taken(&planned.file.path));
    for planned in replaced.filter(|planned| planned.file.kind != FileKind::Config) {
        let installed = current.receipt.files.iter().find(|file| file.path == planned.file.path);
        let found = Before::at(&planned.file.target)?.and_then(|found| found.digest);
        if installed.is_some_and(|installed| found != Some(installed.digest)) {
            overwritten.push(planned.file.path.clone());
        }
    }
    Ok(overwritten)
}

impl Survey {
    /// What is needed beside each file that changes, with its path within the root.
    fn needed_names(&self) -> Result<Vec<(&str, Vec<Place>)>, ApplyError> {
        let mut needed = Vec::new();
        let files = self.plan.files.iter().filter(|planned| planned.action != FileAction::Keep);
        let files = files.map(|planned| (planned.file.path.as_str(), &planned.file.target));
        let removals = self.plan.removals.iter().map(|removal| (removal.path.as_str(), &removal.target));
        for (path, target) in files.chain(removals) {
            needed.push((path, conflicts::beside(target)?));
        }
        if let Some(planned) = self.plan.archive.as_ref().filter(|planned| planned.action != FileAction::Keep) {
            needed.push((&planned.path, conflicts::beside(&planned.target)?));
            needed.push((&planned.path, archive::provisional(planned)?));
        }
        Ok(needed)
    }

    /// The folder that the site names for the distribution's data, where that is absent.
    pub(super) fn absent_root(&self, node: &Node) -> Option<String> {
        let root = node.install_root.as_ref()?;
        let absent = |one: &&Claimed| one.claim.path == *root && one.claim.before == Prior::Absent;
        self.claims.iter().find(absent).map(|one| one.claim.path.clone())
    }

    /// One that knows no more than the plan.
    pub(super) fn of(target: &Target, plan: HostPlan, lock: Option<RootLock>) -> Self {
        Self {
            target: target.clone(),
            runtime: None,
            archived: None,
            plan,
            preflight: Vec::new(),
            history: History::default(),
            setup: Setup::default(),
            claims: Vec::new(),
            asides: Vec::new(),
            lock,
        }
    }
}

async fn compare(
    inputs: Inputs<'_>,
    files: Vec<TargetFile>,
    target: &Target,
    history: &History,
    lock: Option<RootLock>,
) -> Result<Survey, ApplyError> {
    if let TargetRuntime::Folder(folder) = target.runtime {
        return survey_folder(inputs, files, folder, target, history, lock).await;
    }
    let files = blocking(move || look(files)).await?;
    if !matches!(target.runtime, TargetRuntime::Containerd { .. }) {
        let plan = HostPlan::new(files, None);
        return Ok(Survey::of(target, plan, lock));
    }
    let found = look_at_images(inputs, target).await?;
    let plan = HostPlan::new(files, Some((&found.wanted, &found.state, &found.tops)));
    Ok(Survey { runtime: Some(found.into()), ..Survey::of(target, plan, lock) })
}

/// What a containerd has of the images, and what it needs of them.
pub(super) struct FoundImages {
    pub(super) client: Client,
    pub(super) wanted: Wanted,
    pub(super) state: RuntimeState,
    /// The top snapshots that each image needs.
    pub(super) tops: Vec<Vec<Digest>>,
    unpacks: Vec<Unpack>,
}

impl From<FoundImages> for RuntimeSurvey {
    fn from(found: FoundImages) -> Self {
        let FoundImages { client, wanted, unpacks, .. } = found;
        Self { client, wanted: Arc::new(wanted), unpacks }
    }
}

/// Asks the containerd of the target for the images of the bundle.
///
/// # Errors
/// Where there is none, or it does not answer.
pub(super) async fn look_at_images(inputs: Inputs<'_>, target: &Target) -> Result<FoundImages, ApplyError> {
    let TargetRuntime::Containerd { address, namespace, unpack } = &target.runtime else {
        return Err(ApplyError::ImagesOnly);
    };
    let wanted = Wanted::of(inputs.contents, &target.platform)?;
    let client = Client::connect(address, namespace).await?;
    let (unpacks, tops) = match unpack {
        true => unpacks(&wanted, inputs.source)?,
        false => (Vec::new(), vec![Vec::new(); wanted.images.len()]),
    };
    let chains: BTreeSet<Digest> = tops.iter().flatten().copied().collect();
    let state = client.state(&wanted, &chains.into_iter().collect::<Vec<_>>()).await?;
    Ok(FoundImages { client, wanted, state, tops, unpacks })
}

fn check_installer(contents: &Contents) -> Result<(), ApplyError> {
    let this = semver::Version::parse(env!("CARGO_PKG_VERSION")).ok();
    match (&contents.requires_installer, this) {
        (Some(needs), Some(this)) if *needs > this => Err(ApplyError::Installer { needs: needs.to_string() }),
        _ => Ok(()),
    }
}

async fn survey_folder(
    inputs: Inputs<'_>,
    files: Vec<TargetFile>,
    folder: ImageFolder,
    target: &Target,
    history: &History,
    lock: Option<RootLock>,
) -> Result<Survey, ApplyError> {
    let wanted = Arc::new(image_folder::wanted(inputs.contents, &target.platform)?);
    let archive = image_folder::look(inputs, &wanted, &files, folder, &target.root, history)?;
    let images = Arc::clone(&wanted);
    let plan = blocking(move || Ok::<_, ApplyError>(HostPlan::with_archive(look(files)?, &images, archive)));
    Ok(Survey { archived: Some(wanted), ..Survey::of(target, plan.await?, lock) })
}

/// Runs what reads files on a thread of its own.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    joined(tokio::task::spawn_blocking(work).await)
}

fn look(files: Vec<TargetFile>) -> Result<Vec<(TargetFile, Found)>, ApplyError> {
    files.into_iter().map(|file| Ok((file.look()?, file)).map(|(found, file)| (file, found))).collect()
}

/// How every image is unpacked, and the snapshots that each needs, from the configurations in the bundle.
fn unpacks(wanted: &Wanted, source: &Source) -> Result<(Vec<Unpack>, Vec<Vec<Digest>>), ApplyError> {
    let (mut unpacks, mut tops) = (Vec::new(), Vec::new());
    for image in &wanted.images {
        let mut of_image = Vec::new();
        // An OCI artifact has a configuration of another type, and nothing to unpack.
        for manifest in image.manifests.iter().filter(|one| media_type::is_image_config(&one.config.media_type)) {
            let unpack = unpack_of(image, manifest, source)?;
            of_image.extend(unpack.chain.last().copied());
            unpacks.push(unpack);
        }
        tops.push(of_image);
    }
    Ok((unpacks, tops))
}

fn unpack_of(image: &WantedImage, manifest: &BundledManifest, source: &Source) -> Result<Unpack, ApplyError> {
    let (name, config) = (image.reference.to_string(), &manifest.config);
    let raw = source.read_small(config).map_err(|source| ApplyError::Blob {
        digest: config.digest,
        needed_by: vec![name.clone()],
        source,
    })?;
    let parsed = ImageConfig::parse(&raw).map_err(|source| ApplyError::Config {
        image: name.clone(),
        digest: config.digest,
        source,
    })?;
    let count = parsed.diff_ids.len();
    let unpack = Unpack::new(name.clone(), config.digest, &parsed, &manifest.layers);
    unpack.ok_or_else(|| ApplyError::LayerCount { image: name, diff_ids: count, layers: manifest.layers.len() })
}
