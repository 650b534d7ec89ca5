//! Charts from registries and repositories.

use super::*;

const OCI: &str = "{name: shop, layer: addon, chart: {source: \"oci://HOST/charts/shop\", version: RANGE}}";

fn in_registry(range: &str) -> String {
    OCI.replace("RANGE", &format!("\"{range}\""))
}

fn lock(setup: &Setup, more: &[&str]) -> Ran {
    setup.carrack(&[&["lock", ".", "--allow-unrendered"], more].concat())
}

/// Images that a chart may name.
fn put_images(setup: &Setup) -> [String; 2] {
    use carrack::registry::in_process::{Image, Layer};
    ["1", "22"].map(|tag| {
        let layer = Layer::tar(&[("a", 0o644, tag.as_bytes())]).unwrap();
        let image = Image { platform: "linux/amd64".parse().unwrap(), layers: vec![layer], command: vec![] };
        setup.registry.put_image("shop", Some(tag), &image);
        format!("{}/shop:{tag}", setup.registry.host())
    })
}

#[test]
fn the_newest_of_a_registry_in_range_is_locked() {
    let setup = setup();
    let [one, two] = put_images(&setup);
    for (tag, version) in
        [("1.2.0", "1.2.0"), ("1.10.0_build", "1.10.0+build"), ("2.0.0", "2.0.0"), ("1.11.0-rc.1", "1.11.0-rc.1")]
    {
        setup.put_chart(tag, &setup.chart(version, if version == "2.0.0" { &two } else { &one }));
    }
    setup.registry.put_manifest("charts/shop", Some("latest"), "{}", media_type::IMAGE_MANIFEST);
    setup.profile(&[&in_registry("^1.2")]);
    succeed(lock(&setup, &[]));
    let text = setup.lock();
    let host = setup.registry.host();
    assert!(
        text.contains(&format!("charts:\n- source: oci://{host}/charts/shop\n"))
            || text.contains(&format!("charts:\n- source: \"oci://{host}/charts/shop\"\n")),
        "{text}"
    );
    assert!(text.contains("  range: \"^1.2\"\n  version: \"1.10.0+build\"\n"), "{text}");
    assert_eq!(setup.images(), format!("{one}\n"));
    for (range, version) in [("1.2.0", "1.2.0"), (">=1", "2.0.0"), ("=1.11.0-rc.1", "1.11.0-rc.1")] {
        setup.profile(&[&in_registry(range)]);
        succeed(lock(&setup, &[]));
        assert!(setup.lock().contains(&format!("  version: \"{version}\"\n")), "{range}: {}", setup.lock());
    }
    setup.profile(&[&in_registry("^3")]);
    fail(
        lock(&setup, &[]),
        10,
        &["/charts/shop has no version ^3", "the newest that it has: 2.0.0, 1.11.0-rc.1, 1.10.0+build"],
    );
}

#[test]
fn a_newer_version_or_another_package_is_told_and_taken_when_asked_for() {
    let setup = setup();
    let [one, two] = put_images(&setup);
    setup.put_chart("1.2.0", &setup.chart("1.2.0", &one));
    setup.profile(&[&in_registry("^1")]);
    succeed(lock(&setup, &[]));
    let asked = setup.requests();
    assert_eq!(setup.images(), format!("{one}\n"));
    assert_eq!(setup.requests(), asked, "the kept package is enough");
    let check = || lock(&setup, &["--check"]);
    succeed(check());
    setup.put_chart("1.3.0", &setup.chart("1.3.0", &two));
    let source = format!("oci://{}/charts/shop", setup.registry.host());
    fail(
        check(),
        10,
        &[&format!("moved: {source} ^1 1.2.0 sha256:"), "→ 1.3.0 sha256:", &format!("--update '{source} ^1'")],
    );
    assert_eq!(setup.images(), format!("{one}\n"));
    let ran = succeed(lock(&setup, &["--update", &format!("{source} ^1")]));
    assert!(ran.stderr.contains(&format!("moved    {source} ^1 1.2.0")), "{}", ran.stderr);
    assert_eq!(setup.images(), format!("{two}\n"));
    succeed(check());
}

