//! What the in-process registry takes (distribution-spec, "Push").

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use hyper::header::{CONTENT_TYPE, LOCATION, RETRY_AFTER};
use hyper::{Method, Response, StatusCode};

use super::body::Content;
use super::server::{challenged, failure, header, split, take_fault};
use super::{Fault, Shared, State};
use crate::oci::{Digest, Manifest};

/// Answers a request that sends something.
pub(super) fn route(state: &Arc<Shared>, address: SocketAddr, request: &hyper::Request<Bytes>) -> Response<Content> {
    let path = request.uri().path();
    let mut locked = state.lock();
    let Some(rest) = path.strip_prefix("/v2/") else { return failure(StatusCode::NOT_FOUND, "UNSUPPORTED") };
    let (repository, kind, name) = split(rest);
    let repository = repository.strip_suffix("/blobs").unwrap_or(repository);
    if let Some(challenged) = challenged(&locked, address, repository, request) {
        return challenged;
    }
    if let Some(Fault::Status(code, retry_after)) = take_fault(&mut locked, path) {
        let status = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = failure(status, "UNKNOWN");
        if let Some(seconds) = retry_after {
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        return response;
    }
    match (request.method(), kind) {
        (&Method::POST, "uploads") => {
            locked.sessions += 1;
            let session = locked.sessions;
            locked.uploads.insert(session, Vec::new());
            session_at(repository, session, 0)
        }
        (&Method::PATCH, "uploads") => receive(&mut locked, repository, name, request),
        (&Method::PUT, "uploads") => finish(&mut locked, repository, name, request),
        (&Method::PUT, "manifests") => manifest(&mut locked, repository, name, request),
        _ => failure(StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED"),
    }
}

/// An open session that has received so many bytes. The address is relative, which clients must understand.
fn session_at(repository: &str, session: u64, received: usize) -> Response<Content> {
    let mut response = Response::new(Content::from(""));
    *response.status_mut() = StatusCode::ACCEPTED;
    if let Ok(location) = format!("/v2/{repository}/blobs/uploads/{session}?state={received}").parse() {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}

fn receive(state: &mut State, repository: &str, session: &str, request: &hyper::Request<Bytes>) -> Response<Content> {
    let Ok(session) = session.parse() else { return failure(StatusCode::NOT_FOUND, "BLOB_UPLOAD_UNKNOWN") };
    let Some(received) = state.uploads.get_mut(&session) else {
        return failure(StatusCode::NOT_FOUND, "BLOB_UPLOAD_UNKNOWN");
    };
    let start = header_text(request, "content-range").and_then(|range| range.split_once('-')?.0.parse().ok());
    if start != Some(received.len()) {
        return failure(StatusCode::RANGE_NOT_SATISFIABLE, "BLOB_UPLOAD_INVALID");
    }
    received.extend_from_slice(request.body());
    session_at(repository, session, received.len())
}

fn finish(state: &mut State, repository: &str, session: &str, request: &hyper::Request<Bytes>) -> Response<Content> {
    let received = session.parse().ok().and_then(|session| state.uploads.remove(&session));
    let Some(mut received) = received else { return failure(StatusCode::NOT_FOUND, "BLOB_UPLOAD_UNKNOWN") };
    received.extend_from_slice(request.body());
    let query = request.uri().query().unwrap_or_default().replace("%3A", ":");
    let digest = query.split('&').find_map(|pair| pair.strip_prefix("digest="));
    match digest.and_then(|digest| digest.parse::<Digest>().ok()) {
        Some(digest) if digest == Digest::of(&received) => {
            state.blobs.insert(digest, received.into());
            state.repositories.insert(repository.to_owned());
            created()
        }
        _ => failure(StatusCode::BAD_REQUEST, "DIGEST_INVALID"),
    }
}

fn manifest(state: &mut State, repository: &str, name: &str, request: &hyper::Request<Bytes>) -> Response<Content> {
    let media_type = header(request, CONTENT_TYPE).unwrap_or_default().to_owned();
    let raw = request.body().clone();
    let Ok(manifest) = Manifest::parse(&raw, &media_type) else {
        return failure(StatusCode::BAD_REQUEST, "MANIFEST_INVALID");
    };
    if let Manifest::Image(_) = &manifest
        && manifest.children().iter().any(|blob| !state.blobs.contains_key(&blob.digest))
    {
        return failure(StatusCode::NOT_FOUND, "MANIFEST_BLOB_UNKNOWN");
    }
    let digest = Digest::of(&raw);
    if name.contains(':') && name.parse() != Ok(digest) {
        return failure(StatusCode::BAD_REQUEST, "DIGEST_INVALID");
    }
    state.repositories.insert(repository.to_owned());
    for name in [name.to_owned(), digest.to_string()] {
        state.manifests.insert((repository.to_owned(), name), (raw.clone(), media_type.clone()));
    }
    created()
}

fn created() -> Response<Content> {
    let mut response = Response::new(Content::from(""));
    *response.status_mut() = StatusCode::CREATED;
    response
}

fn header_text<'r>(request: &'r hyper::Request<Bytes>, name: &str) -> Option<&'r str> {
    request.headers().get(name)?.to_str().ok()
}
