//! The HTTP side of the in-process registry.

use std::future::poll_fn;
use std::net::{SocketAddr, TcpListener};
use std::pin::Pin;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use hyper::body::{Body, Incoming};
use hyper::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, RANGE, RETRY_AFTER, WWW_AUTHENTICATE};
use hyper::service::service_fn;
use hyper::{Method, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::sync::oneshot;

use super::body::{Content, Never};
use super::{Access, Fault, Request, Shared, State, push};
use crate::oci::Digest;

/// Accepts connections until `stopped`; those that are open then end with the runtime.
pub(super) async fn serve(
    listener: TcpListener,
    address: SocketAddr,
    state: Arc<Shared>,
    mut stopped: oneshot::Receiver<()>,
) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
    loop {
        let accepted = tokio::select! {
            _ = &mut stopped => return,
            accepted = listener.accept() => accepted,
        };
        // A connection that its client has given up already is none.
        let Ok((stream, _)) = accepted else { continue };
        let state = Arc::clone(&state);
        let service = service_fn(move |request| {
            let state = Arc::clone(&state);
            async move { Ok::<_, Never>(answer(&state, address, request).await) }
        });
        tokio::spawn(async move {
            // An error is a connection that broke, which is the client's to notice.
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(state: &Arc<Shared>, address: SocketAddr, request: hyper::Request<Incoming>) -> Response<Content> {
    let reads = request.method() == Method::GET || request.method() == Method::HEAD;
    let (head, body) = request.into_parts();
    let sent = if reads { Bytes::new() } else { collected(body).await };
    let request = &hyper::Request::from_parts(head, sent);
    let response = if reads { route(state, address, request) } else { push::route(state, address, request) };
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned();
    let range = header(request, RANGE).map(str::to_owned);
    let method = request.method().to_string();
    let status = response.status().as_u16();
    state.lock().requests.push(Request { method, path, range, status });
    response
}

fn route(state: &Arc<Shared>, address: SocketAddr, request: &hyper::Request<Bytes>) -> Response<Content> {
    let path = request.uri().path();
    let locked = state.lock();
    if path == "/token" {
        return token(&locked, request);
    }
    let Some(rest) = path.strip_prefix("/v2/") else { return failure(StatusCode::NOT_FOUND, "UNSUPPORTED") };
    let (repository, kind, name) = split(rest);
    if let Some(challenged) = challenged(&locked, address, repository, request) {
        return challenged;
    }
    if rest.is_empty() {
        return Response::new(Content::from("{}"));
    }
    if !locked.repositories.contains(repository) {
        return failure(StatusCode::NOT_FOUND, "NAME_UNKNOWN");
    }
    let found = match kind {
        "tags" => return tags(&locked, repository),
        "manifests" => locked.manifests.get(&(repository.to_owned(), name.to_owned())).cloned(),
        _ => name.parse().ok().and_then(|digest: Digest| {
            locked.blobs.get(&digest).map(|blob| (blob.clone(), "application/octet-stream".to_owned()))
        }),
    };
    drop(locked);
    match found {
        Some((content, media_type)) => serve_content(state, request, name, content, &media_type),
        None if kind == "manifests" => failure(StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN"),
        None => failure(StatusCode::NOT_FOUND, "BLOB_UNKNOWN"),
    }
}

/// `REPOSITORY/KIND/NAME`.
pub(super) fn split(rest: &str) -> (&str, &str, &str) {
    let (rest, name) = rest.rsplit_once('/').unwrap_or(("", ""));
    let (repository, kind) = rest.rsplit_once('/').unwrap_or(("", ""));
    (repository, kind, name)
}

fn serve_content(
    state: &Arc<Shared>,
    request: &hyper::Request<Bytes>,
    name: &str,
    content: Bytes,
    media_type: &str,
) -> Response<Content> {
    let head = request.method() == Method::HEAD;
    let fault = if head { None } else { take_fault(&mut state.lock(), request.uri().path()) };
    if let Some(Fault::Status(code, retry_after)) = fault {
        let status = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = failure(status, "UNKNOWN");
        if let Some(seconds) = retry_after {
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        return response;
    }
    let digest = Digest::of(&content);
    let whole = content.len() as u64;
    let wanted = header(request, RANGE).filter(|_| fault != Some(Fault::IgnoreRange));
    let mut builder = Response::builder().header(CONTENT_TYPE, media_type);
    builder = builder.header("docker-content-digest", digest.to_string());
    let (mut rest, length) = match wanted.map(|range| parse_range(range, whole)) {
        None => (content, whole),
        Some(None) => return failure(StatusCode::RANGE_NOT_SATISFIABLE, "UNSUPPORTED"),
        Some(Some((start, end))) => {
            builder = builder.status(StatusCode::PARTIAL_CONTENT);
            builder = builder.header(CONTENT_RANGE, format!("bytes {start}-{end}/{whole}"));
            (content.slice(start as usize..=end as usize), end - start + 1)
        }
    };
    if head {
        let body = Content::new(Bytes::new()).without_length();
        return builder.header(CONTENT_LENGTH, length).body(body).unwrap_or_else(|_| broken());
    }
    let body = match fault {
        Some(Fault::DropAfter(bytes)) => {
            builder = builder.header(CONTENT_LENGTH, length);
            rest.truncate(bytes as usize);
            Content::new(rest).breaking()
        }
        Some(Fault::Truncated(bytes)) => {
            rest.truncate(bytes as usize);
            Content::new(rest)
        }
        Some(Fault::Longer(bytes)) => {
            Content::new([rest.as_ref(), &vec![0; bytes as usize]].concat().into()).without_length()
        }
        Some(Fault::WrongBytes) => {
            let mut wrong = rest.to_vec();
            wrong.iter_mut().take(1).for_each(|byte| *byte ^= 1);
            Content::new(wrong.into())
        }
        Some(Fault::Slow(piece, pause)) => Content::new(rest).slow(piece, pause),
        Some(Fault::Status(..) | Fault::IgnoreRange) | None => Content::new(rest),
    };
    let body = if name.parse() == Ok(digest) && media_type == "application/octet-stream" {
        state.lock().served.entry(digest).or_default().gets += 1;
        body.counted(Arc::clone(state), digest)
    } else {
        body
    };
    builder.body(body).unwrap_or_else(|_| broken())
}

pub(super) fn take_fault(state: &mut State, path: &str) -> Option<Fault> {
    let index = state.faults.iter().position(|(end, _)| path.ends_with(end))?;
    Some(state.faults.remove(index).1)
}

/// First and last byte of `bytes=FIRST-[LAST]`, where they lie within `whole`.
fn parse_range(range: &str, whole: u64) -> Option<(u64, u64)> {
    let (start, end) = range.strip_prefix("bytes=")?.split_once('-')?;
    let start = start.parse().ok()?;
    let end = if end.is_empty() { whole.checked_sub(1)? } else { end.parse::<u64>().ok()?.min(whole.checked_sub(1)?) };
    (start <= end).then_some((start, end))
}

/// The tags of a repository, in order.
fn tags(state: &State, repository: &str) -> Response<Content> {
    let names = state.manifests.keys().filter(|(of, _)| of == repository).map(|(_, name)| name);
    let mut names: Vec<&String> = names.filter(|name| !name.contains(':')).collect();
    names.sort();
    let document = serde_json::json!({ "name": repository, "tags": names });
    Response::new(Content::new(document.to_string().into()))
}

/// What was sent with a request. A connection that breaks on the way has sent nothing.
async fn collected(mut body: Incoming) -> Bytes {
    let mut all = BytesMut::new();
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        let Ok(frame) = frame else { return Bytes::new() };
        all.extend_from_slice(frame.data_ref().map_or(&[], |data| data));
    }
    all.freeze()
}

/// The answer to who is not let in.
pub(super) fn challenged(
    state: &State,
    address: SocketAddr,
    repository: &str,
    request: &hyper::Request<Bytes>,
) -> Option<Response<Content>> {
    // A token for pushing is one for reading, too.
    let reads = request.method() == Method::GET || request.method() == Method::HEAD;
    let actions: &[&str] = if reads { &["pull", "pull,push"] } else { &["pull,push"] };
    let bears = header(request, AUTHORIZATION);
    let challenges = actions.iter().map(|actions| challenge(state, address, repository, actions, bears));
    let challenge = challenges.reduce(Option::and)??;
    let mut response = failure(StatusCode::UNAUTHORIZED, "UNAUTHORIZED");
    response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    Some(response)
}

/// The challenge to answer first, where the request does not bear what is required.
fn challenge(
    state: &State,
    address: SocketAddr,
    repository: &str,
    actions: &str,
    authorization: Option<&str>,
) -> Option<hyper::header::HeaderValue> {
    let (challenge, passes) = match &state.access {
        Access::Anonymous => return None,
        Access::Basic(login) => {
            ("Basic realm=\"carrack\"".to_owned(), authorization == Some(&format!("Basic {login}")))
        }
        Access::Bearer(_) => (
            format!("Bearer realm=\"http://{address}/token\",service=\"carrack\""),
            authorization.is_some_and(|value| {
                value == format!("Bearer {}", token_for(state, &format!("repository:{repository}:{actions}")))
            }),
        ),
    };
    if passes { None } else { challenge.parse().ok() }
}

fn token(state: &State, request: &hyper::Request<Bytes>) -> Response<Content> {
    if let Access::Bearer(Some(login)) = &state.access
        && header(request, AUTHORIZATION) != Some(&format!("Basic {login}"))
    {
        return failure(StatusCode::UNAUTHORIZED, "UNAUTHORIZED");
    }
    let query = request.uri().query().unwrap_or_default().replace("%3A", ":").replace("%2F", "/").replace("%2C", ",");
    let scope = query.split('&').find_map(|pair| pair.strip_prefix("scope=")).unwrap_or_default();
    let document = serde_json::json!({ "token": token_for(state, scope) });
    Response::new(Content::new(document.to_string().into()))
}

fn token_for(state: &State, scope: &str) -> String {
    Digest::of(format!("{} {scope}", state.generation).as_bytes()).hex()
}

pub(super) fn header(request: &hyper::Request<Bytes>, name: hyper::header::HeaderName) -> Option<&str> {
    request.headers().get(name)?.to_str().ok()
}

/// An error document of the distribution specification.
pub(super) fn failure(status: StatusCode, code: &str) -> Response<Content> {
    let document = serde_json::json!({ "errors": [{ "code": code, "message": "", "detail": null }] });
    let mut response = Response::new(Content::new(document.to_string().into()));
    *response.status_mut() = status;
    response
}

/// Where an answer cannot be put together, which no content can cause.
fn broken() -> Response<Content> {
    failure(StatusCode::INTERNAL_SERVER_ERROR, "UNKNOWN")
}
