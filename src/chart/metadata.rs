//! Chart.yaml: what a chart says of itself.

use std::collections::BTreeMap;

use crate::yaml::{self, Kind, Node};

/// What Chart.yaml says, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    /// `v1` or `v2`.
    pub api_version: String,
    /// Letters, digits, `-`, `_` and `.`; fit for a file name.
    pub name: String,
    /// A version that Helm takes, as it stands there; fit for a file name.
    pub version: String,
    /// The version of what the chart installs.
    pub app_version: Option<String>,
    /// Whether it installs something by itself.
    pub kind: ChartKind,
    /// The range of Kubernetes versions that it runs on.
    pub kube_version: Option<String>,
    /// The subcharts that it declares.
    pub dependencies: Vec<Dependency>,
    /// Free text by name.
    pub annotations: BTreeMap<String, String>,
}

/// What a chart is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChartKind {
    /// It is installed.
    Application,
    /// It has only what other charts use.
    Library,
}

/// A subchart that a chart declares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependency {
    /// The subchart's name.
    pub name: String,
    /// The range of versions; empty where any will do.
    pub version: String,
    /// The name that the subchart and its values have here.
    pub alias: Option<String>,
    /// Paths of values, the first that is a truth value decides.
    pub condition: Option<String>,
    /// Names under `tags` in the values, one of which must be true where any is given.
    pub tags: Vec<String>,
}

impl Dependency {
    /// The name that the subchart and its values have in its parent.
    pub fn shown_name(&self) -> &str {
        self.alias.as_deref().unwrap_or(&self.name)
    }
}

impl Metadata {
    /// The version as a semantic one, as Helm reads it.
    pub fn semver(&self) -> Option<semver::Version> {
        crate::text::chart_version(&self.version)
    }

    /// `NAME VERSION`.
    pub fn title(&self) -> String {
        format!("{} {}", self.name, self.version)
    }

    /// Reads a Chart.yaml. What Helm does not know is no mistake, as Helm itself ignores it.
    ///
    /// # Errors
    /// What is wrong with it, in one line.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let parsed = yaml::parse_as_helm(text);
        if let Some(mistake) = parsed.mistakes.first() {
            return Err(format!("Chart.yaml:{}: {}", mistake.at, mistake.message));
        }
        let [document] = &parsed.documents[..] else { return Err("Chart.yaml is not one YAML document".to_owned()) };
        let required = |name: &str| text_of(document, name).ok_or_else(|| format!("Chart.yaml has no `{name}`"));
        let metadata = Self {
            api_version: text_of(document, "apiVersion").unwrap_or_else(|| "v1".to_owned()),
            name: required("name")?,
            version: required("version")?,
            app_version: text_of(document, "appVersion"),
            kind: match text_of(document, "type").as_deref() {
                None | Some("application") => ChartKind::Application,
                Some("library") => ChartKind::Library,
                Some(other) => return Err(format!("Chart.yaml has the `type` {other:?}")),
            },
            kube_version: text_of(document, "kubeVersion"),
            dependencies: dependencies(document)?,
            annotations: annotations(document),
        };
        metadata.check()?;
        Ok(metadata)
    }

    /// Name and version become parts of paths, so nothing that a path could make something of is let in.
    fn check(&self) -> Result<(), String> {
        let plain = |text: &str, more: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c));
        let Self { name, version, .. } = self;
        if name.len() > 250 || !plain(name, "-_.") || !name.starts_with(|c: char| c.is_ascii_alphanumeric()) {
            return Err(format!("the name {name:?} has more than letters, digits, `-`, `_` and `.`"));
        }
        if self.semver().is_none() {
            return Err(format!("the version {version:?} is none that Helm takes, such as 1.4.0"));
        }
        Ok(())
    }
}

/// `dependencies` of a Chart.yaml, or of the requirements.yaml that charts of `apiVersion: v1` have.
pub(super) fn dependencies(document: &Node) -> Result<Vec<Dependency>, String> {
    let Some(list) = document.get("dependencies").filter(|list| !list.is_null()) else { return Ok(Vec::new()) };
    let read = |node: &Node| {
        let name = text_of(node, "name").ok_or_else(|| format!("a dependency in line {} has no `name`", node.at.line));
        Ok(Dependency {
            name: name?,
            version: text_of(node, "version").unwrap_or_default(),
            alias: text_of(node, "alias"),
            condition: text_of(node, "condition"),
            tags: node.get("tags").map(Node::items).unwrap_or_default().iter().filter_map(text).collect(),
        })
    };
    list.items().iter().filter(|node| !node.is_null()).map(read).collect()
}

fn annotations(document: &Node) -> BTreeMap<String, String> {
    let entries = document.get("annotations").map(Node::entries).unwrap_or_default();
    entries.iter().filter_map(|entry| Some((entry.key.to_string(), text(&entry.value)?))).collect()
}

fn text_of(node: &Node, name: &str) -> Option<String> {
    node.get(name).and_then(text).filter(|text| !text.is_empty())
}

/// A text as Helm reads it: numbers become text in their shortest form, so that 1.10 is 1.1 there too.
fn text(node: &Node) -> Option<String> {
    let scalar = node.scalar().filter(|scalar| scalar.kind != Kind::Null)?;
    match (scalar.kind, scalar.text.parse::<f64>()) {
        (Kind::Float, Ok(number)) if number.is_finite() => Some(number.to_string()),
        _ => Some(scalar.text.trim().to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_is_read_with_its_dependencies() {
        let text = "apiVersion: v2\nname: shop\nversion: 1.2.3+b\nappVersion: 1.10\nkubeVersion: '>=1.25'\nicon: x\n\
            dependencies:\n- {name: redis, version: ~17, alias: cache, condition: cache.enabled, tags: [data]}\n- name: common\n\
            annotations: {images: a, n: 1}\n";
        let read = Metadata::parse(text).unwrap();
        assert_eq!((read.title(), read.app_version.as_deref()), ("shop 1.2.3+b".to_owned(), Some("1.1")));
        assert_eq!((read.kind, read.kube_version.as_deref()), (ChartKind::Application, Some(">=1.25")));
        assert_eq!(read.dependencies[0].shown_name(), "cache");
        assert_eq!((read.dependencies[0].tags.join(","), &*read.dependencies[1].name), ("data".to_owned(), "common"));
        assert_eq!(read.annotations.len(), 2);
    }

    #[test]
    fn what_is_no_chart_or_would_leave_its_folder_is_refused() {
        for (text, reason) in [
            ("", "Chart.yaml is not one YAML document"),
            ("a: 1\n---\nb: 1\n", "Chart.yaml is not one YAML document"),
            ("name: x\n", "Chart.yaml has no `version`"),
            ("version: 1.0.0\n", "Chart.yaml has no `name`"),
            ("name: [\n", "Chart.yaml:1:7: not valid YAML: unclosed bracket '['"),
            ("name: ../x\nversion: 1.0.0", "the name \"../x\" has more than letters, digits, `-`, `_` and `.`"),
            ("name: ..\nversion: 1.0.0", "the name \"..\" has more than letters, digits, `-`, `_` and `.`"),
            ("name: x\nversion: 1/2", "the version \"1/2\" is none that Helm takes, such as 1.4.0"),
            ("name: x\nversion: 1.0.0\ntype: other", "Chart.yaml has the `type` \"other\""),
            ("name: x\nversion: 1.0.0\ndependencies: [{}]", "a dependency in line 3 has no `name`"),
        ] {
            assert_eq!(Metadata::parse(text).unwrap_err(), reason, "{text}");
        }
    }
}
