//! The documents of a bundle, read into no more than what is needed of them, and refused as soon as they say more than any
//! bundle does.
//!
//! A few kilobytes of a bundle may decode to megabytes of JSON with a million tiny parts, so no tree of a document is built:
//! lists are counted while they are read, and annotations that mean nothing here are skipped.

use std::collections::HashMap;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use serde::de::{Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::annotation;
use crate::oci::{Blob, Descriptor, Digest, Manifest, ManifestShape, Platform, Reference, possible_size};

/// Descriptors in `index.json`, at most.
pub(super) const MAX_NAMES: usize = 32 << 10;
/// Files, manifests, charts and values of a profile, at most.
const MAX_PARTS: usize = 16 << 10;
/// Manifests in an index, and layers of a manifest, at most.
const MAX_CHILDREN: usize = 1 << 10;
/// Annotations of a descriptor or document, at most, and the bytes that they have together.
const MAX_ANNOTATIONS: usize = 256;
const MAX_ANNOTATION_BYTES: usize = 64 << 10;
/// Longest media type, and longest platform, in bytes.
const MAX_WORD: usize = 255;
/// Different media types and platforms in a bundle, at most.
const MAX_WORDS: usize = 1 << 10;

/// The annotations that mean something.
const KNOWN: [&str; 17] = [
    annotation::NAME,
    annotation::VERSION,
    annotation::CREATED,
    annotation::FORMAT,
    annotation::REQUIRES_INSTALLER,
    annotation::ABSENT,
    annotation::PLATFORMS,
    annotation::PACK,
    annotation::PATH,
    annotation::MODE,
    annotation::OWNER,
    annotation::PLATFORM,
    annotation::CHART,
    annotation::CHART_VERSION,
    annotation::RELEASE,
    annotation::NAMESPACE,
    annotation::TEMPLATE,
];
/// Those that other tools define.
const COMMON: [&str; 2] = [annotation::TITLE, annotation::CONTAINERD_NAME];

/// A list of at most `MOST` items; `null`, as Go writes an empty one, is empty.
#[derive(Debug)]
pub(super) struct AtMost<T, const MOST: usize>(pub(super) Vec<T>);

impl<T, const MOST: usize> Default for AtMost<T, MOST> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>, const MOST: usize> Deserialize<'de> for AtMost<T, MOST> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct List<T, const MOST: usize>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>, const MOST: usize> Visitor<'de> for List<T, MOST> {
            type Value = Vec<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a list of at most {MOST}")
            }

            fn visit_unit<E: Error>(self) -> Result<Vec<T>, E> {
                Ok(Vec::new())
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<T>, A::Error> {
                let mut list = Vec::new();
                while let Some(item) = items.next_element()? {
                    if list.len() == MOST {
                        return Err(A::Error::custom(format!(
                            "a list has more than {MOST} items, which no bundle's has"
                        )));
                    }
                    list.push(item);
                }
                Ok(list)
            }
        }
        from.deserialize_any(List::<T, MOST>(PhantomData)).map(Self)
    }
}

/// For fields that are plain lists.
pub(super) fn at_most<'de, D, T, const MOST: usize>(from: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    AtMost::<T, MOST>::deserialize(from).map(|list| list.0)
}

/// The references of a pack, in their full form, as writers have them.
pub(super) fn references<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Reference>, D::Error> {
    struct Full(Reference);
    impl<'de> Deserialize<'de> for Full {
        fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
            let text = String::deserialize(from)?;
            let reference: Reference = text.parse().map_err(D::Error::custom)?;
            if reference.to_string() != text {
                return Err(D::Error::custom(format!("the image name {text:?} is not in its full form")));
            }
            Ok(Self(reference))
        }
    }
    let list = AtMost::<Full, MAX_NAMES>::deserialize(from)?;
    Ok(list.0.into_iter().map(|full| full.0).collect())
}

/// The annotations that mean something here.
#[derive(Debug, Default)]
pub(super) struct Annotations(Vec<(&'static str, String)>);

impl Annotations {
    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| *known == key).map(|(_, value)| value.as_str())
    }
}

impl<'de> Deserialize<'de> for Annotations {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Map;
        impl<'de> Visitor<'de> for Map {
            type Value = Annotations;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("annotations")
            }

            fn visit_unit<E: Error>(self) -> Result<Annotations, E> {
                Ok(Annotations::default())
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Annotations, A::Error> {
                let (mut found, mut count, mut bytes) = (Annotations::default(), 0, 0);
                while let Some(Key { known, length }) = map.next_key()? {
                    count += 1;
                    bytes += length;
                    match known {
                        Some(key) if found.get(key).is_some() => {
                            return Err(A::Error::custom(format!("the annotation {key} is there twice")));
                        }
                        Some(key) => {
                            let value: String = map.next_value()?;
                            bytes += value.len();
                            found.0.push((key, value));
                        }
                        None => bytes += map.next_value::<Length>()?.0,
                    }
                    if count > MAX_ANNOTATIONS || bytes > MAX_ANNOTATION_BYTES {
                        let text =
                            "annotations are more than the 256, or longer than the 64 KiB, that a bundle may have";
                        return Err(A::Error::custom(text));
                    }
                }
                Ok(found)
            }
        }
        from.deserialize_any(Map)
    }
}

