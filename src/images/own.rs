//! The images that a distribution starts its own pods from. Nothing in a profile's manifests and charts names them, and a host
//! without a network has no other way to get them.
//!
//! What is known of each is the last word of the repositories, so that mirrors under other names count too, unless the configuration says
//! where they are from; and for Kubernetes' own the tag. Which tag the others have, the release's list says.

use std::collections::BTreeSet;

use super::collect::Collector;
use crate::oci::Reference;
use crate::problem::Problem;
use crate::profile::{Distribution, Pack, Profile};
use crate::yaml::{self, Node};

/// An image of a distribution.
struct Own {
    /// The last word of its repository.
    name: &'static str,
    /// What the configuration leaves out, one of which means that it is not used (see [`unused`]).
    unless: &'static [&'static str],
    /// Whether its tag is the version of Kubernetes.
    is_kubernetes: bool,
}

const fn own(name: &'static str, unless: &'static [&'static str]) -> Own {
    Own { name, unless, is_kubernetes: false }
}

const fn kubernetes(name: &'static str, unless: &'static [&'static str]) -> Own {
    Own { name, unless, is_kubernetes: true }
}

/// `kubeadm config images list` (`cmd/kubeadm/app/images`).
const KUBEADM: &[Own] = &[
    kubernetes("kube-apiserver", &[]),
    kubernetes("kube-controller-manager", &[]),
    kubernetes("kube-scheduler", &[]),
    kubernetes("kube-proxy", &["addon/kube-proxy"]),
    own("etcd", &["external"]),
    own("coredns", &["addon/coredns"]),
    own("pause", &[]),
];
/// `scripts/airgap/image-list.txt` of k3s.
const K3S: &[Own] = &[
    own("mirrored-pause", &[]),
    own("mirrored-coredns-coredns", &["coredns"]),
    own("mirrored-metrics-server", &["metrics-server"]),
    own("local-path-provisioner", &["local-storage"]),
    own("mirrored-library-busybox", &["local-storage"]),
    own("mirrored-library-traefik", &["traefik"]),
    own("klipper-helm", &["traefik"]),
    own("klipper-lb", &["servicelb"]),
];
/// `scripts/build-images` of RKE2: what every cluster has, whatever network it takes.
const RKE2: &[Own] = &[
    own("rke2-runtime", &[]),
    own("hardened-kubernetes", &[]),
    own("hardened-etcd", &[]),
    own("mirrored-pause", &[]),
    own("hardened-coredns", &["rke2-coredns"]),
];
/// `k8s list-images` of the snap: what every cluster has.
const CANONICAL: &[Own] = &[own("pause", &[]), own("coredns", &[])];

/// Warns where the profile has a distribution and lacks images of it.
pub(super) fn warn(profile: &Profile, collector: &mut Collector<'_>) {
    let Some((pack, distribution)) = profile.packs.iter().find_map(|pack| Some((pack, pack.distribution?))) else {
        return;
    };
    let (all, list) = match distribution {
        Distribution::Kubeadm => (KUBEADM, "what `kubeadm config images list --kubernetes-version vVERSION` prints"),
        Distribution::K3s => (K3S, "k3s-images.txt of the release"),
        Distribution::Rke2 => (RKE2, "rke2-images-all.linux-amd64.txt of the release"),
        Distribution::Canonical => (CANONICAL, "what `k8s list-images` prints where the snap is installed"),
        Distribution::None => return,
    };
    // k3s and RKE2 import archives from there, whatever is in them.
    if profile.packs.iter().flat_map(|pack| &pack.files).any(|file| file.path.contains("/agent/images/")) {
        return;
    }
    let version = version(pack);
    let config = yaml::parse(pack.config.as_ref().map(|config| &*config.text).unwrap_or_default());
    let unused = unused(&config.documents);
    let set = |path: &[&str]| set(&config.documents, path);
    let whole = |own: &Own| own.set_by(distribution).and_then(set);
    let from = |own: &Own| own.from(distribution).iter().find_map(|path| set(path));
    let carried: Vec<&Reference> = collector.images().keys().collect();
    let lacks = |own: &&Own| {
        let is_used = !own.unless.iter().any(|word| unused.contains(*word));
        let is = |image: &&Reference| match (whole(own), from(own)) {
            (Some(text), _) => text.parse().is_ok_and(|named: Reference| named == **image),
            (None, Some(from)) => own.is(image, version.as_deref()) && begins(image, from),
            (None, None) => own.is(image, version.as_deref()),
        };
        is_used && !carried.iter().any(is)
    };
    let shown = |own: &Own| match (whole(own), from(own)) {
        (Some(text), _) => text.to_owned(),
        (None, Some(from)) => format!("{}/…/{}", from.trim_end_matches('/'), own.shown(version.as_deref())),
        (None, None) => own.shown(version.as_deref()),
    };
    let missing: Vec<String> = all.iter().filter(lacks).map(shown).collect();
    if missing.is_empty() {
        return;
    }
    let list = list.replace("VERSION", version.as_deref().unwrap_or("VERSION"));
    let message = format!(
        "pack {}: {distribution} starts pods of its own, and the profile lacks their images: {}; name {list} in `imageLists`",
        pack.name,
        missing.join(", ")
    );
    collector.warned(Problem::with_file(&pack.file, message));
}

/// The text at `path` of the configuration; nothing where a site decides what it is.
fn set<'c>(documents: &'c [Node], path: &[&str]) -> Option<&'c str> {
    let at = |document: &'c Node| path.iter().try_fold(document, |node, key| node.get(key))?.text();
    documents.iter().find_map(at).filter(|text| !text.is_empty() && !text.contains("{{"))
}

