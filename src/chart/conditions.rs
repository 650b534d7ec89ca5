//! What a chart's templates compare a value with: followed by the names that it gets, and rather too far than not.

use std::collections::BTreeSet;

use super::actions::{Action, MAX_ACTIONS, Word};
use super::influence::{self, Lead};
use super::tree::Tree;

/// Functions whose result depends on more than whether a value is empty.
const COMPARISONS: &[&str] = &[
    "eq",
    "ne",
    "lt",
    "le",
    "gt",
    "ge",
    "has",
    "contains",
    "hasPrefix",
    "hasSuffix",
    "hasKey",
    "regexMatch",
    "mustRegexMatch",
    "semver",
    "semverCompare",
    "index",
    "get",
    "dig",
    "pluck",
    "mustHas",
    "mod",
    "len",
];
/// Those that find something by a name.
const LOOKUPS: &[&str] = &["index", "get", "dig", "hasKey"];
/// Functions that may stand in a comparison with a literal that says all: another value is like no literal.
const PLAIN: &[&str] = &[
    "eq", "ne", "lt", "le", "gt", "ge", "has", "list", "default", "lower", "upper", "trim", "quote", "toString", "int",
    "int64", "float64", "true", "false", "nil",
];
/// How often names are followed to further names.
const ROUNDS: usize = 8;

/// What templates make depend on a value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conditions {
    /// Texts and numbers that it is compared with.
    pub literals: BTreeSet<String>,
    /// Whether it is compared in ways that trying the literals does not cover.
    pub open: bool,
    /// Whether something that it decides may show in an image. Without, there are neither literals nor other ways.
    pub reaches: bool,
}

/// What `tree` makes depend on the values at `paths`. `whole` says that these are all of the value, and no part of a text.
pub fn conditions(tree: &Tree, paths: &[Vec<String>], whole: bool) -> Conditions {
    let mut actions = Vec::new();
    gather(tree, &mut actions);
    let mut known = Known { paths, names: BTreeSet::new(), dots: BTreeSet::new(), given: BTreeSet::new() };
    for _ in 0..ROUNDS {
        let before = known.size();
        actions.iter().for_each(|action| known.learn(action));
        if known.size() == before {
            break;
        }
    }
    // Of a chart with more, not all is known.
    let unknown = tree.any(|tree| tree.actions.len() > MAX_ACTIONS);
    let mut found = Conditions { open: unknown, reaches: unknown, ..Conditions::default() };
    let leading = influence::leading(&actions);
    for (action, lead) in actions.iter().zip(leading) {
        let mentions = match lead {
            Lead::Nowhere => false,
            // The template reads what it does not get so by itself.
            Lead::Arguments => {
                action.words.iter().any(|word| matches!(word, Word::Field(_)) && known.is_known(action, word))
            }
            Lead::Shows => known.mentions(action, &action.words),
        };
        if mentions && !action.has("define") {
            found.reaches = true;
            known.compare(action, whole, &mut found);
        }
    }
    found
}

/// Whether templates of `tree` let something that may show in an image depend on a field with one of `names` in it, such as
/// `IsUpgrade`.
pub fn depends_on(tree: &Tree, names: &[&str]) -> bool {
    let mut actions = Vec::new();
    gather(tree, &mut actions);
    let mentions = |word: &Word| match word {
        Word::Field(text) | Word::Text(text) => names.iter().any(|name| text.contains(name)),
        _ => false,
    };
    let leading = influence::leading(&actions);
    tree.any(|tree| tree.actions.len() > MAX_ACTIONS)
        || actions.iter().zip(leading).any(|(action, lead)| lead != Lead::Nowhere && action.words.iter().any(mentions))
}

fn gather<'t>(tree: &'t Tree, actions: &mut Vec<&'t Action>) {
    actions.extend(&tree.actions);
    tree.subcharts.iter().for_each(|subchart| gather(subchart, actions));
}

