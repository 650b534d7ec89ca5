//! One pass over a bundle, in file order: every blob is read at most once, on its way to containerd, into the files that
//! want it, into an archive of images, or nowhere but through the check.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tonic::Code;

use super::archive::{Archive, PutError};
use super::containerd::{ContainerdError, Ingest, Opened, Session, Wanted, WantedBlob};
use super::feed::{Feed, PassError};
use super::files::TargetFile;
use super::source::Source;
use super::staging::{StagedFile, Writer, stage_copy};
use super::task::joined;
use super::{ApplyError, Interrupt};
use crate::oci::Digest;
use crate::progress::Progress;

/// How long a pass that is given up waits for its tasks.
const PATIENCE: Duration = Duration::from_secs(10);

/// Everything that a pass needs; shared by its tasks.
pub(super) struct Sweep {
    source: Source,
    import: Option<(Arc<Session>, Arc<Wanted>)>,
    archive: Option<(Arc<Archive>, Arc<Wanted>)>,
    /// Files that wait for their content.
    waiting: Mutex<HashMap<Digest, Vec<TargetFile>>>,
    /// Files that have it.
    complete: Mutex<Vec<StagedFile>>,
    /// Content that is not needed from the bundle.
    skip: BTreeSet<Digest>,
    progress: Arc<Progress>,
    stop: AtomicBool,
}

/// What a pass did.
#[derive(Debug)]
pub(super) struct Swept {
    /// The files, complete.
    pub(super) files: Vec<StagedFile>,
    /// Blobs and bytes that containerd got.
    pub(super) imported: (usize, u64),
    /// Blobs that containerd had.
    pub(super) present: usize,
    /// Blobs whose labels were added to.
    pub(super) labelled: usize,
}

/// What became of one blob.
#[derive(Clone, Copy)]
enum Done {
    Imported(u64),
    Present { labelled: bool },
    Read,
}

/// Stops the threads that read, when the pass is given up.
struct StopOnDrop(Arc<Sweep>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.stop.store(true, Ordering::Relaxed);
    }
}

impl Sweep {
    pub(super) fn new(
        source: Source,
        import: Option<(Arc<Session>, Arc<Wanted>)>,
        archive: Option<(Arc<Archive>, Arc<Wanted>)>,
        files: Vec<TargetFile>,
        skip: BTreeSet<Digest>,
        progress: Arc<Progress>,
    ) -> Self {
        let mut waiting: HashMap<Digest, Vec<TargetFile>> = HashMap::new();
        for file in files {
            waiting.entry(file.digest).or_default().push(file);
        }
        let (waiting, complete) = (Mutex::new(waiting), Mutex::default());
        Self { source, import, archive, waiting, complete, skip, progress, stop: AtomicBool::new(false) }
    }

