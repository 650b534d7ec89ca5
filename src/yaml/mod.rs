//! YAML 1.2 as a tree that keeps positions. The only code that knows the YAML library.
//!
//! Owns syntax, the core schema's scalar kinds, duplicate keys, aliases and the limits that make hostile documents
//! harmless. It must not know what the documents mean; [`Fields`] is what those who do know read a tree with.

mod build;
mod emit;
mod fields;
mod lenient;
mod node;
mod scalars;
mod suggest;
#[cfg(feature = "operator")]
mod written;

pub use emit::to_text;
pub use fields::{Fields, text};
pub use node::{Entry, Kind, Node, Scalar, Style, Value};
pub use scalars::{Located, Written, scalars};
pub use suggest::nearest;
#[cfg(feature = "operator")]
pub use written::written;

use crate::problem::Position;
use build::Reading;

/// What is wrong with the text itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Where.
    pub at: Position,
    /// What, in one line.
    pub message: String,
}

/// The documents of a text, and what is wrong with it. Documents that have a mistake in their syntax are left out;
/// those that have only duplicate keys or unknown tags are there.
#[derive(Debug, Clone, Default)]
pub struct Parsed {
    /// One tree a document.
    pub documents: Vec<Node>,
    /// In the order of the text.
    pub mistakes: Vec<Mistake>,
}

/// Parses a text of any number of documents. `<<` is an ordinary key, as YAML 1.2 has it.
pub fn parse(text: &str) -> Parsed {
    build::build(text, Reading::Plain)
}

/// The same with merge keys (`<<`) expanded, as Kubernetes' tools do with manifests, and with what they forgive.
pub fn parse_with_merge_keys(text: &str) -> Parsed {
    lenient::build(text, Reading::MergeKeys)
}

/// The same, but of equal keys the last one counts, and unknown tags are passed over: as Helm reads charts and what they
/// render to. Who uses a chart of somebody else's cannot correct it.
#[cfg(feature = "operator")]
pub fn parse_as_helm(text: &str) -> Parsed {
    lenient::build(text, Reading::AsHelm)
}
