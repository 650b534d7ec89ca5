//! What a profile and its packs ask of the host: processors, memory and disk in sum, each other, and what is installed.

use std::path::Path;

use indicatif::HumanBytes;

use super::ApplyError;
use super::preflight::{Check, check};
use super::receipt::{self, Receipt};
use super::survey::Target;
use crate::bundle::{ResolvedPack, ResolvedProfile};
use crate::host::{Root, disk, hardware};
use crate::io::PathError;
use crate::requirements::Requirements;

/// Where what is installed lies; together they are the disk, however it is divided.
const FOLDERS: [&str; 4] = ["/usr", "/var", "/opt", "/etc"];

/// Every check for `profile`. Below another root it is not this machine whose hardware counts.
pub(super) fn checks(profile: &ResolvedProfile, target: &Target) -> Result<Vec<Check>, ApplyError> {
    let mut checks = Vec::new();
    if target.root.is_host() {
        hardware(&sum(profile), &target.root, &mut checks)?;
    }
    for pack in &profile.packs {
        checks.extend(pack.depends_on.iter().map(|wanted| {
            let other = profile.packs.iter().find(|other| other.name == wanted.pack);
            dependency(pack, &wanted.pack, wanted.version.as_ref(), other)
        }));
    }
    if profile.packs.iter().any(|pack| pack.upgrade_from.is_some()) {
        let receipts = receipt::all(&target.root)?;
        checks.extend(profile.packs.iter().filter_map(|pack| upgrade(profile, pack, &receipts)));
    }
    Ok(checks)
}

/// What is needed in all: the packs run side by side.
fn sum(profile: &ResolvedProfile) -> Requirements {
    let packs = profile.packs.iter().map(|pack| &pack.requirements);
    packs.fold(profile.requirements, |sum, pack| Requirements {
        cpu_milli: sum.cpu_milli.saturating_add(pack.cpu_milli),
        memory: sum.memory.saturating_add(pack.memory),
        disk: sum.disk.saturating_add(pack.disk),
    })
}

fn hardware(needed: &Requirements, root: &Root, checks: &mut Vec<Check>) -> Result<(), PathError> {
    if needed.cpu_milli > 0 {
        let found = hardware::processors();
        let ok = found.saturating_mul(1000) >= needed.cpu_milli;
        checks.push(check("processors", cores(needed.cpu_milli), found.to_string(), ok));
    }
    if needed.memory > 0 {
        checks.push(amount("memory", needed.memory, hardware::memory()?));
    }
    if needed.disk > 0 {
        checks.push(amount("disk", needed.disk, size(root.folder())?));
    }
    Ok(())
}

/// What firmware, kernel and file systems keep for themselves is a part of what is in the machine: up to a tenth.
fn amount(name: &str, needed: u64, found: u64) -> Check {
    let ok = found >= needed - needed / 10;
    check(name, HumanBytes(needed).to_string(), HumanBytes(found).to_string(), ok)
}

