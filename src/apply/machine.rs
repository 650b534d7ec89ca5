//! What the machine must have, for the profile and for its distribution.

use std::path::Path;

use indicatif::HumanBytes;
use jiff::Timestamp;

use super::check::{Check, Verdict};
use super::rules::{self, Rules};
use crate::bundle::{ResolvedPack, ResolvedProfile};
use crate::host::Facts;
use crate::host::disk::Medium;
use crate::host::kernel::Module;
use crate::host::software::SeLinux;
use crate::io::PathError;
use crate::requirements::{Port, Protocol, Requirements};

/// Where what is installed lies; together they are the disk, however it is divided.
const FOLDERS: [&str; 5] = ["/", "/usr", "/var", "/opt", "/etc"];
/// A clock that is behind this has not been set: no bundle was made then.
const NOT_BEFORE: &str = "2026-01-01T00:00:00Z";
/// What is said of a fact that the machine does not tell.
const UNKNOWN: &str = "cannot tell";

/// What is asked of a machine, and the machine.
pub(super) struct Machine<'a> {
    pub(super) profile: &'a ResolvedProfile,
    pub(super) facts: &'a Facts,
    /// The folder that is installed into.
    pub(super) root: &'a Path,
    /// When the bundle says it was made.
    pub(super) created: Option<&'a str>,
    /// Whether a version of the profile is installed already.
    pub(super) installed: bool,
}

/// The pack of a distribution that has rules, and they.
fn distribution(profile: &ResolvedProfile) -> Option<(&ResolvedPack, &'static Rules)> {
    profile.packs.iter().find_map(|pack| Some((pack, Rules::of(pack.distribution.as_deref()?)?)))
}

