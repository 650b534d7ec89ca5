//! Every name that is written, held against what is published.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use carrack::distro::{Setup, SetupFile, Step};
use carrack::yaml::{self, Node};

use crate::cases::{CASES, DISTRIBUTIONS, Machine};

/// The sections of `fixtures/distro/DISTRIBUTION/options.txt`.
struct Published(BTreeMap<String, BTreeSet<String>>);

impl Published {
    fn of(distribution: &str) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/distro");
        let text = fs::read_to_string(root.join(distribution).join("options.txt")).unwrap();
        assert!(text.contains("https://"), "{distribution}: no source is named");
        let mut sections: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let mut at = String::new();
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            match line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
                Some(name) => {
                    name.clone_into(&mut at);
                    sections.entry(at.clone()).or_default();
                }
                None => {
                    sections.get_mut(&at).unwrap().insert(line.to_owned());
                }
            }
        }
        let vip = fs::read_to_string(root.join("kube-vip.txt")).unwrap();
        let variables = vip.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect();
        sections.insert("kube-vip".to_owned(), variables);
        Self(sections)
    }

    fn check(&self, section: &str, name: &str, place: &str) {
        let Some(names) = self.0.get(section) else {
            panic!("{place}: nothing is published for [{section}], which has {name}")
        };
        let starred = |pattern: &String| pattern.strip_suffix('*').is_some_and(|start| name.starts_with(start));
        assert!(names.contains(name) || names.iter().any(starred), "{place}: {name} is not in [{section}]");
    }

    /// The paths of a tree's keys; `*` stands for a name of somebody's own.
    fn tree(&self, section: &str, above: &str, node: &Node, place: &str) {
        for item in node.items() {
            self.tree(section, above, item, place);
        }
        for entry in node.entries() {
            let joined = |key: &str| if above.is_empty() { key.to_owned() } else { format!("{above}.{key}") };
            let any = joined("*");
            let known = self.0.get(section).unwrap_or_else(|| panic!("{place}: [{section}]"));
            let path = if known.contains(&any) { any } else { joined(&entry.key) };
            self.check(section, &path, place);
            self.tree(section, &path, &entry.value, place);
        }
    }

    fn command(&self, distribution: &str, command: &[String]) {
        let scripts = command.iter().filter(|word| word.contains('\n'));
        for line in scripts.flat_map(|script| script.lines()) {
            self.line(distribution, line);
        }
        if command.first().is_some_and(|program| program != "/bin/sh") {
            self.words(distribution, &command.iter().map(String::as_str).collect::<Vec<_>>());
        }
    }

    /// The programs of a line of a script.
    fn line(&self, distribution: &str, line: &str) {
        let line = line
            .trim()
            .trim_start_matches("exec ")
            .replace("\"$kubeadm\"", "kubeadm")
            .replace("\"$program\"", distribution);
        let line = line.rsplit_once(") ").map_or(line.as_str(), |(_, command)| command).trim_end_matches(" ;;");
        let words: Vec<&str> = line.split(' ').map(|word| word.trim_matches(['"', '\''])).collect();
        let program = words[0].rsplit('/').next().unwrap_or_default();
        if ["kubeadm", "snap", "k8s", "k3s", "rke2"].contains(&program) {
            self.words(distribution, &words);
        }
    }

    /// A program: its subcommand is in the words before its section's flags.
    fn words(&self, distribution: &str, words: &[&str]) {
        let program = words[0].rsplit('/').next().unwrap_or_default();
        if ["update-ca-certificates", "update-ca-trust", "systemctl", "rm"].contains(&program) {
            return;
        }
        if let Some(at) = words.iter().position(|word| *word == "--") {
            self.words(distribution, &words[at + 1..]);
            return self.words(distribution, &words[..at]);
        }
        // Programs within a program.
        if words.get(1).is_some_and(|word| ["kubectl", "helm"].contains(word)) {
            return self.words(distribution, &words[1..]);
        }
        let plain: Vec<&str> = words[1..].iter().filter(|word| !word.starts_with('-')).copied().collect();
        let program = if program == distribution && distribution != "kubeadm" { "" } else { program };
        let section = |count: usize| {
            let subcommand = plain.iter().take(count).copied();
            let all: Vec<&str> = Some(program).filter(|name| !name.is_empty()).into_iter().chain(subcommand).collect();
            all.join(" ")
        };
        // The value of a flag before it may stand among the words; then the section is that of a later one.
        let known = |name: &String| self.0.contains_key(name);
        let direct = (0..=2).rev().map(section).find(known);
        let later = || plain.iter().map(|word| format!("{program} {word}")).find(known);
        let section = direct.or_else(later).unwrap_or_else(|| panic!("nothing is published for {words:?}"));
        for flag in words.iter().filter(|word| word.starts_with('-')) {
            let name = flag.trim_start_matches('-').split('=').next().unwrap_or_default();
            self.check(&section, name, &format!("{words:?}"));
        }
    }

    fn file(&self, distribution: &str, role: &str, file: &SetupFile) {
        let (path, text) = (file.path.as_str(), file.text.as_str());
        let shared =
            ["/etc/hostname", "/usr/local/share/ca-certificates/", "/etc/systemd/system/carrack-dummy-route.service"];
        if shared.iter().any(|place| path.starts_with(place)) {
            return;
        }
        self.check("files", path, path);
        let name = path.rsplit('/').next().unwrap_or_default();
        match name {
            "50-carrack.yaml" => {
                for entry in document(text).entries() {
                    let key = entry.key.trim_end_matches('+');
                    // `k3s agent` ends where it finds what the profile says to servers.
                    self.check(role, key, path);
                }
            }
            "registries.yaml" => self.tree("registries.yaml", "", document(text), path),
            "hosts.toml" => {
                let keys = text.lines().filter_map(|line| line.trim().split_once(" = "));
                keys.for_each(|(key, _)| self.check("hosts.toml", key, path));
            }
            "config.yaml" | "cluster.yaml" if distribution == "kubeadm" => {
                for document in &yaml::parse(text).documents {
                    let field = |name: &str| document.get(name).and_then(Node::text).unwrap();
                    self.tree(&format!("{} {}", field("apiVersion"), field("kind")), "", document, path);
                }
            }
            "config.yaml" => {
                let section = if role == "first" { "bootstrap".to_owned() } else { format!("join {role}") };
                document(text).entries().iter().for_each(|entry| self.check(&section, &entry.key, path));
            }
            "carrack-kubeadm.conf" | "90-carrack-kubeadm.conf" => {
                let names = text.lines().map(|line| line.split(' ').next().unwrap_or_default());
                names.for_each(|name| self.check("kernel", name, path));
            }
            "carrack-token" | "token" => {}
            _ if name.contains("kube-vip") => self.variables(text, path),
            _ if name.ends_with(".env") || path.starts_with("/etc/default/") => {
                let keys = text.lines().filter_map(|line| line.split_once('='));
                keys.for_each(|(key, _)| self.check("environment", key, path));
            }
            _ if name.ends_with("proxy.conf") => {
                let keys = text.lines().filter_map(|line| line.strip_prefix("Environment=\"")?.split_once('='));
                keys.for_each(|(key, _)| self.check("environment", key, path));
            }
            _ if name.ends_with(".service") || name == "10-kubeadm.conf" => {
                let lines = text.lines().filter(|line| !line.starts_with('#'));
                lines.filter_map(|line| line.split_once('=')).for_each(|(key, _)| self.check("unit", key, path));
                if distribution == "kubeadm" {
                    let flags = text.split([' ', '=', '"']).filter_map(|word| word.strip_prefix("--"));
                    flags.for_each(|flag| self.check("kubelet", flag, path));
                }
            }
            _ => panic!("{path}: what is it checked against?"),
        }
    }

    /// Those of kube-vip's container.
    fn variables(&self, text: &str, path: &str) {
        let mut seen = 0;
        for document in &yaml::parse(text).documents {
            let spec = document.get("spec");
            let spec = spec.and_then(|spec| spec.get("template")).and_then(|template| template.get("spec")).or(spec);
            let container = spec.and_then(|spec| spec.get("containers")).and_then(|all| all.items().first());
            for variable in container.and_then(|one| one.get("env")).map(Node::items).unwrap_or_default() {
                seen += 1;
                self.check("kube-vip", variable.get("name").and_then(Node::text).unwrap(), path);
            }
        }
        assert!(seen > 10, "{path}");
    }
}

