//! What a person has changed in a configuration, joined with what the bundle wants there now, key by key. Pure.

use std::collections::BTreeMap;

use crate::oci::Digest;
use crate::problem::Position;
use crate::yaml::{self, Entry, Node, Value};

/// A line that begins another document.
const NEXT: &str = "---";
/// Keys that say what a document is; where they change, its fields may mean something else.
const KINDS: [&str; 2] = ["apiVersion", "kind"];
/// What objects of a cluster have: of these, what a key holds is too large to be taken from one side only.
const OBJECT: &str = "metadata";

/// What each key of a document holds, by digest: enough to tell whether it was changed, without a copy of what is in it.
pub type Keys = BTreeMap<String, Digest>;

/// What comes of both.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Merged {
    /// The text. Where nothing changes in it, it is what the person has left.
    pub(super) text: String,
    /// The person's keys.
    pub(super) keys: Vec<Key>,
}

/// A key that is as a person wants it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Its name; that of the document before it where there are several.
    pub name: String,
    /// Whether the person has removed it.
    pub removed: bool,
    /// Whether the bundle has something else there, which is not what it had before.
    pub disputed: bool,
}

/// Joins `found`, which is what a person has made of what had `base`, with `wanted`. Without a base, what both have and differs
/// counts as the person's, and so does what `wanted` does not have. Nothing where one of them is no YAML mapping, or another kind
/// of it.
pub(super) fn merge(base: &[Keys], found: &str, wanted: &str) -> Option<Merged> {
    let (parts, wanted) = (documents(found)?, documents(wanted)?);
    let bases = if base.is_empty() { vec![None; wanted.len()] } else { base.iter().map(Some).collect() };
    if parts.len() != wanted.len() || parts.len() != bases.len() {
        return None;
    }
    let (mut texts, mut keys) = (Vec::new(), Vec::new());
    for ((part, wanted), base) in parts.iter().zip(&wanted).zip(&bases) {
        let same_kind = KINDS.iter().all(|key| same(part.node.get(key), wanted.node.get(key)));
        if !same_kind || wanted.node.get(OBJECT).is_some() {
            return None;
        }
        let (text, of_part) = one(part, *base, wanted);
        let kind = part.node.get(KINDS[1]).and_then(Node::text).filter(|_| parts.len() > 1);
        let named = |key: Key| match kind {
            Some(kind) => Key { name: format!("{kind}.{}", key.name), ..key },
            None => key,
        };
        keys.extend(of_part.into_iter().map(named));
        texts.push(text);
    }
    let unchanged = texts.iter().zip(&parts).all(|(text, part)| text == part.text);
    let text = if unchanged { found.to_owned() } else { texts.join(&format!("{NEXT}\n")) };
    Some(Merged { text, keys })
}

/// What a later version has to know of this text, for each of its documents; nothing where it cannot be joined with another.
pub(super) fn keys(text: &str) -> Vec<Keys> {
    let documents = documents(text).unwrap_or_default();
    if documents.iter().any(|one| one.node.get(OBJECT).is_some()) {
        return Vec::new();
    }
    let of = |entry: &Entry| (entry.key.to_string(), digest(&entry.value));
    documents.iter().map(|document| document.node.entries().iter().map(of).collect()).collect()
}

/// Of what a value means: where keys stand and how texts are quoted does not matter.
fn digest(node: &Node) -> Digest {
    Digest::of(yaml::to_text(&sorted(node), |_| false).as_bytes())
}

fn sorted(node: &Node) -> Node {
    let value = match &node.value {
        Value::Mapping(entries) => {
            let mut entries: Vec<Entry> = entries.iter().map(|one| entry(&one.key, &sorted(&one.value))).collect();
            entries.sort_by(|a, b| a.key.cmp(&b.key));
            Value::Mapping(entries.into())
        }
        Value::Sequence(items) => Value::Sequence(items.iter().map(sorted).collect()),
        scalar => scalar.clone(),
    };
    Node { at: Position::START, value }
}

#[derive(Debug, Clone)]
struct Document<'t> {
    text: &'t str,
    node: Node,
}

/// The documents of a text, each a mapping; nothing is an empty one. None where one is something else.
fn documents(text: &str) -> Option<Vec<Document<'_>>> {
    let (mut parts, mut start, mut at) = (Vec::new(), 0, 0);
    for line in text.split_inclusive('\n') {
        if line.trim_end() == NEXT {
            parts.push(&text[start..at]);
            start = at + line.len();
        }
        at += line.len();
    }
    parts.push(&text[start..]);
    // A text may begin with the line too.
    if parts.len() > 1 && parts[0].trim().is_empty() {
        parts.remove(0);
    }
    parts.into_iter().map(|text| Some(Document { text, node: mapping(text)? })).collect()
}

