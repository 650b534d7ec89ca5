//! From what was read to a profile's folder.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::decide::{Decider, ReleaseName, is_of_distribution};
use super::images::{Pinned, Runs};
use super::notes::LeftOut;
use super::packs::{Manifests, Names, label};
use super::releases::{Chart, Release};
use super::secrets::Secrets;
use super::unresolved::Unresolved;
use super::{ClusterError, Exported, Object, Snapshot, Wanted, clean, decide, images, nodes, notes, releases, text};
use crate::folder::ProfileFolder;
use crate::profile::schema::{self, ClusterProfile, Layer, Metadata, Pack, PackItem, Spec, Values};
use crate::profile::{API_VERSION, FILE_NAME};
use crate::yaml;

/// The profile on its way.
struct Composer<'s> {
    wanted: &'s Wanted,
    decider: Decider<'s>,
    runs: Runs<'s>,
    secrets: Secrets,
    folder: ProfileFolder,
    warnings: Vec<String>,
    left: LeftOut,
    unresolved: Unresolved,
    /// Manifests by namespace; those of no namespace under nothing.
    manifests: BTreeMap<Option<String>, Manifests>,
    /// Images that no manifest names, by namespace.
    listed: BTreeMap<String, BTreeSet<String>>,
    /// The same of releases.
    of_releases: BTreeMap<ReleaseName, BTreeSet<String>>,
    objects: usize,
    pinned: usize,
}

