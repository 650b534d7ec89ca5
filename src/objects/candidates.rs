//! Strings in free text that look like image references: in arguments, in environments, in ConfigMaps.
//!
//! Almost every word is a valid reference (`nginx`), so a word counts only with evidence: a registry's name and a tag,
//! a tag that looks like a version, or a word before it that says `image`.

use crate::oci::Reference;

/// A string that looks like an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found<'t> {
    /// As it stands in the text.
    pub(super) text: &'t str,
    /// What it would name.
    pub(super) reference: Reference,
    /// Lines before it in the text.
    pub(super) line: usize,
}

/// Longest word that is looked at: a repository of 255, a tag of 128 and a digest fit.
const MAX_WORD: usize = 600;

/// Finds what looks like images in `text`.
pub(super) fn find(text: &str) -> Vec<Found<'_>> {
    find_after(text, false)
}

/// The same after a word that says `image`, where `said_image`.
pub(super) fn find_after(text: &str, said_image: bool) -> Vec<Found<'_>> {
    let mut found = Vec::new();
    for (line, content) in text.lines().enumerate() {
        let (mut rest, mut said_image) = (content, said_image && line == 0);
        while let Some(start) = rest.find(|c| !is_separator(c)) {
            let word = &rest[start..];
            let (word, after) = word.split_at(word.find(is_separator).unwrap_or(word.len()));
            rest = after;
            let trimmed = word.trim_end_matches([':', '.']);
            if trimmed.is_empty() {
                continue;
            }
            let bare = ["docker://", "oci://"].iter().find_map(|scheme| trimmed.strip_prefix(scheme));
            let bare = bare.unwrap_or(trimmed);
            // In prose, `image:` goes before any word.
            let rest_of_line = after.trim_start();
            let is_value = !after.starts_with(' ') || rest_of_line.is_empty() || rest_of_line.starts_with(['#', '-']);
            if bare.len() <= MAX_WORD
                && let Ok(reference) = bare.parse::<Reference>()
                && looks_like_image(bare, &reference, said_image && (is_value || bare.contains([':', '/'])))
            {
                found.push(Found { text: bare, reference, line });
            }
            // A key: `image:`, `"image":`, `--image=`, `--image value`.
            let is_key = word.ends_with(':')
                || word.starts_with('-')
                || after.trim_start_matches(['"', '\'', ' ']).starts_with([':', '=']);
            said_image = is_key && trimmed.to_lowercase().ends_with("image");
        }
    }
    found
}

fn is_separator(c: char) -> bool {
    c.is_whitespace()
        || matches!(c, '=' | '"' | '\'' | '`' | ',' | ';' | '(' | ')' | '{' | '}' | '[' | ']' | '<' | '>' | '|')
}

fn looks_like_image(text: &str, reference: &Reference, said_image: bool) -> bool {
    let (name, digest) = text.split_once('@').map_or((text, false), |(name, _)| (name, true));
    let tag = name.rsplit_once(':').map(|(_, tag)| tag).filter(|tag| !tag.contains('/'));
    if digest {
        return true;
    }
    if said_image {
        let word = matches!(text, "true" | "false" | "null" | "Always" | "IfNotPresent" | "Never");
        return !word && !text.bytes().all(|b| b.is_ascii_digit());
    }
    let Some(tag) = tag else { return false };
    let port = tag.bytes().all(|b| b.is_ascii_digit());
    let version = tag.bytes().any(|b| b.is_ascii_digit());
    let has_registry = text.starts_with(&format!("{}/", reference.registry()));
    if has_registry {
        return true;
    }
    match name.contains('/') {
        true => tag == "latest" || version && !port,
        // `redis:6379` and `key:v1` are something else.
        false => version && tag.contains('.') && tag.trim_start_matches('v').starts_with(|c: char| c.is_ascii_digit()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<(&str, usize)> {
        find(text).into_iter().map(|found| (found.text, found.line)).collect()
    }

    #[test]
    fn images_in_free_text_are_found() {
        for (text, image) in [
            ("--acme-http01-solver-image=quay.io/jetstack/solver:v1.16.1", "quay.io/jetstack/solver:v1.16.1"),
            ("run quay.io/a/b:1 now", "quay.io/a/b:1"),
            ("grafana/grafana:11.2.0.", "grafana/grafana:11.2.0"),
            ("nginx:1.27", "nginx:1.27"),
            ("image: busybox", "busybox"),
            ("\"image\": \"busybox\"", "busybox"),
            ("--image busybox", "busybox"),
            ("docker://localhost:5000/x:2", "localhost:5000/x:2"),
            ("rancher/klipper-helm:latest", "rancher/klipper-helm:latest"),
        ] {
            assert_eq!(texts(text), [(image, 0)], "{text}");
        }
        assert_eq!(texts("a: 1\n  image: \"quay.io/a/b:2\" # c\n"), [("quay.io/a/b:2", 1)]);
    }

    #[test]
    fn other_text_is_not() {
        for text in [
            "redis:6379",
            "http://example.org:8080/x",
            "example.org:443",
            "system:serviceaccount:kube-system:default",
            "/var/lib/x:/var/lib/x",
            "10.0.0.1:8080/healthz",
            "12:30",
            "cert-manager.io/issuer",
            "apps/v1",
            "the image is nice",
            "any image: see the manual",
            "image: true",
            "imagePullPolicy: Always",
            "key:v1",
            "quay.io/a/b:{{ .tag }}",
            "arn:aws:iam::123:role/x",
            "a/b:80",
        ] {
            assert_eq!(texts(text), [], "{text}");
        }
    }
}
