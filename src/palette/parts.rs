//! Values of the charts and manifests of a pack. They are read when it is known what becomes of them, so that what is in
//! them is listed only where it is missed.

use std::rc::Rc;

use super::Import;
use super::document::{Document, Ready};
use super::left::{Left, below};
use super::macros::Mapped;
use super::values::is_nothing;
use crate::yaml::{Entry, Node, Value};

/// The values of a chart or manifest.
pub(super) struct Part {
    pub(super) name: String,
    pub(super) field: String,
    pub(super) place: String,
    line: Option<usize>,
    node: Node,
    document: Rc<Document>,
}

/// A text of the values, and where it stands.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) text: String,
    pub(super) place: String,
    pub(super) line: Option<usize>,
    pub(super) field: String,
}

impl Said {
    /// Lists it.
    pub(super) fn out(&self, left: &mut Left, reason: &str) {
        left.out(&self.place, self.line, &self.field, reason);
    }
}

impl Part {
    /// What `entry` of `document` has, which is at `field`.
    pub(super) fn new(document: &Rc<Document>, entry: &Entry, field: String) -> Self {
        Self {
            name: document.key(entry),
            field,
            place: document.place.clone(),
            line: document.line(entry),
            node: entry.value.clone(),
            document: Rc::clone(document),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        is_nothing(&self.node)
    }

    /// Lists it as a whole.
    pub(super) fn out(&self, import: &mut Import, reason: impl Into<String>) {
        import.left.out(&self.place, self.line, &self.field, reason);
    }

    /// Lists it as the values of a chart or manifest that is not there.
    pub(super) fn lost(&self, import: &mut Import, reason: impl Into<String>) {
        import.left.part(&self.place, self.line, &self.field, reason);
    }

    /// As they are written for a chart. What cannot be is listed.
    pub(super) fn values(&self, import: &mut Import) -> Ready {
        match self.node.value {
            Value::Mapping(_) => self.document.ready(import, &self.node, &self.field),
            _ if self.is_empty() => Ready::default(),
            _ => {
                self.out(import, "values are a mapping");
                Ready::default()
            }
        }
    }

    /// The manifest that the values hold, and the lines above it. It keeps its placeholders and its macros.
    pub(super) fn contents(&self) -> Option<(Mapped, usize)> {
        let node = self.node.get("contents").filter(|node| !is_nothing(node))?;
        self.document.inner(node)
    }

    /// Lists what is beside the manifest that the values hold.
    pub(super) fn beside_contents(&self, import: &mut Import) {
        let others = self.node.entries().iter().filter(|entry| &*entry.key != "contents" && !is_nothing(&entry.value));
        for entry in others {
            let field = below(&self.field, &self.document.key(entry));
            self.document.out_entry(
                import,
                entry,
                &field,
                "the manifest is `contents`, and nothing else is rendered in it",
            );
        }
    }
}
