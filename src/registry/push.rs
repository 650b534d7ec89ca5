//! Sending blobs and manifests (OCI distribution-spec 1.1, "Push").

use std::io::SeekFrom;
use std::path::PathBuf;

use bytes::Bytes;
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, LOCATION};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, Url};
use tokio::io::{AsyncReadExt, AsyncSeekExt};

use super::auth::Operation;
use super::{Registry, RegistryError, RegistryErrorKind, refused};
use crate::http::Tries;
use crate::oci::{Descriptor, Digest, Reference};

/// Bytes of a blob that are sent in one request. It is what is held in memory, and what is lost where a connection breaks.
const PIECE: u64 = 8 << 20;

/// Where a blob that is sent comes from.
#[derive(Debug, Clone)]
pub enum Content {
    /// These bytes.
    Bytes(Bytes),
    /// A file on this machine.
    File(PathBuf),
}

impl Content {
    async fn piece(&self, offset: u64, length: u64) -> std::io::Result<Bytes> {
        match self {
            Self::Bytes(bytes) => {
                let end = (offset + length).min(bytes.len() as u64);
                Ok(bytes.slice(offset.min(end) as usize..end as usize))
            }
            Self::File(path) => {
                let mut file = tokio::fs::File::open(path).await?;
                file.seek(SeekFrom::Start(offset)).await?;
                let mut piece = Vec::new();
                file.take(length).read_to_end(&mut piece).await?;
                Ok(piece.into())
            }
        }
    }
}

impl Registry {
    /// Sends a blob, unless the repository has it. Whether it was sent is returned. The registry checks its digest.
    ///
    /// # Errors
    /// See [`RegistryErrorKind`]. Passing failures are retried first.
    pub async fn push_blob(
        &self,
        reference: &Reference,
        blob: &Descriptor,
        content: &Content,
    ) -> Result<bool, RegistryError> {
        let mut tries = Tries::new(self.first_pause);
        loop {
            let result = match self.has_blob(reference, &blob.digest).await {
                Ok(true) => return Ok(false),
                Ok(false) => self.upload(reference, blob, content).await,
                Err(kind) => Err(kind),
            };
            match result {
                Ok(()) => return Ok(true),
                Err(kind) if tries.wait(kind.retry()).await => {}
                Err(kind) => return Err(kind.about(reference)),
            }
        }
    }

    /// Sends a manifest under the reference's tag, or its digest where it has none.
    ///
    /// # Errors
    /// See [`RegistryErrorKind`]. Passing failures are retried first.
    pub async fn push_manifest(
        &self,
        reference: &Reference,
        raw: &Bytes,
        media_type: &str,
    ) -> Result<Digest, RegistryError> {
        let digest = Digest::of(raw);
        let name = reference.tag().map_or_else(|| digest.to_string(), str::to_owned);
        let mut tries = Tries::new(self.first_pause);
        loop {
            let put = |client: &Client, base: &str| {
                let request = client.put(format!("{base}/manifests/{name}"));
                request.header(CONTENT_TYPE, media_type).body(raw.clone())
            };
            let result = match self.exchange(reference, Operation::Push, put).await {
                Ok(response) => accepted(reference, response, StatusCode::CREATED),
                Err(kind) => Err(kind),
            };
            match result {
                Ok(_) => return Ok(digest),
                Err(kind) if tries.wait(kind.retry()).await => {}
                Err(kind) => return Err(kind.about(reference)),
            }
        }
    }

    async fn has_blob(&self, reference: &Reference, digest: &Digest) -> Result<bool, RegistryErrorKind> {
        let head = |client: &Client, base: &str| client.head(format!("{base}/blobs/{digest}"));
        let response = self.exchange(reference, Operation::Push, head).await?;
        match response.status() {
            StatusCode::OK => Ok(true),
            StatusCode::NOT_FOUND => Ok(false),
            _ => Err(not_accepted(reference, &response)),
        }
    }

