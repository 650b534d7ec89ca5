//! Parser events to tree.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde_saphyr::granit_parser::{self, Event, Marker, Parser, ScalarStyle, ScanError, StrInput, Tag};

use super::node::{Entry, Kind, Node, Scalar, Style, Value};
use super::{Mistake, Parsed};
use crate::problem::Position;

/// Nodes inside one another, aliases followed.
const MAX_DEPTH: usize = 100;
/// Nodes that aliases may add to a text; long scalars count as several.
const MAX_ALIASED: usize = 100_000;
/// Bytes of a scalar that count as one more node.
const BYTES_A_NODE: usize = 64;
/// Documents with broken syntax that are reported before reading ends.
const MAX_BROKEN: usize = 20;

/// A subtree with its weight in nodes and its height.
#[derive(Clone)]
struct Built {
    node: Node,
    weight: usize,
    height: usize,
}

/// Why building ended early. [`Stop::Syntax`] leaves later documents readable.
enum Stop {
    Syntax,
    Limit,
}

struct Builder<'t> {
    parser: Parser<'t, StrInput<'t>>,
    reading: Reading,
    anchors: HashMap<usize, Built>,
    aliased: usize,
    mistakes: Vec<Mistake>,
}

/// How a text is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    /// As YAML 1.2 has it.
    Plain,
    /// With merge keys.
    MergeKeys,
    /// With merge keys; of equal keys the last one counts, and a tag that is not known says nothing.
    AsHelm,
}

pub(super) fn build(text: &str, reading: Reading) -> Parsed {
    let mut options = granit_parser::Options::default();
    options.set_emit_comments(false);
    let mut builder = Builder {
        parser: Parser::new_from_str_with_options(text, options),
        reading,
        anchors: HashMap::new(),
        aliased: 0,
        mistakes: Vec::new(),
    };
    let mut documents = Vec::new();
    let mut broken = 0;
    loop {
        match builder.next_document() {
            Ok(Some(document)) => documents.push(document),
            Ok(None) | Err(Stop::Limit) => break,
            Err(Stop::Syntax) => {
                broken += 1;
                if broken == MAX_BROKEN || !matches!(builder.parser.proceed_next_document(), Ok(true)) {
                    break;
                }
            }
        }
    }
    Parsed { documents, mistakes: builder.mistakes }
}

pub(super) fn styled(style: ScalarStyle) -> Style {
    match style {
        ScalarStyle::Plain => Style::Plain,
        ScalarStyle::SingleQuoted => Style::Single,
        ScalarStyle::DoubleQuoted => Style::Double,
        ScalarStyle::Literal => Style::Literal,
        ScalarStyle::Folded => Style::Folded,
    }
}

pub(super) fn position(marker: Marker) -> Position {
    Position { line: marker.line().max(1), column: marker.col() + 1 }
}

impl<'t> Builder<'t> {
    fn next_document(&mut self) -> Result<Option<Node>, Stop> {
        while let Some((event, at)) = self.next_event()? {
            match event {
                Event::StreamEnd => return Ok(None),
                event if event.is_node() => {
                    let built = self.node(event, at, 0)?;
                    self.anchors.clear();
                    return Ok(Some(built.node));
                }
                _ => {}
            }
        }
        Ok(None)
    }

    fn next_event(&mut self) -> Result<Option<(Event<'t>, Position)>, Stop> {
        match self.parser.next_event() {
            None => Ok(None),
            Some(Ok((event, span))) => Ok(Some((event, position(span.start)))),
            Some(Err(error)) => {
                self.mistake(position(*error.marker()), syntax(&error));
                Err(Stop::Syntax)
            }
        }
    }

    fn mistake(&mut self, at: Position, message: impl Into<String>) {
        self.mistakes.push(Mistake { at, message: message.into() });
    }

    fn limit(&mut self, at: Position, message: impl Into<String>) -> Stop {
        self.mistake(at, message);
        Stop::Limit
    }

