//! The completeness gate: what a build is about to leave out.

use std::collections::BTreeSet;

use super::{Discovery, NeededImage};

/// The images that something asks for and that `names`, all image names of a planned bundle, lack. A host asks for an
/// image by each of its names, so one that is missing is an image that is missing.
pub fn not_carried<'d>(discovery: &'d Discovery, names: &BTreeSet<String>) -> Vec<&'d NeededImage> {
    let lacks = |image: &&NeededImage| image.reference.runtime_names().iter().any(|name| !names.contains(name));
    discovery.images.iter().filter(lacks).collect()
}

/// A line for each place that asks for one of `images`: the image, and the place.
pub fn told(images: &[&NeededImage]) -> Vec<String> {
    let lines = |image: &&NeededImage| -> Vec<String> {
        image.reasons.iter().map(|reason| format!("{} is asked for by {reason}", image.reference)).collect()
    };
    images.iter().flat_map(lines).collect()
}
