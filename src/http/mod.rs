//! What the clients of registries and of web servers have in common: connections, retries, resumed bodies.
//!
//! It must not know what is transferred, nor by which protocol it is asked for.

mod body;
mod failure;
mod pace;
mod redirect;
mod retry;
mod transport;

use std::time::Duration;

use reqwest::Response;
use reqwest::header::RETRY_AFTER;

pub(crate) use body::{Body, Broken, Origin};
pub(crate) use failure::ConnectionFailure;
pub(crate) use pace::{ReadError, read_up_to};
pub use redirect::RedirectError;
pub(crate) use redirect::{SendError, allowed, shown};
pub(crate) use retry::{FIRST_PAUSE, Retry, Tries};
pub(crate) use transport::{Clients, Route, is_loopback};

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
