//! A running cluster as a profile: what its API server tells, and what is made of it.
//!
//! Owns which objects are worth exporting and in which form. It must not know bundles or registries, nor how anything is
//! printed. [`read()`] asks; [`export()`] is a pure function of what was answered.

mod ask;
mod assemble;
mod clean;
mod compose;
mod configuration;
mod connect;
mod decide;
mod distribution;
mod error;
mod images;
mod kinds;
mod layers;
mod list;
mod nodes;
mod notes;
mod object;
mod own_images;
mod packs;
mod releases;
mod secrets;
mod text;
mod unresolved;

use std::collections::BTreeSet;
use std::time::Duration;

pub use connect::{Cluster, connect};
pub use error::{ClusterError, Failure};
pub use kinds::ApiKind;
pub use object::Object;

use crate::folder::ProfileFolder;

/// What is asked for.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// The only namespaces; all where empty.
    pub namespaces: BTreeSet<String>,
    /// Whether the values of secrets are exported too.
    pub secrets: bool,
}

/// What an API server told of its cluster.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// What the cluster is called where it was read from; for people.
    pub name: String,
    /// Every kind of object that it has.
    pub kinds: Vec<ApiKind>,
    /// The objects, in the order of their kinds, namespaces and names.
    pub objects: Vec<Object>,
    /// What could not be read.
    pub failures: Vec<Failure>,
}

/// What was made of a cluster.
#[derive(Debug)]
pub struct Exported {
    /// The profile and its files.
    pub folder: ProfileFolder,
    /// What a person has to know, a line each: it is in the folder too.
    pub warnings: Vec<String>,
    /// Objects in manifests.
    pub objects: usize,
    /// Helm releases as charts.
    pub releases: usize,
    /// Images with the digest that runs.
    pub pinned: usize,
    /// Names of the variables that stand for values of secrets.
    pub variables: Vec<String>,
}

/// Asks the API server of `cluster` for all that [`export()`] needs. `patience` is how long one answer may take.
///
/// # Errors
/// Where the server cannot be reached, or lets nothing be read. What it lets not be read is in the result.
pub async fn read(cluster: &Cluster, wanted: &Wanted, patience: Duration) -> Result<Snapshot, ClusterError> {
    let client = cluster.client(patience)?;
    let (kinds, mut failures) = kinds::discover(&client, patience).await.map_err(|error| cluster.unreachable(error))?;
    let (objects, failed) = list::all(&client, &kinds, wanted, patience).await;
    failures.extend(failed);
    failures.sort();
    if objects.is_empty()
        && let Some(failure) = failures.first()
    {
        return Err(ClusterError::Nothing { server: cluster.server(), example: failure.to_string() });
    }
    Ok(Snapshot { name: cluster.name().to_owned(), kinds, objects, failures })
}

/// Makes a profile of what was read.
///
/// # Errors
/// Where nothing is left to export, or a file has no place in the folder.
pub fn export(snapshot: &Snapshot, wanted: &Wanted) -> Result<Exported, ClusterError> {
    compose::compose(snapshot, wanted)
}
