//! A stand-in for containerd: its services in memory, with faults on demand and a garbage collector that is as keen as the
//! real one.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::Read;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use carrack::oci::Digest;
use tokio::net::UnixListener;
use tokio_stream::wrappers::{ReceiverStream, UnixListenerStream};
use tonic::{Code, Request, Response, Status, Streaming};

#[allow(clippy::all, unreachable_pub, missing_docs)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/server/mod.rs"));
}
use generated::containerd::services::content::v1::{self as content, content_server::ContentServer};
use generated::containerd::services::diff::v1::{self as diff, diff_server::DiffServer};
use generated::containerd::services::images::v1::{self as images, images_server::ImagesServer};
use generated::containerd::services::leases::v1::{self as leases, leases_server::LeasesServer};
use generated::containerd::services::namespaces::v1::{self as namespaces, namespaces_server::NamespacesServer};
use generated::containerd::services::snapshots::v1::{self as snapshots, snapshots_server::SnapshotsServer};
use generated::containerd::services::version::v1::{self as version, version_server::VersionServer};
use generated::containerd::types;

type Answer<T> = Result<Response<T>, Status>;

/// The stand-in. It can be stopped, which cuts every connection, and started again with what it had.
pub(crate) struct Fake {
    services: Services,
    folder: tempfile::TempDir,
    /// What it runs on, while it runs.
    server: Mutex<Option<tokio::runtime::Runtime>>,
}

/// What answers. Clones are the same one.
#[derive(Clone, Default)]
struct Services {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) content: BTreeMap<String, (Vec<u8>, HashMap<String, String>)>,
    pub(crate) ingests: BTreeMap<String, Vec<u8>>,
    pub(crate) images: BTreeMap<String, images::Image>,
    /// Resources by lease.
    pub(crate) leases: BTreeMap<String, BTreeSet<(String, String)>>,
    labels: BTreeMap<String, HashMap<String, String>>,
    /// Name to whether it is committed, and its parent.
    pub(crate) snapshots: BTreeMap<String, (bool, String)>,
    /// How often each call came.
    pub(crate) calls: BTreeMap<&'static str, usize>,
    /// Lets the nth of these calls fail, counted from 0.
    pub(crate) fault: Option<(&'static str, usize, Code)>,
    /// Ingests that a call writes to.
    locked: BTreeSet<String>,
    /// How many bytes of ingests and content there is room for.
    pub(crate) room: Option<usize>,
    /// Folders of snapshots that it does not know; such as a failed power leaves them.
    pub(crate) unknown_folders: usize,
    /// Whether one of them is where that of the next snapshot comes.
    pub(crate) in_the_way: bool,
    /// Content of which only the database knows.
    pub(crate) lost: BTreeSet<String>,
    /// Whose tasks are counted at every call, and the most that there were.
    pub(crate) watched: Option<(tokio::runtime::Handle, usize)>,
    /// Whether a snapshot was removed, so that those folders are looked for.
    stirred: bool,
}

