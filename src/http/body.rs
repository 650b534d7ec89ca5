//! Bodies as streams that survive broken connections.

use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{CONTENT_RANGE, HeaderMap};
use reqwest::{Response, StatusCode};

use super::pace::{ChunkError, Pace};
use super::{Retry, Tries};

/// Bytes that must come on one connection for it to count as a success. A server that drops every connection after a few
/// bytes is given up, then.
const PROGRESS: u64 = 64 << 10;

/// Where a body comes from: it is asked for from a byte on, and names what goes wrong.
pub(crate) trait Origin {
    /// What goes wrong.
    type Error;

    /// Sends a GET for the bytes from `offset` on. Only answers with content are handed over.
    fn ask(&self, offset: u64) -> impl Future<Output = Result<Response, Self::Error>> + Send;

    /// The error for an answer that is not what it should be.
    fn broken(&self, how: Broken) -> Self::Error;

    /// Whether a failure may pass.
    fn retry(error: &Self::Error) -> Retry;
}

/// How an answer is not what it should be.
#[derive(Debug)]
pub(crate) enum Broken {
    /// It ended after so many bytes of the whole; where the connection broke, that is why.
    Truncated(u64, Option<reqwest::Error>),
    /// The whole has not as many bytes as it should.
    WrongSize {
        /// What was expected.
        want: u64,
        /// What the server says or sends; where it sends too many, the count at which reading stopped.
        got: u64,
    },
    /// It breaks HTTP.
    Protocol(&'static str),
    /// It comes too slowly.
    TooSlow,
}

/// A body on its way. Where the connection breaks, the rest is asked for on a new one.
pub(crate) struct Body<O> {
    origin: O,
    /// The length of the whole; learned from the first answer where it was not known.
    size: Option<u64>,
    /// Where the next byte that is yielded belongs.
    position: u64,
    /// Bytes of the response that lie before `position`: the server has ignored the range.
    skip: u64,
    response: Option<Response>,
    ended: bool,
    tries: Tries,
    pace: Pace,
    /// Bytes since the last failure.
    fresh: u64,
}

impl<O: Origin> Body<O> {
    /// Asks for the bytes from `offset` on. `size` is the length of the whole, where it is known.
    pub(crate) async fn open(
        origin: O,
        size: Option<u64>,
        offset: u64,
        first_pause: Duration,
    ) -> Result<Self, O::Error> {
        let position = size.map_or(offset, |size| offset.min(size));
        let tries = Tries::new(first_pause);
        let mut body = Self {
            origin,
            size,
            position,
            skip: 0,
            response: None,
            ended: false,
            tries,
            pace: Pace::default(),
            fresh: 0,
        };
        while body.response.is_none() && !body.is_whole() {
            if let Err(error) = body.connect().await {
                body.wait_after(error).await?;
            }
        }
        Ok(body)
    }

    /// The length of the whole, where it is known or the server has said so.
    pub(crate) fn size(&self) -> Option<u64> {
        self.size
    }

    /// The next bytes, at most as many as are still missing; nothing once all have come.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, O::Error> {
        loop {
            match self.next_once().await {
                Ok(Some(chunk)) => {
                    self.position += chunk.len() as u64;
                    self.fresh += chunk.len() as u64;
                    if self.fresh >= PROGRESS {
                        self.tries.progress();
                    }
                    return Ok(Some(chunk));
                }
                Ok(None) => return Ok(None),
                Err(error) => {
                    self.response = None;
                    self.fresh = 0;
                    self.wait_after(error).await?;
                }
            }
        }
    }

    fn is_whole(&self) -> bool {
        self.ended || self.size == Some(self.position)
    }

    async fn wait_after(&mut self, error: O::Error) -> Result<(), O::Error> {
        if self.tries.wait(O::retry(&error)).await { Ok(()) } else { Err(error) }
    }

