//! `carrack.lock`: which digest each reference means, and each chart, pack and file from elsewhere.
//!
//! Owns the lock file's form, resolving image references against registries, and comparing a lock with what a profile
//! needs. It must not know why something is needed, nor fetch layers; what charts, packs and files are, `gather` finds out.

mod changes;
mod entry;
mod file;
mod items;
mod resolve;
mod select;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

pub use changes::{Change, Moved, changes};
pub use entry::{ChartKey, Entry, LockedChart, LockedFile, LockedPack, Needed};
pub use resolve::{Check, Resolved, Update, check, resolve};
pub use select::ResolveError;

use crate::oci::{Digest, Platform, Reference};

/// The lock's file name, beside the profile.
pub const FILE_NAME: &str = "carrack.lock";

/// Where the lock of a profile is: `carrack.lock` in the profile's folder.
pub fn path_for(profile: &Path) -> PathBuf {
    profile.with_file_name(FILE_NAME)
}

/// What every reference means.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lock {
    /// By reference, in the order in which they are written.
    pub images: BTreeMap<Reference, LockedImage>,
    /// Charts from registries and repositories, by what the profile says of them.
    pub charts: BTreeMap<ChartKey, LockedChart>,
    /// Packs from registries, by reference.
    pub packs: BTreeMap<Reference, LockedPack>,
    /// Host files from web servers, by address.
    pub files: BTreeMap<String, LockedFile>,
}

/// What one reference means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedImage {
    /// Digest of the manifest or index that the reference names.
    pub digest: Digest,
    /// Its media type.
    pub media_type: String,
    /// Its length in bytes.
    pub size: u64,
    /// The manifests of the wanted platforms, in the index's order. An image without index has itself here.
    pub platforms: Vec<LockedManifest>,
}

/// One platform's manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedManifest {
    /// What it is made for; absent where it is no container image and says nothing.
    pub platform: Option<Platform>,
    /// Digest of the manifest.
    pub digest: Digest,
    /// Length of the manifest in bytes.
    pub size: u64,
    /// The indexes between the reference's own and the manifest, the outermost first; usually none.
    pub indexes: Vec<Digest>,
}

impl LockedImage {
    /// Whether there is a manifest for each platform that `wanted` asks for.
    pub fn covers(&self, wanted: &[Platform]) -> bool {
        wanted.iter().all(|platform| self.platforms.iter().any(|manifest| manifest.serves(platform)))
    }

    /// The same without manifests that serve none of `wanted`.
    fn only_for(mut self, wanted: &[Platform]) -> Self {
        self.platforms.retain(|manifest| wanted.iter().any(|platform| manifest.serves(platform)));
        self
    }
}

impl LockedManifest {
    /// Whether it is made for `platform`, or for none in particular.
    pub fn serves(&self, platform: &Platform) -> bool {
        self.platform.as_ref().is_none_or(|mine| mine.satisfies(platform))
    }
}

/// How a lock differs from what is needed. `build --locked` accepts none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Differences {
    /// What is needed and the lock lacks, or has otherwise: an image without a wanted platform, a file with another digest.
    pub missing: Vec<Entry>,
    /// What is in the lock and nothing needs any more.
    pub stale: Vec<Entry>,
}

impl Differences {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.missing.is_empty() && self.stale.is_empty()
    }
}

/// Compares a lock with what a profile needs.
pub fn compare(lock: &Lock, needed: &Needed) -> Differences {
    let has = |entry: &Entry| match entry {
        Entry::Image(reference) => {
            let platforms = needed.images.get(reference).map_or(&[][..], Vec::as_slice);
            lock.images.get(reference).is_some_and(|image| image.covers(platforms))
        }
        Entry::Chart(key) => lock.charts.contains_key(key),
        Entry::Pack(reference) => lock.packs.contains_key(reference),
        Entry::File(url) => lock.files.get(url).is_some_and(|file| needed.files.get(url) == Some(&file.digest)),
    };
    let entries: BTreeSet<Entry> = needed.entries().collect();
    Differences {
        missing: entries.iter().filter(|entry| !has(entry)).cloned().collect(),
        stale: lock.entries().filter(|entry| !entries.contains(entry)).collect(),
    }
}

