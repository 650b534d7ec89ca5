//! Files, chart packages and chart indexes from web servers: over TLS, through proxies, resumed.
//!
//! The environment says how servers are reached: `SSL_CERT_FILE` and `SSL_CERT_DIR` name certificate authorities in place
//! of the system's, `HTTPS_PROXY` and `NO_PROXY` the way. It must not know what a file is for.
//!
//! Redirects follow the rules of `http`: only to `https://`, not to link-local addresses, and without the login where they
//! leave the server.

mod address;
mod error;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::RANGE;
use reqwest::{Response, StatusCode};

pub use address::{Address, AddressError};
pub use error::{DownloadError, DownloadErrorKind};

pub use crate::http::RedirectError;
use crate::http::{self, Body, Broken, Clients, Login, Origin, ReadError, Retry, Tries, read_up_to};
use crate::io::{AtPath, AtomicFile, Mismatch};
use crate::oci::{Digest, Digester, MAX_BLOB_BYTES};

/// A client for any number of servers. Clones share connections.
#[derive(Clone)]
pub struct Downloader {
    clients: Arc<Clients>,
    first_pause: Duration,
}

/// A user's name and password for a server. Not printable on purpose.
#[derive(Clone)]
pub struct Credentials(Login);

impl Credentials {
    /// What is sent to the server that is asked, and to no other.
    pub fn new(user: impl Into<String>, password: impl Into<String>) -> Self {
        Self(Login { user: user.into(), password: password.into() })
    }
}

/// What a server says of a file before it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Its length in bytes.
    pub size: u64,
    /// Its first bytes, as many as were asked for and as there are.
    pub start: Vec<u8>,
}

impl Default for Downloader {
    fn default() -> Self {
        Self { clients: Arc::default(), first_pause: http::FIRST_PAUSE }
    }
}

impl Downloader {
    /// A client. Nothing is read or connected yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same client with another pause before the second try; each further pause is twice as long.
    #[must_use]
    pub fn with_first_pause(self, first_pause: Duration) -> Self {
        Self { first_pause, ..self }
    }

    /// Fetches a document of at most `limit` bytes. A connection that breaks is begun anew, because nothing says that the
    /// rest would be of the same document.
    ///
    /// # Errors
    /// See [`DownloadErrorKind`]. Passing failures are retried first.
    pub async fn document(
        &self,
        address: &Address,
        limit: u64,
        credentials: Option<&Credentials>,
    ) -> Result<Bytes, DownloadError> {
        let mut tries = Tries::new(self.first_pause);
        let origin = self.origin(address, credentials);
        loop {
            let result = match origin.ask(0).await {
                Ok(response) => whole(address, response, limit).await,
                Err(kind) => Err(kind),
            };
            match result {
                Ok(bytes) => return Ok(bytes),
                Err(kind) if tries.wait(kind.retry()).await => {}
                Err(kind) => return Err(kind.about(address)),
            }
        }
    }

    /// Learns the size and the first `start` bytes of a file: from what the server says of it, or by counting where it
    /// says nothing.
    ///
    /// # Errors
    /// See [`DownloadErrorKind`]. Passing failures are retried first.
    pub async fn facts(&self, address: &Address, start: usize) -> Result<Facts, DownloadError> {
        let mut download = self.stream(address, None, 0, None).await?;
        let (mut first, mut count) = (Vec::new(), 0);
        loop {
            let enough = |size: &u64| first.len() == start || count == *size;
            if let Some(size) = download.size().filter(enough) {
                return Ok(Facts { size, start: first });
            }
            let Some(chunk) = download.next().await? else { return Ok(Facts { size: count, start: first }) };
            let missing = (start - first.len()).min(chunk.len());
            first.extend_from_slice(&chunk[..missing]);
            count += chunk.len() as u64;
        }
    }

    /// Streams a file from `offset` on. The bytes are not believed yet: the caller hashes. `size` is the length of the
    /// whole file, where it is known.
    ///
    /// # Errors
    /// See [`DownloadErrorKind`]. Passing failures are retried first.
    pub async fn stream(
        &self,
        address: &Address,
        size: Option<u64>,
        offset: u64,
        credentials: Option<&Credentials>,
    ) -> Result<Download, DownloadError> {
        let body = Body::open(self.origin(address, credentials), size, offset, self.first_pause).await;
        let body = body.map_err(|kind| kind.about(address))?;
        Ok(Download { body, address: address.clone(), received: offset })
    }

