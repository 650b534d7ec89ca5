//! A distribution in a real machine: systemd starts the stand-in for k3s, which has a containerd of its own as k3s has. It is
//! ready late, never, or not at all, it dies, and it refuses what k3s does not know.

use std::collections::BTreeSet;
use std::time::Instant;

use serde_json::Value;

use super::bench::{BOOTED, Bench, INSTALLER};
use super::edge::{DYING, FIRST, LATE, MISTAKEN, NEVER, SECOND, STAND_IN, Version};
use super::machine::Machine;
use super::state::{difference, files};

const CTR: &str = "ctr -a /run/k3s/containerd/containerd.sock -n k8s.io";
const DATA: &str = "/var/lib/rancher/k3s/server/db/state.db";

/// A machine on which what the stand-in writes down is no file that is left.
fn machine(bench: &Bench) -> Machine {
    let mut machine = bench.resume(BOOTED);
    machine.succeed(&format!(
        "mkdir {STAND_IN} && ln -s /run/stand-in-calls {STAND_IN}/calls && ln -s /run/stand-in-asked {STAND_IN}/asked"
    ));
    machine
}

/// Where a site is that says that this machine has no route of its own.
const SITE: &str = "/run/site.yaml";

/// The machine is smaller than k3s wants one, and has no network.
fn apply(version: &Version) -> String {
    let skipped = "--skip processors --skip memory --skip disk --skip default-route";
    format!("{INSTALLER} apply {} --yes {skipped}", version.bundle())
}

/// Installs a version, or upgrades to it.
fn install(machine: &mut Machine, version: &Version) {
    let begun = Instant::now();
    let ran = machine.run(&apply(version));
    assert_eq!(ran.code, 0, "{}\n{}", ran.output, machine.run("journalctl --no-pager -u k3s.service").output);
    println!("{}: {:?}\n{}", version.number, begun.elapsed(), ran.output);
}

/// Waits until this version's server runs, and looks whether everything of it is there.
fn wait_for(machine: &mut Machine, version: &Version) {
    machine.wait_for("k3s", "systemctl is-active --quiet k3s.service");
    machine.succeed("systemctl is-enabled --quiet k3s.service");
    let images = machine.succeed(&format!("{CTR} images ls -q"));
    assert!(images.contains(&version.image()), "{images}");
    assert_eq!(machine.succeed(&format!("cat {DATA}")), version.data);
    machine.succeed(&format!("{INSTALLER} status"));
}

/// Files as they were, without those of a containerd that runs.
fn files_of_node(machine: &mut Machine) -> BTreeSet<String> {
    let lines = files(|script| machine.succeed(script)).into_iter();
    lines.filter(|line| !line.contains("/var/lib/rancher/k3s/agent/containerd")).collect()
}

/// The same without what Carrack keeps for itself, which grows with each version.
fn files_of_others(machine: &mut Machine) -> BTreeSet<String> {
    let own = |line: &String| line.contains("/var/lib/carrack") || line.starts_with("000");
    files_of_node(machine).into_iter().filter(|line| !own(line)).collect()
}

fn receipt(machine: &mut Machine, name: &str) -> Value {
    serde_json::from_str(&machine.succeed(&format!("cat /var/lib/carrack/receipts/{name}.json"))).unwrap()
}

/// Nothing of the distribution is there, and nothing of it runs.
fn assert_untouched(machine: &mut Machine, untouched: &BTreeSet<String>, why: &str) {
    assert_eq!(difference(untouched, &files(|script| machine.succeed(script))), "", "files {why}");
    machine.expect(3, "systemctl is-active k3s.service");
    machine.expect(2, "ls -d /run/k3s");
    machine.succeed("! grep -l '^/usr/local/bin/k3s' /proc/[0-9]*/cmdline && ! grep -q k3s /proc/mounts");
    machine.expect(40, &format!("{INSTALLER} status"));
}

