//! Image references (distribution's reference grammar, with Docker's short forms normalised).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Digest, DigestError};

const DEFAULT_REGISTRY: &str = "docker.io";
const DEFAULT_TAG: &str = "latest";
const MAX_REPOSITORY: usize = 255;
const MAX_TAG: usize = 128;

/// Names an image: a registry, a repository, and a tag or a digest or both. It is always in its full form; `nginx` is
/// `docker.io/library/nginx:latest`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// Why a text is not a reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// The text does not follow the grammar.
    #[error("{text:?} is not an image reference: {reason}")]
    Malformed {
        /// What was parsed.
        text: String,
        /// The rule that it breaks.
        reason: &'static str,
    },
    /// What follows `@` is not a digest.
    #[error("{text:?} is not an image reference")]
    Digest {
        /// What was parsed.
        text: String,
        /// What is wrong with the digest.
        source: DigestError,
    },
}

impl Reference {
    /// Host, with a port where it has one: `docker.io`, `127.0.0.1:5000`.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// Path within the registry: `library/nginx`.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag, where there is one. Without a digest there always is.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, where there is one.
    pub fn digest(&self) -> Option<Digest> {
        self.digest
    }

    /// Registry and repository: `docker.io/library/nginx`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    /// The same image pinned to `digest`, without a tag.
    pub fn pinned(&self, digest: Digest) -> Self {
        Self { tag: None, digest: Some(digest), ..self.clone() }
    }

    /// The names under which a container runtime looks the image up: `NAME:TAG` and `NAME@DIGEST`, as many as it has.
    pub fn runtime_names(&self) -> Vec<String> {
        let tag = self.tag.as_ref().map(|tag| format!("{}:{tag}", self.name()));
        let digest = self.digest.map(|digest| format!("{}@{digest}", self.name()));
        tag.into_iter().chain(digest).collect()
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        self.digest.map_or(Ok(()), |digest| write!(f, "@{digest}"))
    }
}

impl fmt::Debug for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let malformed = |reason| ReferenceError::Malformed { text: text.to_owned(), reason };
        let (rest, digest) = match text.split_once('@') {
            None => (text, None),
            Some((rest, digits)) => {
                let digest =
                    digits.parse().map_err(|source| ReferenceError::Digest { text: text.to_owned(), source })?;
                (rest, Some(digest))
            }
        };
        // A colon after the last slash begins a tag; one before it belongs to the registry's port.
        let (name, tag) = match rest.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag.to_owned())),
            _ => (rest, None),
        };
        if let Some(tag) = &tag {
            check_tag(tag).map_err(malformed)?;
        }
        let (registry, repository) = split_registry(name);
        check_registry(&registry).map_err(malformed)?;
        check_repository(&repository).map_err(malformed)?;
        let tag = if digest.is_none() { tag.or(Some(DEFAULT_TAG.to_owned())) } else { tag };
        Ok(Self { registry, repository, tag, digest })
    }
}

/// The first component is a registry only when it cannot be part of a Docker Hub repository.
fn split_registry(name: &str) -> (String, String) {
    let hub = |path: &str| {
        let path = if path.contains('/') { path.to_owned() } else { format!("library/{path}") };
        (DEFAULT_REGISTRY.to_owned(), path)
    };
    match name.split_once('/') {
        Some(("index.docker.io" | "registry-1.docker.io" | DEFAULT_REGISTRY, path)) => hub(path),
        Some((host, path))
            if host.contains(['.', ':']) || host == "localhost" || host.bytes().any(|b| b.is_ascii_uppercase()) =>
        {
            (host.to_owned(), path.to_owned())
        }
        _ => hub(name),
    }
}

