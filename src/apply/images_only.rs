//! The images of a version alone, ahead of it: so that every node has them before the first server applies manifests that name
//! them. Nothing else is looked at, and no name that stands for another image is changed, since what runs counts on it.

use super::ApplyError;
use super::containerd::{RuntimeState, Wanted};
use super::history::{Entry, History};
use super::lock::RootLock;
use super::plan::HostPlan;
use super::receipt::Receipt;
use super::released;
use super::survey::{Survey, Target, TargetRuntime, look_at_images};
use super::targets::Inputs;
use crate::oci::Digest;

/// Looks at the containerd of the host. Nothing is changed.
///
/// # Errors
/// [`ApplyError::ImagesOnly`] where images do not go to a containerd, or what cannot be asked.
pub(super) async fn survey(inputs: Inputs<'_>, target: &Target, lock: Option<RootLock>) -> Result<Survey, ApplyError> {
    if !matches!(target.runtime, TargetRuntime::Containerd { .. }) {
        return Err(ApplyError::ImagesOnly);
    }
    let history = History::of(&target.root)?;
    let name = &inputs.contents.profile.name;
    let mut found = look_at_images(inputs, target).await?;
    let left = leave_others(&mut found.wanted, &found.state);
    let mut plan = HostPlan::new(Vec::new(), Some((&found.wanted, &found.state, &found.tops)));
    plan.left_names = left;
    if let Some(staged) = history.staged(name) {
        let mut needed = released::names_of(history.chain(name).into_iter().chain(history.others(name)));
        needed.extend(found.wanted.images.iter().flat_map(|image| &image.names));
        let known = [&staged.receipt];
        plan.released = released::no_longer(&known, &known, &needed, &found.client).await?;
    }
    let mut survey = Survey::of(target, plan, lock);
    survey.runtime = Some(found.into());
    survey.history = history;
    Ok(survey)
}

/// Takes names from `wanted` that stand for another image now, and returns them. The one by digest stays, and holds the content.
fn leave_others(wanted: &mut Wanted, state: &RuntimeState) -> Vec<String> {
    let mut left = Vec::new();
    for image in &mut wanted.images {
        let digest = image.target.digest.to_string();
        let is_anothers = |name: &String| {
            let by_digest = name.ends_with(&format!("@{digest}"));
            !by_digest && state.names.get(name).is_some_and(|named| named.target != digest)
        };
        left.extend(image.names.iter().filter(|name| is_anothers(name)).cloned());
        image.names.retain(|name| !is_anothers(name));
    }
    left
}

/// Whether a version whose images these are is there already, or its images are.
pub(super) fn is_there(history: &History, name: &str, bundle: &Digest) -> bool {
    let of = |entry: &Entry| entry.receipt.bundle == *bundle;
    history.staged(name).is_some_and(of) || history.of_profile(name).next().is_some_and(of)
}

/// What `receipt` is where it is of the images alone.
pub(super) fn of_images(receipt: Receipt) -> Receipt {
    Receipt { images_only: true, variables: Vec::new(), site: None, ..receipt }
}
