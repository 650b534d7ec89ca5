//! Values of secrets: left out, and a variable in the place of each, so that the installer asks for it.

mod known;
mod names;
mod public;

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use self::known::Known;
use super::Object;
use crate::oci::Digest;
use crate::profile::schema::Variable;

/// Shorter texts are too common for being looked for elsewhere.
const MIN_KNOWN: usize = 8;
const MAX_NAME: usize = 64;

/// Fields by which objects and images are found.
const NAMES: &[&str] =
    &["apiVersion", "kind", "name", "namespace", "labels", "matchLabels", "selector", "serviceName", "image", "uid"];
/// The variables, and which text each stands for.
#[derive(Debug, Default)]
pub(super) struct Secrets {
    /// In the order in which they were made.
    pub(super) variables: Vec<Variable>,
    names: BTreeSet<String>,
    known: Vec<Known>,
    by_text: BTreeMap<String, String>,
}

impl Secrets {
    /// Nothing is left out.
    pub(super) fn shown() -> Self {
        Self::default()
    }

    /// What the secrets among `objects` hold is left out.
    pub(super) fn of(objects: &[Object]) -> Self {
        Self { known: known::of(objects), ..Self::default() }
    }

    /// Whether a file that is exported as it is has a text that secrets hold.
    pub(super) fn are_in(&self, content: &[u8]) -> bool {
        let text = String::from_utf8_lossy(content);
        self.known.iter().any(|known| text.contains(&known.text))
    }

    /// Puts a variable in the place of every value of the secret `object`, whose description is `value`. Returns the
    /// annotations that are left out, as they repeat what it holds.
    pub(super) fn of_secret(&mut self, object: &Object, value: &mut Value) -> Vec<String> {
        let Some(fields) = value.as_object_mut() else { return Vec::new() };
        let held = fields.remove("data");
        let dropped = drop_copies(object, fields);
        let mut rest = Value::Object(std::mem::take(fields));
        self.hide_known(&mut rest);
        if let Value::Object(hidden) = rest {
            *fields = hidden;
        }
        let Some(Value::Object(data)) = held else { return dropped };
        let (mut texts, mut bytes) = (Map::new(), Map::new());
        for (key, value) in data {
            let decoded = value.as_str().and_then(decoded).unwrap_or_default();
            let description = description(object, &key);
            match String::from_utf8(decoded) {
                Ok(text) if text.is_empty() => drop(texts.insert(key, json!(""))),
                Ok(text) => {
                    let placeholder = self.placeholder(&text, &words(object, &key), &description);
                    texts.insert(key, placeholder.into());
                }
                // What is no text cannot stand in `stringData`.
                Err(error) => {
                    let encoded = STANDARD.encode(error.as_bytes());
                    let description = format!("{description}, in base64");
                    let placeholder = self.placeholder(&encoded, &words(object, &key), &description);
                    bytes.insert(key, placeholder.into());
                }
            }
        }
        for (field, map) in [("data", bytes), ("stringData", texts)] {
            if !map.is_empty() {
                fields.insert(field.to_owned(), map.into());
            }
        }
        dropped
    }

    /// Puts variables in the place of what `value` has of texts that secrets hold. Names and images are left alone, as
    /// objects find each other by them, and a bundle must know them.
    pub(super) fn hide_known(&mut self, value: &mut Value) {
        match value {
            Value::String(text) => self.hide_in(text),
            Value::Number(number) => {
                let mut text = number.to_string();
                if self.known.iter().any(|known| known.text == text) {
                    self.hide_in(&mut text);
                    *value = text.into();
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.hide_known(item)),
            Value::Object(fields) => {
                let fields = fields.iter_mut().filter(|(key, _)| !NAMES.contains(&&***key));
                fields.for_each(|(_, value)| self.hide_known(value));
            }
            _ => {}
        }
    }

    fn hide_in(&mut self, text: &mut String) {
        let found: Vec<usize> = (0..self.known.len()).filter(|index| text.contains(&self.known[*index].text)).collect();
        for index in found {
            let Known { text: known, words, description } = &self.known[index];
            // A longer one has taken it.
            if !text.contains(known) {
                continue;
            }
            let (known, words, description) = (known.clone(), words.clone(), description.clone());
            let placeholder = self.placeholder(&known, &words, &description);
            *text = text.replace(&known, &placeholder);
        }
    }

    /// The same with the values of the release `name`, where the names of fields tell of secrets too.
    pub(super) fn hide_values(&mut self, release: &str, values: &mut Map<String, Value>) {
        let mut value = Value::Object(std::mem::take(values));
        self.hide_known(&mut value);
        self.hide_named(release, &mut value, &mut Vec::new(), false);
        if let Value::Object(hidden) = value {
            *values = hidden;
        }
    }

    fn hide_named(&mut self, release: &str, value: &mut Value, path: &mut Vec<String>, secret: bool) {
        match value {
            Value::Object(fields) => {
                // An item of an environment has its name in a field of its own.
                let named = fields.get("name").and_then(Value::as_str).is_some_and(names::is_secret);
                for (key, value) in fields {
                    path.push(key.clone());
                    let all = ["secrets", "secretdata", "stringdata"].contains(&&*names::plain(key));
                    let this = names::is_secret(key) || named && key == "value";
                    // Below a secret's name, a number may be how long it lives.
                    let inside = secret && !(value.is_number() && names::is_harmless(key));
                    self.hide_named(release, value, path, inside || all || this);
                    path.pop();
                }
            }
            Value::Array(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    path.push(index.to_string());
                    self.hide_named(release, item, path, secret);
                    path.pop();
                }
            }
            Value::String(text) if secret && !text.is_empty() && !text.contains("{{.carrack.var.") => {
                *value = self.of_value(release, path, text.clone()).into();
            }
            Value::Number(number) if secret => *value = self.of_value(release, path, number.to_string()).into(),
            // True, false and nothing are switches: as texts, each would be true to a chart.
            _ => {}
        }
    }

