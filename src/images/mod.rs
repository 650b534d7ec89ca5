//! Discovery: which images a profile needs, and why each one.
