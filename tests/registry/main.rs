//! The registry client against a registry in this process, with faults on demand.
#![cfg(feature = "operator")]
#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

mod hostile;
#[path = "../common/web.rs"]
mod web;

use std::time::Duration;

use carrack::oci::{Descriptor, Digest, Platform, Reference};
use carrack::registry::in_process::{Access, Fault, Image, InProcessRegistry, Layer, Served};
use carrack::registry::{Content, Credentials, FetchedManifest, Options, Registry, RegistryError, RegistryErrorKind};

/// Base64 of `user:s3cret`.
const LOGIN: &str = "dXNlcjpzM2NyZXQ=";
const BLOB: usize = 1_000_000;

struct Fixture {
    server: InProcessRegistry,
    image: Descriptor,
    blob: Descriptor,
    content: Vec<u8>,
}

fn fixture() -> Fixture {
    let server = InProcessRegistry::start().unwrap();
    let layer = Layer::tar(&[("bin/app", 0o755, b"#!/bin/sh\n")]).unwrap().zstd().unwrap();
    let image = Image { platform: Platform::new("linux", "amd64"), layers: vec![layer], command: vec!["app".into()] };
    let image = server.put_image("app", Some("1"), &image);
    let content: Vec<u8> = (0..BLOB).map(|i| (i % 251) as u8).collect();
    let blob = server.put_blob("application/octet-stream", content.clone());
    Fixture { server, image, blob, content }
}

impl Fixture {
    fn app(&self) -> Reference {
        self.server.reference("app:1").unwrap()
    }

    fn blob_path(&self) -> String {
        format!("blobs/{}", self.blob.digest)
    }

    fn inject_blob(&self, faults: impl IntoIterator<Item = Fault>) {
        for fault in faults {
            self.server.inject(self.blob_path(), fault);
        }
    }

    async fn manifest(&self, name: &str) -> Result<FetchedManifest, RegistryErrorKind> {
        let reference = self.server.reference(name).unwrap();
        anonymous().manifest(&reference).await.map_err(|error| error.kind)
    }

    async fn read(&self, registry: &Registry, offset: u64) -> Result<Vec<u8>, RegistryError> {
        let mut stream = registry.blob(&self.app(), &self.blob.digest, self.blob.size, offset).await?;
        let mut all = Vec::new();
        while let Some(chunk) = stream.next().await? {
            all.extend_from_slice(&chunk);
            assert!(all.len() as u64 <= self.blob.size - offset, "more than asked for");
        }
        Ok(all)
    }

    async fn read_failing(&self) -> RegistryErrorKind {
        self.read(&anonymous(), 0).await.unwrap_err().kind
    }

    /// Ranges of the blob's requests, in order.
    fn ranges(&self) -> Vec<Option<String>> {
        let requests = self.server.requests().into_iter();
        requests.filter(|request| request.path.ends_with(&self.blob_path())).map(|request| request.range).collect()
    }
}

fn with_credentials(credentials: Credentials) -> Registry {
    Registry::with_credentials(Options::default(), credentials).with_first_pause(Duration::from_millis(1))
}

fn anonymous() -> Registry {
    with_credentials(Credentials::none())
}

