//! Which units run, and what has to be done for it: those of packs, and the distribution's steps.

use super::configuration::with_configuration;
use super::history::History;
use super::plan::{FileAction, HostPlan, PlannedService, ServiceAction};
use super::receipt::{Receipt, ReceiptService};
use super::survey::Survey;
use super::transaction::unit_is;
use crate::bundle::{Contents, ResolvedPack, ResolvedProfile};
use crate::distro::{DUMMY_ROUTE_UNIT, Setup, Step, gives_objects};
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
    // This one reads nothing of the others', and is not taken away from under what runs.
    let own = plan
        .files
        .iter()
        .any(|planned| planned.action != FileAction::Keep && planned.file.path.ends_with(DUMMY_ROUTE_UNIT));
    let touched = |unit: &str| if unit == DUMMY_ROUTE_UNIT { own } else { touched };
    let units = setup.start.iter().filter_map(Step::unit);
    units.map(|unit| one(unit, name, touched(unit), root)).collect()
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

/// Units of the installed version of the profile `name` that are neither in `plan` nor in what is installed of other profiles:
/// those of packs, and those of the distribution whose files are removed.
pub(super) fn dropped(history: &History, name: &str, plan: &HostPlan) -> Vec<String> {
    let Some(installed) = history.of_profile(name).next().map(|entry| &entry.receipt) else { return Vec::new() };
    let is_removed = |unit: &&str| plan.removals.iter().any(|removal| removal.path.ends_with(&format!("/{unit}")));
    let cluster = installed.start.iter().filter_map(Step::unit).filter(is_removed);
    let others: Vec<String> = history.others(name).into_iter().flat_map(|entry| entry.receipt.units()).collect();
    let wanted = |unit: &str| plan.units().any(|service| service.unit == unit) || others.iter().any(|one| one == unit);
    let units = cluster.chain(installed.services.iter().map(|service| service.unit.as_str()));
    units.filter(|unit| !wanted(unit)).map(str::to_owned).collect()
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

impl Survey {
    /// Whether anything is done on the machine once files are in place: in a system that is prepared, at its first start.
    pub fn has_to_start(&self) -> bool {
        !start(&self.plan, &self.setup).is_empty()
    }
}

/// What takes up again what was in files that are gone: the steps of what was installed that are not among `wanted`.
pub(super) fn unload(installed: Option<&Receipt>, wanted: &[Step]) -> Vec<Step> {
    let before = installed.iter().flat_map(|receipt| loads(&receipt.start));
    before.filter(|step| !wanted.contains(step)).collect()
}

fn loads(steps: &[Step]) -> impl Iterator<Item = Step> {
    steps.iter().filter(|step| matches!(step, Step::Load { .. })).cloned()
}

/// What takes that back, before files are put back: units that did not run do not, what programs have done is undone, and a
/// distribution that was not there goes with what it has made. `removable` says which of its folders may go; none where it was
/// there, or others count on its data.
pub(super) fn undo(plan: &HostPlan, setup: &Setup, root: &Root, removable: Option<&dyn Fn(&str) -> bool>) -> Vec<Step> {
    let mut undo: Vec<Step> = plan.services.iter().filter_map(ended).collect();
    undo.extend(setup.start.iter().rev().filter_map(|step| match step {
        Step::Start { unit, .. } => plan.cluster.iter().find(|service| service.unit == *unit).and_then(ended),
        Step::Run { unless, .. } => {
            let done = unless.as_ref().is_some_and(|path| root.exists(path));
            step.undone().filter(|_| !done)
        }
        _ => None,
    }));
    if let Some(removable) = removable {
        let is_undone = |step: &Step, undo: &[Step]| {
            undo.iter().any(|one| one.command().is_some() && one.command() == step.command())
        };
        for step in &setup.remove {
            match step {
                Step::Disable { .. } => {}
                Step::Remove { path } if !removable(path) => {}
                step if is_undone(step, &undo) => {}
                step => undo.push(step.clone()),
            }
        }
    }
    undo
}

/// What ends a unit that did not run.
fn ended(service: &PlannedService) -> Option<Step> {
    let unit = service.unit.clone();
    match (service.active, service.enabled) {
        (true, _) => None,
        (false, true) => Some(Step::Stop { unit }),
        (false, false) => Some(Step::Disable { unit }),
    }
}

/// What takes up files that were put back, and brings up again what ran before. A unit that ran without being enabled does so
/// again.
pub(super) fn again(plan: &HostPlan, setup: &Setup, installed: Option<&Receipt>) -> Vec<Step> {
    let mut again: Vec<Step> = loads(&setup.start).collect();
    again.extend(unload(installed, &again));
    if restarts_cluster(plan) {
        again.extend(cluster_again(plan, installed));
    } else {
        // What failed may have been that which the cluster had taken already.
        let start = installed.map(|receipt| receipt.start.as_slice()).unwrap_or_default();
        again.extend(start.iter().filter(|step| gives_objects(step)).cloned());
    }
    // It may have got another configuration by now.
    again = with_configuration(again, &setup.start);
    let acted = plan.services.iter().filter(|service| is_restarted(service));
    again.extend(acted.map(|service| started(&service.unit, true)));
    again.extend(plan.dropped_services.iter().map(|unit| started(unit, false)));
    let only_ran = plan.units().filter(|service| service.active && !service.enabled);
    again.extend(only_ran.map(|service| Step::Enabled { unit: service.unit.clone(), enabled: false }));
    again
}

/// Whether the distribution runs, and is started again.
pub(super) fn restarts_cluster(plan: &HostPlan) -> bool {
    plan.cluster.iter().any(is_restarted)
}

fn is_restarted(service: &PlannedService) -> bool {
    service.active && service.action == ServiceAction::Restart
}

/// What brings up again the installed distribution as it ran before. Receipts of the first installers do not say how, and where
/// a part of it did not run the rest cannot be waited for: then it is the units that ran.
pub(super) fn cluster_again(plan: &HostPlan, installed: Option<&Receipt>) -> Vec<Step> {
    let start = installed.map(|receipt| receipt.start.as_slice()).unwrap_or_default();
    let ran =
        |unit: &str| plan.cluster.iter().find(|service| service.unit == unit).is_none_or(|service| service.active);
    if !start.is_empty() && start.iter().filter_map(Step::unit).all(ran) {
        // Whether that works is not judged: it is as it was.
        return restarting(start).into_iter().filter(|step| !matches!(step, Step::Ready { .. })).collect();
    }
    let ran = plan.cluster.iter().filter(|service| service.active);
    ran.map(|service| started(&service.unit, true)).collect()
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
        assert_eq!(undo(&plan, &setup, &root, None), [], "files are not back yet");
        assert_eq!(again(&plan, &setup, None), [load("authorities")]);
        assert_eq!(again(&plan, &setup, Some(&installed)), [load("authorities"), load("modules")]);
        assert_eq!(unload(Some(&installed), &setup.start), [load("modules")]);
    }

    fn planned(unit: &str, active: bool, enabled: bool, action: ServiceAction) -> PlannedService {
        PlannedService { unit: unit.to_owned(), pack: "shop".to_owned(), active, enabled, action }
    }

    fn wait() -> Step {
        Step::Wait { what: "it is ready".to_owned(), command: vec!["true".to_owned()], seconds: 1 }
    }

    #[test]
    fn units_are_put_back_as_they_were() {
        let services = vec![
            planned("new.service", false, false, ServiceAction::Start),
            planned("ran.service", true, false, ServiceAction::Restart),
            planned("untouched.service", true, false, ServiceAction::Start),
            planned("waited.service", false, true, ServiceAction::Start),
            planned("both.service", true, true, ServiceAction::Restart),
        ];
        let plan = HostPlan { services: services.clone(), ..HostPlan::default() };
        let root = Root::new(std::path::Path::new("/")).unwrap();
        let ended =
            [Step::Disable { unit: "new.service".to_owned() }, Step::Stop { unit: "waited.service".to_owned() }];
        let disabled = |unit: &str| Step::Enabled { unit: unit.to_owned(), enabled: false };
        let back = [
            started("ran.service", true),
            started("both.service", true),
            disabled("ran.service"),
            disabled("untouched.service"),
        ];
        assert_eq!(undo(&plan, &Setup::default(), &root, None), ended);
        assert_eq!(again(&plan, &Setup::default(), None), back);

        let start = services.iter().map(|service| started(&service.unit, false)).collect();
        let plan = HostPlan { cluster: services, ..HostPlan::default() };
        let undone = undo(&plan, &Setup { start, ..Setup::default() }, &root, None);
        assert_eq!(undone.iter().rev().cloned().collect::<Vec<_>>(), ended);
    }

    #[test]
    fn a_distribution_that_was_not_there_goes_with_what_it_has_made() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::new(folder.path()).unwrap();
        let remove = |path: &str| Step::Remove { path: path.to_owned() };
        let disable = Step::Disable { unit: "k3s.service".to_owned() };
        let steps = [disable.clone(), load("end its containers"), remove("/var/lib/data"), remove("/run/k3s")];
        let start = vec![started("k3s.service", false)];
        let setup = Setup { start, remove: steps.to_vec(), ..Setup::default() };
        let cluster = vec![planned("k3s.service", false, false, ServiceAction::Start)];
        let plan = HostPlan { cluster, ..HostPlan::default() };
        let all: &dyn Fn(&str) -> bool = &|_| true;
        assert_eq!(undo(&plan, &setup, &root, Some(all)), steps);
        let one: &dyn Fn(&str) -> bool = &|path| path == "/run/k3s";
        assert_eq!(
            undo(&plan, &setup, &root, Some(one)),
            [&steps[..2], &steps[3..]].concat(),
            "the other is somebody's"
        );
        assert_eq!(undo(&plan, &setup, &root, None), [disable], "others may count on it");
    }

    #[test]
    fn what_a_step_undoes_is_not_done_twice() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::new(folder.path()).unwrap();
        let leave = vec!["kubeadm".to_owned(), "reset".to_owned()];
        let run = |command: &[String], undo: Option<Vec<String>>| Step::Run {
            what: "do it".to_owned(),
            command: command.to_vec(),
            unless: None,
            undo,
            seconds: 1,
        };
        let remove = Step::Remove { path: "/etc/kubernetes".to_owned() };
        let start = vec![run(&["kubeadm".to_owned(), "init".to_owned()], Some(leave.clone()))];
        let setup = Setup { start, remove: vec![run(&leave, None), remove.clone()], ..Setup::default() };
        let all: &dyn Fn(&str) -> bool = &|_| true;
        let undone = undo(&HostPlan::default(), &setup, &root, Some(all));
        assert_eq!(undone.iter().filter_map(Step::command).collect::<Vec<_>>(), [leave.as_slice()]);
        assert_eq!(undone.last(), Some(&remove));
    }

    #[test]
    fn the_distribution_of_an_older_receipt_is_started_again() {
        let cluster = vec![planned("k3s.service", true, true, ServiceAction::Restart)];
        let plan = HostPlan { cluster, ..HostPlan::default() };
        let mut installed = Receipt::empty("shop", "1.0.0");
        assert_eq!(again(&plan, &Setup::default(), Some(&installed)), [started("k3s.service", true)]);
        installed.start = vec![started("k3s.service", false), wait()];
        assert_eq!(again(&plan, &Setup::default(), Some(&installed)), [started("k3s.service", true), wait()]);
    }

    /// Whether it works is not judged then: it is as it was.
    #[test]
    fn a_cluster_is_given_its_objects_again() {
        let command = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let applied = command(&["kubectl", "apply", "--server-side", "--field-manager=carrack", "-f", "/shop.yaml"]);
        let manifest = Step::Wait { what: "the cluster takes it".to_owned(), command: applied, seconds: 1 };
        let ready = Step::Ready {
            kubectl: command(&["kubectl"]),
            node: "n1".to_owned(),
            everything: true,
            workloads: Vec::new(),
            releases: Vec::new(),
            seconds: 1,
        };
        let mut installed = Receipt::empty("shop", "1.0.0");
        installed.start = vec![started("kubelet.service", false), wait(), manifest.clone(), ready];
        assert_eq!(again(&HostPlan::default(), &Setup::default(), Some(&installed)), std::slice::from_ref(&manifest));
        let cluster = vec![planned("kubelet.service", true, true, ServiceAction::Restart)];
        let plan = HostPlan { cluster, ..HostPlan::default() };
        let all = [started("kubelet.service", true), wait(), manifest];
        assert_eq!(again(&plan, &Setup::default(), Some(&installed)), all);
    }

    #[test]
    fn a_distribution_that_ran_in_part_is_not_waited_for() {
        let cluster = vec![
            planned("containerd.service", true, true, ServiceAction::Restart),
            planned("kubelet.service", false, true, ServiceAction::Start),
        ];
        let plan = HostPlan { cluster, ..HostPlan::default() };
        let mut installed = Receipt::empty("shop", "1.0.0");
        installed.start = vec![started("containerd.service", false), started("kubelet.service", false), wait()];
        assert_eq!(again(&plan, &Setup::default(), Some(&installed)), [started("containerd.service", true)]);
    }
}
