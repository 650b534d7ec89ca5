//! Reading a mapping field by field, so that every mistake in it is told and none twice.

use super::node::{Kind, Node, Scalar, Value};
use super::suggest::nearest;
use crate::problem::{Position, Report};

/// The fields of one mapping. Opening it reports what is unknown or refused; each getter reports a wrong type. A getter
/// that returns nothing has already reported why, where that is a mistake.
#[derive(Debug, Clone, Copy)]
pub struct Fields<'n> {
    node: &'n Node,
    known: &'static [&'static str],
}

impl<'n> Fields<'n> {
    /// Opens `node`, called `what` in messages (`` `metadata` ``, `a pack`), as a mapping of the `known` fields. `refused`
    /// names fields that have a meaning which this version does not have, with the dotted path to say in the message.
    pub fn open(
        node: &'n Node,
        what: &str,
        known: &'static [&'static str],
        refused: &[(&str, &str)],
        report: &mut Report,
    ) -> Option<Self> {
        let Value::Mapping(entries) = &node.value else {
            report.add(node.at, format!("{what} must be a mapping, found {}", node.describe()));
            return None;
        };
        for entry in entries.iter().filter(|entry| !known.contains(&&*entry.key)) {
            let message = if let Some((_, path)) = refused.iter().find(|(name, _)| *name == &*entry.key) {
                format!("`{path}` is not supported by this version of Carrack yet")
            } else {
                let hint = nearest(&entry.key, known).map(|name| format!("; did you mean `{name}`?"));
                let or_known = hint.unwrap_or_else(|| format!("; {what} has {}", words(known)));
                format!("unknown field `{}`{or_known}", entry.key)
            };
            report.add(entry.key_at, message);
        }
        Some(Self { node, known })
    }

    /// Where the mapping begins.
    pub fn at(&self) -> Position {
        self.node.at
    }

    /// Where the key of `name` stands, or the mapping where there is no such key.
    pub fn key_at(&self, name: &str) -> Position {
        self.node.entries().iter().find(|entry| &*entry.key == name).map_or(self.node.at, |entry| entry.key_at)
    }

    /// Where the value of `name` stands, or the mapping where there is no such key.
    pub fn value_at(&self, name: &str) -> Position {
        self.node.get(name).map_or(self.node.at, |value| value.at)
    }

    /// The value of `name`, if given. A key without a value is a mistake.
    pub fn optional(&self, name: &str, report: &mut Report) -> Option<&'n Node> {
        debug_assert!(self.known.contains(&name), "{name} is read but not known");
        let value = self.node.get(name)?;
        if value.is_null() {
            report.add(self.key_at(name), format!("`{name}` has no value"));
            return None;
        }
        Some(value)
    }

    /// The value of `name`, which must be given.
    pub fn required(&self, name: &str, report: &mut Report) -> Option<&'n Node> {
        if self.node.get(name).is_none() {
            report.add(self.node.at, format!("`{name}` is missing"));
        }
        self.optional(name, report)
    }

    /// The text of `name`, if given.
    pub fn optional_text(&self, name: &str, report: &mut Report) -> Option<&'n str> {
        let node = self.optional(name, report)?;
        text(node, &format!("`{name}`"), report)
    }

    /// The text of `name`, which must be given.
    pub fn required_text(&self, name: &str, report: &mut Report) -> Option<&'n str> {
        let node = self.required(name, report)?;
        text(node, &format!("`{name}`"), report)
    }

    /// The truth value of `name`; false where it is not given.
    pub fn flag(&self, name: &str, report: &mut Report) -> bool {
        let Some(node) = self.optional(name, report) else { return false };
        match node.scalar() {
            Some(Scalar { kind: Kind::Bool, text, .. }) => text.eq_ignore_ascii_case("true"),
            _ => {
                report.add(node.at, format!("`{name}` must be true or false, found {}", node.describe()));
                false
            }
        }
    }

    /// The items of the list `name`; none where it is not given.
    pub fn list(&self, name: &str, report: &mut Report) -> &'n [Node] {
        let Some(node) = self.optional(name, report) else { return &[] };
        if !matches!(node.value, Value::Sequence(_)) {
            report.add(node.at, format!("`{name}` must be a list, found {}", node.describe()));
        }
        node.items()
    }

    /// The texts of the list `name`, each with its node.
    pub fn texts(&self, name: &str, report: &mut Report) -> Vec<(&'n str, &'n Node)> {
        let what = format!("an item of `{name}`");
        self.list(name, report).iter().filter_map(|item| Some((text(item, &what, report)?, item))).collect()
    }
}

/// The text of `node`, called `what` in messages; nothing where it is another thing, or empty, which `report` then has.
pub fn text<'n>(node: &'n Node, what: &str, report: &mut Report) -> Option<&'n str> {
    if let Some(scalar) = node.scalar().filter(|scalar| !matches!(scalar.kind, Kind::Text | Kind::Null)) {
        let message = format!("{what} must be text, found {scalar}; write it in quotes: \"{}\"", scalar.text);
        report.add(node.at, message);
        return None;
    }
    let text = node.text();
    match text {
        None => report.add(node.at, format!("{what} must be text, found {}", node.describe())),
        Some("") => report.add(node.at, format!("{what} is empty")),
        Some(_) => {}
    }
    text.filter(|text| !text.is_empty())
}

fn words(known: &[&str]) -> String {
    known.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::Source;
    use std::path::Path;

    #[test]
    fn all_mistakes_of_a_mapping_are_told_at_once() {
        let text = "nam: x\nversion: 1.10\nlist: {}\nempty:\nlater: 1\n";
        let parsed = super::super::parse(text);
        let mut report = Report::new(Source::new(Path::new("f"), text.to_owned()));
        const KNOWN: &[&str] = &["name", "version", "list", "empty"];
        let fields = Fields::open(&parsed.documents[0], "`it`", KNOWN, &[("later", "it.later")], &mut report).unwrap();
        assert_eq!(fields.required_text("name", &mut report), None);
        assert_eq!(fields.optional_text("version", &mut report), None);
        assert_eq!(fields.texts("list", &mut report).len(), 0);
        assert!(fields.optional("empty", &mut report).is_none());
        let messages: Vec<String> = report
            .into_problems()
            .iter()
            .map(|problem| format!("{}: {}", problem.position.unwrap(), problem.message))
            .collect();
        assert_eq!(
            messages,
            [
                "1:1: unknown field `nam`; did you mean `name`?",
                "1:1: `name` is missing",
                "2:10: `version` must be text, found the number 1.10; write it in quotes: \"1.10\"",
                "3:7: `list` must be a list, found a mapping",
                "4:1: `empty` has no value",
                "5:1: `it.later` is not supported by this version of Carrack yet",
            ]
        );
    }
}