/// What is needed in all. Amounts are added up, since packs run side by side. What neither the profile nor the pack of its
/// distribution speaks of is at least what the smallest machine has.
fn needed(profile: &ResolvedProfile) -> Requirements {
    let mut sum = profile.requirements.clone();
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
    let flannel = !profile.packs.iter().any(|pack| pack.layer == "cni");
    let modules = rules::MODULES.into_iter().chain(flannel.then_some(rules::FLANNEL_MODULE));
    extend(&mut sum.kernel_modules, &modules.map(str::to_owned).collect::<Vec<_>>());
    extend(&mut sum.ports, rules.ports);
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

impl Machine<'_> {
    /// Every check of the machine.
    ///
    /// # Errors
    /// Where the system does not tell of space.
    pub(super) fn checks(&self) -> Result<Vec<Check>, PathError> {
        let needed = needed(self.profile);
        let distribution = distribution(self.profile);
        let mut checks = Vec::new();
        self.hardware(&needed, &mut checks)?;
        let data = distribution.map_or("/var/lib", |(_, rules)| rules.data);
        checks.extend((needed.ssd == Some(true)).then(|| self.ssd(data)));
        if let Some((pack, _)) = distribution {
            checks.push(self.kernel());
            checks.push(self.cgroups(pack));
            checks.extend([self.swap(), self.clock(), self.overlay(data)]);
        }
        checks.extend(needed.kernel_modules.iter().map(|name| self.module(name)));
        checks.extend(needed.commands.iter().map(|name| self.command(name)));
        let rules = distribution.map(|(_, rules)| rules);
        checks.extend(needed.ports.iter().map(|port| self.port(*port, rules)));
        if let Some(rules) = rules {
            checks.extend([self.conflicts(rules), self.selinux(rules), self.apparmor()]);
        }
        Ok(checks)
    }

    fn hardware(&self, needed: &Requirements, checks: &mut Vec<Check>) -> Result<(), PathError> {
        if needed.cpu_milli > 0 {
            let found = self.facts.processors();
            let ok = found.is_some_and(|found| found.saturating_mul(1000) >= needed.cpu_milli);
            let found = found.map_or_else(|| UNKNOWN.to_owned(), |found| found.to_string());
            checks.push(Check::new("processors", cores(needed.cpu_milli), found, ok));
        }
        if needed.memory > 0 {
            checks.push(amount("memory", needed.memory, self.facts.memory()));
        }
        if needed.disk > 0 {
            checks.push(amount("disk", needed.disk, Some(self.size()?)));
        }
        Ok(())
    }

    /// Bytes of the file systems that software is installed into, each once.
    fn size(&self) -> Result<u64, PathError> {
        let (mut devices, mut sum) = (Vec::new(), 0_u64);
        for folder in FOLDERS {
            let space = self.facts.space(&self.root.join(folder.trim_start_matches('/')))?;
            if !devices.contains(&space.device) {
                devices.push(space.device);
                sum = sum.saturating_add(space.size);
            }
        }
        Ok(sum)
    }

    fn ssd(&self, data: &str) -> Check {
        let disk = self.facts.mount(data).and_then(|mount| self.facts.disk(&mount));
        let slow = "the cluster's state is written and synced all the time; where that is slow, the cluster stops";
        let below = "see that what is below it is an SSD; it says that it rotates, as such disks do";
        let (found, verdict, hint) = match disk {
            Some((name, Medium::Solid)) => (format!("SSD {name}"), Verdict::Ok, ""),
            Some((name, Medium::Rotating)) => (format!("{name}, which rotates"), Verdict::Fail, slow),
            Some((name, Medium::Virtual)) => (format!("{name}, a virtual disk"), Verdict::Warn, below),
            None => (UNKNOWN.to_owned(), Verdict::Warn, "see that it is an SSD"),
        };
        Check::new("ssd", format!("SSD below {data}"), found, verdict).or(hint)
    }

    fn kernel(&self) -> Check {
        let release = self.facts.release();
        let version = release.as_deref().and_then(version);
        let verdict = match version {
            None => Verdict::Warn,
            Some(version) if version < rules::KERNEL => Verdict::Fail,
            Some(version) if version < rules::GOOD_KERNEL => Verdict::Warn,
            Some(_) => Verdict::Ok,
        };
        let (major, minor) = rules::GOOD_KERNEL;
        Check::new("kernel", format!("{major}.{minor} or later"), release.unwrap_or(UNKNOWN.to_owned()), verdict)
            .or("take a newer release of the operating system")
    }

    fn cgroups(&self, pack: &ResolvedPack) -> Check {
        let needed = rules::CONTROLLERS.join(", ");
        let Some(found) = self.facts.cgroups() else {
            return Check::new("cgroups", needed, "nothing mounted", false).or("mount control groups; systemd does it");
        };
        let missing: Vec<&str> = rules::CONTROLLERS
            .into_iter()
            .filter(|name| !found.controllers.iter().any(|other| other == name))
            .collect();
        let refused = minor(pack).is_some_and(|minor| minor >= rules::NEEDS_CGROUP_2);
        let (verdict, hint) = match (missing.is_empty(), found.version) {
            (false, _) if missing.contains(&"memory") => {
                (Verdict::Fail, "switch it on where the kernel is started: cgroup_enable=memory")
            }
            (false, _) => (Verdict::Fail, "take a kernel that has them, and a systemd that hands them on"),
            (true, 1) => (
                if refused { Verdict::Fail } else { Verdict::Warn },
                "Kubernetes 1.35 and later refuse version 1: systemd.unified_cgroup_hierarchy=1 where the kernel is started",
            ),
            (true, _) => (Verdict::Ok, ""),
        };
        let without = if missing.is_empty() { String::new() } else { format!(" without {}", missing.join(", ")) };
        Check::new("cgroups", needed, format!("version {}{without}", found.version), verdict).or(hint)
    }

    fn swap(&self) -> Check {
        let swaps = self.facts.swaps();
        let found: Vec<String> =
            swaps.iter().map(|swap| format!("{} in {}", HumanBytes(swap.size), swap.name)).collect();
        let verdict = if swaps.is_empty() { Verdict::Ok } else { Verdict::Warn };
        let found = if swaps.is_empty() { "none".to_owned() } else { found.join(", ") };
        Check::new("swap", "none", found, verdict)
            .or("pods that swap are slow without being seen to be; swapoff -a, and no swap in /etc/fstab")
    }

    fn clock(&self) -> Check {
        let limit = |text: &str| text.parse::<Timestamp>().ok();
        let earliest = self.created.and_then(limit).max(limit(NOT_BEFORE));
        let now = self.facts.now();
        let verdict = match (now, earliest) {
            (Some(now), Some(earliest)) => Verdict::from(now >= earliest),
            _ => Verdict::Warn,
        };
        let set = if self.facts.clock_was_set() { ", set by systemd-timesyncd" } else { "" };
        let found = now.map_or(UNKNOWN.to_owned(), |now| format!("{now}{set}"));
        let needed = earliest.map_or(NOT_BEFORE.to_owned(), |earliest| earliest.to_string());
        Check::new("clock", format!("{needed} or later"), found, verdict)
            .or("set the clock: certificates that are made now would not be valid later")
    }

    fn overlay(&self, data: &str) -> Check {
        let mount = self.facts.mount(data);
        let typeless = mount.is_some() && !self.facts.tells_types(data);
        let verdict = match mount.as_ref().map(|mount| mount.kind.as_str()) {
            Some(_) if typeless => Verdict::Fail,
            Some(kind) if rules::NO_OVERLAY.contains(&kind) || kind.starts_with("fuse.") => Verdict::Fail,
            Some(kind) if rules::OVERLAY.contains(&kind) => Verdict::Ok,
            _ => Verdict::Warn,
        };
        let without = if typeless { ", without types of files in folders" } else { "" };
        let found =
            mount.map_or(UNKNOWN.to_owned(), |mount| format!("{} at {}{without}", mount.kind, mount.folder.display()));
        Check::new("overlay", format!("ext4, xfs or the like below {data}"), found, verdict)
            .or("mount a file system there that overlays can be made on")
    }

    fn module(&self, name: &str) -> Check {
        let package = "install the package of the operating system that has the rest of the kernel's modules";
        let (found, verdict, hint) = match self.facts.module(name) {
            Module::Present => ("at work", Verdict::Ok, ""),
            Module::Available => ("available", Verdict::Ok, ""),
            Module::Absent => ("nothing", Verdict::Fail, package),
            Module::Unknown => {
                (UNKNOWN, Verdict::Warn, "/lib/modules does not list this kernel's; see that it has this one")
            }
        };
        Check::new(format!("module-{name}"), format!("kernel module {name}"), found, verdict).or(hint)
    }

    fn command(&self, name: &str) -> Check {
        let found = self.facts.command(name);
        let ok = found.is_some();
        let check =
            Check::new(format!("command-{name}"), format!("program {name}"), found.unwrap_or("nothing".to_owned()), ok);
        check.or("install the package of the operating system that has it, where services find it")
    }

    /// In an upgrade the distribution itself is what listens there, and what the profile has installed.
    fn port(&self, port: Port, rules: Option<&Rules>) -> Check {
        let name = match port.protocol {
            Protocol::Tcp => format!("port-{}", port.number),
            Protocol::Udp => format!("port-{}-udp", port.number),
        };
        let listener = match port.protocol {
            Protocol::Tcp => self.facts.tcp(port.number),
            Protocol::Udp => self.facts.udp(port.number),
        };
        let Some(listener) = listener else { return Check::new(name, "free", "free", true) };
        let own = rules.is_some_and(|rules| match &listener.program {
            Some(program) => rules.programs.contains(&program.as_str()),
            // The kernel's own sockets, and those of others where this is not root.
            None => self.software(rules.name).is_some(),
        });
        let verdict = match (own, self.installed) {
            (true, _) => Verdict::Ok,
            (false, true) => Verdict::Warn,
            (false, false) => Verdict::Fail,
        };
        let found = match (listener.program, own) {
            (Some(program), _) => format!("in use by {program}"),
            (None, true) => format!("in use by {}", rules.map_or("", |rules| rules.name)),
            (None, false) => "in use".to_owned(),
        };
        Check::new(name, "free", found, verdict).or("stop what listens there, or have it listen elsewhere")
    }

    /// What tells that one of [`rules::OTHERS`] is on the machine.
    fn software(&self, name: &str) -> Option<String> {
        let (_, units, programs) = rules::OTHERS.iter().find(|(other, ..)| *other == name)?;
        let unit = units.iter().find_map(|unit| self.facts.unit(unit));
        unit.or_else(|| programs.iter().find_map(|program| self.facts.command(program)))
    }

    fn conflicts(&self, rules: &Rules) -> Check {
        let others = rules::OTHERS.iter().map(|(name, ..)| *name).filter(|name| *name != rules.name);
        let others: Vec<String> =
            others.filter_map(|name| Some(format!("{name} ({})", self.software(name)?))).collect();
        let beside = rules::BESIDE.into_iter().filter(|unit| self.facts.is_enabled(unit));
        let beside: Vec<String> = beside.map(str::to_owned).collect();
        let (verdict, hint) = match (others.is_empty(), beside.is_empty()) {
            (false, _) => {
                (Verdict::Fail, "remove it: two would fight over ports, rules of the network and control groups")
            }
            (true, false) => {
                (Verdict::Warn, "its rules may stop packets between pods: switch it off, or let them pass")
            }
            (true, true) => (Verdict::Ok, ""),
        };
        let found: Vec<String> = others.into_iter().chain(beside).collect();
        let found = if found.is_empty() { "nothing".to_owned() } else { found.join(", ") };
        Check::new("conflicts", "no other Kubernetes", found, verdict).or(hint)
    }

    fn selinux(&self, rules: &Rules) -> Check {
        let (now, later) = (self.facts.selinux(), self.facts.selinux_at_start());
        let word = match (now, later) {
            (SeLinux::Enforcing, _) => "enforcing",
            (_, SeLinux::Enforcing) => "enforcing after the next start",
            (SeLinux::Permissive, _) => "permissive",
            (SeLinux::Off, _) => "off",
        };
        let policy = self.facts.exists(rules.policy);
        let enforced = now == SeLinux::Enforcing || later == SeLinux::Enforcing;
        let found = if policy { format!("{word}, with the policy") } else { word.to_owned() };
        let verdict = if enforced && !policy { Verdict::Warn } else { Verdict::Ok };
        Check::new("selinux", format!("off, or the policy of {}", rules.name), found, verdict).or(&format!(
            "install the package {}-selinux of the distribution's makers, or containers may be denied what they need",
            rules.name
        ))
    }

    /// Where AppArmor is at work, the runtime gives containers a profile, which it loads with this program.
    fn apparmor(&self) -> Check {
        let needed = "off, or apparmor_parser";
        if !self.facts.apparmor() {
            return Check::new("apparmor", needed, "off", true);
        }
        let parser = self.facts.command("apparmor_parser");
        let verdict = if parser.is_some() { Verdict::Ok } else { Verdict::Warn };
        let found = parser.unwrap_or_else(|| "on, without apparmor_parser".to_owned());
        Check::new("apparmor", needed, found, verdict).or("install the package that has apparmor_parser: apparmor")
    }
}

