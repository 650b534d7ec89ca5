//! Variables of an exported profile, and those that packs use.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::declaration::{Draft, decoded};
use super::left::{Left, Use, below};
use crate::profile::schema::Variable;
use crate::variables::template::scan;
use crate::variables::{self, is_name};

const FIELDS: &[(&str, Use)] = &[
    ("name", Use::Text),
    ("displayName", Use::Text),
    ("description", Use::Text),
    ("format", Use::Text),
    ("required", Use::Flag),
    ("defaultValue", Use::Text),
    ("regex", Use::Text),
    ("options", Use::List),
    ("hidden", Use::Flag),
    ("isHidden", Use::Flag),
    ("readOnly", Use::Flag),
    ("isReadOnly", Use::Flag),
    ("isSensitive", Use::Flag),
    ("sensitive", Use::Flag),
    ("immutable", Use::Flag),
    ("inputType", Use::Palette),
];

/// Variables that a profile gets.
const MAX_VARIABLES: usize = 2000;

/// The variables of the profile that comes to be.
#[derive(Debug, Default)]
pub(super) struct Variables {
    /// Palette's names with ours.
    names: BTreeMap<String, String>,
    /// Those that the exported profile declares, in its order.
    declared: Vec<Variable>,
    /// The same as they will be read, by our names.
    read: BTreeMap<String, variables::Variable>,
    /// Ours of those that are used and not declared, in the order found.
    undeclared: Vec<String>,
}

impl Variables {
    /// Our name for Palette's variable `palette`, whose use is noted. Nothing where there are too many.
    pub(super) fn name_of(&mut self, palette: &str) -> Option<String> {
        if let Some(name) = self.names.get(palette) {
            return Some(name.clone());
        }
        if self.names.len() >= MAX_VARIABLES {
            return None;
        }
        let name = self.new_name(palette);
        self.undeclared.push(name.clone());
        Some(name)
    }

    fn new_name(&mut self, palette: &str) -> String {
        let letter = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
        let mut base: String = palette.chars().map(letter).take(56).collect();
        if !is_name(&base) {
            base.insert(0, '_');
        }
        let taken = |name: &String| self.names.values().any(|other| other == name);
        let numbered = (2..).map(|number| format!("{base}_{number}"));
        let name = std::iter::once(base.clone()).chain(numbered).find(|name| !taken(name)).unwrap_or(base);
        self.names.insert(palette.to_owned(), name.clone());
        name
    }

    /// Whether our variable `name` may have `value`.
    pub(super) fn fits(&self, name: &str, value: &str) -> bool {
        self.read.get(name).is_none_or(|variable| variable.accept(value).is_ok())
    }

    /// The default of our variable `name`, where it has one.
    pub(super) fn default_of(&self, name: &str) -> Option<&str> {
        self.declared.iter().find(|variable| variable.name == name)?.default.as_ref()?.as_str()
    }

    /// Takes over the declaration `object`, which stands at `path`.
    pub(super) fn declare(&mut self, object: &Map<String, Value>, place: &str, path: &str, left: &mut Left) {
        left.fields(place, path, object, FIELDS);
        let text = |name: &str| object.get(name).and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty());
        let flag = |names: &[&str]| {
            names.iter().any(|name| object.get(*name).and_then(Value::as_bool) == Some(true)).then_some(true)
        };
        let Some(palette) = text("name") else {
            return left.out(place, None, path, "a variable without a name");
        };
        if self.names.len() >= MAX_VARIABLES {
            return left.out(place, None, path, format!("only {MAX_VARIABLES} variables are imported"));
        }
        if self.names.contains_key(palette) {
            return left.out(place, None, path, format!("variable {palette} is declared twice"));
        }
        let name = self.new_name(palette);
        if name != palette {
            left.out(place, None, &below(path, "name"), format!("variable {palette} is called {name} now"));
        }
        let description = match (text("displayName"), text("description")) {
            (Some(name), Some(more)) if name != more => Some(format!("{name}: {more}")),
            (name, more) => more.or(name).map(str::to_owned),
        };
        let mut draft = Draft {
            variable: Variable {
                name,
                description,
                hidden: flag(&["hidden", "isHidden"]),
                sensitive: flag(&["isSensitive", "sensitive"]),
                ..Variable::default()
            },
            place,
            path,
            left,
        };
        draft.format(text("format"));
        draft.regex(text("regex"));
        draft.options(object.get("options"));
        draft.default(text("defaultValue"), flag(&["required"]));
        draft.fixed(flag(&["immutable"]), flag(&["readOnly", "isReadOnly"]));
        let variable = draft.variable;
        self.read.extend(decoded(&variable).ok().map(|read| (variable.name.clone(), read)));
        self.declared.push(variable);
    }

    /// All variables; those that are only used in `texts` have to be given.
    pub(super) fn finish<'t>(
        mut self,
        texts: impl Iterator<Item = &'t str>,
        place: &str,
        left: &mut Left,
    ) -> Vec<Variable> {
        let mut uses: BTreeMap<String, Uses> = BTreeMap::new();
        for one in texts.flat_map(|text| scan(text).placeholders) {
            let uses = uses.entry(one.name).or_default();
            uses.bare |= one.default.is_none();
            uses.with_default |= one.default.is_some();
        }
        for variable in &mut self.declared {
            let bare = uses.get(&variable.name).filter(|uses| uses.bare);
            if let Some(uses) = bare.filter(|_| variable.required.is_none() && variable.default.is_none()) {
                give_value(variable, *uses, place, left);
            }
        }
        // Some stand in comments alone.
        for name in self.undeclared.into_iter().filter(|name| uses.contains_key(name)) {
            let reason = format!("variable {name} is used and not declared; the profile asks for it as a text");
            left.out(place, None, "", reason);
            self.declared.push(Variable { name, required: Some(true), ..Variable::default() });
        }
        self.declared
    }
}

