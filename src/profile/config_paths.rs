//! Paths in a distribution's configuration: those that the installer itself reads, writes or removes on the host.
//!
//! k3s and RKE2 write the administrator's file to `write-kubeconfig` and hand `kubelet-arg` to the kubelet (k3s,
//! `pkg/cli/cmds/server.go` and `agent.go`); kubeadm has `certificatesDir`, etcd's `dataDir` and the kubelet's `root-dir`
//! (`cmd/kubeadm/app/apis/kubeadm/v1beta4`); Canonical Kubernetes has `containerd-base-dir`.

use super::Distribution;
use crate::places::{check_clean, check_data_folder, check_file, check_removable};
use crate::problem::Report;
use crate::variables::template::Protected;
use crate::yaml::Node;

type Rule = fn(&str) -> Result<(), &'static str>;

/// The kubelet's own folder.
const ROOT_DIR: &str = "root-dir";

/// Reports paths that cannot be what they are for. What has a variable in it is checked on the host.
pub(super) fn check(config: &Node, distribution: Distribution, protected: &Protected, report: &mut Report) {
    let mut checked = |name: &str, node: &Node, text: &str, rule: Rule| {
        if protected.is_in(text) {
            return;
        }
        if let Err(why) = rule(text) {
            report.add(node.at, format!("`{name}` is {text:?}, which {why}"));
        }
    };
    let mut text = |name: &str, node: Option<&Node>, rule: Rule| {
        if let Some((node, scalar)) = node.and_then(|node| Some((node, node.scalar()?))) {
            checked(name, node, &scalar.text, rule);
        }
    };
    match distribution {
        Distribution::K3s | Distribution::Rke2 => {
            text("write-kubeconfig", config.get("write-kubeconfig"), check_file);
            text("data-dir", config.get("data-dir"), check_data_folder);
            for key in ["kubelet-arg", "kubelet-arg+"] {
                let Some(list) = config.get(key) else { continue };
                let items = if list.items().is_empty() { std::slice::from_ref(list) } else { list.items() };
                for item in items {
                    let Some(scalar) = item.scalar() else { continue };
                    let argument = scalar.text.trim_start_matches('-');
                    let folder = argument.strip_prefix(ROOT_DIR).and_then(|rest| rest.strip_prefix('='));
                    if let Some(folder) = folder {
                        checked("kubelet-arg: root-dir", item, folder, check_data_folder);
                    }
                }
            }
        }
        Distribution::Kubeadm => {
            let whole = config.get("clusterConfiguration");
            text("certificatesDir", whole.and_then(|whole| whole.get("certificatesDir")), check_removable);
            let local = whole.and_then(|whole| whole.get("etcd")?.get("local"));
            text("etcd.local.dataDir", local.and_then(|local| local.get("dataDir")), check_data_folder);
            for part in ["initConfiguration", "joinConfiguration"] {
                let registration = config.get(part).and_then(|part| part.get("nodeRegistration"));
                let Some(arguments) = registration.and_then(|one| one.get("kubeletExtraArgs")) else { continue };
                let is_root =
                    |item: &&Node| item.get("name").and_then(Node::scalar).is_some_and(|name| &*name.text == ROOT_DIR);
                let listed = arguments.items().iter().find(is_root).and_then(|item| item.get("value"));
                text("kubeletExtraArgs: root-dir", listed.or_else(|| arguments.get(ROOT_DIR)), check_data_folder);
            }
        }
        Distribution::Canonical => {
            // Its usual value is the root.
            let rule: Rule = |text| if text == "/" { Ok(()) } else { check_clean(text) };
            text("containerd-base-dir", config.get("containerd-base-dir"), rule);
        }
        Distribution::None => {}
    }
}

#[cfg(test)]
mod tests {
    use crate::profile::{Packs, Problems, load};

