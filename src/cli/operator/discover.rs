//! From a profile and its charts to its images, for every command that needs them.

use crate::chart::{Chart, Helm};
use crate::cli::CliError;
use crate::images::{self, Discovery, Options};
use crate::profile::Profile;

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
    pub(super) fn discover(self, profile: &Profile, charts: &[Chart]) -> Result<Discovery, CliError> {
        let named = std::env::var_os("CARRACK_HELM");
        let path = std::env::var_os("PATH");
        let helm = match charts {
            [] => None,
            _ => Helm::find(named.as_deref(), path.as_deref())?,
        };
        let options = Options { helm: helm.as_ref(), allow_unrendered: self.allow_unrendered };
        Ok(images::discover(profile, charts, options)?)
    }
}
