//! Texts that a person would read wrongly, or a program take for something else: refused where they are written, and where a
//! bundle is read.

use std::fs;

use carrack::text::is_unseen;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::common::Sandbox;
use super::forge::{Draft, HOST_FILE, descriptor};
use super::{assert_refused, install, profile};

/// Everything that would print or use the bundle refuses it, and none of its texts reaches the terminal as it is.
#[track_caller]
fn refused(words: &[&str], change: impl FnOnce(&mut Draft)) {
    let mut draft = Draft::new();
    change(&mut draft);
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.work().join("root")).unwrap();
    sandbox.write("bundle", draft.write());
    let plan = ["plan", "bundle", "--root", "root"];
    for ran in [
        sandbox.carrack(&["verify", "bundle"]),
        sandbox.carrack(&["inspect", "bundle"]),
        install(&sandbox, &plan),
        install(&sandbox, &["apply", "bundle", "--root", "root", "--yes"]),
    ] {
        assert_refused(&ran, 30, words);
        assert!(!ran.stderr.contains(|c| is_unseen(c) && c != '\n'), "{:?}", ran.stderr);
        let ours = |line: &str| ["error: ", "  hint: ", "  cause: "].iter().any(|begin| line.starts_with(begin));
        assert!(ran.stderr.lines().all(ours), "{}", ran.stderr);
    }
    let json = install(&sandbox, &[&plan[..], &["--json"]].concat());
    assert_eq!(json.code, 30);
    assert!(!json.stdout.contains(|c| is_unseen(c) && c != '\n'), "{:?}", json.stdout);
    assert_eq!(fs::read_dir(sandbox.work().join("root")).unwrap().count(), 0);
}

fn pack(fields: Value) -> impl FnOnce(&mut Draft) {
    move |draft| {
        let mut pack = json!({"name": "shop", "layer": "addon", "images": []});
        pack.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        draft.profile["packs"] = json!([pack]);
    }
}

fn variable(fields: Value) -> impl FnOnce(&mut Draft) {
    move |draft| {
        let mut variable = json!({"name": "x"});
        variable.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        draft.profile["variables"] = json!([variable]);
    }
}

fn chart(key: &'static str, value: &'static str) -> impl FnOnce(&mut Draft) {
    move |draft| {
        let mut layer = descriptor("application/vnd.cncf.helm.chart.content.v1.tar+gzip", &draft.content);
        layer["annotations"] = json!({
            "dev.carrack.pack": "shop", "dev.carrack.chart": "web", "dev.carrack.chart-version": "1.0.0",
            "dev.carrack.release": "web", "dev.carrack.namespace": "shop", "org.opencontainers.image.title": "web.tgz",
        });
        layer["annotations"][key] = json!(value);
        draft.layers = Some(vec![layer]);
    }
}

#[test]
fn a_head_with_texts_that_lie_is_refused() {
    let spoof = "edge 1.0.0 is whole: 20 blobs\nsha256:0000000000000000\nedge";
    let set = |field: &'static str, text: &'static str| move |draft: &mut Draft| draft.profile[field] = json!(text);
    refused(&["the profile's name is \"edge 1.0.0 is whole: 20 blobs\\nsha256:"], |draft| {
        draft.profile["name"] = json!(spoof);
    });
    refused(&["the profile's name", "\\u{202e}"], set("name", "a\u{202e}b"));
    refused(&["the profile's version", "\\u{1b}"], set("version", "1.0.0\u{1b}[2J"));
    refused(&["the profile's version", "semantic"], set("version", "latest"));
    refused(&["the profile's description", "\\n", "U+000A"], set("description", "a shop\nidentity sha256:00"));
    refused(&["the profile's description", "U+009B"], set("description", "\u{9b}2J"));
    refused(&["a platform of the profile", "\\u{200b}"], |draft| {
        draft.profile["platforms"] = json!([{"os": "linux", "architecture": "amd64\u{200b}"}]);
    });
    refused(&["the profile's readySeconds is 86401, more than 86400"], |draft| {
        draft.profile["readySeconds"] = json!(86_401);
    });
    refused(&["an image that the profile ignores", "U+2066"], |draft| {
        draft.profile["ignoreImages"] = json!(["a\u{2066}b"]);
    });
    for (path, word) in [
        ("/usr/local/bin/shop-status (34 B, 0755)\ncreate  file     /etc/motd", "\\n"),
        ("/usr/local/bin/\u{202e}gnp.hs", "\\u{202e}"),
        ("/usr/local/bin/a\u{200b}b", "\\u{200b}"),
        ("/etc/\u{1b}[31mforged", "\\u{1b}"),
        ("/etc/\u{e0041}", "\\u{e0041}"),
        ("/etc/a\u{2028}b", "\\u{2028}"),
    ] {
        refused(&["the path of a host file", word], |draft| {
            draft.file.insert("dev.carrack.path", path.to_owned());
        });
    }
    refused(&["the owner of the host file /etc/forged"], |draft| {
        draft.file.insert("dev.carrack.owner", "root\nroot".to_owned());
    });
    refused(&["the pack of a host file"], |draft| {
        draft.file.insert("dev.carrack.pack", "base\u{feff}".to_owned());
    });
    refused(&["the time when it was made", "\\u{7}"], |draft| {
        draft.annotations.insert("dev.carrack.created", "\u{7}2026".to_owned());
    });
    refused(&["more than any blob has", "is damaged"], |draft| {
        let mut layer = descriptor(HOST_FILE, &draft.content);
        layer["size"] = json!(u64::MAX);
        draft.layers = Some(vec![layer]);
    });
}

