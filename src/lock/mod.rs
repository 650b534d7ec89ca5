//! `carrack.lock`: which digest each reference means.
