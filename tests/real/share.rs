//! Packs and charts in a real registry: what Carrack pushes is read by others, and what helm pushes is read by Carrack.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use carrack::oci::{Digest, ImageManifest, media_type};

use super::helm::helms;
use super::parts::{RealRegistry, available, output};
use super::project::succeed;

fn carrack(folder: &Path, helm: Option<&Path>, arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_carrack"));
    command.args(arguments).current_dir(folder);
    succeed(command.envs(helm.map(|helm| ("CARRACK_HELM", helm))))
}

fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, text).unwrap();
    path
}

fn profile(folder: &Path, pack: &str) {
    let head =
        "apiVersion: carrack/v1\nkind: ClusterProfile\nmetadata: {name: edge, version: 1.0.0}\nspec:\n  packs:\n";
    write(folder, "edge/carrack.yaml", &format!("{head}    - {pack}\n"));
}

#[test]
fn a_pushed_pack_is_an_artifact_like_any_other() {
    if !available("a_pushed_pack_is_an_artifact_like_any_other", &["docker-registry", "skopeo"]) {
        return;
    }
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    let registry = RealRegistry::start(folder);
    let host = &registry.host;
    write(
        folder,
        "web/pack.yaml",
        "apiVersion: carrack/v1\nkind: Pack\nmetadata: {name: web, version: 1.0.0}\nspec: {layer: addon, imageLists: [lists/images.txt]}\n",
    );
    write(folder, "web/lists/images.txt", "r.example.org/web:1\n");
    let pushed = carrack(folder, None, &["pack", "push", "web", &format!("oci://{host}/packs/web")]);
    let digest: Digest = pushed.trim().rsplit_once('@').unwrap().1.parse().unwrap();

    let copy = |from: &str, to: &str| {
        let flags = ["copy", "--preserve-digests", "--src-tls-verify=false", "--dest-tls-verify=false"];
        output("skopeo", flags.into_iter().chain([from, to]));
    };
    let copied = format!("dir:{}", folder.join("copied").display());
    copy(&format!("docker://{host}/packs/web:1.0.0"), &copied);
    let raw = fs::read(folder.join("copied/manifest.json")).unwrap();
    assert_eq!(Digest::of(&raw), digest);
    let manifest: ImageManifest = serde_json::from_slice(&raw).unwrap();
    assert_eq!(manifest.artifact_type.as_deref(), Some(media_type::PACK));
    for layer in &manifest.layers {
        let title = layer.annotation("org.opencontainers.image.title").unwrap();
        let content = fs::read(folder.join("copied").join(layer.digest.hex())).unwrap();
        assert_eq!(content, fs::read(folder.join("web").join(title)).unwrap(), "{title}");
    }

    // Somebody mirrors it.
    copy(&copied, &format!("docker://{host}/mirror/web:latest"));
    profile(folder, &format!("{{name: web, source: \"oci://{host}/mirror/web\"}}"));
    assert_eq!(carrack(folder, None, &["images", "edge"]), "r.example.org/web:1\n");
    assert!(folder.join(format!("edge/.carrack/packs/sha256-{}/pack.yaml", digest.hex())).is_file());
}

#[test]
fn a_chart_that_helm_pushed_is_pulled() {
    if !available("a_chart_that_helm_pushed_is_pulled", &["docker-registry"]) {
        return;
    }
    for helm in helms("a_chart_that_helm_pushed_is_pulled") {
        let temporary = tempfile::tempdir().unwrap();
        let folder = temporary.path();
        let registry = RealRegistry::start(folder);
        let host = &registry.host;
        let run = |arguments: &[&str]| succeed(Command::new(&helm).args(arguments).current_dir(folder));
        for (version, image) in [("1.2.0", "a:1"), ("1.3.0+build.5", "b:2"), ("2.0.0", "c:3")] {
            write(folder, "shop/Chart.yaml", &format!("apiVersion: v2\nname: shop\nversion: {version}\n"));
            let pod = format!(
                "apiVersion: v1\nkind: Pod\nmetadata: {{name: shop}}\nspec: {{containers: [{{name: a, image: \"r.example.org/{image}\"}}]}}\n"
            );
            write(folder, "shop/templates/pod.yaml", &pod);
            run(&["package", "shop"]);
            run(&["push", &format!("shop-{version}.tgz"), &format!("oci://{host}/charts"), "--plain-http"]);
        }
        let chart = format!("chart: {{source: \"oci://{host}/charts/shop\", version: ^1}}");
        profile(folder, &format!("{{name: shop, layer: addon, {chart}}}"));
        assert_eq!(carrack(folder, Some(&helm), &["images", "edge"]), "r.example.org/b:2\n");
        let package = Digest::of(&fs::read(folder.join("shop-1.3.0+build.5.tgz")).unwrap());
        assert!(folder.join(format!("edge/.carrack/charts/sha256-{}.tgz", package.hex())).is_file());
    }
}
