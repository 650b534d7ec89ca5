//! Whether the bundle has the pause image: every pod starts with it, and which one that is says the runtime's configuration.

use toml::{Table, Value};

use super::check::{Check, Verdict};
use super::cluster;
use super::survey::Target;
use super::targets::Inputs;
use crate::oci::Reference;

/// Where containerd's configuration is unless somebody says otherwise.
const CONFIG: &str = "/etc/containerd/config.toml";
/// Distributions whose runtime takes it from a registry or from what was imported; the others bring it with them.
const TAKING: [&str; 3] = ["k3s", "rke2", "kubeadm"];
/// What repositories of pause images are called: Kubernetes' own, and Rancher's copy.
const CALLED: [&str; 2] = ["pause", "mirrored-pause"];

/// The check; nothing where the bundle carries no images for a distribution that needs one.
pub(super) fn check(inputs: Inputs<'_>, target: &Target) -> Option<Check> {
    let contents = inputs.contents;
    let (_, distribution) = cluster::distribution(contents);
    let carried = contents.images.iter().filter(|image| !image.is_absent());
    let images: Vec<&Reference> = carried.map(|image| &image.reference).collect();
    if !TAKING.contains(&distribution) || images.is_empty() {
        return None;
    }
    let made = |needed: String, found: Option<&&Reference>| {
        let verdict = if found.is_some() { Verdict::Ok } else { Verdict::Warn };
        let check = Check::new("pause-image", needed, found.map_or("none".to_owned(), ToString::to_string), verdict);
        check.or("no pod starts without it: add it to `images`, or see that the runtime has it already")
    };
    // The configuration of those two is their own, and they publish the image in their lists.
    let named = if distribution == "kubeadm" { configured(inputs, target) } else { None };
    Some(match named {
        Some(named) => {
            let wanted: Option<Reference> = named.parse().ok();
            let same = |image: &&&Reference| wanted.as_ref().is_some_and(|wanted| wanted == **image);
            made(format!("{named} in the bundle, as {CONFIG} says"), images.iter().find(same))
        }
        None => {
            let is = |image: &&&Reference| CALLED.contains(&image.repository().rsplit('/').next().unwrap_or_default());
            made("a pause image in the bundle".to_owned(), images.iter().find(is))
        }
    })
}

/// The image that containerd's configuration names: the bundle's, or else the host's.
fn configured(inputs: Inputs<'_>, target: &Target) -> Option<String> {
    let brought = inputs.contents.files.iter().find(|file| file.path == CONFIG);
    let text = match brought {
        Some(file) => inputs.source.read_document(&file.blob).ok()?,
        None => target.root.read(CONFIG).ok()??,
    };
    let table: Table = std::str::from_utf8(&text).ok()?.parse().ok()?;
    image(&table)
}

/// `sandbox_image` of containerd 1's CRI plugin, `sandbox` among the `pinned_images` of containerd 2's
/// (<https://github.com/containerd/containerd/blob/main/docs/cri/config.md>).
fn image(table: &Table) -> Option<String> {
    table.iter().find_map(|(key, value)| match value {
        Value::String(image) if key == "sandbox_image" => Some(image.clone()),
        Value::Table(inner) if key == "pinned_images" => Some(inner.get("sandbox")?.as_str()?.to_owned()),
        Value::Table(inner) => image(inner),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_of_the_configuration_are_read() {
        for (text, named) in [
            (
                "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\"]\nsandbox_image = \"a/pause:3.6\"\n",
                Some("a/pause:3.6"),
            ),
            (
                "version = 3\n[plugins.'io.containerd.cri.v1.images'.pinned_images]\nsandbox = 'b/pause:3.10'\n",
                Some("b/pause:3.10"),
            ),
            ("version = 2\n[plugins]\n", None),
        ] {
            assert_eq!(image(&text.parse().unwrap()).as_deref(), named, "{text}");
        }
    }
}
