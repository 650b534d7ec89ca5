//! Asking for objects: page by page, kind by kind.

use std::collections::BTreeSet;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use kube::Client;
use kube::api::ListParams;
use kube::core::Request;
use serde::Deserialize;
use serde_json::Value;

use super::ask::{Refusal, ask};
use super::{ApiKind, Failure, Object, Wanted};

/// Objects of one page.
const PAGE: u32 = 500;
/// Bytes of one page. An object has 1.5 MiB at most, and hardly any has a tenth of it.
const MAX_PAGE: usize = 64 << 20;
/// Bytes of a list in one piece.
const MAX_WHOLE: usize = 256 << 20;
/// Bytes of all lists together, as they are sent. In memory they take a few times as much.
const MAX_BYTES: usize = 512 << 20;
/// Pages of one list; servers may make them smaller than asked for.
const MAX_PAGES: usize = 2_000;
/// How much longer than one answer a list may take.
const LIST_PATIENCE: u32 = 20;
/// Objects of one kind.
const MAX_OBJECTS: usize = 200_000;
/// Kinds that are asked for at a time.
const AT_A_TIME: usize = 8;

/// Every object of `kinds` that is wanted, and what could not be read.
pub(super) async fn all(
    client: &Client,
    kinds: &[ApiKind],
    wanted: &Wanted,
    patience: Duration,
) -> (Vec<Object>, Vec<Failure>) {
    let places = kinds.iter().flat_map(|kind| places(kind, wanted).into_iter().map(move |place| (kind, place)));
    let reader = &Reader { client, patience, left: AtomicUsize::new(MAX_BYTES) };
    let asked = places.map(|(kind, namespace)| async move {
        let listed = reader.list(&kind.path(namespace.as_deref())).await;
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

/// Reads lists of a server, all of them within one bound.
struct Reader<'a> {
    client: &'a Client,
    /// How long one answer may take.
    patience: Duration,
    /// Bytes that may still be read.
    left: AtomicUsize,
}

/// Why a list has no end.
enum Stop {
    /// The server does not know any more where it was.
    Forgotten(Refusal),
    Refused(Refusal),
}

impl Stop {
    fn because(reason: String) -> Self {
        Self::Refused(Refusal::because(reason))
    }
}

impl Reader<'_> {
    /// All objects of a list.
    async fn list(&self, path: &str) -> Result<Vec<Value>, Refusal> {
        let patience = self.patience * LIST_PATIENCE;
        match tokio::time::timeout(patience, self.whole(path)).await {
            Ok(listed) => listed,
            Err(_) => Err(Refusal::because(format!("its list does not end within {} s", patience.as_secs()))),
        }
    }

    async fn whole(&self, path: &str) -> Result<Vec<Value>, Refusal> {
        match self.pages(path, Some(PAGE), MAX_PAGE).await {
            // The server has forgotten where this list was: once more, in one piece, as kubectl does. A server that forgets
            // that too would go on for ever.
            Err(Stop::Forgotten(_)) => self.pages(path, None, MAX_WHOLE).await,
            answer => answer,
        }
        .map_err(|stop| match stop {
            Stop::Forgotten(refusal) | Stop::Refused(refusal) => refusal,
        })
    }

    /// A list from its beginning to its end, `limit` objects at a time where there is one.
    async fn pages(&self, path: &str, limit: Option<u32>, max: usize) -> Result<Vec<Value>, Stop> {
        let (mut items, mut next, mut seen) = (Vec::new(), None::<String>, BTreeSet::new());
        loop {
            let params = ListParams { limit, continue_token: next.take(), ..ListParams::default() };
            let goes_on = params.continue_token.is_some();
            let read = self.page(path, &params, max).await.map_err(|refusal| match refusal.code {
                Some(410) if goes_on => Stop::Forgotten(refusal),
                _ => Stop::Refused(refusal),
            })?;
            items.extend(read.items.unwrap_or_default());
            if items.len() > MAX_OBJECTS {
                return Err(Stop::because(format!("there are more than {MAX_OBJECTS}")));
            }
            next = read.metadata.next.filter(|token| !token.is_empty());
            let Some(token) = &next else { return Ok(items) };
            if !seen.insert(token.clone()) {
                return Err(Stop::because("the server's list goes round in circles".to_owned()));
            }
            if seen.len() > MAX_PAGES {
                return Err(Stop::because(format!("its list has more than {MAX_PAGES} pages")));
            }
        }
    }

    async fn page(&self, path: &str, params: &ListParams, max: usize) -> Result<Page, Refusal> {
        let request = Request::new(path).list(params).map_err(|error| Refusal::because(error.to_string()))?;
        let bytes = ask(self.client, &request.uri().to_string(), max, self.patience).await?;
        if self.left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(bytes.len())).is_err() {
            let reason = format!("the objects have more than {} MiB in all; name namespaces", MAX_BYTES >> 20);
            return Err(Refusal::because(reason));
        }
        // The error's own text may quote what was read, a secret's value say.
        serde_json::from_slice(&bytes).map_err(|_| Refusal::because("the answer is no list of objects"))
    }
}
