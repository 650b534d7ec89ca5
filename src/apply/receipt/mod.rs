//! Receipts: what was installed, by digest. Written last, so that a receipt never speaks of what is not there.

mod store;

use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub(super) use self::store::{
    all, check_name, entries, file_name, folder, is_none_left, is_there, lost, remove, write_as,
};

use super::by_hand::Keys;
use super::check::Verdict;
use super::choices::Choices;
use super::claims::{self, Claim};
use super::cluster::NONE;
use super::containerd::NameTarget;
use super::files::{Before, Found};
use super::installed::KeptValue;
use super::site::ReceiptSite;
use crate::distro::{FOREIGN, Save, Step, renewed, taken_away};
use crate::oci::{Digest, Reference};

/// Where receipts are kept, within the root.
pub const RECEIPTS: &str = "/var/lib/carrack/receipts";
/// The shape of [`Receipt`]; another shape is another number.
pub const RECEIPT_VERSION: u32 = 4;

/// What one apply installed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Receipt {
    /// [`RECEIPT_VERSION`].
    pub receipt_version: u32,
    /// The bundle's identity: SHA-256 of its `index.json`.
    pub bundle: Digest,
    /// The profile's name.
    pub name: String,
    /// The profile's version.
    pub version: String,
    /// When it was applied, RFC 3339, UTC.
    pub applied: String,
    /// Version of the installer.
    pub installer: String,
    /// Whether these are the images of a version that is not installed, brought ahead of it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub images_only: bool,
    /// Where images went.
    pub runtime: ReceiptRuntime,
    /// What was checked before anything changed.
    pub verified: Vec<String>,
    /// Files and Kubernetes manifests.
    pub files: Vec<ReceiptFile>,
    /// Images.
    pub images: Vec<ReceiptImage>,
    /// What a person should know.
    pub warnings: Vec<String>,
    /// The values that variables had, in the bundle's order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub variables: Vec<ReceiptVariable>,
    /// The packs, in the bundle's order; none where an installer wrote it that did not write them down.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub packs: Vec<ReceiptPack>,
    /// What was checked of the host; nothing where an installer wrote it that did not write it down.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub preflight: Vec<ReceiptCheck>,
    /// The number of the receipt to which a rollback leads; none where it was the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<u32>,
    /// The number of the receipt from which this is the way back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rolled_back_from: Option<u32>,
    /// Folders that were made for files, the outer ones first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub folders: Vec<String>,
    /// Names of images that stood for something before anything was installed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub original_names: Vec<OriginalName>,
    /// Units that run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<ReceiptService>,
    /// What brings the distribution up.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub start: Vec<Step>,
    /// What takes the distribution down and away.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remove: Vec<Step>,
    /// What was at the places that the distribution fills before anything was installed; none where the installer did not write
    /// that down.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub claims: Vec<Claim>,
    /// How the cluster's state is saved and put back, where this machine has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<Save>,
    /// The cluster's state as it was before this was installed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub saved: Option<SavedState>,
    /// What was chosen on the command line; absent where an installer wrote it that did not write that down, nor sites.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub choices: Option<Choices>,
    /// The site; absent where there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<ReceiptSite>,
}

/// A name of an image that was somebody else's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OriginalName {
    /// The name.
    pub name: String,
    /// What it stood for.
    pub target: NameTarget,
}

/// A unit that runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReceiptService {
    /// Its name.
    pub unit: String,
    /// The pack that asked for it.
    pub pack: String,
    /// Whether it ran before anything was installed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub was_active: bool,
    /// Whether it started with the host before anything was installed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub was_enabled: bool,
}

/// The state of a cluster, saved before an upgrade.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SavedState {
    /// The folder of the copy, within the root.
    pub folder: String,
    /// When it was made, RFC 3339, UTC.
    pub made: String,
    /// What puts it back.
    pub restore: Vec<Step>,
}

/// A requirement that was checked before anything changed, or that somebody had skipped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReceiptCheck {
    /// What was looked at.
    pub name: String,
    /// What had to be.
    pub needed: String,
    /// What was.
    pub found: String,
    /// `ok`, `warn`, or `skipped`.
    pub verdict: Verdict,
}

/// A pack that was installed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReceiptPack {
    /// Its name in the profile.
    pub name: String,
    /// Its version, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The Kubernetes distribution that it is, where it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distribution: Option<String>,
}

/// The value that a variable had. A sensitive one is not in the receipt: it tells where it stands on the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReceiptVariable {
    /// The variable.
    pub name: String,
    /// Its value; absent where it is sensitive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Whether that is the default that the profile had.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub default: bool,
    /// Every place where its sensitive value stands.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kept: Vec<KeptValue>,
}

