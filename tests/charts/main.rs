//! Charts and the real helm: which images are found, what is said where they cannot be, and what ends up in a bundle.
#![cfg(feature = "operator")]
#![expect(clippy::print_stdout, reason = "a skipped part is said")]
#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

#[path = "../common/available.rs"]
#[expect(dead_code, reason = "no other real part is needed")]
mod available;
#[path = "../common/mod.rs"]
mod common;
mod found;
mod gate;
#[path = "../common/helm.rs"]
mod helm;
mod hostile;
mod lists;
mod public;
mod renders;
mod samples;
mod shop;
mod taken;
mod values;
mod without;
mod wrong;
