//! What a registry asks for before it lets a request in (RFC 9110, 11.6.1): `Bearer realm="…",service="…"`, or `Basic`.

use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};

/// A challenge that can be answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Challenge {
    /// A token of the service at `realm`.
    Bearer {
        /// The service's address, as it was sent.
        realm: String,
        /// What the registry calls itself there.
        service: Option<String>,
    },
    /// User and password.
    Basic,
}

impl Challenge {
    /// The challenge of an answer's headers: of several, a token rather than a password.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let values = headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
        let offers: Vec<Offer> = values.flat_map(offers).collect();
        let bearer = offers.iter().filter(|offer| offer.scheme == "bearer").find_map(|offer| {
            Some(Self::Bearer { realm: offer.parameter("realm")?, service: offer.parameter("service") })
        });
        bearer.or_else(|| offers.iter().any(|offer| offer.scheme == "basic").then_some(Self::Basic))
    }
}

/// One way to log in, with names in lower case.
#[derive(Debug, Default)]
struct Offer {
    scheme: String,
    parameters: Vec<(String, String)>,
}

impl Offer {
    fn parameter(&self, name: &str) -> Option<String> {
        self.parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
    }
}

/// What one header offers. What follows a mistake up to the next comma is passed over.
fn offers(header: &str) -> Vec<Offer> {
    let mut offers: Vec<Offer> = Vec::new();
    let mut rest = header;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let Some((name, after)) = token(rest) else {
            let Some(comma) = rest.find(',') else { return offers };
            rest = &rest[comma..];
            continue;
        };
        let after = after.trim_start();
        match (after.strip_prefix('='), offers.last_mut()) {
            (Some(text), Some(offer)) => {
                let (value, after) = value(text.trim_start());
                offer.parameters.push((name.to_ascii_lowercase(), value));
                rest = after;
            }
            (Some(text), None) => rest = text,
            (None, _) => {
                offers.push(Offer { scheme: name.to_ascii_lowercase(), parameters: Vec::new() });
                rest = after;
            }
        }
    }
}

/// A word at the beginning of a text, and what follows it.
fn token(text: &str) -> Option<(&str, &str)> {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && !"!#$%&'*+-.^_`|~".contains(c)).unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

/// A value, quoted or not, and what follows it.
fn value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => return (value, &quoted[at + 1..]),
            '\\' => value.extend(characters.next().map(|(_, c)| c)),
            c => value.push(c),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(headers: &[&str]) -> Option<Challenge> {
        let mut map = HeaderMap::new();
        for value in headers {
            map.append(WWW_AUTHENTICATE, value.parse().unwrap());
        }
        Challenge::of(&map)
    }

    fn bearer(realm: &str, service: Option<&str>) -> Option<Challenge> {
        Some(Challenge::Bearer { realm: realm.to_owned(), service: service.map(str::to_owned) })
    }

    #[test]
    fn challenges_of_known_registries_are_read() {
        let hub = r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push""#;
        assert_eq!(of(&[hub]), bearer("https://auth.docker.io/token", Some("registry.docker.io")));
        assert_eq!(of(&[r#"bearer  Realm = "https://a/t" , error="invalid, token""#]), bearer("https://a/t", None));
        assert_eq!(of(&["Bearer realm=https://a/t,service=s"]), bearer("https://a/t", Some("s")));
        assert_eq!(of(&[r#"Basic realm="x""#]), Some(Challenge::Basic));
        assert_eq!(of(&["BASIC"]), Some(Challenge::Basic));
        let several = [r#"Negotiate a==, Basic realm="x", Bearer realm="https://a/t""#];
        assert_eq!(of(&several), bearer("https://a/t", None));
        assert_eq!(of(&[r#"Basic realm="x""#, r#"Bearer realm="https://a/t""#]), bearer("https://a/t", None));
    }

    #[test]
    fn what_is_in_quotes_is_no_challenge_and_nonsense_is_none() {
        assert_eq!(of(&[r#"Basic realm="Bearer realm=\"http://evil/\", x""#]), Some(Challenge::Basic));
        for none in ["", "Bearer", "Bearer service=\"x\"", "Digest realm=\"x\"", "\"Basic\"", "=,=,==", "realm=\"x\""] {
            assert_eq!(of(&[none]), None, "{none}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_header_is_read_or_passed_over(text in "(Bearer |Basic )?[ -~]{0,60}") {
            let _ = of(&[&text]);
        }
    }
}
