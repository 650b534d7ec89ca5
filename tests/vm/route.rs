//! A host without a default route gets one by a dummy interface, which the kernel of a test's host need not have.

use super::bench::{BOOTED, Bench, INSTALLER};
use super::plug::wait_for_shop;
use super::shop::{FIRST, SECOND};

#[test]
fn a_host_without_a_route_gets_one_and_loses_it() {
    let Some(bench) = Bench::set_up("a_host_without_a_route_gets_one_and_loses_it") else {
        return;
    };
    let mut machine = bench.resume(BOOTED);
    let links = machine.succeed("ip -br link");
    machine.expect(2, "ip route get 10.43.0.1");
    machine.succeed("printf 'apiVersion: carrack/v1\\nkind: Site\\nspec: {dummyRoute: true}\\n' >/run/site.yaml");
    println!("{}", machine.succeed(&format!("{INSTALLER} apply {} --yes --site /run/site.yaml", FIRST.bundle())));
    let routed = machine.succeed("ip route get 10.43.0.1");
    assert!(routed.contains("via 203.0.113.255 dev carrack-dummy src 203.0.113.254"), "{routed}");
    machine.power_off();

    let mut machine = bench.boot();
    machine.wait_for_boot();
    wait_for_shop(&mut machine, &FIRST);
    assert_eq!(machine.succeed("ip route get 10.43.0.1"), routed);
    let made = "systemctl show --property=ActiveEnterTimestampMonotonic carrack-dummy-route.service";
    let since = machine.succeed(made);
    // A route of the host's own comes first.
    machine.succeed("ip link add uplink type dummy && ip address add 10.0.0.2/24 dev uplink && ip link set uplink up");
    machine.succeed("ip route add default via 10.0.0.1 dev uplink metric 1024");
    assert!(machine.succeed("ip route get 10.43.0.1").contains("dev uplink"), "the host's own route comes first");
    machine.succeed("ip link delete uplink");

    machine.succeed(&format!("{INSTALLER} apply {} --yes", SECOND.bundle()));
    assert_eq!(machine.succeed(made), since, "what runs keeps its route meanwhile");
    machine.succeed(&format!("{INSTALLER} uninstall --yes"));
    assert_eq!(machine.succeed("ip -br link"), links);
    machine.expect(3, "systemctl is-active carrack-dummy-route.service");
}
