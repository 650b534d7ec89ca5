//! From what was read to what a profile is made of: which objects and charts, and in which form.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::decide::{Decider, Reason, ReleaseName, is_of_distribution};
use super::images::{Pinned, Runs};
use super::notes::LeftOut;
use super::packs::Manifests;
use super::releases::{Chart, Release};
use super::secrets::Secrets;
use super::unresolved::Unresolved;
use super::{ClusterError, Exported, Object, Snapshot, Wanted, clean, decide, images, layers, releases, text};
use crate::folder::ProfileFolder;

/// The profile on its way.
pub(super) struct Composer<'s> {
    pub(super) wanted: &'s Wanted,
    pub(super) decider: Decider<'s>,
    pub(super) runs: Runs<'s>,
    pub(super) secrets: Secrets,
    pub(super) folder: ProfileFolder,
    /// What a person must decide before the profile is of use.
    pub(super) decisions: Vec<String>,
    /// The same of what no cluster of its kind tells; in the file only.
    pub(super) reminders: Vec<String>,
    pub(super) warnings: Vec<String>,
    pub(super) left: LeftOut,
    pub(super) unresolved: Unresolved,
    /// Manifests by namespace; those of no namespace under nothing.
    pub(super) manifests: BTreeMap<Option<String>, Manifests>,
    /// Images that no manifest names, by namespace.
    pub(super) listed: BTreeMap<String, BTreeSet<String>>,
    /// The same of releases.
    pub(super) of_releases: BTreeMap<ReleaseName, BTreeSet<String>>,
    pub(super) objects: usize,
    pub(super) pinned: usize,
}

pub(super) fn compose(snapshot: &Snapshot, wanted: &Wanted) -> Result<Exported, ClusterError> {
    let (releases, warnings) = releases::all(&snapshot.objects);
    let mut composer = Composer {
        wanted,
        decider: Decider { wanted: Some(wanted), ..Decider::default() },
        runs: Runs::of(&snapshot.objects),
        secrets: if wanted.secrets { Secrets::shown() } else { Secrets::of(&snapshot.objects) },
        folder: ProfileFolder::new(),
        decisions: Vec::new(),
        reminders: Vec::new(),
        warnings,
        left: LeftOut::default(),
        unresolved: Unresolved::default(),
        manifests: BTreeMap::new(),
        listed: BTreeMap::new(),
        of_releases: BTreeMap::new(),
        objects: 0,
        pinned: 0,
    };
    composer.missing_namespaces(snapshot);
    let charts = composer.charts(releases);
    let needed = composer.needed_definitions(snapshot);
    let kept = snapshot.objects.iter().filter(|object| match composer.decider.reason(object) {
        Some(reason) => {
            if reason == Reason::System {
                composer.decisions.extend(layers::left_out(object));
            }
            composer.left.add(reason, object);
            false
        }
        None => needed.as_ref().is_none_or(|needed| {
            !object.is("apiextensions.k8s.io", "CustomResourceDefinition") || needed.contains(object.name())
        }),
    });
    let kept: Vec<&Object> = kept.collect();
    for object in &kept {
        composer.object(object)?;
    }
    composer.list_the_rest(&kept);
    composer.finish(snapshot, charts)
}

impl<'s> Composer<'s> {
    /// Sorts the releases: those whose charts are exported are returned, the others' objects are exported one by one.
    fn charts(&mut self, releases: Vec<Release>) -> Vec<(ReleaseName, Chart, serde_json::Map<String, Value>)> {
        let mut charts = Vec::new();
        for Release { name, chart, values } in releases {
            let shown = format!("Helm release {}/{}", name.0, name.1);
            if self.decider.is_system(&name.0) && is_of_distribution(&name) {
                self.decider.of_distribution.insert(name);
                continue;
            }
            let chart = chart.and_then(|chart| self.without_secrets(chart));
            let taken = text::is_taken_for_placeholder(&Value::Object(values.clone()));
            match chart {
                Ok(chart) if !taken => {
                    self.decider.charts.insert(name.clone());
                    let definitions = chart.definitions.iter().map(|definition| (definition.clone(), name.clone()));
                    self.decider.definitions.extend(definitions);
                    charts.push((name, chart, values));
                }
                Ok(_) => self.warnings.push(format!(
                    "{shown}: its values have a text that Carrack would take for a placeholder, {{{{.carrack…}}}}; its \
                     objects are exported without its chart"
                )),
                Err(reason) => self.warnings.push(format!(
                    "{shown}: no chart can be made of it: {reason}; its objects are exported one by one, without what \
                     they are made of"
                )),
            }
        }
        charts
    }

