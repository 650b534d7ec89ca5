//! Whether the bundle has every image that a manifest with its values names.

use std::collections::BTreeSet;
use std::path::Path;

use super::ApplyError;
use crate::bundle::Contents;
use crate::objects::{Place, Sink, read};
use crate::oci::Reference;
use crate::problem::{Position, Source};
use crate::variables::{MASK, Values};

/// Gathers what a manifest names and the bundle lacks.
struct Missing<'c> {
    names: BTreeSet<String>,
    ignored: &'c [String],
    shown: &'c str,
    found: BTreeSet<String>,
}

/// Checks that `contents` has every image that the manifest `text`, called `shown`, names.
///
/// # Errors
/// [`ApplyError::MissingImages`], with object, field and image of each.
pub(super) fn check(contents: &Contents, values: &Values, shown: &str, text: &str) -> Result<(), ApplyError> {
    let names = contents.images.iter().flat_map(|image| image.reference.runtime_names()).collect();
    let mut missing = Missing { names, ignored: &contents.profile.ignore_images, shown, found: BTreeSet::new() };
    read(&Source::new(Path::new(shown), text.to_owned()), &mut missing);
    if missing.found.is_empty() {
        return Ok(());
    }
    // A sensitive value may have come to any place of an object, its name and fields among them.
    let sensitive = contents.profile.variables.iter().filter(|variable| variable.sensitive);
    let secrets: Vec<&String> = sensitive.filter_map(|variable| values.get(&variable.name)).collect();
    Err(ApplyError::MissingImages(missing.found.into_iter().map(|line| masked(line, &secrets)).collect()))
}

/// The line without any of the secrets, as they are and as messages quote them.
fn masked(line: String, secrets: &[&String]) -> String {
    secrets.iter().filter(|secret| !secret.is_empty()).fold(line, |line, secret| {
        let quoted = format!("{secret:?}");
        line.replace(&quoted[1..quoted.len() - 1], MASK).replace(secret.as_str(), MASK)
    })
}

impl Missing<'_> {
    fn add(&mut self, what: &str, place: Place<'_>) {
        let Position { line, .. } = place.at;
        self.found.insert(format!("{}:{line}: {}", self.shown, place.named(what)));
    }
}

impl Sink for Missing<'_> {
    fn named(&mut self, text: &str, place: Place<'_>) -> Option<Reference> {
        if self.ignores(text) {
            return None;
        }
        match text.parse::<Reference>() {
            Ok(reference) if reference.runtime_names().iter().all(|name| self.names.contains(name)) => Some(reference),
            Ok(reference) => {
                self.add(&format!("{reference} is not in the bundle"), place);
                None
            }
            // A value that is no image, perhaps a secret in a wrong place, is not repeated.
            Err(_) => {
                self.add("what is named here is not an image", place);
                None
            }
        }
    }

    fn candidate(&mut self, _text: &str, _reference: Reference, _place: Place<'_>) {}

    fn ignores(&mut self, text: &str) -> bool {
        let reference: Option<Reference> = text.parse().ok();
        self.ignored.iter().any(|ignored| {
            ignored == text || reference.as_ref().is_some_and(|r| ignored.parse().is_ok_and(|i: Reference| i == *r))
        })
    }

    // Both were told when the bundle was built; what values can still break is told by `named`.
    fn problem(&mut self, place: Place<'_>, message: String) {
        self.add(&message, place);
    }

    fn warn(&mut self, _place: Place<'_>, _message: String) {}
}
