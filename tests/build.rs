//! `carrack build` and `carrack export` against a registry that counts and misbehaves on demand.
#![cfg(feature = "operator")]
#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

#[path = "common/noise.rs"]
mod noise;

mod common;

use std::fs;
use std::path::Path;

use self::noise::noise;
use carrack::bundle::Bundle;
use carrack::oci::{Descriptor, Digest};
use carrack::registry::in_process::{Fault, Image, InProcessRegistry, Layer};
use carrack::trust;
use common::{Ran, Sandbox};

const AMD64: &str = "linux/amd64";

fn layer(seed: u64, size: usize) -> Layer {
    Layer::tar(&[(&format!("layer-{seed}"), 0o644, &noise(seed, size))]).unwrap().zstd().unwrap()
}

fn image(layers: Vec<Layer>) -> Image {
    Image { platform: AMD64.parse().unwrap(), layers, command: vec!["/app".to_owned()] }
}

struct Setup {
    sandbox: Sandbox,
    registry: InProcessRegistry,
    layers: Vec<Layer>,
}

/// Two images that share a layer.
fn setup() -> Setup {
    let (sandbox, registry) = (Sandbox::new(), InProcessRegistry::start().unwrap());
    let layers = vec![layer(1, 3_000_000), layer(2, 200_000), layer(3, 300_000)];
    registry.put_image("app/a", Some("1"), &image(vec![layers[0].clone(), layers[1].clone()]));
    registry.put_image("app/b", Some("1"), &image(vec![layers[0].clone(), layers[2].clone()]));
    let this = Setup { sandbox, registry, layers };
    this.profile(&["app/a:1", "app/b:1"]);
    this
}

impl Setup {
    fn profile(&self, images: &[&str]) {
        let list: Vec<String> = images.iter().map(|image| format!("\"{}/{image}\"", self.registry.host())).collect();
        let text = format!(
            "apiVersion: carrack/v1\nkind: ClusterProfile\nmetadata: {{name: app, version: 1.0.0}}\nspec:\n  packs:\n    \
             - {{name: app, layer: addon, images: [{}]}}\n",
            list.join(", ")
        );
        self.sandbox.write("carrack.yaml", text);
    }

    fn build(&self, more: &[&str]) -> Ran {
        self.sandbox.carrack(&[&["build", ".", "-o", "app.tar.zst"], more].concat())
    }

    fn bundle(&self) -> Bundle {
        Bundle::open(&self.sandbox.work().join("app.tar.zst")).unwrap()
    }

    fn digest(&self) -> Digest {
        Digest::of(&fs::read(self.sandbox.work().join("app.tar.zst")).unwrap())
    }
}

fn succeed(ran: Ran) -> Ran {
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    ran
}

#[test]
fn every_blob_is_fetched_once_however_many_images_share_it() {
    let setup = setup();
    succeed(setup.build(&["--jobs", "8"]));
    for layer in &setup.layers {
        let served = setup.registry.served(&Digest::of(&layer.content));
        assert_eq!((served.gets, served.bytes), (1, layer.content.len() as u64));
    }
    assert!(trust::establish(setup.bundle().file()).unwrap().verify(1, &Default::default()).is_empty());
}

#[test]
fn the_lock_decides_and_not_the_tag() {
    let setup = setup();
    let host = setup.registry.host();
    succeed(setup.sandbox.carrack(&["lock", "."]));
    let moved: Descriptor = setup.registry.put_image("app/a", Some("1"), &image(vec![layer(9, 1000)]));
    succeed(setup.build(&["--locked"]));
    let packed = setup.bundle().contents().images[0].target.digest;
    assert_ne!(packed, moved.digest);
    let check = setup.sandbox.carrack(&["lock", ".", "--check"]);
    assert_eq!(check.code, 10);
    for said in [format!("{host}/app/a:1"), packed.to_string(), moved.digest.to_string()] {
        assert!(check.stderr.contains(&said), "{said} is not in {}", check.stderr);
    }
    assert!(!check.stderr.contains("app/b:1"), "{}", check.stderr);
}

