//! The flags that say where a bundle is installed, shared by the commands that look at or change the host.

use std::path::{Path, PathBuf};

use crate::apply::{Source, Target, TargetRuntime};
use crate::bundle::Contents;
use crate::cli::{CliError, Kind};
use crate::host::Root;
use crate::oci::Platform;
use crate::trust::Trusted;

const DEFAULT_ADDRESS: &str = "/run/containerd/containerd.sock";

/// Where k3s and RKE2 put the socket of the containerd that they run.
const K3S_ADDRESS: &str = "/run/k3s/containerd/containerd.sock";
const K3S_IMAGES: &str = "/var/lib/rancher/k3s/agent/images";
const RKE2_IMAGES: &str = "/var/lib/rancher/rke2/agent/images";

/// Where to install.
#[derive(Debug, clap::Args)]
pub(super) struct TargetArgs {
    /// Install below this folder instead of into the running host; leaves images alone unless --runtime says otherwise
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Where images go
    #[arg(long, value_name = "RUNTIME", default_value = "auto")]
    runtime: Runtime,
    /// containerd's socket
    #[arg(long, value_name = "SOCKET", default_value = DEFAULT_ADDRESS)]
    containerd_address: PathBuf,
    /// containerd's namespace; the kubelet's is k8s.io
    #[arg(long, value_name = "NAME", default_value = "k8s.io")]
    namespace: String,
    /// Leave unpacking layers to the first start of a container
    #[arg(long)]
    no_unpack: bool,
}

/// Where images go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Runtime {
    /// Into containerd, or into the image folder of k3s or RKE2 where the bundle's profile is for one; with --root, nowhere
    Auto,
    /// Into containerd
    Containerd,
    /// Into the folder from which k3s imports when it starts
    K3s,
    /// Into the folder from which RKE2 imports when it starts
    Rke2,
    /// Nowhere
    None,
}

impl TargetArgs {
    /// Where `contents` are installed.
    pub(super) fn target(&self, contents: Option<&Contents>) -> Result<Target, CliError> {
        let root = root(self.root.as_deref())?;
        let carried = |contents: &Contents| contents.images.iter().any(|image| !image.is_absent());
        let has_images = contents.is_none_or(carried);
        let containerd = |address: &Path| TargetRuntime::Containerd {
            address: address.to_owned(),
            namespace: self.namespace.clone(),
            unpack: !self.no_unpack,
        };
        let k3s_runs = self.containerd_address == Path::new(DEFAULT_ADDRESS) && Path::new(K3S_ADDRESS).exists();
        let runtime = match (self.runtime, distribution(contents)) {
            (Runtime::Auto, _) if !root.is_host() || !has_images => TargetRuntime::None,
            (Runtime::K3s | Runtime::Rke2, _) if !has_images => TargetRuntime::None,
            // A node that runs already has a containerd of its own, which need not be started again.
            (Runtime::Auto, Some("k3s" | "rke2")) if k3s_runs => containerd(Path::new(K3S_ADDRESS)),
            (Runtime::Auto, Some("k3s")) | (Runtime::K3s, _) => TargetRuntime::ImageFolder(K3S_IMAGES.to_owned()),
            (Runtime::Auto, Some("rke2")) | (Runtime::Rke2, _) => TargetRuntime::ImageFolder(RKE2_IMAGES.to_owned()),
            (Runtime::Auto | Runtime::Containerd, _) => containerd(&self.containerd_address),
            (Runtime::None, _) => TargetRuntime::None,
        };
        Ok(Target { root, runtime, platform: Platform::of_this_machine() })
    }
}

/// The Kubernetes distribution that the bundle's profile is for.
fn distribution(contents: Option<&Contents>) -> Option<&str> {
    contents?.profile.packs.iter().find_map(|pack| pack.distribution.as_deref())
}

/// The root that `--root` names.
pub(super) fn root(folder: Option<&Path>) -> Result<Root, CliError> {
    let folder = folder.unwrap_or(Path::new("/"));
    Root::new(folder).map_err(|error| CliError::from(error).hint("make the folder first: --root installs into one"))
}

/// The blobs of a trusted bundle, as apply reads them.
pub(super) fn source(bundle: &Trusted) -> Source {
    let blobs = bundle.blobs().iter().map(|blob| (blob.digest, blob.size)).collect();
    let bundle = bundle.clone();
    Source::new(blobs, move |digest| match bundle.open(digest) {
        Ok(reader) => Ok(Box::new(reader)),
        Err(error) => Err(std::io::Error::new(std::io::ErrorKind::InvalidData, error)),
    })
}

/// The runtime that a command's asynchronous work runs on.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, CliError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.map_err(|error| CliError::from_error(Kind::Local, &error))
}
