//! The flags that say where a bundle is installed, shared by the commands that look at or change the host.

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use clap::ValueEnum;

use crate::apply::{Asked, Choices, ImageFolder, Source, Target, TargetRuntime};
use crate::bundle::Contents;
use crate::cli::{CliError, Kind};
use crate::host::Root;
use crate::oci::Platform;
use crate::trust::Trusted;

const DEFAULT_ADDRESS: &str = "/run/containerd/containerd.sock";
/// Where the containerd that k3s and RKE2 start listens, both of them.
const DISTRIBUTION_ADDRESS: &str = "/run/k3s/containerd/containerd.sock";

/// How many versions before the installed one can be gone back to, unless somebody says otherwise.
const KEEP: usize = 1;

/// How much stays for a rollback.
#[derive(Debug, clap::Args)]
pub(super) struct KeepArgs {
    /// How many versions before this one can be gone back to: their images and files stay; 1 where nothing else was said
    #[arg(long, value_name = "N")]
    pub(super) keep: Option<usize>,
}

impl KeepArgs {
    /// This, with what else was chosen `before`.
    pub(super) fn choices(&self, before: &Choices) -> Choices {
        Choices { keep: self.keep.or(before.keep), ..before.clone() }
    }
}

/// How much is installed.
#[derive(Debug, clap::Args)]
pub(super) struct ImagesOnlyArgs {
    /// Only the images, ahead of the version: import and pin them on every node before the first server takes the version; names
    /// that stand for other images are left, and what is installed stays in force
    #[arg(long, conflicts_with_all = ["site", "set", "change_role", "keep"])]
    pub(super) images_only: bool,
}

/// Where to install.
#[derive(Debug, clap::Args)]
pub(super) struct TargetArgs {
    /// Install below this folder instead of into the running host; images go into the folder of the bundle's distribution, where
    /// it has one
    #[arg(long, value_name = "DIR")]
    pub(super) root: Option<PathBuf>,
    /// Where images go; auto where nothing else was said
    #[arg(long, value_name = "RUNTIME")]
    runtime: Option<Runtime>,
    /// containerd's socket; by default that of the bundle's distribution, or /run/containerd/containerd.sock
    #[arg(long, value_name = "SOCKET")]
    containerd_address: Option<PathBuf>,
    /// containerd's namespace; by default the kubelet's, k8s.io
    #[arg(long, value_name = "NAME", value_parser = namespace)]
    namespace: Option<String>,
    /// Leave unpacking layers to the first start of a container
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    no_unpack: Option<bool>,
}

/// Where images go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Runtime {
    /// For k3s, RKE2 and Canonical Kubernetes into their containerd where it runs, otherwise, and with --root, into their image
    /// folder; else into containerd, or with --root nowhere
    Auto,
    /// Into containerd
    Containerd,
    /// Into the folder that k3s imports from when it starts
    K3s,
    /// Into the folder that RKE2 imports from when it starts
    Rke2,
    /// Into the folder that Canonical Kubernetes imports from when it is made
    Canonical,
    /// Nowhere
    None,
}

impl TargetArgs {
    /// The root that is installed into.
    pub(super) fn root(&self) -> Result<Root, CliError> {
        root(self.root.as_deref())
    }

    /// What these flags say, with what was chosen `before`.
    pub(super) fn choices(&self, before: &Choices) -> Choices {
        let runtime = self.runtime.and_then(|runtime| runtime.to_possible_value());
        let given = Choices {
            runtime: runtime.map(|value| value.get_name().to_owned()),
            containerd_address: self.containerd_address.clone(),
            namespace: self.namespace.clone(),
            no_unpack: self.no_unpack,
            ..Choices::default()
        };
        given.over(before)
    }

    /// Where `contents` are installed below `root`, with `choices`.
    pub(super) fn target(
        &self,
        root: Root,
        contents: Option<&Contents>,
        choices: Choices,
        asked: Asked,
    ) -> Result<Target, CliError> {
        let carried = |contents: &Contents| contents.images.iter().any(|image| !image.is_absent());
        let has_images = contents.is_none_or(carried);
        let distribution = contents.and_then(distribution);
        let chosen = Chosen::read(&choices)?;
        let runtime = match chosen.runtime {
            Runtime::K3s | Runtime::Rke2 | Runtime::Canonical if !has_images => TargetRuntime::None,
            Runtime::K3s => TargetRuntime::Folder(ImageFolder::K3s),
            Runtime::Rke2 => TargetRuntime::Folder(ImageFolder::Rke2),
            Runtime::Canonical => TargetRuntime::Folder(ImageFolder::Canonical),
            Runtime::Auto if has_images => match distribution {
                Some(folder) if !root.is_host() || !chosen.runs(folder) => TargetRuntime::Folder(folder),
                _ if root.is_host() => chosen.containerd(distribution),
                _ => TargetRuntime::None,
            },
            Runtime::Auto | Runtime::None => TargetRuntime::None,
            Runtime::Containerd => chosen.containerd(distribution),
        };
        if has_images && !matches!(runtime, TargetRuntime::Containerd { .. }) {
            self.refuse_containerd_flags()?;
        }
        let platform = match (&runtime, contents) {
            (TargetRuntime::Folder(_), Some(contents)) if !root.is_host() => platform_of(contents),
            _ => Platform::of_this_machine(),
        };
        Ok(Target { root, runtime, platform, keep: choices.keep.unwrap_or(KEEP), choices, asked, containerd: None })
    }

