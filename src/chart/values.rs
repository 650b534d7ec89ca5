//! Values: several layers as one, as Helm merges them, with their placeholders kept.

use std::fmt::Write as _;
use std::sync::Arc;

use crate::problem::{Position, Problem, ProblemList, Problems, Source, read_document};
use crate::profile::Template;
use crate::variables::template::{protect, scan};
use crate::yaml::{self, Kind, Node, Scalar, Style};

/// A value. Scalars are kept as YAML writes them, so that a placeholder stays in the quotes that it is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// Nothing: in a layer, what is below is taken away.
    Null,
    /// Text, number or truth value: how it is written, and what it says.
    Scalar { written: String, text: String, kind: Kind },
    /// A list.
    List(Vec<Value>),
    /// A mapping, in the order written.
    Map(Vec<(String, Value)>),
}

impl Value {
    pub(super) fn empty() -> Self {
        Self::Map(Vec::new())
    }

    /// The value of a mapping's key.
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Map(entries) => entries.iter().find(|(name, _)| name == key).map(|(_, value)| value),
            _ => None,
        }
    }

    /// The value at a path of keys with dots between them.
    pub(super) fn at(&self, path: &str) -> Option<&Self> {
        path.split('.').try_fold(self, |value, key| value.get(key))
    }

    pub(super) fn truth(&self) -> Option<bool> {
        match self {
            Self::Scalar { kind: Kind::Bool, text, .. } => Some(text.eq_ignore_ascii_case("true")),
            _ => None,
        }
    }

    /// Sets a mapping's key.
    pub(super) fn set(&mut self, key: &str, value: Self) {
        let Self::Map(entries) = self else { return };
        match entries.iter_mut().find(|(name, _)| name == key) {
            Some((_, there)) => *there = value,
            None => entries.push((key.to_owned(), value)),
        }
    }

    /// This with `over` laid over it: mappings key by key, everything else is replaced. What is nothing stays, since it
    /// takes away what lies below both.
    pub(super) fn with(mut self, over: Self) -> Self {
        match (&mut self, over) {
            (Self::Map(_), Self::Map(entries)) => {
                for (key, value) in entries {
                    let below = self.get(&key).cloned();
                    let merged = match (below, value) {
                        (Some(below @ Self::Map(_)), value @ Self::Map(_)) => below.with(value),
                        (_, value) => value,
                    };
                    self.set(&key, merged);
                }
                self
            }
            (_, over) => over,
        }
    }

    /// This without what is nothing.
    pub(super) fn pruned(self) -> Self {
        match self {
            Self::Map(entries) => {
                let kept = entries.into_iter().filter(|(_, value)| *value != Self::Null);
                Self::Map(kept.map(|(key, value)| (key, value.pruned())).collect())
            }
            other => other,
        }
    }

    /// The values of a chart's own values.yaml.
    pub(super) fn defaults(text: &str) -> Result<Self, String> {
        let parsed = yaml::parse_as_helm(text);
        match (parsed.mistakes.first(), &parsed.documents[..]) {
            (Some(mistake), _) => Err(format!("values.yaml:{}: {}", mistake.at, mistake.message)),
            (None, []) => Ok(Self::empty()),
            (None, [document, ..]) if document.is_null() => Ok(Self::empty()),
            (None, [document, ..]) => Ok(Self::of(document, &str::to_owned)),
        }
    }

    /// `restore` gives a written text its placeholders back.
    fn of(node: &Node, restore: &dyn Fn(&str) -> String) -> Self {
        match &node.value {
            yaml::Value::Scalar(scalar) if scalar.kind == Kind::Null => Self::Null,
            yaml::Value::Scalar(scalar) => {
                Self::Scalar { written: restore(&written(scalar)), text: restore(&scalar.text), kind: scalar.kind }
            }
            yaml::Value::Sequence(items) => Self::List(items.iter().map(|item| Self::of(item, restore)).collect()),
            yaml::Value::Mapping(entries) => {
                Self::Map(entries.iter().map(|entry| (restore(&entry.key), Self::of(&entry.value, restore))).collect())
            }
        }
    }

    /// The value as a YAML document.
    pub(super) fn to_text(&self) -> String {
        let mut text = String::new();
        self.write(&mut text, 0);
        text.push('\n');
        text.trim_start_matches('\n').to_owned()
    }

    /// What follows a `key:` or a `-` that is indented by `indent`.
    fn write(&self, text: &mut String, indent: usize) {
        let line = |text: &mut String, begin: &str, value: &Self| {
            let _ = write!(text, "\n{:indent$}{begin}", "");
            if !matches!(value, Self::Map(entries) if !entries.is_empty())
                && !matches!(value, Self::List(items) if !items.is_empty())
            {
                text.push(' ');
            }
            value.write(text, indent + 2);
        };
        match self {
            Self::Null => text.push_str("null"),
            Self::Scalar { written, .. } => text.push_str(written),
            Self::List(items) if items.is_empty() => text.push_str("[]"),
            Self::Map(entries) if entries.is_empty() => text.push_str("{}"),
            Self::List(items) => items.iter().for_each(|item| line(text, "-", item)),
            Self::Map(entries) => {
                entries.iter().for_each(|(key, value)| line(text, &format!("{}:", quoted(key)), value));
            }
        }
    }
}

