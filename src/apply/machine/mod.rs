//! What the machine must have, for the profile and for its distribution.

mod hardware;
mod kernel;
mod needed;
mod network;
mod software;

use std::path::Path;

use self::needed::{distribution, needed};
use super::check::Check;
use crate::bundle::ResolvedProfile;
use crate::host::Facts;
use crate::io::PathError;
use crate::site::node::Node;

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
    /// What the site says of it.
    pub(super) node: &'a Node,
    /// Whether a version of the profile is installed already.
    pub(super) installed: bool,
}

impl Machine<'_> {
    /// Every check of the machine.
    ///
    /// # Errors
    /// Where the system does not tell of space.
    pub(super) fn checks(&self) -> Result<Vec<Check>, PathError> {
        let needed = needed(self.profile, self.node);
        let distribution = distribution(self.profile);
        let mut checks = Vec::new();
        self.hardware(&needed, &mut checks)?;
        let (state, data) = match distribution {
            Some((_, rules)) => (rules.state_of(self.node), rules.data_of(self.node)),
            None => ("/var/lib", "/var/lib"),
        };
        checks.extend((needed.ssd == Some(true)).then(|| self.ssd(state)));
        checks.extend(self.runs_units().then(|| self.systemd()));
        if let Some((pack, _)) = distribution {
            checks.push(self.kernel());
            checks.push(self.cgroups(pack));
            checks.extend([self.swap(), self.clock(), self.overlay(data)]);
            checks.extend(self.node_address());
            checks.extend([self.default_route(), self.nameserver()]);
        }
        checks.extend(needed.kernel_modules.iter().map(|name| self.module(name)));
        checks.extend(needed.commands.iter().map(|name| self.command(name)));
        let rules = distribution.map(|(_, rules)| rules);
        checks.extend(needed.ports.iter().map(|port| self.port(*port, rules)));
        if let Some(rules) = rules {
            checks.push(self.conflicts(rules));
            checks.extend(self.selinux(rules));
            checks.push(self.apparmor());
        }
        Ok(checks)
    }
}
