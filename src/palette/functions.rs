//! Whether helm can read a template at all: it refuses one whole for a function that it does not have, and for a block without an
//! end. Templates of others stand in manifests too, as those of an injector.

/// Words that Go's templates have, their functions, and those that Helm adds, sprig's among them.
const KNOWN: &str = "if else end range with define block template break continue true false nil \
    and or not len index slice print printf println html js urlquery call eq ne lt le gt ge \
    include tpl required lookup toYaml toYamlPretty fromYaml fromYamlArray toJson fromJson fromJsonArray toToml fromToml mustToToml \
    mustToYaml mustToJson \
    ago date dateInZone dateModify date_in_zone date_modify duration durationRound htmlDate htmlDateInZone mustDateModify \
    mustToDate must_date_modify now toDate unixEpoch \
    abbrev abbrevboth camelcase cat contains hasPrefix hasSuffix indent initials kebabcase lower nindent nospace plural quote repeat \
    replace shuffle snakecase squote substr swapcase title trim trimAll trimPrefix trimSuffix trimall trunc untitle upper wrap wrapWith \
    randAlpha randAlphaNum randAscii randBytes randInt randNumeric \
    atoi int int64 float64 toDecimal toString toStrings seq until untilStep add add1 add1f addf ceil div divf floor max maxf min minf mod \
    mul mulf round sub subf biggest \
    split splitList splitn join sortAlpha \
    all any coalesce compact default empty fail ternary \
    adler32sum bcrypt buildCustomCert decryptAES derivePassword encryptAES genCA genCAWithKey genPrivateKey genSelfSignedCert \
    genSelfSignedCertWithKey genSignedCert genSignedCertWithKey htpasswd sha1sum sha256sum sha512sum uuidv4 \
    b32dec b32enc b64dec b64enc \
    append chunk concat first has initial last list mustAppend mustChunk mustCompact mustFirst mustHas mustInitial mustLast mustPrepend \
    mustPush mustRest mustReverse mustSlice mustUniq mustWithout prepend push rest reverse tuple uniq without \
    deepCopy deepEqual dict dig get hasKey keys merge mergeOverwrite mustDeepCopy mustMerge mustMergeOverwrite omit pick pluck set \
    unset values \
    kindIs kindOf typeIs typeIsLike typeOf toRawJson toPrettyJson mustToPrettyJson mustToRawJson mustFromJson \
    base clean dir ext isAbs osBase osClean osDir osExt osIsAbs urlJoin urlParse getHostByName \
    mustRegexFind mustRegexFindAll mustRegexMatch mustRegexReplaceAll mustRegexReplaceAllLiteral mustRegexSplit regexFind \
    regexFindAll regexMatch regexQuoteMeta regexReplaceAll regexReplaceAllLiteral regexSplit \
    semver semverCompare hello";

/// Why helm cannot read the template `text`; nothing where no reason is seen.
pub(super) fn unreadable(text: &str) -> Option<String> {
    let (mut rest, mut open) = (text, 0_usize);
    while let Some(start) = rest.find("{{") {
        rest = &rest[start + 2..];
        let comment = rest.strip_prefix("- ").unwrap_or(rest).strip_prefix("/*");
        if let Some(comment) = comment {
            let Some(end) = comment.find("*/") else { return Some("a comment in it has no `*/`".to_owned()) };
            rest = &comment[end + 2..];
            continue;
        }
        let Some((names, after)) = names(rest) else {
            return Some("a template in it has no `}}`".to_owned());
        };
        rest = after;
        if let Some(unknown) = names.iter().find(|name| !KNOWN.split_whitespace().any(|known| known == **name)) {
            return Some(format!("helm, which would render it, has no function {unknown}"));
        }
        match names.first().copied() {
            Some("if" | "range" | "with" | "define" | "block") => open += 1,
            Some("end") if open == 0 => return Some("a template in it has an `end` too many".to_owned()),
            Some("end") => open -= 1,
            _ => {}
        }
    }
    (open > 0).then(|| "a template in it has no `end`".to_owned())
}

/// The functions and keywords up to `}}`, and what follows.
fn names(text: &str) -> Option<(Vec<&str>, &str)> {
    let (mut found, mut at) = (Vec::new(), 0);
    while let Some(first) = text[at..].chars().next() {
        let rest = &text[at..];
        if let Some(after) = rest.strip_prefix("}}") {
            return Some((found, after));
        }
        at += match first {
            '"' | '`' | '\'' => quoted(rest, first)?,
            c if c.is_alphabetic() || matches!(c, '_' | '.' | '$') => {
                let inner = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '$');
                let end = rest.find(|c| !inner(c)).unwrap_or(rest.len());
                // After a parenthesis, it is a field of what is in that.
                if c.is_alphabetic() || c == '_' {
                    found.push(&rest[..end]);
                }
                end
            }
            c if c.is_ascii_digit() => rest.find(|c: char| !c.is_alphanumeric() && c != '.').unwrap_or(rest.len()),
            c => c.len_utf8(),
        };
    }
    None
}

/// How long a text in quotes is with them.
fn quoted(text: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    for (index, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' if quote != '`' => escaped = true,
            _ if c == quote => return Some(index + 1),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_helm_reads_is_read() {
        for text in [
            "a: b",
            "a: {{ .Values.a | default \"x\" | quote }}",
            "{{- if and .Values.a (not (eq .Values.b \"}}\")) }}\na: b\n{{- else if .x }}\n{{- end }}",
            "{{/* { forgotten }} */}}a: {{ printf `%s}}` $.Values.x }}{{ $x := dict \"a\" 1e3 }}{{ (index $x 0).unknown }}",
            "{{ range $i, $e := until 3 }}{{ $i }}{{ end }}{{- /* of whom */ -}}",
            "{{ define \"x\" }}{{ include \"y\" . | nindent 4 }}{{ end }}{{ template \"x\" . }}",
        ] {
            assert_eq!(unreadable(text), None, "{text}");
        }
    }

    #[test]
    fn what_helm_does_not_read_has_a_reason() {
        for (text, reason) in [
            ("a: {{ Template_Version_Mismatch }}", "has no function Template_Version_Mismatch"),
            ("{{ valueOrDefault .x 1 }}", "has no function valueOrDefault"),
            ("{{ .x | structToJSON }}", "has no function structToJSON"),
            ("{{ if .a }}{{ env \"HOME\" }}{{ end }}", "has no function env"),
            ("{{ if .a }}", "has no `end`"),
            ("{{ end }}", "an `end` too many"),
            ("a: {{ .Values.x", "has no `}}`"),
            ("a: {{ \"x }}", "has no `}}`"),
        ] {
            assert!(unreadable(text).is_some_and(|told| told.contains(reason)), "{text}: {:?}", unreadable(text));
        }
    }
}
