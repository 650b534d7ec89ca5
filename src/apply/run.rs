//! Applying: content first, changes together, the receipt last.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::FlockOperation;
use rustix::io::Errno;

use super::containerd::{Changed, NameUndo, Session};
use super::files::FileKind;
use super::image_folder::{CommittedArchive, FolderArchive, WrittenArchive};
use super::plan::FileAction;
use super::receipt::{self, Receipt};
use super::record::receipt_of;
use super::source::Source;
use super::staging::{self, MadeFolders, StagedFile};
use super::survey::Survey;
use super::sweep::{Sweep, Swept};
use super::{ApplyError, Interrupt};
use crate::bundle::Contents;
use crate::host::Root;
use crate::io::{AtPath, PathError};
use crate::progress::Progress;

/// How to apply.
#[derive(Debug)]
pub struct Options {
    /// Blobs read, and images unpacked, at once; at least 1.
    pub jobs: usize,
    /// Is told how far the pass over the bundle has come.
    pub progress: Arc<Progress>,
    /// When to stop.
    pub interrupt: Interrupt,
}

/// What was done.
#[derive(Debug)]
pub struct Outcome {
    /// The new receipt; none where nothing had to change.
    pub receipt: Option<PathBuf>,
    /// Blobs that the runtime got, and their bytes.
    pub imported: (usize, u64),
    /// Blobs that the runtime had.
    pub present: usize,
    /// Layers that were unpacked.
    pub unpacked: usize,
    /// Names that were created or changed.
    pub named: usize,
    /// The archive that was written into an image folder.
    pub archive: Option<PathBuf>,
    /// What a person should know.
    pub warnings: Vec<String>,
}

/// Makes the host what the bundle wants. The survey is of the same contents.
///
/// # Errors
/// See [`ApplyError`]: which of them leave the host as it was, and the one that does not.
pub async fn apply(
    survey: Survey,
    contents: &Contents,
    source: &Source,
    options: &Options,
) -> Result<Outcome, ApplyError> {
    let root = &survey.target.root;
    let _lock = lock(root)?;
    for file in &survey.plan.files {
        staging::clean(&file.file)?;
    }
    let warnings = warnings(&survey);
    let applied_before = receipt::newest(root)?.is_some_and(|(_, _, receipt)| receipt.bundle == contents.identity);
    if survey.plan.is_empty() && applied_before {
        return Ok(Outcome {
            receipt: None,
            imported: (0, 0),
            present: 0,
            unpacked: 0,
            named: 0,
            archive: None,
            warnings,
        });
    }
    let session = match &survey.runtime {
        Some(runtime) => Some(Arc::new(Session::begin(&runtime.client).await?)),
        None => None,
    };
    let result = Job { survey: &survey, contents, source, options, session: session.as_ref() }.run(warnings).await;
    let Some(session) = session else { return result };
    let failed = result.is_err();
    match (result, session.end(failed).await) {
        (Ok(outcome), Ok(())) => Ok(outcome),
        (Ok(mut outcome), Err(error)) => {
            outcome.warnings.push(format!("the import's lease ends by itself within a day: {error}"));
            Ok(outcome)
        }
        (Err(source), Ok(())) => Err(source),
        (Err(source), Err(release)) => Err(ApplyError::NotReleased { source: Box::new(source), release }),
    }
}

struct Job<'a> {
    survey: &'a Survey,
    contents: &'a Contents,
    source: &'a Source,
    options: &'a Options,
    session: Option<&'a Arc<Session>>,
}

/// Everything that is ready to change the host, and has not changed it.
struct Ready<'a> {
    files: Vec<StagedFile>,
    made: MadeFolders,
    archive: Option<WrittenArchive<'a>>,
}

impl Ready<'_> {
    fn discard(self) {
        drop(self.files);
        self.made.remove();
        if let Some(archive) = self.archive {
            archive.discard();
        }
    }
}

