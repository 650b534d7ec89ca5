use std::process::{Child, Command};

use super::*;

const OURS: &str = "0f4b6c1e-90f0-4d8e-9e5f-3f1b8a3c2d1e";
const STATIC: &str = "7f1a2b3c4d5e6f708192a3b4c5d6e7f8";
const THEIRS: &str = "aaaaaaaa-90f0-4d8e-9e5f-3f1b8a3c2d1e";

struct Tree(tempfile::TempDir);

impl Tree {
    fn new() -> Self {
        let tree = Self(tempfile::tempdir().unwrap());
        for pod in [OURS, STATIC, "not-a-pod", ".."] {
            fs::create_dir_all(tree.0.path().join("kubelet/pods").join(pod)).unwrap();
        }
        tree
    }

    fn group(&self, path: &str, processes: &[&Child]) -> PathBuf {
        let folder = self.0.path().join("cgroup").join(path);
        fs::create_dir_all(&folder).unwrap();
        let text: String = processes.iter().map(|process| format!("{}\n", process.id())).collect();
        fs::write(folder.join("cgroup.procs"), text).unwrap();
        folder
    }

    fn pods(&self) -> BTreeSet<String> {
        pods(&self.0.path().join("kubelet")).unwrap()
    }

    fn groups(&self, unit: Option<&str>) -> Vec<PathBuf> {
        groups(&self.0.path().join("cgroup"), &self.pods(), unit).unwrap()
    }
}

struct Process(Child);

impl Process {
    fn new() -> Self {
        Self(Command::new("sleep").arg("600").spawn().unwrap())
    }

    fn is_running(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn only_pods_of_this_kubelet_and_its_own_unit_are_found() {
    let tree = Tree::new();
    let systemd = |pod: &str| format!("kubepods-burstable-pod{}.slice", pod.replace('-', "_"));
    let mut ours = Vec::new();
    for path in [
        format!("kubepods.slice/kubepods-burstable.slice/{}", systemd(OURS)),
        format!("kubepods.slice/kubepods-pod{}.slice", STATIC.replace('-', "_")),
        format!("memory/kubepods/besteffort/pod{OURS}"),
        format!("pids/kubepods/pod{STATIC}"),
        "system.slice/k3s.service".to_owned(),
        "pids/system.slice/k3s.service".to_owned(),
    ] {
        ours.push(tree.group(&path, &[]));
    }
    for path in [
        format!("kubepods.slice/kubepods-burstable.slice/{}", systemd(THEIRS)),
        format!("memory/kubepods/besteffort/pod{THEIRS}"),
        format!("memory/pod{OURS}"),
        "system.slice/docker.service".to_owned(),
        "system.slice/k3s-agent.service".to_owned(),
        "system.slice/docker-1.scope/system.slice/k3s.service".to_owned(),
        format!("docker/1/kubelet/kubepods/pod{THEIRS}"),
        "user.slice/k3s".to_owned(),
        "kubepods.slice/kubepods-besteffort.slice".to_owned(),
    ] {
        tree.group(&path, &[]);
    }
    ours.sort();
    assert_eq!(tree.groups(Some("k3s.service")), ours);
    assert_eq!(tree.groups(None).len(), 4);
    assert_eq!(tree.pods(), BTreeSet::from([OURS.to_owned(), STATIC.to_owned()]));
}

#[test]
fn their_processes_end_and_no_others() {
    let tree = Tree::new();
    let (mut pod, mut inner, mut shim, mut other) = (Process::new(), Process::new(), Process::new(), Process::new());
    tree.group(&format!("kubepods/pod{OURS}"), &[&pod.0]);
    tree.group(&format!("kubepods/pod{OURS}/container"), &[&inner.0]);
    tree.group("system.slice/k3s.service", &[&shim.0]);
    // A program that lies in the folder of the distribution's data, and is somebody else's.
    tree.group(&format!("kubepods/pod{THEIRS}"), &[&other.0]);
    end(&tree.groups(Some("k3s.service")), &Interrupt::never()).unwrap();
    assert!(!pod.is_running() && !inner.is_running() && !shim.is_running());
    assert!(other.is_running());
}

#[test]
fn only_what_a_kubelet_or_runtime_mounts_is_unmounted() {
    let swept =
        Swept { unit: None, data: Some("/var/lib/rancher/k3s"), state: Some("/run/k3s"), kubelet: "/var/lib/kubelet" };
    let pod = format!("/var/lib/kubelet/pods/{OURS}/volumes/kubernetes.io~projected/token");
    for path in [
        pod.as_str(),
        "/var/lib/kubelet/plugins/kubernetes.io/csi/x/globalmount",
        "/run/k3s/containerd/io.containerd.runtime.v2.task/k8s.io/1/rootfs",
        "/var/lib/rancher/k3s/agent/containerd/tmpmounts/containerd-mount1",
    ] {
        assert!(swept.has_mounted(Path::new(path), true), "{path}");
    }
    assert!(!swept.has_mounted(Path::new(&pod), false), "another kubelet's");
    for path in [
        "/var/lib/kubelet",
        "/var/lib/kubelet/pods",
        "/var/lib/kubelet/plugins",
        "/var/lib/kubelet2/pods/a/b",
        "/var/lib/rancher/k3s",
        "/var/lib/rancher/k3s/storage",
        "/var/lib/rancher/k3s/server/db",
        "/var/lib/rancher/k3s/agent/containerd",
        "/run/k3s",
        "/run/netns/cni-1",
        "/mnt",
    ] {
        assert!(!swept.has_mounted(Path::new(path), true), "{path}");
    }
}

#[test]
fn what_was_mounted_before_is_known() {
    let mut claim = Claim::new("/var/lib/kubelet", Prior::Empty);
    claim.mounts = vec![String::new(), "pods".to_owned()];
    let mut linked = Claim::new("/var/lib/etcd", Prior::Empty);
    (linked.real, linked.mounts) = (Some("/disk/etcd".to_owned()), vec![String::new()]);
    let paths = ["/var/lib/kubelet", "/var/lib/kubelet/pods", "/disk/etcd"].map(PathBuf::from);
    assert_eq!(mounted_before(&[claim, linked]), paths);
}
