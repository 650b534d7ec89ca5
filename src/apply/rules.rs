//! What a Kubernetes distribution asks of a host, whatever the profile says.
//!
//! The facts are published ones: <https://docs.k3s.io/installation/requirements> and
//! <https://docs.rke2.io/install/requirements> for ports, modules, control groups and firewalls; k3s'
//! `pkg/agent/syssetup` for the modules that both load when they start; their install scripts for the SELinux policies.

use crate::requirements::{Port, Protocol};
use crate::site::node::{Node, Role};

/// The rules of one distribution.
#[derive(Debug)]
pub(super) struct Rules {
    /// As profiles name it.
    pub(super) name: &'static str,
    /// Where its data lies: images, containers, the cluster's state.
    pub(super) data: &'static str,
    /// Ports that a server listens at.
    pub(super) ports: &'static [Port],
    /// Ports that an agent listens at.
    pub(super) agent_ports: &'static [Port],
    /// What its processes are called, so that it is not in its own way in an upgrade.
    pub(super) programs: &'static [&'static str],
    /// What the SELinux policy comes in, a package and a file of it; none where its systems have no SELinux.
    pub(super) policy: Option<(&'static str, &'static str)>,
    /// Programs that it uses and does not bring.
    pub(super) commands: &'static [&'static str],
    /// Whether it brings Flannel where the profile has no network of its own.
    pub(super) flannel: bool,
}

/// Where a containerd keeps content and snapshots unless its configuration says otherwise, which it does not tell.
pub(super) const CONTAINERD_ROOT: &str = "/var/lib/containerd";

/// The smallest machine, where a profile does not say otherwise: 4 cores, 4 GB, and an SSD of 32 GB, which the makers of
/// disks count in powers of ten.
pub(super) const CPU_MILLI: u64 = 4000;
/// See [`CPU_MILLI`].
pub(super) const MEMORY: u64 = 4 << 30;
/// See [`CPU_MILLI`].
pub(super) const DISK: u64 = 32_000_000_000;

/// What containers and their network need of the kernel.
pub(super) const MODULES: [&str; 3] = ["overlay", "br_netfilter", "nf_conntrack"];
/// What Flannel needs besides, which both bring where the profile has no network of its own.
pub(super) const FLANNEL_MODULE: &str = "vxlan";
/// Flannel's port for VXLAN.
pub(super) const FLANNEL_PORT: Port = Port { number: 8472, protocol: Protocol::Udp };

/// The control groups that the kubelet cannot do without (Kubernetes' system-validators).
pub(super) const CONTROLLERS: [&str; 4] = ["cpu", "cpuset", "memory", "pids"];
/// The first minor version of Kubernetes 1 whose kubelet refuses control groups of version 1 (KEP 5573).
pub(super) const NEEDS_CGROUP_2: u64 = 35;

/// The oldest kernel that has what control groups of version 2 need, and the oldest that Kubernetes' system-validators
/// take. Between the two lie kernels such as that of RHEL 8, which both distributions run on.
pub(super) const KERNEL: (u64, u64) = (4, 15);
/// See [`KERNEL`].
pub(super) const GOOD_KERNEL: (u64, u64) = (4, 19);

const K3S: Rules = Rules {
    name: "k3s",
    data: "/var/lib/rancher/k3s",
    ports: &[tcp(6443), tcp(10250)],
    agent_ports: &[tcp(10250)],
    programs: &["k3s", "k3s-server", "k3s-agent"],
    policy: Some(("k3s-selinux", "/usr/share/selinux/packages/k3s.pp")),
    commands: &[],
    flannel: true,
};

const RKE2: Rules = Rules {
    name: "rke2",
    data: "/var/lib/rancher/rke2",
    ports: &[tcp(6443), tcp(9345), tcp(10250), tcp(2379), tcp(2380)],
    agent_ports: &[tcp(10250)],
    programs: &["rke2", "kube-apiserver", "kubelet", "etcd"],
    policy: Some(("rke2-selinux", "/usr/share/selinux/packages/rke2.pp")),
    commands: &[],
    flannel: true,
};

