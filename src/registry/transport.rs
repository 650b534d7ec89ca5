//! The clients of registries: one that transfers, and one that answers challenges.

use std::sync::OnceLock;

use oci_client::client::{ClientConfig, ClientProtocol};

use crate::http::{CONNECT_TIMEOUT, Clients, READ_TIMEOUT, Route, USER_AGENT, secure_builder};

/// The clients of each route, made when they are first needed.
#[derive(Default)]
pub(super) struct Transports {
    transfer: Clients,
    negotiate: [OnceLock<oci_client::Client>; 3],
}

impl Transports {
    /// The client that transfers manifests and blobs.
    pub(super) fn transfer(&self, route: Route) -> Result<&reqwest::Client, reqwest::Error> {
        self.transfer.of(route)
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
