//! Content by its digest, without what a descriptor may say besides.

use std::sync::Arc;

use super::{Descriptor, Digest};

/// Names content: what it is, how long, and what it hashes to. Small, since a bundle names hundreds of thousands; those of
/// one kind share the text of their media type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blob {
    /// Digest of the content.
    pub digest: Digest,
    /// Length of the content in bytes.
    pub size: u64,
    /// Media type of the content.
    pub media_type: Arc<str>,
}

impl Blob {
    /// Names `content`.
    pub fn of(media_type: &str, content: &[u8]) -> Self {
        Self { digest: Digest::of(content), size: content.len() as u64, media_type: media_type.into() }
    }

    /// A descriptor without the optional parts.
    pub fn descriptor(&self) -> Descriptor {
        Descriptor::new(&self.media_type, self.digest, self.size)
    }
}

impl From<&Descriptor> for Blob {
    fn from(descriptor: &Descriptor) -> Self {
        Self { digest: descriptor.digest, size: descriptor.size, media_type: descriptor.media_type.as_str().into() }
    }
}
