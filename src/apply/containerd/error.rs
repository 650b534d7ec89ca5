//! What can go wrong between Carrack and containerd.

use std::path::PathBuf;

use tonic::{Code, Status};

use crate::oci::Digest;

/// Why containerd did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum ContainerdError {
    /// Nothing answers at the socket.
    #[error("cannot reach containerd at {}", address.display())]
    Unreachable {
        /// The socket.
        address: PathBuf,
        /// What the system answered.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A namespace that cannot be sent as a header, so that containerd cannot have it.
    #[error("{0:?} is not a containerd namespace")]
    Namespace(String),
    /// Another process imports into the same containerd.
    #[error("another carrack-install is importing into the containerd at {}", .0.display())]
    Busy(PathBuf),
    /// A call failed.
    #[error("containerd cannot {action} {subject}")]
    Call {
        /// What was asked for, as a verb.
        action: &'static str,
        /// What it was asked for: a digest, a name.
        subject: String,
        /// containerd's answer.
        source: Rpc,
    },
    /// containerd holds content under the digest with another length: its store is damaged.
    #[error("containerd holds {digest} with {got} bytes, want {want}: its content store is damaged")]
    Size {
        /// The content.
        digest: Digest,
        /// Bytes that containerd says it has.
        got: u64,
        /// Bytes that the digest stands for.
        want: u64,
    },
    /// A layer unpacks to other bytes than its image says.
    #[error("layer {layer} of {image} unpacks to {got}, want {want}")]
    DiffId {
        /// The image.
        image: String,
        /// The layer's blob.
        layer: Digest,
        /// What it unpacks to.
        got: String,
        /// What the image's configuration says.
        want: Digest,
    },
}

/// containerd's answer to a call that failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Rpc {
    /// The kind of failure.
    pub code: Code,
    /// containerd's words.
    pub message: String,
}

impl From<Status> for Rpc {
    fn from(status: Status) -> Self {
        let message = match status.message() {
            "" => status.code().description().to_owned(),
            message => message.to_owned(),
        };
        Self { code: status.code(), message }
    }
}

impl ContainerdError {
    /// Names the call that `status` answers.
    pub(super) fn call(action: &'static str, subject: &(impl ToString + ?Sized), status: Status) -> Self {
        Self::Call { action, subject: subject.to_string(), source: status.into() }
    }

    /// The answer's code, where a call failed.
    pub fn code(&self) -> Option<Code> {
        match self {
            Self::Call { source, .. } => Some(source.code),
            _ => None,
        }
    }
}
