//! Discovery: which images a profile needs, and why each one.
//!
//! Owns the reading of image lists and of what charts say and render, and the reasons; `objects` reads the objects. It
//! must not know what is behind a reference.

mod annotations;
mod api;
mod assignments;
mod charts;
mod collect;
mod gate;
mod list;
mod manifests;
mod operators;
mod own;
mod platforms;
mod unrendered;

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

use crate::chart::{Chart, ChartError, Helm};
use crate::io::PathError;
use crate::objects::ObjectName;
use crate::oci::{Platform, Reference};
use crate::problem::{Problem, Problems, printable, read_document};
use crate::profile::{Origin, Profile};

use collect::Collector;
pub use gate::{not_carried, told};

/// What was found.
#[derive(Debug, Clone, Default)]
pub struct Discovery {
    /// The images that are needed, sorted by reference, each once.
    pub images: Vec<NeededImage>,
    /// What looks like an image in a place that does not say so; sorted, each once, none of them in `images`.
    pub candidates: Vec<Candidate>,
    /// What may go wrong later, each with its place.
    pub warnings: Vec<Problem>,
}

/// An image that is needed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NeededImage {
    /// The image.
    pub reference: Reference,
    /// The platforms that it is needed for: the profile's, or those of them that the profile says; at least one.
    pub platforms: Vec<Platform>,
    /// Every place that asks for it; at least one.
    pub reasons: Vec<Reason>,
}

/// What looks like an image and is neither included nor ignored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Candidate {
    /// The image that it would be.
    pub reference: Reference,
    /// Every place that it stands in; at least one.
    pub reasons: Vec<Reason>,
}

/// Why an image is there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Reason {
    /// The pack.
    pub pack: String,
    /// The profile, image list or manifest; for what a chart asks for, the document that names the chart.
    pub file: PathBuf,
    /// Line, from 1.
    pub line: usize,
    /// The chart, where one asks for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chart: Option<InChart>,
    /// The Kubernetes object, where it is in one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<ObjectName>,
    /// The field, such as `spec.template.spec.containers[0].image`; empty in an image list.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub field: String,
}

/// A place in a chart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct InChart {
    /// The chart's name.
    pub name: String,
    /// The chart's version.
    pub version: String,
    /// The file in its package, such as `templates/deployment.yaml`; a subchart's below `charts/`.
    pub template: String,
}

impl fmt::Display for InChart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "chart {} {}, {}", self.name, self.version, self.template)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pack {}, {}:{}", self.pack, self.file.display(), self.line)?;
        if let Some(chart) = &self.chart {
            write!(f, ", {chart}")?;
        }
        if let Some(object) = &self.object {
            write!(f, ", {object}")?;
        }
        if self.field.is_empty() { Ok(()) } else { write!(f, ", {}", printable(&self.field)) }
    }
}

/// What discovery may use and do without.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options<'o> {
    /// What charts are rendered with.
    pub helm: Option<&'o Helm>,
    /// Whether charts may be read without being rendered, where there is no helm.
    pub allow_unrendered: bool,
}

/// Why the images cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum DiscoverError {
    /// What is wrong with the profile's documents, or with what charts make of them.
    #[error(transparent)]
    Problems(#[from] Problems),
    /// Charts that cannot be read or rendered; at least one.
    #[error("{}", chart_errors(.0))]
    Charts(Vec<ChartError>),
}

impl From<PathError> for DiscoverError {
    fn from(error: PathError) -> Self {
        Self::Problems(error.into())
    }
}

fn chart_errors(errors: &[ChartError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// Finds the images of `profile` in its packs' images, image lists, manifests and `charts`, which are all of its charts.
///
/// Manifests and charts are read with every combination of the values that variables with a fixed set can have.
///
/// # Errors
/// Everything that looks like an image and is none, every file that cannot be read as what it is, every chart that cannot
/// be rendered, and every variable without a fixed set that reaches an image.
pub fn discover(profile: &Profile, charts: &[Chart], options: Options<'_>) -> Result<Discovery, DiscoverError> {
    let mut collector = Collector::new(&profile.ignore_images);
    for (index, pack) in profile.packs.iter().enumerate() {
        collector.enter(&pack.name);
        for (item, listed) in pack.images.iter().enumerate() {
            let field = match pack.origin {
                Origin::Profile => format!("spec.packs[{index}].images[{item}]"),
                Origin::Folder(_) | Origin::Oci(_) => format!("spec.images[{item}]"),
            };
            collector.include(listed.reference.clone(), &pack.file, listed.position, None, field);
        }
        for file in &pack.image_lists {
            if let Some(source) = collector.kept(read_document(file)?) {
                list::read(&source, &mut collector);
            }
        }
        for file in &pack.manifests {
            if let Some(source) = collector.kept(read_document(file)?) {
                manifests::read(&source, &profile.variables, &mut collector);
            }
        }
    }
    charts::read(profile, charts, options, &mut collector).map_err(DiscoverError::Charts)?;
    own::warn(profile, &mut collector);
    operators::warn(profile, charts, &mut collector);
    let found = collector.finish(profile, |image| {
        let message = format!("`ignoreImages` names {:?}, which is found nowhere", image.image);
        match read_document(&image.file) {
            Ok(Ok(source)) => source.problem(image.position, message),
            _ => Problem::with_file(&image.file, message),
        }
    });
    Ok(found?)
}
