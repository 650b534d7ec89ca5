//! What would not become a node is refused before anything changes, and what is installed all the same and does not work is
//! called so.

use super::bundle::{PRESSED, UNFIT};
use super::cluster::{Cluster, INSTALLER, SERVER, command};
use super::node::Node;

/// A containerd with a disk of its own, of 2 GiB.
const OWN_DISK: &str =
    "systemctl stop containerd && mount -t tmpfs -o size=2G tmpfs /var/lib/containerd && systemctl start containerd";
const NO_DISK: &str = "systemctl stop containerd && umount /var/lib/containerd && systemctl start containerd";

/// Shows both on the server, on which nothing is installed, and nothing is afterwards.
pub(crate) fn show(cluster: &mut Cluster<'_>) {
    let mirror = "  registries: {mirrors: {docker.io: {endpoint: [\"https://registry.example.org\"]}}}\n";
    for (role, more) in [("", ("pause-image", "FAIL")), (mirror, ("containerd-registries", "FAIL"))] {
        cluster.site(SERVER.0, SERVER.1, role);
        containerd(&mut cluster.server, more);
    }
    cluster.site(SERVER.0, SERVER.1, "");
    cluster.server.succeed(OWN_DISK);
    disk(&mut cluster.server);
    cluster.server.succeed(NO_DISK);
}

/// Each fault of its configuration is a line of `preflight`, and so is a host without a name server.
fn containerd(node: &mut Node<'_>, more: (&str, &str)) {
    let preflight = preflight(&UNFIT.bundle());
    let resolv = "/etc/resolv.conf";
    let told = node.expect(40, &format!("cp {resolv} /run && : >{resolv} && {preflight}"));
    node.succeed(&format!("cat /run/resolv.conf >{resolv}"));
    println!("{told}");
    for (check, verdict) in [
        ("containerd-cri", "FAIL"),
        // Control groups are of version 1 on these nodes.
        ("containerd-cgroups", "warn"),
        ("containerd-network", "FAIL"),
        ("nameserver", "warn"),
        ("default-route", "warn"),
        ("space", "ok"),
        more,
    ] {
        let line = told.lines().find(|line| line.starts_with(verdict) && line.split_whitespace().nth(1) == Some(check));
        assert!(line.is_some(), "{check} is not {verdict}");
    }
}

/// The kubelet takes no pods where too little is free.
fn disk(node: &mut Node<'_>) {
    let told = node.expect(40, &preflight(&PRESSED.bundle()));
    println!("{told}");
    let full = told.lines().filter(|line| line.starts_with("FAIL") && line.contains("/var/lib/containerd"));
    assert_eq!(full.count(), 1, "one line of space fails");

    let told = node.expect(50, &format!("{} --skip space", command(SERVER.0, &PRESSED)));
    println!("{told}");
    assert!(told.contains("disk-pressure"), "{told}");
    node.expect(40, &format!("{INSTALLER} status"));
}

fn preflight(bundle: &str) -> String {
    format!("{INSTALLER} preflight /media/usb/{bundle} --site /media/usb/{}.yaml", SERVER.0)
}
