//! `carrack.lock`: which digest each reference means.
//!
//! Owns the lock file's form, resolving references against registries, and comparing a lock with what a profile needs.
//! It must not know why an image is needed, nor fetch layers.

mod file;
mod resolve;
mod select;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

pub use resolve::{Change, Check, Moved, Resolved, Update, check, resolve};
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
    /// Needed references that the lock lacks, or has without a wanted platform.
    pub missing: Vec<Reference>,
    /// References in the lock that nothing needs any more.
    pub stale: Vec<Reference>,
}

impl Differences {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.missing.is_empty() && self.stale.is_empty()
    }
}

/// Compares a lock with the references and platforms that a profile needs.
pub fn compare(lock: &Lock, needed: &[Reference], platforms: &[Platform]) -> Differences {
    let needed: BTreeSet<_> = needed.iter().collect();
    let locked = |reference: &&Reference| lock.images.get(*reference).is_some_and(|image| image.covers(platforms));
    Differences {
        missing: needed.iter().copied().filter(|reference| !locked(reference)).cloned().collect(),
        stale: lock.images.keys().filter(|reference| !needed.contains(reference)).cloned().collect(),
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
        };
        let needed = [reference("c"), reference("b"), reference("a"), reference("a")];
        let differences = compare(&lock, &needed, &[Platform::new("linux", "amd64")]);
        assert_eq!(differences.missing, [reference("b"), reference("c")]);
        assert_eq!(differences.stale, [reference("old")]);
    }

    #[test]
    fn it_lies_beside_the_profile() {
        assert_eq!(path_for(Path::new("edge/profile.yaml")), Path::new("edge/carrack.lock"));
        assert_eq!(path_for(Path::new("profile.yaml")), Path::new("carrack.lock"));
    }
}
