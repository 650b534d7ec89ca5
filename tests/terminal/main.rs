//! What a person sees and types: the programs on a terminal of several widths.
#![cfg(all(feature = "operator", feature = "installer"))]
#![expect(clippy::print_stdout, reason = "a skipped part is said")]
#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

mod answers;
#[path = "../common/available.rs"]
mod available;
#[path = "../common/mod.rs"]
mod common;
mod demo;
mod host;
mod looks;
mod scene;
#[path = "../common/terminal.rs"]
mod terminal;
