//! Real images, small enough to be made while one waits.

use std::io;

use bytes::Bytes;
use serde_json::json;

use super::InProcessRegistry;
use crate::oci::{Annotations, Descriptor, Digest, ImageIndex, ImageManifest, Platform, media_type};

const LAYER_TAR: &str = "application/vnd.oci.image.layer.v1.tar";
const LAYER_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";

/// A layer: a tar archive as a registry has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// Its bytes, compressed as the media type says.
    pub content: Bytes,
    /// Media type of the bytes.
    pub media_type: String,
    /// Digest of the archive before compression.
    pub diff_id: Digest,
}

impl Layer {
    /// An uncompressed layer of regular files: path, permission bits, content.
    ///
    /// # Errors
    /// Where a path does not fit into a tar header.
    pub fn tar(files: &[(&str, u32, &[u8])]) -> io::Result<Self> {
        let mut archive = tar::Builder::new(Vec::new());
        for (path, mode, content) in files {
            let mut header = tar::Header::new_ustar();
            header.set_mode(*mode);
            header.set_size(content.len() as u64);
            archive.append_data(&mut header, path, *content)?;
        }
        let content = archive.into_inner()?;
        Ok(Self { diff_id: Digest::of(&content), content: content.into(), media_type: LAYER_TAR.to_owned() })
    }

    /// The same layer compressed with zstd. It is what the demo uses: the release binary holds libzstd anyway, and
    /// would hold a gzip encoder for this alone.
    ///
    /// # Errors
    /// Where libzstd fails.
    pub fn zstd(self) -> io::Result<Self> {
        let content = zstd::bulk::compress(&self.content, 3)?;
        Ok(Self { content: content.into(), media_type: LAYER_ZSTD.to_owned(), ..self })
    }
}

/// An image to be put into a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// What it says it is made for.
    pub platform: Platform,
    /// Its layers, lowest first.
    pub layers: Vec<Layer>,
    /// What a container of it runs.
    pub command: Vec<String>,
}

impl InProcessRegistry {
    /// Puts an image in, under its digest and, where given, under `tag`. The descriptor has the platform.
    pub fn put_image(&self, repository: &str, tag: Option<&str>, image: &Image) -> Descriptor {
        let layers: Vec<_> =
            image.layers.iter().map(|layer| self.put_blob(&layer.media_type, layer.content.clone())).collect();
        let diff_ids: Vec<_> = image.layers.iter().map(|layer| layer.diff_id).collect();
        let mut config = json!({
            "os": image.platform.os,
            "architecture": image.platform.architecture,
            "config": { "Cmd": image.command },
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
        });
        if let Some(variant) = &image.platform.variant {
            config["variant"] = json!(variant);
        }
        let config = self.put_blob(media_type::IMAGE_CONFIG, config.to_string());
        let platform = Some(image.platform.clone());
        Descriptor { platform, ..self.put_image_manifest(repository, tag, config, layers) }
    }

    /// Puts an attestation for `subject` in, in the form in which `docker buildx` adds one to an index.
    pub fn put_attestation(&self, repository: &str, subject: &Descriptor) -> Descriptor {
        let statement =
            self.put_blob("application/vnd.in-toto+json", r#"{"_type":"https://in-toto.io/Statement/v0.1"}"#);
        let config = json!({
            "os": "unknown", "architecture": "unknown", "config": {},
            "rootfs": { "type": "layers", "diff_ids": [statement.digest] },
        });
        let config = self.put_blob(media_type::IMAGE_CONFIG, config.to_string());
        let annotations = Annotations::from([
            ("vnd.docker.reference.digest".to_owned(), subject.digest.to_string()),
            ("vnd.docker.reference.type".to_owned(), "attestation-manifest".to_owned()),
        ]);
        let platform = Some(Platform::new("unknown", "unknown"));
        Descriptor { platform, annotations, ..self.put_image_manifest(repository, None, config, vec![statement]) }
    }

    /// Puts an index of `manifests` in, under its digest and, where given, under `tag`.
    pub fn put_index(&self, repository: &str, tag: Option<&str>, manifests: Vec<Descriptor>) -> Descriptor {
        let index = ImageIndex {
            schema_version: 2,
            media_type: Some(media_type::IMAGE_INDEX.to_owned()),
            artifact_type: None,
            manifests,
            annotations: Annotations::new(),
        };
        self.put_manifest(repository, tag, json!(index).to_string(), media_type::IMAGE_INDEX)
    }

    fn put_image_manifest(
        &self,
        repository: &str,
        tag: Option<&str>,
        config: Descriptor,
        layers: Vec<Descriptor>,
    ) -> Descriptor {
        let manifest = ImageManifest {
            schema_version: 2,
            media_type: Some(media_type::IMAGE_MANIFEST.to_owned()),
            artifact_type: None,
            config,
            layers,
            annotations: Annotations::new(),
        };
        self.put_manifest(repository, tag, json!(manifest).to_string(), media_type::IMAGE_MANIFEST)
    }
}
