//! Image lists: one reference a line, as k3s and RKE2 publish; `#` begins a comment.

use super::collect::Collector;
use crate::objects::{Place, Sink};
use crate::problem::{Position, Source};

pub(super) fn read(source: &Source, collector: &mut Collector<'_>) {
    for (index, line) in source.text().lines().enumerate() {
        let line = line.trim_start_matches('\u{feff}');
        let content = line.split_once('#').map_or(line, |(content, _)| content);
        let text = content.trim();
        if text.is_empty() {
            continue;
        }
        let indent = content.chars().take_while(|c| c.is_whitespace()).count();
        let at = Position { line: index + 1, column: indent + 1 };
        collector.named(text, Place { source, at, object: None, field: "" });
    }
}
