//! Whether every file has a place on this host that it can have: one of its own, that is neither Carrack's nor the kernel's, under a
//! name that is free.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use rustix::fs::FileType;

use super::ApplyError;
use super::files::{FileError, FileKind, TargetFile};
use super::leftovers::Leftover;
use super::transaction::{Transaction, backup_of};
use crate::host::Root;
use crate::io::{AtomicFile, PathError, Place, file_type};
use crate::places::OWN;

/// The longest component of a path (NAME_MAX), and the longest path (PATH_MAX).
const LONGEST: (usize, usize) = (255, 4095);
/// Folders in which the kernel shows itself, and devices.
const KERNEL: [&str; 3] = ["proc", "sys", "dev"];
/// File systems of the kernel (statfs(2)): proc, sysfs, devpts, cgroup, cgroup2, debugfs, tracefs, securityfs, selinuxfs, bpf, pstore,
/// efivarfs, configfs, nsfs, binfmt_misc, mqueue, fusectl.
const KERNEL_TYPES: [u32; 17] = [
    0x9fa0,
    0x6265_6572,
    0x1cd1,
    0x0027_e0eb,
    0x6367_7270,
    0x6462_6720,
    0x7472_6163,
    0x7363_6673,
    0xf97c_ff8c,
    0xcafe_4a11,
    0x6165_676c,
    0xde5e_81e4,
    0x6265_6570,
    0x6e73_6673,
    0x4249_4e4d,
    0x1980_0202,
    0x6573_5543,
];

/// Checks that each file has a place of its own, which it can have.
///
/// # Errors
/// The first that has none.
pub(super) fn each_its_own(files: &[TargetFile], root: &Root) -> Result<(), FileError> {
    let own = root.below(OWN, "").map_err(|source| FileError::Place { pack: "(installer)".to_owned(), source })?;
    let own_id = own.id()?;
    let mut seen: BTreeMap<_, &str> = BTreeMap::new();
    for file in files {
        let real = || format!("/{}", file.target.within().display());
        if file.kind == FileKind::Host && is_own(&file.target, &own, own_id)? {
            return Err(FileError::LeadsToOwn { path: file.path.clone(), real: real() });
        }
        if is_kernels(&file.target)? {
            return Err(FileError::Kernel { path: file.path.clone(), real: real() });
        }
        let found = file.target.stat()?.as_ref().map(file_type);
        if found.is_some_and(|found| !matches!(found, FileType::RegularFile | FileType::Symlink)) {
            return Err(FileError::InTheWay(file.target.shown().to_owned()));
        }
        if let Some(first) = seen.insert(file.target.anchor()?, &file.path) {
            return Err(FileError::Twice { first: first.to_owned(), second: file.path.clone() });
        }
    }
    none_within(files)
}

/// The names that a file needs beside it while it changes.
///
/// # Errors
/// Where the place has no name.
pub(super) fn beside(target: &Place) -> Result<Vec<Place>, PathError> {
    Ok(vec![AtomicFile::provisional(target)?, backup_of(target)?])
}

/// Checks that no name is taken that files need while they change, by path: what has such a name and is not of an interrupted run is
/// somebody's own.
///
/// # Errors
/// The first name that is taken, or where the journal cannot be read.
pub(super) fn names_are_free<'a>(
    needed: impl IntoIterator<Item = (&'a str, Vec<Place>)>,
    root: &Root,
) -> Result<(), ApplyError> {
    let left = Transaction::left(root)?;
    let changes = left.iter().flat_map(|left| &left.record.files);
    let ours: BTreeSet<&str> = changes.map(|change| change.path.as_str()).collect();
    for (path, places) in needed.into_iter().filter(|(path, _)| !ours.contains(path)) {
        if let Some(taken) = places.iter().find(|place| place.is_there()) {
            let (taken, path) = (taken.shown().to_owned(), path.to_owned());
            let target =
                root.place(&path).map_err(|source| FileError::Place { pack: "(installer)".to_owned(), source })?;
            // It may be the only copy of what an interrupted run replaced.
            if taken == backup_of(&target)?.shown() {
                return Err(ApplyError::Leftovers(vec![Leftover { left: taken, place: target.shown().to_owned() }]));
            }
            return Err(FileError::Taken { path, taken }.into());
        }
    }
    Ok(())
}

/// Checks that file systems take a path.
///
/// # Errors
/// [`FileError::TooLong`] where they do not.
pub(super) fn fits(path: &str) -> Result<(), FileError> {
    let long = path.len() > LONGEST.1 || path.split('/').any(|name| name.len() > LONGEST.0);
    if long { Err(FileError::TooLong(path.to_owned())) } else { Ok(()) }
}

/// Checks that there is no symbolic link in Carrack's own folder below `root`: Carrack has made none.
///
/// # Errors
/// [`FileError::OwnLink`], for the first.
pub(super) fn own_has_no_links(root: &Root) -> Result<(), FileError> {
    let own = root.below(OWN, "").map_err(|source| FileError::Place { pack: "(installer)".to_owned(), source })?;
    for name in own.names()? {
        let place = own.child(&name)?;
        if place.stat()?.is_some_and(|found| file_type(&found) == FileType::Symlink) {
            return Err(FileError::OwnLink(place.shown().to_owned()));
        }
    }
    Ok(())
}

/// Whether a place is within Carrack's own folder, under whatever name.
fn is_own(place: &Place, own: &Place, own_id: Option<(u64, u64)>) -> Result<bool, PathError> {
    if place.within().starts_with(own.within()) {
        return Ok(true);
    }
    for folder in std::iter::successors(place.folder(), Place::folder) {
        if own_id.is_some() && folder.id()? == own_id {
            return Ok(true);
        }
    }
    Ok(false)
}

fn is_kernels(place: &Place) -> Result<bool, PathError> {
    let named = KERNEL.iter().any(|folder| place.within().starts_with(folder));
    Ok(named || KERNEL_TYPES.contains(&place.file_system()?))
}

/// A file has nothing below it.
fn none_within(files: &[TargetFile]) -> Result<(), FileError> {
    let by_place: BTreeMap<&Path, &str> = files.iter().map(|file| (file.target.within(), file.path.as_str())).collect();
    for file in files {
        let above = file.target.within().ancestors().skip(1).find_map(|folder| by_place.get(folder));
        if let Some(outer) = above {
            return Err(FileError::Within { outer: (*outer).to_owned(), inner: file.path.clone() });
        }
    }
    Ok(())
}
