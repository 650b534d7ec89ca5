//! Discovery: which images a profile needs, and why each one.
//!
//! Owns the reading of image lists, and the reasons; [`objects`] reads manifests. It must not know what is behind a reference.

mod collect;
mod list;

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

use crate::objects::{self, ObjectName};
use crate::oci::Reference;
use crate::problem::{Problem, Problems, printable, read_document};
use crate::profile::{Origin, Profile};

use collect::Collector;

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
    /// The profile, image list or manifest.
    pub file: PathBuf,
    /// Line, from 1.
    pub line: usize,
    /// The Kubernetes object, where it is in one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<ObjectName>,
    /// The field, such as `spec.template.spec.containers[0].image`; empty in an image list.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub field: String,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pack {}, {}:{}", self.pack, self.file.display(), self.line)?;
        if let Some(object) = &self.object {
            write!(f, ", {object}")?;
        }
        if self.field.is_empty() { Ok(()) } else { write!(f, ", {}", printable(&self.field)) }
    }
}

/// Finds the images of `profile` in its packs' images, image lists and manifests.
///
/// # Errors
/// Everything that looks like an image and is none, and every file that cannot be read as what it is.
pub fn discover(profile: &Profile) -> Result<Discovery, Problems> {
    let mut collector = Collector::new(&profile.ignore_images);
    for (index, pack) in profile.packs.iter().enumerate() {
        collector.enter(&pack.name);
        for (item, (reference, position)) in pack.images.iter().enumerate() {
            let field = match pack.origin {
                Origin::Profile => format!("spec.packs[{index}].images[{item}]"),
                Origin::Folder(_) | Origin::Oci(_) => format!("spec.images[{item}]"),
            };
            collector.include(reference.clone(), &pack.file, *position, None, field);
        }
        for file in &pack.image_lists {
            if let Some(source) = collector.kept(read_document(file)?) {
                list::read(&source, &mut collector);
            }
        }
        for file in &pack.manifests {
            if let Some(source) = collector.kept(read_document(file)?) {
                objects::read(&source, &mut collector);
            }
        }
    }
    collector.finish(|image| {
        let message = format!("`ignoreImages` names {:?}, which is found nowhere", image.image);
        match read_document(&image.file) {
            Ok(Ok(source)) => source.problem(image.position, message),
            _ => Problem::with_file(&image.file, message),
        }
    })
}
