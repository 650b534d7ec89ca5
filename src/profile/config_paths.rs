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