/// <https://kubernetes.io/docs/reference/networking/ports-and-protocols/>, and what kubeadm looks for before it begins
/// (`cmd/kubeadm/app/preflight/checks.go`). Content is where the host's containerd has it.
const KUBEADM: Rules = Rules {
    name: "kubeadm",
    data: "/var/lib/containerd",
    ports: &[tcp(6443), tcp(10250), tcp(10257), tcp(10259), tcp(2379), tcp(2380)],
    agent_ports: &[tcp(10250)],
    // The kernel knows 15 characters of a name.
    programs: &["kube-apiserver", "kubelet", "kube-controller", "kube-scheduler", "etcd"],
    policy: Some(("container-selinux", "/usr/share/selinux/packages/container.pp.bz2")),
    commands: &["conntrack", "ip", "iptables", "mount"],
    flannel: false,
};

/// <https://documentation.ubuntu.com/canonical-kubernetes/latest/snap/reference/ports-and-services/>
const CANONICAL: Rules = Rules {
    name: "canonical",
    data: "/var/snap",
    ports: &[tcp(6443), tcp(6400), tcp(9000), tcp(10250), tcp(10257), tcp(10259)],
    // Its agents reach the API by a proxy of their own.
    agent_ports: &[tcp(6443), tcp(6400), tcp(10250)],
    programs: &["kube-apiserver", "kubelet", "kube-controller", "kube-scheduler", "k8sd", "k8s-dqlite", "etcd"],
    policy: None,
    commands: &["snap"],
    flannel: false,
};

const fn tcp(number: u16) -> Port {
    Port { number, protocol: Protocol::Tcp }
}

impl Rules {
    /// The rules of a distribution; none where it is `none`, whose runtime is the host's own affair.
    pub(super) fn of(distribution: &str) -> Option<&'static Self> {
        [&K3S, &RKE2, &KUBEADM, &CANONICAL].into_iter().find(|rules| rules.name == distribution)
    }

    /// Ports that a machine of this role listens at.
    pub(super) fn ports_of(&self, role: Role) -> &'static [Port] {
        match role {
            Role::Server => self.ports,
            Role::Agent => self.agent_ports,
        }
    }

    /// Where its data lies on this machine. k3s and RKE2 have all of it where the site says; kubeadm has the cluster's state
    /// there, and leaves content where the host's containerd has it.
    pub(super) fn data_of<'a>(&self, node: &'a Node) -> &'a str {
        node.install_root.as_deref().filter(|_| self.starts_containerd()).unwrap_or(self.data)
    }

    /// Where the cluster's state lies on this machine.
    pub(super) fn state_of<'a>(&self, node: &'a Node) -> &'a str {
        node.install_root.as_deref().unwrap_or(self.data)
    }

    /// Whether it brings its own containerd.
    fn starts_containerd(&self) -> bool {
        ["k3s", "rke2"].contains(&self.name)
    }

    /// Where the containerd that it uses keeps content and snapshots.
    pub(super) fn containerd(&self, node: &Node) -> String {
        if self.starts_containerd() {
            format!("{}/agent/containerd", self.data_of(node))
        } else {
            CONTAINERD_ROOT.to_owned()
        }
    }
}

/// Software that is another Kubernetes, with the units and programs that tell of it.
pub(super) const OTHERS: [(&str, &[&str], &[&str]); 6] = [
    ("k3s", &["k3s.service", "k3s-agent.service"], &["k3s"]),
    ("rke2", &["rke2-server.service", "rke2-agent.service"], &["rke2"]),
    ("kubeadm", &["kubelet.service"], &["kubelet"]),
    ("k0s", &["k0scontroller.service", "k0sworker.service"], &["k0s"]),
    ("microk8s", &["snap.microk8s.daemon-kubelite.service"], &[]),
    ("canonical", &["snap.k8s.kubelet.service"], &[]),
];

/// Units that get in the way of the network between pods where they are left as they are.
pub(super) const BESIDE: [&str; 3] = ["docker.service", "firewalld.service", "nm-cloud-setup.service"];

/// File systems that cannot be the upper layer of an overlay: no extended attributes, no file types in folders, or not on
/// this machine (Documentation/filesystems/overlayfs.rst).
pub(super) const NO_OVERLAY: [&str; 16] = [
    "vfat", "msdos", "exfat", "ntfs", "ntfs3", "fuseblk", "hfsplus", "iso9660", "squashfs", "erofs", "nfs", "nfs4",
    "cifs", "smb3", "9p", "overlay",
];
/// File systems that can.
pub(super) const OVERLAY: [&str; 5] = ["ext4", "xfs", "btrfs", "tmpfs", "f2fs"];
