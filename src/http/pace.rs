//! How slowly an answer may come.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::Response;
use tokio::time::Instant;

/// How long is waited, in all, before it is asked how much has come.
const WINDOW: Duration = Duration::from_secs(60);
/// Bytes that must come in each window: 1 KiB a second. A satellite's or a modem's line has more.
const LEAST: u64 = 60 << 10;
/// Bytes a second that the time for a whole document is reckoned with.
const DOCUMENT_RATE: u64 = 16 << 10;

/// Why the next bytes did not come.
#[derive(Debug)]
pub(crate) enum ChunkError {
    /// The connection broke.
    Broken(reqwest::Error),
    /// The server sends, but next to nothing.
    TooSlow,
}

/// Watches that an answer does not trickle for ever. Only time spent waiting for the server counts.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    waited: Duration,
    bytes: u64,
}

impl Pace {
    /// The next bytes of an answer; nothing at its end.
    pub(crate) async fn chunk(&mut self, response: &mut Response) -> Result<Option<Bytes>, ChunkError> {
        let began = Instant::now();
        let chunk = response.chunk().await.map_err(ChunkError::Broken)?;
        let Some(bytes) = chunk else { return Ok(None) };
        if self.keeps(began.elapsed(), bytes.len() as u64) { Ok(Some(bytes)) } else { Err(ChunkError::TooSlow) }
    }

    fn keeps(&mut self, waited: Duration, bytes: u64) -> bool {
        self.waited += waited;
        self.bytes += bytes;
        if self.waited < WINDOW {
            return true;
        }
        let enough = self.bytes >= LEAST;
        *self = Self::default();
        enough
    }
}

/// Why a document was not read.
#[derive(Debug)]
pub(crate) enum ReadError {
    /// It has more bytes than the limit.
    TooLong,
    /// The connection broke after so many bytes.
    Broken(u64, reqwest::Error),
    /// It came too slowly.
    TooSlow,
}

/// The body of an answer, where it has at most `limit` bytes. It has a minute, and longer by what may be in it.
pub(crate) async fn read_up_to(response: Response, limit: u64) -> Result<Bytes, ReadError> {
    let time = WINDOW + Duration::from_secs(limit / DOCUMENT_RATE);
    tokio::time::timeout(time, read(response, limit)).await.unwrap_or(Err(ReadError::TooSlow))
}

async fn read(mut response: Response, limit: u64) -> Result<Bytes, ReadError> {
    if response.content_length().is_some_and(|length| length > limit) {
        return Err(ReadError::TooLong);
    }
    let (mut body, mut pace) = (BytesMut::new(), Pace::default());
    loop {
        let chunk = pace.chunk(&mut response).await.map_err(|error| match error {
            ChunkError::Broken(error) => ReadError::Broken(body.len() as u64, error),
            ChunkError::TooSlow => ReadError::TooSlow,
        })?;
        let Some(chunk) = chunk else { return Ok(body.freeze()) };
        if body.len() as u64 + chunk.len() as u64 > limit {
            return Err(ReadError::TooLong);
        }
        body.extend_from_slice(&chunk);
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use hyper::body::{Body, Frame};
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::task::{Context, Poll, ready};
    use tokio::time::Interval;

    /// A body without end: so many bytes whenever so much time has passed.
    struct Trickle(Interval, usize);

    impl Body for Trickle {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            ready!(self.0.poll_tick(context));
            Poll::Ready(Some(Ok(Frame::data(vec![b' '; self.1].into()))))
        }
    }

    /// An answer whose body is a [`Trickle`]. The clock must be one that tests wind on.
    pub(in crate::http) fn trickle(bytes: usize, every: Duration) -> Response {
        let body = reqwest::Body::wrap(Trickle(tokio::time::interval(every), bytes));
        hyper::Response::new(body).into()
    }

    #[tokio::test(start_paused = true)]
    async fn a_document_that_trickles_is_given_up() {
        let second = Duration::from_secs(1);
        let slow = read_up_to(trickle(1, second), 64 << 10).await;
        assert!(matches!(slow, Err(ReadError::TooSlow)), "{slow:?}");
        // Fast enough for a stream, and without an end all the same.
        let began = Instant::now();
        let long = read_up_to(trickle(2 << 10, second), 1 << 30).await;
        assert!(matches!(long, Err(ReadError::TooSlow)), "{long:?}");
        assert_eq!(began.elapsed(), WINDOW + Duration::from_secs((1 << 30) / DOCUMENT_RATE));
        let large = read_up_to(trickle(64 << 10, second), 1 << 20).await;
        assert!(matches!(large, Err(ReadError::TooLong)), "{large:?}");
    }

    #[test]
    fn what_came_early_does_not_excuse_what_does_not_come() {
        let mut pace = Pace::default();
        let second = Duration::from_secs(1);
        assert!(pace.keeps(Duration::ZERO, 1 << 40));
        assert!((0..60).all(|_| pace.keeps(second, 1)));
        assert!(!(0..60).all(|_| pace.keeps(second, 1)));
        let mut pace = Pace::default();
        assert!((0..10_000).all(|_| pace.keeps(second, 2 << 10)));
    }
}
