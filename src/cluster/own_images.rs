//! The images that the distribution runs for itself: control plane, network of services, names. Their digests are those of
//! the pods; where pods or nodes disagree, the tag alone is said.

use std::collections::{BTreeMap, BTreeSet};

use super::Object;
use super::decide::{Decider, Reason};
use super::images::{Running, Runs};
use crate::oci::{Digest, Reference};
use crate::profile::schema::Distribution;

const MIRROR: &str = "kubernetes.io/config.mirror";
/// What kubeadm puts into its static pods and its add-ons (`cmd/kubeadm/app/images`).
const KUBEADM: &[&str] =
    &["kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "etcd", "coredns"];
/// What the features of Canonical Kubernetes bring where the network is its own.
const CANONICAL: &[&str] = &["coredns", "metrics-server"];

/// Images for the pack of the distribution, and what is to decide.
#[derive(Debug, Default)]
pub(super) struct OwnImages {
    pub(super) references: BTreeSet<String>,
    pub(super) decisions: Vec<String>,
    /// The same of what hardly any cluster tells.
    pub(super) reminders: Vec<String>,
}

/// The images of `distribution` itself.
pub(super) fn of(
    distribution: Distribution,
    runs: &Runs<'_>,
    decider: &Decider<'_>,
    objects: &[Object],
    nodes: &[&Object],
) -> OwnImages {
    let mirrors: BTreeSet<String> =
        objects.iter().filter(|object| object.annotation(MIRROR).is_some()).map(shown).collect();
    let mut found: BTreeMap<&str, Vec<&Running>> = BTreeMap::new();
    for (root, running) in runs.roots() {
        let by_distribution = decider.reason(root) == Some(Reason::Distribution);
        for running in running.iter().filter(|running| running.pod.starts_with("kube-system/") && !running.ephemeral) {
            if by_distribution || mirrors.contains(&running.pod) || is_named(distribution, &running.image) {
                found.entry(&running.image).or_default().push(running);
            }
        }
    }
    let mut own = OwnImages::default();
    for (image, running) in found {
        own.add(image, &running);
    }
    own.pause(distribution, nodes);
    own
}

fn shown(pod: &Object) -> String {
    format!("{}/{}", pod.namespace().unwrap_or_default(), pod.name())
}

/// Whether `image` is one of those that `distribution` brings, whatever registry it is mirrored to.
fn is_named(distribution: Distribution, image: &str) -> bool {
    let Ok(reference) = image.parse::<Reference>() else { return false };
    let mut words = reference.repository().rsplit('/');
    let name = words.next().unwrap_or_default();
    match distribution {
        Distribution::Kubeadm => KUBEADM.contains(&name),
        Distribution::Canonical => CANONICAL.contains(&name),
        Distribution::K3s => words.next() == Some("rancher"),
        Distribution::Rke2 => {
            words.next() == Some("rancher") && ["hardened-", "klipper-", "rke2-"].iter().any(|of| name.starts_with(of))
        }
        Distribution::None => false,
    }
}

impl OwnImages {
    fn add(&mut self, image: &str, running: &[&Running]) {
        if let Err(error) = image.parse::<Reference>() {
            self.decisions.push(format!("Image of the distribution left out: {error}"));
            return;
        }
        let digests: BTreeSet<Digest> = running.iter().filter_map(|running| running.digest).collect();
        let digests: Vec<Digest> = digests.into_iter().collect();
        match digests[..] {
            _ if image.contains('@') => {}
            [digest] => {
                self.references.insert(format!("{image}@{digest}"));
                return;
            }
            [] => self.decisions.push(format!(
                "{image} of the distribution: no pod tells a digest that a registry can be asked for; its tag is \
                 resolved when the bundle is locked"
            )),
            _ => {
                let several: Vec<String> = digests.iter().map(Digest::to_string).collect();
                self.decisions.push(format!(
                    "{image} of the distribution: its pods run {}; its tag is resolved when the bundle is locked, or \
                     put the right digest behind it",
                    several.join(" and ")
                ));
            }
        }
        self.references.insert(image.to_owned());
    }

    /// The image that holds a pod together is in the status of no pod. Nodes name it among the images that they have.
    fn pause(&mut self, distribution: Distribution, nodes: &[&Object]) {
        let names = nodes.iter().flat_map(|node| node.value["status"]["images"].as_array().into_iter().flatten());
        let mut found = BTreeSet::new();
        for image in names {
            let names: Vec<&str> =
                image["names"].as_array().into_iter().flatten().filter_map(|name| name.as_str()).collect();
            let tagged = names.iter().find(|name| !name.contains('@') && is_pause(name));
            let Some(tagged) = tagged else { continue };
            let digests: BTreeSet<Digest> =
                names.iter().filter_map(|name| name.rsplit_once('@')?.1.parse().ok()).collect();
            found.insert((*tagged, digests.into_iter().collect::<Vec<_>>()));
        }
        let found: Vec<_> = found.into_iter().collect();
        match &found[..] {
            [(image, digests)] => match digests[..] {
                [digest] => drop(self.references.insert(format!("{image}@{digest}"))),
                _ => drop(self.references.insert((*image).to_owned())),
            },
            _ if distribution == Distribution::None => {}
            [] => self.reminders.push(
                "The image `pause`: no node tells which it has; add the one that the release's list of images names"
                    .to_owned(),
            ),
            several => {
                let names: BTreeSet<&str> = several.iter().map(|(image, _)| *image).collect();
                let names = names.into_iter().collect::<Vec<_>>().join(", ");
                self.decisions.push(format!(
                    "The image `pause`: the nodes have several, {names}; add the one that containerd is set to"
                ));
            }
        }
    }
}

fn is_pause(image: &str) -> bool {
    last_word(image).is_some_and(|word| word == "pause" || word == "mirrored-pause")
}

/// The last word of the repository of `image`.
pub(super) fn last_word(image: &str) -> Option<String> {
    let reference = image.parse::<Reference>().ok()?;
    reference.repository().rsplit('/').next().map(str::to_owned)
}