    /// The problems with paths of a profile whose distribution has this configuration, the first line of which is line 11.
    fn problems(distribution: &str, version: &str, config: &str) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let lines: String = config.lines().map(|line| format!("        {line}\n")).collect();
        let text = format!(
            "apiVersion: carrack/v1\nkind: ClusterProfile\nmetadata: {{name: a, version: 1.0.0}}\nspec:\n  packs:\n    - name: \
             k8s\n      layer: k8s\n      distribution: {distribution}\n      version: {version}\n      config:\n{lines}  variables:\n    \
             - {{name: place, description: Where, default: /srv/edge/kubelet}}\n"
        );
        std::fs::write(folder.path().join("carrack.yaml"), text).unwrap();
        match load(folder.path(), &Packs::new()) {
            Ok(_) => Vec::new(),
            Err(Problems::Found(problems)) => {
                let told = |problem: String| {
                    let line = problem.lines().next().unwrap();
                    let file = format!("{}/", folder.path().display());
                    line.strip_prefix(&file).unwrap_or(line).to_owned()
                };
                problems.iter().map(|problem| told(problem.to_string())).collect()
            }
            Err(error) => panic!("{error}"),
        }
    }

    fn k3s(config: &str) -> Vec<String> {
        problems("k3s", "1.32.5+k3s1", config)
    }

    #[test]
    fn paths_that_cannot_be_what_they_are_for_are_told_with_their_place() {
        for (config, column, why) in [
            ("write-kubeconfig: admin.yaml", 27, "`write-kubeconfig` is \"admin.yaml\", which"),
            ("write-kubeconfig: /etc/../etc/passwd", 27, "`write-kubeconfig` is"),
            ("write-kubeconfig: /etc//admin.yaml", 27, "`write-kubeconfig` is"),
            ("write-kubeconfig: /admin.yaml", 27, "is a file in the root of the file system"),
            ("write-kubeconfig: /usr/local/bin", 27, "is a folder of the system, not a file"),
            ("write-kubeconfig: /dev/sda", 27, "is in a file system of the kernel"),
            ("write-kubeconfig: /var/lib/carrack/journal/x", 27, "is a place of Carrack's own"),
            ("data-dir: /var/lib", 19, "`data-dir` is \"/var/lib\", which is a folder of the system"),
            ("data-dir: /", 19, "`data-dir` is \"/\", which"),
            ("data-dir: /var/lib/docker", 19, "is a folder of another program"),
            ("kubelet-arg: [root-dir=/var/lib]", 23, "`kubelet-arg: root-dir` is \"/var/lib\""),
            ("kubelet-arg: [v=2, --root-dir=/etc/kubelet]", 28, "`kubelet-arg: root-dir` is \"/etc/kubelet\""),
            ("kubelet-arg: root-dir=kubelet", 22, "`kubelet-arg: root-dir` is \"kubelet\""),
            ("kubelet-arg+: [root-dir=/home]", 24, "`kubelet-arg: root-dir` is \"/home\""),
        ] {
            let found = k3s(config);
            let place = format!("carrack.yaml:11:{column}: ");
            assert!(
                found.iter().any(|problem| problem.starts_with(&place) && problem.contains(why)),
                "{config}: {found:?}"
            );
        }
    }

    #[test]
    fn those_of_kubeadm_and_canonical_kubernetes_are_looked_at_where_they_stand() {
        let kubeadm = |config: &str| problems("kubeadm", "1.32.5", config);
        for (config, place, why) in [
            ("clusterConfiguration:\n  certificatesDir: /etc", "12:28", "`certificatesDir` is \"/etc\""),
            ("clusterConfiguration:\n  etcd:\n    local: {dataDir: /var}", "13:30", "`etcd.local.dataDir` is \"/var\""),
            (
                "initConfiguration:\n  nodeRegistration:\n    kubeletExtraArgs: [{name: root-dir, value: /opt}]",
                "13:56",
                "`kubeletExtraArgs: root-dir` is \"/opt\"",
            ),
        ] {
            let (found, place) = (kubeadm(config), format!("carrack.yaml:{place}: "));
            assert!(
                found.iter().any(|problem| problem.starts_with(&place) && problem.contains(why)),
                "{config}: {found:?}"
            );
        }
        let found = problems("canonical", "1.32.5", "containerd-base-dir: var/../x");
        assert!(
            found.iter().any(|problem| problem.starts_with("carrack.yaml:11:30: `containerd-base-dir` is")),
            "{found:?}"
        );
    }

    #[test]
    fn paths_of_their_own_are_taken() {
        for config in [
            "write-kubeconfig: /etc/rancher/k3s/k3s.yaml",
            "write-kubeconfig: /root/.kube/config",
            "write-kubeconfig: /srv/admin/kube.config",
            "kubelet-arg: [root-dir=/data/kubelet, v=2]",
            "kubelet-arg: [\"root-dir={{.carrack.var.place}}\"]",
            "kubelet-arg: root-dir=/var/lib/kubelet",
        ] {
            assert_eq!(k3s(config), Vec::<String>::new(), "{config}");
        }
    }
}
