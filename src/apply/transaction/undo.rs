//! A change is taken back: what was started is undone, files become what they were, what ran before runs again. What is to be as
//! before is looked at again before anybody is told so.

use std::sync::Arc;

use super::journal::{Names, Outcome, Phase, Record};
use super::{Transaction, steps, switch};
use crate::apply::attempts;
use crate::apply::claims::Claim;
use crate::apply::containerd::{ContainerdError, Session};
use crate::apply::survey::blocking;
use crate::apply::verified::Verified;
use crate::apply::{ApplyError, Interrupt, receipt};
use crate::distro::{Step, gives_objects};
use crate::io::with_causes;

impl Transaction {
    /// Takes everything back, and says what state that leaves. Which phase it goes through says what was done by then: what has not
    /// started has not changed the cluster's state, of which there may be half a copy only.
    pub(in crate::apply) async fn back(mut self, source: ApplyError, session: Option<&Session>) -> ApplyError {
        let (nothing_yet, from) = (self.phase() == Phase::Preparing, self.phase());
        let mut left = Vec::new();
        let started = matches!(from, Phase::Starting | Phase::Undoing | Phase::Recovering);
        let (first, then) =
            if started { (Phase::Undoing, Phase::Recovering) } else { (Phase::Restoring, Phase::Restarting) };
        if self.root.is_host() {
            let Record { undo, restore, again, .. } = &self.record;
            let first = if started { undo.len() + restore.len() } else { self.unsaved().len() };
            self.progress.expect_steps(first + again.len(), true);
        }
        if from != then {
            left.extend(self.journal.advance(first).err().map(|error| with_causes(&error)));
            // Where nothing had started, only what was stopped can have left something: a copy of the state that is not whole.
            let undo = match started {
                true => self.record.undo.clone(),
                false => self.unsaved(),
            };
            left.extend(self.all(&undo).await);
            left.extend(switch::back(&self.record.files, &self.record.made, &self.root));
            left.extend(self.receipt_back().err().map(|error| with_causes(&error)));
            if left.is_empty() {
                left.extend(self.journal.advance(then).err().map(|error| with_causes(&error)));
            }
        }
        // Another run could not make these what they were either, so the change ends, and a person is told. Looked at before anything
        // is started, which may write to them.
        let mut differing = Vec::new();
        // What could not be put back is tried again by the next run, and nothing starts until then.
        if self.phase() == then {
            differing = switch::differing(&self.record.files, &self.root, true);
            left.extend(self.start_again(started, matches!(from, Phase::Preparing | Phase::Naming)).await);
            if left.is_empty() && !nothing_yet {
                // Last: the containerd that has the names may be the distribution's own.
                left.extend(self.names_back(session).await);
            }
            if left.is_empty() {
                left.extend(self.remember().err().map(|error| with_causes(&error)));
            }
            if left.is_empty() {
                left.extend(self.end().err().map(|error| with_causes(&error)));
                // Only now: it is put back again where a run is killed before. What nobody has put back stays.
                if started && !self.record.restore.is_empty() && left.is_empty() {
                    left.extend(self.all(&self.unsaved()).await);
                }
            }
        }
        let stays = std::mem::take(&mut self.stays);
        left.extend(differing);
        let names = self.record.names.as_ref().map_or(0, |names| names.changes.len());
        let verified = Verified { names, ..Verified::of(&self.record.files, true) };
        let source = Box::new(source);
        match (left.is_empty(), &*source) {
            (true, ApplyError::Interrupted) if stays.is_empty() => *source,
            (true, _) if nothing_yet => *source,
            (true, _) if !stays.is_empty() => ApplyError::Stays { source, verified, stays },
            (true, _) => ApplyError::RolledBack { source, verified },
            (false, _) => ApplyError::NeedsPerson { source, left },
        }
    }

