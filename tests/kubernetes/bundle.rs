//! What the operator makes: the bundle of the profile in `tests/kubernetes/profile`, and a stick that bears it.

use std::fs;
use std::path::{Path, PathBuf};

use super::available::{available, skip};
use super::common::copy;
use super::helm::helms;
use super::node::system;
use super::registry::{Registry, succeed};

const PROFILE: &str = "tests/kubernetes/profile";

/// A version of the profile.
pub(crate) struct Version {
    pub(crate) number: &'static str,
    pub(crate) kubernetes: &'static str,
    /// What the page says.
    pub(crate) page: &'static str,
    /// What shows it.
    shows: &'static str,
    /// For how long what was applied is waited for.
    ready: &'static str,
    /// What else differs: the file, what it says, and what it says in this version.
    differs: &'static [(&'static str, &'static str, &'static str)],
}

/// What the profile's files say.
pub(crate) const FIRST: Version = Version {
    number: "1.0.0",
    kubernetes: "1.34.4",
    page: "the page",
    shows: "httpd -f",
    ready: "timeout: 5m",
    differs: &[],
};
/// What cannot take its place: nothing shows its page.
pub(crate) const BROKEN: Version =
    Version { number: "1.0.1", shows: "echo no shelf for it; exit 3; httpd -f", ready: "timeout: 30s", ..FIRST };
/// What it is upgraded to.
pub(crate) const SECOND: Version = Version { number: "1.1.0", kubernetes: "1.34.5", page: "the other page", ..FIRST };
/// What it cannot be upgraded to, where the API server of that name is a broken one.
pub(crate) const DEAD: Version = Version { number: "1.0.2", kubernetes: "1.34.5", ..FIRST };
/// What no node can be made with: a containerd that is configured for anything but Kubernetes.
pub(crate) const UNFIT: Version = Version {
    number: "0.8.0",
    differs: &[
        ("etc/containerd.toml", "version = 2", "version = 2\ndisabled_plugins = [\"cri\"]"),
        ("etc/containerd.toml", "pause:3.10.1", "pause:3.6"),
        ("etc/containerd.toml", "/opt/cni/bin", "/usr/lib/cni"),
        ("etc/containerd.toml", "SystemdCgroup = true", "SystemdCgroup = false"),
    ],
    ..FIRST
};
/// What wants more of the disk to be free than there is once its images are on it.
pub(crate) const PRESSED: Version = Version {
    number: "0.9.0",
    ready: "timeout: 10s",
    differs: &[("carrack.yaml", "imagefs.available: 0%", "imagefs.available: 95%")],
    ..FIRST
};

/// What several servers are made with: they hand on an address.
pub(crate) const SERVERS: Version = Version { number: "2.0.0", differs: &[VIP], ..FIRST };
/// The same for one whose containerd is 2.x.
pub(crate) const SERVERS_2: Version = Version {
    number: "2.0.1",
    differs: &[VIP, ("carrack.yaml", "./etc/containerd.toml", "./etc/containerd-2.toml")],
    ..FIRST
};
const VIP: (&str, &str, &str) =
    ("images.txt", "registry.k8s.io/pause", "ghcr.io/kube-vip/kube-vip:v0.9.1\nregistry.k8s.io/pause");

/// The same Kubernetes with another configuration.
pub(crate) const CHANGED: Version = Version {
    number: "1.0.2",
    differs: &[
        (
            "carrack.yaml",
            "networking: {podSubnet: 10.244.0.0/16}",
            "networking: {podSubnet: 10.244.0.0/16}\n          apiServer: {certSANs: [shop.example.org], extraArgs: [{name: \
             event-ttl, value: 2h}]}\n          controllerManager: {extraArgs: [{name: node-monitor-period, value: 7s}]}",
        ),
        ("carrack.yaml", "imageGCHighThresholdPercent: 100", "imageGCHighThresholdPercent: 100\n          maxPods: 47"),
        ("carrack.yaml", "conntrack: {maxPerCore: 0}", "conntrack: {maxPerCore: 0, tcpBeLiberal: true}"),
    ],
    ..FIRST
};
/// The same with an argument that ends the API server.
pub(crate) const UNKNOWN: Version = Version {
    number: "1.0.3",
    differs: &[(
        "carrack.yaml",
        "networking: {podSubnet: 10.244.0.0/16}",
        "networking: {podSubnet: 10.244.0.0/16}\n          apiServer: {extraArgs: [{name: no-such-flag, value: x}]}",
    )],
    ..FIRST
};
/// What no node that is made can be given.
pub(crate) const FIXED: Version =
    Version { number: "1.0.4", differs: &[("carrack.yaml", "10.244.0.0/16", "10.240.0.0/12")], ..FIRST };

