//! What Helm and Kubernetes' own parser take is taken: versions, packages, dependencies and YAML as people have them.

use std::process::Command;

use super::helm::helms;
use super::shop::{Shop, pod, printed};

/// A chart with one image, `NAME:1`.
fn chart(name: &str, version: &str, dependencies: &str) -> Vec<(String, String)> {
    vec![
        (
            "Chart.yaml".to_owned(),
            format!("apiVersion: v2\nname: {name}\nversion: {version}\ndependencies: [{dependencies}]\n"),
        ),
        ("templates/pod.yaml".to_owned(), pod(name, &format!("registry.example.org/{name}:1"))),
    ]
}

fn listed(names: &[&str]) -> String {
    names.iter().map(|name| format!("registry.example.org/{name}:1\n")).collect()
}

#[test]
fn versions_that_are_not_strict_are_taken() {
    let taken =
        ["v1", "1.2", "'01.2.3'", "2024.01.05", "1.2-beta", "v2.0.0-rc.1+build.5", "0.0.0-20240101120000-abcdef123456"];
    for helm in helms("versions_that_are_not_strict_are_taken") {
        let names: Vec<String> = (0..taken.len()).map(|index| format!("db{index}")).collect();
        let shop = Shop::chart("[]", &[]);
        let mut dependencies = Vec::new();
        for (name, version) in names.iter().zip(taken) {
            dependencies.push(format!("{{name: {name}, version: {version}}}"));
            for (path, text) in chart(name, version, "") {
                shop.sandbox.write(&format!("shop/charts/{name}/{path}"), text);
            }
        }
        for (path, text) in chart("shop", taken[0], &dependencies.join(", ")) {
            shop.sandbox.write(&format!("shop/{path}"), text);
        }
        let found: Vec<&str> = names.iter().map(String::as_str).chain(["shop"]).collect();
        assert_eq!(printed(shop.carrack(&helm, &["images", "."])), listed(&found));
    }
}

#[test]
fn packages_that_were_made_from_within_a_folder_are_taken() {
    for helm in helms("packages_that_were_made_from_within_a_folder_are_taken") {
        let shop = Shop::chart("[]", &[]);
        for (path, text) in chart("shop", "1.2.3", "{name: db, version: 1.x}") {
            shop.sandbox.write(&format!("shop/{path}"), text);
        }
        for (path, text) in chart("db", "1.0.0", "") {
            shop.sandbox.write(&format!("db/{path}"), text);
        }
        let work = shop.sandbox.work();
        std::fs::create_dir(work.join("shop/charts")).unwrap();
        for (folder, package) in [("db", "shop/charts/db-1.0.0.tgz"), ("shop", "shop.tgz")] {
            let ran = Command::new("tar").args(["-C", folder, "-czf", package, "."]).current_dir(&work).status();
            assert!(ran.unwrap().success());
        }
        let profile = std::fs::read_to_string(work.join("carrack.yaml")).unwrap();
        shop.sandbox.write("carrack.yaml", profile.replace("./shop,", "./shop.tgz,"));
        assert_eq!(printed(shop.carrack(&helm, &["images", "."])), listed(&["db", "shop"]));
    }
}

/// The chart's dependencies, and those of `db`; what is in charts/ besides it, and what is found.
type Case = (&'static str, &'static str, &'static [(&'static str, &'static str)], &'static [&'static str]);

#[test]
fn dependencies_are_looked_for_where_helm_does() {
    let cases: [Case; 8] = [
        (
            "{name: db, version: 1.x}, {name: common, version: 2.x.x}",
            "{name: common, version: 2.x.x}",
            &[("common", "2.1.0")],
            &["common", "db", "shop"],
        ),
        ("{name: db, version: 1.x}", "{name: nowhere, version: 2.x.x}", &[], &["db", "shop"]),
        ("{name: db, version: 1.x}", "{name: nowhere, version: 1, condition: nowhere.enabled}", &[], &["db", "shop"]),
        // What nobody declares is installed too.
        ("{name: db, version: 1.x}", "", &[("more", "0.1.0")], &["db", "more", "shop"]),
        (
            "{name: db, version: '>=1.0.0-0 <2'}, {name: pre, version: '>=1.0.0-0'}",
            "",
            &[("pre", "1.0.0-rc1")],
            &["db", "pre", "shop"],
        ),
        ("{name: db, version: '1.0 - 2.0'}", "", &[], &["db", "shop"]),
        ("{name: db, version: '~0.9 || >=1 <2', repository: 'file://../db'}", "", &[], &["db", "shop"]),
        ("{name: db, version: '*', condition: 'db.off,db.on', tags: [data]}", "", &[], &["db", "shop"]),
    ];
    for helm in helms("dependencies_are_looked_for_where_helm_does") {
        for (own, of_db, more, found) in cases {
            let shop = Shop::chart("[]", &[]);
            let vendored = more.iter().flat_map(|(name, version)| {
                chart(name, version, "").into_iter().map(move |(path, text)| (format!("charts/{name}/{path}"), text))
            });
            let db = chart("db", "1.5.0", of_db).into_iter().map(|(path, text)| (format!("charts/db/{path}"), text));
            for (path, text) in chart("shop", "1.2.3", own).into_iter().chain(db).chain(vendored) {
                shop.sandbox.write(&format!("shop/{path}"), text);
            }
            assert_eq!(printed(shop.carrack(&helm, &["images", "."])), listed(found), "{own}; {of_db}");
        }
    }
}

/// Values of a ConfigMap as libyaml takes them.
const YAML: &[&str] = &[
    "  a: \"one\ntwo\"\n",
    "  a: 'one\n\ntwo'\n",
    "  a: \"x\"#comment\n",
    "  a: |#comment\n    x\n",
    "  a: {\n\tb: c}\n",
    "  a: {\n\t\"b\": [\n\t\t\"c\"\n\t]\n  }\n",
    "  a: \"one\n\ttwo\"\n",
    "  a: [b,\nc]\n",
    "  a: [\n    b\n]\n",
    "  a: {b: c,}\n",
    "  a: b\t# comment\n",
    "  a:\tb\n",
    "  a : b\n",
    "  ? a\n  : b\n",
    "  a: !custom b\n",
    "  a: b\n  a: c\n",
    "  x: &x {a: b}\n  y: {<<: [*x]}\n",
    "  a: one\n    two\n",
    "  1: b\n",
];

#[test]
fn yaml_that_kubernetes_takes_is_taken() {
    for helm in helms("yaml_that_kubernetes_takes_is_taken") {
        let shop = Shop::chart("[]", &[("templates/pod.yaml", &*pod("shop", "registry.example.org/shop:1"))]);
        for (index, data) in YAML.iter().enumerate() {
            let text = format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: x}}\ndata:\n{data}");
            shop.sandbox.write(&format!("shop/templates/{index}.yaml"), text);
        }
        let ran = shop.carrack(&helm, &["images", "."]);
        assert_eq!((ran.code, &*ran.stdout, &*ran.stderr), (0, &*listed(&["shop"]), ""), "with {}", helm.display());
    }
}
