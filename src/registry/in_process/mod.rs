//! A registry inside this process, on loopback: for `carrack demo`, and for tests, with faults on demand.
//!
//! It serves the OCI distribution-spec 1.1 from memory. Content is put in by function calls, or pushed.

mod body;
mod fault;
mod image;
mod push;
mod server;

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use bytes::Bytes;
use tokio::sync::oneshot;

pub use fault::{Access, Fault};
pub use image::{Image, Layer};

use crate::oci::{Descriptor, Digest, Reference, ReferenceError};

/// A running registry. Dropped, it closes its socket and all connections.
pub struct InProcessRegistry {
    address: SocketAddr,
    state: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// A request that was received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// `GET`, `HEAD`, `POST`, `PATCH` or `PUT`.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// The `Range` header.
    pub range: Option<String>,
    /// The status that it was answered with.
    pub status: u16,
}

/// How much of a blob has been served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Served {
    /// GET requests that were answered with content.
    pub gets: u64,
    /// Bytes of content sent in all.
    pub bytes: u64,
}

#[derive(Default)]
struct Shared(Mutex<State>);

#[derive(Default)]
struct State {
    blobs: HashMap<Digest, Bytes>,
    repositories: BTreeSet<String>,
    /// By repository and by tag or digest: the bytes and their media type.
    manifests: HashMap<(String, String), (Bytes, String)>,
    served: HashMap<Digest, Served>,
    /// What upload sessions have received so far, by their number.
    uploads: HashMap<u64, Vec<u8>>,
    sessions: u64,
    requests: Vec<Request>,
    faults: Vec<(String, Fault)>,
    access: Access,
    /// Part of every token; those of an earlier generation are refused.
    generation: u64,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl InProcessRegistry {
    /// Starts an empty registry on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// Where no socket or thread can be had.
    pub fn start() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let state = Arc::new(Shared::default());
        let shared = Arc::clone(&state);
        let serve = move || runtime.block_on(server::serve(listener, address, shared, stopped));
        let thread = std::thread::Builder::new().name("registry".to_owned()).spawn(serve)?;
        Ok(Self { address, state, stop: Some(stop), thread: Some(thread) })
    }

    /// `127.0.0.1:PORT`, the registry part of references.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// The reference `HOST/NAME`, where name is `REPOSITORY[:TAG][@DIGEST]`.
    ///
    /// # Errors
    /// Where `name` does not follow the grammar.
    pub fn reference(&self, name: &str) -> Result<Reference, ReferenceError> {
        format!("{}/{name}", self.address).parse()
    }

    /// Puts a blob in; every repository has it.
    pub fn put_blob(&self, media_type: &str, content: impl Into<Bytes>) -> Descriptor {
        let content = content.into();
        let descriptor = Descriptor::of(media_type, &content);
        self.state.lock().blobs.insert(descriptor.digest, content);
        descriptor
    }

    /// Puts a manifest or index in, under its digest and, where given, under `tag`, which moves if it is there already.
    pub fn put_manifest(
        &self,
        repository: &str,
        tag: Option<&str>,
        raw: impl Into<Bytes>,
        media_type: &str,
    ) -> Descriptor {
        let raw = raw.into();
        let descriptor = Descriptor::of(media_type, &raw);
        let mut state = self.state.lock();
        state.repositories.insert(repository.to_owned());
        for name in tag.map(str::to_owned).into_iter().chain([descriptor.digest.to_string()]) {
            state.manifests.insert((repository.to_owned(), name), (raw.clone(), media_type.to_owned()));
        }
        descriptor
    }

    /// Answers the next request, but for a HEAD, of a path that ends with `path` (such as `manifests/1.0`,
    /// `blobs/sha256:…` or `blobs/uploads/`) with a fault. What is sent can meet a [`Fault::Status`] only. Several faults for one path happen one after another; then it is served as usual.
    pub fn inject(&self, path: impl Into<String>, fault: Fault) {
        self.state.lock().faults.push((path.into(), fault));
    }

    /// Lets in only who has what `access` says.
    pub fn require(&self, access: Access) {
        self.state.lock().access = access;
    }

    /// Makes every token that has been given out invalid.
    pub fn revoke_tokens(&self) {
        self.state.lock().generation += 1;
    }

    /// How much of a blob has been served.
    pub fn served(&self, digest: &Digest) -> Served {
        self.state.lock().served.get(digest).copied().unwrap_or_default()
    }

    /// Every request so far, in the order in which they were answered.
    pub fn requests(&self) -> Vec<Request> {
        self.state.lock().requests.clone()
    }
}

impl Drop for InProcessRegistry {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic in there has been printed already.
            let _ = thread.join();
        }
    }
}
