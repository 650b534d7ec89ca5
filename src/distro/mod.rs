//! What a Kubernetes distribution wants of a host besides the bundle's own files: configuration, units, and what is done
//! to start, save and remove it.
//!
//! Owns what distributions call their files, flags and units. It is pure: it looks at no host and does nothing.

mod canonical;
mod cluster;
mod dummy_route;
mod eviction;
mod host;
mod hosts;
mod k3s;
mod kube_vip;
mod kubeadm;
mod kubeadm_changes;
mod kubeadm_config;
mod kubeadm_upgrade;
mod labels;
mod none;
mod objects;
mod proxy;
mod rancher;
mod registries;
mod renewed;
mod rke2;
mod step;
mod tree;

pub use canonical::IMAGES as CANONICAL_IMAGES;
pub use cluster::{Applied, Cluster, Host, Release};
pub use dummy_route::{DUMMY_INTERFACE, DUMMY_ROUTE_UNIT};
pub use eviction::{Eviction, Free};
pub use kubeadm_changes::{Changes, Configuration, Fixed, NodeTaint};
pub use objects::gives_objects;
pub use renewed::{renewed, taken_away};
pub use step::{Configure, FOREIGN, Join, SAVED, Step};

use crate::site::node::{Membership, Node, Role};

/// What a distribution wants of one machine.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Setup {
    /// Files, besides those of the bundle.
    pub files: Vec<SetupFile>,
    /// What brings it up once all files are there, in order; ends with waiting until it is ready.
    pub start: Vec<Step>,
    /// What takes it down and away again, before its files are removed.
    pub remove: Vec<Step>,
    /// The folders and files that it fills by itself, and that go with it; none is there before it is installed.
    pub folders: Vec<String>,
    /// Folders that it and others use. They go with it where they were absent before; what was in them otherwise stays.
    pub shared: Vec<String>,
    /// Whether a machine that has failed to join leaves the cluster by itself, so that nobody counts on its data.
    pub leaves: bool,
    /// How its state is saved before an upgrade; none where this machine has none.
    pub save: Option<Save>,
    /// What its kubelet wants to be free on disks; none where it starts none.
    pub eviction: Option<Eviction>,
}

/// A file that a distribution reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetupFile {
    /// Its path within the root.
    pub path: String,
    /// Permission bits.
    pub mode: u32,
    /// Its content.
    pub text: String,
    /// Whether a secret is in it.
    pub private: bool,
}

/// How a cluster's state is saved and put back. In the steps, [`SAVED`] stands for the folder of the copy, which exists.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Save {
    /// Where the state is; where nothing is there, nothing is saved.
    pub state: String,
    /// What saves it. What these steps stop is started again by those of [`Setup::start`].
    pub save: Vec<Step>,
    /// What puts it back, while the distribution's own files are those that it was saved with.
    pub restore: Vec<Step>,
}

/// A distribution, told of one machine.
trait Distribution {
    /// What it cannot do of what is asked, each a sentence that says what to change.
    fn refusals(&self) -> Vec<String>;
    /// What is not there and has to be before it can start, each a sentence that says where to put it.
    fn lacks(&self) -> Vec<String>;
    /// See [`Setup::files`].
    fn files(&self) -> Vec<SetupFile>;
    /// See [`Setup::start`].
    fn start(&self) -> Vec<Step>;
    /// See [`Setup::folders`].
    fn folders(&self) -> Vec<String>;
    /// See [`Setup::shared`].
    fn shared(&self) -> Vec<String>;
    /// See [`Setup::remove`].
    fn remove(&self) -> Vec<Step>;
    /// See [`Setup::save`].
    fn save(&self) -> Option<Save>;
    /// `kubectl` with what it needs before its arguments, where it may look at the node, and whether it may look at everything.
    fn kubectl(&self) -> Option<(Vec<String>, bool)>;
    /// See [`Setup::eviction`].
    fn eviction(&self) -> Option<Eviction>;
}

