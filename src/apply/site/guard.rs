//! What no upgrade changes by itself: a machine's part in its cluster, and where the cluster's data is.

use std::fs;

use super::{address, installed_machine};
use crate::apply::ApplyError;
use crate::apply::cluster::distribution;
use crate::apply::files::{FileKind, TargetFile};
use crate::apply::history::History;
use crate::apply::receipt::Receipt;
use crate::apply::survey::Target;
use crate::apply::targets::Inputs;
use crate::host::Root;
use crate::site::node::{Membership, Node, Role};
use crate::yaml::{self, Node as Yaml, Value};

/// Keys of a distribution's configuration whose values come from a site. Some are in profiles too.
const SITES: [&str; 23] = [
    "bootstrapToken",
    "bootstrapTokens",
    "caCertHashes",
    "certSANs",
    "certificateKey",
    "cluster-init",
    "control-plane-taints",
    "controlPlaneEndpoint",
    "data-dir",
    "dataDir",
    "discovery",
    "extra-node-kubelet-args",
    "extra-sans",
    "kind",
    "kubeletExtraArgs",
    "node-label",
    "node-name",
    "node-taint",
    "server",
    "taints",
    "tls-san",
    "token",
    "token-file",
];

/// Refuses what would end a machine's part in its cluster, before anything is looked at further. `files` are all that the
/// bundle and the site want on this host.
///
/// # Errors
/// [`ApplyError::InstallRoot`], [`ApplyError::AddressFixed`], [`ApplyError::RoleChange`], [`ApplyError::RoleFixed`], [`ApplyError::UnknownSite`].
pub(in crate::apply) fn guard(
    inputs: Inputs<'_>,
    target: &Target,
    history: &History,
    files: &[TargetFile],
) -> Result<(), ApplyError> {
    let profile = &inputs.contents.profile;
    let Some(entry) = history.of_profile(&profile.name).next() else { return Ok(()) };
    let (_, distribution) = distribution(inputs.contents);
    let title = format!("{} {}", entry.receipt.name, entry.receipt.version);
    match installed_machine(history, &profile.name, &target.root)? {
        Some(installed) => compare(&installed, inputs.node, target, distribution, title),
        // Without files the bundle is refused for another reason.
        None if target.asked.site || files.is_empty() => Ok(()),
        None => {
            let evidence = evidence(&entry.receipt, files, &target.root);
            if evidence.is_empty() { Ok(()) } else { Err(ApplyError::UnknownSite { installed: title, evidence }) }
        }
    }
}

fn compare(
    before: &Node,
    after: &Node,
    target: &Target,
    distribution: &str,
    installed: String,
) -> Result<(), ApplyError> {
    if before.install_root != after.install_root {
        let shown = |root: &Option<String>| root.clone().unwrap_or_else(|| "the usual place".to_owned());
        let (before, after) = (shown(&before.install_root), shown(&after.install_root));
        return Err(ApplyError::InstallRoot { installed, before, after });
    }
    address::refuse(before, after, distribution, &installed)?;
    let changes = part(before, after);
    if changes.is_empty() {
        return Ok(());
    }
    let same_kind = before.role == after.role && is_init(before) == is_init(after);
    if matches!(distribution, "kubeadm" | "canonical") && !same_kind {
        // Both make a machine a node once, with a program that another configuration does not run again.
        return Err(ApplyError::RoleFixed { installed, distribution: distribution.to_owned(), changes });
    }
    if !target.asked.change_role {
        return Err(ApplyError::RoleChange { installed, changes });
    }
    Ok(())
}

/// What changes of a machine's part in its cluster, old and new named.
fn part(before: &Node, after: &Node) -> Vec<String> {
    let role = |node: &Node| match node.role {
        Role::Server => "server",
        Role::Agent => "agent",
    };
    let cluster = |node: &Node| match &node.cluster {
        Membership::Init { .. } => "init: true".to_owned(),
        Membership::Join { server, .. } => format!("join: {server}"),
    };
    let mut changes = Vec::new();
    if before.role != after.role {
        changes.push(format!("`role: {}` would become `role: {}`", role(before), role(after)));
    }
    if cluster(before) != cluster(after) {
        changes.push(format!("`cluster.{}` would become `cluster.{}`", cluster(before), cluster(after)));
    }
    changes
}

fn is_init(node: &Node) -> bool {
    matches!(node.cluster, Membership::Init { .. })
}