/// A key of an annotation.
struct Key {
    known: Option<&'static str>,
    length: usize,
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Key;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the key of an annotation")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Key, E> {
                Ok(Key { known: KNOWN.into_iter().chain(COMMON).find(|key| *key == text), length: text.len() })
            }
        }
        from.deserialize_str(Text)
    }
}

/// How long a text is.
struct Length(usize);

impl<'de> Deserialize<'de> for Length {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Length;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the text of an annotation")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Length, E> {
                Ok(Length(text.len()))
            }
        }
        from.deserialize_str(Text)
    }
}

/// A descriptor, as far as it matters.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Described {
    media_type: String,
    pub(super) digest: Digest,
    #[serde(deserialize_with = "possible_size")]
    size: u64,
    #[serde(default)]
    pub(super) artifact_type: Option<String>,
    #[serde(default)]
    platform: Option<Platform>,
    #[serde(default)]
    pub(super) annotations: Annotations,
}

impl Described {
    /// The same as a part of a profile, whose annotations say what it is.
    fn descriptor(self) -> Descriptor {
        let annotations = self.annotations.0.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        Descriptor { annotations, ..Descriptor::new(&self.media_type, self.digest, self.size) }
    }
}

/// `index.json`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Index {
    #[serde(default)]
    pub(super) annotations: Annotations,
    #[serde(default)]
    pub(super) manifests: AtMost<Described, MAX_NAMES>,
}

/// The profile's manifest.
#[derive(Debug)]
pub(super) struct Artifact {
    /// Of the resolved profile.
    pub(super) config: Blob,
    /// Files, manifests, charts and configuration, with annotations.
    pub(super) layers: Vec<Descriptor>,
    /// The oldest installer that may apply the bundle.
    pub(super) requires_installer: Option<String>,
}

/// What is kept of a document.
#[derive(Debug, Clone)]
pub(super) enum Document {
    /// A manifest of an image or an artifact.
    Image {
        /// The configuration.
        config: Blob,
        /// The layers, lowest first.
        layers: Arc<[Blob]>,
    },
    /// A list of manifests, each with its platform.
    Index(Arc<[(Blob, Option<Arc<Platform>>)]>),
    /// A configuration, with the platform that it says.
    Config(Option<Arc<Platform>>),
}

/// Media types and platforms, each once.
#[derive(Debug, Default)]
pub(super) struct Words {
    media_types: HashMap<Arc<str>, ()>,
    platforms: HashMap<Arc<Platform>, ()>,
}