/// What the distribution of this name wants of a machine.
///
/// # Errors
/// What cannot be done as it is asked, all of it, before anything is changed.
pub fn setup(distribution: &str, cluster: &Cluster<'_>) -> Result<Setup, Vec<String>> {
    // Those have a program by which a node leaves.
    let leaves = matches!(distribution, "kubeadm" | "canonical");
    let distribution: Box<dyn Distribution + '_> = match distribution {
        "k3s" => Box::new(k3s::K3s::of(cluster).map_err(|refusal| vec![refusal])?),
        "rke2" => Box::new(rke2::Rke2::of(cluster).map_err(|refusal| vec![refusal])?),
        "kubeadm" => Box::new(kubeadm::Kubeadm::of(cluster)?),
        "canonical" => Box::new(canonical::Canonical::of(cluster).map_err(|refusal| vec![refusal])?),
        "none" => Box::new(none::Nothing(cluster)),
        other => return Err(vec![format!("the distribution {other:?} is not one that this version of Carrack knows")]),
    };
    let mut refusals = host::refusals(cluster);
    refusals.extend(distribution.refusals());
    let lacks = distribution.lacks();
    let startable = lacks.is_empty();
    if cluster.host.running {
        refusals.extend(lacks);
    }
    if !refusals.is_empty() {
        return Err(refusals);
    }
    let mut setup = Setup {
        files: host::files(cluster),
        start: host::start(cluster),
        remove: distribution.remove().into_iter().chain(host::remove(cluster)).collect(),
        folders: distribution.folders(),
        shared: distribution.shared(),
        leaves,
        save: distribution.save(),
        eviction: distribution.eviction(),
    };
    setup.files.extend(distribution.files());
    if startable {
        setup.start.extend(distribution.start());
        setup.start.extend(ready(cluster, distribution.kubectl()));
    } else {
        // Into a folder that becomes a machine's root, it may come later.
        (setup.remove, setup.folders, setup.shared) = (host::remove(cluster), Vec::new(), Vec::new());
        setup.save = None;
    }
    Ok(setup)
}

/// Waiting until all works, where the profile does not say that nobody waits.
fn ready(cluster: &Cluster<'_>, kubectl: Option<(Vec<String>, bool)>) -> Option<Step> {
    let Applied { workloads, releases, seconds } = cluster.applied.clone();
    let (kubectl, everything) = kubectl.filter(|_| seconds > 0)?;
    Some(Step::Ready { kubectl, node: cluster.node_name(), everything, workloads, releases, seconds })
}

/// The programs, and the units of packages, that a distribution uses where the bundle does not bring them, as absolute
/// paths: those that are there go into [`Host::present`].
pub fn looked_for() -> Vec<String> {
    const FOLDERS: [&str; 6] = ["/usr/local/bin", "/usr/bin", "/usr/local/sbin", "/usr/sbin", "/opt/bin", "/snap/bin"];
    const NAMES: [&str; 7] = ["k3s", "rke2", "kubeadm", "kubelet", "kubectl", "helm", "snap"];
    const OWN_UNITS: [&str; 6] = [
        "k3s.service",
        "k3s-agent.service",
        "rke2-server.service",
        "rke2-agent.service",
        "kubelet.service",
        "kubelet.service.d/10-kubeadm.conf",
    ];
    let programs = NAMES.iter().flat_map(|name| FOLDERS.iter().map(move |folder| format!("{folder}/{name}")));
    let units =
        OWN_UNITS.iter().flat_map(|unit| cluster::UNITS[1..].iter().map(move |folder| format!("{folder}{unit}")));
    programs.chain(units).collect()
}

/// Whether a machine takes what runs in its cluster to it: manifests and charts. The servers of k3s and RKE2 each apply what is
/// in their folder, which is the same on all of them; otherwise the machine does that makes the cluster. What belongs to no
/// cluster is put everywhere.
pub fn applies_objects(distribution: &str, node: &Node) -> bool {
    let server = node.role == Role::Server;
    match distribution {
        "k3s" | "rke2" => server,
        "kubeadm" | "canonical" => server && matches!(node.cluster, Membership::Init { .. }),
        _ => true,
    }
}

/// A file without secrets.
fn file(path: impl Into<String>, text: impl Into<String>) -> SetupFile {
    SetupFile { path: path.into(), mode: 0o644, text: text.into(), private: false }
}

/// A file that root alone reads. It is private where `private` says so.
fn guarded(path: impl Into<String>, text: impl Into<String>, private: bool) -> SetupFile {
    SetupFile { path: path.into(), mode: 0o600, text: text.into(), private }
}

/// The words of a command.
fn words<const N: usize>(words: [&str; N]) -> Vec<String> {
    words.map(str::to_owned).to_vec()
}
