//! What is found, why, and that it is in the bundle.

use carrack::bundle::Bundle;
use carrack::registry::in_process::{Image, InProcessRegistry, Layer};

use super::helm::helms;
use super::shop::{Shop, pod, printed};

/// The images `NAME:1` in a registry.
pub(crate) fn registry(names: &[&str]) -> InProcessRegistry {
    let registry = InProcessRegistry::start().unwrap();
    for name in names {
        let layers = vec![Layer::tar(&[("run", 0o755, name.as_bytes())]).unwrap().zstd().unwrap()];
        let image = Image { platform: "linux/amd64".parse().unwrap(), layers, command: vec!["/run".to_owned()] };
        registry.put_image(name, Some("1"), &image);
    }
    registry
}

#[test]
fn what_any_object_or_annotation_names_is_in_the_bundle() {
    for helm in helms("what_any_object_or_annotation_names_is_in_the_bundle") {
        let names = ["annotated", "declared-nowhere", "metrics-large", "metrics-small"];
        let registry = registry(&names);
        let host = registry.host();
        let chart = format!(
            "apiVersion: v2\nname: shop\nversion: 1.2.3\nannotations:\n  artifacthub.io/images: |\n    - image: {host}/annotated:1\n"
        );
        let shop = Shop::with_variables(
            "[{name: size, options: [small, large], default: small}]",
            "[./values.yaml, {size: \"{{.carrack.var.size}}\"}]",
            &[
                ("Chart.yaml", &*chart),
                ("templates/pod.yaml", &pod("hidden", &format!("{host}/declared-nowhere:1"))),
                ("templates/metrics.yaml", &pod("metrics", "{{ .Values.host }}/metrics-{{ .Values.size }}:1")),
            ],
        );
        shop.sandbox.write("values.yaml", format!("host: {host}\n"));
        let built = shop.carrack(&helm, &["build", ".", "-o", "shop.tar.zst"]);
        assert_eq!(built.code, 0, "{}", built.stderr);
        let bundle = Bundle::open(&shop.sandbox.work().join("shop.tar.zst")).unwrap();
        let carried: Vec<String> = bundle.contents().images.iter().map(|image| image.reference.to_string()).collect();
        assert_eq!(carried, names.map(|name| format!("{host}/{name}:1")));
    }
}

#[test]
fn the_chain_of_reasons_is_shown() {
    for helm in helms("the_chain_of_reasons_is_shown") {
        let image = "registry.example.org/shop/web:1";
        let chart = "apiVersion: v2\nname: shop\nversion: 1.2.3\nannotations:\n  images: |\n    - {name: w, image: 'registry.example.org/shop/web:1'}\n";
        let shop = Shop::chart(
            "[]",
            &[
                ("Chart.yaml", chart),
                ("templates/web.yaml", &pod("web", image)),
                ("charts/inner/Chart.yaml", "apiVersion: v2\nname: inner\nversion: 0.1.0\n"),
                (
                    "charts/inner/templates/pod.yaml",
                    &pod("inner", image).replace("name: inner", "name: inner, namespace: other"),
                ),
                ("charts/inner/templates/pod2.yaml", &pod("second", "registry.example.org/shop/second:1")),
            ],
        );
        shop.sandbox.write("list.txt", "registry.example.org/shop/web:1\n");
        assert_eq!(
            printed(shop.carrack(&helm, &["images", ".", "--why"])),
            "\
registry.example.org/shop/second:1
  pack shop, carrack.yaml:10, chart shop 1.2.3, charts/inner/templates/pod2.yaml, Pod second, spec.containers[0].image
registry.example.org/shop/web:1
  pack shop, carrack.yaml:10, chart shop 1.2.3, Chart.yaml, annotations[images][0].image
  pack shop, carrack.yaml:10, chart shop 1.2.3, charts/inner/templates/pod.yaml, Pod other/inner, spec.containers[0].image
  pack shop, carrack.yaml:10, chart shop 1.2.3, templates/web.yaml, Pod web, spec.containers[0].image
"
        );
        let json = printed(shop.carrack(&helm, &["images", ".", "--json"]));
        let document: serde_json::Value = serde_json::from_str(&json).unwrap();
        let reason = &document["images"][0]["reasons"][0];
        let wanted = serde_json::json!({
            "pack": "shop", "file": "carrack.yaml", "line": 10,
            "chart": {"name": "shop", "version": "1.2.3", "template": "charts/inner/templates/pod2.yaml"},
            "object": {"kind": "Pod", "name": "second"},
            "field": "spec.containers[0].image",
        });
        assert_eq!(*reason, wanted);
    }
}

#[test]
fn a_packaged_chart_is_read_like_its_folder() {
    for helm in helms("a_packaged_chart_is_read_like_its_folder") {
        let shop = Shop::fixture("subcharts");
        let from_folder = printed(shop.carrack(&helm, &["images", "."]));
        // What was packed from the folder is an ordinary package.
        let folder = shop.sandbox.work().join(".carrack/charts");
        let package = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .find(|path| path.extension().is_some_and(|kind| kind == "tgz"));
        std::fs::rename(package.unwrap(), shop.sandbox.work().join("chart.tgz")).unwrap();
        let profile = std::fs::read_to_string(shop.sandbox.work().join("carrack.yaml")).unwrap();
        shop.sandbox.write("carrack.yaml", profile.replace("./chart\n", "./chart.tgz\n"));
        std::fs::remove_dir_all(shop.sandbox.work().join("chart")).unwrap();
        assert_eq!(printed(shop.carrack(&helm, &["images", "."])), from_folder);
    }
}

