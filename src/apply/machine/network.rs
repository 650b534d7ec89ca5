//! The addresses by which a node is known, and whether packets to its services leave it.

use super::{Machine, UNKNOWN};
use crate::apply::check::{Check, Verdict};
use crate::distro::DUMMY_INTERFACE;
use crate::host::addresses::InterfaceAddress;

impl Machine<'_> {
    /// Whether the addresses that the site gives are this machine's.
    pub(super) fn node_address(&self) -> Option<Check> {
        let wanted = &self.node.address.as_ref()?.addresses;
        let needed = wanted.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ");
        let Some(all) = self.facts.addresses() else {
            return Some(Check::new("node-address", needed, UNKNOWN, Verdict::Warn));
        };
        let of = |one: &InterfaceAddress| format!("{} on {}", one.address, one.interface);
        let there = all.iter().filter(|one| wanted.contains(&one.address));
        let has_all = wanted.iter().all(|address| all.iter().any(|one| one.address == *address));
        let found: Vec<String> = if has_all { there.map(of).collect() } else { all.iter().map(of).collect() };
        let found = if found.is_empty() { "no address".to_owned() } else { found.join(", ") };
        let check = Check::new("node-address", needed, found, has_all);
        Some(check.or("correct `nodeAddress` of the site, or give an interface of this host that address"))
    }

    /// Without a default route a kubelet finds no address by itself, and the kernel refuses packets to the addresses of services
    /// before the rules see them that lead these packets elsewhere. The profile's own configuration may give the address, and a
    /// network may come later, so that nothing is refused.
    pub(super) fn default_route(&self) -> Check {
        const NAME: &str = "default-route";
        const NEEDED: &str = "a default route";
        let node = self.node;
        let Some(routes) = self.facts.default_routes() else {
            return Check::new(NAME, NEEDED, UNKNOWN, Verdict::Warn);
        };
        let own = || routes.iter().filter(|route| route.interface != DUMMY_INTERFACE);
        let families = node.address.iter().flat_map(|address| &address.addresses).map(std::net::IpAddr::is_ipv6);
        let lacking: Vec<&str> = families
            .filter(|is_ipv6| !own().any(|route| route.is_ipv6 == *is_ipv6))
            .map(|is_ipv6| if is_ipv6 { "IPv6" } else { "IPv4" })
            .collect();
        let mut found: Vec<&str> = own().map(|route| route.interface.as_str()).collect();
        found.dedup();
        if !found.is_empty() && lacking.is_empty() {
            return Check::new(NAME, NEEDED, format!("by {}", found.join(", ")), true);
        }
        let none = match (found.is_empty(), lacking.as_slice()) {
            (false, lacking) => format!("by {}, none for {}", found.join(", "), lacking.join(" and ")),
            (true, _) => "none".to_owned(),
        };
        let hint = match (node.address.is_some(), node.dummy_route) {
            (true, true) => return Check::new(NAME, NEEDED, format!("{none}; dummyRoute makes one"), true),
            (true, false) => {
                "add `dummyRoute: true` to the site, or a default route to this host: without one the addresses of services are not reached from it"
            }
            (false, true) => {
                "give the site `nodeAddress`: without it the node has the address of its dummy interface, which no other machine reaches"
            }
            (false, false) => {
                "add a default route to this host; or give the site `nodeAddress` and `dummyRoute: true`, by which it does without: a node finds no address by itself then"
            }
        };
        Check::new(NAME, NEEDED, none, Verdict::Warn).or(hint)
    }
}
