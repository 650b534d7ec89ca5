//! The site: what differs from place to place, as its people write it down.
//!
//! Owns the document and the files that it takes values from. It must not know what the values are for. A site may hold
//! secrets, so no line of it and no value is ever in a message.

pub mod node;

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::io::with_causes;
use crate::problem::{Problem, Problems, Report, read_document};
use crate::variables::{Given, Variable, Written};
use crate::yaml::{self, Entry, Fields, Node, Value};

/// What `apiVersion` must be.
const API_VERSION: &str = "carrack/v1";
const DOCUMENT: &[&str] = &["apiVersion", "kind", "spec"];
const SPEC: &[&str] = &["variables"];
const FROM_FILE: &[&str] = &["fromFile"];
const NOT_YET: &[(&str, &str)] = &[
    ("role", "spec.role"),
    ("hostname", "spec.hostname"),
    ("cluster", "spec.cluster"),
    ("endpoint", "spec.endpoint"),
    ("proxy", "spec.proxy"),
    ("caCertificates", "spec.caCertificates"),
    ("registries", "spec.registries"),
    ("installRoot", "spec.installRoot"),
    ("nodeLabels", "spec.nodeLabels"),
];
/// Longest value from a file in bytes; no variable takes a longer one.
const MAX_FILE: u64 = 256 << 10;
/// The permission of others to read.
const OTHERS_READ: u32 = 0o004;

/// A site file.
#[derive(Clone)]
pub struct Site {
    /// The file.
    pub file: PathBuf,
    /// The values of variables.
    pub values: Vec<Given>,
    /// Names of variables with the file that their value was read from, where everybody on the host can read it; the
    /// site itself where it says the value.
    readable: Vec<(String, PathBuf)>,
}

impl Site {
    /// Reads a site file, and the files that it takes values from.
    ///
    /// # Errors
    /// Where it cannot be read, and everything that is wrong with it.
    pub fn load(file: &Path) -> Result<Self, Problems> {
        let source = read_document(file)?.map_err(|problem| Problems::Found(vec![unseen(problem)]))?;
        let parsed = yaml::parse(source.text());
        let mut report = Report::new(source);
        for mistake in &parsed.mistakes {
            report.add(mistake.at, without_texts(&mistake.message));
        }
        let mut site = Self { file: file.to_owned(), values: Vec::new(), readable: Vec::new() };
        match &parsed.documents[..] {
            [document] => site.decode(document, &mut report),
            [] if !report.is_empty() => {}
            documents => {
                let at = documents.get(1).map_or(crate::problem::Position::START, |second| second.at);
                report.add(at, format!("a site file has one document, found {}", documents.len()));
            }
        }
        if report.is_empty() {
            return Ok(site);
        }
        Err(Problems::Found(report.into_problems().into_iter().map(unseen).collect()))
    }

    /// What should be said about how the values of sensitive variables are kept.
    pub fn warnings(&self, declared: &[Variable]) -> Vec<String> {
        let sensitive = |name: &str| declared.iter().any(|variable| variable.sensitive && variable.name == name);
        let readable = self.readable.iter().filter(|(name, _)| sensitive(name));
        readable
            .map(|(name, file)| {
                let file = file.display();
                format!("everybody on this host can read {file}, which has the value of {name}: chmod 600 {file}")
            })
            .collect()
    }

    fn decode(&mut self, document: &Node, report: &mut Report) {
        let Some(fields) = open(document, "a site", DOCUMENT, &[], report) else { return };
        let version = fields.required_text("apiVersion", report);
        if version.is_some_and(|version| version != API_VERSION) {
            let message = format!("`apiVersion` is not `{API_VERSION}`, which this version of Carrack reads");
            report.add(fields.value_at("apiVersion"), message);
        }
        if fields.required_text("kind", report).is_some_and(|kind| kind != "Site") {
            return report.add(fields.value_at("kind"), "`kind` is not `Site`");
        }
        let spec = fields.required("spec", report).and_then(|node| open(node, "`spec`", SPEC, NOT_YET, report));
        let Some(variables) = spec.and_then(|spec| spec.optional("variables", report)) else { return };
        if !matches!(variables.value, Value::Mapping(_)) {
            return report.add(variables.at, "`variables` must be a mapping of names to values");
        }
        let everybody = can_everybody_read(&self.file);
        for entry in variables.entries() {
            self.variable(entry, everybody, report);
        }
    }

