//! Resolving and checking locks against a registry in this process.
#![cfg(feature = "operator")]
#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use carrack::lock::{self, Change, Check, Entry, Lock, Moved, Needed, ResolveError, Resolved, Update};
use carrack::oci::{Annotations, Descriptor, Digest, ImageManifest, Platform, Reference, media_type};
use carrack::registry::in_process::{Fault, Image, InProcessRegistry, Layer};
use carrack::registry::{Credentials, Options, Registry, RegistryErrorKind};

const JOBS: NonZeroUsize = NonZeroUsize::new(4).unwrap();

struct Fixture {
    server: InProcessRegistry,
    platforms: Vec<Platform>,
}

impl Fixture {
    fn new(platforms: &[&str]) -> Self {
        let platforms = platforms.iter().map(|platform| platform.parse().unwrap()).collect();
        Self { server: InProcessRegistry::start().unwrap(), platforms }
    }

    fn image(&self, name: &str, platform: &str) -> Descriptor {
        let (repository, tag) = name.split_once(':').unwrap();
        let layer = Layer::tar(&[("name", 0o644, format!("{name} {platform}").as_bytes())]).unwrap();
        let image = Image { platform: platform.parse().unwrap(), layers: vec![layer], command: vec![] };
        self.server.put_image(repository, (!tag.is_empty()).then_some(tag), &image)
    }

    /// An index of amd64, 386, arm64/v8 and an attestation.
    fn index(&self, name: &str) -> (Descriptor, Vec<Descriptor>) {
        let (repository, tag) = name.split_once(':').unwrap();
        let untagged = format!("{repository}:");
        let mut images: Vec<_> = ["linux/amd64", "linux/386", "linux/arm64/v8"]
            .iter()
            .map(|platform| self.image(&untagged, platform))
            .collect();
        images.push(self.server.put_attestation(repository, &images[0]));
        (self.server.put_index(repository, Some(tag), images.clone()), images)
    }

    fn references(&self, names: &[&str]) -> Vec<Reference> {
        names.iter().map(|name| self.server.reference(name).unwrap()).collect()
    }

    fn needed(&self, names: &[&str]) -> Needed {
        let images = self.references(names).into_iter().map(|reference| (reference, self.platforms.clone())).collect();
        Needed { images, ..Needed::default() }
    }

    async fn resolve(&self, names: &[&str], existing: &Lock, update: Update) -> Result<Resolved, Vec<ResolveError>> {
        lock::resolve(&registry(), &self.needed(names).images, existing, &update, JOBS).await
    }

    async fn lock(&self, names: &[&str]) -> Lock {
        self.resolve(names, &Lock::default(), Update::Nothing).await.unwrap().lock
    }

    async fn failures(&self, names: &[&str]) -> Vec<ResolveError> {
        self.resolve(names, &Lock::default(), Update::Nothing).await.unwrap_err()
    }

    async fn check(&self, names: &[&str], lock: &Lock) -> Check {
        lock::check(&registry(), &self.needed(names), lock, JOBS).await.unwrap()
    }
}

fn registry() -> Registry {
    Registry::with_credentials(Options::default(), Credentials::none()).with_first_pause(Duration::from_millis(1))
}

#[tokio::test]
async fn an_index_keeps_its_digest_and_the_wanted_manifests() {
    let fixture = Fixture::new(&["linux/amd64", "linux/arm64"]);
    let (index, images) = fixture.index("app:1");
    let lock = fixture.lock(&["app:1"]).await;
    let locked = lock.images.values().next().unwrap();
    assert_eq!((locked.digest, locked.size, &locked.media_type), (index.digest, index.size, &index.media_type));
    let digests: Vec<_> = locked.platforms.iter().map(|manifest| manifest.digest).collect();
    assert_eq!(digests, [images[0].digest, images[2].digest]);
    assert_eq!(Lock::parse(Path::new(lock::FILE_NAME), lock.to_text()).unwrap(), lock);
}

#[tokio::test]
async fn an_image_without_index_says_its_platform_itself() {
    let fixture = Fixture::new(&["linux/arm64"]);
    let image = fixture.image("app:1", "linux/arm64");
    let locked = fixture.lock(&["app:1"]).await.images.into_values().next().unwrap();
    assert_eq!(locked.platforms.len(), 1);
    assert_eq!((locked.digest, locked.platforms[0].digest), (image.digest, image.digest));
    assert_eq!(locked.platforms[0].platform, Some(Platform::new("linux", "arm64")));
}

