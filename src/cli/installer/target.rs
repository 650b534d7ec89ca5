//! The flags that say where a bundle is installed, shared by the commands that look at or change the host.

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use crate::apply::{ImageFolder, Source, Target, TargetRuntime};
use crate::bundle::Contents;
use crate::cli::{CliError, Kind};
use crate::host::Root;
use crate::oci::Platform;
use crate::trust::Trusted;

const DEFAULT_ADDRESS: &str = "/run/containerd/containerd.sock";
/// Where the containerd that k3s and RKE2 start listens, both of them.
const DISTRIBUTION_ADDRESS: &str = "/run/k3s/containerd/containerd.sock";

/// Where to install.
#[derive(Debug, clap::Args)]
pub(super) struct TargetArgs {
    /// Install below this folder instead of into the running host; leaves images alone unless --runtime or the bundle's
    /// distribution says otherwise
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Where images go
    #[arg(long, value_name = "RUNTIME", default_value = "auto")]
    runtime: Runtime,
    /// containerd's socket; by default that of the bundle's distribution, or /run/containerd/containerd.sock
    #[arg(long, value_name = "SOCKET")]
    containerd_address: Option<PathBuf>,
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
    /// For k3s and RKE2 into their containerd where it runs, otherwise into their image folder; else into containerd, or
    /// with --root nowhere
    Auto,
    /// Into containerd
    Containerd,
    /// Into the folder that k3s imports from when it starts
    K3s,
    /// Into the folder that RKE2 imports from when it starts
    Rke2,
    /// Nowhere
    None,
}

impl TargetArgs {
    /// Where `contents` are installed.
    pub(super) fn target(&self, contents: Option<&Contents>) -> Result<Target, CliError> {
        let root = root(self.root.as_deref())?;
        let has_images = contents.is_none_or(|contents| !contents.images.is_empty());
        let distribution = contents.and_then(distribution);
        let runtime = match self.runtime {
            Runtime::K3s => TargetRuntime::Folder(ImageFolder::K3s),
            Runtime::Rke2 => TargetRuntime::Folder(ImageFolder::Rke2),
            Runtime::Auto if has_images => match distribution {
                Some(folder) if !root.is_host() || !self.distribution_runs() => TargetRuntime::Folder(folder),
                _ if !root.is_host() => TargetRuntime::None,
                _ => self.containerd(distribution),
            },
            Runtime::Auto | Runtime::None => TargetRuntime::None,
            Runtime::Containerd => self.containerd(distribution),
        };
        let platform = match (&runtime, contents) {
            (TargetRuntime::Folder(_), Some(contents)) if !root.is_host() => platform_of(contents),
            _ => Platform::of_this_machine(),
        };
        Ok(Target { root, runtime, platform })
    }

    fn containerd(&self, distribution: Option<ImageFolder>) -> TargetRuntime {
        let default = if distribution.is_some() { DISTRIBUTION_ADDRESS } else { DEFAULT_ADDRESS };
        TargetRuntime::Containerd {
            address: self.containerd_address.clone().unwrap_or_else(|| default.into()),
            namespace: self.namespace.clone(),
            unpack: !self.no_unpack,
        }
    }

    /// Whether there is a containerd to talk to: one that was named, or the distribution's own. A socket that nobody
    /// listens at is left when it has ended.
    fn distribution_runs(&self) -> bool {
        self.containerd_address.is_some() || UnixStream::connect(DISTRIBUTION_ADDRESS).is_ok()
    }
}

/// The distribution of the bundle's profile, where it has an image folder.
fn distribution(contents: &Contents) -> Option<ImageFolder> {
    let mut named = contents.profile.packs.iter().filter_map(|pack| pack.distribution.as_deref());
    named.find_map(ImageFolder::of_distribution)
}

/// The platform of the machine that a root with an image folder is for. What is prepared here may be another kind of
/// machine, which a bundle for one platform tells.
fn platform_of(contents: &Contents) -> Platform {
    match contents.profile.platforms.as_slice() {
        [only] => only.clone(),
        _ => Platform::of_this_machine(),
    }
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
