//! Packs, charts and files from elsewhere: brought, kept, locked, and put into bundles.
#![cfg(feature = "operator")]
#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

mod common;
#[path = "common/web.rs"]
mod web;

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use carrack::bundle::Bundle;
use carrack::chart;
use carrack::oci::{Annotations, Descriptor, Digest, ImageManifest, media_type};
use carrack::registry::in_process::{Fault, InProcessRegistry};
use carrack::trust;
use common::{Ran, Sandbox};
use web::Web;

const HELM_CONFIG: &str = "application/vnd.cncf.helm.config.v1+json";
const TITLE: &str = "org.opencontainers.image.title";

struct Setup {
    sandbox: Sandbox,
    registry: InProcessRegistry,
}

fn setup() -> Setup {
    Setup { sandbox: Sandbox::new(), registry: InProcessRegistry::start().unwrap() }
}

fn succeed(ran: Ran) -> Ran {
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    ran
}

fn fail(ran: Ran, code: i32, parts: &[&str]) {
    assert_eq!(ran.code, code, "{}{}", ran.stdout, ran.stderr);
    for part in parts {
        assert!(ran.stderr.contains(part), "{part:?} is not in {}", ran.stderr);
    }
}

fn noise(count: usize) -> Vec<u8> {
    let mut state = 7_u64;
    let step = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    std::iter::repeat_with(step).take(count).collect()
}

impl Setup {
    /// Writes a profile of these packs, a line each.
    fn profile(&self, packs: &[&str]) {
        let packs: String = packs.iter().map(|pack| format!("    - {pack}\n")).collect();
        let packs = packs.replace("HOST", &self.registry.host());
        let text = format!(
            "apiVersion: carrack/v1\nkind: ClusterProfile\nmetadata: {{name: edge, version: 1.0.0}}\nspec:\n  packs:\n{packs}"
        );
        self.sandbox.write("carrack.yaml", text);
    }

    fn carrack(&self, arguments: &[&str]) -> Ran {
        self.sandbox.carrack(arguments)
    }

    fn carrack_with(&self, environment: &[(&str, &str)], arguments: &[&str]) -> Ran {
        let environment: Vec<_> = environment.iter().map(|(name, value)| (*name, OsStr::new(value))).collect();
        self.sandbox.run_with(Path::new(env!("CARGO_BIN_EXE_carrack")), arguments, &environment)
    }

    fn build(&self) -> Ran {
        self.carrack(&["build", ".", "-o", "edge.tar.zst"])
    }

    fn bundle(&self) -> Bundle {
        let bundle = Bundle::open(&self.sandbox.work().join("edge.tar.zst")).unwrap();
        let damage = trust::establish(bundle.file()).unwrap().verify(1, &Default::default());
        assert!(damage.is_empty());
        bundle
    }

    fn lock(&self) -> String {
        fs::read_to_string(self.sandbox.work().join("carrack.lock")).unwrap()
    }

    /// A pack of a manifest, a file and a chart's folder, of this version.
    fn write_pack(&self, folder: &str, version: &str) {
        let write = |name: &str, text: &str| drop(self.sandbox.write(&format!("{folder}/{name}"), text));
        write(
            "pack.yaml",
            &format!(
                "apiVersion: carrack/v1\nkind: Pack\nmetadata: {{name: web, version: \"{version}\"}}\nspec:\n  layer: addon\n  \
                 manifests: [objects/*.yaml]\n  files:\n    - {{source: files/motd, path: /etc/motd}}\n"
            ),
        );
        write("objects/web.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\n");
        write("files/motd", &format!("welcome to {version}\n"));
        write("README.md", "# Web\n");
        write(".env", "PASSWORD=canary\n");
        write("notes.txt", "nobody named this\n");
        write(".carrack/charts/x", "kept\n");
    }

    fn push(&self, folder: &str, target: &str) -> String {
        let target = target.replace("HOST", &self.registry.host());
        succeed(self.carrack(&["pack", "push", folder, &target])).stdout.trim().to_owned()
    }

    /// Puts an artifact of files with these titles in; returns its digest.
    fn artifact(&self, tag: &str, files: &[(&str, &str)]) -> Digest {
        let layer = |(title, text): &(&str, &str)| Descriptor {
            annotations: Annotations::from([(TITLE.to_owned(), (*title).to_owned())]),
            ..self.registry.put_blob("application/octet-stream", text.to_string())
        };
        let manifest = ImageManifest {
            schema_version: 2,
            media_type: Some(media_type::IMAGE_MANIFEST.to_owned()),
            artifact_type: Some(media_type::PACK.to_owned()),
            config: self.registry.put_blob(media_type::EMPTY, "{}"),
            layers: files.iter().map(layer).collect(),
            annotations: Annotations::new(),
        };
        self.put(tag, &manifest)
    }

    fn put(&self, tag: &str, manifest: &ImageManifest) -> Digest {
        let raw = serde_json::to_vec(manifest).unwrap();
        self.registry.put_manifest("packs/web", Some(tag), raw, media_type::IMAGE_MANIFEST).digest
    }

    /// A chart's package of this version; its Deployment runs `image`.
    fn chart(&self, version: &str, image: &str) -> Vec<u8> {
        let folder = format!("chart-{version}-{}", image.len());
        self.sandbox.write(
            &format!("{folder}/Chart.yaml"),
            format!(
                "apiVersion: v2\nname: shop\nversion: {version}\nannotations:\n  artifacthub.io/images: |\n    \
                 - name: shop\n      image: {image}\n"
            ),
        );
        self.sandbox.write(&format!("{folder}/values.yaml"), "a: 1\n");
        chart::package(&self.sandbox.work().join(folder)).unwrap()
    }

