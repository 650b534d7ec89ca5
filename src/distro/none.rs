//! No distribution: containerd, or nothing at all.

use super::cluster::Cluster;
use super::{Distribution, Eviction, Save, SetupFile, Step};
use crate::site::node::{Membership, Role};

/// Nothing but what every machine gets.
pub(super) struct Nothing<'a>(pub(super) &'a Cluster<'a>);

impl Distribution for Nothing<'_> {
    /// What has no meaning without a cluster is not passed over in silence.
    fn refusals(&self) -> Vec<String> {
        let node = self.0.node;
        let asked = [
            ("role: agent", node.role == Role::Agent),
            ("nodeAddress", node.address.is_some()),
            ("cluster", node.cluster != Membership::default()),
            ("endpoint", node.endpoint.is_some()),
            ("proxy", node.proxy.is_some()),
            ("registries", !node.registries.is_empty()),
            ("installRoot", node.install_root.is_some()),
            ("nodeLabels", !node.labels.is_empty()),
            ("nodeTaints", !node.taints.is_empty()),
        ];
        let refusal = |(field, _): &(&str, bool)| {
            format!("`{field}` of the site is for a Kubernetes distribution, and the profile has none; leave it out")
        };
        asked.iter().filter(|(_, asked)| *asked).map(refusal).collect()
    }

    fn lacks(&self) -> Vec<String> {
        Vec::new()
    }

    fn files(&self) -> Vec<SetupFile> {
        Vec::new()
    }

    fn start(&self) -> Vec<Step> {
        Vec::new()
    }

    fn folders(&self) -> Vec<String> {
        Vec::new()
    }

    fn shared(&self) -> Vec<String> {
        Vec::new()
    }

    fn remove(&self) -> Vec<Step> {
        Vec::new()
    }

    fn save(&self) -> Option<Save> {
        None
    }

    fn kubectl(&self) -> Option<(Vec<String>, bool)> {
        None
    }

    fn eviction(&self) -> Option<Eviction> {
        None
    }
}
