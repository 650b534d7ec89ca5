//! The bundle format, shared by both sides (docs/bundle-format.md is the normative text).
//!
//! Owns the bytes of a bundle: their plan, their writing, their reading and what they mean. It must not know where
//! blobs come from (registry, local file, another bundle) nor what becomes of them on a host.

mod contents;

pub use contents::{BundledImage, BundledManifest, Contents, HostFile, ManifestFile, ResolvedPack, ResolvedProfile};