fn document(text: &str) -> &'static Node {
    let parsed = yaml::parse(text);
    assert_eq!(parsed.mistakes, [], "{text}");
    Box::leak(Box::new(parsed.documents.into_iter().next().unwrap()))
}

fn commands(setup: &Setup) -> Vec<Vec<String>> {
    let save = setup.save.iter().flat_map(|save| save.save.iter().chain(&save.restore));
    let mut all = Vec::new();
    for step in setup.start.iter().chain(&setup.remove).chain(save) {
        match step {
            Step::Run { command, undo, .. } => all.extend(std::iter::once(command.clone()).chain(undo.clone())),
            Step::Wait { command, .. } | Step::Load { command, .. } => all.push(command.clone()),
            _ => {}
        }
    }
    all
}

#[test]
fn every_name_is_published() {
    for distribution in DISTRIBUTIONS {
        let published = Published::of(distribution);
        let mut seen = 0;
        for case in CASES {
            for upgrade in [None, Some("1.31.0".to_owned())] {
                let mut machine = Machine::case(distribution, case);
                machine.upgrade_from = upgrade;
                let Ok(setup) = machine.setup(distribution) else { continue };
                let role = match case {
                    "agent" | "agent-address" => "agent",
                    "further-server" | "further-server-address" => "server",
                    _ if distribution == "canonical" => "first",
                    _ => "server",
                };
                setup.files.iter().for_each(|file| published.file(distribution, role, file));
                commands(&setup).iter().for_each(|command| published.command(distribution, command));
                seen += setup.files.len();
            }
        }
        assert!(seen > 20, "{distribution}: {seen}");
    }
}

#[test]
#[should_panic(expected = "is not in [server]")]
fn a_name_that_is_not_published_is_found() {
    Published::of("rke2").check("server", "cluster-init", "here");
}

#[test]
#[should_panic(expected = "is not in [snap install]")]
fn a_flag_that_is_not_published_is_found() {
    Published::of("canonical").line("canonical", "snap install \"$base\" --devmode");
}