    fn node(&mut self, event: Event<'t>, at: Position, depth: usize) -> Result<Built, Stop> {
        if depth >= MAX_DEPTH {
            return Err(self.limit(at, format!("nested more than {MAX_DEPTH} levels deep")));
        }
        let (anchor, built) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let kind = self.kind(&text, style, tag.as_deref(), at);
                let weight = 1 + text.len() / BYTES_A_NODE;
                let value = Value::Scalar(Scalar { text: text.into(), kind, style: styled(style) });
                (anchor, Built { node: Node { at, value }, weight, height: 1 })
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.check_tag(tag.as_deref(), "seq", at);
                (anchor, self.sequence(at, depth)?)
            }
            Event::MappingStart(_, anchor, tag) => {
                self.check_tag(tag.as_deref(), "map", at);
                (anchor, self.mapping(at, depth)?)
            }
            Event::Alias(anchor) => return self.alias(anchor, at, depth),
            _ => return Err(self.limit(at, "a value is expected here")),
        };
        if anchor != 0 {
            self.anchors.insert(anchor, built.clone());
        }
        Ok(built)
    }

    fn alias(&mut self, anchor: usize, at: Position, depth: usize) -> Result<Built, Stop> {
        let Some(mut built) = self.anchors.get(&anchor).cloned() else {
            return Err(self.limit(at, "this alias stands inside the node that it repeats"));
        };
        self.aliased += built.weight;
        if self.aliased > MAX_ALIASED || depth + built.height > MAX_DEPTH {
            return Err(self.limit(at, format!("aliases make this document too large (more than {MAX_ALIASED} nodes)")));
        }
        built.node.at = at;
        Ok(built)
    }

    fn sequence(&mut self, at: Position, depth: usize) -> Result<Built, Stop> {
        let (mut items, mut weight, mut height) = (Vec::new(), 1, 0);
        while let Some((event, item_at)) = self.next_event()? {
            if event == Event::SequenceEnd {
                break;
            }
            if event.is_node() {
                let built = self.node(event, item_at, depth + 1)?;
                weight += built.weight;
                height = height.max(built.height);
                items.push(built.node);
            }
        }
        Ok(Built { node: Node { at, value: Value::Sequence(items.into()) }, weight, height: height + 1 })
    }

    fn mapping(&mut self, at: Position, depth: usize) -> Result<Built, Stop> {
        let (mut entries, mut weight, mut height) = (Vec::<Entry>::new(), 1, 0);
        let mut seen: HashMap<Arc<str>, usize> = HashMap::new();
        while let Some((event, key_at)) = self.next_event()? {
            if event == Event::MappingEnd {
                break;
            }
            if !event.is_node() {
                continue;
            }
            let key = self.node(event, key_at, depth + 1)?;
            let Some((event, value_at)) = self.next_event()? else { break };
            let value = self.node(event, value_at, depth + 1)?;
            weight += key.weight + value.weight;
            height = height.max(value.height);
            let Some(text) = key.node.scalar().filter(|key| key.kind != Kind::Null).map(|key| Arc::clone(&key.text))
            else {
                self.mistake(key_at, format!("a key must be text, found {}", key.node.describe()));
                continue;
            };
            let entry = Entry { key: Arc::clone(&text), key_at, value: value.node };
            match seen.get(&text).map(|index| &mut entries[*index]) {
                None => {
                    seen.insert(text, entries.len());
                    entries.push(entry);
                }
                Some(first) if self.reading == Reading::AsHelm => *first = entry,
                Some(first) => {
                    let line = first.key_at.line;
                    self.mistake(key_at, format!("duplicate key {text:?}, already given in line {line}"));
                }
            }
        }
        if self.reading != Reading::Plain {
            entries = self.merged(entries, &mut weight);
        }
        Ok(Built { node: Node { at, value: Value::Mapping(entries.into()) }, weight, height: height + 1 })
    }

    /// Replaces a `<<` entry by the entries of its mappings that are not given otherwise.
    fn merged(&mut self, mut entries: Vec<Entry>, weight: &mut usize) -> Vec<Entry> {
        let Some(index) = entries.iter().position(|entry| &*entry.key == "<<") else { return entries };
        let merge = entries.remove(index).value;
        let sources = match &merge.value {
            Value::Sequence(items) => items.to_vec(),
            _ => vec![merge],
        };
        let mut seen: HashSet<Arc<str>> = entries.iter().map(|entry| Arc::clone(&entry.key)).collect();
        for source in sources {
            if !matches!(source.value, Value::Mapping(_)) {
                self.mistake(source.at, format!("a merge key takes a mapping, found {}", source.describe()));
            }
            for entry in source.entries().iter().filter(|entry| seen.insert(Arc::clone(&entry.key))) {
                *weight += 1;
                entries.push(entry.clone());
            }
        }
        entries
    }

    fn kind(&mut self, text: &str, style: ScalarStyle, tag: Option<&Tag>, at: Position) -> Kind {
        let plain = if style == ScalarStyle::Plain { Kind::of_plain(text) } else { Kind::Text };
        let Some(tag) = tag else { return plain };
        let wanted = match tag.core_suffix() {
            Some("str" | "binary" | "timestamp") => return Kind::Text,
            _ if tag.original() == "!" => return Kind::Text,
            None if self.reading == Reading::AsHelm => return plain,
            Some("null") => Kind::Null,
            Some("bool") => Kind::Bool,
            Some("int") => Kind::Int,
            Some("float") => Kind::Float,
            _ => {
                self.mistake(at, format!("the tag {:?} is not supported", tag.original()));
                return plain;
            }
        };
        if Kind::of_plain(text) != wanted && !(wanted == Kind::Float && Kind::of_plain(text) == Kind::Int) {
            self.mistake(at, format!("{text:?} is not what the tag {:?} says", tag.original()));
        }
        wanted
    }

    fn check_tag(&mut self, tag: Option<&Tag>, want: &str, at: Position) {
        let lenient = self.reading == Reading::AsHelm;
        if let Some(tag) = tag.filter(|tag| !lenient && tag.core_suffix() != Some(want) && tag.original() != "!") {
            self.mistake(at, format!("the tag {:?} is not supported", tag.original()));
        }
    }
}

