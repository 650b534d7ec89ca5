//! Files from servers, straight into bundles.

use super::*;
use web::Fault as WebFault;

fn pack(web: &Web, path: &str, content: &[u8], host: &str) -> String {
    let (url, sha256) = (web.url(path), Digest::of(content).hex());
    format!("{{name: {path}, layer: addon, files: [{{source: \"{url}\", sha256: {sha256}, path: {host}}}]}}")
}

/// A profile of a file that compresses, one that does not, and a small one.
fn served(setup: &Setup, web: &Web) -> [Vec<u8>; 3] {
    let plain: Vec<u8> = noise(2_000_000).iter().map(|byte| byte % 16).collect();
    let packed = [&[0x1f, 0x8b][..], &noise(3_000_000)].concat();
    let all = [plain, packed, b"small".to_vec()];
    let names = ["plain", "packed", "small"];
    names.iter().zip(&all).for_each(|(name, content)| web.put(name, content.clone()));
    let packs: Vec<_> =
        names.iter().zip(&all).map(|(name, content)| pack(web, name, content, &format!("/opt/{name}"))).collect();
    setup.profile(&packs.iter().map(String::as_str).collect::<Vec<_>>());
    all
}

#[test]
fn a_file_of_a_server_has_the_place_of_a_local_one() {
    let (setup, web) = (setup(), Web::plain());
    let contents = served(&setup, &web);
    succeed(setup.carrack(&["build", ".", "-o", "edge.tar.zst"]));
    let remote = setup.bundle().contents().identity;
    let bytes = fs::read(setup.sandbox.work().join("edge.tar.zst")).unwrap();
    let lock = setup.lock();
    for (name, content, compressed) in [("plain", &contents[0], false), ("packed", &contents[1], true)] {
        let (url, digest, size) = (web.url(name), Digest::of(content).hex(), content.len());
        let entry = format!("- url: {url}\n  sha256: \"{digest}\"\n  size: {size}\n  compressed: {compressed}\n");
        assert!(lock.replace(&digest, &format!("\"{digest}\"")).replace("\"\"", "\"").contains(&entry), "{lock}");
    }
    let local: Vec<String> = ["plain", "packed", "small"]
        .iter()
        .zip(&contents)
        .map(|(name, content)| {
            setup.sandbox.write(name, content);
            format!("{{name: {name}, layer: addon, files: [{{source: {name}, path: /opt/{name}}}]}}")
        })
        .collect();
    setup.profile(&local.iter().map(String::as_str).collect::<Vec<_>>());
    succeed(setup.carrack(&["build", ".", "-o", "local.tar.zst"]));
    assert_eq!(fs::read(setup.sandbox.work().join("local.tar.zst")).unwrap(), bytes, "{remote}");
    let fetched = web.requests().iter().filter(|request| request.path == "/packed").count();
    assert_eq!(fetched, 2, "once for its size, once for its content");
}

#[test]
fn a_file_for_another_platform_is_not_fetched() {
    let (setup, web) = (setup(), Web::plain());
    let file = |name: &str| {
        let content = [name.as_bytes(), &noise(400_000)].concat();
        web.put(name, content.clone());
        let (url, sha256) = (web.url(name), Digest::of(&content).hex());
        format!("{{source: \"{url}\", sha256: {sha256}, path: /opt/x, platform: linux/{name}}}")
    };
    setup.profile(&[&format!("{{name: a, layer: addon, files: [{}, {}]}}", file("amd64"), file("arm64"))]);
    let profile = fs::read_to_string(setup.sandbox.work().join("carrack.yaml")).unwrap();
    setup.sandbox.write("carrack.yaml", profile.replace("spec:\n", "spec:\n  platforms: [linux/amd64, linux/arm64]\n"));
    succeed(setup.carrack(&["lock", "."]));
    let before = web.requests().len();
    succeed(setup.carrack(&["build", ".", "-o", "edge.tar.zst", "--locked", "--platform", "linux/arm64"]));
    let asked: Vec<_> = web.requests().split_off(before).into_iter().map(|request| request.path).collect();
    assert_eq!(asked, ["/arm64"]);
    assert_eq!(setup.bundle().contents().files.len(), 1);
}

