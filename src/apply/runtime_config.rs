//! containerd's configuration as it will be once the bundle is installed, and what Kubernetes needs of it
//! (<https://github.com/containerd/containerd/blob/main/docs/cri/config.md>). Only kubeadm uses the host's containerd; the others
//! bring and configure their own.

use toml::{Table, Value};

use super::check::{Check, Verdict};
use super::cluster;
use super::survey::Target;
use super::targets::Inputs;
use crate::bundle::Contents;
use crate::host::Root;

/// Where it is unless somebody says otherwise.
pub(super) const CONFIG: &str = "/etc/containerd/config.toml";
/// The CRI plugin's tables: in version 2 of the configuration, and in version 3, where it is two.
const PLUGINS: [&str; 3] = ["io.containerd.grpc.v1.cri", "io.containerd.cri.v1.runtime", "io.containerd.cri.v1.images"];
/// Where containerd looks for the programs of the network unless it is told otherwise, and where those of nearly all networks are
/// put.
const PROGRAMS: &str = "/opt/cni/bin";
/// What containerd must read for the site's registries to count.
const REGISTRIES: &str = "/etc/containerd/certs.d";
/// Programs of the network that the reference plugins have, by which a folder of them is known.
const NETWORK: [&str; 8] = ["bridge", "host-local", "loopback", "portmap", "ptp", "flannel", "calico", "cilium-cni"];

/// The configuration: the file, and those that it imports, in the order in which later ones win.
#[derive(Debug, Default)]
pub(super) struct RuntimeConfig {
    tables: Vec<Table>,
    /// Whether a part of it could not be read, so that nobody knows what it says.
    pub(super) is_unclear: bool,
}

impl RuntimeConfig {
    /// What the bundle brings, or else what is on the host; what the first imports is on the host too. Empty where there is none.
    pub(super) fn of(inputs: Inputs<'_>, target: &Target) -> Self {
        match brought(inputs.contents) {
            Some(file) => {
                let text = inputs.source.read_document(&file.blob);
                Self::with_imports(text.ok().as_deref().and_then(parsed), &target.root)
            }
            None => Self::on(&target.root),
        }
    }

    /// What is on the host.
    fn on(root: &Root) -> Self {
        match root.read(CONFIG) {
            Ok(None) => Self::default(),
            text => Self::with_imports(text.ok().flatten().as_deref().and_then(parsed), root),
        }
    }

    fn with_imports(main: Option<Table>, root: &Root) -> Self {
        let Some(main) = main else { return Self { is_unclear: true, ..Self::default() } };
        let mut config = Self::default();
        for pattern in main.get("imports").and_then(Value::as_array).into_iter().flatten() {
            let Some(paths) = pattern.as_str().and_then(|pattern| matching(pattern, root)) else {
                config.is_unclear = true;
                continue;
            };
            for path in paths {
                match root.read(&path).ok().flatten().as_deref().and_then(parsed) {
                    Some(table) => config.tables.push(table),
                    None => config.is_unclear = true,
                }
            }
        }
        config.tables.insert(0, main);
        config
    }

    /// The image that pods start with: `sandbox_image` in version 2, `sandbox` among the `pinned_images` in version 3.
    pub(super) fn sandbox_image(&self) -> Option<String> {
        let named = self.plugin(&["sandbox_image"]).or_else(|| self.plugin(&["pinned_images", "sandbox"]));
        named.and_then(Value::as_str).map(str::to_owned)
    }

    /// What one of the CRI plugin's tables has at `path`.
    fn plugin(&self, path: &[&str]) -> Option<&Value> {
        let tables = self.tables.iter().rev().filter_map(|table| table.get("plugins"));
        let mut plugins = tables.flat_map(|plugins| PLUGINS.iter().filter_map(move |name| plugins.get(name)));
        plugins.find_map(|plugin| path.iter().try_fold(plugin, |table, key| table.get(key)))
    }

    /// Whether the kubelet's interface is switched off, as Docker's package of containerd has it.
    fn is_off(&self) -> bool {
        let lists = self.tables.iter().filter_map(|table| table.get("disabled_plugins")?.as_array());
        let names = lists.flatten().filter_map(Value::as_str);
        names.into_iter().any(|name| name == "cri" || PLUGINS.contains(&name))
    }

    /// Whether systemd makes the control groups of containers, by the runtime that is the default.
    fn has_systemd_groups(&self) -> bool {
        let runtime = self.plugin(&["containerd", "default_runtime_name"]).and_then(Value::as_str).unwrap_or("runc");
        let said = self.plugin(&["containerd", "runtimes", runtime, "options", "SystemdCgroup"]);
        said.and_then(Value::as_bool).unwrap_or(false)
    }

