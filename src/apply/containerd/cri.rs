//! What containerd's CRI plugin, which the kubelet talks to, says of itself.

use serde::Deserialize;

use super::Client;
use super::api::cri::StatusRequest;
use super::api::cri::runtime_service_client::RuntimeServiceClient;

/// What is of interest in the plugin's configuration.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Config {
    #[serde(default)]
    sandbox_image: String,
}

impl Client {
    /// The image that every pod starts with, as the plugin that runs has it; nothing where it does not run or does not tell.
    /// containerd 2 does not (<https://github.com/kubernetes/kubeadm/issues/3146>).
    pub async fn sandbox_image(&self) -> Option<String> {
        let mut runtime = RuntimeServiceClient::new(self.channel());
        let answer = runtime.status(self.request(StatusRequest { verbose: true })).await.ok()?.into_inner();
        let config: Config = serde_json::from_str(answer.info.get("config")?).ok()?;
        Some(config.sandbox_image).filter(|image| !image.is_empty())
    }
}
