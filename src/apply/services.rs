//! Which units run, and what has to be done for it: those of packs, and the distribution's steps.

use super::history::History;
use super::plan::{HostPlan, PlannedService, ServiceAction};
use super::receipt::{Receipt, ReceiptService};
use super::transaction::unit_is;
use crate::bundle::{Contents, ResolvedPack, ResolvedProfile};
use crate::distro::{Setup, Step};
use crate::host::Root;

/// What becomes of the units of a profile's packs. In a system that is prepared, all of them wait for its first start.
pub(super) fn planned(profile: &ResolvedProfile, root: &Root, plan: &HostPlan) -> Vec<PlannedService> {
    let of = |pack: &ResolvedPack| {
        let touched = plan.touches(pack);
        pack.services.iter().map(|unit| one(unit, &pack.name, touched, root)).collect::<Vec<_>>()
    };
    profile.packs.iter().flat_map(of).collect()
}

/// What becomes of the units of the distribution.
pub(super) fn of_cluster(contents: &Contents, setup: &Setup, root: &Root, plan: &HostPlan) -> Vec<PlannedService> {
    let (name, _) = super::cluster::distribution(contents);
    let touched = contents.profile.packs.iter().any(|pack| pack.name == name && plan.touches(pack));
    let units = setup.start.iter().filter_map(Step::unit);
    units.map(|unit| one(unit, name, touched, root)).collect()
}

fn one(unit: &str, pack: &str, touched: bool, root: &Root) -> PlannedService {
    let (active, enabled) = if root.is_host() { unit_is(unit) } else { (false, false) };
    let action = match (active, enabled) {
        (true, _) if touched => ServiceAction::Restart,
        (true, true) => ServiceAction::Keep,
        _ => ServiceAction::Start,
    };
    PlannedService { unit: unit.to_owned(), pack: pack.to_owned(), active, enabled, action }
}

/// Units of the installed version of the profile `name` that are neither in `plan` nor in what is installed of other profiles.
pub(super) fn dropped(history: &History, name: &str, plan: &HostPlan) -> Vec<String> {
    let installed = history.of_profile(name).next().map(|entry| entry.receipt.services.as_slice()).unwrap_or_default();
    let others: Vec<String> = history.others(name).into_iter().flat_map(|entry| entry.receipt.units()).collect();
    let wanted = |unit: &str| plan.units().any(|service| service.unit == unit) || others.iter().any(|one| one == unit);
    installed.iter().filter(|service| !wanted(&service.unit)).map(|service| service.unit.clone()).collect()
}

/// What brings up the distribution, and then the units of packs.
pub(super) fn start(plan: &HostPlan, setup: &Setup) -> Vec<Step> {
    let cluster = setup.start.iter().filter_map(|step| match step {
        Step::Start { unit, .. } => {
            let service = plan.cluster.iter().find(|service| service.unit == *unit)?;
            (service.action != ServiceAction::Keep).then(|| started(unit, service.action == ServiceAction::Restart))
        }
        // They can be done again, and manifests among them may have changed.
        other => Some(other.clone()),
    });
    let acted = plan.services.iter().filter(|service| service.action != ServiceAction::Keep);
    cluster.chain(acted.map(|service| started(&service.unit, service.action == ServiceAction::Restart))).collect()
}

/// What takes up again what was in files that are gone: the steps of what was installed that are not among `wanted`.
pub(super) fn unload(installed: Option<&Receipt>, wanted: &[Step]) -> Vec<Step> {
    let before = installed.iter().flat_map(|receipt| loads(&receipt.start));
    before.filter(|step| !wanted.contains(step)).collect()
}

fn loads(steps: &[Step]) -> impl Iterator<Item = Step> {
    steps.iter().filter(|step| matches!(step, Step::Load { .. })).cloned()
}

/// What takes that back, before files are put back: units that did not run do not, and what programs have done is undone.
pub(super) fn undo(plan: &HostPlan, setup: &Setup, root: &Root) -> Vec<Step> {
    let fresh = plan.services.iter().filter(|service| !service.active && !service.enabled);
    let mut undo: Vec<Step> = fresh.map(|service| Step::Disable { unit: service.unit.clone() }).collect();
    undo.extend(setup.start.iter().rev().filter_map(|step| match step {
        Step::Start { unit, .. } => {
            let service = plan.cluster.iter().find(|service| service.unit == *unit)?;
            (!service.active && !service.enabled).then(|| Step::Disable { unit: unit.clone() })
        }
        Step::Run { what, unless, undo: Some(command), seconds, .. } => {
            let done = unless.as_ref().is_some_and(|path| root.resolve(path).is_ok_and(|path| path.exists()));
            let (what, command) = (format!("undo: {what}"), command.clone());
            (!done).then_some(Step::Run { what, command, unless: None, undo: None, seconds: *seconds })
        }
        _ => None,
    }));
    undo
}

/// What takes up files that were put back, and brings up again what ran before.
pub(super) fn again(plan: &HostPlan, setup: &Setup, installed: Option<&Receipt>) -> Vec<Step> {
    let mut again: Vec<Step> = loads(&setup.start).collect();
    again.extend(unload(installed, &again));
    if plan.cluster.iter().any(|service| service.active && service.action == ServiceAction::Restart) {
        again.extend(installed.iter().flat_map(|receipt| restarting(&receipt.start)));
    }
    let acted = plan.services.iter().filter(|service| service.active && service.action == ServiceAction::Restart);
    again.extend(acted.map(|service| started(&service.unit, true)));
    again.extend(plan.dropped_services.iter().map(|unit| started(unit, false)));
    again
}

/// The steps that bring a distribution up, where it runs with other files.
pub(super) fn restarting(steps: &[Step]) -> Vec<Step> {
    let restart = |step: &Step| match step {
        Step::Start { unit, .. } => started(unit, true),
        other => other.clone(),
    };
    steps.iter().map(restart).collect()
}

/// What a receipt has to say of the units of packs. What was before the installation, `installed` knows where it has the unit.
pub(super) fn receipt_services(plan: &HostPlan, installed: Option<&Receipt>) -> Vec<ReceiptService> {
    let of = |service: &PlannedService| {
        let known = installed.and_then(|receipt| receipt.services.iter().find(|known| known.unit == service.unit));
        let (was_active, was_enabled) =
            known.map_or((service.active, service.enabled), |known| (known.was_active, known.was_enabled));
        ReceiptService { unit: service.unit.clone(), pack: service.pack.clone(), was_active, was_enabled }
    };
    plan.services.iter().map(of).collect()
}

fn started(unit: &str, restart: bool) -> Step {
    Step::Start { unit: unit.to_owned(), restart }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(what: &str) -> Step {
        Step::Load { what: what.to_owned(), command: vec!["true".to_owned()], seconds: 1 }
    }

    #[test]
    fn what_is_in_files_is_taken_up_again_after_they_are_back() {
        let mut installed = Receipt::empty("shop", "1.0.0");
        installed.start = vec![load("authorities"), load("modules"), started("k3s.service", false)];
        let setup = Setup { start: vec![load("authorities"), started("k3s.service", false)], ..Setup::default() };
        let plan = HostPlan::default();
        let root = Root::new(std::path::Path::new("/")).unwrap();
        assert_eq!(undo(&plan, &setup, &root), [], "files are not back yet");
        assert_eq!(again(&plan, &setup, None), [load("authorities")]);
        assert_eq!(again(&plan, &setup, Some(&installed)), [load("authorities"), load("modules")]);
        assert_eq!(unload(Some(&installed), &setup.start), [load("modules")]);
    }
}