    /// Reads everything, `jobs` blobs at once. After a failure no file of it is left.
    pub(super) async fn run(self, jobs: usize, interrupt: &Interrupt) -> Result<Swept, ApplyError> {
        let sweep = Arc::new(self);
        let _stop = StopOnDrop(Arc::clone(&sweep));
        sweep.check_complete()?;
        sweep.progress.add_total(sweep.source.blobs().iter().map(|(_, size)| size).sum());
        let mut tasks = JoinSet::new();
        let mut swept = Swept { files: Vec::new(), imported: (0, 0), present: 0, labelled: 0 };
        let result = tokio::select! {
            result = sweep.start_all(jobs, &mut tasks, &mut swept) => result,
            () = interrupt.wait() => Err(ApplyError::Interrupted),
        };
        if let Err(error) = result {
            // The readers see the flag and end, and their files go with them. A containerd that answers nothing any more
            // must not keep the user waiting for ever.
            sweep.stop.store(true, Ordering::Relaxed);
            let ended = async { while tasks.join_next().await.is_some() {} };
            let _ = tokio::time::timeout(PATIENCE, ended).await;
            return Err(error);
        }
        swept.files = std::mem::take(&mut *sweep.complete.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(swept)
    }

    async fn start_all(
        self: &Arc<Self>,
        jobs: usize,
        tasks: &mut JoinSet<Result<Done, ApplyError>>,
        swept: &mut Swept,
    ) -> Result<(), ApplyError> {
        let (room, tail) = (Arc::new(Semaphore::new(jobs)), Arc::new(Semaphore::new(1)));
        for &(digest, size) in self.source.blobs() {
            // Places are given in file order, so the medium is read forward.
            let place = Arc::clone(&room).acquire_owned().await;
            let turn = match self.archive_wanting(&digest).filter(|archive| archive.wants_in_turn(&digest)) {
                Some(_) => Some(Arc::clone(&tail).acquire_owned().await),
                None => None,
            };
            while let Some(done) = tasks.try_join_next() {
                swept.count(joined(done)?);
            }
            let sweep = Arc::clone(self);
            tasks.spawn(async move {
                let _places = (place, turn);
                sweep.blob(digest, size).await
            });
        }
        while let Some(done) = tasks.join_next().await {
            swept.count(joined(done)?);
        }
        Ok(())
    }

    /// Whether the bundle has everything that is needed; trust has seen to that, so its absence is not expected.
    fn check_complete(&self) -> Result<(), ApplyError> {
        let there: BTreeSet<Digest> = self.source.blobs().iter().map(|(digest, _)| *digest).collect();
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = self.import.iter().flat_map(|(_, wanted)| wanted.blobs.keys());
        let archived = self.archive.iter().flat_map(|(archive, _)| archive.needs());
        match wanted.chain(archived).chain(waiting.keys()).find(|digest| !there.contains(digest)) {
            None => Ok(()),
            Some(digest) => {
                let source = io::Error::new(io::ErrorKind::InvalidData, "the bundle does not have it");
                Err(damaged(*digest, source))
            }
        }
    }

    async fn blob(self: Arc<Self>, digest: Digest, size: u64) -> Result<Done, ApplyError> {
        let files = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&digest).unwrap_or_default();
        let wanted = self.import.as_ref().and_then(|(session, wanted)| Some((session, wanted.blobs.get(&digest)?)));
        let Some((session, blob)) = wanted else {
            if files.is_empty() && self.skip.contains(&digest) && self.archive_wanting(&digest).is_none() {
                self.progress.advance(size);
            } else {
                self.pass((digest, size), files, None, 0).await?;
            }
            return Ok(Done::Read);
        };
        match session.open(digest, size).await? {
            Opened::Present => {
                let labelled = session.complete(digest, blob.size, &blob.labels).await?;
                if files.is_empty() {
                    self.progress.advance(size);
                } else {
                    self.pass((digest, size), files, None, 0).await?;
                }
                Ok(Done::Present { labelled })
            }
            Opened::Wanted(ingest) => self.import(session, digest, blob, *ingest, files).await,
        }
    }

    async fn import(
        self: &Arc<Self>,
        session: &Session,
        digest: Digest,
        blob: &WantedBlob,
        ingest: Ingest,
        files: Vec<TargetFile>,
    ) -> Result<Done, ApplyError> {
        let resumed = ingest.offset() > 0;
        let mut result = self.send(digest, blob, ingest, files).await;
        // What an earlier run left was not a beginning of this blob, after a power cut perhaps.
        if resumed && code(&result) == Some(Code::FailedPrecondition) {
            session.abort(digest).await?;
            result = match session.open(digest, blob.size).await? {
                Opened::Present => Ok(()),
                Opened::Wanted(ingest) => self.send(digest, blob, *ingest, Vec::new()).await,
            };
        }
        if code(&result) == Some(Code::AlreadyExists) {
            session.complete(digest, blob.size, &blob.labels).await?;
            return Ok(Done::Present { labelled: true });
        }
        result.map(|()| Done::Imported(blob.size))
    }

