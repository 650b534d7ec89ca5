//! What a node holds that an installation may change: its files, and its network.

use std::collections::BTreeSet;

use super::node::Node;
use super::state::{difference, files};

/// What a node holds at some moment.
pub(crate) struct Holds {
    files: BTreeSet<String>,
    /// Interfaces, routes, and rules of iptables.
    network: BTreeSet<String>,
}

impl Holds {
    pub(crate) fn of(node: &mut Node<'_>) -> Self {
        let network = node.succeed("set -e; ls -d /sys/class/net/*; ip -o route; iptables-save; ip6tables-save");
        // Without times, counters, and the tables that a look may make.
        let meant = |line: &&str| line.starts_with(['/', '-']) || line.contains(" dev ");
        let network = network.lines().filter(meant).map(str::to_owned).collect();
        let mut files = files(|script| node.succeed(script));
        let logs =
            node.succeed("find /var/log/pods /var/log/containers -printf '%y %#m %u:%g %p\\n' 2>/dev/null || true");
        files.extend(logs.lines().map(str::to_owned));
        Self { files, network }
    }

    /// The files and folders that came since `before`, without what is in such folders. Nothing else may have changed.
    pub(crate) fn new_files(&self, before: &Self) -> BTreeSet<String> {
        let gone: Vec<&String> = before.files.difference(&self.files).collect();
        assert!(gone.is_empty(), "changed or gone: {gone:#?}");
        // Of each file there is a line with kind, mode, owner and path, and perhaps one with its digest.
        let path = |line: &String| line.split(' ').nth(3).filter(|path| path.starts_with('/')).map(str::to_owned);
        let new: BTreeSet<String> = self.files.difference(&before.files).filter_map(path).collect();
        let within = |path: &str| path.match_indices('/').any(|(at, _)| new.contains(&path[..at]));
        new.iter().filter(|path| !within(path)).cloned().collect()
    }

    /// What came into the network since `before`, or went.
    pub(crate) fn network_since(&self, before: &Self) -> String {
        difference(&before.network, &self.network)
    }
}
