//! The ring of real machines: Debian with systemd, containerd and runc in QEMU, without a network; the bundles on a
//! read-only USB stick. Skipped with a word where QEMU or the image of `scripts/vm-image` is absent.
#![cfg(all(feature = "operator", feature = "installer"))]
#![expect(clippy::unwrap_used, reason = "what a test needs and lacks fails it")]
#![expect(clippy::print_stdout, reason = "a skipped test says so, and a seed is told")]

#[path = "../common/available.rs"]
mod available;
mod bench;
#[path = "../common/layers.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod layers;
mod machine;
#[path = "../common/noise.rs"]
mod noise;
mod plug;
mod power;
#[path = "../common/ran.rs"]
mod ran;
mod route;
#[path = "../common/shop.rs"]
mod shop;
#[path = "../common/state.rs"]
#[expect(dead_code, reason = "containerd is read with and without its machine")]
mod state;
