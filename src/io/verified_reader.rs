//! The one place where bytes become believed.

use std::io::{self, Read};

use crate::oci::{Digest, Digester};

/// Content is not what its descriptor says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// Fewer or more bytes than announced.
    #[error("{digest} has the wrong length: got {got} bytes, want {want}")]
    Size {
        /// Digest that was asked for.
        digest: Digest,
        /// Bytes there were; where there are too many, the count at which reading stopped.
        got: u64,
        /// Bytes announced.
        want: u64,
    },
    /// As many bytes as announced, but others.
    #[error("content hashes to {got}, want {want}")]
    Digest {
        /// What the bytes hash to.
        got: Digest,
        /// What was asked for.
        want: Digest,
    },
}

/// Reads `inner` to its end and checks length and digest on the way. The last read returns an
/// [`io::ErrorKind::InvalidData`] error that carries a [`Mismatch`] when they differ; a caller that reads to the end
/// without error has read exactly what the digest names. Bytes before the end are not yet believed.
pub struct VerifiedReader<R> {
    inner: R,
    want: Digest,
    size: u64,
    seen: u64,
    digester: Option<Digester>,
}

impl<R: Read> VerifiedReader<R> {
    /// Expects `size` bytes that hash to `digest`.
    pub fn new(inner: R, digest: Digest, size: u64) -> Self {
        Self { inner, want: digest, size, seen: 0, digester: Some(Digester::new()) }
    }

    /// Reads and checks everything without keeping it.
    ///
    /// # Errors
    /// A read error, or a mismatch.
    pub fn drain(mut self) -> io::Result<()> {
        let mut buffer = vec![0; 256 << 10];
        while self.read(&mut buffer)? > 0 {}
        Ok(())
    }

    fn check_end(&mut self) -> Result<(), Mismatch> {
        if self.seen != self.size {
            return Err(Mismatch::Size { digest: self.want, got: self.seen, want: self.size });
        }
        match self.digester.take().map(Digester::finish) {
            Some(got) if got != self.want => Err(Mismatch::Digest { got, want: self.want }),
            _ => Ok(()),
        }
    }
}

impl<R: Read> Read for VerifiedReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let count = self.inner.read(buffer)?;
        self.seen += count as u64;
        if let Some(digester) = &mut self.digester {
            digester.update(&buffer[..count]);
        }
        // Too long is told at once: a source that lies about its size must not be read to its end.
        if count == 0 || self.seen > self.size {
            self.check_end().map_err(|mismatch| io::Error::new(io::ErrorKind::InvalidData, mismatch))?;
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(content: &[u8], digest: Digest, size: u64) -> io::Result<Vec<u8>> {
        let mut read = Vec::new();
        VerifiedReader::new(content, digest, size).read_to_end(&mut read)?;
        Ok(read)
    }

    fn mismatch(result: io::Result<Vec<u8>>) -> Mismatch {
        result.unwrap_err().downcast().unwrap()
    }

    #[test]
    fn passes_what_agrees() {
        assert_eq!(read(b"abc", Digest::of(b"abc"), 3).unwrap(), b"abc");
        assert_eq!(read(b"", Digest::of(b""), 0).unwrap(), b"");
    }

    #[test]
    fn says_got_and_want() {
        let want = Digest::of(b"abc");
        assert_eq!(mismatch(read(b"abd", want, 3)), Mismatch::Digest { got: Digest::of(b"abd"), want });
        assert_eq!(mismatch(read(b"ab", want, 3)), Mismatch::Size { digest: want, got: 2, want: 3 });
        assert_eq!(mismatch(read(b"abcd", want, 3)), Mismatch::Size { digest: want, got: 4, want: 3 });
    }
}
