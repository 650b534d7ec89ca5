//! One change of the host, from the moment when all its content is there: names, files, units, receipt; or everything back.
//!
//! ```text
//! preparing ─► naming ─► stopping ─► changing ─► starting ─► (receipt) ─► finishing ─► done
//!                 ╰──────────┴──────────┤            ╰─► undoing ─► recovering ─► as before
//!                                       ╰─► restoring ─► restarting ─► as before
//! ```
//!
//! What takes a cluster away passes `removing` between `stopping` and `changing`, and goes only forward from there.
//!
//! The journal says at any time in which phase the host is and all that is needed to go on, so that a run that was killed is
//! taken up where it was, without the bundle. It must not know bundles, nor how what is to change was found out.

mod guard;
mod journal;
mod kept;
mod originals;
mod steps;
mod switch;
#[cfg(test)]
mod tests;
mod undo;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

pub use self::journal::Invocation;
use self::journal::{JOURNAL, Journal};
use self::steps::Told;
pub use self::steps::{StepError, UnitLog};
pub(super) use self::{
    journal::{Change, Names, Outcome, Phase, Record, Staged},
    kept::Kept,
    originals::Originals,
    steps::{has_systemd, unit_is},
    switch::backup_of,
};

use super::containerd::{ContainerdError, Session};
use super::files::Before;
use super::receipt::Receipt;
use super::survey::blocking;
use super::verified::Verified;
use super::{ApplyError, Interrupt, lock, receipt};
use super::{attempts, claims};
use crate::distro::{FOREIGN, Step};
use crate::host::Root;
use crate::io::with_causes;
use crate::oci::Digest;
use crate::places::OWN;
use crate::progress::{Progress, Stage};

/// A change under way.
#[derive(Debug)]
pub(super) struct Transaction {
    root: Root,
    journal: Journal,
    pub(super) record: Record,
    /// Is told how far it has come.
    progress: Arc<Progress>,
    /// What stays of what should have been removed, for people.
    stays: Vec<String>,
    /// What else a person should know once it is done.
    warnings: Vec<String>,
}

/// What a change has come to.
#[derive(Debug)]
pub(super) struct Done {
    /// The receipt; none where something was removed, or the host has yet to start.
    pub(super) receipt: Option<PathBuf>,
    /// What a person should know.
    pub(super) warnings: Vec<String>,
    /// Whether the rest is done when the prepared system starts for the first time.
    pub(super) deferred: bool,
    /// Whether nothing is left to do; otherwise the journal stays, and the next run tries again.
    pub(super) finished: bool,
    /// What came back, and was compared with what it had been.
    pub(super) verified: Verified,
}

impl Transaction {
    /// Begins one: writes what is to be done, before anything is. One that was begun before and had changed nothing is replaced.
    ///
    /// # Errors
    /// Where the journal cannot be written, or another one is not finished.
    pub(super) fn begin(root: &Root, mut record: Record) -> Result<Self, ApplyError> {
        record.own = Journal::missing_folders(root)?;
        // They are there by now, and are this change's nevertheless.
        record.own.extend(lock::made_folders(root)?);
        record.own.sort_unstable();
        record.own.dedup();
        if let Some((journal, left)) = Journal::left(root)? {
            if journal.phase() != Phase::Preparing {
                return Err(ApplyError::NotFinished(left.what));
            }
            // What the earlier one made is this one's to remove, and what it staged is nobody's any more.
            let staged = switch::unstage(&left.files, &[], root);
            if !staged.is_empty() {
                return Err(ApplyError::NeedsPerson {
                    source: Box::new(ApplyError::NotFinished(left.what)),
                    left: staged,
                });
            }
            record.own.splice(0..0, left.own);
            record.made.splice(0..0, left.made);
            claims::inherit(&mut record.claims, left.claims);
            record.guarded.extend(left.guarded);
        }
        let guarded = is_guarded(root, &record);
        if guarded {
            // Those that a failed power has left are this one's to remove.
            record.guarded.extend(guard::guarded(root)?);
            record.guarded.sort_unstable();
            record.guarded.dedup();
            // Before the journal: copying the installer takes a while, and without a journal all of it does nothing.
            guard::place(root, &record.guarded)?;
        }
        let journal = Journal::begin(root, &record)?;
        let transaction = Self {
            root: root.clone(),
            journal,
            record,
            progress: Arc::default(),
            stays: Vec::new(),
            warnings: Vec::new(),
        };
        if guarded
            && root.is_host()
            && let Err(error) = steps::reload()
        {
            return Err(transaction.given_up(error.into()));
        }
        Ok(transaction)
    }

