//! What the clients of registries and of web servers have in common: connections, retries, resumed bodies.
//!
//! It must not know what is transferred, nor by which protocol it is asked for.

mod body;
mod failure;
mod retry;
mod transport;

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::Response;
use reqwest::header::RETRY_AFTER;

pub(crate) use body::{Body, Broken, Origin};
pub(crate) use failure::ConnectionFailure;
pub(crate) use retry::{FIRST_PAUSE, Retry, Tries};
pub(crate) use transport::{
    CONNECT_TIMEOUT, Clients, READ_TIMEOUT, Redirects, Route, USER_AGENT, is_loopback, secure_builder,
};

/// A user's name and password. Not printable on purpose.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Login {
    /// The user's name.
    pub(crate) user: String,
    /// The password or access token.
    pub(crate) password: String,
}

/// How long the answer asks to wait, where it says so in seconds.
pub(crate) fn retry_after(response: &Response) -> Option<Duration> {
    let seconds = response.headers().get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// The body, or nothing where it is longer than `limit`. A failure says after how many bytes.
pub(crate) async fn read_up_to(mut response: Response, limit: u64) -> Result<Option<Bytes>, (u64, reqwest::Error)> {
    if response.content_length().is_some_and(|length| length > limit) {
        return Ok(None);
    }
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| (body.len() as u64, error))? {
        if body.len() as u64 + chunk.len() as u64 > limit {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Some(body.freeze()))
}
