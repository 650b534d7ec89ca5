//! What has been installed on a host, one after another: which receipt counts, and the way back from it.

use super::ApplyError;
use super::conflicts;
use super::files::Before;
use super::receipt::{self, Receipt};
use crate::host::Root;
use crate::oci::Digest;

/// All receipts of a root, the newest first.
#[derive(Debug, Clone, Default)]
pub(super) struct History(Vec<Entry>);

/// A receipt and its place.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// Its number.
    pub(super) number: u32,
    /// Its file, a single path component.
    pub(super) file: String,
    /// What it says.
    pub(super) receipt: Receipt,
}

impl History {
    /// That of `root`.
    ///
    /// # Errors
    /// Where a receipt cannot be read.
    pub(super) fn of(root: &Root) -> Result<Self, ApplyError> {
        conflicts::own_has_no_links(root)?;
        let entry = |(number, file, receipt)| Entry { number, file, receipt };
        Ok(Self(receipt::entries(root)?.into_iter().map(entry).collect()))
    }

    /// The receipts themselves, the newest first.
    pub(super) fn receipts(&self) -> impl Iterator<Item = &Receipt> {
        self.0.iter().map(|entry| &entry.receipt)
    }

    /// What is installed of each profile, what was installed last first; of one of which nothing is, the images that were brought
    /// ahead.
    pub(super) fn installed(&self) -> Vec<&Entry> {
        let mut installed: Vec<&Entry> = Vec::new();
        for entry in &self.0 {
            let name = &entry.receipt.name;
            let counts = !entry.receipt.images_only || self.of_profile(name).next().is_none();
            if counts && !installed.iter().any(|other| other.receipt.name == *name) {
                installed.push(entry);
            }
        }
        installed
    }

    /// The images that were brought ahead of a version of the profile `name` since it was last installed.
    pub(super) fn staged(&self, name: &str) -> Option<&Entry> {
        let newest = self.0.iter().find(|entry| entry.receipt.name == name);
        newest.filter(|entry| entry.receipt.images_only)
    }

    /// All receipts of such images, the newest first: another version's take the place of those before.
    pub(super) fn all_staged<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Entry> {
        self.all_of(name).take_while(|entry| entry.receipt.images_only)
    }

    /// What is there of all profiles: what is installed, and after it the images that were brought ahead.
    pub(super) fn present(&self) -> Vec<&Entry> {
        let mut present = Vec::new();
        for entry in self.installed() {
            let staged = self.staged(&entry.receipt.name).filter(|staged| staged.number != entry.number);
            present.extend([Some(entry), staged].into_iter().flatten());
        }
        present
    }

    /// What is installed of `profile`, or of the only one there is.
    ///
    /// # Errors
    /// [`ApplyError::NothingInstalled`], [`ApplyError::NotInstalled`], [`ApplyError::SeveralInstalled`].
    pub(super) fn current(&self, profile: Option<&str>, root: &Root) -> Result<&Entry, ApplyError> {
        let installed = self.installed();
        let names = || installed.iter().map(|entry| entry.receipt.name.clone()).collect();
        match (profile, installed.as_slice()) {
            (_, []) => Err(ApplyError::NothingInstalled(root.folder().to_owned())),
            (None, [only]) => Ok(only),
            (None, _) => Err(ApplyError::SeveralInstalled(names())),
            (Some(profile), _) => {
                let named = installed.iter().find(|entry| entry.receipt.name == profile);
                let missing = || ApplyError::NotInstalled { profile: profile.to_owned(), installed: names() };
                named.copied().ok_or_else(missing)
            }
        }
    }

    /// Whether a sensitive value stands, or stood, in the file `path`.
    pub(super) fn has_secret(&self, path: &str) -> bool {
        self.0.iter().any(|entry| entry.receipt.has_secret(path))
    }

    /// Whether this is what some version installed at `path`.
    pub(super) fn was_installed(&self, path: &str, digest: &Digest) -> bool {
        let archives = || self.0.iter().filter_map(|entry| entry.receipt.archive());
        let files = self.0.iter().flat_map(|entry| &entry.receipt.files);
        files.into_iter().any(|file| file.path == path && file.digest == *digest)
            || archives().any(|archive| archive.path == path && archive.digest == *digest)
    }

    /// What is installed at `path`, by each profile that has a file or archive there.
    pub(super) fn installed_at(&self, path: &str) -> impl Iterator<Item = Digest> {
        let all = self.installed().into_iter().flat_map(|entry| entry.receipt.as_installed());
        all.filter(move |(installed, _)| installed == path).filter_map(|(_, was)| was.digest)
    }

    /// The number of the next receipt.
    pub(super) fn next_number(&self) -> u32 {
        self.0.first().map_or(0, |entry| entry.number).saturating_add(1)
    }

    /// All receipts with which the profile `name` was installed, the newest first.
    pub(super) fn of_profile<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Entry> {
        self.all_of(name).filter(|entry| !entry.receipt.images_only)
    }

    /// All receipts of the profile `name`, the newest first, those of images alone too.
    pub(super) fn all_of<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Entry> {
        self.0.iter().filter(move |entry| entry.receipt.name == name)
    }

    /// What is installed of the profile `name`, then what a rollback leads to, and so on.
    pub(super) fn chain<'a>(&'a self, name: &'a str) -> Vec<&'a Entry> {
        let mut chain: Vec<&Entry> = self.of_profile(name).take(1).collect();
        while let Some(next) = chain.last().and_then(|entry| self.before(entry)) {
            chain.push(next);
        }
        chain
    }

