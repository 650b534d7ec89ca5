//! Whether a declaration makes sense, and whether a value fits it.

use std::collections::BTreeSet;

use regex::{Regex, RegexBuilder};

use super::{Format, Variable, is_name};
use crate::text::{self, shown};

/// Memory that a pattern may take once compiled, in bytes. Bundles bring patterns too.
const MAX_PATTERN: usize = 1 << 20;
/// The most variables that a bundle may declare, and options that one may have.
const MAX_DECLARED: usize = 1000;
/// Longest value in bytes.
const MAX_VALUE: usize = 256 << 10;

/// A pattern that whole values match.
///
/// # Errors
/// Why it is none, in a line.
pub(super) fn pattern(text: &str) -> Result<Regex, String> {
    // Alone first: in the brackets below, `a)(b` would be a pattern.
    compile(text)?;
    compile(&format!(r"\A(?:{text})\z"))
}

fn compile(text: &str) -> Result<Regex, String> {
    let built = RegexBuilder::new(text).size_limit(MAX_PATTERN).build();
    // The library's message draws the place over several lines; the last one says what is wrong.
    built.map_err(|error| {
        let text = error.to_string();
        text.lines().last().unwrap_or_default().trim().trim_start_matches("error: ").to_owned()
    })
}

impl Variable {
    /// The canonical spelling of `value`, where this variable may have it.
    ///
    /// # Errors
    /// The variable, the value (masked where it is sensitive) and what was expected, in a line.
    pub fn accept(&self, value: &str) -> Result<String, String> {
        self.fit(value)
            .map_err(|expected| format!("variable {} is {}, expected {expected}", self.name, self.shown(value)))
    }

    /// As [`Variable::accept`], with an error that only says what was expected.
    pub(super) fn fit(&self, value: &str) -> Result<String, String> {
        self.fitting()(value)
    }

    /// [`Variable::fit`] for many values.
    pub(super) fn fitting(&self) -> impl Fn(&str) -> Result<String, String> {
        let compiled = self.regex.as_deref().map(|text| (text, pattern(text)));
        move |value| {
            if value.len() > MAX_VALUE {
                return Err(format!("at most {} KiB", MAX_VALUE >> 10));
            }
            let value = self.format.canonical(value)?;
            let offered = self.options.is_empty() || self.options.contains(&value);
            let matches =
                |(_, pattern): &(_, Result<Regex, _>)| pattern.as_ref().is_ok_and(|pattern| pattern.is_match(&value));
            if offered && compiled.as_ref().is_none_or(matches) { Ok(value) } else { Err(self.expected()) }
        }
    }

    /// What values of it look like, for people.
    pub fn expected(&self) -> String {
        let options: Vec<String> = self.options.iter().map(|option| format!("{option:?}")).collect();
        match &self.regex {
            _ if !options.is_empty() => format!("one of {}", options.join(", ")),
            Some(text) if self.format == Format::String => format!("text that matches {text}"),
            Some(text) => format!("{} that matches {text}", self.format.example()),
            None => self.format.example().to_owned(),
        }
    }

    /// What contradicts itself in the declaration, a field and a message each. Values are brought to their canonical
    /// spelling.
    pub(super) fn settle(&mut self) -> Vec<(&'static str, String)> {
        let mut wrong = self.unseen();
        if let Some(error) = self.regex.as_deref().and_then(|text| pattern(text).err()) {
            wrong.push(("regex", format!("`regex` is not a pattern: {error}")));
            self.regex = None;
        }
        self.settle_options(&mut wrong);
        if let Some(default) = self.default.take() {
            match self.fit(&default) {
                Ok(value) => self.default = Some(value),
                Err(expected) => wrong.push(("default", format!("`default` is {default:?}, expected {expected}"))),
            }
            if self.required {
                wrong.push((
                    "required",
                    "`required` and `default` contradict each other: with a default, no value has to be given"
                        .to_owned(),
                ));
            }
            if self.sensitive {
                wrong.push((
                    "default",
                    "a sensitive variable has no `default`: everybody who has the bundle could read it".to_owned(),
                ));
            }
        } else if self.read_only && !wrong.iter().any(|(field, _)| *field == "default") {
            wrong.push(("readOnly", "`readOnly` needs a `default`, as nothing else can give a value".to_owned()));
        }
        if self.sensitive && !self.options.is_empty() {
            wrong.push((
                "options",
                "a sensitive variable has no `options`: everybody who has the bundle could read them".to_owned(),
            ));
        }
        wrong
    }

