//! What the distribution of a bundle wants of this machine: the bundle, the site and the host, put together for it.

use std::sync::Arc;

use super::ApplyError;
use super::files::{FileKind, TargetFile};
use super::history::History;
use super::runtime_config::ignores_pins;
use super::settle::{Secret, Settler, Written};
use super::survey::Target;
use super::targets::Inputs;
use super::workloads;
use crate::bundle::Contents;
use crate::distro::{self, Applied, Cluster, Host, Release, Setup, SetupFile, applies_objects, looked_for};
use crate::host::Root;
use crate::places::Places;
use crate::variables::template::{Around, Spelling};

/// What `--skip` names where nobody waits until what was applied is ready.
const READY: &str = "ready";
/// What a profile without a distribution has.
pub(super) const NONE: &str = "none";

/// The pack that the machine's part of a cluster is of, and its distribution.
pub(super) fn distribution(contents: &Contents) -> (&str, &str) {
    let packs = &contents.profile.packs;
    let named = packs.iter().find_map(|pack| Some((pack.name.as_str(), pack.distribution.as_deref()?)));
    named.unwrap_or((packs.first().map_or("", |pack| pack.name.as_str()), NONE))
}

/// What the distribution wants, besides the bundle's own `files`.
///
/// # Errors
/// [`ApplyError::Refused`] with all that it cannot do, or what cannot be filled in or read.
pub(super) fn setup(
    inputs: Inputs<'_>,
    target: &Target,
    settler: &Settler<'_>,
    files: &[TargetFile],
) -> Result<(Setup, Option<Arc<Written>>), ApplyError> {
    let contents = inputs.contents;
    let (pack, distribution) = distribution(contents);
    let config = match &contents.config {
        Some(config) if config.template => Some(settler.fill(&config.blob, Around::Yaml, "the configuration")?),
        Some(config) => Some(settler.plain(&config.blob)?),
        None => None,
    };
    let text = config.as_ref().map(|config| String::from_utf8_lossy(&config.bytes).into_owned()).unwrap_or_default();
    let of = |kind: FileKind| files.iter().filter(move |file| file.kind == kind).map(|file| file.path.clone());
    let paths: Vec<String> = of(FileKind::Host).collect();
    let manifests: Vec<String> = of(FileKind::Manifest).collect();
    let images: Vec<_> = contents.images.iter().map(|image| image.reference.clone()).collect();
    let version = contents.profile.packs.iter().find(|one| one.name == pack).and_then(|pack| pack.version.as_deref());
    let installed = installed_version(&target.root, contents, pack)?;
    let cluster = Cluster {
        node: inputs.node,
        host: &host(target),
        pack,
        version,
        upgrade_from: installed.as_deref().filter(|installed| Some(*installed) != version),
        config: &text,
        config_is_private: config.as_ref().is_some_and(|config| !config.secrets.is_empty()),
        files: &paths,
        manifests: &manifests,
        releases: &releases(inputs, distribution),
        images: &images,
        applied: &if target.choices.skips(READY) {
            Applied::default()
        } else {
            workloads::applied(inputs, settler, files)?
        },
    };
    let setup = distro::setup(distribution, &cluster).map_err(ApplyError::Refused)?;
    Ok((setup, config))
}

fn installed_version(root: &Root, contents: &Contents, pack: &str) -> Result<Option<String>, ApplyError> {
    let history = History::of(root)?;
    let current = history.of_profile(&contents.profile.name).next();
    let found = current.and_then(|entry| entry.receipt.kubernetes(pack));
    Ok(found.and_then(|pack| pack.version.clone()))
}

/// Releases that the distribution does not install by itself, and this machine does.
fn releases(inputs: Inputs<'_>, distribution: &str) -> Vec<Release> {
    let places = Places::of([distribution].into_iter());
    let release = |chart: &crate::bundle::ChartFile| {
        let package = places.package(&chart.pack, &chart.name, &chart.version, &chart.blob.digest)?;
        Some(Release {
            name: chart.release.clone(),
            namespace: chart.namespace.clone(),
            package,
            values: chart.values.as_ref().map(|_| places.release(&chart.pack, &chart.release)),
        })
    };
    let charts = inputs.contents.charts.iter();
    charts.filter(|_| applies_objects(distribution, inputs.node)).filter_map(release).collect()
}

/// What is known of the machine that is installed into.
fn host(target: &Target) -> Host {
    let root = &target.root;
    let text = |path: &str| {
        let content = root.read(path).ok().flatten().unwrap_or_default();
        String::from_utf8_lossy(&content).into_owned()
    };
    let release = ["/etc/os-release", "/usr/lib/os-release"].map(text);
    let release = release.iter().find(|text| !text.is_empty()).map(String::as_str).unwrap_or_default();
    let field = |name: &str| {
        let line = release.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        line.unwrap_or_default().trim_matches(['"', '\'']).to_owned()
    };
    let name = if root.is_host() { text("/proc/sys/kernel/hostname") } else { text("/etc/hostname") };
    let there = |path: &String| root.exists(path);
    Host {
        running: root.is_host(),
        hostname: name.trim().to_owned(),
        architecture: target.platform.architecture.clone(),
        os: field("ID"),
        like: field("ID_LIKE").split_whitespace().map(str::to_owned).collect(),
        present: looked_for().into_iter().filter(there).collect(),
        forgets_pins: target.containerd.as_deref().is_some_and(ignores_pins),
    }
}

/// The content of a file of the distribution. Values of sensitive variables that stand in it as they are can be read from there
/// again by a later version.
pub(super) fn written(file: &SetupFile, config: Option<&Written>) -> Written {
    let mut secrets = Vec::new();
    if file.private {
        for secret in config.iter().flat_map(|config| config.values()) {
            let found = (!secret.1.is_empty()).then(|| file.text.find(&secret.1)).flatten();
            secrets.extend(found.map(|at| Secret {
                variable: secret.0.clone(),
                bytes: at..at + secret.1.len(),
                spelling: Spelling::AsIs,
            }));
        }
    }
    Written { bytes: file.text.clone().into_bytes(), secrets, private: file.private }
}
