//! Values of secrets: left out, and a variable in the place of each, so that the installer asks for it.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::Object;
use crate::oci::Digest;
use crate::profile::schema::Variable;

/// Shorter texts are too common for being looked for elsewhere.
const MIN_KNOWN: usize = 8;
const MAX_NAME: usize = 64;

/// Words in the names of fields whose values are secrets.
const SECRET_WORDS: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "token",
    "apikey",
    "accesskey",
    "secretkey",
    "privatekey",
    "clientsecret",
    "credential",
    "encryptionkey",
    "htpasswd",
    "connectionstring",
    "webhookurl",
];
/// Fields by which objects and images are found.
const NAMES: &[&str] =
    &["apiVersion", "kind", "name", "namespace", "labels", "matchLabels", "selector", "serviceName", "image", "uid"];
/// Ends of names of fields that say where a secret is, or how long it lives.
const HARMLESS_ENDS: &[&str] =
    &["name", "ref", "path", "file", "ttl", "expiry", "expiration", "enabled", "key", "namespace"];

/// The variables, and which text each stands for.
#[derive(Debug, Default)]
pub(super) struct Secrets {
    /// In the order in which they were made.
    pub(super) variables: Vec<Variable>,
    names: BTreeSet<String>,
    /// Texts that secrets hold, each with the words for a variable's name and description; the longest are looked for
    /// first.
    known: Vec<Known>,
    by_text: BTreeMap<String, String>,
}

#[derive(Debug)]
struct Known {
    text: String,
    words: String,
    description: String,
}

impl Secrets {
    /// Nothing is left out.
    pub(super) fn shown() -> Self {
        Self::default()
    }

    /// What the secrets among `objects` hold is left out.
    pub(super) fn of(objects: &[Object]) -> Self {
        let mut known = Vec::new();
        for secret in objects.iter().filter(|object| object.is("", "Secret") && !super::decide::is_helm_record(object))
        {
            for (key, value) in data(&secret.value) {
                let Some(text) = decoded(value).and_then(|bytes| String::from_utf8(bytes).ok()) else { continue };
                if text.trim().len() >= MIN_KNOWN && !looks_public(&text) {
                    known.push(Known { words: words(secret, key), description: description(secret, key), text });
                }
            }
        }
        known.sort_by(|one, other| other.text.len().cmp(&one.text.len()).then(one.words.cmp(&other.words)));
        known.dedup_by(|one, other| one.text == other.text);
        Self { known, ..Self::default() }
    }

    /// Puts a variable in the place of every value of the secret `object`, whose description is `value`.
    pub(super) fn of_secret(&mut self, object: &Object, value: &mut Value) {
        let Some(fields) = value.as_object_mut() else { return };
        let Some(Value::Object(data)) = fields.remove("data") else { return };
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
                Err(_) => {
                    let name = self.variable(&words(object, &key), &format!("{description}, in base64"));
                    bytes.insert(key, format!("{{{{.carrack.var.{name}}}}}").into());
                }
            }
        }
        for (field, map) in [("data", bytes), ("stringData", texts)] {
            if !map.is_empty() {
                fields.insert(field.to_owned(), map.into());
            }
        }
    }

    /// Puts variables in the place of what `value` has of texts that secrets hold. Names and images are left alone, as
    /// objects find each other by them, and a bundle must know them.
    pub(super) fn hide_known(&mut self, value: &mut Value) {
        match value {
            Value::String(text) => self.hide_in(text),
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
                let named = fields.get("name").and_then(Value::as_str).is_some_and(is_secret_name);
                for (key, value) in fields {
                    path.push(key.clone());
                    let all = ["secrets", "secretdata", "stringdata"].contains(&&*plain(key));
                    let this = is_secret_name(key) || named && key == "value";
                    self.hide_named(release, value, path, secret && value_is_map(value) || all || this);
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
                let shown = path.join(".");
                let description = format!("The value {shown} of the Helm release {release}");
                *text = self.placeholder(&text.clone(), &format!("{release}_{shown}"), &description);
            }
            _ => {}
        }
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

fn value_is_map(value: &Value) -> bool {
    value.is_object() || value.is_array() || value.is_string()
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

fn plain(key: &str) -> String {
    key.chars().filter(|c| !matches!(c, '-' | '_' | '.')).flat_map(char::to_lowercase).collect()
}

/// Whether the name of a field says that its value is a secret.
fn is_secret_name(key: &str) -> bool {
    let plain = plain(key);
    let exact = ["secret", "secretkey", "accesskey", "apikey", "privatekey", "tlskey", "encryptionkey"];
    let harmless = plain.starts_with("existing")
        || plain.starts_with("automount")
        || HARMLESS_ENDS.iter().any(|end| plain.ends_with(end));
    exact.contains(&&*plain)
        || exact[1..].iter().any(|end| plain.ends_with(end))
        || !harmless && SECRET_WORDS.iter().any(|word| plain.contains(word))
}

/// Whether a text is an address, a path or a plain word, which secrets hold too and which stand elsewhere with good reason.
fn looks_public(text: &str) -> bool {
    let word = |c: char| c.is_ascii_lowercase() || matches!(c, '-' | '_');
    let address = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | ':' | '/' | '-' | '_');
    text.chars().all(word) || text.contains(['.', '/', ':']) && text.chars().all(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_of_secrets() {
        for name in [
            "password",
            "adminPassword",
            "DB_PASSWORD",
            "postgres-password",
            "token",
            "apiToken",
            "clientSecret",
            "secretKey",
            "AWS_SECRET_ACCESS_KEY",
            "apiKey",
            "privateKey",
            "secret",
            "htpasswd",
        ] {
            assert!(is_secret_name(name), "{name}");
        }
        for name in [
            "existingSecret",
            "existingSecretPasswordKey",
            "secretName",
            "imagePullSecrets",
            "passwordSecretRef",
            "tokenTTL",
            "key",
            "tokenPath",
            "automountServiceAccountToken",
            "user",
            "secretRef",
        ] {
            assert!(!is_secret_name(name), "{name}");
        }
    }

    #[test]
    fn addresses_and_words_are_looked_for_nowhere() {
        for text in
            ["postgres", "db.shop.svc:5432", "https://example.org/a", "/var/run/x", "read-only", "registry.example.org"]
        {
            assert!(looks_public(text), "{text}");
        }
        for text in ["hunter2-of-shop", "Tr0ub4dor&3", "correct horse battery", "aGVsbG8gd29ybGQ="] {
            assert!(!looks_public(text), "{text}");
        }
    }
}
