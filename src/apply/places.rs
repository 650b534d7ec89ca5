//! Where a Kubernetes distribution looks for manifests, charts and configuration.

use super::image_folder::ImageFolder;
use crate::bundle::{ChartFile, Contents};

/// Where a bundle's parts go, within the root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Places {
    /// Below the folder of a distribution whose controller applies them by itself.
    Distribution(ImageFolder),
    /// Below Carrack's own folder, from where nothing applies them.
    Own,
}

/// Where manifests, charts and configuration are put when no distribution takes them.
pub(super) const OWN: &str = "/var/lib/carrack";

impl Places {
    /// The places for the distribution that the profile names.
    pub(super) fn of(contents: &Contents) -> Self {
        let mut named = contents.profile.packs.iter().filter_map(|pack| pack.distribution.as_deref());
        named.find_map(ImageFolder::of_distribution).map_or(Self::Own, Self::Distribution)
    }

    /// The place of a manifest. k3s and RKE2 make the name of an object from that of the file, so it is a name that
    /// Kubernetes takes; they read files that end in `.yaml`, `.yml` and `.json` only.
    pub(super) fn manifest(self, pack: &str, name: &str) -> String {
        match self {
            Self::Own => format!("{OWN}/manifests/{pack}/{name}"),
            Self::Distribution(folder) => {
                format!("{}/server/manifests/carrack-{pack}.{}", data(folder), object_file(name))
            }
        }
    }

    /// The place of a chart's package. Its digest is in the name, since a distribution installs a release again when the
    /// address of its chart has changed.
    pub(super) fn package(self, chart: &ChartFile) -> String {
        match self {
            Self::Own => format!("{OWN}/charts/{}/{}-{}.tgz", chart.pack, chart.name, chart.version),
            Self::Distribution(folder) => format!("{}/server/static/charts/{}", data(folder), package_name(chart)),
        }
    }

    /// The place of what says how a chart is installed: an object for the distribution, or the values alone.
    pub(super) fn release(self, chart: &ChartFile) -> String {
        match self {
            Self::Own => format!("{OWN}/charts/{}/{}-values.yaml", chart.pack, chart.release),
            Self::Distribution(_) => self.manifest(&chart.pack, &format!("chart-{}.yaml", chart.release)),
        }
    }

    /// The place of what is added to the distribution's configuration.
    pub(super) fn config(self) -> &'static str {
        match self {
            Self::Own => "/var/lib/carrack/config.yaml",
            Self::Distribution(ImageFolder::K3s) => "/etc/rancher/k3s/config.yaml.d/50-carrack.yaml",
            Self::Distribution(ImageFolder::Rke2) => "/etc/rancher/rke2/config.yaml.d/50-carrack.yaml",
        }
    }
}

fn data(folder: ImageFolder) -> &'static str {
    match folder {
        ImageFolder::K3s => "/var/lib/rancher/k3s",
        ImageFolder::Rke2 => "/var/lib/rancher/rke2",
    }
}

/// The package's file, which the API server of the distribution serves below `/static/charts/`.
pub(super) fn package_name(chart: &ChartFile) -> String {
    let digest = chart.blob.digest.hex();
    format!("{}-{}-{}.tgz", chart.name, chart.version.replace('+', "_"), &digest[..12])
}

/// `name` as a name of Kubernetes' objects (RFC 1123 subdomain), with an ending that the distribution reads.
fn object_file(name: &str) -> String {
    let (stem, ending) = match name.rsplit_once('.') {
        Some((stem, ending @ ("yaml" | "yml" | "json"))) => (stem, ending),
        _ => (name, "yaml"),
    };
    let plain =
        |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '.') { c.to_ascii_lowercase() } else { '-' };
    let stem: String = stem.chars().map(plain).collect();
    let stem: Vec<&str> = stem.split('.').map(|word| word.trim_matches('-')).filter(|word| !word.is_empty()).collect();
    format!("{}.{ending}", stem.join("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_manifests_are_names_of_objects() {
        for (name, file) in [
            ("shop.yaml", "shop.yaml"),
            ("10_Shop Api.yml", "10-shop-api.yml"),
            ("rbac.v1.json", "rbac.v1.json"),
            ("_crds_.yaml", "crds.yaml"),
            ("objects.txt", "objects.txt.yaml"),
            ("..x..yaml", "x.yaml"),
        ] {
            assert_eq!(object_file(name), file);
        }
    }
}
