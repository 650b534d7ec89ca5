//! The way back: to the version before, to what was installed, or to what was there before anything was.

mod files;
mod go;
mod images;
mod units;

use super::ApplyError;
use super::by_hand::{Aside, ByHand};
use super::claims;
use super::files::{Before, FileError};
use super::history::{Entry, History};
use super::lock::RootLock;
use super::plan::Removal;
use super::receipt::{self, Receipt, ReceiptFile, SavedState};
use super::run::innermost_first;
use super::transaction::{self, Invocation, Record};
use crate::host::Root;
use crate::io::Place;

/// Where to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// The version that was installed before.
    Before,
    /// What was installed last, as it was installed.
    Installed,
    /// Nothing of Carrack.
    Nothing,
}

/// A way back, and what it would change.
#[derive(Debug)]
pub struct Revert {
    /// What it does, for people: `roll shop 1.1.0 back to 1.0.0`.
    pub what: String,
    /// Files that are put back.
    pub restored: Vec<Restored>,
    /// Files that are taken away.
    pub removed: Vec<Removal>,
    /// Files that stay, since somebody has changed them.
    pub stays: Vec<String>,
    /// Configuration that was changed by hand, and what becomes of it.
    pub by_hand: Vec<ByHand>,
    /// What cannot be put back from what is on this host, and why.
    pub missing: Vec<String>,
    /// Names of images that change.
    pub names: Vec<String>,
    /// Units that stop.
    pub stopped: Vec<String>,
    /// Units that are started.
    pub started: Vec<String>,
    /// Folders of the distribution that are not Carrack's to remove, each with why.
    pub kept: Vec<String>,
    /// What takes the distribution away besides, in words.
    pub steps: Vec<String>,
    /// From when the cluster's state is that is put back.
    pub state_of: Option<String>,
    /// The copy of the cluster's state that only a person can put back, since other servers have the state too.
    pub state_by_hand: Option<SavedState>,
    goal: Goal,
    /// Files that are replaced although somebody has changed them.
    overwritten: Vec<String>,
    /// Why images were not looked at.
    unreached: Option<String>,
    /// Files whose original is not on this host any more.
    lost: Vec<String>,
    /// Files whose original is not what it was when it was moved away, and in what.
    changed: Vec<(String, Vec<String>)>,
    /// What was there before files that stay, by path; it stays where it is kept.
    left_originals: Vec<(String, Before)>,
    asides: Vec<Aside>,
    /// Files of the receipt that is gone back to, as they will be.
    joined: Vec<ReceiptFile>,
    root: Root,
    record: Record,
    lock: Option<RootLock>,
}

/// A file that is put back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// Its path within the root.
    pub path: String,
    /// Where that is on the running host.
    target: Place,
    /// As it shall be.
    was: Before,
    /// Its content.
    from: From,
}

/// Where the content of a file is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum From {
    /// In this file.
    File(Place),
    /// In the folder of originals: the file itself comes back.
    Original(Before),
    /// Here: what was there before, with what a person has changed since.
    Joined(Vec<u8>),
}

/// Looks for the way of `profile`, or of the only one that is installed, to `goal`. Nothing is changed. `lock` is that of `root`;
/// none where nothing is going to change.
///
/// # Errors
/// [`ApplyError::NothingInstalled`], [`ApplyError::NotInstalled`], [`ApplyError::SeveralInstalled`],
/// [`ApplyError::NothingBefore`], or what cannot be looked at.
pub async fn look(
    goal: Goal,
    profile: Option<&str>,
    root: &Root,
    command: Invocation,
    lock: Option<RootLock>,
) -> Result<Revert, ApplyError> {
    let history = History::of(root)?;
    let current = history.current(profile, root)?;
    if let Some(staged) = history.staged(&current.receipt.name).filter(|_| goal == Goal::Before) {
        // Nothing of it is in force, so nothing but its images goes.
        let mut finder = Finder { root, history: &history, current: staged, target: None };
        return finder.images_back(command, lock).await;
    }
    let chain = history.chain(&current.receipt.name);
    let target = match goal {
        Goal::Installed => Some(current),
        Goal::Nothing => None,
        Goal::Before => Some(*chain.get(1).ok_or_else(|| ApplyError::NothingBefore(titled(&current.receipt)))?),
    };
    let mut finder = Finder { root, history: &history, current, target };
    finder.way(goal, command, lock).await
}

fn titled(receipt: &Receipt) -> String {
    format!("{} {}", receipt.name, receipt.version)
}

struct Finder<'a> {
    root: &'a Root,
    history: &'a History,
    current: &'a Entry,
    target: Option<&'a Entry>,
}

