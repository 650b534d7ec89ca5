//! Lock and registry to bundle: every byte planned first, then streamed to its place.
