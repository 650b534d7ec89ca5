//! Helm charts of a pack: where they are, and their values.

use super::decode::check_label;
use super::packs::{Decoder, oci_reference};
use super::{ChartLocation, ChartSource, Template};
use crate::problem::Position;
use crate::text::is_subdomain;
use crate::yaml::{Fields, Kind, Node, Value};

pub(super) const CHART: &[&str] = &["source", "repository", "name", "version", "release", "namespace", "values"];
const DEFAULT_NAMESPACE: &str = "default";
/// Helm's limit on the name of a release.
const MAX_RELEASE: usize = 53;

impl Decoder<'_, '_> {
    /// `chart` is a list of one.
    pub(super) fn charts(&mut self, fields: Fields<'_>) -> Vec<ChartSource> {
        let one = fields.optional("chart", self.report);
        if one.is_some() && fields.optional("charts", self.report).is_some() {
            self.report.add(fields.key_at("chart"), "`chart` and `charts` cannot both be given");
        }
        let charts: Vec<ChartSource> =
            one.into_iter().chain(fields.list("charts", self.report)).filter_map(|node| self.chart(node)).collect();
        for (index, chart) in charts.iter().enumerate() {
            let same = |other: &&ChartSource| {
                other.release.is_some() && other.release == chart.release && other.namespace == chart.namespace
            };
            if let Some(first) = charts[..index].iter().find(same) {
                let release = chart.release.as_deref().unwrap_or_default();
                let message = format!(
                    "release {release:?} in namespace {:?} is already given in line {}",
                    chart.namespace, first.position.line
                );
                self.report.add(chart.position, message);
            }
        }
        charts
    }

    fn chart(&mut self, node: &Node) -> Option<ChartSource> {
        let fields = Fields::open(node, "a chart", CHART, &[], self.report)?;
        let location = self.location(fields);
        let version = self.version_range(fields, "version");
        let release = fields.optional_text("release", self.report).map(str::to_owned);
        if let Some(release) = &release {
            self.check_name(release, MAX_RELEASE, "`release`", fields.value_at("release"));
        }
        let namespace = fields.optional_text("namespace", self.report).unwrap_or(DEFAULT_NAMESPACE).to_owned();
        check_label(&namespace, "`namespace`", fields.value_at("namespace"), self.report);
        let values = self.values(fields);
        let (file, position) = (self.file.to_owned(), node.at);
        Some(ChartSource { location: location?, version, release, namespace, values, file, position })
    }

    fn location(&mut self, fields: Fields<'_>) -> Option<ChartLocation> {
        let source = fields.optional_text("source", self.report);
        let repository = fields.optional_text("repository", self.report);
        let name = fields.optional_text("name", self.report);
        match (source, repository, name) {
            (Some(source), None, None) => {
                let at = fields.value_at("source");
                let Some(text) = source.strip_prefix("oci://") else {
                    let path = self.told(self.folder.file_or_folder(source), at)?;
                    return Some(ChartLocation::Local(path));
                };
                self.told(oci_reference(text), at)?;
                Some(ChartLocation::Oci(text.to_owned()))
            }
            (None, Some(url), Some(name)) => {
                let at = fields.value_at("repository");
                self.told(super::paths::check_url(url), at)?;
                self.check_name(name, 250, "`name`", fields.value_at("name"));
                Some(ChartLocation::Repository { url: url.trim_end_matches('/').to_owned(), name: name.to_owned() })
            }
            _ => {
                let message = "a chart has either `source`, or `repository` and `name`";
                self.report.add(fields.at(), message);
                None
            }
        }
    }

    /// Files, and mappings that stand in the document itself.
    pub(super) fn values(&mut self, fields: Fields<'_>) -> Vec<Template> {
        let mut values = Vec::new();
        for node in fields.list("values", self.report) {
            let template = match &node.value {
                Value::Mapping(_) => Some(self.inline(node)),
                Value::Scalar(scalar) if scalar.kind == Kind::Text => self.values_file(&scalar.text, node.at),
                _ => {
                    let message = format!("an item of `values` is a file or a mapping, found {}", node.describe());
                    self.report.add(node.at, message);
                    None
                }
            };
            values.extend(template);
        }
        values
    }

    fn values_file(&mut self, source: &str, at: Position) -> Option<Template> {
        let file = self.told(self.folder.file(source), at)?;
        let read = crate::problem::read_document(&file).map_err(|error| crate::io::with_causes(&error));
        match self.told(read, at)? {
            Ok(source) => Some(Template { file, inline: None, text: source.text().to_owned() }),
            Err(problem) => {
                self.known.problems.push(problem);
                None
            }
        }
    }

    /// Names of releases, namespaces and charts: lowercase words.
    fn check_name(&mut self, text: &str, most: usize, what: &str, at: Position) {
        if !is_subdomain(text, most) {
            let message = format!("{what} is {text:?}, expected up to {most} lowercase letters, digits and inner `-`");
            self.report.add(at, message);
        }
    }
}
