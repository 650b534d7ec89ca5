//! A service that runs a container from the bundle comes up with the apply, and with every start after it.

use super::bench::{BOOTED, Bench, INSTALLER};
use super::machine::Machine;
use super::shop::{FIRST, Version};

/// Waits until the container of this version writes, and not one before it.
pub(crate) fn wait_for_shop(machine: &mut Machine, version: &Version) {
    machine.succeed("rm -f /run/shop/beat");
    machine.wait_for("the shop", &format!("grep -qx 'shop {}' /run/shop/beat", version.number));
    machine.succeed("systemctl is-active --quiet shop.service && systemctl is-enabled --quiet shop.service");
}

#[test]
fn a_service_from_the_stick_runs_and_comes_back() {
    let Some(bench) = Bench::set_up("a_service_from_the_stick_runs_and_comes_back") else {
        return;
    };
    let mut machine = bench.resume(BOOTED);
    machine.expect(1, "touch /media/usb/written");
    machine.succeed("ls /sys/class/net | grep -vx lo && exit 1 || exit 0");
    println!("{}", machine.succeed(&format!("{INSTALLER} preflight {}", FIRST.bundle())));
    println!("{}", machine.succeed(&format!("time {INSTALLER} apply {} --yes", FIRST.bundle())));
    wait_for_shop(&mut machine, &FIRST);
    machine.succeed(&format!("{INSTALLER} status"));
    machine.power_off();

    let mut machine = bench.boot();
    machine.wait_for_boot();
    wait_for_shop(&mut machine, &FIRST);
    machine.succeed(&format!("{INSTALLER} status"));
}
