//! Whether a profile brings what its distribution runs on a host: the programs, executable, for each platform, and of
//! versions that go together.
//!
//! Owns which programs a distribution has. Files on this machine are looked into and never run; of those on servers only
//! the first bytes are known. It must not know how either is fetched or packed.

mod content;
mod stamp;
mod versions;

use std::collections::BTreeMap;
use std::path::Path;

pub use content::START;
use content::{Content, Verdict};

use crate::oci::Platform;
use crate::places::is_program_path;
use crate::problem::{Problem, Problems};
use crate::profile::{Distribution, FileOrigin, FileSource, Pack, Profile};

/// Where a program may be that only some profiles bring: charts of kubeadm and Canonical Kubernetes are installed with it.
const HELM: &str = "helm";

/// The first bytes of files on servers, at least [`START`] of them where the file has as many, by address.
pub type Starts = BTreeMap<String, Vec<u8>>;

/// A host file and the pack that brings it.
#[derive(Clone, Copy)]
struct Brought<'p> {
    pack: &'p Pack,
    file: &'p FileSource,
}

impl<'p> Brought<'p> {
    fn is_for(self, platform: &Platform) -> bool {
        self.file.platform.as_ref().is_none_or(|own| own.satisfies(platform))
    }

    fn name(self) -> &'p str {
        self.file.path.rsplit('/').next().unwrap_or_default()
    }

    fn problem(self, message: String) -> Problem {
        Problem { position: Some(self.file.position), ..Problem::with_file(&self.pack.file, message) }
    }
}

/// The addresses of programs on servers, whose first bytes [`check`] looks at.
pub fn on_servers(profile: &Profile) -> Vec<String> {
    let Some((_, programs)) = wanted(profile) else { return Vec::new() };
    let found = files(profile).filter(|brought| [programs, &[HELM]].concat().contains(&brought.name()));
    let found = found.filter(|brought| is_program_path(&brought.file.path));
    let mut found: Vec<String> = found.filter_map(|brought| url(brought.file)).map(str::to_owned).collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// Checks the programs of the profile's distribution. What is not wrong but worth knowing is returned.
///
/// # Errors
/// Every program that cannot be run on a host that gets it, or cannot be read here.
pub fn check(profile: &Profile, starts: &Starts) -> Result<Vec<Problem>, Problems> {
    let Some((pack, programs)) = wanted(profile) else { return Ok(Vec::new()) };
    let mut report = Report { starts, problems: Vec::new(), warnings: Vec::new() };
    let mut found = Vec::new();
    for name in programs.iter().copied().chain([HELM]) {
        let here: Vec<_> =
            profile.platforms.iter().map(|platform| (platform, program(profile, name, platform))).collect();
        let brought: Vec<Brought<'_>> = here.iter().filter_map(|(_, brought)| *brought).collect();
        match brought.first() {
            None if name == HELM => {}
            None => report.warnings.push(Problem::with_file(&pack.file, format!(
                "pack {} brings no program {name}; each host must have one already, or add it to `files`, with the path /usr/local/bin/{name}",
                pack.name
            ))),
            Some(some) => {
                let missing = here.iter().filter(|(_, brought)| brought.is_none()).map(|(platform, _)| *platform);
                report.problems.extend(missing.map(|platform| some.problem(format!(
                    "{name} is here for other platforms and not for {platform}; add one with `platform: {platform}`"
                ))));
            }
        }
        for (platform, brought) in here {
            let Some(brought) = brought else { continue };
            let content = report.look(brought, platform);
            found.extend(content.map(|content| (name, brought, content)));
        }
    }
    if pack.distribution == Some(Distribution::Kubeadm) {
        let (problems, warnings) = versions::check(pack, &found);
        report.problems.extend(problems);
        report.warnings.extend(warnings);
    }
    if pack.distribution == Some(Distribution::Canonical) && !files(profile).any(|brought| is_snap(brought.name())) {
        report.warnings.push(Problem::with_file(&pack.file, format!(
            "pack {} brings no k8s.snap; add it to `files` with its base and their .assert, or nothing can be started",
            pack.name
        )));
    }
    let Report { mut problems, mut warnings, .. } = report;
    // One file for several platforms is one mistake.
    problems.dedup();
    warnings.dedup();
    if problems.is_empty() { Ok(warnings) } else { Err(Problems::Found(problems)) }
}

struct Report<'s> {
    starts: &'s Starts,
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
}

