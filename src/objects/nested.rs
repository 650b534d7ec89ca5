//! Documents inside of texts: the files of ConfigMaps, the values that an object has for a chart, templates of operators.

use crate::yaml::{self, Node, Value};

/// Longest text that is read as a document, in bytes: as much as the API takes of an object.
const LONGEST: usize = 3 << 20;

/// The documents that `text` is, YAML or JSON; none where it is prose, a single value, or something else.
pub(super) fn documents(text: &str) -> Vec<Node> {
    let begins = text.trim_start();
    let may_be = text.trim_end().contains('\n') && text.contains(':') || begins.starts_with(['{', '[']);
    // What begins like a template or a program's text is neither, and costs time.
    if !may_be || text.len() > LONGEST || begins.starts_with("{{") || begins.starts_with("#!") {
        return Vec::new();
    }
    let parsed = yaml::parse_with_merge_keys(text);
    let structured = |node: &Node| !matches!(node.value, Value::Scalar(_));
    let documents: Vec<Node> = parsed.documents.into_iter().filter(|document| !document.is_null()).collect();
    if !parsed.mistakes.is_empty() || !documents.iter().all(structured) {
        return Vec::new();
    }
    documents
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yaml_and_json_are_documents_and_prose_is_none() {
        for (text, count) in [
            ("a: 1\nb: {c: 2}\n", 1),
            ("a: 1\n---\nb: 2\n", 2),
            ("{\"a\": {\"image\": \"x\"}}", 1),
            ("- a: 1\n- b: 2\n", 1),
            ("The image is nice,\nand so is the text.\n", 0),
            ("redis:6379 is an address", 0),
            ("{{ if .Values.x }}\na: 1\n{{ end }}\n", 0),
            ("#!/bin/sh\necho a: b\n", 0),
            ("a: [1\nb: 2\n", 0),
            ("", 0),
        ] {
            assert_eq!(documents(text).len(), count, "{text}");
        }
    }
}
