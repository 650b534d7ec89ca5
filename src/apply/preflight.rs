//! Whether this host is ready for a bundle: every requirement with what is needed and what was found. Changes nothing.

use std::collections::BTreeMap;
use std::path::Path;

use indicatif::HumanBytes;

use super::ApplyError;
pub use super::check::{Check, UnknownCheck, Verdict, skip, table};
use super::claims;
use super::constraints;
use super::containerd::{Client, RuntimeState, Wanted};
use super::files::TargetFile;
use super::folders;
use super::history::History;
use super::image_folder::{self, ImageFolder};
use super::machine::Machine;
use super::pause;
use super::plan::FileAction;
use super::receipt;
use super::registries;
use super::rules::{CONTAINERD_ROOT, Rules};
use super::runtime_config;
use super::site;
use super::survey::{Target, TargetRuntime};
use super::targets::{Inputs, targets};
use super::upgrade;
pub use super::upgrade::allow_downgrade;
use crate::bundle::Contents;
use crate::distro::{Eviction, Free};
use crate::host::{Facts, disk};
use crate::io::{PathError, with_causes};
use crate::oci::Platform;
use crate::site::node::Node;

/// Where the containerd of k3s and of RKE2 has its socket.
const DISTRIBUTION_RUN: &str = "/run/k3s";
/// An image in containerd with its layers unpacked, in sizes of the image: an unpacked layer is never much smaller than its
/// blob, and often three times as large; a check that refuses a host must ask for what is certain only.
const UNPACKED: u64 = 2;

const ASKED: &str = "what the site and the profile ask of it";
const IMAGES_NEEDED: &str = "all of them for this platform";

/// Checks the host for a bundle with its values, or for any bundle where there is none. `machine` is what is installed into;
/// nothing is known of that where a root is prepared for another one.
///
/// # Errors
/// Where the system does not tell what there is, or the values do not fit what the bundle has.
pub async fn preflight(
    inputs: Option<Inputs<'_>>,
    target: &Target,
    machine: Option<&Facts>,
) -> Result<Vec<Check>, ApplyError> {
    let mut checks = Vec::new();
    let contents = inputs.map(|inputs| inputs.contents);
    if let Some(inputs) = inputs.filter(|_| target.asked.images_only) {
        return images_alone(inputs, target, machine).await;
    }
    let (files, eviction, history) = match inputs {
        Some(inputs) => {
            demands(inputs, target, machine, &mut checks)?;
            let ((files, eviction), history) = (files(inputs, target, &mut checks)?, History::of(&target.root)?);
            site::guard(inputs, target, &history, &files)?;
            (files, eviction, history)
        }
        None => (Vec::new(), None, History::default()),
    };
    if let (Some(inputs), true) = (inputs, target.root.is_host()) {
        checks.extend(registries::checks(inputs.contents, &target.platform, inputs.node).await);
    }
    let (runtime, client) = reachable(&target.runtime).await;
    if let Some(inputs) = inputs {
        checks.extend(pause::check(inputs, target, client.as_ref()).await);
        if let Some(machine) = machine {
            let groups_2 = machine.cgroups().is_some_and(|groups| groups.version == 2);
            checks.extend(runtime_config::checks(inputs, target, groups_2));
        }
    }
    let node = inputs.map_or(Node::alone(), |inputs| inputs.node);
    checks.push(writable(&files, node, target));
    let mut space = Space { machine, file_systems: BTreeMap::new() };
    // The disks of another machine are not here.
    if let (Some(_), Some(eviction)) = (machine, &eviction) {
        space.keep(&eviction.kubelet, eviction.nodefs, target)?;
        let images = contents.and_then(rules).map(|rules| rules.containerd(node));
        space.keep(&images.unwrap_or_else(|| CONTAINERD_ROOT.to_owned()), eviction.imagefs, target)?;
    }
    let pending = files.iter().filter(|file| file.look().is_ok_and(|found| !file.is(&found)));
    for file in pending {
        space.need(file.target.shown(), file.size)?;
    }
    checks.extend(runtime);
    imported(contents, node, target, client, &mut checks, &mut space).await?;
    if let (TargetRuntime::Folder(folder), Some(inputs)) = (&target.runtime, inputs) {
        archive(inputs, &files, *folder, target, &history, &mut checks, &mut space)?;
    }
    checks.extend(space.checks());
    Ok(checks)
}

/// What is asked of a host that gets the images alone.
async fn images_alone(inputs: Inputs<'_>, target: &Target, machine: Option<&Facts>) -> Result<Vec<Check>, ApplyError> {
    let (contents, node) = (inputs.contents, inputs.node);
    let here = machine.and_then(Facts::platform);
    let mut checks = vec![platform(contents, here.as_ref().unwrap_or(&target.platform))];
    checks.extend(upgrade::installer(contents));
    checks.push(writable(&[], node, target));
    let (runtime, client) = reachable(&target.runtime).await;
    checks.extend(runtime);
    let mut space = Space { machine, file_systems: BTreeMap::new() };
    imported(Some(contents), node, target, client, &mut checks, &mut space).await?;
    checks.extend(space.checks());
    Ok(checks)
}

