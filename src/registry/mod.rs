//! The registry client: authentication, retries, resumed transfers (OCI distribution-spec 1.1, "Pull" and "Push").
//!
//! It hands over manifests whose digest has been checked, and blobs as streams that the caller checks. It must not know
//! what images are for, nor where their bytes go.
//!
//! Every answer is bounded in size and time, those of token services and of what went wrong included; a password goes to
//! the registry and its token service alone, and redirects follow the rules of `http`.

mod auth;
mod blob;
mod challenge;
mod credentials;
mod error;
pub mod in_process;
mod push;
mod tags;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, RANGE};
use reqwest::{Client, RequestBuilder, Response, StatusCode, Url};

pub use blob::BlobStream;
pub use credentials::Credentials;
pub use error::{RegistryError, RegistryErrorKind};
pub use push::Content;

use auth::{Authorization, Authorizations, Challenged, Operation};
use challenge::Challenge;

use crate::http::{self, Clients, ReadError, Route, Tries, read_up_to};
use crate::oci::{Digest, MAX_MANIFEST_BYTES, Manifest, ManifestError, Reference, media_type};

/// How registries are reached.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Hosts, with or without port, that are spoken to without TLS. Those of this machine always are.
    pub plain_http: Vec<String>,
}

/// A client for any number of registries. Clones share connections and tokens.
#[derive(Clone)]
pub struct Registry {
    shared: Arc<Shared>,
    first_pause: Duration,
}

struct Shared {
    plain_http: Vec<String>,
    clients: Clients,
    authorizations: Authorizations,
}

/// A manifest or index, exactly as the registry has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchedManifest {
    /// Its bytes; at most [`MAX_MANIFEST_BYTES`].
    pub raw: Bytes,
    /// Its own media type, else the one that the registry gave.
    pub media_type: String,
    /// What the bytes hash to; equal to the reference's digest, where that has one.
    pub digest: Digest,
}

impl FetchedManifest {
    /// Parses the bytes.
    ///
    /// # Errors
    /// Where they are no manifest that is supported.
    pub fn parse(&self) -> Result<Manifest, ManifestError> {
        Manifest::parse(&self.raw, &self.media_type)
    }
}

impl Registry {
    /// A client with the credentials of the environment (see [`Credentials::from_environment`]). Nothing is read or
    /// connected yet.
    pub fn new(options: Options) -> Self {
        Self::with_credentials(options, Credentials::from_environment())
    }

    /// A client with the given credentials.
    pub fn with_credentials(options: Options, credentials: Credentials) -> Self {
        let shared = Shared {
            plain_http: options.plain_http,
            clients: Clients::default(),
            authorizations: Authorizations::new(credentials),
        };
        Self { shared: Arc::new(shared), first_pause: http::FIRST_PAUSE }
    }

    /// The same client with another pause before the second try; each further pause is twice as long.
    #[must_use]
    pub fn with_first_pause(self, first_pause: Duration) -> Self {
        Self { first_pause, ..self }
    }

    /// Fetches what `reference` names: by its digest where it has one, else by its tag.
    ///
    /// # Errors
    /// See [`RegistryErrorKind`]. Passing failures are retried first.
    pub async fn manifest(&self, reference: &Reference) -> Result<FetchedManifest, RegistryError> {
        let mut tries = Tries::new(self.first_pause);
        loop {
            match self.manifest_once(reference).await {
                Ok(manifest) => return Ok(manifest),
                Err(kind) if tries.wait(kind.retry()).await => {}
                Err(kind) => return Err(kind.about(reference)),
            }
        }
    }

    /// Streams the blob `digest` of `size` bytes from `offset` on. The bytes are not believed yet: the caller hashes.
    ///
    /// # Errors
    /// See [`RegistryErrorKind`]. Passing failures are retried first.
    pub async fn blob(
        &self,
        reference: &Reference,
        digest: &Digest,
        size: u64,
        offset: u64,
    ) -> Result<BlobStream, RegistryError> {
        BlobStream::open(self.clone(), reference.clone(), *digest, size, offset).await
    }

