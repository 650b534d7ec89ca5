//! Going the way back that was found.

use std::io::Read;
use std::sync::Arc;

use super::{From, Goal, Restored, Revert};
use crate::apply::adopt::adopt;
use crate::apply::by_hand::{Aside, ByHand};
use crate::apply::conflicts;
use crate::apply::dropped;
use crate::apply::files::Before;
use crate::apply::history::History;
use crate::apply::leftovers;
use crate::apply::plan::Removal;
use crate::apply::staging::{self, missing_folders};
use crate::apply::transaction::{Change, Outcome, Record, Transaction};
use crate::apply::{ApplyError, Interrupt, RootLock, Verified};
use crate::host::Root;
use crate::io::PathError;
use crate::progress::Progress;

impl Revert {
    /// Whether there is nothing to do. A rollback and an uninstall always change the receipts, whatever has become of files.
    pub fn is_empty(&self) -> bool {
        let Self { restored, removed, names, stopped, started, .. } = self;
        let some = !restored.is_empty() || !removed.is_empty() || !names.is_empty();
        self.goal == Goal::Installed && !some && stopped.is_empty() && started.is_empty() && self.state_of.is_none()
    }

    /// What a person should know before and after.
    pub fn warnings(&self) -> Vec<String> {
        let lost = |path| format!("{path}: what was there before is not on this host any more, and is not put back");
        let unreached = self.unreached.iter().map(|why| {
            format!("images were not looked at: {why}; when it runs, put their names right: carrack-install repair")
        });
        let overwritten = |path| {
            format!("{path} was changed since it was installed, and is replaced; save what is needed of it before")
        };
        let changed = self.changed.iter().map(|(path, differ)| {
            let differ = differ.join(", ");
            format!("{path}: the file that was there before was changed while it was kept, and comes back as it is now: {differ}")
        });
        let lost = self.lost.iter().map(lost).chain(self.overwritten.iter().map(overwritten)).chain(changed);
        let lost = lost.chain(dropped::left_originals(&self.left_originals)).chain(self.kept.iter().cloned());
        self.by_hand.iter().flat_map(ByHand::warnings).chain(lost).chain(unreached).collect()
    }

    /// Goes this way, and tells `progress` how far it has come. Returns what a person should know, and what came back and was
    /// compared with what it had been.
    ///
    /// # Errors
    /// As [`crate::apply::apply`].
    pub async fn go(
        self,
        interrupt: &Interrupt,
        progress: &Arc<Progress>,
    ) -> Result<(Vec<String>, Verified), ApplyError> {
        let Self { restored, removed, asides, mut record, root, lock, .. } = self;
        let lock = match lock {
            Some(lock) => lock,
            None => RootLock::take(&root)?,
        };
        let targets = restored.iter().map(|one| (&one.path, &one.target));
        let targets =
            targets.chain(removed.iter().filter(|one| one.original.is_some()).map(|one| (&one.path, &one.target)));
        let targets = targets.chain(asides.iter().map(|one| (&one.path, &one.target)));
        let targets: Vec<_> = targets.collect();
        leftovers::clear(targets.iter().copied(), &History::of(&root)?, &root)?;
        let needed = targets.iter().map(|(path, target)| Ok((path.as_str(), conflicts::beside(target)?)));
        conflicts::names_are_free(needed.collect::<Result<Vec<_>, PathError>>()?, &root)?;
        for (path, target) in targets {
            record.files.push(Change::expected(path, target)?);
            record.made.extend(missing_folders(target));
        }
        let mut transaction = Transaction::begin(&root, record)?.watched_by(progress);
        let staged = stage(&restored, &removed, &asides, &root)
            .and_then(|changes| adopted(&mut transaction.record, changes, &root));
        let mut warnings = match staged {
            Ok(told) => told,
            Err(error) => return Err(transaction.given_up(error)),
        };
        let session = match &transaction.record.names {
            Some(names) if !names.changes.is_empty() || !names.released.is_empty() => match names.session().await {
                Ok(session) => Some(session),
                Err(error) => return Err(transaction.given_up(error.into())),
            },
            _ => None,
        };
        let done = transaction.carry_out(session.as_ref(), interrupt).await;
        let released = match session {
            Some(session) => session.end(done.is_err()).await,
            None => Ok(()),
        };
        let done = done?;
        warnings.extend(done.warnings);
        warnings.extend(released.err().map(|error| format!("containerd keeps a lease for a day: {error}")));
        drop(lock);
        Ok((warnings, done.verified))
    }
}

/// Takes up what is to change: what goes back to a version is somebody's file again where another version has none there. Returns what a
/// person should know.
fn adopted(record: &mut Record, mut changes: Vec<Change>, root: &Root) -> Result<Vec<String>, ApplyError> {
    let mut told = Vec::new();
    if let Some(Outcome::Installed { receipt, .. }) = &mut record.result {
        told = adopt(receipt, &mut changes, &History::of(root)?, root)?;
    }
    record.files = changes;
    Ok(told)
}

fn stage(restored: &[Restored], removed: &[Removal], asides: &[Aside], root: &Root) -> Result<Vec<Change>, ApplyError> {
    let mut changes = Vec::new();
    for Restored { path, target, was, from } in restored {
        let again = |content: &mut dyn Read| {
            staging::stage_again(target, was, Some(content)).map(|staged| (staged, was.clone()))
        };
        let (staged, restores) = match from {
            From::File(from) => again(&mut from.open()?)?,
            From::Joined(bytes) => again(&mut bytes.as_slice())?,
            From::Original(original) => staging::original(path, target, original, root)?,
        };
        let (staged, restores) = (Some(staged), Some(restores));
        changes.push(Change { path: path.clone(), staged, before: Before::at(target)?, restores });
    }
    for removal in removed {
        changes.push(staging::removal(removal, root)?);
    }
    for aside in asides {
        changes.push(aside.stage()?);
    }
    Ok(changes)
}
