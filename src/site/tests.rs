//! The document, and the values of variables.

mod machine;

use super::*;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

const INVALID_AT_1_4: &str =
    "site.yaml:1:4: not valid YAML; a value that begins with a sign such as *, &, !, %, @, { or [ stands in quotes";

fn load(text: &str) -> Result<Vec<String>, Vec<String>> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("secret"), "canary\r\n").unwrap();
    fs::write(folder.path().join("binary"), [0xFF, 0xFE]).unwrap();
    fs::write(folder.path().join("large"), vec![b'x'; 300 << 10]).unwrap();
    let file = folder.path().join("site.yaml");
    fs::write(&file, text).unwrap();
    let short = |text: String| text.replace(&format!("{}/", folder.path().display()), "");
    let one = |given: Given| match given.written {
        Written::Text(text) => format!("{}={text:?}", given.name),
        Written::Yaml(node) => format!("{}={}", given.name, node.describe()),
    };
    match Site::load(&file) {
        Ok(site) => Ok(site.values.into_iter().map(one).collect()),
        Err(problems) => Err(problems.found().iter().map(|problem| short(problem.to_string())).collect()),
    }
}

fn site(spec: &str) -> String {
    format!("apiVersion: carrack/v1\nkind: Site\nspec:\n{spec}")
}

#[test]
fn values_are_read_from_the_site_and_from_files() {
    let text = site("  variables: {a: \"42\", b: 42, c: {fromFile: secret}, d: {fromFile: ./secret}}\n");
    assert_eq!(load(&text).unwrap(), ["a=the text \"42\"", "b=the number 42", "c=\"canary\"", "d=\"canary\""]);
    assert_eq!(load(&site("  {}\n")).unwrap(), [""; 0]);
}

#[test]
fn a_site_knows_each_file_that_it_was_read_from() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("secret"), "canary\r\n").unwrap();
    let text = site("  variables: {a: x, b: {fromFile: secret}, c: {fromFile: ./secret}, d: {fromFile: secret}}\n");
    fs::write(at("site.yaml"), &text).unwrap();
    let sources = Site::load(&at("site.yaml")).ok().unwrap().sources;
    let found: Vec<_> = sources.files().iter().map(|file| (file.pin.path.clone(), file.content.clone())).collect();
    let path = |name: &str| at(name).display().to_string();
    // All bytes, also those that are no part of a value; each file once, however its path is spelled.
    let wanted = [(path("site.yaml"), text.clone().into_bytes()), (path("secret"), b"canary\r\n".to_vec())];
    assert_eq!(found, wanted);
    assert!(
        sources.pins().iter().zip(&wanted).all(|(pin, (_, content))| pin.digest == crate::oci::Digest::of(content))
    );
    assert!(!format!("{sources:?}").contains("canary"));
}

#[test]
fn all_mistakes_are_told_and_nothing_that_may_be_a_secret() {
    for (text, told) in [
        ("", &["site.yaml:1:1: a site file has one document, found 0"][..]),
        ("canary", &["site.yaml:1:1: a site must be a mapping"]),
        ("a: [canary", &[INVALID_AT_1_4]),
        ("a: *canary", &[INVALID_AT_1_4]),
        ("{}\n---\n{}", &["site.yaml:3:1: a site file has one document, found 2"]),
        (
            "apiVersion: canary\nkind: canary\nspec: canary",
            &[
                "site.yaml:1:13: `apiVersion` is not `carrack/v1`, which this version of Carrack reads",
                "site.yaml:2:7: `kind` is not `Site`",
            ],
        ),
        (&site("  variables: canary\n"), &["site.yaml:4:14: `variables` must be a mapping of names to values"]),
        (&site("  variables: [canary]\n"), &["site.yaml:4:14: `variables` must be a mapping of names to values"]),
        (
            &site("  variables: {a: !!int canary, b: !canary x, a: canary}\n"),
            &[
                "site.yaml:4:24: not valid YAML; a value that begins with a sign such as *, &, !, %, @, { or [ stands in quotes",
                "site.yaml:4:43: not valid YAML; a value that begins with a sign such as *, &, !, %, @, { or [ stands in quotes",
                "site.yaml:4:46: duplicate key, already given in line 4",
            ],
        ),
        (
            &site("  role: server\n  variabels: {}\n"),
            &["site.yaml:5:3: unknown field `variabels`; did you mean `variables`?"],
        ),
        (
            &site(
                "  variables:\n    a: {fromFile: gone}\n    b: {fromFile: .}\n    c: {fromFile: binary}\n    d: {fromfile: x}\n    e: {fromFile: large}\n",
            ),
            &[
                "site.yaml:5:19: the file that `fromFile` names cannot be read: No such file or directory (os error 2)",
                "site.yaml:6:19: the file that `fromFile` names is not a file",
                "site.yaml:7:19: the file that `fromFile` names is not text in UTF-8",
                "site.yaml:8:8: a value is a text, or `{fromFile: PATH}`; one with { or [ stands in quotes",
                "site.yaml:9:19: the file that `fromFile` names is larger than 256 KiB",
            ],
        ),
    ] {
        assert_eq!(load(text).unwrap_err(), told, "{text}");
    }
}

#[test]
fn secrets_that_everybody_can_read_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let (file, secret) = (folder.path().join("site.yaml"), folder.path().join("secret"));
    fs::write(&secret, "canary").unwrap();
    fs::write(&file, site("  variables: {a: canary, b: {fromFile: secret}}\n")).unwrap();
    let declared = ["a", "b"].map(|name| Variable { name: name.into(), sensitive: true, ..Variable::default() });
    for (mode, count) in [(0o644, 2), (0o640, 0)] {
        fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
        fs::set_permissions(&secret, Permissions::from_mode(mode)).unwrap();
        let warnings = Site::load(&file).unwrap().warnings(&declared);
        assert_eq!(warnings.len(), count, "{warnings:?}");
        assert!(warnings.iter().all(|warning| warning.starts_with("everybody on this host can read ")));
    }
    assert_eq!(Site::load(&file).unwrap().warnings(&[]), [""; 0]);
}
