//! The state of a cluster, saved before its Kubernetes is upgraded: an older one cannot read what a newer one has written.

use super::receipt::{self, SavedState};
use super::services;
use super::survey::Survey;
use super::transaction::Record;
use crate::bundle::Contents;
use crate::distro::{SAVED, Save, Step};
use crate::host::Root;

/// Where copies are, within the root, each under the number of the receipt that it was made for.
const STATES: &str = "/var/lib/carrack/states";
/// Removes a copy, and the folder of all copies where it was the last.
const DISCARD: &str = "rm -rf -- \"$1\" && { rmdir -- \"${1%/*}\" 2>/dev/null || :; }";
/// Making a folder takes no time; a disk that hangs is another matter.
const SECONDS: u32 = 60;

/// Adds saving the state to what `record` does before files change, and putting it back to what it does where it fails. Nothing
/// where no other version of Kubernetes is installed, or its state is not here.
pub(super) fn save(survey: &Survey, contents: &Contents, record: &mut Record) -> Option<SavedState> {
    let history = &survey.history;
    let name = &contents.profile.name;
    let chain = history.behind(name, &contents.identity);
    // Versions that nobody can go back to any more need no state.
    let old = chain.iter().skip(survey.target.keep.saturating_sub(1)).filter_map(|entry| entry.receipt.saved.as_ref());
    record.discarded = old.map(|saved| saved.folder.clone()).collect();
    let save = survey.setup.save.as_ref().filter(|_| survey.target.root.is_host())?;
    let (pack, _) = super::cluster::distribution(contents);
    let version = contents.profile.packs.iter().find(|one| one.name == pack)?.version.as_ref();
    let current = history.of_profile(name).next()?;
    let installed = &current.receipt.kubernetes(pack)?.version;
    if installed.as_ref() == version || !survey.target.root.exists(&save.state) {
        return None;
    }
    let folder = unused(&survey.target.root, history.next_number());
    record.stop.extend(saving(save, &folder));
    record.restore = save.restore.iter().map(|step| step.with(SAVED, &folder)).collect();
    // What saving stops is started again where nothing else does it.
    if !services::restarts_cluster(&survey.plan) {
        record.again.extend(services::cluster_again(&survey.plan, Some(&current.receipt)));
    }
    Some(SavedState { folder, made: receipt::now(), restore: save.restore.clone() })
}

/// The folder of the copy that is made for the receipt with this number, within the root.
fn folder(number: u32) -> String {
    format!("{STATES}/{number:04}")
}

/// The folder of the copy that is made for the receipt with this number, where nothing is yet: a copy that is there may be the
/// only good one of a cluster.
pub(super) fn unused(root: &Root, number: u32) -> String {
    let first = folder(number);
    let is_there = |folder: &str| root.place(folder).is_ok_and(|place| place.is_there());
    if !is_there(&first) {
        return first;
    }
    let mut others = (2_u32..).map(|count| format!("{first}-{count}"));
    others.find(|folder| !is_there(folder)).unwrap_or(first)
}

/// What saves the state into `folder`, which is made, and can be done again. Where saving fails, what undoes its first step
/// removes the unfinished copy.
pub(super) fn saving(save: &Save, folder: &str) -> Vec<Step> {
    let command = ["mkdir", "-p", "-m", "0700", folder].map(str::to_owned).to_vec();
    let undo = Some(["/bin/sh", "-c", DISCARD, "discard", folder].map(str::to_owned).to_vec());
    let what = "make a folder for the cluster's state".to_owned();
    let make = Step::Run { what, command, unless: None, undo, seconds: SECONDS };
    let steps = save.save.iter().map(|step| step.with(SAVED, folder));
    [make].into_iter().chain(steps).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_that_is_there_stays() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::new(folder.path()).unwrap();
        let make = |path: &str| std::fs::create_dir_all(folder.path().join(path)).unwrap();
        assert_eq!(unused(&root, 7), "/var/lib/carrack/states/0007");
        make("var/lib/carrack/states/0007");
        assert_eq!(unused(&root, 7), "/var/lib/carrack/states/0007-2");
        make("var/lib/carrack/states/0007-2");
        assert_eq!(unused(&root, 7), "/var/lib/carrack/states/0007-3");
        assert_eq!(unused(&root, 8), "/var/lib/carrack/states/0008");
    }

    #[test]
    fn a_copy_that_is_discarded_leaves_the_others() {
        let states = tempfile::tempdir().unwrap().keep().join("states");
        let discard = |number: &str| {
            let arguments = ["-c", DISCARD, "discard"].map(std::ffi::OsStr::new);
            let ran = std::process::Command::new("/bin/sh").args(arguments).arg(states.join(number)).status();
            assert!(ran.unwrap().success());
        };
        for number in ["0007", "0008"] {
            std::fs::create_dir_all(states.join(number).join("db")).unwrap();
        }
        discard("0007");
        assert!(states.join("0008/db").is_dir() && !states.join("0007").exists());
        discard("0008");
        assert!(!states.exists());
        discard("0008");
    }

    #[test]
    fn saving_removes_nothing_and_can_be_taken_back() {
        let copy = Step::Copy { from: "/var/lib/etcd".to_owned(), to: format!("{SAVED}/etcd") };
        let save = Save { state: "/var/lib/etcd".to_owned(), save: vec![copy], restore: Vec::new() };
        let steps = saving(&save, "/states/0007");
        let Step::Run { command, undo: Some(undo), .. } = &steps[0] else { panic!("{steps:?}") };
        assert_eq!(command.join(" "), "mkdir -p -m 0700 /states/0007");
        assert_eq!(undo[..3], ["/bin/sh", "-c", DISCARD]);
        let copied = Step::Copy { from: "/var/lib/etcd".to_owned(), to: "/states/0007/etcd".to_owned() };
        assert_eq!(steps[1..], [copied]);
    }
}
