//! Values reach a chart through Carrack as they reach it from helm's own `--values`.

use std::fs;
use std::process::Command;

use super::helm::helms;
use super::shop::{Shop, printed, script};

const LOWER: &str = r##"
numbers: [1000000, 12345678901234567890, 1.50, 1e6, 0755, 0o755, 0x1F, -5, +5, 1_000]
truths: [yes, no, True, "true", off, "yes"]
nothing: [~, null, "null", ""]
looks: [2026-01-01, 12:30:45, 10.0.0.1, 1.10, "1.10", "5", "~"]
quoted: ['it''s', "tab\tline\n\u00e9 \x41", " x ", "# no comment", "a: b", "*x", "&x", "!x", "%x", "@x", "|", ">", "-", "?", "\u2028"]
literal: |
  one
    two

  three
folded: >-
  a b
  c

  d
plain: some text
  that goes on
a.b: {c.d: 1}
"quoted key": 1
1: one
anchor: &x {p: 1, q: 2}
merged: {<<: *x, q: 3}
template: "{{ .Values.x }} {{ include \"x\" . }}"
empty: {map: {}, list: [], text: ""}
nested: {a: {b: {c: [1, {d: e}, [f, [g]]]}}, kept: 1, gone: 2}
own: {a: 1}
"##;

const UPPER: &str =
    "nested: {a: {b: {c: [2], d: null}}, gone: null}\nown: null\nmore: {own: null}\nempty: {map: {x: null}}\n";

const DEFAULTS: &str = "own: {a: 1, b: 2}\nmore: {own: {x: 1}, other: 2}\nnested: {defaults: true, gone: 5}\n";

#[test]
fn layers_are_merged_as_helm_merges_them() {
    for helm in helms("layers_are_merged_as_helm_merges_them") {
        let all =
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: all}\ndata:\n  all: {{ toJson .Values | quote }}\n";
        let shop =
            Shop::chart("[./lower.yaml, ./upper.yaml]", &[("values.yaml", DEFAULTS), ("templates/all.yaml", all)]);
        shop.sandbox.write("lower.yaml", LOWER);
        shop.sandbox.write("upper.yaml", UPPER);
        // Carrack's own helm, and what it was given.
        let rendered = shop.sandbox.work().join("rendered");
        let commands = format!("exec {} \"$@\" | tee -a {}", helm.display(), rendered.display());
        let watched = script(&shop.sandbox, &commands);
        printed(shop.carrack(&watched, &["images", "."]));
        let mut direct = Command::new(&helm);
        direct.args(["template", "shop", "./shop", "--namespace", "shop", "-f", "lower.yaml", "-f", "upper.yaml"]);
        let direct = direct.current_dir(shop.sandbox.work()).output().unwrap();
        let line = |text: &str| text.lines().find(|line| line.starts_with("  all:")).unwrap().to_owned();
        let (carracks, helms) =
            (line(&fs::read_to_string(rendered).unwrap()), line(&String::from_utf8(direct.stdout).unwrap()));
        assert!(helms.contains("quoted key") && !helms.contains("gone"), "{helms}");
        assert_eq!(carracks, helms, "{}", helm.display());
    }
}
