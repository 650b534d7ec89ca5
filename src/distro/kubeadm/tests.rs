//! What the scripts do on folders of a test, with programs that do little.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use super::*;

/// Runs a script on the folder `root` instead of `/etc/kubernetes`, with programs that do nothing.
fn run(script: &str, arguments: &[&str], root: &Path) {
    let programs = root.join("bin");
    fs::create_dir_all(&programs).unwrap();
    for name in ["systemctl", "kubeadm", "sync"] {
        fs::write(programs.join(name), "#!/bin/sh\n").unwrap();
        fs::set_permissions(programs.join(name), fs::Permissions::from_mode(0o755)).unwrap();
    }
    let script = script.replace("/etc/kubernetes", root.join("kubernetes").to_str().unwrap());
    let path = format!("{}:/usr/bin:/bin", programs.display());
    let ended = Command::new("/bin/sh").args(["-c", &script, "script"]).args(arguments).env("PATH", path).status();
    assert!(ended.unwrap().success(), "{script}");
}

#[test]
fn folders_that_were_empty_before_the_node_stay_and_others_go() {
    for before in ["absent", "empty", "manifests", "file", "link"] {
        let folder = tempfile::tempdir().unwrap();
        let (root, kubernetes) = (folder.path(), folder.path().join("kubernetes"));
        match before {
            "absent" => {}
            "empty" => fs::create_dir(&kubernetes).unwrap(),
            "manifests" => fs::create_dir_all(kubernetes.join("manifests")).unwrap(),
            "file" => {
                fs::create_dir_all(kubernetes.join("manifests")).unwrap();
                fs::write(kubernetes.join("admin.conf"), "somebody's").unwrap();
            }
            _ => {
                fs::create_dir_all(root.join("disk/manifests")).unwrap();
                symlink("disk", &kubernetes).unwrap();
            }
        }
        let state = root.join("state");
        let state = state.to_str().unwrap();
        run(MAKE, &["kubeadm", "init", "/config", state, "", "foreign"], root);
        fs::write(kubernetes.join("kubelet.conf"), "made").unwrap();
        fs::write(kubernetes.join("manifests/etcd.yaml"), "made").unwrap();
        run(LEAVE, &["kubeadm", state, "foreign"], root);
        assert_eq!(kubernetes.is_dir(), before != "absent", "{before}");
        assert_eq!(kubernetes.join("manifests").is_dir(), !["absent", "empty"].contains(&before), "{before}");
        assert!(!kubernetes.join("kubelet.conf").exists() && !kubernetes.join("manifests/etcd.yaml").exists());
        assert_eq!(kubernetes.join("admin.conf").exists(), before == "file");
    }
}

