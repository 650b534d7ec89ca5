//! Variables as people declare them.

use super::{Format, Variable, is_name};
use crate::problem::Report;
use crate::text;
use crate::yaml::{Fields, Kind, Node};

/// The fields of a variable.
pub const FIELDS: &[&str] = &[
    "name",
    "description",
    "format",
    "required",
    "default",
    "regex",
    "options",
    "hidden",
    "readOnly",
    "sensitive",
    "immutable",
];

/// The variable that an item of `variables` declares, or nothing where it has no right name or format. Both ways,
/// `report` has all that is wrong with it.
pub fn decode(node: &Node, report: &mut Report) -> Option<Variable> {
    let fields = Fields::open(node, "a variable", FIELDS, &[], report)?;
    let name = fields.required_text("name", report);
    if let Some(name) = name.filter(|name| !is_name(name)) {
        let message = format!(
            "a variable's `name` is {name:?}, expected a letter or `_`, then letters, digits and `_`, 64 at most"
        );
        report.add(fields.value_at("name"), message);
    }
    let format = format(fields, report);
    let description = text::folded(fields.optional_text("description", report).unwrap_or_default());
    let regex = fields.optional_text("regex", report).map(str::to_owned);
    let (required, hidden) = (fields.flag("required", report), fields.flag("hidden", report));
    let (read_only, sensitive) = (fields.flag("readOnly", report), fields.flag("sensitive", report));
    let immutable = fields.flag("immutable", report);
    let (name, format) = (name.filter(|name| is_name(name))?, format?);
    let default = fields.optional("default", report);
    let told = |text: Result<String, String>, what: &str, node: &Node, report: &mut Report| {
        text.map_err(|message| report.add(node.at, format!("{what} {message}"))).ok()
    };
    let default_text = default.and_then(|node| told(value_text(node, format), "`default`", node, report));
    let list = fields.list("options", report);
    if list.is_empty() && fields.optional("options", report).is_some_and(|node| node.scalar().is_none()) {
        report.add(fields.value_at("options"), "`options` is empty; leave it out where any value will do");
    }
    let options = list.iter().filter_map(|node| told(value_text(node, format), "an item of `options`", node, report));
    let options = options.collect();
    let name = name.to_owned();
    let mut variable = Variable {
        name,
        description,
        format,
        required,
        default: default_text,
        regex,
        options,
        hidden,
        read_only,
        sensitive,
        immutable,
    };
    for (field, message) in variable.settle() {
        // A default that is there and has been told of is not missing.
        if !(field == "readOnly" && default.is_some()) {
            report.add(fields.value_at(field), message);
        }
    }
    Some(variable)
}

fn format(fields: Fields<'_>, report: &mut Report) -> Option<Format> {
    if fields.optional("format", report).is_none() {
        return Some(Format::String);
    }
    let text = fields.optional_text("format", report)?;
    let found = Format::WORDS.iter().find(|(word, _)| *word == text).map(|(_, format)| *format);
    if found.is_none() {
        let words: Vec<String> = Format::WORDS.iter().map(|(word, _)| format!("`{word}`")).collect();
        report.add(fields.value_at("format"), format!("`format` is {text:?}, expected {}", words.join(", ")));
    }
    found
}

/// The text of a value that was written in YAML for a variable of `format`: numbers and truth values may stand without
/// quotes where the format has them, all else is text.
///
/// # Errors
/// What is wrong, to follow the name of the place; it does not repeat the value.
pub fn value_text(node: &Node, format: Format) -> Result<String, String> {
    let Some(scalar) = node.scalar() else {
        return Err(format!("must be a single value, found {}", node.describe()));
    };
    match (scalar.kind, format) {
        (Kind::Text, _) | (Kind::Int | Kind::Float, Format::Number) => Ok(scalar.text.to_string()),
        (Kind::Bool, Format::Boolean) => Ok(scalar.text.to_lowercase()),
        (Kind::Null, _) => Err("has no value; an empty text is written \"\"".to_owned()),
        (Kind::Int | Kind::Float, _) => Err("must be text, found a number; write it in quotes".to_owned()),
        (Kind::Bool, _) => Err("must be text, found a truth value; write it in quotes".to_owned()),
    }
}
