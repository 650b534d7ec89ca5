//! Answers to a registry's challenges, kept for each repository.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{AUTHORIZATION, HeaderValue};
use reqwest::{Request, StatusCode, Url};

use super::challenge::Challenge;
use super::credentials::Credentials;
use super::error::RegistryErrorKind;
use super::{Home, refused};
use crate::http::{Clients, Login, ReadError, allowed, read_up_to, shown};
use crate::oci::Reference;

/// Bytes of a token service's answer that are read. Tokens have some KiB.
const MAX_TOKEN: u64 = 64 << 10;

/// What a request proves itself with. Not printable on purpose.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Authorization {
    Bearer(String),
    Basic(Login),
}

impl Authorization {
    /// Adds itself to a request; where it cannot be a header, the request goes without it and is refused.
    pub(super) fn apply(&self, request: &mut Request) {
        let text = match self {
            Self::Bearer(token) => format!("Bearer {token}"),
            Self::Basic(login) => format!("Basic {}", STANDARD.encode(format!("{}:{}", login.user, login.password))),
        };
        if let Ok(mut value) = HeaderValue::try_from(text) {
            value.set_sensitive(true);
            request.headers_mut().insert(AUTHORIZATION, value);
        }
    }
}

/// What a request may do, which a token must allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    /// Read.
    Pull,
    /// Read and write.
    Push,
}

type Slot<T> = Arc<tokio::sync::Mutex<Option<T>>>;

/// Logins of registries and authorizations for repositories, each fetched once however many requests want it.
pub(super) struct Authorizations {
    credentials: Credentials,
    logins: Mutex<HashMap<String, Slot<Option<Login>>>>,
    repositories: Mutex<HashMap<String, Slot<Authorization>>>,
}

/// A challenge that was met, and by what.
pub(super) struct Challenged<'a> {
    pub(super) reference: &'a Reference,
    pub(super) home: &'a Home,
    pub(super) operation: Operation,
    /// What the request bore.
    pub(super) used: Option<&'a Authorization>,
    /// What the registry asks for; some ask without saying for what.
    pub(super) challenge: Option<Challenge>,
}

impl Authorizations {
    pub(super) fn new(credentials: Credentials) -> Self {
        Self { credentials, logins: Mutex::default(), repositories: Mutex::default() }
    }

    /// What earlier challenges for this repository were answered with.
    pub(super) async fn known(&self, reference: &Reference, operation: Operation) -> Option<Authorization> {
        slot(&self.repositories, &key(reference, operation)).lock().await.clone()
    }

    /// Answers a challenge. Where another request has got something newer than what this one bore, that is the answer.
    pub(super) async fn answer(
        &self,
        clients: &Clients,
        challenged: Challenged<'_>,
    ) -> Result<Authorization, RegistryErrorKind> {
        let slot = slot(&self.repositories, &key(challenged.reference, challenged.operation));
        let mut held = slot.lock().await;
        if let Some(newer) = held.as_ref().filter(|held| Some(*held) != challenged.used) {
            return Ok(newer.clone());
        }
        let fresh = self.negotiate(clients, &challenged).await?;
        *held = Some(fresh.clone());
        Ok(fresh)
    }

    /// Whether there are credentials for the reference's registry; only known after a challenge.
    pub(super) async fn has_login(&self, reference: &Reference) -> bool {
        matches!(*slot(&self.logins, reference.registry()).lock().await, Some(Some(_)))
    }

    async fn negotiate(
        &self,
        clients: &Clients,
        challenged: &Challenged<'_>,
    ) -> Result<Authorization, RegistryErrorKind> {
        let login = self.login(challenged.reference.registry()).await?;
        match (&challenged.challenge, login) {
            (Some(Challenge::Bearer { realm, service }), login) => {
                let realm = realm_of(challenged, realm, service.as_deref(), login.is_some())?;
                token(clients, challenged, realm, login).await.map(Authorization::Bearer)
            }
            (_, Some(login)) => Ok(Authorization::Basic(login)),
            (_, None) => Err(unauthorized(challenged.reference, false)),
        }
    }

