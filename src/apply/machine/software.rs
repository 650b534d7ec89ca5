//! Programs, ports, other software, and what guards them.

use super::Machine;
use crate::apply::check::{Check, Verdict};
use crate::apply::rules::{self, Rules};
use crate::host::software::SeLinux;
use crate::requirements::{Port, Protocol};

impl Machine<'_> {
    /// Whether anything is started by the profile: a distribution, or services of packs.
    pub(super) fn runs_units(&self) -> bool {
        let set_up = |name: &str| name != "none";
        self.profile
            .packs
            .iter()
            .any(|pack| !pack.services.is_empty() || pack.distribution.as_deref().is_some_and(set_up))
    }

    /// What `sd_booted(3)` looks for.
    pub(super) fn systemd(&self) -> Check {
        let runs = self.facts.exists("/run/systemd/system");
        let check = Check::new("systemd", "running", if runs { "running" } else { "not running" }, runs);
        check.or("boot this host with systemd: it starts the distribution and the services; in a container or a chroot, prepare the system with --root instead")
    }

    /// CoreDNS forwards what it does not know, to nobody or to itself where the machine names no server.
    pub(super) fn nameserver(&self) -> Check {
        let found = self.facts.nameservers();
        let verdict = if found.is_empty() { Verdict::Warn } else { Verdict::Ok };
        let found = if found.is_empty() { "none".to_owned() } else { found.join(", ") };
        let check = Check::new("nameserver", "one in /etc/resolv.conf", found, verdict);
        check.or("name one, though nothing answers there: without any, CoreDNS may find a loop and end, and no name is found in the cluster")
    }

    pub(super) fn command(&self, name: &str) -> Check {
        let found = self.facts.command(name);
        let ok = found.is_some();
        let check =
            Check::new(format!("command-{name}"), format!("program {name}"), found.unwrap_or("nothing".to_owned()), ok);
        check.or("install the package of the operating system that has it, where services find it")
    }

    /// In an upgrade the distribution itself is what listens there, and what the profile has installed.
    pub(super) fn port(&self, port: Port, rules: Option<&Rules>) -> Check {
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

    pub(super) fn conflicts(&self, rules: &Rules) -> Check {
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

    pub(super) fn selinux(&self, rules: &Rules) -> Option<Check> {
        let (package, file) = rules.policy?;
        let (now, later) = (self.facts.selinux(), self.facts.selinux_at_start());
        let word = match (now, later) {
            (SeLinux::Enforcing, _) => "enforcing",
            (_, SeLinux::Enforcing) => "enforcing after the next start",
            (SeLinux::Permissive, _) => "permissive",
            (SeLinux::Off, _) => "off",
        };
        let policy = self.facts.exists(file);
        let enforced = now == SeLinux::Enforcing || later == SeLinux::Enforcing;
        let found = if policy { format!("{word}, with the policy") } else { word.to_owned() };
        let verdict = if enforced && !policy { Verdict::Warn } else { Verdict::Ok };
        let check = Check::new("selinux", format!("off, or the policy of {}", rules.name), found, verdict);
        Some(check.or(&format!(
            "install the package {package} of the distribution's makers, or containers may be denied what they need"
        )))
    }

    /// Where AppArmor is at work, the runtime gives containers a profile, which it loads with this program.
    pub(super) fn apparmor(&self) -> Check {
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
