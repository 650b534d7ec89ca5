//! Why a bundle could not be applied, and what state that leaves the host in.

use std::io;
use std::path::PathBuf;

use super::containerd::{ContainerdError, WantedError};
use super::files::FileError;
use super::leftovers::Leftover;
use super::transaction::StepError;
use super::verified::Verified;
use crate::io::PathError;
use crate::oci::Digest;
use crate::problem::Problems;

/// Why a bundle could not be planned or applied. Unless it says otherwise, the host is what it was.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// An image is not there for this machine.
    #[error(transparent)]
    Wanted(#[from] WantedError),
    /// A file cannot be put where the bundle wants it.
    #[error(transparent)]
    File(#[from] FileError),
    /// containerd did not do what was asked.
    #[error(transparent)]
    Containerd(#[from] ContainerdError),
    /// Placeholders cannot be filled with the values that were given.
    #[error("the values do not fit what the bundle has")]
    Values(#[source] Problems),
    /// The distribution cannot do what is asked of it here.
    #[error("the cluster cannot be set up on this host: {}", .0.join("; "))]
    Refused(Vec<String>),
    /// The machine would take another part in its cluster, or go to another one.
    #[error("{installed} is installed here, and this site changes the part that this machine has in its cluster: {}", changes.join("; "))]
    RoleChange {
        /// What is installed.
        installed: String,
        /// What changes, old and new.
        changes: Vec<String>,
    },
    /// The same, where the distribution cannot do it.
    #[error("a machine of {distribution} keeps the part that it has in its cluster: {}; {installed} is installed here", changes.join("; "))]
    RoleFixed {
        /// What is installed.
        installed: String,
        /// The distribution.
        distribution: String,
        /// What changes, old and new.
        changes: Vec<String>,
    },
    /// The cluster's data would be looked for in another folder.
    #[error(
        "`installRoot` of the site would change from {before} to {after}, and the data of {installed} does not move"
    )]
    InstallRoot {
        /// What is installed.
        installed: String,
        /// Where the data is.
        before: String,
        /// Where it would be looked for.
        after: String,
    },
    /// The node would be another one for its cluster.
    #[error(
        "`nodeAddress` of the site would change from {before} to {after}, and this node of {distribution} keeps the address that it was \
         made with; {installed} is installed here"
    )]
    AddressFixed {
        /// What is installed.
        installed: String,
        /// The distribution.
        distribution: String,
        /// The addresses that it has.
        before: String,
        /// Those that the site gives.
        after: String,
    },
    /// A node that is made keeps this.
    #[error("a node of kubeadm keeps what it was made with: {}; {installed} is installed here", changes.join("; "))]
    ConfigurationFixed {
        /// What is installed.
        installed: String,
        /// What would change, each from what to what.
        changes: Vec<String>,
    },
    /// Images alone are brought into a containerd that runs.
    #[error("only images are asked for, and they do not go to a containerd that runs here")]
    ImagesOnly,
    /// An installer that did not write sites down has installed with one.
    #[error("{installed} was installed with a site that no receipt has, and without it {}", evidence.join("; "))]
    UnknownSite {
        /// What is installed.
        installed: String,
        /// What shows it.
        evidence: Vec<String>,
    },
    /// The site that is installed cannot be used again.
    #[error("a secret of the site that this machine was installed with is gone: {}", .0.join("; "))]
    LostSite(Vec<String>),
    /// The site of a receipt is none that a site file can say.
    #[error("the newest receipt has a site whose `{0}` no site file can have")]
    RememberedSite(String),
    /// Manifests name images, with the values that were given, that are not there.
    #[error("with these values, the bundle lacks an image that it names: {}", .0.join("; "))]
    MissingImages(Vec<String>),
    /// A blob of the bundle is damaged or cannot be read.
    #[error("cannot read blob {digest} of the bundle{}", needed(needed_by))]
    Blob {
        /// The blob.
        digest: Digest,
        /// What needs it: images, host files, manifests.
        needed_by: Vec<String>,
        /// [`io::ErrorKind::InvalidData`] where it is damaged.
        source: io::Error,
    },
    /// An image's configuration is none.
    #[error("the configuration {digest} of {image} is not an image configuration")]
    Config {
        /// The image.
        image: String,
        /// The configuration.
        digest: Digest,
        /// Where the JSON is wrong.
        source: serde_json::Error,
    },
    /// An image's configuration and manifest contradict each other.
    #[error("the configuration of {image} names {diff_ids} layers, its manifest {layers}")]
    LayerCount {
        /// The image.
        image: String,
        /// Layers in the configuration.
        diff_ids: usize,
        /// Layers in the manifest.
        layers: usize,
    },
    /// The bundle was made for a later installer.
    #[error("the bundle needs carrack-install {needs} or later, this is {}", env!("CARGO_PKG_VERSION"))]
    Installer {
        /// The oldest that may apply it.
        needs: String,
    },
    /// An archive of images cannot be laid out.
    #[error("the archive of images cannot be laid out")]
    Compose(#[source] io::Error),
    /// The bundle's name or version cannot be part of a file name.
    #[error("{0:?} cannot be part of a receipt's name")]
    Name(String),
    /// A receipt is not one that this version can read.
    #[error("{} is not a receipt that this version of carrack-install reads", path.display())]
    Receipt {
        /// The file.
        path: PathBuf,
        /// Where the JSON is wrong.
        source: serde_json::Error,
    },
    /// A later installer wrote a receipt.
    #[error("{} was written by a later carrack-install (version {version} of receipts)", path.display())]
    LaterReceipt {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u32,
    },
    /// A journal is not one that this version can read.
    #[error("{} is not a journal that this version of carrack-install reads", path.display())]
    Journal {
        /// The file.
        path: PathBuf,
        /// Why it cannot be read, or where the JSON is wrong.
        source: io::Error,
    },
    /// A journal or receipt says something that Carrack does not write; nothing of it is acted upon.
    #[error("{}: {field} is {value:?}, which is not {wanted}", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// The field.
        field: String,
        /// What it says.
        value: String,
        /// What it must be.
        wanted: &'static str,
    },
    /// A later installer wrote a journal.
    #[error("{} was written by a later carrack-install", .0.display())]
    LaterJournal(PathBuf),
    /// More than one journal is there, of which only one can be true.
    #[error("there are {} journals where one can be: {}", .0.len(), shown(.0))]
    Journals(Vec<PathBuf>),
    /// A receipt of this profile is lost, and another version of it is to be installed.
    #[error("the receipt of {name} {version} is lost, so what that installed is not known")]
    LostReceipt {
        /// The profile.
        name: String,
        /// The version that the receipt was of.
        version: String,
    },
    /// What an interrupted run left, and no journal or receipt says whose it is.
    #[error("an interrupted run left what may be the only copy of a file of this host: {}", left_behind(.0))]
    Leftovers(Vec<Leftover>),
    /// A unit or program did not do what was asked.
    #[error(transparent)]
    Step(#[from] StepError),
    /// A run before this one is not finished.
    #[error("an earlier run ({0}) is not finished yet")]
    NotFinished(String),
    /// What a run before this one had sent to containerd is gone.
    #[error("containerd has not kept what an earlier run ({0}) had sent; its changes were taken back, so begin again")]
    Collected(String),
    /// There is nothing to go back from.
    #[error("nothing is installed in {}", .0.display())]
    NothingInstalled(PathBuf),
    /// The profile that is named is not installed.
    #[error("no profile {profile:?} is installed; installed: {}", installed.join(", "))]
    NotInstalled {
        /// What was named.
        profile: String,
        /// What is installed.
        installed: Vec<String>,
    },
    /// More than one profile is installed, and none is named.
    #[error("{} profiles are installed: {}", .0.len(), .0.join(", "))]
    SeveralInstalled(Vec<String>),
    /// There is nothing to go back to.
    #[error("nothing was installed before {0}, or it cannot be gone back to any more")]
    NothingBefore(String),
    /// A run before this one had failed, and was broken off while it put things back.
    #[error("an earlier run ({0}) had failed, and what it had changed was put back now")]
    Unfinished(String),
    /// A local file or folder failed.
    #[error(transparent)]
    Path(#[from] PathError),
    /// Another process changes the same root: who, in words, where that is known.
    #[error("another carrack-install is at work in {}{}", .0.display(), in_brackets(.1))]
    Busy(PathBuf, String),
    /// The user wants it to stop.
    #[error("interrupted; nothing on this host has changed")]
    Interrupted,
    /// It failed after changes had begun, and they were undone and looked at again.
    #[error("it failed and was undone; {verified}")]
    RolledBack {
        /// What failed.
        source: Box<ApplyError>,
        /// What was compared since.
        verified: Verified,
    },
    /// It failed after changes had begun, and they were undone and looked at again; folders stay that are not, or may not be, removed.
    #[error("it failed and was undone; {verified}; this stays: {}", stays.join("; "))]
    Stays {
        /// What failed first.
        source: Box<ApplyError>,
        /// What was compared since.
        verified: Verified,
        /// What stays, each with why.
        stays: Vec<String>,
    },
    /// What was to come back is not what it was.
    #[error("what was there before did not come back as it was: {}", .0.join("; "))]
    NotAsBefore(Vec<String>),
    /// It failed after changes had begun, and not all could be taken back.
    #[error("it failed and could not be undone completely: {}", left.join("; "))]
    NeedsPerson {
        /// What failed first.
        source: Box<ApplyError>,
        /// What could not be put back, and why.
        left: Vec<String>,
    },
    /// It failed, and containerd could not be told to forget what it got.
    #[error("{source}; containerd keeps what it got for up to a day, since it did not answer: {release}")]
    NotReleased {
        /// What failed first.
        source: Box<ApplyError>,
        /// Why the lease could not be deleted.
        release: ContainerdError,
    },
}

fn in_brackets(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(" ({text})") }
}

fn shown(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

fn left_behind(leftovers: &[Leftover]) -> String {
    let one = |one: &Leftover| format!("{} (of {})", one.left.display(), one.place.display());
    leftovers.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn needed(by: &[String]) -> String {
    match by {
        [] => String::new(),
        images => format!(", needed by {}", images.join(", ")),
    }
}
