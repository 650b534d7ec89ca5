//! What packs ask of other packs and of hosts.

use std::collections::BTreeMap;

use super::Import;
use super::descriptor::{Dependency, Descriptor};
use crate::profile::schema;

/// The packs of the profile by Palette's names: ours, and their versions.
pub(super) type Known = BTreeMap<String, (String, String)>;

/// What a host must have.
pub(super) fn resources(descriptor: &Descriptor) -> Option<schema::Requirements> {
    let [cpu, memory, disk] = descriptor.resources;
    let amount = |amount: Option<u64>, unit: &str| amount.map(|amount| format!("{amount}{unit}").into());
    let any = cpu.or(memory).or(disk);
    any.map(|_| schema::Requirements {
        cpu: amount(cpu, "m"),
        memory: amount(memory, "MiB"),
        disk: amount(disk, "GiB"),
        ..schema::Requirements::default()
    })
}

/// The packs that a pack needs and that the profile has; what is more than that is listed.
pub(super) fn dependencies(
    import: &mut Import,
    descriptor: &Descriptor,
    packs: &Known,
) -> Option<Vec<schema::Dependency>> {
    let mut wanted = Vec::new();
    for one in &descriptor.dependencies {
        match dependency(one, &descriptor.name, packs) {
            Ok(dependency) => wanted.push(dependency),
            Err(reason) => import.left.out(&descriptor.place, None, &one.field, reason),
        }
    }
    Some(wanted).filter(|wanted| !wanted.is_empty())
}

fn dependency(one: &Dependency, own: &str, packs: &Known) -> Result<schema::Dependency, String> {
    let Dependency { pack, kind, .. } = one;
    if kind != "required" {
        return Err(format!("Carrack has no dependency that is {kind:?}, as that on {pack}"));
    }
    let (name, version) = packs.get(pack).filter(|_| pack != own).ok_or(format!("the profile has no pack {pack}"))?;
    let range = range(one)?;
    let found = semver::Version::parse(version.trim_start_matches('v'));
    match range {
        Some(range) if !found.is_ok_and(|found| range.matches(&found)) => {
            Err(format!("the profile has {pack} {version}, and {range} is needed"))
        }
        range => Ok(schema::Dependency { pack: name.clone(), version: range.map(|range| range.to_string()) }),
    }
}

/// The range of versions that a dependency has.
fn range(dependency: &Dependency) -> Result<Option<semver::VersionReq>, String> {
    let bound = |sign: &str, version: &Option<String>| version.as_ref().map(|version| format!("{sign}{version}"));
    let bounds: Vec<String> =
        [bound(">=", &dependency.min), bound("<=", &dependency.max)].into_iter().flatten().collect();
    if bounds.is_empty() {
        return Ok(None);
    }
    let range = bounds.join(", ");
    let parsed = semver::VersionReq::parse(&range);
    parsed.map(Some).map_err(|error| format!("{range:?} is no range of versions: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn depends(pack: &str, kind: &str, min: &str, max: &str) -> Result<Option<String>, String> {
        let packs = [("own", "1.0.0"), ("k3s", "v1.32.5+k3s1"), ("odd", "latest")];
        let packs: Known = packs.map(|(name, version)| (name.to_owned(), (name.to_owned(), version.to_owned()))).into();
        let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let one = Dependency {
            field: String::new(),
            pack: pack.to_owned(),
            kind: kind.to_owned(),
            min: text(min),
            max: text(max),
        };
        dependency(&one, "own", &packs).map(|dependency| dependency.version)
    }

    #[test]
    fn only_what_the_profile_has_is_depended_on() {
        assert_eq!(depends("k3s", "required", "1.30.0", ""), Ok(Some(">=1.30.0".to_owned())));
        assert_eq!(depends("odd", "required", "", ""), Ok(None));
        for (pack, kind, min, max, reason) in [
            ("k3s", "optional", "", "", "Carrack has no dependency that is \"optional\", as that on k3s"),
            ("vault", "required", "", "", "the profile has no pack vault"),
            ("own", "required", "", "", "the profile has no pack own"),
            (
                "k3s",
                "required",
                "1.33.0",
                "1.40.0",
                "the profile has k3s v1.32.5+k3s1, and >=1.33.0, <=1.40.0 is needed",
            ),
            ("odd", "required", "1.0.0", "", "the profile has odd latest, and >=1.0.0 is needed"),
        ] {
            assert_eq!(depends(pack, kind, min, max), Err(reason.to_owned()));
        }
        assert!(depends("k3s", "required", "x", "").unwrap_err().starts_with("\">=x\" is no range of versions: "));
    }
}