impl Report<'_> {
    /// Looks at a program that hosts of `platform` get. What is not on this machine is known by its first bytes alone.
    fn look(&mut self, brought: Brought<'_>, platform: &Platform) -> Option<Content> {
        let FileSource { path, mode, .. } = brought.file;
        if mode & 0o111 == 0 {
            let message = format!(
                "{path} is a program of the distribution and has mode {mode:04o}, by which nobody can run it; leave `mode` out, or say \"0755\""
            );
            self.problems.push(brought.problem(message));
        }
        let content = match &brought.file.source {
            FileOrigin::Local(source) => Content::of(source),
            FileOrigin::Url { url, .. } => Ok(Content::starting_with(self.starts.get(url)?)),
        };
        let content = match content {
            Ok(content) => content,
            Err(error) => {
                self.problems.push(brought.problem(error.to_string()));
                return None;
            }
        };
        match content.verdict(platform) {
            Verdict::Fits => {}
            Verdict::Script => {
                self.warnings.push(brought.problem(format!(
                    "{path} is a script and no program of its own; see that each host has what it runs"
                )));
            }
            Verdict::Wrong(what) => {
                let own = if content.is_elf() { "; give each platform its own file with `platform`" } else { "" };
                let message = format!("{path} is {what}, and a host of {platform} cannot run it{own}");
                self.problems.push(brought.problem(message));
            }
        }
        Some(content)
    }
}

/// The pack with a distribution that Carrack sets up, and its programs.
fn wanted(profile: &Profile) -> Option<(&Pack, &'static [&'static str])> {
    profile.packs.iter().find_map(|pack| {
        let programs: &[&str] = match pack.distribution? {
            Distribution::K3s => &["k3s"],
            Distribution::Rke2 => &["rke2"],
            Distribution::Kubeadm => &["kubeadm", "kubelet", "kubectl"],
            // The host's own snapd installs the snap.
            Distribution::Canonical => &[],
            Distribution::None => return None,
        };
        Some((pack, programs))
    })
}

fn files(profile: &Profile) -> impl Iterator<Item = Brought<'_>> {
    profile.packs.iter().flat_map(|pack| pack.files.iter().map(move |file| Brought { pack, file }))
}

/// The file that is the program `name` on hosts of `platform`, as the installer finds it: in a folder of programs first.
fn program<'p>(profile: &'p Profile, name: &str, platform: &Platform) -> Option<Brought<'p>> {
    let named: Vec<_> = files(profile).filter(|brought| brought.name() == name && brought.is_for(platform)).collect();
    let program = named.iter().find(|brought| is_program_path(&brought.file.path));
    // A file of this name elsewhere may be anything; only the distribution's own are sought at any place.
    program.or(named.first().filter(|_| name != HELM)).copied()
}

fn url(file: &FileSource) -> Option<&str> {
    match &file.source {
        FileOrigin::Url { url, .. } => Some(url),
        FileOrigin::Local(_) => None,
    }
}

fn is_snap(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|end| end == "snap") && (name == "k8s.snap" || name.starts_with("k8s_"))
}

#[cfg(test)]
mod tests {
    use super::content::tests::{elf, start};
    use super::*;
    use crate::profile::{self, Loaded, Packs};

    /// A profile, and the folder that it names files of.
    struct Made {
        profile: Profile,
        _folder: tempfile::TempDir,
    }

