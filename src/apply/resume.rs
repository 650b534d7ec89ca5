//! Going on with what a run that was killed has left.

use std::time::{Duration, Instant};

use super::containerd::{Client, Session};
use super::transaction::{Invocation, Outcome, Phase, Record, Transaction};
use super::{ApplyError, Interrupt};
use crate::host::Root;
use crate::oci::Digest;

/// How long a containerd that starts with the host is waited for.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(500);

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
    let waits = |left: &Transaction| left.phase() == Phase::Starting && !root.is_host();
    Ok(left.filter(waits).map(|left| left.record.what))
}

/// Goes on with what an earlier run has left below `root`, whose lock is held. Where that had changed nothing yet, it is only
/// told, and `discard` says whether what it had staged is removed.
///
/// # Errors
/// As [`super::apply`]: what it had changed is put back, or a person has to look.
pub async fn resume(root: &Root, discard: bool, interrupt: &Interrupt) -> Result<Left, ApplyError> {
    let Some(transaction) = Transaction::left(root)? else { return Ok(Left::Nothing) };
    let what = transaction.record.what.clone();
    if transaction.phase() == Phase::Preparing {
        let command = transaction.record.command.clone();
        if discard {
            let left = transaction.discard();
            if !left.is_empty() {
                return Err(ApplyError::NeedsPerson { source: Box::new(ApplyError::Unfinished(what)), left });
            }
        }
        return Ok(Left::Begun { what, command });
    }
    if transaction.phase() == Phase::Starting && !root.is_host() {
        return Ok(Left::Deferred { what });
    }
    let session = session(&transaction).await?;
    let done = match &session {
        Some(session) if transaction.phase() == Phase::Naming && !is_held(&transaction.record, session).await? => {
            Err(transaction.take_back(ApplyError::Collected(what.clone()), Some(session)).await)
        }
        session => transaction.carry_out(session.as_ref(), interrupt).await,
    };
    if let Some(session) = session {
        let released = session.end(done.is_err()).await;
        let mut done = done?;
        done.warnings.extend(released.err().map(|error| format!("containerd keeps a lease for a day: {error}")));
        return Ok(Left::Finished { what, warnings: done.warnings });
    }
    Ok(Left::Finished { what, warnings: done?.warnings })
}

/// A session with the containerd whose names change. One that does not answer is needed only where they have not changed yet.
async fn session(transaction: &Transaction) -> Result<Option<Session>, ApplyError> {
    let Some(names) = &transaction.record.names else { return Ok(None) };
    if names.changes.is_empty() && names.released.is_empty() {
        return Ok(None);
    }
    let begun = Instant::now();
    let client = loop {
        let answer = match Client::connect(&names.address, &names.namespace).await {
            Ok(client) => client.version().await.map(|_| client),
            Err(error) => Err(error),
        };
        match answer {
            Ok(client) => break client,
            Err(_) if begun.elapsed() < PATIENCE => tokio::time::sleep(PAUSE).await,
            Err(_) if !matches!(transaction.phase(), Phase::Naming | Phase::Restoring) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
    };
    Ok(Some(Session::begin(&client).await?))
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
