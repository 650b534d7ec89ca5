//! Palette's expressions on the version of Kubernetes, which a profile knows from its pack on layer k8s: functions on texts,
//! as templates of Helm have them.

/// How a text names the version.
const VERSION: &str = ".spectro.system.kubernetes.version";
/// Characters that a result may have. A function such as `repeat` is none that is known, so it hardly grows.
const MAX_RESULT: usize = 4096;
/// Parentheses within parentheses.
const MAX_DEPTH: usize = 16;

/// What an expression is.
#[derive(Debug, Clone, PartialEq)]
enum Value {
    Text(String),
    Number(i64),
    List(Vec<String>),
    /// What `split` gives: `_0`, `_1`.
    Numbered(Vec<String>),
    Semver(semver::Version),
}

/// Whether `inner`, which stands between `{{` and `}}`, speaks of the version of Kubernetes and of nothing else of Palette's.
pub(super) fn is_of_version(inner: &str) -> bool {
    let mut places = inner.match_indices(".spectro").peekable();
    let ends = |rest: &str| !rest.starts_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.'));
    let right = |at: usize| inner[at..].strip_prefix(VERSION).is_some_and(ends);
    places.peek().is_some() && places.all(|(at, _)| right(at))
}

/// The text that `inner` is with the Kubernetes `version`; nothing where something in it is not known.
pub(super) fn evaluate(inner: &str, version: &str) -> Option<String> {
    let version = version.trim_start_matches('v');
    semver::Version::parse(version).ok()?;
    let mut reader = Reader { rest: inner, version, depth: 0 };
    let value = reader.pipeline()?;
    let text = reader.rest.trim().is_empty().then(|| text(&value))??;
    let fits = text.len() <= MAX_RESULT && !text.contains("{{") && !text.chars().any(char::is_control);
    fits.then_some(text)
}

/// An expression while it is read.
struct Reader<'r> {
    rest: &'r str,
    version: &'r str,
    depth: usize,
}

impl<'r> Reader<'r> {
    /// Calls with `|` between them: each has what is before it as its last argument.
    fn pipeline(&mut self) -> Option<Value> {
        let mut value = self.call(None)?;
        while self.takes("|") {
            value = self.call(Some(value))?;
        }
        Some(value)
    }

    fn takes(&mut self, mark: &str) -> bool {
        self.rest = self.rest.trim_start();
        let rest = self.rest.strip_prefix(mark);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn call(&mut self, last: Option<Value>) -> Option<Value> {
        self.rest = self.rest.trim_start();
        if !self.rest.starts_with(|c: char| c.is_ascii_alphabetic()) {
            return self.argument().filter(|_| last.is_none());
        }
        let name = self.name();
        let mut arguments = Vec::new();
        while !matches!(self.rest.trim_start().chars().next(), None | Some('|' | ')')) {
            arguments.push(self.argument()?);
        }
        arguments.extend(last);
        apply(name, &arguments)
    }

    fn name(&mut self) -> &'r str {
        let end = self.rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at(end);
        self.rest = rest;
        name
    }

    fn argument(&mut self) -> Option<Value> {
        self.rest = self.rest.trim_start();
        if let Some(rest) = self.rest.strip_prefix(VERSION) {
            self.rest = rest;
            return Some(Value::Text(self.version.to_owned()));
        }
        if self.takes("(") {
            return self.parenthesis();
        }
        // Inside a quoted scalar of YAML, quotes are escaped.
        for mark in ["\\\"", "\"", "`"] {
            let Some(rest) = self.rest.strip_prefix(mark) else { continue };
            let end = rest.find(mark)?;
            self.rest = &rest[end + mark.len()..];
            return Some(Value::Text(rest[..end].to_owned())).filter(|_| !rest[..end].contains('\\'));
        }
        let end = self.rest.find(|c: char| !c.is_ascii_digit() && c != '-').unwrap_or(self.rest.len());
        let number = self.rest[..end].parse().ok()?;
        self.rest = &self.rest[end..];
        Some(Value::Number(number))
    }

    /// What is after `(`, with a field after `)` where there is one.
    fn parenthesis(&mut self) -> Option<Value> {
        self.depth += 1;
        let value = (self.depth <= MAX_DEPTH).then(|| self.pipeline())??;
        self.depth -= 1;
        if !self.takes(")") {
            return None;
        }
        let Some(rest) = self.rest.strip_prefix('.') else { return Some(value) };
        self.rest = rest;
        field(&value, self.name())
    }
}

