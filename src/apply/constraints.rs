//! What packs ask of each other, and of what is installed.

use super::check::Check;
use super::receipt::Receipt;
use crate::bundle::{ResolvedPack, ResolvedProfile};

/// Every check for `profile` on a host with these receipts, the newest first.
pub(super) fn checks(profile: &ResolvedProfile, receipts: &[Receipt]) -> Vec<Check> {
    let mut checks = Vec::new();
    for pack in &profile.packs {
        checks.extend(pack.depends_on.iter().map(|wanted| {
            let other = profile.packs.iter().find(|other| other.name == wanted.pack);
            dependency(pack, &wanted.pack, wanted.version.as_ref(), other)
        }));
    }
    checks.extend(profile.packs.iter().filter_map(|pack| upgrade(profile, pack, receipts)));
    checks
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
    Check::new(format!("pack-{}", pack.name), needed, found, ok)
}

/// Whether the installed version of a pack can be upgraded to the bundle's. The same version always can.
fn upgrade(profile: &ResolvedProfile, pack: &ResolvedPack, receipts: &[Receipt]) -> Option<Check> {
    let range = pack.upgrade_from.as_ref()?;
    let made = |found: String, ok: bool| {
        Check::new(format!("upgrade-{}", pack.name), format!("{range} or nothing"), found, ok)
    };
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
    Some(check.or(hint))
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::receipt;
    use super::*;
    use crate::bundle::ResolvedDependency;

    fn pack(name: &str, version: &str) -> ResolvedPack {
        let version = (!version.is_empty()).then(|| version.to_owned());
        ResolvedPack { name: name.to_owned(), layer: "addon".to_owned(), version, ..ResolvedPack::default() }
    }

    pub(in crate::apply) fn receipt(name: &str, packs: &[(&str, Option<&str>)]) -> Receipt {
        let packs = packs.iter().map(|(name, version)| receipt::ReceiptPack {
            name: (*name).to_owned(),
            version: version.map(str::to_owned),
            distribution: None,
        });
        Receipt {
            receipt_version: 1,
            installer: "0.1.0".to_owned(),
            packs: packs.collect(),
            ..Receipt::empty(name, "1.0.0")
        }
    }

    #[test]
    fn dependencies_are_checked_again() {
        let wanted = |version: &str| ResolvedDependency { pack: "b".to_owned(), version: version.parse().ok() };
        let target = |packs: Vec<ResolvedPack>| {
            let profile = ResolvedProfile { packs, ..ResolvedProfile::default() };
            checks(&profile, &[])
                .into_iter()
                .map(|check| format!("{} {}: {}", check.needed, check.found, !check.failed()))
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
            assert_eq!(check.failed(), check.hint.is_some());
            (!check.failed(), check.found)
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
