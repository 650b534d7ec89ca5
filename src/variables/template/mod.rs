//! Templates: texts with placeholders, `{{.carrack.var.NAME}}` or `{{ .carrack.var.NAME | default "text" }}`.

mod fill;
mod protect;
mod scan;
mod spelling;
mod yaml;

use std::ops::Range;

pub use fill::{Filled, Put, check, fill, fill_and_tell};
pub use protect::{Protected, protect};
pub use scan::scan;
pub use spelling::Spelling;

use crate::problem::Position;
use crate::yaml::Mistake;

/// A place that a value goes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placeholder {
    /// Where it begins.
    pub at: Position,
    /// Its bytes in the text, braces included.
    pub bytes: Range<usize>,
    /// The variable.
    pub name: String,
    /// What stands there where the variable has no value.
    pub default: Option<String>,
}

/// The placeholders of a text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scan {
    /// In the order of the text.
    pub placeholders: Vec<Placeholder>,
    /// What begins as a placeholder and is none.
    pub mistakes: Vec<Mistake>,
}

/// What is around placeholders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Around {
    /// YAML: a value is written so that it is read back as itself, and changes nothing around it. Nothing is filled in
    /// inside comments.
    Yaml,
    /// Anything: values are put there as they are.
    Plain,
}
