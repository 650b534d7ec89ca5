//! What the installer writes itself: templates with their values, releases of charts, configuration.

use std::fmt;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use base64::prelude::{BASE64_STANDARD, Engine as _};

use super::ApplyError;
use super::missing;
use super::source::Source;
use super::targets::Inputs;
use crate::bundle::{ChartFile, ChartValues, Contents};
use crate::oci::{Descriptor, Digest};
use crate::places::Places;
use crate::problem::{Problem, Problems};
use crate::variables::template::{Around, Put, Spelling, fill_and_tell};
use crate::variables::{Values, Variable};

/// Content that is not in the bundle, since values of this place are in it.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Written {
    /// The bytes.
    pub(super) bytes: Vec<u8>,
    /// Where sensitive values stand in them.
    pub(super) secrets: Vec<Secret>,
    /// Whether there are secrets in them besides, such as a site's tokens.
    pub(super) private: bool,
}

/// Where a sensitive value stands in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Secret {
    pub(super) variable: String,
    pub(super) bytes: Range<usize>,
    pub(super) spelling: Spelling,
}

/// Nothing of the content, which may be secret.
impl fmt::Debug for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Written").field("bytes", &self.bytes.len()).finish_non_exhaustive()
    }
}

impl Written {
    /// The sensitive values, each with its variable.
    pub(super) fn values(&self) -> impl Iterator<Item = (String, String)> {
        self.secrets.iter().filter_map(|secret| {
            let text = std::str::from_utf8(self.bytes.get(secret.bytes.clone())?).ok()?;
            Some((secret.variable.clone(), secret.spelling.read(text)?))
        })
    }

    /// The same sensitive values in other bytes, as far as they stand there as they are.
    pub(super) fn again(&self, bytes: Vec<u8>, private: bool) -> Self {
        let text = String::from_utf8_lossy(&bytes);
        let mut secrets = Vec::new();
        for (variable, value) in self.values().filter(|(_, value)| !value.is_empty()) {
            let at = text.find(&value);
            let at = at.map(|at| Secret { variable, bytes: at..at + value.len(), spelling: Spelling::AsIs });
            secrets.extend(at.filter(|_| std::str::from_utf8(&bytes).is_ok()));
        }
        let private = self.private || !self.secrets.is_empty() || private;
        Self { secrets, private, bytes }
    }

    /// Of the bytes.
    pub(super) fn digest(&self) -> Digest {
        Digest::of(&self.bytes)
    }
}

/// Fills templates in with the values of this place.
pub(super) struct Settler<'a> {
    contents: &'a Contents,
    source: &'a Source,
    values: &'a Values,
}

impl<'a> Settler<'a> {
    pub(super) fn new(inputs: Inputs<'a>) -> Self {
        let Inputs { contents, source, values, .. } = inputs;
        Self { contents, source, values }
    }

    /// The template `blob` with its values. `shown` names it in messages.
    pub(super) fn fill(&self, blob: &Descriptor, around: Around, shown: &str) -> Result<Arc<Written>, ApplyError> {
        let text = self.read(blob)?;
        let (text, puts) = self.filled(&text, around, shown)?;
        Ok(Arc::new(self.written(text, puts)))
    }

    /// The text of `blob`, which is no template.
    pub(super) fn plain(&self, blob: &Descriptor) -> Result<Arc<Written>, ApplyError> {
        Ok(Arc::new(self.written(self.read(blob)?, Vec::new())))
    }

    /// The same of a manifest, whose images must all be in the bundle.
    pub(super) fn manifest(&self, blob: &Descriptor, shown: &str) -> Result<Arc<Written>, ApplyError> {
        let written = self.fill(blob, Around::Yaml, shown)?;
        missing::check(self.contents, self.values, shown, &String::from_utf8_lossy(&written.bytes))?;
        Ok(written)
    }

    /// The object by which k3s and RKE2 install a release (helm.cattle.io/v1 HelmChart).
    pub(super) fn release(&self, chart: &ChartFile, places: Places) -> Result<Arc<Written>, ApplyError> {
        let shown = places.release(&chart.pack, &chart.release);
        let (values, puts) = match &chart.values {
            None => (String::new(), Vec::new()),
            Some(ChartValues { blob, template: false }) => (self.read(blob)?, Vec::new()),
            Some(ChartValues { blob, template: true }) => self.filled(&self.read(blob)?, Around::Yaml, &shown)?,
        };
        let bootstrap = self.contents.profile.packs.iter().any(|pack| pack.name == chart.pack && pack.layer == "cni");
        let package = match places.package(&chart.pack, &chart.name, &chart.version, &chart.blob.digest) {
            Some(path) => {
                // k3s serves the folder that the package is in.
                let file = path.rsplit('/').next().unwrap_or_default();
                let address = format!("https://%{{KUBERNETES_API}}%/static/charts/{file}");
                format!("  chart: {}", quoted(&address))
            }
            None => format!("  chartContent: {}", BASE64_STANDARD.encode(self.bytes(&chart.blob)?)),
        };
        let head = head(chart, package, bootstrap);
        let (text, moved) = embed(head, &values, puts);
        Ok(Arc::new(self.written(text, moved)))
    }

    fn bytes(&self, blob: &Descriptor) -> Result<Vec<u8>, ApplyError> {
        self.source.read_document(blob).map_err(|source| damaged(blob, source))
    }

    fn read(&self, blob: &Descriptor) -> Result<String, ApplyError> {
        String::from_utf8(self.bytes(blob)?)
            .map_err(|error| damaged(blob, io::Error::new(io::ErrorKind::InvalidData, error.utf8_error())))
    }