    /// Fetches a file to `target`, which appears when all of it is there and is what `digest` names. Without a digest it
    /// is the caller who checks. Returns what it hashes to, and its size.
    ///
    /// # Errors
    /// See [`DownloadErrorKind`]. Passing failures are retried first.
    pub async fn to_file(
        &self,
        address: &Address,
        digest: Option<Digest>,
        limit: u64,
        target: &Path,
        credentials: Option<&Credentials>,
    ) -> Result<(Digest, u64), DownloadError> {
        let told = |kind: DownloadErrorKind| kind.about(address);
        let mut download = self.stream(address, None, 0, credentials).await?;
        let mut file = AtomicFile::create(target, 0o644).map_err(|error| told(error.into()))?;
        let (mut digester, mut count) = (Digester::new(), 0);
        while let Some(chunk) = download.next().await? {
            count += chunk.len() as u64;
            if count > limit {
                return Err(told(DownloadErrorKind::TooLarge(limit)));
            }
            digester.update(&chunk);
            std::io::Write::write_all(&mut file, &chunk).at("write", target).map_err(|error| told(error.into()))?;
        }
        let got = digester.finish();
        if let Some(want) = digest.filter(|want| *want != got) {
            return Err(told(DownloadErrorKind::WrongContent(Mismatch::Digest { got, want })));
        }
        file.commit().map_err(|error| told(error.into()))?;
        Ok((got, count))
    }

    fn origin(&self, address: &Address, credentials: Option<&Credentials>) -> Remote {
        Remote { downloader: self.clone(), address: address.clone(), credentials: credentials.cloned() }
    }
}

/// A file on its way. Where the connection breaks, the rest is asked for on a new one.
pub struct Download {
    body: Body<Remote>,
    address: Address,
    received: u64,
}

impl Download {
    /// The length of the whole file, where it is known or the server has said so.
    pub fn size(&self) -> Option<u64> {
        self.body.size()
    }

    /// The next bytes; nothing once all have come.
    ///
    /// # Errors
    /// See [`DownloadErrorKind`]. Broken connections and passing failures are retried first, as long as bytes arrive.
    pub async fn next(&mut self) -> Result<Option<Bytes>, DownloadError> {
        let chunk = self.body.next().await.map_err(|kind| kind.about(&self.address))?;
        self.received += chunk.as_ref().map_or(0, |chunk| chunk.len() as u64);
        if self.received > MAX_BLOB_BYTES {
            return Err(DownloadErrorKind::TooLarge(MAX_BLOB_BYTES).about(&self.address));
        }
        Ok(chunk)
    }
}

struct Remote {
    downloader: Downloader,
    address: Address,
    credentials: Option<Credentials>,
}

impl Origin for Remote {
    type Error = DownloadErrorKind;

    /// Sends one GET and follows where the answer points.
    async fn ask(&self, offset: u64) -> Result<Response, DownloadErrorKind> {
        let of_transport = |source| DownloadErrorKind::of_transport(self.address.host(), source);
        let (clients, url) = (&self.downloader.clients, self.address.url());
        let mut request = clients.named(self.address.route()).map_err(of_transport)?.get(url);
        if offset > 0 {
            request = request.header(RANGE, format!("bytes={offset}-"));
        }
        if let Some(Credentials(login)) = &self.credentials {
            request = request.basic_auth(&login.user, Some(&login.password));
        }
        let response = clients.send(self.address.home(), request.build().map_err(of_transport)?).await;
        let response = response.map_err(|error| DownloadErrorKind::of_send(self.address.host(), error))?;
        match response.status() {
            StatusCode::OK | StatusCode::PARTIAL_CONTENT => Ok(response),
            _ => Err(failure(&response, offset, self.credentials.is_some())),
        }
    }

    fn broken(&self, how: Broken) -> DownloadErrorKind {
        match how {
            Broken::Truncated(at, source) => DownloadErrorKind::Truncated { at, source },
            Broken::WrongSize { want, got } => DownloadErrorKind::WrongSize { want, got },
            Broken::Protocol(reason) => DownloadErrorKind::Protocol(reason),
            Broken::TooSlow => DownloadErrorKind::TooSlow,
        }
    }

    fn retry(error: &DownloadErrorKind) -> Retry {
        error.retry()
    }
}

/// Sorts an answer that is no content.
fn failure(response: &Response, offset: u64, with_login: bool) -> DownloadErrorKind {
    let retry_after = http::retry_after(response);
    match response.status() {
        StatusCode::NOT_FOUND | StatusCode::GONE => DownloadErrorKind::NotFound(response.status().as_u16()),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
            DownloadErrorKind::Unauthorized { code: response.status().as_u16(), with_login }
        }
        StatusCode::TOO_MANY_REQUESTS => DownloadErrorKind::RateLimited { retry_after },
        // The file ends before the place where it was to go on.
        StatusCode::RANGE_NOT_SATISFIABLE => DownloadErrorKind::WrongSize { want: offset + 1, got: offset },
        status => DownloadErrorKind::Server { code: status.as_u16(), retry_after },
    }
}

async fn whole(address: &Address, response: Response, limit: u64) -> Result<Bytes, DownloadErrorKind> {
    read_up_to(response, limit).await.map_err(|error| match error {
        ReadError::TooLong => DownloadErrorKind::TooLarge(limit),
        ReadError::TooSlow => DownloadErrorKind::TooSlow,
        ReadError::Broken(at, source) => match DownloadErrorKind::of_transport(address.host(), source) {
            DownloadErrorKind::Unreachable { source, .. } => DownloadErrorKind::Truncated { at, source: Some(source) },
            other => other,
        },
    })
}
