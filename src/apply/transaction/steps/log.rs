//! What the units of a step that failed have written to systemd's journal, for the message.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::programs::{Ended, execute};
use super::units::has_systemd;
use crate::apply::Interrupt;

/// How long the journal is read for.
const PATIENCE: Duration = Duration::from_secs(10);
/// How many lines of it are looked at, those that were written last.
const READ: &str = "400";
/// How many lines are told.
const TOLD: usize = 3;
/// The longest line that is told, in characters.
const LONGEST: usize = 300;

/// The last errors of a unit.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{unit} has written: {}", lines.join(" | "))]
pub struct UnitLog {
    unit: String,
    lines: Vec<String>,
}

/// What the first of `units` that has written anything since `since` wrote last; nothing where none has, or there is no journal.
pub(super) fn of(units: &[String], since: SystemTime) -> Option<UnitLog> {
    if !has_systemd() {
        return None;
    }
    let since = since.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    units.iter().find_map(|unit| {
        let words = ["journalctl", "--quiet", "--no-pager", "--output=cat", "--lines", READ];
        let mut command: Vec<String> = words.map(str::to_owned).to_vec();
        command.extend([format!("--since=@{since}"), format!("--unit={unit}")]);
        let Ok(Ended::Well(text)) = execute(&command, PATIENCE, &Interrupt::never()) else { return None };
        let lines = errors(&text);
        (!lines.is_empty()).then(|| UnitLog { unit: unit.clone(), lines })
    })
}

/// The last lines of `text` that tell of errors, each once; where none does, the last ones.
fn errors(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let mut told: Vec<&str> = Vec::new();
    let wrong: Vec<&str> = lines.iter().copied().filter(|line| is_error(line)).collect();
    for line in if wrong.is_empty() { lines } else { wrong }.into_iter().rev() {
        if told.len() < TOLD && !told.iter().any(|other| message(other) == message(line)) {
            told.push(line);
        }
    }
    told.reverse();
    told.into_iter().map(|line| line.chars().take(LONGEST).collect()).collect()
}

/// Whether a line tells of an error: in the form of Kubernetes' own programs (`E1130 12:00:00.000000`), of logfmt, as k3s and RKE2
/// write it, or in words.
fn is_error(line: &str) -> bool {
    let klog = |line: &str| {
        let mut bytes = line.bytes();
        matches!(bytes.next(), Some(b'E' | b'F')) && line.len() > 5 && bytes.take(4).all(|byte| byte.is_ascii_digit())
    };
    let lower = line.to_ascii_lowercase();
    let words = ["level=error", "level=fatal", "error:", "fatal:", "panic:", "failed"];
    // What is only told looks like this, whatever words are in it.
    let told = ["level=info", "level=debug", "level=warn"].iter().any(|level| lower.contains(level))
        || matches!(line.as_bytes(), [b'I' | b'W', rest @ ..] if rest.iter().take(4).all(u8::is_ascii_digit) && rest.len() > 4);
    klog(line) || (!told && words.iter().any(|word| lower.contains(word)))
}

/// A line without the time that it begins with, by which two that say the same differ.
fn message(line: &str) -> &str {
    line.split_once(" msg=").or_else(|| line.split_once("] ")).map_or(line, |(_, message)| message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_told_and_the_last_ones_first() {
        for (text, told) in [
            ("", &[][..]),
            ("starting\nready\n", &["starting", "ready"]),
            (
                "I1130 12:00:00.000000 1 a.go:1] \"it failed before\"\n\
                 E1130 12:00:01.000000 1 kubelet.go:2] \"cannot read\"\n\
                 E1130 12:00:02.000000 1 kubelet.go:2] \"cannot read\"\n\
                 I1130 12:00:03.000000 1 a.go:1] \"waiting\"\n",
                &["E1130 12:00:02.000000 1 kubelet.go:2] \"cannot read\""],
            ),
            (
                "time=\"a\" level=info msg=\"failed once\"\ntime=\"b\" level=fatal msg=\"no such flag\"\n",
                &["time=\"b\" level=fatal msg=\"no such flag\""],
            ),
            ("Error: unknown flag\nUsage:\n", &["Error: unknown flag"]),
        ] {
            assert_eq!(errors(text), told, "{text}");
        }
        assert_eq!(errors(&"x".repeat(1000)), ["x".repeat(LONGEST)]);
        let many = (0..10).map(|number| format!("error: {number}\n")).collect::<String>();
        assert_eq!(errors(&many), ["error: 7", "error: 8", "error: 9"]);
    }
}
