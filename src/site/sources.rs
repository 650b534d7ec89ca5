//! The files that a site was read from: its own, and those that it names for secrets, certificates and values.
//!
//! A site is more than its file. Whoever continues with a site later, or keeps it, needs to know that all of these are what they
//! were, and what was in them.

use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::oci::Digest;

/// A file by its path and the digest of its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PinnedFile {
    /// The absolute path. What is not UTF-8 in it is replaced, so such a file is not found again.
    pub path: String,
    /// The digest of all its bytes.
    pub digest: Digest,
}

/// A file as it was read.
#[derive(Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// Its path and digest.
    pub pin: PinnedFile,
    /// All its bytes. They may be a secret.
    pub content: Vec<u8>,
}

/// The files that a site was read from, the site file first, each once, in the order in which they were read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sources(Vec<SourceFile>);

impl fmt::Debug for SourceFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SourceFile").field("pin", &self.pin).finish_non_exhaustive()
    }
}

impl Sources {
    /// Notes that `content` was read from `path`.
    pub(super) fn add(&mut self, path: &Path, content: &[u8]) {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let pin = PinnedFile { path: path.to_string_lossy().into_owned(), digest: Digest::of(content) };
        if !self.0.iter().any(|file| file.pin == pin) {
            self.0.push(SourceFile { pin, content: content.to_owned() });
        }
    }

    /// The files with their contents.
    pub fn files(&self) -> &[SourceFile] {
        &self.0
    }

    /// The files by path and digest, without their contents.
    pub fn pins(&self) -> Vec<PinnedFile> {
        self.0.iter().map(|file| file.pin.clone()).collect()
    }
}
