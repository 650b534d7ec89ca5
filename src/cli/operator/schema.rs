//! `carrack schema`: the JSON Schema of the profile.

use crate::cli::{CliError, Ui};
use crate::profile::schema;

/// Print the JSON Schema of a cluster profile, for editors
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  carrack schema > cluster-profile.schema.json")]
pub(super) struct Args {}

pub(super) fn run(_args: &Args, ui: &Ui) -> Result<(), CliError> {
    ui.json(&schema::cluster_profile())
}
