//! What is wrong with a chart, its values or what it renders to: said with the place, and with exit code 10.

use super::helm::helms;
use super::shop::{Shop, pod, refused, says, script};

#[test]
fn a_name_that_stays_a_template_is_told_with_its_place() {
    for helm in helms("a_name_that_stays_a_template_is_told_with_its_place") {
        // The chart forgets `tpl`, or the value is not there.
        let shop = Shop::chart(
            "[{image: '{{ .Values.registry }}/web:1'}]",
            &[
                (
                    "templates/web.yaml",
                    "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec:\n  containers:\n    - {name: main, image: {{ .Values.image | quote }}}\n",
                ),
                ("templates/tag.yaml", &pod("tag", "registry.example.org/tag:{{ .Values.absent }}")),
                ("templates/none.yaml", &pod("none", "{{ .Values.absent }}").replace('"', "")),
            ],
        );
        let said = refused(shop.carrack(&helm, &["images", "."]));
        says(
            &said,
            &[
                "error: 3 problems found",
                "pack shop, chart shop 1.2.3, rendered templates/web.yaml",
                "Pod web: spec.containers[0].image: \"{{ .Values.registry }}/web:1\" is left as it is by the chart",
                "pack shop, chart shop 1.2.3, rendered templates/tag.yaml",
                "Pod tag: spec.containers[0].image: ",
                "pack shop, chart shop 1.2.3, rendered templates/none.yaml",
                "Pod none: spec.containers[0].image: a container's image must be a reference",
            ],
        );
    }
}

#[test]
fn a_variable_without_a_fixed_set_does_not_reach_an_image() {
    for helm in helms("a_variable_without_a_fixed_set_does_not_reach_an_image") {
        let files = [("templates/web.yaml", &*pod("web", "registry.example.org/{{ .Values.store }}/web:1"))];
        let variables = "[{name: label, required: true}, {name: store, required: true}]";
        let inline = "[{label: \"{{.carrack.var.label}}\", store: \"{{ .carrack.var.store }}\"}]";
        let shop = Shop::with_variables(variables, inline, &files);
        let said = refused(shop.carrack(&helm, &["check", "."]));
        says(
            &said,
            &[
                "carrack.yaml:10:",
                "variable store has no fixed set of values and decides over an image",
                "pack shop, carrack.yaml:10, chart shop 1.2.3, templates/web.yaml, Pod web, spec.containers[0].image",
                "give it `options`",
            ],
        );
        assert!(!said.contains("label has"), "{said}");
        // The same from a file, with the place in that file.
        let shop = Shop::with_variables(variables, "[./values.yaml]", &files);
        shop.sandbox.write("values.yaml", "label: \"{{.carrack.var.label}}\"\nstore: \"{{.carrack.var.store}}\"\n");
        let said = refused(shop.carrack(&helm, &["check", "."]));
        says(&said, &["values.yaml:2:9: variable store has no fixed set", "2 | store: \"{{.carrack.var.store}}\""]);
        // One that decides whether there is an image at all.
        let conditional =
            format!("{{{{ if eq .Values.store \"7\" }}}}\n{}{{{{ end }}}}\n", pod("web", "registry.example.org/web:1"));
        let files = [("templates/web.yaml", &*conditional)];
        let shop = Shop::with_variables(
            "[{name: store, options: [\"6\", \"7\"], required: true}]",
            "[{store: \"{{.carrack.var.store}}\"}]",
            &files,
        );
        let ran = shop.carrack(&helm, &["images", "."]);
        assert_eq!((ran.code, &*ran.stdout), (0, "registry.example.org/web:1\n"), "{}", ran.stderr);
    }
}

#[test]
fn what_helm_refuses_is_told_with_pack_chart_and_template() {
    const SCHEMA: &str = r#"{"type": "object", "required": ["size"], "properties": {"size": {"type": "integer"}}}"#;
    for helm in helms("what_helm_refuses_is_told_with_pack_chart_and_template") {
        let of = |path: &str, text: &str| Shop::chart("[{size: large}]", &[(path, text)]);
        for (shop, parts) in [
            (
                of("templates/x.yaml", "a: 1\nb: {{ fail \"no store is chosen\" }}\n"),
                &["templates/x.yaml:2:6", "no store is chosen"][..],
            ),
            (of("templates/x.yaml", "a: {{ required \"a store is needed\" .Values.store }}\n"), &["a store is needed"]),
            (of("templates/x.yaml", "a: {{ .Values.x.y }}\n"), &["templates/x.yaml:1:", "nil pointer"]),
            (of("templates/x.yaml", "a: {{ if }}\n"), &["templates/x.yaml:1", "missing value for if"]),
            (of("values.schema.json", SCHEMA), &["size", "integer"]),
            (
                of("Chart.yaml", "apiVersion: v2\nname: shop\nversion: 1.2.3\nkubeVersion: '>=1.33.0'\n"),
                &["kubeVersion: >=1.33.0", "the `version` of the pack on layer `k8s`"],
            ),
            (of("values.yaml", "a: [\n"), &["values.yaml"]),
        ] {
            let said = refused(shop.carrack(&helm, &["images", "."]));
            says(&said, &["shop"]);
            says(&said, parts);
        }
        let said = refused(of("values.schema.json", SCHEMA).carrack(&helm, &["images", "."]));
        says(&said, &["chart shop 1.2.3 of pack shop cannot be rendered"]);
    }
}