    /// Where the programs of the network are looked for.
    fn network_programs(&self) -> Vec<String> {
        let one = self.plugin(&["cni", "bin_dir"]).and_then(Value::as_str).filter(|folder| !folder.is_empty());
        let several = self.plugin(&["cni", "bin_dirs"]).and_then(Value::as_array);
        let mut folders: Vec<String> =
            several.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
        folders.extend(one.map(str::to_owned));
        if folders.is_empty() { vec![PROGRAMS.to_owned()] } else { folders }
    }

    /// Whether the site's registries are read.
    fn reads_registries(&self) -> bool {
        let path = self.plugin(&["registry", "config_path"]).and_then(Value::as_str).unwrap_or_default();
        path.split(':').any(|folder| folder.trim_end_matches('/') == REGISTRIES)
    }
}

/// What Kubernetes needs of the configuration; nothing where the distribution has a containerd of its own. `groups_2` says whether
/// control groups are of version 2.
pub(super) fn checks(inputs: Inputs<'_>, target: &Target, groups_2: bool) -> Vec<Check> {
    if cluster::distribution(inputs.contents).1 != "kubeadm" {
        return Vec::new();
    }
    let config = RuntimeConfig::of(inputs, target);
    let (off, systemd) = (config.is_off(), config.has_systemd_groups());
    let cri = Check::new(
        "containerd-cri",
        format!("not in disabled_plugins of {CONFIG}"),
        word(off, "there", "not there"),
        !off,
    );
    // With version 1 both can be at work side by side.
    let verdict = if systemd {
        Verdict::Ok
    } else if groups_2 {
        Verdict::Fail
    } else {
        Verdict::Warn
    };
    let groups = Check::new(
        "containerd-cgroups",
        "SystemdCgroup = true, as the kubelet has it",
        word(systemd, "true", "false"),
        verdict,
    );
    let mut checks = vec![
        cri.or("take the CRI plugin out of disabled_plugins, and restart containerd: without it no kubelet starts"),
        groups.or(
            "have it in the options of the default runtime, and restart containerd: two that make control groups take each other's \
             pods down",
        ),
        network(inputs.contents, &config),
    ];
    if !inputs.node.registries.is_empty() {
        let read = config.reads_registries();
        let check = Check::new(
            "containerd-registries",
            format!("config_path with {REGISTRIES}"),
            word(read, "there", "not there"),
            read,
        );
        checks.push(
            check.or("name it in config_path of the CRI plugin's registry, or the registries of the site do not count"),
        );
    }
    if config.is_unclear {
        for check in &mut checks {
            (check.found, check.verdict) = ("cannot tell".to_owned(), Verdict::Warn);
            check.hint = Some(format!("see that {CONFIG}, and each file that it imports, is TOML and can be read"));
        }
    }
    checks
}

/// Whether containerd looks for the programs of the network where the bundle puts them, or else where networks put their own.
fn network(contents: &Contents, config: &RuntimeConfig) -> Check {
    let folders = config.network_programs();
    let programs = contents.files.iter().filter_map(|file| file.path.rsplit_once('/'));
    let mut brought: Vec<&str> =
        programs.filter(|(_, name)| NETWORK.contains(name)).map(|(folder, _)| folder).collect();
    brought.sort_unstable();
    brought.dedup();
    let certain = !brought.is_empty();
    let needed = if certain { brought } else { vec![PROGRAMS] };
    let right = needed.iter().all(|folder| folders.iter().any(|one| one.trim_end_matches('/') == *folder));
    let verdict = match (right, certain) {
        (true, _) => Verdict::Ok,
        (false, true) => Verdict::Fail,
        (false, false) => Verdict::Warn,
    };
    let check = Check::new("containerd-network", format!("bin_dir {}", needed.join(", ")), folders.join(", "), verdict);
    check.or("say so in bin_dir of the CRI plugin's cni, and restart containerd: it does not find the programs of the network otherwise")
}

fn word(is: bool, yes: &'static str, no: &'static str) -> &'static str {
    if is { yes } else { no }
}

/// The file of the bundle that becomes the configuration.
pub(super) fn brought(contents: &Contents) -> Option<&crate::bundle::HostFile> {
    contents.files.iter().find(|file| file.path == CONFIG)
}

/// The first two numbers of containerd's version: `1.6.20~ds1`, `v2.1.4`.
pub(super) fn release(version: &str) -> Option<(u64, u64)> {
    let mut numbers = version.trim_start_matches('v').split(['.', '-', '~', '+']).map(|number| number.parse().ok());
    Some((numbers.next()??, numbers.next()??))
}

/// Whether a containerd of this version does not tell the kubelet which images are pinned, so that it collects them: 1.7 was the
/// first that does.
pub(super) fn ignores_pins(version: &str) -> bool {
    release(version).is_some_and(|release| release < (1, 7))
}

