//! Moving blobs: from registries, web servers and local files to their places in the bundle, several at once.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use tokio::runtime::Handle;

use super::{FetchError, PlannedBuild, Remotes, Source};
use crate::bundle::{PartialBundle, StoredBlob, StoredPlace, TailBlob, TailError, WriteError};
use crate::download::Download;
use crate::io::{AtPath, Mismatch, Place};
use crate::oci::Digest;
use crate::progress::Progress;
use crate::registry::BlobStream;

/// How to move the blobs of a planned build.
pub struct Transfer<'a> {
    /// What to build.
    pub build: &'a PlannedBuild,
    /// Where images and files come from.
    pub remotes: Remotes<'a>,
    /// Runs the connections.
    pub runtime: Handle,
    /// Blobs moved at once, at least 1.
    pub jobs: usize,
    /// zstd's level for the tail, 1 to 19.
    pub level: i32,
    /// Told the bytes that are in their place.
    pub progress: &'a Progress,
}

/// What a finished build did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// Length of the bundle in bytes.
    pub length: u64,
    /// Blob bytes that came from registries and web servers.
    pub fetched: u64,
    /// Blob bytes that an interrupted build had left.
    pub resumed: u64,
}

impl Transfer<'_> {
    /// Builds `out`. Interrupted, it leaves `OUT.partial`, from which the next run goes on.
    ///
    /// # Errors
    /// The first failure; work under way on other blobs is ended.
    pub fn run(&self, out: &Path) -> Result<Written, FetchError> {
        let plan = &self.build.plan;
        let partial = PartialBundle::open(&Place::of(out)?, plan)?;
        let sizes = plan.stored.iter().map(|blob| blob.size).chain(plan.tail.iter().map(|blob| blob.size));
        self.progress.add_total(sizes.sum());
        let state = State::default();
        let tail = std::thread::scope(|scope| {
            for _ in 0..self.jobs.max(1) {
                scope.spawn(|| self.work(&partial, &state));
            }
            let tail = self.tail(&partial, &state);
            tail.unwrap_or_else(|error| {
                state.fail(error);
                Vec::new()
            })
        });
        if let Some(error) = state.failure.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner) {
            return Err(error);
        }
        let length = partial.commit(plan, &tail)?;
        Ok(Written { length, fetched: state.fetched.into_inner(), resumed: state.resumed.into_inner() })
    }

    /// Takes one stored blob after another, in the order of their places.
    fn work(&self, partial: &PartialBundle, state: &State) {
        while !state.failed.load(Ordering::Relaxed) {
            let next = state.next.fetch_add(1, Ordering::Relaxed);
            let Some(place) = self.build.plan.stored.get(next) else { return };
            if let Err(error) = self.stored(partial, place, state) {
                state.fail(error);
            }
        }
    }

    fn source(&self, digest: &Digest) -> &Source {
        &self.build.sources[digest]
    }

    fn stored(&self, partial: &PartialBundle, place: &StoredPlace, state: &State) -> Result<(), FetchError> {
        let source = self.source(&place.digest);
        let _in_flight = self.progress.begin(&source.label(&place.digest));
        let mut blob = partial.stored(place)?;
        let resumed = blob.position();
        state.resumed.fetch_add(resumed, Ordering::Relaxed);
        self.progress.advance(resumed);
        self.fill(&mut blob, source, place, state)?;
        if resumed > 0 && blob.finish().is_err() && !state.failed.load(Ordering::Relaxed) {
            // What the interrupted build left was damaged, by a power cut for example: once more from the start.
            blob.restart();
            self.fill(&mut blob, source, place, state)?;
        }
        blob.finish().map_err(|mismatch| source.wrong(mismatch))
    }

    fn fill(
        &self,
        blob: &mut StoredBlob,
        source: &Source,
        place: &StoredPlace,
        state: &State,
    ) -> Result<(), FetchError> {
        let mut reader = self.open(source, &place.digest, place.size, blob.position(), state)?;
        while let Some(chunk) = reader.next_chunk()? {
            blob.push(chunk).map_err(|error| source.failed_write(error))?;
            self.progress.advance(chunk.len() as u64);
            if state.failed.load(Ordering::Relaxed) {
                // Somebody else's failure is what is reported.
                return Ok(());
            }
        }
        Ok(())
    }

    fn tail(&self, partial: &PartialBundle, state: &State) -> Result<Vec<(u32, u32)>, FetchError> {
        let mut tail = partial.tail(&self.build.plan, self.level);
        while let Some(blob) = tail.next_blob()? {
            self.tail_blob(blob, state)?;
            if state.failed.load(Ordering::Relaxed) {
                break;
            }
        }
        Ok(tail.finish())
    }

    fn tail_blob(&self, mut blob: TailBlob<'_>, state: &State) -> Result<(), FetchError> {
        let source = self.source(&blob.place().digest);
        let _in_flight = self.progress.begin(&source.label(&blob.place().digest));
        let resumed = blob.position();
        state.resumed.fetch_add(resumed, Ordering::Relaxed);
        self.progress.advance(resumed);
        match self.put(&mut blob, source, state) {
            // Whole frames of what was not the blob, as a source that failed its check leaves them: from the start.
            Err(error) if resumed > 0 && error.is_mismatch() => {
                blob.restart();
                self.put(&mut blob, source, state)
            }
            result => result,
        }
    }

    fn put(&self, blob: &mut TailBlob<'_>, source: &Source, state: &State) -> Result<(), FetchError> {
        let (digest, size) = (blob.place().digest, blob.place().size);
        let mut reader = self.open(source, &digest, size, blob.position(), state)?;
        let put = blob.put(&mut reader, |bytes| self.progress.advance(bytes));
        put.map_err(|error| match error {
            TailError::Write(error) => source.failed_write(error),
            TailError::Source(error) => reader.failure.take().unwrap_or_else(|| source.failed_read(error)),
        })
    }

    fn open<'a>(
        &'a self,
        source: &'a Source,
        digest: &Digest,
        size: u64,
        offset: u64,
        state: &'a State,
    ) -> Result<SourceReader<'a>, FetchError> {
        let input = match source {
            Source::Registry(reference) => {
                let stream = self.remotes.registry.blob(reference, digest, size, offset);
                Input::Registry(Box::new(self.runtime.block_on(stream)?))
            }
            Source::Web(address) => {
                let stream = self.remotes.downloader.stream(address, Some(size), offset, None);
                Input::Web(Box::new(self.runtime.block_on(stream)?))
            }
            Source::File(path) => {
                let mut file = File::open(path).at("open", path)?;
                file.seek(SeekFrom::Start(offset)).at("read", path)?;
                Input::File(file, vec![0; 256 << 10])
            }
        };
        Ok(SourceReader { input, source, runtime: &self.runtime, state, chunk: bytes::Bytes::new(), failure: None })
    }
}

