//! Where every library error becomes a message, a cause chain, hints and an exit code. All `From` impls live here.

use crate::bundle::BundleError;
use crate::io::PathError;

/// What kind of failure it is: the exit code, and what a person should look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Wrong usage of the command line.
    Usage,
    /// The profile, site or lock is wrong.
    Input,
    /// A registry or the network failed.
    Registry,
    /// A local file or disk: not writable, full, not found.
    Local,
    /// Integrity, signature or format: damaged, not a bundle, a newer format.
    Integrity,
    /// The host is not ready.
    NotReady,
    /// Apply failed and everything was put back.
    RolledBack,
    /// Apply failed and needs a person.
    NeedsPerson,
    /// A bug in Carrack.
    Bug,
    /// Interrupted by the user.
    Interrupted,
}

impl Kind {
    /// The process exit code.
    pub fn code(self) -> u8 {
        match self {
            Self::Usage => 2,
            Self::Input => 10,
            Self::Registry => 20,
            Self::Local => 25,
            Self::Integrity => 30,
            Self::NotReady => 40,
            Self::RolledBack => 50,
            Self::NeedsPerson => 51,
            Self::Bug => 70,
            Self::Interrupted => 130,
        }
    }
}

/// What a command ends with when it fails.
#[derive(Debug)]
pub struct CliError {
    /// Decides the exit code.
    pub kind: Kind,
    /// One line that states a fact, with the names in it.
    pub message: String,
    /// Why, outermost first, a line each.
    pub causes: Vec<String>,
    /// What to do next, a line each; commands as one would type them.
    pub hints: Vec<String>,
    /// Blocks that are shown as they are, between message and causes: one for each mistake in a document. In JSON they
    /// are causes.
    pub details: Vec<String>,
    /// What `--json` adds to the error as `report`, where a command has a document of its own to show even so: the checks
    /// of a host that is not ready, the differences of one that has changed.
    pub report: Option<Box<serde_json::Value>>,
}

impl CliError {
    /// An error without cause or hint.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), causes: Vec::new(), hints: Vec::new(), details: Vec::new(), report: None }
    }

    /// An error with the message and causes of `error`.
    pub fn from_error(kind: Kind, error: &(dyn std::error::Error + 'static)) -> Self {
        let mut causes: Vec<String> = Vec::new();
        let mut said = error.to_string();
        let mut next = error.source();
        while let Some(cause) = next {
            let text = cause.to_string();
            // Transparent wrappers repeat their source; once is enough for a reader.
            if !said.contains(&text) {
                causes.push(text.clone());
                said = text;
            }
            next = cause.source();
        }
        Self { kind, message: error.to_string(), causes, hints: Vec::new(), details: Vec::new(), report: None }
    }

    /// The same with one more hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// The same with a document for `--json`.
    #[must_use]
    pub fn report(mut self, report: serde_json::Value) -> Self {
        self.report = Some(Box::new(report));
        self
    }
}

impl From<PathError> for CliError {
    fn from(error: PathError) -> Self {
        Self::from_error(Kind::Local, &error)
    }
}

impl From<BundleError> for CliError {
    fn from(error: BundleError) -> Self {
        let hint = match &error {
            BundleError::Io(_) => return Self::from_error(Kind::Local, &error),
            BundleError::NotABundle { .. } => "copy the file again, or make one with: carrack build PROFILE -o BUNDLE",
            BundleError::Newer { .. } | BundleError::LaterInstaller { .. } => {
                "use the carrack and carrack-install that came with the bundle"
            }
            BundleError::Damaged { .. } => {
                "copy the bundle again from where it was built, and check it there too: carrack verify BUNDLE"
            }
        };
        Self::from_error(Kind::Integrity, &error).hint(hint)
    }
}

impl From<crate::problem::Problems> for CliError {
    fn from(problems: crate::problem::Problems) -> Self {
        use crate::problem::{Problem, Problems};
        match problems {
            Problems::Unreadable(error) => {
                let missing = error.source.kind() == std::io::ErrorKind::NotFound;
                let error = Self::from(error);
                if missing { error.hint("begin with a profile that works: carrack init DIR") } else { error }
            }
            Problems::Found(found) => {
                let message = match &found[..] {
                    [_] => "1 problem found".to_owned(),
                    many => format!("{} problems found", many.len()),
                };
                let details = found.iter().map(Problem::to_string).collect();
                Self { details, ..Self::new(Kind::Input, message) }
            }
        }
    }
}

