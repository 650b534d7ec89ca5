//! Asking for objects: page by page, kind by kind, and what a refusal says.

use std::collections::BTreeSet;
use std::pin::pin;
use std::time::Duration;

use futures_util::{AsyncReadExt, StreamExt, stream};
use kube::Client;
use kube::api::ListParams;
use kube::core::Request;
use serde::Deserialize;
use serde_json::Value;

use super::{ApiKind, Failure, Object, Wanted};

/// Objects of one page.
const PAGE: u32 = 500;
/// Bytes of one page. An object has 1.5 MiB at most, and hardly any has a tenth of it.
const MAX_PAGE: u64 = 256 << 20;
/// Objects of one kind.
const MAX_OBJECTS: usize = 200_000;
/// Kinds that are asked for at a time.
const AT_A_TIME: usize = 8;

/// Why the server did not give what was asked for.
#[derive(Debug, Clone)]
pub(super) struct Refusal {
    /// HTTP's status, where there was an answer.
    pub(super) code: Option<u16>,
    /// Why, in one line.
    pub(super) reason: String,
}

impl Refusal {
    fn of(error: &kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => {
                let said = if status.message.is_empty() { &status.reason } else { &status.message };
                let reason = match status.code {
                    403 => format!("forbidden: {said}"),
                    code => format!("status {code}: {said}"),
                };
                Self { code: Some(status.code), reason: one_line(&reason) }
            }
            other => Self { code: None, reason: one_line(&crate::io::with_causes(other)) },
        }
    }

    fn because(reason: String) -> Self {
        Self { code: None, reason }
    }

    pub(super) fn failure(self, what: String, namespace: Option<&str>) -> Failure {
        let forbidden = self.code == Some(403);
        Failure { what, namespace: namespace.map(str::to_owned), reason: self.reason, forbidden }
    }
}

fn one_line(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(500).collect();
    line.trim().to_owned()
}

/// Waits for an answer, but no longer than `patience`.
pub(super) async fn patiently<T>(
    patience: Duration,
    asked: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, Refusal> {
    match tokio::time::timeout(patience, asked).await {
        Ok(answer) => answer.map_err(|error| Refusal::of(&error)),
        Err(_) => Err(Refusal::because(format!("no answer within {} s", patience.as_secs()))),
    }
}

/// Every object of `kinds` that is wanted, and what could not be read.
pub(super) async fn all(
    client: &Client,
    kinds: &[ApiKind],
    wanted: &Wanted,
    patience: Duration,
) -> (Vec<Object>, Vec<Failure>) {
    let places = kinds.iter().flat_map(|kind| places(kind, wanted).into_iter().map(move |place| (kind, place)));
    let asked = places.map(|(kind, namespace)| async move {
        let listed = list(client, &kind.path(namespace.as_deref()), patience).await;
        (kind, namespace, listed)
    });
    let mut answers = stream::iter(asked).buffer_unordered(AT_A_TIME);
    let (mut objects, mut failures) = (Vec::new(), Vec::new());
    while let Some((kind, namespace, listed)) = answers.next().await {
        match listed {
            Ok(items) => objects.extend(items.into_iter().filter_map(|item| Object::new(kind, item))),
            Err(refusal) => failures.push(refusal.failure(kind.title(), namespace.as_deref())),
        }
    }
    let wanted = |object: &Object| match object.namespace() {
        _ if wanted.namespaces.is_empty() => true,
        Some(namespace) => wanted.namespaces.contains(namespace),
        None => !object.is("", "Namespace") || wanted.namespaces.contains(object.name()),
    };
    objects.retain(wanted);
    objects.sort_by(|one: &Object, other| one.key().cmp(&other.key()));
    // A list that had to be begun again may have an object twice.
    objects.dedup_by(|one, other| one.key() == other.key());
    // Some servers show one object in several groups.
    let mut seen = BTreeSet::new();
    objects.retain(|object| object.uid().is_none_or(|uid| seen.insert(uid.to_owned())));
    (objects, failures)
}

/// The namespaces to ask for a kind in; `None` is the cluster as a whole.
fn places(kind: &ApiKind, wanted: &Wanted) -> Vec<Option<String>> {
    if wanted.namespaces.is_empty() {
        return vec![None];
    }
    if kind.namespaced {
        return wanted.namespaces.iter().cloned().map(Some).collect();
    }
    // Of what belongs to no namespace, what those of the namespaces cannot be without, and what tells of the nodes.
    let needed = [("", "Namespace"), ("", "Node"), ("apiextensions.k8s.io", "CustomResourceDefinition")];
    if needed.iter().any(|(group, name)| kind.is(group, name)) { vec![None] } else { Vec::new() }
}

#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    metadata: PageMetadata,
    #[serde(default)]
    items: Option<Vec<Value>>,
}

#[derive(Default, Deserialize)]
struct PageMetadata {
    #[serde(default, rename = "continue")]
    next: Option<String>,
}

/// All objects of a list.
async fn list(client: &Client, path: &str, patience: Duration) -> Result<Vec<Value>, Refusal> {
    let (mut items, mut next, mut seen) = (Vec::new(), None::<String>, BTreeSet::new());
    let mut limit = Some(PAGE);
    loop {
        let params = ListParams { limit, continue_token: next.take(), ..ListParams::default() };
        let goes_on = params.continue_token.is_some();
        let answer = page(client, path, &params, patience).await;
        let read = match answer {
            // The server has forgotten where this list was: once more, in one piece, as kubectl does.
            Err(Refusal { code: Some(410), .. }) if goes_on => {
                items.clear();
                limit = None;
                continue;
            }
            answer => answer?,
        };
        items.extend(read.items.unwrap_or_default());
        if items.len() > MAX_OBJECTS {
            return Err(Refusal::because(format!("there are more than {MAX_OBJECTS}")));
        }
        next = read.metadata.next.filter(|token| !token.is_empty());
        let Some(token) = &next else { return Ok(items) };
        if !seen.insert(token.clone()) {
            return Err(Refusal::because("the server's list goes round in circles".to_owned()));
        }
    }
}

async fn page(client: &Client, path: &str, params: &ListParams, patience: Duration) -> Result<Page, Refusal> {
    let request = Request::new(path).list(params).map_err(|error| Refusal::because(one_line(&error.to_string())))?;
    let asked = async {
        let answer = client.request_stream(request).await.map_err(|error| Refusal::of(&error))?;
        let mut body = pin!(answer.take(MAX_PAGE + 1));
        let mut bytes = Vec::new();
        let read = body.read_to_end(&mut bytes).await;
        read.map_err(|error| Refusal::because(one_line(&format!("the answer breaks off: {error}"))))?;
        Ok(bytes)
    };
    let waited = tokio::time::timeout(patience, asked).await;
    let bytes = waited.map_err(|_| Refusal::because(format!("no answer within {} s", patience.as_secs())))??;
    if bytes.len() as u64 > MAX_PAGE {
        return Err(Refusal::because(format!("an answer has more than {} MiB", MAX_PAGE >> 20)));
    }
    // The error's own text may quote what was read, a secret's value say.
    serde_json::from_slice(&bytes).map_err(|_| Refusal::because("the answer is no list of objects".to_owned()))
}
