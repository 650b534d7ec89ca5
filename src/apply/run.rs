//! Applying: content first, changes together, the receipt last.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use super::adopt::adopt;
use super::archive::{self, Archive};
use super::claims::{self, Claimed};
use super::cluster;
use super::configuration;
use super::containerd::Session;
use super::files::{Before, FileKind};
use super::folders;
use super::history::Entry;
use super::image_folder;
use super::images_only;
use super::lock::RootLock;
use super::plan::{FileAction, PlannedFile};
use super::receipt::{self, Receipt, ReceiptArchive};
use super::record::{receipt_of, receipt_variables, tells_files};
use super::released;
use super::resume::waiting;
use super::runtime_config;
use super::services;
use super::site::ReceiptSite;
use super::staging::{self, StagedFile, missing_folders};
use super::states;
use super::survey::{RuntimeSurvey, Survey, TargetRuntime, blocking};
use super::sweep::{Sweep, Swept};
use super::targets::Inputs;
use super::transaction::{self, Change, Invocation, Names, Record, Transaction};
use super::{ApplyError, Interrupt};
use crate::distro::Step;
use crate::io::PathError;
use crate::oci::Digest;
use crate::places::OWN;
use crate::progress::{Progress, Stage};
use crate::site::node::Membership;

/// How to apply.
#[derive(Debug)]
pub struct Options {
    /// How it was called, for a run that goes on after this one was killed.
    pub command: Invocation,
    /// Blobs read, and images unpacked, at once; at least 1.
    pub jobs: usize,
    /// Is told how far it has come.
    pub progress: Arc<Progress>,
    /// When to stop.
    pub interrupt: Interrupt,
}