    /// A profile of `platforms` whose pack of `distribution` has `files`, a line each, with what lies beside it.
    fn profile(platforms: &str, distribution: &str, files: &[&str], beside: &[(&str, Vec<u8>)]) -> Made {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in beside {
            std::fs::write(folder.path().join(name), content).unwrap();
        }
        let files: String = files.iter().map(|file| format!("\n        - {file}")).collect();
        let text = format!(
            "apiVersion: carrack/v1\nkind: ClusterProfile\nmetadata: {{name: a, version: 1.0.0}}\nspec:\n  \
             platforms: [{platforms}]\n  packs:\n    - name: base\n      layer: k8s\n      version: 1.31.2\n      \
             distribution: {distribution}\n      files: [{{source: ./x, path: /etc/x}}]\n    - name: more\n      layer: addon\n      files:\n        \
             - {{source: ./x, path: /etc/y}}{files}\n"
        );
        std::fs::write(folder.path().join("x"), "x").unwrap();
        std::fs::write(folder.path().join("carrack.yaml"), text).unwrap();
        let loaded = profile::load(&folder.path().join("carrack.yaml"), &Packs::new());
        let Loaded::Profile(profile) = loaded.unwrap() else { panic!("no pack is missing") };
        Made { profile: *profile, _folder: folder }
    }

    fn told(made: &Made) -> (Vec<String>, Vec<String>) {
        told_with(made, &Starts::new())
    }

    /// Problems and warnings.
    fn told_with(made: &Made, starts: &Starts) -> (Vec<String>, Vec<String>) {
        let messages = |found: Vec<Problem>| found.into_iter().map(|problem| problem.message).collect();
        match check(&made.profile, starts) {
            Ok(warnings) => (Vec::new(), messages(warnings)),
            Err(Problems::Found(problems)) => (messages(problems), Vec::new()),
            Err(error) => panic!("{error:?}"),
        }
    }

    const BOTH: &str = "linux/amd64, linux/arm64";

    #[test]
    fn a_program_for_each_platform_is_right() {
        let beside = [("a", start("amd64")), ("b", start("arm64"))];
        let files = [
            "{source: ./a, path: /usr/local/bin/k3s, platform: linux/amd64}",
            "{source: ./b, path: /usr/local/bin/k3s, platform: linux/arm64}",
        ];
        assert_eq!(told(&profile(BOTH, "k3s", &files, &beside)), (vec![], vec![]));
        assert_eq!(told(&profile(BOTH, "none", &["{source: ./a, path: /usr/bin/k3s}"], &beside)), (vec![], vec![]));
        // A file of the same name that lies elsewhere is not the program.
        let files = ["{source: ./x, path: /etc/default/k3s}", "{source: ./a, path: /opt/bin/k3s}"];
        assert_eq!(told(&profile("linux/amd64", "k3s", &files, &beside)), (vec![], vec![]));
    }

    #[test]
    fn a_program_of_another_machine_or_of_none_is_named() {
        let beside = [("a", start("amd64")), ("page", b"<html>log in first, please</html>".to_vec())];
        let file = |mode: &str| {
            profile(BOTH, "rke2", &[&format!("{{source: ./a, path: /usr/local/bin/rke2{mode}}}")], &beside)
        };
        let wrong = "/usr/local/bin/rke2 is an ELF program of amd64, and a host of linux/arm64 cannot run it; give each platform its own file with `platform`";
        assert_eq!(told(&file("")).0, [wrong]);
        let Err(Problems::Found(found)) = check(&file("").profile, &Starts::new()) else { panic!("it is wrong") };
        assert_eq!(found[0].position.map(|position| position.line), Some(16));
        let problems = told(&file(", mode: \"0644\"")).0;
        assert!(problems[0].contains("has mode 0644, by which nobody can run it"), "{problems:?}");
        let problems = told(&file(", platform: linux/arm64")).0;
        assert_eq!(problems.len(), 2, "{problems:?}");
        assert!(problems[0].contains("rke2 is here for other platforms and not for linux/amd64"), "{problems:?}");
        let page = profile("linux/amd64", "k3s", &["{source: ./page, path: /usr/bin/k3s}"], &beside);
        assert!(told(&page).0[0].contains("neither an ELF program nor a script"));
    }

