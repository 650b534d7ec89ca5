//! Palette's templates, `{{ .spectro… }}`: those of variables become placeholders, all others words that YAML takes for
//! text, so that what they are in can be told.

use std::sync::Arc;

use super::expression;
use super::variables::Variables;
use crate::variables::template::scan;

/// Begins the word of a macro. This and the end are private-use characters, which hardly any document has.
const START: char = '\u{10F000}';
const END: char = '\u{10F001}';
/// Bytes that a template may have between its braces.
const MAX_INNER: usize = 4096;

/// A template that has no counterpart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Macro {
    /// Its line in the whole text.
    pub(super) line: usize,
    /// As it is written.
    pub(super) text: String,
    /// Why it has none.
    pub(super) reason: &'static str,
}

/// A text with placeholders for variables, and words for the other macros.
#[derive(Debug, Clone, Default)]
pub(super) struct Mapped {
    pub(super) text: String,
    /// Those of the text that it is a part of.
    macros: Arc<Vec<Macro>>,
}

/// Maps the templates of `text`. What is in braces and not Palette's is left alone; what is the version `kubernetes`, or made of
/// it, is written out.
pub(super) fn map(text: &str, variables: &mut Variables, kubernetes: Option<&str>) -> Mapped {
    let (mut mapped, mut macros) = (String::new(), Vec::new());
    let (mut from, mut line, mut counted) = (0, 1, 0);
    while let Some(start) = text[from..].find("{{").map(|at| from + at) {
        let Some(inner) = inner(&text[start + 2..]).filter(|inner| is_ours(inner)) else {
            mapped.push_str(&text[from..=start]);
            from = start + 1;
            continue;
        };
        line += text[counted..start].matches('\n').count();
        counted = start;
        mapped.push_str(&text[from..start]);
        from = start + 2 + inner.len() + 2;
        let written = if expression::is_of_version(inner) {
            version(inner, kubernetes, &mut mapped, &text[from..]).map(|(written, skipped)| {
                from += skipped;
                written
            })
        } else {
            placeholder(inner, variables)
        };
        match written {
            Ok(written) => mapped.push_str(&written),
            Err(reason) => {
                mapped.push_str(&format!("{START}{}{END}", macros.len()));
                macros.push(Macro { line, text: text[start..from].to_owned(), reason });
            }
        }
    }
    mapped.push_str(&text[from..]);
    Mapped { text: mapped, macros: Arc::new(macros) }
}

impl Mapped {
    /// The first macro whose word is in `text`, a part of the mapped text.
    pub(super) fn find<'m>(&'m self, text: &str) -> Option<&'m Macro> {
        self.pieces(text).into_iter().find_map(|(_, one)| one)
    }

    /// The macros whose words are in `text`, a part of the mapped text, in its order.
    pub(super) fn all<'m>(&'m self, text: &str) -> Vec<&'m Macro> {
        self.pieces(text).into_iter().filter_map(|(_, one)| one).collect()
    }

    /// `text`, a part of the mapped text. The lines of its macros stay those of the whole.
    pub(super) fn part(&self, text: String) -> Self {
        Self { text, macros: Arc::clone(&self.macros) }
    }

    /// `text` with macros as they were written.
    pub(super) fn restore(&self, text: &str) -> String {
        self.pieces(text).into_iter().map(|(piece, one)| one.map_or(piece, |one| &*one.text)).collect()
    }

    fn pieces<'m, 't>(&'m self, text: &'t str) -> Vec<(&'t str, Option<&'m Macro>)> {
        let (mut pieces, mut from) = (Vec::new(), 0);
        for (start, _) in text.match_indices(START) {
            let Some(end) = text[start..].find(END).map(|end| start + end).filter(|_| start >= from) else { continue };
            let number = text[start + START.len_utf8()..end].parse::<usize>();
            let Some(one) = number.ok().and_then(|number| self.macros.get(number)) else { continue };
            pieces.push((&text[from..start], None));
            from = end + END.len_utf8();
            pieces.push((&text[start..from], Some(one)));
        }
        pieces.push((&text[from..], None));
        pieces
    }
}