    /// Puts a chart into the registry as helm does.
    fn put_chart(&self, tag: &str, package: &[u8]) -> Digest {
        let manifest = ImageManifest {
            schema_version: 2,
            media_type: Some(media_type::IMAGE_MANIFEST.to_owned()),
            artifact_type: None,
            config: self.registry.put_blob(HELM_CONFIG, format!("{{\"name\":\"shop\",\"version\":\"{tag}\"}}")),
            layers: vec![self.registry.put_blob(media_type::HELM_CHART, package.to_vec())],
            annotations: Annotations::new(),
        };
        let raw = serde_json::to_vec(&manifest).unwrap();
        self.registry.put_manifest("charts/shop", Some(tag), raw, media_type::IMAGE_MANIFEST);
        Digest::of(package)
    }

    fn requests(&self) -> usize {
        self.registry.requests().len()
    }

    fn images(&self) -> String {
        succeed(self.carrack(&["images", ".", "--allow-unrendered"])).stdout
    }

    fn kept(&self, kind: &str) -> Vec<PathBuf> {
        let folder = self.sandbox.work().join(".carrack").join(kind);
        let mut found: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        found.sort();
        found
    }
}

mod packs {
    use super::*;

    const PROFILE: &str = "{name: web, source: \"oci://HOST/packs/web:1.0.0\"}";

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
        let pack = |files: &str| {
            let text = format!(
                "apiVersion: carrack/v1\nkind: Pack\nmetadata: {{name: a, version: 1.0.0}}\nspec:\n  layer: addon\n  files: [{files}]\n"
            );
            setup.sandbox.write("bad/pack.yaml", text);
            setup.carrack(&["pack", "push", "bad", &format!("oci://{}/a", setup.registry.host())])
        };
        fail(pack("{source: ../secret, path: /etc/x}"), 10, &["pack.yaml:6:20", "outside"]);
        std::os::unix::fs::symlink("../secret", setup.sandbox.work().join("bad/link")).unwrap();
        fail(pack("{source: link, path: /etc/x}"), 10, &["pack.yaml:6:20", "leads to"]);
        fail(pack("{source: none, path: etc}"), 10, &["2 problems"]);
        let target = |target: &str| setup.carrack(&["pack", "push", "bad", target]);
        fail(target("registry.example.org/a"), 2, &["oci://HOST/REPOSITORY"]);
        fail(setup.carrack(&["pack", "push", "none", "oci://registry.example.org/a"]), 25, &["none/pack.yaml"]);
        assert_eq!(setup.requests(), 0);
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
        fail(
            setup.carrack(&["lock", ".", "--check"]),
            10,
            &[&format!("moved: {reference} sha256:"), "--update oci://"],
        );
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
            &[&format!("missing: oci://{}/packs/web:1.0.0", setup.registry.host()), "carrack lock PROFILE"],
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
}

mod files {
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
        let build =
            |environment: &[(&str, &str)]| setup.carrack_with(environment, &["build", ".", "-o", "edge.tar.zst"]);
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
}

mod charts {
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
}

mod constraints {
    use super::*;

    impl Setup {
        fn bundle_of(&self, name: &str, pack: &str) {
            self.profile(&[&format!("{{name: web, layer: addon, imageLists: [none.txt], {pack}}}")]);
            self.sandbox.write("none.txt", "# none\n");
            succeed(self.carrack(&["build", ".", "-o", name]));
        }

        fn install(&self, arguments: &[&str]) -> Ran {
            self.sandbox.run(Path::new(env!("CARGO_BIN_EXE_carrack-install")), arguments)
        }
    }

    #[test]
    fn a_host_that_is_too_old_is_not_upgraded() {
        let setup = setup();
        setup.bundle_of("old", "version: 1.2.0");
        setup.bundle_of("between", "version: 1.3.0");
        setup.bundle_of("new", "version: 1.4.0, upgradeFrom: \"~1.3\"");
        fs::create_dir(setup.sandbox.work().join("host")).unwrap();
        let apply = |bundle: &str| setup.install(&["apply", bundle, "--root", "host", "--yes"]);
        succeed(apply("old"));
        fail(apply("new"), 40, &["upgrade of web: needed ~1.3 or nothing, found 1.2.0", "in between first"]);
        succeed(apply("between"));
        succeed(apply("new"));
        succeed(apply("new"));
        fs::create_dir(setup.sandbox.work().join("empty")).unwrap();
        succeed(setup.install(&["apply", "new", "--root", "empty", "--yes"]));
    }

    #[test]
    fn what_packs_require_is_added_up_and_compared() {
        let setup = setup();
        let half = "requirements: {cpu: 60000, memory: 60TiB, disk: 6000TiB}";
        setup.profile(&[
            &format!("{{name: a, layer: addon, imageLists: [none.txt], {half}}}"),
            &format!("{{name: b, layer: addon, imageLists: [none.txt], {half}}}"),
        ]);
        setup.sandbox.write("none.txt", "# none\n");
        succeed(setup.build());
        let ran = setup.install(&["preflight", "edge.tar.zst"]);
        for needed in ["FAIL  processors", "needed 120000 ", "FAIL  memory", "needed 120.00 TiB", "FAIL  disk"] {
            assert!(ran.stdout.contains(needed), "{}", ran.stdout);
        }
        assert_eq!(ran.code, 40);
        fs::create_dir(setup.sandbox.work().join("host")).unwrap();
        // It will run on another machine.
        succeed(setup.install(&["preflight", "edge.tar.zst", "--root", "host"]));
    }
}
