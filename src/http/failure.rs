//! What kind of failure a connection's is.

use std::error::Error;
use std::io;

/// Why nothing was answered.
#[derive(Debug)]
pub(crate) enum ConnectionFailure {
    /// Nothing listens at the address.
    Refused,
    /// The TLS connection failed, often because of a certificate, or no certificate authority is known.
    Tls(reqwest::Error),
    /// Unknown host, no route, no answer in time, connection lost.
    Unreachable(reqwest::Error),
}

impl ConnectionFailure {
    /// Sorts what the client says. The address is taken out of it: it may be a signed one.
    pub(crate) fn of(source: reqwest::Error) -> Self {
        let source = source.without_url();
        let refused = any_cause(&source, |cause| {
            let io = cause.downcast_ref::<io::Error>();
            io.is_some_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
        });
        let tls = any_cause(&source, <dyn Error>::is::<rustls::Error>);
        if refused {
            Self::Refused
        } else if tls || source.is_builder() {
            // Building a client fails for one reason only: no certificate authority is installed.
            Self::Tls(source)
        } else {
            Self::Unreachable(source)
        }
    }
}

/// Whether one of an error's causes passes a test.
pub(super) fn any_cause(error: &reqwest::Error, test: impl Fn(&(dyn Error + 'static)) -> bool) -> bool {
    let mut next = error.source();
    while let Some(cause) = next {
        if test(cause) {
            return true;
        }
        // An io::Error does not count what it wraps among its sources.
        let wrapped = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = wrapped.map(|inner| inner as &(dyn Error + 'static)).or_else(|| cause.source());
    }
    false
}
