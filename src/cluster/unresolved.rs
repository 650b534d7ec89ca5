//! Images that objects name and nobody can resolve. A profile with one is wrong; in a cluster that runs, it is an operator's
//! matter, and what the operator made of it is known by its pods.

use std::collections::BTreeMap;
use std::path::Path;

use super::Object;
use crate::objects::{Place, Sink};
use crate::oci::Reference;
use crate::problem::Source;
use crate::profile::schema::IgnoredImage;

/// Texts, each with the first place that has it.
#[derive(Debug, Default)]
pub(super) struct Unresolved {
    texts: BTreeMap<String, String>,
    object: String,
}

impl Unresolved {
    /// Looks through `text`, what is written of `object`. Of Kubernetes' own kinds the server has refused such texts.
    pub(super) fn look_at(&mut self, object: &Object, text: &str) {
        if object.kind.is_custom() {
            self.object = object.to_string();
            crate::objects::read(&Source::new(Path::new(""), text.to_owned()), self);
        }
    }

    /// What a person has to know, a line each.
    pub(super) fn warnings(&self) -> impl Iterator<Item = String> {
        self.texts.iter().map(|(text, place)| {
            format!("{place}: {text:?} names no image that a registry can be asked for; it is in `ignoreImages`")
        })
    }

    /// The same for the profile.
    pub(super) fn ignored(self) -> Option<Vec<IgnoredImage>> {
        let ignored = self.texts.into_iter().map(|(image, place)| IgnoredImage {
            image,
            reason: format!("{place}: not a whole reference; what runs is in the images of its pack"),
        });
        Some(ignored.collect()).filter(|ignored: &Vec<_>| !ignored.is_empty())
    }

    fn take(&mut self, text: &str, field: &str) {
        self.texts.entry(text.to_owned()).or_insert_with(|| format!("{}, {field}", self.object));
    }
}

impl Sink for Unresolved {
    fn named(&mut self, text: &str, place: Place<'_>) -> Option<Reference> {
        let parsed = text.parse().ok();
        if parsed.is_none() {
            self.take(text, place.field);
        }
        parsed
    }

    fn candidate(&mut self, _: &str, _: Reference, _: Place<'_>) {}

    /// Asked of nothing but references that lack something.
    fn ignores(&mut self, text: &str) -> bool {
        self.take(text, "in parts");
        true
    }

    fn problem(&mut self, _: Place<'_>, _: String) {}

    fn warn(&mut self, _: Place<'_>, _: String) {}
}
