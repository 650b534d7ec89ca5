//! What goes wrong between here and a cluster.

use std::fmt;

use kube::config::KubeconfigError;

use crate::folder::FolderError;

/// Why a cluster cannot be exported.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// The kubeconfig is not there, or wrong.
    #[error("the kubeconfig cannot be used")]
    Kubeconfig(#[source] KubeconfigError),
    /// The kubeconfig has no such context.
    #[error("the kubeconfig has no context {name:?}")]
    Context {
        /// What was asked for.
        name: String,
        /// Those that it has.
        known: Vec<String>,
    },
    /// No client can be made of what the kubeconfig says.
    #[error("the API server {server} cannot be asked: {reason}")]
    Client {
        /// Its URL.
        server: String,
        /// Why.
        reason: String,
    },
    /// Nobody answers, or nothing that makes sense.
    #[error("the API server {server} gives no answer: {reason}")]
    Unreachable {
        /// Its URL.
        server: String,
        /// Why.
        reason: String,
    },
    /// The server does not know who asks.
    #[error("the API server {server} does not know this user")]
    Unauthorized {
        /// Its URL.
        server: String,
    },
    /// Not one object could be read.
    #[error("the API server {server} lets nothing be read: {example}")]
    Nothing {
        /// Its URL.
        server: String,
        /// The first of the refusals.
        example: String,
    },
    /// What could be read has nothing that can be exported.
    #[error("there is nothing to export: {reason}")]
    Empty {
        /// Why.
        reason: String,
    },
    /// A file of the profile cannot be written as text.
    #[error("{what} cannot be written as YAML")]
    Text {
        /// The file.
        what: String,
        /// Why.
        source: serde_json::Error,
    },
    /// The folder.
    #[error(transparent)]
    Folder(#[from] FolderError),
}

/// A kind of object that could not be read, or not everywhere.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Failure {
    /// The kind with its group: `Certificate.cert-manager.io`, or a group and version of which not even the kinds are
    /// known.
    pub what: String,
    /// Where, if not in the whole cluster.
    pub namespace: Option<String>,
    /// Why, in one line.
    pub reason: String,
    /// Whether it was not allowed.
    pub forbidden: bool,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        if let Some(namespace) = &self.namespace {
            write!(f, " in namespace {namespace}")?;
        }
        write!(f, ": {}", self.reason)
    }
}