    /// One upload session, from its beginning to its end.
    async fn upload(
        &self,
        reference: &Reference,
        blob: &Descriptor,
        content: &Content,
    ) -> Result<(), RegistryErrorKind> {
        let read = |offset, length| async move {
            let piece = content.piece(offset, length).await.map_err(RegistryErrorKind::Content)?;
            let expected = length.min(blob.size - offset);
            if piece.len() as u64 == expected { Ok(piece) } else { Err(changed(blob)) }
        };
        // An empty body needs its length said, which some servers insist on.
        let begin =
            |client: &Client, base: &str| client.post(format!("{base}/blobs/uploads/")).header(CONTENT_LENGTH, 0);
        let response = self.exchange(reference, Operation::Push, begin).await?;
        let mut location = next_location(&accepted(reference, response, StatusCode::ACCEPTED)?)?;
        let mut offset = 0;
        while blob.size - offset > PIECE {
            let piece = read(offset, PIECE).await?;
            let range = format!("{offset}-{}", offset + PIECE - 1);
            let response = self.session(reference, Method::PATCH, &location, |request| {
                let request = request.header("Content-Range", &range);
                request.header(CONTENT_TYPE, "application/octet-stream").body(piece.clone())
            });
            location = next_location(&accepted(reference, response.await?, StatusCode::ACCEPTED)?)?;
            offset += PIECE;
        }
        // One byte more than is left tells a file that has grown.
        let rest = content.piece(offset, PIECE + 1).await.map_err(RegistryErrorKind::Content)?;
        if rest.len() as u64 != blob.size - offset {
            return Err(changed(blob));
        }
        location.query_pairs_mut().append_pair("digest", &blob.digest.to_string());
        let range = format!("{offset}-{}", blob.size.saturating_sub(1));
        let response = self.session(reference, Method::PUT, &location, |request| {
            let request = if offset > 0 { request.header("Content-Range", &range) } else { request };
            request.header(CONTENT_TYPE, "application/octet-stream").body(rest.clone())
        });
        accepted(reference, response.await?, StatusCode::CREATED).map(drop)
    }

    /// One request to a session's own address, which may be another server's.
    async fn session(
        &self,
        reference: &Reference,
        method: Method,
        location: &Url,
        fill: impl Fn(RequestBuilder) -> RequestBuilder,
    ) -> Result<Response, RegistryErrorKind> {
        let build = |client: &Client, _: &str| fill(client.request(method.clone(), location.clone()));
        self.exchange(reference, Operation::Push, build).await
    }
}

fn changed(blob: &Descriptor) -> RegistryErrorKind {
    let text = format!("it changed while it was sent, and is no longer the {} bytes that it was", blob.size);
    RegistryErrorKind::Content(std::io::Error::other(text))
}

/// Where the next request of an upload session goes. It may be relative to where the last one went; whether it may be
/// sent there is decided when it is.
fn next_location(response: &Response) -> Result<Url, RegistryErrorKind> {
    let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
    location
        .and_then(|location| response.url().join(location).ok())
        .ok_or(RegistryErrorKind::Protocol("an upload without a location to go on at"))
}

fn accepted(reference: &Reference, response: Response, want: StatusCode) -> Result<Response, RegistryErrorKind> {
    if response.status() == want { Ok(response) } else { Err(not_accepted(reference, &response)) }
}

fn not_accepted(reference: &Reference, response: &Response) -> RegistryErrorKind {
    let registry = reference.registry().to_owned();
    match response.status() {
        StatusCode::NOT_FOUND => RegistryErrorKind::NoRepository,
        StatusCode::METHOD_NOT_ALLOWED => RegistryErrorKind::ReadOnly { registry },
        status @ (StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE) => {
            RegistryErrorKind::NotTaken { registry, code: status.as_u16() }
        }
        status => refused(reference, status, response),
    }
}
