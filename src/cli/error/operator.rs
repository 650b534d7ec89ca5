//! Errors of the connected side's steps, as a user sees them.

use super::{CliError, Kind};
use crate::bundle::ComposeError;
use crate::chart::ChartError;
use crate::cluster::ClusterError;
use crate::download::{AddressError, DownloadError, DownloadErrorKind, RedirectError};
use crate::fetch::FetchError;
use crate::folder::FolderError;
use crate::gather::GatherError;
use crate::images::DiscoverError;
use crate::lock::ResolveError;
use crate::oci::{Platform, Reference};
use crate::palette::PaletteError;
use crate::registry::{RegistryError, RegistryErrorKind};

impl From<RegistryError> for CliError {
    fn from(error: RegistryError) -> Self {
        let hint = registry_hint(&error.kind);
        let error = Self::from_error(Kind::Registry, &error);
        match hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }
}

impl From<FetchError> for CliError {
    fn from(error: FetchError) -> Self {
        let again = "what was fetched is kept: run the same command again to go on";
        match error {
            FetchError::Registry(error) => Self::from(error).hint(again),
            FetchError::Download(error) => Self::from(error).hint(again),
            FetchError::Address(error) => Self::from(error),
            FetchError::WrongDownload { .. } => Self::from_error(Kind::Registry, &error).hint(REPLACED),
            FetchError::Unlocked(_) => {
                Self::from_error(Kind::Input, &error).hint("bring the lock up to date: carrack lock PROFILE")
            }
            FetchError::Local(error) => Self::from(error),
            FetchError::Problems(problems) => Self::from(problems),
            FetchError::Places(_) => Self::from_error(Kind::Input, &error),
            FetchError::WrongContent { .. } => Self::from_error(Kind::Registry, &error)
                .hint("something between here and the registry, or the registry itself, alters content"),
            FetchError::Manifest { .. }
            | FetchError::LargeConfig { .. }
            | FetchError::Sizes { .. }
            | FetchError::TooLarge(_) => Self::from_error(Kind::Registry, &error),
            FetchError::Lock { .. } => {
                Self::from_error(Kind::Input, &error).hint("resolve it anew: carrack lock PROFILE --update REF")
            }
            FetchError::FileDigest { .. } => Self::from_error(Kind::Input, &error),
            FetchError::OneName { .. } => {
                Self::from_error(Kind::Input, &error).hint("see where both come from: carrack images PROFILE --why")
            }
            FetchError::FileChanged { .. } => Self::from_error(Kind::Local, &error).hint(again),
            FetchError::Compose(ComposeError::Text(_)) => Self::from_error(Kind::Input, &error),
            FetchError::Compose(ComposeError::Json(_)) | FetchError::Encode(_) => Self::from_error(Kind::Bug, &error),
        }
    }
}

/// What to do where a server has something else than a profile or a lock says.
const REPLACED: &str = "ask its makers why it was replaced; if you trust the new one, change `sha256` in the profile";

impl From<AddressError> for CliError {
    fn from(error: AddressError) -> Self {
        Self::from_error(Kind::Input, &error)
    }
}

impl From<DownloadError> for CliError {
    fn from(error: DownloadError) -> Self {
        let kind = if matches!(error.kind, DownloadErrorKind::Local(_)) { Kind::Local } else { Kind::Registry };
        let hint = match &error.kind {
            DownloadErrorKind::Tls { host, .. } => {
                Some(format!("name the certificate authority of {host} in SSL_CERT_FILE"))
            }
            DownloadErrorKind::Unreachable { .. } => {
                Some("name a proxy in HTTPS_PROXY, if there is one on the way".to_owned())
            }
            DownloadErrorKind::Redirect(RedirectError::Plain { .. }) => {
                Some("name an address in the profile that is https:// all the way".to_owned())
            }
            DownloadErrorKind::WrongContent(_) | DownloadErrorKind::WrongSize { .. } => Some(
                "if it was replaced and you trust the new one, take it: carrack lock PROFILE --update URL|CHART"
                    .to_owned(),
            ),
            _ => None,
        };
        let made = Self::from_error(kind, &error);
        match hint {
            Some(hint) => made.hint(hint),
            None => made,
        }
    }
}

