//! Upgrade, an upgrade that fails, rollback, repair and uninstall, with the machine's files before and after compared.

use std::collections::BTreeSet;

use super::bench::{BOOTED, Bench, INSTALLER};
use super::machine::Machine;
use super::service::wait_for_shop;
use super::shop::{BROKEN, FIRST, SECOND, Version};
use super::state::{content, difference, files};

fn apply(machine: &mut Machine, version: &Version) {
    machine.succeed(&format!("{INSTALLER} apply {} --yes", version.bundle()));
    wait_for_shop(machine, version);
}

/// What Carrack keeps for itself has receipts and what was replaced: it grows with each version.
fn without_own(files: BTreeSet<String>) -> BTreeSet<String> {
    let own = |line: &String| line.contains("/var/lib/carrack") || line.starts_with("000");
    files.into_iter().filter(|line| !own(line)).collect()
}

/// Has containerd remove what nothing refers to, now.
fn collect(machine: &mut Machine) {
    machine.succeed("ctr -n k8s.io leases create --id collect && ctr -n k8s.io leases rm --sync collect");
}

#[test]
fn a_machine_is_upgraded_and_comes_back() {
    let Some(bench) = Bench::set_up("a_machine_is_upgraded_and_comes_back") else {
        return;
    };
    let mut machine = bench.resume(BOOTED);
    let untouched = (files(|script| machine.succeed(script)), content(&mut machine));

    apply(&mut machine, &FIRST);
    let first = files(|script| machine.succeed(script));
    apply(&mut machine, &SECOND);
    let second = (files(|script| machine.succeed(script)), content(&mut machine));

    let failed = machine.expect(50, &format!("{INSTALLER} apply {} --yes", BROKEN.bundle()));
    assert!(failed.contains("shop.service"), "{failed}");
    wait_for_shop(&mut machine, &SECOND);
    collect(&mut machine);
    assert_eq!(difference(&second.0, &files(|script| machine.succeed(script))), "", "files after a failed upgrade");
    assert_eq!(difference(&second.1, &content(&mut machine)), "", "content after a failed upgrade");
    machine.succeed(&format!("{INSTALLER} status"));

    machine.succeed(&format!("{INSTALLER} rollback --yes"));
    wait_for_shop(&mut machine, &FIRST);
    let found = difference(&without_own(first), &without_own(files(|script| machine.succeed(script))));
    assert_eq!(found, "", "files after the rollback");
    machine.succeed(&format!("{INSTALLER} status"));

    let rolled_back = files(|script| machine.succeed(script));
    machine.succeed("chmod 777 /etc/shop/prices; chown 7 /etc/shop/taxes; systemctl disable --now shop.service");
    machine.expect(40, &format!("{INSTALLER} status"));
    machine.succeed(&format!("{INSTALLER} repair --yes"));
    wait_for_shop(&mut machine, &FIRST);
    machine.succeed(&format!("{INSTALLER} status"));
    assert_eq!(difference(&rolled_back, &files(|script| machine.succeed(script))), "", "files after the repair");

    machine.succeed(&format!("{INSTALLER} uninstall --yes"));
    collect(&mut machine);
    assert_eq!(
        difference(&untouched.0, &files(|script| machine.succeed(script))),
        "",
        "files after it was uninstalled"
    );
    assert_eq!(difference(&untouched.1, &content(&mut machine)), "", "content after it was uninstalled");
    machine.expect(3, "systemctl is-active shop.service");
    machine.expect(40, &format!("{INSTALLER} status"));
}
