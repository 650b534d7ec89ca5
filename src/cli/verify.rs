//! `carrack verify` and `carrack-install verify`: read everything back and check it.

use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;

use super::identity::IdentityArgs;
use super::ui::{bytes, counted};
use super::{CliError, Kind, Ui};
use crate::bundle::BundleError;
use crate::progress::Progress;

/// Blobs read at once, at most: each may need a frame's memory twice, and disks get no faster.
const MAX_JOBS: usize = 8;

/// Read a whole bundle and check every byte of it
///
/// Checks the framing, the digest of every blob, that everything the bundle names is there, and that nothing else is.
/// Every damaged blob is named, with the images that need it.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The bundle
    bundle: PathBuf,
    #[command(flatten)]
    identity: IdentityArgs,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    version: u32,
    identity: String,
    name: String,
    profile_version: String,
    blobs: usize,
    bytes: u64,
}

pub(super) fn run(args: &Args, ui: &Ui) -> Result<(), CliError> {
    let bundle = args.identity.establish(&args.bundle)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.map_err(|error| CliError::from_error(Kind::Local, &error))?;
    runtime.spawn(super::interrupted(ui.clone(), None));
    let progress = Arc::new(Progress::default());
    let shown = ui.show("verifying", &progress);
    let jobs = std::thread::available_parallelism().map_or(1, usize::from).min(MAX_JOBS);
    let damaged = bundle.verify(jobs, &progress);
    drop(shown);
    if !damaged.is_empty() {
        return Err(summary(damaged));
    }
    let contents = bundle.contents();
    let total = bundle.blobs().iter().map(|blob| blob.size).sum();
    if ui.wants_json() {
        return ui.json(&Report {
            version: 1,
            identity: contents.identity.to_string(),
            name: contents.profile.name.clone(),
            profile_version: contents.profile.version.clone(),
            blobs: bundle.blobs().len(),
            bytes: total,
        });
    }
    ui.data(&contents.identity.to_string());
    let (name, version) = (&contents.profile.name, &contents.profile.version);
    ui.status(&format!(
        "{name} {version} is whole: {}, {} checked",
        counted(bundle.blobs().len(), "blob"),
        bytes(total)
    ));
    Ok(())
}

/// One error for all that is damaged: the first as the message, all of them as causes when there are several.
fn summary(damaged: Vec<BundleError>) -> CliError {
    let lines: Vec<String> = damaged.iter().map(ToString::to_string).collect();
    let mut errors = damaged.into_iter().map(CliError::from);
    match (errors.next(), lines.len()) {
        (Some(first), 1) => first,
        (Some(first), count) => CliError { message: format!("{count} blobs are damaged"), causes: lines, ..first },
        (None, _) => CliError::new(Kind::Bug, "verification failed without a reason"),
    }
}