impl Fake {
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let fake = Self { services: Services::default(), folder, server: Mutex::default() };
        fake.serve();
        fake
    }

    /// Starts it again.
    pub(crate) fn serve(&self) {
        let listener = std::os::unix::net::UnixListener::bind(self.socket()).unwrap();
        listener.set_nonblocking(true).unwrap();
        let services = self.services.clone();
        let server = tonic::transport::Server::builder()
            .add_service(ContentServer::new(services.clone()).max_decoding_message_size(16 << 20))
            .add_service(DiffServer::new(services.clone()))
            .add_service(ImagesServer::new(services.clone()))
            .add_service(LeasesServer::new(services.clone()))
            .add_service(NamespacesServer::new(services.clone()))
            .add_service(SnapshotsServer::new(services.clone()))
            .add_service(VersionServer::new(services));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.spawn(async move {
            let listener = UnixListener::from_std(listener).unwrap();
            server.serve_with_incoming(UnixListenerStream::new(listener)).await
        });
        *self.server.lock().unwrap() = Some(runtime);
    }

    /// Ends it in the middle of whatever it does; its socket goes with it.
    pub(crate) fn stop(&self) {
        if let Some(runtime) = self.server.lock().unwrap().take() {
            std::fs::remove_file(self.socket()).unwrap();
            // On a thread where that may wait: nothing of it answers any more when this returns.
            let ended = std::thread::spawn(move || runtime.shutdown_timeout(Duration::from_secs(60)));
            ended.join().unwrap();
        }
        self.services.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner).locked.clear();
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("c.sock")
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.services.state.lock().unwrap()
    }

    /// Looks whether nothing is left. A call that was broken off may still write when its lease has gone; that is for the next
    /// collection.
    pub(crate) fn assert_empty(&self, when: &str) {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let mut state = self.state();
            state.collect();
            let left = [state.images.len(), state.content.len(), state.snapshots.len(), state.ingests.len()];
            assert_eq!(state.leases.len(), 0, "{when}");
            if left == [0; 4] {
                return;
            }
            assert!(Instant::now() < deadline, "{when}: {left:?}");
            drop(state);
            std::thread::yield_now();
        }
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Services {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Counts a call, and lets it fail where that is wanted.
    fn call<T>(&self, name: &'static str, request: &Request<T>) -> Result<MutexGuard<'_, State>, Status> {
        let metadata = request.metadata();
        if metadata.get("containerd-namespace").is_none_or(|value| value != "k8s.io") {
            return Err(Status::failed_precondition("namespace is required"));
        }
        self.count(name)
    }

    fn count(&self, name: &'static str) -> Result<MutexGuard<'_, State>, Status> {
        let mut state = self.state();
        let count = state.calls.entry(name).or_default();
        *count += 1;
        let nth = *count - 1;
        if let Some((runtime, most)) = &mut state.watched {
            *most = runtime.metrics().num_alive_tasks().max(*most);
        }
        match state.fault {
            Some((wanted, at, code)) if wanted == name && at == nth => Err(Status::new(code, "a fault on demand")),
            _ => Ok(state),
        }
    }
}

fn lease_of<T>(request: &Request<T>) -> Option<String> {
    Some(request.metadata().get("containerd-lease")?.to_str().unwrap().to_owned())
}

impl State {
    fn keep(&mut self, lease: Option<&String>, kind: &str, id: &str) {
        if let Some(resources) = lease.and_then(|lease| self.leases.get_mut(lease)) {
            resources.insert((kind.to_owned(), id.to_owned()));
        }
    }

    /// Bytes of ingests and content.
    fn used(&self) -> usize {
        let content = self.content.values().map(|(bytes, _)| bytes.len());
        content.chain(self.ingests.values().map(Vec::len)).sum()
    }

    /// Removes what neither a name nor a lease leads to.
    pub(crate) fn collect(&mut self) {
        let leased = self.leases.values().flatten().cloned();
        let named = self.images.values().map(|image| ("content".to_owned(), image.target.clone().unwrap().digest));
        let mut pending: Vec<(String, String)> = leased.chain(named).collect();
        let mut live = BTreeSet::new();
        while let Some(one) = pending.pop() {
            if !live.insert(one.clone()) {
                continue;
            }
            let (kind, id) = one;
            if kind == "content" {
                for (key, value) in self.content.get(&id).map(|(_, labels)| labels).into_iter().flatten() {
                    if key.starts_with("containerd.io/gc.ref.content.") {
                        pending.push(("content".to_owned(), value.clone()));
                    } else if let Some(snapshotter) = key.strip_prefix("containerd.io/gc.ref.snapshot.") {
                        pending.push((format!("snapshots/{snapshotter}"), value.clone()));
                    }
                }
            } else if let Some((_, parent)) = self.snapshots.get(&id) {
                pending.push((kind, parent.clone()));
            }
        }
        let alive = |kind: &str, id: &String| live.contains(&(kind.to_owned(), id.clone()));
        self.content.retain(|digest, _| alive("content", digest));
        self.ingests.retain(|name, _| alive("ingests", name));
        let before = self.snapshots.len();
        self.snapshots.retain(|name, _| alive("snapshots/overlayfs", name));
        if std::mem::take(&mut self.stirred) || self.snapshots.len() < before {
            self.unknown_folders = 0;
        }
    }
}

#[tonic::async_trait]
impl content::content_server::Content for Services {
    type ReadStream = ReceiverStream<Result<content::ReadContentResponse, Status>>;

    async fn read(&self, request: Request<content::ReadContentRequest>) -> Answer<Self::ReadStream> {
        let state = self.call("read", &request)?;
        let content::ReadContentRequest { digest, offset, size } = request.into_inner();
        let known = state.content.get(&digest).filter(|_| !state.lost.contains(&digest));
        let (bytes, _) = known.ok_or_else(|| Status::not_found(format!("blob {digest} not found")))?;
        let data = bytes[offset as usize..(offset + size) as usize].to_vec();
        let (answers, stream) = tokio::sync::mpsc::channel(1);
        answers.try_send(Ok(content::ReadContentResponse { offset, data: data.into() })).unwrap();
        Ok(Response::new(ReceiverStream::new(stream)))
    }

    async fn delete(&self, request: Request<content::DeleteContentRequest>) -> Answer<()> {
        let mut state = self.call("delete content", &request)?;
        let digest = request.into_inner().digest;
        state.lost.remove(&digest);
        state.content.remove(&digest).map(|_| Response::new(())).ok_or_else(|| Status::not_found(digest))
    }

    type WriteStream = ReceiverStream<Result<content::WriteContentResponse, Status>>;

    async fn info(&self, request: Request<content::InfoRequest>) -> Answer<content::InfoResponse> {
        let state = self.call("info", &request)?;
        let digest = request.into_inner().digest;
        let (bytes, labels) = state.content.get(&digest).ok_or_else(|| Status::not_found(&digest))?;
        let info = Some(content::Info { digest, size: bytes.len() as i64, labels: labels.clone() });
        Ok(Response::new(content::InfoResponse { info }))
    }

    async fn update(&self, request: Request<content::UpdateRequest>) -> Answer<content::UpdateResponse> {
        let mut state = self.call("update", &request)?;
        let request = request.into_inner();
        let (info, paths) = (request.info.unwrap(), request.update_mask.unwrap().paths);
        let (_, labels) = state.content.get_mut(&info.digest).ok_or_else(|| Status::not_found(&info.digest))?;
        for path in paths {
            let key = path.strip_prefix("labels.").ok_or_else(|| Status::invalid_argument(&path))?;
            labels.insert(key.to_owned(), info.labels[key].clone());
        }
        Ok(Response::new(content::UpdateResponse { info: Some(info) }))
    }

    async fn write(&self, request: Request<Streaming<content::WriteContentRequest>>) -> Answer<Self::WriteStream> {
        drop(self.call("open", &request)?);
        let lease = lease_of(&request);
        let (answers, stream) = tokio::sync::mpsc::channel(4);
        let (fake, mut messages) = (self.clone(), request.into_inner());
        tokio::spawn(async move {
            let mut lock = None;
            while let Ok(Some(message)) = messages.message().await {
                let answer = match fake.lock(&mut lock, &message.r#ref) {
                    Ok(()) => fake.written(lease.as_ref(), message),
                    Err(status) => Err(status),
                };
                let ended = answer.as_ref().map_or(true, |answer| answer.action() == content::WriteAction::Commit);
                if ended {
                    // Before the answer is seen: the next call may come at once.
                    lock = None;
                }
                if answers.send(answer).await.is_err() || ended {
                    return;
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(stream)))
    }

    async fn abort(&self, request: Request<content::AbortRequest>) -> Answer<()> {
        let mut state = self.call("abort", &request)?;
        state.ingests.remove(&request.into_inner().r#ref);
        Ok(Response::new(()))
    }
}

/// One call's hold on an ingest.
struct IngestLock(Services, String);

impl Drop for IngestLock {
    fn drop(&mut self) {
        self.0.state().locked.remove(&self.1);
    }
}

impl Services {
    /// One call writes to an ingest at a time, as in the real one.
    fn lock(&self, lock: &mut Option<IngestLock>, name: &str) -> Result<(), Status> {
        if lock.is_none() {
            if !self.state().locked.insert(name.to_owned()) {
                return Err(Status::unavailable(format!("ref {name} locked")));
            }
            *lock = Some(IngestLock(self.clone(), name.to_owned()));
        }
        Ok(())
    }

    fn written(
        &self,
        lease: Option<&String>,
        message: content::WriteContentRequest,
    ) -> Result<content::WriteContentResponse, Status> {
        let action = message.action();
        let mut state = self.count(match action {
            content::WriteAction::Stat => "stat",
            content::WriteAction::Write => "write",
            content::WriteAction::Commit => "commit",
        })?;
        if state.content.contains_key(&message.expected) {
            state.keep(lease, "content", &message.expected);
            return Err(Status::already_exists(message.expected));
        }
        if lease.is_some_and(|lease| !state.leases.contains_key(lease)) {
            return Err(Status::not_found("the lease has ended"));
        }
        state.keep(lease, "ingests", &message.r#ref);
        if state.room.is_some_and(|room| state.used() + message.data.len() > room) {
            return Err(Status::unknown("write: no space left on device"));
        }
        let ingest = state.ingests.entry(message.r#ref.clone()).or_default();
        if action != content::WriteAction::Stat {
            if message.offset == 0 {
                ingest.clear();
            }
            if message.offset as usize != ingest.len() {
                return Err(Status::out_of_range("not at the end"));
            }
            ingest.extend_from_slice(&message.data);
        }
        let offset = ingest.len() as i64;
        if action == content::WriteAction::Commit {
            let bytes = state.ingests.remove(&message.r#ref).unwrap();
            if bytes.len() as i64 != message.total || Digest::of(&bytes).to_string() != message.expected {
                state.ingests.insert(message.r#ref, bytes);
                return Err(Status::failed_precondition("unexpected commit digest or size"));
            }
            state.keep(lease, "content", &message.expected);
            state.content.insert(message.expected, (bytes, message.labels));
        }
        Ok(content::WriteContentResponse { action: action.into(), offset, total: message.total, digest: String::new() })
    }
}

#[tonic::async_trait]
impl images::images_server::Images for Services {
    async fn get(&self, request: Request<images::GetImageRequest>) -> Answer<images::GetImageResponse> {
        let state = self.call("get", &request)?;
        let name = request.into_inner().name;
        let image = state.images.get(&name).cloned().ok_or_else(|| Status::not_found(name))?;
        Ok(Response::new(images::GetImageResponse { image: Some(image) }))
    }

    async fn create(&self, request: Request<images::CreateImageRequest>) -> Answer<images::CreateImageResponse> {
        let mut state = self.call("create", &request)?;
        let image = request.into_inner().image.unwrap();
        let target = &image.target.as_ref().unwrap().digest;
        assert!(state.content.contains_key(target), "{} is named before its content is there", image.name);
        if state.images.contains_key(&image.name) {
            return Err(Status::already_exists(image.name));
        }
        state.images.insert(image.name.clone(), image.clone());
        Ok(Response::new(images::CreateImageResponse { image: Some(image) }))
    }

    async fn update(&self, request: Request<images::UpdateImageRequest>) -> Answer<images::UpdateImageResponse> {
        let mut state = self.call("update image", &request)?;
        let images::UpdateImageRequest { image, update_mask } = request.into_inner();
        let image = image.unwrap();
        let found = state.images.get_mut(&image.name).ok_or_else(|| Status::not_found(&image.name))?;
        for path in update_mask.unwrap().paths {
            match path.strip_prefix("labels.") {
                Some(key) => match image.labels.get(key) {
                    Some(value) => drop(found.labels.insert(key.to_owned(), value.clone())),
                    None => drop(found.labels.remove(key)),
                },
                None if path == "target" => found.target.clone_from(&image.target),
                None => return Err(Status::invalid_argument(path)),
            }
        }
        Ok(Response::new(images::UpdateImageResponse { image: Some(found.clone()) }))
    }

    async fn delete(&self, request: Request<images::DeleteImageRequest>) -> Answer<()> {
        let mut state = self.call("delete", &request)?;
        let name = request.into_inner().name;
        state.images.remove(&name).map(|_| Response::new(())).ok_or_else(|| Status::not_found(name))
    }
}

#[tonic::async_trait]
impl leases::leases_server::Leases for Services {
    async fn create(&self, request: Request<leases::CreateRequest>) -> Answer<leases::CreateResponse> {
        let mut state = self.call("create lease", &request)?;
        let leases::CreateRequest { id, labels } = request.into_inner();
        assert!(labels.contains_key("containerd.io/gc.expire"), "a lease without end");
        state.leases.insert(id.clone(), BTreeSet::new());
        state.labels.insert(id.clone(), labels.clone());
        Ok(Response::new(leases::CreateResponse { lease: Some(leases::Lease { id, labels }) }))
    }

    async fn delete(&self, request: Request<leases::DeleteRequest>) -> Answer<()> {
        let mut state = self.call("delete lease", &request)?;
        let leases::DeleteRequest { id, sync } = request.into_inner();
        state.leases.remove(&id).ok_or_else(|| Status::not_found(id))?;
        if sync {
            state.collect();
        }
        Ok(Response::new(()))
    }

    async fn list(&self, request: Request<leases::ListRequest>) -> Answer<leases::ListResponse> {
        let state = self.call("list leases", &request)?;
        let ours = |labels: &HashMap<String, String>| labels.contains_key("dev.carrack/import");
        let found = state.leases.keys().filter(|id| state.labels.get(*id).is_some_and(ours));
        let leases = found.map(|id| leases::Lease { id: id.clone(), labels: state.labels[id].clone() }).collect();
        Ok(Response::new(leases::ListResponse { leases }))
    }

    async fn add_resource(&self, request: Request<leases::AddResourceRequest>) -> Answer<()> {
        let mut state = self.call("add resource", &request)?;
        let leases::AddResourceRequest { id, resource } = request.into_inner();
        let resource = resource.unwrap();
        if !state.leases.contains_key(&id) {
            return Err(Status::not_found(id));
        }
        state.keep(Some(&id), &resource.r#type, &resource.id);
        Ok(Response::new(()))
    }
}

#[tonic::async_trait]
impl namespaces::namespaces_server::Namespaces for Services {
    async fn create(
        &self,
        request: Request<namespaces::CreateNamespaceRequest>,
    ) -> Answer<namespaces::CreateNamespaceResponse> {
        drop(self.call("create namespace", &request)?);
        Ok(Response::new(namespaces::CreateNamespaceResponse { namespace: request.into_inner().namespace }))
    }
}

#[tonic::async_trait]
impl snapshots::snapshots_server::Snapshots for Services {
    async fn prepare(
        &self,
        request: Request<snapshots::PrepareSnapshotRequest>,
    ) -> Answer<snapshots::PrepareSnapshotResponse> {
        let mut state = self.call("prepare", &request)?;
        let lease = lease_of(&request);
        let snapshots::PrepareSnapshotRequest { key, parent, .. } = request.into_inner();
        let below = parent.is_empty() || state.snapshots.get(&parent).is_some_and(|(committed, _)| *committed);
        if !below {
            return Err(Status::not_found(parent));
        }
        if state.snapshots.contains_key(&key) {
            return Err(Status::already_exists(key));
        }
        if std::mem::take(&mut state.in_the_way) {
            state.unknown_folders -= 1;
            return Err(Status::unknown("failed to rename: rename new-1 1: file exists"));
        }
        state.keep(lease.as_ref(), "snapshots/overlayfs", &key);
        state.snapshots.insert(key, (false, parent));
        Ok(Response::new(snapshots::PrepareSnapshotResponse { mounts: vec![types::Mount::default()] }))
    }

    async fn commit(&self, request: Request<snapshots::CommitSnapshotRequest>) -> Answer<()> {
        let mut state = self.call("commit snapshot", &request)?;
        let lease = lease_of(&request);
        let snapshots::CommitSnapshotRequest { name, key, .. } = request.into_inner();
        if state.snapshots.contains_key(&name) {
            return Err(Status::already_exists(name));
        }
        let (_, parent) = state.snapshots.remove(&key).ok_or_else(|| Status::not_found(key))?;
        state.keep(lease.as_ref(), "snapshots/overlayfs", &name);
        state.snapshots.insert(name, (true, parent));
        Ok(Response::new(()))
    }

    async fn remove(&self, request: Request<snapshots::RemoveSnapshotRequest>) -> Answer<()> {
        let mut state = self.call("remove snapshot", &request)?;
        let key = request.into_inner().key;
        state.snapshots.remove(&key).ok_or_else(|| Status::not_found(key))?;
        state.stirred = true;
        Ok(Response::new(()))
    }

    async fn stat(&self, request: Request<snapshots::StatSnapshotRequest>) -> Answer<snapshots::StatSnapshotResponse> {
        let state = self.call("stat snapshot", &request)?;
        let key = request.into_inner().key;
        if !state.snapshots.contains_key(&key) {
            return Err(Status::not_found(key));
        }
        Ok(Response::new(snapshots::StatSnapshotResponse { info: None }))
    }
}

#[tonic::async_trait]
impl diff::diff_server::Diff for Services {
    async fn apply(&self, request: Request<diff::ApplyRequest>) -> Answer<diff::ApplyResponse> {
        let state = self.call("apply", &request)?;
        let layer = request.into_inner().diff.unwrap();
        let (bytes, _) = state.content.get(&layer.digest).ok_or_else(|| Status::not_found(&layer.digest))?;
        let mut plain = Vec::new();
        let read = flate2::read::GzDecoder::new(bytes.as_slice()).read_to_end(&mut plain);
        read.map_err(|error| Status::internal(error.to_string()))?;
        let applied =
            Some(types::Descriptor { digest: Digest::of(&plain).to_string(), ..types::Descriptor::default() });
        Ok(Response::new(diff::ApplyResponse { applied }))
    }
}

#[tonic::async_trait]
impl version::version_server::Version for Services {
    async fn version(&self, request: Request<()>) -> Answer<version::VersionResponse> {
        drop(self.call("version", &request)?);
        Ok(Response::new(version::VersionResponse { version: "2.0.0".to_owned() }))
    }
}