#[test]
fn an_interrupted_build_goes_on_within_the_file() {
    let (setup, web) = (setup(), Web::plain());
    served(&setup, &web);
    succeed(setup.carrack(&["lock", "."]));
    succeed(setup.build());
    let whole = fs::read(setup.sandbox.work().join("edge.tar.zst")).unwrap();
    fs::remove_file(setup.sandbox.work().join("edge.tar.zst")).unwrap();
    web.inject("packed", [WebFault::BreakAfter(2_500_000)]);
    web.inject("packed", std::iter::repeat_n(WebFault::Status(404, vec![]), 1));
    fail(
        setup.carrack(&["build", ".", "-o", "edge.tar.zst", "--locked"]),
        20,
        &[&web.url("packed"), "run the same command again"],
    );
    let before = web.requests().len();
    succeed(setup.carrack(&["build", ".", "-o", "edge.tar.zst", "--locked"]));
    let again: Vec<_> = web.requests().split_off(before);
    let packed = again.iter().find(|request| request.path == "/packed").unwrap();
    let start: usize = packed.range.as_ref().unwrap()["bytes=".len()..].trim_end_matches('-').parse().unwrap();
    assert!(start > 1_000_000, "{start}");
    assert_eq!(fs::read(setup.sandbox.work().join("edge.tar.zst")).unwrap(), whole);
}

#[test]
fn a_wrong_sum_is_refused_wherever_it_lies() {
    for name in ["plain", "packed", "small"] {
        let (setup, web) = (setup(), Web::plain());
        served(&setup, &web);
        succeed(setup.carrack(&["lock", "."]));
        web.always(name, WebFault::WrongBytes);
        let ran = setup.carrack(&["build", ".", "-o", "edge.tar.zst", "--locked"]);
        fail(
            ran,
            20,
            &[&web.url(name), "the server has something else than the profile says", "content hashes to sha256:"],
        );
        assert!(!setup.sandbox.work().join("edge.tar.zst").exists());
        fail(setup.carrack(&["lock", ".", "--check"]), 10, &[&format!("moved: {}", web.url(name)), "`sha256`"]);
    }
}

#[test]
fn the_lock_says_the_size_and_a_server_with_another_is_refused() {
    let (setup, web) = (setup(), Web::plain());
    served(&setup, &web);
    succeed(setup.carrack(&["lock", "."]));
    web.put("packed", b"short".as_slice());
    fail(setup.build(), 20, &[&web.url("packed"), "it has 5 bytes, want 3000002"]);
    fail(
        setup.carrack(&["lock", ".", "--update", "https://example.org/none"]),
        2,
        &["does not need https://example.org/none"],
    );
}

#[test]
fn locked_refuses_a_file_that_the_lock_lacks_or_has_otherwise() {
    let (setup, web) = (setup(), Web::plain());
    let locked = || setup.carrack(&["build", ".", "-o", "edge.tar.zst", "--locked"]);
    setup.profile(&[&pack(&web, "file", b"one", "/opt/file")]);
    let missing = format!("missing: {}", web.url("file"));
    fail(locked(), 10, &[&missing]);
    assert_eq!(web.requests(), []);
    web.put("file", b"one".as_slice());
    succeed(setup.carrack(&["lock", "."]));
    succeed(locked());
    setup.profile(&[&pack(&web, "file", b"two", "/opt/file")]);
    fail(locked(), 10, &[&missing]);
    web.put("file", b"two".as_slice());
    succeed(setup.build());
}

#[test]
fn authorities_proxies_and_redirects_are_as_the_environment_says() {
    let (setup, web, plain) = (setup(), Web::secure(), Web::plain());
    let proxy = Web::proxy(&web);
    let authority = setup.sandbox.work().join("ca.pem");
    web.write_authority(&authority);
    let content = noise(600_000);
    web.put("file", content.clone());
    let (trust, proxied) = (("SSL_CERT_FILE", authority.to_str().unwrap()), proxy.url(""));
    let build = |environment: &[(&str, &str)]| setup.carrack_with(environment, &["build", ".", "-o", "edge.tar.zst"]);
    setup.profile(&[&pack(&web, "file", &content, "/opt/file")]);
    fail(build(&[]), 20, &["no trusted TLS connection to localhost", "SSL_CERT_FILE"]);
    succeed(build(&[trust]));
    // The name is known to the proxy alone.
    let far = pack(&web, "file", &content, "/opt/file");
    let port = web.url("").trim_start_matches("https://").trim_end_matches('/').to_owned();
    setup.profile(&[&far.replace(&port, "files.example.org")]);
    succeed(build(&[trust, ("HTTPS_PROXY", &proxied)]));
    assert!(proxy.connects().iter().all(|line| line == "CONNECT files.example.org:443 HTTP/1.1"));
    assert!(proxy.connects().len() >= 2);
    plain.put("file", content.clone());
    web.redirect("moved", plain.url("file"));
    setup.profile(&[&pack(&web, "moved", &content, "/opt/file")]);
    fail(build(&[trust]), 20, &["redirects to http://", "followed to https:// only", "https:// all the way"]);
    assert_eq!(plain.requests(), []);
}
