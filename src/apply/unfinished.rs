//! What an earlier run has left unfinished, for those that only look.

use super::ApplyError;
use super::transaction::{Phase, Transaction};
use crate::host::Root;

/// A run that was interrupted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfinished {
    /// What it does, for people: `apply shop 1.1.0`.
    pub what: String,
    /// How far it has come, for people.
    pub phase: &'static str,
}

/// What was interrupted below `root`; nothing where nothing was, or where a system that was prepared waits for its first start.
/// Nothing is changed.
///
/// # Errors
/// Where the journal cannot be read.
pub fn unfinished(root: &Root) -> Result<Option<Unfinished>, ApplyError> {
    let Some(left) = Transaction::left(root)? else { return Ok(None) };
    if left.waits_for_start() {
        return Ok(None);
    }
    let phase = match left.phase() {
        Phase::Preparing => "nothing had changed yet",
        Phase::Naming => "images were getting their names",
        Phase::Stopping => "services were being stopped",
        Phase::Removing => "what the distribution has made was being removed",
        Phase::Changing => "files were being changed",
        Phase::Starting => "services were being started",
        Phase::Finishing => "it was done but for what is not needed any more",
        Phase::Restoring | Phase::Restarting | Phase::Undoing | Phase::Recovering => {
            "what it had changed was being put back"
        }
    };
    Ok(Some(Unfinished { phase, what: left.record.what }))
}