impl Version {
    /// The bundle's name.
    pub(crate) fn bundle(&self) -> String {
        format!("store-{}.tar.zst", self.number)
    }
}

/// What `scripts/kubernetes` built, and the helm.
pub(crate) struct Parts {
    folder: PathBuf,
    helm: PathBuf,
    _lock: fs::File,
}

impl Parts {
    /// The system of the nodes, and these; or says why the test cannot be run here.
    pub(crate) fn with_system(test: &str) -> Option<(PathBuf, Self)> {
        let system = system(test).filter(|_| available(test, &["docker-registry", "skopeo"]))?;
        Some((system, Self::wait(test)?))
    }

    /// Waits until they are built, where they are; or says why the test cannot be run here.
    fn wait(test: &str) -> Option<Self> {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("kubernetes");
        let helm = helms(test).into_iter().next()?;
        let lock = fs::create_dir_all(&folder).and_then(|()| fs::File::create(folder.join("lock"))).unwrap();
        rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
        if !folder.join("state").is_file() {
            skip(&format!("{test}: needs scripts/kubernetes to have been run"));
            return None;
        }
        Some(Self { folder, helm, _lock: lock })
    }

    /// A folder for what is made in this run. What lies there of an earlier one is removed.
    pub(crate) fn workbench(&self) -> PathBuf {
        let run = self.folder.join("run");
        let _ = fs::remove_dir_all(&run);
        for folder in ["registry", "stick", "nodes"] {
            fs::create_dir_all(run.join(folder)).unwrap();
        }
        run
    }

    /// Gives a node that is off the containerd 2.x that was built, in place of its own.
    pub(crate) fn newer_containerd(&self, workbench: &Path, node: &str) {
        for name in ["containerd", "containerd-shim-runc-v2"] {
            let to = workbench.join("nodes").join(node).join("root/usr/bin").join(name);
            fs::copy(self.folder.join("bin").join(name), to).unwrap();
        }
    }

    /// All images.
    pub(crate) fn images(&self) -> PathBuf {
        self.folder.join("images")
    }

    /// Puts the bundle of a version, and the installer, on the stick.
    pub(crate) fn build(&self, registry: &Registry, workbench: &Path, version: &Version) {
        let (profile, bin) = (workbench.join(version.number), self.folder.join("bin"));
        copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join(PROFILE), &profile);
        let changes = [
            ("carrack.yaml", FIRST.number, version.number),
            ("carrack.yaml", FIRST.kubernetes, version.kubernetes),
            ("images.txt", FIRST.kubernetes, version.kubernetes),
            ("carrack.yaml", FIRST.ready, version.ready),
            ("web/web.yaml", FIRST.page, version.page),
            ("web/web.yaml", FIRST.shows, version.shows),
        ];
        for (file, from, to) in changes.iter().chain(version.differs) {
            let path = profile.join(file);
            let text = fs::read_to_string(&path).unwrap();
            assert!(text.contains(from), "{file} has no {from}");
            fs::write(path, text.replace(from, to)).unwrap();
        }
        fs::create_dir(profile.join("bin")).unwrap();
        let bring = |from: &Path, name: &str| fs::copy(from, profile.join("bin").join(name)).unwrap();
        for name in ["kubeadm", "kubelet", "kubectl"] {
            bring(&bin.join(format!("kubernetes-{}", version.kubernetes)), name);
        }
        for name in ["bridge", "host-local", "loopback", "portmap"] {
            bring(&bin.join(name), name);
        }
        bring(&self.helm, "helm");
        let carrack = |command: &str| {
            let mut carrack = registry.operator(env!("CARGO_BIN_EXE_carrack"));
            carrack.arg(command).arg(&profile).env("CARRACK_HELM", &self.helm).env("HOME", workbench);
            carrack
        };
        succeed(&mut carrack("lock"));
        println!("{}", succeed(&mut carrack("check")));
        let stick = workbench.join("stick");
        println!("{}", succeed(carrack("build").arg("-o").arg(stick.join(version.bundle()))));
        fs::copy(env!("CARGO_BIN_EXE_carrack-install"), stick.join("carrack-install")).unwrap();
    }
}
