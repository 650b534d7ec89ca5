//! Bundles written by hand, so that they can say what Carrack's own writer never says.

use std::collections::BTreeMap;

use carrack::oci::Digest;
use serde_json::{Value, json};

pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const PROFILE: &str = "application/vnd.carrack.profile.v1+json";
pub(crate) const HOST_FILE: &str = "application/vnd.carrack.host-file.v1";

/// A file of the archive.
#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) name: String,
    /// Kind of entry in the tar header: `0` for a file, `1` and `2` for links, `5` for a folder.
    pub(crate) kind: u8,
    /// What a link leads to.
    pub(crate) link: &'static str,
    /// Length as the tar header has it.
    pub(crate) size: u64,
    pub(crate) content: Vec<u8>,
}

impl Entry {
    pub(crate) fn new(name: impl Into<String>, content: impl Into<Vec<u8>>) -> Self {
        let content = content.into();
        Self { name: name.into(), kind: b'0', link: "", size: content.len() as u64, content }
    }

    /// A blob under its name.
    pub(crate) fn blob(content: impl Into<Vec<u8>>) -> Self {
        let content = content.into();
        Self::new(format!("blobs/sha256/{}", Digest::of(&content).hex()), content)
    }
}

/// A descriptor of `content`.
pub(crate) fn descriptor(media_type: &str, content: &[u8]) -> Value {
    json!({"mediaType": media_type, "digest": Digest::of(content), "size": content.len()})
}

/// What a bundle is made of. [`Draft::new`] is a right one; a test then makes it wrong.
#[derive(Clone)]
pub(crate) struct Draft {
    /// Annotations of index.json.
    pub(crate) annotations: BTreeMap<&'static str, String>,
    /// `artifactType` of index.json.
    pub(crate) artifact_type: String,
    /// Annotations of the one host file.
    pub(crate) file: BTreeMap<&'static str, String>,
    /// Content of the one host file.
    pub(crate) content: Vec<u8>,
    /// More descriptors in index.json.
    pub(crate) more: Vec<Value>,
    /// The resolved profile.
    pub(crate) profile: Value,
    /// What the profile's manifest lists instead of the host file.
    pub(crate) layers: Option<Vec<Value>>,
}

impl Draft {
    pub(crate) fn new() -> Self {
        let text =
            |pairs: &[(&'static str, &str)]| pairs.iter().map(|(key, value)| (*key, (*value).to_owned())).collect();
        let platform = carrack::oci::Platform::of_this_machine();
        Self {
            annotations: text(&[
                ("dev.carrack.name", "forged"),
                ("dev.carrack.version", "1.0.0"),
                ("dev.carrack.format", "1"),
            ]),
            artifact_type: "application/vnd.carrack.bundle.v1+json".to_owned(),
            file: text(&[
                ("dev.carrack.pack", "base"),
                ("dev.carrack.path", "/etc/forged"),
                ("dev.carrack.mode", "0644"),
                ("org.opencontainers.image.title", "forged"),
            ]),
            content: b"content of the host file".to_vec(),
            more: Vec::new(),
            profile: json!({"name": "forged", "version": "1.0.0", "platforms": [platform], "packs": []}),
            layers: None,
        }
    }

    pub(crate) fn entries(&self) -> Vec<Entry> {
        let config = self.profile.to_string();
        let mut layer = descriptor(HOST_FILE, &self.content);
        layer["annotations"] = json!(self.file);
        let layers = self.layers.clone().unwrap_or_else(|| vec![layer]);
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "artifactType": PROFILE,
            "config": descriptor(PROFILE, config.as_bytes()), "layers": layers,
        });
        let manifest = manifest.to_string();
        let mut profile = descriptor(MANIFEST, manifest.as_bytes());
        profile["artifactType"] = json!(PROFILE);
        let manifests: Vec<Value> = std::iter::once(profile).chain(self.more.clone()).collect();
        let index = json!({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
            "artifactType": self.artifact_type, "manifests": manifests, "annotations": self.annotations,
        });
        vec![
            Entry::new("oci-layout", *br#"{"imageLayoutVersion":"1.0.0"}"#),
            Entry::new("index.json", index.to_string()),
            Entry::blob(manifest),
            Entry::blob(config),
            Entry::blob(self.content.clone()),
        ]
    }

    pub(crate) fn write(&self) -> Vec<u8> {
        write(&self.entries())
    }
}

/// A zstd stream of frames with a seek table.
#[derive(Default)]
pub(crate) struct Frames {
    pub(crate) bytes: Vec<u8>,
    /// Length in the file and of the data of each.
    pub(crate) list: Vec<(u32, u32)>,
}

impl Frames {
    pub(crate) fn push(&mut self, encoded: &[u8], data: usize) {
        self.bytes.extend_from_slice(encoded);
        self.list.push((encoded.len() as u32, data as u32));
    }

    /// One block as it is, which is how bundles have tar headers.
    pub(crate) fn raw(&mut self, data: &[u8]) {
        let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0x80, 0x38];
        frame.extend((data.len() as u32).to_le_bytes());
        frame.extend_from_slice(&((data.len() as u32) << 3 | 1).to_le_bytes()[..3]);
        frame.extend_from_slice(data);
        self.push(&frame, data.len());
    }

    /// Compressed, with a checksum.
    pub(crate) fn packed(&mut self, data: &[u8]) {
        let mut compressor = zstd::bulk::Compressor::new(1).unwrap();
        compressor.set_parameter(zstd::zstd_safe::CParameter::WindowLog(22)).unwrap();
        compressor.set_parameter(zstd::zstd_safe::CParameter::ChecksumFlag(true)).unwrap();
        self.push(&compressor.compress(data).unwrap(), data.len());
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        let count = self.list.len() as u32;
        self.finish_claiming(count)
    }

    /// With a footer that claims `count` frames.
    pub(crate) fn finish_claiming(self, count: u32) -> Vec<u8> {
        let mut bytes = self.bytes;
        bytes.extend(0x184d_2a5e_u32.to_le_bytes());
        bytes.extend((self.list.len() as u32 * 8 + 9).to_le_bytes());
        for (length, data) in self.list {
            bytes.extend(length.to_le_bytes());
            bytes.extend(data.to_le_bytes());
        }
        bytes.extend(count.to_le_bytes());
        bytes.push(0);
        bytes.extend(0x8f92_eab1_u32.to_le_bytes());
        bytes
    }
}

/// Padding of what came before, and the tar header.
pub(crate) fn gap(before: u64, entry: &Entry) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    header.as_mut_bytes()[..entry.name.len()].copy_from_slice(entry.name.as_bytes());
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(entry.size);
    header.set_entry_type(tar::EntryType::new(entry.kind));
    if !entry.link.is_empty() {
        header.set_link_name(entry.link).unwrap();
    }
    header.set_cksum();
    let mut gap = vec![0; padding(before)];
    gap.extend_from_slice(header.as_bytes());
    gap
}

fn padding(size: u64) -> usize {
    (size.next_multiple_of(512) - size) as usize
}

/// The frames of entries, up to the end of the archive.
pub(crate) fn frames(entries: &[Entry]) -> Frames {
    let (mut frames, mut before) = (Frames::default(), 0);
    for entry in entries {
        frames.raw(&gap(before, entry));
        entry.content.chunks(4 << 20).for_each(|chunk| frames.packed(chunk));
        before = entry.content.len() as u64;
    }
    frames.raw(&vec![0; padding(before) + 1024]);
    frames
}

pub(crate) fn write(entries: &[Entry]) -> Vec<u8> {
    frames(entries).finish()
}
