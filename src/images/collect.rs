//! Gathers what the readers find, and decides what is included, ignored or only a candidate.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::{Candidate, Discovery, NeededImage, ObjectName, Reason};
use crate::io::with_causes;
use crate::oci::Reference;
use crate::problem::{Position, Problem, ProblemList, Problems, Source};
use crate::profile::IgnoredImage;

/// Everything found so far.
pub(super) struct Collector<'p> {
    ignored: &'p [IgnoredImage],
    used: BTreeSet<usize>,
    pack: &'p str,
    images: BTreeMap<Reference, BTreeSet<Reason>>,
    candidates: BTreeMap<Reference, BTreeSet<Reason>>,
    warnings: ProblemList,
    problems: ProblemList,
}

/// A place in a manifest or list.
#[derive(Clone, Copy)]
pub(super) struct Spot<'s> {
    pub(super) source: &'s Source,
    pub(super) at: Position,
    pub(super) object: Option<&'s ObjectName>,
    pub(super) field: &'s str,
}

impl<'p> Collector<'p> {
    pub(super) fn new(ignored: &'p [IgnoredImage]) -> Self {
        Self {
            ignored,
            used: BTreeSet::new(),
            pack: "",
            images: BTreeMap::new(),
            candidates: BTreeMap::new(),
            warnings: ProblemList::default(),
            problems: ProblemList::default(),
        }
    }

    /// What follows belongs to `pack`.
    pub(super) fn enter(&mut self, pack: &'p str) {
        self.pack = pack;
    }

    /// The value, after keeping a problem instead where there is one.
    pub(super) fn kept<T>(&mut self, result: Result<T, Problem>) -> Option<T> {
        result.map_err(|problem| self.problems.add(|| problem)).ok()
    }

    pub(super) fn problem(&mut self, spot: Spot<'_>, message: impl Into<String>) {
        self.problems.add(|| spot.source.problem(spot.at, in_object(spot, message.into())));
    }

    pub(super) fn warn(&mut self, spot: Spot<'_>, message: impl Into<String>) {
        self.warnings.add(|| spot.source.problem(spot.at, in_object(spot, message.into())));
    }

    pub(super) fn include(
        &mut self,
        reference: Reference,
        file: &Path,
        at: Position,
        object: Option<&ObjectName>,
        field: String,
    ) {
        let reason = self.reason(file, at, object, field);
        self.images.entry(reference).or_default().insert(reason);
    }

    /// An image is named here as `text`: it is included unless the profile ignores it, and a problem where it is no
    /// reference. Returns what was included.
    pub(super) fn named(&mut self, text: &str, spot: Spot<'_>) -> Option<Reference> {
        let parsed: Result<Reference, _> = text.parse();
        if self.ignores(text, parsed.as_ref().ok()) {
            return None;
        }
        match parsed {
            Ok(reference) => {
                self.include(reference.clone(), spot.source.file(), spot.at, spot.object, spot.field.to_owned());
                Some(reference)
            }
            Err(error) => {
                let message = match text.split_once("://") {
                    Some(_) => format!("{text:?} is a URL, not an image reference"),
                    None => with_causes(&error),
                };
                self.problem(spot, message);
                None
            }
        }
    }

    /// `text` may be an image.
    pub(super) fn candidate(&mut self, text: &str, reference: Reference, spot: Spot<'_>) {
        if !self.ignores(text, Some(&reference)) {
            let reason = self.reason(spot.source.file(), spot.at, spot.object, spot.field.to_owned());
            self.candidates.entry(reference).or_default().insert(reason);
        }
    }

    /// Whether the profile lists `text`, or another spelling of `reference`, under `ignoreImages`.
    pub(super) fn ignores(&mut self, text: &str, reference: Option<&Reference>) -> bool {
        let same = |ignored: &IgnoredImage| {
            ignored.image == text || reference.is_some_and(|r| ignored.image.parse().is_ok_and(|i: Reference| i == *r))
        };
        let found = self.ignored.iter().position(same);
        self.used.extend(found);
        found.is_some()
    }

    fn reason(&self, file: &Path, at: Position, object: Option<&ObjectName>, field: String) -> Reason {
        let pack = self.pack.to_owned();
        Reason { pack, file: file.to_owned(), line: at.line, object: object.cloned(), field }
    }

    /// The result; `unused` words the warning about an ignored image that is found nowhere.
    pub(super) fn finish(mut self, unused: impl Fn(&IgnoredImage) -> Problem) -> Result<Discovery, Problems> {
        if !self.problems.is_empty() {
            return Err(Problems::Found(self.problems.into_vec()));
        }
        let never = self.ignored.iter().enumerate().filter(|(index, _)| !self.used.contains(index));
        never.for_each(|(_, image)| self.warnings.add(|| unused(image)));
        self.candidates.retain(|reference, _| !self.images.contains_key(reference));
        let list = |reasons: BTreeSet<Reason>| reasons.into_iter().collect();
        let image = |(reference, reasons)| NeededImage { reference, reasons: list(reasons) };
        let candidate = |(reference, reasons)| Candidate { reference, reasons: list(reasons) };
        Ok(Discovery {
            images: self.images.into_iter().map(image).collect(),
            candidates: self.candidates.into_iter().map(candidate).collect(),
            warnings: self.warnings.into_vec(),
        })
    }
}

fn in_object(spot: Spot<'_>, message: String) -> String {
    match spot.object {
        Some(object) if spot.field.is_empty() => format!("{object}: {message}"),
        Some(object) => format!("{object}: {}: {message}", spot.field),
        None => message,
    }
}
