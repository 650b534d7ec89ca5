//! Kubernetes objects: which images they name, field by field, and what in them looks like one.
//!
//! Owns the reading of manifests. It must not know what becomes of an image: that is the [`Sink`]'s.

mod candidates;
mod charts;
mod manifest;
mod nested;
mod object;
mod pairs;
mod parts;
mod placeholders;
mod walk;

use std::fmt;

use serde::Serialize;

use crate::oci::Reference;
use crate::problem::{Position, Source, printable};

pub use manifest::read;
#[cfg(feature = "operator")]
pub use manifest::read_rendered;

/// Names a Kubernetes object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct ObjectName {
    /// Its kind.
    pub kind: String,
    /// Its namespace, where it names one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Its name; empty where it has none.
    pub name: String,
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", printable(&self.kind))?;
        if let Some(namespace) = &self.namespace {
            write!(f, "{}/", printable(namespace))?;
        }
        f.write_str(&printable(&self.name))
    }
}

/// A place in a manifest or list.
#[derive(Debug, Clone, Copy)]
pub struct Place<'s> {
    /// The text.
    pub source: &'s Source,
    /// Where in it.
    pub at: Position,
    /// The object that it is in; none in a list, and before an object has said what it is.
    pub object: Option<&'s ObjectName>,
    /// The field, such as `spec.template.spec.containers[0].image`; empty in a list.
    pub field: &'s str,
}

impl Place<'_> {
    /// `message` after the names of the object and the field.
    pub fn named(&self, message: &str) -> String {
        match self.object {
            Some(object) if self.field.is_empty() => format!("{object}: {message}"),
            Some(object) => format!("{object}: {}: {message}", self.field),
            None => message.to_owned(),
        }
    }
}

/// What hears of everything that is found.
pub trait Sink {
    /// An image is named here as `text`. Returns it where it is one and is wanted.
    fn named(&mut self, text: &str, place: Place<'_>) -> Option<Reference>;
    /// `text` may be an image, although nothing says so.
    fn candidate(&mut self, text: &str, reference: Reference, place: Place<'_>);
    /// Whether nobody wants to hear of `text`.
    fn ignores(&mut self, text: &str) -> bool;
    /// Something is wrong here.
    fn problem(&mut self, place: Place<'_>, message: String);
    /// Something may go wrong later because of this.
    fn warn(&mut self, place: Place<'_>, message: String);
    /// An object of the API group `group` begins.
    fn object(&mut self, _group: &str, _object: &ObjectName) {}
    /// The name of an image begins with `text`, and something adds the rest. `message` is a warning for who has no such image.
    fn completed(&mut self, _text: &str, place: Place<'_>, message: String) {
        self.warn(place, message);
    }
}

/// Where `text`, a part of a manifest, looks like a template of a Helm chart, and what to say of it.
pub fn template_of_a_chart(text: &str) -> Option<(Position, String)> {
    let (start, expression) = chart_expression(text)?;
    let before = &text[..start];
    let line = before.rsplit('\n').next().unwrap_or_default();
    let at = Position { line: before.matches('\n').count() + 1, column: line.chars().count() + 1 };
    Some((
        at,
        format!(
            "{expression:?} is a template of a Helm chart, and a manifest is not rendered; name the chart with `chart` instead"
        ),
    ))
}

/// The first `{{ … }}` that only Helm can fill in.
fn chart_expression(text: &str) -> Option<(usize, &str)> {
    const SAYS: &[&str] =
        &[".Values", ".Release.", ".Chart.", ".Capabilities.", ".Files.", "include \"", "template \""];
    text.match_indices("{{").find_map(|(start, _)| {
        let expression = &text[start..];
        let end = expression.find("}}")? + 2;
        let expression = &expression[..end];
        let line = !expression.contains('\n') && expression.len() < 200;
        (line && SAYS.iter().any(|word| expression.contains(word))).then_some((start, expression))
    })
}

/// The line `offset` lines after `position`.
fn lines_after(position: Position, offset: usize) -> Position {
    if offset == 0 { position } else { Position { line: position.line + offset, column: 1 } }
}