/// A client with a Docker configuration that holds `LOGIN` for the fixture's registry.
fn logged_in(fixture: &Fixture) -> (Registry, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.json");
    let config = format!(r#"{{"auths": {{"{}": {{"auth": "{LOGIN}"}}}}}}"#, fixture.server.host());
    std::fs::write(&path, config).unwrap();
    (with_credentials(Credentials::from_file(&path)), folder)
}

#[tokio::test]
async fn fetches_a_manifest_by_tag_and_by_digest() {
    let fixture = fixture();
    let by_tag = fixture.manifest("app:1").await.unwrap();
    let by_digest = fixture.manifest(&format!("app@{}", fixture.image.digest)).await.unwrap();
    assert_eq!(by_tag, by_digest);
    assert_eq!((by_tag.digest, &by_tag.media_type), (fixture.image.digest, &fixture.image.media_type));
    assert_eq!(by_tag.parse().unwrap().children().len(), 2);
}

#[tokio::test]
async fn streams_a_blob_whole_and_from_an_offset() {
    let fixture = fixture();
    assert_eq!(fixture.read(&anonymous(), 0).await.unwrap(), fixture.content);
    assert_eq!(fixture.server.served(&fixture.blob.digest), Served { gets: 1, bytes: BLOB as u64 });
    assert_eq!(fixture.read(&anonymous(), 999_000).await.unwrap(), fixture.content[999_000..]);
    assert_eq!(fixture.read(&anonymous(), BLOB as u64).await.unwrap(), b"");
    assert_eq!(fixture.ranges(), [None, Some("bytes=999000-".into())]);
}

#[tokio::test]
async fn a_dropped_connection_is_resumed_where_it_broke() {
    let fixture = fixture();
    fixture.inject_blob([Fault::DropAfter(300_000), Fault::DropAfter(0), Fault::DropAfter(400_000)]);
    assert_eq!(fixture.read(&anonymous(), 0).await.unwrap(), fixture.content);
    let ranges = ["bytes=300000-", "bytes=300000-", "bytes=700000-"].map(|range| Some(range.to_owned()));
    assert_eq!(fixture.ranges()[1..], ranges);
    assert_eq!(fixture.server.served(&fixture.blob.digest), Served { gets: 4, bytes: BLOB as u64 });
}

#[tokio::test]
async fn a_connection_that_breaks_without_progress_is_given_up() {
    let fixture = fixture();
    fixture.inject_blob(vec![Fault::DropAfter(0); 5]);
    assert!(matches!(fixture.read_failing().await, RegistryErrorKind::Truncated { at: 0, .. }));
    assert_eq!(fixture.ranges().len(), 5);
}

#[tokio::test]
async fn a_registry_that_ignores_ranges_is_still_resumed() {
    let fixture = fixture();
    fixture.inject_blob([Fault::DropAfter(300_000), Fault::IgnoreRange]);
    assert_eq!(fixture.read(&anonymous(), 0).await.unwrap(), fixture.content);
    fixture.inject_blob([Fault::IgnoreRange]);
    assert_eq!(fixture.read(&anonymous(), 123_456).await.unwrap(), fixture.content[123_456..]);
}

#[tokio::test]
async fn a_slow_body_arrives() {
    let fixture = fixture();
    fixture.inject_blob([Fault::Slow(100_000, Duration::from_millis(1))]);
    assert_eq!(fixture.read(&anonymous(), 0).await.unwrap(), fixture.content);
}

#[tokio::test]
async fn busy_and_failing_registries_are_asked_again() {
    let fixture = fixture();
    fixture.server.inject("manifests/1", Fault::Status(429, Some(0)));
    assert_eq!(fixture.manifest("app:1").await.unwrap().digest, fixture.image.digest);
    for _ in 0..3 {
        fixture.server.inject("manifests/1", Fault::Status(500, None));
    }
    assert_eq!(fixture.manifest("app:1").await.unwrap().digest, fixture.image.digest);
    fixture.server.inject("manifests/1", Fault::DropAfter(10));
    assert_eq!(fixture.manifest("app:1").await.unwrap().digest, fixture.image.digest);
    fixture.inject_blob([Fault::Status(503, None), Fault::Status(429, None)]);
    assert_eq!(fixture.read(&anonymous(), 0).await.unwrap(), fixture.content);
}

#[tokio::test]
async fn a_registry_that_keeps_failing_is_given_up() {
    let fixture = fixture();
    for _ in 0..5 {
        fixture.server.inject("manifests/1", Fault::Status(502, None));
    }
    assert!(matches!(fixture.manifest("app:1").await, Err(RegistryErrorKind::Server { code: 502, .. })));
    assert_eq!(fixture.server.requests().len(), 5);
}

#[tokio::test]
async fn a_long_wait_is_reported_instead_of_waited_for() {
    let fixture = fixture();
    fixture.server.inject("manifests/1", Fault::Status(429, Some(3600)));
    let error = fixture.manifest("app:1").await.unwrap_err();
    assert!(error.to_string().contains("limits the rate of requests (HTTP 429) and asks to wait 3600 s"), "{error}");
    assert_eq!(fixture.server.requests().len(), 1);
}

#[tokio::test]
async fn lengths_that_differ_from_the_manifest_are_refused() {
    let fixture = fixture();
    let (digest, want) = (fixture.blob.digest, fixture.blob.size);
    fixture.inject_blob([Fault::Truncated(500_000)]);
    let error = fixture.read_failing().await;
    assert!(matches!(error, RegistryErrorKind::WrongSize { got: 500_000, .. }), "{error}");
    assert_eq!(error.to_string(), format!("blob {digest} is shorter than the {want} bytes that its manifest states"));
    fixture.inject_blob([Fault::Longer(1)]);
    let error = fixture.read_failing().await;
    assert_eq!(error.to_string(), format!("blob {digest} is longer than the {want} bytes that its manifest states"));
}

#[tokio::test]
async fn wrong_bytes_of_a_manifest_are_refused_and_those_of_a_blob_left_to_the_caller() {
    let fixture = fixture();
    let pinned = format!("app@{}", fixture.image.digest);
    for (name, path) in [("app:1", "manifests/1".to_owned()), (&pinned, format!("manifests/{}", fixture.image.digest))]
    {
        fixture.server.inject(path, Fault::WrongBytes);
        let error = fixture.manifest(name).await.unwrap_err();
        assert!(
            matches!(error, RegistryErrorKind::WrongDigest { want, .. } if want == fixture.image.digest),
            "{error}"
        );
    }
    fixture.inject_blob([Fault::WrongBytes]);
    let wrong = fixture.read(&anonymous(), 0).await.unwrap();
    assert_ne!(Digest::of(&wrong), fixture.blob.digest);
}

#[tokio::test]
async fn a_huge_manifest_is_refused() {
    let fixture = fixture();
    fixture.server.put_manifest("app", Some("huge"), vec![b' '; (4 << 20) + 1], "application/json");
    assert!(matches!(fixture.manifest("app:huge").await, Err(RegistryErrorKind::ManifestTooLarge)));
    fixture.server.inject("manifests/1", Fault::Longer(4 << 20));
    assert!(matches!(fixture.manifest("app:1").await, Err(RegistryErrorKind::ManifestTooLarge)));
}

#[tokio::test]
async fn what_is_missing_is_named() {
    let fixture = fixture();
    let nothing = Digest::of(b"nothing");
    assert!(matches!(fixture.manifest("app:2").await, Err(RegistryErrorKind::NoTag)));
    assert!(matches!(fixture.manifest("other:1").await, Err(RegistryErrorKind::NoRepository)));
    let pinned = fixture.manifest(&format!("app@{nothing}")).await;
    assert!(matches!(pinned, Err(RegistryErrorKind::NoManifest(digest)) if digest == nothing));
    let error = anonymous().blob(&fixture.app(), &nothing, 7, 0).await.err().unwrap();
    assert_eq!(error.to_string(), format!("{}: the repository has no blob {nothing}", fixture.app()));
}

#[tokio::test]
async fn a_registry_that_is_not_there_refuses_the_connection() {
    let fixture = fixture();
    let (reference, host) = (fixture.app(), fixture.server.host());
    drop(fixture);
    let error = anonymous().manifest(&reference).await.unwrap_err();
    assert_eq!(error.to_string(), format!("{reference}: {host} refuses the connection"));
}

#[tokio::test]
async fn basic_access_takes_the_login_of_the_docker_configuration() {
    let fixture = fixture();
    fixture.server.require(Access::Basic(LOGIN.into()));
    let (registry, _folder) = logged_in(&fixture);
    assert_eq!(registry.manifest(&fixture.app()).await.unwrap().digest, fixture.image.digest);
    assert_eq!(fixture.read(&registry, 0).await.unwrap(), fixture.content);
    // One challenge for the repository, and none after it.
    let refused = fixture.server.requests().iter().filter(|request| request.status == 401).count();
    assert_eq!(refused, 1, "the first request");
}

#[tokio::test]
async fn bearer_access_is_renewed_when_the_token_ends() {
    for login in [None, Some(LOGIN.to_owned())] {
        let fixture = fixture();
        fixture.server.require(Access::Bearer(login));
        let (registry, _folder) = logged_in(&fixture);
        assert_eq!(registry.manifest(&fixture.app()).await.unwrap().digest, fixture.image.digest);
        fixture.server.revoke_tokens();
        assert_eq!(fixture.read(&registry, 0).await.unwrap(), fixture.content);
        let tokens = fixture.server.requests().iter().filter(|request| request.path.starts_with("/token")).count();
        assert_eq!(tokens, 2);
    }
}

#[tokio::test]
async fn parallel_requests_share_one_token() {
    let fixture = fixture();
    fixture.server.require(Access::Bearer(None));
    let (registry, app) = (anonymous(), fixture.app());
    let (a, b, c) = tokio::join!(registry.manifest(&app), registry.manifest(&app), registry.manifest(&app));
    for manifest in [a, b, c] {
        assert_eq!(manifest.unwrap().digest, fixture.image.digest);
    }
    let tokens = fixture.server.requests().iter().filter(|request| request.path.starts_with("/token")).count();
    assert_eq!(tokens, 1);
}

#[tokio::test]
async fn refused_access_says_whether_there_were_credentials_and_never_which() {
    let fixture = fixture();
    for access in [Access::Basic("b3RoZXI6b3RoZXI=".into()), Access::Bearer(Some("b3RoZXI6b3RoZXI=".into()))] {
        fixture.server.require(access);
        let error = anonymous().manifest(&fixture.app()).await.unwrap_err();
        assert!(error.to_string().contains("refuses access (HTTP 401) without credentials"), "{error}");
        let (registry, _folder) = logged_in(&fixture);
        let error = registry.manifest(&fixture.app()).await.unwrap_err();
        assert!(error.to_string().contains("with the configured credentials"), "{error}");
        let all = format!("{error:?}");
        assert!(!all.contains("s3cret") && !all.contains(LOGIN), "{all}");
    }
}

#[tokio::test]
async fn a_plain_server_on_a_secure_route_is_a_tls_error_or_unreachable() {
    // An address that is no loopback name, so that HTTPS is spoken, and reaches this machine all the same.
    let fixture = fixture();
    let port = fixture.server.host().rsplit_once(':').unwrap().1.to_owned();
    let reference: Reference = format!("0.0.0.0:{port}/app:1").parse().unwrap();
    let error = anonymous().manifest(&reference).await.unwrap_err();
    assert!(matches!(error.kind, RegistryErrorKind::Tls { .. }), "{error:?}");
    let plain = Options { plain_http: vec!["0.0.0.0".into()] };
    let registry = Registry::with_credentials(plain, Credentials::none());
    assert_eq!(registry.manifest(&reference).await.unwrap().digest, fixture.image.digest);
}

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

#[tokio::test]
async fn a_blob_is_sent_once_and_read_back() {
    for access in [Access::Anonymous, Access::Basic(LOGIN.to_owned()), Access::Bearer(Some(LOGIN.to_owned()))] {
        let fixture = fixture();
        fixture.server.require(access);
        let (registry, folder) = logged_in(&fixture);
        let reference = fixture.server.reference("packs/shop:1").unwrap();
        // Longer than one piece, so that it goes in several.
        let content: Vec<u8> = (0..9_u32 << 20).map(|i| (i % 253) as u8).collect();
        let file = folder.path().join("blob");
        std::fs::write(&file, &content).unwrap();
        let (blob, config) = (Descriptor::of("application/x", &content), Descriptor::of("application/y", b"{}"));
        assert!(registry.push_blob(&reference, &blob, &Content::File(file.clone())).await.unwrap());
        assert!(!registry.push_blob(&reference, &blob, &Content::File(file)).await.unwrap(), "it is there");
        assert!(registry.push_blob(&reference, &config, &Content::Bytes("{}".into())).await.unwrap());
        let methods = fixture.server.requests().into_iter().filter(|request| (200..300).contains(&request.status));
        let methods: Vec<String> = methods.map(|request| request.method).collect();
        assert_eq!(methods.iter().filter(|method| *method == "PATCH").count(), 1);
        let raw: bytes::Bytes = serde_json::json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [blob],
        })
        .to_string()
        .into();
        let digest = registry.push_manifest(&reference, &raw, MANIFEST).await.unwrap();
        let fetched = registry.manifest(&reference).await.unwrap();
        assert_eq!((fetched.digest, &fetched.raw), (digest, &raw));
        let mut stream = registry.blob(&reference, &blob.digest, blob.size, 0).await.unwrap();
        let mut back = Vec::new();
        while let Some(chunk) = stream.next().await.unwrap() {
            back.extend_from_slice(&chunk);
        }
        assert_eq!(back, content);
        assert_eq!(registry.tags(&reference).await.unwrap(), ["1"]);
    }
}

