//! Values to try a profile with before anybody has given any: all of a fixed set, and some of any other, of which two are
//! like nothing else.

mod generate;
mod usual;

use std::collections::{BTreeMap, BTreeSet};

use super::{Format, Values, Variable};
use usual::usual;

/// Combinations of fixed sets that are tried.
const MAX_COMBINATIONS: usize = 256;

/// One combination of the values that variables with a fixed set have, and samples of every other variable.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Assignment {
    /// The combination. A variable that may be left out, and is in this one, is not in it.
    pub fixed: Values,
    /// The others, the same in all combinations.
    pub free: Vec<Free>,
}

/// Samples of a variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Free {
    /// The variable.
    pub name: String,
    /// One value: its default, where it has one.
    pub a: String,
    /// Another.
    pub b: String,
    /// Whether it may be left out.
    pub optional: bool,
    /// More values, which something may be compared with; in the order of their worth.
    pub more: Vec<String>,
    /// Whether it is worth trying by itself: something may depend on it that shows with certain values of others only.
    pub alone: bool,
}

impl Assignment {
    /// The combination with the first sample of all others.
    pub fn all_a(&self) -> Values {
        self.values(|free| Some(&free.a))
    }

    /// The combination with the second sample of all others.
    pub fn all_b(&self) -> Values {
        self.values(|free| Some(&free.b))
    }

    /// The combination without the others that may be left out.
    pub fn all_left_out(&self) -> Values {
        self.values(|free| Some(&free.a).filter(|_| !free.optional))
    }

    /// The combination with `value` for `name`, which is left out where there is none, and the first sample of all others.
    pub fn only(&self, name: &str, value: Option<&str>) -> Values {
        let mut values = self.all_a();
        match value {
            Some(value) => drop(values.insert(name.to_owned(), value.to_owned())),
            None => drop(values.remove(name)),
        }
        values
    }

    fn values<'f>(&'f self, value: impl Fn(&'f Free) -> Option<&'f String>) -> Values {
        let mut values = self.fixed.clone();
        values.extend(self.free.iter().filter_map(|free| Some((free.name.clone(), value(free)?.clone()))));
        values
    }
}

/// What may be compared with the values of variables.
#[derive(Debug, Clone, Default)]
pub struct Around {
    /// Texts that no sample may be like, such as the defaults of placeholders.
    pub taken: BTreeSet<String>,
    /// Texts and numbers that a variable is compared with, by its name.
    pub compared: BTreeMap<String, BTreeSet<String>>,
    /// Variables that may be compared with one another.
    pub alike: BTreeSet<String>,
    /// Variables on which nothing depends but the texts that they are in.
    pub plain: BTreeSet<String>,
}

/// Why no samples can be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SampleError {
    /// Too many combinations.
    #[error("the options of the variables {} make {combinations} combinations, and {MAX_COMBINATIONS} at most are tried", names.join(", "))]
    TooMany {
        /// The variables with a fixed set of more than one value.
        names: Vec<String>,
        /// How many; saturated.
        combinations: usize,
    },
    /// No values that fit could be found.
    #[error("no two values are found that fit variable {name}; give it a `default` that fits, or `options`")]
    NoSample {
        /// The variable.
        name: String,
    },
}

