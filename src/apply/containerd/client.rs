//! The connection: a Unix socket, and the headers that every call carries.

use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::metadata::AsciiMetadataValue;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request};
use tower::service_fn;

use super::ContainerdError;
use super::api::content::content_client::ContentClient;
use super::api::diff::diff_client::DiffClient;
use super::api::images::images_client::ImagesClient;
use super::api::leases::leases_client::LeasesClient;
use super::api::namespaces::namespaces_client::NamespacesClient;
use super::api::namespaces::{CreateNamespaceRequest, Namespace};
use super::api::snapshots::snapshots_client::SnapshotsClient;
use super::api::version::version_client::VersionClient;

const NAMESPACE_HEADER: &str = "containerd-namespace";
const LEASE_HEADER: &str = "containerd-lease";
/// How long an answer is waited for that needs no work. One that hangs does not become better by waiting.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long nothing may come while calls last before the other side is asked whether it is there. Some calls last for long, and
/// gRPC servers in Go end the connection of who asks more often than every five minutes.
const SILENCE: Duration = Duration::from_secs(330);

/// A connection to one containerd, in one namespace. Clones share the connection.
#[derive(Debug, Clone)]
pub struct Client {
    channel: Channel,
    address: PathBuf,
    namespace: AsciiMetadataValue,
    version: String,
    lease: Option<AsciiMetadataValue>,
}

impl Client {
    /// Connects to the socket `address`, and asks who is there. Nothing is created.
    ///
    /// # Errors
    /// [`ContainerdError::Unreachable`] where nothing answers within 30 seconds, [`ContainerdError::Namespace`].
    pub async fn connect(address: &Path, namespace: &str) -> Result<Self, ContainerdError> {
        let header = namespace.parse().ok().filter(|_| is_namespace(namespace));
        let namespace = header.ok_or_else(|| ContainerdError::Namespace(namespace.to_owned()))?;
        let unreachable = |source: Box<dyn std::error::Error + Send + Sync>| ContainerdError::Unreachable {
            address: address.to_owned(),
            source,
        };
        // Tried by hand first: its error says plainly what is wrong, tonic's says "transport error".
        UnixStream::connect(address).await.map_err(|error| unreachable(error.into()))?;
        let socket = address.to_owned();
        let connector = service_fn(move |_: tonic::transport::Uri| {
            let socket = socket.clone();
            async move { UnixStream::connect(socket).await.map(TokioIo::new) }
        });
        // The URI is never resolved; only its form matters.
        let endpoint = Endpoint::from_static("http://containerd");
        let endpoint = endpoint.http2_keep_alive_interval(SILENCE).keep_alive_timeout(PATIENCE);
        let connected = async {
            let channel =
                endpoint.connect_with_connector(connector).await.map_err(|error| unreachable(error.into()))?;
            let address = address.to_owned();
            let client = Self { channel, address, namespace, version: String::new(), lease: None };
            let answer = VersionClient::new(client.channel.clone()).version(client.request(())).await;
            let answer = answer.map_err(|status| ContainerdError::call("tell", "its version", status))?;
            Ok(Self { version: answer.into_inner().version, ..client })
        };
        let silent = || unreachable(format!("it does not answer within {} s", PATIENCE.as_secs()).into());
        tokio::time::timeout(PATIENCE, connected).await.map_err(|_| silent())?
    }

    /// The socket.
    pub fn address(&self) -> &Path {
        &self.address
    }

    /// containerd's version, such as `1.6.20`.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Creates the client's namespace unless it is there.
    pub(super) async fn ensure_namespace(&self) -> Result<(), ContainerdError> {
        let name = self.namespace.to_str().unwrap_or_default().to_owned();
        let request = CreateNamespaceRequest { namespace: Some(Namespace { name: name.clone() }) };
        match NamespacesClient::new(self.channel.clone()).create(self.request(request)).await {
            Err(status) if status.code() != Code::AlreadyExists => {
                Err(ContainerdError::call("create the namespace", &name, status))
            }
            _ => Ok(()),
        }
    }

    /// The same connection, with every call under the lease `id`.
    pub(super) fn under_lease(&self, id: &str) -> Result<Self, ContainerdError> {
        let lease = id.parse().map_err(|_| ContainerdError::Namespace(id.to_owned()))?;
        Ok(Self { lease: Some(lease), ..self.clone() })
    }

    /// Wraps a message with the headers.
    pub(super) fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        let metadata = request.metadata_mut();
        metadata.insert(NAMESPACE_HEADER, self.namespace.clone());
        if let Some(lease) = &self.lease {
            metadata.insert(LEASE_HEADER, lease.clone());
        }
        request
    }

    pub(super) fn channel(&self) -> Channel {
        self.channel.clone()
    }

    pub(super) fn content(&self) -> ContentClient<Channel> {
        ContentClient::new(self.channel.clone())
    }

    pub(super) fn images(&self) -> ImagesClient<Channel> {
        ImagesClient::new(self.channel.clone())
    }

    pub(super) fn leases(&self) -> LeasesClient<Channel> {
        LeasesClient::new(self.channel.clone())
    }

    pub(super) fn snapshots(&self) -> SnapshotsClient<Channel> {
        SnapshotsClient::new(self.channel.clone())
    }

    pub(super) fn diff(&self) -> DiffClient<Channel> {
        DiffClient::new(self.channel.clone())
    }
}

/// containerd's identifiers: up to 76 letters and digits, joined by single `-`, `_` and `.`.
fn is_namespace(text: &str) -> bool {
    text.len() <= 76
        && text.split(['-', '_', '.']).all(|word| !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric()))
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use tokio::net::UnixListener;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_that_hangs_is_given_up() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("containerd.sock");
        // It takes connections, as a stopped process does, and says nothing.
        let _listener = UnixListener::bind(&socket).unwrap();
        let error = Client::connect(&socket, "k8s.io").await.unwrap_err();
        assert!(matches!(error, ContainerdError::Unreachable { .. }), "{error:?}");
        assert_eq!(error.source().unwrap().to_string(), "it does not answer within 30 s");
    }
}