#[tokio::test]
async fn a_push_that_may_succeed_is_tried_again_and_others_are_named() {
    let fixture = fixture();
    let reference = fixture.server.reference("packs/shop:1").unwrap();
    let (blob, bytes) = (Descriptor::of("application/x", b"abc"), Content::Bytes("abc".into()));
    let uploads = "packs/shop/blobs/uploads/";
    fixture.server.inject(uploads, Fault::Status(503, None));
    assert!(anonymous().push_blob(&reference, &blob, &bytes).await.unwrap());
    let other = Descriptor::of("application/x", b"xyz");
    for (code, part) in [(405, "does not take what is pushed"), (413, "refuses what was sent (HTTP 413)")] {
        fixture.server.inject(uploads, Fault::Status(code, None));
        let error = anonymous().push_blob(&reference, &other, &Content::Bytes("xyz".into())).await.unwrap_err();
        assert!(error.to_string().contains(part) && error.to_string().contains("packs/shop:1"), "{error}");
    }
    for wrong in ["xy", "xyzz"] {
        let error = anonymous().push_blob(&reference, &other, &Content::Bytes(wrong.into())).await.unwrap_err();
        assert!(matches!(error.kind, RegistryErrorKind::Content(_)), "{error}");
    }
    let error = anonymous().push_blob(&reference, &other, &Content::Bytes("xyy".into())).await.unwrap_err();
    assert!(matches!(error.kind, RegistryErrorKind::NotTaken { code: 400, .. }), "{error}");
    let raw: bytes::Bytes = serde_json::json!({
        "schemaVersion": 2, "mediaType": MANIFEST, "config": other, "layers": [],
    })
    .to_string()
    .into();
    assert!(anonymous().push_manifest(&reference, &raw, MANIFEST).await.is_err(), "its configuration is not there");
    fixture.server.require(Access::Basic(LOGIN.to_owned()));
    let error = anonymous().push_blob(&reference, &blob, &bytes).await.unwrap_err();
    assert!(error.to_string().contains("without credentials"), "{error}");
}

#[tokio::test]
async fn a_repository_that_is_not_there_has_no_tags() {
    let fixture = fixture();
    assert_eq!(anonymous().tags(&fixture.app()).await.unwrap(), ["1"]);
    let error = anonymous().tags(&fixture.server.reference("other:1").unwrap()).await.unwrap_err();
    assert!(matches!(error.kind, RegistryErrorKind::NoRepository), "{error}");
}
