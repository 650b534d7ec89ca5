//! Layers into snapshots, so that containers can start.
//!
//! An image's layers go one on another; images go side by side, and a chain that two of them share is made once.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use tokio::sync::{Mutex, Semaphore};
use tokio::task::JoinSet;
use tonic::{Code, Status};

use super::api::diff::ApplyRequest;
use super::api::snapshots::{
    CommitSnapshotRequest, PrepareSnapshotRequest, RemoveSnapshotRequest, StatSnapshotRequest,
};
use super::api::types;
use super::labels::{UNCOMPRESSED, snapshot_key};
use super::names::descriptor;
use super::{Client, ContainerdError, SNAPSHOTTER, Session};
use crate::apply::task::joined;
use crate::oci::{Blob, Digest, ImageConfig};
use crate::progress::{Progress, Stage};

/// For each chain of layers, so that it is made once: whether it was counted as done.
type Chains = HashMap<Digest, Mutex<bool>>;

/// One for each of two things that may be in the way, and one more.
const PREPARE_TRIES: u32 = 3;

/// An image to unpack.
#[derive(Debug, Clone)]
pub struct Unpack {
    /// For messages.
    pub image: String,
    /// Digest of the configuration, which gets the reference to the snapshot.
    pub config: Digest,
    /// What the layers unpack to; as many as `layers`.
    pub diff_ids: Vec<Digest>,
    /// The chain of the layers up to each.
    pub chain: Vec<Digest>,
    /// The layers' blobs, lowest first.
    pub layers: Arc<[Blob]>,
}

impl Unpack {
    /// How to unpack the image with the configuration `config` and `layers`; nothing where their numbers differ.
    pub fn new(image: String, config: Digest, parsed: &ImageConfig, layers: &Arc<[Blob]>) -> Option<Self> {
        let same = parsed.diff_ids.len() == layers.len();
        let (diff_ids, chain) = (parsed.diff_ids.clone(), parsed.chain_ids());
        same.then(|| Self { image, config, diff_ids, chain, layers: Arc::clone(layers) })
    }
}

impl Client {
    /// Whether the snapshot of a chain is there.
    ///
    /// # Errors
    /// A failed call.
    pub async fn has_snapshot(&self, chain: &Digest) -> Result<bool, ContainerdError> {
        let request = StatSnapshotRequest { snapshotter: SNAPSHOTTER.to_owned(), key: chain.to_string() };
        match self.snapshots().stat(self.request(request)).await {
            Ok(_) => Ok(true),
            Err(status) if status.code() == Code::NotFound => Ok(false),
            Err(status) => Err(ContainerdError::call("find the snapshot", chain, status)),
        }
    }
}

impl Session {
    /// Unpacks images, `jobs` at once. Returns how many layers were unpacked; the others were there.
    ///
    /// # Errors
    /// The first failure; [`ContainerdError::DiffId`] where a layer is not what its image says.
    pub async fn unpack(
        self: &Arc<Self>,
        images: Vec<Unpack>,
        jobs: usize,
        progress: &Arc<Progress>,
    ) -> Result<usize, ContainerdError> {
        let once: BTreeMap<Digest, Unpack> = images.into_iter().map(|image| (image.config, image)).collect();
        let chains: BTreeSet<Digest> = once.values().flat_map(|image| image.chain.iter().copied()).collect();
        progress.stage(Stage::Unpack, chains.len() as u64);
        let locks: Chains = chains.into_iter().map(|chain| (chain, Mutex::default())).collect();
        let (locks, room) = (Arc::new(locks), Arc::new(Semaphore::new(jobs)));
        let (mut tasks, mut unpacked) = (JoinSet::new(), 0);
        for image in once.into_values() {
            // Begun when there is room, since what waits takes memory.
            let place = Arc::clone(&room).acquire_owned().await;
            while let Some(done) = tasks.try_join_next() {
                unpacked += joined(done)?;
            }
            let (session, locks, progress) = (Arc::clone(self), Arc::clone(&locks), Arc::clone(progress));
            tasks.spawn(async move {
                let _place = place;
                let _shown = progress.begin(&image.image);
                session.unpack_image(&image, &locks, &progress).await
            });
        }
        while let Some(done) = tasks.join_next().await {
            unpacked += joined(done)?;
        }
        Ok(unpacked)
    }

    async fn unpack_image(
        &self,
        image: &Unpack,
        locks: &Chains,
        progress: &Progress,
    ) -> Result<usize, ContainerdError> {
        let mut unpacked = 0;
        for (index, chain) in image.chain.iter().enumerate() {
            let mut counted = match locks.get(chain) {
                Some(lock) => Some(lock.lock().await),
                None => None,
            };
            self.keep_snapshot(SNAPSHOTTER, chain).await?;
            if !self.client.has_snapshot(chain).await? {
                self.unpack_layer(image, index).await?;
                unpacked += 1;
            }
            if let Some(counted) = &mut counted
                && !std::mem::replace(&mut **counted, true)
            {
                progress.advance(1);
            }
        }
        if let Some(top) = image.chain.last() {
            let labels = HashMap::from([(snapshot_key(SNAPSHOTTER), top.to_string())]);
            self.label(image.config, labels).await?;
        }
        Ok(unpacked)
    }

