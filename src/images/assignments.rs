//! Reading something that variables change, with every combination of values that there can be.

use std::collections::BTreeSet;

use super::Reason;
use super::collect::{Collector, Found};
use crate::problem::Problem;
use crate::variables::samples::{Assignment, assignments};
use crate::variables::template::scan;
use crate::variables::{Values, Variable};

/// The variables whose placeholders are in `texts`, in the profile's order.
pub(super) fn used<'v>(variables: &'v [Variable], texts: &[&str]) -> Vec<&'v Variable> {
    let scans: Vec<_> = texts.iter().map(|text| scan(text)).collect();
    let names: BTreeSet<&str> =
        scans.iter().flat_map(|scan| &scan.placeholders).map(|placeholder| &*placeholder.name).collect();
    variables.iter().filter(|variable| names.contains(&*variable.name)).collect()
}

/// Calls `read` with values for `used` and a collector, for every combination of the values that variables with a fixed
/// set have, and takes over what it finds. Every other variable has two samples: where they lead to different images,
/// it is refused, with `place` of the variable and a message.
///
/// # Errors
/// The first that `read` returns.
pub(super) fn under_all<'p, E>(
    used: &[&Variable],
    collector: &mut Collector<'p>,
    place: impl Fn(&str, String) -> Problem,
    mut read: impl FnMut(&Values, &mut Collector<'p>) -> Result<(), E>,
) -> Result<(), E> {
    let all = match assignments(used) {
        Ok(all) => all,
        Err(error) => {
            let name = used.first().map(|variable| variable.name.clone()).unwrap_or_default();
            collector.wrong(place(&name, error.to_string()));
            return Ok(());
        }
    };
    for assignment in &all {
        let mut found = |values: &Values| {
            let mut fresh = collector.fresh();
            read(values, &mut fresh).map(|()| fresh)
        };
        let mut first = found(&assignment.all_a())?;
        if !assignment.free.is_empty() && first.is_right() {
            let second = found(&assignment.all_b())?;
            if differs(first.images(), second.images()) {
                let (name, message) = culprit(assignment, &first, &second, &mut found)?;
                first.wrong(place(&name, message));
            }
            uncertain(&mut first, &second, assignment, &place);
            first.absorb(second);
        }
        collector.absorb(first);
    }
    Ok(())
}

fn differs(one: &Found, other: &Found) -> bool {
    !one.keys().eq(other.keys())
}

/// The variable that makes the difference, and what to say of it.
fn culprit<'p, E>(
    assignment: &Assignment,
    first: &Collector<'p>,
    second: &Collector<'p>,
    found: &mut impl FnMut(&Values) -> Result<Collector<'p>, E>,
) -> Result<(String, String), E> {
    for free in &assignment.free {
        let other = found(&assignment.only_b(&free.name))?;
        if differs(first.images(), other.images()) {
            return Ok((free.name.clone(), message(&[&free.name], first.images(), other.images())));
        }
    }
    // Only together.
    let names: Vec<&str> = assignment.free.iter().map(|free| &*free.name).collect();
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
    assignment: &Assignment,
    place: &impl Fn(&str, String) -> Problem,
) {
    let changes = |reference: &&crate::oci::Reference| !second.candidates().contains_key(*reference);
    let gone: Vec<_> = first.candidates().keys().filter(changes).cloned().collect();
    let names: Vec<&str> = assignment.free.iter().map(|free| &*free.name).collect();
    for reference in gone {
        let reason = first.candidates()[&reference].first().map(ToString::to_string).unwrap_or_default();
        let names = names.join(", ");
        let text =
            format!("a text that looks like an image, such as {reference}, depends on variable {names}: {reason}");
        first.warned(place(&assignment.free[0].name, text));
        first.forget_candidate(&reference);
    }
}