#[test]
fn what_one_chart_defines_another_may_ask_for_and_so_on() {
    let definition = |group: &str, kind: &str| {
        format!(
            "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {{name: x.{group}}}\nspec:\n  \
             group: {group}\n  names: {{kind: {kind}, plural: x}}\n  versions: [{{name: v1}}]\n"
        )
    };
    let asks = |what: &str, text: &str| {
        format!("{{{{ if .Capabilities.APIVersions.Has \"{what}\" }}}}\n{text}{{{{ end }}}}\n")
    };
    for helm in helms("what_one_chart_defines_another_may_ask_for_and_so_on") {
        // The first asks for what the second defines where there is what the profile's manifest defines, in a text of its values.
        let first = asks("second.example.org/v1/Second", &pod("first", "registry.example.org/first:1"));
        let shop = Shop::chart(
            "[]",
            &[
                ("values.yaml", &*format!("text: |\n  {}", first.trim_end().replace('\n', "\n  "))),
                ("templates/x.yaml", "{{ tpl .Values.text . }}\n"),
            ],
        );
        shop.sandbox.write("second/Chart.yaml", "apiVersion: v2\nname: second\nversion: 1.0.0\n");
        shop.sandbox.write(
            "second/templates/x.yaml",
            asks("third.example.org/v1/Third", &definition("second.example.org", "Second")),
        );
        shop.sandbox.write("third.yaml", definition("third.example.org", "Third"));
        let file = shop.sandbox.work().join("carrack.yaml");
        let profile = std::fs::read_to_string(&file).unwrap();
        let second =
            "    - {name: more, layer: addon, chart: {source: ./second, namespace: x}, manifests: [./third.yaml]}\n";
        std::fs::write(file, profile + second).unwrap();
        assert_eq!(printed(shop.carrack(&helm, &["images", "."])), "registry.example.org/first:1\n");
    }
}

#[test]
fn the_image_that_installs_charts_is_asked_for() {
    let shop = Shop::chart("[]", &[("templates/pod.yaml", &*pod("web", "registry.example.org/web:1"))]);
    let warning =
        "installs charts with an image of its own, docker.io/rancher/klipper-helm, which is not among the profile's";
    for (kubernetes, warned) in [
        ("{name: k, layer: k8s, version: 1.32.5, distribution: none}", false),
        ("{name: k, layer: k8s, version: 1.32.5, distribution: k3s}", true),
        ("{name: k, layer: k8s, version: 1.32.5, distribution: rke2}", true),
        (
            "{name: k, layer: k8s, version: 1.32.5, distribution: k3s, images: ['mirror.example.org/rancher/klipper-helm:v1']}",
            false,
        ),
    ] {
        shop.profile("[]", kubernetes, "[]");
        let ran = shop.sandbox.carrack(&["check", ".", "--allow-unrendered"]);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        assert_eq!(ran.stderr.contains(warning), warned, "{kubernetes}: {}", ran.stderr);
    }
}

#[test]
fn what_helm_forgives_is_forgiven() {
    for helm in helms("what_helm_forgives_is_forgiven") {
        let shop = Shop::chart(
            "[]",
            &[
                ("Chart.yaml", "apiVersion: v2\nname: other\nname: shop\nversion: 1.2.3\nunknown: 1\n"),
                ("values.yaml", "tag: 1\ntag: 2\n"),
                (
                    "templates/pod.yaml",
                    &pod("web", "registry.example.org/web:{{ .Values.tag }}")
                        .replace("main,", "main, image: registry.example.org/replaced:1,"),
                ),
                ("templates/crlf.yaml", &pod("crlf", "registry.example.org/crlf:1").replace('\n', "\r\n")),
                ("templates/mark.yaml", &format!("\u{feff}{}", pod("mark", "registry.example.org/mark:1"))),
                ("templates/nothing.yaml", "# only this\n---\n---\n\n---\nnull\n"),
                ("templates/empty.yaml", "{{ if false }}\na: 1\n{{ end }}\n"),
                (
                    "templates/nulls.yaml",
                    &(pod("nulls", "registry.example.org/nulls:1") + "  initContainers:\n  volumes: null\n"),
                ),
                (
                    "templates/rules.yaml",
                    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: rules}\ndata: {a: '{{`{{ .Values.x }} {{ $labels.pod }}`}}'}\n",
                ),
                ("templates/NOTES.txt", "docker run registry.example.org/notes:1\n"),
            ],
        );
        let ran = shop.carrack(&helm, &["images", "."]);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        let names = ["crlf:1", "mark:1", "nulls:1", "web:2"].map(|name| format!("registry.example.org/{name}\n"));
        assert_eq!((&*ran.stdout, &*ran.stderr), (&*names.concat(), ""));
    }
}
