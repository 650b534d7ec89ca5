//! Packs from registries.

use super::*;

pub(super) const PROFILE: &str = "{name: web, source: \"oci://HOST/packs/web:1.0.0\"}";

#[test]
fn a_pushed_pack_is_what_its_folder_was() {
    let setup = setup();
    setup.write_pack("web", "1.0.0");
    setup.profile(&["{name: web, source: ./web}"]);
    succeed(setup.build());
    let local = setup.bundle().contents().identity;
    setup.push("web", "oci://HOST/packs/web");
    fs::remove_dir_all(setup.sandbox.work().join("web")).unwrap();
    setup.profile(&[PROFILE]);
    succeed(setup.build());
    assert_eq!(setup.bundle().contents().identity, local, "the bundle does not tell where a pack came from");
    let lock = setup.lock();
    assert!(lock.contains(&format!("packs:\n- reference: {}/packs/web:1.0.0\n", setup.registry.host())), "{lock}");
    let ignored = fs::read_to_string(setup.sandbox.work().join(".carrack/.gitignore")).unwrap();
    assert_eq!(ignored, "*\n");
}

#[test]
fn what_is_pushed_is_the_pack_and_nothing_else() {
    let setup = setup();
    setup.write_pack("web", "1.0.0+k3s1");
    let reference = setup.push("web", "oci://HOST/packs/web");
    let (name, digest) = reference.split_once('@').unwrap();
    assert_eq!(name, format!("oci://{}/packs/web:1.0.0_k3s1", setup.registry.host()));
    let sent = setup.carrack(&["pack", "push", "web", &name.replace("1.0.0_k3s1", "again"), "--json"]);
    let report: serde_json::Value = serde_json::from_str(&succeed(sent).stdout).unwrap();
    assert_eq!(report["files"], serde_json::json!(["README.md", "files/motd", "objects/web.yaml", "pack.yaml"]));
    assert_eq!((&report["sentBytes"], report["digest"].as_str().unwrap()), (&0.into(), digest));
    // The same content elsewhere, written in another order, at another time, in another mode.
    setup.write_pack("copy", "1.0.0+k3s1");
    let motd = setup.sandbox.work().join("copy/files/motd");
    fs::set_permissions(motd, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    assert!(setup.push("./copy/", "oci://HOST/packs/copy:x").ends_with(digest));
}

#[test]
fn what_is_wrong_is_told_before_anything_is_sent() {
    let setup = setup();
    setup.sandbox.write("secret", "canary");
    let write = |version: &str, files: &str| {
        let text = format!(
            "apiVersion: carrack/v1\nkind: Pack\nmetadata: {{name: a, version: \"{version}\"}}\nspec:\n  layer: addon\n  \
             files: [{files}]\n"
        );
        setup.sandbox.write("bad/pack.yaml", text);
    };
    let push = |target: &str| setup.carrack(&["pack", "push", "bad", target]);
    let target = format!("oci://{}/a", setup.registry.host());
    write("1.0.0", "{source: ../secret, path: /etc/x}");
    fail(push(&target), 10, &["pack.yaml:6:20", "outside"]);
    std::os::unix::fs::symlink("../secret", setup.sandbox.work().join("bad/link")).unwrap();
    write("1.0.0", "{source: link, path: /etc/x}");
    fail(push(&target), 10, &["pack.yaml:6:20", "leads to"]);
    write("1.0.0", "{source: none, path: etc}");
    fail(push(&target), 10, &["2 problems"]);
    write("1 0", "");
    fail(push(&target), 10, &["\"1 0\" cannot be a tag", &format!("name one: {target}:TAG")]);
    write("1.0.0", "");
    fail(push(&format!("{target}@{}", Digest::of(b""))), 10, &["the target has a digest"]);
    fail(push("registry.example.org/a"), 2, &["oci://HOST/REPOSITORY"]);
    fail(setup.carrack(&["pack", "push", "none", &target]), 25, &["none/pack.yaml"]);
    assert_eq!(setup.requests(), 0);
    succeed(push(&target));
    assert!(setup.requests() > 0);
}

#[test]
fn a_tag_that_moves_changes_nothing_until_it_is_asked_for() {
    let setup = setup();
    setup.write_pack("web", "1.0.0");
    setup.push("web", "oci://HOST/packs/web:1.0.0");
    setup.profile(&[PROFILE]);
    succeed(setup.carrack(&["lock", "."]));
    let before = setup.lock();
    setup.write_pack("web", "1.0.1");
    setup.push("web", "oci://HOST/packs/web:1.0.0");
    succeed(setup.carrack(&["build", ".", "-o", "edge.tar.zst", "--locked"]));
    assert_eq!(setup.lock(), before);
    let reference = format!("oci://{}/packs/web:1.0.0", setup.registry.host());
    fail(setup.carrack(&["lock", ".", "--check"]), 10, &[&format!("moved: {reference} sha256:"), "--update oci://"]);
    succeed(setup.carrack(&["lock", ".", "--update", &reference]));
    assert_ne!(setup.lock(), before);
    succeed(setup.carrack(&["lock", ".", "--check"]));
    assert_eq!(setup.kept("packs").len(), 4, "two folders and their manifests");
}

#[test]
fn what_is_kept_is_asked_for_once_and_checked_each_time() {
    let setup = setup();
    setup.write_pack("web", "1.0.0");
    setup.push("web", "oci://HOST/packs/web:1.0.0");
    setup.profile(&[PROFILE]);
    succeed(setup.carrack(&["lock", "."]));
    let asked = setup.requests();
    succeed(setup.carrack(&["check", "."]));
    assert_eq!(setup.requests(), asked);
    let folder = setup.kept("packs").into_iter().find(|path| path.is_dir()).unwrap();
    let spoil: [&dyn Fn(); 3] = [
        &|| fs::write(folder.join("files/motd"), "other").unwrap(),
        &|| fs::write(folder.join("objects/more.yaml"), "kind: Secret").unwrap(),
        &|| fs::remove_file(folder.join("pack.yaml")).unwrap(),
    ];
    for spoil in spoil {
        spoil();
        let asked = setup.requests();
        succeed(setup.carrack(&["check", "."]));
        assert!(setup.requests() > asked);
        assert_eq!(fs::read_to_string(folder.join("files/motd")).unwrap(), "welcome to 1.0.0\n");
        assert!(!folder.join("objects/more.yaml").exists());
    }
}

#[test]
fn locked_refuses_what_the_lock_lacks() {
    let setup = setup();
    setup.write_pack("web", "1.0.0");
    setup.push("web", "oci://HOST/packs/web:1.0.0");
    setup.profile(&[PROFILE]);
    let asked = setup.requests();
    let locked = setup.carrack(&["build", ".", "-o", "edge.tar.zst", "--locked"]);
    fail(
        locked,
        10,
        &[
            &format!("missing: oci://{}/packs/web:1.0.0", setup.registry.host()),
            "carrack.lock does not exist yet",
            "carrack lock .",
        ],
    );
    assert_eq!(setup.requests(), asked, "nothing is asked for");
    let ran = succeed(setup.carrack(&["check", "."]));
    assert!(ran.stderr.contains("/packs/web:1.0.0 is sha256:"), "{}", ran.stderr);
}

#[test]
fn hostile_artifacts_are_refused_whole() {
    let setup = setup();
    setup.profile(&[PROFILE]);
    let pack = "apiVersion: carrack/v1\nkind: Pack\nmetadata: {name: web, version: 1.0.0}\nspec: {layer: addon}\n";
    for (titles, reason) in [
        (vec![("pack.yaml", pack), ("../../escaped", "x")], "is not a plain one below"),
        (vec![("pack.yaml", pack), ("/etc/escaped", "x")], "is not a plain one below"),
        (vec![("pack.yaml", pack), ("a", "x"), ("a/b", "x")], "as a folder"),
        (vec![("pack.yaml", pack), ("pack.yaml", "x")], "twice"),
        (vec![("other.yaml", pack)], "it has no pack.yaml"),
    ] {
        setup.artifact("1.0.0", &titles);
        fail(setup.carrack(&["check", "."]), 20, &["is not a pack that can be used", reason]);
    }
    let image = ImageManifest {
        schema_version: 2,
        media_type: Some(media_type::IMAGE_MANIFEST.to_owned()),
        artifact_type: None,
        config: setup.registry.put_blob(media_type::EMPTY, "{}"),
        layers: vec![],
        annotations: Annotations::new(),
    };
    setup.put("1.0.0", &image);
    fail(setup.carrack(&["check", "."]), 20, &["it has no artifact type"]);
    assert!(!setup.sandbox.work().join("escaped").exists());
    assert!(!setup.sandbox.work().join(".carrack/packs").exists());
}

#[test]
fn content_that_a_registry_alters_is_refused() {
    let setup = setup();
    setup.profile(&[PROFILE]);
    let pack = "apiVersion: carrack/v1\nkind: Pack\nmetadata: {name: web, version: 1.0.0}\nspec: {layer: addon, imageLists: [a]}\n";
    setup.artifact("1.0.0", &[("pack.yaml", pack), ("a", "r.example.org/a:1\n")]);
    setup.registry.inject(format!("blobs/{}", Digest::of(b"r.example.org/a:1\n")), Fault::WrongBytes);
    fail(setup.carrack(&["images", "."]), 20, &["packs/web:1.0.0: the registry sent wrong content"]);
    assert_eq!(setup.kept("packs"), [""; 0].map(PathBuf::from));
    assert_eq!(setup.images(), "r.example.org/a:1\n");
}

#[test]
fn mistakes_within_a_pack_have_its_place() {
    let setup = setup();
    setup.profile(&[PROFILE, "{name: other, layer: addon, dependsOn: [{pack: web, version: \">=2\"}]}"]);
    let pack = "apiVersion: carrack/v1\nkind: Pack\nmetadata: {name: web, version: 1.0.0}\nspec:\n  layer: addon\n  manifest: []\n";
    setup.artifact("1.0.0", &[("pack.yaml", pack)]);
    let problems =
        ["/pack.yaml:6:3: unknown field `manifest`", "carrack.yaml:7:47: pack \"other\" depends on \"web\" >=2"];
    fail(setup.carrack(&["check", "."]), 10, &problems);
}
