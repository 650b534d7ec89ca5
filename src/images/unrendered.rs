//! A chart without helm: the images that its values name, by the conventions that charts have for them.
//!
//! What is found is what most charts make of such values. It is told as incomplete, and no more is done about it.

use std::path::Path;

use super::collect::Collector;
use crate::chart::{Chart, Dependency, Part};
use crate::objects::{Place, Sink};
use crate::oci::Reference;
use crate::problem::{Position, Source};
use crate::yaml::{Entry, Kind, Node, Value};

/// Reads the values of one chart of a release.
pub(super) fn read<'p>(chart: &'p Chart, part: &Part<'_>, collector: &mut Collector<'p>) {
    if !part.is_application() {
        return;
    }
    let file = if part.path.is_empty() { "values.yaml".to_owned() } else { format!("{}/values.yaml", part.path) };
    collector.enter_chart(chart, &file);
    let shown = format!("pack {}, chart {}, values of {file}", chart.pack, chart.title());
    let source = Source::new(Path::new(&shown), String::new());
    let global = part.values.get("global").and_then(|global| scalar(global, "imageRegistry")).map(str::to_owned);
    let app_version = part.tree.metadata.app_version.clone();
    let mut walk = Walk { source: &source, collector, path: String::new(), global, app_version };
    // What is a subchart's is read with it, and with its own version.
    let subcharts: Vec<&str> = part.tree.subcharts.iter().map(|subchart| &*subchart.metadata.name).collect();
    let aliases = part.tree.metadata.dependencies.iter().map(Dependency::shown_name);
    let below: Vec<&str> = subcharts.into_iter().chain(aliases).collect();
    for entry in part.values.entries().iter().filter(|entry| !below.contains(&&*entry.key)) {
        walk.below(&entry.key, |walk| walk.value(&entry.key, &entry.value));
    }
}

struct Walk<'w, 'p> {
    source: &'w Source,
    collector: &'w mut Collector<'p>,
    path: String,
    global: Option<String>,
    app_version: Option<String>,
}

/// A text or number that is not empty.
fn scalar<'n>(node: &'n Node, name: &str) -> Option<&'n str> {
    let scalar = node.get(name)?.scalar().filter(|scalar| scalar.kind != Kind::Null)?;
    Some(&*scalar.text).filter(|text| !text.trim().is_empty())
}

impl Walk<'_, '_> {
    fn below(&mut self, key: &str, inside: impl FnOnce(&mut Self)) {
        let length = self.path.len();
        if !key.starts_with('[') && !self.path.is_empty() {
            self.path.push('.');
        }
        self.path.push_str(key);
        inside(self);
        self.path.truncate(length);
    }

    fn value(&mut self, key: &str, node: &Node) {
        match &node.value {
            Value::Scalar(_) => self.text(key, node),
            Value::Sequence(items) => {
                for (index, item) in items.iter().enumerate() {
                    let key = if key == "images" { "image" } else { "" };
                    self.below(&format!("[{index}]"), |walk| walk.value(key, item));
                }
            }
            Value::Mapping(entries) => self.mapping(key, node, entries),
        }
    }

    /// A text that is an image by its key: `image`, `…Image`; with the tag beside it in `imageTag`, say.
    fn text(&mut self, key: &str, node: &Node) {
        let Some(text) = node.text().map(str::trim).filter(|text| !text.is_empty()) else { return };
        if is_image(key) && (text.contains(['/', ':']) || key == "image") {
            self.name(text);
        } else if let Some((_, reference)) = argument(text) {
            let Self { source, collector, path, .. } = self;
            collector.candidate(text, reference, Place { source, at: Position::START, object: None, field: path });
        }
    }

    fn mapping(&mut self, key: &str, node: &Node, entries: &[Entry]) {
        let consumed = self.parts(key, node);
        for entry in entries.iter().filter(|entry| !consumed.contains(&&*entry.key)) {
            self.below(&entry.key, |walk| walk.value(&entry.key, &entry.value));
        }
    }

    /// An image in parts: `registry`, `repository` or `image` or `name`, `tag` or `version`, `digest`. Returns what was
    /// understood.
    fn parts(&mut self, key: &str, node: &Node) -> &'static [&'static str] {
        const PARTS: &[&str] = &["registry", "repository", "image", "name", "tag", "version", "imageTag", "digest"];
        let has = |name: &str| node.get(name).is_some();
        let text = |name: &str| scalar(node, name);
        let image = text("image").filter(|image| !image.contains(' '));
        let tagged = has("tag") || has("digest") || has("imageTag");
        let (name, joined) = match (text("repository"), image, text("name")) {
            (Some(repository), Some(image), _) if tagged || has("version") => (format!("{repository}/{image}"), true),
            (Some(repository), None, _) if is_image(key) || tagged => (repository.to_owned(), false),
            (None, Some(image), _) if tagged || has("registry") => (image.to_owned(), false),
            (None, None, Some(name)) if is_image(key) && tagged => (name.to_owned(), false),
            _ => return &[],
        };
        if name.contains("://") {
            return &[];
        }
        let registry = self.global.clone().or(text("registry").map(str::to_owned));
        let name = match registry {
            Some(registry) if !name.starts_with(&format!("{registry}/")) => format!("{registry}/{name}"),
            _ => name,
        };
        let tag = text("tag").or(text("imageTag")).or(text("version").filter(|_| joined));
        self.name(&self.complete(&name, tag, text("digest")));
        PARTS
    }

    /// The name with what it lacks: the tag that charts take where none is given is that of what they install.
    fn complete(&self, name: &str, tag: Option<&str>, digest: Option<&str>) -> String {
        let tagged = name.rsplit('/').next().is_some_and(|last| last.contains(':')) || name.contains('@');
        let tag = tag.or(self.app_version.as_deref()).filter(|_| !tagged && (tag.is_some() || digest.is_none()));
        let tag = tag.map(|tag| format!(":{tag}")).unwrap_or_default();
        match digest {
            Some(digest) if digest.contains(':') => format!("{name}{tag}@{digest}"),
            Some(digest) => format!("{name}{tag}@sha256:{digest}"),
            None => format!("{name}{tag}"),
        }
    }

    fn name(&mut self, text: &str) {
        let Self { source, collector, path, .. } = self;
        let place = Place { source, at: Position::START, object: None, field: path };
        // A text of a template, as values for `tpl` are, is rendered by helm alone.
        if text.contains("{{") {
            collector.warn(
                place,
                format!("{path}: {text:?} is a template, so which image it is cannot be told without helm"),
            );
        } else {
            collector.named(text, place);
        }
    }
}

fn is_image(key: &str) -> bool {
    key == "image" || key.ends_with("Image")
}

/// `--some-image=REFERENCE`: the image of an argument.
fn argument(text: &str) -> Option<(&str, Reference)> {
    let (flag, value) = text.strip_prefix("--")?.split_once('=')?;
    let named = flag.ends_with("image") || flag.ends_with("config-reloader");
    let value = Some(value).filter(|value| named && value.contains('/') && value.contains([':', '@']))?;
    Some((value, value.parse().ok()?))
}
