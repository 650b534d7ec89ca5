//! YAML that is put together here: what a profile says, with what a site says of one machine.

use std::sync::Arc;

use crate::problem::Position;
use crate::yaml::{self, Entry, Kind, Node, Scalar, Style, Value};

/// A mapping that is put together, its keys in the order in which they came.
#[derive(Debug, Clone, Default)]
pub(super) struct Map(Vec<(String, Node)>);

impl Map {
    /// The mapping that `text` is; nothing is an empty one. Of several documents there is one mapping each.
    pub(super) fn parse_all(text: &str) -> Result<Vec<Self>, String> {
        let parsed = yaml::parse(text);
        if let Some(mistake) = parsed.mistakes.first() {
            // The message says what stands there only where that is a key.
            return Err(format!("line {}: {}", mistake.at, mistake.message));
        }
        let documents = parsed.documents.iter().filter(|document| !document.is_null());
        documents
            .map(|document| match &document.value {
                Value::Mapping(_) => Ok(Self::of(document)),
                _ => Err("it is not a mapping".to_owned()),
            })
            .collect()
    }

    /// The same where there is one document at most.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut all = Self::parse_all(text)?;
        match all.len() {
            0 | 1 => Ok(all.pop().unwrap_or_default()),
            _ => Err("it is more than one document".to_owned()),
        }
    }

    /// The entries of a mapping; none for everything else.
    pub(super) fn of(node: &Node) -> Self {
        Self(node.entries().iter().map(|entry| (entry.key.to_string(), entry.value.clone())).collect())
    }

    /// The value of a key.
    pub(super) fn get(&self, key: &str) -> Option<&Node> {
        self.0.iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// The text of a key, whatever kind it is, where it is no list and no mapping.
    pub(super) fn text(&self, key: &str) -> Option<&str> {
        self.get(key)?.scalar().map(|scalar| &*scalar.text)
    }

    /// Sets a key, in its place where it is there already.
    pub(super) fn set(&mut self, key: &str, value: Node) {
        match self.0.iter_mut().find(|(name, _)| name == key) {
            Some((_, old)) => *old = value,
            None => self.0.push((key.to_owned(), value)),
        }
    }

    /// The same where the key is not there yet.
    pub(super) fn set_default(&mut self, key: &str, value: Node) {
        if self.get(key).is_none() {
            self.set(key, value);
        }
    }

    /// Removes a key.
    pub(super) fn remove(&mut self, key: &str) {
        self.0.retain(|(name, _)| name != key);
    }

    /// Adds what a list does not have yet. What is no list is its only item.
    pub(super) fn join(&mut self, key: &str, more: impl IntoIterator<Item = String>) {
        let mut items = match self.get(key) {
            None => Vec::new(),
            Some(node) if matches!(node.value, Value::Sequence(_)) => node.items().to_vec(),
            Some(node) => vec![node.clone()],
        };
        for one in more {
            if !items.iter().any(|item| item.scalar().is_some_and(|scalar| *scalar.text == one)) {
                items.push(text(one));
            }
        }
        if !items.is_empty() {
            self.set(key, list(items));
        }
    }

    /// Changes the mapping that a key is; an empty one where it is none.
    pub(super) fn within(&mut self, key: &str, change: impl FnOnce(&mut Self)) {
        let mut inner = self.get(key).map(Self::of).unwrap_or_default();
        change(&mut inner);
        if !inner.0.is_empty() {
            self.set(key, inner.node());
        }
    }

    /// Adds what another mapping has, which counts where both have a key.
    pub(super) fn extend(&mut self, other: Self) {
        for (key, value) in other.0 {
            self.set(&key, value);
        }
    }

    /// The keys.
    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(key, _)| key.as_str())
    }

    /// Whether it has none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// As a tree.
    pub(super) fn node(self) -> Node {
        let entry = |(key, value): (String, Node)| Entry { key: key.into(), key_at: Position::START, value };
        node(Value::Mapping(self.0.into_iter().map(entry).collect()))
    }

    /// As a document.
    pub(super) fn written(self) -> String {
        yaml::to_text(&self.node(), |_| false)
    }
}

impl<const N: usize> From<[(&str, Node); N]> for Map {
    fn from(entries: [(&str, Node); N]) -> Self {
        Self(entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
    }
}

fn node(value: Value) -> Node {
    Node { at: Position::START, value }
}

/// A text.
pub(super) fn text(text: impl Into<Arc<str>>) -> Node {
    node(Value::Scalar(Scalar { text: text.into(), kind: Kind::Text, style: Style::Double }))
}

/// A truth value.
pub(super) fn truth(value: bool) -> Node {
    node(Value::Scalar(Scalar { text: value.to_string().into(), kind: Kind::Bool, style: Style::Plain }))
}

/// A whole number.
pub(super) fn number(value: u32) -> Node {
    node(Value::Scalar(Scalar { text: value.to_string().into(), kind: Kind::Int, style: Style::Plain }))
}

/// A list.
pub(super) fn list(items: Vec<Node>) -> Node {
    node(Value::Sequence(items.into()))
}

/// A list of texts.
pub(super) fn texts(items: impl IntoIterator<Item = String>) -> Node {
    list(items.into_iter().map(text).collect())
}

/// A mapping.
pub(super) fn map<const N: usize>(entries: [(&str, Node); N]) -> Node {
    Map::from(entries).node()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_joined_and_what_stands_stays_as_it_is_written() {
        let mut map = Map::parse("tls-san: one\nmode: 0644\nlist: [a, b]\n").unwrap();
        map.join("tls-san", ["two".to_owned(), "one".to_owned()]);
        map.join("list", ["b".to_owned(), "c".to_owned()]);
        map.join("none", []);
        map.set("mode2", truth(true));
        assert_eq!(
            map.written(),
            "\"tls-san\":\n  - \"one\"\n  - \"two\"\n\"mode\": 0644\n\"list\":\n  - \"a\"\n  - \"b\"\n  - \"c\"\n\"mode2\": true\n"
        );
    }

    #[test]
    fn nothing_is_an_empty_mapping_and_a_list_is_none() {
        assert!(Map::parse("").unwrap().is_empty());
        assert!(Map::parse("# nothing\n").unwrap().is_empty());
        assert!(Map::parse("- a\n").is_err());
        assert!(Map::parse("a: 1\n---\nb: 1\n").is_err());
    }
}
