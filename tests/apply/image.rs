//! Small images and bundles' contents, made in memory.

use std::collections::HashMap;
use std::io::{self, Cursor, Write};
use std::sync::Arc;

use carrack::apply::Source;
use carrack::bundle::{
    BundledImage, BundledIndex, BundledManifest, Contents, HostFile, ManifestFile, ResolvedPack, ResolvedProfile,
};
use carrack::io::VerifiedReader;
use carrack::oci::{Blob, Descriptor, Digest, Platform, media_type};
use flate2::{Compression, write::GzEncoder};

const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// Contents with the bytes that they name, in file order.
#[derive(Clone)]
pub(crate) struct TestBundle {
    pub(crate) contents: Contents,
    pub(crate) blobs: Vec<(Digest, Vec<u8>)>,
}

impl TestBundle {
    pub(crate) fn new() -> Self {
        let pack = ResolvedPack { name: "shop".into(), layer: "addon".into(), ..Default::default() };
        let profile = ResolvedProfile {
            name: "edge".into(),
            version: "1.0.0".into(),
            platforms: vec![Platform::of_this_machine()],
            packs: vec![pack],
            ..Default::default()
        };
        let (files, manifests, charts, images) = Default::default();
        let (created, requires_installer, config) = Default::default();
        let identity = Digest::of(b"identity");
        let contents =
            Contents { identity, created, requires_installer, profile, files, manifests, charts, config, images };
        Self { contents, blobs: Vec::new() }
    }

    pub(crate) fn blob(&mut self, kind: &str, content: &[u8]) -> Descriptor {
        let descriptor = Descriptor::of(kind, content);
        if !self.blobs.iter().any(|(digest, _)| *digest == descriptor.digest) {
            self.blobs.push((descriptor.digest, content.to_vec()));
        }
        descriptor
    }

    pub(crate) fn file(&mut self, path: &str, mode: u32, content: &[u8]) {
        let blob = self.blob(media_type::HOST_FILE, content);
        let (pack, path) = ("shop".to_owned(), path.to_owned());
        self.contents.files.push(HostFile { blob, pack, path, mode, owner: None, platform: None, template: false });
    }

    pub(crate) fn manifest(&mut self, name: &str, content: &[u8]) {
        let blob = self.blob(media_type::KUBERNETES_MANIFEST, content);
        self.contents.manifests.push(ManifestFile {
            blob,
            pack: "shop".to_owned(),
            name: name.to_owned(),
            template: false,
        });
    }

    /// An image of one platform with these layers.
    pub(crate) fn image(&mut self, reference: &str, layers: &[Layer]) -> Digest {
        let manifest = self.one_manifest(layers, &Platform::of_this_machine());
        let target = manifest.manifest.clone();
        let digest = target.digest;
        let reference = reference.parse().unwrap();
        self.contents.images.push(BundledImage {
            reference,
            target,
            platforms: vec![],
            indexes: vec![],
            manifests: vec![manifest],
        });
        digest
    }

    /// The same behind an index that lists another platform too, which is absent.
    pub(crate) fn sparse_image(&mut self, reference: &str, layers: &[Layer]) -> Digest {
        let manifest = self.one_manifest(layers, &Platform::of_this_machine());
        let absent = Descriptor {
            platform: Some(Platform::new("linux", "s390x")),
            ..Descriptor::new(media_type::IMAGE_MANIFEST, Digest::of(b"absent"), 500)
        };
        let platform = manifest.platform.as_deref().cloned();
        let present = Descriptor { platform, ..manifest.manifest.descriptor() };
        let index = serde_json::json!({
            "schemaVersion": 2, "mediaType": media_type::IMAGE_INDEX, "manifests": [absent, present],
        });
        let raw = index.to_string().into_bytes();
        let target = Blob::from(&self.blob(media_type::IMAGE_INDEX, &raw));
        let (digest, reference) = (target.digest, reference.parse().unwrap());
        let index = BundledIndex { blob: target.clone(), children: [manifest.manifest.digest].into() };
        self.contents.images.push(BundledImage {
            reference,
            target,
            platforms: vec![],
            indexes: vec![index],
            manifests: vec![manifest],
        });
        digest
    }

