//! Nothing is dropped: whatever one leaf of the fixtures says, the import of it is another without it or with another
//! value in its place, or the list has it.

use std::fs;
use std::path::{Path, PathBuf};

use carrack::palette::{self, NotImported};
use serde_json::Value;

use crate::{files, sandbox};

/// What is imported, and the files of it whose leaves count.
const SOURCES: &[(&str, Option<&str>, &[&str])] = &[
    ("store.json", None, &["store.json"]),
    (
        "store.json",
        Some("packs"),
        &[
            "store.json",
            "packs/cni-mesh-1.2.0",
            "packs/edge-k3s-1.32.5/pack.json",
            "packs/kiosk",
            "packs/metrics-2.1.0",
        ],
    ),
    ("charts.json", None, &["charts.json"]),
    ("packs/batch-3.0.0", None, &["packs/batch-3.0.0"]),
    ("packs/cni-mesh-1.2.0", None, &["packs/cni-mesh-1.2.0"]),
    ("packs/edge-k3s-1.32.5", None, &["packs/edge-k3s-1.32.5"]),
    ("packs/edge-k8s-1.32.5", None, &["packs/edge-k8s-1.32.5"]),
    ("packs/kiosk/0.9.0", None, &["packs/kiosk/0.9.0"]),
    ("packs/metrics-2.1.0", None, &["packs/metrics-2.1.0"]),
];

/// Leaves that say nothing, because something else says the same.
const NEEDLESS: &[(&str, &str)] = &[
    // They have a default.
    ("store.json", "spec.variables[1].required"),
    ("store.json", "spec.variables[2].required"),
];

/// One import, as a whole.
struct Outcome {
    files: Vec<(String, Vec<u8>)>,
    left: Vec<NotImported>,
}

impl Outcome {
    fn of(source: &str, packs: Option<&str>, work: &Path) -> Option<Self> {
        let imported = palette::import(&work.join(source), packs.map(|packs| work.join(packs)).as_deref()).ok()?;
        let files = imported.folder.files().map(|(path, bytes)| (path.to_owned(), bytes.to_owned())).collect();
        Some(Self { files, left: imported.left })
    }

    /// Whether the list has `field`, or what it is in.
    fn lists_field(&self, place: &str, field: &str) -> bool {
        // What is said of a pack is not said of all in it, unless the whole pack is meant.
        let is_pack = |field: &str| field.rsplit('.').next().is_some_and(|last| last.starts_with("packs["));
        let counts = |one: &&NotImported| !is_pack(&one.field) || one.reason.ends_with("is not imported");
        self.left.iter().filter(|one| one.place == place && !one.field.is_empty()).filter(counts).any(|one| {
            let rest = field.strip_prefix(&one.field);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        })
    }

    /// Whether the list has one of `lines`, or the file as a whole.
    fn lists_line(&self, place: &str, lines: &[usize]) -> bool {
        let is_whole = |one: &NotImported| one.line.is_none() && one.field.is_empty();
        let has = |one: &NotImported| is_whole(one) || one.line.is_some_and(|line| lines.contains(&line));
        self.left.iter().any(|one| one.place == place && has(one))
    }
}

/// A file of the fixtures, and what to make of it.
struct Probe<'p> {
    source: &'p str,
    packs: Option<&'p str>,
    work: &'p Path,
    file: PathBuf,
    outcome: &'p Outcome,
    dropped: &'p mut Vec<String>,
}

impl Probe<'_> {
    /// Whether the import is the same with `text` in the file. What cannot be read proves nothing.
    fn is_same(&self, text: &str) -> bool {
        fs::write(&self.file, text).unwrap();
        let broken = |one: &&NotImported| one.reason.contains("nothing of this text is imported");
        match Outcome::of(self.source, self.packs, self.work) {
            None => false,
            Some(other)
                if other.left.iter().filter(broken).count() > self.outcome.left.iter().filter(broken).count() =>
            {
                true
            }
            Some(other) => other.files == self.outcome.files,
        }
    }

    fn place(&self) -> String {
        self.file.display().to_string()
    }

    fn drops(&mut self, leaf: &str) {
        let name = self.file.strip_prefix(self.work).unwrap().display().to_string();
        if !NEEDLESS.iter().any(|(file, needless)| name.ends_with(file) && leaf.ends_with(needless)) {
            self.dropped.push(format!("{} {:?}: {name} {leaf}", self.source, self.packs));
        }
    }

    fn json(&mut self) {
        let whole: Value = serde_json::from_str(&fs::read_to_string(&self.file).unwrap()).unwrap();
        for (pointer, field) in leaves(&whole, String::new(), String::new()) {
            let leaf = whole.pointer(&pointer).unwrap();
            if self.outcome.lists_field(&self.place(), &field) {
                continue;
            }
            match leaf.as_str().filter(|text| text.contains('\n')) {
                Some(text) => self.lines(text, &format!("{} {field}", self.place()), &field, |text| {
                    let mut whole = whole.clone();
                    *whole.pointer_mut(&pointer).unwrap() = text.into();
                    whole.to_string()
                }),
                None => {
                    let (mut other, mut without) = (whole.clone(), whole.clone());
                    *other.pointer_mut(&pointer).unwrap() = changed(leaf);
                    remove(&mut without, &pointer);
                    if self.is_same(&without.to_string()) && self.is_same(&other.to_string()) {
                        self.drops(&field);
                    }
                }
            }
        }
    }

    /// The lines of `text`, which `whole` puts into the file, and which the list has at `place`.
    fn lines(&mut self, text: &str, place: &str, name: &str, whole: impl Fn(&str) -> String) {
        let lines: Vec<&str> = text.lines().collect();
        for (at, line) in lines.iter().enumerate().filter(|(_, line)| !line.trim_start().starts_with('#')) {
            // What is below a key has lines of its own.
            let is_key = line.ends_with([':', '|']);
            if line.trim().is_empty() || is_key || self.outcome.lists_line(place, &around(&lines, at)) {
                continue;
            }
            let with = |other: String| {
                let mut lines = lines.clone();
                lines[at] = &other;
                whole(&(lines.join("\n") + "\n"))
            };
            // An empty line in its place, so that the others keep their numbers.
            let (without, other) = (with(String::new()), with(changed_line(line)));
            if self.is_same(&without) && self.is_same(&other) {
                self.drops(&format!("{name}:{} {line}", at + 1));
            }
        }
    }
}

