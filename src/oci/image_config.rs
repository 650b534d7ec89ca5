//! Image configurations (OCI image-spec 1.1, config.md), as far as an import needs them.

use serde::Deserialize;

use super::{Digest, Platform};

/// What an image's configuration says about its layers and platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageConfig {
    /// Digests of the uncompressed layers, lowest first.
    pub diff_ids: Vec<Digest>,
    /// What the image is made for; what it does not say is empty.
    pub platform: Platform,
}

// Not flattened: serde would keep all that a document says to find the three fields in it.
#[derive(Deserialize)]
struct Raw {
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    variant: Option<String>,
    rootfs: RawRootfs,
}

#[derive(Deserialize)]
struct RawRootfs {
    #[serde(default, deserialize_with = "super::manifest::null_is_empty")]
    diff_ids: Vec<Digest>,
}

impl ImageConfig {
    /// Parses a configuration.
    ///
    /// # Errors
    /// The JSON error, where the bytes are not an image configuration.
    pub fn parse(raw: &[u8]) -> Result<Self, serde_json::Error> {
        let raw: Raw = serde_json::from_slice(raw)?;
        let platform = Platform { os: raw.os, architecture: raw.architecture, variant: raw.variant };
        Ok(Self { diff_ids: raw.rootfs.diff_ids, platform })
    }

    /// The chain IDs of the layers, lowest first (config.md, "Layer ChainID"): the names of their snapshots.
    pub fn chain_ids(&self) -> Vec<Digest> {
        let mut chain: Vec<Digest> = Vec::with_capacity(self.diff_ids.len());
        for diff_id in &self.diff_ids {
            chain.push(match chain.last() {
                None => *diff_id,
                Some(parent) => Digest::of(format!("{parent} {diff_id}").as_bytes()),
            });
        }
        chain
    }
}
