//! Which value each variable has in one place: given there, kept from before, or the default.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{Values, Variable, value_text};
use crate::problem::{Position, Problem, ProblemList, Problems};
use crate::yaml::{Node, nearest};

/// A value that somebody has given.
#[derive(Clone)]
pub struct Given {
    /// The variable.
    pub name: String,
    /// The value as it was written.
    pub written: Written,
    /// What to show as its place: `--set`, or the site file.
    pub file: PathBuf,
    /// Where in that file.
    pub at: Option<Position>,
}

/// How a value was written.
#[derive(Clone)]
pub enum Written {
    /// As text of any format.
    Text(String),
    /// In YAML, where a text is not a number.
    Yaml(Node),
}

/// What is known about the values of variables.
#[derive(Clone, Copy)]
pub struct Known<'k> {
    /// What the bundle declares.
    pub declared: &'k [Variable],
    /// Given on the command line; these come first.
    pub set: &'k [Given],
    /// Given in the site file.
    pub site: &'k [Given],
    /// What the host has been installed with before.
    pub installed: &'k Installed,
    /// What to show as the place of a value that is missing: the bundle.
    pub bundle: &'k Path,
}

/// What the variables were when the host was installed before, by name.
pub type Installed = BTreeMap<String, InstalledValue>;

/// What one variable was.
#[derive(Clone, PartialEq, Eq)]
pub enum InstalledValue {
    /// This value.
    Value {
        /// The value.
        value: String,
        /// Whether it was the default at that time.
        default: bool,
        /// Whether it stands in a receipt, since it was not sensitive.
        plain: bool,
    },
    /// A value that cannot be read any more, and why.
    Lost(String),
}

/// Asks a person for the value of a variable; no answer where there is none.
pub type Ask<'a> = &'a mut dyn FnMut(&Variable) -> Option<String>;

/// The value of each variable that has one. What is missing is asked for once all else is right.
///
/// # Errors
/// Everything that is wrong, with sensitive values masked.
pub fn resolve(known: Known<'_>, ask: Option<Ask<'_>>) -> Result<Values, Problems> {
    let mut resolver = Resolver { known, problems: ProblemList::default() };
    resolver.strangers();
    let (mut values, mut missing) = (Values::new(), Vec::new());
    for variable in known.declared {
        match resolver.value(variable) {
            Found::Value(value) => drop(values.insert(variable.name.clone(), value)),
            Found::Missing => missing.push(variable),
            Found::Nothing => {}
        }
    }
    if let Some(ask) = ask.filter(|_| resolver.problems.is_empty() && missing.iter().all(|variable| !variable.hidden)) {
        missing.retain(|variable| match ask(variable).map(|answer| variable.accept(&answer)) {
            Some(Ok(value)) => {
                values.insert(variable.name.clone(), value);
                false
            }
            Some(Err(message)) => {
                resolver.problems.add(|| Problem::with_file(known.bundle, message));
                false
            }
            None => true,
        });
    }
    for variable in missing {
        resolver.problems.add(|| Problem::with_file(known.bundle, missing_value(variable)));
    }
    if resolver.problems.is_empty() { Ok(values) } else { Err(Problems::Found(resolver.problems.into_vec())) }
}

/// What one variable comes to.
enum Found {
    Value(String),
    /// It has to have one, and somebody may still say it.
    Missing,
    /// It has none and needs none, or what is wrong with it has been told.
    Nothing,
}

struct Resolver<'k> {
    known: Known<'k>,
    problems: ProblemList,
}

