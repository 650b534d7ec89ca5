//! Gathers what the readers find, and decides what is included, ignored or only a candidate.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::operators::{self, Started};
use super::{Candidate, Discovery, InChart, NeededImage, Reason, platforms};
use crate::chart::Chart;
use crate::io::with_causes;
use crate::objects::{ObjectName, Place, Sink, template_of_a_chart};
use crate::oci::Reference;
use crate::problem::{Position, Problem, ProblemList, Problems};
use crate::profile::{IgnoredImage, Profile};

/// References with the places that they stand in.
pub(super) type Found = BTreeMap<Reference, BTreeSet<Reason>>;

/// Everything found so far.
#[derive(Clone)]
pub(super) struct Collector<'p> {
    ignored: &'p [IgnoredImage],
    used: BTreeSet<usize>,
    pack: &'p str,
    chart: Option<(&'p Chart, String)>,
    images: Found,
    candidates: Found,
    /// What the names of images begin with that controllers complete, each with the warning that there is none.
    completed: BTreeMap<String, Problem>,
    /// Objects for which operators start images of their own.
    started: BTreeSet<Started>,
    warnings: ProblemList,
    problems: ProblemList,
}

impl<'p> Collector<'p> {
    pub(super) fn new(ignored: &'p [IgnoredImage]) -> Self {
        Self {
            ignored,
            used: BTreeSet::new(),
            pack: "",
            chart: None,
            images: BTreeMap::new(),
            candidates: BTreeMap::new(),
            completed: BTreeMap::new(),
            started: BTreeSet::new(),
            warnings: ProblemList::default(),
            problems: ProblemList::default(),
        }
    }

    /// What follows belongs to `pack`.
    pub(super) fn enter(&mut self, pack: &'p str) {
        self.pack = pack;
        self.chart = None;
    }

    /// What follows is from the file `template` of `chart`.
    pub(super) fn enter_chart(&mut self, chart: &'p Chart, template: &str) {
        self.pack = &chart.pack;
        self.chart = Some((chart, template.to_owned()));
    }

    /// One that has found nothing yet, in the same place.
    pub(super) fn fresh(&self) -> Self {
        Self { pack: self.pack, chart: self.chart.clone(), ..Self::new(self.ignored) }
    }

    /// Takes over what `other` has found.
    pub(super) fn absorb(&mut self, other: Self) {
        self.used.extend(other.used);
        let add = |to: &mut Found, from: Found| {
            from.into_iter().for_each(|(reference, reasons)| to.entry(reference).or_default().extend(reasons));
        };
        add(&mut self.images, other.images);
        add(&mut self.candidates, other.candidates);
        self.completed.extend(other.completed);
        self.started.extend(other.started);
        other.warnings.into_vec().into_iter().for_each(|warning| self.warnings.add(|| warning));
        other.problems.into_vec().into_iter().for_each(|problem| self.problems.add(|| problem));
    }

    /// The images so far.
    pub(super) fn images(&self) -> &Found {
        &self.images
    }

    /// What looks like images so far.
    pub(super) fn candidates(&self) -> &Found {
        &self.candidates
    }

    /// Objects so far for which operators start images of their own.
    pub(super) fn started(&self) -> &BTreeSet<Started> {
        &self.started
    }

    /// Whether an image, or something that looks like one, `is`.
    pub(super) fn has(&self, is: impl Fn(&Reference) -> bool) -> bool {
        self.images.keys().chain(self.candidates.keys()).any(is)
    }

    /// Whether the profile lists `text`, or an image that `is`, under `ignoreImages`.
    pub(super) fn ignores_all(&mut self, text: &str, is: impl Fn(&Reference) -> bool) -> bool {
        let of = |ignored: &IgnoredImage| ignored.image == text || ignored.image.parse().is_ok_and(|image| is(&image));
        let found: Vec<usize> = (0..self.ignored.len()).filter(|index| of(&self.ignored[*index])).collect();
        self.used.extend(&found);
        !found.is_empty()
    }

    /// Whether an image, or something that looks like one, has a reason that `is`.
    pub(super) fn has_reason(&self, is: impl Fn(&Reason) -> bool) -> bool {
        self.images.values().chain(self.candidates.values()).flatten().any(is)
    }

    /// Whether nothing is wrong so far.
    pub(super) fn is_right(&self) -> bool {
        self.problems.is_empty()
    }

    /// Takes back that `reference` may be an image.
    pub(super) fn forget_candidate(&mut self, reference: &Reference) {
        self.candidates.remove(reference);
    }

    /// Keeps a problem.
    pub(super) fn wrong(&mut self, problem: Problem) {
        self.problems.add(|| problem);
    }

    /// Keeps a warning.
    pub(super) fn warned(&mut self, warning: Problem) {
        self.warnings.add(|| warning);
    }

