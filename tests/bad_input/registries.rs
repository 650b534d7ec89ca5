//! Registries that fail, lie or are not there.

use std::net::TcpListener;

use carrack::oci::{Descriptor, Digest, Platform};
use carrack::registry::in_process::{Access, Fault, Image, InProcessRegistry, Layer};

use super::common::{Ran, Sandbox};
use super::{assert_refused, json_error, profile};

struct Lab {
    sandbox: Sandbox,
    registry: InProcessRegistry,
    image: Descriptor,
    layer: Layer,
}

impl Lab {
    /// A registry with `app:1`, and a profile that wants `name`.
    fn wanting(name: &str) -> Self {
        let (sandbox, registry) = (Sandbox::new(), InProcessRegistry::start().unwrap());
        let layer = Layer::tar(&[("content", 0o644, &[b'x'; 10_000])]).unwrap().zstd().unwrap();
        let image =
            Image { platform: Platform::new("linux", "amd64"), layers: vec![layer.clone()], command: Vec::new() };
        let image = registry.put_image("app", Some("1"), &image);
        sandbox.write("carrack.yaml", profile(&format!("images: [\"{}/{name}\"]", registry.host())));
        Self { sandbox, registry, image, layer }
    }

    fn build(&self) -> Ran {
        let ran = self.sandbox.carrack(&["build", ".", "-o", "out"]);
        assert!(!self.sandbox.work().join("out").exists(), "half a bundle has the name of a whole one");
        ran
    }

    fn name(&self, name: &str) -> String {
        format!("{}/{name}", self.registry.host())
    }
}

#[test]
fn what_the_registry_does_not_have_is_named() {
    let digest = Digest::of(b"none");
    let by_digest = format!("app@{digest}");
    for (name, reason) in [
        ("none:1", "the registry has no repository of this name"),
        ("app:none", "the repository has no such tag"),
        (by_digest.as_str(), "the repository has no manifest sha256:"),
    ] {
        let lab = Lab::wanting(name);
        let words = [&lab.name(name)[..], reason, "hint: see which pack needs it: carrack images . --why"];
        assert_refused(&lab.build(), 20, &words);
        assert_refused(&lab.sandbox.carrack(&["lock", "."]), 20, &words);
        assert!(!lab.sandbox.work().join("carrack.lock").exists());
        let error = json_error(&lab.sandbox.carrack(&["lock", ".", "--json"]), 20);
        assert!(error["message"].as_str().unwrap().contains(&lab.name(name)), "{error}");
    }
}

#[test]
fn every_image_that_is_missing_is_told_at_once() {
    let lab = Lab::wanting("app:none");
    let host = lab.registry.host();
    lab.sandbox
        .write("carrack.yaml", profile(&format!("images: [\"{host}/app:none\", \"{host}/app:1\", \"{host}/no:1\"]")));
    assert_refused(&lab.build(), 20, &["2 images cannot be resolved", &lab.name("app:none"), &lab.name("no:1")]);
}

#[test]
fn a_layer_that_the_registry_does_not_have_is_named() {
    let lab = Lab::wanting("broken:1");
    let raw = format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",
            "config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{0}","size":4}},"layers":[]}}"#,
        Digest::of(b"none")
    );
    lab.registry.put_manifest("broken", Some("1"), raw, "application/vnd.oci.image.manifest.v1+json");
    assert_refused(&lab.build(), 20, &[&lab.name("broken"), "has no blob", &Digest::of(b"none").to_string()]);
}

#[test]
fn a_registry_that_is_down_is_named() {
    let lab = Lab::wanting("app:1");
    for _ in 0..10 {
        lab.registry.inject("manifests/1", Fault::Status(503, None));
    }
    assert_refused(&lab.build(), 20, &[&lab.name("app:1"), "answered with HTTP 503"]);
    let lab = Lab::wanting("app:1");
    lab.registry.inject("manifests/1", Fault::Status(429, Some(3600)));
    assert_refused(
        &lab.build(),
        20,
        &[&lab.registry.host(), "HTTP 429", "asks to wait 3600 s", "hint: try again later"],
    );
}

