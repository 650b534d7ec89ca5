//! The images of the charts in fixtures/charts are those that a person would list, no more and no fewer.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::helm::helms;
use super::shop::Shop;

macro_rules! charts_that_are_read {
    ($($test:ident: $name:literal,)*) => {
        const READ: &[&str] = &[$($name),*];
        $(
            #[test]
            fn $test() {
                check($name);
            }
        )*
    };
}

charts_that_are_read! {
    aliases: "aliases",
    annotations: "annotations",
    capabilities: "capabilities",
    conditions_and_tags: "conditions",
    custom_resource_definitions: "crds",
    helpers_of_a_library: "library",
    hooks_and_tests: "hooks",
    image_lists_beside_a_chart: "image-lists",
    images_in_parts: "image-maps",
    layers_of_values: "layers",
    lists: "lists",
    operators: "operator",
    requirements_of_older_charts: "requirements",
    subcharts: "subcharts",
    templates_in_values: "tpl",
    variables: "variables",
    workloads: "workloads",
}

#[test]
fn every_fixture_is_read() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/charts");
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(names.collect::<BTreeSet<_>>(), READ.iter().map(|name| (*name).to_owned()).collect());
}

/// A file with a reference a line; nothing where there is none.
fn listed(shop: &Shop, file: &str) -> Vec<String> {
    let text = fs::read_to_string(shop.sandbox.work().join(file)).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn references(document: &serde_json::Value, list: &str) -> Vec<String> {
    let items = document[list].as_array().unwrap();
    items.iter().map(|item| item["reference"].as_str().unwrap().to_owned()).collect()
}

fn check(name: &str) {
    for helm in helms(name) {
        let shop = Shop::fixture(name);
        let images = listed(&shop, "expected-images.txt");
        assert!(!images.is_empty(), "{name} has no expected-images.txt");
        let plain = shop.carrack(&helm, &["images", "."]);
        assert_eq!(plain.code, 0, "{name} with {}: {}", helm.display(), plain.stderr);
        assert_eq!(plain.stdout.lines().collect::<Vec<_>>(), images, "{name} with {}", helm.display());
        let json = shop.carrack(&helm, &["images", ".", "--json"]);
        let document: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
        assert_eq!(references(&document, "images"), images, "{name} with {}", helm.display());
        let candidates = listed(&shop, "expected-candidates.txt");
        assert_eq!(references(&document, "candidates"), candidates, "{name} with {}", helm.display());
    }
}
