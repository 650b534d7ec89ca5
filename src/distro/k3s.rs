//! k3s: <https://docs.k3s.io>. Names of files and the unit are those of its `install.sh`, options those of
//! `pkg/cli/cmds/server.go` and `agent.go`.

use super::cluster::Cluster;
use super::rancher::{Names, Rancher};
use super::{Distribution, Eviction, Save, SetupFile, Step, words};
use crate::site::node::Membership;

const NAMES: Names = Names {
    name: "k3s",
    shown: "k3s",
    program_from: "https://github.com/k3s-io/k3s/releases",
    server_unit: "k3s.service",
    agent_unit: "k3s-agent.service",
    environment: ("/etc/systemd/system/", ".service.env"),
    port: "6443",
    interfaces: &["cni0", "flannel.1", "flannel-v6.1", "flannel-wg", "flannel-wg-v6", "kube-ipvs0"],
    unit_lines: "EnvironmentFile=-/etc/systemd/system/%N.service.env\n",
};

/// k3s on one machine.
pub(super) struct K3s<'a>(Rancher<'a>);

impl<'a> K3s<'a> {
    /// Several servers need etcd, which k3s has where it is told `cluster-init`; otherwise its data is in SQLite, which is
    /// lighter on small disks. So it is told where others are to come: they need a token, or an address that is not this
    /// machine's alone. k3s takes its data along from SQLite when it is told later
    /// (<https://docs.k3s.io/datastore/ha-embedded>).
    pub(super) fn of(cluster: &'a Cluster<'a>) -> Result<Self, String> {
        let mut rancher = Rancher::of(&NAMES, cluster)?;
        let first = matches!(cluster.node.cluster, Membership::Init { .. });
        let elsewhere = rancher.says("datastore-endpoint") || rancher.says("server");
        if first && rancher.is_server() && rancher.has_others() && !elsewhere {
            rancher.add("cluster-init");
        }
        Ok(Self(rancher))
    }

    /// The command before its arguments.
    fn kubectl_program(&self) -> Vec<String> {
        words([self.0.program(), "kubectl"])
    }
}

impl Distribution for K3s<'_> {
    fn refusals(&self) -> Vec<String> {
        self.0.refusals()
    }

    fn lacks(&self) -> Vec<String> {
        self.0.lacks()
    }

    fn files(&self) -> Vec<SetupFile> {
        self.0.files()
    }

    fn start(&self) -> Vec<Step> {
        self.0.start(self.kubectl_program())
    }

    fn folders(&self) -> Vec<String> {
        self.0.folders()
    }

    fn shared(&self) -> Vec<String> {
        Vec::new()
    }

    fn remove(&self) -> Vec<Step> {
        self.0.remove()
    }

    fn save(&self) -> Option<Save> {
        self.0.save()
    }

    fn kubectl(&self) -> Option<(Vec<String>, bool)> {
        Some((self.0.kubectl(self.kubectl_program()), self.0.is_server()))
    }

    fn eviction(&self) -> Option<Eviction> {
        Some(self.0.eviction())
    }
}