    /// The value, after keeping a problem instead where there is one.
    pub(super) fn kept<T>(&mut self, result: Result<T, Problem>) -> Option<T> {
        result.map_err(|problem| self.problems.add(|| problem)).ok()
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

    /// Whether the profile lists `text`, or another spelling of `reference`, under `ignoreImages`.
    fn lists(&mut self, text: &str, reference: Option<&Reference>) -> bool {
        let same = |ignored: &IgnoredImage| {
            ignored.image == text || reference.is_some_and(|r| ignored.image.parse().is_ok_and(|i: Reference| i == *r))
        };
        let found = self.ignored.iter().position(same);
        self.used.extend(found);
        found.is_some()
    }

    fn reason(&self, file: &Path, at: Position, object: Option<&ObjectName>, field: String) -> Reason {
        let (pack, object) = (self.pack.to_owned(), object.cloned());
        match &self.chart {
            None => Reason { pack, file: file.to_owned(), line: at.line, chart: None, object, field },
            // A line of what was rendered is a line of no file.
            Some((chart, template)) => {
                let (name, version) = (chart.metadata.name.clone(), chart.metadata.version.clone());
                let in_chart = InChart { name, version, template: template.clone() };
                Reason {
                    pack,
                    file: chart.file.clone(),
                    line: chart.position.line,
                    chart: Some(in_chart),
                    object,
                    field,
                }
            }
        }
    }

    /// The result for `profile`; `unused` words the warning about an ignored image that is found nowhere.
    pub(super) fn finish(
        mut self,
        profile: &Profile,
        unused: impl Fn(&IgnoredImage) -> Problem,
    ) -> Result<Discovery, Problems> {
        if !self.problems.is_empty() {
            return Err(Problems::Found(self.problems.into_vec()));
        }
        let never = self.ignored.iter().enumerate().filter(|(index, _)| !self.used.contains(index));
        never.for_each(|(_, image)| self.warnings.add(|| unused(image)));
        for (text, warning) in std::mem::take(&mut self.completed) {
            let begins = |reference: &Reference| reference.to_string().starts_with(&format!("{text}-"));
            if !self.images.keys().any(begins) {
                self.warnings.add(|| warning);
            }
        }
        self.candidates.retain(|reference, _| !self.images.contains_key(reference));
        let list = |reasons: BTreeSet<Reason>| reasons.into_iter().collect();
        let image = |(reference, reasons): (Reference, BTreeSet<Reason>)| {
            let platforms = platforms::of(profile, &reference, &reasons);
            NeededImage { reference, platforms, reasons: list(reasons) }
        };
        let candidate = |(reference, reasons)| Candidate { reference, reasons: list(reasons) };
        Ok(Discovery {
            images: self.images.into_iter().map(image).collect(),
            candidates: self.candidates.into_iter().map(candidate).collect(),
            warnings: self.warnings.into_vec(),
        })
    }
}

impl Sink for Collector<'_> {
    /// It is included unless the profile ignores it, and a problem where it is no reference.
    fn named(&mut self, text: &str, place: Place<'_>) -> Option<Reference> {
        let parsed: Result<Reference, _> = text.parse();
        if self.lists(text, parsed.as_ref().ok()) {
            return None;
        }
        match parsed {
            Ok(reference) => {
                self.include(reference.clone(), place.source.file(), place.at, place.object, place.field.to_owned());
                Some(reference)
            }
            Err(error) => {
                let message = match template_of_a_chart(text) {
                    Some(_) if self.chart.is_some() => {
                        format!("{text:?} is left as it is by the chart, so which image it is cannot be told")
                    }
                    Some((_, message)) => message,
                    None if text.contains("://") => format!("{text:?} is a URL, not an image reference"),
                    None => with_causes(&error),
                };
                self.problem(place, message);
                None
            }
        }
    }

    fn candidate(&mut self, text: &str, reference: Reference, place: Place<'_>) {
        if !self.lists(text, Some(&reference)) {
            let reason = self.reason(place.source.file(), place.at, place.object, place.field.to_owned());
            self.candidates.entry(reference).or_default().insert(reason);
        }
    }

    fn ignores(&mut self, text: &str) -> bool {
        let parsed: Option<Reference> = text.parse().ok();
        self.lists(text, parsed.as_ref())
    }

    fn problem(&mut self, place: Place<'_>, message: String) {
        self.problems.add(|| place.source.problem(place.at, place.named(&message)));
    }

    fn object(&mut self, group: &str, object: &ObjectName) {
        if operators::starts_for(group, &object.kind) {
            let (pack, group) = (self.pack.to_owned(), group.to_owned());
            self.started.insert(Started { pack, group, object: object.clone() });
        }
    }

    fn completed(&mut self, text: &str, place: Place<'_>, message: String) {
        let warning = place.source.problem(place.at, place.named(&message));
        self.completed.insert(text.to_owned(), warning);
    }

    fn warn(&mut self, place: Place<'_>, message: String) {
        self.warnings.add(|| place.source.problem(place.at, place.named(&message)));
    }
}