#[test]
fn packs_charts_and_variables_that_lie_are_refused() {
    for unit in
        ["--host=attacker@203.0.113.7", "../../../tmp/x", "a\nb.service", "-Mcontainer", "-x.service", "a.slice"]
    {
        refused(&["a service of the pack shop", "systemd unit"], pack(json!({"services": [unit]})));
    }
    refused(&["a pack's name"], pack(json!({"name": "../shop"})));
    refused(&["the layer of the pack shop"], pack(json!({"layer": "addon\u{200b}"})));
    refused(&["the distribution of the pack shop"], pack(json!({"distribution": "k3s\u{1b}"})));
    refused(&["the version of the pack shop", "U+202E"], pack(json!({"version": "\u{202e}1"})));
    refused(&["that the pack shop depends on"], pack(json!({"dependsOn": [{"pack": "a\nb"}]})));
    refused(&["is not an image reference"], pack(json!({"images": ["quay.io/a/b:1\u{200b}"]})));
    refused(&["not a plain name"], pack(json!({"requirements": {"commands": ["-x"]}})));
    refused(&["a chart's name"], chart("dev.carrack.chart", "-web"));
    refused(&["dev.carrack.chart-version", "\\u{2069}"], chart("dev.carrack.chart-version", "1.0.0\u{2069}"));
    refused(&["a chart's version"], chart("dev.carrack.chart-version", "latest"));
    refused(&["the namespace of a release"], chart("dev.carrack.namespace", "kube.system"));
    refused(&["a release is"], chart("dev.carrack.release", "--set"));
    refused(&["dev.carrack.namespace", "\\u{2060}"], chart("dev.carrack.namespace", "shop\u{2060}"));
    refused(&["variable x", "`description`"], variable(json!({"description": "a\u{202e}b"})));
    refused(&["variable x", "an option"], variable(json!({"options": ["a\u{200b}"]})));
    refused(&["variable x", "`regex`"], variable(json!({"regex": "a\u{1b}"})));
    refused(&["variable x", "`default`"], variable(json!({"default": "a\u{1b}"})));
    refused(&["is no name of a variable"], variable(json!({"name": "a b"})));
}

