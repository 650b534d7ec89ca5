//! What people write: the cluster profile, parsed with positions and checked all at once.
