//! A YAML text of Palette's as values: read with its templates mapped, and written again.

use std::collections::BTreeMap;

use serde_json::{Map, Number, Value};

use super::Import;
use super::left::below;
use super::macros::{Macro, Mapped};
use crate::oci::Digest;
use crate::variables::template::{Protected, protect, scan};
use crate::yaml::{self, Entry, Kind, Node, Scalar, Style};

/// Stars that are no pattern of files or hosts, but what Palette exports in the place of sensitive values.
const MASK: usize = 4;
/// Digits of a raw scalar's number.
const DIGITS: usize = 8;

/// A text that was read.
pub(super) struct Document {
    /// Where it is from, for the list.
    pub(super) place: String,
    pub(super) node: Node,
    /// Lines of the whole text above this one.
    above: usize,
    mapped: Mapped,
    protected: Protected,
    /// Begins the words that stand for raw scalars; no text can have the digest of itself in it.
    mark: String,
}

/// Values that are ready to be written.
#[derive(Debug, Clone, Default)]
pub(super) struct Ready {
    pub(super) value: Value,
    mark: String,
    /// Scalars as they are written.
    raw: Vec<String>,
}

impl Document {
    /// Reads `text`, which is at `place`. What is not one YAML document is listed.
    pub(super) fn read(import: &mut Import, place: &str, text: &str) -> Option<Self> {
        let mapped = import.mapped(text);
        Self::of(import, place, 0, mapped)
    }

    /// The same of a part of a text whose templates are mapped, which has `above` lines of it above.
    pub(super) fn of(import: &mut Import, place: &str, above: usize, mapped: Mapped) -> Option<Self> {
        let out = |import: &mut Import, line: usize, message: &str| {
            let reason = format!("{}; nothing of this text is imported", mapped.restore(message));
            import.left.part(place, Some(above + line), "", reason);
        };
        let protected = match protect(&mapped.text) {
            Ok(protected) => protected,
            Err(mistakes) => {
                let mistake = &mistakes[0];
                out(import, mistake.at.line, &mistake.message);
                return None;
            }
        };
        let mut parsed = yaml::parse_with_merge_keys(protected.text());
        if let Some(mistake) = parsed.mistakes.first() {
            out(import, mistake.at.line, &protected.restore(&mistake.message));
            return None;
        }
        if let [_, second, ..] = &parsed.documents[..] {
            out(import, second.at.line, "a second document begins here");
            return None;
        }
        if parsed.documents.is_empty() {
            return None;
        }
        let node = parsed.documents.swap_remove(0);
        let mark = format!("raw{}", &Digest::of(mapped.text.as_bytes()).hex()[..24]);
        (!node.is_null()).then_some(Self { place: place.to_owned(), node, above, mapped, protected, mark })
    }

    /// The line of `entry` in the whole text.
    pub(super) fn line(&self, entry: &Entry) -> Option<usize> {
        Some(self.above + entry.key_at.line)
    }

    /// Lists `field`, whose key and value are `entry`.
    pub(super) fn out_entry(&self, import: &mut Import, entry: &Entry, field: &str, reason: impl Into<String>) {
        import.left.out(&self.place, self.line(entry), field, reason);
    }

    /// Lists `field`, which `node` is.
    pub(super) fn out(&self, import: &mut Import, node: &Node, field: &str, reason: impl Into<String>) {
        import.left.out(&self.place, Some(self.above + node.at.line), field, reason);
    }

    /// The text of a scalar with placeholders; a macro in it is listed.
    pub(super) fn text(&self, import: &mut Import, node: &Node, field: &str) -> Option<String> {
        let Some(scalar) = node.scalar() else {
            self.out(import, node, field, format!("a single value is expected, found {}", node.describe()));
            return None;
        };
        if let Some(one) = self.mapped.find(&scalar.text) {
            import.left.a_macro(&self.place, Some(one.line), field, one);
            return None;
        }
        if scalar.text.len() >= MASK && scalar.text.bytes().all(|b| b == b'*') {
            self.out(
                import,
                node,
                field,
                "Palette masked this value when the profile was exported; it has to be given anew",
            );
            return None;
        }
        (scalar.kind != Kind::Null).then(|| self.protected.restore(&scalar.text).into_owned())
    }

    /// A key for people.
    pub(super) fn key(&self, entry: &Entry) -> String {
        self.mapped.restore(&self.protected.restore(&entry.key))
    }

    /// The text in `node`, which is a text of its own, and the lines above it. Its templates stay mapped.
    pub(super) fn inner(&self, node: &Node) -> Option<(Mapped, usize)> {
        let text = self.protected.restore(node.text()?).into_owned();
        let above = node.at.line.saturating_sub(1);
        Some((self.mapped.part(text), self.above + above))
    }

    /// As [`Document::text`], for what stays the same at every place: text with a placeholder is listed.
    pub(super) fn fixed(&self, import: &mut Import, node: &Node, field: &str) -> Option<String> {
        let text = self.text(import, node, field)?;
        if scan(&text).placeholders.is_empty() {
            return Some(text);
        }
        self.out(import, node, field, format!("{text}: a variable is not filled in here"));
        None
    }

    /// `node` as values. What has a macro in it is left out and listed.
    pub(super) fn ready(&self, import: &mut Import, node: &Node, field: &str) -> Ready {
        let mut ready = Ready { mark: self.mark.clone(), ..Ready::default() };
        ready.value = self.value(import, node, field, &mut ready.raw).unwrap_or_default();
        ready
    }