/// What was done.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The new receipt; none where nothing had to change, or the rest waits.
    pub receipt: Option<PathBuf>,
    /// Whether units wait for the first start of the system that was prepared; the receipt is written then.
    pub deferred: bool,
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
pub async fn apply(mut survey: Survey, inputs: Inputs<'_>, options: &Options) -> Result<Outcome, ApplyError> {
    if survey.lock.is_none() {
        survey.lock = Some(RootLock::take(&survey.target.root)?);
    }
    let mut warnings = warnings(&survey, inputs);
    if survey.plan.is_empty() && is_done(&survey, inputs) {
        // What an earlier run had begun has nothing left to do either.
        if let Some(left) = Transaction::left(&survey.target.root)? {
            warnings.extend(left.discard());
        }
        Transaction::tidy(&survey.target.root)?;
        if let Some(runtime) = &survey.runtime {
            let released = runtime.client.release_abandoned().await;
            warnings.extend(released.err().map(|error| format!("containerd keeps a lease for a day: {error}")));
        }
        return Ok(Outcome { warnings, ..Outcome::default() });
    }
    let transaction = begin(&survey, inputs, options)?.watched_by(&options.progress);
    let session = match &survey.runtime {
        Some(runtime) => match Session::begin(&runtime.client).await {
            Ok(session) => Some(Arc::new(session)),
            Err(error) => return Err(transaction.given_up(error.into())),
        },
        None => None,
    };
    let result = Job { survey: &survey, inputs, options, session: session.as_ref() }.run(transaction, warnings).await;
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

/// Whether the system that `survey` looked at is prepared with just these inputs, and waits for its first start. What that needs
/// is put there again: whoever makes an image may have cleaned it away.
///
/// # Errors
/// Where the journal cannot be read, or something cannot be written.
pub fn prepare_again(survey: &Survey, inputs: Inputs<'_>) -> Result<bool, ApplyError> {
    let waiting = waiting(&survey.target.root)?;
    let same = waiting.is_some_and(|receipt| survey.plan.is_in_place() && is_of(&receipt, survey, inputs));
    if same && let Some(left) = Transaction::left(&survey.target.root)? {
        left.guard()?;
    }
    Ok(same)
}

/// Whether what is asked for has been done, as a receipt says.
fn is_done(survey: &Survey, inputs: Inputs<'_>) -> bool {
    let name = &inputs.contents.profile.name;
    if survey.target.asked.images_only {
        return images_only::is_there(&survey.history, name, &inputs.contents.identity);
    }
    let installed = survey.history.of_profile(name).next();
    installed.is_some_and(|Entry { receipt, .. }| is_of(receipt, survey, inputs))
}

/// Whether a receipt is of these inputs. What the plan keeps has its secrets where the receipt says, which these values would say
/// too.
fn is_of(receipt: &Receipt, survey: &Survey, inputs: Inputs<'_>) -> bool {
    receipt.bundle == inputs.contents.identity
        && receipt.variables == receipt_variables(inputs, &survey.plan)
        && tells_files(receipt, &survey.plan)
        && receipt.choices.as_ref().is_none_or(|choices| *choices == survey.target.choices)
        && (receipt.choices.is_none() || receipt.site == ReceiptSite::of(inputs.node, &survey.plan))
}

/// Writes down what is begun.
fn begin(survey: &Survey, inputs: Inputs<'_>, options: &Options) -> Result<Transaction, ApplyError> {
    let profile = &inputs.contents.profile;
    let what = match survey.target.asked.images_only {
        true => "import the images of",
        false => "apply",
    };
    let mut record = Record::new(format!("{what} {} {}", profile.name, profile.version), options.command.clone());
    let mut made: Vec<String> = Vec::new();
    for planned in &survey.plan.files {
        if planned.action != FileAction::Keep {
            record.files.push(Change::expected(&planned.file.path, &planned.file.target)?);
            made.extend(missing_folders(&planned.file.target));
        }
    }
    for aside in &survey.asides {
        record.files.push(Change::expected(&aside.path, &aside.target)?);
        made.extend(missing_folders(&aside.target));
    }
    if let Some(planned) = &survey.plan.archive {
        let places = archive::provisional(planned)?;
        record.files.extend(places.iter().map(|place| Change::provisional(&planned.path, place)));
        made.extend(missing_folders(&planned.target));
    }
    for Claimed { claim, .. } in &survey.claims {
        if let Ok(place) = survey.target.root.place(&claim.path) {
            made.extend(missing_folders(&place));
        }
    }
    // It holds what is removed, and goes where that was all.
    made.extend(survey.absent_root(inputs.node));
    made.sort_unstable();
    made.dedup();
    record.made = made;
    record.claims = survey.claims.iter().map(|one| one.claim.clone()).collect();
    record.first = folders::is_first(&survey.claims);
    record.start = services::start(&survey.plan, &survey.setup);
    record.guarded = survey.plan.units().map(|service| service.unit.clone()).collect();
    Transaction::begin(&survey.target.root, record)
}

struct Job<'a> {
    survey: &'a Survey,
    inputs: Inputs<'a>,
    options: &'a Options,
    session: Option<&'a Arc<Session>>,
}

