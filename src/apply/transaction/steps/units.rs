//! systemd's units: what they are, and starting and stopping them.

use std::path::Path;
use std::time::{Duration, Instant};

use super::StepError;
use super::programs::{Ended, POLL, execute, pause};
use crate::apply::Interrupt;

/// There where systemd is process 1 (sd_booted(3)).
const SYSTEMD: &str = "/run/systemd/system";
/// How long a unit may take: its own limit is mostly 90 seconds, and some have none.
pub(super) const UNIT_LIMIT: Duration = Duration::from_secs(20 * 60);
/// How long a unit is looked at whose type does not tell when it is ready.
const WATCHED: Duration = Duration::from_secs(5);
const SYSTEMCTL: &str = "systemctl";

/// Whether systemd runs on this host.
pub(in crate::apply) fn has_systemd() -> bool {
    Path::new(SYSTEMD).is_dir()
}

/// Has systemd read its units again.
///
/// # Errors
/// Where it does not.
pub(in crate::apply::transaction) fn reload() -> Result<(), StepError> {
    if has_systemd() {
        systemctl(&[SYSTEMCTL, "daemon-reload"].map(str::to_owned), "read the units again").map(drop)
    } else {
        Ok(())
    }
}

/// systemctl's arguments for a unit. Its name may be from a bundle, a receipt or a journal: what follows `--` is no option.
fn on(verb: &[&str], unit: &str) -> Vec<String> {
    [SYSTEMCTL].iter().chain(verb).chain(&["--", unit]).map(|word| (*word).to_owned()).collect()
}

/// What systemd says of a unit.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct State {
    /// Whether its file could be read.
    load: String,
    active: String,
    sub: String,
    result: String,
    kind: String,
    restarts: u32,
    /// Whether it has been started since the host has.
    ran: bool,
    /// Whether systemd still has something to do for it.
    queued: bool,
}

impl State {
    fn of(text: &str) -> Self {
        let mut state = Self::default();
        for (key, value) in text.lines().filter_map(|line| line.split_once('=')) {
            match key {
                "LoadState" => value.clone_into(&mut state.load),
                "ActiveState" => value.clone_into(&mut state.active),
                "SubState" => value.clone_into(&mut state.sub),
                "Result" => value.clone_into(&mut state.result),
                "Type" => value.clone_into(&mut state.kind),
                "ExecMainStartTimestampMonotonic" => state.ran = value != "0",
                "NRestarts" => state.restarts = value.parse().unwrap_or_default(),
                // `Job=0` without one, as systemctl shows it, or nothing.
                "Job" => state.queued = !matches!(value, "" | "0"),
                _ => {}
            }
        }
        state
    }

    /// Whether it runs, is being started, as while the host starts, or has done all that it is for. One that has failed and
    /// waits to be started again does not run.
    fn is_active(&self) -> bool {
        let done = self.kind == "oneshot" && self.result == "success" && self.ran;
        match self.active.as_str() {
            "active" | "reloading" => true,
            "activating" => !self.sub.starts_with("auto-restart"),
            "inactive" => done || self.queued,
            _ => false,
        }
    }

    /// Whether there is nothing that could be stopped. One that is not active may still be about to be started.
    fn is_nothing(&self) -> bool {
        matches!(self.load.as_str(), "not-found" | "bad-setting" | "error") && self.active == "inactive"
    }
}

pub(super) fn enable(unit: &str) -> Result<(), StepError> {
    if !has_systemd() {
        return Err(StepError::NoSystemd(unit.to_owned()));
    }
    systemctl(&on(&["enable", "--quiet"], unit), &format!("enable {unit}")).map(drop)
}

pub(super) fn disable(unit: &str) {
    // One that is gone, or cannot be enabled at all, is not an error here.
    let _ = systemctl(&on(&["disable", "--quiet"], unit), "disable the unit");
}

pub(super) fn start(unit: &str, restart: bool, interrupt: &Interrupt) -> Result<(), StepError> {
    enable(unit)?;
    // One that has failed too often would not be started any more.
    let _ = systemctl(&on(&["reset-failed"], unit), "forget failures");
    let verb = if restart { "restart" } else { "start" };
    let command = on(&[verb], unit);
    let failed = |why| StepError::Unit { unit: unit.to_owned(), why };
    let started = match execute(&command, UNIT_LIMIT, interrupt)? {
        Ended::Well(_) => Ok(()),
        Ended::Badly(why) => Err(failed(format!("{why} (see: journalctl -u {unit})"))),
    };
    started.and_then(|()| watch(unit, interrupt))
}

