//! Packs, charts and files from elsewhere: brought, kept, locked, and put into bundles.
#![cfg(feature = "operator")]
#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

mod common;
#[path = "common/web.rs"]
mod web;

use std::fs;
use std::path::PathBuf;

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