fn check_registry(registry: &str) -> Result<(), &'static str> {
    let (host, port) = match registry.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((v6, rest)) if v6.parse::<std::net::Ipv6Addr>().is_ok() => ("v6", rest.strip_prefix(':')),
        Some(_) => return Err("the registry is not a host name"),
        None => registry.split_once(':').map_or((registry, None), |(host, port)| (host, Some(port))),
    };
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    if !host.split('.').all(label) {
        return Err("the registry is not a host name");
    }
    match port {
        Some(port) if port.parse::<u16>().is_err() => Err("the registry's port is not a number up to 65535"),
        _ => Ok(()),
    }
}

fn check_repository(repository: &str) -> Result<(), &'static str> {
    if repository.len() > MAX_REPOSITORY {
        return Err("the repository is longer than 255 characters");
    }
    if repository.bytes().any(|b| b.is_ascii_uppercase()) {
        return Err("the repository must be lowercase");
    }
    if !repository.split('/').all(is_path_component) {
        return Err("a repository is lowercase words joined by '/', '.', '_', '__' or '-'");
    }
    Ok(())
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn is_path_component(component: &str) -> bool {
    let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let separator = |s: &str| matches!(s, "" | "." | "_" | "__") || s.bytes().all(|b| b == b'-');
    component.starts_with(alphanumeric)
        && component.ends_with(alphanumeric)
        && component.split(alphanumeric).all(separator)
}

fn check_tag(tag: &str) -> Result<(), &'static str> {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let first = tag.bytes().next().is_some_and(word);
    if first && tag.len() <= MAX_TAG && tag.bytes().all(|b| word(b) || b == b'.' || b == b'-') {
        Ok(())
    } else {
        Err("a tag is up to 128 letters, digits, '_', '.' and '-', and begins with none of the last two")
    }
}

impl Serialize for Reference {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Reference {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn short_forms_are_normalised() {
        for (short, full) in [
            ("nginx", "docker.io/library/nginx:latest"),
            ("nginx:1.27", "docker.io/library/nginx:1.27"),
            ("grafana/grafana", "docker.io/grafana/grafana:latest"),
            ("index.docker.io/nginx", "docker.io/library/nginx:latest"),
            ("localhost/app:1", "localhost/app:1"),
            ("127.0.0.1:5000/lab/redis:1", "127.0.0.1:5000/lab/redis:1"),
            ("[::1]:5000/a/b:1", "[::1]:5000/a/b:1"),
            ("registry.k8s.io/pause:3.9", "registry.k8s.io/pause:3.9"),
        ] {
            let reference: Reference = short.parse().unwrap();
            assert_eq!(reference.to_string(), full);
            assert_eq!(full.parse(), Ok(reference));
        }
    }

    #[test]
    fn a_digest_takes_no_default_tag_and_gives_a_name_of_its_own() {
        let pinned: Reference = format!("quay.io/a/b@{DIGEST}").parse().unwrap();
        assert_eq!((pinned.tag(), pinned.runtime_names()), (None, vec![format!("quay.io/a/b@{DIGEST}")]));
        let both: Reference = format!("quay.io/a/b:1@{DIGEST}").parse().unwrap();
        assert_eq!(both.runtime_names(), ["quay.io/a/b:1".to_owned(), format!("quay.io/a/b@{DIGEST}")]);
    }

    #[test]
    fn what_breaks_the_grammar_is_refused() {
        for bad in [
            "",
            ":",
            "/",
            "a//b",
            "a/",
            "/a",
            "docker.io/Library/nginx",
            "a:b:c",
            "a b",
            "a..b",
            "a___b",
            "-a",
            "a@sha256:00",
            "a@",
            "example.org:port/a",
            "example.org:99999/a",
            "exa_mple.org/a",
            "a:-x",
            "../etc",
            "http://example.org/a",
            "nginx:{{ tag }}",
        ] {
            assert!(bad.parse::<Reference>().is_err(), "{bad:?} was accepted");
        }
        let long = format!("a:{}", "x".repeat(129));
        assert!(long.parse::<Reference>().is_err());
    }
}
