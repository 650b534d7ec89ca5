//! Content descriptors (OCI image-spec 1.1, descriptor.md).

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

use super::{Digest, Platform};

/// The largest size that a descriptor may claim: 1 TiB, many times what any registry takes. Sizes are added up and planned
/// with before the content is seen, and a sum of as many as fit into a bundle's documents stays within 64 bits.
pub const MAX_BLOB_BYTES: u64 = 1 << 40;

/// Annotations, in the order in which they are written.
pub type Annotations = BTreeMap<String, String>;

/// Names content: what it is, how long, and what it hashes to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// Media type of the content.
    pub media_type: String,
    /// Digest of the content.
    pub digest: Digest,
    /// Length of the content in bytes, at most [`MAX_BLOB_BYTES`].
    #[serde(deserialize_with = "possible_size")]
    pub size: u64,
    /// The artifact's own type, where the content is a manifest of an artifact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// What the content is made for, where an index lists it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// Free-form facts; keys are reverse domain names.
    #[serde(default, deserialize_with = "super::manifest::null_is_empty", skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: Annotations,
}

impl Descriptor {
    /// Describes `content`.
    pub fn of(media_type: &str, content: &[u8]) -> Self {
        Self::new(media_type, Digest::of(content), content.len() as u64)
    }

    /// A descriptor without the optional parts.
    pub fn new(media_type: &str, digest: Digest, size: u64) -> Self {
        Self {
            media_type: media_type.to_owned(),
            digest,
            size,
            artifact_type: None,
            platform: None,
            annotations: Annotations::new(),
        }
    }

    /// The annotation `key`, where present.
    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.annotations.get(key).map(String::as_str)
    }
}

/// A size that content may have.
pub(crate) fn possible_size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let size = u64::deserialize(deserializer)?;
    let impossible = || serde::de::Error::custom(format!("a size of {size} bytes is more than any blob has"));
    (size <= MAX_BLOB_BYTES).then_some(size).ok_or_else(impossible)
}
