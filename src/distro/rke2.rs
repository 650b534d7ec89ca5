//! RKE2: <https://docs.rke2.io>. Its options are those of its `pkg/cli/cmds/server.go` and `agent.go`, its unit is that of
//! `bundle/lib/systemd/system`, which comes with its tarball.

use super::cluster::Cluster;
use super::rancher::{Names, Rancher};
use super::{Distribution, Eviction, Save, SetupFile, Step};

const NAMES: Names = Names {
    name: "rke2",
    shown: "RKE2",
    program_from: "https://github.com/rancher/rke2/releases, rke2.linux-ARCH.tar.gz",
    server_unit: "rke2-server.service",
    agent_unit: "rke2-agent.service",
    environment: ("/etc/default/", ""),
    port: "9345",
    interfaces: &[
        "cni0",
        "flannel.1",
        "flannel-v6.1",
        "flannel-wg",
        "flannel-wg-v6",
        "vxlan.calico",
        "vxlan-v6.calico",
        "kube-ipvs0",
    ],
    unit_lines: STOPPED,
};

/// What `KillMode=process` leaves of RKE2 itself, which would be in the way of its next start, and what its own unit ends
/// too. systemd takes `$$` for `$`.
const STOPPED: &str = "EnvironmentFile=-/usr/local/lib/systemd/system/%N.env\n\
    ExecStopPost=-/bin/sh -c 'find /sys/fs/cgroup/system.slice/%n -name cgroup.procs -exec cat {} + | while read process; \
    do case $$(cat /proc/$$process/comm) in containerd|kubelet) kill $$process;; esac; done'\n";

/// RKE2 on one machine. Its data is always in etcd.
pub(super) struct Rke2<'a>(Rancher<'a>);

impl<'a> Rke2<'a> {
    pub(super) fn of(cluster: &'a Cluster<'a>) -> Result<Self, String> {
        Rancher::of(&NAMES, cluster).map(Self)
    }

    /// The command before its arguments.
    fn kubectl_program(&self) -> Vec<String> {
        // It unpacks it from an image when it starts.
        vec![format!("{}/bin/kubectl", self.0.data())]
    }
}

impl Distribution for Rke2<'_> {
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
