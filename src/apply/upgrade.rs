//! Which version may follow which: of the profile, and of its Kubernetes; and which installer a bundle asks for.

use std::cmp::Ordering;

use super::check::{Check, Verdict};
use super::cluster::NONE;
use super::receipt::Receipt;
use crate::bundle::{Contents, ResolvedPack, ResolvedProfile};

/// The check of the installer's own version.
const INSTALLER: &str = "installer";
/// The check that refuses an older version of the profile.
const DOWNGRADE: &str = "downgrade";
/// The check that refuses a Kubernetes that cannot follow the one that is installed.
const KUBERNETES: &str = "kubernetes-version";

/// Whether this installer is as new as the bundle asks for. The survey asks again, so skipping this has it fail there.
pub(super) fn installer(contents: &Contents) -> Option<Check> {
    let needs = contents.requires_installer.as_ref()?;
    let this = env!("CARGO_PKG_VERSION");
    let ok = version(this).is_some_and(|this| this >= *needs);
    let check = Check::new(INSTALLER, format!("carrack-install {needs} or later"), this, ok);
    Some(check.or("use the carrack-install that came with the bundle"))
}

/// Every check for `profile` on a host with these receipts, the newest first. Nothing where nothing is there to compare with.
pub(super) fn checks(profile: &ResolvedProfile, receipts: &[Receipt]) -> Vec<Check> {
    let kubernetes = profile.packs.iter().filter_map(|pack| kubernetes(pack, receipts));
    downgrade(profile, receipts).into_iter().chain(kubernetes).collect()
}

/// Lets an older version of the profile pass, as a warning.
pub fn allow_downgrade(checks: &mut [Check]) {
    for check in checks.iter_mut().filter(|check| check.name == DOWNGRADE && check.failed()) {
        (check.verdict, check.hint) = (Verdict::Warn, None);
    }
}

/// Whether what is installed of the profile is as old as the bundle, or older.
fn downgrade(profile: &ResolvedProfile, receipts: &[Receipt]) -> Option<Check> {
    let installed = &receipts.iter().find(|receipt| receipt.name == profile.name)?.version;
    let compared = || Some(version(installed)?.cmp_precedence(&version(&profile.version)?));
    let ok = *installed == profile.version || compared().is_some_and(Ordering::is_le);
    let needed = format!("{} or older installed", profile.version);
    let hint = "apply a newer bundle, or go back to the version before: carrack-install rollback; where the older one is really wanted: --allow-downgrade";
    Some(Check::new(DOWNGRADE, needed, installed, ok).or(hint))
}

/// Kubernetes is upgraded by one minor version at a time, and an older minor version cannot read what a newer one has stored
/// (<https://kubernetes.io/releases/version-skew-policy/>).
fn kubernetes(pack: &ResolvedPack, receipts: &[Receipt]) -> Option<Check> {
    let distribution = pack.distribution.as_deref().filter(|distribution| *distribution != NONE)?;
    let installed = receipts.iter().find_map(|receipt| receipt.kubernetes(&pack.name))?;
    if let Some(other) = installed.distribution.as_deref().filter(|other| *other != distribution) {
        let hint = "one does not become the other: uninstall what is there, or take a new host";
        return Some(Check::new(KUBERNETES, distribution, other, false).or(hint));
    }
    let (major, minor) = minor(pack.version.as_deref()?)?;
    let needed = match minor.checked_sub(1) {
        Some(before) => format!("{} {major}.{before} or {major}.{minor}", pack.name),
        None => format!("{} {major}.{minor}", pack.name),
    };
    let Some(text) = installed.version.as_deref() else {
        let check = Check::new(KUBERNETES, needed, "a version that is not known", Verdict::Warn);
        return Some(check.or("see that it is no more than one minor version older"));
    };
    let (ok, hint) = match self::minor(text) {
        None => (false, "give the pack a version of Kubernetes, such as 1.32.5+k3s1"),
        Some((other, _)) if other != major => (false, "install a version of the bundle in between first"),
        Some((_, older)) if older < minor => (older + 1 == minor, "upgrade one minor version of Kubernetes at a time"),
        Some((_, other)) => (
            other == minor,
            "an older Kubernetes cannot read what a newer one has stored: go back with the data of then",
        ),
    };
    Some(Check::new(KUBERNETES, needed, text, ok).or(hint))
}

/// With or without `v` in front of it.
fn version(text: &str) -> Option<semver::Version> {
    semver::Version::parse(text.strip_prefix('v').unwrap_or(text)).ok()
}

