//! The life of a cluster: it comes up, stays as it is, comes back after a night without power, is upgraded and taken back, and
//! goes.

use std::time::Instant;

use super::bundle::{BROKEN, CHANGED, FIRST, FIXED, PRESSED, Parts, SECOND, UNFIT};
use super::cluster::{AGENT, Cluster, INSTALLER, SERVER, command};
use super::configuration;
use super::holds::Holds;
use super::node::Wire;
use super::refusals;
use super::registry::Registry;
use super::times::tell;

/// What is left of a node that was uninstalled.
pub(crate) const LEFT: [&str; 2] = ["/opt/containerd", "/usr/lib/modules"];

#[test]
fn a_cluster_comes_up_comes_back_and_goes() {
    const TEST: &str = "a_cluster_comes_up_comes_back_and_goes";
    let Some((system, parts)) = Parts::with_system(TEST) else {
        return;
    };
    let begun = Instant::now();
    let reached = |what: &str| tell(&format!("{what} after {:.0?}", begun.elapsed()));
    let (workbench, wire) = (parts.workbench(), Wire::new());
    let registry = Registry::start(&workbench.join("registry"), &parts.images());
    [UNFIT, PRESSED, FIRST, BROKEN, CHANGED, FIXED, SECOND]
        .iter()
        .for_each(|version| parts.build(&registry, &workbench, version));
    drop(registry);
    reached("the bundles are built");

    let mut cluster = Cluster::boot(&system, &workbench, &wire);
    let before = [Holds::of(&mut cluster.server), Holds::of(&mut cluster.agent)];
    reached("two nodes run");
    refusals::show(&mut cluster);
    reached("what would not work is refused");
    cluster.install();
    cluster.wait_until_well(&FIRST);
    reached("the cluster is well");
    assert_eq!(cluster.kubectl("get events -A --field-selector reason=Pulling"), "No resources found");

    for (node, (site, _)) in [(&mut cluster.server, SERVER), (&mut cluster.agent, AGENT)] {
        let again = node.succeed(&command(site, &FIRST));
        assert!(again.contains("nothing to change"), "{again}");
    }

    let told = cluster.server.expect(50, &command(SERVER.0, &BROKEN));
    println!("{told}");
    assert!(told.contains("is not ready within 30 seconds: Deployment web/web: "), "{told}");
    assert!(told.contains("no shelf for it") && told.contains("--skip ready"), "{told}");
    cluster.wait_until_well(&FIRST);
    reached("what does not work is taken back");

    configuration::comes_and_goes(&mut cluster);
    cluster.wait_until_well(&FIRST);
    reached("changed configuration has come and gone");

    cluster.agent.power_off();
    cluster.server.power_off();
    cluster.server.boot();
    cluster.agent.boot();
    cluster.wait_until_well(&FIRST);
    reached("it was off, and is well again");

    cluster.upgrade(&SECOND);
    cluster.wait_until_well(&SECOND);
    reached("it is upgraded");
    for node in [&mut cluster.server, &mut cluster.agent] {
        println!("{}", node.succeed(&format!("{INSTALLER} rollback --yes")));
    }
    cluster.wait_until_well(&FIRST);
    reached("it is back in its first version");

    let [server, agent] = before;
    for (node, before) in [(&mut cluster.agent, agent), (&mut cluster.server, server)] {
        println!("{}", node.succeed(&format!("{INSTALLER} uninstall --yes")));
        node.expect(40, &format!("{INSTALLER} status"));
        let after = Holds::of(node);
        assert_eq!(Vec::from_iter(after.new_files(&before)), LEFT, "files");
        assert_eq!(after.network_since(&before), "", "the network");

        node.power_off();
        node.boot();
        assert_eq!(Holds::of(node).network_since(&before), "", "the network after the next start");
    }
    reached("it is gone");
}
