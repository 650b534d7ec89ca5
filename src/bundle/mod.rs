//! The bundle format, shared by both sides (docs/bundle-format.md is the normative text).
//!
//! Owns the bytes of a bundle: their plan, their writing, their reading and what they mean. It must not know where
//! blobs come from (registry, local file, another bundle) nor what becomes of them on a host.

mod artifact;
mod blocks;
mod compose;
mod contents;
mod documents;
mod error;
mod frame;
mod head;
mod indexes;
mod plan;
mod reader;
mod seek_table;
mod tail;
mod tar_header;
mod texts;
mod writer;

pub use artifact::{ChartFile, ChartValues, ConfigFile, HostFile, ManifestFile};
pub use compose::{ComposeError, FileContent, FolderImage, ImageParts, ManifestParts, Parts, compose, compose_images};
pub use contents::{
    BundledImage, BundledIndex, BundledManifest, Contents, ResolvedDependency, ResolvedPack, ResolvedProfile,
};
pub use error::BundleError;
pub use frame::ZSTD_MAGIC;
pub use head::{BlobEntry, Bundle};
pub use plan::{BundlePlan, Regions, StoredPlace, TailPlace};
pub use reader::FrameReader;
pub use tail::{TailBlob, TailError, TailWriter};
pub use writer::{PartialBundle, StoredBlob, WriteError, partial_place};

/// The format that this Carrack writes, and the highest that it reads.
pub const FORMAT: u32 = 1;

/// Bytes of blobs that a bundle holds at most, 32 TiB; its seek table is kept in memory.
pub const MAX_BYTES: u64 = 32 << 40;

/// Annotations of index.json, its descriptors and the profile's artifact.
pub mod annotation {
    /// The profile's name.
    pub const NAME: &str = "dev.carrack.name";
    /// The profile's version.
    pub const VERSION: &str = "dev.carrack.version";
    /// When the bundle was made, as SOURCE_DATE_EPOCH says (RFC 3339).
    pub const CREATED: &str = "dev.carrack.created";
    /// The bundle format's number.
    pub const FORMAT: &str = "dev.carrack.format";
    /// The oldest installer that may apply the bundle.
    pub const REQUIRES_INSTALLER: &str = "dev.carrack.requires-installer";
    /// On an image's descriptor: the image is not in the bundle; the host's runtime pulls it.
    pub const ABSENT: &str = "dev.carrack.absent";
    /// On an image's descriptor: the only platforms of the profile that the image is for, with commas between.
    pub const PLATFORMS: &str = "dev.carrack.platforms";
    /// On a layer of the profile: the pack that it belongs to.
    pub const PACK: &str = "dev.carrack.pack";
    /// On a host file: absolute path.
    pub const PATH: &str = "dev.carrack.path";
    /// On a host file: permission bits in octal.
    pub const MODE: &str = "dev.carrack.mode";
    /// On a host file: `USER[:GROUP]`.
    pub const OWNER: &str = "dev.carrack.owner";
    /// On a host file: the only platform that gets it.
    pub const PLATFORM: &str = "dev.carrack.platform";
    /// On a chart: its name.
    pub const CHART: &str = "dev.carrack.chart";
    /// On a chart: its version.
    pub const CHART_VERSION: &str = "dev.carrack.chart-version";
    /// On a chart and its values: the name of the release.
    pub const RELEASE: &str = "dev.carrack.release";
    /// On a chart and its values: the namespace of the release.
    pub const NAMESPACE: &str = "dev.carrack.namespace";
    /// On what has placeholders, which are filled on the host: `true`.
    pub const TEMPLATE: &str = "dev.carrack.template";
    /// A file's name (OCI image-spec, annotations.md).
    pub const TITLE: &str = "org.opencontainers.image.title";
    /// An image's name (OCI image-spec, annotations.md).
    pub const REF_NAME: &str = "org.opencontainers.image.ref.name";
    /// An image's name, as containerd's import reads it.
    pub const CONTAINERD_NAME: &str = "io.containerd.image.name";
}
