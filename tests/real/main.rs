//! The ring of real parts: a real registry, a real containerd in a network namespace without a route, skopeo and ctr
//! reading bundles without Carrack, and real kills. Skipped with a word where the parts are absent.
#![cfg(feature = "operator")]
#![expect(unreachable_pub, reason = "modules of one test program")]
#![expect(clippy::unwrap_used, reason = "what a test needs and lacks fails it")]
#![expect(clippy::print_stdout, reason = "a skipped test says so")]

mod ahead;
#[path = "../common/anatomy.rs"]
mod anatomy;
#[path = "../common/available.rs"]
mod available;
mod cri;
mod damage;
mod foreign_tools;
mod full_disk;
#[path = "../common/helm.rs"]
mod helm;
mod image_folder;
mod kills;
#[path = "../common/layers.rs"]
mod layers;
#[path = "../common/noise.rs"]
mod noise;
mod parts;
mod pause;
mod pinned;
mod project;
mod share;
mod trip;
