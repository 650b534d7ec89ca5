//! Signals that ask a command to end: the hang-up of a lost terminal, Ctrl-C, Ctrl-\\, and `kill`.
//!
//! While nothing has changed, the process ends at once and takes its lock away. Once something changes, the change is asked to end
//! where that is safe: it is taken back, or finished where it has come too far. A second signal changes nothing about that.

use std::sync::{Mutex, PoisonError};

use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

use super::ask;
use crate::apply::lock::release_all;
use crate::apply::{Interrupt, Interrupter};
use crate::cli::{CliError, Kind, Ui};

/// The signal of a file that grows beyond the limit of the process (`ulimit -f`).
const FILE_SIZE: i32 = 25;

/// What is under way. Signals are the process's, so there is one for all of it.
static UNDER_WAY: Mutex<Option<Interrupter>> = Mutex::new(None);

/// Listens for signals while `runtime` lasts.
pub(super) fn listen(runtime: &Runtime, ui: &Ui) -> Result<(), CliError> {
    let _inside = runtime.enter();
    let mut kinds = vec![SignalKind::interrupt(), SignalKind::quit(), SignalKind::terminate()];
    // Whoever called this with nohup wants it to outlast the terminal.
    if !hangup_is_ignored() {
        kinds.push(SignalKind::hangup());
    }
    for kind in kinds {
        let mut signals = signal(kind).map_err(|error| CliError::from_error(Kind::Local, &error))?;
        let ui = ui.clone();
        runtime.spawn(async move {
            while signals.recv().await.is_some() {
                end(&ui);
            }
        });
    }
    // Without a listener it would end the process in the middle of a change. With one, the write fails as on a full disk.
    let mut too_large =
        signal(SignalKind::from_raw(FILE_SIZE)).map_err(|error| CliError::from_error(Kind::Local, &error))?;
    runtime.spawn(async move { while too_large.recv().await.is_some() {} });
    Ok(())
}

/// Says that something is about to change. What is returned is set by a signal.
pub(super) fn change() -> Interrupt {
    let (interrupter, interrupt) = Interrupter::new();
    *under_way() = Some(interrupter);
    interrupt
}

/// Says that nothing is changing any more: a signal ends the process at once.
pub(super) fn rest() {
    *under_way() = None;
}

/// Ends the process although commands are at work, which have changed nothing.
pub(super) fn exit(ui: &Ui) -> ! {
    release_all();
    ask::restore();
    ui.error(&ask::interrupted());
    std::process::exit(i32::from(Kind::Interrupted.code()));
}

fn end(ui: &Ui) {
    // Held until the process has ended, so that no change begins meanwhile.
    let under_way = under_way();
    match &*under_way {
        Some(change) => change.interrupt(),
        None => exit(ui),
    }
}

fn under_way() -> std::sync::MutexGuard<'static, Option<Interrupter>> {
    UNDER_WAY.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether this was started with hang-ups ignored, as nohup does. Bit 0 of the mask is the first signal, which is the hang-up
/// (proc_pid_status(5)).
fn hangup_is_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 != 0)
}