    fn value(&self, import: &mut Import, node: &Node, field: &str, raw: &mut Vec<String>) -> Option<Value> {
        match &node.value {
            yaml::Value::Scalar(scalar) => self.scalar(import, node, scalar, field, raw),
            yaml::Value::Sequence(items) => {
                let items = items.iter().enumerate();
                let kept = items.filter_map(|(at, item)| self.value(import, item, &format!("{field}[{at}]"), raw));
                Some(Value::Array(kept.collect()))
            }
            yaml::Value::Mapping(entries) => {
                let mut map = Map::new();
                for entry in &entries[..] {
                    let path = below(field, &self.key(entry));
                    if self.mapped.find(&entry.key).is_some() || self.protected.is_in(&entry.key) {
                        self.out_entry(import, entry, &path, "a key cannot have a variable in it");
                    } else if let Some(value) = self.value(import, &entry.value, &path, raw) {
                        map.insert(entry.key.to_string(), value);
                    }
                }
                Some(Value::Object(map))
            }
        }
    }

    fn scalar(
        &self,
        import: &mut Import,
        node: &Node,
        scalar: &Scalar,
        field: &str,
        raw: &mut Vec<String>,
    ) -> Option<Value> {
        if scalar.kind == Kind::Null {
            return Some(Value::Null);
        }
        let mut raw = |text: String| {
            raw.push(text);
            Some(Value::String(format!("{}{:0DIGITS$}", self.mark, raw.len() - 1)))
        };
        let text = self.text(import, node, field)?;
        let plain = scalar.style == Style::Plain;
        match scalar.kind {
            Kind::Bool => Some(Value::Bool(text.eq_ignore_ascii_case("true"))),
            Kind::Int | Kind::Float => {
                let number: Option<Number> = text.parse().ok().filter(|number: &Number| number.to_string() == text);
                number.map(Value::Number).or_else(|| raw(text))
            }
            _ if plain && self.protected.is_placeholder(&scalar.text) => raw(text),
            // Between quotes, no value can become a number.
            _ if self.protected.is_in(&scalar.text) && !text.contains('\n') => {
                let quoted = serde_json::to_string(&text).ok()?;
                if scan(&quoted).mistakes.is_empty() {
                    return raw(quoted);
                }
                self.out(import, node, field, "this default of a variable cannot stand in a text");
                None
            }
            // YAML 1.1, which Helm reads.
            _ if plain && matches!(&*text.to_lowercase(), "y" | "yes" | "on") => Some(Value::Bool(true)),
            _ if plain && matches!(&*text.to_lowercase(), "n" | "no" | "off") => Some(Value::Bool(false)),
            _ => Some(Value::String(text)),
        }
    }
}

impl Ready {
    /// Whether there is nothing.
    pub(super) fn is_empty(&self) -> bool {
        match &self.value {
            Value::Null => true,
            Value::Object(map) => map.is_empty(),
            _ => false,
        }
    }

    /// As a YAML text.
    pub(super) fn written(&self) -> Result<String, serde_json::Error> {
        Ok(self.with_raw(yaml::written(&self.value)?))
    }

    /// `text`, a document with these values in it, with the raw scalars in their places.
    pub(super) fn with_raw(&self, text: String) -> String {
        if self.raw.is_empty() {
            return text;
        }
        let (mut whole, mut from) = (String::with_capacity(text.len()), 0);
        for (start, _) in text.match_indices(&self.mark) {
            let end = start + self.mark.len() + DIGITS;
            let number = text.get(start + self.mark.len()..end).and_then(|digits| digits.parse::<usize>().ok());
            let Some(raw) = number.and_then(|number| self.raw.get(number)) else { continue };
            // As JSON, which any YAML can be, the word has quotes.
            let quoted = text[..start].ends_with('"') && text[end..].starts_with('"');
            whole.push_str(&text[from..start - usize::from(quoted)]);
            whole.push_str(raw);
            from = end + usize::from(quoted);
        }
        whole.push_str(&text[from..]);
        whole
    }
}

/// The macros in a manifest, comments aside.
///
/// # Errors
/// Where it is not YAML: the line, and what is wrong.
pub(super) fn macros_in(manifest: &Mapped) -> Result<Vec<&Macro>, (usize, String)> {
    let protected = protect(&manifest.text).map_err(|mistakes| (mistakes[0].at.line, mistakes[0].message.clone()))?;
    let parsed = yaml::parse_with_merge_keys(protected.text());
    if let Some(mistake) = parsed.mistakes.first() {
        return Err((mistake.at.line, manifest.restore(&protected.restore(&mistake.message))));
    }
    let (mut found, mut pending) = (BTreeMap::new(), Vec::from_iter(&parsed.documents));
    while let Some(node) = pending.pop() {
        let keys = node.entries().iter().map(|entry| &*entry.key);
        for text in keys.chain(node.scalar().map(|scalar| &*scalar.text)) {
            found.extend(manifest.all(text).into_iter().map(|one| (std::ptr::from_ref(one), one)));
        }
        pending.extend(node.items());
        pending.extend(node.entries().iter().map(|entry| &entry.value));
    }
    Ok(found.into_values().collect())
}
