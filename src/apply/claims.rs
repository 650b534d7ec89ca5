//! What was at the places that a distribution fills before it was installed there: what may be removed later, and what stays.
//!
//! The journal has it before the first change, and the receipt after it; a later receipt takes it over from an earlier one. What
//! is in no record is somebody else's, however much it looks like a cluster's.

use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::FileType;
use serde::{Deserialize, Serialize};

use super::ApplyError;
use super::attempts;
use super::history::History;
use super::receipt::Receipt;
use super::transaction::{Change, Phase, Transaction};
use super::tree::{Folder, LOST_AND_FOUND};
use crate::distro::Setup;
use crate::host::{Root, RootError};
use crate::io::AtPath;
use crate::places::{check_clean, is_within};

/// More folders than that, though all empty, are somebody's.
const MAX_FOLDERS: usize = 1000;

/// Receipts record what was there from this version on.
pub(super) const RECORDING: u32 = 4;

/// What was at a path before anything was installed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Claim {
    /// The path, within the root.
    pub path: String,
    /// What was there.
    pub before: Prior,
    /// The same path without links, where it had some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub real: Option<String>,
    /// Empty folders that were in it, relative to it: they stay.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub folders: Vec<String>,
    /// File systems that were mounted in it, relative to it, with nothing in them; an empty text is the path itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<String>,
    /// Whether that was looked at in a system that did not run, and not since: a disk may have been mounted there by now.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub prepared: bool,
    /// Whether others use it besides a distribution, so that what was in it before is in nobody's way, and stays.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shared: bool,
}

/// What was at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Prior {
    /// Nothing.
    Absent,
    /// A folder without files.
    Empty,
    /// Something with content.
    Foreign,
    /// It was not recorded: an installer before 0.4.0 made the installation.
    Unknown,
}

/// Where a path leads.
#[derive(Debug)]
pub(super) struct Found {
    /// On this machine, without links.
    pub(super) at: PathBuf,
    /// Within the root, without links.
    pub(super) within: String,
}

impl Claim {
    /// One without more.
    pub(super) fn new(path: &str, before: Prior) -> Self {
        Self {
            path: path.to_owned(),
            before,
            real: None,
            folders: Vec::new(),
            mounts: Vec::new(),
            prepared: false,
            shared: false,
        }
    }

    /// Whether there was no file.
    fn is_vacant(&self) -> bool {
        matches!(self.before, Prior::Absent | Prior::Empty)
    }

    /// Why what is there is never removed; nothing where it may be.
    pub(super) fn keeps(&self) -> Option<String> {
        match self.before {
            Prior::Absent | Prior::Empty if self.prepared => {
                Some("it was looked at only before the prepared system had started".to_owned())
            }
            Prior::Absent | Prior::Empty => None,
            Prior::Foreign => Some("it was there, with content, before the installation".to_owned()),
            Prior::Unknown => {
                Some("an installer before 0.4.0 did not record whether it was there before the installation".to_owned())
            }
        }
    }

    /// The path without links as it was then.
    pub(super) fn real(&self) -> &str {
        self.real.as_deref().unwrap_or(&self.path)
    }

    /// Whether there is something at the path now.
    pub(super) fn has_content(&self, root: &Root) -> bool {
        let Some(found) = place(&self.path, root) else { return false };
        let Ok(folder) = Folder::open(&found.at) else { return found.at.symlink_metadata().is_ok() };
        let inner = |name: &std::ffi::OsStr| {
            !self.folders.iter().chain(&self.mounts).any(|one| Path::new(one).starts_with(name))
        };
        folder
            .entries()
            .is_ok_and(|entries| entries.iter().any(|entry| entry.name != LOST_AND_FOUND && inner(&entry.name)))
    }
}

/// A claim, and how it came to be.
#[derive(Debug, Clone)]
pub(super) struct Claimed {
    /// What was there.
    pub(super) claim: Claim,
    /// Whether no receipt had it, and none of the profile had anything of a distribution.
    pub(super) is_new: bool,
    /// Whether there is content that is in no receipt.
    pub(super) is_foreign: bool,
}