fn field(value: &Value, name: &str) -> Option<Value> {
    match (value, name) {
        (Value::Semver(version), "Major") => i64::try_from(version.major).ok().map(Value::Number),
        (Value::Semver(version), "Minor") => i64::try_from(version.minor).ok().map(Value::Number),
        (Value::Semver(version), "Patch") => i64::try_from(version.patch).ok().map(Value::Number),
        (Value::Semver(version), "Prerelease") => Some(Value::Text(version.pre.to_string())),
        (Value::Semver(version), "Metadata") => Some(Value::Text(version.build.to_string())),
        (Value::Numbered(parts), _) => {
            parts.get(name.strip_prefix('_')?.parse::<usize>().ok()?).cloned().map(Value::Text)
        }
        _ => None,
    }
}

/// A value as a template writes it.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::Text(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Semver(version) => Some(version.to_string()),
        Value::List(_) | Value::Numbered(_) => None,
    }
}

fn apply(name: &str, arguments: &[Value]) -> Option<Value> {
    use Value::{List, Number, Numbered, Semver, Text};
    let text_of = |text: &str| Some(Text(text.to_owned()));
    match (name, arguments) {
        ("default", [_, value @ Text(text)]) if !text.is_empty() => Some(value.clone()),
        ("toString" | "print", [value]) => text(value).map(Text),
        ("int" | "int64" | "atoi", [value]) => text(value)?.parse().ok().map(Number),
        ("semver", [Text(version)]) => lenient(version).map(Semver),
        ("substr", [Number(start), Number(end), Text(text)]) => substr(text, *start, *end),
        ("trunc", [Number(count), Text(text)]) => {
            let length = i64::try_from(text.len()).ok()?;
            if *count < 0 { text_of(&text[place(text, (length + count).max(0))?..]) } else { substr(text, 0, *count) }
        }
        ("trim", [Text(text)]) => text_of(text.trim()),
        ("nospace", [Text(text)]) => text_of(&text.replace(char::is_whitespace, "")),
        ("upper", [Text(text)]) => text_of(&text.to_uppercase()),
        ("lower", [Text(text)]) => text_of(&text.to_lowercase()),
        ("trimAll", [Text(cut), Text(text)]) => text_of(text.trim_matches(|c| cut.contains(c))),
        ("trimPrefix", [Text(cut), Text(text)]) => text_of(text.strip_prefix(&**cut).unwrap_or(text)),
        ("trimSuffix", [Text(cut), Text(text)]) => text_of(text.strip_suffix(&**cut).unwrap_or(text)),
        ("replace", [Text(old), Text(new), Text(text)]) if !old.is_empty() => text_of(&text.replace(&**old, new)),
        ("quote", [value]) => text(value).map(|text| Text(format!("\"{text}\""))),
        ("squote", [value]) => text(value).map(|text| Text(format!("'{text}'"))),
        ("printf", [Text(format), values @ ..]) => printf(format, values),
        ("split", [Text(mark), Text(text)]) if !mark.is_empty() => Some(Numbered(pieces(text, mark))),
        ("splitList", [Text(mark), Text(text)]) if !mark.is_empty() => Some(List(pieces(text, mark))),
        ("join", [Text(mark), List(items)]) => Some(Text(items.join(mark))),
        ("first", [List(items)]) => items.first().cloned().map(Text),
        ("last", [List(items)]) => items.last().cloned().map(Text),
        ("initial", [List(items)]) => items.split_last().map(|(_, items)| List(items.to_vec())),
        ("rest", [List(items)]) => items.split_first().map(|(_, items)| List(items.to_vec())),
        ("index", [List(items), Number(at)]) => items.get(usize::try_from(*at).ok()?).cloned().map(Text),
        _ => None,
    }
}

fn pieces(text: &str, mark: &str) -> Vec<String> {
    text.split(mark).map(str::to_owned).collect()
}

/// A version with what is missing as 0, as `semver` takes it.
fn lenient(text: &str) -> Option<semver::Version> {
    let text = text.trim_start_matches('v');
    let parse = |text: &str| semver::Version::parse(text).ok();
    parse(text).or_else(|| parse(&format!("{text}.0"))).or_else(|| parse(&format!("{text}.0.0")))
}