#[test]
fn all_charts_that_cannot_be_rendered_are_told_at_once() {
    for helm in helms("all_charts_that_cannot_be_rendered_are_told_at_once") {
        let shop = Shop::chart("[]", &[("templates/x.yaml", "{{ fail \"first\" }}")]);
        shop.sandbox.write("other/Chart.yaml", "apiVersion: v2\nname: other\nversion: 2.0.0\n");
        shop.sandbox.write("other/templates/x.yaml", "{{ fail \"second\" }}");
        let file = shop.sandbox.work().join("carrack.yaml");
        let profile = std::fs::read_to_string(&file).unwrap();
        std::fs::write(file, profile + "    - {name: more, layer: addon, chart: {source: ./other, namespace: x}}\n")
            .unwrap();
        let said = refused(shop.carrack(&helm, &["images", "."]));
        says(&said, &["chart shop 1.2.3 of pack shop", "first", "chart other 2.0.0 of pack more", "second"]);
    }
}

#[test]
fn a_missing_subchart_is_told_before_helm_is_asked() {
    let chart = "apiVersion: v2\nname: shop\nversion: 1.2.3\ndependencies:\n  - {name: redis, version: ^17, repository: 'https://charts.example.org'}\n";
    let shop = Shop::chart("[]", &[("Chart.yaml", chart)]);
    // A helm that says when it is asked: nothing is rendered, and no repository is looked for.
    let asked = shop.sandbox.work().join("asked");
    let helm = script(&shop.sandbox, &format!("touch {}; echo v3.22.0", asked.display()));
    let said = refused(shop.carrack(&helm, &["images", "."]));
    says(&said, &["chart shop lacks redis ^17 that Chart.yaml declares and charts/ does not have"]);
    says(&said, &["hint: helm dependency build shop"]);
    assert!(!asked.exists());
}

#[test]
fn it_is_said_that_a_refused_value_was_a_sample() {
    const SCHEMA: &str = r#"{"type": "object", "properties": {"size": {"enum": ["small", "large"]}}}"#;
    for helm in helms("it_is_said_that_a_refused_value_was_a_sample") {
        let values = "[{size: \"{{.carrack.var.size}}\"}]";
        let files = [("values.schema.json", SCHEMA)];
        let shop = Shop::with_variables("[{name: size, required: true}]", values, &files);
        let said = refused(shop.carrack(&helm, &["check", "."]));
        says(&said, &["chart shop 1.2.3 of pack shop cannot be rendered", "samples were filled in for variable size"]);
        let fixed = Shop::with_variables("[{name: size, options: [small, large], required: true}]", values, &files);
        let checked = fixed.carrack(&helm, &["check", "."]);
        assert_eq!(checked.code, 0, "{}", checked.stderr);
    }
}

#[test]
fn a_chart_that_takes_all_memory_is_ended() {
    for helm in helms("a_chart_that_takes_all_memory_is_ended") {
        let grows = "{{ $x := repeat 1000 \"x\" }}{{ range until 40 }}{{ $x = print $x $x }}{{ end }}a: {{ $x }}\n";
        let shop = Shop::chart("[]", &[("templates/x.yaml", grows)]);
        let said = refused(shop.carrack(&helm, &["images", "."]));
        says(&said, &["chart shop 1.2.3 of pack shop cannot be rendered: it takes more than 2 GiB of memory"]);
    }
}

/// Without a pack on layer `k8s`, a chart is rendered for what the profile says.
#[test]
fn the_version_of_kubernetes_is_the_profiles() {
    let chart = "apiVersion: v2\nname: shop\nversion: 1.2.3\nkubeVersion: '>=1.33.0-0'\n";
    for helm in helms("the_version_of_kubernetes_is_the_profiles") {
        let files = [("Chart.yaml", chart), ("templates/x.yaml", "# {{ .Capabilities.KubeVersion }}")];
        let check = |said: &str, pack: &str| {
            let shop = Shop::chart("[]", &files);
            shop.profile("[]", pack, "[]");
            let file = shop.sandbox.work().join("carrack.yaml");
            let profile = std::fs::read_to_string(&file).unwrap();
            std::fs::write(&file, profile.replacen("spec:\n", &format!("spec:\n{said}"), 1)).unwrap();
            shop.carrack(&helm, &["check", "."])
        };
        let (none, old) = ("{name: x, layer: os}", "{name: k, layer: k8s, version: 1.32.5, distribution: none}");
        let silent = "{name: k, layer: k8s, distribution: none}";
        for (said, pack) in [
            ("  kubernetesVersion: 1.33.4\n", none),
            ("  kubernetesVersion: v1.33.4\n", none),
            ("  kubernetesVersion: 1.34.0\n", silent),
        ] {
            let ran = check(said, pack);
            assert_eq!((ran.code, ran.stderr.contains("assumes")), (0, false), "{said}: {}", ran.stderr);
        }
        for (said, pack, words) in [
            ("  kubernetesVersion: 1.32.5\n", none, &["kubeVersion: >=1.33.0-0", "`spec.kubernetesVersion`"][..]),
            (
                "  kubernetesVersion: 1.33.4\n",
                old,
                &["`kubernetesVersion` is \"1.33.4\", and pack k is version 1.32.5"],
            ),
            ("  kubernetesVersion: '1.33'\n", none, &["expected a version such as 1.33.4"]),
            ("  kubernetesVersion: 1.33\n", none, &["write it in quotes"]),
            ("  kubernetesversion: 1.33.4\n", none, &["did you mean `kubernetesVersion`"]),
        ] {
            says(&refused(check(said, pack)), words);
        }
    }
}
