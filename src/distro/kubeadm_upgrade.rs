//! How kubeadm takes a node to another version:
//! <https://kubernetes.io/docs/tasks/administer-cluster/kubeadm/kubeadm-upgrade/>.

use super::{Step, words};

const UPGRADE: &str = include_str!("kubeadm-upgrade.sh");

/// The first server takes the cluster to the version, once its control plane works again.
pub(super) fn first(kubeadm: &str, version: &str, node: &str, kubectl: &str) -> Step {
    step(version, words(["/bin/sh", "-c", UPGRADE, "upgrade", kubeadm, version, node, kubectl]))
}

/// All others follow it.
pub(super) fn further(kubeadm: &str, version: &str) -> Step {
    step(version, words([kubeadm, "upgrade", "node"]))
}

fn step(version: &str, command: Vec<String>) -> Step {
    Step::Run { what: format!("upgrade to {version}"), command, unless: None, undo: None, seconds: 1800 }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;
    use std::process::Command;

    use super::*;

    /// Writes down how it is called, and then does what `script` says.
    fn program(folder: &Path, name: &str, script: &str) -> String {
        let path = folder.join(name);
        let calls = folder.join("calls");
        fs::write(&path, format!("#!/bin/sh\necho \"{name} $*\" >>{}\n{script}\n", calls.display())).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Runs the step, where kubeadm fails so many times. Returns whether it succeeded, and the calls.
    fn run(failures: u32) -> (bool, Vec<String>) {
        run_with(failures, "")
    }

    /// The same where `kubectl` does this first.
    fn run_with(failures: u32, first_of_all: &str) -> (bool, Vec<String>) {
        run_for(failures, first_of_all, 20)
    }

    /// The same where each upgrade takes so many seconds.
    fn run_for(failures: u32, first_of_all: &str, seconds: u32) -> (bool, Vec<String>) {
        let folder = tempfile::tempdir().unwrap();
        let calls = folder.path().join("calls").display().to_string();
        // Leases are first as they were left, and the API server is away for a moment.
        let kubectl = format!(
            "{first_of_all}\nfor path; do :; done\ncase $path in */leases/*) ;; *) exit ;; esac\n\
             asked=$(grep -c \"$path\" {calls})\n\
             case $asked in 2) exit 1 ;; 1 | 3) asked=before ;; esac\n\
             echo '{{\"renewTime\":\"'$asked'\"}}'"
        );
        let kubectl = program(folder.path(), "kubectl", &kubectl);
        let kubeadm = program(folder.path(), "kubeadm", &format!("[ $(grep -c ^kubeadm {calls}) -gt {failures} ]"));
        program(folder.path(), "sleep", "");
        program(folder.path(), "date", &format!("echo $(($(grep -c ^date {calls}) * {seconds}))"));
        let Step::Run { command, .. } = first(&kubeadm, "1.34.5", "till", &kubectl) else { unreachable!() };
        let path = format!("{}:/usr/bin:/bin", folder.path().display());
        let ran = Command::new(&command[0]).args(&command[1..]).env("PATH", path).output().unwrap();
        let calls = fs::read_to_string(calls).unwrap();
        (
            ran.status.success(),
            calls
                .lines()
                .filter(|call| !call.starts_with("sleep") && !call.starts_with("date"))
                .map(str::to_owned)
                .collect(),
        )
    }

    #[test]
    fn an_upgrade_begins_when_node_and_leaders_have_said_that_they_work() {
        let (succeeded, calls) = run(0);
        assert!(succeeded, "{calls:#?}");
        assert!(calls[1].ends_with("wait --for=condition=Ready --timeout=120s node/till"), "{calls:#?}");
        for name in ["kube-controller-manager", "kube-scheduler"] {
            // As it was left, no answer, as it was left, and renewed.
            assert_eq!(calls.iter().filter(|call| call.ends_with(&format!("leases/{name}"))).count(), 4, "{calls:#?}");
        }
        assert_eq!(calls.last().unwrap(), "kubeadm upgrade apply 1.34.5 --yes");
    }

    #[test]
    fn an_attempt_waits_for_the_api() {
        let (_, calls) = run_with(0, "case $* in *readyz) exit 1 ;; esac");
        assert_eq!(calls.iter().take_while(|call| call.ends_with("/readyz")).count(), 61, "{calls:#?}");
    }

    #[test]
    fn leases_that_nobody_shows_are_not_waited_for() {
        let (succeeded, calls) = run_with(0, "exit 0");
        assert!(succeeded, "{calls:#?}");
        assert_eq!(calls.iter().filter(|call| call.contains("/leases/")).count(), 6, "{calls:#?}");
    }

    #[test]
    fn an_upgrade_that_fails_is_tried_three_times() {
        let upgrades = |calls: &[String]| calls.iter().filter(|call| call.starts_with("kubeadm")).count();
        let (succeeded, calls) = run(2);
        assert!(succeeded && upgrades(&calls) == 3, "{calls:#?}");
        let (succeeded, calls) = run(3);
        assert!(!succeeded && upgrades(&calls) == 3, "{calls:#?}");
    }

    #[test]
    fn an_upgrade_that_waited_for_what_did_not_come_up_is_not_tried_again() {
        let (succeeded, calls) = run_for(1, "", 300);
        let upgrades = calls.iter().filter(|call| call.starts_with("kubeadm")).count();
        assert!(!succeeded && upgrades == 1, "{calls:#?}");
    }
}
