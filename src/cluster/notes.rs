//! What is not in the profile, for the person who has it: a file in the folder.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::decide::Reason;
use super::{Failure, Object};

/// Names of one kind that are listed; the rest is counted.
const SHOWN: usize = 50;

/// Name of the file.
pub(super) const FILE_NAME: &str = "NOT-EXPORTED.md";

/// What was left out, and why.
#[derive(Debug, Default)]
pub(super) struct LeftOut {
    reasons: BTreeMap<Reason, BTreeMap<String, Vec<String>>>,
}

impl LeftOut {
    pub(super) fn add(&mut self, reason: Reason, object: &Object) {
        let name = match object.namespace() {
            Some(namespace) => format!("{namespace}/{}", object.name()),
            None => object.name().to_owned(),
        };
        self.reasons.entry(reason).or_default().entry(object.kind.title()).or_default().push(name);
    }
}

/// The text of the file.
pub(super) fn text(
    decisions: &[String],
    failures: &[Failure],
    warnings: &[String],
    left: &LeftOut,
    secrets: bool,
) -> String {
    let mut text = String::from("# What is not in this profile\n");
    section(&mut text, "To decide first", decisions.iter().cloned());
    section(&mut text, "Could not be read", failures.iter().map(Failure::to_string));
    section(&mut text, "To look at", warnings.iter().cloned());
    for (reason, kinds) in &left.reasons {
        let lines = kinds.iter().map(|(kind, names)| {
            if *reason == Reason::Cluster {
                return format!("{kind}: {}", names.len());
            }
            let shown = names.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
            match names.len().saturating_sub(SHOWN) {
                0 => format!("{kind}: {shown}"),
                more => format!("{kind}: {shown} and {more} more"),
            }
        });
        let title = match reason {
            // Nobody looks for one of these by its name.
            Reason::Cluster => {
                let objects = kinds.values().map(Vec::len).sum::<usize>();
                format!("Left out: {objects} objects that Kubernetes makes by itself")
            }
            _ => format!("Left out: {reason}"),
        };
        section(&mut text, &title, lines);
    }
    let secrets = match secrets {
        true => "The values of secrets are in the manifests and values: keep this folder as you keep them.",
        false => "The values of secrets: for each, the profile has a variable that the installer asks for.",
    };
    section(
        &mut text,
        "Never exported",
        [
            secrets,
            "Data on volumes, and volumes that a provisioner made.",
            "Status, events, leases, endpoints, metrics, and what the cluster writes into an object: addresses, owners, versions.",
        ]
        .map(str::to_owned)
        .into_iter(),
    );
    text
}

fn section(text: &mut String, title: &str, lines: impl Iterator<Item = String>) {
    let mut lines = lines.peekable();
    if lines.peek().is_none() {
        return;
    }
    let _ = writeln!(text, "\n## {title}\n");
    lines.for_each(|line| {
        let _ = writeln!(text, "- {}", line.replace(crate::text::is_unseen, " "));
    });
}
