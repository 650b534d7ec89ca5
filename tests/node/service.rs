//! A service that runs a container from the bundle comes up with the apply, and with every start after it.

use super::bench::{Bench, INSTALLER};
use super::node::Node;
use super::shop::{FIRST, Version};

/// Waits until the container of this version writes, and not one before it.
pub(crate) fn wait_for_shop(node: &mut Node<'_>, version: &Version) {
    node.succeed("rm -f /run/shop/beat");
    node.wait_for("the shop", &format!("grep -qx 'shop {}' /run/shop/beat", version.number));
    node.succeed("systemctl is-active --quiet shop.service && systemctl is-enabled --quiet shop.service");
}

#[test]
fn a_service_from_the_stick_runs_and_comes_back() {
    let Some(mut bench) = Bench::boot("a_service_from_the_stick_runs_and_comes_back") else {
        return;
    };
    let node = &mut bench.node;
    node.expect(1, "touch /media/usb/written");
    node.succeed("ls /sys/class/net | grep -vx lo && exit 1 || exit 0");
    println!("{}", node.succeed(&format!("{INSTALLER} preflight {}", FIRST.bundle())));
    println!("{}", node.succeed(&format!("time {INSTALLER} apply {} --yes", FIRST.bundle())));
    wait_for_shop(node, &FIRST);
    node.succeed(&format!("{INSTALLER} status"));
    node.power_off();
    node.boot();
    wait_for_shop(node, &FIRST);
    node.succeed(&format!("{INSTALLER} status"));
}