/// The names that a value is known by.
struct Known<'k> {
    paths: &'k [Vec<String>],
    /// Variables, `.key` of a `dict`, and `"name` of a named template.
    names: BTreeSet<String>,
    /// Every `with` and `range` in which it is, or is in, the dot.
    dots: BTreeSet<(usize, usize)>,
    /// Named templates that are given it as their dot.
    given: BTreeSet<String>,
}

impl Known<'_> {
    fn size(&self) -> usize {
        self.names.len() + self.dots.len() + self.given.len()
    }

    /// Whether `words` of `action` have it.
    fn mentions(&self, action: &Action, words: &[Word]) -> bool {
        words.iter().any(|word| self.is_known(action, word))
    }

    fn is_known(&self, action: &Action, word: &Word) -> bool {
        match word {
            Word::Field(text) if text == "." => match &action.dot {
                Some(dot) => self.dots.contains(dot),
                None => action.scope.as_ref().is_some_and(|scope| self.given.contains(scope)),
            },
            Word::Text(text) => {
                self.names.contains(&format!("\"{text}")) || self.paths.iter().any(|path| path.contains(text))
            }
            Word::Field(text) => self.is_field(action, text),
            _ => false,
        }
    }

    fn is_field(&self, action: &Action, text: &str) -> bool {
        let (_, rest) = text.split_once('.').unwrap_or((text, ""));
        if text.starts_with('$') && self.names.contains(&action.variable(text)) {
            return true;
        }
        let keys: Vec<&str> = rest.split('.').filter(|key| !key.is_empty()).collect();
        let below = match keys.iter().position(|key| *key == "Values") {
            Some(index) => &keys[index + 1..],
            None if keys.first().is_some_and(|key| self.names.contains(&format!(".{key}"))) => return true,
            None => &keys[..],
        };
        let same = |path: &[String]| path.iter().zip(below).all(|(one, other)| one == other);
        !below.is_empty() && self.paths.iter().any(|path| (0..path.len()).any(|start| same(&path[start..])))
    }

    /// Takes over the names that `action` gives to what is known.
    fn learn(&mut self, action: &Action) {
        if !self.mentions(action, &action.words) {
            return;
        }
        self.names.extend(action.assigned().into_iter().map(|field| action.variable(field)));
        if matches!(action.words.first(), Some(Word::Name(name)) if name == "with" || name == "range") {
            self.dots.insert(action.at);
        }
        let (includes, maps) = (
            ["include", "template"].iter().any(|name| action.has(name)),
            ["dict", "set"].iter().any(|name| action.has(name)),
        );
        for (index, word) in action.words.iter().enumerate() {
            let Word::Text(text) = word else { continue };
            let argument = argument(&action.words[index + 1..]);
            if !self.mentions(action, argument) {
                continue;
            }
            if maps {
                self.names.insert(format!(".{text}"));
            }
            if includes && (argument.len() == 1 || !maps) {
                self.given.insert(text.clone());
            }
        }
        self.names.extend(action.scope.as_ref().map(|scope| format!("\"{scope}")));
    }

    fn compare(&self, action: &Action, whole: bool, found: &mut Conditions) {
        let words = &action.words;
        for (index, word) in words.iter().enumerate() {
            let Word::Name(name) = word else { continue };
            if !COMPARISONS.contains(&&**name) {
                continue;
            }
            let part = around(words, index);
            if !self.mentions(action, part) {
                continue;
            }
            let fields = part.iter().filter(|word| matches!(word, Word::Field(_))).count();
            let literals = part.iter().filter_map(|word| match word {
                Word::Text(text) | Word::Number(text) => Some(text.clone()),
                _ => None,
            });
            let literals: Vec<String> = literals.collect();
            // What is looked up by a literal is the value itself.
            if LOOKUPS.contains(&&**name) && fields == 1 && !literals.is_empty() {
                continue;
            }
            let plain = part.iter().all(|word| !matches!(word, Word::Name(name) if !PLAIN.contains(&&**name)));
            found.open |= !(plain && whole && fields == 1 && !literals.is_empty());
            found.literals.extend(literals);
        }
    }
}

