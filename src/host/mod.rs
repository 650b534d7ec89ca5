//! Facts about this machine, read only.
