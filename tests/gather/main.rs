//! Packs, charts and files from elsewhere: brought, kept, locked, and put into bundles.
#![cfg(feature = "operator")]
#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

mod charts;
#[path = "../common/mod.rs"]
mod common;
mod constraints;
mod files;
mod own_folder;
mod packs;
#[path = "../common/web.rs"]
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
