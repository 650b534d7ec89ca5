//! What an in-process registry may do wrong, and whom it lets in.

use std::time::Duration;

/// What happens instead of the right answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The right headers, so many bytes of the body, then the connection is dropped.
    DropAfter(u64),
    /// Another status, with `Retry-After: SECONDS` where given.
    Status(u16, Option<u64>),
    /// A body that ends after so many bytes, with a `Content-Length` that says so.
    Truncated(u64),
    /// A body with so many bytes too many, without a `Content-Length`.
    Longer(u64),
    /// A body of the right length whose first byte is another.
    WrongBytes,
    /// A body in pieces of so many bytes, each after a pause.
    Slow(usize, Duration),
    /// The whole body with status 200, whatever range was asked for.
    IgnoreRange,
}

/// Who is let in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Access {
    /// Everyone.
    #[default]
    Anonymous,
    /// Who sends `Authorization: Basic` with this base64 of `USER:PASSWORD`.
    Basic(String),
    /// Who sends a token of this registry's own token endpoint, which gives one to who sends this base64 of
    /// `USER:PASSWORD`, or to everyone.
    Bearer(Option<String>),
}
