//! Going the way back that was found.

use std::io::{Cursor, Read};
use std::sync::Arc;

use super::{From, Goal, Restored, Revert};
use crate::apply::by_hand::{Aside, ByHand};
use crate::apply::conflicts;
use crate::apply::files::Before;
use crate::apply::plan::Removal;
use crate::apply::staging::{self, missing_folders};
use crate::apply::transaction::{Change, Kept, Transaction};
use crate::apply::{ApplyError, Interrupt, RootLock};
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
        let lost = self.lost.iter().map(lost).chain(self.overwritten.iter().map(overwritten));
        let lost = lost.chain(self.kept.iter().cloned());
        self.by_hand.iter().flat_map(ByHand::warnings).chain(lost).chain(unreached).collect()
    }

    /// Goes this way, and tells `progress` how far it has come. Returns what a person should know.
    ///
    /// # Errors
    /// As [`crate::apply::apply`].
    pub async fn go(self, interrupt: &Interrupt, progress: &Arc<Progress>) -> Result<Vec<String>, ApplyError> {
        let Self { restored, removed, asides, mut record, root, lock, .. } = self;
        let lock = match lock {
            Some(lock) => lock,
            None => RootLock::take(&root)?,
        };
        let targets = restored.iter().map(|one| (&one.path, &one.target));
        let targets =
            targets.chain(removed.iter().filter(|one| one.original.is_some()).map(|one| (&one.path, &one.target)));
        let targets = targets.chain(asides.iter().map(|one| (&one.path, &one.target)));
        let targets: Vec<_> = targets.map(|(path, target)| (path.as_str(), target)).collect();
        let needed = targets.iter().map(|(path, target)| Ok((*path, conflicts::beside(target)?)));
        conflicts::names_are_free(needed.collect::<Result<Vec<_>, PathError>>()?, &root)?;
        for (path, target) in targets {
            record.files.push(Change::expected(path, target)?);
            record.made.extend(missing_folders(target));
        }
        let mut transaction = Transaction::begin(&root, record)?.watched_by(progress);
        match stage(&restored, &removed, &asides, &root) {
            Ok(changes) => transaction.record.files = changes,
            Err(error) => return Err(transaction.given_up(error)),
        }
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
        let mut warnings = done?.warnings;
        warnings.extend(released.err().map(|error| format!("containerd keeps a lease for a day: {error}")));
        drop(lock);
        Ok(warnings)
    }
}

fn stage(restored: &[Restored], removed: &[Removal], asides: &[Aside], root: &Root) -> Result<Vec<Change>, ApplyError> {
    let mut changes = Vec::new();
    for Restored { path, target, was, from } in restored {
        let content: Box<dyn Read> = match from {
            From::File(from) => Box::new(from.open()?),
            From::Joined(bytes) => Box::new(Cursor::new(bytes)),
        };
        let staged = Some(staging::stage_again(target, was, Some(content))?);
        changes.push(Change { path: path.clone(), staged, before: Before::at(target)? });
    }
    let kept = Kept::of(root)?;
    for removal in removed {
        changes.push(staging::removal(removal, &kept)?);
    }
    for aside in asides {
        changes.push(aside.stage()?);
    }
    Ok(changes)
}