/// A byte's place in `text`: its end where that is shorter.
fn place(text: &str, at: i64) -> Option<usize> {
    let at = usize::try_from(at).ok()?.min(text.len());
    text.is_char_boundary(at).then_some(at)
}

/// As sprig has it: from the start where `start` is negative, to the end where `end` is.
fn substr(text: &str, start: i64, end: i64) -> Option<Value> {
    let start = place(text, start.max(0))?;
    let end = if end < 0 { text.len() } else { place(text, end)? };
    text.get(start..end).map(|text| Value::Text(text.to_owned()))
}

/// `%s`, `%v` and `%d`, and no others.
fn printf(format: &str, values: &[Value]) -> Option<Value> {
    let (mut written, mut values, mut rest) = (String::new(), values.iter(), format);
    while let Some((before, after)) = rest.split_once('%') {
        written.push_str(before);
        let verb = after.chars().next()?;
        match (verb, if verb == '%' { None } else { values.next() }) {
            ('%', None) => written.push('%'),
            ('s', Some(Value::Text(text))) => written.push_str(text),
            ('d', Some(Value::Number(number))) => written.push_str(&number.to_string()),
            ('v', Some(value)) => written.push_str(&text(value)?),
            _ => return None,
        }
        rest = &after[1..];
    }
    written.push_str(rest);
    values.next().is_none().then_some(Value::Text(written))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_on_the_version_are_those_of_helm() {
        for (inner, want) in [
            (" .spectro.system.kubernetes.version ", "1.33.4"),
            (".spectro.system.kubernetes.version|substr 0 4", "1.33"),
            ("substr 0 4 .spectro.system.kubernetes.version", "1.33"),
            (".spectro.system.kubernetes.version | substr 2 -1", "33.4"),
            (".spectro.system.kubernetes.version | trunc 4 | quote", "\"1.33\""),
            (".spectro.system.kubernetes.version | trunc -1", "4"),
            (".spectro.system.kubernetes.version | trimPrefix \"v\" | trimSuffix \".4\"", "1.33"),
            (".spectro.system.kubernetes.version | replace \".\" \"-\" | trim | upper | nospace", "1-33-4"),
            (".spectro.system.kubernetes.version | replace \\\".\\\" \\\"_\\\"", "1_33_4"),
            ("(semver .spectro.system.kubernetes.version).Minor", "33"),
            ("( semver ( .spectro.system.kubernetes.version | substr 0 4 ) ).Patch", "0"),
            ("printf \"v%s-%d\" .spectro.system.kubernetes.version 7", "v1.33.4-7"),
            (
                "printf \"%v.%d\" (semver .spectro.system.kubernetes.version).Major (semver .spectro.system.kubernetes.version).Minor",
                "1.33",
            ),
            ("(split \".\" .spectro.system.kubernetes.version)._1", "33"),
            (".spectro.system.kubernetes.version | splitList \".\" | initial | join \".\"", "1.33"),
            (".spectro.system.kubernetes.version | default \"1.20\"", "1.33.4"),
        ] {
            assert!(is_of_version(inner), "{inner}");
            assert_eq!(evaluate(inner, "v1.33.4").as_deref(), Some(want), "{inner}");
        }
    }

    #[test]
    fn what_is_not_known_is_not_guessed() {
        for inner in [
            ".spectro.system.kubernetes.version | sha256sum",
            ".spectro.system.kubernetes.version | substr 4 0",
            ".spectro.system.kubernetes.version .spectro.system.kubernetes.version",
            "if semverCompare \">=1.25\" .spectro.system.kubernetes.version",
            "(.spectro.system.kubernetes.version",
            ".spectro.system.kubernetes.version | splitList \".\"",
            ".spectro.system.kubernetes.version | replace \".\" \"{{\"",
            ".spectro.system.kubernetes.version | printf \"%x\"",
            ".spectro.system.kubernetes.version | \"x\"",
            ".spectro.system.kubernetes.version | ",
        ] {
            assert_eq!(evaluate(inner, "1.33.4"), None, "{inner}");
        }
        assert_eq!(evaluate(".spectro.system.kubernetes.version", "1.33.x"), None);
        for other in [
            ".spectro.system.cluster.kubernetes.version",
            ".spectro.system.kubernetes.versions",
            ".spectro.system.kubernetes.version.major",
            "printf \"%s%s\" .spectro.system.kubernetes.version .spectro.system.cluster.uid",
            ".Values.x",
        ] {
            assert!(!is_of_version(other), "{other}");
        }
    }
}
