//! Upgrade, an upgrade that fails, rollback, repair and uninstall, with the node's files before and after compared.

use std::collections::BTreeSet;

use super::bench::{Bench, INSTALLER};
use super::node::Node;
use super::service::wait_for_shop;
use super::shop::{BROKEN, FIRST, SECOND, Version};
use super::state::{content, difference, files};

fn apply(node: &mut Node<'_>, version: &Version) {
    node.succeed(&format!("{INSTALLER} apply {} --yes", version.bundle()));
    wait_for_shop(node, version);
}

/// What Carrack keeps for itself has receipts and what was replaced: it grows with each version.
fn without_own(files: BTreeSet<String>) -> BTreeSet<String> {
    let own = |line: &String| line.contains("/var/lib/carrack") || line.starts_with("000");
    files.into_iter().filter(|line| !own(line)).collect()
}

/// Has containerd remove what nothing refers to, now.
fn collect(node: &mut Node<'_>) {
    node.succeed("ctr -n k8s.io leases create --id collect && ctr -n k8s.io leases rm --sync collect");
}

#[test]
fn a_machine_is_upgraded_and_comes_back() {
    let Some(mut bench) = Bench::boot("a_machine_is_upgraded_and_comes_back") else {
        return;
    };
    let node = &mut bench.node;
    let untouched = (files(|script| node.succeed(script)), content(|script| node.succeed(script)));

    apply(node, &FIRST);
    let first = files(|script| node.succeed(script));
    apply(node, &SECOND);
    let second = (files(|script| node.succeed(script)), content(|script| node.succeed(script)));

    let failed = node.expect(50, &format!("{INSTALLER} apply {} --yes", BROKEN.bundle()));
    assert!(failed.contains("shop.service"), "{failed}");
    wait_for_shop(node, &SECOND);
    collect(node);
    assert_eq!(difference(&second.0, &files(|script| node.succeed(script))), "", "files after a failed upgrade");
    assert_eq!(difference(&second.1, &content(|script| node.succeed(script))), "", "content after a failed upgrade");
    node.succeed(&format!("{INSTALLER} status"));

    node.succeed(&format!("{INSTALLER} rollback --yes"));
    wait_for_shop(node, &FIRST);
    let found = difference(&without_own(first), &without_own(files(|script| node.succeed(script))));
    assert_eq!(found, "", "files after the rollback");
    node.succeed(&format!("{INSTALLER} status"));

    let rolled_back = files(|script| node.succeed(script));
    node.succeed("chmod 777 /etc/shop/prices; chown 7 /etc/shop/taxes; systemctl disable --now shop.service");
    node.expect(40, &format!("{INSTALLER} status"));
    node.succeed(&format!("{INSTALLER} repair --yes"));
    wait_for_shop(node, &FIRST);
    node.succeed(&format!("{INSTALLER} status"));
    assert_eq!(difference(&rolled_back, &files(|script| node.succeed(script))), "", "files after the repair");

    node.succeed(&format!("{INSTALLER} uninstall --yes"));
    collect(node);
    assert_eq!(difference(&untouched.0, &files(|script| node.succeed(script))), "", "files after it was uninstalled");
    assert_eq!(
        difference(&untouched.1, &content(|script| node.succeed(script))),
        "",
        "content after it was uninstalled"
    );
    node.expect(3, "systemctl is-active shop.service");
    node.expect(40, &format!("{INSTALLER} status"));
}
