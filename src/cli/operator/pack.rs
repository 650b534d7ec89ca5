//! `carrack pack push`: share a pack through a registry.

use std::path::PathBuf;

use serde::Serialize;

use super::RegistryArgs;
use crate::cli::ui::{bytes, counted};
use crate::cli::{CliError, Kind, Ui};
use crate::gather::{self, Pushed};
use crate::oci::Digest;

/// Share packs through registries
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Push(PushArgs),
}

/// Check a pack and put it into a registry
///
/// Sends pack.yaml and the files that it names, and README.md, LICENSE and NOTICE beside it; nothing else of the folder.
/// Prints the reference with its digest, as a profile names it in a pack's `source`. The same folder has the same digest.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  carrack pack push packs/web oci://registry.example.org/packs/web")]
struct PushArgs {
    /// The folder with the pack.yaml
    folder: PathBuf,
    /// Where to; the tag is the pack's version if there is none
    #[arg(value_name = "oci://HOST/REPOSITORY[:TAG]")]
    target: String,
    #[command(flatten)]
    registry: RegistryArgs,
}

/// What `--json` prints.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report<'p> {
    version: u32,
    name: &'p str,
    reference: String,
    digest: Digest,
    files: &'p [String],
    bytes: u64,
    sent_bytes: u64,
}

pub(super) fn run(args: &Args, ui: &Ui) -> Result<(), CliError> {
    let Command::Push(args) = &args.command;
    let Some(target) = args.target.strip_prefix("oci://") else {
        let text = format!("{:?} is no place for a pack", args.target);
        return Err(CliError::new(Kind::Usage, text).hint("write it as oci://HOST/REPOSITORY[:TAG]"));
    };
    let registry = args.registry.client();
    let pushed = super::runtime()?.block_on(gather::push(&registry, &args.folder, target))?;
    let Pushed { reference, digest, name, files, bytes: all, sent } = &pushed;
    let reference = format!("oci://{reference}");
    if ui.wants_json() {
        return ui.json(&Report {
            version: 1,
            name,
            reference,
            digest: *digest,
            files,
            bytes: *all,
            sent_bytes: *sent,
        });
    }
    ui.data(&format!("{reference}@{digest}"));
    ui.status(&format!("{name}: {}, {}, {} sent", counted(files.len(), "file"), bytes(*all), bytes(*sent)));
    Ok(())
}