/// What was at each of the paths that `setup` names before anything was installed: as a receipt of the profile `name` or of another
/// one says, or an attempt that failed; of all others, what is there now.
///
/// # Errors
/// Where one cannot be looked at, or what an earlier attempt has left cannot be read.
pub(super) fn of(setup: &Setup, name: &str, history: &History, root: &Root) -> Result<Vec<Claimed>, ApplyError> {
    let installed: Vec<&Receipt> =
        history.of_profile(name).take(1).chain(history.others(name)).map(|entry| &entry.receipt).collect();
    let (begun, staged): (Vec<Claim>, Vec<String>) = match Transaction::left(root)? {
        Some(left) => {
            // In a prepared system that waits for its first start, files have their names.
            let named = left.phase() != Phase::Preparing;
            let ours = |change: &Change| if named { Some(change.path.clone()) } else { change.provisional_path() };
            let ours = left.record.files.iter().filter_map(ours).collect();
            (left.record.claims, ours)
        }
        None => (Vec::new(), Vec::new()),
    };
    let left = attempts::left(root)?;
    let ours = |path: &str| {
        let archive = |receipt: &Receipt| receipt.archive().is_some_and(|archive| archive.path == path);
        installed.iter().any(|receipt| receipt.has_file(path) || archive(receipt))
            || staged.iter().any(|staged| staged == path)
    };
    let mut current = history.of_profile(name).take(1).map(|entry| &entry.receipt);
    let is_new = !current.any(|receipt| !receipt.start.is_empty() || !receipt.remove.is_empty());
    let mut all = Vec::new();
    let own = setup.folders.iter().map(|path| (path, false));
    for (path, shared) in own.chain(setup.shared.iter().map(|path| (path, true))) {
        let is = |claim: &&Claim| claim.path == *path;
        let known = installed.iter().flat_map(|receipt| &receipt.claims).find(is).cloned();
        let attempted = || left.iter().find(is).cloned();
        if let Some(claim) = known.or_else(attempted).or_else(|| around(path, &installed)) {
            all.push(Claimed { claim, is_new: false, is_foreign: false });
            continue;
        }
        let (mut claim, all_ours) = look(path, root, &ours).at("look at", Path::new(path))?;
        let is_foreign = !all_ours && !shared;
        // What a killed run has put there by now is not what was there; anything else is somebody else's.
        if let Some(begun) = begun.iter().find(is).filter(|claim| claim.is_vacant() && all_ours) {
            claim.clone_from(begun);
        }
        (claim.prepared, claim.shared) = (!root.is_host(), shared);
        all.push(Claimed { claim, is_new, is_foreign });
    }
    Ok(all)
}

/// Looks again at what was recorded of a system that was prepared, now that it runs: where there is anything that is not `ours`, it
/// is somebody else's.
///
/// # Errors
/// Where something cannot be looked at.
pub(super) fn look_again(claims: &mut [Claim], root: &Root, ours: &dyn Fn(&str) -> bool) -> Result<(), ApplyError> {
    for claim in claims.iter_mut().filter(|claim| claim.prepared) {
        let (found, all_ours) = look(&claim.path, root, ours).at("look at", Path::new(&claim.path))?;
        claim.prepared = false;
        if !claim.is_vacant() {
            continue;
        }
        if found.is_vacant() || !all_ours {
            *claim = found;
        }
    }
    Ok(())
}

/// What a step is told of these claims: see [`FOREIGN`](crate::distro::FOREIGN).
pub(super) fn whose(claims: &[Claim]) -> &'static str {
    if claims.iter().any(|claim| !claim.shared && claim.keeps().is_some()) { "foreign" } else { "" }
}

/// Adds the claims of an earlier record that `claims` does not have.
pub(super) fn inherit(claims: &mut Vec<Claim>, earlier: Vec<Claim>) {
    for claim in earlier {
        if !claims.iter().any(|known| known.path == claim.path) {
            claims.push(claim);
        }
    }
}

/// The claims of an installation that was made when nobody wrote them down: of what was removed with it, only what lies in a
/// folder that it had made itself is known to be its own.
pub(super) fn before_records<'a>(
    removed: impl Iterator<Item = &'a str>,
    made: &[String],
) -> impl Iterator<Item = Claim> {
    removed.map(move |path| {
        let ours = made.iter().any(|folder| is_within(path, folder));
        Claim::new(path, if ours { Prior::Absent } else { Prior::Unknown })
    })
}

/// The claim of a folder in which a receipt of an earlier installer has what it claims: those had the folder's parts only.
fn around(path: &str, installed: &[&Receipt]) -> Option<Claim> {
    let mut earlier = installed.iter().filter(|receipt| receipt.receipt_version < RECORDING);
    let receipt = earlier.find(|receipt| receipt.claims.iter().any(|claim| is_within(&claim.path, path)))?;
    before_records([path].into_iter(), &receipt.folders).next()
}

