//! The site: what differs from place to place, as its people write it down.
//!
//! Owns the document and the files that it takes values from. It must not know what the values are for. A site may hold
//! secrets, so no line of it and no value is ever in a message.

mod certificates;
mod checked;
mod cluster;
mod fields;
mod files;
mod format;
mod machine;
pub mod node;
mod registries;
#[cfg(feature = "operator")]
pub mod schema;
pub mod sources;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use crate::problem::{Position, Problem, Problems, Report, read_document};
use crate::variables::{Given, Variable, Written};
use crate::yaml::{self, Entry, Node as Yaml, Value};
use fields::Fields;
use files::{Exposed, Held, MAX_VALUE, Reading};
use node::Node;
use sources::Sources;

/// What `apiVersion` must be.
const API_VERSION: &str = "carrack/v1";
const DOCUMENT: &[&str] = &["apiVersion", "kind", "spec"];
const SPEC: &[&str] = &[
    "role",
    "hostname",
    "nodeAddress",
    "dummyRoute",
    "cluster",
    "endpoint",
    "proxy",
    "caCertificates",
    "registries",
    "installRoot",
    "nodeLabels",
    "nodeTaints",
    "variables",
];
const FROM_FILE: &[&str] = &["fromFile"];

/// A site file.
#[derive(Clone)]
pub struct Site {
    /// The file.
    pub file: PathBuf,
    /// The machine.
    pub node: Node,
    /// The values of variables.
    pub values: Vec<Given>,
    /// What it was read from: the site file, and the files that it names.
    pub sources: Sources,
    /// What may be secret and lies where everybody on the host can read it.
    exposed: Vec<Exposed>,
}

impl Site {
    /// Reads a site file, and the files that it takes secrets, certificates and values from.
    ///
    /// # Errors
    /// Where it cannot be read, and everything that is wrong with it.
    pub fn load(file: &Path) -> Result<Self, Problems> {
        let source = read_document(file)?.map_err(|problem| Problems::Found(vec![unseen(problem)]))?;
        let parsed = yaml::parse(source.text());
        let mut sources = Sources::default();
        sources.add(file, source.text().as_bytes());
        let mut report = Report::new(source);
        for mistake in &parsed.mistakes {
            report.add(mistake.at, without_texts(&mistake.message));
        }
        let mut site =
            Self { file: file.to_owned(), node: Node::default(), values: Vec::new(), sources, exposed: Vec::new() };
        match &parsed.documents[..] {
            [document] => site.decode(document, &mut report),
            [] if !report.is_empty() => {}
            documents => {
                let at = documents.get(1).map_or(Position::START, |second| second.at);
                report.add(at, format!("a site file has one document, found {}", documents.len()));
            }
        }
        if report.is_empty() {
            return Ok(site);
        }
        Err(Problems::Found(report.into_problems().into_iter().map(unseen).collect()))
    }

    /// What should be said about how secrets are kept, and the values of those variables that are `declared` sensitive.
    pub fn warnings(&self, declared: &[Variable]) -> Vec<String> {
        let sensitive = |name: &str| declared.iter().any(|variable| variable.sensitive && variable.name == name);
        let warning = |exposed: &Exposed| {
            let what = match &exposed.what {
                Held::Value(name) if sensitive(name) => format!("the value of {name}"),
                Held::Value(_) => return None,
                Held::Secret(what) => (*what).to_owned(),
            };
            let file = exposed.file.display();
            Some(format!("everybody on this host can read {file}, which has {what}: chmod 600 {file}"))
        };
        self.exposed.iter().filter_map(warning).collect()
    }

    fn decode(&mut self, document: &Yaml, report: &mut Report) {
        let Some(fields) = Fields::open(document, "a site", DOCUMENT, report) else { return };
        fields.require(DOCUMENT, report);
        let version = fields.text("apiVersion", report);
        if version.is_some_and(|version| version != API_VERSION) {
            let message = format!("`apiVersion` is not `{API_VERSION}`, which this version of Carrack reads");
            report.add(fields.value_at("apiVersion"), message);
        }
        if fields.text("kind", report).is_some_and(|kind| kind != "Site") {
            return report.add(fields.value_at("kind"), "`kind` is not `Site`");
        }
        let spec = fields.optional("spec", report);
        let Some(spec) = spec.and_then(|node| Fields::open(node, "`spec`", SPEC, report)) else { return };
        let sources = std::mem::take(&mut self.sources);
        let mut reading = Reading { report, file: &self.file, exposed: Vec::new(), sources };
        self.node = machine::machine(spec, &mut reading);
        self.values = values(spec, &mut reading);
        (self.exposed, self.sources) = (reading.exposed, reading.sources);
    }
}

/// The field `variables`.
fn values(spec: Fields<'_>, reading: &mut Reading<'_>) -> Vec<Given> {
    let Some(variables) = spec.optional("variables", reading.report) else { return Vec::new() };
    if !matches!(variables.value, Value::Mapping(_)) {
        reading.report.add(variables.at, "`variables` must be a mapping of names to values");
    }
    let one = |entry: &Entry| {
        let written = value(entry, reading)?;
        Some(Given { name: entry.key.to_string(), written, file: reading.file.to_owned(), at: Some(entry.value.at) })
    };
    variables.entries().iter().filter_map(one).collect()
}

fn value(entry: &Entry, reading: &mut Reading<'_>) -> Option<Written> {
    let held = Held::Value(entry.key.to_string());
    if !matches!(entry.value.value, Value::Mapping(_)) {
        reading.expose(held, reading.file);
        return Some(Written::Yaml(entry.value.clone()));
    }
    if entry.value.entries().iter().any(|inner| !FROM_FILE.contains(&&*inner.key)) {
        let message = "a value is a text, or `{fromFile: PATH}`; one with { or [ stands in quotes";
        reading.report.add(entry.value.at, message);
        return None;
    }
    let fields = Fields::open(&entry.value, "a value", FROM_FILE, reading.report)?;
    fields.require(FROM_FILE, reading.report);
    let text = fields.text("fromFile", reading.report)?;
    let path = reading.path(text);
    match reading.text_of(&path, MAX_VALUE) {
        Ok(text) => {
            reading.expose(held, &path);
            Some(Written::Text(text))
        }
        Err(message) => {
            reading.report.add(fields.value_at("fromFile"), format!("the file that `fromFile` names {message}"));
            None
        }
    }
}

fn unseen(problem: Problem) -> Problem {
    Problem { line: None, ..problem }
}

/// A message about YAML as such, without the text that it is about: to YAML, `*secret` and `!secret` are names.
fn without_texts(message: &str) -> String {
    const INVALID: &str =
        "not valid YAML; a value that begins with a sign such as *, &, !, %, @, { or [ stands in quotes";
    match message.strip_prefix("duplicate key ").and_then(|rest| rest.rsplit_once(", already given in line ")) {
        Some((_, line)) => format!("duplicate key, already given in line {line}"),
        None => INVALID.to_owned(),
    }
}
