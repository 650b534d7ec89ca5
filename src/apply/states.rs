//! The state of a cluster, saved before its Kubernetes is upgraded: an older one cannot read what a newer one has written.

use super::receipt::{self, SavedState};
use super::survey::Survey;
use super::transaction::Record;
use crate::bundle::Contents;
use crate::distro::{SAVED, Save, Step};

/// Where copies are, within the root, each under the number of the receipt that it was made for.
const STATES: &str = "/var/lib/carrack/states";
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
    let installed = &current.receipt.packs.iter().find(|one| one.name == pack)?.version;
    if installed.as_ref() == version || !survey.target.root.resolve(&save.state).is_ok_and(|state| state.exists()) {
        return None;
    }
    let folder = folder(history.next_number());
    record.stop.extend(saving(save, &folder));
    record.restore = save.restore.iter().map(|step| step.with(SAVED, &folder)).collect();
    // What saving stops is started again where nothing else does it.
    record.again.extend(super::services::restarting(&current.receipt.start));
    Some(SavedState { folder, made: receipt::now(), restore: save.restore.clone() })
}

/// The folder of the copy that is made for the receipt with this number, within the root.
pub(super) fn folder(number: u32) -> String {
    format!("{STATES}/{number:04}")
}

/// What saves the state into `folder`, which is made anew.
pub(super) fn saving(save: &Save, folder: &str) -> Vec<Step> {
    let command = ["mkdir", "-p", "-m", "0700", folder].map(str::to_owned).to_vec();
    let what = "make a folder for the cluster's state".to_owned();
    let make = Step::Run { what, command, unless: None, undo: None, seconds: SECONDS };
    let steps = save.save.iter().map(|step| step.with(SAVED, folder));
    [Step::Remove { path: folder.to_owned() }, make].into_iter().chain(steps).collect()
}
