//! Blobs as streams that survive broken connections.

use bytes::Bytes;
use reqwest::header::{CONTENT_RANGE, HeaderMap};
use reqwest::{Response, StatusCode};

use super::error::{RegistryError, RegistryErrorKind};
use super::retry::Tries;
use super::{Registry, Wanted};
use crate::oci::{Digest, Reference};

/// A blob on its way from the registry. Where the connection breaks, the rest is asked for on a new one.
pub struct BlobStream {
    registry: Registry,
    reference: Reference,
    digest: Digest,
    size: u64,
    /// Where the next byte that is yielded belongs.
    position: u64,
    /// Bytes of the response that lie before `position`: the registry has ignored the range.
    skip: u64,
    response: Option<Response>,
    tries: Tries,
}

impl BlobStream {
    pub(super) async fn open(
        registry: Registry,
        reference: Reference,
        digest: Digest,
        size: u64,
        offset: u64,
    ) -> Result<Self, RegistryError> {
        let tries = Tries::new(registry.first_pause);
        let position = offset.min(size);
        let mut stream = Self { registry, reference, digest, size, position, skip: 0, response: None, tries };
        while stream.response.is_none() && stream.position < stream.size {
            if let Err(kind) = stream.connect().await {
                stream.wait_after(kind).await?;
            }
        }
        Ok(stream)
    }

    /// The next bytes, at most as many as are still missing; nothing once all have come.
    ///
    /// # Errors
    /// See [`RegistryErrorKind`]. Broken connections and passing failures are retried first, as long as bytes arrive.
    pub async fn next(&mut self) -> Result<Option<Bytes>, RegistryError> {
        loop {
            match self.next_once().await {
                Ok(Some(chunk)) => {
                    self.position += chunk.len() as u64;
                    self.tries.progress();
                    return Ok(Some(chunk));
                }
                Ok(None) => return Ok(None),
                Err(kind) => {
                    self.response = None;
                    self.wait_after(kind).await?;
                }
            }
        }
    }

    async fn wait_after(&mut self, kind: RegistryErrorKind) -> Result<(), RegistryError> {
        self.tries.wait_after(kind.about(&self.reference)).await
    }

    async fn next_once(&mut self) -> Result<Option<Bytes>, RegistryErrorKind> {
        if self.response.is_none() {
            if self.position == self.size {
                return Ok(None);
            }
            self.connect().await?;
        }
        loop {
            let Some(response) = &mut self.response else { return Ok(None) };
            let chunk = match response.chunk().await {
                Ok(chunk) => chunk,
                // All is here; how the connection ends does not matter.
                Err(_) if self.position == self.size => None,
                Err(error) => return Err(self.truncated(Some(error.without_url()))),
            };
            let Some(mut chunk) = chunk else {
                self.response = None;
                return if self.position == self.size { Ok(None) } else { Err(self.truncated(None)) };
            };
            let skipped = self.skip.min(chunk.len() as u64);
            self.skip -= skipped;
            let chunk = chunk.split_off(skipped as usize);
            let end = self.position + chunk.len() as u64;
            if end > self.size {
                return Err(self.wrong_size(end));
            }
            if !chunk.is_empty() {
                return Ok(Some(chunk));
            }
        }
    }

    /// Asks for what is missing, and believes nothing that the answer's headers contradict.
    async fn connect(&mut self) -> Result<(), RegistryErrorKind> {
        let wanted = Wanted::Blob { digest: self.digest, offset: self.position };
        let path = format!("blobs/{}", self.digest);
        let response = match self.registry.get(&self.reference, &path, wanted).await {
            // "Range not satisfiable": the blob ends before the position.
            Err(RegistryErrorKind::Server { code: 416, .. }) => return Err(self.wrong_size(self.position)),
            other => other?,
        };
        let (start, length) = if response.status() == StatusCode::PARTIAL_CONTENT {
            content_range(response.headers())
                .ok_or(RegistryErrorKind::Protocol("a partial answer without its range"))?
        } else {
            (0, response.content_length())
        };
        if start > self.position || (start != self.position && start != 0) {
            return Err(RegistryErrorKind::Protocol("it begins at another byte than was asked for"));
        }
        if let Some(length) = length.filter(|length| *length != self.size) {
            return Err(self.wrong_size(length));
        }
        self.skip = self.position - start;
        self.response = Some(response);
        Ok(())
    }

    fn truncated(&self, source: Option<reqwest::Error>) -> RegistryErrorKind {
        RegistryErrorKind::Truncated { what: format!("blob {}", self.digest), at: self.position, source }
    }

    fn wrong_size(&self, got: u64) -> RegistryErrorKind {
        RegistryErrorKind::WrongSize { digest: self.digest, want: self.size, got }
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
    use super::*;

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
