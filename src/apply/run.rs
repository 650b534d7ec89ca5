//! Applying: content first, changes together, the receipt last.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use super::archive::{self, Archive};
use super::containerd::{Changed, NameUndo, Session};
use super::files::FileKind;
use super::image_folder;
use super::plan::FileAction;
use super::receipt::{self, Receipt, ReceiptArchive};
use super::record::{receipt_of, receipt_variables};
use super::staging::{self, MadeFolders, StagedArchive, StagedFile};
use super::survey::{Survey, blocking};
use super::sweep::{Sweep, Swept};
use super::targets::Inputs;
use super::{ApplyError, Interrupt};
use crate::io::with_causes;
use crate::oci::Digest;
use crate::places::OWN;
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
    /// The archive of images that was written; none where images went elsewhere or it was there already.
    pub archive: Option<ReceiptArchive>,
    /// What a person should know.
    pub warnings: Vec<String>,
}

/// Makes the host what the bundle wants. The survey is of the same inputs.
///
/// # Errors
/// See [`ApplyError`]: which of them leave the host as it was, and the one that does not.
pub async fn apply(survey: Survey, inputs: Inputs<'_>, options: &Options) -> Result<Outcome, ApplyError> {
    let root = &survey.target.root;
    for file in &survey.plan.files {
        staging::clean(&file.file.target)?;
    }
    if let Some(planned) = &survey.plan.archive {
        staging::clean(&planned.target)?;
        archive::clean(&planned.target)?;
    }
    let warnings = warnings(&survey);
    let values = receipt_variables(inputs, &survey.plan);
    let applied_before = receipt::newest(root)?.is_some_and(|(_, _, receipt)| {
        // What the plan keeps has its secrets where the receipt says, which these values would say too.
        receipt.bundle == inputs.contents.identity && receipt.variables == values
    });
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
    let result = Job { survey: &survey, inputs, options, session: session.as_ref() }.run(warnings).await;
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
    inputs: Inputs<'a>,
    options: &'a Options,
    session: Option<&'a Arc<Session>>,
}