    /// The versions that stand behind the bundle `identity` of the profile `name` once it is installed, the nearest first. One that
    /// is installed again stands in its own place, not behind itself.
    pub(super) fn behind<'a>(&'a self, name: &'a str, identity: &Digest) -> Vec<&'a Entry> {
        let mut chain = self.chain(name);
        if chain.first().is_some_and(|current| current.receipt.bundle == *identity) {
            chain.remove(0);
        }
        chain
    }

    /// What was installed before `entry`. Receipts of the first installers do not say; there it is the one before.
    fn before<'a>(&'a self, entry: &'a Entry) -> Option<&'a Entry> {
        let mut earlier = self.of_profile(&entry.receipt.name).filter(|other| other.number < entry.number);
        match entry.receipt.before {
            Some(number) => earlier.find(|other| other.number == number),
            None if entry.receipt.receipt_version < 3 => earlier.next(),
            None => None,
        }
    }

    /// What is there of each other profile.
    pub(super) fn others(&self, name: &str) -> Vec<&Entry> {
        self.present().into_iter().filter(|entry| entry.receipt.name != name).collect()
    }

    /// The profile whose file is at `path`: of those that have one there, the one that has put it last.
    pub(super) fn owner(&self, path: &str) -> Option<&str> {
        let having = self.installed().into_iter().filter(|entry| entry.receipt.has_file(path));
        let names = having.map(|entry| entry.receipt.name.as_str());
        names.max_by_key(|name| self.put_last(name, path))
    }

    /// Whether another profile than `name` has put its file at `path` later.
    pub(super) fn is_anothers(&self, name: &str, path: &str) -> bool {
        let ours = self.put_last(name, path);
        let others = self.others(name).into_iter().filter(|entry| entry.receipt.has_file(path));
        others.into_iter().any(|other| self.put_last(&other.receipt.name, path) > ours)
    }

    /// The receipt with which the profile `name` has last put a file at `path`. Going back puts none there that another profile
    /// has taken.
    fn put_last(&self, name: &str, path: &str) -> Option<u32> {
        let put = |entry: &&Entry| entry.receipt.rolled_back_from.is_none() && entry.receipt.has_file(path);
        self.of_profile(name).find(put).map(|entry| entry.number)
    }

    /// Digests that receipts of other profiles need.
    pub(super) fn needed_by_others(&self, name: &str) -> Vec<Digest> {
        self.0.iter().filter(|entry| entry.receipt.name != name).flat_map(|entry| entry.receipt.contents()).collect()
    }

    /// What was at `path` before the profile `name` put a file there, or another one whose file it takes; nothing where none
    /// did.
    pub(super) fn original(&self, name: &str, path: &str) -> Option<Option<Before>> {
        let mut installed = self.of_profile(name).take(1).chain(self.others(name));
        installed.find_map(|entry| entry.receipt.original(path))
    }

    /// The version of the profile `name` whose receipt is lost: it was damaged, and a person has moved it away as the hint says. A later
    /// receipt stands for it.
    ///
    /// # Errors
    /// Where the folder of receipts cannot be read.
    pub(super) fn lost(&self, name: &str, root: &Root) -> Result<Option<String>, ApplyError> {
        let newest = self.of_profile(name).next().map_or(0, |entry| entry.number);
        let lost = receipt::lost(root)?.into_iter().filter(|lost| lost.name == name && lost.number > newest);
        Ok(lost.max_by_key(|lost| lost.number).map(|lost| lost.version))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apply::plan::HostPlan;
    use crate::apply::receipt::ReceiptService;
    use crate::apply::services;

    fn entry(number: u32, name: &str, units: &[&str]) -> Entry {
        let service = |unit: &&str| ReceiptService {
            unit: (*unit).to_owned(),
            pack: "tools".to_owned(),
            was_active: false,
            was_enabled: false,
        };
        let mut receipt = Receipt::empty(name, "1.0.0");
        receipt.services = units.iter().map(service).collect();
        Entry { number, file: String::new(), receipt }
    }

    #[test]
    fn images_that_were_brought_ahead_are_no_version() {
        let ahead = |number, name| {
            let mut entry = entry(number, name, &[]);
            entry.receipt.images_only = true;
            entry
        };
        let history = History(vec![
            ahead(6, "shop"),
            ahead(5, "new"),
            entry(4, "shop", &[]),
            ahead(3, "shop"),
            entry(2, "till", &[]),
            ahead(1, "till"),
        ]);
        let numbers = |entries: Vec<&Entry>| entries.iter().map(|entry| entry.number).collect::<Vec<_>>();
        let staged = |name| history.staged(name).map(|entry| entry.number);
        assert_eq!((staged("shop"), staged("new"), staged("till")), (Some(6), Some(5), None));
        assert_eq!(numbers(history.of_profile("shop").collect()), [4]);
        assert_eq!(numbers(history.installed()), [5, 4, 2]);
        assert_eq!(numbers(history.present()), [5, 4, 6, 2]);
        assert_eq!(numbers(history.others("till")), [5, 4, 6]);
        assert_eq!(history.next_number(), 7);
    }

    #[test]
    fn units_of_what_else_is_installed_are_not_dropped() {
        let history = History(vec![
            entry(4, "shop", &["both.service", "old.service", "shop.service"]),
            entry(3, "till", &["both.service"]),
            entry(2, "till", &["old.service"]),
            entry(1, "shop", &[]),
        ]);
        let numbers = |name| history.others(name).iter().map(|entry| entry.number).collect::<Vec<_>>();
        assert_eq!((numbers("shop"), numbers("till"), numbers("new")), (vec![3], vec![4], vec![4, 3]));
        let dropped = services::dropped(&history, "shop", &HostPlan::default());
        assert_eq!(dropped, ["old.service", "shop.service"]);
    }
}