    async fn manifest_once(&self, reference: &Reference) -> Result<FetchedManifest, RegistryErrorKind> {
        let version = match (reference.digest(), reference.tag()) {
            (Some(digest), _) => digest.to_string(),
            (None, tag) => tag.unwrap_or("latest").to_owned(),
        };
        let path = format!("manifests/{version}");
        let response = match self.get(reference, &path, Wanted::Manifest).await {
            Err(RegistryErrorKind::NoTag) if !self.has_repository(reference).await => {
                return Err(RegistryErrorKind::NoRepository);
            }
            other => other?,
        };
        let headers = response.headers().clone();
        let raw = body_of_manifest(reference.registry(), response).await?;
        let digest = Digest::of(&raw);
        let announced = headers.get("docker-content-digest").and_then(|value| value.to_str().ok()?.parse().ok());
        for want in reference.digest().into_iter().chain(announced) {
            if want != digest {
                return Err(RegistryErrorKind::WrongDigest { want, got: digest });
            }
        }
        Ok(FetchedManifest { media_type: media_type_of(&raw, &headers), raw, digest })
    }

    /// Tells a missing tag from a missing repository, where the registry does not do that itself. Only asked after a
    /// failure; an answer that says neither leaves it at the missing tag.
    async fn has_repository(&self, reference: &Reference) -> bool {
        let answer = self.get(reference, "tags/list?n=1", Wanted::Tags).await;
        !matches!(answer, Err(RegistryErrorKind::NoRepository))
    }

    /// Sends one GET, answering a challenge on the way. Only content is handed over.
    async fn get(&self, reference: &Reference, path: &str, wanted: Wanted) -> Result<Response, RegistryErrorKind> {
        let build = |client: &Client, base: &str| {
            let request = client.get(format!("{base}/{path}"));
            match wanted {
                Wanted::Manifest => request.header(ACCEPT, media_type::MANIFESTS.join(", ")),
                Wanted::Blob { offset: 1.., .. } => request.header(RANGE, wanted.range()),
                Wanted::Blob { .. } | Wanted::Tags => request,
            }
        };
        let response = self.exchange(reference, Operation::Pull, build).await?;
        match response.status() {
            StatusCode::OK | StatusCode::PARTIAL_CONTENT => Ok(response),
            _ => Err(failure(reference, response, wanted).await),
        }
    }

    /// Sends the request that `build` makes of a client and the repository's address, answering a challenge on the way.
    /// The authorization goes to the registry alone, wherever the request itself or a redirect goes. Any answer but a
    /// refusal of access is handed over.
    async fn exchange(
        &self,
        reference: &Reference,
        operation: Operation,
        build: impl Fn(&Client, &str) -> RequestBuilder,
    ) -> Result<Response, RegistryErrorKind> {
        let Shared { plain_http, clients, authorizations } = &*self.shared;
        let home = &Home::of(reference, Route::of(reference.registry(), plain_http))?;
        let known = authorizations.known(reference, operation).await;
        let mut response = self.send(reference, home, known.as_ref(), &build).await?;
        // What another server asks for is not the registry's challenge.
        if response.status() == StatusCode::UNAUTHORIZED && home.is_of(&response) {
            let challenge = Challenge::of(response.headers());
            drop(response);
            let challenged = Challenged { reference, home, operation, used: known.as_ref(), challenge };
            let answer = authorizations.answer(clients, challenged).await?;
            response = self.send(reference, home, Some(&answer), &build).await?;
        }
        match response.status() {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(RegistryErrorKind::Unauthorized {
                registry: reference.registry().to_owned(),
                code: response.status().as_u16(),
                with_credentials: authorizations.has_login(reference).await,
            }),
            _ => Ok(response),
        }
    }

    async fn send(
        &self,
        reference: &Reference,
        home: &Home,
        authorization: Option<&Authorization>,
        build: impl Fn(&Client, &str) -> RequestBuilder,
    ) -> Result<Response, RegistryErrorKind> {
        let of_transport = |source| RegistryErrorKind::of_transport(reference.registry(), source);
        let clients = &self.shared.clients;
        let client = clients.named(home.route).map_err(of_transport)?;
        let mut request = build(client, home.url.as_str()).build().map_err(of_transport)?;
        if let Some(authorization) = authorization.filter(|_| request.url().origin() == home.url.origin()) {
            authorization.apply(&mut request);
        }
        let response = clients.send(&home.url, request).await;
        response.map_err(|error| RegistryErrorKind::of_send(reference.registry(), error))
    }
}

/// Where a repository is: what every address that an answer names is measured by.
struct Home {
    /// `https://HOST/v2/REPOSITORY`
    url: Url,
    route: Route,
}

impl Home {
    fn of(reference: &Reference, route: Route) -> Result<Self, RegistryErrorKind> {
        // The Hub's name and its API's host differ.
        let host = if reference.registry() == "docker.io" { "registry-1.docker.io" } else { reference.registry() };
        let url = Url::parse(&format!("{}://{host}/v2/{}", route.scheme(), reference.repository()));
        Ok(Self { url: url.map_err(|_| RegistryErrorKind::Host(reference.registry().to_owned()))?, route })
    }