    fn filled(&self, text: &str, around: Around, shown: &str) -> Result<(String, Vec<Put>), ApplyError> {
        let filled = fill_and_tell(text, around, self.values, &self.contents.profile.variables);
        let filled = filled.map_err(|mistakes| {
            // The line is not shown: it may have a secret beside the placeholder.
            let problem = |mistake: crate::yaml::Mistake| Problem {
                position: Some(mistake.at),
                ..Problem::with_file(shown.as_ref(), mistake.message)
            };
            ApplyError::Values(Problems::Found(mistakes.into_iter().map(problem).collect()))
        })?;
        Ok((filled.text, filled.puts))
    }

    fn written(&self, text: String, puts: Vec<Put>) -> Written {
        let sensitive = |name: &str| {
            let same = |variable: &&Variable| variable.name == name;
            self.contents.profile.variables.iter().find(same).is_some_and(|variable| variable.sensitive)
        };
        let secrets = puts.into_iter().filter(|put| sensitive(&put.name));
        let secrets = secrets.map(|Put { name, bytes, spelling }| Secret { variable: name, bytes, spelling }).collect();
        Written { bytes: text.into_bytes(), secrets, private: false }
    }
}

fn damaged(blob: &Descriptor, source: io::Error) -> ApplyError {
    ApplyError::Blob { digest: blob.digest, needed_by: Vec::new(), source }
}

fn head(chart: &ChartFile, package: String, bootstrap: bool) -> String {
    let mut lines = vec![
        "apiVersion: helm.cattle.io/v1".to_owned(),
        "kind: HelmChart".to_owned(),
        "metadata:".to_owned(),
        format!("  name: {}", quoted(&chart.release)),
        "  namespace: kube-system".to_owned(),
        "spec:".to_owned(),
        package,
        format!("  targetNamespace: {}", quoted(&chart.namespace)),
        "  createNamespace: true".to_owned(),
    ];
    if bootstrap {
        // Without the network between pods, jobs run only where they do not need it.
        lines.push("  bootstrap: true".to_owned());
    }
    lines.join("\n") + "\n"
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Indentation of `valuesContent`.
const INDENT: usize = 4;

/// `values` as a literal block after `head`, and where the values of variables are then. Every line moves by the
/// indentation; a value of several lines in double quotes has none of its own, and one in a block has more.
fn embed(head: String, values: &str, puts: Vec<Put>) -> (String, Vec<Put>) {
    if values.trim().is_empty() {
        return (head, Vec::new());
    }
    // The indicator says how deep the block is, whatever its first line begins with.
    let mut text = format!("{head}  valuesContent: |{}\n", INDENT - 2);
    let start = text.len();
    for line in values.lines() {
        if !line.is_empty() {
            text.push_str(&" ".repeat(INDENT));
            text.push_str(line);
        }
        text.push('\n');
    }
    let moved = |at: usize| {
        let before = &values.as_bytes()[..at];
        // Lines that are empty get no indentation.
        let lines = values[..at].split('\n').filter(|line| !line.is_empty()).count();
        let on_new_line = before.last() == Some(&b'\n') || before.is_empty();
        start + at + INDENT * (lines + usize::from(on_new_line))
    };
    let moved = puts.into_iter().map(|put| {
        let spelling = match put.spelling {
            Spelling::Block(indent) => Spelling::Block(indent + INDENT),
            other => other,
        };
        Put { bytes: moved(put.bytes.start)..moved_end(&put, values, &moved), spelling, ..put }
    });
    let moved = moved.collect();
    (text, moved)
}

fn moved_end(put: &Put, values: &str, moved: &impl Fn(usize) -> usize) -> usize {
    let lines = values[put.bytes.clone()].split('\n').skip(1).filter(|line| !line.is_empty()).count();
    moved(put.bytes.start) + put.bytes.len() + INDENT * lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::variables::template::fill_and_tell;
    use crate::yaml;

    #[test]
    fn values_are_found_again_in_the_object_of_a_release() {
        let variable = |name: &str| Variable { name: name.to_owned(), sensitive: true, ..Variable::default() };
        let variables = [variable("one"), variable("two")];
        let template =
            "a: '{{.carrack.var.one}}'\n\nb:\n  c: |\n    x {{.carrack.var.two}} y\n\n    z\nd: {{.carrack.var.one}}\n";
        let values = Values::from([
            ("one".to_owned(), "it's: 1".to_owned()),
            ("two".to_owned(), "first\nsecond\n\nlast".to_owned()),
        ]);
        let filled = fill_and_tell(template, Around::Yaml, &values, &variables).unwrap();
        let (text, puts) = embed("spec:\n".to_owned(), &filled.text, filled.puts);
        assert_eq!(puts.len(), 3, "{text}");
        for put in &puts {
            assert_eq!(
                put.spelling.read(&text[put.bytes.clone()]).as_ref(),
                values.get(&put.name),
                "{put:?} in\n{text}"
            );
        }
        let parsed = yaml::parse(&text);
        assert_eq!(parsed.mistakes, [], "{text}");
        let content = parsed.documents[0].get("spec").unwrap().get("valuesContent").unwrap();
        let inner = yaml::parse(content.text().unwrap());
        assert_eq!(inner.documents[0].get("a").unwrap().text(), Some("it's: 1"));
        assert_eq!(
            inner.documents[0].get("b").unwrap().get("c").unwrap().text(),
            Some("x first\nsecond\n\nlast y\n\nz\n")
        );
    }

    #[test]
    fn a_release_without_values_says_nothing_of_them() {
        assert_eq!(embed("spec:\n".to_owned(), "", Vec::new()).0, "spec:\n");
    }
}
