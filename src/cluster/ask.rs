//! One question to the API server, and its answer. Owns how long an answer may take and how large it may be: nothing that
//! the server sends is kept beyond that. It must not know what is asked for.

use std::future::poll_fn;
use std::pin::pin;
use std::time::Duration;

use hyper::body::Body as _;
use kube::Client;
use kube::client::AuthError;
use kube::client::Body;
use serde::Deserialize;

use super::Failure;

/// Bytes of an answer that tells what went wrong; it is a sentence.
const MAX_ERROR: usize = 64 << 10;

/// Why the server did not give what was asked for.
#[derive(Debug, Clone)]
pub(super) struct Refusal {
    /// HTTP's status, where there was an answer.
    pub(super) code: Option<u16>,
    /// Why, in one line.
    pub(super) reason: String,
}

impl Refusal {
    pub(super) fn because(reason: impl Into<String>) -> Self {
        Self { code: None, reason: one_line(&reason.into()) }
    }

    /// What an answer with a status other than success says, as far as it was read.
    fn of_answer(code: u16, body: &[u8]) -> Self {
        let told = serde_json::from_slice(body).unwrap_or(Told { message: String::new(), reason: String::new() });
        let said = [told.message, told.reason].into_iter().find(|text| !text.is_empty()).unwrap_or_else(|| {
            // What is no answer of Kubernetes may be anything, a page of a proxy say.
            let status = hyper::StatusCode::from_u16(code).ok();
            status.and_then(|status| status.canonical_reason()).unwrap_or("without a reason").to_owned()
        });
        let reason = if code == 403 { format!("forbidden: {said}") } else { format!("status {code}: {said}") };
        Self { code: Some(code), reason: one_line(&reason) }
    }

    pub(super) fn failure(self, what: String, namespace: Option<&str>) -> Failure {
        let forbidden = self.code == Some(403);
        Failure { what, namespace: namespace.map(str::to_owned), reason: self.reason, forbidden }
    }
}

/// What of a `Status` is for people.
#[derive(Deserialize)]
struct Told {
    #[serde(default)]
    message: String,
    #[serde(default)]
    reason: String,
}

fn one_line(text: &str) -> String {
    let line: String = text.chars().map(|c| if crate::text::is_unseen(c) { ' ' } else { c }).take(500).collect();
    line.trim().to_owned()
}

/// The answer to a question for `target`, a path and query: `limit` bytes at most, and whole within `patience`.
pub(super) async fn ask(client: &Client, target: &str, limit: usize, patience: Duration) -> Result<Vec<u8>, Refusal> {
    match tokio::time::timeout(patience, answer(client, target, limit)).await {
        Ok(answer) => answer,
        Err(_) => Err(Refusal::because(format!("no answer within {} s", patience.as_secs()))),
    }
}

async fn answer(client: &Client, target: &str, limit: usize) -> Result<Vec<u8>, Refusal> {
    let request = hyper::Request::get(target).header(hyper::header::ACCEPT, "application/json");
    let request = request.body(Body::empty()).map_err(|error| Refusal::because(error.to_string()))?;
    let response = client.send(request).await.map_err(|error| Refusal::because(told(&error)))?;
    let status = response.status();
    if !status.is_success() {
        // How much of it came and how it ended does not matter: the status is what counts.
        let (body, _) = start(response.into_body(), MAX_ERROR).await;
        return Err(Refusal::of_answer(status.as_u16(), &body));
    }
    match start(response.into_body(), limit).await {
        (body, End::Whole) => Ok(body),
        (_, End::TooLong) => Err(Refusal::because(format!("an answer has more than {} MiB", limit >> 20))),
        (_, End::Broken(error)) => Err(Refusal::because(format!("the answer breaks off: {error}"))),
    }
}

/// What is said of an error. Those of a credential plugin repeat its command, its environment and what it printed, any of
/// which may be a secret.
pub(super) fn told(error: &kube::Error) -> String {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(cause) = next {
        if let Some(error) = cause.downcast_ref::<AuthError>() {
            return match error {
                AuthError::AuthExecStart(error) => {
                    format!("the credential plugin of this user cannot be started: {error}")
                }
                AuthError::AuthExecRun { out, .. } => {
                    format!("the credential plugin of this user failed: {}", out.status)
                }
                AuthError::ReadTokenFile(error, path) => {
                    format!("cannot read the token file {}: {error}", path.display())
                }
                _ => "the credentials of this user cannot be used".to_owned(),
            };
        }
        next = cause.source();
    }
    crate::io::with_causes(error)
}

/// How reading ended.
enum End {
    Whole,
    TooLong,
    Broken(String),
}

/// The first `limit` bytes of `body`; no more is read.
async fn start(body: Body, limit: usize) -> (Vec<u8>, End) {
    let mut body = pin!(body);
    let mut bytes = Vec::new();
    while let Some(frame) = poll_fn(|context| body.as_mut().poll_frame(context)).await {
        let frame = match frame {
            Ok(frame) => frame,
            Err(error) => return (bytes, End::Broken(crate::io::with_causes(&error))),
        };
        let data = frame.data_ref().map(|data| &data[..]).unwrap_or_default();
        let room = limit - bytes.len();
        bytes.extend_from_slice(&data[..data.len().min(room)]);
        if data.len() > room {
            return (bytes, End::TooLong);
        }
    }
    (bytes, End::Whole)
}