#[test]
fn a_kept_package_that_was_altered_is_brought_again() {
    let setup = setup();
    let [one, _] = put_images(&setup);
    let digest = setup.put_chart("1.2.0", &setup.chart("1.2.0", &one));
    setup.profile(&[&in_registry("1.2.0")]);
    succeed(lock(&setup, &[]));
    let kept = setup.kept("charts").remove(0);
    fs::write(&kept, "other").unwrap();
    assert_eq!(setup.images(), format!("{one}\n"));
    assert_eq!(Digest::of(&fs::read(&kept).unwrap()), digest);
    fs::remove_dir_all(setup.sandbox.work().join(".carrack")).unwrap();
    setup.registry.inject(format!("blobs/{digest}"), Fault::WrongBytes);
    fail(lock(&setup, &[]), 20, &["the registry sent wrong content"]);
    // The tag may be gone or mean another: the lock has the digest.
    setup.put_chart("1.2.0", &setup.chart("1.2.0", "r.example.org/other:1"));
    assert_eq!(setup.images(), format!("{one}\n"));
}

#[test]
fn one_package_serves_several_releases() {
    let setup = setup();
    let [one, _] = put_images(&setup);
    setup.put_chart("1.2.0", &setup.chart("1.2.0", &one));
    let chart = |release: &str| format!("{{source: \"oci://HOST/charts/shop\", release: {release}}}");
    let charts: Vec<_> = (0..8).map(|index| chart(&format!("release-{index}"))).collect();
    setup.profile(&[&format!("{{name: shop, layer: addon, charts: [{}]}}", charts.join(", "))]);
    succeed(lock(&setup, &["--jobs", "8"]));
    assert_eq!(setup.kept("charts").len(), 1);
    assert_eq!(setup.lock().matches("charts/shop\n").count() + setup.lock().matches("charts/shop\"\n").count(), 1);
    assert_eq!(setup.images(), format!("{one}\n"));
}

#[test]
fn a_bundle_does_not_tell_where_a_chart_came_from() {
    let setup = setup();
    let [one, _] = put_images(&setup);
    let package = setup.chart("1.2.0", &one);
    setup.put_chart("1.2.0", &package);
    setup.sandbox.write("shop.tgz", &package);
    let build = |source: &str| {
        let values = "values: [{a: 2}]";
        setup.profile(&[&format!("{{name: shop, layer: addon, chart: {{source: \"{source}\", {values}}}}}")]);
        succeed(setup.carrack(&["build", ".", "-o", "edge.tar.zst", "--allow-unrendered"]));
        let contents = setup.bundle().contents().clone();
        assert_eq!((contents.charts.len(), contents.images.len()), (1, 1));
        assert_eq!(contents.charts[0].blob.digest, Digest::of(&package));
        contents.identity
    };
    assert_eq!(build("oci://HOST/charts/shop:1.2.0"), build("shop.tgz"));
}

#[test]
fn what_is_no_chart_is_refused() {
    let setup = setup();
    let pack = |reference: &str| {
        setup.profile(&[&format!("{{name: a, layer: addon, chart: {{source: \"oci://HOST/{reference}\"}}}}")]);
    };
    put_images(&setup);
    pack("shop:1");
    fail(lock(&setup, &[]), 20, &["/shop:1 is not a chart that can be used: its configuration is"]);
    setup.put_chart("1.0.0", b"not a package");
    pack("charts/shop:1.0.0");
    fail(lock(&setup, &[]), 10, &["/charts/shop:1.0.0 cannot be used", "no .tgz package"]);
    pack("charts/none");
    fail(lock(&setup, &[]), 20, &["charts/none"]);
    fail(setup.carrack(&["build", ".", "-o", "x", "--locked"]), 10, &["missing: oci://"]);
}

/// A repository with versions 1.2.0 and 1.3.0 of a chart.
fn repository(setup: &Setup, web: &Web, digests: bool) -> [Vec<u8>; 2] {
    let packages = [setup.chart("1.2.0", "r.example.org/a:1"), setup.chart("1.3.0", "r.example.org/b:22")];
    web.put("charts/shop-1.2.0.tgz", packages[0].clone());
    web.put("elsewhere/shop-1.3.0.tgz", packages[1].clone());
    let digest =
        |package: &[u8]| if digests { format!("digest: {},", Digest::of(package).hex()) } else { String::new() };
    let index = format!(
        "apiVersion: v1\nentries:\n  shop:\n  - {{version: 1.2.0, {} urls: [shop-1.2.0.tgz]}}\n  - {{version: 1.3.0, {} urls: [\"{}\"]}}\n",
        digest(&packages[0]),
        digest(&packages[1]),
        web.url("elsewhere/shop-1.3.0.tgz")
    );
    web.put("charts/index.yaml", index);
    packages
}