    fn variable(&mut self, entry: &Entry, everybody: bool, report: &mut Report) {
        let name = entry.key.to_string();
        let given = |written| Given { name: name.clone(), written, file: self.file.clone(), at: Some(entry.value.at) };
        if !matches!(entry.value.value, Value::Mapping(_)) {
            self.values.push(given(Written::Yaml(entry.value.clone())));
            if everybody {
                self.readable.push((name, self.file.clone()));
            }
            return;
        }
        // What `Fields` says of a key that it does not know repeats it, and it may be a secret without quotes.
        if entry.value.entries().iter().any(|inner| !FROM_FILE.contains(&&*inner.key)) {
            return report
                .add(entry.value.at, "a value is a text, or `{fromFile: PATH}`; one with { or [ stands in quotes");
        }
        let Some(fields) = Fields::open(&entry.value, "a value", FROM_FILE, &[], report) else { return };
        let Some(path) = fields.required_text("fromFile", report) else { return };
        let path = self.file.parent().unwrap_or(Path::new("")).join(path);
        match value_of_file(&path) {
            Ok(text) => {
                self.values.push(given(Written::Text(text)));
                if can_everybody_read(&path) {
                    self.readable.push((name, path));
                }
            }
            Err(message) => report.add(fields.value_at("fromFile"), message),
        }
    }
}

/// As [`Fields::open`], without a text that stands where the mapping should: it may be a secret.
fn open<'n>(
    node: &'n Node,
    what: &str,
    known: &'static [&'static str],
    refused: &[(&str, &str)],
    report: &mut Report,
) -> Option<Fields<'n>> {
    if matches!(node.value, Value::Mapping(_)) {
        return Fields::open(node, what, known, refused, report);
    }
    report.add(node.at, format!("{what} must be a mapping"));
    None
}

fn unseen(problem: Problem) -> Problem {
    Problem { line: None, ..problem }
}

/// A message about YAML as such, without the text that it is about: to YAML, `*secret` and `!secret` are names.
fn without_texts(message: &str) -> &str {
    const INVALID: &str =
        "not valid YAML; a value that begins with a sign such as *, &, !, %, @, { or [ stands in quotes";
    if message.starts_with("duplicate key ") { message } else { INVALID }
}

/// The text of a file without its last line end.
fn value_of_file(path: &Path) -> Result<String, String> {
    let shown = path.display();
    let unreadable = |error: &std::io::Error| format!("{shown} cannot be read: {}", with_causes(error));
    let metadata = path.metadata().map_err(|error| unreadable(&error))?;
    if !metadata.is_file() {
        return Err(format!("{shown} is not a file"));
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| unreadable(&error))?;
    file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(|error| unreadable(&error))?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(format!("{shown} is larger than {} KiB, which no value is", MAX_FILE >> 10));
    }
    let text = String::from_utf8(bytes).map_err(|_| format!("{shown} is not text in UTF-8"))?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    Ok(line.strip_suffix('\r').unwrap_or(line).to_owned())
}