/// Whether the image is in the registry, or below the repository, `from`.
fn begins(image: &Reference, from: &str) -> bool {
    let name = format!("{}/{}", image.registry(), image.repository());
    name.starts_with(&format!("{}/", from.trim_end_matches('/')))
}

/// What the configuration of the distribution leaves out: what is in its lists `disable` and `skipPhases`, and `external` where
/// etcd is. Nothing where variables make it no YAML as it stands.
fn unused(documents: &[Node]) -> BTreeSet<String> {
    let mut unused = BTreeSet::new();
    for part in documents {
        let below = part.entries().iter().map(|entry| &entry.value);
        for node in std::iter::once(part).chain(below) {
            for list in ["disable", "skipPhases"].iter().filter_map(|key| node.get(key)) {
                // k3s takes one text with commas as well.
                let texts = list.items().iter().chain([list]).filter_map(Node::text);
                unused.extend(texts.flat_map(|text| text.split(',')).map(|word| word.trim().to_owned()));
            }
            if node.get("etcd").is_some_and(|etcd| etcd.get("external").is_some()) {
                unused.insert("external".to_owned());
            }
        }
    }
    unused
}

/// The version of Kubernetes, without what the distribution adds to it.
fn version(pack: &Pack) -> Option<String> {
    let version = pack.version.as_deref()?.trim_start_matches('v');
    version.split(['+', '-']).next().map(str::to_owned)
}

impl Own {
    /// The fields of the configuration that say where it is from; the first one that is there counts.
    fn from(&self, distribution: Distribution) -> &'static [&'static [&'static str]] {
        const REPOSITORY: &[&str] = &["clusterConfiguration", "imageRepository"];
        match (distribution, self.name) {
            (Distribution::Kubeadm, "coredns") => &[&["clusterConfiguration", "dns", "imageRepository"], REPOSITORY],
            (Distribution::Kubeadm, "etcd") => {
                &[&["clusterConfiguration", "etcd", "local", "imageRepository"], REPOSITORY]
            }
            (Distribution::Kubeadm, _) => &[REPOSITORY],
            (Distribution::K3s | Distribution::Rke2, _) => &[&["system-default-registry"]],
            _ => &[],
        }
    }

    /// The field of the configuration that names the whole image.
    fn set_by(&self, distribution: Distribution) -> Option<&'static [&'static str]> {
        match (distribution, self.name) {
            (Distribution::K3s | Distribution::Rke2, "mirrored-pause") => Some(&["pause-image"]),
            (Distribution::Rke2, "rke2-runtime") => Some(&["runtime-image"]),
            (Distribution::Rke2, "hardened-etcd") => Some(&["etcd-image"]),
            _ => None,
        }
    }

    fn is(&self, image: &Reference, version: Option<&str>) -> bool {
        let name = image.repository().rsplit('/').next();
        let has_tag = || match (image.tag(), version) {
            (Some(tag), Some(version)) => tag.trim_start_matches('v') == version,
            _ => true,
        };
        name == Some(self.name) && (!self.is_kubernetes || has_tag())
    }

    fn shown(&self, version: Option<&str>) -> String {
        match version.filter(|_| self.is_kubernetes) {
            Some(version) => format!("{}:v{version}", self.name),
            None => self.name.to_owned(),
        }
    }
}
