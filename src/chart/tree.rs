//! A chart and its subcharts, with what discovery reads of each.

use super::actions::{self, Action};
use super::archive::{self, Budget, Files};
use super::metadata::{self, Metadata};
use super::schema;
use crate::yaml;

/// Charts inside one another.
const MAX_DEPTH: usize = 10;

/// A chart with its subcharts.
#[derive(Debug, Clone)]
pub struct Tree {
    /// Its Chart.yaml.
    pub metadata: Metadata,
    /// Its default values; empty where it has none.
    pub values: String,
    /// What is in its `charts` folder, by name.
    pub subcharts: Vec<Tree>,
    /// Whether it asks which API versions the cluster has.
    pub asks_api_versions: bool,
    /// Whether it tells a first installation from an upgrade.
    pub asks_upgrade: bool,
    /// Whether it looks into the cluster.
    pub asks_cluster: bool,
    /// What its templates, and other texts that may be some, do.
    pub(super) actions: Vec<Action>,
}

impl Tree {
    /// The chart in `package`.
    ///
    /// # Errors
    /// What is wrong with it, in one line.
    pub(super) fn of_package(package: &[u8]) -> Result<Self, String> {
        let mut budget = Budget::default();
        let files = archive::read(package, &mut budget)?;
        Self::of(files, &mut budget, 0)
    }

    fn of(mut files: Files, budget: &mut Budget, depth: usize) -> Result<Self, String> {
        if depth == MAX_DEPTH {
            return Err(format!("it has charts in charts, {MAX_DEPTH} deep"));
        }
        let chart = files.remove("Chart.yaml").ok_or("it has no Chart.yaml")?;
        let mut metadata = Metadata::parse(&utf8(chart, "Chart.yaml")?)?;
        if let Some(requirements) = files.remove("requirements.yaml").filter(|_| metadata.api_version == "v1") {
            let parsed = yaml::parse_as_helm(&utf8(requirements, "requirements.yaml")?);
            let read = parsed.documents.iter().map(metadata::dependencies).collect::<Result<Vec<_>, _>>()?;
            metadata.dependencies.extend(read.into_iter().flatten());
        }
        if let Some(schema) = files.get("values.schema.json") {
            schema::check(schema)?;
        }
        // Values and other files may be templates too: `tpl` renders any text.
        let mention = |word: &str| files.values().any(|text| contains(text, word.as_bytes()));
        let asks_api_versions = mention("APIVersions");
        let asks_upgrade = mention("IsUpgrade") || mention("IsInstall");
        let own = files.iter().filter(|(path, _)| !path.starts_with("charts/"));
        let texts = own.filter_map(|(_, text)| std::str::from_utf8(text).ok());
        let actions: Vec<Action> = texts
            .enumerate()
            .flat_map(|(file, text)| actions::read(file, text))
            .take(actions::MAX_ACTIONS + 1)
            .collect();
        let asks_cluster = actions.iter().any(|action| action.has("lookup"));
        let values = files.remove("values.yaml").map(|values| utf8(values, "values.yaml")).transpose()?;
        let subcharts = subcharts(files, budget, depth)?;
        Ok(Self {
            values: values.unwrap_or_default(),
            subcharts,
            asks_api_versions,
            asks_upgrade,
            asks_cluster,
            actions,
            metadata,
        })
    }

    /// The names of the subcharts that this chart declares and does not have. What subcharts declare may be in the chart that
    /// has them, and Helm does not look (`CheckDependencies` in its `pkg/action`).
    pub(super) fn missing(&self) -> Vec<String> {
        let here = |name: &str| self.subcharts.iter().any(|subchart| subchart.metadata.name == name);
        let declared = self.metadata.dependencies.iter().filter(|dependency| !here(&dependency.name));
        declared.map(|dependency| format!("{} {}", dependency.name, dependency.version).trim().to_owned()).collect()
    }

    /// Whether `asks` holds for this chart or one below it.
    pub fn any(&self, asks: fn(&Tree) -> bool) -> bool {
        asks(self) || self.subcharts.iter().any(|subchart| subchart.any(asks))
    }
}

