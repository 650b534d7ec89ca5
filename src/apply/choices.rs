//! What somebody has chosen on the command line of an installation, and what a later version keeps of it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The flags that a later version of the profile is installed with too, unless it is given others. Only what was given is here,
/// so that a default stays a default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Choices {
    /// `--runtime`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime: Option<String>,
    /// `--containerd-address`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub containerd_address: Option<PathBuf>,
    /// `--namespace`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// `--no-unpack`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_unpack: Option<bool>,
    /// `--keep`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep: Option<usize>,
    /// `--skip`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub skip: Vec<String>,
}

impl Choices {
    /// Whether the check of this name does not count.
    pub(super) fn skips(&self, check: &str) -> bool {
        self.skip.iter().any(|name| name == check)
    }

    /// These, and what they leave open as it was `before`. The flags of containerd belong to a runtime: with another runtime,
    /// those of before do not count.
    #[must_use]
    pub fn over(self, before: &Self) -> Self {
        let same = self.runtime.is_none() || self.runtime == before.runtime;
        let before = before.clone();
        Self {
            runtime: self.runtime.or(before.runtime),
            containerd_address: self.containerd_address.or(before.containerd_address.filter(|_| same)),
            namespace: self.namespace.or(before.namespace.filter(|_| same)),
            no_unpack: self.no_unpack.or(before.no_unpack.filter(|_| same)),
            keep: self.keep.or(before.keep),
            skip: if self.skip.is_empty() { before.skip } else { self.skip },
        }
    }

    /// Whether nothing was chosen.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The flags as they are given.
    pub fn flags(&self) -> Vec<String> {
        let mut flags = Vec::new();
        flags.extend(self.runtime.iter().map(|runtime| format!("--runtime {runtime}")));
        flags.extend(self.containerd_address.iter().map(|at| format!("--containerd-address {}", at.display())));
        flags.extend(self.namespace.iter().map(|name| format!("--namespace {name}")));
        flags.extend(self.no_unpack.iter().map(|no_unpack| format!("--no-unpack={no_unpack}")));
        flags.extend(self.keep.iter().map(|keep| format!("--keep {keep}")));
        flags.extend(self.skip.iter().map(|check| format!("--skip {check}")));
        flags
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choices(runtime: Option<&str>, namespace: Option<&str>, skip: &[&str]) -> Choices {
        Choices {
            runtime: runtime.map(str::to_owned),
            namespace: namespace.map(str::to_owned),
            skip: skip.iter().map(|check| (*check).to_owned()).collect(),
            ..Choices::default()
        }
    }

    #[test]
    fn what_is_given_anew_counts_and_the_rest_stays() {
        let before = choices(Some("containerd"), Some("shop"), &["memory"]);
        assert_eq!(Choices::default().over(&before), before);
        assert_eq!(
            choices(None, Some("till"), &[]).over(&before),
            choices(Some("containerd"), Some("till"), &["memory"])
        );
        assert_eq!(choices(None, None, &["disk"]).over(&before), choices(Some("containerd"), Some("shop"), &["disk"]));
        let keep = |keep| Choices { keep, ..Choices::default() };
        assert_eq!(keep(Some(0)).over(&keep(Some(3))), keep(Some(0)));
        assert_eq!(keep(None).over(&keep(Some(3))), keep(Some(3)));
    }

    #[test]
    fn the_flags_of_a_runtime_go_with_it() {
        let before = choices(Some("containerd"), Some("shop"), &[]);
        assert_eq!(choices(Some("k3s"), None, &[]).over(&before), choices(Some("k3s"), None, &[]));
        assert_eq!(choices(Some("containerd"), None, &[]).over(&before), before);
    }

    #[test]
    fn flags_are_shown_as_they_are_given() {
        let all = Choices { keep: Some(2), no_unpack: Some(true), ..choices(Some("k3s"), None, &["memory", "disk"]) };
        assert_eq!(all.flags(), ["--runtime k3s", "--no-unpack=true", "--keep 2", "--skip memory", "--skip disk"]);
        assert!(Choices::default().flags().is_empty() && Choices::default().is_empty());
    }
}
