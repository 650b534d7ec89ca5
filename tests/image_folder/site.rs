//! A root that is installed into, and what is then in it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use std::io::Read;
use std::sync::Arc;

use carrack::apply::{
    ApplyError, Asked, Choices, ImageFolder, Inputs, Interrupter, Invocation, Options, RootLock, Source, Survey,
    Target, TargetRuntime, survey,
};
use carrack::bundle::Contents;
use carrack::host::Root;
use carrack::oci::{Digest, ImageIndex, Platform};
use carrack::progress::Progress;
use carrack::site::node::Node;
use carrack::trust::{self, Trusted};
use carrack::variables::Values;

use crate::ARCHIVE;
use crate::sample::Sample;

/// A bundle whose variables have no values.
pub(crate) fn without_values<'a>(contents: &'a Contents, source: &'a Source) -> Inputs<'a> {
    static NONE: Values = Values::new();
    Inputs { contents, source, values: &NONE, node: Node::alone() }
}

/// A bundle and a root to install it into.
pub(crate) struct Site {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) bundle: PathBuf,
}

impl Site {
    pub(crate) fn new(sample: &Sample) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("root")).unwrap();
        let bundle = sample.write(folder.path());
        Self { folder, bundle }
    }

    /// The usual bundle of a distribution, for Ubuntu.
    pub(crate) fn of(distribution: &str) -> Self {
        let mut sample = Sample::usual("1.0.0");
        sample.distribution(distribution);
        let site = Self::new(&sample);
        fs::create_dir_all(site.root().join("etc")).unwrap();
        fs::write(site.root().join("etc/os-release"), "ID=ubuntu\n").unwrap();
        site
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    pub(crate) fn archive(&self) -> PathBuf {
        self.root().join(ARCHIVE)
    }

    pub(crate) fn run(&self, command: &str, more: &[&str]) -> Output {
        let mut installer = Command::new(env!("CARGO_BIN_EXE_carrack-install"));
        installer.arg(command).arg("--root").arg(self.root());
        if command != "status" {
            installer.arg(&self.bundle);
        }
        installer.args(more).output().unwrap()
    }

    /// Runs it for k3s, and wants this exit code. Returns all that was printed.
    pub(crate) fn k3s(&self, command: &str, code: i32) -> String {
        let more: &[&str] = if command == "status" { &[] } else { &["--runtime", "k3s"] };
        printed(&self.run(command, more), code)
    }

    pub(crate) fn survey_target(&self) -> Target {
        let (root, platform) = (Root::new(&self.root()).unwrap(), Platform::of_this_machine());
        Target {
            root,
            runtime: TargetRuntime::Folder(ImageFolder::K3s),
            platform,
            keep: 1,
            choices: Choices::default(),
            asked: Asked::default(),
            containerd: None,
        }
    }

    pub(crate) async fn look(&self) -> (Trusted, Source, Survey) {
        let trusted = trust::establish(&self.bundle).unwrap();
        let blobs = trusted.blobs().iter().map(|blob| (blob.digest, blob.size)).collect();
        let opened = trusted.clone();
        let source = Source::new(blobs, move |digest| Ok(Box::new(opened.open(digest).unwrap())));
        let target = self.survey_target();
        let lock = loop {
            match RootLock::take(&target.root) {
                // A program that another test starts has copies of all locks for a moment, until it is that program.
                Err(ApplyError::Busy(..)) => tokio::task::yield_now().await,
                taken => break taken.unwrap(),
            }
        };
        let found = survey(without_values(trusted.contents(), &source), &target, Some(lock)).await.unwrap();
        (trusted, source, found)
    }

    /// Every path below the root, with the digest of what is a file; but receipts.
    pub(crate) fn tree(&self) -> BTreeMap<String, Option<Digest>> {
        let (mut found, mut pending) = (BTreeMap::new(), vec![self.root()]);
        while let Some(at) = pending.pop() {
            for entry in fs::read_dir(&at).unwrap() {
                let path = entry.unwrap().path();
                // The lock of a survey that has yet to be applied, and its folder.
                if path.ends_with("var/lib/carrack/lock") {
                    continue;
                }
                let digest = path.is_file().then(|| Digest::of(&fs::read(&path).unwrap()));
                if path.ends_with("var/lib/carrack") {
                    pending.push(path);
                    continue;
                }
                found.insert(path.strip_prefix(self.root()).unwrap().display().to_string(), digest);
                pending.extend(Some(path).filter(|path| path.is_dir()));
            }
        }
        found
    }
}

pub(crate) fn printed(output: &Output, code: i32) -> String {
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{text}");
    text
}

pub(crate) fn options(interrupted: bool) -> Options {
    let (interrupter, interrupt) = Interrupter::new();
    if interrupted {
        interrupter.interrupt();
    }
    Options { command: Invocation::default(), jobs: 3, progress: Arc::new(Progress::default()), interrupt }
}

/// The index of an archive, and its blobs.
pub(crate) fn read_archive(path: &Path) -> (ImageIndex, BTreeMap<Digest, Vec<u8>>) {
    let plain = zstd::stream::decode_all(fs::File::open(path).unwrap()).unwrap();
    let (mut index, mut blobs) = (None, BTreeMap::new());
    for entry in tar::Archive::new(plain.as_slice()).entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().display().to_string();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        if let Some(hex) = name.strip_prefix("blobs/sha256/") {
            assert_eq!(Digest::of(&content).hex(), hex);
            blobs.insert(Digest::of(&content), content);
        } else if name == "index.json" {
            index = Some(serde_json::from_slice(&content).unwrap());
        }
    }
    (index.unwrap(), blobs)
}