impl Job<'_> {
    async fn run(&self, mut transaction: Transaction, mut warnings: Vec<String>) -> Result<Outcome, ApplyError> {
        let prepared = self.prepare(&mut transaction.record, &warnings).await;
        let Prepared { swept, unpacked, written, told } = match prepared {
            Ok(prepared) => prepared,
            Err(error) => return Err(transaction.given_up(self.blame(error))),
        };
        let named = transaction.record.names.as_ref().map_or(0, |names| names.changes.len());
        let session = self.session.map(|session| &**session);
        let done = transaction.carry_out(session, &self.options.interrupt).await?;
        warnings.extend(told.into_iter().chain(done.warnings));
        let Swept { imported, present, .. } = swept;
        let (receipt, deferred) = (done.receipt, done.deferred);
        Ok(Outcome { receipt, deferred, imported, present, unpacked, named, archive: written, warnings })
    }

    /// Everything that leaves the host as it is, and then all that is to change, as a record.
    async fn prepare(&self, record: &mut Record, warnings: &[String]) -> Result<Prepared, ApplyError> {
        let archive = self.begin_archive()?;
        let (mut swept, unpacked, written) = self.content(archive.as_ref()).await?;
        record.files = self.changes(std::mem::take(&mut swept.files), archive).await?;
        record.names = self.names().await?;
        if self.survey.target.asked.images_only {
            return self.prepare_images(record, swept, unpacked, warnings);
        }
        let history = &self.survey.history;
        let name = &self.inputs.contents.profile.name;
        let saved = states::save(self.survey, self.inputs.contents, record);
        let starts_cluster = matches!(self.inputs.node.cluster, Membership::Init { .. });
        steps_of(self.survey, name, starts_cluster, record);
        let mut receipt = receipt_of(self.survey, self.inputs, &swept, unpacked, written.as_ref(), warnings);
        let told = complete(&mut receipt, self.survey, record)?;
        receipt.warnings.extend(told.iter().cloned());
        // Installed again, it has the state of before still behind it.
        let again = history.of_profile(name).next().filter(|entry| entry.receipt.bundle == receipt.bundle);
        receipt.saved = saved.or_else(|| again.and_then(|entry| entry.receipt.saved.clone()));
        receipt.state.clone_from(&self.survey.setup.save);
        let current = history.of_profile(name).next();
        record.emptied = current.map(|entry| innermost_first(&entry.receipt.folders)).unwrap_or_default();
        let chain = history.behind(name, &self.inputs.contents.identity);
        let kept = chain.iter().take(self.survey.target.keep).flat_map(|entry| entry.receipt.contents());
        let left = self.survey.plan.left_originals.iter().filter_map(|(_, original)| original.digest);
        let kept = kept.chain(receipt.changed_before()).chain(history.needed_by_others(name)).chain(left).collect();
        let file = receipt::file_name(history.next_number(), &receipt)?;
        record.result = Some(transaction::Outcome::Installed { file, receipt: Box::new(receipt), kept });
        Ok(Prepared { swept, unpacked, written, told })
    }

    /// The same of images alone. Whatever is kept for the way back of what is installed stays kept.
    fn prepare_images(
        &self,
        record: &mut Record,
        swept: Swept,
        unpacked: usize,
        warnings: &[String],
    ) -> Result<Prepared, ApplyError> {
        let (history, name) = (&self.survey.history, &self.inputs.contents.profile.name);
        let receipt = receipt_of(self.survey, self.inputs, &swept, unpacked, None, warnings);
        let mut receipt = images_only::of_images(receipt);
        receipt.folders = record.made.iter().chain(&record.own).cloned().collect();
        let present: Vec<&Receipt> =
            history.of_profile(name).take(1).chain(history.staged(name)).map(|entry| &entry.receipt).collect();
        let changes = record.names.iter().flat_map(|names| &names.changes);
        receipt.original_names = released::originals(&receipt, &present, changes);
        let kept = history.receipts().flat_map(Receipt::contents).collect();
        let file = receipt::file_name(history.next_number(), &receipt)?;
        record.result = Some(transaction::Outcome::Installed { file, receipt: Box::new(receipt), kept });
        Ok(Prepared { swept, unpacked, written: None, told: Vec::new() })
    }

    /// The archive that is to be written, beside its place.
    fn begin_archive(&self) -> Result<Option<Arc<Archive>>, ApplyError> {
        let planned = self.survey.plan.archive.as_ref().filter(|planned| planned.action != FileAction::Keep);
        let (Some(planned), Some(wanted)) = (planned, &self.survey.archived) else { return Ok(None) };
        planned.target.make_folders()?;
        Ok(Some(Arc::new(Archive::begin(planned, &wanted.images, self.inputs.source)?)))
    }

    /// Content that is as it must be, and need not be read.
    fn skip(&self, archive: Option<&Arc<Archive>>) -> BTreeSet<Digest> {
        let kept = self.survey.plan.files.iter().filter(|file| file.action == FileAction::Keep);
        let mut skip: BTreeSet<Digest> = kept.map(|file| file.file.digest).collect();
        if let (None, Some(kept)) = (archive, &self.survey.archived) {
            skip.extend(image_folder::blobs(&kept.images).into_keys());
        }
        skip
    }

    /// One pass over the bundle: content, staged files, snapshots, an archive without its name.
    async fn content(
        &self,
        archive: Option<&Arc<Archive>>,
    ) -> Result<(Swept, usize, Option<ReceiptArchive>), ApplyError> {
        let Options { jobs, progress, interrupt, .. } = self.options;
        let runtime = self.survey.runtime.as_ref();
        let import = self.session.zip(runtime).map(|(session, runtime)| (session.clone(), runtime.wanted.clone()));
        let filled = archive.cloned().zip(self.survey.archived.clone());
        let changing = self.survey.plan.files.iter().filter(|planned| planned.action != FileAction::Keep);
        let changing = changing.map(|planned| planned.file.clone());
        let (written, files): (Vec<_>, Vec<_>) = changing.partition(|file| file.content.is_some());
        let sweep =
            Sweep::new(self.inputs.source.clone(), import, filled, files, self.skip(archive), Arc::clone(progress));
        let written = blocking(move || staging::stage_written(written)).await?;
        let mut swept = sweep.run(*jobs, interrupt).await?;
        swept.files.splice(0..0, written);
        if self.session.is_some() {
            progress.stage(Stage::Sync, 0);
            // Also what a killed run has imported. containerd syncs what is in a blob, and its database, but not the folder that the blob is in.
            blocking(rustix::fs::sync).await;
        }
        if let Some(archive) = archive {
            progress.stage(Stage::Archive, 0);
            let (archive, interrupt) = (Arc::clone(archive), interrupt.clone());
            let written = blocking(move || archive.finish(&interrupt)).await?;
            return Ok((swept, 0, Some(written)));
        }
        let (Some(session), Some(runtime)) = (self.session, runtime) else { return Ok((swept, 0, None)) };
        let unpacked = tokio::select! {
            unpacked = session.unpack(runtime.unpacks.clone(), *jobs, progress) => unpacked?,
            () = interrupt.wait() => return Err(ApplyError::Interrupted),
        };
        Ok((swept, unpacked, None))
    }

    /// All files that change, in order: the bundle's, those that go, those put aside, and last the archive, because a
    /// distribution that runs may import it the moment it appears.
    async fn changes(&self, staged: Vec<StagedFile>, archive: Option<Arc<Archive>>) -> Result<Vec<Change>, ApplyError> {
        let plan = &self.survey.plan;
        let mut changes = blocking(move || {
            let change = |staged: StagedFile| {
                let (path, before) = (staged.file.path.clone(), Before::at(&staged.file.target)?);
                Ok::<_, PathError>(Change { path, before, staged: Some(staged.leave()?), restores: None })
            };
            staged.into_iter().map(change).collect::<Result<Vec<_>, _>>()
        })
        .await?;
        for removal in &plan.removals {
            changes.push(staging::removal(removal, &self.survey.target.root)?);
        }
        for aside in &self.survey.asides {
            changes.push(aside.stage()?);
        }
        if let (Some(archive), Some(planned)) = (archive, &plan.archive) {
            let (path, before) = (planned.path.clone(), Before::at(&planned.target)?);
            changes.push(Change { path, before, staged: Some(archive.leave()?), restores: None });
        }
        Ok(changes)
    }

    async fn names(&self) -> Result<Option<Names>, ApplyError> {
        let Some(RuntimeSurvey { client, wanted, .. }) = &self.survey.runtime else { return Ok(None) };
        let TargetRuntime::Containerd { address, namespace, .. } = &self.survey.target.runtime else { return Ok(None) };
        let changes = client.name_changes(&wanted.images).await?;
        let released = self.survey.plan.released.clone();
        Ok(Some(Names { address: address.clone(), namespace: namespace.clone(), changes, released }))
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
}

