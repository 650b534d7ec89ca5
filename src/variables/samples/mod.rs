//! Values to try a profile with before anybody has given any: all of a fixed set, two of any other.

mod generate;

use super::{Format, Values, Variable};

/// Combinations of fixed sets that are tried.
const MAX_COMBINATIONS: usize = 256;

/// One combination of the values that variables with a fixed set have, and two samples of every other variable.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Assignment {
    /// The combination. A variable that may be left out, and is in this one, is not in it.
    pub fixed: Values,
    /// The others, the same in all combinations.
    pub free: Vec<Free>,
}

/// Two samples of a variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Free {
    /// The variable.
    pub name: String,
    /// One value: its default, where it has one.
    pub a: String,
    /// Another; nothing for a variable that may be left out, which is then left out.
    pub b: Option<String>,
}

impl Assignment {
    /// The combination with the first sample of all others.
    pub fn all_a(&self) -> Values {
        self.values(|_| false)
    }

    /// The combination with the second sample of all others.
    pub fn all_b(&self) -> Values {
        self.values(|_| true)
    }

    /// The combination with the second sample of `name`, and the first of all others.
    pub fn only_b(&self, name: &str) -> Values {
        self.values(|free| free.name == name)
    }

    fn values(&self, second: impl Fn(&Free) -> bool) -> Values {
        let mut values = self.fixed.clone();
        for free in &self.free {
            let value = if second(free) { free.b.clone() } else { Some(free.a.clone()) };
            values.extend(value.map(|value| (free.name.clone(), value)));
        }
        values
    }
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
/// There is always at least one.
///
/// # Errors
/// [`SampleError`]
pub fn assignments(used: &[&Variable]) -> Result<Vec<Assignment>, SampleError> {
    let mut sets: Vec<(&str, Vec<Option<String>>)> = Vec::new();
    let mut free = Vec::new();
    for variable in used {
        match fixed(variable) {
            Some(set) => sets.push((&variable.name, set)),
            None => match samples(variable)? {
                (only, None) => sets.push((&variable.name, vec![Some(only)])),
                (a, Some(b)) => free.push(Free { name: variable.name.clone(), a, b }),
            },
        }
    }
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

/// One value and another, or being left out; only the one where there is no other.
fn samples(variable: &Variable) -> Result<(String, Option<Option<String>>), SampleError> {
    let usual = usual(variable.format).iter().map(|text| (*text).to_owned());
    let pattern = variable.regex.as_deref().and_then(generate::Pattern::new);
    let only = pattern.as_ref().is_some_and(generate::Pattern::is_literal);
    let made = pattern.iter().flat_map(generate::Pattern::texts);
    let fit = variable.fitting();
    let mut found: Vec<String> = Vec::new();
    for text in variable.default.iter().cloned().chain(usual).chain(made) {
        if let Ok(value) = fit(&text)
            && !found.contains(&value)
        {
            found.push(value);
        }
        if found.len() == 2 || (found.len() == 1 && may_be_left_out(variable)) {
            break;
        }
    }
    let mut found = found.into_iter();
    match (found.next(), found.next()) {
        (Some(a), _) if may_be_left_out(variable) => Ok((a, Some(None))),
        (Some(a), Some(b)) => Ok((a, Some(Some(b)))),
        (Some(a), None) if only => Ok((a, None)),
        _ => Err(SampleError::NoSample { name: variable.name.clone() }),
    }
}

/// Values that most variables of a format may have: documentation's addresses, and words that are no image's.
fn usual(format: Format) -> &'static [&'static str] {
    match format {
        Format::String => &["sample-a", "sample-b", "a", "b"],
        Format::Number => &["42", "7", "1", "2", "100", "8080", "0.5"],
        Format::Boolean => &["true", "false"],
        Format::Ipv4 => &["192.0.2.10", "192.0.2.20"],
        Format::Ipv4Cidr => &["192.0.2.0/24", "198.51.100.0/24"],
        Format::Ipv6 => &["2001:db8::10", "2001:db8::20"],
        Format::Version => &["1.2.3", "4.5.6", "v1.2.3", "v4.5.6"],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn variable(name: &str) -> Variable {
        Variable { name: name.to_owned(), required: true, ..Variable::default() }
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
        let all = assignments(&[&options, &left_out, &constant, &free]).unwrap();
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
        assert_eq!(all[0].only_b("other")["f"], "sample-a");
        assert_eq!(assignments(&[]).unwrap(), [Assignment::default()]);
        let many: Vec<Variable> =
            (0..9).map(|index| Variable { format: Format::Boolean, ..variable(&format!("b{index}")) }).collect();
        let error = assignments(&many.iter().collect::<Vec<_>>()).unwrap_err();
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
            let all = assignments(&[&one]).unwrap();
            let (a, b) = (all[0].free[0].a.clone(), all[0].free[0].b.clone().unwrap());
            assert!(a != b && one.fit(&a).as_ref() == Ok(&a) && one.fit(&b).as_ref() == Ok(&b), "{format:?}");
        }
        let with_default =
            Variable { required: false, default: Some("v9.9.9".to_owned()), format: Format::Version, ..variable("x") };
        assert_eq!(assignments(&[&with_default]).unwrap()[0].all_a()["x"], "v9.9.9");
        let left_out = Variable { required: false, ..variable("x") };
        let all = assignments(&[&left_out]).unwrap();
        assert_eq!((all[0].all_a().len(), all[0].all_b().len()), (1, 0));
    }

    #[test]
    fn a_pattern_of_one_text_is_a_fixed_set() {
        let one = Variable { regex: Some("shop".to_owned()), ..variable("x") };
        let all = assignments(&[&one]).unwrap();
        assert_eq!((all[0].free.len(), all[0].all_a()["x"].as_str()), (0, "shop"));
        let none = Variable { format: Format::Number, regex: Some("[a-z]".to_owned()), ..variable("x") };
        let error = assignments(&[&none]).unwrap_err().to_string();
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
            let all = assignments(&[&one]).unwrap_or_else(|error| panic!("{pattern}: {error}"));
            assert!(all[0].all_a() != all[0].all_b(), "{pattern}");
        }
    }

    proptest! {
        #[test]
        fn samples_fit_whatever_the_pattern(pattern in "([ab0-9.*+?|()\\[\\]{},^$\\\\dwsb-]){0,12}") {
            let one = Variable { regex: Some(pattern), ..variable("x") };
            if let Ok(all) = assignments(&[&one]) {
                for value in all[0].free.iter().flat_map(|free| [Some(&free.a), free.b.as_ref()]).flatten() {
                    let fit = one.fit(value);
                    prop_assert_eq!(fit.as_ref(), Ok(value));
                }
            }
        }
    }
}
