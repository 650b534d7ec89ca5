//! Which values of secrets are no secrets: what stands elsewhere with good reason.

use std::net::IpAddr;

/// Letters of one word; what is longer was made by a machine.
const MAX_WORD: usize = 20;

/// Whether a text is a plain word, the name of a host with or without its port, a path or a URL, and holds nothing that
/// looks made up.
pub(super) fn looks_public(text: &str) -> bool {
    // More words than two are a passphrase.
    let word = text.bytes().all(|b| b.is_ascii_lowercase() || b"-_".contains(&b));
    word && text.split(['-', '_']).count() <= 2 && is_readable(text) || is_path(text) || is_url(text)
}

/// `/var/run/x`.
fn is_path(text: &str) -> bool {
    let below = ["/", "./", "../"].iter().find_map(|start| text.strip_prefix(start));
    below.is_some_and(|below| below.split('/').all(is_segment))
}

/// `https://example.org:8080/a/b`, or the same without what it begins with.
fn is_url(text: &str) -> bool {
    let (scheme, rest) = text.split_once("://").map_or((None, text), |(scheme, rest)| (Some(scheme), rest));
    let known = |scheme: &str| {
        let inside = |b: u8| b.is_ascii_lowercase() || b"+-.".contains(&b);
        !scheme.is_empty() && scheme.bytes().all(inside) && is_readable(scheme)
    };
    let (address, path) = rest.split_once('/').unwrap_or((rest, ""));
    scheme.is_none_or(known) && is_address(address, scheme.is_some()) && path.split('/').all(is_segment)
}

/// A host, with or without a port. One of a single word is none, unless it has a port or stands in a URL.
fn is_address(text: &str, in_url: bool) -> bool {
    if text.parse::<IpAddr>().is_ok() {
        return true;
    }
    let (host, port) = text.rsplit_once(':').map_or((text, None), |(host, port)| (host, Some(port)));
    if port.is_some_and(|port| port.parse::<u16>().is_err()) {
        return false;
    }
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    if bare.parse::<IpAddr>().is_ok() {
        return true;
    }
    let label = |label: &str| {
        let inside = label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        !label.is_empty() && inside && is_readable(label)
    };
    let last = host.rsplit('.').next().unwrap_or_default();
    let named = last.starts_with(|c: char| c.is_ascii_lowercase());
    named && (in_url || port.is_some() || host.contains('.')) && host.split('.').all(label)
}

/// A part of a path.
fn is_segment(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_".contains(&b)) && is_readable(text)
}

/// Whether people write such a text: words, and numbers here and there.
fn is_readable(text: &str) -> bool {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric());
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    let letters = text.bytes().filter(u8::is_ascii_alphabetic).count();
    // A UUID, say.
    let mixed = digits >= 6 && letters >= 4;
    !mixed && words.into_iter().all(is_word)
}

fn is_word(word: &str) -> bool {
    let bytes = word.as_bytes();
    let (mut turns, mut consonants, mut most) = (0, 0, 0);
    for pair in bytes.windows(2) {
        let down = pair[0].is_ascii_lowercase() && pair[1].is_ascii_uppercase();
        turns += usize::from(pair[0].is_ascii_digit() != pair[1].is_ascii_digit() || down);
    }
    for byte in bytes {
        let vowel = b"aeiouy".contains(&byte.to_ascii_lowercase());
        consonants = if byte.is_ascii_alphabetic() && !vowel { consonants + 1 } else { 0 };
        most = most.max(consonants);
    }
    let has = |like: fn(&u8) -> bool| bytes.iter().any(like);
    let all_kinds = has(u8::is_ascii_digit) && has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase);
    bytes.len() <= MAX_WORD && turns <= 3 && most <= 6 && !all_kinds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_paths_and_words_are_public() {
        for text in [
            "postgres",
            "read-only",
            "production",
            "db.shop.svc:5432",
            "localhost:5432",
            "db-0:5432",
            "10.0.0.12",
            "10.0.0.12:6443",
            "[fd00::12]:6443",
            "fd00::12",
            "https://example.org/a",
            "https://db:8080/api/v1beta1/",
            "redis://cache.shop.svc.cluster.local:6379/0",
            "registry.example.org",
            "registry.example.org/shop/api",
            "/var/run/x",
            "/etc/ssl/certs/ca-certificates.crt",
            "./data/myConfigFile.yaml",
        ] {
            assert!(looks_public(text), "{text}");
        }
    }

    #[test]
    fn what_may_be_a_secret_is_not_public() {
        for text in [
            "hunter2-of-shop",
            "Tr0ub4dor&3",
            "correct horse battery",
            "correct-horse-battery-staple",
            "correcthorsebatterystaple",
            "qhwkzpxvjmtrb",
            "aGVsbG8gd29ybGQ=",
            "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
            "admin:S3cret42",
            "admin:12345678",
            "admin:secretword",
            "https://hooks.slack.com/services/T0CANARY1/B0CANARY2/XXcanaryXXXXXXXXXXXXXXXXX",
            "https://hooks.example.org/550e8400-e29b-41d4-a716-446655440000",
            "https://user:password@example.org/",
            "https://token@example.org/",
            "https://example.org/a?token=x",
            "https://example.org/#x",
            "postgres://shop:hunter2@db:5432/shop",
            "/9j4AAQSkZJRgABAQ",
            "12345678",
            "a8f3k29d1x7q.example.org",
        ] {
            assert!(!looks_public(text), "{text}");
        }
    }
}