impl Resolver<'_> {
    fn wrong(&mut self, given: &Given, message: String) {
        // The line is not shown: it may have a sensitive value in it.
        let (file, position) = (given.file.clone(), given.at);
        self.problems.add(|| Problem { file, position, line: None, message });
    }

    /// Values for variables that nobody has declared.
    fn strangers(&mut self) {
        let names: Vec<&str> = self.known.declared.iter().map(|variable| &*variable.name).collect();
        for given in self.known.set.iter().chain(self.known.site) {
            if names.contains(&&*given.name) {
                continue;
            }
            let hint = match (nearest(&given.name, &names), &names[..]) {
                (Some(name), _) => format!("; did you mean {name}?"),
                (None, []) => "; it has no variables".to_owned(),
                (None, names) => format!("; it has {}", names.join(", ")),
            };
            self.wrong(given, format!("variable {} is not in this bundle{hint}", given.name));
        }
    }

    fn value(&mut self, variable: &Variable) -> Found {
        let mut chosen: Option<(&Given, String)> = None;
        let mut wrong = false;
        for given in self.known.set.iter().chain(self.known.site).filter(|given| given.name == variable.name) {
            if variable.read_only {
                wrong = true;
                self.wrong(given, format!("variable {} is read-only: it cannot be set", variable.name));
                continue;
            }
            let text = match &given.written {
                Written::Text(text) => Ok(text.clone()),
                Written::Yaml(node) => {
                    value_text(node, variable.format).map_err(|message| format!("variable {} {message}", variable.name))
                }
            };
            match text.and_then(|text| variable.accept(&text)) {
                Ok(value) => chosen = chosen.or(Some((given, value))),
                Err(message) => {
                    wrong = true;
                    self.wrong(given, message);
                }
            }
        }
        if wrong {
            return Found::Nothing;
        }
        let (installed, was_default) = match self.known.installed.get(&variable.name) {
            Some(InstalledValue::Lost(why)) if chosen.is_none() && !variable.read_only => {
                let message = format!("variable {}: {why}; give it again {}", variable.name, how(variable));
                self.problems.add(|| Problem::with_file(self.known.bundle, message));
                return Found::Nothing;
            }
            Some(InstalledValue::Value { value, default, .. }) => (Some(value), *default),
            Some(InstalledValue::Lost(_)) | None => (None, false),
        };
        // What nobody has chosen gives way where it does not fit any more.
        let gives_way = |value: &&String| was_default && !variable.immutable && variable.accept(value).is_err();
        let installed = installed.filter(|value| !gives_way(value));
        if let (Some(installed), Some(other)) = (installed, other(variable, chosen.as_ref(), installed)) {
            let message = format!(
                "variable {} is immutable: this host has {} and would get {}",
                variable.name,
                variable.shown(installed),
                variable.shown(&other)
            );
            match chosen {
                Some((given, _)) => self.wrong(given, message),
                None => self.problems.add(|| Problem::with_file(self.known.bundle, message)),
            }
            return Found::Nothing;
        }
        match (chosen, installed.filter(|_| !variable.read_only)) {
            (Some((_, value)), _) => Found::Value(value),
            (None, Some(installed)) => match variable.accept(installed) {
                Ok(value) => Found::Value(value),
                Err(message) => {
                    let message = format!("{message}; that is what this host has, give another");
                    self.problems.add(|| Problem::with_file(self.known.bundle, message));
                    Found::Nothing
                }
            },
            (None, None) => match &variable.default {
                Some(default) => Found::Value(default.clone()),
                None if variable.required => Found::Missing,
                None => Found::Nothing,
            },
        }
    }
}

/// What an immutable variable would change to.
fn other(variable: &Variable, chosen: Option<&(&Given, String)>, installed: Option<&String>) -> Option<String> {
    let next = match chosen {
        Some((_, value)) => Some(value),
        None => variable.default.as_ref().filter(|_| variable.read_only),
    };
    next.filter(|next| variable.immutable && installed != Some(*next)).cloned()
}

fn missing_value(variable: &Variable) -> String {
    let Variable { name, description, .. } = variable;
    let what = if description.is_empty() { String::new() } else { format!(" ({description})") };
    format!("variable {name}{what} has no value; give {} {}", variable.expected(), how(variable))
}

fn how(variable: &Variable) -> String {
    if variable.sensitive {
        "in a site file: --site FILE".to_owned()
    } else {
        format!("with --set {}=VALUE or --site FILE", variable.name)
    }
}

#[cfg(test)]
mod tests;
