//! What a person sees and types: the programs on a terminal of several widths.
#![cfg(all(feature = "operator", feature = "installer"))]

mod demo;
#[path = "../common/terminal.rs"]
mod terminal;
