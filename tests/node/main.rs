//! The ring of nodes: Debian with systemd, containerd and runc in systemd-nspawn, without a network; the bundles on a
//! read-only stick. Skipped with a word where systemd-nspawn or the system of `scripts/debian-root` is absent.
#![cfg(all(feature = "operator", feature = "installer"))]
#![expect(clippy::unwrap_used, reason = "what a test needs and lacks fails it")]
#![expect(clippy::print_stdout, reason = "a skipped test says so, and times are told")]

#[path = "../common/available.rs"]
mod available;
mod bench;
mod cluster;
mod edge;
#[path = "../common/layers.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod layers;
#[path = "../common/node/mod.rs"]
#[expect(dead_code, reason = "these nodes are on no wire")]
mod node;
#[path = "../common/noise.rs"]
mod noise;
#[path = "../common/ran.rs"]
mod ran;
mod service;
#[path = "../common/shop.rs"]
mod shop;
#[path = "../common/state.rs"]
mod state;
mod ways;