/// What is known once all content is there.
struct Prepared {
    swept: Swept,
    unpacked: usize,
    written: Option<ReceiptArchive>,
    /// What a person should know.
    told: Vec<String>,
}

/// What is done to units.
fn steps_of(survey: &Survey, name: &str, starts_cluster: bool, record: &mut Record) {
    let (plan, setup) = (&survey.plan, &survey.setup);
    let installed = survey.history.of_profile(name).next().map(|entry| &entry.receipt);
    record.stop.extend(plan.dropped_services.iter().map(|unit| Step::Disable { unit: unit.clone() }));
    // First: what saves the cluster's state saves that too.
    record.stop.splice(0..0, configuration::remember(setup, &survey.target.root));
    record.start = services::unload(installed, &setup.start);
    record.start.extend(services::start(plan, setup));
    // A cluster that was joined counts on its members, unless they leave it.
    let counts_on_it = !starts_cluster && !setup.leaves;
    let unmakes = !counts_on_it && folders::may_be_unmade(&survey.claims, &survey.target.root);
    let removable = |path: &str| survey.claims.iter().any(|one| one.claim.path == path && one.claim.keeps().is_none());
    record.undo = services::undo(plan, setup, &survey.target.root, unmakes.then_some(&removable));
    record.again.extend(services::again(plan, setup, installed));
}

