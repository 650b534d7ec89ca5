//! The declaration of a variable, from Palette's fields as far as ours can have them.

use std::path::Path;

use serde_json::Value;

use super::left::{Left, Use, below};
use crate::problem::{Report, Source};
use crate::profile::schema::{Format, Variable};
use crate::variables;
use crate::yaml;

const OPTION: &[(&str, Use)] = &[("value", Use::Text), ("label", Use::Palette), ("description", Use::Palette)];

/// A declaration that gets one field after the other, as far as they fit.
pub(super) struct Draft<'l> {
    pub(super) variable: Variable,
    pub(super) place: &'l str,
    pub(super) path: &'l str,
    pub(super) left: &'l mut Left,
}

impl Draft<'_> {
    /// Changes the declaration, unless it would be wrong then; that is listed as the field's.
    fn with(&mut self, field: &str, change: impl FnOnce(&mut Variable)) {
        let mut changed = self.variable.clone();
        change(&mut changed);
        match decoded(&changed) {
            Ok(_) => self.variable = changed,
            Err(message) => self.out(field, message),
        }
    }

    fn out(&mut self, field: &str, reason: impl Into<String>) {
        self.left.out(self.place, None, &below(self.path, field), reason);
    }

    pub(super) fn format(&mut self, format: Option<&str>) {
        self.variable.format = match format.unwrap_or("string") {
            "string" => None,
            "number" => Some(Format::Number),
            "boolean" => Some(Format::Boolean),
            "ipv4" => Some(Format::Ipv4),
            "ipv4cidr" => Some(Format::Ipv4cidr),
            "ipv6" => Some(Format::Ipv6),
            "version" => Some(Format::Version),
            other => {
                let reason = format!("Carrack has no format {other:?}; any text will do");
                return self.out("format", reason);
            }
        };
    }

    /// Palette's patterns may match a part of a value, ours are for the whole.
    pub(super) fn regex(&mut self, regex: Option<&str>) {
        let Some(regex) = regex else { return };
        let whole = if is_anchored(regex) { regex.to_owned() } else { format!("(?s:.*)(?:{regex})(?s:.*)") };
        self.with("regex", |variable| variable.regex = Some(whole));
    }

    pub(super) fn options(&mut self, options: Option<&Value>) {
        let Some(Value::Array(items)) = options.filter(|options| *options != &Value::Array(Vec::new())) else { return };
        let mut values = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let path = format!("{}.options[{index}]", self.path);
            match item {
                Value::Object(fields) => {
                    self.left.fields(self.place, &path, fields, OPTION);
                    match fields.get("value") {
                        Some(value) => values.push(value.clone()),
                        None => self.left.out(self.place, None, &path, "an option without a value"),
                    }
                }
                other => values.push(other.clone()),
            }
        }
        let values =
            values.into_iter().map(|value| Value::String(value.as_str().map_or(value.to_string(), str::to_owned)));
        if self.variable.sensitive.is_some() {
            return self
                .out("options", "a sensitive variable has no options: everybody who has the bundle could read them");
        }
        self.with("options", |variable| variable.options = Some(values.collect()));
    }

    /// A default that fits makes it needless to require a value.
    pub(super) fn default(&mut self, default: Option<&str>, required: Option<bool>) {
        match default {
            Some(_) if self.variable.sensitive.is_some() => {
                let reason = "a sensitive variable has no default: everybody who has the bundle could read it";
                self.out("defaultValue", reason);
            }
            Some(text) => {
                self.with("defaultValue", |variable| variable.default = Some(Value::String(text.to_owned())));
            }
            None => {}
        }
        if self.variable.default.is_none() {
            self.variable.required = required;
        }
    }

    /// What nobody can change in Palette is called immutable there. With a default, it always has that.
    pub(super) fn fixed(&mut self, immutable: Option<bool>, read_only: Option<bool>) {
        let has_default = self.variable.default.is_some();
        if read_only.is_some() || immutable.is_some() && has_default {
            self.with(if read_only.is_some() { "readOnly" } else { "immutable" }, |variable| {
                variable.read_only = Some(true);
            });
        } else {
            self.variable.immutable = immutable;
        }
    }
}

/// A declaration as it will be read again.
///
/// # Errors
/// What is wrong with it.
pub(super) fn decoded(variable: &Variable) -> Result<variables::Variable, String> {
    let text = yaml::written(variable).map_err(|error| error.to_string())?;
    let parsed = yaml::parse(&text);
    let mut report = Report::new(Source::new(Path::new(""), text));
    let decoded = parsed.documents.first().and_then(|node| variables::decode(node, &mut report));
    match (decoded, report.into_problems().into_iter().next()) {
        (Some(decoded), None) => Ok(decoded),
        (_, problem) => Err(problem.map(|problem| problem.message).unwrap_or_default()),
    }
}

/// Whether `regex` can only match whole texts: it begins with `^`, ends with `$` and offers no alternative to them.
fn is_anchored(regex: &str) -> bool {
    let (mut depth, mut escaped, mut class) = (0_usize, false, false);
    let mut last_is_dollar = false;
    for character in regex.chars() {
        last_is_dollar = character == '$' && !escaped && !class;
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '[' => class = true,
            ']' => class = false,
            '(' if !class => depth += 1,
            ')' if !class => depth = depth.saturating_sub(1),
            '|' if !class && depth == 0 => return false,
            _ => {}
        }
    }
    regex.starts_with('^') && last_is_dollar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_patterns_are_told_from_parts() {
        for (regex, anchored) in
            [("^a$", true), ("^(a|b)$", true), ("^a|b$", false), ("a", false), ("^a\\$", false), ("^[|]$", true)]
        {
            assert_eq!(is_anchored(regex), anchored, "{regex}");
        }
    }
}