    /// A flag that would have no effect is a misunderstanding that somebody should hear of.
    fn refuse_containerd_flags(&self) -> Result<(), CliError> {
        let flags = [
            ("--containerd-address", self.containerd_address.is_some()),
            ("--namespace", self.namespace.is_some()),
            ("--no-unpack", self.no_unpack.is_some()),
        ];
        match flags.iter().find(|(_, given)| *given) {
            None => Ok(()),
            Some((flag, _)) => {
                let text = format!("{flag} has no effect here: the images do not go to containerd");
                Err(CliError::new(Kind::Usage, text).hint("say where they go: --runtime containerd"))
            }
        }
    }
}

/// Choices that are read: those of an earlier version come from a receipt.
struct Chosen<'a> {
    runtime: Runtime,
    choices: &'a Choices,
}

impl<'a> Chosen<'a> {
    fn read(choices: &'a Choices) -> Result<Self, CliError> {
        let unknown = |flag: &str| {
            let text = format!("the newest receipt has a {flag} that this carrack-install does not know");
            CliError::new(Kind::Local, text).hint(format!("say it anew: {flag}"))
        };
        let runtime = choices.runtime.as_deref().unwrap_or("auto");
        let runtime = Runtime::from_str(runtime, false).map_err(|_| unknown("--runtime"))?;
        if choices.namespace.as_deref().is_some_and(|name| namespace(name).is_err()) {
            return Err(unknown("--namespace"));
        }
        Ok(Self { runtime, choices })
    }

    /// The kubelet and crictl write the socket as an address; both mean the same.
    fn socket(&self) -> Option<PathBuf> {
        let address = self.choices.containerd_address.as_ref()?;
        Some(address.to_str().and_then(|text| text.strip_prefix("unix://")).map_or(address.clone(), PathBuf::from))
    }

    fn containerd(&self, distribution: Option<ImageFolder>) -> TargetRuntime {
        let default = distribution.map_or(DEFAULT_ADDRESS, address);
        TargetRuntime::Containerd {
            address: self.socket().unwrap_or_else(|| default.into()),
            namespace: self.choices.namespace.clone().unwrap_or_else(|| "k8s.io".to_owned()),
            unpack: !self.choices.no_unpack.unwrap_or(false),
        }
    }

    /// Whether there is a containerd to talk to: one that was named, or the distribution's own. A socket that nobody
    /// listens at is left when it has ended.
    fn runs(&self, distribution: ImageFolder) -> bool {
        self.choices.containerd_address.is_some() || UnixStream::connect(address(distribution)).is_ok()
    }
}

/// Where the containerd that a distribution starts listens. The classic snap has it where others have theirs
/// (<https://documentation.ubuntu.com/canonical-kubernetes/latest/snap/howto/image-management>).
fn address(distribution: ImageFolder) -> &'static str {
    match distribution {
        ImageFolder::K3s | ImageFolder::Rke2 => DISTRIBUTION_ADDRESS,
        ImageFolder::Canonical => DEFAULT_ADDRESS,
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

/// The root that `--root` names, into which something is installed.
fn root(folder: Option<&Path>) -> Result<Root, CliError> {
    find(folder, "make the folder first: --root installs into one")
}

/// The root that `--root` names, in which something is installed.
pub(super) fn installed_root(folder: Option<&Path>) -> Result<Root, CliError> {
    find(folder, "name the folder that the bundle was installed into: --root DIR")
}

/// Where something is installed, for people: `on this host`.
pub(super) fn within(root: &Root) -> String {
    match root.is_host() {
        true => "on this host".to_owned(),
        false => format!("below {}", root.folder().display()),
    }
}

fn find(folder: Option<&Path>, hint: &str) -> Result<Root, CliError> {
    Root::new(folder.unwrap_or(Path::new("/"))).map_err(|error| CliError::from(error).hint(hint))
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

/// containerd's identifiers are words joined by single `.`, `_` or `-`, up to 76 characters.
fn namespace(text: &str) -> Result<String, String> {
    let word = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if text.len() <= 76 && text.split(['.', '_', '-']).all(word) {
        Ok(text.to_owned())
    } else {
        Err("letters and digits, joined by single '.', '_' or '-', are a namespace".to_owned())
    }
}
