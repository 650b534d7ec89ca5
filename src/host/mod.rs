//! Facts about this machine, read only.
//!
//! It must not know what is going to be installed, nor change anything.

pub mod disk;
pub mod hardware;
mod root;

pub use root::{Root, RootError};