impl Words {
    pub(super) fn blob(&mut self, described: &Described) -> Result<Blob, String> {
        let text = described.media_type.as_str();
        let known = self.media_types.get_key_value(text).map(|(known, ())| Arc::clone(known));
        let media_type = match known {
            Some(known) => known,
            None if text.len() > MAX_WORD || !text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) => {
                return Err(format!("the media type {} is none that a bundle may have", crate::text::shown(text)));
            }
            None if self.media_types.len() == MAX_WORDS => {
                return Err(format!("it has more than {MAX_WORDS} media types"));
            }
            None => {
                let new: Arc<str> = text.into();
                self.media_types.insert(Arc::clone(&new), ());
                new
            }
        };
        Ok(Blob { digest: described.digest, size: described.size, media_type })
    }

    fn platform(&mut self, platform: Option<&Platform>) -> Result<Option<Arc<Platform>>, String> {
        let Some(platform) = platform else { return Ok(None) };
        if let Some((known, ())) = self.platforms.get_key_value(platform) {
            return Ok(Some(Arc::clone(known)));
        }
        let text = platform.to_string();
        if text.len() > MAX_WORD || self.platforms.len() == MAX_WORDS {
            return Err(format!("the platform {} is one too many, or too long", crate::text::shown(&text)));
        }
        let new = Arc::new(platform.clone());
        self.platforms.insert(Arc::clone(&new), ());
        Ok(Some(new))
    }

    /// Reads a manifest or an index; `hint` is its descriptor's media type.
    pub(super) fn manifest(&mut self, raw: &[u8], hint: &str) -> Result<Document, String> {
        #[derive(Deserialize)]
        struct Image {
            config: Described,
            #[serde(default)]
            layers: AtMost<Described, MAX_CHILDREN>,
        }
        #[derive(Deserialize)]
        struct List {
            #[serde(default)]
            manifests: AtMost<Described, MAX_CHILDREN>,
        }
        let no_manifest = |error: serde_json::Error| format!("not an image manifest or index: {error}");
        match Manifest::shape(raw, hint).map_err(|error| crate::io::with_causes(&error))? {
            ManifestShape::Image => {
                let image: Image = serde_json::from_slice(raw).map_err(no_manifest)?;
                let config = self.blob(&image.config)?;
                let layers = image.layers.0.iter().map(|layer| self.blob(layer));
                Ok(Document::Image { config, layers: layers.collect::<Result<_, _>>()? })
            }
            ManifestShape::Index => {
                let list: List = serde_json::from_slice(raw).map_err(no_manifest)?;
                let children = list.manifests.0.iter();
                let children = children.map(|one| Ok((self.blob(one)?, self.platform(one.platform.as_ref())?)));
                Ok(Document::Index(children.collect::<Result<_, String>>()?))
            }
        }
    }

    /// Reads the profile's manifest.
    pub(super) fn artifact(&mut self, raw: &[u8]) -> Result<Artifact, String> {
        #[derive(Deserialize)]
        struct Profile {
            config: Described,
            #[serde(default)]
            layers: AtMost<Described, MAX_PARTS>,
            #[serde(default)]
            annotations: Annotations,
        }
        let profile: Profile =
            serde_json::from_slice(raw).map_err(|error| format!("not an image manifest or index: {error}"))?;
        Ok(Artifact {
            config: self.blob(&profile.config)?,
            layers: profile.layers.0.into_iter().map(Described::descriptor).collect(),
            requires_installer: profile.annotations.get(annotation::REQUIRES_INSTALLER).map(str::to_owned),
        })
    }

    /// Reads a configuration. Artifacts that are no container images have configurations of other kinds, and no platform.
    pub(super) fn config(&mut self, raw: &[u8]) -> Result<Document, String> {
        #[derive(Deserialize)]
        struct Config {
            os: String,
            architecture: String,
            #[serde(default)]
            variant: Option<String>,
            // Without it, the document is no image's configuration.
            #[expect(dead_code, reason = "only that it is there matters")]
            rootfs: IgnoredAny,
        }
        let config: Option<Config> = serde_json::from_slice(raw).ok();
        let platform = config.map(|Config { os, architecture, variant, .. }| Platform { os, architecture, variant });
        self.platform(platform.as_ref()).map(Document::Config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(more: &str) -> String {
        let digest = Digest::of(b"");
        format!(r#"{{"mediaType":"a/b","digest":"{digest}","size":0{more}}}"#)
    }

    #[test]
    fn what_means_nothing_is_not_kept() {
        let text = described(r#","annotations":{"a":"b","dev.carrack.pack":"shop","\u0063":"","z":"é"},"x":[{}]"#);
        let read: Described = serde_json::from_str(&text).unwrap();
        assert_eq!(read.annotations.0, [(annotation::PACK, "shop".to_owned())]);
        let none: Described = serde_json::from_str(&described(r#","annotations":null"#)).unwrap();
        assert_eq!(none.annotations.0, []);
    }

    #[test]
    fn what_says_more_than_a_bundle_does_is_refused() {
        let many = |count: usize| -> String {
            let all: Vec<String> = (0..count).map(|number| format!("\"{number}\":\"\"")).collect();
            described(&format!(",\"annotations\":{{{}}}", all.join(",")))
        };
        assert!(serde_json::from_str::<Described>(&many(256)).is_ok());
        for (what, text) in [
            ("257 annotations", many(257)),
            ("a long value", described(&format!(",\"annotations\":{{\"a\":\"{}\"}}", "x".repeat(65_536)))),
            ("a long key", described(&format!(",\"annotations\":{{\"{}\":\"\"}}", "x".repeat(65_537)))),
            ("twice", described(r#","annotations":{"dev.carrack.pack":"a","dev.carrack.pack":"b"}"#)),
            ("no text", described(r#","annotations":{"a":1}"#)),
            ("a size", described("").replace(":0}", ":1099511627777}")),
        ] {
            assert!(serde_json::from_str::<Described>(&text).is_err(), "{what}");
        }
        let mut words = Words::default();
        let index = |count: usize| format!(r#"{{"manifests":[{}]}}"#, vec![described(""); count].join(","));
        assert!(words.manifest(index(1024).as_bytes(), crate::oci::media_type::IMAGE_INDEX).is_ok());
        assert!(words.manifest(index(1025).as_bytes(), crate::oci::media_type::IMAGE_INDEX).is_err());
        for bad in ["é", "a\\u001b", &"x".repeat(256)] {
            let text = described("").replace("a/b", bad);
            let described: Described = serde_json::from_str(&text).unwrap();
            assert!(words.blob(&described).is_err(), "{bad}");
        }
        let deep = format!("{}{}", "[".repeat(1 << 20), "]".repeat(1 << 20));
        assert!(words.manifest(deep.as_bytes(), "").is_err() && words.config(deep.as_bytes()).is_ok());
    }

    #[test]
    fn a_platform_is_read_where_an_image_has_one() {
        let mut words = Words::default();
        let mut platform = |text: &str| match words.config(text.as_bytes()).unwrap() {
            Document::Config(platform) => platform.map(|platform| platform.to_string()),
            other => panic!("{other:?}"),
        };
        let config = r#"{"os":"linux","architecture":"arm","variant":"v7","rootfs":{"diff_ids":[]},"history":[{}]}"#;
        assert_eq!(platform(config).as_deref(), Some("linux/arm/v7"));
        assert_eq!(platform("{}"), None);
        assert_eq!(platform("\u{0}"), None);
    }
}
