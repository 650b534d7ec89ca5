//! The folders that a distribution fills: whether they can be its own, and what its steps are told of them.

use std::path::Path;

use super::ApplyError;
use super::check::Check;
use super::claims::{Claim, Claimed, whose};
use crate::distro::{FOREIGN, Setup, Step};
use crate::host::Root;
use crate::places::check_data_folder;
use crate::site::node::Node;

/// The check of folders that have somebody else's data.
const NAME: &str = "foreign-data";
const HINT: &str = "carrack-install removes only what it has made, so it needs these empty: move the data away; or let the \
    distribution use them as they are: --skip foreign-data, then they are never removed";

/// Whether all that the distribution fills is absent, empty, or known from a receipt.
pub(super) fn check(claims: &[Claimed]) -> Option<Check> {
    if claims.is_empty() {
        return None;
    }
    let foreign: Vec<&str> = claims.iter().filter(|one| one.is_foreign).map(|one| one.claim.path.as_str()).collect();
    let found = if foreign.is_empty() { "none".to_owned() } else { format!("not empty: {}", foreign.join(", ")) };
    Some(Check::new(NAME, "no data of others where the distribution has its own", found, foreign.is_empty()).or(HINT))
}

/// The folder that the site names has nothing of others in it, whatever is skipped: what is in there later is removed part by
/// part, and its parts have names that others use too.
///
/// # Errors
/// [`ApplyError::Refused`]
pub(super) fn refuse_root(claims: &[Claimed], node: &Node) -> Result<(), ApplyError> {
    let Some(root) = &node.install_root else { return Ok(()) };
    let Some(claimed) = claims.iter().find(|one| one.claim.path == *root) else { return Ok(()) };
    let refused = |why: &str| Err(ApplyError::Refused(vec![format!("`installRoot` of the site: {root} {why}")]));
    if let Err(why) = check_data_folder(claimed.claim.real()) {
        return refused(&format!("leads to {}, which {why}; name a folder of its own", claimed.claim.real()));
    }
    if claimed.is_foreign {
        return refused("is there, is not empty and is in no receipt; name one that is absent or empty");
    }
    Ok(())
}

/// The distribution's steps, told whose the folders are. Network interfaces that are there already are others' too.
pub(super) fn told(mut setup: Setup, claims: &[Claimed], root: &Root) -> Setup {
    let all: Vec<Claim> = claims.iter().map(|one| one.claim.clone()).collect();
    let foreign = whose(&all);
    // What is not known before the first start is told then. Untold, it is not Carrack's.
    let is_known = !all.iter().any(|claim| claim.prepared);
    // Those of this machine say nothing of the one that a system is prepared for.
    let is_first = is_first(claims) && root.is_host();
    for step in setup.start.iter_mut().chain(&mut setup.remove) {
        if is_known {
            *step = step.with(FOREIGN, foreign);
        }
        if let Step::Sweep { interfaces, .. } = step {
            interfaces.retain(|name| !is_first || Path::new("/sys/class/net").join(name).symlink_metadata().is_err());
        }
    }
    setup
}

/// Whether the distribution may be taken away again where its installation fails: it was not there, and this is the system that was
/// looked at. In one that is prepared, a disk may be mounted by its first start.
pub(super) fn may_be_unmade(claims: &[Claimed], root: &Root) -> bool {
    root.is_host() && is_first(claims)
}

/// Whether no receipt has anything of the distribution.
pub(super) fn is_first(claims: &[Claimed]) -> bool {
    !claims.is_empty() && claims.iter().all(|one| one.is_new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apply::claims::Prior;

    #[test]
    fn a_system_that_is_prepared_loses_nothing_where_its_first_start_fails() {
        let folder = tempfile::tempdir().unwrap();
        let (host, prepared) = (Root::new(Path::new("/")).unwrap(), Root::new(folder.path()).unwrap());
        let one = |is_new| Claimed { claim: Claim::new("/var/lib/etcd", Prior::Absent), is_new, is_foreign: false };
        assert!(may_be_unmade(&[one(true)], &host));
        assert!(!may_be_unmade(&[one(true)], &prepared), "/var may be mounted by then");
        assert!(!may_be_unmade(&[one(true), one(false)], &host), "it was installed");
        assert!(!may_be_unmade(&[], &host));
    }
}
