//! Putting values in the place of placeholders.

use std::ops::Range;

use super::spelling::Spelling;
use super::{Around, Placeholder, protect, yaml};
use crate::variables::{Values, Variable};
use crate::yaml::Mistake;

/// A text with its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filled {
    /// The text.
    pub text: String,
    /// Where values stand in it, in its order.
    pub puts: Vec<Put>,
}

/// Where a value stands in a filled text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Put {
    /// The variable.
    pub name: String,
    /// The bytes of its value.
    pub bytes: Range<usize>,
    /// How it is spelled there.
    pub spelling: Spelling,
}

/// What goes to one placeholder.
pub(super) struct Chosen<'v> {
    pub(super) variable: &'v Variable,
    pub(super) value: String,
}

/// Puts `values` into `text`. A variable without a value has its default, or else that of the placeholder.
///
/// # Errors
/// Every placeholder that cannot be filled, and what begins as a placeholder and is none. No value is in a message.
pub fn fill(text: &str, around: Around, values: &Values, variables: &[Variable]) -> Result<String, Vec<Mistake>> {
    fill_and_tell(text, around, values, variables).map(|filled| filled.text)
}

/// The same, with where the values stand.
///
/// # Errors
/// As [`fill`].
pub fn fill_and_tell(
    text: &str,
    around: Around,
    values: &Values,
    variables: &[Variable],
) -> Result<Filled, Vec<Mistake>> {
    let protected = protect(text)?;
    if protected.placeholders().is_empty() {
        return Ok(Filled { text: text.to_owned(), puts: Vec::new() });
    }
    let choose = |one: &Placeholder| choose(one, values, variables);
    if around == Around::Yaml {
        return yaml::fill(&protected, choose);
    }
    let (mut filled, mut from, mut mistakes) = (Filled { text: String::new(), puts: Vec::new() }, 0, Vec::new());
    for one in protected.placeholders() {
        filled.text.push_str(&text[from..one.bytes.start]);
        from = one.bytes.end;
        match choose(one) {
            Err(message) => mistakes.push(Mistake { at: one.at, message }),
            Ok(Chosen { value, .. }) => {
                let bytes = filled.text.len()..filled.text.len() + value.len();
                filled.puts.push(Put { name: one.name.clone(), bytes, spelling: Spelling::AsIs });
                filled.text.push_str(&value);
            }
        }
    }
    filled.text.push_str(&text[from..]);
    if mistakes.is_empty() { Ok(filled) } else { Err(mistakes) }
}

/// What is wrong with the placeholders of `text` whatever values there will be: variables that are not declared, places
/// that would be left without a value, defaults that do not fit, and places where none can stand.
pub fn check(text: &str, around: Around, variables: &[Variable]) -> Vec<Mistake> {
    let protected = match protect(text) {
        Ok(protected) => protected,
        Err(mistakes) => return mistakes,
    };
    let (used, mut mistakes) = match around {
        Around::Plain => (protected.placeholders().iter().collect(), Vec::new()),
        Around::Yaml => yaml::used(&protected),
    };
    for one in used {
        let problem = declared(one, variables).and_then(|variable| {
            let always = variable.required || variable.default.is_some() || one.default.is_some();
            let fits = one.default.as_deref().map_or(Ok(()), |text| default_of(one, variable, text).map(drop));
            if always { fits } else { Err(without_value(one)) }
        });
        mistakes.extend(problem.err().map(|message| Mistake { at: one.at, message }));
    }
    mistakes
}

fn choose<'v>(one: &Placeholder, values: &Values, variables: &'v [Variable]) -> Result<Chosen<'v>, String> {
    let variable = declared(one, variables)?;
    let value = values.get(&one.name).or(variable.default.as_ref()).cloned();
    let value = match (value, &one.default) {
        (Some(value), _) => value,
        (None, Some(text)) => default_of(one, variable, text)?,
        (None, None) => return Err(without_value(one)),
    };
    Ok(Chosen { variable, value })
}

fn declared<'v>(one: &Placeholder, variables: &'v [Variable]) -> Result<&'v Variable, String> {
    let declared = variables.iter().find(|variable| variable.name == one.name);
    declared.ok_or_else(|| format!("variable {} is not declared; declare it under `variables`", one.name))
}

fn default_of(one: &Placeholder, variable: &Variable, text: &str) -> Result<String, String> {
    variable
        .fit(text)
        .map_err(|expected| format!("variable {} has the default {text:?} here, expected {expected}", one.name))
}

fn without_value(one: &Placeholder) -> String {
    let name = &one.name;
    format!(
        "variable {name} may have no value; make it `required`, give it a `default`, or write {{{{.carrack.var.{name} | default \"text\"}}}}"
    )
}
