//! What packs ask of each other.

use super::{Dependency, Pack, Profile};
use crate::problem::{Problem, read_document};

/// A pack's version as a semantic one. Makers write a `v` in front; what else they write differently is none.
pub(super) fn semantic(version: &str) -> Option<semver::Version> {
    semver::Version::parse(version.strip_prefix('v').unwrap_or(version)).ok()
}

/// Everything that a pack of `profile` needs of another and does not get.
pub(super) fn check(profile: &Profile) -> Vec<Problem> {
    let mut problems = Vec::new();
    for pack in &profile.packs {
        for dependency in &pack.depends_on {
            if let Some(message) = unmet(pack, dependency, &profile.packs) {
                problems.push(at(pack, dependency, message));
            }
        }
    }
    problems
}

/// Why a pack does not have what it depends on.
fn unmet(pack: &Pack, dependency: &Dependency, packs: &[Pack]) -> Option<String> {
    let Dependency { pack: wanted, version: range, .. } = dependency;
    let name = &pack.name;
    if wanted == name {
        return Some(format!("pack {name:?} depends on itself"));
    }
    let Some(other) = packs.iter().find(|other| other.name == *wanted) else {
        return Some(format!("pack {name:?} depends on {wanted:?}, and the profile has no pack of this name"));
    };
    let range = range.as_ref()?;
    let Some(version) = &other.version else {
        return Some(format!("pack {name:?} depends on {wanted:?} {range}, and that pack has no version"));
    };
    match semantic(version) {
        None => Some(format!(
            "pack {name:?} depends on {wanted:?} {range}, and its version {version:?} is not a semantic one"
        )),
        Some(found) if !range.matches(&found) => {
            Some(format!("pack {name:?} depends on {wanted:?} {range}, and the profile has {version}"))
        }
        Some(_) => None,
    }
}

/// The problem with its line. The document has been read before; what cannot be read again is told without.
fn at(pack: &Pack, dependency: &Dependency, message: String) -> Problem {
    match read_document(&pack.file) {
        Ok(Ok(source)) => source.problem(dependency.position, message),
        _ => Problem { position: Some(dependency.position), ..Problem::with_file(&pack.file, message) },
    }
}

#[cfg(test)]
mod tests {
    use crate::profile::{Packs, Problems, load};

    /// The problems of a profile with these packs.
    fn problems(packs: &str) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let text = format!(
            "apiVersion: carrack/v1\nkind: ClusterProfile\nmetadata: {{name: a, version: 1.0.0}}\nspec:\n  packs:\n{packs}"
        );
        std::fs::write(folder.path().join("carrack.yaml"), text).unwrap();
        match load(folder.path(), &Packs::new()) {
            Ok(_) => Vec::new(),
            Err(Problems::Found(problems)) => {
                let short = |problem: String| {
                    problem.lines().next().unwrap().rsplit("carrack.yaml:").next().unwrap().to_owned()
                };
                problems.iter().map(|problem| short(problem.to_string())).collect()
            }
            Err(error) => panic!("{error}"),
        }
    }

    fn pack(name: &str, more: &str) -> String {
        format!("    - {{name: {name}, layer: addon, images: [a.example.org/a:1], {more}}}\n")
    }

    #[test]
    fn dependencies_are_met_in_any_order() {
        let packs = [
            pack("a", "dependsOn: [{pack: b}, {pack: c, version: \">=1.32, <2\"}, {pack: d, version: 1.2.3}]"),
            pack("b", ""),
            pack("c", "version: v1.32.5+k3s1"),
            pack("d", "version: 1.2.3"),
        ];
        assert_eq!(problems(&packs.concat()), [""; 0]);
    }

    #[test]
    fn every_dependency_that_is_not_met_is_told_with_its_place() {
        let packs = [
            pack("a", "dependsOn: [{pack: none}, {pack: b, version: ^2}, {pack: b, version: 1.2.4}, {pack: a}]"),
            pack("b", "version: 1.2.3, dependsOn: [{pack: c, version: '*'}, {pack: d, version: '1'}]"),
            pack("c", ""),
            pack("d", "version: \"2024a\""),
        ];
        let found = problems(&packs.concat());
        assert_eq!(
            found,
            [
                "6:72: pack \"a\" depends on \"none\", and the profile has no pack of this name",
                "6:86: pack \"a\" depends on \"b\" ^2, and the profile has 1.2.3",
                "6:110: pack \"a\" depends on \"b\" =1.2.4, and the profile has 1.2.3",
                "6:137: pack \"a\" depends on itself",
                "7:88: pack \"b\" depends on \"c\" *, and that pack has no version",
                "7:113: pack \"b\" depends on \"d\" ^1, and its version \"2024a\" is not a semantic one",
            ]
        );
    }

    #[test]
    fn where_a_host_may_come_from_needs_a_version_to_compare() {
        let packs = [
            pack("a", "upgradeFrom: \">=1\""),
            pack("b", "upgradeFrom: \">=1\", version: \"2024a\""),
            pack("c", "upgradeFrom: \">=1\", version: 1.4.0"),
        ];
        let found = problems(&packs.concat());
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(
            found[0].starts_with("6:") && found[0].ends_with("needs a semantic `version` of this pack"),
            "{found:?}"
        );
        assert!(found[1].starts_with("7:") && found[1].contains("\"2024a\""), "{found:?}");
    }
}