    /// Takes away what guards a change, where there is no change and a failed power has left its guard.
    ///
    /// # Errors
    /// Where something cannot be removed.
    pub(super) fn tidy(root: &Root) -> Result<(), ApplyError> {
        if Journal::left(root)?.is_some() || !guard::is_there(root)? {
            return Ok(());
        }
        guard::remove(root, &guard::guarded(root)?)?;
        if receipt::is_none_left(root)? {
            guard::remove_installer(root)?;
        }
        switch::remove_empty([JOURNAL.to_owned(), OWN.to_owned()].iter(), root);
        if root.is_host() {
            steps::reload()?;
        }
        Ok(())
    }

    /// The one that an earlier run has left.
    ///
    /// # Errors
    /// Where the journal cannot be read.
    pub(super) fn left(root: &Root) -> Result<Option<Self>, ApplyError> {
        let left = Journal::left(root)?;
        Ok(left.map(|(journal, record)| Self {
            root: root.clone(),
            journal,
            record,
            progress: Arc::default(),
            stays: Vec::new(),
            warnings: Vec::new(),
        }))
    }

    /// The same, which tells `progress` how far it has come.
    pub(super) fn watched_by(self, progress: &Arc<Progress>) -> Self {
        Self { progress: Arc::clone(progress), ..self }
    }

    /// How far it has come.
    pub(super) fn phase(&self) -> Phase {
        self.journal.phase()
    }

    /// Whether the rest is done when a system that was prepared starts for the first time. What has nothing to start does not
    /// wait: it was killed, and goes on.
    pub(super) fn waits_for_start(&self) -> bool {
        self.phase() == Phase::Starting && !self.root.is_host() && !self.record.start.is_empty()
    }

    /// Puts what goes on with it there again.
    ///
    /// # Errors
    /// Where something cannot be written.
    pub(super) fn guard(&self) -> Result<(), ApplyError> {
        guard::place(&self.root, &self.record.guarded)
    }

    /// Gives it up before anything has changed: removes what was staged.
    pub(super) fn discard(self) -> Vec<String> {
        let mut left = switch::unstage(&self.record.files, &self.record.made, &self.root);
        left.extend(self.end().err().map(|error| with_causes(&error)));
        left
    }

    /// Gives it up for `source`, and says what state that leaves.
    pub(super) fn given_up(self, source: ApplyError) -> ApplyError {
        match self.discard() {
            left if left.is_empty() => source,
            left => ApplyError::NeedsPerson { source: Box::new(source), left },
        }
    }

    /// Removes what was staged, and stays: it is begun again.
    pub(super) fn clear(&self) -> Vec<String> {
        switch::unstage(&self.record.files, &[], &self.root)
    }

    /// Ends it. The drop-ins go before the journal, and the unit that goes on after it, which takes itself away without one.
    fn end(&self) -> Result<(), ApplyError> {
        guard::release(&self.root, &self.record.guarded)?;
        // Before the journal, which says that they are ours; those that it is in go after it.
        switch::remove_empty(self.record.emptied.iter(), &self.root);
        self.journal.end()?;
        guard::remove(&self.root, &self.record.guarded)?;
        // Where that cannot be told, the installer stays.
        if receipt::is_none_left(&self.root).unwrap_or(false) {
            guard::remove_installer(&self.root)?;
        }
        switch::remove_empty(self.record.emptied.iter(), &self.root);
        switch::remove_empty(self.record.own.iter().rev(), &self.root);
        lock::remove_after(self.record.emptied.iter().chain(&self.record.own), &self.root)?;
        if is_guarded(&self.root, &self.record) && self.root.is_host() {
            steps::reload()?;
        }
        Ok(())
    }