/// Where a path of the root leads on this machine, links included, also the last one. Nothing where it is absent.
pub(super) fn place(path: &str, root: &Root) -> Option<Found> {
    let at = root.resolve(path).ok()?;
    let at = match at.symlink_metadata().ok()?.is_symlink() {
        // What is below it tells where a link leads within the root.
        true => match root.resolve(&format!("{path}/x")) {
            Ok(below) => below.parent()?.to_owned(),
            Err(RootError::NotAFolder { file, .. }) => file,
            Err(_) => return None,
        },
        false => at,
    };
    at.symlink_metadata().ok()?;
    Some(Found { within: within(&at, root)?, at })
}

fn within(at: &Path, root: &Root) -> Option<String> {
    Some(format!("/{}", at.strip_prefix(root.folder()).ok()?.to_str()?))
}

/// What is at a path now. `ours` says whether a path within the root is a file that Carrack has put there; the second is whether
/// all files there are.
///
/// # Errors
/// Where it cannot be looked at.
pub(super) fn look(path: &str, root: &Root, ours: &dyn Fn(&str) -> bool) -> io::Result<(Claim, bool)> {
    let mut claim = Claim::new(path, Prior::Absent);
    let invalid = |why: String| io::Error::new(io::ErrorKind::InvalidInput, why);
    check_clean(path).map_err(|why| invalid(format!("{path} {why}")))?;
    let Ok(at) = root.resolve(path) else {
        // A file stands on the way, so that nothing can be made there.
        claim.before = Prior::Foreign;
        return Ok((claim, false));
    };
    let real = |at: &Path| within(at, root).filter(|real| real != path);
    let at = match at.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            claim.real = real(&at);
            return Ok((claim, true));
        }
        Err(error) => return Err(error),
        Ok(found) if found.is_symlink() => match place(path, root) {
            Some(found) => found.at,
            None => {
                claim.before = Prior::Foreign;
                return Ok((claim, false));
            }
        },
        Ok(_) => at,
    };
    claim.real = real(&at);
    if !at.metadata()?.is_dir() {
        claim.before = Prior::Foreign;
        return Ok((claim, ours(path)));
    }
    let parent = Folder::open(at.parent().unwrap_or(Path::new("/")))?;
    let top = Folder::open(&at)?;
    if !top.is_mounted_with(&parent) {
        claim.mounts.push(String::new());
    }
    let mut looked = Looked { claim: &mut claim, content: false, foreign: false, ours };
    looked.all(&top, "")?;
    let Looked { content, foreign, .. } = looked;
    claim.before = if content { Prior::Foreign } else { Prior::Empty };
    if content {
        (claim.folders, claim.mounts) = (Vec::new(), Vec::new());
    }
    Ok((claim, !foreign))
}

struct Looked<'a> {
    claim: &'a mut Claim,
    content: bool,
    foreign: bool,
    ours: &'a dyn Fn(&str) -> bool,
}

