//! The addresses of a node: looked up on the host where the site names an interface, and what becomes of a node whose addresses
//! are others than those that it has in its cluster.

use std::net::IpAddr;

use super::installed_machine;
use crate::apply::ApplyError;
use crate::apply::history::History;
use crate::host::addresses::InterfaceAddress;
use crate::host::{Facts, Root};
use crate::site::node::{Node, Role};

/// The machine with the addresses of the interface that its site names. With addresses already, it stays as it is.
///
/// # Errors
/// [`ApplyError::Refused`] where the interface has none, or is that of another machine.
pub fn addressed(mut node: Node, root: &Root, facts: &Facts) -> Result<Node, ApplyError> {
    let Some(address) = node.address.as_mut().filter(|address| address.addresses.is_empty()) else { return Ok(node) };
    let interface = address.interface.as_deref().unwrap_or_default();
    let refused = |why: String| Err(ApplyError::Refused(vec![format!("`nodeAddress` of the site: {why}")]));
    if !root.is_host() {
        return refused(format!(
            "the addresses of {interface} are those of the machine that {} becomes, which nobody knows here; give the addresses",
            root.folder().display()
        ));
    }
    let Some(all) = facts.addresses() else {
        return refused(format!("the kernel does not tell the addresses of {interface}; give the addresses"));
    };
    address.addresses = of_interface(interface, &all);
    if address.addresses.is_empty() {
        let found: Vec<String> = all.iter().map(|one| format!("{} on {}", one.address, one.interface)).collect();
        let found = if found.is_empty() { "nothing".to_owned() } else { found.join(", ") };
        return refused(format!("{interface} has no address on this host that lasts; there is {found}"));
    }
    Ok(node)
}

/// The first lasting address of each family.
fn of_interface(interface: &str, all: &[InterfaceAddress]) -> Vec<IpAddr> {
    let own = || all.iter().filter(|one| one.interface == interface && one.lasting).map(|one| one.address);
    own().find(IpAddr::is_ipv4).into_iter().chain(own().find(IpAddr::is_ipv6)).collect()
}

/// What a person should know where the addresses that the node has in its cluster are not known, or change.
pub(in crate::apply) fn warning(
    node: &Node,
    distribution: &str,
    history: &History,
    name: &str,
    root: &Root,
) -> Result<Option<String>, ApplyError> {
    let Some(before) = installed_machine(history, name, root)? else { return Ok(None) };
    let keeps = matches!(distribution, "kubeadm" | "canonical");
    Ok(match changed(&before, node) {
        None => None,
        Some((before, after)) if !before.is_empty() && !after.is_empty() => Some(format!(
            "the address of this node changes from {before} to {after}; whatever reaches it by the old one has to be told"
        )),
        Some(_) if keeps => Some(format!(
            "`nodeAddress` of the site comes or goes, and a node of {distribution} keeps the address that it was made with"
        )),
        Some((_, after)) => {
            let after = if after.is_empty() { "that of its default route".to_owned() } else { after };
            Some(format!(
                "the address of this node becomes {after}; where it had another one until now, a server's data in etcd does not follow"
            ))
        }
    })
}

/// Refuses another address where the distribution cannot take it.
///
/// # Errors
/// [`ApplyError::AddressFixed`]
pub(super) fn refuse(before: &Node, after: &Node, distribution: &str, installed: &str) -> Result<(), ApplyError> {
    let fixed = matches!(distribution, "kubeadm" | "canonical") || before.role == Role::Server;
    match changed(before, after) {
        Some((before, after)) if fixed && !before.is_empty() && !after.is_empty() => {
            let (installed, distribution) = (installed.to_owned(), distribution.to_owned());
            Err(ApplyError::AddressFixed { installed, distribution, before, after })
        }
        _ => Ok(()),
    }
}

/// The addresses before and after, where they differ; empty where none are given.
fn changed(before: &Node, after: &Node) -> Option<(String, String)> {
    let shown = |node: &Node| node.address.as_ref().map(ToString::to_string).unwrap_or_default();
    let (before, after) = (shown(before), shown(after));
    (before != after).then_some((before, after))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::disk;
    use crate::site::node::Address;

    fn has(interface: &str, address: &str, lasting: bool) -> InterfaceAddress {
        InterfaceAddress { interface: interface.to_owned(), address: address.parse().unwrap(), lasting }
    }

    fn site(interface: &str) -> Node {
        let address = Address { addresses: Vec::new(), interface: Some(interface.to_owned()) };
        Node { address: Some(address), ..Node::default() }
    }

    fn at(addresses: &str) -> Node {
        let addresses = addresses.split(',').map(|one| one.parse().unwrap()).collect();
        Node { address: Some(Address { addresses, interface: None }), ..Node::default() }
    }

    #[test]
    fn an_interface_gives_one_lasting_address_of_each_family() {
        let facts = Facts::below("/nonexistent".as_ref(), disk::space).with_addresses(vec![
            has("eth0", "2001:db8::77", false),
            has("eth1", "10.9.0.1", true),
            has("eth0", "2001:db8::1", true),
            has("eth0", "10.0.0.1", true),
            has("eth0", "10.0.0.2", true),
            has("eth2", "2001:db8::78", false),
        ]);
        let host = Root::new("/".as_ref()).unwrap();
        let found =
            |interface: &str| addressed(site(interface), &host, &facts).map(|node| node.address.unwrap().to_string());
        assert_eq!(found("eth0").unwrap(), "10.0.0.1,2001:db8::1");
        assert_eq!(found("eth1").unwrap(), "10.9.0.1");
        for interface in ["eth2", "eth9"] {
            let Err(ApplyError::Refused(why)) = found(interface) else { panic!("{interface} is taken") };
            assert!(why[0].contains(&format!("{interface} has no address on this host that lasts")), "{why:?}");
            assert!(why[0].contains("10.9.0.1 on eth1"), "{why:?}");
        }
        // What is known already is not looked up, and of another machine nothing is known.
        assert_eq!(addressed(at("10.0.0.9"), &host, &facts).unwrap(), at("10.0.0.9"));
        let folder = tempfile::tempdir().unwrap();
        let root = Root::new(folder.path()).unwrap();
        let Err(ApplyError::Refused(why)) = addressed(site("eth0"), &root, &facts) else { panic!("nobody knows it") };
        assert!(why[0].contains("give the addresses"), "{why:?}");
        assert_eq!(addressed(at("10.0.0.9"), &root, &facts).unwrap(), at("10.0.0.9"));
    }

    #[test]
    fn a_node_keeps_its_address_where_the_distribution_cannot_change_it() {
        let refused = |distribution: &str, role: Role, before: &Node, after: &Node| {
            refuse(&Node { role, ..before.clone() }, &Node { role, ..after.clone() }, distribution, "edge 1.0.0")
                .is_err()
        };
        let (one, two, none) = (at("10.0.0.1"), at("10.0.0.2"), Node::default());
        for (distribution, server, agent) in
            [("kubeadm", true, true), ("canonical", true, true), ("k3s", true, false), ("rke2", true, false)]
        {
            for (role, expected) in [(Role::Server, server), (Role::Agent, agent)] {
                assert_eq!(refused(distribution, role, &one, &two), expected, "{distribution} {role:?}");
                assert!(!refused(distribution, role, &one, &one) && !refused(distribution, role, &none, &one));
                assert!(!refused(distribution, role, &one, &none), "{distribution} {role:?}");
            }
        }
        let both = at("10.0.0.1,fd00::1");
        assert_eq!(changed(&one, &both), Some(("10.0.0.1".to_owned(), "10.0.0.1,fd00::1".to_owned())));
    }
}
