//! Lock and registry to bundle.