/// What a receipt says of what was there before. Returns what a person should know.
fn complete(receipt: &mut Receipt, survey: &Survey, record: &mut Record) -> Result<Vec<String>, ApplyError> {
    let name = receipt.name.clone();
    let current = survey.history.of_profile(&name).next();
    let told = adopt(receipt, &mut record.files, &survey.history, &survey.target.root)?;
    for file in &mut receipt.files {
        let change = record.files.iter().find(|change| change.path == file.path);
        let by_hand = survey.plan.by_hand.iter().any(|one| one.path == file.path);
        let found = change.and_then(|change| change.before.as_ref()).filter(|_| by_hand);
        file.changed_before = found.and_then(|before| before.digest);
    }
    receipt.before = survey.history.behind(&name, &receipt.bundle).first().map(|entry| entry.number);
    // Those of other profiles too: whichever goes last takes them away.
    let others = survey.history.others(&name);
    let history_others = others.clone();
    let staged = survey.history.staged(&name);
    let present = current.into_iter().chain(staged);
    let known = present.clone().chain(others).flat_map(|entry| entry.receipt.folders.iter().cloned());
    let mut folders: Vec<String> = known.collect();
    folders.extend(record.made.iter().chain(&record.own).cloned());
    folders.sort();
    folders.dedup();
    receipt.folders = folders;
    receipt.start.clone_from(&survey.setup.start);
    receipt.remove.clone_from(&survey.setup.remove);
    receipt.claims.clone_from(&record.claims);
    let known = current.into_iter().chain(history_others).flat_map(|entry| entry.receipt.claims.clone());
    claims::inherit(&mut receipt.claims, known.collect());
    receipt.services = services::receipt_services(&survey.plan, current.map(|entry| &entry.receipt));
    let changes = record.names.iter().flat_map(|names| &names.changes);
    let present: Vec<&Receipt> = present.map(|entry| &entry.receipt).collect();
    receipt.original_names = released::originals(receipt, &present, changes);
    Ok(told)
}

/// Folders in the order in which they can be removed.
pub(super) fn innermost_first(folders: &[String]) -> Vec<String> {
    let mut folders = folders.to_vec();
    folders.sort_by(|a, b| b.cmp(a));
    folders
}

fn warnings(survey: &Survey, inputs: Inputs<'_>) -> Vec<String> {
    let mut warnings = survey.plan.warnings();
    if let Some(runtime) = &survey.runtime
        && runtime_config::ignores_pins(runtime.client.version())
    {
        warnings.push(format!(
            "containerd {} does not tell the kubelet that images are pinned; its garbage collector may remove them when \
             the disk fills",
            runtime.client.version()
        ));
    }
    let (_, distribution) = cluster::distribution(inputs.contents);
    let carried = inputs.contents.images.iter().any(|image| !image.is_absent());
    let left = survey.target.runtime == TargetRuntime::None && !survey.target.root.is_host();
    if distribution == "kubeadm" && carried && left {
        warnings.push(
            "the images stay in the bundle: kubeadm has no folder for them, and its first start needs them in the containerd of \
             that system; import them there before"
                .to_owned(),
        );
    }
    let unwatched = |file: &PlannedFile| file.file.kind != FileKind::Host && file.file.path.starts_with(OWN);
    if distribution == cluster::NONE && survey.plan.files.iter().any(unwatched) {
        warnings.push(format!("manifests and charts are put under {OWN}; without a distribution nothing applies them"));
    }
    warnings
}
