//! The files that were there before Carrack's, each as it was: moved here, and moved back.
//!
//! Below `/var/lib/carrack/originals` is a folder for each receipt that replaced files of others, and in that a file at the path that it had. A
//! person who has lost every receipt finds it there. What is here is removed by nothing but its way back.

use std::io::{self, ErrorKind};

use super::journal::Staged;
use crate::apply::ApplyError;
use crate::apply::files::{Before, FileError};
use crate::apply::staging::staged_at;
use crate::host::{Root, RootError};
use crate::io::{AtPath, AtomicFile, Place, copy_whole};
use crate::places::OWN;

/// Where they are, below Carrack's own folder.
const ORIGINALS: &str = "originals";
/// Nobody but the owner: a file that was private is so here.
const FOLDER_MODE: u32 = 0o700;

/// The folder of originals.
#[derive(Debug, Clone)]
pub(in crate::apply) struct Originals(Root);

impl Originals {
    /// That of `root`.
    pub(in crate::apply) fn of(root: &Root) -> Self {
        Self(root.clone())
    }

    /// The name of a folder that is not there yet, for what the receipt with this number replaces.
    ///
    /// # Errors
    /// Where the folder of originals cannot be looked at.
    pub(in crate::apply) fn unused(&self, number: u32) -> Result<String, ApplyError> {
        let first = format!("{number:04}");
        let mut names = std::iter::once(first.clone()).chain((2_u32..).map(|count| format!("{first}-{count}")));
        loop {
            let name = names.next().unwrap_or_else(|| first.clone());
            if !self.resolve(&name, "")?.is_there() {
                return Ok(name);
            }
        }
    }

    /// Where the original of `path` is, or would be, in the folder `name`.
    ///
    /// # Errors
    /// Where the name is not one of a folder of originals, or the path means nothing in the root.
    pub(in crate::apply) fn place(&self, name: &str, path: &str) -> Result<Place, ApplyError> {
        self.resolve(name, path)
    }

    /// The same within the root, for people.
    pub(in crate::apply) fn shown(name: &str, path: &str) -> String {
        format!("{OWN}/{ORIGINALS}/{name}{path}")
    }

    /// What is kept of the original of `path` in the folder `name`; nothing where it is not there.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub(in crate::apply) fn look(&self, name: &str, path: &str) -> Result<Option<Before>, ApplyError> {
        let found = Before::at(&self.resolve(name, path)?)?;
        Ok(found.map(|found| Before { kept: Some(name.to_owned()), ..found }))
    }

    /// The folders that have an original of `path`, in order.
    ///
    /// # Errors
    /// Where the folder of originals cannot be read.
    pub(in crate::apply) fn having(&self, path: &str) -> Result<Vec<String>, ApplyError> {
        let mut having = Vec::new();
        for name in self.all()?.names()? {
            let Ok(name) = name.into_string() else { continue };
            if is_name(&name) && self.resolve(&name, path)?.is_there() {
                having.push(name);
            }
        }
        having.sort_unstable();
        Ok(having)
    }

    /// Moves what is at `from`, the original of `path`, into the folder `name`. Nothing where that was done before.
    ///
    /// # Errors
    /// Where it cannot be moved, or something else is there already.
    pub(in crate::apply) fn take(&self, from: &Place, name: &str, path: &str) -> Result<(), ApplyError> {
        if !from.is_there() {
            return Ok(());
        }
        let to = self.resolve(name, path)?;
        if let (Some(one), Some(two)) = (from.stat()?, to.stat()?) {
            if (one.st_ino, one.st_dev) == (two.st_ino, two.st_dev) {
                return Ok(from.remove()?);
            }
            return Err(io::Error::from(ErrorKind::AlreadyExists)).at("keep the original as", to.shown())?;
        }
        to.make_folders()?;
        self.all()?.set_folder_mode(FOLDER_MODE)?;
        match from.rename(&to) {
            Err(error) if error.kind() == ErrorKind::CrossesDevices => self.take_copy(from, &to, name),
            moved => {
                moved.at("keep the original as", to.shown())?;
                Ok(to.sync_folder()?)
            }
        }
    }

    /// The same where it is on another file system. It goes only when the copy has its content; the plan has named attributes and other
    /// names, which such a copy may not have.
    fn take_copy(&self, from: &Place, to: &Place, name: &str) -> Result<(), ApplyError> {
        let partial = self.resolve(&format!("{name}-partial"), "")?;
        partial.remove()?;
        copy_whole(from, &partial)?;
        let (one, two) = (Before::at(from)?, Before::at(&partial)?);
        let content = |of: &Option<Before>| of.as_ref().map(|of| (of.digest, of.link.clone()));
        if content(&one) != content(&two) {
            return Err(io::Error::from(ErrorKind::InvalidData)).at("copy the original to", partial.shown())?;
        }
        partial.rename(to).at("rename to", to.shown())?;
        to.sync_folder()?;
        Ok(from.remove()?)
    }

    /// Gives the original of `path` in the folder `name` a second name beside `target`, where it waits for that one. On another file
    /// system it is a copy.
    ///
    /// # Errors
    /// Where it is not there, or cannot be linked or copied.
    pub(in crate::apply) fn stage(&self, name: &str, path: &str, target: &Place) -> Result<Staged, ApplyError> {
        let (from, to) = (self.resolve(name, path)?, AtomicFile::provisional(target)?);
        target.make_folders()?;
        to.remove()?;
        if let Err(error) = from.hard_link(&to) {
            match error.kind() {
                ErrorKind::NotFound | ErrorKind::AlreadyExists => {
                    return Err(error).at("link the original to", to.shown())?;
                }
                _ => drop(copy_whole(&from, &to)?),
            }
        }
        Ok(staged_at(&to)?)
    }

    /// Removes the second name of the original of `path` in the folder `name`, which is back in its place, and the folders that are
    /// empty then.
    ///
    /// # Errors
    /// Where it cannot be removed.
    pub(super) fn release(&self, name: &str, path: &str) -> Result<(), ApplyError> {
        let (entry, all) = (self.resolve(name, path)?, self.all()?);
        entry.remove()?;
        // As far as they are empty.
        let folders = std::iter::successors(entry.folder(), Place::folder);
        let folders = folders.take_while(|folder| folder.within().starts_with(all.within()));
        folders.map(|folder| folder.remove_empty()).take_while(Result::is_ok).for_each(drop);
        Ok(())
    }

    /// The folder of all.
    fn all(&self) -> Result<Place, ApplyError> {
        Ok(self.0.below(OWN, ORIGINALS).map_err(place)?)
    }

    /// The place of `path` in the folder `name`, or of that folder where the path is empty.
    fn resolve(&self, name: &str, path: &str) -> Result<Place, ApplyError> {
        if !is_name(name) {
            return Err(FileError::Name(name.to_owned()).into());
        }
        Ok(self.0.below(OWN, &format!("{ORIGINALS}/{name}{path}")).map_err(place)?)
    }
}

