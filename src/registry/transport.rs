//! HTTP clients: which scheme, which proxy, which certificate authorities.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use oci_client::client::{ClientConfig, ClientProtocol};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// How long a connection may be silent.
const READ_TIMEOUT: Duration = Duration::from_secs(60);
const USER_AGENT: &str = concat!("carrack/", env!("CARGO_PKG_VERSION"));

/// How a registry is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Route {
    /// Plain HTTP on this machine, past any proxy.
    Loopback,
    /// Plain HTTP, because the user said so.
    Plain,
    /// HTTPS.
    Secure,
}

impl Route {
    /// Decides by the registry's host. `plain_http` holds hosts with or without port; without one, any port is meant.
    pub(super) fn of(registry: &str, plain_http: &[String]) -> Self {
        let host = host(registry);
        if host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback()) {
            Self::Loopback
        } else if plain_http.iter().any(|plain| plain == registry || plain == host) {
            Self::Plain
        } else {
            Self::Secure
        }
    }

    pub(super) fn scheme(self) -> &'static str {
        if self == Self::Secure { "https" } else { "http" }
    }
}

/// The host of `HOST[:PORT]`, an IPv6 address without its brackets.
fn host(registry: &str) -> &str {
    match registry.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => registry.split_once(':').map_or(registry, |(host, _)| host),
    }
}

/// The clients of each route, made when they are first needed: a machine without any certificate authority can still
/// speak plain HTTP, and loading the authorities takes time.
#[derive(Default)]
pub(super) struct Transports {
    transfer: [OnceLock<reqwest::Client>; 3],
    negotiate: [OnceLock<oci_client::Client>; 3],
}

impl Transports {
    /// The client that transfers manifests and blobs.
    pub(super) fn transfer(&self, route: Route) -> Result<&reqwest::Client, reqwest::Error> {
        let cell = &self.transfer[route as usize];
        match cell.get() {
            Some(client) => Ok(client),
            None => build(route).map(|client| cell.get_or_init(|| client)),
        }
    }

    /// The client that answers challenges and fetches tokens.
    pub(super) fn negotiate(&self, route: Route) -> Result<&oci_client::Client, reqwest::Error> {
        // oci-client panics where no certificate authority is installed; this fails instead.
        secure_builder().build()?;
        let client = || {
            oci_client::Client::new(ClientConfig {
                protocol: if route == Route::Secure { ClientProtocol::Https } else { ClientProtocol::Http },
                connect_timeout: Some(CONNECT_TIMEOUT),
                read_timeout: Some(READ_TIMEOUT),
                user_agent: USER_AGENT,
                // Naming any proxy makes the client forget the environment's; this one then serves no host.
                http_proxy: (route == Route::Loopback).then(|| "http://localhost".to_owned()),
                no_proxy: (route == Route::Loopback).then(|| "*,0.0.0.0/0,::/0".to_owned()),
                ..ClientConfig::default()
            })
        };
        Ok(self.negotiate[route as usize].get_or_init(client))
    }
}

fn build(route: Route) -> Result<reqwest::Client, reqwest::Error> {
    match route {
        Route::Secure => secure_builder().build(),
        Route::Plain => secure_builder().build().or_else(|_| without_authorities(secure_builder())),
        Route::Loopback => {
            let builder = || secure_builder().no_proxy();
            builder().build().or_else(|_| without_authorities(builder()))
        }
    }
}

/// Trusts no certificate: enough for plain HTTP, and a redirect to HTTPS fails with a TLS error.
fn without_authorities(builder: reqwest::ClientBuilder) -> Result<reqwest::Client, reqwest::Error> {
    builder.tls_certs_only([]).build()
}

fn secure_builder() -> reqwest::ClientBuilder {
    static PROVIDER: OnceLock<()> = OnceLock::new();
    PROVIDER.get_or_init(|| {
        // It fails only where a provider has been installed already, which then does as well.
        let _: Result<(), Arc<_>> = rustls::crypto::ring::default_provider().install_default();
    });
    reqwest::Client::builder().user_agent(USER_AGENT).connect_timeout(CONNECT_TIMEOUT).read_timeout(READ_TIMEOUT)
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