    /// Carries it out, from the phase that it is in. Content is there, under the lease of `session`.
    ///
    /// # Errors
    /// What failed, once everything is back: [`ApplyError::RolledBack`], [`ApplyError::NeedsPerson`] or
    /// [`ApplyError::Interrupted`].
    pub(super) async fn carry_out(
        mut self,
        session: Option<&Session>,
        interrupt: &Interrupt,
    ) -> Result<Done, ApplyError> {
        match self.phase() {
            Phase::Restoring | Phase::Restarting | Phase::Undoing | Phase::Recovering => {
                let source = ApplyError::Unfinished(self.record.what.clone());
                return Err(self.back(source, session).await);
            }
            Phase::Finishing => return Ok(self.finished(None, session).await),
            _ => {}
        }
        match self.forward(session, interrupt).await {
            Ok(Some(receipt)) => Ok(self.finished(receipt, session).await),
            Ok(None) => {
                let verified = Verified::of(&self.record.files, false);
                Ok(Done { receipt: None, warnings: Vec::new(), deferred: true, finished: true, verified })
            }
            Err(source) if self.has_removed() => Err(ApplyError::NeedsPerson {
                source: Box::new(source),
                left: vec!["what was removed does not come back, and the rest is still to be done".to_owned()],
            }),
            Err(source) => Err(self.back(source, session).await),
        }
    }

    /// Whether something is gone for good, so that the only way is forward.
    fn has_removed(&self) -> bool {
        !self.record.remove.is_empty() && matches!(self.phase(), Phase::Removing | Phase::Changing | Phase::Starting)
    }

    /// It is done: what is not needed any more goes.
    async fn finished(mut self, receipt: Option<PathBuf>, session: Option<&Session>) -> Done {
        let verified = Verified::of(&self.record.files, false);
        // Before that is durable, nothing of the way back goes.
        let (stays, seen) = (std::mem::take(&mut self.stays), std::mem::take(&mut self.warnings));
        let (mut warnings, finished) = match self.journal.advance(Phase::Finishing) {
            Ok(()) => self.let_go(session).await,
            Err(error) => (vec![with_causes(&error)], false),
        };
        warnings.extend(stays.into_iter().chain(seen));
        if !finished {
            warnings.push("what is left to do is tried again by the next run: carrack-install resume".to_owned());
        }
        Done { receipt, warnings, deferred: false, finished, verified }
    }

    /// The receipt where everything is done; nothing where the rest has to wait.
    async fn forward(
        &mut self,
        session: Option<&Session>,
        interrupt: &Interrupt,
    ) -> Result<Option<Option<PathBuf>>, ApplyError> {
        if self.root.is_host() {
            let Record { stop, remove, start, .. } = &self.record;
            let before = match self.phase() {
                Phase::Preparing | Phase::Naming | Phase::Stopping => stop.len() + remove.len(),
                Phase::Removing => remove.len(),
                _ => 0,
            };
            self.progress.expect_steps(before + start.len(), false);
        }
        if self.phase() == Phase::Preparing {
            if interrupt.is_set() {
                return Err(ApplyError::Interrupted);
            }
            if let Some(Outcome::Installed { file, .. }) = &self.record.result {
                self.record.keeps_receipt = receipt::is_there(&self.root, file)?;
            }
            self.journal.write(&self.record)?;
            self.journal.advance(Phase::Naming)?;
        }
        if self.phase() == Phase::Naming {
            self.name(session).await?;
            self.journal.advance(Phase::Stopping)?;
        }
        if self.phase() == Phase::Stopping {
            // Steps are for the system that runs, which another root is not.
            if self.root.is_host() {
                self.steps(self.record.stop.clone(), interrupt).await?;
            }
            let removes = !self.record.remove.is_empty();
            self.journal.advance(if removes { Phase::Removing } else { Phase::Changing })?;
        }
        // Stopping halfway would help nobody.
        let interrupt = &if self.has_removed() { Interrupt::never() } else { interrupt.clone() };
        if self.phase() == Phase::Removing {
            if self.root.is_host() {
                self.steps(self.record.remove.clone(), interrupt).await?;
            }
            self.journal.advance(Phase::Changing)?;
        }
        if self.phase() == Phase::Changing {
            self.progress.stage(Stage::Files, self.record.files.len() as u64);
            for change in &self.record.files {
                let _shown = self.progress.begin(&change.path);
                switch::forward(std::slice::from_ref(change), &self.root)?;
                self.progress.advance(1);
            }
            // Before anything is started, which may write to it.
            let differing = switch::differing(&self.record.files, &self.root, false);
            if !differing.is_empty() {
                return Err(ApplyError::NotAsBefore(differing));
            }
            self.record.boot = self.boot();
            self.journal.write(&self.record)?;
            self.journal.advance(Phase::Starting)?;
        }
        if self.waits_for_start() {
            return Ok(None);
        }
        if self.root.is_host() && !self.record.start.is_empty() {
            blocking(steps::reload).await?;
        }
        if self.root.is_host() {
            self.look_again()?;
        }
        self.steps(self.to_start(), interrupt).await?;
        match &self.record.result {
            Some(Outcome::Installed { file, receipt, .. }) => {
                Ok(Some(Some(receipt::write_as(&self.root, file, receipt)?)))
            }
            Some(Outcome::Removed { .. }) | None => Ok(Some(None)),
        }
    }