impl Job<'_> {
    async fn run(&self, mut warnings: Vec<String>) -> Result<Outcome, ApplyError> {
        let changing = self.survey.plan.files.iter().filter(|file| file.action != FileAction::Keep);
        let (staged, mut made) = staging::stage(changing.map(|file| (&file.file, &file.found)))?;
        let archive = match self.begin_archive(&mut made) {
            Ok(archive) => archive,
            Err(error) => {
                drop(staged);
                made.remove();
                return Err(error);
            }
        };
        let (mut swept, unpacked, written) = match self.content(staged, archive.as_ref()).await {
            Ok(done) => done,
            Err(error) => {
                archive.iter().for_each(|archive| archive.discard());
                made.remove();
                return Err(self.blame(error));
            }
        };
        let receipt = receipt_of(self.survey, self.inputs, &swept, unpacked, written.as_ref(), &warnings);
        let changes = Changes { files: std::mem::take(&mut swept.files), archive: self.staged_archive(archive), made };
        let mut undo = Vec::new();
        let (receipt, named) = match self.change(changes, &receipt, &mut undo).await {
            Ok((receipt, named, warning)) => {
                warnings.extend(warning);
                (receipt, named)
            }
            Err((source, left)) => return Err(self.taken_back(source, left, undo).await),
        };
        let Swept { imported, present, .. } = swept;
        Ok(Outcome { receipt: Some(receipt), imported, present, unpacked, named, archive: written, warnings })
    }

    /// The archive that is to be written, beside its place.
    fn begin_archive(&self, made: &mut MadeFolders) -> Result<Option<Arc<Archive>>, ApplyError> {
        let planned = self.survey.plan.archive.as_ref().filter(|planned| planned.action != FileAction::Keep);
        let (Some(planned), Some(wanted)) = (planned, &self.survey.archived) else { return Ok(None) };
        made.make_for(&planned.target)?;
        Ok(Some(Arc::new(Archive::begin(planned, &wanted.images, self.inputs.source)?)))
    }

    fn staged_archive(&self, archive: Option<Arc<Archive>>) -> Option<StagedArchive> {
        let planned = self.survey.plan.archive.as_ref()?;
        let replaces = planned.action == FileAction::Replace;
        Some(StagedArchive { target: planned.target.clone(), archive: archive?, replaces })
    }

    /// Content that is as it must be or in memory, and need not be read.
    fn skip(&self, archive: Option<&Arc<Archive>>) -> BTreeSet<Digest> {
        let kept = self.survey.plan.files.iter().filter(|file| file.action == FileAction::Keep);
        let mut skip: BTreeSet<Digest> = kept.map(|file| file.file.digest).collect();
        match (archive, &self.survey.archived) {
            (Some(archive), _) => skip.extend(archive.in_memory()),
            (None, Some(kept)) => skip.extend(image_folder::blobs(&kept.images).into_keys()),
            (None, None) => {}
        }
        skip
    }

    /// Everything that leaves the host as it is: content, staged files, snapshots, an archive without its name.
    async fn content(
        &self,
        staged: Vec<StagedFile>,
        archive: Option<&Arc<Archive>>,
    ) -> Result<(Swept, usize, Option<ReceiptArchive>), ApplyError> {
        let Options { jobs, progress, interrupt } = self.options;
        let runtime = self.survey.runtime.as_ref();
        let import = self.session.zip(runtime).map(|(session, runtime)| (session.clone(), runtime.wanted.clone()));
        let filled = archive.cloned().zip(self.survey.archived.clone());
        let sweep =
            Sweep::new(self.inputs.source.clone(), import, filled, staged, self.skip(archive), Arc::clone(progress));
        let swept = sweep.run(*jobs, interrupt).await?;
        if let Some(archive) = archive {
            let (archive, interrupt) = (Arc::clone(archive), interrupt.clone());
            let written = blocking(move || archive.finish(&interrupt)).await?;
            return Ok((swept, 0, Some(written)));
        }
        let (Some(session), Some(runtime)) = (self.session, runtime) else { return Ok((swept, 0, None)) };
        let unpacked = tokio::select! {
            unpacked = session.unpack(runtime.unpacks.clone(), *jobs) => unpacked?,
            () = interrupt.wait() => return Err(ApplyError::Interrupted),
        };
        Ok((swept, unpacked, None))
    }

    /// Names everything that needs a damaged blob, host files as well as images.
    fn blame(&self, error: ApplyError) -> ApplyError {
        match error {
            ApplyError::Blob { digest, source, .. } => {
                ApplyError::Blob { digest, needed_by: self.inputs.contents.users(&digest), source }
            }
            other => other,
        }
    }

    /// Everything that changes the host. It is short, and an interrupt that comes now is seen after it. With an error come
    /// the files that could not be put back.
    async fn change(
        &self,
        changes: Changes,
        receipt: &Receipt,
        undo: &mut Vec<NameUndo>,
    ) -> Result<(PathBuf, usize, Option<String>), (ApplyError, Vec<String>)> {
        if self.options.interrupt.is_set() {
            changes.discard();
            return Err((ApplyError::Interrupted, Vec::new()));
        }
        let named = match self.name(undo).await {
            Ok(named) => named,
            Err(error) => {
                changes.discard();
                return Err((error, Vec::new()));
            }
        };
        let committed = match staging::commit(changes.files, changes.archive, changes.made) {
            Ok(committed) => committed,
            Err(error) => return Err((error.source.into(), error.left.iter().map(|left| with_causes(left)).collect())),
        };
        match receipt::write(&self.survey.target.root, receipt) {
            Ok(path) => Ok((path, named, committed.finish().err().map(|error| with_causes(&error)))),
            Err(error) => Err((error, committed.undo().iter().map(|left| with_causes(left)).collect())),
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
            left.push(with_causes(&error));
        }
        let source = Box::new(source);
        match (left.is_empty(), &*source) {
            (true, ApplyError::Interrupted) => *source,
            (true, _) => ApplyError::RolledBack(source),
            (false, _) => ApplyError::NeedsPerson { source, left },
        }
    }
}

/// What waits for its name.
struct Changes {
    files: Vec<StagedFile>,
    archive: Option<StagedArchive>,
    made: MadeFolders,
}

impl Changes {
    /// Removes all of it.
    fn discard(self) {
        drop(self.files);
        self.archive.iter().for_each(|staged| staged.archive.discard());
        self.made.remove();
    }
}

fn warnings(survey: &Survey) -> Vec<String> {
    let mut warnings = survey.plan.warnings();
    if let Some(runtime) = &survey.runtime
        && ignores_pins(&runtime.version)
    {
        warnings.push(format!(
            "containerd {} does not tell the kubelet that images are pinned; its garbage collector may remove them when \
             the disk fills",
            runtime.version
        ));
    }
    let unwatched =
        survey.plan.files.iter().any(|file| file.file.kind != FileKind::Host && file.file.path.starts_with(OWN));
    if unwatched {
        warnings.push(format!("manifests, charts and configuration are put under {OWN}; nothing applies them yet"));
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