/// What is between the braces, without the closing ones. Those in quotes do not close.
fn inner(rest: &str) -> Option<&str> {
    // Of `{{{`, the last two may begin one.
    if rest.starts_with('{') {
        return None;
    }
    let (mut quoted, mut last) = (false, ' ');
    for (at, character) in rest.char_indices().take_while(|(at, _)| *at <= MAX_INNER) {
        match character {
            '"' => quoted = !quoted,
            '}' if last == '}' && !quoted => return Some(&rest[..at - 1]),
            _ => {}
        }
        last = character;
    }
    None
}

/// Whether a template speaks of Palette's values, or would be taken for a placeholder although it was none.
fn is_ours(inner: &str) -> bool {
    let word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
    [".spectro", ".Spectro", ".carrack"].iter().any(|name| {
        inner.match_indices(name).any(|(at, _)| {
            let before = inner[..at].chars().next_back().is_some_and(|c| word(c) || c == '.');
            !before && !inner[at + name.len()..].starts_with(word)
        })
    })
}

/// The placeholder for a template.
fn placeholder(inner: &str, variables: &mut Variables) -> Result<String, &'static str> {
    let trimmed = inner.trim();
    let Some(rest) = trimmed.strip_prefix(".spectro.var.") else {
        return Err(match trimmed {
            _ if trimmed.starts_with(".spectro.system.") => "only Palette knows this value",
            // Palette's own templates have it with a capital, and render it before they install anything.
            _ if trimmed.contains(".Spectro") => "only Palette knows this value",
            _ if trimmed.starts_with(".spectro.pack.") => "Carrack does not look into the values of other packs",
            _ if trimmed.starts_with(".spectro.macro.") => "a macro of a Palette project or tenant",
            _ if trimmed.starts_with('-') || trimmed.ends_with('-') => "a placeholder does not trim what is around it",
            _ if trimmed.contains(".carrack") => "it stands for something else in Carrack",
            _ => "Carrack has no such function",
        });
    };
    let end = rest.find(|c: char| !c.is_alphanumeric() && !matches!(c, '_' | '-')).unwrap_or(rest.len());
    let (name, filter) = (&rest[..end], rest[end..].trim());
    let has_default = filter.strip_prefix('|').is_some_and(|filter| filter.trim_start().starts_with("default"));
    if !filter.is_empty() && !has_default {
        return Err("Carrack has no filter but `default \"text\"`");
    }
    if name.is_empty() {
        return Err("it names no variable");
    }
    let name = variables.name_of(name).ok_or("there are too many variables")?;
    let placeholder = if has_default {
        format!("{{{{ .carrack.var.{name} {filter} }}}}")
    } else {
        format!("{{{{.carrack.var.{name}}}}}")
    };
    let scanned = scan(&placeholder);
    match &scanned.placeholders[..] {
        [one] if scanned.mistakes.is_empty() => match &one.default {
            Some(default) if !variables.fits(&one.name, default) => Err("the variable cannot have this default"),
            _ => Ok(placeholder),
        },
        _ => Err("Carrack has no filter but `default \"text\"`"),
    }
}

