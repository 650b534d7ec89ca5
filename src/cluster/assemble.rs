//! From what was made of a cluster to the packs and files of its profile.

use std::collections::BTreeSet;

use serde_json::Value;

use super::compose::Composer;
use super::decide::{ReleaseName, release_of};
use super::distribution::Recognised;
use super::packs::{Manifests, Names, label};
use super::releases::Chart;
use super::{ClusterError, Exported, Object, Snapshot, configuration, distribution, layers, nodes, notes, own_images};
use crate::profile::schema::{
    self, ClusterProfile, Distribution, Layer, ListedImage, Metadata, Pack, PackItem, Spec, Values,
};
use crate::profile::{API_VERSION, FILE_NAME};
use crate::yaml;

impl Composer<'_> {
    pub(super) fn finish(
        mut self,
        snapshot: &Snapshot,
        charts: Vec<(ReleaseName, Chart, serde_json::Map<String, Value>)>,
    ) -> Result<Exported, ClusterError> {
        let nodes = nodes::of(snapshot);
        let (mut names, mut packs) = (Names::default(), Vec::new());
        match distribution::recognise(&nodes, &snapshot.objects, self.wanted) {
            Ok(recognised) => {
                let name = names.give(&[recognised.word]);
                packs.push(self.distribution_pack(name, recognised, snapshot, &nodes));
            }
            Err(reason) => {
                self.decisions.push(format!("No pack on layer k8s: {reason}; add one, with its files and images"));
            }
        }
        if let Some(manifests) = self.manifests.remove(&None) {
            let name = names.give(&["cluster"]);
            packs.push(self.manifest_pack(name, manifests, BTreeSet::new())?);
        }
        let releases = charts.len();
        for (release, chart, values) in charts {
            let name = names.give(&[&release.1, &format!("{}-{}", release.1, release.0)]);
            let sets =
                layers::sets(&snapshot.objects, &release.0).filter(|set| release_of(set).as_ref() == Some(&release));
            let layer = layers::of(Some(&chart.name), sets);
            packs.push(Pack { layer, ..self.chart_pack(name, release, chart, values)? });
        }
        let namespaces: BTreeSet<String> = self.manifests.keys().flatten().chain(self.listed.keys()).cloned().collect();
        for namespace in namespaces {
            let name = names.give(&[&namespace, &format!("{namespace}-objects")]);
            let manifests = self.manifests.remove(&Some(namespace.clone())).unwrap_or_default();
            let listed = self.listed.remove(&namespace).unwrap_or_default();
            // Those of releases and of the distribution have their packs.
            let kept = layers::sets(&snapshot.objects, &namespace).filter(|set| self.decider.reason(set).is_none());
            let layer = layers::of(None, kept);
            packs.push(Pack { layer, ..self.manifest_pack(name, manifests, listed)? });
        }
        if self.objects + releases == 0
            && packs.iter().all(|pack| pack.images.is_none() || matches!(pack.layer, Layer::K8s))
        {
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

    /// The pack of the distribution itself.
    fn distribution_pack(&mut self, name: String, found: Recognised, snapshot: &Snapshot, nodes: &[&Object]) -> Pack {
        self.decisions.extend(found.decisions);
        let own = own_images::of(found.distribution, &self.runs, &self.decider, &snapshot.objects, nodes);
        self.decisions.extend(own.decisions);
        self.reminders.extend(own.reminders);
        let mut config = None;
        if found.distribution == Distribution::Kubeadm {
            let made = configuration::of_kubeadm(&snapshot.objects, &found.version);
            self.decisions.extend(made.decisions);
            let mut value = Value::Object(made.config);
            if !self.wanted.secrets {
                self.secrets.hide_known(&mut value);
            }
            config = value.as_object().filter(|config| !config.is_empty()).cloned();
        } else {
            self.reminders.push(format!(
                "The configuration of {} is in files of its machines, which no API server tells: put it into `config` of \
                 the pack {name}",
                found.word
            ));
        }
        let images: Vec<_> = own.references.into_iter().map(ListedImage::from).collect();
        Pack {
            name,
            layer: Layer::K8s,
            version: Some(found.version),
            distribution: Some(found.distribution),
            api_versions: nodes::api_versions(snapshot),
            config,
            images: (!images.is_empty()).then_some(images),
            ..Pack::default()
        }
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
        let decisions = [&*self.decisions, &*self.reminders].concat();
        let notes = notes::text(&decisions, &snapshot.failures, &self.warnings, &self.left, self.wanted.secrets);
        self.add(notes::FILE_NAME, notes)?;
        let failures = snapshot.failures.iter().map(|failure| format!("not read: {failure}"));
        let warnings = self.decisions.into_iter().chain(failures).chain(self.warnings).collect();
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
        let images = (!listed.is_empty()).then(|| listed.into_iter().map(Into::into).collect());
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
            images: images.map(|images| images.into_iter().map(Into::into).collect()),
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
