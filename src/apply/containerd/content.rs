//! Blobs into the content store.
//!
//! Every blob has an ingest of its own, named after its digest, so that a run after a kill finds it and goes on where the
//! other stopped. containerd hashes what it gets and refuses to commit anything else than the digest names.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use prost_types::FieldMask;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};

use super::api::content::{
    AbortRequest, DeleteContentRequest, Info, InfoRequest, ReadContentRequest, UpdateRequest, WriteAction,
    WriteContentRequest, WriteContentResponse,
};
use super::{ContainerdError, Labels, Session};
use crate::oci::Digest;

/// Messages on their way at once. With chunks of a mebibyte, two keep both sides busy and memory small.
const IN_FLIGHT: usize = 2;
/// How often, and how long apart, a locked ingest is asked for: containerd needs a moment to notice that the process that
/// wrote it is gone.
const LOCK_TRIES: u32 = 20;
const LOCK_WAIT: Duration = Duration::from_millis(250);

/// What [`Session::open`] found.
#[derive(Debug)]
pub enum Opened {
    /// containerd has the content; it is under the lease now.
    Present,
    /// It wants the content from [`Ingest::offset`] on.
    Wanted(Box<Ingest>),
}

/// A blob that is being written. Dropped before [`Ingest::commit`], what was sent stays in containerd until the lease
/// ends, and another ingest of the same digest goes on from there.
#[derive(Debug)]
pub struct Ingest {
    digest: Digest,
    size: u64,
    name: String,
    offset: u64,
    outbound: mpsc::Sender<WriteContentRequest>,
    inbound: Streaming<WriteContentResponse>,
}

impl Session {
    /// Asks for the blob to be written, unless it is there.
    ///
    /// # Errors
    /// A failed call, or content of another length under the digest.
    pub async fn open(&self, digest: Digest, size: u64) -> Result<Opened, ContainerdError> {
        let mut tries = 0;
        loop {
            match self.try_open(digest, size).await {
                Ok(ingest) if ingest.offset <= size => return Ok(Opened::Wanted(Box::new(ingest))),
                // Longer than the blob: not a beginning of it.
                Ok(_) => self.abort(digest).await?,
                Err(status) if status.code() == Code::AlreadyExists && tries < LOCK_TRIES => {
                    if self.is_readable(digest).await? {
                        return Ok(Opened::Present);
                    }
                    self.forget(digest).await?;
                }
                Err(status) => match status.code() {
                    Code::Unavailable | Code::Aborted if tries < LOCK_TRIES => tokio::time::sleep(LOCK_WAIT).await,
                    _ => return Err(ContainerdError::call("take", &digest, status)),
                },
            }
            tries += 1;
        }
    }

    /// Whether what containerd says it has is on its disk: its database is durable sooner than the names of its files.
    async fn is_readable(&self, digest: Digest) -> Result<bool, ContainerdError> {
        let request = ReadContentRequest { digest: digest.to_string(), offset: 0, size: 1 };
        let read =
            async { self.client.content().read(self.client.request(request)).await?.into_inner().message().await };
        match read.await {
            Ok(_) => Ok(true),
            Err(status) if status.code() == Code::NotFound => Ok(false),
            Err(status) => Err(ContainerdError::call("read", &digest, status)),
        }
    }

    /// Has containerd forget content that is not on its disk.
    async fn forget(&self, digest: Digest) -> Result<(), ContainerdError> {
        let request = self.client.request(DeleteContentRequest { digest: digest.to_string() });
        match self.client.content().delete(request).await {
            Err(status) if status.code() != Code::NotFound => Err(ContainerdError::call("forget", &digest, status)),
            _ => Ok(()),
        }
    }

    async fn try_open(&self, digest: Digest, size: u64) -> Result<Ingest, Status> {
        let (outbound, messages) = mpsc::channel(IN_FLIGHT);
        let name = format!("carrack-{digest}");
        let first = WriteContentRequest {
            action: WriteAction::Stat.into(),
            r#ref: name.clone(),
            total: size.cast_signed(),
            expected: digest.to_string(),
            ..WriteContentRequest::default()
        };
        // The channel is empty and its other end is below, so there is room.
        outbound.try_send(first).map_err(|error| Status::internal(error.to_string()))?;
        let request = self.client.request(ReceiverStream::new(messages));
        let mut inbound = self.client.content().write(request).await?.into_inner();
        let answer = inbound.message().await?.ok_or_else(|| Status::unknown("no answer"))?;
        Ok(Ingest { digest, size, name, offset: answer.offset.cast_unsigned(), outbound, inbound })
    }

