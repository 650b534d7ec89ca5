//! The ring of real Kubernetes: kubeadm, kubelet, etcd, CoreDNS and CNI plugins, on nodes of systemd-nspawn without a default
//! route. Skipped with a word where something is missing.
#![cfg(all(feature = "operator", feature = "installer"))]
#![expect(clippy::unwrap_used, reason = "what a test needs and lacks fails it")]
#![expect(clippy::print_stdout, reason = "a skipped test says so, and times are told")]

#[path = "../common/available.rs"]
mod available;
mod bundle;
mod cluster;
#[path = "../common/mod.rs"]
mod common;
mod configuration;
mod failure;
#[path = "../common/helm.rs"]
mod helm;
mod holds;
mod kills;
#[path = "../common/node/mod.rs"]
mod node;
#[path = "../common/ran.rs"]
mod ran;
mod refusals;
mod registry;
mod ring;
mod servers;
#[path = "../common/state.rs"]
#[expect(dead_code, reason = "containerd's own are another ring's")]
mod state;
mod times;
