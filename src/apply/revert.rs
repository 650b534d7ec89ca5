//! The way back: to the version before, to what was installed, or to what was there before anything was.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Cursor, Read};
use std::path::PathBuf;

use super::by_hand::{self, Aside, ByHand, Changed, Key, Verdict};
use super::containerd::{Client, NameChange};
use super::dropped;
use super::files::{Before, FileError};
use super::history::{Entry, History};
use super::plan::{HostPlan, Removal};
use super::receipt::{self, Receipt, ReceiptFile, ReceiptRuntime, SavedState};
use super::released;
use super::run::innermost_first;
use super::services;
use super::staging::{self, missing_folders};
use super::states;
use super::survey::RootLock;
use super::transaction::{self, Change, Invocation, Kept, Names, Record, Transaction, unit_is};
use super::{ApplyError, Interrupt};
use crate::distro::{SAVED, Step};
use crate::host::Root;
use crate::io::AtPath;
use crate::oci::Digest;

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
    /// What takes the distribution away besides, in words.
    pub steps: Vec<String>,
    /// From when the cluster's state is that is put back.
    pub state_of: Option<String>,
    /// The copy of the cluster's state that only a person can put back, since other servers have the state too.
    pub state_by_hand: Option<SavedState>,
    goal: Goal,
    /// Files whose original is not on this host any more.
    lost: Vec<String>,
    asides: Vec<Aside>,
    /// Files of the receipt that is gone back to, as they will be.
    joined: Vec<ReceiptFile>,
    root: Root,
    record: Record,
    lock: RootLock,
}

/// A file that is put back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// Its path within the root.
    pub path: String,
    /// Its path on the running host.
    target: PathBuf,
    /// As it shall be.
    was: Before,
    /// Its content.
    from: From,
}

/// Where the content of a file is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum From {
    /// In this file.
    File(PathBuf),
    /// Here: what was there before, with what a person has changed since.
    Joined(Vec<u8>),
}

