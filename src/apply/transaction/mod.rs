//! One change of the host, from the moment when all its content is there: names, files, units, receipt; or everything back.
//!
//! ```text
//! preparing ─► naming ─► stopping ─► changing ─► starting ─► (receipt) ─► done
//!                 ╰──────────┴──────────┴────────────┴─► restoring ─► restarting ─► as before
//! ```
//!
//! The journal says at any time in which phase the host is and all that is needed to go on, so that a run that was killed is
//! taken up where it was, without the bundle. It must not know bundles, nor how what is to change was found out.

mod guard;
mod journal;
mod kept;
mod steps;
mod switch;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::path::PathBuf;

pub use self::journal::Invocation;
use self::journal::Journal;
pub use self::steps::StepError;
pub(super) use self::{
    journal::{Change, Names, Outcome, Phase, Record, Staged},
    kept::Kept,
    steps::{has_systemd, unit_is},
    switch::{backup_of, clean},
};

use super::containerd::Session;
use super::files::Before;
use super::survey::blocking;
use super::{ApplyError, Interrupt, receipt};
use crate::distro::Step;
use crate::host::Root;
use crate::io::with_causes;
use crate::oci::Digest;

/// A change under way.
#[derive(Debug)]
pub(super) struct Transaction {
    root: Root,
    journal: Journal,
    pub(super) record: Record,
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
}

impl Transaction {
    /// Begins one: writes what is to be done, before anything is.
    ///
    /// # Errors
    /// Where the journal cannot be written.
    pub(super) fn begin(root: &Root, mut record: Record) -> Result<Self, ApplyError> {
        record.own = Journal::missing_folders(root)?;
        let guarded = is_guarded(root, &record);
        if guarded {
            // Before the journal: copying the installer takes a while, and without a journal all of it is idle.
            guard::place(root, &record.guarded)?;
        }
        let journal = Journal::begin(root, &record)?;
        if guarded && root.is_host() {
            steps::reload()?;
        }
        Ok(Self { root: root.clone(), journal, record })
    }

    /// The one that an earlier run has left.
    ///
    /// # Errors
    /// Where the journal cannot be read.
    pub(super) fn left(root: &Root) -> Result<Option<Self>, ApplyError> {
        let left = Journal::left(root)?;
        Ok(left.map(|(journal, record)| Self { root: root.clone(), journal, record }))
    }

    /// How far it has come.
    pub(super) fn phase(&self) -> Phase {
        self.journal.phase()
    }

    /// Gives it up before anything has changed: removes what was staged.
    pub(super) fn discard(self) -> Vec<String> {
        let mut left = switch::unstage(&self.record.files, &self.record.made, &self.root);
        left.extend(self.end().err().map(|error| with_causes(&error)));
        left
    }

    fn end(&self) -> Result<(), ApplyError> {
        // The drop-ins first: while the journal is there, somebody comes back for them.
        guard::remove(&self.root, &self.record.guarded)?;
        // Where that cannot be told, the installer stays.
        if receipt::is_none_left(&self.root).unwrap_or(false) {
            guard::remove_installer(&self.root)?;
        }
        self.journal.end()?;
        switch::remove_empty(self.record.emptied.iter(), &self.root);
        switch::remove_empty(self.record.own.iter().rev(), &self.root);
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
        if matches!(self.phase(), Phase::Restoring | Phase::Restarting) {
            let source = ApplyError::Unfinished(self.record.what.clone());
            return Err(self.back(source, true, session).await);
        }
        match self.forward(session, interrupt).await {
            Ok(Some(receipt)) => {
                let warnings = self.let_go(session).await;
                Ok(Done { receipt, warnings, deferred: false })
            }
            Ok(None) => Ok(Done { receipt: None, warnings: Vec::new(), deferred: true }),
            Err(source) => {
                let touched = matches!(self.phase(), Phase::Stopping | Phase::Starting);
                Err(self.back(source, touched, session).await)
            }
        }
    }

    /// Takes everything back for a reason that was found before going on.
    pub(super) async fn take_back(self, source: ApplyError, session: Option<&Session>) -> ApplyError {
        self.back(source, false, session).await
    }

    /// The receipt where everything is done; nothing where the rest has to wait.
    async fn forward(
        &mut self,
        session: Option<&Session>,
        interrupt: &Interrupt,
    ) -> Result<Option<Option<PathBuf>>, ApplyError> {
        if self.phase() == Phase::Preparing {
            if interrupt.is_set() {
                return Err(ApplyError::Interrupted);
            }
            self.journal.write(&self.record)?;
            self.journal.advance(Phase::Naming)?;
        }
        if self.phase() == Phase::Naming {
            self.name(session).await?;
            self.journal.advance(Phase::Stopping)?;
        }
        if self.phase() == Phase::Stopping {
            self.steps(self.record.stop.clone(), interrupt).await?;
            self.journal.advance(Phase::Changing)?;
        }
        if self.phase() == Phase::Changing {
            switch::forward(&self.record.files, &self.root)?;
            self.journal.advance(Phase::Starting)?;
        }
        if !self.root.is_host() && !self.record.start.is_empty() {
            return Ok(None);
        }
        if self.root.is_host() && !self.record.start.is_empty() {
            blocking(steps::reload).await?;
        }
        self.steps(self.record.start.clone(), interrupt).await?;
        match &self.record.result {
            Some(Outcome::Installed { file, receipt, .. }) => {
                Ok(Some(Some(receipt::write_as(&self.root, file, receipt)?)))
            }
            Some(Outcome::Removed { .. }) | None => Ok(Some(None)),
        }
    }