/// Every combination of fixed sets (options, truth values, read-only defaults), with samples of all other variables.
/// There is always at least one. The first two samples of a variable, apart from its default, are like no other's, no
/// default and nothing in `around`, where what it may be allows that.
///
/// # Errors
/// [`SampleError`]
pub fn assignments(used: &[&Variable], around: &Around) -> Result<Vec<Assignment>, SampleError> {
    let mut sets: Vec<(&str, Vec<Option<String>>)> = Vec::new();
    let mut free = Vec::new();
    let mut taken = around.taken.clone();
    taken.extend(around.compared.values().flatten().cloned());
    taken.extend(used.iter().flat_map(|variable| variable.default.iter().chain(&variable.options).cloned()));
    for variable in used {
        if let Some(set) = fixed(variable) {
            sets.push((&variable.name, set));
            continue;
        }
        let optional = may_be_left_out(variable);
        let (a, b) = samples(variable, &taken)?;
        taken.extend(b.iter().chain([&a]).cloned());
        match b {
            None if optional => sets.push((&variable.name, vec![Some(a), None])),
            None => sets.push((&variable.name, vec![Some(a)])),
            Some(b) => {
                let alone = !around.plain.contains(&variable.name);
                let more = if alone { more(variable, around.compared.get(&variable.name), &a) } else { Vec::new() };
                free.push(Free { name: variable.name.clone(), a, b, optional, more, alone });
            }
        }
    }
    same_as_another(&mut free, used, &around.alike);
    let combinations = sets.iter().fold(1_usize, |product, (_, set)| product.saturating_mul(set.len()));
    if combinations > MAX_COMBINATIONS {
        let many = sets.iter().filter(|(_, set)| set.len() > 1);
        return Err(SampleError::TooMany { names: many.map(|(name, _)| (*name).to_owned()).collect(), combinations });
    }
    let mut all = vec![Assignment { fixed: Values::new(), free }];
    for (name, set) in sets {
        let with = |assignment: &Assignment| {
            let one = |value: &Option<String>| {
                let mut assignment = assignment.clone();
                assignment.fixed.extend(value.clone().map(|value| (name.to_owned(), value)));
                assignment
            };
            set.iter().map(one).collect::<Vec<_>>()
        };
        all = all.iter().flat_map(with).collect();
    }
    Ok(all)
}

/// Whether `variable` has a fixed set of values, so that every image that it may lead to can be brought.
pub fn is_fixed(variable: &Variable) -> bool {
    fixed(variable).is_some()
}

/// All states of a variable with a fixed set, being left out among them.
fn fixed(variable: &Variable) -> Option<Vec<Option<String>>> {
    if variable.read_only {
        return Some(vec![variable.default.clone()]);
    }
    let mut set: Vec<Option<String>> = match variable.format {
        _ if !variable.options.is_empty() => variable.options.iter().cloned().map(Some).collect(),
        Format::Boolean => ["true", "false"].map(|word| Some(word.to_owned())).into(),
        _ => return None,
    };
    if may_be_left_out(variable) {
        set.push(None);
    }
    Some(set)
}

fn may_be_left_out(variable: &Variable) -> bool {
    !variable.required && variable.default.is_none()
}

/// One value and another; only the one where there is no other.
fn samples(variable: &Variable, taken: &BTreeSet<String>) -> Result<(String, Option<String>), SampleError> {
    let pattern = variable.regex.as_deref().and_then(generate::Pattern::new);
    let only = pattern.as_ref().is_some_and(generate::Pattern::is_literal);
    let made = pattern.iter().flat_map(generate::Pattern::texts);
    let fit = variable.fitting();
    // What is like something else is better than nothing.
    let (mut found, mut like): (Vec<String>, Vec<String>) = Default::default();
    let first = variable.default.iter().filter_map(|text| fit(text).ok());
    found.extend(first);
    for text in usual(variable.format).chain(made) {
        let Ok(value) = fit(&text) else { continue };
        match taken.contains(&value) {
            true if like.len() < 2 && !like.contains(&value) && !found.contains(&value) => like.push(value),
            false if !found.contains(&value) => found.push(value),
            _ => {}
        }
        if found.len() >= 2 {
            break;
        }
    }
    let mut found = found.into_iter().chain(like);
    match (found.next(), found.next()) {
        (Some(a), Some(b)) => Ok((a, Some(b))),
        (Some(a), None) if only || may_be_left_out(variable) => Ok((a, None)),
        _ => Err(SampleError::NoSample { name: variable.name.clone() }),
    }
}

/// Samples of variables that may be compared with one another are the same, too.
fn same_as_another(free: &mut [Free], used: &[&Variable], alike: &BTreeSet<String>) {
    let others: Vec<(String, String)> = free.iter().map(|one| (one.name.clone(), one.a.clone())).collect();
    for one in free.iter_mut().filter(|one| alike.contains(&one.name)) {
        let Some(variable) = used.iter().find(|variable| variable.name == one.name) else { continue };
        for (name, a) in others.iter().filter(|(name, _)| alike.contains(name)) {
            let value = variable.fit(a).ok().filter(|value| *name != one.name && *value != one.a);
            one.more.extend(value.filter(|value| !one.more.contains(value)));
        }
    }
}

