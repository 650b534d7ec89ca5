//! The images that really run: from the status of the pods to the descriptions that they were made of.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::Value;

use super::Object;
use super::object::{below, below_mut};
use crate::oci::{Digest, Reference};

/// A container of a pod, and what it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Running {
    pub(super) pod: String,
    pub(super) container: String,
    /// As the pod's description has it.
    pub(super) image: String,
    /// Nothing where it has not been pulled, or the runtime does not say from where.
    pub(super) digest: Option<Digest>,
    /// What the runtime says where that is no digest of a registry.
    pub(super) unknown: Option<String>,
    /// Whether it was put into the pod later, for a look inside.
    pub(super) ephemeral: bool,
}

/// All that runs, by the object at the top of those that made it.
#[derive(Debug, Default)]
pub(super) struct Runs<'s> {
    pub(super) by_root: BTreeMap<&'s str, Vec<Running>>,
    roots: HashMap<&'s str, &'s Object>,
}

/// What became of the images of one description.
#[derive(Debug, Default)]
pub(super) struct Pinned {
    /// How many have got their digest.
    pub(super) count: usize,
    /// What a person has to know.
    pub(super) warnings: Vec<String>,
    /// What runs and is not in the description: names of the images with their digests.
    pub(super) others: BTreeSet<String>,
}

const LISTS: [(&str, &str); 3] = [
    ("containers", "containerStatuses"),
    ("initContainers", "initContainerStatuses"),
    ("ephemeralContainers", "ephemeralContainerStatuses"),
];

impl<'s> Runs<'s> {
    pub(super) fn of(objects: &'s [Object]) -> Self {
        let by_uid: HashMap<&str, &Object> =
            objects.iter().filter_map(|object| Some((object.uid()?, object))).collect();
        let mut runs = Self::default();
        for pod in objects.iter().filter(|object| object.is("", "Pod") && !object.is_deleted()) {
            let root = root(pod, &by_uid);
            let Some(uid) = root.uid() else { continue };
            runs.roots.insert(uid, root);
            runs.by_root.entry(uid).or_default().extend(running(pod));
        }
        runs
    }

    /// The objects at the top, each with what runs for it.
    pub(super) fn roots(&self) -> impl Iterator<Item = (&'s Object, &[Running])> {
        self.by_root.iter().filter_map(|(uid, running)| Some((*self.roots.get(uid)?, &**running)))
    }

    fn for_object(&self, object: &Object) -> &[Running] {
        object.uid().and_then(|uid| self.by_root.get(uid)).map(Vec::as_slice).unwrap_or_default()
    }

    /// Puts the digests that run for `object` into its description, `value`.
    pub(super) fn pin(&self, object: &Object, value: &mut Value) -> Pinned {
        let mut pinned = Pinned::default();
        let running = self.for_object(object);
        let Some(spec) = object.pod_spec_path().and_then(|path| below_mut(value, path)) else { return pinned };
        let mut described = BTreeSet::new();
        for list in ["containers", "initContainers"] {
            for container in spec.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
                let Some(name) = container["name"].as_str().map(str::to_owned) else { continue };
                let here: Vec<&Running> =
                    running.iter().filter(|running| running.container == name && !running.ephemeral).collect();
                pin_container(object, container, &name, &here, &mut pinned);
                described.insert(name);
            }
        }
        let others = running.iter().filter(|running| running.ephemeral || !described.contains(&running.container));
        others.for_each(|running| list(running, &mut pinned));
        pinned
    }
}

/// The reference of what runs, for the list of a pack.
pub(super) fn list(running: &Running, pinned: &mut Pinned) {
    let Running { pod, container, image, unknown, .. } = running;
    if let Some(unknown) = unknown {
        pinned.warnings.push(unresolvable(pod, container, image, unknown));
    }
    let text = running.digest.map_or_else(|| image.clone(), |digest| with_digest(image, digest));
    match text.parse::<Reference>() {
        Ok(_) => drop(pinned.others.insert(text)),
        Err(error) => pinned.warnings.push(format!("Pod {pod}, container {container}: {error}")),
    }
}

fn unresolvable(pod: &str, container: &str, image: &str, unknown: &str) -> String {
    format!(
        "Pod {pod}, container {container}: {image} runs as {unknown}, which no registry can be asked for; its tag is \
         resolved when the bundle is built"
    )
}