/// Looks for the way to `goal`. Nothing is changed.
///
/// # Errors
/// [`ApplyError::NothingInstalled`], [`ApplyError::NothingBefore`], or what cannot be looked at.
pub async fn look(goal: Goal, root: &Root, command: Invocation, lock: RootLock) -> Result<Revert, ApplyError> {
    let history = History::of(root)?;
    let current = history.newest().ok_or_else(|| ApplyError::NothingInstalled(root.folder().to_owned()))?;
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
    async fn way(&mut self, goal: Goal, command: Invocation, lock: RootLock) -> Result<Revert, ApplyError> {
        let current = &self.current.receipt;
        let what = match self.target {
            Some(target) if goal == Goal::Before => {
                format!("roll {} back to {}", titled(current), target.receipt.version)
            }
            Some(_) => format!("repair {}", titled(current)),
            None => format!("uninstall {}", titled(current)),
        };
        let mut revert = Revert {
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
            goal,
            lost: Vec::new(),
            state_of: None,
            state_by_hand: None,
            root: self.root.clone(),
            lock,
        };
        self.files(goal, &mut revert)?;
        self.images(&mut revert).await?;
        self.units(goal, &mut revert);
        self.result(goal, &mut revert)?;
        revert.record.emptied = innermost_first(&current.folders);
        Ok(revert)
    }

    fn files(&self, goal: Goal, revert: &mut Revert) -> Result<(), ApplyError> {
        let mut wanted = self.target.map(|entry| entry.receipt.as_installed()).unwrap_or_default();
        let kept = Kept::of(self.root)?;
        for (path, was) in &mut wanted {
            let target = self.resolve(path)?;
            let joined = if goal == Goal::Before { self.by_hand(path, was, &kept, revert)? } else { None };
            if target.is_dir() {
                revert.missing.push(format!("{path}: a folder stands there"));
                continue;
            }
            let found = Before::at(&target)?;
            if found.as_ref().is_some_and(|found| found.is(was)) {
                continue;
            }
            let same = found.as_ref().is_some_and(|found| found.digest == was.digest);
            let from =
                if same { target.clone() } else { was.digest.map(|digest| kept.path(&digest)).unwrap_or_default() };
            let from = match joined {
                Some(bytes) => Some(From::Joined(bytes)),
                None => from.exists().then_some(From::File(from)),
            };
            match from {
                Some(from) => revert.restored.push(Restored { path: path.clone(), target, was: was.clone(), from }),
                None => revert.missing.push(format!("{path}: its content is not on this host any more")),
            }
        }
        let plan = HostPlan::default();
        let (removed, stays) = dropped::files(self.history, &self.current.receipt.name, self.root, &plan)?;
        let gone = |path: &String| !wanted.iter().any(|(wanted, _)| wanted == path);
        revert.removed = removed.into_iter().filter(|removal| gone(&removal.path)).collect();
        for removal in &mut revert.removed {
            let digest = removal.original.as_ref().and_then(|original| original.digest);
            if digest.is_some_and(|digest| !kept.path(&digest).exists()) {
                removal.original = None;
                revert.lost.push(removal.path.clone());
            }
        }
        revert.removed.retain(|removal| removal.original.is_some() || removal.target.symlink_metadata().is_ok());
        revert.stays = stays.into_iter().filter(gone).collect();
        Ok(())
    }

    /// What a person has changed in the configuration stays in it on the way back too. Returns the content of a file that is
    /// both, which `was` then says.
    fn by_hand(
        &self,
        path: &str,
        was: &mut Before,
        kept: &Kept,
        revert: &mut Revert,
    ) -> Result<Option<Vec<u8>>, ApplyError> {
        let installed = |receipt| by_hand::entry(receipt, path);
        let (Some(current), Some(earlier)) =
            (installed(&self.current.receipt), self.target.and_then(|entry| installed(&entry.receipt)))
        else {
            return Ok(None);
        };
        let target = self.resolve(path)?;
        let wanted = earlier.wanted.unwrap_or(earlier.digest);
        // What it was then, whoever had made it that.
        let then = current.changed_before.unwrap_or(earlier.digest);
        let content = by_hand::of_kept(kept, &then)?;
        let since = Before::at(&target)?.and_then(|found| found.digest) != Some(current.digest);
        let verdict = match &content {
            Some(content) if !since && current.wanted.unwrap_or(current.digest) != wanted => {
                if then == earlier.digest {
                    return Ok(None);
                }
                Verdict::Stays { bytes: content.clone(), change: Changed::Stays, private: earlier.private }
            }
            content => by_hand::verdict(&target, current, wanted, content.as_deref())?,
        };
        let (bytes, change, private) = match verdict {
            Verdict::Unchanged => return Ok(None),
            Verdict::Stays { bytes, change, private } => (bytes, undisputed(change), private),
            Verdict::Aside => {
                let aside = Aside::new(path, &target, self.history.next_number(), self.root)?;
                let change = Changed::Aside(aside.path.clone());
                revert.asides.push(aside);
                let Some(content) = content.filter(|_| then != earlier.digest) else {
                    revert.by_hand.push(ByHand { path: path.to_owned(), change });
                    return Ok(None);
                };
                (content, change, earlier.private)
            }
        };
        let (digest, size) = (Digest::of(&bytes), bytes.len() as u64);
        (was.digest, was.size) = (Some(digest), size);
        revert.by_hand.push(ByHand { path: path.to_owned(), change });
        let private = private || earlier.private;
        revert.joined.push(ReceiptFile { digest, size, wanted: Some(wanted), private, ..earlier.clone() });
        Ok(Some(bytes))
    }

    async fn images(&self, revert: &mut Revert) -> Result<(), ApplyError> {
        let ReceiptRuntime::Containerd { address, namespace, .. } = &self.current.receipt.runtime else {
            return Ok(());
        };
        // With the distribution goes the containerd that it has started, which need not run any more, and all that is in it.
        let goes = |step: &Step| matches!(step, Step::Remove { path } if address.starts_with(path));
        if self.target.is_none() && self.unmade().any(goes) {
            return Ok(());
        }
        let client = Client::connect(address, namespace).await?;
        let mut names =
            Names { address: address.clone(), namespace: namespace.clone(), changes: Vec::new(), released: Vec::new() };
        for image in self.target.iter().flat_map(|entry| &entry.receipt.images) {
            let digest = image.target.to_string();
            let (mut wrong, mut right) = (Vec::new(), None);
            for name in &image.names {
                let found = client.name_target(name).await?;
                let managed = client.named(name).await?.is_some_and(|named| named.managed);
                match found {
                    Some(found) if found.digest == digest => {
                        // A distribution that has imported it from its folder may not have labelled it so.
                        if !managed {
                            wrong.push((name, Some(found.clone())));
                        }
                        right = Some(found);
                    }
                    found => wrong.push((name, found)),
                }
            }
            if wrong.is_empty() {
                continue;
            }
            let Some(right) = client.whole(image, right).await? else {
                revert.missing.push(format!("{}: its content is not in containerd any more", image.reference));
                continue;
            };
            names.changes.extend(wrong.into_iter().map(|(name, before)| NameChange {
                name: name.clone(),
                target: Some(right.clone()),
                before,
            }));
        }
        let mut needed: BTreeSet<&String> = BTreeSet::new();
        needed.extend(self.target.iter().flat_map(|entry| entry.receipt.images.iter().flat_map(|image| &image.names)));
        let name = &self.current.receipt.name;
        let others = self.history.others(name);
        needed.extend(others.iter().flat_map(|entry| entry.receipt.images.iter().flat_map(|image| &image.names)));
        let chain = self.history.chain(name);
        let older = chain.iter().skip(1).filter(|_| self.target.is_none()).map(|entry| &entry.receipt);
        // What a second rollback leads to needs its names as well as its files.
        let beyond = chain.iter().skip(2).filter(|_| self.target.is_some());
        needed.extend(beyond.flat_map(|entry| entry.receipt.images.iter().flat_map(|image| &image.names)));
        let leaving: Vec<&Receipt> = [&self.current.receipt].into_iter().chain(older).collect();
        names.released = released::no_longer(&leaving, Some(&self.current.receipt), &needed, &client).await?;
        revert.names = names.changes.iter().chain(&names.released).map(|change| change.name.clone()).collect();
        revert.record.names = Some(names);
        Ok(())
    }

    /// What takes the distribution away, where no other profile has it.
    fn unmade(&self) -> impl Iterator<Item = &Step> {
        let others = self.history.others(&self.current.receipt.name);
        let theirs = move |step: &Step| others.iter().any(|entry| entry.receipt.remove.contains(step));
        self.current.receipt.remove.iter().filter(move |step| !theirs(step))
    }

    fn units(&self, goal: Goal, revert: &mut Revert) {
        let current = &self.current.receipt;
        let services = self.target.map(|entry| entry.receipt.services.clone()).unwrap_or_default();
        let record = &mut revert.record;
        let others = self.history.others(&current.name);
        let elsewhere: Vec<String> = others.iter().flat_map(|entry| entry.receipt.units()).collect();
        let stays = |unit: &String| services.iter().any(|other| other.unit == *unit) || elsewhere.contains(unit);
        for service in current.services.iter().filter(|one| !stays(&one.unit)) {
            let unit = service.unit.clone();
            // A unit of the host's own is what it was, with its own files.
            match (service.was_active, service.was_enabled) {
                (true, true) => record.start.push(Step::Start { unit, restart: true }),
                (true, false) => {
                    record.start.push(Step::Start { unit: unit.clone(), restart: true });
                    record.start.push(Step::Enabled { unit, enabled: false });
                }
                (false, true) => {
                    record.stop.push(Step::Stop { unit: unit.clone() });
                    record.start.push(Step::Enabled { unit, enabled: true });
                }
                (false, false) => {
                    revert.stopped.push(unit.clone());
                    record.stop.push(Step::Disable { unit });
                }
            }
        }
        let changed = !revert.restored.is_empty() || !revert.removed.is_empty() || !revert.names.is_empty();
        match goal {
            Goal::Nothing => {
                let gone: Vec<Step> = self.unmade().cloned().collect();
                // In a root that is not the host, nothing of it is done.
                revert.steps = gone.iter().filter(|_| self.root.is_host()).map(in_words).collect();
                record.stop.extend(gone);
            }
            Goal::Before => self.state(revert),
            Goal::Installed => {}
        }
        let record = &mut revert.record;
        let cluster = self.target.map(|entry| entry.receipt.start.clone()).unwrap_or_default();
        if self.root.is_host() && (changed || goal != Goal::Installed) {
            record.start.extend(services::unload(Some(current), &cluster));
        }
        let down = |step: &Step| matches!(step, Step::Start { unit, .. } if unit_is(unit) != (true, true));
        if changed || goal == Goal::Before {
            record.start.extend(services::restarting(&cluster));
        } else if self.root.is_host() && cluster.iter().any(down) {
            let started = cluster.iter().filter(|step| down(step)).filter_map(Step::unit);
            revert.started.extend(started.map(str::to_owned));
            record.start.extend(cluster);
        }
        for service in services {
            let (active, enabled) = if self.root.is_host() { unit_is(&service.unit) } else { (false, false) };
            if !current.services.iter().any(|known| known.unit == service.unit) && !elsewhere.contains(&service.unit) {
                record.undo.push(Step::Disable { unit: service.unit.clone() });
            }
            if changed || !active || !enabled {
                revert.started.push(service.unit.clone());
                record.start.push(Step::Start { unit: service.unit, restart: active });
            }
        }
        record.guarded = current.units().collect();
        record.again = services::restarting(&current.start);
        let again = |service: &receipt::ReceiptService| Step::Start { unit: service.unit.clone(), restart: true };
        record.again.extend(current.services.iter().map(again));
    }

    /// Puts the cluster's state back that was saved before the installed version came, and saves the one that is there, so that
    /// it can come back where this fails.
    fn state(&self, revert: &mut Revert) {
        let current = &self.current.receipt;
        let Some(saved) = &current.saved else { return };
        if saved.restore.is_empty() {
            revert.state_by_hand = Some(saved.clone());
            return;
        }
        if !self.root.resolve(&saved.folder).is_ok_and(|folder| folder.is_dir()) {
            let gone = format!("{}: the copy of the cluster's state is not on this host any more", saved.folder);
            revert.missing.push(gone);
            return;
        }
        if let Some(save) = &current.state {
            let folder = states::unused(self.root, self.history.next_number());
            revert.record.stop.extend(states::saving(save, &folder));
            revert.record.restore = save.restore.iter().map(|step| step.with(SAVED, &folder)).collect();
            revert.record.discarded.push(folder);
        }
        revert.record.start.extend(saved.restore.iter().map(|step| step.with(SAVED, &saved.folder)));
        revert.record.discarded.push(saved.folder.clone());
        revert.state_of = Some(saved.made.clone());
    }

    fn result(&self, goal: Goal, revert: &mut Revert) -> Result<(), ApplyError> {
        let name = &self.current.receipt.name;
        let kept = self.history.needed_by_others(name);
        let Some(target) = self.target else {
            let receipts = self.history.of_profile(name).map(|entry| entry.file.clone()).collect();
            let states = self.history.of_profile(name).filter_map(|entry| entry.receipt.saved.as_ref());
            revert.record.discarded = states.map(|saved| saved.folder.clone()).collect();
            revert.record.result = Some(transaction::Outcome::Removed { receipts, kept });
            return Ok(());
        };
        let mut receipt = target.receipt.clone();
        receipt.applied = receipt::now();
        for file in &mut receipt.files {
            if let Some(joined) = revert.joined.iter().find(|joined| joined.path == file.path) {
                file.clone_from(joined);
            }
        }
        let chain = self.history.chain(name);
        let after = chain.iter().skip(if goal == Goal::Before { 2 } else { 1 });
        let after = after.flat_map(|entry| entry.receipt.contents());
        let kept = kept.into_iter().chain(after).chain(receipt.changed_before()).collect();
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

    fn resolve(&self, path: &str) -> Result<PathBuf, ApplyError> {
        let place = |source| FileError::Place { pack: "(receipt)".to_owned(), source };
        Ok(self.root.resolve(path).map_err(place)?)
    }
}

/// On the way back it is no news that the file was another one.
fn undisputed(change: Changed) -> Changed {
    match change {
        Changed::Keys(keys) => Changed::Keys(keys.into_iter().map(|key| Key { disputed: false, ..key }).collect()),
        other => other,
    }
}

/// A step for people.
fn in_words(step: &Step) -> String {
    match step {
        Step::Start { unit, .. } => format!("start {unit}"),
        Step::Stop { unit } => format!("stop {unit}"),
        Step::Disable { unit } => format!("disable {unit}"),
        Step::Enabled { unit, enabled: true } => format!("enable {unit}"),
        Step::Enabled { unit, enabled: false } => format!("no longer start {unit} with the host"),
        Step::Run { what, command, .. } | Step::Load { what, command, .. } => {
            format!("run {}: {what}", command.first().map_or("", String::as_str))
        }
        Step::Wait { what, .. } => format!("wait until {what}"),
        Step::Copy { from, to } => format!("copy {from} to {to}"),
        Step::Remove { path } => format!("remove {path} with all that is in it"),
    }
}

impl Revert {
    /// Whether there is nothing to do. What is uninstalled has a receipt that goes, whatever has become of its files.
    pub fn is_empty(&self) -> bool {
        let Self { restored, removed, names, stopped, started, .. } = self;
        let some = !restored.is_empty() || !removed.is_empty() || !names.is_empty();
        self.goal != Goal::Nothing && !some && stopped.is_empty() && started.is_empty() && self.state_of.is_none()
    }

    /// What a person should know before and after.
    pub fn warnings(&self) -> Vec<String> {
        let lost = |path| format!("{path}: what was there before is not on this host any more, and is not put back");
        self.by_hand.iter().flat_map(ByHand::warnings).chain(self.lost.iter().map(lost)).collect()
    }

    /// Goes this way. Returns what a person should know.
    ///
    /// # Errors
    /// As [`super::apply`].
    pub async fn go(self, interrupt: &Interrupt) -> Result<Vec<String>, ApplyError> {
        let Self { restored, removed, asides, mut record, root, lock, .. } = self;
        let targets = restored.iter().map(|one| (&one.path, &one.target));
        let targets =
            targets.chain(removed.iter().filter(|one| one.original.is_some()).map(|one| (&one.path, &one.target)));
        let targets = targets.chain(asides.iter().map(|one| (&one.path, &one.target)));
        for (path, target) in targets {
            transaction::clean(target)?;
            record.files.push(Change::expected(path, target));
            record.made.extend(missing_folders(target, &root));
        }
        let mut transaction = Transaction::begin(&root, record)?;
        match stage(&restored, &removed, &asides, &root) {
            Ok(changes) => transaction.record.files = changes,
            Err(error) => return Err(transaction.given_up(error)),
        }
        let session = match &transaction.record.names {
            Some(names) if !names.changes.is_empty() || !names.released.is_empty() => match names.session().await {
                Ok(session) => Some(session),
                Err(error) => return Err(transaction.given_up(error.into())),
            },
            _ => None,
        };
        let done = transaction.carry_out(session.as_ref(), interrupt).await;
        let released = match session {
            Some(session) => session.end(done.is_err()).await,
            None => Ok(()),
        };
        let mut warnings = done?.warnings;
        warnings.extend(released.err().map(|error| format!("containerd keeps a lease for a day: {error}")));
        drop(lock);
        Ok(warnings)
    }
}

fn stage(restored: &[Restored], removed: &[Removal], asides: &[Aside], root: &Root) -> Result<Vec<Change>, ApplyError> {
    let mut changes = Vec::new();
    for Restored { path, target, was, from } in restored {
        let content: Box<dyn Read> = match from {
            From::File(from) => Box::new(File::open(from).at("read", from)?),
            From::Joined(bytes) => Box::new(Cursor::new(bytes)),
        };
        let staged = Some(staging::stage_again(target, was, Some(content))?);
        changes.push(Change { path: path.clone(), staged, before: Before::at(target)? });
    }
    let kept = Kept::of(root)?;
    for removal in removed {
        changes.push(staging::removal(removal, &kept)?);
    }
    for aside in asides {
        changes.push(aside.stage()?);
    }
    Ok(changes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_told_in_words() {
        let command = vec!["/usr/local/bin/reset".to_owned(), "--force".to_owned()];
        let run = Step::Run { what: "reset the node".to_owned(), command, unless: None, undo: None, seconds: 1 };
        assert_eq!(in_words(&run), "run /usr/local/bin/reset: reset the node");
        let remove = Step::Remove { path: "/var/lib/rancher".to_owned() };
        assert_eq!(in_words(&remove), "remove /var/lib/rancher with all that is in it");
        assert_eq!(in_words(&Step::Disable { unit: "k3s.service".to_owned() }), "disable k3s.service");
    }
}