fn mapping(text: &str) -> Option<Node> {
    let mut parsed = yaml::parse(text);
    if !parsed.mistakes.is_empty() || parsed.documents.len() > 1 {
        return None;
    }
    match parsed.documents.pop() {
        Some(node) if matches!(node.value, Value::Mapping(_)) => Some(node),
        Some(node) if !node.is_null() => None,
        _ => Some(node_of(Vec::new())),
    }
}

/// What comes of one document.
fn one(found: &Document<'_>, base: Option<&Keys>, wanted: &Document<'_>) -> (String, Vec<Key>) {
    let (mut result, mut changes, mut keys) = (Vec::new(), Vec::new(), Vec::new());
    let mut names: Vec<&str> = Vec::new();
    for entry in found.node.entries().iter().chain(wanted.node.entries()) {
        if !names.contains(&&*entry.key) {
            names.push(&entry.key);
        }
    }
    for name in names {
        let (is, wants) = (found.node.get(name), wanted.node.get(name));
        let differs = |value: Option<&Node>| base.map(|base| value.map(digest).as_ref() != base.get(name));
        let by_hand = differs(is).unwrap_or(is.is_some());
        let value = if by_hand && !same(is, wants) {
            let disputed = differs(wants).unwrap_or(wants.is_some());
            keys.push(Key { name: name.to_owned(), removed: is.is_none(), disputed });
            is
        } else {
            wants
        };
        if !same(value, is) {
            changes.push((name, value));
        }
        result.extend(value.map(|value| entry(name, value)));
    }
    let result = node_of(result);
    if changes.is_empty() {
        return (found.text.to_owned(), keys);
    }
    let right = |text: &String| mapping(text).is_some_and(|node| same(Some(&node), Some(&result)));
    let edited = edited(found, &changes).filter(right);
    (edited.unwrap_or_else(|| yaml::to_text(&result, |_| false)), keys)
}

/// The person's text with only the lines of `changes` made new, so that comments stay. None where keys do not stand at the
/// beginning of lines; where more is in the way, it is not what it should be.
fn edited(found: &Document<'_>, changes: &[(&str, Option<&Node>)]) -> Option<String> {
    let lines: Vec<&str> = found.text.split_inclusive('\n').collect();
    let entries = found.node.entries();
    if entries.iter().any(|entry| entry.key_at.column != 1) {
        return None;
    }
    let starts: Vec<usize> = entries.iter().map(|entry| entry.key_at.line - 1).chain([lines.len()]).collect();
    let written = |name: &str, value: &Node| yaml::to_text(&node_of(vec![entry(name, value)]), |_| false);
    let mut text = lines.get(..starts[0])?.concat();
    for (entry, range) in entries.iter().zip(starts.windows(2)) {
        let lines = lines.get(range[0]..range[1])?;
        let Some((_, value)) = changes.iter().find(|(name, _)| *name == &*entry.key) else {
            text.push_str(&lines.concat());
            continue;
        };
        text.extend(value.map(|value| written(&entry.key, value)));
        // What stands above the next key belongs to that.
        let above = lines.iter().rev().take_while(|line| line.trim().is_empty() || line.starts_with('#')).count();
        text.push_str(&lines[lines.len() - above..].concat());
    }
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    let new = changes.iter().filter(|(name, _)| found.node.get(name).is_none());
    new.for_each(|(name, value)| text.extend(value.map(|value| written(name, value))));
    Some(text)
}

fn entry(name: &str, value: &Node) -> Entry {
    Entry { key: name.into(), key_at: Position::START, value: value.clone() }
}

fn node_of(entries: Vec<Entry>) -> Node {
    Node { at: Position::START, value: Value::Mapping(entries.into()) }
}

