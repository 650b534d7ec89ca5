//! Blobs as streams that survive broken connections.

use bytes::Bytes;
use reqwest::Response;

use super::error::{RegistryError, RegistryErrorKind};
use super::{Registry, Wanted};
use crate::http::{Body, Broken, Origin, Retry};
use crate::oci::{Digest, Reference};

/// A blob on its way from the registry. Where the connection breaks, the rest is asked for on a new one.
pub struct BlobStream {
    body: Body<Blob>,
    reference: Reference,
}

struct Blob {
    registry: Registry,
    reference: Reference,
    digest: Digest,
    size: u64,
}

impl BlobStream {
    pub(super) async fn open(
        registry: Registry,
        reference: Reference,
        digest: Digest,
        size: u64,
        offset: u64,
    ) -> Result<Self, RegistryError> {
        let first_pause = registry.first_pause;
        let blob = Blob { registry, reference: reference.clone(), digest, size };
        match Body::open(blob, Some(size), offset, first_pause).await {
            Ok(body) => Ok(Self { body, reference }),
            Err(kind) => Err(kind.about(&reference)),
        }
    }

    /// The next bytes, at most as many as are still missing; nothing once all have come.
    ///
    /// # Errors
    /// See [`RegistryErrorKind`]. Broken connections and passing failures are retried first, as long as bytes arrive.
    pub async fn next(&mut self) -> Result<Option<Bytes>, RegistryError> {
        self.body.next().await.map_err(|kind| kind.about(&self.reference))
    }
}

impl Origin for Blob {
    type Error = RegistryErrorKind;

    async fn ask(&self, offset: u64) -> Result<Response, RegistryErrorKind> {
        let wanted = Wanted::Blob { digest: self.digest, offset };
        match self.registry.get(&self.reference, &format!("blobs/{}", self.digest), wanted).await {
            // "Range not satisfiable": the blob ends before the position.
            Err(RegistryErrorKind::Server { code: 416, .. }) => {
                Err(self.broken(Broken::WrongSize { want: self.size, got: offset }))
            }
            other => other,
        }
    }

    fn broken(&self, how: Broken) -> RegistryErrorKind {
        let digest = self.digest;
        match how {
            Broken::Truncated(at, source) => {
                RegistryErrorKind::Truncated { what: format!("blob {digest}"), at, source }
            }
            Broken::WrongSize { want, got } => RegistryErrorKind::WrongSize { digest, want, got },
            Broken::Protocol(reason) => RegistryErrorKind::Protocol(reason),
            Broken::TooSlow => RegistryErrorKind::TooSlow { registry: self.reference.registry().to_owned() },
        }
    }

    fn retry(error: &RegistryErrorKind) -> Retry {
        error.retry()
    }
}
