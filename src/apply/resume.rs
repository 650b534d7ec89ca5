//! Going on with what a run that was killed has left.

use std::sync::Arc;

use super::containerd::{Client, ContainerdError, Session};
use super::receipt::{Receipt, is_none_left};
use super::transaction::{Invocation, Names, Outcome, Phase, Record, Transaction};
use super::{ApplyError, Interrupt, Verified};
use crate::host::Root;
use crate::oci::Digest;
use crate::progress::Progress;

/// What was left of an earlier run.
#[derive(Debug)]
pub enum Left {
    /// Nothing.
    Nothing,
    /// A run that had changed nothing yet: it has to be begun again.
    Begun {
        /// What it was going to do.
        what: String,
        /// How it was called.
        command: Invocation,
    },
    /// A run that had begun to change the host: it has been carried out now.
    Finished {
        /// What it did.
        what: String,
        /// What a person should know.
        warnings: Vec<String>,
        /// What came back, and was compared with what it had been.
        verified: Verified,
    },
    /// A system that was prepared, and has yet to start for the first time.
    Deferred {
        /// What its first start does.
        what: String,
    },
}

/// What the first start of the system below `root` does, where that was prepared and has yet to start. Nothing is changed.
///
/// # Errors
/// Where the journal cannot be read.
pub fn prepared(root: &Root) -> Result<Option<String>, ApplyError> {
    let left = Transaction::left(root)?;
    Ok(left.filter(Transaction::waits_for_start).map(|left| left.record.what))
}

/// The receipt that the first start of the system below `root` writes, where that was prepared and has yet to start.
///
/// # Errors
/// Where the journal cannot be read.
pub(super) fn waiting(root: &Root) -> Result<Option<Receipt>, ApplyError> {
    let left = Transaction::left(root)?.filter(Transaction::waits_for_start);
    Ok(left.and_then(|left| match left.record.result {
        Some(Outcome::Installed { receipt, .. }) => Some(*receipt),
        Some(Outcome::Removed { .. }) | None => None,
    }))
}

/// Whether an earlier run has left something below `root`.
///
/// # Errors
/// Where that cannot be read.
pub fn is_left(root: &Root) -> Result<bool, ApplyError> {
    Ok(Transaction::left(root)?.is_some())
}

/// Takes away what would go on with a change below `root`, whose lock is held, where there is no change.
///
/// # Errors
/// Where it cannot be removed.
pub fn tidy(root: &Root) -> Result<(), ApplyError> {
    Transaction::tidy(root)
}

/// Gives up what was begun below `root`, whose lock is held, where nothing is installed and nothing had changed yet. Returns what
/// was going to be done.
///
/// # Errors
/// Where the journal cannot be read, or something that was staged cannot be removed.
pub fn give_up(root: &Root) -> Result<Option<String>, ApplyError> {
    let left = Transaction::left(root)?.filter(|left| left.phase() == Phase::Preparing);
    let Some(left) = left else { return Ok(None) };
    if !is_none_left(root)? {
        return Ok(None);
    }
    let what = left.record.what.clone();
    match left.discard() {
        left if left.is_empty() => Ok(Some(what)),
        left => Err(ApplyError::NeedsPerson { source: Box::new(ApplyError::Unfinished(what)), left }),
    }
}

/// Goes on with what an earlier run has left below `root`, whose lock is held. Where that had changed nothing yet, it is only
/// told, and `discard` says whether what it had staged is removed. Tells `progress` how far it has come.
///
/// # Errors
/// As [`super::apply`]: what it had changed is put back, or a person has to look.
pub async fn resume(
    root: &Root,
    discard: bool,
    interrupt: &Interrupt,
    progress: &Arc<Progress>,
) -> Result<Left, ApplyError> {
    let Some(transaction) = Transaction::left(root)? else { return Ok(Left::Nothing) };
    let transaction = transaction.watched_by(progress);
    let what = transaction.record.what.clone();
    if transaction.phase() == Phase::Preparing {
        let command = transaction.record.command.clone();
        if discard {
            // The journal stays until the next one takes its place: until then, this is what goes on.
            let left = transaction.clear();
            if !left.is_empty() {
                return Err(ApplyError::NeedsPerson { source: Box::new(ApplyError::Unfinished(what)), left });
            }
        }
        return Ok(Left::Begun { what, command });
    }
    if transaction.waits_for_start() {
        return Ok(Left::Deferred { what });
    }
    // Later phases have no need of it, or of one that is started on the way.
    let needed = transaction.record.names.as_ref().filter(|names| {
        transaction.phase() == Phase::Naming && !(names.changes.is_empty() && names.released.is_empty())
    });
    let session = match needed {
        Some(names) => Some(names.session().await?),
        None => None,
    };
    let names = transaction.record.names.clone();
    let done = match &session {
        Some(session) if !is_held(&transaction.record, session).await? => {
            Err(transaction.back(ApplyError::Collected(what.clone()), Some(session)).await)
        }
        session => transaction.carry_out(session.as_ref(), interrupt).await,
    };
    let released = match session {
        Some(session) => session.end(done.is_err()).await,
        // What a person has to put right may need what it holds.
        None if matches!(done, Err(ApplyError::NeedsPerson { .. })) => Ok(()),
        None => release(names).await,
    };
    let mut done = done?;
    if !done.finished {
        return Err(ApplyError::NeedsPerson { source: Box::new(ApplyError::NotFinished(what)), left: done.warnings });
    }
    done.warnings.extend(released.err().map(|error| format!("containerd keeps a lease for a day: {error}")));
    Ok(Left::Finished { what, warnings: done.warnings, verified: done.verified })
}

/// Takes away the lease of the run that was killed, where its containerd runs; else that ends by itself within a day.
async fn release(names: Option<Names>) -> Result<(), ContainerdError> {
    let Some(Names { address, namespace, .. }) = names else { return Ok(()) };
    match Client::connect(&address, &namespace).await {
        Err(ContainerdError::Unreachable { .. }) => Ok(()),
        Err(error) => Err(error),
        Ok(client) => client.release_abandoned().await,
    }
}

/// Whether everything that the new names stand for is still there: the lease of the killed run may have ended.
async fn is_held(record: &Record, session: &Session) -> Result<bool, ApplyError> {
    let Some(Outcome::Installed { receipt, .. }) = &record.result else { return Ok(true) };
    let needed =
        receipt.images.iter().flat_map(|image| image.manifests.iter().chain(&image.blobs).chain([&image.target]));
    let needed: std::collections::BTreeSet<&Digest> = needed.collect();
    for digest in needed {
        if !session.holds(digest).await? {
            return Ok(false);
        }
    }
    Ok(true)
}