/// Charts below `charts/`: folders and packages. Names with `_` or `.` in front are none, as Helm has it.
fn subcharts(files: Files, budget: &mut Budget, depth: usize) -> Result<Vec<Tree>, String> {
    let mut folders: std::collections::BTreeMap<String, Files> = std::collections::BTreeMap::new();
    let mut packages = Files::new();
    for (path, content) in files {
        let Some(within) = path.strip_prefix("charts/").filter(|within| !within.starts_with(['_', '.'])) else {
            continue;
        };
        match within.split_once('/') {
            Some((name, rest)) => drop(folders.entry(name.to_owned()).or_default().insert(rest.to_owned(), content)),
            None if within.ends_with(".tgz") => drop(packages.insert(within.to_owned(), content)),
            // A README, say.
            None => {}
        }
    }
    let in_chart = |name: &str, reason: String| format!("charts/{name}: {reason}");
    let mut found = Vec::new();
    for (name, files) in folders {
        found.push(Tree::of(files, budget, depth + 1).map_err(|reason| in_chart(&name, reason))?);
    }
    for (name, content) in packages {
        let tree = archive::read(&content, budget).and_then(|files| Tree::of(files, budget, depth + 1));
        found.push(tree.map_err(|reason| in_chart(&name, reason))?);
    }
    Ok(found)
}

fn utf8(bytes: Vec<u8>, name: &str) -> Result<String, String> {
    let text = String::from_utf8(bytes).map_err(|_| format!("{name} is not text in UTF-8"))?;
    Ok(text.trim_start_matches('\u{feff}').to_owned())
}

fn contains(text: &[u8], word: &[u8]) -> bool {
    text.windows(word.len()).any(|window| window == word)
}

#[cfg(test)]
mod tests {
    use super::super::archive::tests::package;
    use super::*;
    use tar::EntryType::Regular;

    #[test]
    fn subcharts_are_read_from_folders_and_packages() {
        let inner = package(&[("leaf/Chart.yaml", Regular, b"name: leaf\nversion: 1.0.0\n")]);
        let made = package(&[
            (
                "a/Chart.yaml",
                Regular,
                b"name: a\nversion: 1.0.0\ndependencies: [{name: leaf}, {name: gone, version: ^2}]\n",
            ),
            ("a/charts/leaf-1.0.0.tgz", Regular, &inner),
            ("a/charts/folder/Chart.yaml", Regular, b"name: f\nversion: 1.0.0\n"),
            ("a/charts/folder/templates/x.yaml", Regular, b"{{ .Capabilities.APIVersions.Has \"x\" }}"),
            ("a/charts/_ignored/x", Regular, b""),
            ("a/charts/README.md", Regular, b""),
        ]);
        let tree = Tree::of_package(&made).unwrap();
        let names: Vec<&str> = tree.subcharts.iter().map(|tree| &*tree.metadata.name).collect();
        assert_eq!(names, ["f", "leaf"]);
        assert_eq!(tree.missing(), ["gone ^2"]);
        let above = package(&[
            ("b/Chart.yaml", Regular, b"name: b\nversion: 1.0.0\ndependencies: [{name: a}]\n"),
            ("b/charts/a.tgz", Regular, &made),
        ]);
        assert_eq!(Tree::of_package(&above).unwrap().missing(), [""; 0], "Helm asks the chart itself alone");
        assert!(tree.any(|tree| tree.asks_api_versions) && !tree.any(|tree| tree.asks_upgrade));
    }

    #[test]
    fn packages_in_packages_share_one_budget_and_end() {
        let mut made = package(&[("a/Chart.yaml", Regular, b"name: a\nversion: 1.0.0\n")]);
        for _ in 0..12 {
            made =
                package(&[("a/Chart.yaml", Regular, b"name: a\nversion: 1.0.0\n"), ("a/charts/a.tgz", Regular, &made)]);
        }
        let reason = Tree::of_package(&made).unwrap_err();
        assert!(reason.ends_with("it has charts in charts, 10 deep"), "{reason}");
        let reason = Tree::of_package(&package(&[("a/x", Regular, b"")])).unwrap_err();
        assert_eq!(reason, "it has no Chart.yaml");
    }
}
