//! Whatever is in an export, the import of it is right.

use std::fs;

use carrack::palette::{self, PaletteError};
use carrack::profile::{self, Loaded, Packs};
use carrack::variables::template::{Around, check};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::tree;

/// Pieces of what packs have in their texts.
const PIECES: &[&str] = &[
    "pack:\n",
    "  namespace: shop\n",
    "  namespace: '{{.spectro.var.a}}'\n",
    "  namespaceLabels: {shop: \"a=b,c=d\", '{{.spectro.var.a}}': x}\n",
    "  releaseNameOverride: {x: A_b}\n",
    "  content: {images: [{image: registry.example.org/a:1}, registry.example.org/b:1, {image: '{{.spectro.var.a}}'}, []]}\n",
    "cluster:\n",
    "  config: |\n    a: {{ .spectro.var.n }}\n    b: '1{{.spectro.var.n}}'\n",
    "  config: {a: {{ .spectro.system.x }}, b: [yes, 0755, 1e3, .inf, {{.spectro.var.a | default \"x\"}}]}\n",
    "charts:\n",
    "  x: {a: \"{{ .spectro.var.a | default \\\"x\\\" }}\", '{{.spectro.var.b-c}}': 1, n: {{.spectro.var.n | default \"x\"}}}\n",
    "  z: 5\n",
    "charts: x\n",
    "manifests:\n",
    "  x:\n    contents: |\n      kind: X\n      metadata: {name: '{{ .spectro.var.a }}'}\n",
    "  y: {a: {{ .spectro.var.a }}}\n",
    "# {{ .spectro.var.comment }} {{ .spectro.system.x }}\n",
    "{{- .spectro.var.a -}}\n",
    "{{ .carrack.var.a }}\n",
    "kind: ConfigMap\nmetadata: {name: x}\ndata: {a: '{{.spectro.var.b-c}}{{ $labels.x }}'}\n",
    "---\n",
    "\t[",
    "\u{10F000}0\u{10F001}",
    "\u{10E000}",
];

/// A text that a profile may have for its values or a manifest.
fn text() -> impl Strategy<Value = String> {
    proptest::collection::vec(proptest::sample::select(PIECES), 0..6).prop_map(|pieces| pieces.concat())
}

/// A variable of a profile.
fn variable() -> impl Strategy<Value = Value> {
    let one_of = |texts: &'static [&'static str]| proptest::sample::select(texts);
    (
        one_of(&["a", "n", "b-c", "b_c", "1", "", "é"]),
        one_of(&["string", "number", "boolean", "ipv4", "version", "email"]),
        one_of(&["", "x", "1", "true", "10.0.0.1", "1.2.3", "********"]),
        one_of(&["", "(", "^[a-z]*$", "[0-9]", "a|b"]),
        proptest::collection::vec(one_of(&["x", "1", "true"]), 0..3),
        any::<[bool; 5]>(),
    )
        .prop_map(|(name, format, default, regex, options, flags)| {
            json!({
                "name": name, "format": format, "defaultValue": default, "regex": regex, "options": options,
                "required": flags[0], "hidden": flags[1], "immutable": flags[2], "isSensitive": flags[3],
                "readOnly": flags[4],
            })
        })
}

/// A pack of a profile.
fn pack() -> impl Strategy<Value = Value> {
    let one_of = |texts: &'static [&'static str]| proptest::sample::select(texts);
    (
        one_of(&["a", "A_b", "edge-k3s", "kubernetes", "../x", ""]),
        one_of(&["os", "k8s", "cni", "addon", "addon", "kernel"]),
        one_of(&["1.0.0", "1.x", "", "v2"]),
        one_of(&["spectro", "helm", "oci", "manifest"]),
        one_of(&["", "https://charts.example.org", "oci://registry.example.org/x", "oci://x", "http://x", "https://"]),
        text(),
        proptest::collection::vec((one_of(&["a", "A.yaml", "../../x", ""]), text()), 0..3),
    )
        .prop_map(|(name, layer, version, kind, server, values, manifests)| {
            let manifests: Vec<Value> =
                manifests.into_iter().map(|(name, content)| json!({"name": name, "content": content})).collect();
            json!({
                "name": name, "layer": layer, "version": version, "type": kind, "server": server, "values": values,
                "manifests": manifests,
            })
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is in a profile, what is imported is a right profile, whose placeholders all can be filled.
    #[test]
    fn what_is_imported_is_always_right(
        packs in proptest::collection::vec(pack(), 1..5),
        variables in proptest::collection::vec(variable(), 0..5),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let profile = json!({"metadata": {"name": "x"}, "spec": {"variables": variables, "template": {"packs": packs}}});
        let source = folder.path().join("x.json");
        fs::write(&source, profile.to_string()).unwrap();
        let imported = match palette::import(&source, None) {
            Ok(imported) => imported,
            Err(PaletteError::NotPalette { reason, .. }) => {
                prop_assert_eq!(reason, "it has no pack that can be imported");
                return Ok(());
            }
            Err(other) => panic!("{other:?}"),
        };
        let target = folder.path().join("out");
        imported.folder.write(&target).unwrap();
        let loaded = match profile::load(&target, &Packs::new()) {
            Ok(Loaded::Profile(profile)) => *profile,
            other => panic!("{other:?} {}", tree(&target)),
        };
        for pack in &loaded.packs {
            let values = pack.charts.iter().flat_map(|chart| &chart.values).chain(&pack.config);
            let manifests = pack.manifests.iter().map(|file| fs::read_to_string(file).unwrap());
            for text in values.map(|template| template.text.clone()).chain(manifests) {
                let mistakes = check(&text, Around::Yaml, &loaded.variables);
                prop_assert!(mistakes.is_empty(), "{:?} in {} of {}", mistakes, text, tree(&target));
            }
        }
    }
}