impl Finder<'_> {
    async fn way(&mut self, goal: Goal, command: Invocation, lock: Option<RootLock>) -> Result<Revert, ApplyError> {
        let current = &self.current.receipt;
        let what = match self.target {
            Some(target) if goal == Goal::Before => {
                format!("roll {} back to {}", titled(current), target.receipt.version)
            }
            Some(_) => format!("repair {}", titled(current)),
            None => format!("uninstall {}", titled(current)),
        };
        let mut revert = self.way_of(what, goal, command, lock);
        self.files(goal, &mut revert)?;
        self.images(&mut revert).await?;
        self.units(goal, &mut revert);
        self.result(goal, &mut revert)?;
        revert.record.emptied = innermost_first(&current.folders);
        Ok(revert)
    }

    /// The way back from images that were brought ahead: the names that nothing else needs go, and with them their content.
    async fn images_back(&mut self, command: Invocation, lock: Option<RootLock>) -> Result<Revert, ApplyError> {
        let current = &self.current.receipt;
        let what = format!("remove the images of {}, which is not installed", titled(current));
        let mut revert = self.way_of(what, Goal::Before, command, lock);
        self.images(&mut revert).await?;
        let receipts = self.history.all_staged(&current.name).map(|entry| entry.file.clone()).collect();
        let kept = self.history.receipts().flat_map(Receipt::contents).collect();
        revert.record.result = Some(transaction::Outcome::Removed { receipts, kept });
        if self.history.of_profile(&current.name).next().is_none() {
            revert.record.emptied = innermost_first(&current.folders);
        }
        Ok(revert)
    }

    /// One on which nothing was found yet.
    fn way_of(&self, what: String, goal: Goal, command: Invocation, lock: Option<RootLock>) -> Revert {
        Revert {
            record: Record::new(what.clone(), command),
            what,
            restored: Vec::new(),
            removed: Vec::new(),
            stays: Vec::new(),
            by_hand: Vec::new(),
            missing: Vec::new(),
            asides: Vec::new(),
            joined: Vec::new(),
            names: Vec::new(),
            stopped: Vec::new(),
            started: Vec::new(),
            steps: Vec::new(),
            kept: Vec::new(),
            goal,
            overwritten: Vec::new(),
            unreached: None,
            lost: Vec::new(),
            changed: Vec::new(),
            left_originals: Vec::new(),
            state_of: None,
            state_by_hand: None,
            root: self.root.clone(),
            lock,
        }
    }

    fn result(&self, goal: Goal, revert: &mut Revert) -> Result<(), ApplyError> {
        let name = &self.current.receipt.name;
        let mut kept = self.history.needed_by_others(name);
        kept.extend(revert.left_originals.iter().filter_map(|(_, original)| original.digest));
        let Some(target) = self.target else {
            let lost = receipt::lost(self.root)?.into_iter().filter(|lost| lost.name == *name).map(|lost| lost.file);
            let receipts = self.history.all_of(name).map(|entry| entry.file.clone()).chain(lost).collect();
            let states = self.history.of_profile(name).filter_map(|entry| entry.receipt.saved.as_ref());
            revert.record.discarded = states.map(|saved| saved.folder.clone()).collect();
            revert.record.result = Some(transaction::Outcome::Removed { receipts, kept });
            return Ok(());
        };
        let mut receipt = target.receipt.clone();
        receipt.applied = receipt::now();
        claims::inherit(&mut receipt.claims, self.current.receipt.claims.clone());
        for file in &mut receipt.files {
            if let Some(joined) = revert.joined.iter().find(|joined| joined.path == file.path) {
                file.clone_from(joined);
            }
        }
        let chain = self.history.chain(name);
        let after = chain.iter().skip(if goal == Goal::Before { 2 } else { 1 });
        let after = after.flat_map(|entry| entry.receipt.contents());
        // What another profile has put in their place is there now; they come back when that one goes.
        let covered = receipt.files.iter().filter(|file| self.history.is_anothers(name, &file.path));
        let covered = covered.map(|file| file.digest);
        let kept = kept.into_iter().chain(after).chain(covered).chain(receipt.changed_before()).collect();
        let file = match goal {
            // A repair leaves the receipt that it makes true again.
            Goal::Installed => target.file.clone(),
            _ => {
                receipt.receipt_version = receipt::RECEIPT_VERSION;
                receipt.rolled_back_from = Some(self.current.number);
                receipt::file_name(self.history.next_number(), &receipt)?
            }
        };
        if goal == Goal::Installed {
            receipt.applied.clone_from(&target.receipt.applied);
        }
        revert.record.result = Some(transaction::Outcome::Installed { file, receipt: Box::new(receipt), kept });
        Ok(())
    }

    fn resolve(&self, path: &str) -> Result<Place, ApplyError> {
        let place = |source| FileError::Place { pack: "(receipt)".to_owned(), source };
        Ok(self.root.place(path).map_err(place)?)
    }
}