fn in_repository(web: &Web, range: &str) -> String {
    let url = web.url("charts/");
    format!("{{name: shop, layer: addon, chart: {{repository: \"{url}\", name: shop, version: \"{range}\"}}}}")
}

#[test]
fn a_repositorys_chart_is_locked_with_its_address() {
    for digests in [true, false] {
        let (setup, web) = (setup(), Web::plain());
        let packages = repository(&setup, &web, digests);
        for (range, at, image) in [("~1.2", 0, "a:1"), (">=1.2, <2", 1, "b:22")] {
            setup.profile(&[&in_repository(&web, range)]);
            assert_eq!(setup.images(), format!("r.example.org/{image}\n"));
            let kept = setup.kept("charts");
            let name = format!("sha256-{}.tgz", Digest::of(&packages[at]).hex());
            assert!(kept.iter().any(|path| path.ends_with(&name)), "{kept:?}");
        }
    }
}

#[test]
fn a_newer_version_in_a_repository_is_told_and_taken_when_asked_for() {
    let (setup, web) = (setup(), Web::plain());
    let [one, two] = put_images(&setup);
    let publish = |version: &str, image: &str, digest: bool| {
        let package = setup.chart(version, image);
        let digest = if digest { format!(", digest: {}", Digest::of(&package).hex()) } else { String::new() };
        web.put("charts/shop.tgz", package);
        web.put("charts/index.yaml", format!("entries: {{shop: [{{version: {version}, urls: [shop.tgz]{digest}}}]}}"));
    };
    publish("1.2.0", &one, true);
    setup.profile(&[&in_repository(&web, "^1")]);
    succeed(lock(&setup, &[]));
    let address = web.url("charts/shop.tgz");
    assert!(setup.lock().contains(&format!("  version: \"1.2.0\"\n  url: {address}\n")), "{}", setup.lock());
    for (version, digest) in [("1.3.0", true), ("1.4.0", false)] {
        publish(version, &two, digest);
        fail(lock(&setup, &["--check"]), 10, &["moved: ", &format!(" → {version} sha256:")]);
        assert_eq!(setup.images(), format!("{}\n", if digest { &one } else { &two }));
        succeed(lock(&setup, &["--update", "shop"]));
        succeed(lock(&setup, &["--check"]));
        assert_eq!(setup.images(), format!("{two}\n"));
    }
    // The address that is locked has another package now, and the kept one is gone.
    publish("1.4.0", &one, false);
    fs::remove_dir_all(setup.sandbox.work().join(".carrack")).unwrap();
    fail(setup.carrack(&["images", ".", "--allow-unrendered"]), 20, &[&address, "content hashes to", "--update"]);
}

#[test]
fn what_a_repository_alters_is_refused() {
    let (setup, web) = (setup(), Web::secure());
    let authority = setup.sandbox.work().join("ca.pem");
    web.write_authority(&authority);
    let environment = [("SSL_CERT_FILE", authority.to_str().unwrap())];
    let check = || setup.carrack_with(&environment, &["check", ".", "--allow-unrendered"]);
    let packages = repository(&setup, &web, true);
    setup.profile(&[&in_repository(&web, "1.3.0")]);
    web.put("elsewhere/shop-1.3.0.tgz", packages[0].clone());
    fail(check(), 20, &["elsewhere/shop-1.3.0.tgz", "content hashes to"]);
    web.redirect("elsewhere/shop-1.3.0.tgz", "http://mirror.example.org/x");
    fail(check(), 20, &["redirects to http://mirror.example.org/x"]);
    // The index has another chart under this version's name.
    setup.profile(&[&in_repository(&web, "1.2.0")]);
    succeed(check());
    web.put("charts/index.yaml", "<html>login</html>");
    fail(check(), 20, &["charts/index.yaml is not the index of a chart repository"]);
    setup.profile(&[&in_repository(&web, "^7")]);
    repository(&setup, &web, true);
    fail(check(), 10, &["has no version ^7", "the newest that it has: 1.3.0, 1.2.0"]);
    fail(setup.sandbox.carrack(&["check", ".", "--allow-unrendered"]), 20, &["no trusted TLS connection"]);
}