fn can_everybody_read(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| metadata.permissions().mode() & OTHERS_READ != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};

    const INVALID_AT_1_4: &str =
        "site.yaml:1:4: not valid YAML; a value that begins with a sign such as *, &, !, %, @, { or [ stands in quotes";

    fn load(text: &str) -> Result<Vec<String>, Vec<String>> {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("secret"), "canary\r\n").unwrap();
        fs::write(folder.path().join("binary"), [0xFF, 0xFE]).unwrap();
        fs::write(folder.path().join("large"), vec![b'x'; 300 << 10]).unwrap();
        let file = folder.path().join("site.yaml");
        fs::write(&file, text).unwrap();
        let short = |text: String| text.replace(&format!("{}/", folder.path().display()), "");
        let one = |given: Given| match given.written {
            Written::Text(text) => format!("{}={text:?}", given.name),
            Written::Yaml(node) => format!("{}={}", given.name, node.describe()),
        };
        match Site::load(&file) {
            Ok(site) => Ok(site.values.into_iter().map(one).collect()),
            Err(problems) => Err(problems.found().iter().map(|problem| short(problem.to_string())).collect()),
        }
    }

    fn site(spec: &str) -> String {
        format!("apiVersion: carrack/v1\nkind: Site\nspec:\n{spec}")
    }

    #[test]
    fn values_are_read_from_the_site_and_from_files() {
        let text = site("  variables: {a: \"42\", b: 42, c: {fromFile: secret}, d: {fromFile: ./secret}}\n");
        assert_eq!(load(&text).unwrap(), ["a=the text \"42\"", "b=the number 42", "c=\"canary\"", "d=\"canary\""]);
        assert_eq!(load(&site("  {}\n")).unwrap(), [""; 0]);
    }

    #[test]
    fn all_mistakes_are_told_and_nothing_that_may_be_a_secret() {
        for (text, told) in [
            ("", &["site.yaml:1:1: a site file has one document, found 0"][..]),
            ("canary", &["site.yaml:1:1: a site must be a mapping"]),
            ("a: [canary", &[INVALID_AT_1_4]),
            ("a: *canary", &[INVALID_AT_1_4]),
            ("{}\n---\n{}", &["site.yaml:3:1: a site file has one document, found 2"]),
            (
                "apiVersion: canary\nkind: canary\nspec: canary",
                &[
                    "site.yaml:1:13: `apiVersion` is not `carrack/v1`, which this version of Carrack reads",
                    "site.yaml:2:7: `kind` is not `Site`",
                ],
            ),
            (&site("  variables: canary\n"), &["site.yaml:4:14: `variables` must be a mapping of names to values"]),
            (&site("  variables: [canary]\n"), &["site.yaml:4:14: `variables` must be a mapping of names to values"]),
            (
                &site("  variables: {a: !!int canary, b: !canary x, a: canary}\n"),
                &[
                    "site.yaml:4:24: not valid YAML; a value that begins with a sign such as *, &, !, %, @, { or [ stands in quotes",
                    "site.yaml:4:43: not valid YAML; a value that begins with a sign such as *, &, !, %, @, { or [ stands in quotes",
                    "site.yaml:4:46: duplicate key \"a\", already given in line 4",
                ],
            ),
            (
                &site("  role: server\n  variabels: {}\n"),
                &[
                    "site.yaml:4:3: `spec.role` is not supported by this version of Carrack yet",
                    "site.yaml:5:3: unknown field `variabels`; did you mean `variables`?",
                ],
            ),
            (
                &site(
                    "  variables:\n    a: {fromFile: gone}\n    b: {fromFile: .}\n    c: {fromFile: binary}\n    d: {fromfile: x}\n    e: {fromFile: large}\n",
                ),
                &[
                    "site.yaml:5:19: gone cannot be read: No such file or directory (os error 2)",
                    "site.yaml:6:19: . is not a file",
                    "site.yaml:7:19: binary is not text in UTF-8",
                    "site.yaml:8:8: a value is a text, or `{fromFile: PATH}`; one with { or [ stands in quotes",
                    "site.yaml:9:19: large is larger than 256 KiB, which no value is",
                ],
            ),
        ] {
            assert_eq!(load(text).unwrap_err(), told, "{text}");
        }
    }

    #[test]
    fn secrets_that_everybody_can_read_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let (file, secret) = (folder.path().join("site.yaml"), folder.path().join("secret"));
        fs::write(&secret, "canary").unwrap();
        fs::write(&file, site("  variables: {a: canary, b: {fromFile: secret}}\n")).unwrap();
        let declared = ["a", "b"].map(|name| Variable { name: name.into(), sensitive: true, ..Variable::default() });
        for (mode, count) in [(0o644, 2), (0o640, 0)] {
            fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
            fs::set_permissions(&secret, Permissions::from_mode(mode)).unwrap();
            let warnings = Site::load(&file).unwrap().warnings(&declared);
            assert_eq!(warnings.len(), count, "{warnings:?}");
            assert!(warnings.iter().all(|warning| warning.starts_with("everybody on this host can read ")));
        }
        assert_eq!(Site::load(&file).unwrap().warnings(&[]), [""; 0]);
    }
}
