//! Whether this host is ready for a bundle: every requirement with what is needed and what was found. Changes nothing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use indicatif::HumanBytes;
use serde::Serialize;

use super::ApplyError;
use super::constraints;
use super::containerd::{Client, RuntimeState, Wanted};
use super::files::TargetFile;
use super::image_folder::{self, ImageFolder};
use super::plan::FileAction;
use super::receipt;
use super::survey::{Target, TargetRuntime};
use super::targets::{Inputs, targets};
use crate::bundle::Contents;
use crate::host::disk;
use crate::io::{PathError, with_causes};
use crate::oci::Platform;

/// One requirement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Check {
    /// What is looked at.
    pub name: String,
    /// What must be.
    pub needed: String,
    /// What is.
    pub found: String,
    /// Whether that is enough.
    pub ok: bool,
    /// What to do where it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// containerd's content and snapshots are there unless its configuration says otherwise, which it does not tell.
const CONTAINERD_ROOT: &str = "/var/lib/containerd";

const IMAGES_NEEDED: &str = "all of them for this platform";

/// Checks the host for a bundle with its values, or for any bundle where there is none.
///
/// # Errors
/// Where the system does not tell what there is, or the values do not fit what the bundle has.
pub async fn preflight(inputs: Option<Inputs<'_>>, target: &Target) -> Result<Vec<Check>, ApplyError> {
    let mut checks = Vec::new();
    let contents = inputs.map(|inputs| inputs.contents);
    let files = match inputs {
        Some(inputs) => {
            checks.push(platform(inputs.contents, &target.platform));
            checks.extend(constraints::checks(&inputs.contents.profile, target)?);
            files(inputs, target, &mut checks)?
        }
        None => Vec::new(),
    };
    checks.push(writable(&files, target));
    let mut space = Space::default();
    let pending = files.iter().filter(|file| file.look().is_ok_and(|found| !file.is(&found)));
    for file in pending {
        space.need(&file.target, file.size)?;
    }
    if let TargetRuntime::Containerd { address, namespace, unpack } = &target.runtime {
        let (check, client) = reachable(address, namespace).await;
        checks.push(check);
        if let (Some(contents), Some(client)) = (contents, client) {
            let missing = images(contents, target, &client, &mut checks).await;
            // An unpacked layer is never much smaller than its blob, and often three times as large; a check that
            // refuses a host must ask for what is certain only.
            space.need(Path::new(CONTAINERD_ROOT), if *unpack { missing * 2 } else { missing })?;
        }
    }
    if let (TargetRuntime::Folder(folder), Some(contents)) = (&target.runtime, contents) {
        archive(contents, &files, *folder, target, &mut checks, &mut space)?;
    }
    checks.extend(space.checks());
    Ok(checks)
}

/// The files that the host gets, where all of them have a place and all images that they name are there.
fn files(inputs: Inputs<'_>, target: &Target, checks: &mut Vec<Check>) -> Result<Vec<TargetFile>, ApplyError> {
    match targets(inputs, target) {
        Ok(files) => return Ok(files),
        Err(ApplyError::MissingImages(missing)) => {
            let mut check = check("manifests", "images that the bundle has", missing.join("; "), false);
            check.hint = Some("give other values, or build the bundle with these images".to_owned());
            checks.push(check);
        }
        Err(error @ ApplyError::File(_)) => checks.push(failed("files", "places for all files", &error)),
        Err(error) => return Err(error),
    }
    Ok(Vec::new())
}

/// An old archive is there until the new one has its name, so its space does not count.
fn archive(
    contents: &Contents,
    files: &[TargetFile],
    folder: ImageFolder,
    target: &Target,
    checks: &mut Vec<Check>,
    space: &mut Space,
) -> Result<(), PathError> {
    let planned = image_folder::wanted(contents, &target.platform)
        .and_then(|wanted| image_folder::look(contents, &wanted, files, folder, &target.root));
    match planned {
        Ok((Some(planned), _)) if planned.action != FileAction::Keep => space.need(&planned.target, planned.size)?,
        Ok(_) => {}
        Err(error) => checks.push(failed("images", IMAGES_NEEDED, &error)),
    }
    Ok(())
}

pub(super) fn check(name: impl Into<String>, needed: impl Into<String>, found: impl Into<String>, ok: bool) -> Check {
    Check { name: name.into(), needed: needed.into(), found: found.into(), ok, hint: None }
}

fn failed(name: &str, needed: &str, error: &dyn std::error::Error) -> Check {
    check(name, needed, with_causes(error), false)
}

fn platform(contents: &Contents, here: &Platform) -> Check {
    let served = &contents.profile.platforms;
    let needed = served.iter().map(Platform::to_string).collect::<Vec<_>>().join(" or ");
    check("platform", needed, here.to_string(), served.iter().any(|platform| platform.satisfies(here)))
}

fn writable(files: &[TargetFile], target: &Target) -> Check {
    let folders = files.iter().filter_map(|file| file.target.parent());
    let receipts = receipt::folder(&target.root).unwrap_or_else(|_| target.root.folder().to_owned());
    let images = match target.runtime {
        TargetRuntime::Folder(folder) => folder.resolve(&target.root).ok(),
        _ => None,
    };
    let mut refused: Vec<String> = folders
        .chain([receipts.as_path()])
        .chain(images.as_deref())
        .filter(|folder| !disk::is_writable(folder))
        .map(|folder| folder.display().to_string())
        .collect();
    refused.sort_unstable();
    refused.dedup();
    if refused.is_empty() {
        return check("folders", "writable", "writable", true);
    }
    let mut check = check("folders", "writable", format!("not writable: {}", refused.join(", ")), false);
    check.hint = Some("run carrack-install as root, or install into a folder of your own: --root DIR".to_owned());
    check
}

async fn reachable(address: &Path, namespace: &str) -> (Check, Option<Client>) {
    let needed = format!("answers at {}", address.display());
    let client = match Client::connect(address, namespace).await {
        Ok(client) => client.version().await.map(|version| (client, version)),
        Err(error) => Err(error),
    };
    match client {
        Ok((client, version)) => (check("containerd", needed, format!("version {version}"), true), Some(client)),
        Err(error) => {
            let mut check = failed("containerd", &needed, &error);
            check.hint = Some(
                "start containerd, or name its socket: --containerd-address SOCKET; or leave images alone: --runtime none"
                    .to_owned(),
            );
            (check, None)
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
#[derive(Default)]
struct Space(BTreeMap<u64, (PathBuf, u64, u64)>);

impl Space {
    fn need(&mut self, path: &Path, bytes: u64) -> Result<(), PathError> {
        let space = disk::space(path)?;
        self.0.entry(space.device).or_insert((space.folder, 0, space.free)).1 += bytes;
        Ok(())
    }

    fn checks(self) -> Vec<Check> {
        let one = |(folder, needed, free): (PathBuf, u64, u64)| {
            let name = format!("space in {}", folder.display());
            check(name, HumanBytes(needed).to_string(), format!("{} free", HumanBytes(free)), needed <= free)
        };
        self.0.into_values().map(one).collect()
    }
}
