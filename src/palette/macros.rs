//! Palette's templates, `{{ .spectro… }}`: those of variables become placeholders, all others words that YAML takes for
//! text, so that what they are in can be told.

use std::sync::Arc;

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

/// Maps the templates of `text`. What is in braces and not Palette's is left alone.
pub(super) fn map(text: &str, variables: &mut Variables) -> Mapped {
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
        match placeholder(inner, variables) {
            Ok(placeholder) => mapped.push_str(&placeholder),
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
    [".spectro", ".carrack"].iter().any(|name| {
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn mapped(text: &str) -> (String, Vec<(usize, String)>) {
        let mapped = map(text, &mut Variables::default());
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
        ] {
            let (whole, macros) = mapped(&format!("é\n{{{{ .Values.x }}}}\n{text} and"));
            assert_eq!(whole, format!("é\n{{{{ .Values.x }}}}\n{text} and"));
            assert_eq!(macros, [(3, text.to_owned())]);
        }
    }

    proptest! {
        #[test]
        fn any_text_can_be_mapped(text in "(\\{\\{|\\}\\}|\\.spectro|\\.var|\\.x| |\\||default|\"|\\\\|\n|é|\u{10F000}0\u{10F001}){0,30}") {
            let mapped = map(&text, &mut Variables::default());
            let placeholders = scan(&mapped.text);
            prop_assert!(placeholders.mistakes.is_empty(), "{:?}", mapped);
        }
    }
}
