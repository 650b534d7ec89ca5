//! What can go wrong with a download.

use std::time::Duration;

use super::Address;
use crate::http::{ConnectionFailure, RedirectError, Retry, SendError};
use crate::io::{Mismatch, PathError};

/// A download failed. Neither text nor causes carry a password, a token or a signed address.
#[derive(Debug, thiserror::Error)]
#[error("{address}: {kind}")]
pub struct DownloadError {
    /// What was asked for.
    pub address: Address,
    /// What went wrong.
    #[source]
    pub kind: DownloadErrorKind,
}

/// What went wrong with a download.
#[derive(Debug, thiserror::Error)]
pub enum DownloadErrorKind {
    /// The server has no such file.
    #[error("the server has nothing there (HTTP {0})")]
    NotFound(u16),
    /// The server wants credentials, or better ones.
    #[error("the server refuses access (HTTP {code}) {}", if *.with_login { "with the configured credentials" } else { "without credentials" })]
    Unauthorized {
        /// 401, 403 or 407.
        code: u16,
        /// Whether credentials were sent.
        with_login: bool,
    },
    /// The server limits how often it may be asked.
    #[error("the server limits the rate of requests (HTTP 429)")]
    RateLimited {
        /// How long it asks to wait.
        retry_after: Option<Duration>,
    },
    /// The server answered with an error of its own.
    #[error("the server answered with HTTP {code}")]
    Server {
        /// HTTP status code.
        code: u16,
        /// How long it asks to wait.
        retry_after: Option<Duration>,
    },
    /// The server sends what is asked elsewhere, and nothing is asked there.
    #[error(transparent)]
    Redirect(#[from] RedirectError),
    /// The server sends next to nothing, for longer than is waited.
    #[error("the server sends too slowly, less than 1 KiB a second")]
    TooSlow,
    /// Nothing listens there.
    #[error("{host} refuses the connection")]
    Refused {
        /// The host.
        host: String,
    },
    /// The server cannot be reached: unknown host, no route, no answer in time, connection lost.
    #[error("{host} cannot be reached")]
    Unreachable {
        /// The host.
        host: String,
        /// What the HTTP client says.
        source: reqwest::Error,
    },
    /// The TLS connection failed, often because of a certificate.
    #[error("no trusted TLS connection to {host}")]
    Tls {
        /// The host.
        host: String,
        /// What the TLS library says.
        source: reqwest::Error,
    },
    /// A transfer ended too soon, again and again.
    #[error("the transfer stopped at byte {at}")]
    Truncated {
        /// Bytes received in all.
        at: u64,
        /// What the HTTP client says, where the connection broke.
        source: Option<reqwest::Error>,
    },
    /// There is more or less than there should be.
    #[error("it has {got} bytes, want {want}")]
    WrongSize {
        /// Bytes wanted.
        want: u64,
        /// Bytes that the server has; where there are too many, the count at which reading stopped.
        got: u64,
    },
    /// More than is read of a document of this kind.
    #[error("it is larger than {0} bytes, which is more than is read of it")]
    TooLarge(u64),
    /// The answer breaks HTTP.
    #[error("the server's answer breaks the protocol: {0}")]
    Protocol(&'static str),
    /// The content is not what it should be.
    #[error("the server has something else")]
    WrongContent(#[source] Mismatch),
    /// What has come cannot be written.
    #[error(transparent)]
    Local(#[from] PathError),
}

impl DownloadErrorKind {
    /// The error for a download from `address`.
    pub(super) fn about(self, address: &Address) -> DownloadError {
        DownloadError { address: address.clone(), kind: self }
    }

    pub(super) fn retry(&self) -> Retry {
        match self {
            Self::Refused { .. } => Retry::Once,
            Self::Unreachable { source, .. } if source.is_connect() => Retry::Once,
            Self::Unreachable { .. } | Self::Truncated { .. } => Retry::Later(None),
            Self::RateLimited { retry_after } => Retry::Later(*retry_after),
            Self::Server { code: 408 | 500..=599, retry_after } => Retry::Later(*retry_after),
            _ => Retry::Never,
        }
    }

    pub(super) fn of_send(host: String, error: SendError) -> Self {
        match error {
            SendError::Transport(source) => Self::of_transport(host, source),
            SendError::Redirect(error) => Self::Redirect(error),
        }
    }

    pub(super) fn of_transport(host: String, source: reqwest::Error) -> Self {
        match ConnectionFailure::of(source) {
            ConnectionFailure::Refused => Self::Refused { host },
            ConnectionFailure::Tls(source) => Self::Tls { host, source },
            ConnectionFailure::Unreachable(source) => Self::Unreachable { host, source },
        }
    }
}