    fn is_of(&self, response: &Response) -> bool {
        response.url().origin() == self.url.origin()
    }
}

/// What a request is for.
#[derive(Debug, Clone, Copy)]
enum Wanted {
    Manifest,
    Blob { digest: Digest, offset: u64 },
    Tags,
}

impl Wanted {
    fn range(self) -> String {
        match self {
            Self::Blob { offset, .. } => format!("bytes={offset}-"),
            Self::Manifest | Self::Tags => String::new(),
        }
    }
}

/// Sorts an answer that is neither content nor a refusal of access.
async fn failure(reference: &Reference, response: Response, wanted: Wanted) -> RegistryErrorKind {
    let status = response.status();
    if status != StatusCode::NOT_FOUND {
        return refused(reference, status, &response);
    }
    match wanted {
        _ if says_no_repository(response).await => RegistryErrorKind::NoRepository,
        Wanted::Tags => RegistryErrorKind::NoRepository,
        Wanted::Blob { digest, .. } => RegistryErrorKind::NoBlob(digest),
        Wanted::Manifest => reference.digest().map_or(RegistryErrorKind::NoTag, RegistryErrorKind::NoManifest),
    }
}

/// An answer whose status is all that is known of it.
fn refused(reference: &Reference, status: StatusCode, response: &Response) -> RegistryErrorKind {
    let registry = reference.registry().to_owned();
    let retry_after = http::retry_after(response);
    match status {
        StatusCode::TOO_MANY_REQUESTS => RegistryErrorKind::RateLimited { registry, retry_after },
        _ => RegistryErrorKind::Server { registry, code: status.as_u16(), retry_after },
    }
}

/// Whether the body is an error document with the code `NAME_UNKNOWN` (distribution-spec, "Error Codes").
async fn says_no_repository(response: Response) -> bool {
    #[derive(serde::Deserialize)]
    struct Document {
        errors: Vec<Entry>,
    }
    #[derive(serde::Deserialize)]
    struct Entry {
        code: String,
    }
    let Ok(body) = read_up_to(response, 64 << 10).await else { return false };
    serde_json::from_slice::<Document>(&body)
        .is_ok_and(|document| document.errors.iter().any(|entry| entry.code == "NAME_UNKNOWN"))
}

async fn body_of_manifest(registry: &str, response: Response) -> Result<Bytes, RegistryErrorKind> {
    read_up_to(response, MAX_MANIFEST_BYTES).await.map_err(|error| match error {
        ReadError::TooLong => RegistryErrorKind::ManifestTooLarge,
        ReadError::TooSlow => RegistryErrorKind::TooSlow { registry: registry.to_owned() },
        ReadError::Broken(at, source) => match RegistryErrorKind::of_transport(registry, source) {
            RegistryErrorKind::Unreachable { source, .. } => {
                RegistryErrorKind::Truncated { what: "the manifest".to_owned(), at, source: Some(source) }
            }
            other => other,
        },
    })
}

/// The manifest's own type decides, then the registry's header, then the shape: OCI lets both be absent.
fn media_type_of(raw: &[u8], headers: &HeaderMap) -> String {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Shape {
        media_type: Option<String>,
        manifests: Option<serde::de::IgnoredAny>,
        config: Option<serde::de::IgnoredAny>,
    }
    let header = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let header = header.split(';').next().unwrap_or_default().trim();
    match serde_json::from_slice(raw) {
        Ok(Shape { media_type: Some(own), .. }) => own,
        _ if media_type::MANIFESTS.contains(&header) => header.to_owned(),
        Ok(Shape { manifests: Some(_), .. }) => media_type::IMAGE_INDEX.to_owned(),
        Ok(Shape { config: Some(_), .. }) => media_type::IMAGE_MANIFEST.to_owned(),
        _ => header.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_media_type_is_found_wherever_it_is() {
        let header = |value: &'static str| HeaderMap::from_iter([(CONTENT_TYPE, value.parse().unwrap())]);
        for (raw, content_type, want) in [
            (r#"{"mediaType":"application/x"}"#, media_type::IMAGE_INDEX, "application/x"),
            ("{}", "application/vnd.oci.image.index.v1+json; charset=utf-8", media_type::IMAGE_INDEX),
            (r#"{"manifests":[]}"#, "application/json", media_type::IMAGE_INDEX),
            (r#"{"config":{}}"#, "application/json", media_type::IMAGE_MANIFEST),
            ("<html>", "text/html", "text/html"),
        ] {
            assert_eq!(media_type_of(raw.as_bytes(), &header(content_type)), want);
        }
    }
}