    fn of_value(&mut self, release: &str, path: &[String], text: String) -> String {
        let shown = path.join(".");
        let description = format!("The value {shown} of the Helm release {release}");
        self.placeholder(&text, &format!("{release}_{shown}"), &description)
    }

    fn placeholder(&mut self, text: &str, words: &str, description: &str) -> String {
        // Short texts are the same by chance.
        let same = self.by_text.get(text).filter(|_| text.len() >= MIN_KNOWN);
        let name = match same {
            Some(name) => name.clone(),
            None => {
                let name = self.variable(words, description);
                self.by_text.insert(text.to_owned(), name.clone());
                name
            }
        };
        format!("{{{{.carrack.var.{name}}}}}")
    }

    /// Declares a variable, and returns its name.
    fn variable(&mut self, words: &str, description: &str) -> String {
        let name = self.name(words);
        self.variables.push(Variable {
            name: name.clone(),
            description: Some(description.to_owned()),
            required: Some(true),
            sensitive: Some(true),
            ..Variable::default()
        });
        name
    }

    fn name(&mut self, words: &str) -> String {
        let plain: String = words.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        let plain = format!("secret_{}", plain.trim_matches('_'));
        if plain.len() <= MAX_NAME && self.names.insert(plain.clone()) {
            return plain;
        }
        // Names that differ in their signs alone, or in what is too long.
        for number in 0_usize.. {
            let digest = Digest::of(format!("{words}#{number}").as_bytes()).hex();
            let start: String = plain.chars().take(MAX_NAME - 9).collect();
            let name = format!("{start}_{}", &digest[..8]);
            if self.names.insert(name.clone()) {
                return name;
            }
        }
        plain
    }
}

/// Removes the annotations of a secret that repeat it, and returns their names: tools keep in them what was applied, with
/// values of today or of an earlier day.
fn drop_copies(object: &Object, fields: &mut Map<String, Value>) -> Vec<String> {
    let metadata = fields.get_mut("metadata").and_then(Value::as_object_mut);
    let Some(metadata) = metadata else { return Vec::new() };
    let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) else { return Vec::new() };
    let held: Vec<(&str, Vec<u8>)> =
        data(&object.value).filter_map(|(_, value)| Some((value, decoded(value)?))).collect();
    let repeats = |text: &str| {
        // A letter is in every text, and a plain word in many.
        let shown = |bytes: &[u8]| {
            let telling = bytes.len() >= 4 && !std::str::from_utf8(bytes).is_ok_and(public::looks_public);
            telling && text.as_bytes().windows(bytes.len()).any(|part| part == bytes)
        };
        let has = |(encoded, bytes): &(&str, Vec<u8>)| !bytes.is_empty() && text.contains(encoded) || shown(bytes);
        text.trim_start().starts_with('{') || held.iter().any(has)
    };
    let is_copy = |key: &str, value: &Value| {
        let applied = ["applied", "last-applied-configuration", "original"].iter().any(|end| key.ends_with(end));
        applied || value.as_str().is_some_and(repeats)
    };
    let dropped: Vec<String> =
        annotations.iter().filter(|(key, value)| is_copy(key, value)).map(|(key, _)| key.clone()).collect();
    annotations.retain(|key, _| !dropped.contains(key));
    if annotations.is_empty() {
        metadata.remove("annotations");
    }
    dropped
}

fn data(secret: &Value) -> impl Iterator<Item = (&str, &str)> {
    let entries = secret["data"].as_object().into_iter().flatten();
    entries.filter_map(|(key, value)| Some((&**key, value.as_str()?)))
}

fn decoded(value: &str) -> Option<Vec<u8>> {
    STANDARD.decode(value).ok()
}

fn words(secret: &Object, key: &str) -> String {
    format!("{}_{}_{key}", secret.namespace().unwrap_or_default(), secret.name())
}

fn description(secret: &Object, key: &str) -> String {
    format!("The value {key} of the Secret {}/{}", secret.namespace().unwrap_or_default(), secret.name())
}
