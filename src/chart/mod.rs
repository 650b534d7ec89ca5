//! Helm charts: packages, folders, Chart.yaml, values, and the user's own helm that renders them.
//!
//! Owns what a chart is. It must not know where charts come from, nor what is made of their objects.

mod actions;
mod archive;
mod conditions;
mod enabled;
mod error;
mod folder;
mod helm;
mod influence;
mod metadata;
mod renders;
mod run;
mod schema;
mod tree;
mod values;

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

pub use conditions::{Conditions, conditions, depends_on};
pub use enabled::{Part, parts};
pub use error::ChartError;
pub use folder::{files, of_files, package};
pub use helm::{Helm, Rendered, Rendering};
pub use metadata::{ChartKind, Dependency, Metadata};
pub use tree::Tree;
pub use values::{merge, places, problem_in};

use crate::io::{AtPath, AtomicFile};
use crate::oci::Digest;
use crate::problem::Position;
use crate::profile::{ChartLocation, ChartSource, Template};

/// A chart of a pack, at hand as a package.
#[derive(Debug, Clone)]
pub struct Chart {
    /// The pack.
    pub pack: String,
    /// Where it comes from, as the profile has it.
    pub source: String,
    /// The release's name.
    pub release: String,
    /// The release's namespace.
    pub namespace: String,
    /// Its Chart.yaml.
    pub metadata: Metadata,
    /// The package, a `.tgz`.
    pub package: PathBuf,
    /// SHA-256 of the package.
    pub digest: Digest,
    /// Bytes of the package.
    pub size: u64,
    /// Its values, the later ones over the earlier.
    pub values: Vec<Template>,
    /// The document that names the chart.
    pub file: PathBuf,
    /// Where in it.
    pub position: Position,
}

impl Chart {
    /// The chart that `source` of `pack` names, from the package that was brought for it. `shown` is where it comes from.
    ///
    /// # Errors
    /// Where the package cannot be read or is no chart, or not the version that is asked for.
    pub fn from_package(source: &ChartSource, pack: &str, shown: String, package: PathBuf) -> Result<Self, ChartError> {
        let bytes = read(&package)?;
        let metadata = checked(&package, &bytes, source)?.metadata;
        let release = source.release.clone().unwrap_or_else(|| metadata.name.clone());
        if !is_release(&release) {
            return Err(ChartError::Release { name: release });
        }
        Ok(Self {
            pack: pack.to_owned(),
            source: shown,
            release,
            namespace: source.namespace.clone(),
            metadata,
            digest: Digest::of(&bytes),
            size: bytes.len() as u64,
            package,
            values: source.values.clone(),
            file: source.file.clone(),
            position: source.position,
        })
    }

    /// `NAME VERSION`.
    pub fn title(&self) -> String {
        self.metadata.title()
    }

    /// The package's bytes and what is in them.
    ///
    /// # Errors
    /// Where it cannot be read, or is not what it was.
    pub fn open(&self) -> Result<(Vec<u8>, Tree), ChartError> {
        let bytes = read(&self.package)?;
        if Digest::of(&bytes) != self.digest {
            return Err(ChartError::Changed { path: self.package.clone(), wanted: self.digest });
        }
        let tree =
            Tree::of_package(&bytes).map_err(|reason| ChartError::Malformed { path: self.package.clone(), reason })?;
        Ok((bytes, tree))
    }
}

/// The chart that `source` of `pack` names on this machine. A folder is packed into `keep`, as `NAME-VERSION-DIGEST.tgz`; a
/// package stays where it is.
///
/// # Errors
/// Where it cannot be read or packed, is no chart, lacks subcharts, or is not the version that is asked for.
///
/// # Panics
/// Where the chart is not on this machine: that is for the caller to know.
pub fn local(source: &ChartSource, pack: &str, keep: &Path) -> Result<Chart, ChartError> {
    let ChartLocation::Local(path) = &source.location else { panic!("{:?} is not on this machine", source.location) };
    let shown = path.display().to_string();
    if !path.metadata().at("read", path)?.is_dir() {
        return Chart::from_package(source, pack, shown, path.clone());
    }
    let bytes = package(path)?;
    let metadata = checked(path, &bytes, source)?.metadata;
    let digest = Digest::of(&bytes).hex();
    let target = keep.join(format!("{}-{}-{}.tgz", metadata.name, metadata.version, &digest[..12]));
    if read(&target).ok().is_none_or(|there| there != bytes) {
        AtomicFile::write_all(&target, 0o644, &bytes)?;
    }
    Chart::from_package(source, pack, shown, target)
}

/// The chart in `path`, a package or a folder, as a package and what is in it.
///
/// # Errors
/// Where it cannot be read or packed, is no chart, is a library, or lacks subcharts.
pub fn examine(path: &Path) -> Result<(Vec<u8>, Tree), ChartError> {
    let bytes = if path.metadata().at("read", path)?.is_dir() { package(path)? } else { read(path)? };
    let tree = whole(path, &bytes)?;
    Ok((bytes, tree))
}

/// The chart in `bytes`, which are of the package or folder `path`, with all its subcharts.
fn whole(path: &Path, bytes: &[u8]) -> Result<Tree, ChartError> {
    let tree = Tree::of_package(bytes).map_err(|reason| ChartError::Malformed { path: path.to_owned(), reason })?;
    let names = tree.missing();
    if !names.is_empty() {
        return Err(ChartError::MissingDependencies { path: path.to_owned(), names });
    }
    if tree.metadata.kind == ChartKind::Library {
        let reason = "it is a library, which other charts use and nobody installs".to_owned();
        return Err(ChartError::Malformed { path: path.to_owned(), reason });
    }
    Ok(tree)
}

/// The same, of the version that `source` asks for.
fn checked(path: &Path, bytes: &[u8], source: &ChartSource) -> Result<Tree, ChartError> {
    let tree = whole(path, bytes)?;
    match (&source.version, tree.metadata.semver()) {
        (Some(wanted), Some(found)) if !wanted.matches(&found) => {
            Err(ChartError::Version { path: path.to_owned(), found: tree.metadata.version, wanted: wanted.to_string() })
        }
        _ => Ok(tree),
    }
}

fn read(package: &Path) -> Result<Vec<u8>, ChartError> {
    let mut bytes = Vec::new();
    let file = File::open(package).at("read", package)?;
    if !file.metadata().at("read", package)?.is_file() {
        return Err(ChartError::Malformed { path: package.to_owned(), reason: "it is no file".to_owned() });
    }
    file.take(archive::MAX_BYTES + 1).read_to_end(&mut bytes).at("read", package)?;
    if bytes.len() as u64 > archive::MAX_BYTES {
        let reason = format!("it is larger than {} MiB", archive::MAX_BYTES >> 20);
        return Err(ChartError::Malformed { path: package.to_owned(), reason });
    }
    Ok(bytes)
}

/// What Helm takes: DNS-1123 labels with dots between them, 53 characters.
fn is_release(name: &str) -> bool {
    let label = |label: &str| {
        let inner = label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        inner && !label.is_empty() && !label.starts_with('-') && !label.ends_with('-')
    };
    name.len() <= 53 && name.split('.').all(label)
}