/// The first argument in `words`: one word, or all that is in parentheses.
fn argument(words: &[Word]) -> &[Word] {
    if words.first() != Some(&Word::Open) {
        return &words[..words.len().min(1)];
    }
    let mut level = 0;
    let end = words.iter().position(|word| {
        level += match word {
            Word::Open => 1,
            Word::Close => -1,
            _ => 0,
        };
        level == 0
    });
    &words[..end.map_or(words.len(), |end| end + 1)]
}

/// The part of an action that the function at `index` sees: its arguments, and where something is piped into it, that.
fn around(words: &[Word], index: usize) -> &[Word] {
    let depth = |depth: &mut i32, word: &Word| {
        *depth += match word {
            Word::Open => 1,
            Word::Close => -1,
            _ => 0,
        };
        *depth
    };
    let mut level = 0;
    let end = words[index..].iter().position(|word| depth(&mut level, word) < 0).map_or(words.len(), |end| index + end);
    if index == 0 || words[index - 1] != Word::Pipe {
        return &words[index..end];
    }
    let mut level = 0;
    let start = words[..index].iter().rposition(|word| depth(&mut level, word) > 0).map_or(0, |start| start + 1);
    let keyword = matches!(&words[start], Word::Name(name) if matches!(name.as_str(), "if" | "with" | "else"));
    &words[start + usize::from(keyword)..end]
}

#[cfg(test)]
mod tests {
    use super::super::archive::tests::package;
    use super::*;
    use tar::EntryType::Regular;

    fn of(template: &str) -> (Vec<String>, bool) {
        let text = format!("image: {template}");
        let made = package(&[
            ("a/Chart.yaml", Regular, b"name: a\nversion: 1.0.0\n"),
            ("a/templates/x.yaml", Regular, text.as_bytes()),
        ]);
        let paths = [["app", "mode"].map(str::to_owned).to_vec()];
        let found = conditions(&Tree::of_package(&made).unwrap(), &paths, true);
        (found.literals.into_iter().collect(), found.open)
    }

    #[test]
    fn what_a_value_is_compared_with_is_found() {
        for (template, literals, open) in [
            ("{{ if eq .Values.app.mode \"ha\" }}", &["ha"][..], false),
            ("{{ if .Values.app.mode | eq \"ha\" }}", &["ha"], false),
            ("{{ if and .Values.x (ne \"ha\" (lower $.Values.app.mode)) }}", &["ha"], false),
            ("{{ if has .Values.app.mode (list \"a\" `b`) }}", &["a", "b"], false),
            ("{{ if lt (int .Values.app.mode) 2 }}", &["2"], false),
            ("{{ with .Values.app }}{{ if eq .mode \"ha\" }}", &["ha"], false),
            ("{{ with .Values.app.mode }}{{ if eq . \"ha\" }}", &["ha"], false),
            ("{{ $m := .Values.app.mode }}{{ $n := $m }}{{ if eq $n \"ha\" }}", &["ha"], false),
            ("{{ if eq (index .Values \"app\").mode \"ha\" }}", &["app", "ha"], true),
            (
                "{{ define \"m\" }}{{ .Values.app.mode }}{{ end }}{{ if eq (include \"m\" .) \"ha\" }}",
                &["ha", "m"],
                true,
            ),
            ("{{ include \"m\" (dict \"key\" .Values.app.mode) }}{{ if eq .key \"ha\" }}", &["ha"], false),
            ("{{ if eq .Values.app.mode .Values.other }}", &[], true),
            ("{{ if hasPrefix \"ha-\" .Values.app.mode }}", &["ha-"], true),
            ("{{ index .Values.tags .Values.app.mode }}", &[], true),
            ("{{ if .Values.app.mode }}{{ .Values.app.mode | quote }}", &[], false),
            ("{{ if eq .Values.app.kind \"ha\" }}{{ if eq . \"x\" }}{{ index .Values.app \"mode\" }}", &[], false),
        ] {
            assert_eq!(of(template), (literals.iter().map(|text| (*text).to_owned()).collect(), open), "{template}");
        }
    }
}
