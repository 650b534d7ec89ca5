//! The bundles that the tests install: built from parts, without a registry.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use carrack::bundle::{
    BundlePlan, FileContent, HostFile, ImageParts, ManifestParts, PartialBundle, Parts, ResolvedPack, ResolvedProfile,
    compose,
};
use carrack::io::Place;
use carrack::oci::{Descriptor, Digest, ImageIndex, ImageManifest, Platform, media_type};

use crate::noise::noise;

pub(crate) const GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const PLAIN: &str = "application/vnd.oci.image.layer.v1.tar";

pub(crate) fn text(seed: u8, count: usize) -> Vec<u8> {
    (0..count).map(|at| (at / 97 % 251) as u8 ^ seed).collect()
}

/// What a bundle is made of.
pub(crate) struct Sample {
    pub(crate) parts: Parts,
    large: BTreeMap<Digest, Vec<u8>>,
}

impl Sample {
    pub(crate) fn new(version: &str, platforms: &[Platform]) -> Self {
        let profile = ResolvedProfile {
            name: "sample".to_owned(),
            version: version.to_owned(),
            platforms: platforms.to_vec(),
            ..Default::default()
        };
        let (files, manifests, charts, config, images) = Default::default();
        let requires_installer = "0.1.0".to_owned();
        let parts = Parts { profile, created: None, requires_installer, files, manifests, charts, config, images };
        Self { parts, large: BTreeMap::new() }
    }

    /// Two images, one of them for two platforms that share a layer, and a file that is a layer too. All kinds of places
    /// that a blob can have are there.
    pub(crate) fn usual(version: &str) -> Self {
        let (here, other) = (Platform::of_this_machine(), Platform::new("linux", "s390x"));
        let mut sample = Self::new(version, &[other.clone(), here.clone()]);
        let (packed, plain) = (noise(1, 2_500_000), text(7, 5_000_000));
        let app = sample.manifest(&here, &[(GZIP, packed.clone()), (PLAIN, plain.clone())]);
        sample.image("example.org/app:1", app);
        let shared = text(9, 300_000);
        // The other platform first, so that its layers stand before those that they are mixed with here.
        let theirs = sample.manifest(&other, &[(PLAIN, shared.clone()), (GZIP, noise(2, 1_000))]);
        let ours = sample.manifest(&here, &[(PLAIN, text(11, 70_000)), (PLAIN, shared), (GZIP, packed)]);
        sample.index("example.org/multi:2", vec![(other, theirs), (here, ours)]);
        sample.file("/opt/layer", plain, FileContent::Tail);
        sample.file("/usr/local/bin/tool", b"#!/bin/sh\n".to_vec(), FileContent::Inline(b"#!/bin/sh\n".to_vec()));
        sample
    }

    pub(crate) fn manifest(&mut self, platform: &Platform, layers: &[(&str, Vec<u8>)]) -> ManifestParts {
        let config = serde_json::json!({
            "os": platform.os, "architecture": platform.architecture, "rootfs": {"type": "layers", "diff_ids": []},
        });
        let config = config.to_string().into_bytes();
        let described = |(kind, content): &(&str, Vec<u8>)| Descriptor::of(kind, content);
        let manifest = ImageManifest {
            schema_version: 2,
            media_type: Some(media_type::IMAGE_MANIFEST.to_owned()),
            artifact_type: None,
            config: Descriptor::of(media_type::IMAGE_CONFIG, &config),
            layers: layers.iter().map(described).collect(),
            annotations: Default::default(),
        };
        self.large.extend(layers.iter().map(|(_, content)| (Digest::of(content), content.clone())));
        ManifestParts { raw: serde_json::to_vec(&manifest).unwrap(), manifest, config }
    }

    pub(crate) fn image(&mut self, reference: &str, manifest: ManifestParts) {
        let (target, reference) =
            (Descriptor::of(media_type::IMAGE_MANIFEST, &manifest.raw), reference.parse().unwrap());
        self.parts.images.push(ImageParts {
            reference,
            target,
            platforms: vec![],
            indexes: Vec::new(),
            manifests: vec![manifest],
        });
    }

    pub(crate) fn index(&mut self, reference: &str, manifests: Vec<(Platform, ManifestParts)>) {
        let described = |(platform, manifest): &(Platform, ManifestParts)| Descriptor {
            platform: Some(platform.clone()),
            ..Descriptor::of(media_type::IMAGE_MANIFEST, &manifest.raw)
        };
        let index = ImageIndex {
            schema_version: 2,
            media_type: Some(media_type::IMAGE_INDEX.to_owned()),
            artifact_type: None,
            manifests: manifests.iter().map(described).collect(),
            annotations: Default::default(),
        };
        let raw = serde_json::to_vec(&index).unwrap();
        let (target, reference) = (Descriptor::of(media_type::IMAGE_INDEX, &raw), reference.parse().unwrap());
        let manifests = manifests.into_iter().map(|(_, manifest)| manifest).collect();
        self.parts.images.push(ImageParts { reference, target, platforms: vec![], indexes: vec![raw], manifests });
    }

    pub(crate) fn file(&mut self, path: &str, content: Vec<u8>, place: FileContent) {
        let blob = Descriptor::of(media_type::HOST_FILE, &content);
        self.large.insert(blob.digest, content);
        let (pack, path) = ("base".to_owned(), path.to_owned());
        self.parts
            .files
            .push((HostFile { blob, pack, path, mode: 0o755, owner: None, platform: None, template: false }, place));
    }

    pub(crate) fn distribution(&mut self, name: &str) {
        let program = format!("/usr/local/bin/{name}");
        self.file(&program, b"a program".to_vec(), FileContent::Inline(b"a program".to_vec()));
        self.parts.profile.packs.push(ResolvedPack {
            name: "base".to_owned(),
            layer: "k8s".to_owned(),
            distribution: Some(name.to_owned()),
            ..Default::default()
        });
    }

    pub(crate) fn write(&self, folder: &Path) -> PathBuf {
        let target = folder.join(format!("sample-{}.tar.zst", self.parts.profile.version));
        let plan = BundlePlan::new(&compose(&self.parts).unwrap()).unwrap();
        let partial = PartialBundle::open(&Place::of(&target).unwrap(), &plan).unwrap();
        for place in &plan.stored {
            let mut blob = partial.stored(place).unwrap();
            blob.push(&self.large[&place.digest]).unwrap();
            blob.finish().unwrap();
        }
        let mut tail = partial.tail(&plan, 3);
        while let Some(mut blob) = tail.next_blob().unwrap() {
            let digest = blob.place().digest;
            blob.put(&mut self.large[&digest].as_slice(), |_| {}).unwrap();
        }
        partial.commit(&plan, &tail.finish()).unwrap();
        target
    }
}
