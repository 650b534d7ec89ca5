//! The vocabulary of the OCI image and distribution specifications, as pure types.
//!
//! Owns digests, references, platforms, descriptors and manifests: parsing them, and writing the few that
//! Carrack itself makes. It must not know of files, networks or bundles.

mod blob;
mod descriptor;
mod digest;
mod image_config;
pub mod layout;
mod manifest;
pub mod media_type;
mod platform;
mod reference;

pub use blob::Blob;
pub(crate) use descriptor::possible_size;
pub use descriptor::{Annotations, Descriptor, MAX_BLOB_BYTES};
pub use digest::{Digest, DigestError, Digester};
pub use image_config::ImageConfig;
pub use manifest::{
    ImageIndex, ImageManifest, MAX_INDEX_DEPTH, MAX_INNER_INDEXES, MAX_MANIFEST_BYTES, Manifest, ManifestError,
    ManifestShape,
};
pub use platform::{Platform, PlatformError};
pub use reference::{Reference, ReferenceError};