impl Job<'_> {
    async fn run(&self, mut warnings: Vec<String>) -> Result<Outcome, ApplyError> {
        let changing = self.survey.plan.files.iter().filter(|file| file.action != FileAction::Keep);
        let (staged, made) = staging::stage(changing.map(|file| (&file.file, &file.found)))?;
        let (mut swept, unpacked, archive) = match self.content(staged).await {
            Ok(done) => done,
            Err(error) => {
                made.remove();
                return Err(self.blame(error));
            }
        };
        let receipt = receipt_of(self.survey, self.contents, &swept, unpacked, &warnings);
        let ready = Ready { files: std::mem::take(&mut swept.files), made, archive };
        let mut undo = Vec::new();
        let (receipt, named) = match self.change(ready, receipt, &mut undo).await {
            Ok((receipt, named, warning)) => {
                warnings.extend(warning);
                (receipt, named)
            }
            Err((source, left)) => return Err(self.taken_back(source, left, undo).await),
        };
        let Swept { imported, present, .. } = swept;
        let archive = self.survey.archive.as_ref().filter(|archive| archive.present.is_none());
        let archive = archive.map(|archive| archive.target.clone());
        Ok(Outcome { receipt: Some(receipt), imported, present, unpacked, named, archive, warnings })
    }

    /// Everything that leaves the host as it is: content, staged files, snapshots, an archive without its name.
    async fn content(&self, staged: Vec<StagedFile>) -> Result<(Swept, usize, Option<WrittenArchive<'_>>), ApplyError> {
        let Options { jobs, progress, interrupt } = self.options;
        let (runtime, archive) = (self.survey.runtime.as_ref(), self.survey.archive.as_ref());
        let import = self.session.zip(runtime).map(|(session, runtime)| (session.clone(), runtime.wanted.clone()));
        let kept = self.survey.plan.files.iter().filter(|file| file.action == FileAction::Keep);
        let in_archive = archive.into_iter().flat_map(FolderArchive::reads).map(|(digest, _)| digest);
        let skip = kept.map(|file| file.file.digest).chain(in_archive).collect();
        let sweep = Sweep::new(self.source.clone(), import, staged, skip, Arc::clone(progress));
        let swept = sweep.run(*jobs, interrupt).await?;
        let written = match archive.filter(|archive| archive.present.is_none()) {
            Some(archive) => {
                progress.add_total(archive.reads().map(|(_, size)| size).sum());
                let write = || archive.write(self.source, progress, || interrupt.is_set());
                Some(tokio::task::block_in_place(write)?)
            }
            None => None,
        };
        let (Some(session), Some(runtime)) = (self.session, runtime) else { return Ok((swept, 0, written)) };
        let unpacked = tokio::select! {
            unpacked = session.unpack(runtime.unpacks.clone(), *jobs) => unpacked?,
            () = interrupt.wait() => return Err(ApplyError::Interrupted),
        };
        Ok((swept, unpacked, written))
    }

    /// Names everything that needs a damaged blob, host files as well as images.
    fn blame(&self, error: ApplyError) -> ApplyError {
        match error {
            ApplyError::Blob { digest, source, .. } => {
                ApplyError::Blob { digest, needed_by: self.contents.users(&digest), source }
            }
            other => other,
        }
    }

    /// Everything that changes the host. It is short, and an interrupt that comes now is seen after it. With an error come
    /// the files that could not be put back.
    async fn change(
        &self,
        ready: Ready<'_>,
        mut receipt: Receipt,
        undo: &mut Vec<NameUndo>,
    ) -> Result<(PathBuf, usize, Option<String>), (ApplyError, Vec<String>)> {
        let named = if self.options.interrupt.is_set() { Err(ApplyError::Interrupted) } else { self.name(undo).await };
        let named = match named {
            Ok(named) => named,
            Err(error) => {
                ready.discard();
                return Err((error, Vec::new()));
            }
        };
        let described_all = |left: &[PathError]| left.iter().map(described).collect::<Vec<_>>();
        let Ready { files, made, archive } = ready;
        let files = match staging::commit(files, made) {
            Ok(files) => files,
            Err(error) => {
                archive.into_iter().for_each(WrittenArchive::discard);
                return Err((error.source.into(), described_all(&error.left)));
            }
        };
        let archive = match archive.map(WrittenArchive::commit).transpose() {
            Ok(committed) => committed.map(|(record, archive)| {
                receipt.runtime = record;
                archive
            }),
            Err(error) => {
                let mut left = error.left;
                left.extend(files.undo());
                return Err((error.source.into(), described_all(&left)));
            }
        };
        match receipt::write(&self.survey.target.root, &receipt) {
            Ok(path) => {
                let forgotten = files.finish().and(archive.map_or(Ok(()), CommittedArchive::finish));
                Ok((path, named, forgotten.err().map(|error| described(&error))))
            }
            Err(error) => {
                let mut left = archive.map(CommittedArchive::undo).unwrap_or_default();
                left.extend(files.undo());
                Err((error, described_all(&left)))
            }
        }
    }

    async fn name(&self, undo: &mut Vec<NameUndo>) -> Result<usize, ApplyError> {
        let (Some(session), Some(runtime)) = (self.session, &self.survey.runtime) else { return Ok(0) };
        let mut changed = 0;
        for image in &runtime.wanted.images {
            let names = session.set_names(image, undo).await?;
            changed += names.iter().filter(|(_, change)| *change != Changed::Kept).count();
        }
        Ok(changed)
    }

    /// Takes the names back, after the files were, and says what state that leaves.
    async fn taken_back(&self, source: ApplyError, mut left: Vec<String>, undo: Vec<NameUndo>) -> ApplyError {
        if let (Some(session), false) = (self.session, undo.is_empty())
            && let Err(error) = session.restore_names(undo).await
        {
            left.push(described(&error));
        }
        let source = Box::new(source);
        match (left.is_empty(), &*source) {
            (true, ApplyError::Interrupted) => *source,
            (true, _) => ApplyError::RolledBack(source),
            (false, _) => ApplyError::NeedsPerson { source, left },
        }
    }
}

fn warnings(survey: &Survey) -> Vec<String> {
    let mut warnings = Vec::new();
    if let Some(runtime) = &survey.runtime
        && ignores_pins(&runtime.version)
    {
        warnings.push(format!(
            "containerd {} does not tell the kubelet that images are pinned; its garbage collector may remove them when \
             the disk fills",
            runtime.version
        ));
    }
    if survey.plan.files.iter().any(|file| file.file.kind == FileKind::Manifest) {
        warnings
            .push(format!("Kubernetes manifests are put under {}; nothing applies them yet", super::files::MANIFESTS));
    }
    warnings
}

/// Pinned images came with containerd 1.7.
fn ignores_pins(version: &str) -> bool {
    let mut numbers = version.trim_start_matches('v').split(['.', '-', '~', '+']).map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor) < (1, 7),
        _ => false,
    }
}

/// An error and its causes in a line.
fn described(error: &(impl std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}

/// Keeps two installers out of one root. Locking the folder itself leaves no file behind.
fn lock(root: &Root) -> Result<File, ApplyError> {
    let folder: &Path = root.folder();
    let handle = File::open(folder).at("open", folder)?;
    match rustix::fs::flock(&handle, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(handle),
        Err(Errno::WOULDBLOCK) => Err(ApplyError::Busy(folder.to_owned())),
        Err(error) => Err(error).at("lock", folder)?,
    }
}