/// Files that a pattern of `imports` names, sorted: a path, or one whose last component has a `*`. Nothing where it is another
/// kind of pattern.
fn matching(pattern: &str, root: &Root) -> Option<Vec<String>> {
    let pattern = if pattern.starts_with('/') { pattern.to_owned() } else { format!("/etc/containerd/{pattern}") };
    let (folder, name) = pattern.rsplit_once('/')?;
    let (begin, end) = name.split_once('*').unwrap_or((name, ""));
    if [folder, begin, end].iter().any(|part| part.contains(['*', '?', '[', '\\'])) {
        return None;
    }
    if !name.contains('*') {
        return Some(vec![pattern]);
    }
    let names = root.place(folder).ok().and_then(|folder| folder.names().ok()).unwrap_or_default();
    let names = names.into_iter().filter_map(|name| name.into_string().ok());
    let fits = |name: &String| name.len() >= begin.len() + end.len() && name.starts_with(begin) && name.ends_with(end);
    let mut paths: Vec<String> = names.filter(fits).map(|name| format!("{folder}/{name}")).collect();
    paths.sort_unstable();
    Some(paths)
}

fn parsed(text: &[u8]) -> Option<Table> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> RuntimeConfig {
        RuntimeConfig { tables: vec![text.parse().unwrap()], is_unclear: false }
    }

    #[test]
    fn both_versions_of_the_configuration_are_read() {
        let second = config(
            "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\"]\nsandbox_image = \"a/pause:3.6\"\n\
             [plugins.\"io.containerd.grpc.v1.cri\".cni]\nbin_dir = \"/usr/lib/cni\"\n\
             [plugins.\"io.containerd.grpc.v1.cri\".registry]\nconfig_path = \"/etc/docker/certs.d:/etc/containerd/certs.d/\"\n\
             [plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc.options]\nSystemdCgroup = true\n",
        );
        let third = config(
            "version = 3\ndisabled_plugins = [\"io.containerd.cri.v1.images\"]\n\
             [plugins.'io.containerd.cri.v1.images'.pinned_images]\nsandbox = 'b/pause:3.10'\n\
             [plugins.'io.containerd.cri.v1.runtime'.cni]\nbin_dirs = ['/a', '/b']\n\
             [plugins.'io.containerd.cri.v1.runtime'.containerd]\ndefault_runtime_name = 'crun'\n\
             [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]\nSystemdCgroup = true\n",
        );
        let none = config("version = 2\n[plugins]\n");
        let told = |config: &RuntimeConfig| {
            let reads = config.reads_registries();
            (
                config.sandbox_image(),
                config.network_programs().join(":"),
                config.has_systemd_groups(),
                reads,
                config.is_off(),
            )
        };
        assert_eq!(told(&second), (Some("a/pause:3.6".to_owned()), "/usr/lib/cni".to_owned(), true, true, false));
        assert_eq!(told(&third), (Some("b/pause:3.10".to_owned()), "/a:/b".to_owned(), false, false, true));
        assert_eq!(told(&none), (None, PROGRAMS.to_owned(), false, false, false));
        assert!(config("disabled_plugins = [\"cri\"]").is_off());
    }

    #[test]
    fn what_is_imported_counts_too() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::new(folder.path()).unwrap();
        let image = |files: &[(&str, &str)]| {
            for (path, text) in files {
                let path = folder.path().join(path);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, text).unwrap();
            }
            RuntimeConfig::on(&root).sandbox_image()
        };
        assert_eq!(image(&[]), None);
        let one = |name: &str| format!("[plugins.\"io.containerd.grpc.v1.cri\"]\nsandbox_image = \"{name}\"\n");
        let main = format!("imports = [\"/etc/containerd/conf.d/*.toml\", \"more.toml\"]\n{}", one("main"));
        assert_eq!(image(&[("etc/containerd/config.toml", &main)]).as_deref(), Some("main"));
        let off = ("etc/containerd/conf.d/30.toml.off", one("none"));
        let parts =
            [("etc/containerd/conf.d/20.toml", one("second")), ("etc/containerd/conf.d/10.toml", one("first")), off];
        let parts = parts.each_ref().map(|(path, text)| (*path, text.as_str()));
        assert_eq!(image(&parts).as_deref(), Some("second"));
        assert_eq!(image(&[("etc/containerd/more.toml", &one("last"))]).as_deref(), Some("last"));
        assert!(!RuntimeConfig::on(&root).is_unclear);
        for (path, text) in [
            ("etc/containerd/more.toml", "no TOML ="),
            ("etc/containerd/config.toml", "no TOML ="),
            ("etc/containerd/config.toml", "imports = [\"/etc/*/more.toml\"]"),
            ("etc/containerd/config.toml", "imports = [\"absent.toml\"]"),
        ] {
            image(&[(path, text)]);
            assert!(RuntimeConfig::on(&root).is_unclear, "{path}: {text}");
        }
    }

    #[test]
    fn a_release_is_two_numbers() {
        assert_eq!(["1.6.20~ds1", "v1.7.27", "2.4.2+unknown"].map(release), [Some((1, 6)), Some((1, 7)), Some((2, 4))]);
        assert_eq!(release("unknown"), None);
    }
}