/// What an installer that did not write sites down has left on this host that shows that there was one: files of the
/// distribution's configuration that would go, and what sites put into those that stay.
fn evidence(receipt: &Receipt, files: &[TargetFile], root: &Root) -> Vec<String> {
    let mut evidence = Vec::new();
    for installed in receipt.files.iter().filter(|file| file.kind == FileKind::Config.word()) {
        let Some(wanted) = files.iter().find(|file| file.path == installed.path) else {
            evidence.push(format!("{} would be removed", installed.path));
            continue;
        };
        let found = root.resolve(&installed.path).ok().and_then(|path| fs::read_to_string(path).ok());
        let wanted = wanted.content.as_ref().map(|content| String::from_utf8_lossy(&content.bytes).into_owned());
        let (Some(found), Some(wanted)) = (found, wanted) else { continue };
        let wanted = settings(&wanted);
        let mut lost: Vec<String> =
            settings(&found).into_iter().filter(|one| !wanted.contains(one)).map(|(path, _)| path).collect();
        lost.dedup();
        if !lost.is_empty() {
            evidence.push(format!("{} would lose {}", installed.path, lost.join(", ")));
        }
    }
    evidence
}

/// Everything in YAML that is a site's, each by its path and value. Values are compared and never shown.
fn settings(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for document in &yaml::parse(text).documents {
        collect(document, "", false, &mut found);
    }
    found.sort();
    found.dedup();
    found
}

fn collect(node: &Yaml, path: &str, of_site: bool, found: &mut Vec<(String, String)>) {
    match &node.value {
        Value::Mapping(entries) => {
            for entry in &**entries {
                let key = entry.key.trim_end_matches('+');
                let path = if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
                collect(&entry.value, &path, of_site || SITES.contains(&key), found);
            }
        }
        Value::Sequence(items) => items.iter().for_each(|item| collect(item, path, of_site, found)),
        _ if of_site => {
            let value = node.scalar().map(|scalar| scalar.text.to_string()).unwrap_or_default();
            found.push((path.to_owned(), value));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lost(before: &str, after: &str) -> Vec<String> {
        let after = settings(after);
        settings(before).into_iter().filter(|one| !after.contains(one)).map(|(path, _)| path).collect()
    }

    #[test]
    fn what_a_site_has_put_into_a_configuration_is_known() {
        let cases = [
            ("server: https://a:6443\ndisable: [traefik]\n", "disable: []\n", "server"),
            ("\"node-label+\":\n  - tier=edge\n", "debug: true\n", "node-label"),
            ("tls-san: [a, b]\n", "tls-san: [a]\n", "tls-san"),
            ("kind: JoinConfiguration\n", "kind: InitConfiguration\n", "kind"),
            ("discovery: {bootstrapToken: {token: x}}\n", "{}\n", "discovery.bootstrapToken.token"),
            ("apiServer: {certSANs: [a]}\n", "apiServer: {}\n", "apiServer.certSANs"),
        ];
        for (before, after, path) in cases {
            assert_eq!(lost(before, after), [path], "{before}");
        }
    }

    #[test]
    fn what_a_profile_changes_is_no_site() {
        for (before, after) in [
            ("disable: [traefik]\nflannel-backend: vxlan\n", "disable: [servicelb]\n"),
            ("tls-san: [a]\n", "tls-san: [a, b]\n"),
            (
                "kind: InitConfiguration\nkubernetesVersion: v1.30.0\n",
                "kind: InitConfiguration\nkubernetesVersion: v1.31.0\n",
            ),
        ] {
            assert_eq!(lost(before, after), Vec::<String>::new(), "{before}");
        }
    }

    #[test]
    fn the_part_in_a_cluster_is_named_old_and_new() {
        let join = |server: &str| Membership::Join {
            server: server.to_owned(),
            token: crate::site::node::Secret("canary".to_owned()),
            ca_hash: None,
            certificate_key: None,
        };
        let agent = Node { role: Role::Agent, cluster: join("https://a:6443"), ..Node::default() };
        let expected = [
            "`role: agent` would become `role: server`",
            "`cluster.join: https://a:6443` would become `cluster.init: true`",
        ];
        assert_eq!(part(&agent, Node::alone()), expected);
        let other = Node { cluster: join("https://b:6443"), ..agent.clone() };
        assert_eq!(
            part(&agent, &other),
            ["`cluster.join: https://a:6443` would become `cluster.join: https://b:6443`"]
        );
        assert!(part(&agent, &Node { hostname: Some("n".to_owned()), ..agent.clone() }).is_empty());
    }
}
