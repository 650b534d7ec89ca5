//! What a lock has entries of, images aside.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::oci::{Digest, Platform, Reference};

/// What a profile says of a chart from elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChartKey {
    /// `oci://…`, with the tag or digest where the profile has one, or a repository's `https://…`.
    pub source: String,
    /// The chart's name, where the source is a repository of many.
    pub name: Option<String>,
    /// Which versions will do, as the profile has it.
    pub range: Option<String>,
}

impl fmt::Display for ChartKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)?;
        for part in self.name.iter().chain(&self.range) {
            write!(f, " {part}")?;
        }
        Ok(())
    }
}

/// What a chart from elsewhere is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedChart {
    /// The version that was chosen.
    pub version: String,
    /// Where the package is; absent for a registry, which has it by its digest.
    pub url: Option<String>,
    /// Digest of the package.
    pub digest: Digest,
    /// Length of the package in bytes.
    pub size: u64,
}

/// What a pack from a registry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LockedPack {
    /// Digest of its manifest.
    pub digest: Digest,
    /// Length of its manifest in bytes.
    pub size: u64,
}

/// What a host file from a web server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LockedFile {
    /// Its digest, which the profile states.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// Whether its first bytes say that compressing it again is of no use.
    pub compressed: bool,
}

/// Names something that a lock has.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Entry {
    /// An image.
    Image(Reference),
    /// A chart.
    Chart(ChartKey),
    /// A pack.
    Pack(Reference),
    /// A file's address.
    File(String),
}

impl Entry {
    /// Whether a person means this by `text`: a reference, an address, a chart's source or its name.
    pub fn is_named(&self, text: &str) -> bool {
        let same = |reference: &Reference, text: &str| text.parse().is_ok_and(|named: Reference| named == *reference);
        match self {
            Self::Image(reference) => same(reference, text),
            Self::Pack(reference) => same(reference, text.strip_prefix("oci://").unwrap_or(text)),
            Self::File(url) => url == text,
            Self::Chart(key) => key.source == text || key.name.as_deref() == Some(text) || key.to_string() == text,
        }
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Image(reference) => reference.fmt(f),
            Self::Chart(key) => key.fmt(f),
            Self::Pack(reference) => write!(f, "oci://{reference}"),
            Self::File(url) => f.write_str(url),
        }
    }
}

impl From<Reference> for Entry {
    fn from(reference: Reference) -> Self {
        Self::Image(reference)
    }
}

impl serde::Serialize for Entry {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What a profile needs of what a lock has.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Needed {
    /// Images, each with the platforms that it is needed for.
    pub images: BTreeMap<Reference, Vec<Platform>>,
    /// Charts from elsewhere.
    pub charts: BTreeSet<ChartKey>,
    /// Packs from registries.
    pub packs: BTreeSet<Reference>,
    /// Files from web servers: address and digest.
    pub files: BTreeMap<String, Digest>,
}

impl Needed {
    /// All of it.
    pub fn entries(&self) -> impl Iterator<Item = Entry> + '_ {
        let images = self.images.keys().cloned().map(Entry::Image);
        let charts = self.charts.iter().cloned().map(Entry::Chart);
        let packs = self.packs.iter().cloned().map(Entry::Pack);
        images.chain(charts).chain(packs).chain(self.files.keys().cloned().map(Entry::File))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_named_as_people_write_them() {
        let reference: Reference = "r.example.org/packs/web:1".parse().unwrap();
        let key = ChartKey {
            source: "https://charts.example.org".into(),
            name: Some("shop".into()),
            range: Some("~1.7".into()),
        };
        for (entry, names) in [
            (Entry::Image("nginx:1.27".parse().unwrap()), &["nginx:1.27", "docker.io/library/nginx:1.27"][..]),
            (Entry::Pack(reference), &["oci://r.example.org/packs/web:1", "r.example.org/packs/web:1"]),
            (Entry::Chart(key), &["https://charts.example.org", "shop", "https://charts.example.org shop ~1.7"]),
            (Entry::File("https://example.org/k3s".into()), &["https://example.org/k3s"]),
        ] {
            assert!(names.iter().all(|name| entry.is_named(name)), "{entry}");
            assert!(!entry.is_named("other:1") && !entry.is_named(""), "{entry}");
        }
    }
}