/// What firmware, kernel and file systems keep for themselves is a part of what is in the machine: up to a tenth.
fn amount(name: &str, needed: u64, found: Option<u64>) -> Check {
    let ok = found.is_some_and(|found| found >= needed - needed / 10);
    let found = found.map_or_else(|| UNKNOWN.to_owned(), |found| HumanBytes(found).to_string());
    Check::new(name, HumanBytes(needed).to_string(), found, ok)
}

fn cores(milli: u64) -> String {
    let text = format!("{}.{:03}", milli / 1000, milli % 1000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The first two numbers of a kernel's release.
fn version(release: &str) -> Option<(u64, u64)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// The minor version of Kubernetes in that of its pack.
fn minor(pack: &ResolvedPack) -> Option<u64> {
    let version = pack.version.as_deref()?.trim_start_matches('v');
    semver::Version::parse(version).ok().filter(|version| version.major == 1).map(|version| version.minor)
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(needed(&profile), of(3250, 13, u64::MAX));
        assert_eq!([3250, 500, 4000, 10].map(cores), ["3.25", "0.5", "4", "0.01"]);
    }

    #[test]
    fn a_distribution_asks_for_the_smallest_machine_where_nobody_says_otherwise() {
        let amounts = |own: Requirements, base: Requirements, addon: Requirements| {
            let packs = vec![pack(Some("k3s"), base), pack(None, addon)];
            let found = needed(&ResolvedProfile { requirements: own, packs, ..ResolvedProfile::default() });
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
            let found = needed(&ResolvedProfile { packs, ..ResolvedProfile::default() });
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
    fn a_tenth_is_kept_by_the_machine_itself() {
        assert!(!amount("memory", 4 << 30, Some((4 << 30) - (400 << 20))).failed());
        assert!(amount("memory", 4 << 30, Some(3 << 30)).failed() && amount("memory", 1, None).failed());
        assert!(amount("disk", u64::MAX, Some(1 << 40)).failed());
    }

    #[test]
    fn versions_are_read_as_they_are_written() {
        assert_eq!(version("6.1.0-37-amd64"), Some((6, 1)));
        assert_eq!(version("5.15-custom"), Some((5, 15)));
        assert_eq!((version(""), version("custom")), (None, None));
        let of = |version: &str| minor(&ResolvedPack { version: Some(version.to_owned()), ..ResolvedPack::default() });
        assert_eq!([of("1.35.1+k3s1"), of("v1.32.5+rke2r1"), of("2.0.0"), of("x")], [Some(35), Some(32), None, None]);
    }
}
