//! What a profile, its packs and its distribution need in all.

use crate::apply::rules::{self, Rules};
use crate::bundle::{ResolvedPack, ResolvedProfile};
use crate::requirements::Requirements;
use crate::site::node::Node;

/// The pack of a distribution that has rules, and they.
pub(super) fn distribution(profile: &ResolvedProfile) -> Option<(&ResolvedPack, &'static Rules)> {
    profile.packs.iter().find_map(|pack| Some((pack, Rules::of(pack.distribution.as_deref()?)?)))
}

/// What is needed in all. Amounts are added up, since packs run side by side. What neither the profile nor the pack of its
/// distribution speaks of is at least what the smallest machine has.
pub(super) fn needed(profile: &ResolvedProfile, node: &Node) -> Requirements {
    let mut sum = profile.requirements.clone();
    if node.dummy_route {
        extend(&mut sum.kernel_modules, &["dummy".to_owned()]);
        extend(&mut sum.commands, &["ip".to_owned()]);
    }
    for pack in &profile.packs {
        let Requirements { cpu_milli, memory, disk, ssd, kernel_modules, commands, ports } = &pack.requirements;
        sum.cpu_milli = sum.cpu_milli.saturating_add(*cpu_milli);
        sum.memory = sum.memory.saturating_add(*memory);
        sum.disk = sum.disk.saturating_add(*disk);
        sum.ssd = sum.ssd.max(*ssd);
        extend(&mut sum.kernel_modules, kernel_modules);
        extend(&mut sum.commands, commands);
        extend(&mut sum.ports, ports);
    }
    let Some((pack, rules)) = distribution(profile) else { return sum };
    let (own, base) = (&profile.requirements, &pack.requirements);
    let amounts: [(&mut u64, [u64; 2], u64); 3] = [
        (&mut sum.cpu_milli, [own.cpu_milli, base.cpu_milli], rules::CPU_MILLI),
        (&mut sum.memory, [own.memory, base.memory], rules::MEMORY),
        (&mut sum.disk, [own.disk, base.disk], rules::DISK),
    ];
    for (sum, said, default) in amounts {
        if said == [0, 0] {
            *sum = default.max(*sum);
        }
    }
    if own.ssd.or(base.ssd).is_none() {
        sum.ssd = Some(true);
    }
    let flannel = rules.flannel && !profile.packs.iter().any(|pack| pack.layer == "cni");
    let modules = rules::MODULES.into_iter().chain(flannel.then_some(rules::FLANNEL_MODULE));
    extend(&mut sum.kernel_modules, &modules.map(str::to_owned).collect::<Vec<_>>());
    extend(&mut sum.commands, &rules.commands.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
    extend(&mut sum.ports, rules.ports_of(node.role));
    extend(&mut sum.ports, flannel.then_some(rules::FLANNEL_PORT).as_slice());
    sum
}

fn extend<T: PartialEq + Clone>(list: &mut Vec<T>, more: &[T]) {
    for one in more {
        if !list.contains(one) {
            list.push(one.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::node::Role;

    fn pack(distribution: Option<&str>, requirements: Requirements) -> ResolvedPack {
        let layer = if distribution.is_some() { "k8s" } else { "addon" };
        let distribution = distribution.map(str::to_owned);
        ResolvedPack {
            name: "a".to_owned(),
            layer: layer.to_owned(),
            distribution,
            requirements,
            ..ResolvedPack::default()
        }
    }

    fn of(cpu_milli: u64, memory: u64, disk: u64) -> Requirements {
        Requirements { cpu_milli, memory, disk, ..Requirements::default() }
    }

    #[test]
    fn requirements_are_added_up() {
        let packs = vec![pack(None, of(250, 5, 0)), pack(Some("none"), of(2000, 7, u64::MAX))];
        let profile = ResolvedProfile { requirements: of(1000, 1, 9), packs, ..ResolvedProfile::default() };
        assert_eq!(needed(&profile, Node::alone()), of(3250, 13, u64::MAX));
    }

    #[test]
    fn a_distribution_asks_for_the_smallest_machine_where_nobody_says_otherwise() {
        let amounts = |own: Requirements, base: Requirements, addon: Requirements| {
            let packs = vec![pack(Some("k3s"), base), pack(None, addon)];
            let profile = ResolvedProfile { requirements: own, packs, ..ResolvedProfile::default() };
            let found = needed(&profile, Node::alone());
            (found.cpu_milli, found.memory, found.disk, found.ssd)
        };
        let none = Requirements::default;
        let ssd = |ssd| Requirements { ssd: Some(ssd), ..Requirements::default() };
        let default = (rules::CPU_MILLI, rules::MEMORY, rules::DISK, Some(true));
        assert_eq!(amounts(none(), none(), none()), default);
        assert_eq!(amounts(none(), none(), of(500, 1, 1)), default, "an addon's is a part of it");
        assert_eq!(amounts(none(), none(), of(5000, 1, 1)).0, 5000);
        assert_eq!(amounts(of(1000, 0, 0), none(), of(500, 0, 0)), (1500, rules::MEMORY, rules::DISK, Some(true)));
        assert_eq!(amounts(none(), of(0, 7, 8), none()), (rules::CPU_MILLI, 7, 8, Some(true)));
        assert_eq!(amounts(ssd(false), none(), none()).3, Some(false));
        assert_eq!(amounts(ssd(false), none(), ssd(true)).3, Some(true));
        assert_eq!(amounts(none(), none(), ssd(false)).3, Some(true));
    }

    #[test]
    fn a_network_of_its_own_needs_nothing_for_flannel() {
        let cni = ResolvedPack { layer: "cni".to_owned(), ..pack(None, Requirements::default()) };
        let asked =
            Requirements { ports: vec!["443".parse().unwrap(), "6443".parse().unwrap()], ..Requirements::default() };
        let of = |packs| {
            let found = needed(&ResolvedProfile { packs, ..ResolvedProfile::default() }, Node::alone());
            let ports = found.ports.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
            format!("{} {ports}", found.kernel_modules.join(" "))
        };
        assert_eq!(
            of(vec![pack(Some("k3s"), asked)]),
            "overlay br_netfilter nf_conntrack vxlan 443 6443 10250 8472/udp"
        );
        assert_eq!(
            of(vec![pack(Some("rke2"), Requirements::default()), cni]),
            "overlay br_netfilter nf_conntrack 6443 9345 10250 2379 2380"
        );
        assert_eq!(of(vec![pack(Some("none"), Requirements::default())]), " ");
    }

    #[test]
    fn an_agent_listens_at_fewer_ports() {
        let agent = Node { role: Role::Agent, ..Node::default() };
        let of = |distribution| {
            let packs = vec![pack(Some(distribution), Requirements::default())];
            let found = needed(&ResolvedProfile { packs, ..ResolvedProfile::default() }, &agent);
            found.ports.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(of("k3s"), "10250 8472/udp");
        assert_eq!(of("rke2"), "10250 8472/udp");
        assert_eq!(of("kubeadm"), "10250");
        assert_eq!(of("canonical"), "6443 6400 10250");
    }

    #[test]
    fn a_dummy_route_needs_what_makes_it() {
        let node = Node { dummy_route: true, ..Node::default() };
        let found = needed(&ResolvedProfile::default(), &node);
        assert_eq!((found.kernel_modules, found.commands), (vec!["dummy".to_owned()], vec!["ip".to_owned()]));
    }
}
