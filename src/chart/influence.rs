//! Whether what an action of a template decides may show in an image: rather too often said than not.
//!
//! An action shows in its line and, where it begins a block, in all of the block. What it gives a name to shows where that name is
//! used, and what a named template gives shows where that is included.

use std::collections::{BTreeMap, BTreeSet};

use super::actions::{Action, Word};

/// A part of a template, as far as its file tells what is in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Region {
    /// Whether something in it names an image.
    pub(super) image: bool,
    /// Named templates that are included in it.
    pub(super) includes: BTreeSet<String>,
    /// Variables that are given a value in it.
    pub(super) assigns: BTreeSet<String>,
}

impl Region {
    /// What `action` itself does, in lines with `text`.
    pub(super) fn of(action: &Action, text: &str) -> Self {
        let mut region = Self { image: names_image(text), ..Self::default() };
        if ["include", "template", "tpl"].iter().any(|name| action.has(name)) {
            region.includes.extend(action.words.iter().filter_map(|word| match word {
                Word::Text(name) => Some(name.clone()),
                _ => None,
            }));
        }
        // What is set in another mapping may be read under any name.
        region.image |= action.changes_others();
        region.assigns.extend(action.assigned().into_iter().map(|field| action.variable(field)));
        region
    }

    /// Adds what is in a block within this one.
    pub(super) fn add(&mut self, inner: &Self) {
        self.image |= inner.image;
        self.includes.extend(inner.includes.iter().cloned());
        self.assigns.extend(inner.assigns.iter().cloned());
    }
}

/// How what an action decides may show in an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lead {
    /// It does not.
    Nowhere,
    /// It gives its arguments to a named template that has an image.
    Arguments,
    /// It, or what depends on it, does.
    Shows,
}

/// For each of `actions`, in their order, whether what it decides may show in an image.
pub(super) fn leading(actions: &[&Action]) -> Vec<Lead> {
    let imaged = imaged(actions);
    let names_one = |region: &Region| region.image || region.includes.iter().any(|name| imaged.contains(&**name));
    let (mut in_template, mut giving) = (Index::new(), Index::new());
    for (at, action) in actions.iter().enumerate() {
        action.scope.iter().for_each(|scope| in_template.entry(scope).or_default().push(at));
        for name in action.own.assigns.iter().chain(&action.block.assigns) {
            giving.entry(name).or_default().push(at);
        }
    }
    // What only includes a template with an image passes on what it was given, and does not make all in it matter.
    let mut leads: Vec<bool> =
        actions.iter().map(|action| names_one(&action.own) || names_one(&action.block)).collect();
    let mut matters: Vec<bool> = actions.iter().map(|action| action.own.image || names_one(&action.block)).collect();
    let mut open: Vec<usize> = (0..actions.len()).filter(|at| leads[*at]).collect();
    while let Some(at) = open.pop() {
        let action = actions[at];
        let templates = action.own.includes.iter().filter(|_| matters[at] && !action.has("define"));
        let inside = templates.filter_map(|name| in_template.get(&**name)).flatten();
        let read = action.words.iter().filter_map(|word| match word {
            Word::Field(field) if field.starts_with('$') => giving.get(&*action.variable(field)),
            _ => None,
        });
        let causes: Vec<usize> = inside.chain(read.flatten()).copied().collect();
        for cause in causes {
            leads[cause] = true;
            if !std::mem::replace(&mut matters[cause], true) {
                open.push(cause);
            }
        }
    }
    let lead = |(leads, matters)| match (leads, matters) {
        (_, true) => Lead::Shows,
        (true, false) => Lead::Arguments,
        (false, false) => Lead::Nowhere,
    };
    leads.into_iter().zip(matters).map(lead).collect()
}

/// The named templates in which something names an image, or a template that does.
fn imaged<'a>(actions: &[&'a Action]) -> BTreeSet<&'a str> {
    let defines = actions.iter().filter(|action| action.has("define"));
    let defines: Vec<(&str, &Region)> =
        defines.filter_map(|action| Some((action.scope.as_deref()?, &action.block))).collect();
    let mut found: BTreeSet<&str> = defines.iter().filter(|(_, block)| block.image).map(|(name, _)| *name).collect();
    loop {
        let before = found.len();
        for (name, block) in &defines {
            if block.includes.iter().any(|included| found.contains(&**included)) {
                found.insert(name);
            }
        }
        if found.len() == before {
            return found;
        }
    }
}

type Index<'a> = BTreeMap<&'a str, Vec<usize>>;

/// Whether a text may name an image: it has the word, a part of an image, or something like a reference.
pub(super) fn names_image(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    let word = text.match_indices("image").any(|(at, word)| !text[at + word.len()..].starts_with("pull"));
    let part =
        ["repository", "registry", ".tag", "tag:", ".digest", "digest:", ".hub", "hub:", "\"tag\"", "\"digest\""];
    // What the cluster's API gets may make another chart install more.
    let kind = text.contains("customresourcedefinition");
    word || kind || part.iter().any(|part| text.contains(part)) || text.split_whitespace().any(is_like_reference)
}

