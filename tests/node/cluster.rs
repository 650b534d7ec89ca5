//! A distribution on a node: systemd starts the stand-in for k3s, which has a containerd of its own as k3s has. It is
//! ready late, never, or not at all, it dies, and it refuses what k3s does not know.

use std::collections::BTreeSet;
use std::time::Instant;

use serde_json::Value;

use super::bench::{Bench, INSTALLER};
use super::edge::{DYING, FIRST, LATE, MISTAKEN, NEVER, SECOND, STAND_IN, Version};
use super::node::Node;
use super::state::{difference, files};

const CTR: &str = "ctr -a /run/k3s/containerd/containerd.sock -n k8s.io";
const DATA: &str = "/var/lib/rancher/k3s/server/db/state.db";

/// A node on which what the stand-in writes down is no file that is left.
fn boot(test: &str) -> Option<Bench> {
    let mut bench = Bench::boot(test)?;
    bench.node.succeed(&format!(
        "mkdir {STAND_IN} && ln -s /run/stand-in-calls {STAND_IN}/calls && ln -s /run/stand-in-asked {STAND_IN}/asked"
    ));
    Some(bench)
}

/// The node may be smaller than k3s wants one, it has no network, and its control groups are of version 1.
fn apply(version: &Version) -> String {
    let skipped = "--skip processors --skip memory --skip disk --skip default-route --skip cgroups";
    format!("{INSTALLER} apply {} --yes {skipped}", version.bundle())
}

/// Installs a version, or upgrades to it.
fn install(node: &mut Node<'_>, version: &Version) {
    let begun = Instant::now();
    let ran = node.run(&apply(version));
    assert_eq!(ran.code, 0, "{}\n{}", ran.output, node.run("journalctl --no-pager -u k3s.service").output);
    println!("{}: {:?}\n{}", version.number, begun.elapsed(), ran.output);
}

/// Waits until this version's server runs, and looks whether everything of it is there.
fn wait_for(node: &mut Node<'_>, version: &Version) {
    node.wait_for("k3s", "systemctl is-active --quiet k3s.service");
    node.succeed("systemctl is-enabled --quiet k3s.service");
    let images = node.succeed(&format!("{CTR} images ls -q"));
    assert!(images.contains(&version.image()), "{images}");
    assert_eq!(node.succeed(&format!("cat {DATA}")), version.data);
    node.succeed(&format!("{INSTALLER} status"));
}

/// Files as they were, without those of a containerd that runs.
fn files_of_node(node: &mut Node<'_>) -> BTreeSet<String> {
    let lines = files(|script| node.succeed(script)).into_iter();
    lines.filter(|line| !line.contains("/var/lib/rancher/k3s/agent/containerd")).collect()
}

/// The same without what Carrack keeps for itself, which grows with each version.
fn files_of_others(node: &mut Node<'_>) -> BTreeSet<String> {
    let own = |line: &String| line.contains("/var/lib/carrack") || line.starts_with("000");
    files_of_node(node).into_iter().filter(|line| !own(line)).collect()
}

fn receipt(node: &mut Node<'_>, name: &str) -> Value {
    serde_json::from_str(&node.succeed(&format!("cat /var/lib/carrack/receipts/{name}.json"))).unwrap()
}

/// Nothing of the distribution is there, and nothing of it runs.
fn assert_untouched(node: &mut Node<'_>, untouched: &BTreeSet<String>, why: &str) {
    assert_eq!(difference(untouched, &files(|script| node.succeed(script))), "", "files {why}");
    node.expect(3, "systemctl is-active k3s.service");
    node.expect(2, "ls -d /run/k3s");
    node.succeed("! grep -l '^/usr/local/bin/k3s' /proc/[0-9]*/cmdline && ! grep -q k3s /proc/mounts");
    node.expect(40, &format!("{INSTALLER} status"));
}

