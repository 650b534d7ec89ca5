//! For which of the profile's platforms an image is needed.

use std::collections::BTreeSet;

use super::Reason;
use crate::oci::{Platform, Reference};
use crate::profile::Profile;

/// The profile's platforms that `reference` is needed for. What a pack's `images` says of an image holds wherever it is named, since
/// it is what the image is made for; otherwise each pack that needs the image says for what.
pub(super) fn of(profile: &Profile, reference: &Reference, reasons: &BTreeSet<Reason>) -> Vec<Platform> {
    let listed = profile.packs.iter().flat_map(|pack| &pack.images).filter(|listed| listed.reference == *reference);
    let made_for: Vec<&Platform> = listed.flat_map(|listed| &listed.platforms).collect();
    if !made_for.is_empty() {
        return only(profile, &made_for);
    }
    let needing = |name: &str| reasons.iter().any(|reason| reason.pack == name);
    let packs: Vec<_> = profile.packs.iter().filter(|pack| needing(&pack.name)).collect();
    if packs.iter().any(|pack| pack.platforms.is_empty()) {
        return profile.platforms.clone();
    }
    only(profile, &packs.iter().flat_map(|pack| &pack.platforms).collect::<Vec<_>>())
}

fn only(profile: &Profile, wanted: &[&Platform]) -> Vec<Platform> {
    let is_wanted = |platform: &&Platform| wanted.iter().any(|wanted| wanted.satisfies(platform));
    profile.platforms.iter().filter(is_wanted).cloned().collect()
}
