//! Which units run, and what has to be done for it.

use super::history::History;
use super::plan::{HostPlan, PlannedService, ServiceAction};
use super::receipt::{Receipt, ReceiptService};
use super::transaction::unit_is;
use crate::bundle::ResolvedProfile;
use crate::distro::Step;
use crate::host::Root;

/// What becomes of the units of a profile. In a system that is prepared, all of them wait for its first start.
pub(super) fn planned(profile: &ResolvedProfile, root: &Root, plan: &HostPlan) -> Vec<PlannedService> {
    let mut services = Vec::new();
    for pack in &profile.packs {
        let touched = plan.touches(pack);
        services.extend(pack.services.iter().map(|unit| {
            let (active, enabled) = if root.is_host() { unit_is(unit) } else { (false, false) };
            let action = match (active, enabled) {
                (true, _) if touched => ServiceAction::Restart,
                (true, true) => ServiceAction::Keep,
                _ => ServiceAction::Start,
            };
            PlannedService { unit: unit.clone(), pack: pack.name.clone(), active, enabled, action }
        }));
    }
    services
}

/// Units of the installed version of the profile `name` that are not in `plan`.
pub(super) fn dropped(history: &History, name: &str, plan: &HostPlan) -> Vec<String> {
    let installed = history.of_profile(name).next().map(|entry| entry.receipt.services.as_slice()).unwrap_or_default();
    let wanted = |unit: &str| plan.services.iter().any(|service| service.unit == unit);
    installed.iter().filter(|service| !wanted(&service.unit)).map(|service| service.unit.clone()).collect()
}

/// What brings the units of `plan` up.
pub(super) fn start(plan: &HostPlan) -> Vec<Step> {
    let acted = plan.services.iter().filter(|service| service.action != ServiceAction::Keep);
    acted.map(|service| step(&service.unit, service.action == ServiceAction::Restart)).collect()
}

/// What takes that back, before files are put back: units that did not run do not.
pub(super) fn undo(plan: &HostPlan) -> Vec<Step> {
    let fresh = plan.services.iter().filter(|service| !service.active && !service.enabled);
    fresh.map(|service| Step::Disable { unit: service.unit.clone() }).collect()
}

/// What brings up again what ran before, after files were put back.
pub(super) fn again(plan: &HostPlan) -> Vec<Step> {
    let acted = plan.services.iter().filter(|service| service.active && service.action == ServiceAction::Restart);
    let again = acted.map(|service| step(&service.unit, true));
    again.chain(plan.dropped_services.iter().map(|unit| step(unit, false))).collect()
}

/// What a receipt has to say of the units. What was before the installation, `installed` knows where it has the unit.
pub(super) fn receipt_services(plan: &HostPlan, installed: Option<&Receipt>) -> Vec<ReceiptService> {
    let of = |service: &PlannedService| {
        let known = installed.and_then(|receipt| receipt.services.iter().find(|known| known.unit == service.unit));
        let (was_active, was_enabled) =
            known.map_or((service.active, service.enabled), |known| (known.was_active, known.was_enabled));
        ReceiptService { unit: service.unit.clone(), pack: service.pack.clone(), was_active, was_enabled }
    };
    plan.services.iter().map(of).collect()
}

fn step(unit: &str, restart: bool) -> Step {
    Step::Start { unit: unit.to_owned(), restart }
}
