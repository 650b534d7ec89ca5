//! Carrack carries Kubernetes clusters across an air gap: a cluster profile becomes one bundle file, and the bundle
//! becomes running software on a host without a network.
//!
//! ```text
//! profile ─► images ─► lock ─► plan ─► fetch ═► bundle ═► trust ─► host plan ─► apply ─► receipt
//! ───────────────── carrack ──────────────────  media  ───────────── carrack-install ───────────
//! ```
//!
//! Every step is a module that takes the typed result of the step before it and returns its own; none reaches back.
//! Imports go one way too, and a test checks it: `bin → cli → steps → {registry, bundle, host} → {oci, io}`. The
//! installer's side never imports `registry`, `images`, `lock` or `fetch`.
//!
//! | step | module |
//! | --- | --- |
//! | what the cluster needs | [`profile`] |
//! | what it leaves open for each place | [`variables`] |
//! | what a host must have | [`requirements`] |
//! | which images an object names | [`objects`] |
//! | charts: packages, values, rendering | [`chart`] |
//! | which images, and why each | [`images`] |
//! | which digests exactly | [`lock`] |
//! | packs, charts and files from elsewhere | [`gather`] |
//! | where blobs come from | [`registry`], [`download`] |
//! | a running cluster as a profile | [`cluster`] |
//! | a profile's folder that Carrack makes | [`folder`] |
//! | Palette's packs and profiles as ours | [`palette`] |
//! | lock and registry to bundle | [`fetch`] |
//! | the bytes of a bundle | [`bundle`] |
//! | whether to believe it | [`trust`] |
//! | where the parts of a cluster go | [`places`] |
//! | what a distribution wants of a host | [`distro`] |
//! | what differs from place to place | [`site`] |
//! | facts about this machine | [`host`] |
//! | what changes, and changing it | [`apply`] |
//!
//! What people write is read through [`yaml`], and what is wrong with it is told through [`problem`]. Which characters texts may have,
//! and how foreign ones are shown, is said by [`text`].

#[cfg(feature = "installer")]
pub mod apply;
pub mod bundle;
#[cfg(feature = "operator")]
pub mod chart;
pub mod cli;
#[cfg(feature = "operator")]
pub mod cluster;
pub mod distro;
#[cfg(feature = "operator")]
pub mod download;
#[cfg(feature = "operator")]
pub mod fetch;
#[cfg(feature = "operator")]
pub mod folder;
#[cfg(feature = "operator")]
pub mod gather;
pub mod host;
#[cfg(feature = "operator")]
mod http;
#[cfg(feature = "operator")]
pub mod images;
pub mod io;
#[cfg(feature = "operator")]
pub mod lock;
pub mod objects;
pub mod oci;
pub mod options;
#[cfg(feature = "operator")]
pub mod palette;
pub mod places;
pub mod problem;
#[cfg(feature = "operator")]
pub mod profile;
#[cfg(feature = "operator")]
pub mod programs;
pub mod progress;
#[cfg(feature = "operator")]
pub mod registry;
pub mod requirements;
pub mod site;
pub mod text;
pub mod trust;
pub mod variables;
pub mod yaml;
