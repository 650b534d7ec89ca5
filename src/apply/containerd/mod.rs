//! Images into a containerd, over its own socket.
//!
//! Everything is written under a lease, inert until a name refers to it, and released again when anything fails:
//! content (`content`), then snapshots (`unpack`), and names last (`names`). It must not know where the bytes come
//! from; whoever has them hands them over chunk by chunk.

mod client;
mod content;
mod cri;
mod error;
mod labels;
mod names;
mod session;
mod state;
mod unpack;
mod wanted;

pub use client::Client;
pub use content::{Ingest, Opened};
pub use error::{ContainerdError, Rpc};
pub use labels::Labels;
pub use names::{NameChange, NameTarget};
pub use session::Session;
pub use state::{NamedImage, RuntimeState};
pub use unpack::Unpack;
pub use wanted::{Wanted, WantedBlob, WantedError, WantedImage};

/// The snapshotter that layers are unpacked with: containerd's default, and the CRI plugin's.
pub const SNAPSHOTTER: &str = "overlayfs";

/// containerd's messages and clients, from `proto/`.
#[expect(unreachable_pub, clippy::all, reason = "generated")]
mod api {
    mod generated {
        include!(concat!(env!("OUT_DIR"), "/client/mod.rs"));
    }
    pub(super) use generated::containerd::services::content::v1 as content;
    pub(super) use generated::containerd::services::diff::v1 as diff;
    pub(super) use generated::containerd::services::images::v1 as images;
    pub(super) use generated::containerd::services::leases::v1 as leases;
    pub(super) use generated::containerd::services::namespaces::v1 as namespaces;
    pub(super) use generated::containerd::services::snapshots::v1 as snapshots;
    pub(super) use generated::containerd::services::version::v1 as version;
    pub(super) use generated::containerd::types;
    pub(super) use generated::runtime::v1 as cri;
}