impl Looked<'_> {
    fn all(&mut self, folder: &Folder, path: &str) -> io::Result<()> {
        for entry in folder.entries()? {
            if self.foreign {
                return Ok(());
            }
            let Some(name) = entry.name.to_str() else {
                (self.content, self.foreign) = (true, true);
                return Ok(());
            };
            let below = if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") };
            if entry.kind() != FileType::Directory {
                self.content = true;
                self.foreign = !(self.ours)(&format!("{}/{below}", self.claim.path));
                continue;
            }
            if name == LOST_AND_FOUND && self.claim.mounts.iter().any(|mount| mount == path) {
                continue;
            }
            if self.claim.folders.len() + self.claim.mounts.len() >= MAX_FOLDERS {
                (self.content, self.foreign) = (true, true);
                return Ok(());
            }
            let inner = folder.open_in(&entry.name)?;
            let list = if inner.is_mounted_with(folder) { &mut self.claim.folders } else { &mut self.claim.mounts };
            list.push(below.clone());
            self.all(&inner, &below)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::attempts::{leave, taken_over};
    use super::*;

    use crate::apply::Invocation;
    use crate::apply::transaction::Record;
    use crate::distro::Step;

    /// A distribution that fills these folders.
    fn own(folders: &[String]) -> Setup {
        Setup { folders: folders.to_vec(), ..Setup::default() }
    }

    #[test]
    fn what_was_recorded_of_a_prepared_system_counts_only_once_it_is_looked_at_again() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::new(folder.path()).unwrap();
        let at = |path: &str| folder.path().join(path.trim_start_matches('/'));
        let paths = ["/var/lib/absent", "/var/lib/empty", "/var/lib/own", "/var/lib/filled", "/var/lib/foreign"];
        for path in [paths[1], paths[4]] {
            fs::create_dir_all(at(path)).unwrap();
        }
        fs::write(at("/var/lib/foreign/precious"), "ten years").unwrap();
        let folders = paths.map(str::to_owned);
        let mut claims: Vec<Claim> =
            of(&own(&folders), "edge", &History::default(), &root).unwrap().into_iter().map(|one| one.claim).collect();
        assert!(claims.iter().all(|claim| claim.prepared && claim.keeps().is_some()), "{claims:?}");
        // Preparing puts files there, and at the first start a disk is mounted that has data.
        for path in ["/var/lib/own", "/var/lib/filled"] {
            fs::create_dir_all(at(path).join("images")).unwrap();
            fs::write(at(path).join("images/edge.tar.zst"), "ours").unwrap();
        }
        fs::write(at("/var/lib/filled/precious"), "ten years").unwrap();
        look_again(&mut claims, &root, &|path| path.ends_with("/images/edge.tar.zst")).unwrap();
        let before: Vec<Prior> = claims.iter().map(|claim| claim.before).collect();
        assert_eq!(before, [Prior::Absent, Prior::Empty, Prior::Absent, Prior::Foreign, Prior::Foreign]);
        let kept: Vec<bool> = claims.iter().map(|claim| claim.keeps().is_some()).collect();
        assert_eq!(kept, [false, false, false, true, true]);
        // Once is enough: what it has made itself since is not somebody else's.
        let looked = claims.clone();
        fs::create_dir_all(at("/var/lib/absent")).unwrap();
        fs::write(at("/var/lib/absent/state"), "made").unwrap();
        look_again(&mut claims, &root, &|_| false).unwrap();
        assert_eq!(claims, looked);
    }

    /// What 0.3 has written, as it is read now.
    fn installed(remove: Vec<Step>, folders: &[&str], root: &Root) -> History {
        let mut receipt = Receipt::empty("edge", "1.0.0");
        receipt.receipt_version = 3;
        receipt.remove = remove;
        receipt.folders = folders.iter().map(|path| (*path).to_owned()).collect();
        crate::apply::receipt::write_as(root, "0001-edge-1.0.0.json", &receipt).unwrap();
        History::of(root).unwrap()
    }

    #[test]
    fn a_snap_that_an_earlier_installer_has_made_is_neither_foreign_nor_new() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::new(folder.path()).unwrap();
        let command = ["/bin/sh", "-c", "snap remove k8s --purge", "leave", "/var/lib/carrack/canonical"];
        let what = "remove the snap and its data".to_owned();
        let command = command.map(str::to_owned).to_vec();
        let history = installed(vec![Step::Run { what, command, unless: None, undo: None, seconds: 1 }], &[], &root);
        let folders = ["/var/snap/k8s", "/etc/kubernetes", "/var/lib/kubelet", "/var/lib/new"].map(str::to_owned);
        for path in &folders {
            fs::create_dir_all(folder.path().join(&path[1..])).unwrap();
            fs::write(folder.path().join(&path[1..]).join("state"), "made").unwrap();
        }
        let claims = of(&own(&folders), "edge", &history, &root).unwrap();
        for one in &claims[..3] {
            assert_eq!((one.claim.before, one.is_new, one.is_foreign), (Prior::Unknown, false, false), "{one:?}");
        }
        // That one is foreign, and not a reason to take the distribution away.
        assert_eq!((claims[3].is_new, claims[3].is_foreign), (false, true));
        assert!(of(&own(&folders[3..]), "other", &history, &root).unwrap()[0].is_new, "another profile has none of it");
    }

    #[test]
    fn the_folder_around_what_an_earlier_installer_has_made_is_known() {
        for (made, before) in [(&["/data/edge"][..], Prior::Absent), (&[][..], Prior::Unknown)] {
            let folder = tempfile::tempdir().unwrap();
            let root = Root::new(folder.path()).unwrap();
            let history = installed(vec![Step::Remove { path: "/data/edge/etcd".to_owned() }], made, &root);
            for path in ["data/edge/etcd", "data/edgeless"] {
                fs::create_dir_all(folder.path().join(path)).unwrap();
                fs::write(folder.path().join(path).join("state"), "made").unwrap();
            }
            let folders = ["/data/edge", "/data/edgeless"].map(str::to_owned).to_vec();
            let shared = vec!["/data/edgeless".to_owned(), "/data/none".to_owned()];
            let setup = Setup { folders, shared, ..Setup::default() };
            let claims = of(&setup, "edge", &history, &root).unwrap();
            assert_eq!((claims[0].claim.before, claims[0].is_foreign), (before, false));
            assert!(claims[1].is_foreign);
            // What others use too is in nobody's way, and stays; where it is absent, it goes with the distribution.
            assert!(!claims[2].is_foreign && claims[2].claim.shared && claims[2].claim.before == Prior::Foreign);
            assert_eq!(whose(&[claims[2].claim.clone()]), "");
            assert_eq!(claims[3].claim.before, Prior::Absent);
        }
    }

    #[test]
    fn what_came_into_a_folder_since_a_run_was_killed_is_foreign_unless_that_run_had_staged_it() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::new(folder.path()).unwrap();
        let paths = ["/var/lib/edge", "/var/lib/kubelet"].map(str::to_owned);
        let mut record = Record::new("apply edge 1.0.0".to_owned(), Invocation::default());
        record.claims = paths.iter().map(|path| Claim::new(path, Prior::Absent)).collect();
        let target = root.place("/var/lib/edge/images/all.tar").unwrap();
        record.files = vec![Change::expected("/var/lib/edge/images/all.tar", &target).unwrap()];
        let staged = record.files[0].provisional_path().unwrap();
        drop(Transaction::begin(&root, record).unwrap());
        fs::create_dir_all(folder.path().join("var/lib/edge/images")).unwrap();
        fs::write(folder.path().join(&staged[1..]), "half").unwrap();
        let all = || of(&own(&paths), "edge", &History::default(), &root).unwrap();
        assert!(all().iter().all(|one| one.claim.before == Prior::Absent && !one.is_foreign), "{:?}", all());
        // Both are filled by others before anybody tries again.
        for path in ["var/lib/edge/images/all.tar", "var/lib/kubelet/precious"] {
            fs::create_dir_all(folder.path().join("var/lib/kubelet")).unwrap();
            fs::write(folder.path().join(path), "ten years").unwrap();
        }
        assert!(all().iter().all(|one| one.claim.before == Prior::Foreign && one.is_foreign), "{:?}", all());
    }

    #[test]
    fn what_a_failed_attempt_to_join_has_left_is_the_next_ones() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::new(folder.path()).unwrap();
        let data = folder.path().join("var/lib/rancher/k3s");
        let folders = ["/var/lib/rancher/k3s".to_owned(), "/var/lib/kubelet".to_owned()];
        let all = || of(&own(&folders), "edge", &History::default(), &root);
        let first: Vec<Claim> = all().unwrap().into_iter().map(|one| Claim { prepared: false, ..one.claim }).collect();
        // k3s has made its certificates, and could not join.
        fs::create_dir_all(data.join("agent")).unwrap();
        fs::write(data.join("agent/client.crt"), "made").unwrap();
        assert!(all().unwrap()[0].is_foreign, "nothing says whose it is");
        leave(first[..1].to_vec(), &root).unwrap();
        let again = all().unwrap();
        assert_eq!((&again[0].claim, again[0].is_foreign, again[0].is_new), (&first[0], false, false));
        assert_eq!(again[0].claim.keeps(), None, "the receipt of the retry says that it is Carrack's");
        assert!(again[1].is_new, "nothing was left there");
        // Another attempt leaves something else, and another profile is installed: this stays.
        fs::create_dir_all(folder.path().join("var/lib/kubelet/pods")).unwrap();
        leave(vec![first[1].clone()], &root).unwrap();
        taken_over(&[Claim::new("/var/lib/other", Prior::Absent)], &root).unwrap();
        assert!(all().unwrap().iter().all(|one| !one.is_new && !one.is_foreign));
        // What a person has removed is nobody's any more, also where it is there again.
        fs::remove_dir_all(folder.path().join("var/lib/kubelet")).unwrap();
        leave(Vec::new(), &root).unwrap();
        fs::create_dir_all(folder.path().join("var/lib/kubelet/pods")).unwrap();
        assert!(all().unwrap()[1].is_new);
        // The retry is done: its receipt has it now.
        taken_over(&first[..1], &root).unwrap();
        taken_over(&[], &root).unwrap();
        assert!(!folder.path().join("var/lib/carrack/left.json").exists());
        assert!(all().unwrap()[0].is_foreign);
        // What is not what Carrack writes is refused.
        for text in [r#"[{"path":"/a/../b","before":"absent"}]"#, r#"[{"path":"/a/b","before":"ours"}]"#, "{"] {
            fs::write(folder.path().join("var/lib/carrack/left.json"), text).unwrap();
            assert!(all().is_err(), "{text}");
        }
    }
}