impl Source {
    /// What a person sees while the blob is under way.
    fn label(&self, digest: &Digest) -> String {
        match self {
            Self::Registry(reference) => format!("{}@{}", reference.repository(), digest.short()),
            Self::File(path) => path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            Self::Web(address) => address.to_string(),
        }
    }

    fn wrong(&self, source: Mismatch) -> FetchError {
        match self {
            Self::Registry(reference) => FetchError::WrongContent { reference: reference.clone(), source },
            Self::File(path) => FetchError::FileChanged { path: path.clone(), source },
            Self::Web(address) => FetchError::WrongDownload { address: address.clone(), source },
        }
    }

    fn failed_write(&self, error: WriteError) -> FetchError {
        match error {
            WriteError::Io(error) => error.into(),
            WriteError::Mismatch(mismatch) => self.wrong(mismatch),
        }
    }

    fn failed_read(&self, source: io::Error) -> FetchError {
        let path = match self {
            Self::File(path) => path.clone(),
            Self::Registry(reference) => reference.to_string().into(),
            Self::Web(address) => address.to_string().into(),
        };
        crate::io::PathError { action: "read", path, source }.into()
    }
}

/// What the threads share.
#[derive(Default)]
struct State {
    next: AtomicUsize,
    failed: AtomicBool,
    failure: Mutex<Option<FetchError>>,
    fetched: AtomicU64,
    resumed: AtomicU64,
}

impl State {
    fn fail(&self, error: FetchError) {
        self.failed.store(true, Ordering::Relaxed);
        self.failure.lock().unwrap_or_else(std::sync::PoisonError::into_inner).get_or_insert(error);
    }
}

enum Input {
    Registry(Box<BlobStream>),
    Web(Box<Download>),
    File(File, Vec<u8>),
}

/// A blob's bytes from wherever they come, on a thread that may wait.
struct SourceReader<'a> {
    input: Input,
    source: &'a Source,
    runtime: &'a Handle,
    state: &'a State,
    chunk: bytes::Bytes,
    /// The error behind the `io::Error` that [`Read::read`] returned.
    failure: Option<FetchError>,
}

impl SourceReader<'_> {
    /// The next bytes, or `None` at the end.
    fn next_chunk(&mut self) -> Result<Option<&[u8]>, FetchError> {
        let chunk = match &mut self.input {
            Input::Registry(stream) => self.runtime.block_on(stream.next())?,
            Input::Web(download) => self.runtime.block_on(download.next())?,
            Input::File(file, buffer) => {
                let count = file.read(buffer).map_err(|error| self.source.failed_read(error))?;
                return Ok(buffer.get(..count).filter(|bytes| !bytes.is_empty()));
            }
        };
        let Some(chunk) = chunk else { return Ok(None) };
        self.state.fetched.fetch_add(chunk.len() as u64, Ordering::Relaxed);
        self.chunk = chunk;
        Ok(Some(&self.chunk))
    }
}

impl Read for SourceReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Input::File(file, _) = &mut self.input {
            return file.read(buffer);
        }
        if self.chunk.is_empty() {
            match self.next_chunk() {
                Ok(Some(_)) => {}
                Ok(None) => return Ok(0),
                Err(error) => {
                    self.failure = Some(error);
                    return Err(io::Error::other("the server failed"));
                }
            }
        }
        let count = buffer.len().min(self.chunk.len());
        buffer[..count].copy_from_slice(&self.chunk.split_to(count));
        Ok(count)
    }
}
