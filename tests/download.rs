//! The download client against a web server of the test's own, with faults on demand.
#![cfg(feature = "operator")]
#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

#[path = "common/web.rs"]
mod web;

use std::process::Command;
use std::time::Duration;

use carrack::download::{Address, Credentials, DownloadError, DownloadErrorKind, Downloader};
use carrack::oci::Digest;
use web::{Fault, Web};

const SIZE: usize = 1_000_000;

fn content() -> Vec<u8> {
    (0..SIZE).map(|i| (i % 251) as u8).collect()
}

fn served() -> Web {
    let web = Web::plain();
    web.put("file", content());
    web
}

fn address(web: &Web, path: &str) -> Address {
    web.url(path).parse().unwrap()
}

fn downloader() -> Downloader {
    Downloader::new().with_first_pause(Duration::ZERO)
}

async fn read(web: &Web, path: &str, size: Option<u64>, offset: u64) -> Result<Vec<u8>, DownloadError> {
    let mut download = downloader().stream(&address(web, path), size, offset, None).await?;
    let mut all = Vec::new();
    while let Some(chunk) = download.next().await? {
        all.extend_from_slice(&chunk);
    }
    Ok(all)
}

async fn kind(web: &Web, path: &str) -> DownloadErrorKind {
    read(web, path, None, 0).await.unwrap_err().kind
}

#[tokio::test]
async fn a_broken_connection_goes_on_where_it_broke() {
    for size in [None, Some(SIZE as u64)] {
        let web = served();
        web.inject("file", [Fault::BreakAfter(300_000), Fault::BreakAfter(200_000), Fault::IgnoreRange]);
        web.inject("file", []);
        assert_eq!(read(&web, "file", size, 0).await.unwrap(), content());
        let ranges: Vec<_> = web.requests().into_iter().map(|request| request.range).collect();
        assert_eq!(ranges, [None, Some("bytes=300000-".to_owned()), Some("bytes=500000-".to_owned())]);
    }
}

#[tokio::test]
async fn it_begins_where_it_is_told_to() {
    let web = served();
    assert_eq!(read(&web, "file", Some(SIZE as u64), 999_000).await.unwrap(), content()[999_000..]);
    assert_eq!(read(&web, "file", Some(SIZE as u64), SIZE as u64).await.unwrap(), b"");
    assert_eq!(web.requests().len(), 1, "what is whole is not asked for");
}

#[tokio::test]
async fn another_size_is_told_with_both() {
    let web = served();
    let error = read(&web, "file", Some(5), 0).await.unwrap_err();
    assert_eq!(error.to_string(), format!("{}: it has {SIZE} bytes, want 5", web.url("file")));
    web.inject("file", [Fault::NoLength]);
    let error = read(&web, "file", Some(5), 0).await.unwrap_err();
    assert!(matches!(error.kind, DownloadErrorKind::WrongSize { want: 5, got: 6.. }), "{error}");
    web.always("file", Fault::ClaimMore(1));
    let error = kind(&web, "file").await;
    assert!(matches!(error, DownloadErrorKind::WrongSize { want, got } if want > got && got == SIZE as u64), "{error}");
}

#[tokio::test]
async fn wrong_content_leaves_no_file() {
    let (web, folder) = (served(), tempfile::tempdir().unwrap());
    let target = folder.path().join("deep/file");
    let want = Digest::of(&content());
    web.inject("file", [Fault::WrongBytes]);
    let fetch = || async { downloader().to_file(&address(&web, "file"), Some(want), 1 << 30, &target, None).await };
    let error = fetch().await.unwrap_err();
    let DownloadErrorKind::WrongContent(mismatch) = &error.kind else { panic!("{error}") };
    assert!(mismatch.to_string().contains(&format!("want {want}")), "{mismatch}");
    assert_eq!(std::fs::read_dir(folder.path().join("deep")).unwrap().count(), 0);
    assert_eq!(fetch().await.unwrap(), (want, SIZE as u64));
    assert_eq!(std::fs::read(&target).unwrap(), content());
    let error = downloader().to_file(&address(&web, "file"), None, 999, &target, None).await.unwrap_err();
    assert!(matches!(error.kind, DownloadErrorKind::TooLarge(999)), "{error}");
}