/// Values that something may be compared with: what it is compared with, as far as that is known, and what is nothing.
fn more(variable: &Variable, compared: Option<&BTreeSet<String>>, a: &str) -> Vec<String> {
    let mut texts: Vec<String> = Vec::new();
    for text in compared.into_iter().flatten() {
        texts.push(text.clone());
        // On both sides of a limit.
        if let Ok(number) = text.parse::<i64>() {
            texts.extend([number.saturating_sub(1), number.saturating_add(1)].map(|number| number.to_string()));
        }
    }
    let nothing: &[&str] = if variable.format == Format::Number { &["0", "1"] } else { &[""] };
    texts.extend(nothing.iter().map(|text| (*text).to_owned()));
    let fit = variable.fitting();
    let mut found: Vec<String> = Vec::new();
    for value in texts.iter().filter_map(|text| fit(text).ok()) {
        if value != a && !found.contains(&value) {
            found.push(value);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn variable(name: &str) -> Variable {
        Variable { name: name.to_owned(), required: true, ..Variable::default() }
    }

    fn of(used: &[&Variable]) -> Result<Vec<Assignment>, SampleError> {
        assignments(used, &Around::default())
    }

    fn texts(list: &[&str]) -> Vec<String> {
        list.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn fixed_sets_are_tried_in_every_combination() {
        let options = Variable { options: texts(&["x", "y"]), ..variable("o") };
        let left_out = Variable { required: false, format: Format::Boolean, ..variable("b") };
        let constant = Variable { required: false, read_only: true, default: Some("c".to_owned()), ..variable("r") };
        let free = variable("f");
        let all = of(&[&options, &left_out, &constant, &free]).unwrap();
        let shown: Vec<String> = all
            .iter()
            .map(|one| one.fixed.iter().map(|(name, value)| format!("{name}={value} ")).collect::<String>())
            .collect();
        assert_eq!(
            shown,
            ["b=true o=x r=c ", "b=false o=x r=c ", "o=x r=c ", "b=true o=y r=c ", "b=false o=y r=c ", "o=y r=c "]
        );
        assert_eq!(all[0].all_a()["f"], "sample-a");
        assert_eq!(all[0].all_b()["f"], "sample-b");
        assert_eq!(all[0].only("f", Some("x"))["f"], "x");
        assert_eq!(of(&[]).unwrap(), [Assignment::default()]);
        let many: Vec<Variable> =
            (0..9).map(|index| Variable { format: Format::Boolean, ..variable(&format!("b{index}")) }).collect();
        let error = of(&many.iter().collect::<Vec<_>>()).unwrap_err();
        let names = "b0, b1, b2, b3, b4, b5, b6, b7, b8";
        assert_eq!(
            error.to_string(),
            format!("the options of the variables {names} make 512 combinations, and 256 at most are tried")
        );
    }

    #[test]
    fn every_other_variable_gives_two_values_that_fit() {
        for (_, format) in Format::WORDS.iter().filter(|(_, format)| *format != Format::Boolean) {
            let one = Variable { format: *format, ..variable("x") };
            let all = of(&[&one]).unwrap();
            let (a, b) = (all[0].free[0].a.clone(), all[0].free[0].b.clone());
            assert!(a != b && one.fit(&a).as_ref() == Ok(&a) && one.fit(&b).as_ref() == Ok(&b), "{format:?}");
        }
        let with_default =
            Variable { required: false, default: Some("v9.9.9".to_owned()), format: Format::Version, ..variable("x") };
        assert_eq!(of(&[&with_default]).unwrap()[0].all_a()["x"], "v9.9.9");
        let left_out = Variable { required: false, ..variable("x") };
        let all = of(&[&left_out]).unwrap();
        assert_eq!((all[0].all_b().len(), all[0].all_left_out().len()), (1, 0));
    }

    #[test]
    fn samples_are_like_nothing_else() {
        let version = Variable { required: false, format: Format::Version, ..variable("v") };
        let around = Around { taken: BTreeSet::from(["1.2.3".to_owned()]), ..Around::default() };
        assert_eq!(assignments(&[&version], &around).unwrap()[0].free[0].a, "4.5.6", "an inline default");
        let default = Variable { required: false, default: Some("sample-a".to_owned()), ..variable("d") };
        let option = Variable { options: texts(&["sample-b"]), ..variable("o") };
        let all = of(&[&variable("x"), &default, &option, &variable("y")]).unwrap();
        let pairs: Vec<(&str, &str)> = all[0].free.iter().map(|free| (&*free.a, &*free.b)).collect();
        assert_eq!(pairs, [("sample-c", "sample-d"), ("sample-a", "sample-e"), ("sample-f", "sample-g")]);
        let narrow = |name| Variable { regex: Some("[ab]".to_owned()), ..variable(name) };
        let all = of(&[&narrow("x"), &narrow("y")]).unwrap();
        assert!(all[0].free.iter().all(|free| (&*free.a, &*free.b) == ("a", "b")), "there is nothing else: {all:?}");
    }

    #[test]
    fn what_a_variable_is_compared_with_is_tried() {
        let number = Variable { format: Format::Number, default: Some("3".to_owned()), ..variable("n") };
        let text = Variable { regex: Some("[a-z]*".to_owned()), ..variable("t") };
        let compared = [("n", texts(&["2", "x"])), ("t", texts(&["ha", "HA"]))];
        let compared = compared.map(|(name, list)| (name.to_owned(), list.into_iter().collect()));
        let around = Around { compared: compared.into(), ..Around::default() };
        let all = assignments(&[&number, &text], &around).unwrap();
        assert_eq!((&all[0].free[0].more, &all[0].free[1].more), (&texts(&["2", "1", "0"]), &texts(&["ha", ""])));
        assert_eq!(of(&[&number]).unwrap()[0].free[0].more, texts(&["0", "1"]));
    }

    #[test]
    fn a_variable_on_which_nothing_depends_is_not_tried_by_itself() {
        let around = Around { plain: ["d".to_owned()].into(), ..Around::default() };
        let all = assignments(&[&variable("d"), &variable("x")], &around).unwrap();
        let tried: Vec<(bool, usize)> = all[0].free.iter().map(|free| (free.alone, free.more.len())).collect();
        assert_eq!(tried, [(false, 0), (true, 1)]);
    }

    #[test]
    fn a_pattern_of_one_text_is_a_fixed_set() {
        let one = Variable { regex: Some("shop".to_owned()), ..variable("x") };
        let all = of(&[&one]).unwrap();
        assert_eq!((all[0].free.len(), all[0].all_a()["x"].as_str()), (0, "shop"));
        let none = Variable { format: Format::Number, regex: Some("[a-z]".to_owned()), ..variable("x") };
        let error = of(&[&none]).unwrap_err().to_string();
        assert_eq!(error, "no two values are found that fit variable x; give it a `default` that fits, or `options`");
    }

    #[test]
    fn patterns_that_people_write_have_samples() {
        for (format, pattern) in [
            (Format::String, r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"),
            (Format::String, r"^(([0-9]|[1-9][0-9]|1[0-9]{2}|2[0-4][0-9]|25[0-5])\.){3}(25[0-5]|[0-9])$"),
            (Format::String, r"(?i)store-\d{4}"),
            (Format::String, r"[A-Z][A-Z0-9_]{7,}"),
            (Format::String, r"\S+@\S+\.[a-z]{2,}"),
            (Format::String, r"[[:alpha:]][\w\s]{0,3}(red|green|blue)\b"),
            (Format::String, r"^(?:[0-9a-f]{2}:){5}[0-9a-f]{2}$"),
            (Format::String, r"[^a-z]{3}"),
            (Format::String, "(a{0,100}){0,100}b"),
            (Format::String, "((){9}){9}b?"),
            (Format::Number, r"[1-9][0-9]{3}"),
            (Format::Number, r"[0-9]{1,4}"),
            (Format::Ipv4, r"10\.0\.0\.\d+"),
            (Format::Ipv4Cidr, r"10\.\d+\.0\.0/16"),
            (Format::Version, r"v?1\.3[0-9]\.\d+"),
        ] {
            let one = Variable { format, regex: Some(pattern.to_owned()), ..variable("x") };
            let all = of(&[&one]).unwrap_or_else(|error| panic!("{pattern}: {error}"));
            assert!(all[0].all_a() != all[0].all_b(), "{pattern}");
        }
    }

    proptest! {
        #[test]
        fn samples_fit_whatever_the_pattern(pattern in "([ab0-9.*+?|()\\[\\]{},^$\\\\dwsb-]){0,12}") {
            let one = Variable { regex: Some(pattern), ..variable("x") };
            if let Ok(all) = of(&[&one]) {
                for value in all[0].free.iter().flat_map(|free| [&free.a, &free.b].into_iter().chain(&free.more)) {
                    let fit = one.fit(value);
                    prop_assert_eq!(fit.as_ref(), Ok(value));
                }
            }
        }
    }
}
