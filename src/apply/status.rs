//! What is installed, and whether the host still is what its receipts say.

use std::path::PathBuf;

use serde::Serialize;

use super::ApplyError;
use super::containerd::{Client, ContainerdError};
use super::files::{FileError, FileKind, Found, TargetFile, look_at};
use super::history::{Entry, History};
use super::image_folder;
use super::leftovers;
use super::receipt::{self, Receipt, ReceiptArchive, ReceiptFile, ReceiptImage, ReceiptRuntime};
use super::transaction::unit_is;
use crate::host::Root;

/// Something that is not as it was installed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Difference {
    /// The file's path or the image's name.
    pub what: String,
    /// As it was installed.
    pub expected: String,
    /// As it is.
    pub found: String,
}

/// What is installed of one profile, or what images were brought ahead of a version of it.
#[derive(Debug)]
pub struct Installed {
    /// The receipt's path on this host.
    pub path: PathBuf,
    /// What it says.
    pub receipt: Receipt,
    /// What is not as it says.
    pub differences: Vec<Difference>,
}

/// Looks at everything that is installed below `root`, what was installed last first. Nothing is changed.
///
/// # Errors
/// Where a receipt cannot be read, or the host does not tell what is there.
pub async fn installed(root: &Root) -> Result<Vec<Installed>, ApplyError> {
    let (history, folder) = (History::of(root)?, receipt::folder(root)?);
    let mut installed = Vec::new();
    for Entry { file, receipt, .. } in history.present() {
        let differences = differences(receipt, &history, root).await?;
        installed.push(Installed { path: folder.shown().join(file), receipt: receipt.clone(), differences });
    }
    Ok(installed)
}

/// Compares the host with a receipt. What another profile has put in the place of a file is its own.
async fn differences(receipt: &Receipt, history: &History, root: &Root) -> Result<Vec<Difference>, ApplyError> {
    let mut differences = Vec::new();
    for file in receipt.files.iter().filter(|file| !history.is_anothers(&receipt.name, &file.path)) {
        let left = leftovers::beside(&file.path, root)?.map(|left| Difference {
            what: left.display().to_string(),
            expected: "absent".to_owned(),
            found: "what an interrupted run left; it may be the only copy of a file".to_owned(),
        });
        differences.extend(left);
        let difference = file_difference(file, root)?;
        differences.extend(difference.map(|difference| match receipt.has_secret(&file.path) {
            true => Difference { expected: "as installed".to_owned(), ..difference },
            false => difference,
        }));
    }
    if let Some(archive) = receipt.archive() {
        differences.extend(archive_difference(archive, root)?);
    }
    if root.is_host() {
        differences.extend(receipt.units().filter_map(|unit| unit_difference(&unit)));
    }
    if let ReceiptRuntime::Containerd { address, namespace, .. } = &receipt.runtime {
        match Client::connect(address, namespace).await {
            Ok(client) => {
                for image in &receipt.images {
                    differences.extend(image_differences(image, &client).await?);
                }
            }
            Err(ContainerdError::Unreachable { address, source }) => differences.push(Difference {
                what: format!("containerd at {}", address.display()),
                expected: "an answer".to_owned(),
                found: source.to_string(),
            }),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(differences)
}

fn unit_difference(unit: &str) -> Option<Difference> {
    let word = |state: (bool, bool)| match state {
        (true, true) => "running, enabled",
        (true, false) => "running, not enabled",
        (false, true) => "not running, enabled",
        (false, false) => "not running, not enabled",
    };
    let found = unit_is(unit);
    let (expected, found) = (word((true, true)), word(found));
    (found != expected).then(|| Difference {
        what: unit.to_owned(),
        expected: expected.to_owned(),
        found: found.to_owned(),
    })
}

fn file_difference(file: &ReceiptFile, root: &Root) -> Result<Option<Difference>, ApplyError> {
    let place = |source| FileError::Place { pack: file.pack.clone(), source };
    let owner = file.owner.as_ref().and_then(|owner| {
        let (uid, gid) = owner.split_once(':')?;
        Some((uid.parse().ok()?, gid.parse().ok()?))
    });
    let wanted = TargetFile {
        path: file.path.clone(),
        target: root.place(&file.path).map_err(place)?,
        digest: file.digest,
        size: file.size,
        mode: u32::from_str_radix(&file.mode, 8).unwrap_or_default(),
        owner,
        pack: file.pack.clone(),
        kind: FileKind::Host,
        wanted: None,
        keys: Vec::new(),
        content: None,
    };
    let found = match wanted.look() {
        Err(FileError::InTheWay(_)) => "not a file".to_owned(),
        Ok(found) if wanted.is(&found) => return Ok(None),
        Ok(Found::Absent) => "absent".to_owned(),
        Ok(Found::Link) => "a symbolic link".to_owned(),
        Ok(Found::Regular { digest: Some(digest), mode, owner: (uid, gid) }) if digest == file.digest => {
            format!("mode {mode:04o}, owner {uid}:{gid}")
        }
        Ok(Found::Regular { .. }) => "other content".to_owned(),
        Err(error) => return Err(error.into()),
    };
    let expected = match &file.owner {
        Some(owner) => format!("{}, mode {}, owner {owner}", file.digest, file.mode),
        None => format!("{}, mode {}", file.digest, file.mode),
    };
    Ok(Some(Difference { what: file.path.clone(), expected, found }))
}

fn archive_difference(archive: &ReceiptArchive, root: &Root) -> Result<Option<Difference>, ApplyError> {
    let found = match look_at(&image_folder::resolve(&archive.path, root)?, archive.size) {
        Err(FileError::InTheWay(_)) => "not a file",
        Err(error) => return Err(error.into()),
        Ok(found) if archive.is(&found) => return Ok(None),
        Ok(Found::Absent) => "absent",
        Ok(Found::Link) => "a symbolic link",
        Ok(Found::Regular { .. }) => "other content",
    };
    let (what, expected) = (archive.path.clone(), archive.digest.to_string());
    Ok(Some(Difference { what, expected, found: found.to_owned() }))
}

async fn image_differences(image: &ReceiptImage, client: &Client) -> Result<Vec<Difference>, ApplyError> {
    let mut differences = Vec::new();
    for name in &image.names {
        let found = match client.named(name).await? {
            Some(named) if named.target == image.target.to_string() => {
                if named.managed {
                    continue;
                }
                "without the labels that keep it from being collected".to_owned()
            }
            Some(named) => named.target,
            None => "absent".to_owned(),
        };
        differences.push(Difference { what: name.clone(), expected: image.target.to_string(), found });
    }
    let manifests = image.manifests.iter().map(|digest| ("manifest", digest));
    for (kind, digest) in manifests.chain(image.blobs.iter().map(|digest| ("blob", digest))) {
        if !client.holds(digest).await? {
            let (what, expected) = (image.reference.to_string(), format!("{kind} {digest}"));
            differences.push(Difference { what, expected, found: "absent".to_owned() });
        }
    }
    Ok(differences)
}
