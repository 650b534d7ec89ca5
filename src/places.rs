//! Where on a host the parts of a cluster go, for each Kubernetes distribution.
//!
//! Owns names and folders; the build checks with them what the installer does with them. It must not look at a host.

mod paths;

pub use paths::{check_clean, check_data_folder, check_file, check_removable, is_system_folder, is_within};

use crate::oci::Digest;

/// Where a bundle's parts go, within the root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Places {
    /// Where k3s looks for them.
    K3s,
    /// Where RKE2 looks for them.
    Rke2,
    /// Below Carrack's own folder, from where the installer applies them where the distribution is kubeadm or Canonical
    /// Kubernetes, and nothing does otherwise.
    Own,
}

/// Carrack's own folder.
pub const OWN: &str = "/var/lib/carrack";
/// What the installer's own files beside others end in.
const OWN_ENDINGS: [&str; 2] = [".carrack-new", ".carrack-old"];

impl Places {
    /// The places for the first of these distributions that applies what it finds.
    pub fn of<'a>(mut distributions: impl Iterator<Item = &'a str>) -> Self {
        let known = |name| match name {
            "k3s" => Some(Self::K3s),
            "rke2" => Some(Self::Rke2),
            _ => None,
        };
        distributions.find_map(known).unwrap_or(Self::Own)
    }

    fn data(self) -> Option<&'static str> {
        match self {
            Self::K3s => Some("/var/lib/rancher/k3s"),
            Self::Rke2 => Some("/var/lib/rancher/rke2"),
            Self::Own => None,
        }
    }

    /// The place of a manifest called `file` of a pack.
    pub fn manifest(self, pack: &str, file: &str) -> String {
        match self.data() {
            None => format!("{OWN}/manifests/{pack}/{file}"),
            Some(data) => format!("{data}/server/manifests/{}", object_file(pack, file)),
        }
    }

    /// The place of a chart's package; none where it is a part of the object that installs it. Its digest is in the name,
    /// since k3s installs a release again when the address of its chart has changed.
    pub fn package(self, pack: &str, chart: &str, version: &str, digest: &Digest) -> Option<String> {
        match self {
            Self::Own => Some(format!("{OWN}/charts/{pack}/{chart}-{version}.tgz")),
            Self::K3s => {
                let (version, digest) = (version.replace('+', "_"), &digest.hex()[..12]);
                Some(format!("/var/lib/rancher/k3s/server/static/charts/{chart}-{version}-{digest}.tgz"))
            }
            // Its API server is Kubernetes' own, which serves no files.
            Self::Rke2 => None,
        }
    }

    /// The place of what says how a chart is installed: an object for the distribution, or the values alone.
    pub fn release(self, pack: &str, release: &str) -> String {
        match self {
            Self::Own => format!("{OWN}/charts/{pack}/{release}-values.yaml"),
            Self::K3s | Self::Rke2 => self.manifest(pack, &format!("chart-{release}.yaml")),
        }
    }

    /// The place of what is added to the distribution's configuration.
    pub fn config(self) -> &'static str {
        match self {
            Self::Own => "/var/lib/carrack/config.yaml",
            Self::K3s => "/etc/rancher/k3s/config.yaml.d/50-carrack.yaml",
            Self::Rke2 => "/etc/rancher/rke2/config.yaml.d/50-carrack.yaml",
        }
    }

    /// A place of these where the site names another folder for the distribution's data.
    pub fn within(self, path: String, install_root: Option<&str>) -> String {
        let rest = self.data().and_then(|data| path.strip_prefix(data)).filter(|rest| rest.starts_with('/'));
        match (rest, install_root) {
            (Some(rest), Some(root)) => format!("{root}{rest}"),
            _ => path,
        }
    }

    /// What two different files may not have in common: k3s and RKE2 take what a file of manifests is called without its
    /// ending for the name of one set of objects, and remove those of the set that a file does not have.
    pub fn identity(self, path: &str) -> &str {
        let folder = self.data().and_then(|data| path.strip_prefix(data)?.strip_prefix("/server/manifests/"));
        match folder {
            Some(_) => path.rsplit_once('.').map_or(path, |(stem, _)| stem),
            None => path,
        }
    }
}

/// Whether a path is the installer's own, where no bundle puts a file of its own accord.
pub fn is_reserved(path: &str) -> bool {
    let inside = path.strip_prefix(OWN).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    inside || OWN_ENDINGS.iter().any(|ending| path.ends_with(ending))
}

