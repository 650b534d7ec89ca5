//! Reading something that variables change, with every combination of values that there can be.

use std::collections::BTreeSet;

use super::Reason;
use super::collect::{Collector, Found};
use crate::oci::Reference;
use crate::problem::Problem;
use crate::variables::samples::{Around, Assignment, Free, assignments};
use crate::variables::template::scan;
use crate::variables::{Values, Variable};

/// The variables whose placeholders are in `texts`, in the profile's order.
pub(super) fn used<'v>(variables: &'v [Variable], texts: &[&str]) -> Vec<&'v Variable> {
    let scans: Vec<_> = texts.iter().map(|text| scan(text)).collect();
    let names: BTreeSet<&str> =
        scans.iter().flat_map(|scan| &scan.placeholders).map(|placeholder| &*placeholder.name).collect();
    variables.iter().filter(|variable| names.contains(&*variable.name)).collect()
}

/// What no sample for `texts` may be like: the defaults of their placeholders.
pub(super) fn inline_defaults(texts: &[&str]) -> BTreeSet<String> {
    texts.iter().flat_map(|text| scan(text).placeholders).filter_map(|placeholder| placeholder.default).collect()
}

/// How often something is read besides with two samples of every variable, and without those that may be left out.
const MORE_READINGS: usize = 64;

/// How many assignments, or further samples, are made ready at once.
const AHEAD: usize = 4;

/// How something that variables change is read.
pub(super) struct Reading<'r, 'v> {
    /// The variables that are in it.
    pub(super) used: &'r [&'v Variable],
    /// What their values may be compared with.
    pub(super) around: &'r Around,
    /// A problem of the variable with this name.
    pub(super) place: &'r dyn Fn(&str, String) -> Problem,
}

/// Calls `read` with values for the variables, and a collector, for every combination of the values that variables with a
/// fixed set have, and takes over what it finds. Every other variable is sampled: all of them together, then each by itself.
/// Where that leads to different images, it is refused. A sample that `refuses` holds for leads to none. `ahead` is told of some
/// values that are read next.
///
/// # Errors
/// The first that `read` returns for samples that stand for any value.
pub(super) fn under_all<'p, E>(
    how: &Reading<'_, '_>,
    collector: &mut Collector<'p>,
    refuses: impl Fn(&E) -> bool,
    ahead: &dyn Fn(&[Values]),
    mut read: impl FnMut(&Values, &mut Collector<'p>) -> Result<(), E>,
) -> Result<(), E> {
    let all = match assignments(how.used, how.around) {
        Ok(all) => all,
        Err(error) => {
            let name = how.used.first().map(|variable| variable.name.clone()).unwrap_or_default();
            collector.wrong((how.place)(&name, error.to_string()));
            return Ok(());
        }
    };
    let most = MORE_READINGS / all.len();
    for (at, assignment) in all.iter().enumerate() {
        if at % AHEAD == 0 {
            ahead(&all[at..].iter().take(AHEAD).flat_map(of_all).collect::<Vec<_>>());
        }
        let mut found = |values: &Values| {
            let mut fresh = collector.fresh();
            read(values, &mut fresh).map(|()| fresh)
        };
        let mut first = found(&assignment.all_a())?;
        if !assignment.free.is_empty() && first.is_right() {
            together(how, assignment, &mut first, &mut found)?;
            if first.is_right() {
                alone(how, assignment, most, &mut first, ahead, |values| match found(values) {
                    Err(error) if refuses(&error) => Ok(None),
                    read => read.map(|read| Some(read).filter(Collector::is_right)),
                })?;
            }
        }
        collector.absorb(first);
    }
    Ok(())
}

/// The values with which an assignment is read whatever comes of it.
fn of_all(assignment: &Assignment) -> Vec<Values> {
    let mut values = vec![assignment.all_a()];
    values.extend((!assignment.free.is_empty()).then(|| assignment.all_b()));
    values.extend(assignment.free.iter().any(|free| free.optional).then(|| assignment.all_left_out()));
    values
}

/// The second sample of all variables, and none of those that may be left out.
fn together<'p, E>(
    how: &Reading<'_, '_>,
    assignment: &Assignment,
    first: &mut Collector<'p>,
    found: &mut impl FnMut(&Values) -> Result<Collector<'p>, E>,
) -> Result<(), E> {
    let optional = assignment.free.iter().any(|free| free.optional);
    for (left_out, values) in [(false, assignment.all_b()), (true, assignment.all_left_out())] {
        if left_out && !optional {
            continue;
        }
        let second = found(&values)?;
        let changed: Vec<&Free> = assignment.free.iter().filter(|free| !left_out || free.optional).collect();
        if differs(first.images(), second.images()) {
            let value = |free: &Free| Some(free.b.clone()).filter(|_| !left_out);
            let (name, message) = culprit(assignment, &changed, value, first, &second, found)?;
            first.wrong((how.place)(&name, message));
        }
        uncertain(first, &second, &changed, how.place);
        first.absorb(second);
    }
    Ok(())
}

