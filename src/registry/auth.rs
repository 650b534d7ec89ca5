//! Answers to a registry's challenges, kept for each repository.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use oci_client::RegistryOperation;
use oci_client::errors::OciDistributionError;
use oci_client::secrets::RegistryAuth;
use reqwest::RequestBuilder;

use super::credentials::Credentials;
use super::error::RegistryErrorKind;
use super::transport::Transports;
use crate::http::{Login, Route};
use crate::oci::Reference;

/// What a request proves itself with. Not printable on purpose.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Authorization {
    Bearer(String),
    Basic(Login),
}

impl Authorization {
    pub(super) fn apply(&self, request: RequestBuilder) -> RequestBuilder {
        match self {
            Self::Bearer(token) => request.bearer_auth(token),
            Self::Basic(login) => request.basic_auth(&login.user, Some(&login.password)),
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

impl Authorizations {
    pub(super) fn new(credentials: Credentials) -> Self {
        Self { credentials, logins: Mutex::default(), repositories: Mutex::default() }
    }

    /// What earlier challenges for this repository were answered with.
    pub(super) async fn known(&self, reference: &Reference, operation: Operation) -> Option<Authorization> {
        slot(&self.repositories, &key(reference, operation)).lock().await.clone()
    }

    /// Answers a challenge. `used` is what the challenged request bore: where another request has got something newer
    /// meanwhile, that is the answer.
    pub(super) async fn answer(
        &self,
        transports: &Transports,
        route: Route,
        reference: &Reference,
        operation: Operation,
        used: Option<&Authorization>,
    ) -> Result<Authorization, RegistryErrorKind> {
        let slot = slot(&self.repositories, &key(reference, operation));
        let mut held = slot.lock().await;
        if let Some(newer) = held.as_ref().filter(|held| Some(*held) != used) {
            return Ok(newer.clone());
        }
        let fresh = self.negotiate(transports, route, reference, operation).await?;
        *held = Some(fresh.clone());
        Ok(fresh)
    }

    /// Whether there are credentials for the reference's registry; only known after a challenge.
    pub(super) async fn has_login(&self, reference: &Reference) -> bool {
        matches!(*slot(&self.logins, reference.registry()).lock().await, Some(Some(_)))
    }

    async fn negotiate(
        &self,
        transports: &Transports,
        route: Route,
        reference: &Reference,
        operation: Operation,
    ) -> Result<Authorization, RegistryErrorKind> {
        let registry = reference.registry();
        let login = self.login(registry).await?;
        let refused = |with_credentials| RegistryErrorKind::Unauthorized {
            registry: registry.to_owned(),
            code: 401,
            with_credentials,
        };
        let secret = login
            .as_ref()
            .map_or(RegistryAuth::Anonymous, |login| RegistryAuth::Basic(login.user.clone(), login.password.clone()));
        let client = transports.negotiate(route).map_err(|source| RegistryErrorKind::of_transport(registry, source))?;
        let operation = match operation {
            Operation::Pull => RegistryOperation::Pull,
            Operation::Push => RegistryOperation::Push,
        };
        let result = client.auth(&to_oci_client(reference), &secret, operation).await;
        match (result, login) {
            (Ok(Some(token)), _) => Ok(Authorization::Bearer(token)),
            (Ok(None), Some(login)) => Ok(Authorization::Basic(login)),
            (Ok(None), None) => Err(refused(false)),
            (Err(OciDistributionError::RequestError(source)), _) => {
                Err(RegistryErrorKind::of_transport(registry, source))
            }
            // What the token service wrote is left out: it is foreign and may repeat what it was sent.
            (Err(OciDistributionError::AuthenticationFailure(_)), login) => Err(refused(login.is_some())),
            (Err(_), _) => Err(RegistryErrorKind::Protocol("the token service's answer is not understood")),
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

/// The tag plays no part in authorization; any will do.
fn to_oci_client(reference: &Reference) -> oci_client::Reference {
    oci_client::Reference::with_tag(
        reference.registry().to_owned(),
        reference.repository().to_owned(),
        reference.tag().unwrap_or("latest").to_owned(),
    )
}