    /// Gives up what was written of a blob that is not complete.
    ///
    /// # Errors
    /// A failed call; that there is no such ingest is no failure.
    pub async fn abort(&self, digest: Digest) -> Result<(), ContainerdError> {
        let request = self.client.request(AbortRequest { r#ref: format!("carrack-{digest}") });
        match self.client.content().abort(request).await {
            Err(status) if status.code() != Code::NotFound => Err(ContainerdError::call("give up", &digest, status)),
            _ => Ok(()),
        }
    }

    /// Checks content that is there for its length, and adds the labels that it lacks. Returns whether it lacked any.
    ///
    /// # Errors
    /// [`ContainerdError::Size`], or a failed call.
    pub async fn complete(&self, digest: Digest, size: u64, labels: &Labels) -> Result<bool, ContainerdError> {
        let request = self.client.request(InfoRequest { digest: digest.to_string() });
        let answer = self.client.content().info(request).await;
        let answer = answer.map_err(|status| ContainerdError::call("find", &digest, status))?;
        let info = answer.into_inner().info.unwrap_or_default();
        if info.size.cast_unsigned() != size {
            return Err(ContainerdError::Size { digest, got: info.size.cast_unsigned(), want: size });
        }
        let missing = labels.missing_from(&info.labels);
        if missing.is_empty() {
            return Ok(false);
        }
        self.label(digest, missing).await?;
        Ok(true)
    }

    /// Sets labels on content, leaving its others as they are.
    pub(super) async fn label(&self, digest: Digest, labels: HashMap<String, String>) -> Result<(), ContainerdError> {
        let paths = labels.keys().map(|key| format!("labels.{key}")).collect();
        let info = Some(Info { digest: digest.to_string(), size: 0, labels });
        let request = self.client.request(UpdateRequest { info, update_mask: Some(FieldMask { paths }) });
        let answer = self.client.content().update(request).await;
        answer.map(|_| ()).map_err(|status| ContainerdError::call("label", &digest, status))
    }
}

impl Ingest {
    /// How many of the blob's first bytes containerd has already. They are not believed: the commit checks them all.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Sends the bytes that follow.
    ///
    /// # Errors
    /// What made containerd end the call.
    pub async fn write(&mut self, data: Bytes) -> Result<(), ContainerdError> {
        let length = data.len() as u64;
        self.send(WriteAction::Write, data, HashMap::new()).await?;
        self.offset += length;
        Ok(())
    }

    /// Ends the blob: containerd checks its length and digest, makes it durable and gives it `labels`.
    ///
    /// # Errors
    /// Among others with [`Code::FailedPrecondition`] where containerd got other bytes, and [`Code::AlreadyExists`] where
    /// somebody else has written the same content meanwhile; then it lacks the labels.
    pub async fn commit(mut self, labels: &Labels) -> Result<(), ContainerdError> {
        self.finish(labels.missing_from(&HashMap::new())).await
    }

    async fn finish(&mut self, labels: HashMap<String, String>) -> Result<(), ContainerdError> {
        self.send(WriteAction::Commit, Bytes::new(), labels).await?;
        loop {
            match self.inbound.message().await {
                Ok(Some(answer)) if answer.action() == WriteAction::Commit => return Ok(()),
                Ok(Some(_)) => {}
                Ok(None) => return Err(self.failed(Status::unknown("the call ended without an answer"))),
                Err(status) => return Err(self.failed(status)),
            }
        }
    }

    /// Sends one message as soon as there is room, taking answers meanwhile: containerd answers every message, and stops
    /// reading when nobody listens.
    async fn send(
        &mut self,
        action: WriteAction,
        data: Bytes,
        labels: HashMap<String, String>,
    ) -> Result<(), ContainerdError> {
        let message = WriteContentRequest {
            action: action.into(),
            r#ref: self.name.clone(),
            total: self.size.cast_signed(),
            expected: if action == WriteAction::Commit { self.digest.to_string() } else { String::new() },
            offset: self.offset.cast_signed(),
            data,
            labels,
        };
        loop {
            let answer = tokio::select! {
                Ok(room) = self.outbound.reserve() => {
                    room.send(message);
                    return Ok(());
                }
                answer = self.inbound.message() => answer,
            };
            match answer {
                Ok(Some(_)) => {}
                Ok(None) => return Err(self.failed(Status::unknown("the call ended too early"))),
                Err(status) => return Err(self.failed(status)),
            }
        }
    }

    fn failed(&self, status: Status) -> ContainerdError {
        ContainerdError::call("write", &self.digest, status)
    }
}