    #[test]
    fn a_script_and_a_program_of_the_host_are_visible() {
        let script = [("s", b"#!/bin/sh\n".to_vec())];
        let made = profile(BOTH, "k3s", &["{source: ./s, path: /usr/local/bin/k3s}"], &script);
        let (problems, warnings) = told(&made);
        assert_eq!((problems.len(), warnings.len()), (0, 1), "{warnings:?}");
        assert!(warnings[0].starts_with("/usr/local/bin/k3s is a script"), "{warnings:?}");
        let (problems, warnings) = told(&profile(BOTH, "kubeadm", &[], &[]));
        assert!(problems.is_empty());
        for (warning, name) in warnings.iter().zip(["kubeadm", "kubelet", "kubectl"]) {
            assert!(
                warning.starts_with(&format!("pack base brings no program {name}; each host must have one")),
                "{warning}"
            );
        }
        let (_, warnings) = told(&profile(BOTH, "canonical", &[], &[]));
        assert!(warnings[0].contains("brings no k8s.snap"), "{warnings:?}");
        let snap = ["{source: ./x, path: /var/lib/snaps/k8s_1234.snap}"];
        assert_eq!(told(&profile(BOTH, "canonical", &snap, &[])), (vec![], vec![]));
    }

    #[test]
    fn the_three_programs_of_kubeadm_go_together() {
        let files = ["kubeadm", "kubelet", "kubectl", "helm"]
            .map(|name| format!("{{source: ./{name}, path: /usr/bin/{name}}}"));
        let made = |versions: [&str; 3]| {
            let beside = [
                ("kubeadm", elf("amd64", versions[0])),
                ("kubelet", elf("amd64", versions[1])),
                ("kubectl", elf("amd64", versions[2])),
                ("helm", elf("amd64", "v1.2.3")),
            ];
            told(&profile("linux/amd64", "kubeadm", &files.each_ref().map(String::as_str), &beside))
        };
        assert_eq!(made(["v1.31.2", "v1.29.0", "v1.32.1"]), (vec![], vec![]));
        let (problems, _) = made(["v1.31.3", "v1.32.0", "v1.29.9"]);
        assert_eq!(problems.len(), 3, "{problems:?}");
        assert_eq!(
            problems[0],
            "/usr/bin/kubeadm is of Kubernetes v1.31.3, and version 1.31.2 of the pack needs kubeadm 1.31.2"
        );
        let (problems, warnings) = made(["v1.31.2", "", "v1.31.2"]);
        assert!(problems.is_empty());
        assert_eq!(
            warnings,
            ["/usr/bin/kubelet does not say of which Kubernetes it was built; see that it goes with 1.31.2"]
        );
    }

    #[test]
    fn of_a_program_on_a_server_the_start_is_known() {
        let url = "https://example.org/k3s-arm64";
        let file = format!("{{source: \"{url}\", sha256: {}, path: /usr/local/bin/k3s}}", "a".repeat(64));
        let made = profile("linux/amd64", "k3s", &[&file], &[]);
        assert_eq!(on_servers(&made.profile), [url]);
        assert_eq!(told(&made), (vec![], vec![]), "before anything is fetched");
        let starts = |start: Vec<u8>| Starts::from([(url.to_owned(), start)]);
        assert_eq!(told_with(&made, &starts(start("amd64"))), (vec![], vec![]));
        assert!(told_with(&made, &starts(start("arm64"))).0[0].contains("an ELF program of arm64"));
    }
}
