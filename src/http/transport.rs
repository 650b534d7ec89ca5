//! HTTP clients: which scheme, which proxy, which certificate authorities.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use reqwest::redirect::Policy;

use super::redirect::PublicNames;

/// How long making a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// How long a connection may be silent.
const READ_TIMEOUT: Duration = Duration::from_secs(60);
/// What we call ourselves.
const USER_AGENT: &str = concat!("carrack/", env!("CARGO_PKG_VERSION"));

/// How a server is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    /// Plain HTTP on this machine, past any proxy.
    Loopback,
    /// Plain HTTP, because the user said so.
    Plain,
    /// HTTPS.
    Secure,
}

impl Route {
    /// Decides by a registry's host. `plain_http` holds hosts with or without port; without one, any port is meant.
    pub(crate) fn of(registry: &str, plain_http: &[String]) -> Self {
        let host = host(registry);
        if is_loopback(host) {
            Self::Loopback
        } else if plain_http.iter().any(|plain| plain == registry || plain == host) {
            Self::Plain
        } else {
            Self::Secure
        }
    }

    pub(crate) fn scheme(self) -> &'static str {
        if self == Self::Secure { "https" } else { "http" }
    }
}

/// Whether a host, an IPv6 address without its brackets, is this machine.
pub(crate) fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

/// The host of `HOST[:PORT]`, an IPv6 address without its brackets.
fn host(registry: &str) -> &str {
    match registry.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => registry.split_once(':').map_or(registry, |(host, _)| host),
    }
}

/// The clients of each route, made when they are first needed: a machine without any certificate authority can still
/// speak plain HTTP, and loading the authorities takes time. None follows a redirect by itself.
#[derive(Default)]
pub(crate) struct Clients {
    named: [OnceLock<reqwest::Client>; 3],
    others: [OnceLock<reqwest::Client>; 3],
}

impl Clients {
    /// The client of a route, for servers that the user has named.
    pub(crate) fn named(&self, route: Route) -> Result<&reqwest::Client, reqwest::Error> {
        self.of(route, false)
    }

    /// The client of a route, for a server that the user has named, or for one that another server has named.
    pub(super) fn of(&self, route: Route, other: bool) -> Result<&reqwest::Client, reqwest::Error> {
        let cell = &if other { &self.others } else { &self.named }[route as usize];
        match cell.get() {
            Some(client) => Ok(client),
            None => build(route, other).map(|client| cell.get_or_init(|| client)),
        }
    }
}

fn build(route: Route, other: bool) -> Result<reqwest::Client, reqwest::Error> {
    let builder = || match other {
        false => secure_builder(),
        true => secure_builder().dns_resolver(PublicNames::shared()),
    };
    match route {
        Route::Secure => builder().build(),
        Route::Plain => builder().build().or_else(|_| without_authorities(builder())),
        Route::Loopback => {
            let builder = || builder().no_proxy();
            builder().build().or_else(|_| without_authorities(builder()))
        }
    }
}

/// Trusts no certificate: enough for plain HTTP, and a redirect to HTTPS fails with a TLS error.
fn without_authorities(builder: reqwest::ClientBuilder) -> Result<reqwest::Client, reqwest::Error> {
    builder.tls_certs_only([]).build()
}

/// Trusts the system's authorities, or those that `SSL_CERT_FILE` and `SSL_CERT_DIR` name, and takes the environment's proxies.
fn secure_builder() -> reqwest::ClientBuilder {
    static PROVIDER: OnceLock<()> = OnceLock::new();
    PROVIDER.get_or_init(|| {
        // It fails only where a provider has been installed already, which then does as well.
        let _: Result<(), Arc<_>> = rustls::crypto::ring::default_provider().install_default();
    });
    let builder = reqwest::Client::builder().user_agent(USER_AGENT).redirect(Policy::none());
    builder.connect_timeout(CONNECT_TIMEOUT).read_timeout(READ_TIMEOUT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_for_this_machine_and_for_named_hosts() {
        let plain = ["registry.lan".to_owned(), "other.lan:5000".to_owned()];
        for (registry, route) in [
            ("localhost", Route::Loopback),
            ("localhost:5000", Route::Loopback),
            ("127.8.8.8:5000", Route::Loopback),
            ("[::1]:5000", Route::Loopback),
            ("registry.lan", Route::Plain),
            ("registry.lan:5000", Route::Plain),
            ("other.lan:5000", Route::Plain),
            ("other.lan", Route::Secure),
            ("localhost.example.org", Route::Secure),
            ("docker.io", Route::Secure),
            ("128.0.0.1:5000", Route::Secure),
        ] {
            assert_eq!(Route::of(registry, &plain), route, "{registry}");
        }
    }

    #[test]
    fn a_client_can_be_made_without_certificate_authorities() {
        assert!(without_authorities(secure_builder()).is_ok());
    }
}