/// A scalar as it was written where that is one line: Helm reads more into a plain one (`yes`, `0755`) than YAML 1.2 does.
fn written(scalar: &Scalar) -> String {
    let text = &*scalar.text;
    let plain = scalar.style == Style::Plain && !text.contains('\n') && !text.is_empty();
    match scalar.kind {
        Kind::Text if plain && Kind::of_plain(text) == Kind::Text => text.to_owned(),
        Kind::Text if scalar.style == Style::Single && !text.contains(|c: char| c.is_control()) => {
            format!("'{}'", text.replace('\'', "''"))
        }
        Kind::Text => quoted(text),
        Kind::Null | Kind::Bool | Kind::Int | Kind::Float => text.to_owned(),
    }
}

fn quoted(text: &str) -> String {
    let scalar = Scalar { text: Arc::from(text), kind: Kind::Text, style: Style::Double };
    yaml::to_text(&Node { at: Position::START, value: yaml::Value::Scalar(scalar) }, |_| false).trim_end().to_owned()
}

/// Values of several layers as one YAML text, the later ones over the earlier. Placeholders stay what they are.
///
/// # Errors
/// Everything that is wrong with the layers' YAML and placeholders.
pub fn merge(layers: &[Template]) -> Result<String, Problems> {
    let (mut merged, mut problems) = (Value::empty(), ProblemList::default());
    for layer in layers {
        match read(layer) {
            Ok(value) => merged = merged.with(value),
            Err(found) => found.into_iter().for_each(|problem| problems.add(|| problem)),
        }
    }
    if problems.is_empty() { Ok(merged.to_text()) } else { Err(Problems::Found(problems.into_vec())) }
}

/// Where the variable `name` stands in `layers`: the keys to it, and whether it is the whole value there. A layer with
/// mistakes has none.
pub fn places(layers: &[Template], name: &str) -> Vec<(Vec<String>, bool)> {
    fn walk(value: &Value, name: &str, keys: &mut Vec<String>, found: &mut Vec<(Vec<String>, bool)>) {
        match value {
            Value::Null => {}
            Value::Scalar { text, .. } => {
                let placeholders = scan(text).placeholders;
                if placeholders.iter().any(|placeholder| placeholder.name == name) {
                    let whole = placeholders.len() == 1 && placeholders[0].bytes == (0..text.len());
                    found.push((keys.clone(), whole));
                }
            }
            Value::List(items) => items.iter().for_each(|item| walk(item, name, keys, found)),
            Value::Map(entries) => {
                for (key, value) in entries {
                    keys.push(key.clone());
                    walk(value, name, keys, found);
                    keys.pop();
                }
            }
        }
    }
    let mut found = Vec::new();
    for value in layers.iter().filter_map(|layer| read(layer).ok()) {
        walk(&value, name, &mut Vec::new(), &mut found);
    }
    found
}

fn read(layer: &Template) -> Result<Value, Vec<Problem>> {
    let problem = |mistake: yaml::Mistake| problem_in(layer, mistake.at, mistake.message);
    let protected = protect(&layer.text).map_err(|mistakes| mistakes.into_iter().map(problem).collect::<Vec<_>>())?;
    let parsed = yaml::parse_with_merge_keys(protected.text());
    if !parsed.mistakes.is_empty() {
        return Err(parsed.mistakes.into_iter().map(problem).collect());
    }
    let restore = |text: &str| protected.restore(text).into_owned();
    match &parsed.documents[..] {
        [] => Ok(Value::empty()),
        [document] if document.is_null() => Ok(Value::empty()),
        [document] => match Value::of(document, &restore) {
            value @ Value::Map(_) => Ok(value),
            _ => Err(vec![problem_in(
                layer,
                document.at,
                format!("values are a mapping, found {}", document.describe()),
            )]),
        },
        [_, second, ..] => Err(vec![problem_in(layer, second.at, "values are one document; this begins another")]),
    }
}

