//! What a distribution is told: the machine's part, the bundle's, and what is known of the host.

use crate::oci::Reference;
use crate::places::is_program_path;
use crate::site::node::Node;

/// A machine that becomes, or is, a node of a cluster.
#[derive(Debug, Clone, Copy)]
pub struct Cluster<'a> {
    /// What the site says of it.
    pub node: &'a Node,
    /// What is known of it already.
    pub host: &'a Host,
    /// The name of the pack on layer `k8s`.
    pub pack: &'a str,
    /// The version of that pack, where it has one.
    pub version: Option<&'a str>,
    /// The version of that pack that is installed and is upgraded from, where that is another one.
    pub upgrade_from: Option<&'a str>,
    /// What the profile adds to the distribution's configuration: a YAML mapping with its placeholders filled in, or nothing.
    pub config: &'a str,
    /// Whether a secret is in it.
    pub config_is_private: bool,
    /// The paths of the host files that the bundle brings.
    pub files: &'a [String],
    /// The paths of its manifests, in order.
    pub manifests: &'a [String],
    /// Its charts, in order.
    pub releases: &'a [Release],
    /// What runs in the cluster of what the machine applies.
    pub applied: &'a Applied,
    /// The images that it brings.
    pub images: &'a [Reference],
}

/// What is known of a host, whose files and programs a distribution may need.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Host {
    /// Whether it is the machine that runs; otherwise it is a folder that becomes the root of one.
    pub running: bool,
    /// What it is called.
    pub hostname: String,
    /// Its architecture as images name it: `amd64`.
    pub architecture: String,
    /// `ID` of `/etc/os-release`: `debian`; empty where that is not known.
    pub os: String,
    /// The words of `ID_LIKE` there.
    pub like: Vec<String>,
    /// Those of [`looked_for`](super::looked_for) that are there.
    pub present: Vec<String>,
    /// Whether its containerd does not tell the kubelet which images are pinned, so that they would be collected when the disk
    /// fills.
    pub forgets_pins: bool,
}

/// What runs in the cluster of what a machine applies, as [`Step::Ready`](super::Step::Ready) names it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Applied {
    /// Objects of manifests: `Deployment NAMESPACE/NAME`, and the same of a `DaemonSet` and a `StatefulSet`.
    pub workloads: Vec<String>,
    /// Releases of charts: `NAMESPACE/NAME`.
    pub releases: Vec<String>,
    /// Seconds for which they are waited for; 0 where they are not.
    pub seconds: u32,
}

/// A release of a chart, with the places of what it is made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// The chart's package.
    pub package: String,
    /// Its values, where it has any.
    pub values: Option<String>,
}

/// How a host keeps the authorities that it trusts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Store {
    /// The folder of those that were added.
    pub(super) folder: &'static str,
    /// What puts them together with the others.
    pub(super) update: &'static [&'static str],
}

/// Debian's `update-ca-certificates(8)`, which reads `*.crt`.
const DEBIAN: Store =
    Store { folder: "/usr/local/share/ca-certificates", update: &["/usr/sbin/update-ca-certificates"] };
/// Red Hat's `update-ca-trust(8)`.
const RED_HAT: Store =
    Store { folder: "/etc/pki/ca-trust/source/anchors", update: &["/usr/bin/update-ca-trust", "extract"] };
/// The ca-certificates of SUSE, <https://github.com/openSUSE/ca-certificates>.
const SUSE: Store = Store { folder: "/etc/pki/trust/anchors", update: &["/usr/sbin/update-ca-certificates"] };

impl Host {
    /// Where it keeps authorities; none where its kind is not known.
    pub(super) fn store(&self) -> Option<Store> {
        let of = |word: &str| match word {
            "debian" | "ubuntu" => Some(DEBIAN),
            "rhel" | "fedora" | "centos" => Some(RED_HAT),
            "suse" | "opensuse" | "sles" => Some(SUSE),
            _ => None,
        };
        std::iter::once(&self.os).chain(&self.like).find_map(|word| of(word))
    }
}

impl Cluster<'_> {
    /// What the node is called in its cluster: the kubelet takes the hostname in lower case.
    pub(super) fn node_name(&self) -> String {
        self.node.hostname.as_deref().unwrap_or(&self.host.hostname).to_ascii_lowercase()
    }

    /// The path of the program `name`, from the bundle, or else from the host. A file of the bundle that has its name and lies
    /// elsewhere than programs do, its defaults say, is meant only where there is no other.
    pub(super) fn program(&self, name: &str) -> Option<&str> {
        let is = |path: &&String| path.rsplit('/').next() == Some(name);
        let program = self.files.iter().filter(is).find(|path| is_program_path(path));
        let brought = program.or_else(|| self.files.iter().find(is));
        brought.or_else(|| self.host.present.iter().find(is)).map(String::as_str)
    }

    /// Whether the bundle brings the systemd unit `name`, or packages of the host have. One in `/etc` is Carrack's own from
    /// before, or a person's, and is compared with what is wanted as every file is.
    pub(super) fn has_unit(&self, name: &str) -> bool {
        let is = |path: &String, folder: &str| path.strip_prefix(folder).is_some_and(|rest| rest == name);
        let brought = UNITS.iter().any(|folder| self.files.iter().any(|path| is(path, folder)));
        brought || UNITS[1..].iter().any(|folder| self.host.present.iter().any(|path| is(path, folder)))
    }

    /// Whether the bundle brings the file.
    pub(super) fn brings(&self, path: &str) -> bool {
        self.files.iter().any(|file| file == path)
    }
}

/// Where systemd looks for units; the first is that of who administers the host.
pub(super) const UNITS: [&str; 4] =
    ["/etc/systemd/system/", "/usr/local/lib/systemd/system/", "/usr/lib/systemd/system/", "/lib/systemd/system/"];