#[test]
fn a_refused_connection_is_named() {
    let sandbox = Sandbox::new();
    let host = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    sandbox.write("carrack.yaml", profile(&format!("images: [\"{host}/app:1\"]")));
    let ran = sandbox.carrack(&["build", ".", "-o", "out"]);
    assert_refused(&ran, 20, &[&format!("{host}/app:1: {host} refuses the connection"), "hint: see whether"]);
}

#[test]
fn content_that_is_not_what_its_digest_says_is_never_packed() {
    // A manifest, by tag (the header says what it should be) and by digest.
    let lab = Lab::wanting("app:1");
    lab.registry.inject("manifests/1", Fault::WrongBytes);
    assert_refused(&lab.build(), 20, &[&lab.name("app:1"), "hashes to", &lab.image.digest.to_string()]);
    let name = format!("app@{}", lab.image.digest);
    let lab = Lab::wanting(&name);
    lab.registry.inject(format!("manifests/{}", lab.image.digest), Fault::WrongBytes);
    assert_refused(&lab.build(), 20, &[&lab.name(&name), "hashes to"]);
    // A layer.
    let lab = Lab::wanting("app:1");
    let digest = Digest::of(&lab.layer.content);
    lab.registry.inject(format!("blobs/{digest}"), Fault::WrongBytes);
    assert_refused(&lab.build(), 20, &[&lab.name("app"), "wrong content", &digest.to_string()]);
    // What was wrong is fetched again, and the build ends as if nothing had happened.
    let again = lab.sandbox.carrack(&["build", ".", "-o", "out"]);
    assert_eq!(again.code, 0, "{}", again.stderr);
    assert_eq!(lab.sandbox.carrack(&["verify", "out"]).code, 0);
}

#[test]
fn blobs_of_another_length_are_named() {
    for (fault, word) in [(Fault::Truncated(20), "shorter"), (Fault::Longer(100), "longer")] {
        let lab = Lab::wanting("app:1");
        let digest = Digest::of(&lab.layer.content);
        for _ in 0..10 {
            lab.registry.inject(format!("blobs/{digest}"), fault.clone());
        }
        assert_refused(&lab.build(), 20, &[&lab.name("app"), &digest.to_string(), word]);
    }
    let lab = Lab::wanting("app:1");
    lab.registry.inject("manifests/1", Fault::Truncated(10));
    assert_refused(&lab.build(), 20, &[&lab.name("app:1"), "hashes to"]);
}

