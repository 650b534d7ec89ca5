//! The labels by which containerd knows what belongs to what, and merging them into those that are there.
//!
//! containerd's garbage collector keeps what a name, a lease or a label refers to (its docs/garbage-collection.md).
//! Labels are what its own import sets, numbered alike.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::oci::{Digest, Reference};

const CONTENT: &str = "containerd.io/gc.ref.content.";
const SOURCE: &str = "containerd.io/distribution.source.";
/// On a layer: the digest of its uncompressed bytes.
pub(super) const UNCOMPRESSED: &str = "containerd.io/uncompressed";
/// containerd refuses a label whose key and value are longer together.
const MAX_LABEL: usize = 4096;

/// On a configuration: the snapshot of all its layers.
pub(super) fn snapshot_key(snapshotter: &str) -> String {
    format!("containerd.io/gc.ref.snapshot.{snapshotter}")
}

/// What a blob's labels must say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Labels {
    /// Content that it refers to, by the kind of reference: `config`, `l.`, `m.`; in order.
    children: Vec<(&'static str, Digest)>,
    /// Where registries have it, sorted. A bundle has tens of thousands of layers, so what an image says is there once.
    sources: Vec<Arc<Repository>>,
}

/// A repository of a registry, that of an image.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Repository {
    registry: String,
    name: String,
}

impl Repository {
    /// Where `image` comes from.
    pub fn of(image: &Reference) -> Self {
        Self { registry: image.registry().to_owned(), name: image.repository().to_owned() }
    }
}

impl Labels {
    /// The labels of an image manifest.
    pub fn manifest(config: Digest, layers: impl Iterator<Item = Digest>) -> Self {
        let children = std::iter::once(("config", config)).chain(layers.map(|layer| ("l.", layer))).collect();
        Self { children, ..Self::default() }
    }

    /// The labels of an index, for the manifests that are imported; the others are absent, and are not referred to.
    pub fn index(manifests: impl Iterator<Item = Digest>) -> Self {
        Self { children: manifests.map(|manifest| ("m.", manifest)).collect(), ..Self::default() }
    }

    /// The labels of a layer of an image in `repository`.
    pub fn layer(repository: &Arc<Repository>) -> Self {
        Self { sources: vec![Arc::clone(repository)], ..Self::default() }
    }

    /// Adds what `other` asks for.
    pub fn add(&mut self, other: Self) {
        // Most content is of one image.
        if *self == Self::default() {
            *self = other;
            return;
        }
        for child in other.children {
            if !self.children.contains(&child) {
                self.children.push(child);
            }
        }
        for source in other.sources {
            if let Err(at) = self.sources.binary_search(&source) {
                self.sources.insert(at, source);
            }
        }
    }

    /// The labels to set on content that has `existing`: empty where they say everything already. Nothing that another
    /// image relies on is overwritten: a number that is taken stays, and repositories are added to those that are there.
    pub fn missing_from(&self, existing: &HashMap<String, String>) -> HashMap<String, String> {
        let mut missing = HashMap::new();
        for (kind, digest) in &self.children {
            let (prefix, digest) = (format!("{CONTENT}{kind}"), digest.to_string());
            let referred = |labels: &HashMap<String, String>| {
                labels.iter().any(|(key, value)| key.starts_with(&prefix) && *value == digest)
            };
            if !referred(existing) && !referred(&missing) {
                let key = free_key(&prefix, |key| existing.contains_key(key) || missing.contains_key(key));
                missing.insert(key, digest);
            }
        }
        for sources in self.sources.chunk_by(|one, next| one.registry == next.registry) {
            let key = format!("{SOURCE}{}", sources[0].registry);
            let old = existing.get(&key).map_or("", String::as_str);
            let value = joined(old, sources, MAX_LABEL - key.len().min(MAX_LABEL));
            if value != old {
                missing.insert(key, value);
            }
        }
        missing
    }
}

fn free_key(prefix: &str, taken: impl Fn(&str) -> bool) -> String {
    if !prefix.ends_with('.') && !taken(prefix) {
        return prefix.to_owned();
    }
    let mut number = usize::from(!prefix.ends_with('.'));
    while taken(&format!("{prefix}{number}")) {
        number += 1;
    }
    format!("{prefix}{number}")
}

/// `old` and what it lacks of `repositories`, comma-separated and sorted; what does not fit in `room` is left out, as a
/// source is a help to find the blob and nothing depends on it.
fn joined(old: &str, repositories: &[Arc<Repository>], room: usize) -> String {
    let known: Vec<&str> = old.split(',').filter(|name| !name.is_empty()).collect();
    if repositories.iter().all(|repository| known.contains(&repository.name.as_str())) {
        return old.to_owned();
    }
    let mut all: BTreeSet<&str> = known.into_iter().collect();
    for Repository { name, .. } in repositories.iter().map(AsRef::as_ref) {
        let length = all.iter().map(|name| name.len() + 1).sum::<usize>() + name.len();
        if length <= room {
            all.insert(name);
        }
    }
    all.into_iter().collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(text: &str) -> Digest {
        Digest::of(text.as_bytes())
    }

    fn map(pairs: &[(&str, &str)]) -> HashMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_manifest_is_numbered_as_containerd_does() {
        let labels = Labels::manifest(digest("c"), [digest("0"), digest("1"), digest("0")].into_iter());
        let expected = map(&[
            ("containerd.io/gc.ref.content.config", &digest("c").to_string()),
            ("containerd.io/gc.ref.content.l.0", &digest("0").to_string()),
            ("containerd.io/gc.ref.content.l.1", &digest("1").to_string()),
        ]);
        assert_eq!(labels.missing_from(&HashMap::new()), expected);
        assert_eq!(labels.missing_from(&expected), HashMap::new());
    }

    #[test]
    fn what_is_there_is_kept() {
        let labels = Labels::index([digest("amd64")].into_iter());
        let other = digest("arm64").to_string();
        let existing = map(&[("containerd.io/gc.ref.content.m.0", other.as_str())]);
        let expected = map(&[("containerd.io/gc.ref.content.m.1", &digest("amd64").to_string())]);
        assert_eq!(labels.missing_from(&existing), expected);
    }

    #[test]
    fn repositories_are_added_once_and_never_overflow() {
        let repository = |name: &str| Arc::new(Repository::of(&name.parse().unwrap()));
        let labels = Labels::layer(&repository("quay.io/b/c:1"));
        let key = "containerd.io/distribution.source.quay.io";
        assert_eq!(labels.missing_from(&map(&[(key, "z,a")])), map(&[(key, "a,b/c,z")]));
        assert_eq!(labels.missing_from(&map(&[(key, "z,b/c")])), HashMap::new());
        let full = "x".repeat(4096 - key.len());
        assert_eq!(labels.missing_from(&map(&[(key, &full)])), HashMap::new());

        let mut shared = Labels::default();
        for name in ["quay.io/z:1", "docker.io/b/c:1", "quay.io/b/c:1", "quay.io/z:2"] {
            shared.add(Labels::layer(&repository(name)));
        }
        let expected = map(&[(key, "b/c,z"), ("containerd.io/distribution.source.docker.io", "b/c")]);
        assert_eq!(shared.missing_from(&HashMap::new()), expected);
    }
}