pub(super) fn syntax(error: &ScanError) -> String {
    format!("not valid YAML: {}", error.info())
}

#[cfg(test)]
mod tests {
    use super::super::{parse, parse_with_merge_keys};
    use super::*;
    use proptest::prelude::*;

    fn mistakes(text: &str) -> Vec<String> {
        parse(text).mistakes.iter().map(|mistake| format!("{}: {}", mistake.at, mistake.message)).collect()
    }

    #[test]
    fn keys_and_values_keep_their_positions() {
        let parsed = parse("# c\na:\n  - x\n  - {b: 'y'}\n---\nc: |\n  one\n  two\n");
        assert_eq!(parsed.mistakes, []);
        let [first, second] = &parsed.documents[..] else { panic!("{parsed:?}") };
        assert_eq!(first.entries()[0].key_at, Position { line: 2, column: 1 });
        let items = first.get("a").unwrap().items();
        assert_eq!((items[0].at, items[0].text()), (Position { line: 3, column: 5 }, Some("x")));
        assert_eq!(items[1].get("b").unwrap().at, Position { line: 4, column: 9 });
        let block = second.get("c").unwrap();
        assert_eq!((block.text(), block.at.line), (Some("one\ntwo\n"), 7));
    }

    #[test]
    fn what_helm_forgives_can_be_forgiven() {
        let parsed = build("a: 1\nb: {x: 1, x: !own 2}\na: !own {y: 1}\n", Reading::AsHelm);
        assert_eq!(parsed.mistakes, []);
        let document = &parsed.documents[0];
        assert_eq!(document.entries().len(), 2);
        assert_eq!(document.get("b").and_then(|b| b.get("x")).and_then(Node::scalar).map(|x| &*x.text), Some("2"));
        assert!(document.get("a").is_some_and(|a| a.get("y").is_some()));
    }

    #[test]
    fn every_duplicate_key_is_named_and_the_first_value_stays() {
        let text = "a: 1\nb: {x: 1, x: 2}\na: 3\na: 4\n";
        assert_eq!(
            mistakes(text),
            [
                "2:11: duplicate key \"x\", already given in line 2",
                "3:1: duplicate key \"a\", already given in line 1",
                "4:1: duplicate key \"a\", already given in line 1",
            ]
        );
        assert_eq!(&*parse(text).documents[0].get("a").unwrap().scalar().unwrap().text, "1");
    }

    #[test]
    fn alias_bombs_deep_nesting_and_loops_are_refused() {
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..9 {
            let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
            bomb += &format!("a{level}: &a{level} [{aliases}]\n");
        }
        assert_eq!(mistakes(&bomb), ["5:45: aliases make this document too large (more than 100000 nodes)"]);
        assert_eq!(mistakes(&("[".repeat(200) + &"]".repeat(200))), ["1:101: nested more than 100 levels deep"]);
        assert_eq!(mistakes("a: &a [*a]"), ["1:8: this alias stands inside the node that it repeats"]);
        let long = format!("a: &a {}\nb: [{}]\n", "x".repeat(100_000), vec!["*a"; 100].join(", "));
        assert_eq!(mistakes(&long).len(), 1);
    }

    #[test]
    fn a_broken_document_does_not_hide_the_next() {
        let parsed = parse("a: [1\n---\nb: 2\n---\nc: }\n---\nd: 4\n");
        assert_eq!(parsed.mistakes.len(), 2, "{:?}", parsed.mistakes);
        assert_eq!(parsed.documents.len(), 2);
    }

    #[test]
    fn merge_keys_are_expanded_only_where_asked() {
        let text = "base: &b {image: a, tag: 1}\nx:\n  <<: *b\n  image: c\n";
        let merged = parse_with_merge_keys(text).documents.remove(0);
        let x = merged.get("x").unwrap();
        assert_eq!((x.get("image").unwrap().text(), x.entries().len()), (Some("c"), 2));
        assert!(parse(text).documents[0].get("x").unwrap().get("<<").is_some());
    }

    #[test]
    fn tags_decide_the_kind() {
        let parsed = parse("[!!str 1.10, ! 2, !!int 3, !own x, !!int y]");
        let kinds: Vec<Kind> = parsed.documents[0].items().iter().map(|item| item.scalar().unwrap().kind).collect();
        assert_eq!(kinds, [Kind::Text, Kind::Text, Kind::Int, Kind::Text, Kind::Int]);
        assert_eq!(parsed.mistakes.len(), 2, "{:?}", parsed.mistakes);
    }

    proptest! {
        #[test]
        fn any_text_gives_a_tree_or_mistakes(text in "[-a-c:\\[\\]{}#&*!|>'\"%@,?<~. \\t\\n\\PC]{0,200}") {
            let parsed = parse_with_merge_keys(&text);
            for mistake in parsed.mistakes {
                prop_assert!(mistake.at.line >= 1 && mistake.at.column >= 1);
            }
        }
    }
}