impl Lock {
    /// Everything that is locked, in the order in which it is written.
    pub fn entries(&self) -> impl Iterator<Item = Entry> + '_ {
        let images = self.images.keys().cloned().map(Entry::Image);
        let charts = self.charts.keys().cloned().map(Entry::Chart);
        let packs = self.packs.keys().cloned().map(Entry::Pack);
        images.chain(charts).chain(packs).chain(self.files.keys().cloned().map(Entry::File))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::media_type;

    fn image(media_type: &str, platforms: &[&str]) -> LockedImage {
        let manifest = |platform: &&str| LockedManifest {
            platform: Some(platform.parse().unwrap()),
            digest: Digest::of(platform.as_bytes()),
            size: 1,
            indexes: Vec::new(),
        };
        let platforms = platforms.iter().map(manifest).collect();
        LockedImage { digest: Digest::of(b""), media_type: media_type.to_owned(), size: 1, platforms }
    }

    #[test]
    fn every_platform_must_be_there() {
        let wanted = ["linux/amd64".parse().unwrap(), "linux/arm64".parse().unwrap()];
        assert!(image(media_type::IMAGE_INDEX, &["linux/amd64", "linux/arm64/v8"]).covers(&wanted));
        assert!(!image(media_type::IMAGE_INDEX, &["linux/amd64"]).covers(&wanted));
        assert!(!image(media_type::IMAGE_MANIFEST, &["linux/amd64"]).covers(&wanted));
        assert!(image(media_type::IMAGE_MANIFEST, &["linux/amd64"]).covers(&wanted[..1]));
        assert!(!image(media_type::IMAGE_MANIFEST, &["linux/s390x"]).covers(&wanted));
    }

    #[test]
    fn missing_and_stale_are_told_apart() {
        let reference = |text: &str| text.parse::<Reference>().unwrap();
        let one = |platform| image(media_type::IMAGE_INDEX, &[platform]);
        let lock = Lock {
            images: [("a", one("linux/amd64")), ("b", one("linux/s390x")), ("old", one("linux/amd64"))]
                .into_iter()
                .map(|(name, image)| (reference(name), image))
                .collect(),
            ..Lock::default()
        };
        let images = ["c", "b", "a"].map(|name| (reference(name), vec![Platform::new("linux", "amd64")])).into();
        let differences = compare(&lock, &Needed { images, ..Needed::default() });
        assert_eq!(differences.missing, ["b", "c"].map(|name| Entry::Image(reference(name))));
        assert_eq!(differences.stale, [Entry::Image(reference("old"))]);
    }

    #[test]
    fn every_section_is_compared() {
        let digest = Digest::of(b"");
        let chart = |range: &str| ChartKey {
            source: "oci://r.example.org/charts/x".to_owned(),
            name: None,
            range: Some(range.to_owned()),
        };
        let pack: Reference = "r.example.org/packs/web:1".parse().unwrap();
        let url = "https://example.org/k3s".to_owned();
        let needed = Needed {
            images: BTreeMap::new(),
            charts: [chart("^1")].into(),
            packs: [pack.clone()].into(),
            files: [(url.clone(), digest)].into(),
        };
        let locked = LockedChart { version: "1.2.0".to_owned(), url: None, digest, size: 1 };
        let mut lock = Lock {
            images: BTreeMap::new(),
            charts: [(chart("^1"), locked.clone())].into(),
            packs: [(pack.clone(), LockedPack { digest, size: 1 })].into(),
            files: [(url.clone(), LockedFile { digest, size: 1, compressed: false })].into(),
        };
        assert!(compare(&lock, &needed).is_empty());
        lock.charts = [(chart("^2"), locked)].into();
        lock.packs.clear();
        lock.files.insert(url.clone(), LockedFile { digest: Digest::of(b"other"), size: 1, compressed: false });
        let differences = compare(&lock, &needed);
        assert_eq!(differences.missing, [Entry::Chart(chart("^1")), Entry::Pack(pack), Entry::File(url)]);
        assert_eq!(differences.stale, [Entry::Chart(chart("^2"))]);
    }

    #[test]
    fn it_lies_beside_the_profile() {
        assert_eq!(path_for(Path::new("edge/profile.yaml")), Path::new("edge/carrack.lock"));
        assert_eq!(path_for(Path::new("profile.yaml")), Path::new("carrack.lock"));
    }
}