/// The file of a pack's manifest where k3s and RKE2 look. They read `.yaml`, `.yml` and `.json` alone, and make the name of
/// an object from what is before the first dot (k3s, pkg/deploy/controller.go), so there is one dot only, and before it
/// what names of objects have (RFC 1123).
fn object_file(pack: &str, file: &str) -> String {
    let (stem, ending) = match file.rsplit_once('.') {
        Some((stem, ending @ ("yaml" | "yml" | "json"))) => (stem, ending),
        _ => (file, "yaml"),
    };
    let words = stem.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let words: Vec<String> = words.map(str::to_ascii_lowercase).collect();
    format!(
        "{}.{ending}",
        ["carrack", pack].into_iter().chain(words.iter().map(String::as_str)).collect::<Vec<_>>().join("-")
    )
}

/// Whether a file at `path` of a host is a program by its place: below a folder `bin` or `sbin`.
pub fn is_program_path(path: &str) -> bool {
    let folders = path.rsplit_once('/').map_or("", |(folders, _)| folders);
    folders.split('/').any(|folder| matches!(folder, "bin" | "sbin"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_lie_below_folders_of_programs() {
        for program in ["/usr/local/bin/k3s", "/sbin/x", "/opt/shop/bin/linux/x", "/bin/x"] {
            assert!(is_program_path(program), "{program}");
        }
        for other in ["/etc/default/k3s", "/usr/lib/bin", "/opt/cabin/x", "/opt/x.bin/y", "bin"] {
            assert!(!is_program_path(other), "{other}");
        }
    }

    #[test]
    fn files_of_manifests_are_names_of_objects() {
        for (name, file) in [
            ("web.yaml", "carrack-shop-web.yaml"),
            ("10_Shop Api.yml", "carrack-shop-10-shop-api.yml"),
            ("rbac.v1.json", "carrack-shop-rbac-v1.json"),
            ("_crds_.yaml", "carrack-shop-crds.yaml"),
            ("objects.txt", "carrack-shop-objects-txt.yaml"),
            ("_.yaml", "carrack-shop.yaml"),
        ] {
            assert_eq!(object_file("shop", name), file);
        }
    }

    #[test]
    fn files_of_one_set_have_one_identity() {
        let path = |file: &str| Places::K3s.manifest("shop", file);
        assert_eq!(Places::K3s.identity(&path("a_b.yaml")), Places::K3s.identity(&path("A-b.json")));
        assert_ne!(Places::K3s.identity(&path("a.yaml")), Places::K3s.identity(&path("b.yaml")));
        assert_eq!(Places::K3s.identity("/etc/a.b"), "/etc/a.b");
    }

    #[test]
    fn data_moves_with_the_folder_that_the_site_names() {
        let moved = |places: Places, path: &str| places.within(path.to_owned(), Some("/opt/edge"));
        let manifest = Places::K3s.manifest("shop", "a.yaml");
        assert_eq!(moved(Places::K3s, &manifest), "/opt/edge/server/manifests/carrack-shop-a.yaml");
        let package = Places::K3s.package("shop", "web", "1.0.0", &Digest::of(b"")).unwrap();
        assert_eq!(moved(Places::K3s, &package), "/opt/edge/server/static/charts/web-1.0.0-e3b0c44298fc.tgz");
        assert_eq!(moved(Places::K3s, "/etc/rancher/k3s/registries.yaml"), "/etc/rancher/k3s/registries.yaml");
        assert_eq!(moved(Places::K3s, "/var/lib/rancher/k3s2/x"), "/var/lib/rancher/k3s2/x");
        assert_eq!(moved(Places::Own, "/var/lib/carrack/manifests/a/b"), "/var/lib/carrack/manifests/a/b");
        assert_eq!(Places::K3s.within(manifest.clone(), None), manifest);
    }

    #[test]
    fn the_installers_own_places_are_reserved() {
        for path in
            ["/var/lib/carrack", "/var/lib/carrack/receipts/1-x.json", "/etc/motd.carrack-new", "/x.carrack-old"]
        {
            assert!(is_reserved(path), "{path}");
        }
        assert!(!is_reserved("/var/lib/carrack2/x") && !is_reserved("/etc/motd"));
    }
}
