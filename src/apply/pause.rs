//! Whether the image is there that every pod starts with. Which one that is, the runtime decides.

use toml::{Table, Value};

use super::check::{Check, Verdict};
use super::cluster;
use super::containerd::Client;
use super::survey::Target;
use super::targets::Inputs;
use crate::host::Root;
use crate::oci::Reference;

/// Where containerd's configuration is unless somebody says otherwise.
pub(super) const CONFIG: &str = "/etc/containerd/config.toml";
/// Distributions whose runtime takes it from a registry or from what was imported; the others bring it with them.
const TAKING: [&str; 3] = ["k3s", "rke2", "kubeadm"];
/// What repositories of pause images are called: Kubernetes' own, and Rancher's copy.
const CALLED: [&str; 2] = ["pause", "mirrored-pause"];
/// The first release of containerd with each default (`DefaultSandboxImage` in its source, `containerd config default`).
const DEFAULTS: [((u64, u64), &str); 5] = [
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
    let carried = contents.images.iter().filter(|image| !image.is_absent());
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
            let held = client.named(&wanted.to_string()).await;
            held.is_ok_and(|held| held.is_some()).then(|| "in containerd".to_owned())
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
    let brought = inputs.contents.files.iter().find(|file| file.path == CONFIG);
    let configured = format!("{CONFIG} says");
    if let Some(file) = brought {
        let text = inputs.source.read_document(&file.blob).ok()?;
        if let Some(image) = image(&parsed(&text)?) {
            return Some((image, format!("{configured} that the bundle brings")));
        }
    } else {
        if let Some(client) = client
            && let Some(image) = client.sandbox_image().await
        {
            return Some((image, format!("containerd {} says", client.version())));
        }
        if let Some(image) = configuration(&target.root).iter().filter_map(image).next_back() {
            return Some((image, configured));
        }
    }
    let version = client?.version();
    Some((default(version)?.to_owned(), format!("is compiled into containerd {version}")))
}

/// containerd's configuration on the host: the file, and those that it imports, in the order in which later ones win.
pub(super) fn configuration(root: &Root) -> Vec<Table> {
    let read = |path: &str| parsed(&root.read(path).ok()??);
    let Some(main) = read(CONFIG) else { return Vec::new() };
    let imports = main.get("imports").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let imported: Vec<String> = imports.flat_map(|pattern| matching(pattern, root)).collect();
    std::iter::once(main).chain(imported.iter().filter_map(|path| read(path))).collect()
}

/// Files that a pattern of `imports` names, sorted: a path, or one whose last component has a `*`.
fn matching(pattern: &str, root: &Root) -> Vec<String> {
    let pattern = if pattern.starts_with('/') { pattern.to_owned() } else { format!("/etc/containerd/{pattern}") };
    let Some((folder, name)) = pattern.rsplit_once('/') else { return Vec::new() };
    let Some((begin, end)) = name.split_once('*') else { return vec![pattern] };
    let names = root.place(folder).ok().and_then(|folder| folder.names().ok()).unwrap_or_default();
    let names = names.into_iter().filter_map(|name| name.into_string().ok());
    let fits = |name: &String| name.len() >= begin.len() + end.len() && name.starts_with(begin) && name.ends_with(end);
    let mut paths: Vec<String> = names.filter(fits).map(|name| format!("{folder}/{name}")).collect();
    paths.sort_unstable();
    paths
}

fn parsed(text: &[u8]) -> Option<Table> {
    std::str::from_utf8(text).ok()?.parse().ok()
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

/// The image that a release of containerd has where no configuration names one; nothing for releases before 1.5.
fn default(version: &str) -> Option<&'static str> {
    let mut numbers = version.trim_start_matches('v').split(['.', '-', '~', '+']).map(|number| number.parse().ok());
    let release = (numbers.next()??, numbers.next()??);
    DEFAULTS.iter().find(|(first, _)| release >= *first).map(|(_, image)| *image)
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

    #[test]
    fn what_is_imported_counts_too() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::new(folder.path()).unwrap();
        let images = |files: &[(&str, &str)]| -> Vec<String> {
            for (path, text) in files {
                let path = folder.path().join(path);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, text).unwrap();
            }
            configuration(&root).iter().filter_map(image).collect()
        };
        assert_eq!(images(&[]), [""; 0]);
        let one = |name: &str| format!("[plugins.cri]\nsandbox_image = \"{name}\"\n");
        let main = format!("imports = [\"/etc/containerd/conf.d/*.toml\", \"more.toml\"]\n{}", one("main"));
        let all = images(&[
            ("etc/containerd/config.toml", &main),
            ("etc/containerd/conf.d/20.toml", &one("second")),
            ("etc/containerd/conf.d/10.toml", &one("first")),
            ("etc/containerd/conf.d/10.toml.off", &one("none")),
            ("etc/containerd/more.toml", &one("last")),
        ]);
        assert_eq!(all, ["main", "first", "second", "last"]);
    }

    #[test]
    fn each_release_has_its_own() {
        for (version, image) in [
            ("1.6.20~ds1", Some("registry.k8s.io/pause:3.6")),
            ("v1.7.27", Some("registry.k8s.io/pause:3.8")),
            ("2.1.4", Some("registry.k8s.io/pause:3.10")),
            ("2.4.2+unknown", Some("registry.k8s.io/pause:3.10.1")),
            ("1.4.13", None),
            ("unknown", None),
        ] {
            assert_eq!(default(version), image, "{version}");
        }
    }
}
