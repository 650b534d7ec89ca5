//! A small bundle that has one of everything, and a folder that an earlier version of it is installed in.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use carrack::apply::{
    ApplyError, Asked, Choices, ImageFolder, Inputs, Interrupter, Invocation, Options, Outcome, RootLock, Source,
    Target, TargetRuntime, apply, survey,
};
use carrack::bundle::Contents;
use carrack::host::Root;
use carrack::oci::Platform;
use carrack::progress::Progress;
use carrack::registry::in_process::{Image, InProcessRegistry, Layer};
use carrack::site::node::Node;
use carrack::trust::Trusted;
use carrack::variables::Values;

use super::common::Sandbox;

/// Reproducible bytes that do not compress.
pub(crate) struct Noise(u64);

impl Noise {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next() as u8).collect()
    }
}

/// An image whose layers are one that is stored and one that nobody compressed.
pub(crate) fn image(platform: &str) -> Image {
    let stored = Layer::tar(&[("noise", 0o644, &Noise::new(1).bytes(3_000))]).unwrap().zstd().unwrap();
    let plain = Layer::tar(&[("platform", 0o644, platform.as_bytes())]).unwrap();
    Image { platform: platform.parse().unwrap(), layers: vec![stored, plain], command: vec!["/noise".to_owned()] }
}

/// Builds a bundle with `carrack build`: an index with one of its images, and files of both packs whose content tells
/// the version.
pub(crate) fn build(sandbox: &Sandbox, version: &str) -> PathBuf {
    let registry = InProcessRegistry::start().unwrap();
    let here = Platform::of_this_machine().to_string();
    let images = [here.as_str(), "linux/s390x"].map(|platform| registry.put_image("app", None, &image(platform)));
    registry.put_index("app", Some("1"), images.into());
    registry.put_image("single", Some("1"), &image(&here));
    let lines = |count: usize| (0..count).map(|line| format!("{version}: line {line}\n")).collect::<String>();
    sandbox.write("small", lines(3));
    sandbox.write("large", lines(15_000));
    sandbox.write("shop.yaml", format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: shop-{version}}}\n"));
    let host = registry.host();
    sandbox.write(
        "carrack.yaml",
        format!(
            "apiVersion: carrack/v1\nkind: ClusterProfile\nmetadata: {{name: edge, version: {version}}}\nspec:\n  \
             platforms: [{here}]\n  packs:\n    - name: base\n      layer: os\n      files:\n        \
             - {{source: small, path: /usr/local/bin/small, mode: \"0755\"}}\n        \
             - {{source: large, path: /opt/large}}\n    - name: shop\n      layer: addon\n      \
             images: [\"{host}/app:1\", \"{host}/single:1\"]\n      manifests: [shop.yaml]\n"
        ),
    );
    let name = format!("edge-{version}.tar.zst");
    let built = sandbox.carrack(&["build", ".", "-o", &name]);
    assert_eq!(built.code, 0, "{}", built.stderr);
    sandbox.work().join(name)
}

/// Where images go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Images {
    Nowhere,
    Folder,
}

/// Applies to `root`.
pub(crate) fn install(bundle: &Trusted, root: &Path, images: Images) -> Result<Outcome, ApplyError> {
    let blobs = bundle.blobs().iter().map(|blob| (blob.digest, blob.size)).collect();
    let opened = bundle.clone();
    let source = Source::new(blobs, move |digest| match opened.open(digest) {
        Ok(reader) => Ok(Box::new(reader)),
        Err(error) => Err(std::io::Error::new(std::io::ErrorKind::InvalidData, error)),
    });
    let runtime = match images {
        Images::Nowhere => TargetRuntime::None,
        Images::Folder => TargetRuntime::Folder(ImageFolder::K3s),
    };
    let target = Target {
        root: Root::new(root).unwrap(),
        runtime,
        platform: Platform::of_this_machine(),
        keep: 1,
        choices: Choices::default(),
        asked: Asked::default(),
        containerd: None,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let survey =
            survey(without_values(bundle.contents(), &source), &target, Some(RootLock::take(&target.root)?)).await?;
        let (_interrupter, interrupt) = Interrupter::new();
        let options =
            Options { command: Invocation::default(), jobs: 2, progress: Arc::new(Progress::default()), interrupt };
        apply(survey, without_values(bundle.contents(), &source), &options).await
    })
}

/// A bundle whose variables have no values.
fn without_values<'a>(contents: &'a Contents, source: &'a Source) -> Inputs<'a> {
    static NONE: Values = Values::new();
    Inputs { contents, source, values: &NONE, node: Node::alone() }
}

/// Everything below a folder: mode, inode and content of files, modes of folders.
pub(crate) type Snapshot = BTreeMap<PathBuf, (u32, u64, Vec<u8>)>;

pub(crate) fn snapshot(folder: &Path) -> Snapshot {
    let mut found = Snapshot::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            let facts = fs::symlink_metadata(&path).unwrap();
            let mode = facts.permissions().mode();
            if facts.is_dir() {
                folders.push(path.clone());
                found.insert(path, (mode, 0, Vec::new()));
            } else {
                let content = fs::read(&path).unwrap();
                found.insert(path, (mode, facts.ino(), content));
            }
        }
    }
    found
}
