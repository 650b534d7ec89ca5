//! Images that a Chart.yaml names in its annotations: `artifacthub.io/images`, and `images` as Bitnami's charts have it.

use std::path::Path;

use super::collect::Collector;
use crate::chart::{Chart, Part};
use crate::objects::{Place, Sink};
use crate::problem::{Position, Source};
use crate::yaml::{self, Node, Value};

/// The annotations that list images.
const NAMES: &[&str] = &["artifacthub.io/images", "images"];

/// Reads the annotations of one chart of a release.
pub(super) fn read<'p>(chart: &'p Chart, part: &Part<'_>, collector: &mut Collector<'p>) {
    let file = if part.path.is_empty() { "Chart.yaml".to_owned() } else { format!("{}/Chart.yaml", part.path) };
    collector.enter_chart(chart, &file);
    for name in NAMES {
        let Some(text) = part.tree.metadata.annotations.get(*name) else { continue };
        let shown = format!("pack {}, chart {}, annotation {name} of {file}", chart.pack, chart.title());
        let source = Source::new(Path::new(&shown), text.clone());
        list(&source, &format!("annotations[{name}]"), collector);
    }
}

fn list(source: &Source, field: &str, collector: &mut Collector<'_>) {
    let parsed = yaml::parse_as_helm(source.text());
    let unknown = |at, collector: &mut Collector<'_>| {
        let message = "is not read: a list of mappings with `image` is expected, so images may be missing";
        collector.warn(Place { source, at, object: None, field }, format!("the annotation {message}"));
    };
    let [document] = &parsed.documents[..] else { return unknown(Position::START, collector) };
    if !parsed.mistakes.is_empty() || !matches!(document.value, Value::Sequence(_)) {
        return unknown(document.at, collector);
    }
    for (index, item) in document.items().iter().enumerate() {
        let image = if item.text().is_some() { Some(item) } else { item.get("image") };
        match image.and_then(Node::text).filter(|text| !text.trim().is_empty()) {
            None => unknown(item.at, collector),
            Some(text) => {
                let field = format!("{field}[{index}].image");
                let at = image.map_or(item.at, |image| image.at);
                collector.named(text.trim(), Place { source, at, object: None, field: &field });
            }
        }
    }
}
