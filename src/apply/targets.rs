//! Which files a bundle puts on the host, with the values of this place.

use std::sync::Arc;

use super::ApplyError;
use super::cluster;
use super::conflicts;
use super::files::{FileError, FileKind, TargetFile};
use super::settle::{Settler, Written};
use super::source::Source;
use super::survey::Target;
use crate::bundle::{ChartFile, ChartValues, Contents};
use crate::distro::{Setup, applies_objects};
use crate::host::Root;
use crate::oci::{Descriptor, Digest};
use crate::places::{Places, is_reserved};
use crate::site::node::Node;
use crate::variables::Values;
use crate::variables::template::Around;

/// A bundle, and the values that its variables have here.
#[derive(Clone, Copy)]
pub struct Inputs<'a> {
    /// What the bundle holds.
    pub contents: &'a Contents,
    /// Its bytes.
    pub source: &'a Source,
    /// The values.
    pub values: &'a Values,
    /// What the site says of the machine.
    pub node: &'a Node,
}

/// Permission bits of what the profile gives none.
const MODE: u32 = 0o644;
/// What stays of permission bits where a sensitive value is in the file.
const PRIVATE: u32 = 0o700;

/// The files of the bundle that the target's platform gets, in the bundle's order.
///
/// # Errors
/// The first file that cannot be placed or filled in, or that names an image that the bundle lacks.
pub fn targets(inputs: Inputs<'_>, target: &Target) -> Result<(Vec<TargetFile>, Setup), ApplyError> {
    let mut placer = Placer { settler: Settler::new(inputs), root: &target.root, files: Vec::new() };
    let contents = inputs.contents;
    let places = Places::of(contents.profile.packs.iter().filter_map(|pack| pack.distribution.as_deref()));
    for file in &contents.files {
        if file.platform.as_ref().is_none_or(|only| only.satisfies(&target.platform)) {
            if is_reserved(&file.path) {
                return Err(FileError::Reserved(file.path.clone()).into());
            }
            let written = match file.template {
                true => Some(placer.settler.fill(&file.blob, Around::Plain, &file.path)?),
                false => None,
            };
            let owner = file.owner.as_deref();
            placer.add(
                FileKind::Host,
                &file.pack,
                file.path.clone(),
                file.mode,
                owner,
                Content::of(&file.blob, written),
            )?;
        }
    }
    let (pack, distribution) = cluster::distribution(contents);
    let objects = applies_objects(distribution, inputs.node);
    for manifest in contents.manifests.iter().filter(|_| objects) {
        let path = places.manifest(component(&manifest.pack)?, component(&manifest.name)?);
        let path = places.within(path, inputs.node.install_root.as_deref());
        let written = match manifest.template {
            true => Some(placer.settler.manifest(&manifest.blob, &path)?),
            false => None,
        };
        placer.add(FileKind::Manifest, &manifest.pack, path, MODE, None, Content::of(&manifest.blob, written))?;
    }
    for chart in contents.charts.iter().filter(|_| objects) {
        placer.chart(chart, places, inputs.node.install_root.as_deref())?;
    }
    let (setup, config) = cluster::setup(inputs, target, &placer.settler, &placer.files)?;
    for file in &setup.files {
        let written = Arc::new(cluster::written(file, config.as_deref()));
        placer.add(FileKind::Config, pack, file.path.clone(), file.mode, None, Content::written(written))?;
    }
    Ok((placer.each_its_own()?, setup))
}

/// Makes target files, one after another.
struct Placer<'a> {
    settler: Settler<'a>,
    root: &'a Root,
    files: Vec<TargetFile>,
}

/// What is in a file.
struct Content {
    digest: Digest,
    size: u64,
    written: Option<Arc<Written>>,
}

impl Content {
    /// What was written here, or else the blob as it is.
    fn of(blob: &Descriptor, written: Option<Arc<Written>>) -> Self {
        match written {
            Some(written) => Self::written(written),
            None => Self { digest: blob.digest, size: blob.size, written: None },
        }
    }

    fn written(written: Arc<Written>) -> Self {
        Self { digest: written.digest(), size: written.bytes.len() as u64, written: Some(written) }
    }
}

impl Placer<'_> {
    fn add(
        &mut self,
        kind: FileKind,
        pack: &str,
        path: String,
        mode: u32,
        owner: Option<&str>,
        content: Content,
    ) -> Result<(), FileError> {
        conflicts::fits(&path)?;
        let place = |source| FileError::Place { pack: pack.to_owned(), source };
        let owner = match owner {
            Some(owner) => Some(self.root.owner(owner).map_err(place)?),
            None => rustix::process::geteuid().is_root().then_some((0, 0)),
        };
        let mut file = TargetFile {
            target: self.root.place(&path).map_err(place)?,
            path,
            digest: content.digest,
            size: content.size,
            mode: mode & 0o7777,
            owner,
            pack: pack.to_owned(),
            kind,
            wanted: None,
            keys: Vec::new(),
            content: content.written,
        };
        if file.has_secrets() {
            file.mode &= PRIVATE;
        }
        self.files.push(file);
        Ok(())
    }

    fn chart(&mut self, chart: &ChartFile, places: Places, data: Option<&str>) -> Result<(), ApplyError> {
        for word in [&chart.pack, &chart.name, &chart.version, &chart.release] {
            component(word)?;
        }
        // Two releases of one chart share its package.
        let there =
            |path: &String| self.files.iter().any(|file| file.path == *path && file.digest == chart.blob.digest);
        if let Some(package) =
            places.package(&chart.pack, &chart.name, &chart.version, &chart.blob.digest).filter(|path| !there(path))
        {
            let package = places.within(package, data);
            self.add(FileKind::Chart, &chart.pack, package, MODE, None, Content::of(&chart.blob, None))?;
        }
        let path = places.within(places.release(&chart.pack, &chart.release), data);
        let content = match (places, &chart.values) {
            (Places::K3s | Places::Rke2, _) => Content::written(self.settler.release(chart, places)?),
            (Places::Own, None) => return Ok(()),
            (Places::Own, Some(ChartValues { blob, template: false })) => Content::of(blob, None),
            (Places::Own, Some(ChartValues { blob, template: true })) => {
                Content::written(self.settler.fill(blob, Around::Yaml, &path)?)
            }
        };
        self.add(FileKind::Release, &chart.pack, path, MODE, None, content)?;
        Ok(())
    }

    /// The files, where each has a place of its own.
    fn each_its_own(self) -> Result<Vec<TargetFile>, ApplyError> {
        conflicts::each_its_own(&self.files, self.root)?;
        Ok(self.files)
    }
}

/// A name that becomes a part of a path.
fn component(name: &str) -> Result<&str, FileError> {
    let plain = !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '\0']);
    if plain { Ok(name) } else { Err(FileError::Name(name.to_owned())) }
}
