//! One requirement: what is needed, what was found, and whether that will do.

use serde::{Deserialize, Serialize};

/// One requirement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Check {
    /// What is looked at, as `--skip` names it. Several may have one name, and are skipped together.
    pub name: String,
    /// What must be.
    pub needed: String,
    /// What is.
    pub found: String,
    /// Whether that will do.
    pub verdict: Verdict,
    /// What to do where it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// Whether what was found will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Verdict {
    /// It will.
    Ok,
    /// It may, and a person should know.
    Warn,
    /// It will not.
    Fail,
    /// Somebody has said that it does not matter.
    Skipped,
}

/// A name that no check has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no check {name:?}")]
pub struct UnknownCheck {
    /// The name.
    pub name: String,
    /// The names that there are for this bundle and host.
    pub known: Vec<String>,
}

/// Names that are known even where nothing of the kind is checked, so that one command line serves several bundles. Others
/// are made of what they are about: `port-443`, `module-overlay`, `command-mount`, `pack-NAME`, `upgrade-NAME`,
/// `registry-HOST`. `ready` is what is waited for when all is applied.
const NAMES: [&str; 33] = [
    "apparmor",
    "cgroups",
    "clock",
    "conflicts",
    "containerd",
    "containerd-cgroups",
    "containerd-cri",
    "containerd-network",
    "containerd-registries",
    "default-route",
    "disk",
    "downgrade",
    "files",
    "folders",
    "foreign-data",
    "images",
    "installer",
    "kernel",
    "kubernetes-version",
    "manifests",
    "memory",
    "nameserver",
    "node-address",
    "overlay",
    "pause-image",
    "platform",
    "processors",
    "ready",
    "selinux",
    "space",
    "ssd",
    "swap",
    "systemd",
];

impl Check {
    /// A check that is right or wrong.
    pub(super) fn new(
        name: impl Into<String>,
        needed: impl Into<String>,
        found: impl Into<String>,
        ok: impl Into<Verdict>,
    ) -> Self {
        // Names of processes and mounts may have anything in them, and a terminal obeys.
        let plain = |text: String| text.replace(crate::text::is_unseen, " ");
        let (needed, found) = (plain(needed.into()), plain(found.into()));
        Self { name: name.into(), needed, found, verdict: ok.into(), hint: None }
    }

    /// The same with what to do, where it is not right.
    pub(super) fn or(mut self, hint: &str) -> Self {
        if self.verdict != Verdict::Ok {
            self.hint = Some(hint.to_owned());
        }
        self
    }

    /// Whether it keeps a bundle from being installed.
    pub fn failed(&self) -> bool {
        self.verdict == Verdict::Fail
    }
}

impl From<bool> for Verdict {
    fn from(ok: bool) -> Self {
        if ok { Self::Ok } else { Self::Fail }
    }
}

/// Takes the verdicts of the checks with these names away.
///
/// # Errors
/// [`UnknownCheck`]
pub fn skip(checks: &mut [Check], names: &[String]) -> Result<(), UnknownCheck> {
    for name in names {
        let mut known = NAMES.contains(&name.as_str());
        for check in checks.iter_mut().filter(|check| check.name == *name) {
            (check.verdict, check.hint, known) = (Verdict::Skipped, None, true);
        }
        if !known {
            let mut known: Vec<String> = checks.iter().map(|check| check.name.clone()).collect();
            known.sort_unstable();
            known.dedup();
            return Err(UnknownCheck { name: name.clone(), known });
        }
    }
    Ok(())
}

/// A line for each check: the verdict, the name, what is needed and what was found.
pub fn table(checks: &[Check]) -> String {
    let width =
        |column: fn(&Check) -> &str| checks.iter().map(|check| column(check).chars().count()).max().unwrap_or(0);
    let (names, needed) = (width(|check| &check.name), width(|check| &check.needed));
    let line = |check: &Check| {
        let mark = match check.verdict {
            Verdict::Ok => "ok  ",
            Verdict::Warn => "warn",
            Verdict::Fail => "FAIL",
            Verdict::Skipped => "skip",
        };
        format!("{mark}  {:names$}  needed {:needed$}  found {}", check.name, check.needed, check.found)
    };
    checks.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_a_line_for_each_check_whatever_was_found() {
        let checks =
            [Check::new("port-80", "free", "in use by \u{1b}[2Jx\ny", false), Check::new("swap", "none", "none", true)];
        let expected = "FAIL  port-80  needed free  found in use by  [2Jx y\nok    swap     needed none  found none";
        assert_eq!(table(&checks), expected);
    }

    #[test]
    fn what_is_skipped_has_no_verdict() {
        let hinted = |name: &str| Check::new(name, "a", "b", false).or("do something");
        let mut checks = [hinted("space"), hinted("port-80"), hinted("space")];
        skip(&mut checks, &["space".to_owned(), "memory".to_owned()]).unwrap();
        let verdicts = checks.each_ref().map(|check| (check.verdict, check.hint.is_some()));
        assert_eq!(verdicts, [(Verdict::Skipped, false), (Verdict::Fail, true), (Verdict::Skipped, false)]);
        let unknown = skip(&mut checks, &["port-81".to_owned()]).unwrap_err();
        assert_eq!(unknown.known, ["port-80", "space"]);
    }
}