#[tokio::test]
async fn what_fails_for_good_is_asked_for_once_and_what_may_pass_again() {
    let web = served();
    assert!(matches!(kind(&web, "none").await, DownloadErrorKind::NotFound(404)));
    assert_eq!(web.requests().len(), 1);
    let status = |code| Fault::Status(code, vec![]);
    web.inject("file", [status(500), status(503), Fault::Status(429, vec![("Retry-After", "0".into())])]);
    assert_eq!(read(&web, "file", None, 0).await.unwrap().len(), SIZE);
    web.always("file", status(502));
    assert!(matches!(kind(&web, "file").await, DownloadErrorKind::Server { code: 502, .. }));
    web.always("file", Fault::Status(429, vec![("Retry-After", "86400".into())]));
    let error = kind(&web, "file").await;
    assert!(matches!(error, DownloadErrorKind::RateLimited { retry_after: Some(wait) } if wait.as_secs() == 86400));
}

#[tokio::test]
async fn slow_is_not_wrong() {
    let web = served();
    web.inject("file", [Fault::Slow(100_000, Duration::from_millis(2))]);
    assert_eq!(read(&web, "file", None, 0).await.unwrap(), content());
}

#[tokio::test]
async fn a_document_is_bounded_and_never_of_two_halves() {
    let web = served();
    let document = |limit| async move { downloader().document(&address(&served(), "file"), limit, None).await };
    assert_eq!(document(SIZE as u64).await.unwrap(), content());
    let error = document(SIZE as u64 - 1).await.unwrap_err();
    assert!(error.to_string().contains("larger than 999999 bytes"), "{error}");
    web.inject("file", [Fault::NoLength, Fault::BreakAfter(500)]);
    let error = downloader().document(&address(&web, "file"), 99, None).await.unwrap_err();
    assert!(matches!(error.kind, DownloadErrorKind::TooLarge(99)), "{error}");
    assert_eq!(downloader().document(&address(&web, "file"), SIZE as u64, None).await.unwrap(), content());
    assert!(web.requests().iter().all(|request| request.range.is_none()));
}

#[tokio::test]
async fn the_size_and_the_start_are_learned_without_reading_all() {
    let web = served();
    let facts = downloader().facts(&address(&web, "file"), 4).await.unwrap();
    assert_eq!((facts.size, facts.start), (SIZE as u64, vec![0, 1, 2, 3]));
    web.inject("file", [Fault::NoLength]);
    assert_eq!(downloader().facts(&address(&web, "file"), 4).await.unwrap().size, SIZE as u64, "counted");
    web.put("small", b"ab");
    let facts = downloader().facts(&address(&web, "small"), 4).await.unwrap();
    assert_eq!((facts.size, facts.start), (2, b"ab".to_vec()));
    web.put("empty", b"");
    assert_eq!(downloader().facts(&address(&web, "empty"), 4).await.unwrap().size, 0);
}

#[tokio::test]
async fn redirects_are_followed_with_the_login_left_behind() {
    let (web, other) = (served(), Web::plain());
    other.put("file", b"elsewhere");
    web.require("Basic dXNlcjpzM2NyZXQ=");
    web.redirect("here", "/file");
    web.redirect("away", other.url("file?signature=x"));
    other.put("file?signature=x", b"signed");
    let login = Credentials::new("user", "s3cret");
    let document = |path: &str| {
        let (address, login) = (address(&web, path), login.clone());
        async move { downloader().document(&address, 1 << 20, Some(&login)).await }
    };
    assert_eq!(document("here").await.unwrap(), content());
    assert_eq!(document("away").await.unwrap(), b"signed".as_slice());
    assert_eq!(other.requests()[0].authorization, None);
    assert!(matches!(kind(&web, "file").await, DownloadErrorKind::Unauthorized { code: 401, with_login: false }));
}

#[tokio::test]
async fn a_redirect_to_plain_http_is_refused_with_both_addresses() {
    let web = served();
    web.redirect("plain", "http://mirror.example.org/file?token=s3cret");
    let error = read(&web, "plain", None, 0).await.unwrap_err().to_string();
    assert!(error.contains(&format!("{} redirects to http://mirror.example.org/file?…", web.url("plain"))), "{error}");
    assert!(!error.contains("s3cret"), "{error}");
    for to in ["https://169.254.169.254/latest", "https://[::ffff:169.254.1.1]/", "https://[fe80::1]/"] {
        web.redirect("link", to);
        let error = kind(&web, "link").await.to_string();
        assert!(error.contains("a link-local address"), "{to}: {error}");
        // What a document names is no better than where a server points.
        let named = address(&web, "index.yaml").join(to).unwrap();
        let error = downloader().document(&named, 1, None).await.unwrap_err().to_string();
        assert!(error.contains("a link-local address"), "{to}: {error}");
    }
    web.redirect("round", "/round");
    assert!(kind(&web, "round").await.to_string().contains("again and again"));
    web.always("nowhere", Fault::Status(302, vec![]));
    assert!(kind(&web, "nowhere").await.to_string().contains("without saying where"));
    web.redirect("login", "https://me:s3cret@example.org/");
    let error = read(&web, "login", None, 0).await.unwrap_err();
    assert!(error.to_string().contains("password in it") && !format!("{error:?}").contains("s3cret"), "{error}");
}

