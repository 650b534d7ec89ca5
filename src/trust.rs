//! From a bundle that somebody handed over to one whose structure and head are proven.
