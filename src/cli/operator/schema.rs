//! `carrack schema`: the JSON Schemas of what people write.

use crate::cli::{CliError, Ui};
use crate::profile::schema;
use crate::site::schema::Site;

/// Print the JSON Schema of a document, for editors
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  carrack schema pack > pack.schema.json")]
pub(super) struct Args {
    /// Which document
    #[arg(default_value = "profile")]
    document: Document,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Document {
    /// A cluster profile, carrack.yaml
    Profile,
    /// A pack, pack.yaml
    Pack,
    /// A site file, for carrack-install --site
    Site,
}

pub(super) fn run(args: &Args, ui: &Ui) -> Result<(), CliError> {
    ui.json(&match args.document {
        Document::Profile => schema::cluster_profile(),
        Document::Pack => schema::pack(),
        Document::Site => schema::schema_of::<Site>(),
    })
}