pub(super) fn compose(snapshot: &Snapshot, wanted: &Wanted) -> Result<Exported, ClusterError> {
    let (releases, warnings) = releases::all(&snapshot.objects);
    let mut composer = Composer {
        wanted,
        decider: Decider { wanted: Some(wanted), ..Decider::default() },
        runs: Runs::of(&snapshot.objects),
        secrets: if wanted.secrets { Secrets::shown() } else { Secrets::of(&snapshot.objects) },
        folder: ProfileFolder::new(),
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

    fn finish(
        mut self,
        snapshot: &Snapshot,
        charts: Vec<(ReleaseName, Chart, serde_json::Map<String, Value>)>,
    ) -> Result<Exported, ClusterError> {
        let nodes = nodes::of(snapshot);
        let (mut names, mut packs) = (Names::default(), Vec::new());
        match nodes::distribution(&nodes) {
            Ok((word, distribution, version)) => packs.push(Pack {
                name: names.give(&[word]),
                layer: Layer::K8s,
                version: Some(version),
                distribution: Some(distribution),
                api_versions: nodes::api_versions(snapshot),
                ..Pack::default()
            }),
            Err(reason) => {
                self.warnings.push(format!("No pack on layer k8s: {reason}; add one, with its files and images"));
            }
        }
        if let Some(manifests) = self.manifests.remove(&None) {
            let name = names.give(&["cluster"]);
            packs.push(self.manifest_pack(name, manifests, BTreeSet::new())?);
        }
        let releases = charts.len();
        for (release, chart, values) in charts {
            let name = names.give(&[&release.1, &format!("{}-{}", release.1, release.0)]);
            packs.push(self.chart_pack(name, release, chart, values)?);
        }
        let namespaces: BTreeSet<String> = self.manifests.keys().flatten().chain(self.listed.keys()).cloned().collect();
        for namespace in namespaces {
            let name = names.give(&[&namespace, &format!("{namespace}-objects")]);
            let manifests = self.manifests.remove(&Some(namespace.clone())).unwrap_or_default();
            let listed = self.listed.remove(&namespace).unwrap_or_default();
            packs.push(self.manifest_pack(name, manifests, listed)?);
        }
        if self.objects + releases == 0 && packs.iter().all(|pack| pack.images.is_none()) {
            let reason = "all that could be read is what every cluster has or the system's own";
            return Err(ClusterError::Empty { reason: reason.to_owned() });
        }
        let platforms = nodes::platforms(&nodes);
        if platforms.is_none() {
            let message = "No node tells its platform; the profile is for linux/amd64";
            self.warnings.push(message.to_owned());
        }
        self.profile(snapshot, platforms, packs, releases)
    }

    fn profile(
        mut self,
        snapshot: &Snapshot,
        platforms: Option<Vec<String>>,
        packs: Vec<Pack>,
        releases: usize,
    ) -> Result<Exported, ClusterError> {
        let name = Some(label(&snapshot.name)).filter(|name| !name.is_empty()).unwrap_or_else(|| "cluster".to_owned());
        self.warnings.extend(self.unresolved.warnings());
        let ignore_images = std::mem::take(&mut self.unresolved).ignored();
        let variables = std::mem::take(&mut self.secrets.variables);
        let names = variables.iter().map(|variable| variable.name.clone()).collect();
        let profile = ClusterProfile {
            api_version: API_VERSION.to_owned(),
            kind: "ClusterProfile".to_owned(),
            metadata: Metadata {
                name,
                version: "0.1.0".to_owned(),
                description: Some("Exported from a running cluster; see NOT-EXPORTED.md".to_owned()),
            },
            spec: Spec {
                platforms,
                variables: (!variables.is_empty()).then_some(variables),
                packs: packs.into_iter().map(|pack| PackItem::Here(Box::new(pack))).collect(),
                ignore_images,
                ..Spec::default()
            },
        };
        self.add(FILE_NAME, written(FILE_NAME, &profile)?)?;
        self.warnings.sort();
        self.warnings.dedup();
        let notes = notes::text(&snapshot.failures, &self.warnings, &self.left, self.wanted.secrets);
        self.add(notes::FILE_NAME, notes)?;
        let failures = snapshot.failures.iter().map(|failure| format!("not read: {failure}"));
        let warnings = failures.chain(self.warnings).collect();
        let Self { folder, objects, pinned, .. } = self;
        Ok(Exported { folder, warnings, objects, releases, pinned, variables: names })
    }

    fn manifest_pack(
        &mut self,
        name: String,
        manifests: Manifests,
        listed: BTreeSet<String>,
    ) -> Result<Pack, ClusterError> {
        let mut paths = Vec::new();
        for (file, text) in manifests.files() {
            let path = format!("{name}/{file}");
            self.add(&path, text)?;
            paths.push(path);
        }
        let manifests = (!paths.is_empty()).then_some(paths);
        let images = (!listed.is_empty()).then(|| listed.into_iter().collect());
        Ok(Pack { name, manifests, images, ..Pack::default() })
    }

    fn chart_pack(
        &mut self,
        name: String,
        release: ReleaseName,
        chart: Chart,
        mut values: serde_json::Map<String, Value>,
    ) -> Result<Pack, ClusterError> {
        if !self.wanted.secrets {
            self.secrets.hide_values(&release.1, &mut values);
        }
        let folder = format!("{name}/chart/{}", chart.name);
        for (path, content) in chart.files {
            self.folder.add(format!("{folder}/{path}"), content)?;
        }
        let mut files = None;
        if !values.is_empty() {
            let path = format!("{name}/values.yaml");
            let text = written(&path, &Value::Object(values))?;
            self.add(&path, text)?;
            files = Some(vec![Values::File(path)]);
        }
        let images = self.of_releases.remove(&release).filter(|images| !images.is_empty());
        let (namespace, release) = release;
        let version = chart.version;
        let chart = schema::Chart {
            source: Some(folder),
            release: Some(release),
            namespace: Some(namespace),
            values: files,
            ..schema::Chart::default()
        };
        Ok(Pack {
            name,
            version: Some(version),
            chart: Some(chart),
            images: images.map(|images| images.into_iter().collect()),
            ..Pack::default()
        })
    }

    fn add(&mut self, path: &str, text: String) -> Result<(), ClusterError> {
        match self.wanted.secrets {
            true => self.folder.add_secret(path, text)?,
            false => self.folder.add(path, text)?,
        }
        Ok(())
    }
}

fn written<T: serde::Serialize>(what: &str, value: &T) -> Result<String, ClusterError> {
    yaml::written(value).map_err(|source| ClusterError::Text { what: what.to_owned(), source })
}
