//! A response body that counts what it sends and can break off.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::Sleep;

use super::Shared;
use crate::oci::Digest;

const PIECE: usize = 64 << 10;

/// Bytes on their way to a client.
pub(super) struct Content {
    rest: Bytes,
    piece: usize,
    pause: Option<(Duration, Pin<Box<Sleep>>)>,
    /// Drop the connection at the end.
    breaks: bool,
    flushed: bool,
    /// Hide the length, so that it is sent in chunks.
    unsized_: bool,
    count: Option<(Arc<Shared>, Digest)>,
}

impl Content {
    pub(super) fn new(rest: Bytes) -> Self {
        Self { rest, piece: PIECE, pause: None, breaks: false, flushed: false, unsized_: false, count: None }
    }

    pub(super) fn counted(self, state: Arc<Shared>, digest: Digest) -> Self {
        Self { count: Some((state, digest)), ..self }
    }

    pub(super) fn breaking(self) -> Self {
        Self { breaks: true, unsized_: true, ..self }
    }

    pub(super) fn without_length(self) -> Self {
        Self { unsized_: true, ..self }
    }

    pub(super) fn slow(self, piece: usize, pause: Duration) -> Self {
        Self { piece: piece.max(1), pause: Some((pause, Box::pin(tokio::time::sleep(pause)))), ..self }
    }
}

impl Body for Content {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if self.rest.is_empty() {
            if self.breaks && !self.flushed {
                // Only what has been flushed arrives before the connection ends.
                self.flushed = true;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            return Poll::Ready(self.breaks.then(|| Err(io::Error::other("dropped on demand"))));
        }
        if let Some((pause, sleep)) = &mut self.pause {
            ready!(sleep.as_mut().poll(cx));
            sleep.as_mut().reset(tokio::time::Instant::now() + *pause);
        }
        let length = self.piece.min(self.rest.len());
        let piece = self.rest.split_to(length);
        if let Some((state, digest)) = &self.count {
            state.lock().served.entry(*digest).or_default().bytes += length as u64;
        }
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && !self.breaks
    }

    fn size_hint(&self) -> SizeHint {
        if self.unsized_ { SizeHint::new() } else { SizeHint::with_exact(self.rest.len() as u64) }
    }
}

impl From<&'static str> for Content {
    fn from(text: &'static str) -> Self {
        Self::new(Bytes::from_static(text.as_bytes()))
    }
}

/// A handler that cannot fail.
pub(super) type Never = Infallible;
