//! The OCI image layout (OCI image-spec 1.1, image-layout.md): file names and the version file.

use super::Digest;

/// Name of the version file.
pub const VERSION_FILE: &str = "oci-layout";
/// Content of the version file.
pub const VERSION_CONTENT: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;
/// Name of the index.
pub const INDEX_FILE: &str = "index.json";
/// Folder of the blobs.
const BLOBS: &str = "blobs/sha256/";

/// Path of a blob within the layout.
pub fn blob_path(digest: &Digest) -> String {
    format!("{BLOBS}{}", digest.hex())
}

/// The digest that a path within the layout stands for, where it is a blob's.
pub fn digest_of_path(path: &str) -> Option<Digest> {
    Digest::from_hex(path.strip_prefix(BLOBS)?).ok()
}
