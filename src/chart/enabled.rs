//! Which subcharts take part, and with which values, as Helm decides it: aliases, conditions, tags, globals.

use super::metadata::{ChartKind, Dependency};
use super::tree::Tree;
use super::values::Value;
use crate::yaml::{self, Node};

/// A chart that takes part in a release.
#[derive(Debug, Clone)]
pub struct Part<'t> {
    /// Where it is in the package: empty for the chart itself, else `charts/NAME` once or several times. A subchart has the
    /// name of its alias here.
    pub path: String,
    /// The chart.
    pub tree: &'t Tree,
    /// Its values: its defaults, with the release's over them.
    pub values: Node,
}

/// The chart and those of its subcharts that take part where the release has `values`, a YAML text.
///
/// # Errors
/// What is wrong with the default values of a chart, in one line.
pub fn parts<'t>(tree: &'t Tree, values: &str) -> Result<Vec<Part<'t>>, String> {
    let given = Value::defaults(values)?;
    let all = coalesced(tree, given)?;
    let mut parts = Vec::new();
    collect(tree, "", &all, &all, "", &mut parts);
    Ok(parts)
}

/// The subcharts by the names that they and their values have here.
fn named(tree: &Tree) -> Vec<(&str, &Tree, Option<&Dependency>)> {
    let declared = &tree.metadata.dependencies;
    let undeclared = |subchart: &&Tree| !declared.iter().any(|one| one.name == subchart.metadata.name);
    let undeclared =
        tree.subcharts.iter().filter(undeclared).map(|subchart| (&*subchart.metadata.name, subchart, None));
    let declared = declared.iter().filter_map(|one| {
        let subchart = tree.subcharts.iter().find(|subchart| subchart.metadata.name == one.name)?;
        Some((one.shown_name(), subchart, Some(one)))
    });
    undeclared.chain(declared).collect()
}

/// `values` over the defaults of a chart and its subcharts. Globals are handed down.
fn coalesced(tree: &Tree, values: Value) -> Result<Value, String> {
    let in_chart = |reason: String| format!("{}: {reason}", tree.metadata.name);
    let mut all = Value::defaults(&tree.values).map_err(in_chart)?.with(values);
    for (name, subchart, _) in named(tree) {
        let mut below =
            all.get(name).filter(|value| matches!(value, Value::Map(_))).cloned().unwrap_or_else(Value::empty);
        if let Some(global) = all.get("global") {
            let own = below.get("global").cloned().unwrap_or_else(Value::empty);
            below.set("global", own.with(global.clone()));
        }
        let below = coalesced(subchart, below)?;
        all.set(name, below);
    }
    Ok(all)
}

fn collect<'t>(tree: &'t Tree, path: &str, own: &Value, all: &Value, keys: &str, parts: &mut Vec<Part<'t>>) {
    let text = own.clone().pruned().to_text();
    if let Some(values) = yaml::parse(&text).documents.into_iter().next() {
        parts.push(Part { path: path.to_owned(), tree, values });
    }
    for (name, subchart, dependency) in named(tree) {
        let takes_part = dependency.is_none_or(|dependency| is_enabled(dependency, all, keys));
        if takes_part && let Some(below) = own.get(name) {
            let path = format!("{path}{}charts/{name}", if path.is_empty() { "" } else { "/" });
            collect(subchart, &path, below, all, &format!("{keys}{name}."), parts);
        }
    }
}

/// A condition that is a truth value decides, else the tags, else it takes part.
fn is_enabled(dependency: &Dependency, all: &Value, keys: &str) -> bool {
    let conditions = dependency.condition.iter().flat_map(|paths| paths.split(','));
    let decided = conditions.filter_map(|path| all.at(&format!("{keys}{}", path.trim()))?.truth()).next();
    let tags = || -> Vec<bool> {
        let tag = |name: &String| all.get("tags")?.get(name)?.truth();
        dependency.tags.iter().filter_map(tag).collect()
    };
    decided.unwrap_or_else(|| {
        let tags = tags();
        tags.is_empty() || tags.contains(&true)
    })
}

impl Part<'_> {
    /// Whether it installs something by itself.
    pub fn is_application(&self) -> bool {
        self.tree.metadata.kind == ChartKind::Application
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chart::Metadata;

    fn tree(chart: &str, values: &str, subcharts: Vec<Tree>) -> Tree {
        let metadata = Metadata::parse(&format!("version: 1.0.0\n{chart}")).unwrap();
        Tree {
            metadata,
            values: values.to_owned(),
            subcharts,
            asks_api_versions: false,
            asks_upgrade: false,
            asks_cluster: false,
            actions: Vec::new(),
        }
    }

    fn parent() -> Tree {
        let leaf = tree("name: leaf", "image: {tag: '1'}\ngone: 1\n", vec![]);
        let redis = tree(
            "name: redis\ndependencies: [{name: leaf, condition: leaf.enabled}]",
            "image: {tag: '7'}\n",
            vec![leaf],
        );
        let dependencies =
            "[{name: redis, alias: cache, condition: 'cache.on,cache.enabled', tags: [data]}, {name: redis}]";
        tree(
            &format!("name: shop\ndependencies: {dependencies}"),
            "global: {r: x}\ncache: {enabled: true}\n",
            vec![redis],
        )
    }

    fn paths(values: &str) -> Vec<String> {
        parts(&parent(), values).unwrap().into_iter().map(|part| part.path).collect()
    }

    #[test]
    fn conditions_decide_before_tags() {
        let all = ["", "charts/cache", "charts/cache/charts/leaf", "charts/redis", "charts/redis/charts/leaf"];
        let without_cache = ["", "charts/redis", "charts/redis/charts/leaf"];
        assert_eq!(paths("{}"), all);
        assert_eq!(paths("cache: {enabled: false}"), without_cache);
        assert_eq!(paths("cache: {on: false}"), without_cache, "the first that is a truth value");
        assert_eq!(paths("tags: {data: false}"), all, "a condition has decided");
        assert_eq!(paths("cache: {enabled: null}\ntags: {data: false}"), without_cache);
        assert_eq!(
            paths("cache: {enabled: 'false', leaf: {enabled: false}}"),
            ["", "charts/cache", "charts/redis", "charts/redis/charts/leaf"]
        );
    }

    #[test]
    fn values_go_down_and_nothing_takes_away() {
        let parent = parent();
        let found = parts(&parent, "cache: {image: {tag: '8'}, leaf: {gone: null}}\nglobal: {s: y}").unwrap();
        let text = |index: usize| yaml::to_text(&found[index].values, |_| false).replace(['"', '\n'], " ");
        assert!(
            text(1).contains("tag :  8 ") && text(1).contains("r :  x ") && text(1).contains("s :  y "),
            "{}",
            text(1)
        );
        assert!(text(2).contains("tag :  1 ") && !text(2).contains("gone"), "{}", text(2));
        assert!(text(3).contains("tag :  7 "), "{}", text(3));
    }
}
