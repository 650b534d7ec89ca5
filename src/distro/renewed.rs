//! Steps as installers before 0.4.0 have written them down, in the form in which this one does them. Theirs removed and ended more
//! than what they had made.

use super::{Step, canonical, kubeadm, rancher, words};

/// Steps of a receipt or journal of an earlier installer.
pub fn renewed(steps: Vec<Step>) -> Vec<Step> {
    let unit = steps.iter().find_map(|step| match step {
        Step::Disable { unit } => Some(unit.clone()),
        _ => None,
    });
    steps.into_iter().flat_map(|step| one(step, unit.as_deref())).collect()
}

/// The folders that such steps take away: those that they remove, and those of a snap, which removes them itself.
pub fn taken_away(steps: &[Step]) -> impl Iterator<Item = &str> {
    steps.iter().flat_map(|step| match step {
        Step::Remove { path } => vec![path.as_str()],
        Step::Run { command, .. } if matches!(command.as_slice(), [_, _, _, name, _] if name == "leave") => {
            canonical::FOLDERS.to_vec()
        }
        _ => Vec::new(),
    })
}

fn one(step: Step, unit: Option<&str>) -> Vec<Step> {
    match &step {
        Step::Run { what, command, unless, undo, seconds } => {
            if let Some(renewed) = script(command, unit) {
                return renewed;
            }
            // A folder for a copy of the cluster's state.
            if let Some([Step::Remove { path }]) = undo.as_ref().and_then(|undo| script(undo, unit)).as_deref() {
                return vec![Step::Folder { path: path.clone() }];
            }
            // What a node that kubeadm has made is left by.
            let undo = undo.as_ref().map(|undo| match script(undo, unit).as_deref() {
                Some([Step::Run { command, .. }, ..]) => command.clone(),
                _ => undo.clone(),
            });
            vec![Step::Run {
                what: what.clone(),
                command: command.clone(),
                unless: unless.clone(),
                undo,
                seconds: *seconds,
            }]
        }
        Step::Remove { path } if path.ends_with("/carrack-snapshot.db") => vec![kubeadm::removed(path)],
        // The folder of Kubernetes' configuration has what persons put there too.
        Step::Copy { from, to, unless, over: _ } if to == "/etc/kubernetes" => {
            vec![Step::Copy { from: from.clone(), to: to.clone(), unless: unless.clone(), over: true }]
        }
        _ => vec![step],
    }
}

/// What a script has become; nothing where it has stayed.
fn script(command: &[String], unit: Option<&str>) -> Option<Vec<Step>> {
    let [shell, flag, _, name, arguments @ ..] = command else { return None };
    if (shell.as_str(), flag.as_str()) != ("/bin/sh", "-c") {
        return None;
    }
    match (name.as_str(), arguments) {
        ("sweep", [data, state, kubelet, interfaces @ ..]) => Some(vec![Step::Sweep {
            unit: unit.map(str::to_owned),
            data: Some(data.clone()),
            state: Some(state.clone()),
            kubelet: kubelet.clone(),
            interfaces: interfaces.to_vec(),
        }]),
        ("leave", [kubeadm, _, folders @ ..]) if !folders.is_empty() && kubeadm.ends_with("kubeadm") => {
            let kubelet = folders.iter().rev().find(|folder| folder.ends_with("/kubelet"));
            let kubelet = kubelet.map_or("/var/lib/kubelet", String::as_str);
            Some(kubeadm::leaving(kubeadm, kubelet, folders.to_vec()))
        }
        ("leave", [state]) => {
            let command = words(["/bin/sh", "-c", command.get(2)?, "leave", state]);
            let what = "remove the snap and its data".to_owned();
            Some(vec![Step::Run { what, command, unless: None, undo: None, seconds: 900 }])
        }
        ("save", [program, saved, server, unit]) => {
            let steps = rancher::saving(program, server, unit, true).save;
            Some(steps.iter().map(|step| step.with(super::SAVED, saved)).collect())
        }
        ("restore", [program, saved, server, unit]) => {
            let steps = rancher::saving(program, server, unit, false).restore;
            Some(steps.iter().map(|step| step.with(super::SAVED, saved)).collect())
        }
        ("discard", [folder]) => Some(vec![Step::Remove { path: folder.clone() }]),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distro::{FOREIGN, SAVED};

    fn run(words: &[&str]) -> Step {
        let command = words.iter().map(|word| (*word).to_owned()).collect();
        Step::Run { what: "do it".to_owned(), command, unless: None, undo: None, seconds: 1 }
    }

    #[test]
    fn scripts_that_removed_by_themselves_do_so_no_more() {
        let disable = Step::Disable { unit: "k3s.service".to_owned() };
        let sweep = run(&["/bin/sh", "-c", "rm -rf", "sweep", "/data", "/run/k3s", "/var/lib/kubelet", "cni0"]);
        let Step::Sweep { unit, data, interfaces, .. } = &renewed(vec![disable, sweep])[1] else { panic!() };
        assert_eq!((unit.as_deref(), data.as_deref()), (Some("k3s.service"), Some("/data")));
        assert_eq!(interfaces, &["cni0"]);

        let leave =
            ["/bin/sh", "-c", "rm -rf", "leave", "/usr/bin/kubeadm", "/s", "/etc/kubernetes", "/var/lib/kubelet"];
        let steps = renewed(vec![run(&leave)]);
        assert!(
            matches!(&steps[0], Step::Run { command, .. } if command.last().is_some_and(|word| word == FOREIGN)),
            "{steps:?}"
        );
        let removed = |path: &str| Step::Remove { path: path.to_owned() };
        assert_eq!(steps[2..], [removed("/etc/kubernetes"), removed("/var/lib/kubelet")]);
        // The undo of a step is the program alone.
        let mut make = run(&["kubeadm", "init"]);
        if let Step::Run { undo, .. } = &mut make {
            *undo = Some(leave.map(str::to_owned).to_vec());
        }
        let Step::Run { undo: Some(undo), .. } = &renewed(vec![make])[0] else { panic!() };
        assert!(!undo[2].contains("rm -rf") && undo[3] == "reset", "{undo:?}");

        for name in ["save", "restore"] {
            let old = run(&["/bin/sh", "-c", "rm -rf", name, "/usr/bin/k3s", SAVED, "/d/server", "k3s.service"]);
            let text = format!("{:?}", renewed(vec![old]));
            assert!(!text.contains("rm -rf") && text.contains("/d/server/db"), "{text}");
        }
        assert_eq!(renewed(vec![run(&["/bin/sh", "-c", "rm -rf", "discard", "/states/7"])]), [removed("/states/7")]);
        assert_ne!(renewed(vec![removed("/e/carrack-snapshot.db")]), [removed("/e/carrack-snapshot.db")]);
        let other = run(&["/bin/sh", "-c", "true", "make", "/a"]);
        assert_eq!(renewed(vec![other.clone()]), [other]);
    }
}
