//! From a kubeconfig to a client.

use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use super::ClusterError;
use super::list::Refusal;

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
    let config = Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(ClusterError::Kubeconfig)?;
    Ok(Cluster { name, config })
}

impl Cluster {
    /// The name of the context.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The URL of the API server.
    pub fn server(&self) -> String {
        self.config.cluster_url.to_string().trim_end_matches('/').to_owned()
    }

    pub(super) fn client(&self, patience: Duration) -> Result<Client, ClusterError> {
        let mut config = self.config.clone();
        config.connect_timeout = Some(patience);
        let failed = |source| ClusterError::Client { server: self.server(), source: Box::new(source) };
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
