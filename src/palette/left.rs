//! The list of what an import leaves out.

use std::collections::HashSet;
use std::fmt;

use serde::Serialize;
use serde_json::{Map, Value};

use super::macros::Macro;
use crate::problem::printable;

/// Something that Palette has and the imported profile has not.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NotImported {
    /// The file, and after a blank the field of an exported profile whose text it stands in.
    pub place: String,
    /// Its line there, where that is a text.
    pub line: Option<usize>,
    /// The path of its field; empty where it is the place as a whole.
    pub field: String,
    /// Why.
    pub reason: String,
    /// What kind of a loss it is.
    pub kind: Loss,
    /// Whether it concerns only Palette itself, so that the cluster does not lack it.
    pub only_palette: bool,
}

/// A kind of what is not imported; the gravest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Loss {
    /// A pack, a chart, a manifest or a whole text.
    Part,
    /// A value that a macro stands for.
    Macro,
    /// Something else that somebody should look at.
    Other,
    /// A file of a pack that nothing names.
    File,
    /// What only Palette has a use for.
    Palette,
}

impl Loss {
    /// All, the gravest first.
    pub const ALL: [Self; 5] = [Self::Part, Self::Macro, Self::Other, Self::File, Self::Palette];

    /// Whether each is worth a line of its own to somebody who has just imported it.
    pub fn matters(self) -> bool {
        !matches!(self, Self::File | Self::Palette)
    }

    /// What a number of these is called.
    pub fn counted(self, count: usize) -> String {
        let s = if count == 1 { "" } else { "s" };
        match self {
            Self::Part => format!("{count} missing part{s}"),
            Self::Macro => format!("{count} value{s} that Palette fills in"),
            Self::Other => format!("{count} line{s} to look at"),
            Self::File => format!("{count} line{s} on unused files"),
            Self::Palette => format!("{count} of use to Palette alone"),
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Part => "Missing parts",
            Self::Macro => "Values that Palette fills in",
            Self::Other => "To look at",
            Self::File => "Files that nothing uses",
            Self::Palette => "Of use to Palette alone",
        }
    }
}

impl fmt::Display for NotImported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&printable(&self.place))?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if !self.field.is_empty() {
            write!(f, ": {}", printable(&self.field))?;
        }
        write!(f, ": {}", printable(&self.reason))
    }
}

/// The list while it grows.
#[derive(Debug, Default)]
pub(super) struct Left {
    list: Vec<NotImported>,
    seen: HashSet<NotImported>,
}

/// What a field of Palette's is to an import.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// A text is read.
    Text,
    /// A truth value is read.
    Flag,
    /// A whole number is read.
    Number,
    /// A list is read.
    List,
    /// An object is read.
    Object,
    /// Only Palette has a use for it.
    Palette,
}

impl Left {
    /// What the cluster will lack.
    pub(super) fn out(&mut self, place: &str, line: Option<usize>, field: &str, reason: impl Into<String>) {
        self.add(Loss::Other, place, line, field, reason.into());
    }

    /// A pack, a chart, a manifest or a text of which nothing is there.
    pub(super) fn part(&mut self, place: &str, line: Option<usize>, field: &str, reason: impl Into<String>) {
        self.add(Loss::Part, place, line, field, reason.into());
    }

    /// A value that `one` would have been.
    pub(super) fn a_macro(&mut self, place: &str, line: Option<usize>, field: &str, one: &Macro) {
        self.add(Loss::Macro, place, line, field, format!("{}: {}", one.text, one.reason));
    }

    /// A file that nothing names, or some of a folder.
    pub(super) fn file(&mut self, place: &str, reason: impl Into<String>) {
        self.add(Loss::File, place, None, "", reason.into());
    }

    /// What only Palette has a use for.
    pub(super) fn palettes(&mut self, place: &str, field: &str, reason: &str) {
        self.add(Loss::Palette, place, None, field, reason.to_owned());
    }

    fn add(&mut self, kind: Loss, place: &str, line: Option<usize>, field: &str, reason: String) {
        let only_palette = kind == Loss::Palette;
        let one = NotImported { place: place.to_owned(), line, field: field.to_owned(), reason, kind, only_palette };
        if self.seen.insert(one.clone()) {
            self.list.push(one);
        }
    }

    /// Lists every field of the JSON object at `path` that is not read.
    pub(super) fn fields(&mut self, place: &str, path: &str, object: &Map<String, Value>, known: &[(&str, Use)]) {
        for (name, value) in object {
            let empty = match value {
                Value::Null => true,
                Value::String(text) => text.trim().is_empty(),
                Value::Array(items) => items.is_empty(),
                Value::Object(fields) => fields.is_empty(),
                _ => false,
            };
            let path = below(path, name);
            let Some((_, wanted)) = known.iter().find(|(known, _)| known == name) else {
                self.out(place, None, &path, "an unknown field");
                continue;
            };
            let (right, what) = match wanted {
                _ if empty => continue,
                Use::Palette => {
                    self.palettes(place, &path, "only Palette uses it");
                    continue;
                }
                Use::Text => (value.is_string(), "a text"),
                Use::Flag => (value.is_boolean(), "true or false"),
                Use::Number => (value.is_u64(), "a whole number"),
                Use::List => (value.is_array(), "a list"),
                Use::Object => (value.is_object(), "an object"),
            };
            if !right {
                self.out(place, None, &path, format!("{what} is expected here"));
            }
        }
    }

    /// The list, each once: by kind, and within one in the order found.
    pub(super) fn into_list(mut self) -> Vec<NotImported> {
        self.list.sort_by_key(|one| one.kind);
        self.list
    }
}

/// The text of a field, where it has one.
pub(super) fn text<'v>(object: &'v Map<String, Value>, name: &str) -> Option<&'v str> {
    object.get(name)?.as_str().map(str::trim).filter(|text| !text.is_empty())
}

/// The path of a field in an object.
pub(super) fn below(path: &str, name: &str) -> String {
    match path {
        "" => name.to_owned(),
        path if name.contains(['.', '[']) => format!("{path}[{name:?}]"),
        path => format!("{path}.{name}"),
    }
}

/// The document that keeps the list in the profile's folder.
pub(super) fn document(list: &[NotImported]) -> String {
    let mut text = "# Not imported\n\nWhat stands here is in Palette's files and not in this profile.\n".to_owned();
    for kind in Loss::ALL {
        let part: Vec<&NotImported> = list.iter().filter(|one| one.kind == kind).collect();
        if !part.is_empty() {
            text += &format!("\n## {} ({})\n\n", kind.title(), part.len());
            part.iter().for_each(|one| text += &format!("- {one}\n"));
        }
    }
    text
}