/// Whether both are there and mean the same, or neither is. Where the keys of a mapping stand does not matter.
fn same(a: Option<&Node>, b: Option<&Node>) -> bool {
    let (Some(a), Some(b)) = (a, b) else { return a.is_none() && b.is_none() };
    match (&a.value, &b.value) {
        (Value::Scalar(a), Value::Scalar(b)) => a.text == b.text && a.kind == b.kind,
        (Value::Sequence(a), Value::Sequence(b)) => {
            a.len() == b.len() && a.iter().zip(b.iter()).all(|(a, b)| same(Some(a), Some(b)))
        }
        (Value::Mapping(one), Value::Mapping(other)) => {
            one.len() == other.len() && one.iter().all(|entry| same(Some(&entry.value), b.get(&entry.key)))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(base: Option<&str>, found: &str, wanted: &str) -> (String, Vec<String>) {
        let Merged { text, keys } = merge(&base.map(super::keys).unwrap_or_default(), found, wanted).unwrap();
        let shown = |key: Key| {
            let (removed, disputed) =
                (["", " removed"][usize::from(key.removed)], ["", "!"][usize::from(key.disputed)]);
            format!("{}{removed}{disputed}", key.name)
        };
        (text, keys.into_iter().map(shown).collect())
    }

    #[test]
    fn each_side_keeps_what_it_alone_has_changed() {
        let base = "a: 1\nb: [x]\nc: yes\ngone: 1\nold: 1\n";
        let found = "# mine\na: 1\n\n# more of them\nb: [x, y]\nc: \"yes\"\nold: 1\n# last\nmine: {x: 1} # here\n";
        let wanted = "\"a\": 2\n\"b\":\n  - \"x\"\n\"c\": \"yes\"\n\"gone\": 1\n\"new\":\n  - 1\n";
        let (text, keys) = merged(Some(base), found, wanted);
        assert_eq!(keys, ["b", "mine", "gone removed"]);
        let want =
            "# mine\n\"a\": 2\n\n# more of them\nb: [x, y]\nc: \"yes\"\n# last\nmine: {x: 1} # here\n\"new\":\n  - 1\n";
        assert_eq!(text, want);
        // Once more, from there: nothing is left to do.
        assert_eq!(merged(Some(wanted), &text, wanted), (text.clone(), keys));
    }

    #[test]
    fn what_both_have_changed_stays_the_persons_and_is_disputed() {
        let (text, keys) = merged(Some("a: 1\nb: 1\nc: 1\nd: 1\n"), "a: 2\nb: 2\nd: 2\n", "a: 3\nb: 2\nc: 2\n");
        assert_eq!(text, "a: 2\nb: 2\nd: 2\n");
        assert_eq!(keys, ["a!", "d!", "c removed!"]);
    }

    #[test]
    fn without_a_base_what_differs_is_the_persons() {
        let (text, keys) = merged(None, "a: 2\nmine: 1\nb: 1\n", "a: 1\nb: 1\nnew: 1\n");
        assert_eq!(text, "a: 2\nmine: 1\nb: 1\n\"new\": 1\n");
        assert_eq!(keys, ["a!", "mine"]);
    }

    #[test]
    fn texts_that_cannot_be_edited_are_written_anew() {
        for found in ["{a: 1, mine: 2}\n", "  a: 1\n  mine: 2\n", "a: &x 1\nmine: 2\n", "? a\n: 1\n? mine\n: 2\n"] {
            let (text, keys) = merged(Some("a: 1\n"), found, "a: 2\n");
            let node = mapping(&text).unwrap();
            assert!(same(Some(&node), mapping("a: 2\nmine: 2\n").as_ref()), "{text}");
            assert_eq!(keys, ["mine"]);
        }
        // An anchor that a key of the person's uses.
        let (text, _) = merged(Some("a: 1\n"), "a: &x 1\nmine: *x\n", "a: 2\n");
        assert!(same(mapping(&text).as_ref(), mapping("a: 2\nmine: 1\n").as_ref()), "{text}");
        assert_eq!(merged(Some("a: 1\n"), "# all gone\n", "a: 1\nb: 1\n").0, "# all gone\n\"b\": 1\n");
        assert_eq!(
            merged(Some("a: 1\n"), "a: 1\nmine: |\n  # no comment\n", "b: 1\n").0,
            "mine: |\n  # no comment\n\"b\": 1\n"
        );
    }

    #[test]
    fn documents_are_joined_one_by_one() {
        let of = |a: &str, b: &str| format!("kind: A\nx: {a}\n---\nkind: B\nx: {b}\n");
        let (text, keys) = merged(Some(&of("1", "1")), &of("2", "1"), &of("1", "3"));
        assert_eq!(text, "kind: A\nx: 2\n---\nkind: B\n\"x\": 3\n");
        assert_eq!(keys, ["A.x"]);
    }

    #[test]
    fn what_is_no_configuration_is_not_joined() {
        let object = "kind: DaemonSet\nmetadata: {name: a}\nspec: {}\n";
        for (base, found, wanted) in [
            (Some("a: 1\n"), "a: [1\n", "a: 2\n"),
            (Some("a: 1\n"), "- a\n", "a: 2\n"),
            (Some("a: 1\n"), "a: 1\na: 2\n", "a: 2\n"),
            (Some("kind: A\n"), "kind: A\nx: 1\n", "kind: B\n"),
            (Some("apiVersion: v1\n"), "apiVersion: v1\nx: 1\n", "apiVersion: v2\n"),
            (Some("a: 1\n"), "a: 1\n---\nb: 1\n", "a: 2\n"),
            (Some(object), object, object),
            (None, "a: 1\n", "- a\n"),
        ] {
            assert_eq!(merge(&base.map(super::keys).unwrap_or_default(), found, wanted), None, "{found}");
        }
        for other in [object, "Environment=a", "- a\n", "a: [1\n"] {
            assert!(super::keys(other).is_empty(), "{other}");
        }
        assert_eq!(super::keys("a: {x: 1, y: [yes]}\n"), super::keys("\"a\":\n  \"y\": [\"yes\"]\n  x: 1\n"));
        assert_ne!(super::keys("a: 1\n"), super::keys("a: \"1\"\n"));
    }
}