/// Every further sample of each variable, as far as there are not too many. `found` gives nothing for one that is refused.
fn alone<'p, E>(
    how: &Reading<'_, '_>,
    assignment: &Assignment,
    most: usize,
    first: &mut Collector<'p>,
    ahead: &dyn Fn(&[Values]),
    mut found: impl FnMut(&Values) -> Result<Option<Collector<'p>>, E>,
) -> Result<(), E> {
    // Where there is but one, it has been alone.
    let several = assignment.free.len() > 1;
    let mut samples: Vec<(&Free, Option<&str>)> = Vec::new();
    for free in &assignment.free {
        samples.extend(free.more.iter().map(|value| (free, Some(&**value))));
    }
    for free in assignment.free.iter().filter(|free| several && free.alone) {
        samples.extend(free.optional.then_some((free, None)));
        samples.push((free, Some(&free.b)));
    }
    for (at, (free, value)) in samples.iter().take(most).enumerate() {
        if at % AHEAD == 0 {
            let next = samples.iter().take(most).skip(at).take(AHEAD);
            ahead(&next.map(|(free, value)| assignment.only(&free.name, *value)).collect::<Vec<_>>());
        }
        let Some(other) = found(&assignment.only(&free.name, *value))? else { continue };
        if differs(first.images(), other.images()) {
            let message = message(&[&free.name], first.images(), other.images());
            first.wrong((how.place)(&free.name, message));
            return Ok(());
        }
        uncertain(first, &other, &[free], how.place);
        for (reference, text) in only_in(&other, first, &[&free.name]) {
            first.forget_candidate(&reference);
            first.warned((how.place)(&free.name, text));
        }
    }
    if let Some((free, _)) = samples.get(most) {
        let text = format!(
            "of {} values that variable {} and those after it should be tried with, {most} were; give the variables `options`",
            samples.len(),
            free.name
        );
        first.warned((how.place)(&free.name, text));
    }
    Ok(())
}

fn differs(one: &Found, other: &Found) -> bool {
    !one.keys().eq(other.keys())
}

/// The variable that makes the difference, and what to say of it.
fn culprit<'p, E>(
    assignment: &Assignment,
    changed: &[&Free],
    value: impl Fn(&Free) -> Option<String>,
    first: &Collector<'p>,
    second: &Collector<'p>,
    found: &mut impl FnMut(&Values) -> Result<Collector<'p>, E>,
) -> Result<(String, String), E> {
    for free in changed {
        let other = found(&assignment.only(&free.name, value(free).as_deref()))?;
        if differs(first.images(), other.images()) {
            return Ok((free.name.clone(), message(&[&free.name], first.images(), other.images())));
        }
    }
    // Only together.
    let names: Vec<&str> = changed.iter().map(|free| &*free.name).collect();
    Ok((names[0].to_owned(), message(&names, first.images(), second.images())))
}

fn message(names: &[&str], one: &Found, other: &Found) -> String {
    let only = |here: &Found, there: &Found| -> Vec<(String, Reason)> {
        let gone = here.iter().filter(|(reference, _)| !there.contains_key(reference));
        gone.filter_map(|(reference, reasons)| Some((reference.to_string(), reasons.first()?.clone()))).collect()
    };
    let (one, other) = (only(one, other), only(other, one));
    let at = one.iter().chain(&other).next().map(|(_, reason)| reason.to_string()).unwrap_or_default();
    let shown = match (one.first(), other.first()) {
        (Some((one, _)), Some((other, _))) => format!("such as {one} or {other}"),
        (Some((image, _)), None) | (None, Some((image, _))) => format!("{image}, or none"),
        (None, None) => String::new(),
    };
    let names = names.join(", ");
    format!(
        "variable {names} has no fixed set of values and decides over an image: {at} ({shown}); \
         give it `options`, or `readOnly: true` with a `default`"
    )
}

/// What only looks like an image, and with one sample only, is the sample's doing.
fn uncertain<'p>(
    first: &mut Collector<'p>,
    second: &Collector<'p>,
    changed: &[&Free],
    place: &dyn Fn(&str, String) -> Problem,
) {
    let names: Vec<&str> = changed.iter().map(|free| &*free.name).collect();
    for (reference, text) in only_in(first, second, &names) {
        first.warned(place(names[0], text));
        first.forget_candidate(&reference);
    }
}

/// The candidates of `one` that `other` has not, and what to say of each.
fn only_in(one: &Collector<'_>, other: &Collector<'_>, names: &[&str]) -> Vec<(Reference, String)> {
    let changes = one.candidates().iter().filter(|(reference, _)| !other.candidates().contains_key(*reference));
    let said = changes.map(|(reference, reasons)| {
        let (names, reason) = (names.join(", "), reasons.first().map(ToString::to_string).unwrap_or_default());
        let text =
            format!("a text that looks like an image, such as {reference}, depends on variable {names}: {reason}");
        (reference.clone(), text)
    });
    said.collect()
}
