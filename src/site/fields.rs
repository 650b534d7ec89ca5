//! Reading a mapping field by field as [`crate::yaml::Fields`] does, in words that repeat nothing of what stands there: all
//! of a site may be a secret, and where quotes are forgotten even its keys.

use crate::problem::{Position, Report};
use crate::yaml::{Kind, Node, Value, nearest};

/// The fields of one mapping. A getter that returns nothing has already reported why, where that is a mistake.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields<'n>(&'n Node);

impl<'n> Fields<'n> {
    /// Opens `node`, called `what` in messages, as a mapping of the `known` fields.
    pub(super) fn open(node: &'n Node, what: &str, known: &[&str], report: &mut Report) -> Option<Self> {
        let Value::Mapping(entries) = &node.value else {
            report.add(node.at, format!("{what} must be a mapping"));
            return None;
        };
        for entry in entries.iter().filter(|entry| !known.contains(&&*entry.key)) {
            let message = match nearest(&entry.key, known) {
                Some(name) => format!("unknown field `{}`; did you mean `{name}`?", entry.key),
                None => format!("unknown field; {what} has {}", words(known)),
            };
            report.add(entry.key_at, message);
        }
        Some(Self(node))
    }

    /// Where the mapping begins.
    pub(super) fn start(&self) -> Position {
        self.0.at
    }

    /// Where the key of `name` stands, or the mapping where there is no such key.
    pub(super) fn key_at(&self, name: &str) -> Position {
        self.0.entries().iter().find(|entry| &*entry.key == name).map_or(self.0.at, |entry| entry.key_at)
    }

    /// Where the value of `name` stands, or the mapping where there is no such key.
    pub(super) fn value_at(&self, name: &str) -> Position {
        self.0.get(name).map_or(self.0.at, |value| value.at)
    }

    /// Whether `name` is there, with or without a value.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.get(name).is_some()
    }

    /// Reports those of `names` that are not there.
    pub(super) fn require(&self, names: &[&str], report: &mut Report) {
        for name in names.iter().filter(|name| !self.has(name)) {
            report.add(self.0.at, format!("`{name}` is missing"));
        }
    }

    /// The value of `name`, if given. A key without a value is a mistake.
    pub(super) fn optional(&self, name: &str, report: &mut Report) -> Option<&'n Node> {
        let value = self.0.get(name)?;
        if value.is_null() {
            report.add(self.key_at(name), format!("`{name}` has no value"));
            return None;
        }
        Some(value)
    }

    /// The text of `name`, if given.
    pub(super) fn text(&self, name: &str, report: &mut Report) -> Option<&'n str> {
        let node = self.optional(name, report)?;
        let text = text(node, &format!("`{name}`"), report)?;
        if text.is_empty() {
            report.add(node.at, format!("`{name}` is empty"));
            return None;
        }
        Some(text)
    }

    /// What `parse` makes of the text of `name`, if given; its error says what the text must be.
    pub(super) fn parsed<T>(
        &self,
        name: &str,
        parse: impl Fn(&str) -> Result<T, &'static str>,
        report: &mut Report,
    ) -> Option<T> {
        let parsed = parse(self.text(name, report)?);
        parsed.map_err(|expected| report.add(self.value_at(name), format!("`{name}` must be {expected}"))).ok()
    }

    /// The truth value of `name`; none where it is not given.
    pub(super) fn flag(&self, name: &str, report: &mut Report) -> Option<bool> {
        let node = self.optional(name, report)?;
        match node.scalar() {
            Some(scalar) if scalar.kind == Kind::Bool => Some(scalar.text.eq_ignore_ascii_case("true")),
            _ => {
                report.add(node.at, format!("`{name}` must be true or false"));
                None
            }
        }
    }

    /// The items of the list `name`; none where it is not given. An empty list is a mistake.
    pub(super) fn list(&self, name: &str, report: &mut Report) -> &'n [Node] {
        let Some(node) = self.optional(name, report) else { return &[] };
        match &node.value {
            Value::Sequence(items) if items.is_empty() => report.add(node.at, format!("`{name}` is empty")),
            Value::Sequence(_) => {}
            _ => report.add(node.at, format!("`{name}` must be a list")),
        }
        node.items()
    }

    /// What `parse` makes of the texts of the list `name`, each with its place.
    pub(super) fn items<T>(
        &self,
        name: &str,
        parse: impl Fn(&str) -> Result<T, &'static str>,
        report: &mut Report,
    ) -> Vec<(T, Position)> {
        let what = format!("an item of `{name}`");
        let items = self.list(name, report).iter();
        let one = |item: &Node| match parse(text(item, &what, report)?) {
            Ok(parsed) => Some((parsed, item.at)),
            Err(expected) => {
                report.add(item.at, format!("{what} must be {expected}"));
                None
            }
        };
        items.filter_map(one).collect()
    }
}

/// The text of `node`, called `what` in messages.
pub(super) fn text<'n>(node: &'n Node, what: &str, report: &mut Report) -> Option<&'n str> {
    match (node.text(), node.scalar()) {
        (Some(text), _) => return Some(text),
        (None, Some(scalar)) if scalar.kind != Kind::Null => {
            report.add(node.at, format!("{what} must be text; write it in quotes"));
        }
        _ => report.add(node.at, format!("{what} must be text")),
    }
    None
}

fn words(known: &[&str]) -> String {
    known.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