impl From<GatherError> for CliError {
    fn from(error: GatherError) -> Self {
        match error {
            // No list of images tells more of a pack or a chart.
            GatherError::Registry(RegistryError {
                kind: RegistryErrorKind::NoRepository | RegistryErrorKind::NoTag | RegistryErrorKind::NoManifest(_),
                ..
            }) => Self::from_error(Kind::Registry, &error),
            GatherError::Registry(error) => error.into(),
            GatherError::Download(error) => error.into(),
            GatherError::Address(error) => error.into(),
            GatherError::Io(error) => error.into(),
            GatherError::Folder { ref folder, .. } => {
                let folder = folder.display();
                let hint = format!("move it away, and a new one is made: mv {folder} {folder}.old");
                Self::from_error(Kind::Local, &error).hint(hint)
            }
            GatherError::Chart(error) => error.into(),
            GatherError::Problems(problems) => problems.into(),
            GatherError::Brought { shown, source } => {
                let inner = Self::from(*source);
                let causes = [vec![inner.message], inner.causes].concat();
                Self { message: format!("{shown} cannot be used"), causes, ..inner }
            }
            GatherError::NoVersion { ref newest, .. } => {
                let hint = match &newest[..] {
                    [] => "it has no version at all".to_owned(),
                    newest => format!("the newest that it has: {}", newest.join(", ")),
                };
                Self::from_error(Kind::Input, &error).hint(hint)
            }
            GatherError::Locked { ref key, .. } => {
                let hint = format!("resolve it anew: carrack lock PROFILE --update '{key}'");
                Self::from_error(Kind::Input, &error).hint(hint)
            }
            GatherError::Reference(_) | GatherError::Unshareable { .. } => Self::from_error(Kind::Input, &error),
            GatherError::Unusable { .. } | GatherError::Index { .. } | GatherError::WrongContent { .. } => {
                Self::from_error(Kind::Registry, &error)
            }
        }
    }
}

fn registry_hint(kind: &RegistryErrorKind) -> Option<String> {
    match kind {
        RegistryErrorKind::NoRepository | RegistryErrorKind::NoTag | RegistryErrorKind::NoManifest(_) => {
            Some("see which pack needs it: carrack images PROFILE --why".to_owned())
        }
        RegistryErrorKind::Unauthorized { registry, with_credentials: false, .. } => {
            Some(format!("log in first, if the image exists: docker login {registry}"))
        }
        RegistryErrorKind::Unauthorized { registry, with_credentials: true, .. }
        | RegistryErrorKind::Credentials { registry, .. } => Some(format!("log in again: docker login {registry}")),
        RegistryErrorKind::RateLimited { registry, .. } => {
            Some(format!("try again later, or log in for a higher limit: docker login {registry}"))
        }
        RegistryErrorKind::Tls { registry, .. } => Some(format!(
            "name its certificate authority in SSL_CERT_FILE or, if it has no TLS, use: --plain-http {registry}"
        )),
        RegistryErrorKind::Unreachable { registry, .. } => Some(format!(
            "name a proxy in HTTPS_PROXY, if there is one on the way; see whether the registry answers: curl -i https://{registry}/v2/"
        )),
        RegistryErrorKind::Refused { registry } => {
            Some(format!("see whether the registry runs: curl -i http://{registry}/v2/"))
        }
        _ => None,
    }
}

impl From<ChartError> for CliError {
    fn from(error: ChartError) -> Self {
        let kind = match &error {
            ChartError::Malformed { .. }
            | ChartError::MissingDependencies { .. }
            | ChartError::Version { .. }
            | ChartError::Release { .. }
            | ChartError::Render { .. }
            | ChartError::Memory { .. }
            | ChartError::TooLarge { .. } => Kind::Input,
            ChartError::Io(_)
            | ChartError::Changed { .. }
            | ChartError::NoHelm { .. }
            | ChartError::Unusable { .. }
            | ChartError::HelmVersion { .. }
            | ChartError::Timeout { .. } => Kind::Local,
        };
        let mut made = Self::from_error(kind, &error);
        made.hints.extend(chart_hints(&error));
        if let ChartError::Render { said, .. } = error {
            made.causes = said;
        }
        made
    }
}

fn chart_hints(error: &ChartError) -> Vec<String> {
    match error {
        ChartError::MissingDependencies { path, .. } if path.is_file() => {
            vec!["take a package that was made after `helm dependency build`".to_owned()]
        }
        ChartError::MissingDependencies { path, .. } => vec![format!("helm dependency build {}", path.display())],
        ChartError::NoHelm { .. } => vec![
            "install helm 3 or 4 (https://helm.sh/docs/intro/install), or name it in CARRACK_HELM".to_owned(),
            "or take what the chart says of its images, which may not be all: --allow-unrendered".to_owned(),
        ],
        ChartError::Unusable { .. } | ChartError::HelmVersion { .. } => {
            vec!["name a helm 3 or 4 in CARRACK_HELM".to_owned()]
        }
        ChartError::Release { .. } => vec!["give the chart a `release` in the profile".to_owned()],
        ChartError::Render { said, .. } if said.iter().any(|line| line.contains("kubeVersion")) => vec![
            "charts are rendered for the `version` of the pack on layer `k8s`, or for `spec.kubernetesVersion`; change that, or \
             take another chart"
                .to_owned(),
            "where the profile has neither, helm assumes a version: say which Kubernetes there is, as kubernetesVersion: 1.33.4 \
             in spec, or as a pack: {name: kubernetes, layer: k8s, version: 1.33.4, distribution: none}"
                .to_owned(),
        ],
        ChartError::Render { .. } => vec!["the chart's values are what the pack gives in `values`".to_owned()],
        ChartError::Changed { .. } => vec!["run the same command again".to_owned()],
        _ => Vec::new(),
    }
}