#[test]
fn locked_names_what_is_missing_and_what_is_stale() {
    let setup = setup();
    let ran = setup.build(&["--locked"]);
    assert_eq!(ran.code, 10);
    assert!(ran.stderr.contains(&format!("missing: {}/app/a:1", setup.registry.host())), "{}", ran.stderr);
    succeed(setup.build(&[]));
    succeed(setup.build(&["--locked"]));
    setup.profile(&["app/a:1"]);
    let ran = setup.build(&["--locked"]);
    assert_eq!(ran.code, 10);
    assert!(ran.stderr.contains(&format!("stale: {}/app/b:1", setup.registry.host())), "{}", ran.stderr);
    assert!(ran.stderr.contains("carrack lock"), "a hint: {}", ran.stderr);
}

#[test]
fn a_build_adds_what_the_lock_lacks_and_leaves_the_rest() {
    let setup = setup();
    setup.profile(&["app/a:1"]);
    succeed(setup.build(&[]));
    let before = fs::read_to_string(setup.sandbox.work().join("carrack.lock")).unwrap();
    setup.registry.put_image("app/a", Some("1"), &image(vec![layer(9, 1000)]));
    setup.profile(&["app/a:1", "app/b:1"]);
    succeed(setup.build(&[]));
    let after = fs::read_to_string(setup.sandbox.work().join("carrack.lock")).unwrap();
    assert!(after.starts_with(&before) && after.len() > before.len(), "{after}");
}

#[test]
fn a_failed_build_goes_on_where_it_stopped() {
    let setup = setup();
    succeed(setup.build(&[]));
    let whole = setup.digest();
    let work = setup.sandbox.work();
    fs::remove_file(work.join("app.tar.zst")).unwrap();
    let large = Digest::of(&setup.layers[0].content);
    // The connection breaks after 2.5 MB, and from then on the registry is out of order for longer than anyone retries.
    setup.registry.inject(format!("blobs/{large}"), Fault::DropAfter(2_500_000));
    (0..20).for_each(|_| setup.registry.inject(format!("blobs/{large}"), Fault::Status(404, None)));
    let failed = setup.build(&["--locked"]);
    assert_eq!(failed.code, 20, "{}", failed.stderr);
    assert!(failed.stderr.contains(&large.to_string()), "{}", failed.stderr);
    assert!(!work.join("app.tar.zst").exists() && work.join("app.tar.zst.partial").exists());
    let before = setup.registry.served(&large).bytes;
    // What is left of the faults is used up by asking.
    while setup.build(&["--locked"]).code != 0 {}
    let refetched = setup.registry.served(&large).bytes - before;
    let missing = setup.layers[0].content.len() as u64 - 2_500_000;
    assert!(refetched <= missing + (1 << 20), "{refetched} bytes for {missing} missing");
    assert_eq!(setup.digest(), whole);
    assert!(!work.join("app.tar.zst.partial").exists());
}

#[test]
fn a_damaged_partial_file_is_not_believed() {
    let setup = setup();
    succeed(setup.build(&[]));
    let (path, whole) = (setup.sandbox.work().join("app.tar.zst"), setup.digest());
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path.with_extension("zst.partial"), &bytes).unwrap();
    fs::remove_file(&path).unwrap();
    succeed(setup.build(&["--locked"]));
    assert_eq!(setup.digest(), whole);
}

/// A layer that nobody compressed, which goes to the tail.
fn plain_layer(content: &[u8]) -> Layer {
    Layer::tar(&[("plain", 0o644, content)]).unwrap()
}

#[test]
fn wrong_content_in_the_tail_is_not_kept_for_the_next_build() {
    let setup = setup();
    let plain = plain_layer(&[b'a'; 5_000_000]);
    setup.registry.put_image("app/a", Some("1"), &image(vec![plain.clone()]));
    setup.profile(&["app/a:1"]);
    setup.registry.inject(format!("blobs/{}", Digest::of(&plain.content)), Fault::WrongBytes);
    let failed = setup.build(&[]);
    assert_eq!(failed.code, 20, "{}", failed.stderr);
    succeed(setup.build(&[]));
    trust::establish(&setup.sandbox.work().join("app.tar.zst")).unwrap();
}

#[test]
fn frames_of_the_tail_that_do_not_compress_are_kept() {
    let setup = setup();
    let plain = plain_layer(&noise(9, 9_000_000));
    let digest = Digest::of(&plain.content);
    setup.registry.put_image("app/a", Some("1"), &image(vec![plain]));
    setup.profile(&["app/a:1"]);
    succeed(setup.build(&[]));
    let (path, whole) = (setup.sandbox.work().join("app.tar.zst"), setup.digest());
    fs::rename(&path, path.with_extension("zst.partial")).unwrap();
    let before = setup.registry.served(&digest).bytes;
    succeed(setup.build(&["--locked"]));
    assert_eq!(setup.registry.served(&digest).bytes, before);
    assert_eq!(setup.digest(), whole);
}