    async fn unpack_layer(&self, image: &Unpack, index: usize) -> Result<(), ContainerdError> {
        let (chain, layer, want) = (image.chain[index], &image.layers[index], image.diff_ids[index]);
        let parent = index.checked_sub(1).map(|below| image.chain[below].to_string()).unwrap_or_default();
        // The form of containerd's own keys. Always the same, so that what a killed run left is found.
        let key = format!("extract-carrack {chain}");
        let mounts = self.prepare(&key, &parent).await?;
        let applied = self.apply_and_commit(image, layer, want, &chain, &key, mounts).await;
        if applied.is_err() {
            // The first error is the one to tell; what cannot be removed now goes with the lease.
            let _ = self.remove_snapshot(&key).await;
        }
        applied
    }

    async fn prepare(&self, key: &str, parent: &str) -> Result<Vec<types::Mount>, ContainerdError> {
        let prepare = || async {
            let request = PrepareSnapshotRequest {
                snapshotter: SNAPSHOTTER.to_owned(),
                key: key.to_owned(),
                parent: parent.to_owned(),
            };
            self.client.snapshots().prepare(self.client.request(request)).await
        };
        // A killed run may have left the snapshot. A failed power may have left the folder of one that containerd does not know,
        // which it removes where that is in its way, and fails once.
        let mut tries = 0;
        let answer = loop {
            tries += 1;
            match prepare().await {
                Err(status) if status.code() == Code::AlreadyExists && tries < PREPARE_TRIES => {
                    self.remove_snapshot(key).await.map_err(|status| ContainerdError::call("clear", key, status))?;
                }
                Err(status) if status.code() == Code::Unknown && tries < PREPARE_TRIES => {}
                other => break other,
            }
        };
        let answer = answer.map_err(|status| ContainerdError::call("prepare the snapshot", key, status))?;
        Ok(answer.into_inner().mounts)
    }

    async fn apply_and_commit(
        &self,
        image: &Unpack,
        layer: &Blob,
        want: Digest,
        chain: &Digest,
        key: &str,
        mounts: Vec<types::Mount>,
    ) -> Result<(), ContainerdError> {
        let request = self.client.request(ApplyRequest { diff: Some(descriptor(layer)), mounts });
        let answer = self.client.diff().apply(request).await;
        let answer = answer.map_err(|status| ContainerdError::call("unpack the layer", &layer.digest, status))?;
        let got = answer.into_inner().applied.unwrap_or_default().digest;
        if got != want.to_string() {
            return Err(ContainerdError::DiffId { image: image.image.clone(), layer: layer.digest, got, want });
        }
        let request =
            CommitSnapshotRequest { snapshotter: SNAPSHOTTER.to_owned(), name: chain.to_string(), key: key.to_owned() };
        // containerd syncs its database but not what it has unpacked. Without this, a power failure leaves a snapshot of empty files that
        // counts as unpacked for good.
        let _ = tokio::task::spawn_blocking(rustix::fs::sync).await;
        match self.client.snapshots().commit(self.client.request(request)).await {
            // Somebody else, such as the kubelet's own pull, was faster.
            Err(status) if status.code() == Code::AlreadyExists => {
                self.remove_snapshot(key).await.map_err(|status| ContainerdError::call("clear", key, status))?;
            }
            Err(status) => return Err(ContainerdError::call("commit the snapshot", chain, status)),
            Ok(_) => {}
        }
        // Only now is it known to be so.
        self.label(layer.digest, HashMap::from([(UNCOMPRESSED.to_owned(), want.to_string())])).await
    }

    /// Has containerd look, when it collects next, for what the power did not let it write down of snapshots: folders, and
    /// snapshots that only its snapshotter knows. It looks where a snapshot was removed, and only there.
    pub(super) async fn stir_snapshots(&self) {
        let key = format!("extract-carrack {}", self.id);
        // Where there is no such snapshotter, nothing was left in it.
        if self.prepare(&key, "").await.is_ok() {
            let _ = self.remove_snapshot(&key).await;
        }
    }

    async fn remove_snapshot(&self, key: &str) -> Result<(), Status> {
        let request = RemoveSnapshotRequest { snapshotter: SNAPSHOTTER.to_owned(), key: key.to_owned() };
        match self.client.snapshots().remove(self.client.request(request)).await {
            Err(status) if status.code() != Code::NotFound => Err(status),
            _ => Ok(()),
        }
    }
}
