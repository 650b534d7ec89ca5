//! Any value in any place is read back as itself.

use super::super::{Around, check, fill, fill_and_tell};
use crate::variables::{Format, Values, Variable};
use crate::yaml::{Kind, Node, parse};
use proptest::prelude::*;

fn variable(name: &str, format: Format) -> Variable {
    Variable { name: name.to_owned(), format, required: true, ..Variable::default() }
}

fn with(name: &str, value: &str) -> Values {
    Values::from([(name.to_owned(), value.to_owned())])
}

fn string(text: &str, value: &str) -> Result<String, String> {
    let filled = fill(text, Around::Yaml, &with("x", value), &[variable("x", Format::String)]);
    filled.map_err(|mistakes| mistakes.iter().map(|one| format!("{}: {}", one.at, one.message)).collect())
}

fn document(text: &str) -> Node {
    let mut parsed = parse(text);
    assert!(parsed.mistakes.is_empty() && parsed.documents.len() == 1, "{text:?}: {:?}", parsed.mistakes);
    parsed.documents.remove(0)
}

#[test]
fn values_are_written_with_respect_to_what_is_around() {
    for (text, value, filled) in [
        ("a: {{.carrack.var.x}} # c", "shop", "a: shop # c"),
        ("a: {{.carrack.var.x}}", "quay.io/a/b:1", "a: quay.io/a/b:1"),
        ("a: {{.carrack.var.x}}", "yes", "a: \"yes\""),
        ("a: {{.carrack.var.x}}", "42", "a: \"42\""),
        ("a: {{.carrack.var.x}}", "", "a: \"\""),
        ("a: {{.carrack.var.x}}", "b: c # d\n\"", "a: \"b: c # d\\n\\\"\""),
        ("{{.carrack.var.x}}: {a: [{{.carrack.var.x}}]}", "a, b", "\"a, b\": {a: [\"a, b\"]}"),
        ("a: 'x {{.carrack.var.x}}'", "it's", "a: 'x it''s'"),
        ("a: 'x {{.carrack.var.x}}'", "1\n2", "a: \"x\\x201\\n2\""),
        ("a: \"x {{.carrack.var.x}}\\n\"", "\"\\", "a: \"x \\\"\\\\\\n\""),
        ("a: |\n  x\n    {{.carrack.var.x}}\nb: 1", "1\n2", "a: |\n  x\n    1\n  2\nb: 1"),
        ("a: |2  # | c\n\n  {{.carrack.var.x}}\n\nb: 1", " 1\n", "a: \"\\n\\x201\\n\\n\"\n\nb: 1"),
        ("a: >-\n  x\n  {{.carrack.var.x}}\nb: 1", "y z", "a: >-\n  x\n  y z\nb: 1"),
        ("a: >-\n  x\n  {{.carrack.var.x}}\nb: 1", "y\nz", "a: \"x\\x20y\\nz\"\nb: 1"),
        ("a: store-{{.carrack.var.x}}.example.org", "0042", "a: store-0042.example.org"),
        ("a: 10.0.0.{{.carrack.var.x}}", "7", "a: 10.0.0.7"),
        ("# {{.carrack.var.x}}\na: '{{ .Values.x }}'", "7", "# {{.carrack.var.x}}\na: '{{ .Values.x }}'"),
        (
            "# {{.carrack.var.x}}\na: {{.carrack.var.x}} # {{.carrack.var.x}}",
            "b",
            "# {{.carrack.var.x}}\na: b # {{.carrack.var.x}}",
        ),
    ] {
        assert_eq!(string(text, value).as_deref(), Ok(filled), "{text:?}");
    }
}

#[test]
fn numbers_and_truth_values_are_no_text() {
    for (format, value, kind) in [
        (Format::Number, "42", Kind::Int),
        (Format::Number, "-1.5e3", Kind::Float),
        (Format::Boolean, "true", Kind::Bool),
    ] {
        for (text, kind) in
            [("{{.carrack.var.x}}", kind), ("\"{{.carrack.var.x}}\"", Kind::Text), ("'{{.carrack.var.x}}'", Kind::Text)]
        {
            let filled = fill(text, Around::Yaml, &with("x", value), &[variable("x", format)]).unwrap();
            let document = document(&filled);
            let scalar = document.scalar().unwrap();
            assert_eq!((scalar.kind, &*scalar.text), (kind, value), "{text}");
        }
    }
}