/// How placeholders name a variable.
#[derive(Debug, Clone, Copy, Default)]
struct Uses {
    bare: bool,
    with_default: bool,
}

/// Makes sure of a value for a variable that may have none, which in Palette is an empty text.
fn give_value(variable: &mut Variable, uses: Uses, place: &str, left: &mut Left) {
    let empty = Variable { default: Some(Value::String(String::new())), ..variable.clone() };
    if !uses.with_default && variable.sensitive.is_none() && decoded(&empty).is_ok() {
        *variable = empty;
        return;
    }
    let reason = format!("variable {} could be left empty, and has to be given now", variable.name);
    left.out(place, None, "", reason);
    variable.required = Some(true);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn declared(object: Value) -> (Value, Vec<String>) {
        let (mut variables, mut left) = (Variables::default(), Left::default());
        variables.declare(object.as_object().unwrap(), "p.json", "v[0]", &mut left);
        let made = variables.finish(std::iter::empty(), "p.json", &mut left);
        assert!(made.iter().all(|variable| decoded(variable).is_ok()), "{made:?}");
        let left = left.into_list().iter().filter(|one| !one.only_palette).map(ToString::to_string).collect();
        (serde_json::to_value(&made[0]).unwrap(), left)
    }

    #[test]
    fn declarations_are_taken_over() {
        let (variable, left) = declared(json!({
            "name": "replicas", "displayName": "Replicas", "description": "How many", "format": "number", "required": true,
            "defaultValue": "2", "isSensitive": false, "hidden": true, "immutable": true, "inputType": "dropdown",
            "options": [{"value": "2", "label": "two"}, {"value": "3"}]
        }));
        assert_eq!(left, [""; 0]);
        let want = json!({
            "name": "replicas", "description": "Replicas: How many", "format": "number", "default": "2",
            "options": ["2", "3"], "hidden": true, "readOnly": true
        });
        assert_eq!(variable, want);
        let (variable, _) = declared(json!({"name": "a", "required": true, "regex": "^(a|b)$", "readOnly": false}));
        assert_eq!(variable, json!({"name": "a", "required": true, "regex": "^(a|b)$"}));
        let (variable, _) = declared(json!({"name": "a", "immutable": true}));
        assert_eq!(variable, json!({"name": "a", "immutable": true}));
    }

    #[test]
    fn what_does_not_fit_is_listed_and_the_rest_stays() {
        let (variable, left) = declared(json!({
            "name": "pod-cidr", "format": "hostname", "regex": "(", "defaultValue": "x", "isReadOnly": true, "color": 1
        }));
        assert_eq!(variable, json!({"name": "pod_cidr", "default": "x", "readOnly": true}));
        let want = [
            "p.json: v[0].color: an unknown field",
            "p.json: v[0].name: variable pod-cidr is called pod_cidr now",
            "p.json: v[0].format: Carrack has no format \"hostname\"; any text will do",
        ];
        assert_eq!(left[..3], want);
        assert!(left[3].starts_with("p.json: v[0].regex: `regex` is not a pattern: "), "{left:?}");
        let (variable, left) =
            declared(json!({"name": "n", "format": "ipv4", "defaultValue": "10.0.0", "required": true}));
        assert_eq!(variable, json!({"name": "n", "format": "ipv4", "required": true}));
        assert_eq!(
            left,
            ["p.json: v[0].defaultValue: `default` is \"10.0.0\", expected an IPv4 address such as 10.0.0.10"]
        );
    }

    #[test]
    fn what_may_be_empty_in_palette_has_a_value() {
        let (mut variables, mut left) = (Variables::default(), Left::default());
        for object in [json!({"name": "a"}), json!({"name": "n", "format": "number"}), json!({"name": "both"})] {
            variables.declare(object.as_object().unwrap(), "p", "v", &mut left);
        }
        let text = "{{.carrack.var.a}} {{.carrack.var.n}} {{.carrack.var.both}} {{.carrack.var.both | default \"x\"}}";
        let made = serde_json::to_value(variables.finish([text].into_iter(), "p", &mut left)).unwrap();
        let want = json!([
            {"name": "a", "default": ""}, {"name": "n", "format": "number", "required": true}, {"name": "both", "required": true}
        ]);
        assert_eq!(made, want);
        let left: Vec<String> = left.into_list().iter().map(ToString::to_string).collect();
        let line = |name: &str| format!("p: variable {name} could be left empty, and has to be given now");
        assert_eq!(left, [line("n"), line("both")]);
    }

    #[test]
    fn nothing_of_a_sensitive_variable_is_kept_or_told() {
        let (variable, left) = declared(json!({
            "name": "p", "isSensitive": true, "defaultValue": "canary", "options": [{"value": "canary"}], "required": true
        }));
        assert_eq!(variable, json!({"name": "p", "sensitive": true, "required": true}));
        assert!(left.len() == 2 && !left.join("").contains("canary"), "{left:?}");
    }

    #[test]
    fn patterns_of_parts_match_parts() {
        let (variable, _) = declared(json!({"name": "a", "regex": "b+"}));
        assert_eq!(variable["regex"], "(?s:.*)(?:b+)(?s:.*)");
    }
}
