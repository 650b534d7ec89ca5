//! The kernel, its modules and control groups, swap and the clock.

use indicatif::HumanBytes;
use jiff::Timestamp;

use super::{Machine, UNKNOWN};
use crate::apply::check::{Check, Verdict};
use crate::apply::rules;
use crate::bundle::ResolvedPack;
use crate::host::kernel::Module;

/// A clock that is behind this has not been set: no bundle was made then.
const NOT_BEFORE: &str = "2026-01-01T00:00:00Z";

impl Machine<'_> {
    pub(super) fn kernel(&self) -> Check {
        let release = self.facts.release();
        let version = release.as_deref().and_then(version);
        let verdict = match version {
            None => Verdict::Warn,
            Some(version) if version < rules::KERNEL => Verdict::Fail,
            Some(version) if version < rules::GOOD_KERNEL => Verdict::Warn,
            Some(_) => Verdict::Ok,
        };
        let (major, minor) = rules::GOOD_KERNEL;
        Check::new("kernel", format!("{major}.{minor} or later"), release.unwrap_or(UNKNOWN.to_owned()), verdict)
            .or("take a newer release of the operating system")
    }

    pub(super) fn cgroups(&self, pack: &ResolvedPack) -> Check {
        let needed = rules::CONTROLLERS.join(", ");
        let Some(found) = self.facts.cgroups() else {
            return Check::new("cgroups", needed, "nothing mounted", false).or("mount control groups; systemd does it");
        };
        let missing: Vec<&str> = rules::CONTROLLERS
            .into_iter()
            .filter(|name| !found.controllers.iter().any(|other| other == name))
            .collect();
        let refused = minor(pack).is_some_and(|minor| minor >= rules::NEEDS_CGROUP_2);
        let (verdict, hint) = match (missing.is_empty(), found.version) {
            (false, _) if missing.contains(&"memory") => {
                (Verdict::Fail, "switch it on where the kernel is started: cgroup_enable=memory")
            }
            (false, _) => (Verdict::Fail, "take a kernel that has them, and a systemd that hands them on"),
            (true, 1) => (
                if refused { Verdict::Fail } else { Verdict::Warn },
                "Kubernetes 1.35 and later refuse version 1: systemd.unified_cgroup_hierarchy=1 where the kernel is started",
            ),
            (true, _) => (Verdict::Ok, ""),
        };
        let without = if missing.is_empty() { String::new() } else { format!(" without {}", missing.join(", ")) };
        Check::new("cgroups", needed, format!("version {}{without}", found.version), verdict).or(hint)
    }

    pub(super) fn swap(&self) -> Check {
        let swaps = self.facts.swaps();
        let found: Vec<String> =
            swaps.iter().map(|swap| format!("{} in {}", HumanBytes(swap.size), swap.name)).collect();
        let verdict = if swaps.is_empty() { Verdict::Ok } else { Verdict::Warn };
        let found = if swaps.is_empty() { "none".to_owned() } else { found.join(", ") };
        Check::new("swap", "none", found, verdict)
            .or("pods that swap are slow without being seen to be; swapoff -a, and no swap in /etc/fstab")
    }

    pub(super) fn clock(&self) -> Check {
        let limit = |text: &str| text.parse::<Timestamp>().ok();
        let earliest = self.created.and_then(limit).max(limit(NOT_BEFORE));
        let now = self.facts.now();
        let verdict = match (now, earliest) {
            (Some(now), Some(earliest)) => Verdict::from(now >= earliest),
            _ => Verdict::Warn,
        };
        let set = if self.facts.clock_was_set() { ", set by systemd-timesyncd" } else { "" };
        let found = now.map_or(UNKNOWN.to_owned(), |now| format!("{now}{set}"));
        let needed = earliest.map_or(NOT_BEFORE.to_owned(), |earliest| earliest.to_string());
        Check::new("clock", format!("{needed} or later"), found, verdict)
            .or("set the clock: certificates that are made now would not be valid later")
    }

    pub(super) fn module(&self, name: &str) -> Check {
        let package = "install the package of the operating system that has the rest of the kernel's modules";
        let (found, verdict, hint) = match self.facts.module(name) {
            Module::Present => ("at work", Verdict::Ok, ""),
            Module::Available => ("available", Verdict::Ok, ""),
            Module::Absent => ("nothing", Verdict::Fail, package),
            Module::Unknown => {
                (UNKNOWN, Verdict::Warn, "/lib/modules does not list this kernel's; see that it has this one")
            }
        };
        Check::new(format!("module-{name}"), format!("kernel module {name}"), found, verdict).or(hint)
    }
}

/// The first two numbers of a kernel's release.
fn version(release: &str) -> Option<(u64, u64)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// The minor version of Kubernetes in that of its pack.
fn minor(pack: &ResolvedPack) -> Option<u64> {
    let version = pack.version.as_deref()?.trim_start_matches('v');
    semver::Version::parse(version).ok().filter(|version| version.major == 1).map(|version| version.minor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_they_are_written() {
        assert_eq!(version("6.1.0-37-amd64"), Some((6, 1)));
        assert_eq!(version("5.15-custom"), Some((5, 15)));
        assert_eq!((version(""), version("custom")), (None, None));
        let of = |version: &str| minor(&ResolvedPack { version: Some(version.to_owned()), ..ResolvedPack::default() });
        assert_eq!([of("1.35.1+k3s1"), of("v1.32.5+rke2r1"), of("2.0.0"), of("x")], [Some(35), Some(32), None, None]);
    }
}
