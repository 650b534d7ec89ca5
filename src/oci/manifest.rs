//! Image manifests and image indexes (OCI image-spec 1.1, manifest.md and image-index.md; Docker's version 2 schema 2).

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

use super::{Annotations, Descriptor, media_type};

/// The largest manifest that is read: what registries accept at the most (distribution-spec, "Pushing Manifests").
pub const MAX_MANIFEST_BYTES: u64 = 4 << 20;

/// Indexes within each other that are followed, at most, besides the one that a reference names; images have one.
pub const MAX_INDEX_DEPTH: usize = 4;
/// Indexes below the one that a reference names that are followed, at most; images have one for each platform.
pub const MAX_INNER_INDEXES: usize = 32;

/// What a manifest digest names: one image, or a list of images for several platforms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Manifest {
    /// One image or artifact.
    Image(ImageManifest),
    /// Images for several platforms.
    Index(ImageIndex),
}

/// Which kind of manifest bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ManifestShape {
    /// One image or artifact.
    Image,
    /// Images for several platforms.
    Index,
}

/// Why bytes are not a manifest.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// Not JSON of the expected shape.
    #[error("not an image manifest or index")]
    Json(#[from] serde_json::Error),
    /// A manifest of a kind that no current tool writes, such as Docker's version 2 schema 1.
    #[error("manifest type {0:?} is not supported")]
    Unsupported(String),
    /// It claims to be a manifest and an index at once, or neither.
    #[error("the manifest has neither a list of layers nor a list of manifests, or both")]
    Ambiguous,
}

/// An image or artifact: a configuration and layers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageManifest {
    /// Always 2.
    pub schema_version: u32,
    /// Media type of the manifest itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// The artifact's type, where it is not an image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// The image's configuration.
    pub config: Descriptor,
    /// Layers, lowest first.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub layers: Vec<Descriptor>,
    /// Free-form facts.
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: Annotations,
}

/// A list of manifests, usually one for each platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageIndex {
    /// Always 2.
    pub schema_version: u32,
    /// Media type of the index itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// The artifact's type, where it is not an image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// The manifests.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub manifests: Vec<Descriptor>,
    /// Free-form facts.
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: Annotations,
}

impl Manifest {
    /// Parses raw manifest bytes. See [`Manifest::shape`] for `hint`.
    ///
    /// # Errors
    /// See [`ManifestError`].
    pub fn parse(raw: &[u8], hint: &str) -> Result<Self, ManifestError> {
        match Self::shape(raw, hint)? {
            ManifestShape::Index => Ok(Self::Index(serde_json::from_slice(raw)?)),
            ManifestShape::Image => Ok(Self::Image(serde_json::from_slice(raw)?)),
        }
    }

    /// Which of the two raw manifest bytes are. The bytes' own `mediaType` decides; `hint` (a descriptor's or a response's
    /// type) does where they have none.
    ///
    /// # Errors
    /// See [`ManifestError`].
    pub fn shape(raw: &[u8], hint: &str) -> Result<ManifestShape, ManifestError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Shape {
            media_type: Option<String>,
            manifests: Option<serde::de::IgnoredAny>,
            layers: Option<serde::de::IgnoredAny>,
            config: Option<serde::de::IgnoredAny>,
        }
        let shape: Shape = serde_json::from_slice(raw)?;
        let kind = shape.media_type.unwrap_or_else(|| hint.to_owned());
        // A document that reads as both would let two tools see two different images under one digest.
        if shape.manifests.is_some() && (shape.layers.is_some() || shape.config.is_some()) {
            return Err(ManifestError::Ambiguous);
        }
        if media_type::is_index(&kind) {
            Ok(ManifestShape::Index)
        } else if media_type::is_manifest(&kind) {
            Ok(ManifestShape::Image)
        } else {
            Err(ManifestError::Unsupported(kind))
        }
    }

    /// Everything that the manifest names: configuration and layers, or manifests.
    pub fn children(&self) -> Vec<&Descriptor> {
        match self {
            Self::Image(image) => std::iter::once(&image.config).chain(&image.layers).collect(),
            Self::Index(index) => index.manifests.iter().collect(),
        }
    }
}

/// Go writes an empty list or map as `null`; both mean the same.
pub(crate) fn null_is_empty<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_that_is_both_is_refused() {
        let both =
            br#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[],"layers":[]}"#;
        assert!(matches!(Manifest::parse(both, ""), Err(ManifestError::Ambiguous)));
    }

    #[test]
    fn schema_1_is_refused_by_name() {
        let old = br#"{"schemaVersion":1}"#;
        let hint = "application/vnd.docker.distribution.manifest.v1+prettyjws";
        assert!(matches!(Manifest::parse(old, hint), Err(ManifestError::Unsupported(kind)) if kind == hint));
    }

    #[test]
    fn null_lists_are_empty() {
        let index = br#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":null}"#;
        assert!(matches!(Manifest::parse(index, ""), Ok(Manifest::Index(index)) if index.manifests.is_empty()));
    }
}