#[test]
fn manifests_that_are_none_are_named() {
    let manifest = "application/vnd.oci.image.manifest.v1+json";
    for (raw, media_type) in [
        ("<html>Please log in</html>", "text/html"),
        ("{", manifest),
        (r#"{"schemaVersion":1}"#, "application/vnd.docker.distribution.manifest.v1+prettyjws"),
        (r#"{"schemaVersion":2,"layers":[],"manifests":[]}"#, manifest),
        (r#"{"schemaVersion":2,"config":{"mediaType":"x","digest":"sha256:../../x","size":-1}}"#, manifest),
    ] {
        let lab = Lab::wanting("odd:1");
        lab.registry.put_manifest("odd", Some("1"), raw, media_type);
        assert_refused(&lab.build(), 20, &[&lab.name("odd:1")]);
    }
    let lab = Lab::wanting("odd:1");
    lab.registry.put_manifest("odd", Some("1"), vec![b' '; (4 << 20) + 1], manifest);
    assert_refused(&lab.build(), 20, &[&lab.name("odd:1"), "larger than 4194304 bytes"]);
}

/// A manifest may claim anything of its layers; what it claims is planned with before a byte of them is fetched.
#[test]
fn layers_that_claim_impossible_sizes_are_refused() {
    const CONFIG: &str = r#"{"os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":[]}}"#;
    let put = |lab: &Lab, name: &str, sizes: &[u64]| {
        let config = lab.registry.put_blob("application/vnd.oci.image.config.v1+json", CONFIG);
        let mut layer = serde_json::to_value(lab.registry.put_blob("application/x+zstd", &b"layer"[..])).unwrap();
        let layers = sizes.iter().map(|size| {
            layer["size"] = (*size).into();
            layer.clone()
        });
        let layers: Vec<_> = layers.collect();
        let raw = serde_json::json!({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": config,
            "layers": layers,
        });
        lab.registry.put_manifest(name, Some("1"), raw.to_string(), "application/vnd.oci.image.manifest.v1+json");
    };
    for size in [u64::MAX, 1 << 60, (1 << 40) + 1] {
        let lab = Lab::wanting("huge:1");
        put(&lab, "huge", &[size]);
        assert_refused(&lab.build(), 20, &[&lab.name("huge:1"), "more than any blob has"]);
    }
    let lab = Lab::wanting("odd:1");
    put(&lab, "odd", &[5, 6]);
    let digest = Digest::of(b"layer").to_string();
    assert_refused(&lab.build(), 20, &[&lab.name("odd"), &digest, "5 bytes", "6 bytes"]);
    // Each is possible; all of them together are not.
    let lab = Lab::wanting("many:1");
    let config = lab.registry.put_blob("application/vnd.oci.image.config.v1+json", CONFIG);
    let layer = |number: u32| {
        let digest = Digest::of(&number.to_le_bytes());
        serde_json::json!({"mediaType": "application/x+zstd", "digest": digest, "size": 1_u64 << 40})
    };
    let raw = serde_json::json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": config,
        "layers": (0..10_000).map(layer).collect::<Vec<_>>(),
    });
    lab.registry.put_manifest("many", Some("1"), raw.to_string(), "application/vnd.oci.image.manifest.v1+json");
    assert_refused(&lab.build(), 20, &["more than a bundle can hold"]);
}

/// Credentials must be nowhere in what is printed, whatever goes wrong, nor in what is built.
#[test]
fn credentials_never_appear() {
    const PASSWORD: &str = "canary-Vm9nZWw";
    // Base64 of `robot:canary-Vm9nZWw`.
    const LOGIN: &str = "cm9ib3Q6Y2FuYXJ5LVZtOW5aV3c=";
    let lab = Lab::wanting("app:1");
    let host = lab.registry.host();
    let config = |auth: &str| format!(r#"{{"auths": {{"{host}": {{"auth": "{auth}"}}}}}}"#);
    let printed = |ran: &Ran| format!("{}{}", ran.stdout, ran.stderr);
    let check = |text: &str| assert!(!text.contains(PASSWORD) && !text.contains(&LOGIN[..20]), "{text}");
    for (content, access, code) in [
        (config(LOGIN), Access::Basic("b3RoZXI6b3RoZXI=".to_owned()), 20),
        (config(LOGIN), Access::Bearer(Some("b3RoZXI6b3RoZXI=".to_owned())), 20),
        (config(&format!("!{LOGIN}")), Access::Basic(LOGIN.to_owned()), 20),
        (format!("{LOGIN} {PASSWORD}"), Access::Basic(LOGIN.to_owned()), 20),
        (config(LOGIN), Access::Basic(LOGIN.to_owned()), 0),
        (config(LOGIN), Access::Bearer(Some(LOGIN.to_owned())), 0),
    ] {
        lab.sandbox.write("../home/.docker/config.json", content);
        lab.registry.require(access.clone());
        for more in [&["-v"][..], &["--json"]] {
            let _ = std::fs::remove_file(lab.sandbox.work().join("carrack.lock"));
            let ran = lab.sandbox.carrack(&[&["build", ".", "-o", "out"][..], more].concat());
            assert_eq!(ran.code, code, "{access:?}: {}", printed(&ran));
            check(&printed(&ran));
        }
        if code == 20 {
            assert_refused(&lab.build(), 20, &[&lab.name("app:1"), "hint: log in again: docker login"]);
        }
    }
    let bundle = std::fs::read(lab.sandbox.work().join("out")).unwrap();
    check(&String::from_utf8_lossy(&zstd::decode_all(bundle.as_slice()).unwrap()));
    check(&std::fs::read_to_string(lab.sandbox.work().join("carrack.lock")).unwrap());
}
