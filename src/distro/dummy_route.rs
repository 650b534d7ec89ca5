//! A default route for a host that has none: the kernel refuses packets for which it has no route before it looks at the rules by
//! which a service's address leads to a pod, so that any route will do, and none of these packets takes it. As k3s advises for
//! hosts without a network around them (<https://docs.k3s.io/installation/airgap>).

use super::cluster::UNITS;
use super::{SetupFile, Step, file};
use crate::site::node::Node;

/// The interface.
pub const DUMMY_INTERFACE: &str = "carrack-dummy";
/// The unit that makes it, and removes it when it is stopped.
pub const DUMMY_ROUTE_UNIT: &str = "carrack-dummy-route.service";

/// What the route comes after: all that whoever configures networks gives a default route of their own, such as 1024 of
/// systemd-networkd and of the kernel for IPv6, and what NetworkManager adds where it finds no connectivity, 20000.
const METRIC: &str = "100000";
/// The address and the next hop for IPv4 and IPv6, of networks that are for documentation and lead nowhere (RFC 5737, RFC 3849).
const PLACES: [(&str, &str, &str); 2] =
    [("-4", "203.0.113.254/31", "203.0.113.255"), ("-6", "2001:db8::fffe/127", "2001:db8::ffff")];

/// The unit, where the site asks for it.
pub(super) fn unit(node: &Node) -> Option<SetupFile> {
    node.dummy_route.then(|| file(format!("{}{DUMMY_ROUTE_UNIT}", UNITS[0]), text(node)))
}

/// What starts it.
pub(super) fn start(node: &Node) -> Option<Step> {
    node.dummy_route.then(|| Step::Start { unit: DUMMY_ROUTE_UNIT.to_owned(), restart: false })
}

/// What ends it for good.
pub(super) fn remove(node: &Node) -> Option<Step> {
    node.dummy_route.then(|| Step::Disable { unit: DUMMY_ROUTE_UNIT.to_owned() })
}

fn text(node: &Node) -> String {
    let has_ipv6 = node.address.iter().flat_map(|address| &address.addresses).any(std::net::IpAddr::is_ipv6);
    let name = DUMMY_INTERFACE;
    let places = PLACES.iter().filter(|(family, ..)| *family == "-4" || has_ipv6);
    let lines: String = places
        .map(|(family, address, next)| {
            format!(
                "ExecStart=/sbin/ip {family} address replace {address} dev {name}\n\
                 ExecStart=/sbin/ip {family} route replace default via {next} dev {name} metric {METRIC}\n"
            )
        })
        .collect();
    format!(
        "[Unit]\n\
         Description=Default route by a dummy interface, for Kubernetes on a host without one\n\
         Documentation=https://docs.k3s.io/installation/airgap\n\
         Before=network-online.target containerd.service kubelet.service k3s.service k3s-agent.service \
         rke2-server.service rke2-agent.service snap.k8s.k8sd.service snap.k8s.kubelet.service\n\
         \n\
         [Service]\n\
         Type=oneshot\n\
         RemainAfterExit=yes\n\
         ExecStartPre=-/sbin/modprobe dummy numdummies=0\n\
         # It may be left by a start that was cut off.\n\
         ExecStart=/bin/sh -c '/sbin/ip link show dev {name} || exec /sbin/ip link add {name} type dummy'\n\
         ExecStart=/sbin/ip link set {name} up\n\
         {lines}\
         ExecStopPost=-/sbin/ip link delete {name}\n\
         \n\
         [Install]\n\
         WantedBy=multi-user.target\n"
    )
}