#[tokio::test]
async fn an_index_without_platforms_is_resolved_through_the_configurations() {
    let fixture = Fixture::new(&["linux/arm64"]);
    let entries = ["linux/amd64", "linux/arm64"].map(|p| Descriptor { platform: None, ..fixture.image("app:", p) });
    fixture.server.put_index("app", Some("1"), entries.to_vec());
    let locked = fixture.lock(&["app:1"]).await.images.into_values().next().unwrap();
    assert_eq!(locked.platforms.iter().map(|manifest| manifest.digest).collect::<Vec<_>>(), [entries[1].digest]);
}

#[tokio::test]
async fn an_artifact_serves_every_platform() {
    let fixture = Fixture::new(&["linux/amd64"]);
    let manifest = ImageManifest {
        schema_version: 2,
        media_type: Some(media_type::IMAGE_MANIFEST.into()),
        artifact_type: Some("application/vnd.example".into()),
        config: fixture.server.put_blob("application/vnd.oci.empty.v1+json", "{}"),
        layers: vec![],
        annotations: Annotations::new(),
    };
    let raw = serde_json::to_vec(&manifest).unwrap();
    fixture.server.put_manifest("app", Some("1"), raw, media_type::IMAGE_MANIFEST);
    let locked = fixture.lock(&["app:1"]).await.images.into_values().next().unwrap();
    assert_eq!(locked.platforms[0].platform, None);
}

#[tokio::test]
async fn a_missing_platform_is_named_with_those_there_are() {
    let fixture = Fixture::new(&["linux/amd64", "linux/s390x"]);
    fixture.index("app:1");
    fixture.image("single:1", "linux/arm/v7");
    let errors = fixture.failures(&["app:1", "single:1"]).await;
    let host = fixture.server.host();
    assert_eq!(
        errors.iter().map(ToString::to_string).collect::<Vec<_>>(),
        [
            format!("{host}/app:1 is not made for linux/s390x; it is made for linux/386, linux/amd64, linux/arm64/v8"),
            format!("{host}/single:1 is not made for linux/amd64, linux/s390x; it is made for linux/arm/v7"),
        ]
    );
}

#[tokio::test]
async fn all_failures_are_reported_at_once() {
    let fixture = Fixture::new(&["linux/amd64"]);
    fixture.image("good:1", "linux/amd64");
    fixture.server.put_manifest("odd", Some("1"), "<html>", "text/html");
    let image = fixture.image("lying:", "linux/amd64");
    let lying = Descriptor { media_type: media_type::IMAGE_INDEX.to_owned(), ..image.clone() };
    fixture.server.put_index("lying", Some("1"), vec![lying]);
    let config = fixture.server.put_blob(media_type::IMAGE_CONFIG, "not JSON");
    let manifest = serde_json::json!({ "schemaVersion": 2, "config": config, "layers": [] }).to_string();
    fixture.server.put_manifest("config", Some("1"), manifest, media_type::IMAGE_MANIFEST);
    let errors = fixture.failures(&["good:1", "good:2", "none:1", "odd:1", "lying:1", "config:1"]).await;
    assert!(
        matches!(
            errors.as_slice(),
            [
                ResolveError::Config { .. },
                ResolveError::Registry(tag),
                ResolveError::OtherKind { digest, .. },
                ResolveError::Registry(repository),
                ResolveError::Manifest { .. },
            ] if matches!(tag.kind, RegistryErrorKind::NoTag)
                && matches!(repository.kind, RegistryErrorKind::NoRepository)
                && *digest == image.digest
        ),
        "{errors:#?}"
    );
}

