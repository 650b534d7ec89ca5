//! Whether the image is there that every pod starts with. Which one that is, the runtime decides.

use super::check::{Check, Verdict};
use super::cluster;
use super::containerd::Client;
use super::runtime_config::{CONFIG, RuntimeConfig, brought, release};
use super::survey::Target;
use super::targets::Inputs;
use crate::oci::Reference;

/// Distributions whose runtime takes it from a registry or from what was imported; the others bring it with them.
const TAKING: [&str; 3] = ["k3s", "rke2", "kubeadm"];
/// What repositories of pause images are called: Kubernetes' own, and Rancher's copy.
const CALLED: [&str; 2] = ["pause", "mirrored-pause"];
/// The first release of containerd with each default (`DefaultSandboxImage` in its source, `containerd config default`).
const DEFAULTS: [((u64, u64), &str); 6] = [
    ((2, 3), "registry.k8s.io/pause:3.10.2"),
    ((2, 2), "registry.k8s.io/pause:3.10.1"),
    ((2, 0), "registry.k8s.io/pause:3.10"),
    ((1, 7), "registry.k8s.io/pause:3.8"),
    ((1, 6), "registry.k8s.io/pause:3.6"),
    ((1, 5), "k8s.gcr.io/pause:3.5"),
];

/// The check; nothing where the bundle carries no images for a distribution that needs one. `client` is the containerd that
/// runs here, where it answers.
pub(super) async fn check(inputs: Inputs<'_>, target: &Target, client: Option<&Client>) -> Option<Check> {
    let contents = inputs.contents;
    let (_, distribution) = cluster::distribution(contents);
    let carried = contents.images.iter().filter(|image| !image.is_absent() && image.is_for(&target.platform));
    let images: Vec<&Reference> = carried.map(|image| &image.reference).collect();
    if !TAKING.contains(&distribution) || images.is_empty() {
        return None;
    }
    // The configuration of those two is their own, and they publish the image in their lists.
    let named = if distribution == "kubeadm" { named(inputs, target, client).await } else { None };
    let Some((image, says)) = named else {
        let is = |image: &&&Reference| CALLED.contains(&image.repository().rsplit('/').next().unwrap_or_default());
        let found = images.iter().find(is);
        let verdict = if found.is_some() { Verdict::Ok } else { Verdict::Warn };
        return Some(made("a pause image in the bundle".to_owned(), found.map(ToString::to_string), verdict));
    };
    let wanted: Option<Reference> = image.parse().ok();
    let carried = images.iter().find(|image| wanted.as_ref().is_some_and(|wanted| wanted == **image));
    let found = match (carried, &wanted, client) {
        (Some(carried), ..) => Some(carried.to_string()),
        (None, Some(wanted), Some(client)) => {
            let named = client.named(&wanted.to_string()).await;
            named.is_ok_and(|named| named.is_some()).then(|| "named in containerd".to_owned())
        }
        _ => None,
    };
    let verdict = match &found {
        Some(_) => Verdict::Ok,
        // One of them may have it.
        None if !inputs.node.registries.is_empty() => Verdict::Warn,
        None => Verdict::Fail,
    };
    Some(made(format!("{image} in the bundle, as {says}"), found, verdict))
}

fn made(needed: String, found: Option<String>, verdict: Verdict) -> Check {
    let check = Check::new("pause-image", needed, found.unwrap_or_else(|| "none".to_owned()), verdict);
    check.or("no pod starts without it: add it to `images` of the profile, or have the runtime's configuration name one that is in the bundle")
}

/// The image that containerd is going to start pods with, and what says so: the configuration that the bundle brings, else the
/// containerd that runs, else its configuration here, else what is compiled into its release.
async fn named(inputs: Inputs<'_>, target: &Target, client: Option<&Client>) -> Option<(String, String)> {
    let config = RuntimeConfig::of(inputs, target);
    let configured = config.sandbox_image();
    if brought(inputs.contents).is_some() {
        if let Some(image) = configured {
            return Some((image, format!("{CONFIG} of the bundle says")));
        }
    } else {
        if let Some(client) = client
            && let Some(image) = client.sandbox_image().await
        {
            return Some((image, format!("containerd {} says", client.version())));
        }
        if let Some(image) = configured {
            return Some((image, format!("{CONFIG} says")));
        }
    }
    // What cannot be read may name another one.
    let version = client.filter(|_| !config.is_unclear)?.version();
    Some((default(version)?.to_owned(), format!("is compiled into containerd {version}")))
}

/// The image that a release of containerd has where no configuration names one; nothing for releases before 1.5.
fn default(version: &str) -> Option<&'static str> {
    let release = release(version)?;
    DEFAULTS.iter().find(|(first, _)| release >= *first).map(|(_, image)| *image)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_release_has_its_own() {
        for (version, image) in [
            ("1.6.20~ds1", Some("registry.k8s.io/pause:3.6")),
            ("v1.7.27", Some("registry.k8s.io/pause:3.8")),
            ("2.1.4", Some("registry.k8s.io/pause:3.10")),
            ("2.2.9", Some("registry.k8s.io/pause:3.10.1")),
            ("2.4.2+unknown", Some("registry.k8s.io/pause:3.10.2")),
            ("1.4.13", None),
            ("unknown", None),
        ] {
            assert_eq!(default(version), image, "{version}");
        }
    }
}