    async fn next_once(&mut self) -> Result<Option<Bytes>, O::Error> {
        if self.response.is_none() {
            if self.is_whole() {
                return Ok(None);
            }
            self.connect().await?;
        }
        loop {
            let Some(response) = &mut self.response else { return Ok(None) };
            let chunk = match self.pace.chunk(response).await {
                Ok(chunk) => chunk,
                // All is here; how the connection ends does not matter.
                Err(_) if self.size == Some(self.position) => None,
                Err(ChunkError::Broken(error)) => return Err(self.truncated(Some(error.without_url()))),
                Err(ChunkError::TooSlow) => return Err(self.origin.broken(Broken::TooSlow)),
            };
            let Some(mut chunk) = chunk else {
                self.response = None;
                // An answer without a length says by its end how long it is.
                self.ended = self.size.is_none_or(|size| size == self.position) && self.skip == 0;
                return if self.ended { Ok(None) } else { Err(self.truncated(None)) };
            };
            let skipped = self.skip.min(chunk.len() as u64);
            self.skip -= skipped;
            let chunk = chunk.split_off(skipped as usize);
            let end = self.position + chunk.len() as u64;
            if let Some(want) = self.size.filter(|size| end > *size) {
                return Err(self.origin.broken(Broken::WrongSize { want, got: end }));
            }
            if !chunk.is_empty() {
                return Ok(Some(chunk));
            }
        }
    }

    /// Asks for what is missing, and believes nothing that the answer's headers contradict.
    async fn connect(&mut self) -> Result<(), O::Error> {
        let response = self.origin.ask(self.position).await?;
        let broken = |how| Err(self.origin.broken(how));
        let (start, length) = if response.status() == StatusCode::PARTIAL_CONTENT {
            match content_range(response.headers()) {
                Some(range) => range,
                None => return broken(Broken::Protocol("a partial answer without its range")),
            }
        } else {
            (0, response.content_length())
        };
        if start > self.position || (start != self.position && start != 0) {
            return broken(Broken::Protocol("it begins at another byte than was asked for"));
        }
        match (self.size, length) {
            (Some(want), Some(got)) if want != got => return broken(Broken::WrongSize { want, got }),
            (None, Some(length)) if length < self.position => {
                return broken(Broken::WrongSize { want: self.position, got: length });
            }
            (None, length) => self.size = length,
            _ => {}
        }
        self.skip = self.position - start;
        self.response = Some(response);
        Ok(())
    }

    fn truncated(&self, source: Option<reqwest::Error>) -> O::Error {
        self.origin.broken(Broken::Truncated(self.position, source))
    }
}

/// First byte and, where it is stated, the length of the whole (RFC 9110, 14.4): `bytes 5-9/10`.
fn content_range(headers: &HeaderMap) -> Option<(u64, Option<u64>)> {
    let (range, length) = headers.get(CONTENT_RANGE)?.to_str().ok()?.trim().strip_prefix("bytes ")?.split_once('/')?;
    let start = range.split_once('-')?.0.trim().parse().ok()?;
    match length.trim() {
        "*" => Some((start, None)),
        length => Some((start, Some(length.parse().ok()?))),
    }
}

#[cfg(test)]
mod tests {
    use super::super::pace::tests::trickle;
    use super::*;

    /// A server whose every answer is so many bytes each second.
    struct Slow(usize);

    impl Origin for Slow {
        type Error = Broken;

        async fn ask(&self, _: u64) -> Result<Response, Broken> {
            Ok(trickle(self.0, Duration::from_secs(1)))
        }

        fn broken(&self, how: Broken) -> Broken {
            how
        }

        fn retry(_: &Broken) -> Retry {
            Retry::Never
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_trickles_is_given_up_however_long_it_may_be() {
        let mut body = Body::open(Slow(1), Some(1 << 30), 0, Duration::ZERO).await.ok().unwrap();
        let error = loop {
            match body.next().await {
                Ok(chunk) => assert!(chunk.is_some()),
                Err(error) => break error,
            }
        };
        assert!(matches!(error, Broken::TooSlow), "{error:?}");
        let mut body = Body::open(Slow(2 << 10), Some(1 << 20), 0, Duration::ZERO).await.ok().unwrap();
        let mut read = 0;
        while read < 1 << 20 {
            read += body.next().await.unwrap().unwrap().len();
        }
    }

    #[test]
    fn content_ranges() {
        let parse = |text: &'static str| content_range(&HeaderMap::from_iter([(CONTENT_RANGE, text.parse().unwrap())]));
        assert_eq!(parse("bytes 5-9/10"), Some((5, Some(10))));
        assert_eq!(parse("bytes 5-9/*"), Some((5, None)));
        for bad in ["", "bytes", "bytes */10", "bytes 5/10", "bytes 5-9/x", "items 5-9/10", "bytes -9/10"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn content_ranges_never_panic(text in "(bytes )?\\PC{0,30}", start: u64, end: u64, length: u64) {
            for text in [text, format!("bytes {start}-{end}/{length}")] {
                if let Ok(value) = text.parse() {
                    content_range(&HeaderMap::from_iter([(CONTENT_RANGE, value)]));
                }
            }
        }
    }
}
