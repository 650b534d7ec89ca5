//! What of the files that a plan replaces cannot be kept, told before anything changes.

use rustix::fs::{IFlags, ioctl_getflags};

use super::ApplyError;
use super::before::called;
use super::files::FileError;
use super::history::History;
use super::plan::{FileAction, HostPlan};
use crate::host::Root;
use crate::io::{Place, attributes};
use crate::places::OWN;

/// Looks at the files that are replaced or removed, and returns a sentence for each of which something is not kept.
///
/// # Errors
/// [`FileError::Immutable`] or [`FileError::Mounted`] for the first that nobody can replace, or where something cannot be looked at.
pub(super) fn look(plan: &HostPlan, history: &History, root: &Root) -> Result<Vec<String>, ApplyError> {
    let replaced = plan.files.iter().filter(|planned| planned.action == FileAction::Replace);
    let replaced: Vec<_> = replaced.map(|planned| (&planned.file.path, &planned.file.target)).collect();
    let removed = plan.removals.iter().map(|removal| &removal.target);
    for target in replaced.iter().map(|(_, target)| *target).chain(removed) {
        if is_immutable(target) {
            return Err(FileError::Immutable(target.shown().to_owned()).into());
        }
        if target.is_mount_point() {
            return Err(FileError::Mounted(target.shown().to_owned()).into());
        }
    }
    let own = root.below(OWN, "originals/x");
    let (store, ..) = own.map_err(|source| FileError::Place { pack: "(installer)".to_owned(), source })?.anchor()?;
    let mut told = Vec::new();
    for (path, target) in replaced {
        let Some(found) = target.stat()? else { continue };
        // What a version of Carrack's had put there is written again from its digest.
        if found.st_dev == store || history.installed_at(path).next().is_some() {
            continue;
        }
        let attributes = attributes(target)?.unwrap_or_default();
        let names = attributes.keys().map(|name| called(&name.to_string_lossy())).collect();
        let links = (found.st_nlink > 1).then(|| found.st_nlink.to_string());
        told.extend(copied(path, links, names));
    }
    Ok(told)
}

/// What a copy on another file system does not keep; nothing where that is nothing.
fn copied(path: &str, links: Option<String>, attributes: Vec<String>) -> Option<String> {
    let mut lost = Vec::new();
    if let Some(links) = links {
        lost.push(format!("it has {links} names, and comes back as a file of its own"));
    }
    if !attributes.is_empty() {
        lost.push(format!("{} come back only where that file system can keep them", attributes.join(", ")));
    }
    let lost = if lost.is_empty() { return None } else { lost.join("; ") };
    Some(format!("{path} is replaced, and kept as a copy, since {OWN} is on another file system: {lost}"))
}

/// Whether the file system lets nobody replace it (`chattr +i`, `chattr +a`). Most file systems know no such flag.
fn is_immutable(target: &Place) -> bool {
    let flags = target.open().ok().and_then(|file| ioctl_getflags(&file).ok());
    flags.is_some_and(|flags| flags.intersects(IFlags::IMMUTABLE | IFlags::APPEND))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_copy_loses_is_told() {
        assert_eq!(copied("/etc/a", None, Vec::new()), None);
        let told = copied("/etc/a", Some("3".to_owned()), vec!["ACL".to_owned(), "capabilities".to_owned()]).unwrap();
        assert_eq!(
            told,
            "/etc/a is replaced, and kept as a copy, since /var/lib/carrack is on another file system: it has 3 names, and \
             comes back as a file of its own; ACL, capabilities come back only where that file system can keep them"
        );
    }
}