#[test]
fn two_builds_of_one_output_do_not_mix() {
    let setup = setup();
    succeed(setup.build(&[]));
    let partial = setup.sandbox.work().join("app.tar.zst.partial");
    let other = fs::File::create(&partial).unwrap();
    rustix::fs::flock(&other, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let ran = setup.build(&[]);
    assert_eq!(ran.code, 25);
    assert!(ran.stderr.contains("another build"), "{}", ran.stderr);
}

#[test]
fn an_export_declares_its_images_absent() {
    let setup = setup();
    succeed(setup.sandbox.carrack(&["export", ".", "-o", "definition.tar.zst"]));
    let bundle = trust::establish(&setup.sandbox.work().join("definition.tar.zst")).unwrap();
    let images = &bundle.contents().images;
    assert_eq!(images.len(), 2);
    assert!(images.iter().all(carrack::bundle::BundledImage::is_absent));
    assert!(setup.layers.iter().all(|layer| setup.registry.served(&Digest::of(&layer.content)).gets == 0));
    let inspected = succeed(setup.sandbox.carrack(&["inspect", "definition.tar.zst"]));
    assert!(inspected.stdout.contains("absent"), "{}", inspected.stdout);
}

/// The runtime pulls the images of a definition, so the host must reach their registry, unless it is another one that is
/// prepared here.
#[test]
fn the_registry_of_a_definition_must_answer() {
    let setup = setup();
    succeed(setup.sandbox.carrack(&["export", ".", "-o", "definition.tar.zst"]));
    let sandbox = &setup.sandbox;
    let host = setup.registry.host();
    let check = format!("registry-{host}");
    let preflight = |more: &[&str]| {
        let installer = std::path::Path::new(env!("CARGO_BIN_EXE_carrack-install"));
        let command = ["preflight", "definition.tar.zst", "--runtime", "none", "--skip", "folders"];
        sandbox.run(installer, &[&command[..], more].concat())
    };
    let line = |mark: &str| format!("{mark}  {check}  needed answers at {host}");
    let answered = preflight(&[]);
    assert_eq!(answered.code, 0, "{}", answered.stderr);
    assert!(answered.stdout.contains(&line("ok  ")), "{}", answered.stdout);
    assert_eq!(answered.stdout.matches("registry-").count(), 1, "{}", answered.stdout);
    assert!(!preflight(&["--root", "."]).stdout.contains("registry-"));
    // What is in the bundle is not pulled.
    succeed(setup.build(&[]));
    let bundle = fs::read(setup.sandbox.work().join("app.tar.zst")).unwrap();
    let definition = setup.sandbox.work().join("definition.tar.zst");
    let exported = fs::read(&definition).unwrap();
    fs::write(&definition, bundle).unwrap();
    assert!(!preflight(&[]).stdout.contains("registry-"));

    fs::write(&definition, exported).unwrap();
    drop(setup.registry);
    let refused = preflight(&[]);
    assert_eq!(refused.code, 40, "{}", refused.stderr);
    assert!(refused.stdout.contains(&line("FAIL")), "{}", refused.stdout);
    assert!(refused.stderr.contains(&format!("leave it out: --skip {check}")), "{}", refused.stderr);
    assert_eq!(preflight(&["--skip", &check]).code, 0);

    // A mirror that the site names will do. That nobody would pull from it without a distribution is another check's affair.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mirror = listener.local_addr().unwrap();
    let site = format!(
        "apiVersion: carrack/v1\nkind: Site\nspec:\n  registries:\n    mirrors:\n      \"{host}\": {{endpoint: \
         [\"http://{mirror}\"]}}\n"
    );
    sandbox.write("site.yaml", site);
    let mirrored = preflight(&["--site", "site.yaml"]);
    let found = format!("ok    {check}  needed answers at {mirror} or {host}  found {mirror} answers");
    assert!(mirrored.stdout.contains(&found), "{}", mirrored.stdout);
}

#[test]
fn a_platform_of_the_profile_can_be_built_alone() {
    let setup = setup();
    let arm = Image { platform: "linux/arm64".parse().unwrap(), ..image(vec![layer(4, 1000)]) };
    let amd = setup.registry.put_image("app/multi", None, &image(vec![layer(5, 1000)]));
    let arm = setup.registry.put_image("app/multi", None, &arm);
    let index = setup.registry.put_index("app/multi", Some("1"), vec![amd.clone(), arm.clone()]);
    setup.profile(&["app/multi:1"]);
    let file = setup.sandbox.work().join("carrack.yaml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("spec:\n", "spec:\n  platforms: [linux/amd64, linux/arm64]\n")).unwrap();
    for (flags, expected) in [
        (vec![], vec![amd.digest, arm.digest]),
        (vec!["--platform", "linux/amd64"], vec![amd.digest]),
        (vec!["--platform", "linux/arm64"], vec![arm.digest]),
    ] {
        succeed(setup.build(&flags));
        let bundle = setup.bundle();
        let image = &bundle.contents().images[0];
        assert_eq!(image.target.digest, index.digest);
        let manifests: Vec<Digest> = image.manifests.iter().map(|manifest| manifest.manifest.digest).collect();
        assert_eq!(manifests, expected, "{flags:?}");
    }
    let ran = setup.build(&["--platform", "linux/s390x"]);
    assert_eq!(ran.code, 10);
    assert!(ran.stderr.contains("linux/s390x"), "{}", ran.stderr);
}

#[test]
fn two_bundles_are_compared() {
    let setup = setup();
    succeed(setup.build(&[]));
    fs::rename(setup.sandbox.work().join("app.tar.zst"), setup.sandbox.work().join("old.tar.zst")).unwrap();
    let same = setup.sandbox.carrack(&["diff", "old.tar.zst", "old.tar.zst"]);
    assert!(same.stdout.is_empty() && same.stderr.contains("the same bundle"), "{same:?}");
    setup.registry.put_image("app/b", Some("1"), &image(vec![setup.layers[0].clone(), layer(7, 1000)]));
    succeed(setup.sandbox.carrack(&["lock", ".", "--update"]));
    setup.registry.put_image("app/c", Some("1"), &image(vec![layer(8, 1000)]));
    setup.profile(&["app/b:1", "app/c:1"]);
    succeed(setup.build(&[]));
    let diff = succeed(setup.sandbox.carrack(&["diff", "old.tar.zst", "app.tar.zst"]));
    let signs: Vec<&str> = diff.stdout.lines().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(signs, ["-", "~", "+"], "{}", diff.stdout);
}

#[test]
fn nothing_but_a_bundle_is_replaced() {
    let setup = setup();
    succeed(setup.sandbox.carrack(&["lock", "."]));
    let work = setup.sandbox.work();
    setup.sandbox.write("notes.txt", "keep me");
    std::os::unix::fs::symlink("notes.txt", work.join("link.tar.zst")).unwrap();
    for output in ["carrack.yaml", "carrack.lock", "notes.txt", "link.tar.zst"] {
        let before = fs::read(work.join(output)).unwrap();
        let ran = setup.sandbox.carrack(&["build", ".", "-o", output]);
        assert_eq!(ran.code, 25, "{output}: {}", ran.stderr);
        assert!(ran.stderr.contains(output), "{}", ran.stderr);
        assert_eq!(fs::read(work.join(output)).unwrap(), before, "{output}");
    }
    std::os::unix::fs::symlink("notes.txt", work.join("app.tar.zst.partial")).unwrap();
    assert_eq!(setup.build(&[]).code, 25);
    assert_eq!(fs::read(work.join("notes.txt")).unwrap(), b"keep me");
}

#[test]
fn one_name_is_listed_once_and_means_one_image() {
    let setup = setup();
    let digest = setup.registry.put_image("app/a", Some("1"), &image(vec![layer(2, 1000)])).digest;
    setup.profile(&["app/a:1", &format!("app/a:1@{digest}"), &format!("app/a@{digest}")]);
    let built = succeed(setup.build(&[]));
    assert!(built.stderr.contains("2 images"), "{}", built.stderr);
    assert_eq!(setup.bundle().contents().images.len(), 2);
    let other = setup.registry.put_image("app/a", None, &image(vec![layer(3, 1000)])).digest;
    setup.profile(&["app/a:1", &format!("app/a:1@{other}")]);
    let refused = setup.build(&[]);
    assert_eq!(refused.code, 10);
    assert!(refused.stderr.contains("app/a:1 would stand for"), "{}", refused.stderr);
}

#[test]
fn data_that_does_not_arrive_is_an_error() {
    let setup = setup();
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let mut images = std::process::Command::new(env!("CARGO_BIN_EXE_carrack"));
    images.args(["images", "."]).current_dir(setup.sandbox.work()).stdout(full);
    let output = images.output().unwrap();
    assert_eq!(output.status.code(), Some(25));
    assert!(String::from_utf8_lossy(&output.stderr).contains("standard output"), "{output:?}");
}

/// A registry with an image for two platforms, and one for each alone.
fn two_platforms() -> (Sandbox, InProcessRegistry) {
    let (sandbox, registry) = (Sandbox::new(), InProcessRegistry::start().unwrap());
    let put = |repository: &str, tag: Option<&str>, platform: &str| {
        let content = layer(repository.len() as u64 + platform.len() as u64, 1000);
        let image = Image { platform: platform.parse().unwrap(), layers: vec![content], command: vec![] };
        registry.put_image(repository, tag, &image)
    };
    registry.put_index("app/both", Some("1"), vec![put("app/both", None, AMD64), put("app/both", None, ARM64)]);
    put("app/one", Some("1"), AMD64);
    put("app/other", Some("1"), ARM64);
    (sandbox, registry)
}

fn write_packs(sandbox: &Sandbox, registry: &InProcessRegistry, packs: &[&str]) {
    let packs: String =
        packs.iter().map(|pack| format!("    - {{{}}}\n", pack.replace("REG", &registry.host()))).collect();
    let head = "apiVersion: carrack/v1\nkind: ClusterProfile\nmetadata: {name: app, version: 1.0.0}\n";
    sandbox.write("carrack.yaml", format!("{head}spec:\n  platforms: [{AMD64}, {ARM64}]\n  packs:\n{packs}"));
}

const ARM64: &str = "linux/arm64";

#[test]
fn an_image_is_carried_for_the_platforms_that_the_profile_says() {
    let (sandbox, registry) = two_platforms();
    let pod =
        "{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {containers: [{name: c, image: \"REG/app/one:1\"}]}}";
    sandbox.write("pod.yaml", pod.replace("REG", &registry.host()));
    let both = ("app/both:1", &[AMD64, ARM64][..]);
    let (one, other) = (("app/one:1", &[AMD64][..]), ("app/other:1", &[ARM64][..]));
    let listed = "images: [\"REG/app/both:1\", {image: \"REG/app/one:1\", platforms: [linux/amd64]}]";
    for (what, packs, want) in [
        ("at the image", vec![format!("name: a, layer: addon, {listed}")], vec![both, one]),
        (
            "at the pack",
            vec![
                "name: a, layer: addon, images: [\"REG/app/both:1\"]".to_owned(),
                "name: b, layer: addon, platforms: [linux/amd64], images: [\"REG/app/one:1\"]".to_owned(),
                "name: c, layer: addon, platforms: [linux/arm64], images: [\"REG/app/other:1\"]".to_owned(),
            ],
            vec![both, one, other],
        ),
        (
            "two packs that are for one each",
            vec![
                "name: b, layer: addon, platforms: [linux/amd64], images: [\"REG/app/both:1\"]".to_owned(),
                "name: c, layer: addon, platforms: [linux/arm64], images: [\"REG/app/both:1\"]".to_owned(),
            ],
            vec![both],
        ),
        (
            "an image that a manifest of another pack names",
            vec![
                "name: a, layer: addon, manifests: [./pod.yaml]".to_owned(),
                format!("name: b, layer: addon, {listed}"),
            ],
            vec![both, one],
        ),
        (
            "one of both for one of them",
            vec!["name: a, layer: addon, images: [{image: \"REG/app/both:1\", platforms: [linux/arm64]}]".to_owned()],
            vec![("app/both:1", &[ARM64][..])],
        ),
    ] {
        let packs: Vec<&str> = packs.iter().map(String::as_str).collect();
        write_packs(&sandbox, &registry, &packs);
        succeed(sandbox.carrack(&["build", ".", "-o", "app.tar.zst"]));
        succeed(sandbox.carrack(&["build", ".", "-o", "app.tar.zst", "--locked"]));
        let bundle = Bundle::open(&sandbox.work().join("app.tar.zst")).unwrap();
        let found: Vec<(String, Vec<String>, bool)> = bundle
            .contents()
            .images
            .iter()
            .map(|image| {
                let manifests = image.manifests.iter().map(|one| one.platform.as_ref().unwrap().to_string()).collect();
                (image.reference.to_string(), manifests, image.platforms.is_empty())
            })
            .collect();
        let want: Vec<(String, Vec<String>, bool)> = want
            .iter()
            .map(|(name, platforms)| {
                let names = platforms.iter().map(|one| (*one).to_owned()).collect();
                (format!("{}/{name}", registry.host()), names, platforms.len() == 2)
            })
            .collect();
        assert_eq!(found, want, "{what}");
        let narrow: Vec<bool> =
            bundle.contents().images.iter().map(|one| one.is_for(&AMD64.parse().unwrap())).collect();
        assert_eq!(narrow, want.iter().map(|(_, names, _)| names[0] == AMD64).collect::<Vec<_>>(), "{what}");
        let needs = bundle.contents().requires_installer.as_ref().unwrap().to_string();
        assert_eq!(needs == "0.4.0", want.iter().any(|(.., all)| !all), "{what}: {needs}");
    }
}

#[test]
fn a_machine_gets_what_is_for_its_platform() {
    let (sandbox, registry) = two_platforms();
    let template = "{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {nodeName: \"{{ .carrack.var.node }}\", \
                    containers: [{name: c, image: \"REG/app/other:1\"}]}}";
    sandbox.write("pod.yaml", template.replace("REG", &registry.host()));
    let made_for = "{image: \"REG/app/other:1\", platforms: [linux/arm64]}";
    let pack = format!("name: a, layer: addon, images: [\"REG/app/both:1\", {made_for}], manifests: [./pod.yaml]");
    write_packs(&sandbox, &registry, &[&pack]);
    let profile = fs::read_to_string(sandbox.work().join("carrack.yaml")).unwrap();
    let variables = "spec:\n  variables: [{name: node, default: n1}]\n";
    sandbox.write("carrack.yaml", profile.replace("spec:\n", variables));
    for only in [&[][..], &["--platform", AMD64][..]] {
        succeed(sandbox.carrack(&[&["build", ".", "-o", "app.tar.zst"][..], only].concat()));
        let root = sandbox.work().join("root");
        fs::create_dir(&root).unwrap();
        let apply = ["apply", "app.tar.zst", "--root", "root", "--runtime", "k3s", "--yes"];
        let ran = succeed(sandbox.run(Path::new(env!("CARGO_BIN_EXE_carrack-install")), &apply));
        assert!(ran.stderr.contains("1 image in "), "{}", ran.stderr);
        let archive = root.join("var/lib/rancher/k3s/agent/images/app-1.0.0.tar.zst");
        let names = sandbox
            .run(Path::new("sh"), &["-c", &format!("zstd -dc {} | tar -xO index.json", archive.display())])
            .stdout;
        assert!(names.contains("app/both:1") && !names.contains("app/other"), "{names}");
        fs::remove_dir_all(&root).unwrap();
    }
}

#[test]
fn what_is_said_of_platforms_is_checked() {
    let (sandbox, registry) = two_platforms();
    for (pack, code, words) in [
        (
            "images: [\"REG/app/one:1\"]",
            10,
            &["is not made for linux/arm64; it is made for linux/amd64", "app/one:1\", platforms: [linux/amd64]}"][..],
        ),
        ("images: [{image: \"REG/app/one:1\", platforms: [linux/s390x]}]", 10, &["not one of `spec.platforms`"]),
        ("images: [{image: \"REG/app/one:1\", platforms: [amd64]}]", 10, &["\"amd64\" is not a platform"]),
        ("images: [{image: \"REG/app/one:1\", platforms: []}]", 10, &["`platforms` is empty"]),
        ("images: [{image: \"REG/app/one:1\", platform: linux/amd64}]", 10, &["did you mean `platforms`"]),
        ("images: [{platforms: [linux/amd64]}]", 10, &["`image`"]),
        ("platforms: [linux/amd64, linux/amd64], images: [\"REG/app/one:1\"]", 10, &["listed twice"]),
        ("images: [{image: \"REG/app/one:1\", platforms: [linux/arm64]}]", 10, &["not made for linux/arm64"]),
    ] {
        write_packs(&sandbox, &registry, &[&format!("name: a, layer: addon, {pack}")]);
        let ran = sandbox.carrack(&["lock", "."]);
        assert_eq!(ran.code, code, "{pack}: {}", ran.stderr);
        assert!(words.iter().all(|word| ran.stderr.contains(word)), "{pack}: {}", ran.stderr);
    }
}
