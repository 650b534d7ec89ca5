//! A control plane that does not come up, with other configuration or in another version: the cluster is well as it was before.

use std::time::Instant;

use super::bundle::{DEAD, FIRST, Parts, UNKNOWN};
use super::cluster::{KUBECTL, apply, command};
use super::configuration::is_taken_back;
use super::node::Wire;
use super::registry::Registry;
use super::servers::{NAMES, Servers};

#[test]
#[ignore = "waits minutes for an API server, twice"]
fn what_does_not_run_is_undone() {
    const TEST: &str = "what_does_not_run_is_undone";
    let Some((system, parts)) = Parts::with_system(TEST) else {
        return;
    };
    let (workbench, wire) = (parts.workbench(), Wire::new());
    let registry = Registry::start(&workbench.join("registry"), &parts.images());
    [FIRST, UNKNOWN].iter().for_each(|version| parts.build(&registry, &workbench, version));
    registry.name("registry.example.org/broken/kube-apiserver:1.0.0", "registry.k8s.io/kube-apiserver:v1.34.5");
    parts.build(&registry, &workbench, &DEAD);
    drop(registry);

    let mut servers = Servers::boot(1, &system, &workbench, &wire, &parts);
    servers.site(0, "");
    apply(&mut servers.nodes[0], NAMES[0], &FIRST);
    servers.wait_until_well(&[0]);
    servers.nodes[0].succeed(&format!("{KUBECTL} create configmap -n web kept --from-literal=till=open"));

    is_taken_back(&mut servers.nodes[0], NAMES[0]);
    servers.wait_until_well(&[0]);

    let begun = Instant::now();
    let told = servers.nodes[0].expect(50, &command(NAMES[0], &DEAD));
    println!("{:.0?}\n{told}", begun.elapsed());
    for part in ["cannot upgrade to v1.34.5", "couldn't upgrade control plane", "component kube-apiserver on Node till"]
    {
        assert!(told.contains(part), "{part}: {told}");
    }

    servers.wait_until_well(&[0]);
    let version = servers.nodes[0].succeed(&format!("{KUBECTL} get --raw /version"));
    assert!(version.contains("v1.34.4"), "{version}");
    let images = servers.nodes[0]
        .succeed(&format!("{KUBECTL} get pods -A -o jsonpath='{{.items[*].spec.containers[*].image}}'"));
    assert!(!images.contains("v1.34.5"), "{images}");
    servers.nodes[0].succeed(&format!("{KUBECTL} get configmap -n web kept"));
    servers.nodes[0].expect(0, &command(NAMES[0], &FIRST));
}