fn cores(milli: u64) -> String {
    let text = format!("{}.{:03}", milli / 1000, milli % 1000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Bytes of the file systems that software is installed into, each once.
fn size(root: &Path) -> Result<u64, PathError> {
    let mut spaces = vec![disk::space(root)?];
    for folder in FOLDERS {
        let space = disk::space(&root.join(folder.trim_start_matches('/')))?;
        if spaces.iter().all(|other| other.device != space.device) {
            spaces.push(space);
        }
    }
    Ok(spaces.iter().fold(0, |sum: u64, space| sum.saturating_add(space.size)))
}

fn semantic(version: &str) -> Option<semver::Version> {
    semver::Version::parse(version.strip_prefix('v').unwrap_or(version)).ok()
}

fn fits(version: Option<&str>, range: &semver::VersionReq) -> bool {
    version.and_then(semantic).is_some_and(|version| range.matches(&version))
}

fn dependency(
    pack: &ResolvedPack,
    wanted: &str,
    range: Option<&semver::VersionReq>,
    other: Option<&ResolvedPack>,
) -> Check {
    let needed = range.map_or_else(|| wanted.to_owned(), |range| format!("{wanted} {range}"));
    let found = match other.map(|other| other.version.as_deref()) {
        None => "nothing".to_owned(),
        Some(None) => format!("{wanted} without a version"),
        Some(Some(version)) => format!("{wanted} {version}"),
    };
    let ok = other.is_some_and(|other| range.is_none_or(|range| fits(other.version.as_deref(), range)));
    check(format!("pack {}", pack.name), needed, found, ok)
}

/// Whether the installed version of a pack can be upgraded to the bundle's. The same version always can.
fn upgrade(profile: &ResolvedProfile, pack: &ResolvedPack, receipts: &[Receipt]) -> Option<Check> {
    let range = pack.upgrade_from.as_ref()?;
    let made = |found: String, ok| check(format!("upgrade of {}", pack.name), format!("{range} or nothing"), found, ok);
    let installed = receipts.iter().find_map(|receipt| receipt.packs.iter().find(|one| one.name == pack.name));
    let hint = "install a version of the bundle in between first, as its makers say";
    let check = match installed.map(|installed| installed.version.as_deref()) {
        Some(None) => made("a version that is not known".to_owned(), false),
        Some(version) => {
            made(version.unwrap_or_default().to_owned(), version == pack.version.as_deref() || fits(version, range))
        }
        // The first installers did not write down versions of packs.
        None => match receipts.iter().find(|receipt| receipt.packs.is_empty() && receipt.name == profile.name) {
            Some(old) => made(format!("a version that carrack-install {} did not write down", old.installer), false),
            None => made("nothing".to_owned(), true),
        },
    };
    Some(if check.ok { check } else { Check { hint: Some(hint.to_owned()), ..check } })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle::ResolvedDependency;
    use crate::oci::Digest;

    fn pack(name: &str, version: &str) -> ResolvedPack {
        let version = (!version.is_empty()).then(|| version.to_owned());
        ResolvedPack { name: name.to_owned(), layer: "addon".to_owned(), version, ..ResolvedPack::default() }
    }

    fn receipt(name: &str, packs: &[(&str, Option<&str>)]) -> Receipt {
        let packs = packs.iter().map(|(name, version)| receipt::ReceiptPack {
            name: (*name).to_owned(),
            version: version.map(str::to_owned),
        });
        Receipt {
            receipt_version: 1,
            bundle: Digest::of(b""),
            name: name.to_owned(),
            version: "1.0.0".to_owned(),
            applied: String::new(),
            installer: "0.1.0".to_owned(),
            runtime: receipt::ReceiptRuntime::None,
            verified: Vec::new(),
            files: Vec::new(),
            images: Vec::new(),
            warnings: Vec::new(),
            variables: Vec::new(),
            packs: packs.collect(),
        }
    }

    #[test]
    fn requirements_are_added_up() {
        let of = |cpu_milli, memory, disk| Requirements { cpu_milli, memory, disk };
        let with = |requirements| ResolvedPack { requirements, ..pack("a", "") };
        let packs = vec![with(of(250, 5, 0)), with(of(2000, 7, u64::MAX))];
        let profile = ResolvedProfile { requirements: of(1000, 1, 9), packs, ..ResolvedProfile::default() };
        assert_eq!(sum(&profile), of(3250, 13, u64::MAX));
        assert_eq!([3250, 500, 4000, 10].map(cores), ["3.25", "0.5", "4", "0.01"]);
    }

    #[test]
    fn a_tenth_is_kept_by_the_machine_itself() {
        assert!(amount("memory", 4 << 30, (4 << 30) - (400 << 20)).ok);
        assert!(!amount("memory", 4 << 30, 3 << 30).ok);
        assert!(!amount("disk", u64::MAX, 1 << 40).ok);
        assert!(size(Path::new("/")).unwrap() > 0);
    }

    #[test]
    fn dependencies_are_checked_again() {
        let wanted = |version: &str| ResolvedDependency { pack: "b".to_owned(), version: version.parse().ok() };
        let target = |packs: Vec<ResolvedPack>| {
            let root = Root::new(Path::new("/tmp")).unwrap();
            let platform = crate::oci::Platform::of_this_machine();
            let target = Target { root, runtime: super::super::survey::TargetRuntime::None, platform };
            let profile = ResolvedProfile { packs, ..ResolvedProfile::default() };
            let checks = checks(&profile, &target).unwrap();
            checks
                .into_iter()
                .map(|check| format!("{} {}: {}", check.needed, check.found, check.ok))
                .collect::<Vec<_>>()
        };
        let a = ResolvedPack { depends_on: vec![wanted(">=1"), wanted("none")], ..pack("a", "") };
        assert_eq!(target(vec![a.clone(), pack("b", "v1.2.0")]), ["b >=1 b v1.2.0: true", "b b v1.2.0: true"]);
        assert_eq!(target(vec![a.clone(), pack("b", "0.9.0")]), ["b >=1 b 0.9.0: false", "b b 0.9.0: true"]);
        assert_eq!(target(vec![a.clone(), pack("b", "")])[0], "b >=1 b without a version: false");
        assert_eq!(target(vec![a]), ["b >=1 nothing: false", "b nothing: false"]);
    }

    #[test]
    fn an_upgrade_starts_where_its_makers_say() {
        let profile = ResolvedProfile { name: "edge".to_owned(), ..ResolvedProfile::default() };
        let upgrading = ResolvedPack { upgrade_from: ">=1.3, <1.4".parse().ok(), ..pack("a", "1.4.0") };
        let found = |receipts: &[Receipt]| {
            let check = upgrade(&profile, &upgrading, receipts).unwrap();
            assert_eq!(check.ok, check.hint.is_none());
            (check.ok, check.found)
        };
        for (version, ok) in [("1.3.7", true), ("1.4.0", true), ("1.2.9", false), ("1.5.0", false), ("x", false)] {
            assert_eq!(found(&[receipt("edge", &[("a", Some(version))])]), (ok, version.to_owned()));
        }
        assert_eq!(found(&[]), (true, "nothing".to_owned()));
        assert_eq!(found(&[receipt("edge", &[("b", None)])]), (true, "nothing".to_owned()));
        let newest_first = [receipt("other", &[("b", None)]), receipt("edge", &[("a", Some("1.2.0"))])];
        assert_eq!(found(&newest_first), (false, "1.2.0".to_owned()));
        assert!(!found(&[receipt("edge", &[("a", None)])]).0);
        assert!(found(&[receipt("edge", &[])]).1.contains("0.1.0"));
        assert!(found(&[receipt("other", &[])]).0);
        assert_eq!(upgrade(&profile, &pack("a", "1.0.0"), &[]), None);
    }
}