/// Whether a word is like `quay.io/a/b:1`, wherever that is in it.
fn is_like_reference(word: &str) -> bool {
    let Some(slash) = word.find('/') else { return false };
    let path = &word[slash + 1..];
    let Some(end) = path.find([':', '@']) else { return false };
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/');
    end > 0 && path[..end].chars().all(inner) && !path.starts_with('/')
}

#[cfg(test)]
mod tests {
    use super::super::actions::read;
    use super::*;

    /// Whether the actions that mention `mode` lead to an image.
    fn leads(text: &str) -> bool {
        let actions = read(0, text);
        let actions: Vec<&Action> = actions.iter().collect();
        let leads = leading(&actions);
        let mentions = |action: &Action| {
            action.words.iter().any(|word| matches!(word, Word::Field(field) if field.ends_with("mode")))
        };
        actions
            .iter()
            .zip(leads)
            .any(|(action, lead)| lead != Lead::Nowhere && !action.has("define") && mentions(action))
    }

    #[test]
    fn what_shows_in_an_image_is_told() {
        for text in [
            "image: a:{{ .Values.mode }}",
            "image: a:{{ if eq .Values.mode \"ha\" }}1{{ else }}2{{ end }}",
            "{{ if eq .Values.mode \"ha\" }}\nkind: Pod\nspec: {containers: [{image: a}]}\n{{ end }}",
            "image: >-\n  {{ if eq .Values.mode \"ha\" }}a{{ end }}",
            "{{ define \"flavour\" }}{{ if eq .Values.mode \"x\" }}ha{{ end }}{{ end }}\nimage: a:{{ include \"flavour\" . }}",
            "{{ define \"pod\" }}\nimage: x\n{{ end }}{{ if .Values.mode }}\n{{ include \"pod\" . }}\n{{ end }}",
            "{{ define \"inner\" }}\nimage: x\n{{ end }}{{ define \"pod\" }}{{ include \"inner\" . }}{{ end }}{{ if .Values.mode }}\n{{ template \"pod\" . }}\n{{ end }}",
            "{{ $t := \"1\" }}{{ if eq .Values.mode \"x\" }}{{ $t = \"2\" }}{{ end }}\nimage: a:{{ $t }}",
            "{{ $ha := eq .Values.mode \"x\" }}\n{{ if $ha }}\nimage: a\n{{ end }}",
            "{{ $a := .Values.mode }}{{ $b := $a }}{{ $c := eq $b \"x\" }}\n{{ if $c }}\nimage: a\n{{ end }}",
            "{{ if .Values.mode }}\nargs: [--reloader=quay.io/a/b:1]\n{{ end }}",
            "{{ range .Values.mode }}\n{{ if .x }}\n- image: a\n{{ end }}{{ end }}",
            "{{ if .Values.x }}a{{ else if eq .Values.mode \"x\" }}\nimage: b\n{{ end }}",
            "{{ if eq .Values.mode \"x\" }}\na: b\n{{ else }}\nimage: b\n{{ end }}",
            "{{ $_ := set .Values \"flavour\" (ternary \"a\" \"b\" (eq .Values.mode \"x\")) }}",
            "{{ if .Values.mode }}\nvalue: {{ .Values.x.repository }}:{{ .Values.x.version }}\n{{ end }}",
        ] {
            assert!(leads(text), "{text}");
        }
        for text in [
            "host: {{ .Values.mode }}",
            "image: a\nreplicas: {{ if gt .Values.mode 1 }}2{{ end }}\n",
            "{{ if eq .Values.mode \"ha\" }}\nimagePullPolicy: Always\nimagePullSecrets: []\n{{ end }}",
            "{{ if .Values.mode }}\nurl: https://example.org:8443/x\n{{ end }}\n\n\nimage: a",
            "{{ define \"labels\" }}\nmode: {{ .Values.mode }}\n{{ end }}\nmetadata:\n  {{ include \"labels\" . }}\n\nspec:\n  image: a",
            "{{ $t := .Values.mode }}\nhost: {{ $t }}\n\nimage: a:{{ $u }}",
            "{{ if eq .Values.mode \"x\" }}\ntls: true\n{{ end }}\n\n{{ if .Values.other }}\nimage: a\n{{ end }}",
        ] {
            assert!(!leads(text), "{text}");
        }
    }

    #[test]
    fn templates_that_include_one_another_end() {
        assert!(!leads(
            "{{ define \"a\" }}{{ include \"b\" . }}{{ end }}{{ define \"b\" }}{{ include \"a\" .mode }}{{ end }}"
        ));
    }
}
