//! From a kubeconfig to a client.

use std::net::IpAddr;
use std::time::Duration;

use hyper_util::client::proxy::matcher::Matcher;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use super::ClusterError;
use super::ask::{Refusal, told};

/// A cluster that the kubeconfig knows.
#[derive(Debug, Clone)]
pub struct Cluster {
    name: String,
    config: Config,
}

/// The cluster of `context`, or of the current one. The kubeconfig is that of `KUBECONFIG` or `~/.kube/config`, as kubectl
/// has it.
///
/// # Errors
/// Where the kubeconfig is not there, is wrong or has no such context.
pub async fn connect(context: Option<&str>) -> Result<Cluster, ClusterError> {
    let kubeconfig = Kubeconfig::read().map_err(ClusterError::Kubeconfig)?;
    let known: Vec<String> = kubeconfig.contexts.iter().map(|context| context.name.clone()).collect();
    if let Some(name) = context.filter(|name| !known.iter().any(|known| known == name)) {
        return Err(ClusterError::Context { name: name.to_owned(), known });
    }
    let name = context.map(str::to_owned).or_else(|| kubeconfig.current_context.clone()).unwrap_or_default();
    let options = KubeConfigOptions { context: context.map(str::to_owned), ..KubeConfigOptions::default() };
    let named = has_proxy(&kubeconfig, &name);
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(ClusterError::Kubeconfig)?;
    // The client asks the environment for a proxy, but not for the hosts that it is not for.
    if !named && !is_proxied(&config) {
        config.proxy_url = None;
    }
    Ok(Cluster { name, config })
}

/// Whether the kubeconfig itself names a proxy for the cluster of `context`.
fn has_proxy(kubeconfig: &Kubeconfig, context: &str) -> bool {
    let context = kubeconfig.contexts.iter().find(|known| known.name == context);
    let name = context.and_then(|context| context.context.as_ref()).map(|context| &context.cluster);
    let cluster = kubeconfig.clusters.iter().find(|cluster| Some(&cluster.name) == name);
    cluster.and_then(|cluster| cluster.cluster.as_ref()).is_some_and(|cluster| cluster.proxy_url.is_some())
}

/// Whether the environment has a proxy for the API server. There is none for this machine, as with kubectl.
fn is_proxied(config: &Config) -> bool {
    let host = config.cluster_url.host().unwrap_or_default().trim_matches(['[', ']']);
    let loopback = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    !loopback && Matcher::from_env().intercept(&config.cluster_url).is_some()
}

impl Cluster {
    /// The name of the context.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The URL of the API server.
    pub fn server(&self) -> String {
        let url = &self.config.cluster_url;
        let authority = url.authority().map_or("", |authority| authority.as_str());
        // Before an `@` stands a user, perhaps with a password.
        let host = authority.rsplit('@').next().unwrap_or_default();
        let path = url.path().trim_end_matches('/');
        format!("{}://{host}{path}", url.scheme_str().unwrap_or("https"))
    }

    pub(super) fn client(&self, patience: Duration) -> Result<Client, ClusterError> {
        let mut config = self.config.clone();
        config.connect_timeout = Some(patience);
        let failed = |error| ClusterError::Client { server: self.server(), reason: told(&error) };
        Client::try_from(config).map_err(failed)
    }

    /// The error where the very first question has no answer.
    pub(super) fn unreachable(&self, refusal: Refusal) -> ClusterError {
        let server = self.server();
        match refusal.code {
            Some(401) => ClusterError::Unauthorized { server },
            _ => ClusterError::Unreachable { server, reason: refusal.reason },
        }
    }
}