    async fn steps(&self, steps: Vec<Step>, interrupt: &Interrupt) -> Result<(), ApplyError> {
        let (root, interrupt) = (self.root.clone(), interrupt.clone());
        let done = blocking(move || steps.iter().try_for_each(|step| steps::run(step, &root, &interrupt))).await;
        done.map_err(|error| match error {
            StepError::Interrupted => ApplyError::Interrupted,
            other => other.into(),
        })
    }

    async fn name(&self, session: Option<&Session>) -> Result<(), ApplyError> {
        let (Some(session), Some(names)) = (session, &self.record.names) else { return Ok(()) };
        for change in &names.changes {
            session.change_name(change).await?;
        }
        Ok(())
    }

    /// Takes everything back, and says what state that leaves. `touched` says that steps have been done.
    async fn back(mut self, source: ApplyError, touched: bool, session: Option<&Session>) -> ApplyError {
        let nothing_yet = self.phase() == Phase::Preparing;
        let mut left = Vec::new();
        if matches!(self.phase(), Phase::Preparing | Phase::Naming | Phase::Stopping | Phase::Changing) {
            // What has not started has not changed the cluster's state, of which there may be half a copy only.
            self.record.restore.clear();
            self.record.undo.clear();
            left.extend(self.journal.write(&self.record).err().map(|error| with_causes(&error)));
        }
        if self.phase() != Phase::Restarting {
            left.extend(self.journal.advance(Phase::Restoring).err().map(|error| with_causes(&error)));
            if touched {
                left.extend(self.all(self.record.undo.clone()).await);
            }
            left.extend(switch::back(&self.record.files, &self.record.made, &self.root));
            left.extend(self.name_back(session).await);
        }
        if left.is_empty() {
            left.extend(self.journal.advance(Phase::Restarting).err().map(|error| with_causes(&error)));
        }
        if self.root.is_host() && touched {
            left.extend(blocking(steps::reload).await.err().map(|error| with_causes(&error)));
            left.extend(self.all(self.record.restore.clone()).await);
            left.extend(self.all(self.record.again.clone()).await);
        }
        // What could not be put back is tried again by the next run; what does not start again needs somebody.
        if left.is_empty() || self.phase() == Phase::Restarting {
            left.extend(self.end().err().map(|error| with_causes(&error)));
        }
        let source = Box::new(source);
        match (left.is_empty(), &*source) {
            (true, ApplyError::Interrupted) => *source,
            (true, _) if nothing_yet => *source,
            (true, _) => ApplyError::RolledBack(source),
            (false, _) => ApplyError::NeedsPerson { source, left },
        }
    }

    /// Does all steps, whatever becomes of each. Returns what failed.
    async fn all(&self, steps: Vec<Step>) -> Vec<String> {
        let root = self.root.clone();
        let failed = move || {
            let run = |step: &Step| steps::run(step, &root, &Interrupt::never()).err();
            steps.iter().filter_map(run).map(|error| with_causes(&error)).collect()
        };
        blocking(failed).await
    }

    async fn name_back(&self, session: Option<&Session>) -> Option<String> {
        let names = self.record.names.as_ref().filter(|names| !names.changes.is_empty())?;
        let Some(session) = session else {
            return Some("the names of images, since containerd does not answer".into());
        };
        session.restore_names(&names.changes).await.err().map(|error| with_causes(&error))
    }

    /// Everything works: lets go of what is not needed any more. What fails here is a warning, and is tried again by the next
    /// run.
    async fn let_go(self, session: Option<&Session>) -> Vec<String> {
        let mut warnings = Vec::new();
        let mut note = |result: Result<(), ApplyError>| warnings.extend(result.err().map(|error| with_causes(&error)));
        if let (Some(session), Some(names)) = (session, &self.record.names) {
            for change in &names.released {
                note(session.change_name(change).await.map(drop).map_err(ApplyError::from));
            }
        }
        note(self.keep());
        if let Some(Outcome::Removed { receipts, .. }) = &self.record.result {
            note(receipt::remove(&self.root, receipts));
        }
        for path in &self.record.discarded {
            let removed = self.root.resolve(path).map(|path| steps::remove(&path));
            note(removed.map_or_else(|_| Ok(()), |removed| removed.map_err(ApplyError::from)));
        }
        note(self.end());
        warnings
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
        Ok(kept.prune(&needed)?)
    }
}

/// The host goes on by itself where systemd starts it; a system that is prepared needs it only for its first start.
fn is_guarded(root: &Root, record: &Record) -> bool {
    if root.is_host() { has_systemd() } else { !record.start.is_empty() }
}