/// Looks whether a unit that has been started is there to stay.
pub(super) fn watch(unit: &str, interrupt: &Interrupt) -> Result<(), StepError> {
    let (first, begun) = (state(unit)?, Instant::now());
    loop {
        let now = state(unit)?;
        let done = now.kind == "oneshot" && now.active == "inactive" && now.result == "success";
        let why = match now.active.as_str() {
            "active" | "reloading" if now.restarts == first.restarts => None,
            "active" => Some("it ended and was started again".to_owned()),
            _ if done => None,
            other => Some(format!("it is {other}, its last result {}", now.result)),
        };
        if let Some(why) = why {
            return Err(StepError::Unit { unit: unit.to_owned(), why: format!("{why} (see: journalctl -u {unit})") });
        }
        let tells = !matches!(now.kind.as_str(), "simple" | "exec" | "idle");
        if tells || begun.elapsed() >= WATCHED {
            return Ok(());
        }
        pause(POLL * 4, interrupt)?;
    }
}

pub(super) fn stop(unit: &str) -> Result<(), StepError> {
    // Without systemd nothing of it runs. With it, also one that is inactive is stopped: its start may be waiting.
    if !has_systemd() || state(unit)?.is_nothing() {
        return Ok(());
    }
    systemctl(&on(&["stop"], unit), &format!("stop {unit}")).map(drop)
}

/// Whether a unit is active, being started, or has done all that it is for since the host has started; and whether it starts
/// with the host.
pub(in crate::apply) fn unit_is(unit: &str) -> (bool, bool) {
    if !has_systemd() {
        return (false, false);
    }
    let active = state(unit).is_ok_and(|state| state.is_active());
    (active, systemctl(&on(&["is-enabled", "--quiet"], unit), "ask for a unit").is_ok())
}

pub(super) fn state(unit: &str) -> Result<State, StepError> {
    let properties =
        "--property=LoadState,ActiveState,SubState,Result,Type,NRestarts,ExecMainStartTimestampMonotonic,Job";
    systemctl(&on(&["show", properties], unit), &format!("look at {unit}")).map(|text| State::of(&text))
}

pub(super) fn systemctl(command: &[String], what: &str) -> Result<String, StepError> {
    match execute(command, UNIT_LIMIT, &Interrupt::never())? {
        Ended::Well(text) => Ok(text),
        Ended::Badly(why) => Err(StepError::Program { what: what.to_owned(), program: SYSTEMCTL.to_owned(), why }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_is_never_an_option() {
        for verb in [&["show", "--property=Job"][..], &["stop"], &["enable", "--quiet"]] {
            let command = on(verb, "--host=attacker@203.0.113.7");
            assert_eq!(command[..=verb.len()], [&["systemctl"][..], verb].concat());
            assert_eq!(command[verb.len() + 1..], ["--", "--host=attacker@203.0.113.7"]);
        }
    }

    #[test]
    fn what_is_being_started_counts_as_active_and_is_stopped() {
        let of = |text: &str| State::of(&text.replace(' ', "\n"));
        let loaded = |text: &str| of(&format!("LoadState=loaded {text}"));
        assert!(loaded("ActiveState=active SubState=running").is_active());
        assert!(loaded("ActiveState=activating SubState=start").is_active());
        assert!(loaded("ActiveState=inactive SubState=dead Job=127").is_active());
        assert!(
            loaded("ActiveState=inactive Type=oneshot Result=success ExecMainStartTimestampMonotonic=7").is_active()
        );
        assert!(
            !loaded("ActiveState=inactive Type=oneshot Result=success ExecMainStartTimestampMonotonic=0").is_active()
        );
        assert!(!loaded("ActiveState=inactive SubState=dead Job=0").is_active());
        assert!(!loaded("ActiveState=inactive SubState=dead Job=").is_active());
        assert!(!loaded("ActiveState=activating SubState=auto-restart").is_active());
        assert!(!loaded("ActiveState=failed").is_active());
        assert!(!loaded("ActiveState=inactive Job=127").is_nothing());
        assert!(!loaded("ActiveState=inactive").is_nothing());
        assert!(of("LoadState=not-found ActiveState=inactive").is_nothing());
        assert!(!of("LoadState=not-found ActiveState=active").is_nothing(), "its file is gone and it runs");
    }
}
