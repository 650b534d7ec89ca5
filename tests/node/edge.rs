//! The edge: a profile whose distribution is k3s, with the stand-in for its program, in the versions that the tests need.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use carrack::registry::in_process::InProcessRegistry;

use super::layers::{image, layer};
use super::shop;

/// Where the stand-in looks for what it needs.
pub(crate) const STAND_IN: &str = "/usr/local/share/carrack-stand-in";

/// A version of the edge.
pub(crate) struct Version {
    pub(crate) number: &'static str,
    /// The version of Kubernetes.
    kubernetes: &'static str,
    /// The version of the data that its program writes, and reads up to.
    pub(crate) data: &'static str,
    /// What the stand-in is told.
    behaviour: &'static str,
    /// A key of its configuration.
    key: &'static str,
    /// Whether it brings a unit of its own, which gives up sooner than Carrack's.
    has_unit: bool,
}

const USUAL: Version =
    Version { number: "", kubernetes: "1.32.5", data: "1", behaviour: "", key: "tls-san", has_unit: false };
/// Its node is ready a little after its start.
pub(crate) const FIRST: Version = Version { number: "1.0.0", behaviour: "late 3", ..USUAL };
/// What it is upgraded to.
pub(crate) const SECOND: Version = Version { number: "1.1.0", kubernetes: "1.33.1", data: "2", ..USUAL };
/// What it cannot be upgraded to: the server dies once it has changed the data.
pub(crate) const DYING: Version =
    Version { number: "1.2.0", kubernetes: "1.33.1", data: "2", behaviour: "dies", ..USUAL };
/// Its server is up in the time that its unit has, or never.
pub(crate) const NEVER: Version = Version { number: "0.1.0", behaviour: "never", has_unit: true, ..USUAL };
/// Its server is up, and its API answers no.
pub(crate) const LATE: Version = Version { number: "0.2.0", behaviour: "late 1000000", ..USUAL };
/// Its configuration has a key that k3s does not have, which is no more than a warning where no list has its release.
pub(crate) const MISTAKEN: Version = Version { number: "0.3.0", kubernetes: "1.37.0", key: "tls-sann", ..USUAL };

/// The unit as somebody may bring it: it does not wait for ever.
const UNIT: &str = "[Unit]\nDescription=k3s with a limit\n[Service]\nType=notify\nKillMode=process\nDelegate=yes\n\
                    TimeoutStartSec=15\nRestart=always\nRestartSec=5s\nExecStart=/usr/local/bin/k3s server\n\
                    [Install]\nWantedBy=multi-user.target\n";

impl Version {
    /// The bundle's path in the machine.
    pub(crate) fn bundle(&self) -> String {
        format!("/media/usb/edge-{}.tar.zst", self.number)
    }

    /// The name of its image as the bundle says it, from the repository on.
    pub(crate) fn image(&self) -> String {
        format!("edge/pause:{}", self.number)
    }
}

/// Builds the bundles of all versions in `folder`; returns their paths.
pub(crate) fn build(folder: &Path) -> Vec<PathBuf> {
    let registry = InProcessRegistry::start().unwrap();
    [FIRST, SECOND, DYING, NEVER, LATE, MISTAKEN]
        .iter()
        .map(|version| build_version(version, folder, &registry))
        .collect()
}

fn build_version(version: &Version, folder: &Path, registry: &InProcessRegistry) -> PathBuf {
    let Version { number, kubernetes, behaviour, key, .. } = version;
    let layers = vec![layer(&[("pause", number)])];
    registry.put_image("edge/pause", Some(number), &image("linux/amd64", layers, &["/pause"]));

    let folder = folder.join(format!("edge-{number}"));
    fs::create_dir_all(&folder).unwrap();
    let write = |name: &str, content: &str| fs::write(folder.join(name), content).unwrap();
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/distro");
    let program = fs::read_to_string(fixtures.join("stand-in/distribution")).unwrap();
    assert!(program.contains("\nversion=1\n"));
    write("k3s", &program.replace("\nversion=1\n", &format!("\nversion={}\n", version.data)));
    fs::copy(fixtures.join("k3s/options.txt"), folder.join("options.txt")).unwrap();
    write("shop.yaml", "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n");
    let mut files = vec![
        ("k3s", "/usr/local/bin/k3s".to_owned(), "0755"),
        ("options.txt", format!("{STAND_IN}/k3s/options.txt"), "0644"),
    ];
    if !behaviour.is_empty() {
        write("behaviour", &format!("{behaviour}\n"));
        files.push(("behaviour", format!("{STAND_IN}/behaviour"), "0644"));
    }
    if version.has_unit {
        write("k3s.service", UNIT);
        files.push(("k3s.service", "/etc/systemd/system/k3s.service".to_owned(), "0644"));
    }
    let mut profile = format!(
        "apiVersion: carrack/v1\nkind: ClusterProfile\nmetadata: {{name: edge, version: {number}}}\nspec:\n  packs:\n    \
         - name: k3s\n      layer: k8s\n      distribution: k3s\n      version: {kubernetes}\n      \
         config: {{{key}: [edge.example.org]}}\n      images: [\"{}/{}\"]\n      files:\n",
        registry.host(),
        version.image()
    );
    for (source, path, mode) in files {
        writeln!(profile, "        - {{source: ./{source}, path: {path}, mode: \"{mode}\"}}").unwrap();
    }
    profile.push_str("    - {name: shop, layer: addon, manifests: [./shop.yaml]}\n");
    write("carrack.yaml", &profile);
    shop::build_bundle(&folder, folder.with_file_name(format!("edge-{number}.tar.zst")))
}
