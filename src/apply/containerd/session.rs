//! One import's lease, and the lock that keeps imports apart.

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;

use super::api::leases::{AddResourceRequest, CreateRequest, DeleteRequest, ListRequest, Resource};
use super::{Client, ContainerdError};
use crate::apply::lock::{LockFile, Refused};
use crate::io::Place;
use crate::oci::Digest;

const EXPIRE: &str = "containerd.io/gc.expire";
const OURS: &str = "dev.carrack/import";
/// containerd cannot change a lease, so it cannot be renewed while work lasts: it is made long enough for the slowest
/// medium, and is deleted when work ends. Only a killed run leaves one behind; the next run takes it away, or time does.
const LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// An import that is going on: nothing that it writes is collected until [`Session::end`]. Dropped without that, what it
/// wrote stays leased for a day, so that a run after a kill resumes.
#[derive(Debug)]
pub struct Session {
    pub(super) client: Client,
    plain: Client,
    pub(super) id: String,
    /// What killed runs left.
    abandoned: Vec<String>,
    /// Held while the session lasts.
    _lock: LockFile,
}

impl Session {
    /// Creates the namespace where it is absent, and a lease in it.
    ///
    /// # Errors
    /// [`ContainerdError::Busy`] where another process imports, or a failed call.
    pub async fn begin(client: &Client) -> Result<Self, ContainerdError> {
        let lock = lock(client.address())?;
        client.ensure_namespace().await?;
        let abandoned = client.imports().await?;

        let expires = Timestamp::try_from(SystemTime::now() + LIFETIME).unwrap_or(Timestamp::MAX);
        let expires = Timestamp::from_second(expires.as_second()).unwrap_or(expires).to_string();
        let labels = HashMap::from([(EXPIRE.to_owned(), expires), (OURS.to_owned(), "true".to_owned())]);
        let id = format!("carrack-{}-{}", std::process::id(), Timestamp::now().as_nanosecond());
        let request = client.request(CreateRequest { id: id.clone(), labels });
        client
            .leases()
            .create(request)
            .await
            .map_err(|status| ContainerdError::call("create the lease", &id, status))?;
        let session = Self { client: client.under_lease(&id)?, plain: client.clone(), id, abandoned, _lock: lock };
        if !session.abandoned.is_empty() {
            // Alone, before anything is unpacked: while it fails once, containerd removes a folder that another snapshot may get
            // meanwhile.
            session.stir_snapshots().await;
        }
        Ok(session)
    }

    /// Whether content is there.
    ///
    /// # Errors
    /// A failed call.
    pub async fn holds(&self, digest: &Digest) -> Result<bool, ContainerdError> {
        self.client.holds(digest).await
    }

    /// Keeps content that is there already, such as what a name refers to that is about to change.
    pub(super) async fn keep_content(&self, digest: &str) -> Result<(), ContainerdError> {
        self.keep(digest, "content".to_owned()).await
    }

    /// Keeps a snapshot that is there already.
    pub(super) async fn keep_snapshot(&self, snapshotter: &str, chain: &Digest) -> Result<(), ContainerdError> {
        self.keep(&chain.to_string(), format!("snapshots/{snapshotter}")).await
    }

    async fn keep(&self, id: &str, kind: String) -> Result<(), ContainerdError> {
        let resource = Some(Resource { id: id.to_owned(), r#type: kind });
        let request = self.plain.request(AddResourceRequest { id: self.id.clone(), resource });
        let answer = self.plain.leases().add_resource(request).await;
        answer.map(|_| ()).map_err(|status| ContainerdError::call("lease", id, status))
    }

    /// Gives the lease back. What has no name by then is collected: at once and waited for where `collect` says so (after
    /// a failure, when disk space matters) or killed runs have left something, else in containerd's own time.
    ///
    /// # Errors
    /// The first failed call; the other leases are given back all the same. One that stays ends by itself within a day.
    pub async fn end(&self, collect: bool) -> Result<(), ContainerdError> {
        let collect = collect || !self.abandoned.is_empty();
        let mut result = Ok(());
        for id in self.abandoned.iter().chain([&self.id]) {
            let sync = collect && *id == self.id;
            let answer = self.plain.leases().delete(self.plain.request(DeleteRequest { id: id.clone(), sync })).await;
            if let Err(status) = answer
                && status.code() != tonic::Code::NotFound
                && result.is_ok()
            {
                result = Err(ContainerdError::call("delete the lease", id, status));
            }
        }
        result
    }
}

impl Client {
    /// Takes away what killed runs have left, where no other run goes on.
    ///
    /// # Errors
    /// A failed call.
    pub async fn release_abandoned(&self) -> Result<(), ContainerdError> {
        if self.imports().await?.is_empty() {
            return Ok(());
        }
        match Session::begin(self).await {
            // What is there is that one's.
            Err(ContainerdError::Busy(_)) => Ok(()),
            Err(error) => Err(error),
            Ok(session) => session.end(true).await,
        }
    }

    /// The leases of imports.
    async fn imports(&self) -> Result<Vec<String>, ContainerdError> {
        let filter = format!("labels.\"{OURS}\"");
        let listed = self.leases().list(self.request(ListRequest { filters: vec![filter] })).await;
        let listed = listed.map_err(|status| ContainerdError::call("list", "its leases", status))?;
        Ok(listed.into_inner().leases.into_iter().map(|lease| lease.id).collect())
    }
}

/// The lock of a containerd lies beside its socket: whoever may use one containerd below several roots finds the same lock.
fn lock(address: &Path) -> Result<LockFile, ContainerdError> {
    let unreachable = |source: Box<dyn std::error::Error + Send + Sync>| ContainerdError::Unreachable {
        address: address.to_owned(),
        source,
    };
    let socket = address.canonicalize().map_err(|error| unreachable(error.into()))?;
    let mut name = socket.file_name().unwrap_or_default().to_owned();
    name.push(".carrack-lock");
    let trusted = [0, rustix::process::geteuid().as_raw()];
    let place = Place::of(&socket.with_file_name(name)).map_err(|error| unreachable(error.into()))?;
    match LockFile::take(&place, None, &trusted) {
        Ok(lock) => Ok(lock),
        Err(Refused::Busy(_)) => Err(ContainerdError::Busy(address.to_owned())),
        Err(Refused::Path(error)) => Err(unreachable(error.into())),
    }
}
