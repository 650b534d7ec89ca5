//! What changes on this host, and changing it: host plan, content, files, receipt.

#[cfg(feature = "installer")]
pub mod containerd;
