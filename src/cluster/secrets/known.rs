//! Texts that secrets hold, in the forms in which they stand elsewhere.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};

use super::public::looks_public;
use super::{MIN_KNOWN, data, decoded, description, words};
use crate::cluster::Object;
use crate::cluster::decide;

/// A text to look for, and the words for the name and the description of its variable.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) text: String,
    pub(super) words: String,
    pub(super) description: String,
}

/// What the secrets among `objects` hold; the longest comes first.
pub(super) fn of(objects: &[Object]) -> Vec<Known> {
    let is_secret = |object: &&Object| object.is("", "Secret") && !decide::is_helm_record(object);
    let mut known = Vec::new();
    for secret in objects.iter().filter(is_secret) {
        for (key, value) in data(&secret.value) {
            let Some(bytes) = decoded(value) else { continue };
            let (words, description) = (words(secret, key), description(secret, key));
            match std::str::from_utf8(&bytes) {
                Ok(text) => of_text(text, &words, &description, &mut known),
                Err(_) if bytes.len() >= MIN_KNOWN => of_bytes(&bytes, &words, &description, &mut known),
                Err(_) => {}
            }
        }
    }
    known.sort_by(|one, other| {
        (other.text.len(), &one.text, &one.words).cmp(&(one.text.len(), &other.text, &other.words))
    });
    known.dedup_by(|one, other| one.text == other.text);
    known
}

fn of_text(text: &str, words: &str, description: &str, known: &mut Vec<Known>) {
    let bare = text.trim();
    if bare.len() < MIN_KNOWN || looks_public(bare) {
        return;
    }
    let mut add = |text: &str, words: &str, description: &str| {
        let [text, words, description] = [text, words, description].map(str::to_owned);
        known.push(Known { text, words, description });
    };
    add(text, words, description);
    for (escaped, word, form) in
        [(in_json(text), "json", "escaped as in JSON"), (in_url(text), "url", "escaped as in URLs")]
    {
        if escaped != text {
            add(&escaped, &format!("{words}_{word}"), &format!("{description}, {form}"));
        }
    }
    // Files end with a line, and copies of them often do not.
    if bare != text {
        add(bare, &format!("{words}_bare"), &format!("{description}, without the space around it"));
    }
    of_bytes(text.as_bytes(), &format!("{words}_base64"), description, known);
    if bare != text {
        let description = format!("{description}, without the space around it");
        of_bytes(bare.as_bytes(), &format!("{words}_bare_base64"), &description, known);
    }
}

/// The forms of base64. Those without padding are shorter, and so are looked for after the others.
fn of_bytes(bytes: &[u8], words: &str, description: &str, known: &mut Vec<Known>) {
    let forms = [
        (STANDARD.encode(bytes), "in base64"),
        (STANDARD_NO_PAD.encode(bytes), "in base64 without padding"),
        (URL_SAFE.encode(bytes), "in base64 for URLs"),
        (URL_SAFE_NO_PAD.encode(bytes), "in base64 for URLs, without padding"),
    ];
    for (index, (text, form)) in forms.iter().enumerate() {
        if forms[..index].iter().all(|(before, ..)| before != text) {
            let (text, words) = (text.clone(), words.to_owned());
            known.push(Known { text, words, description: format!("{description}, {form}") });
        }
    }
}

fn in_json(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

fn in_url(text: &str) -> String {
    let escaped = |byte: u8| match byte {
        b if b.is_ascii_alphanumeric() || b"-._~".contains(&b) => char::from(b).to_string(),
        b => format!("%{b:02X}"),
    };
    text.bytes().map(escaped).collect()
}