    /// `chart`, unless a file of it has what is in a secret: it goes out as it is.
    fn without_secrets(&self, chart: Chart) -> Result<Chart, String> {
        match chart.files.iter().find(|(_, content)| self.secrets.are_in(content)) {
            Some((path, _)) => Err(format!("its file {path} has the value of a secret")),
            None => Ok(chart),
        }
    }

    /// Tells of namespaces that are wanted and not there, where that can be known.
    fn missing_namespaces(&mut self, snapshot: &Snapshot) {
        let there: BTreeSet<&str> =
            snapshot.objects.iter().filter(|object| object.is("", "Namespace")).map(Object::name).collect();
        let unknown = snapshot.failures.iter().any(|failure| failure.what == "Namespace");
        let missing = self.wanted.namespaces.iter().filter(|name| !unknown && !there.contains(&***name));
        self.warnings.extend(missing.map(|name| format!("Namespace {name} is not there")));
    }

    /// Where only some namespaces are wanted: the resource definitions that the objects there need.
    fn needed_definitions(&self, snapshot: &Snapshot) -> Option<BTreeSet<String>> {
        let custom = snapshot.objects.iter().filter(|object| object.kind.is_custom());
        let names = custom.map(|object| format!("{}.{}", object.kind.plural, object.kind.group));
        (!self.wanted.namespaces.is_empty()).then(|| names.collect())
    }

    fn object(&mut self, object: &'s Object) -> Result<(), ClusterError> {
        let mut value = clean::clean(object);
        let Pinned { count, warnings, others } = self.runs.pin(object, &mut value);
        self.pinned += count;
        self.warnings.extend(warnings);
        if !others.is_empty() {
            self.listed.entry(object.namespace().unwrap_or_default().to_owned()).or_default().extend(others);
        }
        let secret = object.is("", "Secret");
        if text::is_taken_for_placeholder(&value) {
            value = text::marked(&value);
            // Of a secret, not even that is told.
            if !secret {
                let message = "has a text like {{.carrack…}}, which is kept and is no placeholder";
                self.warnings.push(format!("{object}: {message}"));
            }
        }
        if !self.wanted.secrets {
            match secret {
                true => {
                    let dropped = self.secrets.of_secret(object, &mut value);
                    let told = |name| format!("{object}: its annotation {name} is left out, as it repeats its values");
                    self.warnings.extend(dropped.iter().map(told));
                }
                false => self.secrets.hide_known(&mut value),
            }
        }
        let written =
            text::written(&value).map_err(|source| ClusterError::Text { what: object.to_string(), source })?;
        self.unresolved.look_at(object, &written);
        self.manifests.entry(object.namespace().map(str::to_owned)).or_default().add(object, written);
        self.objects += 1;
        Ok(())
    }

    /// Lists what runs for objects that are not in manifests: those of charts, and those that an operator makes.
    fn list_the_rest(&mut self, kept: &[&Object]) {
        let kept: BTreeSet<&str> = kept.iter().filter_map(|object| object.uid()).collect();
        for (root, running) in self.runs.roots() {
            let in_manifest = root.pod_spec_path().is_some() && root.uid().is_some_and(|uid| kept.contains(uid));
            let release = decide::release_of(root).filter(|release| self.decider.charts.contains(release));
            for running in running.iter().filter(|_| !in_manifest) {
                let namespace = running.pod.split('/').next().unwrap_or_default();
                if release.is_none() && self.decider.is_system(namespace) {
                    continue;
                }
                let mut pinned = Pinned::default();
                images::list(running, &mut pinned);
                self.warnings.extend(pinned.warnings);
                match &release {
                    Some(release) => self.of_releases.entry(release.clone()).or_default().extend(pinned.others),
                    None => self.listed.entry(namespace.to_owned()).or_default().extend(pinned.others),
                }
            }
        }
    }
}