/// Where images went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum ReceiptRuntime {
    /// Images were left alone.
    None,
    /// Into a containerd.
    Containerd {
        /// Its version.
        version: String,
        /// Its socket.
        address: PathBuf,
        /// Its namespace.
        namespace: String,
        /// What layers were unpacked with; absent where they were not.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        snapshotter: Option<String>,
    },
    /// Into the folder that k3s imports from when it starts.
    K3s(ReceiptFolder),
    /// Into the folder that RKE2 imports from when it starts.
    Rke2(ReceiptFolder),
    /// Into the folder from which Canonical Kubernetes imports them when it is made.
    Canonical(ReceiptFolder),
}

/// A folder that a Kubernetes distribution imports images from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReceiptFolder {
    /// The folder, within the root.
    pub folder: String,
    /// The archive with the images; absent where the bundle has no images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive: Option<ReceiptArchive>,
}

/// An archive of images as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReceiptArchive {
    /// Its path within the root.
    pub path: String,
    /// Of the file.
    pub digest: Digest,
    /// Length of the file in bytes.
    pub size: u64,
    /// What was there before anything was installed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original: Option<Before>,
}

impl Receipt {
    /// One of nothing, of the profile `name`.
    #[cfg(test)]
    pub(super) fn empty(name: &str, version: &str) -> Self {
        Self {
            receipt_version: RECEIPT_VERSION,
            bundle: Digest::of(b""),
            name: name.to_owned(),
            version: version.to_owned(),
            applied: String::new(),
            installer: env!("CARGO_PKG_VERSION").to_owned(),
            images_only: false,
            runtime: ReceiptRuntime::None,
            verified: Vec::new(),
            files: Vec::new(),
            images: Vec::new(),
            warnings: Vec::new(),
            variables: Vec::new(),
            packs: Vec::new(),
            preflight: Vec::new(),
            before: None,
            rolled_back_from: None,
            folders: Vec::new(),
            original_names: Vec::new(),
            services: Vec::new(),
            start: Vec::new(),
            remove: Vec::new(),
            claims: Vec::new(),
            state: None,
            saved: None,
            choices: Some(Choices::default()),
            site: None,
        }
    }

    /// Gives a receipt of an earlier installer the form of this one: its steps remove and end no more than what is known to be
    /// its own.
    pub(super) fn renew(&mut self) {
        if self.receipt_version >= claims::RECORDING {
            return;
        }
        (self.start, self.remove) =
            (renewed(std::mem::take(&mut self.start)), renewed(std::mem::take(&mut self.remove)));
        if let Some(save) = &mut self.state {
            (save.save, save.restore) =
                (renewed(std::mem::take(&mut save.save)), renewed(std::mem::take(&mut save.restore)));
        }
        if let Some(saved) = &mut self.saved {
            saved.restore = renewed(std::mem::take(&mut saved.restore));
        }
        self.claims = claims::before_records(taken_away(&self.remove), &self.folders).collect();
        let foreign = claims::whose(&self.claims);
        for step in self.start.iter_mut().chain(&mut self.remove) {
            *step = step.with(FOREIGN, foreign);
        }
    }

    /// Whether a sensitive value stands in the file `path`, whose digest could then help to guess it.
    pub fn has_secret(&self, path: &str) -> bool {
        self.variables.iter().flat_map(|variable| &variable.kept).any(|kept| kept.path == path)
            || self.files.iter().any(|file| file.private && file.path == path)
    }

    /// The pack that is a Kubernetes distribution. Receipts of earlier installers do not say which it is: there, `pack`.
    pub(super) fn kubernetes(&self, pack: &str) -> Option<&ReceiptPack> {
        let distribution = self.packs.iter().find(|one| one.distribution.as_deref().is_some_and(|it| it != NONE));
        distribution.or_else(|| self.packs.iter().find(|one| one.name == pack && one.distribution.is_none()))
    }

    /// Whether it has a file at `path`.
    pub(super) fn has_file(&self, path: &str) -> bool {
        self.files.iter().any(|file| file.path == path)
    }

    /// The files as they shall be, by path, the archive of images last.
    pub(super) fn as_installed(&self) -> Vec<(String, Before)> {
        let as_was = |file: &ReceiptFile| {
            let owner = file.owner.clone().unwrap_or_default();
            (file.path.clone(), Before::file(file.digest, file.size, file.mode.clone(), owner))
        };
        let archive = self.archive().map(|archive| {
            let was = Before::file(archive.digest, archive.size, "0644".to_owned(), String::new());
            (archive.path.clone(), was)
        });
        self.files.iter().map(as_was).chain(archive).collect()
    }