#[test]
fn a_server_that_is_ready_late_is_waited_for_and_comes_back() {
    let Some(bench) = Bench::set_up("a_server_that_is_ready_late_is_waited_for_and_comes_back") else {
        return;
    };
    let mut machine = machine(&bench);
    let untouched = files(|script| machine.succeed(script));
    let links = machine.succeed("ip -br link");
    machine.expect(2, "ip route get 10.43.0.1");
    machine.succeed(&format!("printf 'apiVersion: carrack/v1\\nkind: Site\\nspec: {{dummyRoute: true}}\\n' >{SITE}"));
    let ran = machine.succeed(&format!("{} --site {SITE}", apply(&FIRST)));
    println!("{ran}");
    wait_for(&mut machine, &FIRST);
    let routed = machine.succeed("ip route get 10.43.0.1");
    assert!(routed.contains("via 203.0.113.255 dev carrack-dummy src 203.0.113.254"), "{routed}");
    let asked = machine.succeed("grep -- '--raw /readyz' /run/stand-in-calls");
    assert_eq!(asked.lines().count(), 4, "{asked}");
    let receipt = receipt(&mut machine, "0001-edge-1.0.0");
    assert_eq!(receipt["runtime"]["kind"], "k3s", "the image was there before its containerd: {receipt}");
    machine.power_off();

    let mut machine = bench.boot();
    machine.wait_for_boot();
    wait_for(&mut machine, &FIRST);
    assert_eq!(machine.succeed("ip route get 10.43.0.1"), routed);
    let made = "systemctl show --property=ActiveEnterTimestampMonotonic carrack-dummy-route.service";
    let since = machine.succeed(made);
    // A route of the host's own comes first.
    machine.succeed("ip link add uplink type dummy && ip address add 10.0.0.2/24 dev uplink && ip link set uplink up");
    machine.succeed("ip route add default via 10.0.0.1 dev uplink metric 1024");
    assert!(machine.succeed("ip route get 10.43.0.1").contains("dev uplink"), "the host's own route comes first");
    machine.succeed("ip link delete uplink");

    // Its images are in the containerd that goes with it, which need not run for that.
    install(&mut machine, &SECOND);
    assert_eq!(machine.succeed(made), since, "what runs keeps its route meanwhile");
    machine.succeed("systemctl stop k3s.service");
    let told = machine.succeed(&format!("{INSTALLER} uninstall --yes"));
    assert!(!told.contains("warning"), "{told}");
    assert_untouched(&mut machine, &untouched, "after a version whose images were in containerd");
    assert_eq!(machine.succeed("ip -br link"), links);
    machine.expect(3, "systemctl is-active carrack-dummy-route.service");
}

#[test]
fn a_server_that_does_not_come_up_leaves_nothing() {
    let Some(bench) = Bench::set_up("a_server_that_does_not_come_up_leaves_nothing") else {
        return;
    };
    let mut machine = machine(&bench);
    let untouched = files(|script| machine.succeed(script));
    for (version, logged) in
        [(NEVER, "start operation timed out"), (MISTAKEN, "k3s: flag provided but not defined: -tls-sann")]
    {
        let begun = Instant::now();
        let failed = machine.expect(50, &apply(&version));
        println!("{}: {:?}\n{failed}", version.number, begun.elapsed());
        assert!(failed.contains("k3s.service does not come up"), "{failed}");
        let journal = machine.succeed("journalctl --no-pager -u k3s.service");
        assert!(journal.contains(logged), "{journal}");
        assert_untouched(&mut machine, &untouched, "after a start that failed");
    }
}

#[test]
#[ignore = "takes a quarter of an hour: cargo test --test vm -- --ignored --nocapture"]
fn a_server_that_is_never_ready_is_given_up() {
    let Some(bench) = Bench::set_up("a_server_that_is_never_ready_is_given_up") else {
        return;
    };
    let mut machine = machine(&bench);
    let untouched = files(|script| machine.succeed(script));
    let failed = machine.expect(50, &apply(&LATE));
    println!("{failed}");
    assert!(failed.contains("the API server is ready not within 900 seconds"), "{failed}");
    assert!(failed.contains("the server is currently unable to handle the request"), "{failed}");
    assert_untouched(&mut machine, &untouched, "after a server that was never ready");
}

#[test]
fn a_cluster_is_upgraded_and_its_data_comes_back() {
    let Some(bench) = Bench::set_up("a_cluster_is_upgraded_and_its_data_comes_back") else {
        return;
    };
    let mut machine = machine(&bench);
    let untouched = files(|script| machine.succeed(script));
    install(&mut machine, &FIRST);
    wait_for(&mut machine, &FIRST);
    let (first, others) = (files_of_node(&mut machine), files_of_others(&mut machine));

    let failed = machine.expect(50, &apply(&DYING));
    println!("{failed}");
    assert!(failed.contains("k3s.service does not come up"), "{failed}");
    let journal = machine.succeed("journalctl --no-pager -u k3s.service");
    assert!(journal.contains("k3s: it dies, as it is told to"), "{journal}");
    wait_for(&mut machine, &FIRST);
    assert_eq!(difference(&first, &files_of_node(&mut machine)), "", "files after a server that died");
    let images = machine.succeed(&format!("{CTR} images ls -q"));
    assert!(!images.contains(&DYING.image()), "{images}");

    install(&mut machine, &SECOND);
    wait_for(&mut machine, &SECOND);
    let upgraded = receipt(&mut machine, "0002-edge-1.1.0");
    assert_eq!(upgraded["runtime"]["kind"], "containerd", "{upgraded}");
    let saved = &upgraded["saved"];
    let folder = saved["folder"].as_str().unwrap();
    assert_eq!(machine.succeed(&format!("cat {folder}/db/state.db")), FIRST.data);

    let told = machine.succeed(&format!("{INSTALLER} rollback --yes"));
    println!("{told}");
    let made = saved["made"].as_str().unwrap();
    assert!(told.contains(&format!("the cluster's state becomes that of {made}")), "{told}");
    wait_for(&mut machine, &FIRST);
    assert_eq!(difference(&others, &files_of_others(&mut machine)), "", "files after the rollback");
    assert_eq!(receipt(&mut machine, "0003-edge-1.0.0")["rolledBackFrom"], 2);
    machine.expect(2, &format!("ls -d {folder}"));

    println!("{}", machine.succeed(&format!("{INSTALLER} uninstall --yes")));
    assert_untouched(&mut machine, &untouched, "after it was uninstalled");
}