    /// Before a system that was prepared starts anything: what was recorded of its folders when it did not run may be removed only
    /// as far as that is still so. Written down, since what starts fills them.
    fn look_again(&mut self) -> Result<(), ApplyError> {
        let Record { claims, result, .. } = &mut self.record;
        if !claims.iter().any(|claim| claim.prepared) {
            return Ok(());
        }
        let Some(Outcome::Installed { receipt, .. }) = result else { return Ok(()) };
        let archive = receipt.archive().map(|archive| archive.path.as_str());
        claims::look_again(claims, &self.root, &|path| receipt.has_file(path) || archive == Some(path))?;
        for known in receipt.claims.iter_mut().filter(|known| known.prepared) {
            if let Some(claim) = claims.iter().find(|claim| claim.path == known.path) {
                known.clone_from(claim);
            }
        }
        let foreign = claims::whose(claims);
        for step in receipt.start.iter_mut().chain(&mut receipt.remove) {
            *step = step.with(FOREIGN, foreign);
            if let Step::Sweep { interfaces, .. } = step {
                interfaces.retain(|name| std::fs::symlink_metadata(format!("/sys/class/net/{name}")).is_err());
            }
        }
        let Record { start, undo, .. } = &mut self.record;
        start.iter_mut().chain(undo).for_each(|step| *step = step.with(FOREIGN, foreign));
        Ok(self.journal.write(&self.record)?)
    }

    /// What is done when all files are in place. Where the host has been started since, its units have read them, or are about to:
    /// stopping one in the middle of its start could be what makes it fail. They have not read what a step before them makes.
    fn to_start(&self) -> Vec<Step> {
        let mut since = self.record.boot.is_some() && self.record.boot != self.boot();
        let step = |step: &Step| {
            since &= matches!(step, Step::Start { .. } | Step::Enabled { .. } | Step::Wait { .. } | Step::Ready { .. });
            match step.clone() {
                Step::Start { unit, restart } => Step::Start { unit, restart: restart && !since },
                other => other,
            }
        };
        self.record.start.iter().map(step).collect()
    }

    /// The kernel's name for the time since the host was started; nothing where the root is not the host.
    fn boot(&self) -> Option<String> {
        let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        self.root.is_host().then(|| id.trim().to_owned())
    }

    async fn steps(&mut self, steps: Vec<Step>, interrupt: &Interrupt) -> Result<(), ApplyError> {
        let (root, interrupt, progress) = (self.root.clone(), interrupt.clone(), Arc::clone(&self.progress));
        let claims = self.record.claims.clone();
        let units = self.units();
        let all = move || {
            let mut all = Told::default();
            for step in &steps {
                let (running, since) = (progress.step(step.to_string(), steps::limit_of(step)), SystemTime::now());
                let done = steps::run(step, &root, &claims, &interrupt);
                let Told { stays, warnings } = done.map_err(|error| error.with_log(&units, since))?;
                all.stays.extend(stays);
                all.warnings.extend(warnings);
                running.done();
            }
            Ok(all)
        };
        match blocking(all).await {
            Ok(Told { stays, warnings }) => {
                self.stays.extend(stays);
                self.warnings.extend(warnings);
                Ok(())
            }
            Err(StepError::Interrupted) => Err(ApplyError::Interrupted),
            Err(other) => Err(other.into()),
        }
    }

    /// The units that this change starts, the last one first: it needs the others.
    fn units(&self) -> Vec<String> {
        let started = self.record.start.iter().rev().filter_map(|step| match step {
            Step::Start { unit, .. } | Step::Enabled { unit, enabled: true } => Some(unit),
            _ => None,
        });
        let mut units: Vec<String> = Vec::new();
        for unit in started.chain(&self.record.guarded) {
            if !units.contains(unit) {
                units.push(unit.clone());
            }
        }
        units
    }