/// The leaves of `value`: as JSON pointers, and as the list names them.
fn leaves(value: &Value, pointer: String, field: String) -> Vec<(String, String)> {
    let below = |name: &str| match (&*field, name.contains(['.', '['])) {
        ("", _) => name.to_owned(),
        (field, true) => format!("{field}[{name:?}]"),
        (field, false) => format!("{field}.{name}"),
    };
    match value {
        Value::Object(fields) => {
            let each = fields.iter();
            each.flat_map(|(name, value)| leaves(value, format!("{pointer}/{}", name.replace('/', "~1")), below(name)))
                .collect()
        }
        Value::Array(items) => {
            let each = items.iter().enumerate();
            each.flat_map(|(at, value)| leaves(value, format!("{pointer}/{at}"), format!("{field}[{at}]"))).collect()
        }
        Value::Null => Vec::new(),
        Value::String(text) if text.is_empty() => Vec::new(),
        _ => vec![(pointer, field)],
    }
}

fn changed(leaf: &Value) -> Value {
    match leaf {
        Value::Bool(flag) => (!flag).into(),
        Value::Number(number) => (number.as_u64().unwrap() + 1).into(),
        other => format!("{}x", other.as_str().unwrap()).into(),
    }
}

fn remove(whole: &mut Value, pointer: &str) {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    match whole.pointer_mut(parent).unwrap() {
        Value::Object(fields) => drop(fields.remove(&name.replace("~1", "/"))),
        Value::Array(items) => drop(items.remove(name.parse().unwrap())),
        _ => unreachable!("a leaf is in something"),
    }
}

/// The line with another value: inside quotes, where it ends with them.
fn changed_line(line: &str) -> String {
    let end = line.trim_end_matches(['"', '\'', '}', ']', ' ']);
    format!("{end}x{}", &line[end.len()..])
}

/// The numbers of a line and of those that it is below, by their indentation.
fn around(lines: &[&str], at: usize) -> Vec<usize> {
    let indentation = |line: &str| line.len() - line.trim_start().len();
    let (mut found, mut depth) = (vec![at + 1], indentation(lines[at]));
    for (above, line) in lines[..at].iter().enumerate().rev().filter(|(_, line)| !line.trim().is_empty()) {
        if indentation(line) < depth {
            depth = indentation(line);
            found.push(above + 1);
        }
    }
    found
}

#[test]
fn every_leaf_is_used_or_listed() {
    let sandbox = sandbox();
    let work = sandbox.work();
    let mut dropped = Vec::new();
    for (source, packs, counted) in SOURCES {
        let outcome = Outcome::of(source, *packs, &work).unwrap();
        for relative in counted.iter().flat_map(|path| files_of(&work, path)) {
            let file = work.join(&relative);
            let text = fs::read_to_string(&file).unwrap();
            let mut probe = Probe {
                source,
                packs: *packs,
                work: &work,
                file: file.clone(),
                outcome: &outcome,
                dropped: &mut dropped,
            };
            match relative.ends_with(".json") {
                true => probe.json(),
                false => probe.lines(&text, &file.display().to_string(), "", str::to_owned),
            }
            fs::write(&file, &text).unwrap();
        }
    }
    assert_eq!(dropped, [""; 0], "\n{}", dropped.join("\n"));
}

fn files_of(work: &Path, path: &str) -> Vec<String> {
    if work.join(path).is_file() {
        return vec![path.to_owned()];
    }
    files(&work.join(path)).into_iter().map(|file| format!("{path}/{file}")).collect()
}