#[test]
fn a_server_that_is_ready_late_is_waited_for_and_comes_back() {
    let Some(mut bench) = boot("a_server_that_is_ready_late_is_waited_for_and_comes_back") else {
        return;
    };
    let node = &mut bench.node;
    let untouched = files(|script| node.succeed(script));
    install(node, &FIRST);
    wait_for(node, &FIRST);
    let asked = node.succeed("grep -- '--raw /readyz' /run/stand-in-calls");
    assert_eq!(asked.lines().count(), 4, "{asked}");
    let receipt = receipt(node, "0001-edge-1.0.0");
    assert_eq!(receipt["runtime"]["kind"], "k3s", "the image was there before its containerd: {receipt}");
    node.power_off();
    node.boot();
    wait_for(node, &FIRST);

    // Its images are in the containerd that goes with it, which need not run for that.
    install(node, &SECOND);
    node.succeed("systemctl stop k3s.service");
    let told = node.succeed(&format!("{INSTALLER} uninstall --yes"));
    assert!(!told.contains("warning"), "{told}");
    assert_untouched(node, &untouched, "after a version whose images were in containerd");
}

#[test]
fn a_server_that_does_not_come_up_leaves_nothing() {
    let Some(mut bench) = boot("a_server_that_does_not_come_up_leaves_nothing") else {
        return;
    };
    let node = &mut bench.node;
    let untouched = files(|script| node.succeed(script));
    for (version, logged) in
        [(NEVER, "start operation timed out"), (MISTAKEN, "k3s: flag provided but not defined: -tls-sann")]
    {
        let begun = Instant::now();
        let failed = node.expect(50, &apply(&version));
        println!("{}: {:?}\n{failed}", version.number, begun.elapsed());
        assert!(failed.contains("k3s.service does not come up"), "{failed}");
        let journal = node.succeed("journalctl --no-pager -u k3s.service");
        assert!(journal.contains(logged), "{journal}");
        assert_untouched(node, &untouched, "after a start that failed");
    }
}

#[test]
#[ignore = "takes a quarter of an hour: cargo test --test node -- --ignored --nocapture"]
fn a_server_that_is_never_ready_is_given_up() {
    let Some(mut bench) = boot("a_server_that_is_never_ready_is_given_up") else {
        return;
    };
    let node = &mut bench.node;
    let untouched = files(|script| node.succeed(script));
    let failed = node.expect(50, &apply(&LATE));
    println!("{failed}");
    assert!(failed.contains("the API server is ready not within 900 seconds"), "{failed}");
    assert!(failed.contains("the server is currently unable to handle the request"), "{failed}");
    assert_untouched(node, &untouched, "after a server that was never ready");
}

#[test]
fn a_cluster_is_upgraded_and_its_data_comes_back() {
    let Some(mut bench) = boot("a_cluster_is_upgraded_and_its_data_comes_back") else {
        return;
    };
    let node = &mut bench.node;
    let untouched = files(|script| node.succeed(script));
    install(node, &FIRST);
    wait_for(node, &FIRST);
    let (first, others) = (files_of_node(node), files_of_others(node));

    let failed = node.expect(50, &apply(&DYING));
    println!("{failed}");
    assert!(failed.contains("k3s.service does not come up"), "{failed}");
    let journal = node.succeed("journalctl --no-pager -u k3s.service");
    assert!(journal.contains("k3s: it dies, as it is told to"), "{journal}");
    wait_for(node, &FIRST);
    assert_eq!(difference(&first, &files_of_node(node)), "", "files after a server that died");
    let images = node.succeed(&format!("{CTR} images ls -q"));
    assert!(!images.contains(&DYING.image()), "{images}");

    install(node, &SECOND);
    wait_for(node, &SECOND);
    let upgraded = receipt(node, "0002-edge-1.1.0");
    assert_eq!(upgraded["runtime"]["kind"], "containerd", "{upgraded}");
    let saved = &upgraded["saved"];
    let folder = saved["folder"].as_str().unwrap();
    assert_eq!(node.succeed(&format!("cat {folder}/db/state.db")), FIRST.data);

    let told = node.succeed(&format!("{INSTALLER} rollback --yes"));
    println!("{told}");
    let made = saved["made"].as_str().unwrap();
    assert!(told.contains(&format!("the cluster's state becomes that of {made}")), "{told}");
    wait_for(node, &FIRST);
    assert_eq!(difference(&others, &files_of_others(node)), "", "files after the rollback");
    assert_eq!(receipt(node, "0003-edge-1.0.0")["rolledBackFrom"], 2);
    node.expect(2, &format!("ls -d {folder}"));

    println!("{}", node.succeed(&format!("{INSTALLER} uninstall --yes")));
    assert_untouched(node, &untouched, "after it was uninstalled");
}