    fn one_manifest(&mut self, layers: &[Layer], platform: &Platform) -> BundledManifest {
        let diff_ids: Vec<Digest> = layers.iter().map(|layer| layer.diff_id).collect();
        let config = serde_json::json!({
            "architecture": platform.architecture, "os": platform.os,
            "config": {"Cmd": ["/bin/busybox", "cat", "/greeting"]},
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        });
        let config = self.blob(media_type::IMAGE_CONFIG, config.to_string().as_bytes());
        let layers: Vec<Descriptor> = layers.iter().map(|layer| self.blob(LAYER, &layer.blob)).collect();
        let raw = serde_json::json!({
            "schemaVersion": 2, "mediaType": media_type::IMAGE_MANIFEST, "config": config, "layers": layers,
        });
        let raw = raw.to_string().into_bytes();
        let descriptor = self.blob(media_type::IMAGE_MANIFEST, &raw);
        let (manifest, config) = (Blob::from(&descriptor), Blob::from(&config));
        let layers = layers.iter().map(Blob::from).collect();
        BundledManifest { manifest, platform: Some(Arc::new(platform.clone())), config, layers }
    }

    /// Reads as a trusted bundle would, verified.
    pub(crate) fn source(&self) -> Source {
        let order = self.blobs.iter().map(|(digest, content)| (*digest, content.len() as u64)).collect();
        let blobs: Arc<HashMap<Digest, Vec<u8>>> = Arc::new(self.blobs.iter().cloned().collect());
        // Damaged content keeps the name that it had.
        Source::new(order, move |digest| {
            let content = blobs.get(digest).cloned().ok_or(io::ErrorKind::NotFound)?;
            let size = content.len() as u64;
            Ok(Box::new(VerifiedReader::new(Cursor::new(content), *digest, size)))
        })
    }

    /// Writes the images as an OCI image layout in a tar, as containerd imports it.
    pub(crate) fn write_layout(&self, path: &std::path::Path) {
        let mut archive = tar::Builder::new(std::fs::File::create(path).unwrap());
        let mut add = |name: &str, content: &[u8]| {
            let mut header = tar::Header::new_ustar();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            archive.append_data(&mut header, name, content).unwrap();
        };
        let manifests: Vec<Descriptor> = self
            .contents
            .images
            .iter()
            .map(|image| {
                let mut target = image.target.descriptor();
                target.annotations.insert("io.containerd.image.name".to_owned(), image.reference.to_string());
                target
            })
            .collect();
        let index = serde_json::json!({"schemaVersion": 2, "manifests": manifests});
        add("oci-layout", carrack::oci::layout::VERSION_CONTENT);
        add("index.json", index.to_string().as_bytes());
        for (digest, content) in &self.blobs {
            add(&carrack::oci::layout::blob_path(digest), content);
        }
        archive.finish().unwrap();
    }

    /// Flips a bit in the middle of the largest blob.
    pub(crate) fn damage(&mut self) -> Digest {
        let (digest, content) = self.blobs.iter_mut().max_by_key(|(_, content)| content.len()).unwrap();
        let middle = content.len() / 2;
        content[middle] ^= 1;
        *digest
    }
}

/// A layer, and what it unpacks to.
#[derive(Clone)]
pub(crate) struct Layer {
    pub(crate) blob: Vec<u8>,
    pub(crate) diff_id: Digest,
}

impl Layer {
    pub(crate) fn new(files: &[(&str, &[u8])]) -> Self {
        let mut archive = tar::Builder::new(Vec::new());
        for (path, content) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o755);
            archive.append_data(&mut header, path, *content).unwrap();
        }
        let plain = archive.into_inner().unwrap();
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        packed.write_all(&plain).unwrap();
        Self { blob: packed.finish().unwrap(), diff_id: Digest::of(&plain) }
    }

    /// Bytes that do not compress, so that the blob is large.
    pub(crate) fn noise(seed: u64, size: usize) -> Self {
        let mut state = seed | 1;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()
        };
        let noise: Vec<u8> = std::iter::repeat_with(&mut next).take(size / 8).flatten().collect();
        Self::new(&[("noise", &noise)])
    }
}