#[cfg(feature = "operator")]
mod operator {
    use super::{CliError, Kind};
    use crate::chart::ChartError;
    use crate::cluster::ClusterError;
    use crate::download::{AddressError, DownloadError, DownloadErrorKind};
    use crate::fetch::FetchError;
    use crate::folder::FolderError;
    use crate::gather::GatherError;
    use crate::images::DiscoverError;
    use crate::lock::ResolveError;
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
                FetchError::Release { .. } => {
                    Self::from_error(Kind::Input, &error).hint("give one of them another `release`")
                }
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
                FetchError::Json(_) | FetchError::Encode(_) => Self::from_error(Kind::Bug, &error),
            }
        }
    }

    /// What to do where a server has something else than a profile or a lock says.
    const REPLACED: &str =
        "ask its makers why it was replaced; if you trust the new one, change `sha256` in the profile";

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
                DownloadErrorKind::PlainRedirect { .. } => {
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
                GatherError::Registry(error) => error.into(),
                GatherError::Download(error) => error.into(),
                GatherError::Address(error) => error.into(),
                GatherError::Io(error) => error.into(),
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
                "charts are rendered for the `version` of the pack on layer `k8s`; change that, or take another chart"
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

    impl From<ResolveError> for CliError {
        fn from(error: ResolveError) -> Self {
            match error {
                ResolveError::Registry(error) => error.into(),
                ResolveError::NoPlatform { .. } => Self::from_error(Kind::Input, &error)
                    .hint("change spec.platforms of the profile, or take another image"),
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
}

#[cfg(feature = "installer")]
impl From<crate::host::RootError> for CliError {
    fn from(error: crate::host::RootError) -> Self {
        Self::from_error(Kind::NotReady, &error)
    }
}

#[cfg(feature = "installer")]
impl From<crate::apply::ApplyError> for CliError {
    fn from(error: crate::apply::ApplyError) -> Self {
        let error = match error {
            crate::apply::ApplyError::Values(problems) => return problems.into(),
            other => other,
        };
        let made = Self::from_error(apply_kind(&error), &error);
        match apply_hint(&error) {
            Some(hint) => made.hint(hint),
            None => made,
        }
    }
}

#[cfg(feature = "installer")]
impl CliError {
    /// The error of a step that only looks: where apply would have put everything back, nothing had been changed.
    pub fn before_changes(error: crate::apply::ApplyError) -> Self {
        match Self::from(error) {
            Self { kind: Kind::RolledBack | Kind::NeedsPerson, message, causes, .. } => {
                Self { causes, ..Self::new(Kind::NotReady, message) }
            }
            other => other,
        }
    }
}

#[cfg(feature = "installer")]
fn apply_kind(error: &crate::apply::ApplyError) -> Kind {
    use crate::apply::ApplyError;
    use crate::apply::containerd::ContainerdError;
    use crate::apply::files::FileError;
    match error {
        ApplyError::Wanted(_) | ApplyError::Busy(_) | ApplyError::MissingImages(_) => Kind::NotReady,
        ApplyError::Values(_) => Kind::Input,
        ApplyError::File(FileError::Path(_)) | ApplyError::Path(_) | ApplyError::Receipt { .. } => Kind::Local,
        // For want of memory, or a mistake of ours.
        ApplyError::Compose(_) => Kind::Bug,
        ApplyError::File(FileError::Name(_)) => Kind::Integrity,
        ApplyError::File(_) => Kind::NotReady,
        ApplyError::Containerd(error) => match error {
            ContainerdError::Unreachable { .. } | ContainerdError::Busy(_) => Kind::NotReady,
            ContainerdError::Namespace(_) => Kind::Usage,
            ContainerdError::DiffId { .. } => Kind::Integrity,
            ContainerdError::Call { .. } => Kind::RolledBack,
            ContainerdError::Size { .. } => Kind::NeedsPerson,
        },
        ApplyError::Blob { source, .. } if source.kind() == std::io::ErrorKind::InvalidData => Kind::Integrity,
        ApplyError::Blob { .. } => Kind::Local,
        ApplyError::Config { .. } | ApplyError::LayerCount { .. } => Kind::Integrity,
        ApplyError::Name(_) | ApplyError::Installer { .. } => Kind::Integrity,
        ApplyError::Interrupted => Kind::Interrupted,
        ApplyError::RolledBack(_) => Kind::RolledBack,
        ApplyError::NeedsPerson { .. } => Kind::NeedsPerson,
        ApplyError::NotReleased { source, .. } => apply_kind(source),
    }
}

#[cfg(feature = "installer")]
fn apply_hint(error: &crate::apply::ApplyError) -> Option<String> {
    use crate::apply::ApplyError;
    use crate::apply::containerd::ContainerdError;
    match error {
        ApplyError::Wanted(_) => {
            Some("build the bundle for this platform too: carrack build PROFILE --platform OS/ARCH".into())
        }
        ApplyError::Containerd(ContainerdError::Unreachable { .. }) => Some(
            "start containerd, or name its socket: --containerd-address; or leave images alone: --runtime none".into(),
        ),
        ApplyError::Busy(_) | ApplyError::Containerd(ContainerdError::Busy(_)) => {
            Some("wait until the other carrack-install has ended".into())
        }
        ApplyError::Containerd(ContainerdError::Size { digest, .. }) => {
            Some(format!("remove it, and what needs it, and apply again: ctr -n k8s.io content rm {digest}"))
        }
        ApplyError::Blob { source, .. } if source.kind() == std::io::ErrorKind::InvalidData => {
            Some("nothing on this host has changed; see all that is damaged: carrack-install verify BUNDLE".into())
        }
        ApplyError::Receipt { path, .. } => {
            Some(format!("put {} right from a backup, or move it away and apply again", path.display()))
        }
        ApplyError::RolledBack(_) | ApplyError::Containerd(ContainerdError::Call { .. }) => {
            Some("everything was put back; when the cause is gone, run the same command again".into())
        }
        ApplyError::Installer { .. } => Some("use the carrack-install that came with the bundle".into()),
        ApplyError::NotReleased { source, .. } => apply_hint(source),
        ApplyError::NeedsPerson { .. } => Some("see what differs: carrack-install status".into()),
        _ => None,
    }
}
