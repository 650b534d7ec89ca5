//! What an interrupted run was given besides its bundle, and whether it still is the same: the site, and the values of variables.
//!
//! Whoever starts a run decides what is installed. Nobody does when a host continues by itself, maybe from a medium that others
//! have had in their hands since.

use std::collections::BTreeMap;
use std::path::Path;

use super::resume::await_medium;
use crate::apply::Invocation;
use crate::bundle::Contents;
use crate::cli::{CliError, Kind};
use crate::io::Place;
use crate::oci::Digest;
use crate::site::Site;
use crate::site::sources::PinnedFile;
use crate::variables::Values;

/// No file of a site is larger.
const LIMIT: u64 = 16 << 20;

/// Digests of values, by name. With the bundle and the name in them, equal values have different digests.
pub(super) fn digests(values: &Values, contents: &Contents) -> BTreeMap<String, Digest> {
    let identity = contents.identity;
    let digest = |(name, value): (&String, &String)| {
        (name.clone(), Digest::of(format!("{identity}\n{name}\n{value}").as_bytes()))
    };
    values.iter().map(digest).collect()
}

/// Refuses to continue where a file of the site that `called` had is missing or another one. Before the site is read, so that what
/// is wrong in another one is not what is reported.
pub(super) fn require_files(called: &Invocation) -> Result<(), CliError> {
    let differs = |pin: &&PinnedFile| {
        let path = Path::new(&pin.path);
        // A medium may be mounted later than this runs. Where its folder is there, what is missing in it is gone.
        path.parent().into_iter().for_each(await_medium);
        // Links are followed, as they were when it was read: the content counts.
        let content = path.canonicalize().ok().and_then(|path| Place::of(&path).ok()?.read(LIMIT).ok()?);
        content.is_none_or(|content| Digest::of(&content) != pin.digest)
    };
    refuse_files(called.site.iter().filter(differs).collect())
}

/// The same of what was read by now, which is what counts.
pub(super) fn require_site(called: &Invocation, site: Option<&Site>) -> Result<(), CliError> {
    // Of an installer before 0.4, or without a site.
    if called.site.is_empty() {
        return Ok(());
    }
    let read = site.map(|site| site.sources.pins()).unwrap_or_default();
    let missing = called.site.iter().filter(|pin| !read.contains(pin));
    refuse_files(missing.chain(read.iter().filter(|pin| !called.site.contains(pin))).collect())
}

fn refuse_files(differing: Vec<&PinnedFile>) -> Result<(), CliError> {
    let Some(first) = differing.first() else { return Ok(()) };
    let message = match differing.len() {
        1 => format!("{} is not the file that the interrupted run was given", first.path),
        _ => "these files are not what the interrupted run was given".to_owned(),
    };
    let mut error = CliError::new(Kind::NotReady, message);
    if differing.len() > 1 {
        error.causes = differing.iter().map(|pin| pin.path.clone()).collect();
    }
    Err(decide(error, "the site as it is now"))
}

/// Refuses to continue where a variable would get another value than `called` had, or none.
pub(super) fn require_values(called: &Invocation, values: &Values, contents: &Contents) -> Result<(), CliError> {
    // Of an installer before 0.4, or nothing is open in the bundle.
    if called.values.is_empty() {
        return Ok(());
    }
    let now = digests(values, contents);
    let names = called.values.keys().chain(now.keys().filter(|name| !called.values.contains_key(*name)));
    let differing: Vec<&str> =
        names.filter(|name| called.values.get(*name) != now.get(*name)).map(String::as_str).collect();
    if differing.is_empty() {
        return Ok(());
    }
    let message = format!("the interrupted run had another value of {}", differing.join(", "));
    Err(decide(CliError::new(Kind::NotReady, message), "the values that are wanted"))
}

fn decide(error: CliError, with: &str) -> CliError {
    error
        .hint("put back what was there, and continue: carrack-install resume")
        .hint(format!("or begin again with {with}: carrack-install apply BUNDLE --site SITE"))
}
