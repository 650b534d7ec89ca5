//! Files, chart packages and chart indexes from web servers: over TLS, through proxies, resumed.
//!
//! The environment says how servers are reached: `SSL_CERT_FILE` and `SSL_CERT_DIR` name certificate authorities in place
//! of the system's, `HTTPS_PROXY` and `NO_PROXY` the way. It must not know what a file is for.
//!
//! Redirects are followed here and not by the HTTP client: only to `https://`, without the login where they leave the
//! server, and with both addresses in the error where they are refused.

mod address;
mod error;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{LOCATION, RANGE};
use reqwest::{Response, StatusCode};

pub use address::{Address, AddressError};
pub use error::{DownloadError, DownloadErrorKind};

use crate::http::{self, Body, Broken, Clients, Login, Origin, Redirects, Retry, Tries, read_up_to};
use crate::io::{AtPath, AtomicFile, Mismatch};
use crate::oci::{Digest, Digester, MAX_BLOB_BYTES};

/// Redirects in a row that are followed.
const MOST_REDIRECTS: usize = 10;

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
        Self { clients: Arc::new(Clients::new(Redirects::HandedOver)), first_pause: http::FIRST_PAUSE }
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
        let mut address = self.address.clone();
        for _ in 0..=MOST_REDIRECTS {
            let login = self.credentials.as_ref().filter(|_| address.same_server(&self.address));
            let response = self.downloader.send(&address, offset, login).await?;
            match response.status() {
                StatusCode::OK | StatusCode::PARTIAL_CONTENT => return Ok(response),
                StatusCode::MOVED_PERMANENTLY
                | StatusCode::FOUND
                | StatusCode::SEE_OTHER
                | StatusCode::TEMPORARY_REDIRECT
                | StatusCode::PERMANENT_REDIRECT => address = next(&address, &response)?,
                _ => return Err(failure(&response, offset, login.is_some())),
            }
        }
        Err(DownloadErrorKind::Redirect("it redirects again and again"))
    }

    fn broken(&self, how: Broken) -> DownloadErrorKind {
        match how {
            Broken::Truncated(at, source) => DownloadErrorKind::Truncated { at, source },
            Broken::WrongSize { want, got } => DownloadErrorKind::WrongSize { want, got },
            Broken::Protocol(reason) => DownloadErrorKind::Protocol(reason),
        }
    }

    fn retry(error: &DownloadErrorKind) -> Retry {
        error.retry()
    }
}

impl Downloader {
    async fn send(
        &self,
        address: &Address,
        offset: u64,
        login: Option<&Credentials>,
    ) -> Result<Response, DownloadErrorKind> {
        let of_transport = |source| DownloadErrorKind::of_transport(address.host(), source);
        let mut request = self.clients.of(address.route()).map_err(of_transport)?.get(address.url());
        if offset > 0 {
            request = request.header(RANGE, format!("bytes={offset}-"));
        }
        if let Some(Credentials(login)) = login {
            request = request.basic_auth(&login.user, Some(&login.password));
        }
        request.send().await.map_err(of_transport)
    }
}

/// Where an answer points to.
fn next(from: &Address, response: &Response) -> Result<Address, DownloadErrorKind> {
    let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
    let location = location.ok_or(DownloadErrorKind::Redirect("the server redirects without saying where to"))?;
    let next = from.join(location);
    match next {
        // This machine's plain HTTP is for who asked for it.
        Ok(next) if !next.as_str().starts_with("http://") || from.as_str().starts_with("http://") => Ok(next),
        Ok(next) => Err(DownloadErrorKind::PlainRedirect { from: from.to_string(), to: next.to_string() }),
        Err(AddressError::NotHttps(to)) => Err(DownloadErrorKind::PlainRedirect { from: from.to_string(), to }),
        Err(AddressError::Login(_)) => {
            Err(DownloadErrorKind::Redirect("the server redirects to an address with a password in it"))
        }
        Err(AddressError::Malformed { .. }) => {
            Err(DownloadErrorKind::Redirect("the server redirects to what is no address"))
        }
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
    match read_up_to(response, limit).await {
        Ok(Some(body)) => Ok(body),
        Ok(None) => Err(DownloadErrorKind::TooLarge(limit)),
        Err((at, source)) => match DownloadErrorKind::of_transport(address.host(), source) {
            DownloadErrorKind::Unreachable { source, .. } => {
                Err(DownloadErrorKind::Truncated { at, source: Some(source) })
            }
            other => Err(other),
        },
    }
}
