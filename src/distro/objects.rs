//! What runs in a cluster whose distribution has no folder for it: manifests by kubectl, charts by Helm.

use super::Step;
use super::cluster::{Cluster, Release};

/// Seconds for all manifests, and for each chart.
const SECONDS: u32 = 600;

/// The steps. `kubectl` and `helm` are these programs with the arguments by which they reach the cluster. Each manifest is
/// tried again until it is taken: one of another file may have to be there first, and so may what checks them.
pub(super) fn steps(cluster: &Cluster<'_>, kubectl: &[String], helm: &[String]) -> Vec<Step> {
    let mut steps: Vec<Step> = cluster.manifests.iter().map(|path| manifest(path, kubectl)).collect();
    steps.extend(cluster.releases.iter().map(|release| chart(release, helm)));
    steps
}

/// What the manifest says is what counts for the fields that it has, whoever has changed them; all others are left alone
/// (<https://kubernetes.io/docs/reference/using-api/server-side-apply/>).
pub(super) fn manifest(path: &str, kubectl: &[String]) -> Step {
    let arguments = ["apply", "--server-side", "--force-conflicts", "--field-manager=carrack", "-f", path];
    Step::Wait { what: format!("the cluster takes {path}"), command: with(kubectl, &arguments), seconds: SECONDS }
}

fn chart(Release { name, namespace, package, values }: &Release, helm: &[String]) -> Step {
    let arguments = ["upgrade", "--install", name, package, "--namespace", namespace, "--create-namespace"];
    let mut command = with(helm, &arguments);
    if let Some(values) = values {
        command.extend(["--values".to_owned(), values.clone()]);
    }
    Step::Run { what: format!("install the chart {name}"), command, unless: None, undo: None, seconds: SECONDS }
}

/// A program with more arguments.
pub(super) fn with(program: &[String], arguments: &[&str]) -> Vec<String> {
    program.iter().cloned().chain(arguments.iter().map(|word| (*word).to_owned())).collect()
}

/// Whether a step gives the cluster a manifest or a chart: one of those that are made here.
pub fn gives_objects(step: &Step) -> bool {
    let has = |command: &[String], words: [&str; 2]| words.iter().all(|word| command.iter().any(|one| one == word));
    match step {
        Step::Wait { command, .. } => has(command, ["apply", "--field-manager=carrack"]),
        Step::Run { command, .. } => has(command, ["upgrade", "--install"]),
        _ => false,
    }
}
