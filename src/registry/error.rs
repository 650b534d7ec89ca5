//! What can go wrong between Carrack and a registry.

use std::time::Duration;

use crate::http::{ConnectionFailure, RedirectError, Retry, SendError};
use crate::oci::{Digest, MAX_MANIFEST_BYTES, Reference};

/// A request for `reference` failed. Neither text nor causes carry a credential, a token or a signed address.
#[derive(Debug, thiserror::Error)]
#[error("{reference}: {kind}")]
pub struct RegistryError {
    /// What was asked for, or the image that what was asked for is part of.
    pub reference: Reference,
    /// What went wrong.
    #[source]
    pub kind: RegistryErrorKind,
}

/// What went wrong with a request.
#[derive(Debug, thiserror::Error)]
pub enum RegistryErrorKind {
    /// The registry knows no such repository.
    #[error("the registry has no repository of this name")]
    NoRepository,
    /// The repository has no such tag.
    #[error("the repository has no such tag")]
    NoTag,
    /// The repository has no manifest of this digest.
    #[error("the repository has no manifest {0}")]
    NoManifest(Digest),
    /// The repository has no blob of this digest.
    #[error("the repository has no blob {0}")]
    NoBlob(Digest),
    /// The registry wants credentials, or better ones. Registries also say this of repositories that do not exist.
    #[error("{registry} refuses access (HTTP {code}) {}", with_or_without(*.with_credentials))]
    Unauthorized {
        /// The registry's host.
        registry: String,
        /// 401 or 403.
        code: u16,
        /// Whether credentials for the registry were found.
        with_credentials: bool,
    },
    /// Credentials are configured, but cannot be used.
    #[error("the credentials for {registry} cannot be used: {reason}")]
    Credentials {
        /// The registry's host.
        registry: String,
        /// Why, without anything secret.
        reason: String,
    },
    /// Nothing listens at the registry's address.
    #[error("{registry} refuses the connection")]
    Refused {
        /// The registry's host.
        registry: String,
    },
    /// The registry cannot be reached: unknown host, no route, no answer in time, connection lost.
    #[error("{registry} cannot be reached")]
    Unreachable {
        /// The registry's host.
        registry: String,
        /// What the HTTP client says.
        source: reqwest::Error,
    },
    /// The TLS connection failed, often because of a certificate.
    #[error("no trusted TLS connection to {registry}")]
    Tls {
        /// The registry's host.
        registry: String,
        /// What the TLS library says.
        source: reqwest::Error,
    },
    /// The registry's name is no host that can be connected to.
    #[error("{0:?} is no host that can be connected to")]
    Host(String),
    /// The registry sends what is asked elsewhere, and nothing is asked there.
    #[error(transparent)]
    Redirect(#[from] RedirectError),
    /// The registry names a token service that is not asked.
    #[error("{registry} names the token service {realm}, {reason}")]
    Realm {
        /// The registry's host.
        registry: String,
        /// The service, without its query.
        realm: String,
        /// Why it is not asked, as the end of a sentence.
        reason: &'static str,
    },
    /// The registry sends next to nothing, for longer than is waited.
    #[error("{registry} sends its answer too slowly, less than 1 KiB a second")]
    TooSlow {
        /// The registry's host.
        registry: String,
    },
    /// The registry limits how often it may be asked.
    #[error("{registry} limits the rate of requests (HTTP 429){}", wait(*.retry_after))]
    RateLimited {
        /// The registry's host.
        registry: String,
        /// How long the registry asks to wait.
        retry_after: Option<Duration>,
    },
    /// The registry answered with an error of its own.
    #[error("{registry} answered with HTTP {code}")]
    Server {
        /// The registry's host.
        registry: String,
        /// HTTP status code.
        code: u16,
        /// How long the registry asks to wait.
        retry_after: Option<Duration>,
    },
    /// Content hashes to something else than its name.
    #[error("the registry sent content that hashes to {got}, want {want}")]
    WrongDigest {
        /// What the reference or the registry's own header says.
        want: Digest,
        /// What the bytes hash to.
        got: Digest,
    },
    /// A blob is longer or shorter than its descriptor says.
    #[error("blob {digest} is {} than the {want} bytes that its manifest states", if got > want { "longer" } else { "shorter" })]
    WrongSize {
        /// The blob.
        digest: Digest,
        /// Bytes announced by the manifest.
        want: u64,
        /// Bytes the registry has; where there are more than wanted, the count at which reading stopped.
        got: u64,
    },
    /// A transfer ended too soon, again and again.
    #[error("the transfer of {what} stopped at byte {at}")]
    Truncated {
        /// `blob sha256:…` or `the manifest`.
        what: String,
        /// Bytes received in all.
        at: u64,
        /// What the HTTP client says, where the connection broke.
        source: Option<reqwest::Error>,
    },
    /// A manifest is longer than any registry may accept.
    #[error("the manifest is larger than {MAX_MANIFEST_BYTES} bytes")]
    ManifestTooLarge,
    /// The registry takes nothing, as a mirror does.
    #[error("{registry} does not take what is pushed (HTTP 405)")]
    ReadOnly {
        /// The registry's host.
        registry: String,
    },
    /// The registry does not take this content.
    #[error("{registry} refuses what was sent (HTTP {code})")]
    NotTaken {
        /// The registry's host.
        registry: String,
        /// HTTP status code.
        code: u16,
    },
    /// What is to be sent cannot be read.
    #[error("what is to be sent cannot be read")]
    Content(#[source] std::io::Error),
    /// The answer breaks the distribution specification.
    #[error("the registry's answer breaks the protocol: {0}")]
    Protocol(&'static str),
}

fn with_or_without(credentials: bool) -> &'static str {
    if credentials { "with the configured credentials" } else { "without credentials" }
}

fn wait(retry_after: Option<Duration>) -> String {
    retry_after.map(|wait| format!(" and asks to wait {} s", wait.as_secs())).unwrap_or_default()
}

impl RegistryErrorKind {
    /// The error for a request that `reference` stands for.
    pub(super) fn about(self, reference: &Reference) -> RegistryError {
        RegistryError { reference: reference.clone(), kind: self }
    }

    pub(super) fn retry(&self) -> Retry {
        match self {
            Self::Refused { .. } => Retry::Once,
            Self::Unreachable { source, .. } if source.is_connect() => Retry::Once,
            Self::Unreachable { .. } | Self::Truncated { .. } => Retry::Later(None),
            Self::RateLimited { retry_after, .. } => Retry::Later(*retry_after),
            Self::Server { code: 408 | 500..=599, retry_after, .. } => Retry::Later(*retry_after),
            _ => Retry::Never,
        }
    }

    /// The error for a request that was not answered.
    pub(super) fn of_send(registry: &str, error: SendError) -> Self {
        match error {
            SendError::Transport(source) => Self::of_transport(registry, source),
            SendError::Redirect(error) => Self::Redirect(error),
        }
    }

    /// Sorts a failure of the connection. The address is taken out of it: after a redirect it may be a signed one.
    pub(super) fn of_transport(registry: &str, source: reqwest::Error) -> Self {
        let registry = registry.to_owned();
        match ConnectionFailure::of(source) {
            ConnectionFailure::Refused => Self::Refused { registry },
            ConnectionFailure::Tls(source) => Self::Tls { registry, source },
            ConnectionFailure::Unreachable(source) => Self::Unreachable { registry, source },
        }
    }
}