    async fn name(&self, session: Option<&Session>) -> Result<(), ApplyError> {
        let (Some(session), Some(names)) = (session, &self.record.names) else { return Ok(()) };
        self.progress.stage(Stage::Names, names.changes.len() as u64);
        for change in &names.changes {
            let _shown = self.progress.begin(&change.name);
            session.change_name(change).await?;
            self.progress.advance(1);
        }
        Ok(())
    }

    /// Lets go of what is not needed any more, and says what a person should know, and whether nothing is left to do. What could
    /// not be kept stays where it is, and the journal with it, so that the next run tries again.
    async fn let_go(self, session: Option<&Session>) -> (Vec<String>, bool) {
        let mut warnings = Vec::new();
        if let Some(names) = self.record.names.as_ref().filter(|names| !names.released.is_empty()) {
            warnings.extend(release(names, session).await.err().map(|error| with_causes(&error)));
        }
        if let Err(error) = self.keep() {
            warnings.push(with_causes(&error));
            return (warnings, false);
        }
        let mut note = |result: Result<(), ApplyError>| warnings.extend(result.err().map(|error| with_causes(&error)));
        if let Some(Outcome::Removed { receipts, .. }) = &self.record.result {
            note(receipt::remove(&self.root, receipts));
        }
        for path in &self.record.discarded {
            note(steps::remove(path, &self.root, &[]).map(drop).map_err(ApplyError::from));
        }
        // What an earlier attempt has left of this profile is in the receipt now, or gone.
        let claims = match &self.record.result {
            Some(Outcome::Installed { receipt, .. }) => receipt.claims.as_slice(),
            Some(Outcome::Removed { .. }) | None => &[],
        };
        note(attempts::taken_over(claims, &self.root));
        let ended = self.end();
        let finished = ended.is_ok();
        note(ended);
        warnings.extend(self.folders_that_stay());
        (warnings, finished)
    }

    /// What is left of the folders that were made, where nothing is installed any more, a sentence for each. Of those that the
    /// distribution fills their own step has told.
    fn folders_that_stay(&self) -> Vec<String> {
        let Record { emptied, claims, result, .. } = &self.record;
        if !matches!(result, Some(Outcome::Removed { .. })) || !receipt::is_none_left(&self.root).unwrap_or(false) {
            return Vec::new();
        }
        let within = |path: &str, above: &str| {
            path.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let told = |path: &str| within(path, OWN) || claims.iter().any(|claim| within(path, &claim.path));
        let stays = emptied.iter().filter(|path| !told(path)).filter_map(|path| {
            let names = self.root.place(path).ok()?.names().ok()?;
            let own = |name: &&OsString| !emptied.contains(&format!("{path}/{}", name.display()));
            let first = names.iter().find(own)?;
            Some(format!("{path} was made for what is gone now, and stays, since {} is in it", first.display()))
        });
        stays.collect()
    }

    fn keep(&self) -> Result<(), ApplyError> {
        let mut needed: BTreeSet<Digest> = match &self.record.result {
            Some(Outcome::Installed { kept, .. } | Outcome::Removed { kept, .. }) => kept.iter().copied().collect(),
            None => BTreeSet::new(),
        };
        if let Some(Outcome::Installed { receipt, .. }) = &self.record.result {
            needed.extend(receipt.originals());
        }
        let kept = Kept::of(&self.root)?;
        let is_needed = |before: &Before| before.digest.is_some_and(|digest| needed.contains(&digest));
        switch::finish(&self.record.files, &self.root, &kept, is_needed)?;
        // Receipts of ten thousand images are not read for nothing.
        if kept.is_empty()? {
            return Ok(());
        }
        let known = receipt::all(&self.root)?.iter().flat_map(Receipt::contents).collect();
        Ok(kept.prune(&known, &needed)?)
    }
}

/// The host goes on by itself where systemd starts it; a system that is prepared needs it only for its first start.
fn is_guarded(root: &Root, record: &Record) -> bool {
    if root.is_host() { has_systemd() } else { !record.start.is_empty() }
}

/// Takes the names away that nothing needs.
async fn release(names: &Names, session: Option<&Session>) -> Result<(), ContainerdError> {
    let own = match session {
        Some(_) => None,
        None => Some(names.session().await?),
    };
    let Some(session) = session.or(own.as_ref()) else { return Ok(()) };
    let mut result = Ok(());
    for change in &names.released {
        result = result.and(session.change_name(change).await);
    }
    match own {
        Some(own) => result.and(own.end(false).await),
        None => result,
    }
}