fn place(source: RootError) -> FileError {
    FileError::Place { pack: "(originals)".to_owned(), source }
}

/// Whether this may be a folder of originals: receipts and journals of another root may say anything.
fn is_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_digit())
        && name.len() <= 32
        && name.chars().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-')
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    use super::*;

    fn host() -> (tempfile::TempDir, Root) {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::new(folder.path()).unwrap();
        fs::create_dir_all(folder.path().join("etc")).unwrap();
        (folder, root)
    }

    #[test]
    fn the_file_itself_goes_and_comes_back() {
        let (folder, root) = host();
        let (originals, target) = (Originals::of(&root), folder.path().join("etc/app.conf"));
        let place = Place::of(&target).unwrap();
        let was = || place.inode();
        fs::write(&target, "theirs").unwrap();
        fs::hard_link(&target, folder.path().join("etc/other")).unwrap();
        let before = was();
        let name = originals.unused(7).unwrap();
        originals.take(&Place::of(&target).unwrap(), &name, "/etc/app.conf").unwrap();
        assert!(!target.exists() && originals.having("/etc/app.conf").unwrap() == ["0007"]);
        assert_eq!(originals.unused(7).unwrap(), "0007-2");
        let mode = folder.path().join("var/lib/carrack/originals").metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o700);
        let staged = originals.stage(&name, "/etc/app.conf", &place).unwrap();
        fs::rename(target.with_file_name(&staged.name), &target).unwrap();
        assert_eq!((was(), Some(staged.inode)), (before, before));
        originals.release(&name, "/etc/app.conf").unwrap();
        assert_eq!(target.metadata().unwrap().nlink(), 2);
        assert!(!folder.path().join("var/lib/carrack/originals").exists());
    }

    #[test]
    fn what_is_kept_is_never_replaced() {
        let (folder, root) = host();
        let originals = Originals::of(&root);
        let target = folder.path().join("etc/app.conf");
        fs::write(&target, "first").unwrap();
        originals.take(&Place::of(&target).unwrap(), "0001", "/etc/app.conf").unwrap();
        // Done before, it is done.
        originals.take(&Place::of(&target).unwrap(), "0001", "/etc/app.conf").unwrap();
        fs::write(&target, "second").unwrap();
        originals.take(&Place::of(&target).unwrap(), "0001", "/etc/app.conf").unwrap_err();
        assert_eq!(fs::read_to_string(&target).unwrap(), "second");
        assert_eq!(fs::read_to_string(originals.place("0001", "/etc/app.conf").unwrap().shown()).unwrap(), "first");
    }

    #[test]
    fn only_folders_of_originals_are_named() {
        let (_folder, root) = host();
        for bad in ["", "..", ".", "0001/..", "/etc", "x1", "0001\n", "0001/x"] {
            assert!(Originals::of(&root).look(bad, "/etc/x").is_err(), "{bad:?}");
        }
    }
}
