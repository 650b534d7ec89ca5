//! The state of a cluster, saved before its Kubernetes is upgraded: an older one cannot read what a newer one has written.

use super::receipt::{self, SavedState};
use super::services;
use super::survey::Survey;
use super::transaction::Record;
use crate::bundle::Contents;
use crate::distro::{SAVED, Save, Step};
use crate::host::Root;

/// Where copies are, within the root, each under the number of the receipt that it was made for.
pub(super) const STATES: &str = "/var/lib/carrack/states";

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
    let make = Step::Folder { path: folder.to_owned() };
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
    fn saving_can_be_taken_back() {
        let copy =
            |from: &str, to: &str| Step::Copy { from: from.to_owned(), to: to.to_owned(), unless: None, over: false };
        let saved = copy("/var/lib/etcd", &format!("{SAVED}/etcd"));
        let save = Save { state: "/var/lib/etcd".to_owned(), save: vec![saved], restore: Vec::new() };
        let steps = saving(&save, "/var/lib/carrack/states/0007");
        assert_eq!(steps[0], Step::Folder { path: "/var/lib/carrack/states/0007".to_owned() });
        assert_eq!(steps[0].undone(), Some(Step::Remove { path: "/var/lib/carrack/states/0007".to_owned() }));
        assert_eq!(steps[1..], [copy("/var/lib/etcd", "/var/lib/carrack/states/0007/etcd")]);
    }
}