    async fn send(
        self: &Arc<Self>,
        digest: Digest,
        blob: &WantedBlob,
        mut ingest: Ingest,
        files: Vec<TargetFile>,
    ) -> Result<(), ApplyError> {
        let (chunks, arriving) = mpsc::channel::<Bytes>(1);
        let from = ingest.offset();
        let reading = self.pass((digest, blob.size), files, Some(chunks), from);
        let sending = async move {
            let mut arriving = arriving;
            while let Some(chunk) = arriving.recv().await {
                ingest.write(chunk).await?;
            }
            Ok::<_, ContainerdError>(ingest)
        };
        let (read, sent) = tokio::join!(reading, sending);
        // Where sending fails reading does too, for want of a listener; the first is the cause.
        let ingest = sent?;
        read?;
        Ok(ingest.commit(&blob.labels).await?)
    }

    /// Reads one blob to its end on a thread of its own, handing its bytes to all that want them.
    async fn pass(
        self: &Arc<Self>,
        (digest, size): (Digest, u64),
        files: Vec<TargetFile>,
        chunks: Option<mpsc::Sender<Bytes>>,
        from: u64,
    ) -> Result<(), ApplyError> {
        let sweep = Arc::clone(self);
        let read = tokio::task::spawn_blocking(move || {
            let _shown = sweep.progress.begin(&digest.short());
            let reader = sweep.source.open(&digest).map_err(PassError::Read)?;
            let mut files = files.into_iter();
            let mut writer = files.next().map(Writer::begin).transpose()?;
            let mut feed = Feed::new(reader, size, writer.as_mut(), &sweep.progress, &sweep.stop);
            match sweep.archive_wanting(&digest) {
                None => sweep.pump(&mut feed, chunks.as_ref(), from)?,
                Some(archive) => archive.put(&digest, &mut feed).map_err(|error| match error {
                    PutError::Read(error) => feed.failure.take().unwrap_or(PassError::Read(error)),
                    PutError::Write(error) => PassError::Write(error),
                })?,
            }
            let Some(writer) = writer else { return Ok(()) };
            // One at a time: however many files want the same content, a few descriptors do.
            let first = writer.end()?;
            for file in files {
                let copy = stage_copy(file, &first)?;
                sweep.done(copy);
            }
            sweep.done(first);
            Ok(())
        });
        match joined(read.await) {
            Ok(()) => Ok(()),
            Err(PassError::Read(source)) => Err(damaged(digest, source)),
            Err(PassError::Write(error)) => Err(error.into()),
            Err(PassError::Stopped) => Err(ApplyError::Interrupted),
        }
    }

    fn done(&self, file: StagedFile) {
        self.complete.lock().unwrap_or_else(PoisonError::into_inner).push(file);
    }

    fn pump(&self, feed: &mut Feed<'_>, chunks: Option<&mpsc::Sender<Bytes>>, from: u64) -> Result<(), PassError> {
        let mut position = 0;
        loop {
            let chunk = feed.next()?;
            if chunk.is_empty() {
                return Ok(());
            }
            let length = chunk.len() as u64;
            let new = chunk.slice(from.saturating_sub(position).min(length) as usize..);
            position += length;
            if let Some(chunks) = chunks
                && !new.is_empty()
                && chunks.blocking_send(new).is_err()
            {
                return Err(PassError::Stopped);
            }
        }
    }

    fn archive_wanting(&self, digest: &Digest) -> Option<&Archive> {
        self.archive.as_ref().map(|(archive, _)| &**archive).filter(|archive| archive.wants(digest))
    }
}

impl Swept {
    fn count(&mut self, done: Done) {
        match done {
            Done::Imported(bytes) => self.imported = (self.imported.0 + 1, self.imported.1 + bytes),
            Done::Present { labelled } => {
                self.present += 1;
                self.labelled += usize::from(labelled);
            }
            Done::Read => {}
        }
    }
}

/// Who needs the blob is added by who knows the contents.
fn damaged(digest: Digest, source: io::Error) -> ApplyError {
    ApplyError::Blob { digest, needed_by: Vec::new(), source }
}

fn code<T>(result: &Result<T, ApplyError>) -> Option<Code> {
    match result {
        Err(ApplyError::Containerd(error)) => error.code(),
        _ => None,
    }
}