/// Room for what the containerd that answers lacks.
async fn imported(
    contents: Option<&Contents>,
    node: &Node,
    target: &Target,
    client: Option<Client>,
    checks: &mut Vec<Check>,
    space: &mut Space<'_>,
) -> Result<(), ApplyError> {
    if let TargetRuntime::Containerd { address, unpack, .. } = &target.runtime
        && let (Some(contents), Some(client)) = (contents, client)
    {
        let missing = images(contents, target, &client, checks).await;
        let distributions =
            rules(contents).filter(|_| address.starts_with(DISTRIBUTION_RUN)).map(|rules| rules.containerd(node));
        let content = distributions.unwrap_or_else(|| CONTAINERD_ROOT.to_owned());
        space.need(Path::new(&content), if *unpack { missing * UNPACKED } else { missing })?;
    }
    Ok(())
}

/// The rules of the distribution that the profile names.
fn rules(contents: &Contents) -> Option<&'static Rules> {
    contents.profile.packs.iter().find_map(|pack| Rules::of(pack.distribution.as_deref()?))
}

/// What the profile, its packs and its distribution ask for.
fn demands(
    inputs: Inputs<'_>,
    target: &Target,
    machine: Option<&Facts>,
    checks: &mut Vec<Check>,
) -> Result<(), ApplyError> {
    let Inputs { contents, node, .. } = inputs;
    let profile = &contents.profile;
    let here = machine.and_then(Facts::platform);
    checks.push(platform(contents, here.as_ref().unwrap_or(&target.platform)));
    checks.extend(upgrade::installer(contents));
    let receipts = receipt::all(&target.root)?;
    if let Some(facts) = machine {
        let (root, created) = (target.root.folder(), contents.created.as_deref());
        let installed = receipts.iter().any(|receipt| receipt.name == profile.name);
        checks.extend(Machine { profile, facts, root, created, node, installed }.checks()?);
    }
    checks.extend(constraints::checks(profile, &receipts));
    checks.extend(upgrade::checks(profile, &receipts));
    Ok(())
}

/// The files that the host gets, where all of them have a place and all images that they name are there, and what the
/// distribution's kubelet wants to be free.
fn files(
    inputs: Inputs<'_>,
    target: &Target,
    checks: &mut Vec<Check>,
) -> Result<(Vec<TargetFile>, Option<Eviction>), ApplyError> {
    match targets(inputs, target) {
        Ok((files, setup)) => {
            let history = History::of(&target.root)?;
            let claims = claims::of(&setup, &inputs.contents.profile.name, &history, &target.root)?;
            checks.extend(folders::check(&claims));
            if let Err(ApplyError::Refused(refusals)) = folders::refuse_root(&claims, inputs.node) {
                checks.push(Check::new("distribution", ASKED, refusals.join("; "), false));
            }
            return Ok((files, setup.eviction));
        }
        Err(ApplyError::Refused(refusals)) => {
            checks.push(Check::new("distribution", ASKED, refusals.join("; "), false));
        }
        Err(ApplyError::MissingImages(missing)) => {
            let check = Check::new("manifests", "images that the bundle has", missing.join("; "), false);
            checks.push(check.or("give other values, or build the bundle with these images"));
        }
        Err(error @ ApplyError::File(_)) => checks.push(failed("files", "places for all files", &error)),
        Err(error) => return Err(error),
    }
    Ok((Vec::new(), None))
}

/// An old archive is there until the new one has its name, so its space does not count.
fn archive(
    inputs: Inputs<'_>,
    files: &[TargetFile],
    folder: ImageFolder,
    target: &Target,
    history: &History,
    checks: &mut Vec<Check>,
    space: &mut Space<'_>,
) -> Result<(), PathError> {
    let contents = inputs.contents;
    let planned = image_folder::wanted(contents, &target.platform)
        .and_then(|wanted| image_folder::look(inputs, &wanted, files, folder, &target.root, history));
    match planned {
        Ok(Some(planned)) if planned.action != FileAction::Keep => {
            // One that is decompressed in the end is there twice for a moment.
            let copies = if folder.takes_zstd() { 1 } else { 2 };
            space.need(planned.target.shown(), planned.size * copies)?;
            // What a distribution that has run before has of these images already, nobody knows yet.
            let content = rules(contents).map(|rules| rules.containerd(inputs.node));
            let fresh = space.machine.zip(content).filter(|(machine, content)| !machine.exists(content));
            if let Some((_, content)) = fresh {
                space.need(&target.root.folder().join(content.trim_start_matches('/')), planned.size * UNPACKED)?;
            }
        }
        Ok(_) => {}
        Err(error) => checks.push(failed("images", IMAGES_NEEDED, &error)),
    }
    Ok(())
}

fn failed(name: &str, needed: &str, error: &dyn std::error::Error) -> Check {
    Check::new(name, needed, with_causes(error), false)
}

fn platform(contents: &Contents, here: &Platform) -> Check {
    let served = &contents.profile.platforms;
    let needed = served.iter().map(Platform::to_string).collect::<Vec<_>>().join(" or ");
    Check::new("platform", needed, here.to_string(), served.iter().any(|platform| platform.satisfies(here)))
}

