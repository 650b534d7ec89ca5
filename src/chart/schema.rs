//! What a chart's values.schema.json may refer to. Helm, 3 and 4 alike, loads every schema that another one names, from
//! web servers and from the user's files, and repeats in its messages what it found there.

use std::fmt;

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};

use crate::problem::printable;

/// Keywords whose text is an address that is loaded. An `$id` is none: it names, and what is named by it lies in the
/// same file, as long as nothing refers to a place beside it.
const REFERENCES: [&str; 4] = ["$ref", "$dynamicRef", "$recursiveRef", "$schema"];
/// Those that helm has built in, without scheme and fragment. The vocabularies of the last two lie below them.
const META_SCHEMAS: [&str; 6] = [
    "json-schema.org/schema",
    "json-schema.org/draft-04/schema",
    "json-schema.org/draft-06/schema",
    "json-schema.org/draft-07/schema",
    "json-schema.org/draft/2019-09/schema",
    "json-schema.org/draft/2020-12/schema",
];
const VOCABULARIES: [&str; 2] = ["json-schema.org/draft/2019-09/meta/", "json-schema.org/draft/2020-12/meta/"];
/// How much of a reference is shown.
const SHOWN: usize = 200;

/// Checks that a schema refers to itself and to the meta-schemas of JSON Schema alone.
///
/// # Errors
/// What is wrong with it, in one line.
pub(super) fn check(text: &[u8]) -> Result<(), String> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let mut read = serde_json::Deserializer::from_slice(text);
    let mut found = None;
    let seen = Schema { keyword: None, found: &mut found }.deserialize(&mut read).and_then(|()| read.end());
    match (found, seen) {
        (Some(reference), _) => Err(format!("values.schema.json refers to {reference}, and helm would load that")),
        (None, Err(error)) => Err(format!("values.schema.json is not JSON: {error}")),
        (None, Ok(())) => Ok(()),
    }
}

/// Any value of a schema; the first foreign reference in it is kept. Keys that are there twice count twice.
struct Schema<'a> {
    keyword: Option<&'static str>,
    found: &'a mut Option<String>,
}

impl<'de> DeserializeSeed<'de> for Schema<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Schema<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        if let Some(keyword) = self.keyword.filter(|_| !is_known(text)) {
            let start: String = text.chars().take(SHOWN).collect();
            let more = if start.len() < text.len() { "…" } else { "" };
            self.found.get_or_insert_with(|| format!("{keyword} {:?}{more}", printable(&start)));
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element_seed(Schema { keyword: None, found: &mut *self.found })?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        while let Some(key) = entries.next_key::<String>()? {
            let keyword = REFERENCES.into_iter().find(|keyword| *keyword == key);
            entries.next_value_seed(Schema { keyword, found: &mut *self.found })?;
        }
        Ok(())
    }
}

/// Whether a reference stays in its file, or is to what helm has built in.
fn is_known(reference: &str) -> bool {
    let (address, _) = reference.split_once('#').unwrap_or((reference, ""));
    if address.is_empty() {
        return reference.starts_with('#');
    }
    let Some(place) = ["http://", "https://"].into_iter().find_map(|scheme| address.strip_prefix(scheme)) else {
        return false;
    };
    let word = |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
    META_SCHEMAS.contains(&place) || VOCABULARIES.iter().any(|folder| place.strip_prefix(folder).is_some_and(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemas_of_their_own_and_of_known_drafts_are_taken() {
        for good in [
            "{}",
            "true",
            "\u{feff}{}",
            r##"{"$schema": "http://json-schema.org/draft-07/schema#", "properties": {"a": {"$ref": "#/definitions/a"}}}"##,
            r##"{"$schema": "https://json-schema.org/draft/2020-12/schema", "$dynamicRef": "#meta"}"##,
            r##"{"$schema": "https://json-schema.org/draft-04/schema", "id": "https://example.org/a.json", "$ref": "#"}"##,
            r##"{"$id": "http://example.org/a.json", "properties": {"a": {"$id": "#/properties/a", "$ref": "#/x"}}}"##,
            r#"{"$ref": "http://json-schema.org/draft-07/schema#/definitions/nonNegativeInteger"}"#,
            r#"{"$ref": "https://json-schema.org/draft/2020-12/meta/meta-data"}"#,
            r#"{"properties": {"$ref": {"type": "string"}, "$schema": {"type": "string"}, "id": {"const": "file:///x"}}}"#,
        ] {
            assert_eq!(check(good.as_bytes()), Ok(()), "{good}");
        }
    }

    #[test]
    fn every_other_reference_is_refused_by_name() {
        for reference in [
            "http://127.0.0.1:5999/ref.json",
            "https://raw.githubusercontent.com/x/y.json#/definitions/a",
            "file:///etc/passwd",
            "FILE:///etc/passwd",
            "/etc/passwd",
            "../../home/.docker/config.json#/auths",
            "other.json",
            "//example.org/x",
            "?x",
            "",
            " #/definitions/a",
            "urn:x",
            "http://json-schema.org/draft-03/schema#",
            "http://json-schema.org/draft-07/schema/../../x",
            "http://json-schema.org.example.org/draft-07/schema",
            "http://me@json-schema.org/draft-07/schema",
            "http://json-schema.org:80/draft-07/schema",
            "https://json-schema.org/draft/2020-12/meta/../x",
            "https://json-schema.org/draft/2020-12/meta/",
            "ftp://json-schema.org/schema",
        ] {
            for keyword in REFERENCES {
                let reference = serde_json::to_string(reference).unwrap();
                for text in [
                    format!("{{\"{keyword}\": {reference}}}"),
                    format!("{{\"a\": [1, null, true, 1.5, -1, {{\"b\": {{\"{keyword}\": {reference}}}}}]}}"),
                    // Which of two counts is for whoever reads it.
                    format!("{{\"{keyword}\": {reference}, \"{keyword}\": \"#\"}}"),
                    format!("{{\"{keyword}\": \"#\", \"{keyword}\": {reference}}}"),
                    format!("{{\"$id\": \"http://example.org/\", \"default\": {{\"{keyword}\": {reference}}}}}"),
                ] {
                    let reason = check(text.as_bytes()).unwrap_err();
                    assert!(
                        reason.starts_with(&format!("values.schema.json refers to {keyword} \"")),
                        "{text}: {reason}"
                    );
                }
            }
        }
        let reason = check(br#"{"\u0024ref": "file:///etc/passwd"}"#).unwrap_err();
        assert!(reason.contains("$ref \"file:///etc/passwd\""), "{reason}");
    }

    #[test]
    fn what_is_no_schema_is_refused_and_no_escape_is_repeated() {
        for bad in ["", "{", "{} {}", "{\"$ref\": \"#\"}x", "a: b"] {
            assert!(check(bad.as_bytes()).unwrap_err().starts_with("values.schema.json is not JSON: "), "{bad}");
        }
        assert!(check(&[b'[', b'"', 0xff, b'"', b']']).is_err());
        assert!(check("[".repeat(100_000).as_bytes()).unwrap_err().contains("recursion limit"));
        let reason = check(format!("{{\"$ref\": \"\\u001b[31m{}\"}}", "x".repeat(1 << 20)).as_bytes()).unwrap_err();
        assert!(!reason.contains('\u{1b}') && reason.len() < 1_000, "{reason}");
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_a_schema_or_refused(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            let _ = check(&bytes);
        }
    }
}