impl From<FolderError> for CliError {
    fn from(error: FolderError) -> Self {
        match error {
            FolderError::Io(error) => error.into(),
            FolderError::NotEmpty { .. } | FolderError::WorkingFolder { .. } => {
                Self::from_error(Kind::Local, &error).hint("name a new folder with -o")
            }
            FolderError::Path { .. } | FolderError::Twice { .. } => Self::from_error(Kind::Input, &error),
        }
    }
}

impl From<ClusterError> for CliError {
    fn from(error: ClusterError) -> Self {
        let (kind, hint) = match &error {
            ClusterError::Kubeconfig(_) => {
                (Kind::Local, "name the right file in KUBECONFIG, and see: kubectl config view".to_owned())
            }
            ClusterError::Context { known, .. } => (Kind::Usage, format!("its contexts: {}", known.join(", "))),
            ClusterError::Client { .. } | ClusterError::Unreachable { .. } => {
                (Kind::Registry, "see whether it answers: kubectl version".to_owned())
            }
            ClusterError::Unauthorized { .. } => (Kind::Registry, "log in again; see: kubectl auth whoami".to_owned()),
            ClusterError::Nothing { .. } => (
                Kind::Registry,
                "name the namespaces that this user may read with --namespaces, or see docs/export.md for the rights \
                 that an export needs"
                    .to_owned(),
            ),
            ClusterError::Empty { .. } => (Kind::Input, "name what to export with --namespaces".to_owned()),
            ClusterError::Text { .. } => return Self::from_error(Kind::Bug, &error),
            ClusterError::Folder(_) => match error {
                ClusterError::Folder(error) => return error.into(),
                other => return Self::from_error(Kind::Bug, &other),
            },
        };
        Self::from_error(kind, &error).hint(hint)
    }
}

impl From<DiscoverError> for CliError {
    fn from(error: DiscoverError) -> Self {
        match error {
            DiscoverError::Problems(problems) => problems.into(),
            DiscoverError::Charts(errors) => charts(errors),
        }
    }
}

/// Every chart's failure with its causes and hints. Where one is this machine's, that decides the exit code.
fn charts(errors: Vec<ChartError>) -> CliError {
    let mut errors: Vec<_> = errors.into_iter().map(CliError::from).collect();
    if errors.len() == 1 {
        return errors.remove(0);
    }
    let any_local = errors.iter().any(|error| error.kind == Kind::Local);
    let kind = if any_local { Kind::Local } else { Kind::Input };
    together(kind, format!("{} charts cannot be read", errors.len()), errors)
}

fn together(kind: Kind, message: String, errors: Vec<CliError>) -> CliError {
    let mut all = CliError::new(kind, message);
    for error in errors {
        all.causes.push([vec![error.message], error.causes].concat().join(": "));
        for hint in error.hints {
            if !all.hints.contains(&hint) {
                all.hints.push(hint);
            }
        }
    }
    all
}

impl From<PaletteError> for CliError {
    fn from(error: PaletteError) -> Self {
        match error {
            PaletteError::Io(error) => error.into(),
            PaletteError::Folder(error) => error.into(),
            PaletteError::NotPalette { .. } => Self::from_error(Kind::Input, &error)
                .hint("import a profile that Palette exported as JSON, or a folder with a pack.json"),
            PaletteError::Document(_) => Self::from_error(Kind::Bug, &error),
        }
    }
}

/// How to say that an image is for some of the platforms only.
fn made_for(reference: &Reference, missing: &[Platform], served: &[Platform]) -> String {
    let list = |platforms: &[Platform]| platforms.iter().map(Platform::to_string).collect::<Vec<_>>();
    format!(
        "take another image; or, where no machine of {} runs it, say so in the pack's `images`: \
         {{image: \"{reference}\", platforms: [{}]}}",
        list(missing).join(" or "),
        list(served).join(", ")
    )
}

impl From<ResolveError> for CliError {
    fn from(error: ResolveError) -> Self {
        match error {
            ResolveError::Registry(error) => error.into(),
            ResolveError::NoPlatform { ref reference, ref missing, ref served, .. } => {
                let hint = match served.is_empty() {
                    true => "change spec.platforms of the profile, or take another image".to_owned(),
                    false => made_for(reference, missing, served),
                };
                Self::from_error(Kind::Input, &error).hint(hint)
            }
            ResolveError::NoImage { .. } => Self::from_error(Kind::Input, &error)
                .hint("take it out of the images; see which pack asks for it: carrack images PROFILE --why"),
            other => Self::from_error(Kind::Registry, &other),
        }
    }
}

/// Every failure with its causes and hints; a registry's decides the exit code.
impl From<Vec<ResolveError>> for CliError {
    fn from(errors: Vec<ResolveError>) -> Self {
        let mut errors: Vec<_> = errors.into_iter().map(Self::from).collect();
        if errors.len() == 1 {
            return errors.remove(0);
        }
        let any_registry = errors.iter().any(|error| error.kind == Kind::Registry);
        let kind = if any_registry { Kind::Registry } else { Kind::Input };
        together(kind, format!("{} images cannot be resolved", errors.len()), errors)
    }
}