#[test]
fn a_longer_plain_text_stays_plain_or_is_refused() {
    let needs = "1:6: the value of variable x needs quotes here; put the whole text in quotes";
    for value in ["b: c", "b #c", "b\nc", "b:", "b ", "b\tc"] {
        let text = "a: b-{{.carrack.var.x}}";
        assert_eq!(string(text, value).unwrap_err(), needs, "{value:?}");
        let quoted = string("a: \"b-{{.carrack.var.x}}\"", value).unwrap();
        assert_eq!(document(&quoted).get("a").unwrap().text(), Some(&*format!("b-{value}")));
    }
    assert!(string("[b-{{.carrack.var.x}}]", "c]").is_err() && string("- b-{{.carrack.var.x}}", "c]").is_ok());
    assert!(string("a: {{.carrack.var.x}}b", "- ").is_err() && string("a: {{.carrack.var.x}}b", "-").is_ok());
    let number = "1:6: with the value of variable x this is no text any more; put the whole text in quotes";
    assert_eq!(string("a: 30{{.carrack.var.x}}", "042").unwrap_err(), number);
    assert_eq!(string("a: {{.carrack.var.x}}es", "y").unwrap_err().len(), number.len());
    let port = fill("a: 30{{.carrack.var.x}}", Around::Yaml, &with("x", "42"), &[variable("x", Format::Number)]);
    assert_eq!(port.unwrap(), "a: 3042");
}

#[test]
fn what_cannot_be_filled_is_told_with_its_place() {
    let declared = [variable("x", Format::Number), Variable { required: false, ..variable("o", Format::Number) }];
    let text = "a: {{.carrack.var.y}}\nb: {{.carrack.var.o}}\nc: {{.carrack.var.o | default \"z\"}}\nd: &{{.carrack.var.x}} 1\n# {{.carrack.var.z}}\n";
    let told: Vec<String> =
        check(text, Around::Yaml, &declared).iter().map(|one| format!("{}: {}", one.at, one.message)).collect();
    assert_eq!(
        told,
        [
            "4:5: no value can stand here: a placeholder stands in a key or in a value",
            "1:4: variable y is not declared; declare it under `variables`",
            "2:4: variable o may have no value; make it `required`, give it a `default`, or write {{.carrack.var.o | default \"text\"}}",
            "3:4: variable o has the default \"z\" here, expected a number such as 42, -7 or 1.5",
        ]
    );
    assert_eq!(fill(text, Around::Yaml, &Values::new(), &declared).unwrap_err().len(), 4);
    assert_eq!(check(text, Around::Plain, &declared).len(), 4);
    assert_eq!(fill("{{.carrack.var.o | default \"7\"}}", Around::Plain, &Values::new(), &declared).unwrap(), "7");
    let optional = fill("a: {{.carrack.var.o | default \"7\"}}", Around::Yaml, &Values::new(), &declared);
    assert_eq!(optional.unwrap(), "a: 7");
}

/// Values, the nasty ones among them more often than chance has it.
fn values() -> impl Strategy<Value = String> {
    prop_oneof![
        "(\\PC|[ \n\t\r:#'\"\\\\{}\\[\\],&*!|>%@`?-]|\u{85}|\u{2028}|\u{FEFF}|\u{10E000}|\u{7}){0,12}",
        "[a-z0-9.:_+-]{0,12}",
        prop::sample::select(vec![
            "true",
            "no",
            "~",
            "null",
            "1e3",
            "0x1F",
            "1_000",
            "12:30",
            "2024-01-01",
            "<<",
            "=",
            "---",
            "...",
            "- a",
            "? a",
            "a: b",
            "a\n\nb",
            "\n",
            " ",
            "{{.carrack.var.x}}",
            "\r\n"
        ])
        .prop_map(str::to_owned),
    ]
}

