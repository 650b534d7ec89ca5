//! The units and the distribution on the way back: what stops, what starts, and the cluster's state.

use super::{Finder, Goal, Revert};
use crate::apply::claims::{Claim, Prior};
use crate::apply::configuration::with_configuration;
use crate::apply::receipt::ReceiptService;
use crate::apply::services;
use crate::apply::states;
use crate::apply::transaction::{Record, unit_is};
use crate::distro::{SAVED, Step};

impl Finder<'_> {
    /// What takes the distribution away, where no other profile has it.
    pub(super) fn unmade(&self) -> impl Iterator<Item = &Step> {
        let others = self.history.others(&self.current.receipt.name);
        let theirs = move |step: &Step| others.iter().any(|entry| entry.receipt.remove.contains(step));
        self.current.receipt.remove.iter().filter(move |step| !theirs(step))
    }

    /// Why a step does not remove what it would: nothing where it does, and no text where there is nothing to keep.
    pub(super) fn kept(&self, step: &Step) -> Option<Option<String>> {
        let Step::Remove { path } = step else { return None };
        let known = self.current.receipt.claims.iter().find(|claim| claim.path == *path);
        let claim = known.cloned().unwrap_or_else(|| Claim::new(path, Prior::Unknown));
        let why = claim.keeps()?;
        Some(claim.has_content(self.root).then(|| format!("{path} stays: {why}")))
    }

    pub(super) fn units(&self, goal: Goal, revert: &mut Revert) {
        let current = &self.current.receipt;
        let services = self.target.map(|entry| entry.receipt.services.clone()).unwrap_or_default();
        let record = &mut revert.record;
        let others = self.history.others(&current.name);
        let elsewhere: Vec<String> = others.iter().flat_map(|entry| entry.receipt.units()).collect();
        let stays = |unit: &String| services.iter().any(|other| other.unit == *unit) || elsewhere.contains(unit);
        for service in current.services.iter().filter(|one| !stays(&one.unit)) {
            if !service.was_active && !service.was_enabled {
                revert.stopped.push(service.unit.clone());
            }
            leave(service, record);
        }
        // A unit of the distribution goes with its file: another version may have given the machine another part in the cluster.
        let kept: Vec<&str> =
            self.target.iter().flat_map(|entry| entry.receipt.start.iter().filter_map(Step::unit)).collect();
        let gone = |unit: &&str| !kept.contains(unit) && !elsewhere.iter().any(|other| other == unit);
        for unit in current.start.iter().filter_map(Step::unit).filter(gone).filter(|_| goal == Goal::Before) {
            if revert.removed.iter().any(|removal| removal.path.ends_with(&format!("/{unit}"))) {
                revert.stopped.push(unit.to_owned());
                record.stop.push(Step::Disable { unit: unit.to_owned() });
            }
        }
        let changed = !revert.restored.is_empty() || !revert.removed.is_empty() || !revert.names.is_empty();
        match goal {
            Goal::Nothing => {
                // In a root that is not the host, nothing of it is done.
                let host = self.unmade().filter(|_| self.root.is_host());
                let (kept, done): (Vec<&Step>, Vec<&Step>) = host.partition(|step| self.kept(step).is_some());
                record.remove = done.into_iter().cloned().collect();
                record.claims.clone_from(&current.claims);
                revert.kept = kept.into_iter().filter_map(|step| self.kept(step)?).collect();
                // What a program of the distribution removes, and leaves there.
                let removed: Vec<&Step> = self.unmade().collect();
                let others = current.claims.iter().filter(|_| self.root.is_host() && !removed.is_empty());
                let others = others.map(|claim| Step::Remove { path: claim.path.clone() });
                let others = others.filter(|step| !removed.contains(&step));
                revert.kept.extend(others.filter_map(|step| self.kept(&step)?));
                revert.steps = record.remove.iter().map(Step::to_string).collect();
            }
            Goal::Before => {
                record.claims.clone_from(&current.claims);
                self.state(revert);
            }
            Goal::Installed => {}
        }
        let record = &mut revert.record;
        let cluster = self.target.map(|entry| entry.receipt.start.clone()).unwrap_or_default();
        if self.root.is_host() && (changed || goal != Goal::Installed) {
            record.start.extend(services::unload(Some(current), &cluster));
        }
        let down = |step: &Step| matches!(step, Step::Start { unit, .. } if unit_is(unit) != (true, true));
        if changed || goal == Goal::Before {
            let others = if goal == Goal::Before { current.start.as_slice() } else { &[] };
            record.start.extend(with_configuration(services::restarting(&cluster), others));
        } else if self.root.is_host() && cluster.iter().any(down) {
            let started = cluster.iter().filter(|step| down(step)).filter_map(Step::unit);
            revert.started.extend(started.map(str::to_owned));
            record.start.extend(cluster);
        }
        for service in services {
            let (active, enabled) = if self.root.is_host() { unit_is(&service.unit) } else { (false, false) };
            if !current.services.iter().any(|known| known.unit == service.unit) && !elsewhere.contains(&service.unit) {
                record.undo.push(Step::Disable { unit: service.unit.clone() });
            }
            if changed || !active || !enabled {
                revert.started.push(service.unit.clone());
                record.start.push(Step::Start { unit: service.unit, restart: active });
            }
        }
        record.guarded = current.units().collect();
        record.again = services::restarting(&current.start);
        let again = |service: &ReceiptService| Step::Start { unit: service.unit.clone(), restart: true };
        record.again.extend(current.services.iter().map(again));
    }

    /// Puts the cluster's state back that was saved before the installed version came, and saves the one that is there, so that
    /// it can come back where this fails.
    fn state(&self, revert: &mut Revert) {
        let current = &self.current.receipt;
        let Some(saved) = &current.saved else { return };
        if saved.restore.is_empty() {
            revert.state_by_hand = Some(saved.clone());
            return;
        }
        if !self.root.place(&saved.folder).is_ok_and(|folder| folder.is_folder()) {
            let gone = format!("{}: the copy of the cluster's state is not on this host any more", saved.folder);
            revert.missing.push(gone);
            return;
        }
        if let Some(save) = &current.state {
            let folder = states::unused(self.root, self.history.next_number());
            revert.record.stop.extend(states::saving(save, &folder));
            revert.record.restore = save.restore.iter().map(|step| step.with(SAVED, &folder)).collect();
            revert.record.discarded.push(folder);
        }
        revert.record.start.extend(saved.restore.iter().map(|step| step.with(SAVED, &saved.folder)));
        revert.record.discarded.push(saved.folder.clone());
        revert.state_of = Some(saved.made.clone());
    }
}

/// A unit becomes what it was before it was ours, with its own files where the host had some.
fn leave(service: &ReceiptService, record: &mut Record) {
    let unit = service.unit.clone();
    match (service.was_active, service.was_enabled) {
        (true, true) => record.start.push(Step::Start { unit, restart: true }),
        (true, false) => {
            record.start.push(Step::Start { unit: unit.clone(), restart: true });
            record.start.push(Step::Enabled { unit, enabled: false });
        }
        (false, true) => {
            record.stop.push(Step::Stop { unit: unit.clone() });
            record.start.push(Step::Enabled { unit, enabled: true });
        }
        (false, false) => record.stop.push(Step::Disable { unit }),
    }
}
