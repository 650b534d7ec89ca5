//! Links, dependencies, commands: what the documents refer to is there, and what is there is in the documents.

use std::collections::BTreeSet;
use std::fs;

use super::help::subcommands;
use super::{documents, package};

#[test]
fn links_lead_to_files() {
    for (path, text) in documents() {
        for target in links(&text).filter(|target| !target.contains("://") && !target.starts_with("mailto:")) {
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let file = match file {
                "" => package().join(&path),
                file => package().join(path.parent().unwrap()).join(file),
            };
            assert!(file.exists(), "{}: {target} leads nowhere", path.display());
            if !anchor.is_empty() {
                let text = fs::read_to_string(&file).unwrap();
                let found = text.lines().filter(|line| line.starts_with('#')).any(|line| anchor_of(line) == anchor);
                assert!(found, "{}: {target} names a heading that is not there", path.display());
            }
        }
    }
}

/// The targets of `[text](target)`.
fn links(text: &str) -> impl Iterator<Item = &str> {
    text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target)
}

/// A heading's anchor, as the common renderers make it.
fn anchor_of(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = text.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[test]
fn every_dependency_has_its_reason() {
    let manifest = fs::read_to_string(package().join("Cargo.toml")).unwrap();
    let document = fs::read_to_string(package().join("docs/dependencies.md")).unwrap();
    for (section, heading) in [
        ("[dependencies]", "## In the programs"),
        ("[build-dependencies]", "## While compiling"),
        ("[dev-dependencies]", "## In tests"),
    ] {
        let wanted: BTreeSet<&str> = below(&manifest, section, '[')
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| line.split_once(" = "))
            .map(|(name, _)| name)
            .collect();
        let listed: Vec<&str> = below(&document, heading, '#')
            .filter_map(|line| line.strip_prefix("| `"))
            .filter_map(|line| line.split_once("` | "))
            .map(|(name, reason)| {
                assert!(reason.len() > 10, "{name} has no reason");
                name
            })
            .collect();
        assert!(!wanted.is_empty(), "{section} is not found");
        assert_eq!(listed.iter().copied().collect::<BTreeSet<_>>(), wanted, "{heading}");
        assert_eq!(listed.len(), wanted.len(), "{heading} lists something twice");
    }
}

/// The lines after `start`, up to the next that begins with `end`.
fn below<'t>(text: &'t str, start: &'t str, end: char) -> impl Iterator<Item = &'t str> {
    text.lines().skip_while(move |line| *line != start).skip(1).take_while(move |line| !line.starts_with(end))
}

#[test]
fn every_command_is_described() {
    let all: String = documents().into_iter().map(|(_, text)| text).collect();
    for program in [env!("CARGO_BIN_EXE_carrack"), env!("CARGO_BIN_EXE_carrack-install")] {
        let name = program.rsplit('/').next().unwrap();
        for command in subcommands(program) {
            assert!(all.contains(&format!("{name} {command}")), "no document has `{name} {command}`");
        }
    }
}

#[test]
fn anchors_are_those_of_headings() {
    assert_eq!(anchor_of("## How a build resumes: the journal"), "how-a-build-resumes-the-journal");
}
