//! Facts about this machine, read only.
//!
//! It must not know what is going to be installed, nor change anything.

pub mod addresses;
pub mod disk;
mod facts;
mod hardware;
pub mod kernel;
pub mod network;
mod root;
pub mod software;

pub use facts::Facts;
pub use root::{Root, RootError};
