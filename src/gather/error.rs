//! What can go wrong while packs, charts and files are brought.

use std::path::PathBuf;

use crate::chart::ChartError;
use crate::download::{Address, AddressError, DownloadError};
use crate::io::{Mismatch, PathError};
use crate::lock::ChartKey;
use crate::oci::ReferenceError;
use crate::problem::Problems;
use crate::registry::RegistryError;

/// Why something from elsewhere is not at hand.
#[derive(Debug, thiserror::Error)]
pub enum GatherError {
    /// A registry failed.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// A web server failed.
    #[error(transparent)]
    Download(#[from] DownloadError),
    /// An address is none.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// A source is no reference.
    #[error(transparent)]
    Reference(ReferenceError),
    /// What was brought cannot be kept, or what is pushed cannot be read.
    #[error(transparent)]
    Io(#[from] PathError),
    /// The folder beside a profile is not one to write into.
    #[error("packs and charts cannot be kept in {}: {why}", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A chart of this machine cannot be used.
    #[error(transparent)]
    Chart(ChartError),
    /// A chart was brought, and cannot be used.
    #[error("{shown} cannot be used")]
    Brought {
        /// As the profile names it.
        shown: String,
        /// Why.
        source: Box<ChartError>,
    },
    /// A pack that is to be shared is wrong.
    #[error(transparent)]
    Problems(#[from] Problems),
    /// A registry has something else there.
    #[error("oci://{reference} is not a {what} that can be used: {reason}")]
    Unusable {
        /// What was asked for.
        reference: String,
        /// `pack` or `chart`.
        what: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A registry sent content that is not what a digest names.
    #[error("oci://{reference}: the registry sent wrong content")]
    WrongContent {
        /// What was asked for.
        reference: String,
        /// Got and want.
        source: Mismatch,
    },
    /// A repository's index cannot be understood.
    #[error("{address} is not the index of a chart repository: {reason}")]
    Index {
        /// Where it is.
        address: Address,
        /// What is wrong with it.
        reason: String,
    },
    /// No version of a chart is in the range.
    #[error("{} has no version {} of it", key.source, key.range.as_deref().unwrap_or("that is no pre-release"))]
    NoVersion {
        /// The chart.
        key: ChartKey,
        /// The newest versions that there are, newest first.
        newest: Vec<String>,
    },
    /// The lock says something of a chart that the package does not.
    #[error("{key}: the lock says version {locked}, and the package with that digest is {found}")]
    Locked {
        /// The chart.
        key: ChartKey,
        /// What the lock says.
        locked: String,
        /// What Chart.yaml says.
        found: String,
    },
    /// What a pack would be pushed with.
    #[error("{path} cannot be pushed: {reason}")]
    Unshareable {
        /// The pack's folder or a file in it.
        path: String,
        /// Why.
        reason: String,
    },
}