/// What is written on the connected side is told with its place.
#[test]
fn what_no_reader_takes_is_told_where_it_is_written() {
    let sandbox = Sandbox::new();
    sandbox.write("tool", "content");
    for (fields, words) in [
        ("services: [\"--host=x\"]", &["carrack.yaml:6:", "systemd unit"][..]),
        ("version: \"1\\u202E\"", &["carrack.yaml:6:", "`version`", "\\u{202e}"]),
        ("files: [{source: tool, path: \"/x\\u200B\"}]", &["carrack.yaml:6:", "`path`", "\\u{200b}"]),
        ("files: [{source: tool, path: \"/x\\u001B[2J\"}]", &["carrack.yaml:6:", "`path`", "\\u{1b}"]),
        ("files: [{source: tool, path: /x, owner: \"-x\"}]", &["carrack.yaml:6:", "`owner`"]),
        ("files: [{source: \"to\\u200Bol\", path: /x}]", &["carrack.yaml:6:", "\\u{200b}"]),
        ("dependsOn: [{pack: \"a\\u2066\"}]", &["carrack.yaml:6:", "`pack`", "\\u{2066}"]),
    ] {
        sandbox.write("carrack.yaml", profile(fields));
        let ran = sandbox.carrack(&["check", "."]);
        assert_refused(&ran, 10, words);
        assert!(!ran.stderr.contains(|c| is_unseen(c) && c != '\n'), "{:?}", ran.stderr);
    }
    let long = format!("files: [{{source: tool, path: /{}}}]", "x".repeat(256));
    sandbox.write("carrack.yaml", profile(&long));
    assert_refused(&sandbox.carrack(&["check", "."]), 10, &["carrack.yaml:6:", "more than 255 bytes"]);
    for (metadata, word) in [
        ("{name: p, version: 1.0.0, description: \"a\\u202Eb\"}", "`description`"),
        ("{name: p, version: 1.0.0, description: \"a\\u001Bb\"}", "`description`"),
        ("{name: \"p\\u200B\", version: 1.0.0}", "`metadata.name`"),
    ] {
        let text = profile("images: [\"quay.io/a/b:1\"]").replace("{name: p, version: 1.0.0}", metadata);
        sandbox.write("carrack.yaml", text);
        assert_refused(&sandbox.carrack(&["check", "."]), 10, &["carrack.yaml:3:", word]);
    }
    let manifest = "apiVersion: v1\nkind: Namespace\nmetadata: {name: x}\n";
    sandbox.write("m/a\u{202e}b.yaml", manifest);
    sandbox.write("carrack.yaml", profile("manifests: [\"m/*.yaml\"]"));
    assert_refused(&sandbox.carrack(&["check", "."]), 10, &["carrack.yaml:6:", "the name of a manifest"]);
}

/// Descriptions are in any language, and over several lines; the bundle has them in one.
#[test]
fn descriptions_in_all_languages_are_carried() {
    let sandbox = Sandbox::new();
    sandbox.write("tool", "content");
    let text = profile("version: \"1.0-β\", files: [{source: tool, path: /opt/Grüße}]").replace(
        "{name: p, version: 1.0.0}",
        "{name: p, version: 1.0.0, description: \"Élan:\\n  日本語、한국어\\n  🚀 ⚠\u{fe0f}\\n\"}",
    );
    sandbox.write("carrack.yaml", text);
    let built = sandbox.carrack(&["build", ".", "-o", "bundle"]);
    assert_eq!(built.code, 0, "{}", built.stderr);
    let inspected = sandbox.carrack(&["inspect", "bundle"]);
    assert!(inspected.stdout.contains("\nÉlan: 日本語、한국어 🚀 ⚠\u{fe0f}\n"), "{}", inspected.stdout);
    assert!(inspected.stdout.contains("/opt/Grüße"), "{}", inspected.stdout);
}

/// Draft with `text` in one of many places.
fn draft_with(place: usize, text: &str) -> Draft {
    let mut draft = Draft::new();
    match place {
        0 => draft.profile["name"] = json!(text),
        1 => draft.profile["version"] = json!(text),
        2 => draft.profile["description"] = json!(text),
        3 => drop(draft.file.insert("dev.carrack.path", format!("/{text}"))),
        4 => drop(draft.file.insert("dev.carrack.owner", text.to_owned())),
        5 => drop(draft.file.insert("dev.carrack.pack", text.to_owned())),
        6 => drop(draft.annotations.insert("dev.carrack.created", text.to_owned())),
        7 => draft.profile["packs"] = json!([{"name": "a", "layer": "addon", "images": [], "version": text}]),
        8 => draft.profile["packs"] = json!([{"name": "a", "layer": "addon", "images": [], "services": [text]}]),
        9 => draft.profile["variables"] = json!([{"name": "a", "description": text}]),
        10 => draft.profile["variables"] = json!([{"name": "a", "options": [text]}]),
        _ => draft.profile["ignoreImages"] = json!([text]),
    }
    draft
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    /// Whatever stands anywhere: the bundle is refused, or every character can be seen; and the message is harmless.
    #[test]
    fn no_text_of_a_head_is_unseen(
        place in 0_usize..12,
        text in prop_oneof!["\\PC{0,12}", ".{0,12}", "[a-z\u{200b}-\u{206f}\u{e0000}-\u{e007f}]{0,8}", "[-a-z./@:]{0,12}"],
    ) {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), draft_with(place, &text).write()).unwrap();
        match carrack::bundle::Bundle::open(file.path()) {
            Ok(bundle) => {
                prop_assert!(!text.contains(is_unseen), "{text:?} was taken");
                let services = &bundle.contents().profile.packs;
                prop_assert!(services.iter().flat_map(|pack| &pack.services).all(|unit| !unit.starts_with('-')));
            }
            Err(error) => prop_assert!(!error.to_string().contains(is_unseen), "{error:?}"),
        }
    }
}
