//! `carrack export`: the definition of a cluster, from a profile or from the cluster itself.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use super::build::{Common, definition};
use crate::cli::ui::counted;
use crate::cli::{CliError, Ui};
use crate::cluster::{self, Exported, Snapshot, Wanted};
use crate::folder::ProfileFolder;
use crate::profile::FILE_NAME;

/// Write a cluster's definition: of a profile, without images, or of a running cluster, as a profile
///
/// With PROFILE, the same bundle as `carrack build` makes, with every image declared absent: for hosts that reach a
/// registry, whose runtime pulls the images by the digests of the lock.
///
/// With --from-cluster, a folder with a profile that holds what runs in the cluster of the kubeconfig: Helm releases with
/// their charts and values, and all other objects, with the digests of the images that really run. What is left out and
/// why is in its file NOT-EXPORTED.md.
#[derive(Debug, clap::Args)]
#[command(
    override_usage = "carrack export [OPTIONS] --output <BUNDLE> <PROFILE>\n       carrack export [OPTIONS] --output <FOLDER> --from-cluster",
    after_help = "Examples:\n  carrack export . -o edge-definition.tar.zst\n  carrack export --from-cluster -o edge\n  carrack export --from-cluster --context lab --namespaces shop,pay -o edge"
)]
pub(super) struct Args {
    /// The profile, or the folder with its carrack.yaml
    #[arg(required_unless_present = "from_cluster")]
    profile: Option<PathBuf>,
    #[command(flatten)]
    common: Common,
    /// Make a profile of a running cluster, in the new or empty folder --output
    #[arg(long, help_heading = "From a running cluster", conflicts_with_all = ["profile", "locked", "plain_http", "jobs", "allow_unrendered"])]
    from_cluster: bool,
    #[command(flatten)]
    cluster: ClusterArgs,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "From a running cluster")]
struct ClusterArgs {
    /// The context of the kubeconfig; the current one where absent
    #[arg(long, value_name = "NAME", requires = "from_cluster")]
    context: Option<String>,
    /// Only these namespaces, and what they need; also those of the system, which are left out otherwise
    #[arg(long, value_name = "NAME,…", value_delimiter = ',', value_parser = namespace, requires = "from_cluster")]
    namespaces: Vec<String>,
    /// Export the values of secrets too; otherwise each is a variable that the installer asks for
    #[arg(long, requires = "from_cluster")]
    with_secrets: bool,
    /// How long each answer of the API server may take
    #[arg(long, value_name = "SECONDS", default_value_t = 30, requires = "from_cluster", value_parser = clap::value_parser!(u64).range(1..=3600))]
    request_timeout: u64,
}

/// A DNS-1123 label, as it becomes part of a URL.
fn namespace(text: &str) -> Result<String, String> {
    let inner = text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    let whole = inner && !text.is_empty() && text.len() <= 63 && !text.starts_with('-') && !text.ends_with('-');
    if whole { Ok(text.to_owned()) } else { Err("a namespace is lowercase letters, digits and inner `-`".to_owned()) }
}

/// What `--json` prints.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report<'a> {
    version: u32,
    folder: &'a Path,
    server: String,
    objects: usize,
    releases: usize,
    pinned_images: usize,
    variables: &'a [String],
    warnings: &'a [String],
    not_read: Vec<NotRead<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NotRead<'a> {
    kind: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<&'a str>,
    reason: &'a str,
    forbidden: bool,
}

pub(super) fn run(args: &Args, ui: &Ui) -> Result<(), CliError> {
    match &args.profile {
        Some(profile) => definition(profile, &args.common, ui),
        None => from_cluster(&args.cluster, &args.common.output, ui),
    }
}

fn from_cluster(args: &ClusterArgs, output: &Path, ui: &Ui) -> Result<(), CliError> {
    ProfileFolder::check_target(output)?;
    let namespaces: BTreeSet<String> = args.namespaces.iter().cloned().collect();
    let wanted = Wanted { namespaces, secrets: args.with_secrets };
    let patience = Duration::from_secs(args.request_timeout);
    let (server, snapshot) = super::runtime()?.block_on(async {
        let cluster = cluster::connect(args.context.as_deref()).await?;
        ui.status(&format!("reading {}", cluster.server()));
        cluster::read(&cluster, &wanted, patience).await.map(|snapshot| (cluster.server(), snapshot))
    })?;
    let exported = cluster::export(&snapshot, &wanted)?;
    exported.folder.write(output)?;
    exported.warnings.iter().for_each(|warning| ui.warn(warning));
    report(server, &snapshot, &exported, output, ui)
}

fn report(server: String, snapshot: &Snapshot, exported: &Exported, output: &Path, ui: &Ui) -> Result<(), CliError> {
    if ui.wants_json() {
        let not_read = snapshot.failures.iter().map(|failure| NotRead {
            kind: &failure.what,
            namespace: failure.namespace.as_deref(),
            reason: &failure.reason,
            forbidden: failure.forbidden,
        });
        return ui.json(&Report {
            version: 1,
            folder: output,
            server,
            objects: exported.objects,
            releases: exported.releases,
            pinned_images: exported.pinned,
            variables: &exported.variables,
            warnings: &exported.warnings,
            not_read: not_read.collect(),
        });
    }
    ui.data(&output.join(FILE_NAME).display().to_string());
    ui.status(&format!(
        "{}: {}, {}, {}, {}",
        output.display(),
        counted(exported.objects, "object"),
        counted(exported.releases, "Helm release"),
        counted(exported.pinned, "container") + " with the digest that runs",
        counted(exported.variables.len(), "variable") + " for values of secrets",
    ));
    ui.status(&format!("what is left out, and why: {}", output.join("NOT-EXPORTED.md").display()));
    ui.status(&format!("next: carrack check {}", output.display()));
    Ok(())
}