/// A problem at a place of a layer: positions in what the profile itself gives are those of the profile.
pub fn problem_in(layer: &Template, at: Position, message: impl Into<String>) -> Problem {
    let message = message.into();
    let Some(position) = layer.inline else {
        return Source::new(&layer.file, layer.text.clone()).problem(at, message);
    };
    match read_document(&layer.file) {
        Ok(Ok(source)) => source.problem(position, message),
        _ => Problem { position: Some(position), ..Problem::with_file(&layer.file, message) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn layer(text: &str) -> Template {
        Template { file: "v.yaml".into(), inline: None, text: text.to_owned() }
    }

    fn merged(layers: &[&str]) -> String {
        merge(&layers.iter().map(|text| layer(text)).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn placeholders_in_keys_stay() {
        let text = "zones:\n  \"{{.carrack.var.zone}}\": 1\n  {{ .carrack.var.other | default \"b\" }}: 2\n";
        let merged = merged(&[text]);
        assert!(merged.contains("{{.carrack.var.zone}}") && merged.contains(".carrack.var.other"), "{merged}");
        assert!(!merged.contains('\u{10E000}'), "{merged}");
    }

    #[test]
    fn layers_are_merged_as_helm_merges_them() {
        let lower = "a: {b: 1, c: [1, 2]}\nd: x\ne: {f: 1}\nh: 1\n";
        let upper = "a: {c: [3], n: null}\nd: {x: 1}\ne: null\nh: 2\n";
        let want = "\"a\":\n  \"b\": 1\n  \"c\":\n    - 3\n  \"n\": null\n\"d\":\n  \"x\": 1\n\"e\": null\n\"h\": 2\n";
        assert_eq!(merged(&[lower, "", "# nothing\n", upper]), want);
        assert_eq!(merged(&[]), "{}\n");
        assert_eq!(
            merged(&["base: &b {x: 1}\na: {<<: *b, y: 2}"]),
            "\"base\":\n  \"x\": 1\n\"a\":\n  \"y\": 2\n  \"x\": 1\n"
        );
        assert_eq!(
            merged(&["a: [[1, [2]], {b: []}, {}]"]),
            "\"a\":\n  -\n    - 1\n    -\n      - 2\n  -\n    \"b\": []\n  - {}\n"
        );
    }

    #[test]
    fn placeholders_and_spellings_stay() {
        let text = "a: {{.carrack.var.x}}\nb: \"v{{ .carrack.var.x | default \"1\" }}\\n\"\nc: 'it''s {{.carrack.var.x}}'\n\
            d: |\n  one {{.carrack.var.x}}\n  two\ne: yes\nf: 0755\ng: \"0755\"\nh: {{ .Values }}x\n";
        let text = text.replace("h: {{ .Values }}x\n", "h: '{{ .Values.x }}'\n");
        let want = "\"a\": {{.carrack.var.x}}\n\"b\": \"v{{ .carrack.var.x | default \"1\" }}\\n\"\n\"c\": 'it''s {{.carrack.var.x}}'\n\
            \"d\": \"one {{.carrack.var.x}}\\ntwo\\n\"\n\"e\": yes\n\"f\": 0755\n\"g\": \"0755\"\n\"h\": '{{ .Values.x }}'\n";
        assert_eq!(merged(&[&text]), want);
        assert_eq!(merged(&[want]), want, "the same again");
    }

    #[test]
    fn mistakes_have_their_places() {
        let layers = [layer("a: [\n"), layer("- a\n"), layer("a: 1\n---\nb: 2\n"), layer("a: {{.carrack.vars.x}}\n")];
        let problems = merge(&layers).unwrap_err();
        let said: Vec<String> = problems
            .found()
            .iter()
            .map(|problem| format!("{}: {}", problem.position.unwrap(), problem.message))
            .collect();
        assert_eq!(said.len(), 4, "{said:?}");
        assert!(said.iter().any(|text| text == "1:1: values are a mapping, found a list"), "{said:?}");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(text in "[-a-c:\\[\\]{}#|>'\"~. 01\\n]{0,60}") {
            let template = layer(&format!("k: {text}\n"));
            if let Ok(first) = merge(std::slice::from_ref(&template)) {
                let again = merge(&[layer(&first)]).map_err(|problems| problems.to_string());
                prop_assert_eq!(again.as_ref(), Ok(&first));
                let node = |text: &str| yaml::to_text(&yaml::parse_with_merge_keys(text).documents[0], |_| false);
                prop_assert_eq!(node(&template.text), node(&first), "{}", first);
            }
        }
    }
}