#[tokio::test]
async fn what_is_no_image_is_told_by_what_it_is() {
    let fixture = Fixture::new(&["linux/amd64"]);
    let put = |name: &str, config: &'static str, layer: &str| {
        let config = fixture.server.put_blob(media_type::IMAGE_CONFIG, config);
        let layer = fixture.server.put_blob(layer, "content");
        let manifest = serde_json::json!({ "schemaVersion": 2, "config": config, "layers": [layer] }).to_string();
        fixture.server.put_manifest(name, Some("1"), manifest, media_type::IMAGE_MANIFEST);
    };
    let (empty, tar) =
        (r#"{"architecture": "", "os": "", "rootfs": {}}"#, "application/vnd.oci.image.layer.v1.tar+gzip");
    put("att", empty, "application/vnd.dsse.envelope.v1+json");
    put("intoto", empty, "application/vnd.in-toto+json");
    put("noarch", r#"{"os": "linux", "rootfs": {}}"#, tar);
    put("nolayer", r#"{"rootfs": {}}"#, "application/vnd.docker.image.rootfs.diff.tar.gzip");
    put("noos", r#"{"architecture": "amd64", "rootfs": {}}"#, tar);
    put("nothing", empty, tar);
    put("sbom", empty, "application/vnd.cyclonedx+json");
    put("sig", empty, "application/vnd.dev.cosign.simplesigning.v1+json");
    put("spdx", empty, "text/spdx+json");
    put("syft", empty, "application/vnd.syft+json");
    put("xml", empty, "application/vnd.cyclonedx+xml");
    let names = ["att", "intoto", "noarch", "nolayer", "noos", "nothing", "sbom", "sig", "spdx", "syft", "xml"];
    let names = names.map(|name| format!("{name}:1"));
    let errors = fixture.failures(&names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(texts.len(), names.len(), "{texts:#?}");
    for (text, said) in texts.iter().zip([
        "att:1 is no image: it is an attestation (application/vnd.dsse.envelope.v1+json)",
        "intoto:1 is no image: it is an attestation (application/vnd.in-toto+json)",
        "it names no `architecture`, and no runtime takes it",
        "it names no `os`, and no runtime takes it",
        "it names no `os`, and no runtime takes it",
        "it names no `os`, and no runtime takes it",
        "sbom:1 is no image: it is an SBOM (application/vnd.cyclonedx+json)",
        "sig:1 is no image: it is a signature (application/vnd.dev.cosign.simplesigning.v1+json)",
        "spdx:1 is no image: it is an SBOM (text/spdx+json)",
        "syft:1 is no image: it is an SBOM (application/vnd.syft+json)",
        "xml:1 is no image: it is an SBOM (application/vnd.cyclonedx+xml)",
    ]) {
        assert!(text.ends_with(said), "{text}");
    }
}

#[tokio::test]
async fn an_index_beside_a_manifest_is_left_out_where_the_manifest_will_do() {
    let fixture = Fixture::new(&["linux/amd64"]);
    let inner = fixture.server.put_index("beside", None, vec![fixture.image("beside:", "linux/arm64")]);
    let inner = Descriptor { platform: None, ..inner };
    let image = fixture.image("beside:", "linux/amd64");
    let image = Descriptor { platform: Some(Platform::new("linux", "amd64")), ..image };
    fixture.server.put_index("beside", Some("1"), vec![inner.clone(), image.clone()]);
    let lock = fixture.lock(&["beside:1"]).await;
    let locked = lock.images.values().next().unwrap();
    assert_eq!(locked.platforms.iter().map(|one| one.digest).collect::<Vec<_>>(), [image.digest]);
}

/// What is found below the index `name`: platform, the indexes between, and whether they are the given ones.
async fn below(fixture: &Fixture, name: &str) -> Vec<(String, Vec<Digest>)> {
    let lock = fixture.lock(&[name]).await;
    let text = lock.to_text();
    assert_eq!(Lock::parse(Path::new("carrack.lock"), text.clone()).unwrap(), lock, "{text}");
    let found = lock.images.values().flat_map(|image| &image.platforms);
    found.map(|one| (one.platform.as_ref().unwrap().to_string(), one.indexes.clone())).collect()
}

#[tokio::test]
async fn an_index_within_an_index_is_followed_as_runtimes_do() {
    let fixture = Fixture::new(&["linux/amd64", "linux/arm64"]);
    let server = &fixture.server;
    let platform = |text: &str| Some(text.parse::<Platform>().unwrap());
    let bare = |of: Descriptor| Descriptor { platform: None, ..of };
    let made = |text: &str| Descriptor { platform: platform(text), ..fixture.image("n:", text) };
    let (amd64, arm64) = (made("linux/amd64"), made("linux/arm64"));
    let attestation = server.put_attestation("n", &amd64);
    let both = bare(server.put_index("n", None, vec![amd64.clone(), attestation, arm64.clone()]));
    let found = |path: &[&Descriptor]| {
        let path: Vec<Digest> = path.iter().map(|index| index.digest).collect();
        vec![("linux/amd64".to_owned(), path.clone()), ("linux/arm64".to_owned(), path)]
    };

    server.put_index("n", Some("1"), vec![both.clone()]);
    assert_eq!(below(&fixture, "n:1").await, found(&[&both]));

    // One within the other, and the innermost leaves the platforms to the configurations.
    let silent = bare(server.put_index("n", None, vec![bare(amd64.clone()), bare(arm64.clone())]));
    let middle = bare(server.put_index("n", None, vec![silent.clone()]));
    server.put_index("n", Some("2"), vec![middle.clone()]);
    assert_eq!(below(&fixture, "n:2").await, found(&[&middle, &silent]));

    // A branch for each platform, of which only the matching one is taken.
    let branch = |text: &str| Descriptor { platform: platform(text), ..both.clone() };
    let other = bare(server.put_index("n", None, vec![arm64.clone()]));
    let arm_branch = Descriptor { platform: platform("linux/arm64"), ..other.clone() };
    server.put_index("n", Some("3"), vec![branch("linux/amd64"), arm_branch.clone()]);
    assert_eq!(
        below(&fixture, "n:3").await,
        [("linux/amd64".to_owned(), vec![both.digest]), ("linux/arm64".to_owned(), vec![other.digest])]
    );

    // What names its platform comes before an index that does not, which is asked for the rest alone.
    server.put_index("n", Some("4"), vec![both.clone(), amd64.clone()]);
    assert_eq!(
        below(&fixture, "n:4").await,
        [("linux/amd64".to_owned(), vec![]), ("linux/arm64".to_owned(), vec![both.digest])]
    );

    // The branch's platform counts, whatever is in it.
    server.put_index("n", Some("5"), vec![branch("linux/amd64")]);
    let errors = fixture.failures(&["n:5"]).await;
    let text = errors[0].to_string();
    assert!(text.ends_with("n:5 is not made for linux/arm64; it is made for linux/amd64"), "{text}");

    // A list of Docker's within an index.
    let entries = serde_json::json!([amd64, arm64]);
    let raw = serde_json::json!({
        "schemaVersion": 2, "mediaType": media_type::DOCKER_MANIFEST_LIST, "manifests": entries,
    });
    let list = server.put_manifest("n", None, raw.to_string(), media_type::DOCKER_MANIFEST_LIST);
    server.put_index("n", Some("6"), vec![list.clone()]);
    assert_eq!(below(&fixture, "n:6").await, found(&[&list]));

    // An index that leads nowhere is passed by.
    let empty = bare(server.put_index("n", None, vec![]));
    server.put_index("n", Some("7"), vec![empty, both.clone()]);
    assert_eq!(below(&fixture, "n:7").await, found(&[&both]));
}

#[tokio::test]
async fn indexes_within_indexes_end_somewhere() {
    let fixture = Fixture::new(&["linux/amd64"]);
    let server = &fixture.server;
    let bare = |of: Descriptor| Descriptor { platform: None, ..of };
    let mut inner = fixture.image("deep:", "linux/amd64");
    for depth in 0..6 {
        let tag = depth.to_string();
        inner = bare(server.put_index("deep", Some(&tag), vec![inner]));
    }
    assert_eq!(below(&fixture, "deep:4").await[0].1.len(), 4);
    let many: Vec<_> = (0..40)
        .map(|number| {
            let image = fixture.image("deep:", "linux/s390x");
            let named = Descriptor { annotations: [("n".to_owned(), number.to_string())].into(), ..image };
            bare(server.put_index("deep", None, vec![named]))
        })
        .collect();
    server.put_index("deep", Some("wide"), many);
    for name in ["deep:5", "deep:wide"] {
        let errors = fixture.failures(&[name]).await;
        assert!(matches!(&errors[..], [ResolveError::NestedIndexes { .. }]), "{errors:?}");
    }
}

#[tokio::test]
async fn wrong_bytes_of_a_configuration_are_an_error() {
    let fixture = Fixture::new(&["linux/amd64"]);
    let image = fixture.image("app:1", "linux/amd64");
    let manifest = registry().manifest(&fixture.references(&["app:1"])[0]).await.unwrap().parse().unwrap();
    fixture.server.inject(format!("blobs/{}", manifest.children()[0].digest), Fault::WrongBytes);
    let errors = fixture.failures(&["app:1"]).await;
    assert!(
        matches!(&errors[..], [ResolveError::Registry(e)] if matches!(e.kind, RegistryErrorKind::WrongDigest { .. })),
        "{image:?} {errors:?}"
    );
}

#[tokio::test]
async fn a_moved_tag_stays_locked_until_it_is_updated() {
    let fixture = Fixture::new(&["linux/amd64"]);
    let from = fixture.image("app:1", "linux/amd64").digest;
    fixture.image("other:1", "linux/amd64");
    let names = ["app:1", "other:1"];
    let lock = fixture.lock(&names).await;
    let layer = Layer::tar(&[("new", 0o644, b"new")]).unwrap();
    let image = Image { platform: Platform::new("linux", "amd64"), layers: vec![layer], command: vec![] };
    let to = fixture.server.put_image("app", Some("1"), &image).digest;

    let kept = fixture.resolve(&names, &lock, Update::Nothing).await.unwrap();
    assert_eq!((&kept.lock, kept.changes), (&lock, vec![]));
    let [app, other] = fixture.references(&names).try_into().unwrap();
    let moved = Moved { entry: app.clone().into(), from, to, versions: None };
    let check = fixture.check(&names, &lock).await;
    assert_eq!((check.moved, check.differences.is_empty()), (vec![moved.clone()], true));

    let others = Update::These(BTreeSet::from([other.to_string()]));
    assert_eq!(fixture.resolve(&names, &lock, others).await.unwrap().changes, []);
    let these = Update::These(BTreeSet::from([app.to_string()]));
    for update in [these, Update::All] {
        let updated = fixture.resolve(&names, &lock, update).await.unwrap();
        assert_eq!(updated.changes, [Change::Moved(moved.clone())]);
        assert_eq!(updated.lock.images[&app].digest, to);
    }
}

#[tokio::test]
async fn only_what_is_missing_is_asked_for_and_what_is_stale_is_dropped() {
    let fixture = Fixture::new(&["linux/amd64"]);
    for name in ["a:1", "b:1", "c:1"] {
        fixture.image(name, "linux/amd64");
    }
    let lock = fixture.lock(&["a:1", "b:1"]).await;
    let asked = fixture.server.requests().len();
    let check = fixture.check(&["b:1", "c:1"], &lock).await;
    let [a, c] = fixture.references(&["a:1", "c:1"]).try_into().unwrap();
    assert_eq!(
        (check.differences.missing, check.differences.stale),
        (vec![Entry::Image(c.clone())], vec![Entry::Image(a.clone())])
    );
    assert_eq!(fixture.server.requests().len(), asked + 1, "only b:1 is asked for");

    let resolved = fixture.resolve(&["b:1", "c:1"], &lock, Update::Nothing).await.unwrap();
    let digest = resolved.lock.images[&c].digest;
    assert_eq!(resolved.changes, [Change::Dropped(a.into()), Change::Added(c.into(), digest)]);
    assert!(!fixture.server.requests()[asked + 1..].iter().any(|request| request.path.contains("/b/")));
}

#[tokio::test]
async fn another_platform_is_added_at_the_locked_digest() {
    let mut fixture = Fixture::new(&["linux/amd64"]);
    let (index, images) = fixture.index("app:1");
    let lock = fixture.lock(&["app:1"]).await;
    fixture.image("app:1", "linux/arm64");
    fixture.platforms.push(Platform::new("linux", "arm64"));
    assert_eq!(
        fixture.check(&["app:1"], &lock).await.differences.missing,
        fixture.references(&["app:1"]).into_iter().map(Entry::from).collect::<Vec<_>>()
    );
    let wider = fixture.resolve(&["app:1"], &lock, Update::Nothing).await.unwrap();
    let reference = fixture.references(&["app:1"]).remove(0);
    assert_eq!(wider.changes, [Change::Facts(reference.clone().into())]);
    let locked = &wider.lock.images[&reference];
    assert_eq!((locked.digest, locked.platforms.len()), (index.digest, 2));
    assert_eq!(locked.platforms[1].digest, images[2].digest);

    fixture.platforms.pop();
    assert_eq!(fixture.resolve(&["app:1"], &wider.lock, Update::Nothing).await.unwrap().lock, lock);
}

#[tokio::test]
async fn a_digest_cannot_move_and_is_not_asked_for() {
    let fixture = Fixture::new(&["linux/amd64"]);
    let image = fixture.image("app:1", "linux/amd64");
    let name = format!("app:1@{}", image.digest);
    let lock = fixture.lock(&[&name]).await;
    let asked = fixture.server.requests().len();
    assert_eq!(fixture.check(&[&name], &lock).await, Check::default());
    assert_eq!(fixture.server.requests().len(), asked);
}

/// Runs `carrack` in `folder` and returns its exit code and all that it printed.
fn carrack(folder: &Path, arguments: &[&str]) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_carrack"))
        .args(arguments)
        .current_dir(folder)
        .env("DOCKER_CONFIG", folder)
        .output()
        .unwrap();
    let printed = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(printed).unwrap())
}

fn write_profile(folder: &Path, images: &[Reference]) {
    let images: Vec<_> = images.iter().map(ToString::to_string).collect();
    let profile = serde_json::json!({
        "apiVersion": "carrack/v1",
        "kind": "ClusterProfile",
        "metadata": { "name": "edge", "version": "1.0.0" },
        "spec": { "packs": [{ "name": "shop", "layer": "addon", "images": images }] },
    });
    std::fs::write(folder.join("carrack.yaml"), profile.to_string()).unwrap();
}

#[test]
fn the_command_writes_checks_and_updates() {
    let fixture = Fixture::new(&[]);
    let old = fixture.image("app:1", "linux/amd64").digest;
    fixture.index("shop:1");
    let references = fixture.references(&["app:1", "shop:1"]);
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_profile(folder, &references);
    let app = references[0].to_string();

    let (code, printed) = carrack(folder, &["lock", "carrack.yaml", "--check"]);
    assert_eq!((code, printed.contains(&format!("missing: {app}"))), (10, true), "{printed}");
    let (code, printed) = carrack(folder, &["lock", "carrack.yaml"]);
    assert_eq!((code, printed.contains("carrack.lock: 2 images locked, 2 entries changed")), (0, true), "{printed}");
    let before = std::fs::read(folder.join("carrack.lock")).unwrap();
    assert_eq!(carrack(folder, &["lock", "carrack.yaml", "--check"]).0, 0);

    let new = fixture.image("app:1", "linux/amd64/v1").digest;
    let (code, printed) = carrack(folder, &["lock", "carrack.yaml", "--check"]);
    let moved = format!("moved: {app} {old} → {new}");
    assert_eq!((code, printed.contains(&moved)), (10, true), "{printed}");
    assert_eq!(carrack(folder, &["lock", "carrack.yaml"]).0, 0);
    assert_eq!(std::fs::read(folder.join("carrack.lock")).unwrap(), before);
    let (code, printed) = carrack(folder, &["--json", "lock", "carrack.yaml", "--update", &app]);
    let report: serde_json::Value = serde_json::from_str(&printed).unwrap();
    assert_eq!((code, &report["moved"][0]["to"]), (0, &serde_json::json!(new)), "{printed}");

    let (code, printed) = carrack(folder, &["lock", "carrack.yaml", "--update", "stranger:1"]);
    assert_eq!((code, printed.contains("does not need docker.io/library/stranger:1")), (2, true), "{printed}");
}

#[test]
fn the_command_names_what_it_cannot_resolve() {
    let fixture = Fixture::new(&[]);
    fixture.image("arm:1", "linux/arm64");
    let references = fixture.references(&["arm:1", "arm:2", "none:1"]);
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_profile(folder, &references);
    let (code, printed) = carrack(folder, &["lock", "carrack.yaml"]);
    assert_eq!(code, 20, "{printed}");
    for part in [
        "3 images cannot be resolved".to_owned(),
        format!("{} is not made for linux/amd64; it is made for linux/arm64", references[0]),
        format!("{}: the repository has no such tag", references[1]),
        format!("{}: the registry has no repository of this name", references[2]),
        "carrack images carrack.yaml --why".to_owned(),
    ] {
        assert!(printed.contains(&part), "{part}: {printed}");
    }
    assert!(!folder.join("carrack.lock").exists());

    write_profile(folder, &references[..1]);
    assert_eq!(carrack(folder, &["lock", "carrack.yaml"]).0, 10);
    std::fs::write(folder.join("carrack.lock"), "kind: [").unwrap();
    let (code, printed) = carrack(folder, &["lock", "carrack.yaml"]);
    assert_eq!((code, printed.contains("carrack.lock:1:")), (10, true), "{printed}");
    std::fs::remove_file(folder.join("carrack.lock")).unwrap();
    write_profile(folder, &references[1..2]);
    drop(fixture);
    let (code, printed) = carrack(folder, &["lock", "carrack.yaml"]);
    assert_eq!((code, printed.contains("refuses the connection")), (20, true), "{printed}");
}
