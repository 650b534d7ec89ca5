//! What containerd has already, of what is wanted. Read only.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tonic::Code;

use super::api::content::InfoRequest;
use super::{Client, ContainerdError, Wanted};
use crate::oci::Digest;

/// Questions asked at once.
const AT_ONCE: usize = 16;

/// What a runtime holds of a bundle's images.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RuntimeState {
    /// Content that is there, with its right length.
    pub blobs: BTreeSet<Digest>,
    /// Names that exist.
    pub names: BTreeMap<String, NamedImage>,
    /// Chains of layers that are unpacked.
    pub chains: BTreeSet<Digest>,
}

/// What an image's name stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedImage {
    /// Digest of the target.
    pub target: String,
    /// Whether it has the labels that keep garbage collectors away.
    pub managed: bool,
}

impl Client {
    /// Looks for everything in `wanted`, and for the snapshots `chains`.
    ///
    /// # Errors
    /// The first failed call.
    pub async fn state(&self, wanted: &Wanted, chains: &[Digest]) -> Result<RuntimeState, ContainerdError> {
        enum Found {
            Blob(Digest),
            Name(String, NamedImage),
            Chain(Digest),
        }
        let room = Arc::new(Semaphore::new(AT_ONCE));
        let mut tasks: JoinSet<Result<Option<Found>, ContainerdError>> = JoinSet::new();
        for (digest, blob) in &wanted.blobs {
            let (client, room, digest, size) = (self.clone(), Arc::clone(&room), *digest, blob.size);
            tasks.spawn(async move {
                let _place = room.acquire().await;
                Ok(client.has_content(digest, size).await?.then_some(Found::Blob(digest)))
            });
        }
        for name in wanted.images.iter().flat_map(|image| image.names.iter().cloned()) {
            let (client, room) = (self.clone(), Arc::clone(&room));
            tasks.spawn(async move {
                let _place = room.acquire().await;
                Ok(client.named(&name).await?.map(|image| Found::Name(name, image)))
            });
        }
        for chain in chains.iter().copied() {
            let (client, room) = (self.clone(), Arc::clone(&room));
            tasks.spawn(async move {
                let _place = room.acquire().await;
                Ok(client.has_snapshot(&chain).await?.then_some(Found::Chain(chain)))
            });
        }
        let mut state = RuntimeState::default();
        while let Some(done) = tasks.join_next().await {
            match done.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))? {
                Some(Found::Blob(digest)) => _ = state.blobs.insert(digest),
                Some(Found::Name(name, image)) => _ = state.names.insert(name, image),
                Some(Found::Chain(chain)) => _ = state.chains.insert(chain),
                None => {}
            }
        }
        Ok(state)
    }

    async fn has_content(&self, digest: Digest, size: u64) -> Result<bool, ContainerdError> {
        match self.content_size(&digest).await? {
            Some(got) if got != size => Err(ContainerdError::Size { digest, got, want: size }),
            found => Ok(found.is_some()),
        }
    }

    /// Whether the content is there.
    ///
    /// # Errors
    /// A failed call.
    pub async fn holds(&self, digest: &Digest) -> Result<bool, ContainerdError> {
        Ok(self.content_size(digest).await?.is_some())
    }

    async fn content_size(&self, digest: &Digest) -> Result<Option<u64>, ContainerdError> {
        let request = self.request(InfoRequest { digest: digest.to_string() });
        match self.content().info(request).await {
            Ok(answer) => Ok(Some(answer.into_inner().info.unwrap_or_default().size.cast_unsigned())),
            Err(status) if status.code() == Code::NotFound => Ok(None),
            Err(status) => Err(ContainerdError::call("find", digest, status)),
        }
    }
}