    async fn login(&self, registry: &str) -> Result<Option<Login>, RegistryErrorKind> {
        let slot = slot(&self.logins, registry);
        let mut held = slot.lock().await;
        if let Some(login) = held.as_ref() {
            return Ok(login.clone());
        }
        let (credentials, key) = (self.credentials.clone(), registry.to_owned());
        // A helper may ask a keyring, or a person.
        let found = tokio::task::spawn_blocking(move || credentials.find(&key)).await;
        let login = found
            .unwrap_or_else(|_| Err("looking for them was interrupted".to_owned()))
            .map_err(|reason| RegistryErrorKind::Credentials { registry: registry.to_owned(), reason })?;
        *held = Some(login.clone());
        Ok(login)
    }
}

/// The address of the token service with what is asked of it, where that may be asked at all. A registry may name any
/// service with TLS; one without TLS only where the registry itself is spoken to so, and for a password only itself.
fn realm_of(
    challenged: &Challenged<'_>,
    realm: &str,
    service: Option<&str>,
    with_login: bool,
) -> Result<Url, RegistryErrorKind> {
    let reference = challenged.reference;
    let home = &challenged.home.url;
    let mut url = Url::parse(realm).map_err(|_| RegistryErrorKind::Protocol("its token service is no address"))?;
    let refused =
        |reason| RegistryErrorKind::Realm { registry: reference.registry().into(), realm: shown(&url), reason };
    allowed(home, home, &url).map_err(|error| refused(error.of_realm()))?;
    if with_login && url.scheme() == "http" && url.origin() != home.origin() {
        return Err(refused("which is another server without TLS, and no password is sent there"));
    }
    let actions = match challenged.operation {
        Operation::Pull => "pull",
        Operation::Push => "pull,push",
    };
    let scope = format!("repository:{}:{actions}", reference.repository());
    url.query_pairs_mut().extend_pairs(service.map(|service| ("service", service))).append_pair("scope", &scope);
    Ok(url)
}

/// Fetches a token. What the service says where it refuses is not read: it is foreign and may repeat what it was sent.
async fn token(
    clients: &Clients,
    challenged: &Challenged<'_>,
    realm: Url,
    login: Option<Login>,
) -> Result<String, RegistryErrorKind> {
    #[derive(serde::Deserialize)]
    struct Answer {
        token: Option<String>,
        access_token: Option<String>,
    }
    let reference = challenged.reference;
    let with_login = login.is_some();
    let mut request = Request::new(reqwest::Method::GET, realm);
    if let Some(login) = login {
        Authorization::Basic(login).apply(&mut request);
    }
    let response = clients.send(&challenged.home.url, request).await;
    let response = response.map_err(|error| RegistryErrorKind::of_send(reference.registry(), error))?;
    match response.status() {
        StatusCode::OK => {}
        status @ (StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT) => {
            return Err(refused(reference, status, &response));
        }
        status if status.is_server_error() => return Err(refused(reference, status, &response)),
        _ => return Err(unauthorized(reference, with_login)),
    }
    let body = read_up_to(response, MAX_TOKEN).await.map_err(|error| match error {
        ReadError::TooLong => RegistryErrorKind::Protocol("the token service's answer is larger than 64 KiB"),
        ReadError::TooSlow => RegistryErrorKind::TooSlow { registry: reference.registry().to_owned() },
        ReadError::Broken(_, source) => RegistryErrorKind::of_transport(reference.registry(), source),
    })?;
    let answer = serde_json::from_slice::<Answer>(&body).ok();
    let tokens = answer.into_iter().flat_map(|answer| [answer.token, answer.access_token]).flatten();
    let mut usable = tokens.filter(|token| !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic()));
    usable.next().ok_or(RegistryErrorKind::Protocol("the token service's answer has no token"))
}

fn unauthorized(reference: &Reference, with_credentials: bool) -> RegistryErrorKind {
    RegistryErrorKind::Unauthorized { registry: reference.registry().to_owned(), code: 401, with_credentials }
}

/// A token is for one repository and one operation.
fn key(reference: &Reference, operation: Operation) -> String {
    match operation {
        Operation::Pull => reference.name(),
        Operation::Push => format!("{} push", reference.name()),
    }
}

fn slot<T>(slots: &Mutex<HashMap<String, Slot<T>>>, key: &str) -> Slot<T> {
    let mut slots = slots.lock().unwrap_or_else(PoisonError::into_inner);
    Arc::clone(slots.entry(key.to_owned()).or_default())
}