/// Texts with a placeholder, and where in the parsed document the value is, between what.
const PLACES: &[(&str, &str, &str)] = &[
    ("{{.carrack.var.x}}", "", ""),
    ("a: {{.carrack.var.x}}\nb: 1\n", "", ""),
    ("a: {{.carrack.var.x}}  # comment\nb: 1\n", "", ""),
    ("- [{{.carrack.var.x}}, b]\n", "", ""),
    ("a: !!str {{.carrack.var.x}}\n", "", ""),
    ("a: \"{{.carrack.var.x}}\"\n", "", ""),
    ("a: \"1 {{.carrack.var.x}} 2\"\n", "1 ", " 2"),
    ("a: \"1\n  {{.carrack.var.x}}\n  2\"\n", "1 ", " 2"),
    ("a: '{{.carrack.var.x}}'\n", "", ""),
    ("a: {b: '1 {{.carrack.var.x}} 2'}\n", "1 ", " 2"),
    ("a: '1\n\n  {{.carrack.var.x}}\n  2'\n", "1\n", " 2"),
    ("a: |\n  {{.carrack.var.x}}\nb: 1\n", "", "\n"),
    ("a: |-\n  1\n    {{.carrack.var.x}}\nb: 1\n", "1\n  ", ""),
    ("a:\n- |+\n  {{.carrack.var.x}}2\n\n- b\n", "", "2\n\n"),
    ("a: |2\n   {{.carrack.var.x}}\n\n\nb: 1\n", " ", "\n"),
    ("a: >\n  1\n  {{.carrack.var.x}}\n  2\nb: 1\n", "1 ", " 2\n"),
    ("a: > # |\n  {{.carrack.var.x}}\nb: 1\n", "", "\n"),
];

/// The first value of a document that no other text of it is before.
fn leaf(node: &Node) -> &Node {
    match (node.items().first(), node.entries().first()) {
        (Some(item), _) => leaf(item),
        (_, Some(entry)) => leaf(&entry.value),
        _ => node,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_value_in_any_place_is_read_back_as_itself(value in values()) {
        for (text, before, after) in PLACES {
            let variables = [variable("x", Format::String)];
            let filled = fill_and_tell(text, Around::Yaml, &with("x", &value), &variables).map_err(|mistakes| {
                TestCaseError::fail(format!("{text:?}: {mistakes:?}"))
            })?;
            let document = document(&filled.text);
            let leaf = leaf(&document).scalar().unwrap();
            prop_assert_eq!((leaf.kind, &*leaf.text), (Kind::Text, &*format!("{before}{value}{after}")), "{:?}", filled.text);
            prop_assert_eq!(document.get("b").is_some(), text.contains("\nb:"));
            for put in filled.puts {
                let read = put.spelling.read(&filled.text[put.bytes]);
                prop_assert_eq!(read.as_deref(), Some(&*value), "{:?}", filled.text);
            }
        }
    }

    #[test]
    fn any_value_as_a_key_is_read_back_as_itself(value in values()) {
        for text in ["{{.carrack.var.x}}: 1", "{another long key: 1, {{.carrack.var.x}}: 2}", "\"{{.carrack.var.x}}\": 1"] {
            let filled = string(text, &value).map_err(TestCaseError::fail)?;
            let document = document(&filled);
            prop_assert_eq!(&*document.entries().last().unwrap().key, &*value, "{:?}", filled);
        }
    }

    #[test]
    fn a_longer_plain_text_is_read_as_itself_or_refused(value in values()) {
        for text in ["a: 1-{{.carrack.var.x}}\nb: 1\n", "a: {{.carrack.var.x}}-1\nb: 1\n", "a: [1{{.carrack.var.x}}]\nb: 1\n", "a: 1\n  {{.carrack.var.x}}\nb: 1\n"] {
            let Ok(filled) = string(text, &value) else { continue };
            let document = document(&filled);
            let scalar = leaf(&document).scalar().unwrap();
            prop_assert_eq!(scalar.kind, Kind::Text, "{:?}", filled);
            prop_assert!(scalar.text.contains(&value) && document.get("b").is_some(), "{:?}", filled);
        }
    }

    #[test]
    fn any_template_is_filled_or_refused(text in "(\\{\\{\\.carrack\\.var\\.x\\}\\}|[-a-c:\\[\\]{}#&*!|>'\"%@,?<~. \t\n]|é){0,30}", value in values()) {
        let _ = string(&text, &value);
        let _ = check(&text, Around::Yaml, &[]);
    }
}
