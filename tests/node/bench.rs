//! The stick with the bundles and the installer, which is made once, and a node for each test.

use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use super::available::available;
use super::node::{Node, system};
use super::{edge, shop};

/// Where the installer lies on the node.
pub(crate) const INSTALLER: &str = "/media/usb/carrack-install";

/// A node that is on, and on which nothing is installed, with the folder that it is in.
pub(crate) struct Bench {
    pub(crate) node: Node<'static>,
    _folder: tempfile::TempDir,
}

/// The folder whose content is on the stick.
static STICK: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
    let stick = tempfile::tempdir().unwrap();
    let work = tempfile::tempdir().unwrap();
    let bundles = [shop::build(work.path()), edge::build(work.path())].concat();
    for file in bundles.into_iter().chain([PathBuf::from(env!("CARGO_BIN_EXE_carrack-install"))]) {
        fs::copy(&file, stick.path().join(file.file_name().unwrap())).unwrap();
    }
    stick
});

impl Bench {
    /// A node that is on; or says why the test cannot be run here.
    pub(crate) fn boot(test: &str) -> Option<Self> {
        let system = system(test).filter(|_| available(test, &["busybox"]))?;
        let folder = tempfile::tempdir().unwrap();
        let mut node = Node::new("till", &system, folder.path(), STICK.path());
        node.boot();
        Some(Self { node, _folder: folder })
    }
}
