//! The files on the way back: which become what they were, which go, and which stay as somebody has made them.

use std::path::Path;

use super::{Finder, From, Goal, Restored, Revert};
use crate::apply::ApplyError;
use crate::apply::by_hand::{self, Aside, ByHand, Changed, Key, Verdict};
use crate::apply::dropped::{self, Dropped};
use crate::apply::files::Before;
use crate::apply::plan::HostPlan;
use crate::apply::receipt::ReceiptFile;
use crate::apply::transaction::{Kept, Originals};
use crate::distro::Step;
use crate::oci::Digest;

/// What is kept of an original.
enum Held {
    /// All of it.
    Whole,
    /// It differs in this: it has another name, or was copied to a file system that keeps less.
    Changed(Vec<String>),
    /// Nothing.
    Gone,
}

impl Finder<'_> {
    pub(super) fn files(&self, goal: Goal, revert: &mut Revert) -> Result<(), ApplyError> {
        let mut wanted = self.target.map(|entry| entry.receipt.as_installed()).unwrap_or_default();
        let (kept, name) = (Kept::of(self.root)?, &self.current.receipt.name);
        for (path, was) in &mut wanted {
            let target = self.resolve(path)?;
            if self.history.is_anothers(name, path) {
                continue;
            }
            let joined = if goal == Goal::Before { self.by_hand(path, was, &kept, revert)? } else { None };
            if target.is_folder() {
                revert.missing.push(format!("{path}: a folder stands there"));
                continue;
            }
            let found = Before::at(&target)?;
            if found.as_ref().is_some_and(|found| found.is(was)) {
                continue;
            }
            let same = found.as_ref().is_some_and(|found| found.digest == was.digest);
            let from = match joined {
                Some(bytes) => Some(From::Joined(bytes)),
                None if same => Some(From::File(target.clone())),
                None => self.kept_content(path, was, &kept)?,
            };
            let joined = matches!(from, None | Some(From::Joined(_)));
            if goal == Goal::Before && !joined && self.is_changed(path, found.as_ref()) {
                revert.overwritten.push(path.clone());
            }
            match from {
                Some(from) => revert.restored.push(Restored { path: path.clone(), target, was: was.clone(), from }),
                None => revert.missing.push(format!("{path}: its content is not on this host any more")),
            }
        }
        let plan = HostPlan::default();
        let Dropped { removals, stays, originals } = dropped::files(self.history, name, self.root, &plan)?;
        let gone = |path: &String| !wanted.iter().any(|(wanted, _)| wanted == path);
        revert.left_originals = originals.into_iter().filter(|(path, _)| gone(path)).collect();
        revert.removed = removals.into_iter().filter(|removal| gone(&removal.path)).collect();
        for removal in &mut revert.removed {
            // It goes with its folder, in which nothing can be put back.
            if goal == Goal::Nothing && self.goes_with_its_folder(&removal.path) {
                let original = removal.original.take();
                revert.left_originals.extend(original.map(|original| (removal.path.clone(), original)));
            }
            let Some(original) = &removal.original else { continue };
            match self.state_of_original(&removal.path, original, &kept)? {
                Held::Whole => {}
                Held::Changed(differ) => revert.changed.push((removal.path.clone(), differ)),
                Held::Gone => {
                    removal.original = None;
                    revert.lost.push(removal.path.clone());
                }
            }
        }
        revert.removed.retain(|removal| removal.original.is_some() || removal.target.is_there());
        revert.stays = stays.into_iter().filter(gone).collect();
        Ok(())
    }

    /// Where the content of a file as it `was` is: what is kept by digest, or the original, which the version that is gone back to had
    /// found to be right as it was.
    fn kept_content(&self, path: &str, was: &Before, kept: &Kept) -> Result<Option<From>, ApplyError> {
        let Some(digest) = was.digest else { return Ok(None) };
        let original = self.history.original(&self.current.receipt.name, path).flatten();
        let originals = Originals::of(self.root);
        if let Some(original) = original.filter(|original| original.digest == was.digest)
            && let Some(name) = &original.kept
            && let Some(found) = originals.look(name, path)?
        {
            if found.is(was) {
                return Ok(Some(From::Original(original)));
            }
            if found.digest == was.digest {
                return Ok(Some(From::File(originals.place(name, path)?)));
            }
        }
        Ok(if kept.holds(&digest) { Some(From::File(kept.place(&digest)?)) } else { None })
    }

    /// Whether the original of `path` can come back, and as what it was.
    fn state_of_original(&self, path: &str, original: &Before, kept: &Kept) -> Result<Held, ApplyError> {
        let Some(name) = &original.kept else {
            let gone = match (&original.digest, &original.link) {
                (Some(digest), _) => !kept.holds(digest),
                (None, Some(link)) => link.is_lossy(),
                (None, None) => true,
            };
            return Ok(if gone { Held::Gone } else { Held::Whole });
        };
        let found = Originals::of(self.root).look(name, path)?;
        let differ = found.map(|found| found.differences(original));
        Ok(differ.map_or(Held::Gone, |differ| if differ.is_empty() { Held::Whole } else { Held::Changed(differ) }))
    }

    /// Whether somebody has changed a file since it was installed.
    fn is_changed(&self, path: &str, found: Option<&Before>) -> bool {
        let installed = self.current.receipt.as_installed().into_iter().find(|(installed, _)| installed == path);
        installed.zip(found).is_some_and(|((_, was), found)| found.digest != was.digest)
    }

    /// Whether what takes the distribution away takes this path too.
    fn goes_with_its_folder(&self, path: &str) -> bool {
        let below = |step: &Step| matches!(step, Step::Remove { path: folder } if Path::new(path).starts_with(folder));
        let holds = |step: &Step| below(step) && self.kept(step).is_none();
        self.root.is_host() && self.unmade().any(holds)
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
}

/// On the way back it is no news that the file was another one.
fn undisputed(change: Changed) -> Changed {
    match change {
        Changed::Keys(keys) => Changed::Keys(keys.into_iter().map(|key| Key { disputed: false, ..key }).collect()),
        other => other,
    }
}
