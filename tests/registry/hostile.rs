//! Registries that mean harm: answers without end, and passwords lured elsewhere.

use std::process::Command;
use std::time::Duration;

use carrack::oci::{Descriptor, Reference};
use carrack::registry::{Content, Credentials, Options, Registry, RegistryErrorKind};

use super::web::{Fault, Web};
use super::{LOGIN, MANIFEST};

const PATH: &str = "v2/a/b/manifests/1";
const TOKEN: &str = "token?service=x&scope=repository%3Aa%2Fb%3Apull";

fn reference(web: &Web) -> Reference {
    format!("{}/a/b:1", host(web)).parse().unwrap()
}

fn host(web: &Web) -> String {
    web.url("").trim_start_matches("http://").trim_end_matches('/').to_owned()
}

fn challenge(realm: &str) -> Fault {
    challenge_with(&format!("Bearer realm=\"{realm}\",service=\"x\""))
}

fn challenge_with(text: &str) -> Fault {
    Fault::Status(401, vec![("WWW-Authenticate", text.to_owned())])
}

/// A client that knows the password of `web`.
fn logged_in(web: &Web) -> (Registry, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.json");
    std::fs::write(&path, format!(r#"{{"auths": {{"{}": {{"auth": "{LOGIN}"}}}}}}"#, host(web))).unwrap();
    (client(Credentials::from_file(&path)), folder)
}

fn client(credentials: Credentials) -> Registry {
    Registry::with_credentials(Options::default(), credentials).with_first_pause(Duration::ZERO)
}

async fn asked(web: &Web) -> RegistryErrorKind {
    client(Credentials::none()).manifest(&reference(web)).await.unwrap_err().kind
}

#[tokio::test]
async fn answers_without_end_are_not_read_to_it() {
    let endless = |status| Fault::Endless(status, Vec::new());
    for status in [200, 201, 400, 401, 403, 404, 418] {
        let web = Web::plain();
        web.always(PATH, endless(status));
        asked(&web).await;
        assert!(!web.drained(), "manifest {status}");
    }
    for status in [200, 201, 302, 400, 401, 403, 404] {
        let web = Web::plain();
        web.always(PATH, challenge(&web.url("token")));
        web.always(TOKEN, endless(status));
        let error = asked(&web).await.to_string();
        assert!(!web.drained(), "token {status}");
        let expected = match status {
            200 => "the token service's answer is larger than 64 KiB",
            302 => "redirects without saying where to",
            _ => "refuses access (HTTP 401) without credentials",
        };
        assert!(error.contains(expected), "{status}: {error}");
    }
    let web = Web::plain();
    web.always("v2/a/b/tags/list", endless(200));
    let error = client(Credentials::none()).tags(&reference(&web)).await.unwrap_err();
    assert!(error.to_string().contains("larger than 8 MiB"), "{error}");
    assert!(!web.drained());
    let web = Web::plain();
    web.always("v2/a/b/blobs/uploads/", endless(202));
    let blob = Descriptor::of("application/x", b"abc");
    web.always(&format!("v2/a/b/blobs/{}", blob.digest), Fault::Status(404, Vec::new()));
    let pushed = client(Credentials::none()).push_blob(&reference(&web), &blob, &Content::Bytes("abc".into())).await;
    assert!(pushed.unwrap_err().to_string().contains("without a location"));
    assert!(!web.drained());
}

#[tokio::test]
async fn tokens_that_are_none_are_refused() {
    for body in
        ["", "[]", "{}", r#"{"token": 5}"#, r#"{"token": ""}"#, r#"{"token": "a\nb"}"#, r#"{"token": "\u001b[31m"}"#]
    {
        let web = Web::plain();
        web.always(PATH, challenge(&web.url("token")));
        web.put(TOKEN, body);
        let error = asked(&web).await;
        assert!(error.to_string().contains("the token service's answer has no token"), "{body}: {error}");
    }
}

#[tokio::test]
async fn lists_of_tags_end() {
    for (link, says) in [
        ("</v2/a/b/tags/list>; rel=\"next\"", "goes round in circles"),
        ("</v2/a/b/tags/list?last=1>; rel=\"next\"", "more pages than are read"),
        ("<https://other.example.org/v2/a/b/tags/list>; rel=\"next\"", "goes on at another server"),
        ("<http://169.254.169.254/latest>; rel=\"next\"", "goes on at another server"),
        ("<//127.0.0.1:1/>; rel=\"next\"", "goes on at another server"),
        ("</v2/a/b/tags/list?last=1", "whose next page is not understood"),
    ] {
        let web = Web::plain();
        for path in ["v2/a/b/tags/list", "v2/a/b/tags/list?last=1"] {
            // The page after the next is the first again, so that each is another than the one before.
            let link = if path.contains('?') { link.replace("?last=1", "") } else { link.to_owned() };
            web.always(path, Fault::Page(vec![("Link", link)], br#"{"tags":["1"]}"#));
        }
        let error = client(Credentials::none()).tags(&reference(&web)).await.unwrap_err();
        assert!(error.to_string().contains(says), "{link}: {error}");
        assert!(web.requests().len() <= 1_000, "{link}");
    }
}

#[tokio::test]
async fn a_password_goes_to_no_other_plain_server() {
    let (web, other) = (Web::plain(), Web::plain());
    let (registry, _folder) = logged_in(&web);
    for realm in [other.url("token"), "http://registry.example.org/token".into(), "http://169.254.169.254/token".into()]
    {
        web.always(PATH, challenge(&realm));
        let error = registry.manifest(&reference(&web)).await.unwrap_err();
        assert!(matches!(error.kind, RegistryErrorKind::Realm { .. }), "{realm}: {error}");
        assert!(error.to_string().contains(&format!("names the token service {realm}, which is ")), "{error}");
    }
    assert_eq!(other.requests(), []);
    for realm in
        ["token", "ftp://127.0.0.1/", "file:///etc/passwd", "http://me:s3cret@127.0.0.1/", "https://[fe80::1]/"]
    {
        web.always(PATH, challenge(realm));
        let error = registry.manifest(&reference(&web)).await.unwrap_err();
        assert!(matches!(error.kind, RegistryErrorKind::Realm { .. } | RegistryErrorKind::Protocol(_)), "{error}");
        assert!(!format!("{error} {error:?}").contains("s3cret"), "{error:?}");
    }
    // Without a password there is nothing to lose on this machine.
    other.put(TOKEN, r#"{"token": "T"}"#);
    web.always(PATH, challenge(&other.url("token")));
    assert!(matches!(asked(&web).await, RegistryErrorKind::Unauthorized { with_credentials: false, .. }));
    assert_eq!(other.requests()[0].authorization, None);
    assert_eq!(web.requests().last().unwrap().authorization.as_deref(), Some("Bearer T"));
}

#[tokio::test]
async fn neither_password_nor_token_follows_a_redirect_to_another_server() {
    let (web, other) = (Web::plain(), Web::plain());
    let (registry, _folder) = logged_in(&web);
    web.require(&format!("Basic {LOGIN}"));
    web.redirect(PATH, other.url("stolen"));
    other.put("stolen", "{}");
    registry.manifest(&reference(&web)).await.unwrap();
    assert_eq!(other.requests().len(), 1);
    // One that asks for it there gets none either.
    other.always("stolen", challenge_with("Basic realm=\"x\""));
    registry.manifest(&reference(&web)).await.unwrap_err();
    other.always("stolen", challenge(&other.url("token")));
    registry.manifest(&reference(&web)).await.unwrap_err();
    // Nor does what a token service is sent.
    let web = Web::plain();
    let (registry, _folder) = logged_in(&web);
    web.always(PATH, challenge(&web.url("token")));
    web.redirect(TOKEN, other.url("stolen"));
    other.always("stolen", Fault::Page(Vec::new(), br#"{"token": "T"}"#));
    registry.manifest(&reference(&web)).await.unwrap_err();
    // Nor an upload.
    let blob = Descriptor::of("application/x", b"abc");
    web.always(&format!("v2/a/b/blobs/{}", blob.digest), Fault::Status(404, Vec::new()));
    web.always("v2/a/b/blobs/uploads/", Fault::Status(202, vec![("Location", other.url("stolen"))]));
    registry.push_blob(&reference(&web), &blob, &Content::Bytes("abc".into())).await.unwrap_err();
    assert!(other.requests().len() >= 5);
    for request in other.requests() {
        assert_eq!(request.authorization, None, "{}", request.path);
    }
}

#[tokio::test]
async fn redirects_end_and_lead_to_no_forbidden_place() {
    for (to, says) in [
        (format!("/{PATH}"), "it redirects again and again"),
        (
            "http://mirror.example.org/x?token=s3cret".into(),
            "redirects to http://mirror.example.org/x?…, and a redirect",
        ),
        ("https://169.254.169.254/latest".into(), "a link-local address"),
        ("https://[::ffff:a9fe:a9fe]/".into(), "a link-local address"),
        ("https://2852039166/".into(), "a link-local address"),
        ("https://me:s3cret@example.org/".into(), "an address with a password in it"),
        ("https://".into(), "what is no address"),
        ("gopher://example.org/".into(), "a redirect is followed to https:// only"),
    ] {
        let web = Web::plain();
        web.redirect(PATH, &to);
        let error = asked(&web).await;
        assert!(matches!(error, RegistryErrorKind::Redirect(_)), "{to}: {error}");
        assert!(error.to_string().contains(says), "{to}: {error}");
        assert!(!format!("{error:?}").contains("s3cret"), "{error:?}");
        assert!(web.requests().len() <= 11, "{to}");
    }
    let web = Web::plain();
    web.always("v2/a/b/blobs/uploads/", Fault::Status(303, vec![("Location", web.url("elsewhere"))]));
    let blob = Descriptor::of("application/x", b"abc");
    web.always(&format!("v2/a/b/blobs/{}", blob.digest), Fault::Status(404, Vec::new()));
    let sent = client(Credentials::none()).push_blob(&reference(&web), &blob, &Content::Bytes("abc".into())).await;
    assert!(sent.unwrap_err().to_string().contains("what may be sent to it alone"));
}

/// Locks an image of `registry.example.org`, which is `web` behind a proxy, with a password. What it says where it fails.
fn locked_over_tls(web: &Web) -> Result<(), String> {
    let (folder, proxy) = (tempfile::tempdir().unwrap(), Web::proxy(web));
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    web.write_authority(&folder.path().join("ca.pem"));
    write("config.json", &format!(r#"{{"auths": {{"registry.example.org": {{"auth": "{LOGIN}"}}}}}}"#));
    write(
        "carrack.yaml",
        "apiVersion: carrack/v1\nkind: ClusterProfile\nmetadata: {name: a, version: 1.0.0}\nspec:\n  packs:\n  \
         - {name: a, layer: addon, images: [\"registry.example.org/a/b:1\"]}\n",
    );
    let mut command = Command::new(env!("CARGO_BIN_EXE_carrack"));
    command.args(["lock", "."]).current_dir(folder.path()).env_clear();
    command.env("SSL_CERT_FILE", "ca.pem").env("HTTPS_PROXY", proxy.url("")).env("DOCKER_CONFIG", folder.path());
    let output = command.output().unwrap();
    assert!([Some(0), Some(20)].contains(&output.status.code()), "{output:?}");
    if output.status.success() { Ok(()) } else { Err(String::from_utf8(output.stderr).unwrap()) }
}

#[test]
fn over_tls_no_token_service_and_no_redirect_is_plain() {
    let plain = Web::plain();
    plain.put("token", r#"{"token": "T"}"#);
    plain.put(PATH, "{}");
    for (fault, says) in [
        (challenge(&plain.url("token")), "names the token service http://127.0.0.1:"),
        (challenge("http://registry.example.org/token"), "/token, which is not https://"),
        (challenge("https://169.254.169.254/token"), "which is a link-local address"),
        (Fault::Status(307, vec![("Location", plain.url(PATH))]), "a redirect is followed to https:// only"),
        (Fault::Status(301, vec![("Location", "http://registry.example.org/".into())]), "https:// only"),
    ] {
        let web = Web::secure();
        web.always(PATH, fault);
        let error = locked_over_tls(&web).unwrap_err();
        assert!(error.contains(says), "{error}");
        assert!(!error.contains("s3cret") && !error.contains(LOGIN), "{error}");
    }
    assert_eq!(plain.requests(), []);
    // A service of another name is one like any, where it has TLS.
    let web = Web::secure();
    let raw = format!(r#"{{"schemaVersion":2,"mediaType":"{MANIFEST}","config":{{}},"layers":[]}}"#);
    web.put(PATH, raw);
    web.inject(PATH, [challenge("https://tokens.example.org/token")]);
    web.put(TOKEN, r#"{"token": "T"}"#);
    locked_over_tls(&web).unwrap_err();
    let sent: Vec<_> = web.requests().into_iter().map(|request| request.authorization).collect();
    assert_eq!(sent[..3], [None, Some(format!("Basic {LOGIN}")), Some("Bearer T".to_owned())]);
}