/// What `inner` makes of the version of Kubernetes between `before` and `after`, and how many bytes of `after` it takes away.
fn version(
    inner: &str,
    kubernetes: Option<&str>,
    before: &mut String,
    after: &str,
) -> Result<(String, usize), &'static str> {
    let kubernetes = kubernetes.ok_or("no pack on layer k8s says this version")?;
    let (begins, ends) = (inner.starts_with("- "), inner.ends_with(" -"));
    let body = &inner[usize::from(begins)..inner.len() - usize::from(ends)];
    let written = expression::evaluate(body, kubernetes).ok_or("Carrack cannot tell what this makes of the version")?;
    let blank: &[char] = &[' ', '\t'];
    let kept = if begins { before.trim_end_matches(blank).len() } else { before.len() };
    let skipped = if ends { after.len() - after.trim_start_matches(blank).len() } else { 0 };
    // Lines would become one, and what is below it another thing.
    let joins =
        begins && (kept == 0 || before[..kept].ends_with('\n')) || ends && after[skipped..].starts_with(['\n', '\r']);
    if joins {
        return Err("a placeholder does not join lines");
    }
    before.truncate(kept);
    Ok((written, skipped))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn mapped(text: &str) -> (String, Vec<(usize, String)>) {
        let mapped = map(text, &mut Variables::default(), None);
        let macros = mapped.macros.iter().map(|one| (one.line, one.text.clone())).collect();
        (mapped.restore(&mapped.text), macros)
    }

    #[test]
    fn variables_become_placeholders() {
        for (from, to) in [
            ("a: '{{.spectro.var.x}}'", "a: '{{.carrack.var.x}}'"),
            ("{{  .spectro.var.a-b\t}}", "{{.carrack.var.a_b}}"),
            ("{{ .spectro.var.x|default \"}} y\" }}", "{{ .carrack.var.x |default \"}} y\" }}"),
            ("\"{{.spectro.var.x | default \\\"y\\\"}}\"", "\"{{ .carrack.var.x | default \\\"y\\\" }}\""),
            ("{{{.spectro.var.x}}}", "{{{.carrack.var.x}}}"),
            ("{{ .Values.spectro }} {{ $x.spectro.var.y }} {{", "{{ .Values.spectro }} {{ $x.spectro.var.y }} {{"),
        ] {
            assert_eq!(mapped(from), (to.to_owned(), Vec::new()));
        }
    }

    #[test]
    fn everything_else_of_palettes_is_told_with_its_line() {
        for text in [
            "{{ .spectro.system.cluster.uid }}",
            "{{.spectro.pack.k3s.cluster.config}}",
            "{{ .spectro.macro.x }}",
            "{{ .spectro.var.x | upper }}",
            "{{ .spectro.var.x | default 5 }}",
            "{{ .spectro.var. }}",
            "{{- .spectro.var.x -}}",
            "{{ default .spectro.var.x \"y\" }}",
            "{{ .carrack.var.x }}",
            "{{ .Spectro.cluster | quote }}",
            "{{ $.Spectro.var.x }}",
            "{{ if .Spectro }}",
            "{{.Spectro.system.kubernetes.version}}",
            "{{ printf \"%s\" .Spectro.project.uid }}",
            "{{- with .Spectro.cloud -}}",
            "{{ .spectro.system.kubernetes.version | substr 0 4 }}",
        ] {
            let (whole, macros) = mapped(&format!("é\n{{{{ .Values.x }}}}\n{text} and"));
            assert_eq!(whole, format!("é\n{{{{ .Values.x }}}}\n{text} and"));
            assert_eq!(macros, [(3, text.to_owned())]);
        }
    }

    #[test]
    fn the_version_of_kubernetes_is_written_out_where_it_is_known() {
        for (from, to) in [
            ("v{{ .spectro.system.kubernetes.version | substr 0 4 }},", "v1.33,"),
            ("{{.spectro.system.kubernetes.version}}", "1.33.4"),
            ("a: x {{- .spectro.system.kubernetes.version -}}  y", "a: x1.33.4y"),
            ("a: {{ .spectro.system.kubernetes.version | trunc 4 -}} {{ .Values.x }}", "a: 1.33{{ .Values.x }}"),
            ("\"{{ .spectro.system.kubernetes.version | replace \\\".\\\" \\\"-\\\" }}\"", "\"1-33-4\""),
            ("{{ (semver .spectro.system.kubernetes.version).Minor }}{{.spectro.var.x}}", "33{{.carrack.var.x}}"),
        ] {
            let mapped = map(from, &mut Variables::default(), Some("v1.33.4"));
            assert_eq!((&*mapped.text, mapped.macros.len()), (to, 0), "{from}");
        }
        for text in [
            "a\n{{- .spectro.system.kubernetes.version }}",
            "{{ .spectro.system.kubernetes.version -}}\nb",
            "{{ .spectro.system.kubernetes.version | sha256sum }}",
            "{{ .spectro.system.cluster.kubernetes.version }}",
            "{{ .spectro.system.kubernetes.distribution }}",
            "{{ .Spectro.system.kubernetes.version }}",
        ] {
            let mapped = map(text, &mut Variables::default(), Some("1.33.4"));
            assert_eq!((mapped.restore(&mapped.text), mapped.macros.len()), (text.to_owned(), 1));
        }
    }

    proptest! {
        #[test]
        fn any_text_can_be_mapped(text in "(\\{\\{|\\}\\}|\\.spectro|\\.spectro\\.system\\.kubernetes\\.version|-|\\.var|\\.x| |\\||default|\"|\\\\|\n|é|\u{10F000}0\u{10F001}){0,30}") {
            let mapped = map(&text, &mut Variables::default(), Some("1.33.4"));
            let placeholders = scan(&mapped.text);
            prop_assert!(placeholders.mistakes.is_empty(), "{:?}", mapped);
        }
    }
}