/// Has a server leave whose etcd may have joined the one of another server, which answers or does not. Returns whether it
/// did, and what was called.
fn leave(initial_cluster: Option<&str>, answers: bool) -> (bool, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let (root, calls) = (folder.path(), folder.path().join("calls"));
    let manifests = root.join("kubernetes/manifests");
    fs::create_dir_all(&manifests).unwrap();
    fs::create_dir(root.join("state")).unwrap();
    fs::write(root.join("state/begun"), "").unwrap();
    fs::write(root.join("kubernetes/admin.conf"), "").unwrap();
    let flags =
        "- --advertise-address=10.0.0.2\n- --etcd-cafile=/pki/etcd/ca.crt\n- --etcd-servers=https://127.0.0.1:2379\n";
    fs::write(manifests.join("kube-apiserver.yaml"), flags).unwrap();
    if let Some(cluster) = initial_cluster {
        fs::write(manifests.join("etcd.yaml"), format!("- --initial-cluster={cluster}\n")).unwrap();
    }
    let kubectl = format!(
        "{answers} || exit 1\ncase $* in\n*\"get pods\"*) printf 'etcd-desk 10.0.0.2\\netcd-till 10.0.0.1\\n' ;;\n\
         *\"member list\") echo '8e9e, started, till, https://10.0.0.1:2380, https://10.0.0.1:2379, false'\n\
         echo '51ff, started, , https://10.0.0.2:2380, , true' ;;\nesac"
    );
    fs::create_dir(root.join("bin")).unwrap();
    for (name, script) in
        [("kubectl", kubectl.as_str()), ("kubeadm", ""), ("systemctl", ""), ("sleep", ""), ("sync", "")]
    {
        let path = root.join("bin").join(name);
        let script = format!("#!/bin/sh\necho \"{name} $*\" >>{}\n{script}\n", calls.display());
        fs::write(&path, script).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let script = LEAVE.replace("/etc/kubernetes", root.join("kubernetes").to_str().unwrap());
    let kubeadm = root.join("bin/kubeadm");
    let ended = Command::new("/bin/sh")
        .args(["-c", &script, "reset", kubeadm.to_str().unwrap(), root.join("state").to_str().unwrap(), ""])
        .env("PATH", format!("{}:/usr/bin:/bin", root.join("bin").display()))
        .output()
        .unwrap();
    let calls = fs::read_to_string(calls).unwrap();
    (ended.status.success(), calls.lines().filter(|call| !call.starts_with("sleep")).map(str::to_owned).collect())
}

#[test]
fn a_server_takes_its_member_out_of_etcd_before_it_goes() {
    // Where it had only been announced, where it runs, and where others came after it.
    for initial_cluster in [None, Some("till=https://10.0.0.1:2380,desk=https://10.0.0.2:2380"), Some("desk=x")] {
        let (left, calls) = leave(initial_cluster, true);
        let at = |part: &str| calls.iter().position(|call| call.contains(part));
        let (removed, reset) = (at("member remove 51ff"), at("kubeadm reset"));
        assert!(left && removed.is_some() && removed < reset, "{calls:#?}");
        let of_the_other =
            |call: &String| call.contains("--server=https://10.0.0.1:6443") && call.contains("etcd-till");
        assert!(calls.iter().filter(|call| call.contains("etcdctl")).all(of_the_other), "{calls:#?}");
    }
}

#[test]
fn a_server_that_cannot_take_its_member_out_stays_as_it_is() {
    let (left, calls) = leave(Some("till=https://10.0.0.1:2380,desk=https://10.0.0.2:2380"), false);
    assert!(!left && calls.contains(&"systemctl start kubelet.service".to_owned()), "{calls:#?}");
    assert!(!calls.iter().any(|call| call.contains("reset")), "{calls:#?}");
    // The first one of a cluster may have nobody to ask.
    let (left, calls) = leave(Some("till=https://10.0.0.1:2380"), false);
    assert!(left && calls.iter().any(|call| call.contains("reset")), "{calls:#?}");
}

/// Makes a node with a kubeadm that says `said` and fails as often as it is told. Returns whether the node was made, how often it was
/// called, and what came to standard error.
fn make(said: &str, failures: usize) -> (bool, usize, String) {
    let folder = tempfile::tempdir().unwrap();
    let (root, calls) = (folder.path(), folder.path().join("calls"));
    let programs = root.join("bin");
    fs::create_dir_all(&programs).unwrap();
    fs::write(root.join("said"), said).unwrap();
    let kubeadm = format!(
        "#!/bin/sh\necho x >>{0}/calls\n[ $(wc -l <{0}/calls) -gt {failures} ] || {{ cat {0}/said >&2; exit 3; }}\n",
        root.display()
    );
    for (name, text) in [("kubeadm", kubeadm.as_str()), ("sync", "#!/bin/sh\n"), ("sleep", "#!/bin/sh\n")] {
        fs::write(programs.join(name), text).unwrap();
        fs::set_permissions(programs.join(name), fs::Permissions::from_mode(0o755)).unwrap();
    }
    let script = MAKE.replace("/etc/kubernetes", root.join("kubernetes").to_str().unwrap());
    let state = root.join("state");
    let ended = Command::new("/bin/sh")
        .args(["-c", &script, "make", "kubeadm", "init", "/config", state.to_str().unwrap(), "", "foreign"])
        .env("PATH", format!("{}:/usr/bin:/bin", programs.display()))
        .output()
        .unwrap();
    let called = fs::read_to_string(calls).unwrap().lines().count();
    assert_eq!(ended.status.success(), state.join("made").exists());
    (ended.status.success(), called, String::from_utf8(ended.stderr).unwrap())
}

/// What kubeadm 1.34.4 said of a containerd 1.6.20 that systemd had just started.
const EARLY: &str = "\
[preflight] Some fatal errors occurred:
failed to create new CRI runtime service: validate service connection: validate CRI v1 runtime API for endpoint \
\"unix:///run/containerd/containerd.sock\": rpc error: code = Unknown desc = server is not initialized yet
error: error execution phase preflight: preflight checks failed
";

#[test]
fn a_containerd_that_does_not_answer_for_cri_yet_is_waited_for() {
    assert_eq!(make(EARLY, 2), (true, 3, String::new()));
    let (made, called, said) = make(EARLY, 1000);
    assert_eq!((made, called, said.as_str()), (false, 61, EARLY), "it has an end");
    for other in [
        "error: error execution phase preflight: port 6443 is in use\n",
        "error: error execution phase wait-control-plane: server is not initialized yet\n",
    ] {
        assert_eq!(make(other, 1), (false, 1, other.to_owned()), "what changes something is not done again");
    }
}
