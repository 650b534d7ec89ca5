//! From a profile and its charts to its images, for every command that needs them.

use std::path::PathBuf;
use std::sync::Arc;

use crate::chart::{Chart, Helm};
use crate::cli::{CliError, Ui};
use crate::images::{self, Candidate, Discovery, Options};
use crate::problem::{Position, Problem, Problems};
use crate::profile::Profile;
use crate::progress::Progress;

/// How charts are read.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(super) struct DiscoverArgs {
    /// Where there is no helm: take the images that charts name in annotations and values, which may not be all
    #[arg(long)]
    allow_unrendered: bool,
}

impl DiscoverArgs {
    /// The images of `profile`, whose charts are `charts`. They are rendered with the helm that `CARRACK_HELM` names, or
    /// with that on the path.
    pub(super) fn discover(self, profile: &Profile, charts: &[Chart], ui: &Ui) -> Result<Discovery, CliError> {
        let named = std::env::var_os("CARRACK_HELM");
        let path = std::env::var_os("PATH");
        let helm = match charts {
            [] => None,
            _ => Helm::find(named.as_deref(), path.as_deref())?,
        };
        let progress = Arc::new(Progress::default());
        let _shown = ui.show("rendering charts", &progress);
        let helm = helm.map(|helm| helm.showing(Arc::clone(&progress)));
        let helm = match kept_renders() {
            Some(folder) => helm.map(|helm| helm.keeping(folder)),
            None => helm,
        };
        let options = Options { helm: helm.as_ref(), allow_unrendered: self.allow_unrendered };
        Ok(images::discover(profile, charts, options)?)
    }
}

/// Where what was rendered is kept: with what else programs may lose (XDG Base Directory Specification); nowhere without a home.
fn kept_renders() -> Option<PathBuf> {
    let folder = |variable: &str| Some(PathBuf::from(std::env::var_os(variable)?)).filter(|path| path.is_absolute());
    let caches = folder("XDG_CACHE_HOME").or_else(|| Some(folder("HOME")?.join(".cache")))?;
    Some(caches.join("carrack/rendered"))
}

/// Whether a person has to have decided everything.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(super) struct StrictArgs {
    /// Fail where there is a warning, or a candidate that is neither in `images` nor in `ignoreImages`
    #[arg(long)]
    strict: bool,
}

impl StrictArgs {
    /// Fails where strictness is asked for, and there is a candidate or a warning. `warnings` are those beside the discovery's.
    ///
    /// # Errors
    /// All of them, each with its place.
    pub(super) fn check(self, discovery: &Discovery, warnings: &[Problem]) -> Result<(), CliError> {
        let warnings = discovery.warnings.iter().chain(warnings).cloned();
        let undecided: Vec<Problem> = warnings.chain(discovery.candidates.iter().flat_map(undecided)).collect();
        match undecided.is_empty() || !self.strict {
            true => Ok(()),
            false => Err(Problems::Found(undecided).into()),
        }
    }
}

/// A problem for each place of a candidate.
fn undecided(candidate: &Candidate) -> impl Iterator<Item = Problem> {
    candidate.reasons.iter().map(|reason| {
        let place = reason.object.as_ref().map(|object| format!("{object}: {}: ", reason.field)).unwrap_or_default();
        let message =
            format!("{place}{} looks like an image; add it to `images` or to `ignoreImages`", candidate.reference);
        let position = Some(Position { line: reason.line, column: 1 });
        Problem { file: reason.file.clone(), position, line: None, message }
    })
}