fn pin_container(object: &Object, container: &mut Value, name: &str, running: &[&Running], pinned: &mut Pinned) {
    let Some(image) = container["image"].as_str().map(str::to_owned) else { return };
    let place = format!("{object}, container {name}");
    if image.contains('@') {
        pinned.count += 1;
        return;
    }
    let same: Vec<&&Running> = running.iter().filter(|running| running.image == image).collect();
    let digests: BTreeSet<Digest> = same.iter().filter_map(|running| running.digest).collect();
    let other: BTreeSet<&str> =
        running.iter().filter(|running| running.image != image).map(|running| &*running.image).collect();
    let digests: Vec<Digest> = digests.into_iter().collect();
    match &digests[..] {
        [digest] => {
            container["image"] = with_digest(&image, *digest).into();
            // One digest is one image for ever, and there is no registry to ask.
            if container["imagePullPolicy"] == "Always" {
                container["imagePullPolicy"] = "IfNotPresent".into();
            }
            pinned.count += 1;
        }
        [] => {
            let why = match same.iter().find_map(|running| running.unknown.as_deref()) {
                Some(unknown) => format!("runs as {unknown}, which no registry can be asked for"),
                None if !other.is_empty() => "runs in no pod".to_owned(),
                None if same.is_empty() => "has no pod that says which digest it is".to_owned(),
                None => "has not been pulled yet".to_owned(),
            };
            let message = format!("{place}: {image} {why}; its tag is resolved when the bundle is built");
            pinned.warnings.push(message);
        }
        several => {
            let shown: Vec<String> = several.iter().map(Digest::to_string).collect();
            let message = format!(
                "{place}: {image} runs as {}; its tag is resolved when the bundle is built",
                shown.join(" and as ")
            );
            pinned.warnings.push(message);
        }
    }
    for other in other {
        pinned
            .warnings
            .push(format!("{place}: some pods run {other}, and {image} is what is wanted; only that is exported"));
    }
}

/// `image@digest`; the tag stays for people.
fn with_digest(image: &str, digest: Digest) -> String {
    if image.contains('@') { image.to_owned() } else { format!("{image}@{digest}") }
}

/// The object that `pod` is there for, in the end.
fn root<'s>(pod: &'s Object, by_uid: &HashMap<&str, &'s Object>) -> &'s Object {
    let mut object = pod;
    // Owners that own each other would lead round in circles.
    for _ in 0..10 {
        let mut owners: Vec<_> = object.owners().collect();
        owners.sort_by_key(|owner| !owner.controller);
        let Some(owner) = owners.iter().find_map(|owner| by_uid.get(owner.uid)) else { break };
        object = owner;
    }
    object
}

fn running(pod: &Object) -> Vec<Running> {
    let shown = format!("{}/{}", pod.namespace().unwrap_or_default(), pod.name());
    let mut found = Vec::new();
    for (list, statuses) in LISTS {
        let statuses = below(&pod.value, &["status", statuses]).as_array();
        for container in below(&pod.value, &["spec", list]).as_array().into_iter().flatten() {
            let (Some(name), Some(image)) = (container["name"].as_str(), container["image"].as_str()) else { continue };
            let status = statuses.into_iter().flatten().find(|status| status["name"] == name);
            let id = status.and_then(|status| status["imageID"].as_str()).unwrap_or_default();
            let (digest, unknown) = image_id(id);
            found.push(Running {
                pod: shown.clone(),
                container: name.to_owned(),
                image: image.to_owned(),
                digest,
                unknown,
                ephemeral: list == "ephemeralContainers",
            });
        }
    }
    found
}

/// The digest in a registry that an `imageID` names, or what it says instead: the digest of a config is none that a
/// registry gives an image for.
fn image_id(id: &str) -> (Option<Digest>, Option<String>) {
    let bare = id.strip_prefix("docker-pullable://").or(id.strip_prefix("docker://")).unwrap_or(id);
    match bare.rsplit_once('@').and_then(|(_, digest)| digest.parse().ok()) {
        Some(digest) => (Some(digest), None),
        None if id.is_empty() => (None, None),
        None => (None, Some(id.chars().filter(|c| !crate::text::is_unseen(*c)).take(200).collect())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_id_is_a_digest_or_is_told() {
        let hex = "a".repeat(64);
        let digest = format!("sha256:{hex}").parse().unwrap();
        for id in ["docker.io/library/x", "docker-pullable://x", "quay.io:5000/a/b"] {
            assert_eq!(image_id(&format!("{id}@sha256:{hex}")), (Some(digest), None), "{id}");
        }
        for id in [format!("sha256:{hex}"), format!("docker://sha256:{hex}"), "x@sha256:zz".to_owned()] {
            assert_eq!(image_id(&id), (None, Some(id.clone())), "{id}");
        }
        assert_eq!(image_id(""), (None, None));
    }
}