    /// Texts of which a person would not see all.
    fn unseen(&self) -> Vec<(&'static str, String)> {
        let described = text::check(&self.description).map_err(|reason| format!("`description` {reason}"));
        let pattern = self.regex.as_deref().map_or(Ok(()), text::check).map_err(|reason| format!("`regex` {reason}"));
        let options = self.options.iter().try_for_each(|option| text::check(option));
        let options = options.map_err(|reason| format!("an option {reason}"));
        // A value may have several lines, and is shown in quotes.
        let default = self.default.as_deref().map_or(Ok(()), text::check_lines);
        let default = default.map_err(|reason| format!("`default` {reason}"));
        let all = [("description", described), ("regex", pattern), ("options", options), ("default", default)];
        all.into_iter().filter_map(|(field, checked)| Some((field, checked.err()?))).collect()
    }

    fn settle_options(&mut self, wrong: &mut Vec<(&'static str, String)>) {
        if self.format == Format::Boolean && !self.options.is_empty() {
            wrong.push(("options", "a boolean has no `options`: it is true or false".to_owned()));
            self.options.clear();
        }
        if self.options.len() > MAX_DECLARED {
            wrong.push(("options", format!("{} options are too many, at most {MAX_DECLARED}", self.options.len())));
            return self.options.clear();
        }
        let (mut settled, mut seen) = (Vec::new(), BTreeSet::new());
        let options = std::mem::take(&mut self.options);
        let fit = self.fitting();
        for option in options {
            match fit(&option) {
                Err(expected) => wrong.push(("options", format!("option {option:?}: expected {expected}"))),
                Ok(value) if !seen.insert(value.clone()) => {
                    wrong.push(("options", format!("option {option:?} is listed twice")));
                }
                Ok(value) => settled.push(value),
            }
        }
        drop(fit);
        self.options = settled;
    }
}

/// Whether `variables` could have been declared so: a bundle may be anybody's.
///
/// # Errors
/// The first that could not, in a line.
pub fn check_declared(variables: &[Variable]) -> Result<(), String> {
    if variables.len() > MAX_DECLARED {
        return Err(format!("{} variables are too many, at most {MAX_DECLARED}", variables.len()));
    }
    for (index, variable) in variables.iter().enumerate() {
        let name = &variable.name;
        if !is_name(name) {
            return Err(format!("{} is no name of a variable", shown(name)));
        }
        if variables[..index].iter().any(|other| other.name == *name) {
            return Err(format!("variable {name} is declared twice"));
        }
        let mut settled = variable.clone();
        if let Some((_, message)) = settled.settle().into_iter().next() {
            return Err(format!("variable {name}: {message}"));
        }
        if settled != *variable {
            return Err(format!("variable {name}: its values are not in their canonical spelling"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn string() -> Variable {
        Variable { name: "x".to_owned(), ..Variable::default() }
    }

    #[test]
    fn a_pattern_speaks_of_the_whole_value() {
        let variable = Variable { regex: Some("[a-z]+|[0-9]".to_owned()), ..string() };
        assert!(variable.accept("shop").is_ok() && variable.accept("7").is_ok());
        assert_eq!(
            variable.accept("shop7").unwrap_err(),
            "variable x is \"shop7\", expected text that matches [a-z]+|[0-9]"
        );
        assert!(variable.accept("shop\n").is_err());
        assert!(pattern("a)(b").is_err() && pattern("(?x) a # b").is_err() && pattern("^a$").is_ok());
        assert!(pattern("(a{1000}){1000}").is_err(), "a pattern of a bundle takes all memory");
    }

    #[test]
    fn a_sensitive_value_is_masked() {
        let variable = Variable { sensitive: true, regex: Some("[0-9]{8}".to_owned()), ..string() };
        let error = variable.accept("canary").unwrap_err();
        assert_eq!(error, "variable x is ••••, expected text that matches [0-9]{8}");
    }

    #[test]
    fn a_bundle_declares_what_a_profile_could() {
        let wrong = |change: fn(&mut Variable)| {
            let mut variable = string();
            change(&mut variable);
            check_declared(&[variable]).unwrap_err()
        };
        assert_eq!(check_declared(&[string()]), Ok(()));
        assert_eq!(check_declared(&[string(), string()]).unwrap_err(), "variable x is declared twice");
        assert_eq!(wrong(|x| x.name = "a b".to_owned()), "\"a b\" is no name of a variable");
        assert!(wrong(|x| x.regex = Some("(".to_owned())).starts_with("variable x: `regex` is not a pattern: "));
        let spelling = wrong(|x| (x.format, x.default) = (Format::Ipv6, Some("::0".to_owned())));
        assert_eq!(spelling, "variable x: its values are not in their canonical spelling");
    }

    #[test]
    fn values_in_a_declaration_get_their_spelling() {
        let (default, options) = (Some("FD00::1".to_owned()), vec!["fd00:0::1".to_owned(), "fd00::2".to_owned()]);
        let mut variable = Variable { format: Format::Ipv6, default, options, ..string() };
        assert_eq!(variable.settle(), []);
        assert_eq!(variable.default.as_deref(), Some("fd00::1"));
        assert_eq!(variable.options, ["fd00::1", "fd00::2"]);
    }
}