fn writable(files: &[TargetFile], node: &Node, target: &Target) -> Check {
    let folders = files.iter().filter_map(|file| file.target.shown().parent());
    let receipts = receipt::folder(&target.root).map(|folder| folder.shown().to_owned());
    let receipts = receipts.unwrap_or_else(|_| target.root.folder().to_owned());
    let images = match target.runtime {
        TargetRuntime::Folder(folder) => folder.resolve(node, &target.root).ok(),
        _ => None,
    };
    let folders: Vec<&Path> = folders.chain([receipts.as_path()]).chain(images.as_deref()).collect();
    let refused: Vec<&Path> = folders.into_iter().filter(|folder| !disk::is_writable(folder)).collect();
    let read_only = refused.iter().any(|folder| disk::is_read_only(folder));
    let mut refused: Vec<String> = refused.iter().map(|folder| folder.display().to_string()).collect();
    refused.sort_unstable();
    refused.dedup();
    if refused.is_empty() {
        return Check::new("folders", "writable", "writable", true);
    }
    let (found, hint) = match read_only {
        true => (
            "on a read-only file system",
            "mount it for writing: mount -o remount,rw; where it has become read-only by itself, dmesg tells of errors of the disk",
        ),
        false => ("not writable", "run carrack-install as root, or install into a folder of your own: --root DIR"),
    };
    Check::new("folders", "writable", format!("{found}: {}", refused.join(", ")), false).or(hint)
}

/// The containerd that images go to, and whether it answers.
async fn reachable(runtime: &TargetRuntime) -> (Option<Check>, Option<Client>) {
    let TargetRuntime::Containerd { address, namespace, .. } = runtime else { return (None, None) };
    let needed = format!("answers at {}", address.display());
    match Client::connect(address, namespace).await {
        Ok(client) => {
            let found = format!("version {}", client.version());
            (Some(Check::new("containerd", needed, found, true)), Some(client))
        }
        Err(error) => {
            let check = failed("containerd", &needed, &error).or(
                "start containerd, or name its socket: --containerd-address SOCKET; or leave images alone: --runtime none",
            );
            (Some(check), None)
        }
    }
}

/// Bytes of content that containerd lacks.
async fn images(contents: &Contents, target: &Target, client: &Client, checks: &mut Vec<Check>) -> u64 {
    let wanted = match Wanted::of(contents, &target.platform) {
        Ok(wanted) => wanted,
        Err(error) => {
            checks.push(failed("images", IMAGES_NEEDED, &error));
            return 0;
        }
    };
    let state = match client.state(&wanted, &[]).await {
        Ok(state) => state,
        Err(error) => {
            checks.push(failed("images", IMAGES_NEEDED, &error));
            RuntimeState::default()
        }
    };
    wanted.blobs.iter().filter(|(digest, _)| !state.blobs.contains(digest)).map(|(_, blob)| blob.size).sum()
}

/// Space that is needed, by file system.
struct Space<'a> {
    machine: Option<&'a Facts>,
    file_systems: BTreeMap<u64, FileSystem>,
}

/// What is wanted of a file system.
struct FileSystem {
    space: disk::Space,
    /// Bytes that are going to be written.
    needed: u64,
    /// What the kubelet wants to be free after that, where anything.
    kept: Option<Free>,
}

impl Space<'_> {
    fn need(&mut self, path: &Path, bytes: u64) -> Result<(), PathError> {
        self.of(path)?.needed += bytes;
        Ok(())
    }

    /// Has `free` stay of the file system of `path`, which is within the root of `target`.
    fn keep(&mut self, path: &str, free: Free, target: &Target) -> Result<(), PathError> {
        let one = self.of(&target.root.folder().join(path.trim_start_matches('/')))?;
        if one.kept.is_none_or(|kept| kept.of(one.space.size) < free.of(one.space.size)) {
            one.kept = Some(free);
        }
        Ok(())
    }

    fn of(&mut self, path: &Path) -> Result<&mut FileSystem, PathError> {
        let space = self.machine.map_or_else(|| disk::space(path), |machine| machine.space(path))?;
        Ok(self.file_systems.entry(space.device).or_insert(FileSystem { space, needed: 0, kept: None }))
    }

    fn checks(self) -> Vec<Check> {
        self.file_systems.into_values().map(FileSystem::check).collect()
    }
}

impl FileSystem {
    fn check(self) -> Check {
        let Self { space, needed, kept } = self;
        let stays = kept.map_or(0, |kept| kept.of(space.size));
        let mut wanted = format!("{} in {}", HumanBytes(needed), space.folder.display());
        if let Some(kept) = kept.filter(|_| stays > 0) {
            wanted.push_str(&format!(", and {kept} left for the kubelet ({})", HumanBytes(stays)));
        }
        let enough = needed.saturating_add(stays) <= space.free;
        let check = Check::new("space", wanted, format!("{} free", HumanBytes(space.free)), enough);
        check.or(match needed <= space.free {
            true => "free some space there, or make the file system larger: with less left, the kubelet starts no pods",
            false => "free some space there, or make the file system larger",
        })
    }
}
