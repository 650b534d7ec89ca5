//! One blob on its way out of the bundle: read once, and handed to all that want it.

use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::{Bytes, BytesMut};

use super::source::BlobReader;
use super::staging::Writer;
use crate::io::PathError;
use crate::progress::Progress;

/// How much is read, hashed and sent at once. Far below containerd's limit of 16 MiB for a message.
const CHUNK: usize = 1 << 20;

/// Why a pass over one blob ended early.
#[derive(Debug)]
pub(super) enum PassError {
    Read(io::Error),
    Write(PathError),
    /// Somebody else failed, and the whole pass is given up.
    Stopped,
}

impl From<PathError> for PassError {
    fn from(error: PathError) -> Self {
        Self::Write(error)
    }
}

/// A blob being read. Every chunk goes into the file that wants it before it is returned.
pub(super) struct Feed<'a> {
    reader: BlobReader,
    /// How much is read at once.
    chunk: usize,
    file: Option<&'a mut Writer>,
    progress: &'a Progress,
    stop: &'a AtomicBool,
    rest: Bytes,
    /// What is behind the error that [`Read::read`] returned.
    pub(super) failure: Option<PassError>,
}

impl<'a> Feed<'a> {
    pub(super) fn new(
        reader: BlobReader,
        size: u64,
        file: Option<&'a mut Writer>,
        progress: &'a Progress,
        stop: &'a AtomicBool,
    ) -> Self {
        // A byte more than the blob has, so that its end is seen with its last chunk.
        let chunk = usize::try_from(size).unwrap_or(CHUNK).saturating_add(1).min(CHUNK);
        Self { reader, chunk, file, progress, stop, rest: Bytes::new(), failure: None }
    }

    /// The next bytes; none at the end.
    pub(super) fn next(&mut self) -> Result<Bytes, PassError> {
        let chunk = read_chunk(&mut self.reader, self.chunk).map_err(PassError::Read)?;
        if self.stop.load(Ordering::Relaxed) {
            return Err(PassError::Stopped);
        }
        if let Some(file) = &mut self.file {
            file.push(&chunk)?;
        }
        self.progress.advance(chunk.len() as u64);
        Ok(chunk)
    }
}

impl Read for Feed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.rest.is_empty() {
            self.rest = self.next().map_err(|error| {
                self.failure = Some(error);
                io::Error::other("the pass over the blob ended early")
            })?;
        }
        let count = buffer.len().min(self.rest.len());
        buffer[..count].copy_from_slice(&self.rest.split_to(count));
        Ok(count)
    }
}

/// Fills a chunk as far as there is something to read, and sees the end, so that the check has happened before the last
/// chunk is handed on where it fits in one.
fn read_chunk(reader: &mut BlobReader, size: usize) -> io::Result<Bytes> {
    let mut chunk = BytesMut::zeroed(size);
    let mut filled = 0;
    while filled < size {
        match reader.read(&mut chunk[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    chunk.truncate(filled);
    Ok(chunk.freeze())
}