/// `1.32.5+k3s1` is minor version 32 of 1, and so is `v1.32`.
fn minor(text: &str) -> Option<(u64, u64)> {
    let mut numbers = text.strip_prefix('v').unwrap_or(text).split(['.', '-', '+']).map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => Some((major, minor)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::constraints::tests::receipt;
    use super::*;

    fn of(name: &str, version: &str, pack: Option<&str>) -> Receipt {
        Receipt { version: version.to_owned(), ..receipt(name, &[("k3s", pack)]) }
    }

    fn profile(version: &str, distribution: &str, pack: Option<&str>) -> ResolvedProfile {
        let pack = ResolvedPack {
            name: "k3s".to_owned(),
            layer: "k8s".to_owned(),
            version: pack.map(str::to_owned),
            distribution: Some(distribution.to_owned()),
            ..ResolvedPack::default()
        };
        let (name, version) = ("edge".to_owned(), version.to_owned());
        ResolvedProfile { name, version, packs: vec![pack], ..ResolvedProfile::default() }
    }

    fn verdict(checks: &[Check], name: &str) -> Option<Verdict> {
        let check = checks.iter().find(|check| check.name == name)?;
        assert_eq!(check.verdict == Verdict::Ok, check.hint.is_none(), "{check:?}");
        Some(check.verdict)
    }

    #[test]
    fn an_older_version_of_the_profile_is_refused() {
        let to = |version: &str, receipts: &[Receipt]| {
            verdict(&checks(&profile(version, "none", None), receipts), DOWNGRADE)
        };
        let installed = |version: &str| [of("edge", version, None)];
        for version in ["2.0.0", "2.0.1", "10.0.0", "2.0.0+other", "2.1.0-rc.1"] {
            assert_eq!(to(version, &installed("2.0.0")), Some(Verdict::Ok), "{version}");
        }
        for version in ["1.9.9", "2.0.0-rc.1", "two"] {
            assert_eq!(to(version, &installed("2.0.0")), Some(Verdict::Fail), "{version}");
        }
        assert_eq!(to("two", &installed("two")), Some(Verdict::Ok));
        assert_eq!(to("1.0.0", &[]), None);
        assert_eq!(to("1.0.0", &[of("other", "2.0.0", None)]), None);
        // Another profile's receipt is newer; and after a rollback, the newest of the profile's own counts.
        assert_eq!(to("1.0.0", &[of("other", "1.0.0", None), of("edge", "2.0.0", None)]), Some(Verdict::Fail));
        assert_eq!(to("1.5.0", &[of("edge", "1.0.0", None), of("edge", "2.0.0", None)]), Some(Verdict::Ok));
    }

    #[test]
    fn a_downgrade_that_is_wanted_is_a_warning() {
        let mut checks = checks(&profile("1.0.0", "k3s", Some("1.30.0")), &[of("edge", "2.0.0", Some("1.32.0"))]);
        allow_downgrade(&mut checks);
        let found: Vec<(&str, Verdict)> = checks.iter().map(|check| (check.name.as_str(), check.verdict)).collect();
        assert_eq!(found, [(DOWNGRADE, Verdict::Warn), (KUBERNETES, Verdict::Fail)]);
    }

    #[test]
    fn kubernetes_is_upgraded_by_one_minor_version() {
        let to = |version: &str, from: Option<&str>| {
            verdict(&checks(&profile("1.0.0", "k3s", Some(version)), &[of("other", "1.0.0", from)]), KUBERNETES)
        };
        for from in ["1.32.5+k3s1", "v1.32.9", "1.31.0", "v1.31.2+rke2r1", "1.31"] {
            assert_eq!(to("1.32.5+k3s1", Some(from)), Some(Verdict::Ok), "{from}");
        }
        for from in ["1.30.14", "1.33.0", "2.31.0", "0.31.0", "new", ""] {
            assert_eq!(to("v1.32.5", Some(from)), Some(Verdict::Fail), "{from}");
        }
        assert_eq!(to("1.32.5", None), Some(Verdict::Warn));
        assert_eq!(to("1.0.0", Some("1.0.0")), Some(Verdict::Ok));
        assert_eq!(to("new", Some("1.30.0")), None, "what cannot be compared is nobody's Kubernetes");
        // Whatever the pack is called; and one distribution is not another.
        let mut renamed = of("edge", "1.0.0", Some("1.30.0"));
        renamed.packs[0].name = "kubernetes".to_owned();
        for (distribution, want) in [("k3s", "k3s 1.31 or 1.32"), ("rke2", "k3s")] {
            renamed.packs[0].distribution = Some(distribution.to_owned());
            let checks = checks(&profile("1.0.0", "k3s", Some("1.32.0")), &[renamed.clone()]);
            let check = checks.iter().find(|check| check.name == KUBERNETES).unwrap();
            assert_eq!((check.verdict, check.needed.as_str()), (Verdict::Fail, want));
        }
        let none = checks(&profile("1.0.0", "none", Some("1.32.0")), &[of("other", "1.0.0", Some("1.20.0"))]);
        assert_eq!(verdict(&none, KUBERNETES), None);
    }
}