    /// The units that run, the distribution's first.
    pub(super) fn units(&self) -> impl Iterator<Item = String> {
        let started = self.start.iter().filter_map(Step::unit);
        started.chain(self.services.iter().map(|service| service.unit.as_str())).map(str::to_owned)
    }

    /// What was there before the file or archive at `path`; nothing where it has none there.
    pub(super) fn original(&self, path: &str) -> Option<Option<Before>> {
        let file = self.files.iter().find(|file| file.path == path).map(|file| file.original.clone());
        file.or_else(|| Some(self.archive().filter(|archive| archive.path == path)?.original.clone()))
    }

    /// Digests of what its files replaced that was not of an earlier version, and that earlier installers kept by digest.
    pub(super) fn originals(&self) -> impl Iterator<Item = Digest> {
        let originals = self.files.iter().filter_map(|file| file.original.as_ref());
        originals.filter(|original| original.kept.is_none()).filter_map(|original| original.digest)
    }

    /// Digests of everything that a way back to it needs.
    pub(super) fn contents(&self) -> impl Iterator<Item = Digest> {
        let files = self.files.iter().map(|file| file.digest);
        files.chain(self.originals()).chain(self.changed_before()).chain(self.archive().map(|archive| archive.digest))
    }

    /// Digests of configuration as persons had changed it before this was installed.
    pub(super) fn changed_before(&self) -> impl Iterator<Item = Digest> {
        self.files.iter().filter_map(|file| file.changed_before)
    }

    /// The archive of images, where one was written, to complete it.
    pub(super) fn archive_mut(&mut self) -> Option<&mut ReceiptArchive> {
        match &mut self.runtime {
            ReceiptRuntime::K3s(folder) | ReceiptRuntime::Rke2(folder) | ReceiptRuntime::Canonical(folder) => {
                folder.archive.as_mut()
            }
            ReceiptRuntime::None | ReceiptRuntime::Containerd { .. } => None,
        }
    }

    /// The archive of images, where one was written.
    pub fn archive(&self) -> Option<&ReceiptArchive> {
        match &self.runtime {
            ReceiptRuntime::K3s(folder) | ReceiptRuntime::Rke2(folder) | ReceiptRuntime::Canonical(folder) => {
                folder.archive.as_ref()
            }
            ReceiptRuntime::None | ReceiptRuntime::Containerd { .. } => None,
        }
    }
}

impl ReceiptArchive {
    /// Whether what was found is this archive. Mode and owner do not matter to who imports it.
    pub(super) fn is(&self, found: &Found) -> bool {
        matches!(found, Found::Regular { digest, .. } if *digest == Some(self.digest))
    }
}

/// A file as it was installed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReceiptFile {
    /// Its path within the root.
    pub path: String,
    /// Of its content.
    pub digest: Digest,
    /// Length in bytes.
    pub size: u64,
    /// Permission bits, octal: `0755`.
    pub mode: String,
    /// User and group by number, `0:0`; absent where they were not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// The pack that asked for it.
    pub pack: String,
    /// `file`, or `manifest` for Kubernetes manifests.
    pub kind: String,
    /// Of what the bundle wants there, where a person had changed that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wanted: Option<Digest>,
    /// What the keys of a configuration hold as the bundle wants them, for each of its documents.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<Keys>,
    /// Of the file as a person had changed it before this was installed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed_before: Option<Digest>,
    /// Whether a secret is in it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub private: bool,
    /// What was there before anything was installed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original: Option<Before>,
}

impl ReceiptFile {
    /// Whether what was there before was a file that others may not read.
    pub fn replaced_private(&self) -> bool {
        let mode = |original: &Before| u32::from_str_radix(&original.mode, 8).unwrap_or_default();
        self.original.as_ref().is_some_and(|original| original.link.is_none() && mode(original) & 0o004 == 0)
    }
}

/// An image as it was installed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReceiptImage {
    /// As the bundle has it.
    pub reference: Reference,
    /// The names that stand for it.
    pub names: Vec<String>,
    /// What they stand for.
    pub target: Digest,
    /// The manifests for this machine, and the indexes that lead to them from the target, which is one itself.
    pub manifests: Vec<Digest>,
    /// Their configurations and layers, each once.
    pub blobs: Vec<Digest>,
}

/// The time now, as receipts have it.
pub(super) fn now() -> String {
    let now = Timestamp::now();
    Timestamp::from_second(now.as_second()).unwrap_or(now).to_string()
}
