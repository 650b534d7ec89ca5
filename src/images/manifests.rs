//! Manifests, with values in the place of their placeholders.

use std::convert::Infallible;

use super::assignments::{Reading, inline_defaults, under_all, used};
use super::collect::Collector;
use crate::objects;
use crate::problem::{Position, Source};
use crate::variables::samples;
use crate::variables::template::{Around, fill, scan};
use crate::variables::{Values, Variable};

/// Reads every object of `source` with all values that it can have.
pub(super) fn read(source: &Source, variables: &[Variable], collector: &mut Collector<'_>) {
    let scanned = scan(source.text());
    if scanned.placeholders.is_empty() && scanned.mistakes.is_empty() {
        return objects::read(source, collector);
    }
    let place = |name: &str, message: String| {
        let found = scanned.placeholders.iter().find(|placeholder| placeholder.name == name);
        source.problem(found.map_or(Position::START, |placeholder| placeholder.at), message)
    };
    let read = |values: &Values, collector: &mut Collector<'_>| -> Result<(), Infallible> {
        match fill(source.text(), Around::Yaml, values, variables) {
            Ok(filled) => objects::read(&Source::new(source.file(), filled), collector),
            Err(mistakes) => {
                let problems = mistakes.into_iter().map(|mistake| source.problem(mistake.at, mistake.message));
                problems.for_each(|problem| collector.wrong(problem));
            }
        }
        Ok(())
    };
    let around = samples::Around { taken: inline_defaults(&[source.text()]), ..samples::Around::default() };
    let how = Reading { used: &used(variables, &[source.text()]), around: &around, place: &place };
    match under_all(&how, collector, |never| match *never {}, &|_| {}, read) {
        Ok(()) => {}
    }
}
