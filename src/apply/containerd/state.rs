//! What containerd has already, of what is wanted. Read only.

use std::collections::{BTreeMap, BTreeSet};

use tokio::task::JoinSet;
use tonic::Code;

use super::api::content::InfoRequest;
use super::{Client, ContainerdError, Wanted};
use crate::apply::task::joined;
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

/// What is looked for.
enum Asked {
    Blob(Digest, u64),
    Name(String),
    Chain(Digest),
}

/// What is there.
enum Found {
    Blob(Digest),
    Name(String, NamedImage),
    Chain(Digest),
}

impl RuntimeState {
    fn note(&mut self, found: Option<Found>) {
        match found {
            Some(Found::Blob(digest)) => _ = self.blobs.insert(digest),
            Some(Found::Name(name, image)) => _ = self.names.insert(name, image),
            Some(Found::Chain(chain)) => _ = self.chains.insert(chain),
            None => {}
        }
    }
}

impl Client {
    /// Looks for everything in `wanted`, and for the snapshots `chains`.
    ///
    /// # Errors
    /// The first failed call.
    pub async fn state(&self, wanted: &Wanted, chains: &[Digest]) -> Result<RuntimeState, ContainerdError> {
        let blobs = wanted.blobs.iter().map(|(digest, blob)| Asked::Blob(*digest, blob.size));
        let names = wanted.images.iter().flat_map(|image| &image.names).map(|name| Asked::Name(name.clone()));
        let chains = chains.iter().map(|chain| Asked::Chain(*chain));
        let (mut state, mut tasks) = (RuntimeState::default(), JoinSet::new());
        // Begun as others end: ten thousand images are tens of thousands of calls, and each takes some memory.
        for asked in blobs.chain(names).chain(chains) {
            if tasks.len() >= AT_ONCE
                && let Some(done) = tasks.join_next().await
            {
                state.note(joined(done)?);
            }
            let client = self.clone();
            tasks.spawn(async move { client.find(asked).await });
        }
        while let Some(done) = tasks.join_next().await {
            state.note(joined(done)?);
        }
        Ok(state)
    }

    async fn find(&self, asked: Asked) -> Result<Option<Found>, ContainerdError> {
        Ok(match asked {
            Asked::Blob(digest, size) => self.has_content(digest, size).await?.then_some(Found::Blob(digest)),
            Asked::Name(name) => self.named(&name).await?.map(|image| Found::Name(name, image)),
            Asked::Chain(chain) => self.has_snapshot(&chain).await?.then_some(Found::Chain(chain)),
        })
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
