//! Variables: what a profile leaves open, to be said for each place that it is installed at.
//!
//! Owns what a variable is, which values fit it, where placeholders stand in a text and how values get there. It must not
//! know whose text that is, nor where values are kept.

mod check;
mod decode;
mod format;
mod resolve;
#[cfg(feature = "operator")]
pub mod samples;
pub mod template;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use check::check_declared;
pub use decode::{FIELDS, decode, value_text};
pub use format::Format;
pub use resolve::{Ask, Given, Installed, InstalledValue, Known, Written, resolve};

/// What stands for a sensitive value wherever something is printed.
pub const MASK: &str = "••••";
/// Longest name.
const MAX_NAME: usize = 64;

/// Names of variables with their values, as texts in canonical spelling.
pub type Values = BTreeMap<String, String>;

/// One variable as a profile or pack declares it. Goes into bundles as JSON.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Variable {
    /// `[A-Za-z_][A-Za-z0-9_]{0,63}`
    pub name: String,
    /// What it is, for the person who sets it; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// What its values look like.
    #[serde(default, skip_serializing_if = "Format::is_string")]
    pub format: Format,
    /// Whether a value must be given; then there is no default.
    #[serde(default, skip_serializing_if = "is_false")]
    pub required: bool,
    /// Its value where none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// A pattern that the whole value matches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regex: Option<String>,
    /// The only values that it may have; any where empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
    /// Whether nobody is asked for it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub hidden: bool,
    /// Whether it always has its default.
    #[serde(default, skip_serializing_if = "is_false")]
    pub read_only: bool,
    /// Whether its value is never shown.
    #[serde(default, skip_serializing_if = "is_false")]
    pub sensitive: bool,
    /// Whether a host keeps the first value for ever.
    #[serde(default, skip_serializing_if = "is_false")]
    pub immutable: bool,
}

impl Variable {
    /// A value of this variable for people: in quotes, or masked.
    pub fn shown(&self, value: &str) -> String {
        if self.sensitive { MASK.to_owned() } else { format!("{value:?}") }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the form that serde calls")]
fn is_false(flag: &bool) -> bool {
    !flag
}

/// Whether `text` may be a variable's name.
pub fn is_name(text: &str) -> bool {
    text.len() <= MAX_NAME
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && text.starts_with(|c: char| !c.is_ascii_digit())
}