    /// What stays of a distribution that could not be installed is said, and what of it is Carrack's is written down for the next
    /// attempt: no receipt has it.
    fn remember(&mut self) -> Result<(), ApplyError> {
        if !self.record.first || !self.root.is_host() {
            return Ok(());
        }
        let left: Vec<Claim> =
            self.record.claims.iter().filter(|claim| claim.has_content(&self.root)).cloned().collect();
        for claim in &left {
            let named = |stays: &String| stays.starts_with(&claim.path);
            if !self.stays.iter().any(named) {
                let why = claim.keeps().unwrap_or_else(|| "other machines of the cluster may count on it".to_owned());
                self.stays.push(format!("{}: {why}", claim.path));
            }
        }
        let ours: Vec<Claim> = left.into_iter().filter(|claim| claim.keeps().is_none()).collect();
        attempts::leave(ours, &self.root)
    }

    /// What removes the copy of the cluster's state that was made, whole or not.
    fn unsaved(&self) -> Vec<Step> {
        self.record.stop.iter().rev().filter_map(Step::undone).collect()
    }

    /// Brings up what ran before, with the cluster's state of before where something had started. Without that state nothing is
    /// started.
    async fn start_again(&mut self, started: bool, nothing_stopped: bool) -> Vec<String> {
        if !self.root.is_host() || nothing_stopped {
            return Vec::new();
        }
        let mut left: Vec<String> =
            blocking(steps::reload).await.err().map(|error| with_causes(&error)).into_iter().collect();
        if started {
            left.extend(self.all(&self.record.restore.clone()).await);
        }
        if left.is_empty() {
            // The cluster has taken nothing new where nothing was started.
            let again = self.record.again.iter().filter(|step| started || !gives_objects(step));
            left.extend(self.all(&again.cloned().collect::<Vec<_>>()).await);
        } else if let Some(Outcome::Installed { receipt, .. }) = &self.record.result
            && let Some(saved) = &receipt.saved
        {
            left.push(format!("the cluster's state of before is in {}", saved.folder));
        }
        left
    }

    /// Takes back the receipt, where a run before this one had come so far.
    fn receipt_back(&self) -> Result<(), ApplyError> {
        match &self.record.result {
            // Where that cannot be told, it has not been written.
            Some(Outcome::Installed { file, .. })
                if !self.record.keeps_receipt && receipt::is_there(&self.root, file).unwrap_or(false) =>
            {
                receipt::remove(&self.root, std::slice::from_ref(file))
            }
            _ => Ok(()),
        }
    }

    /// Does all steps, whatever becomes of each; but nothing is removed once one has failed, since something may be mounted there
    /// still. Returns what failed.
    async fn all(&mut self, steps: &[Step]) -> Vec<String> {
        if !self.root.is_host() {
            return Vec::new();
        }
        let (root, steps, progress) = (self.root.clone(), steps.to_vec(), Arc::clone(&self.progress));
        let claims = self.record.claims.clone();
        let all = move || {
            let (mut failed, mut stays) = (Vec::new(), Vec::new());
            for step in &steps {
                if failed.is_empty() || !matches!(step, Step::Remove { .. }) {
                    let running = progress.step(step.to_string(), steps::limit_of(step));
                    match steps::run(step, &root, &claims, &Interrupt::never()) {
                        Ok(told) => {
                            stays.extend(told.stays);
                            running.done();
                        }
                        Err(error) => failed.push(with_causes(&error)),
                    }
                }
            }
            (failed, stays)
        };
        let (failed, stays) = blocking(all).await;
        self.stays.extend(stays);
        failed
    }

    /// Gives names of images back what they stood for, and looks again. Returns what failed, or differs.
    async fn names_back(&self, session: Option<&Session>) -> Vec<String> {
        let Some(names) = self.record.names.as_ref().filter(|names| !names.changes.is_empty()) else {
            return Vec::new();
        };
        let restored = match session {
            Some(session) => restore(names, session).await,
            None => match names.session().await {
                Ok(session) => {
                    let restored = restore(names, &session).await;
                    match session.end(true).await {
                        Ok(()) => restored,
                        Err(error) => restored.and(Err(error)),
                    }
                }
                Err(error) => Err(error),
            },
        };
        restored.unwrap_or_else(|error| vec![format!("names of images: {}", with_causes(&error))])
    }
}

/// Gives names back what they stood for, and returns those that do not.
async fn restore(names: &Names, session: &Session) -> Result<Vec<String>, ContainerdError> {
    session.restore_names(&names.changes).await?;
    session.differing_names(&names.changes).await
}