/// Has `carrack build` fetch a file that says "content" with these variables and no others. What it says where it fails.
fn elsewhere(url: &str, environment: &[(&str, &str)]) -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    let file = format!("{{source: \"{url}\", sha256: {}, path: /opt/file}}", Digest::of(b"content").hex());
    let profile = format!(
        "apiVersion: carrack/v1\nkind: ClusterProfile\nmetadata: {{name: a, version: 1.0.0}}\nspec:\n  packs:\n    \
         - {{name: a, layer: addon, files: [{file}]}}\n"
    );
    std::fs::write(folder.path().join("carrack.yaml"), profile).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_carrack"));
    command.args(["build", ".", "-o", "out.tar.zst"]).current_dir(folder.path()).env_clear();
    let output = command.envs(environment.iter().copied()).output().unwrap();
    if output.status.success() { Ok(()) } else { Err(String::from_utf8(output.stderr).unwrap()) }
}

#[test]
fn an_authority_of_ones_own_is_trusted_where_it_is_named() {
    let (web, folder) = (Web::secure(), tempfile::tempdir().unwrap());
    web.put("file", b"content");
    let file = folder.path().join("ca.pem");
    web.write_authority(&file);
    let url = web.url("file");
    assert_eq!(elsewhere(&url, &[("SSL_CERT_FILE", file.to_str().unwrap())]), Ok(()));
    let refused = elsewhere(&url, &[]).unwrap_err();
    assert!(refused.contains("no trusted TLS connection to localhost"), "{refused}");
    // A folder has its certificates under their hash, or under any name.
    assert_eq!(elsewhere(&url, &[("SSL_CERT_DIR", folder.path().to_str().unwrap())]), Ok(()));
}

#[test]
fn from_https_a_redirect_goes_to_https_only() {
    let (web, plain, folder) = (Web::secure(), Web::plain(), tempfile::tempdir().unwrap());
    let file = folder.path().join("ca.pem");
    web.write_authority(&file);
    let trust = [("SSL_CERT_FILE", file.to_str().unwrap())];
    web.put("file", b"content");
    plain.put("file", b"content");
    web.redirect("good", web.url("file"));
    assert_eq!(elsewhere(&web.url("good"), &trust), Ok(()));
    // Not even to this machine.
    web.redirect("bad", plain.url("file"));
    let refused = elsewhere(&web.url("bad"), &trust).unwrap_err();
    assert!(refused.contains(&format!("{} redirects to {}", web.url("bad"), plain.url("file"))), "{refused}");
    assert_eq!(plain.requests(), []);
}

#[test]
fn a_proxy_is_used_and_left_aside_as_the_environment_says() {
    let (web, folder) = (Web::secure(), tempfile::tempdir().unwrap());
    let proxy = Web::proxy(&web);
    let file = folder.path().join("ca.pem");
    web.write_authority(&file);
    web.put("file", b"content");
    let (trust, proxied) = (("SSL_CERT_FILE", file.to_str().unwrap()), proxy.url(""));
    for variable in ["HTTPS_PROXY", "https_proxy"] {
        let before = proxy.connects().len();
        assert_eq!(elsewhere("https://files.example.org/file", &[trust, (variable, &proxied)]), Ok(()));
        let tunnels = proxy.connects().split_off(before);
        assert!(!tunnels.is_empty(), "{variable}");
        assert!(tunnels.iter().all(|line| line == "CONNECT files.example.org:443 HTTP/1.1"), "{tunnels:?}");
    }
    let before = proxy.connects();
    let past = [trust, ("HTTPS_PROXY", proxied.as_str()), ("NO_PROXY", "localhost")];
    assert_eq!(elsewhere(&web.url("file"), &past), Ok(()));
    // Plain HTTP of this machine never leaves it.
    let plain = Web::plain();
    plain.put("file", b"content");
    assert_eq!(elsewhere(&plain.url("file"), &[("HTTP_PROXY", &proxied)]), Ok(()));
    assert_eq!(proxy.connects(), before);
}
