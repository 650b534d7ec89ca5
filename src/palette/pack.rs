//! One pack of Palette's as a pack's folder of ours, in `packs/` of the profile's.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde_json::json;

use super::constraints::Known;
use super::descriptor::Descriptor;
use super::document::Ready;
use super::error::PaletteError;
use super::macros::Mapped;
use super::manifests::{self, Became, Manifest, Target};
use super::parts::{Part, Said};
use super::source::PackFolder;
use super::values::{self, PackValues};
use super::{Import, charts, constraints};
use crate::profile::schema::{self, Distribution, Layer, PackDocument, PackMetadata, PackSpec, SourcedPack};
use crate::profile::{API_VERSION, PACK_FILE_NAME};
use crate::yaml;

/// A pack, wherever it is from.
pub(super) struct Input<'i> {
    /// Palette's name.
    pub(super) palette: &'i str,
    /// Ours.
    pub(super) name: &'i str,
    pub(super) layer: Layer,
    pub(super) version: &'i str,
    /// Its folder, where it is there.
    pub(super) folder: Option<(PackFolder, Descriptor)>,
    /// Its values, and where they stand.
    pub(super) values: Option<(String, String)>,
    /// Manifests that a profile adds to it: name, place, text.
    pub(super) attached: Vec<(String, String, String)>,
    /// The chart that it is, where it is one from a registry of charts.
    pub(super) remote: Option<charts::Remote>,
    /// What to say of it where nothing else can be said.
    pub(super) place: String,
    pub(super) field: String,
    /// All packs of the profile.
    pub(super) packs: &'i Known,
}

/// Puts a pack into the profile's folder.
pub(super) fn place(import: &mut Import, mut input: Input<'_>) -> Result<SourcedPack, PaletteError> {
    let name = input.name.to_owned();
    let folder = format!("packs/{name}");
    let distribution = distribution(import, &input);
    let has_config = matches!(distribution, Some(Distribution::K3s | Distribution::Rke2 | Distribution::Kubeadm));
    let mut values = match input.values.take().filter(|(_, text)| !text.trim().is_empty()) {
        Some((place, text)) => values::read(import, &place, &text, has_config),
        None => PackValues::default(),
    };
    let version = semver::Version::parse(input.version.trim_start_matches('v'));
    let version = version.map_or("1.0.0".to_owned(), |version| version.to_string());
    let mut spec = PackSpec { layer: input.layer.clone(), distribution, ..PackSpec::default() };
    let mut build = Build {
        import,
        folder: &folder,
        palette: input.palette,
        version: &version,
        namespace: values.namespace.as_ref().map(|said| &*said.text),
        releases: &values.releases,
        released: BTreeSet::new(),
        manifests: Vec::new(),
        charts: Vec::new(),
    };
    build.namespaces(std::mem::take(&mut values.labels))?;
    let (charts, manifests) = (std::mem::take(&mut values.charts), std::mem::take(&mut values.manifests));
    build.parts(&mut input, charts, manifests, &mut spec)?;
    build.unused(values.namespace.as_ref());
    spec.manifests = Some(build.manifests).filter(|list| !list.is_empty());
    spec.charts = Some(build.charts).filter(|list| !list.is_empty());
    spec.images = Some(values.images.into_iter().map(Into::into).collect::<Vec<_>>()).filter(|list| !list.is_empty());
    let config = values.config.filter(|config| !config.is_empty());
    spec.config = config.as_ref().and_then(|config| config.value.as_object().cloned());
    let description = input.folder.and_then(|(_, descriptor)| descriptor.display_name);
    let document = PackDocument {
        api_version: API_VERSION.to_owned(),
        kind: "Pack".to_owned(),
        metadata: PackMetadata { name: name.clone(), version: input.version.to_owned(), description },
        spec,
    };
    let text = config.unwrap_or_default().with_raw(yaml::written(&document)?);
    import.folder.add(format!("{folder}/{PACK_FILE_NAME}"), text)?;
    Ok(SourcedPack { name, source: format!("./{folder}"), version: None, platforms: None, values: None })
}

/// The distribution that a pack on layer k8s is, where Carrack has it.
fn distribution(import: &mut Import, input: &Input<'_>) -> Option<Distribution> {
    if !matches!(input.layer, Layer::K8s) {
        return None;
    }
    Some(match input.palette {
        "edge-k3s" | "kubernetes-k3s" | "k3s" => Distribution::K3s,
        "edge-rke2" | "kubernetes-rke2" | "rke2" => Distribution::Rke2,
        "kubernetes" | "edge-k8s" => Distribution::Kubeadm,
        "edge-canonical" | "canonical-kubernetes" | "canonical" => Distribution::Canonical,
        other => {
            let reason = format!("{other} is no distribution that Carrack knows; the pack's `distribution` is none");
            import.left.out(&input.place, None, &input.field, reason);
            Distribution::None
        }
    })
}

/// A pack's folder while it comes to be.
pub(super) struct Build<'b> {
    pub(super) import: &'b mut Import,
    pub(super) folder: &'b str,
    pub(super) palette: &'b str,
    version: &'b str,
    namespace: Option<&'b str>,
    releases: &'b BTreeMap<String, Said>,
    /// The charts whose release they named.
    released: BTreeSet<String>,
    manifests: Vec<String>,
    pub(super) charts: Vec<schema::Chart>,
}

impl<'b> Build<'b> {
    pub(super) fn out(&mut self, place: &str, line: Option<usize>, field: &str, reason: impl Into<String>) {
        self.import.left.out(place, line, field, reason);
    }

    pub(super) fn lost(&mut self, place: &str, field: &str, reason: impl Into<String>) {
        self.import.left.part(place, None, field, reason);
    }

    /// What the pack has in its folder, in a registry of charts, in its values and in the profile.
    fn parts(
        &mut self,
        input: &mut Input<'_>,
        charts: Vec<Part>,
        manifests: Vec<Part>,
        spec: &mut PackSpec,
    ) -> Result<(), PaletteError> {
        match (&mut input.folder, &input.remote) {
            (Some((pack, descriptor)), _) => {
                self.folder_charts(pack, descriptor, charts)?;
                self.folder_manifests(pack, descriptor, manifests)?;
                spec.depends_on = constraints::dependencies(self.import, descriptor, input.packs);
                spec.requirements = constraints::resources(descriptor);
                pack.unused(&mut self.import.left);
            }
            (None, Some(remote)) => {
                self.remote_chart(remote, charts, input)?;
                self.absent_manifests(manifests)?;
            }
            (None, None) => {
                self.absent_charts(charts)?;
                self.absent_manifests(manifests)?;
            }
        }
        for (name, place, text) in &input.attached {
            let text = self.import.mapped(text);
            self.manifest(Manifest { name, place, field: "", above: 0, text, values: None })?;
        }
        Ok(())
    }

    /// Writes the values of a chart beside it and adds the chart, which lacks only where it is.
    pub(super) fn chart(&mut self, name: &str, chart: schema::Chart, values: Ready) -> Result<(), PaletteError> {
        let files = self.values_file(name, &values)?.map(|file| vec![schema::Values::File(file)]);
        let target = self.target(name);
        let release = manifests::release(&target, name);
        self.released.insert(name.to_owned());
        let namespace = self.namespace.map(str::to_owned);
        self.charts.push(schema::Chart { release: Some(release), namespace, values: files, ..chart });
        Ok(())
    }

    /// Writes values into `values/NAME.yaml`, where there are any.
    pub(super) fn values_file(&mut self, name: &str, values: &Ready) -> Result<Option<String>, PaletteError> {
        if values.is_empty() {
            return Ok(None);
        }
        let base = format!("values/{}", values::label(name, 60));
        let numbered = (2..).map(|number| format!("{base}-{number}.yaml"));
        let mut paths = std::iter::once(format!("{base}.yaml")).chain(numbered);
        let taken = |path: &String| self.import.folder.contains(&format!("{}/{path}", self.folder));
        let path = paths.find(|path| !taken(path)).unwrap_or_default();
        self.import.folder.add(format!("{}/{path}", self.folder), values.written()?)?;
        Ok(Some(format!("./{path}")))
    }

    fn target(&self, chart: &str) -> Target<'b> {
        Target {
            folder: self.folder,
            pack: self.palette,
            version: self.version,
            namespace: self.namespace,
            release: self.releases.get(chart).map(|said| &*said.text),
        }
    }

    /// Namespaces with the labels that the values give them.
    fn namespaces(&mut self, labels: Vec<(String, BTreeMap<String, String>)>) -> Result<(), PaletteError> {
        for (name, labels) in labels {
            let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}});
            let path = format!("manifests/namespace-{name}.yaml");
            self.import.folder.add(format!("{}/{path}", self.folder), yaml::written(&object)?)?;
            self.manifests.push(format!("./{path}"));
        }
        Ok(())
    }

    /// Puts a manifest into the pack, and says whether it is a part of that now.
    fn manifest(&mut self, manifest: Manifest<'_>) -> Result<bool, PaletteError> {
        let (target, name) = (self.target(manifest.name), manifest.name.to_owned());
        match manifests::place(self.import, &target, manifest)? {
            Became::Manifest(path) => self.manifests.push(path),
            Became::Chart(chart) => {
                self.charts.push(*chart);
                self.released.insert(name);
            }
            Became::LeftOut => return Ok(false),
        }
        Ok(true)
    }

    /// Lists what the values say of charts that there are none of.
    fn unused(&mut self, namespace: Option<&Said>) {
        if let Some(namespace) = namespace.filter(|_| self.charts.is_empty()) {
            namespace.out(&mut self.import.left, "no chart is imported that would go there");
        }
        for (_, release) in self.releases.iter().filter(|(chart, _)| !self.released.contains(*chart)) {
            release.out(&mut self.import.left, "no chart of this name is imported");
        }
    }

    /// The manifests that pack.json names, each with its values.
    fn folder_manifests(
        &mut self,
        pack: &mut PackFolder,
        descriptor: &Descriptor,
        mut parts: Vec<Part>,
    ) -> Result<(), PaletteError> {
        for path in &descriptor.manifests {
            let text = match pack.text(path) {
                Ok(text) => text,
                Err(reason) => {
                    self.lost(&descriptor.place, "kubeManifests", reason);
                    continue;
                }
            };
            let stem = PathBuf::from(path).file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let at = parts.iter().position(|part| part.name == stem);
            let part = at.map(|at| parts.remove(at));
            let text = self.import.mapped(&text);
            match part
                .as_ref()
                .and_then(Part::contents)
                .filter(|_| manifests::is_only_contents(&text.text))
                .zip(part.as_ref())
            {
                Some(((contents, above), part)) => {
                    let (place, field) = (&part.place, &format!("{}.contents", part.field));
                    part.beside_contents(self.import);
                    self.manifest(Manifest { name: &stem, place, field, above, text: contents, values: None })?;
                }
                None => self.rendered(&stem, &pack.place(path), text, part)?,
            }
        }
        for part in parts {
            part.out(self.import, "the pack has no manifest of this name");
        }
        Ok(())
    }

    /// A manifest whose templates are rendered with the values of `part`.
    fn rendered(&mut self, name: &str, place: &str, text: Mapped, part: Option<Part>) -> Result<(), PaletteError> {
        let part = part.filter(|part| !part.is_empty());
        let has_templates = manifests::has_templates(&text.text);
        let used = part.as_ref().filter(|_| has_templates);
        let stays = used.is_none() && has_templates && manifests::stays(&text);
        if stays {
            let reason = format!("the values have nothing in `manifests.{name}`, so its templates stay as they are");
            self.out(place, None, "", reason);
        }
        let values = used.map(|part| part.values(self.import));
        let values = if stays { None } else { Some(values.unwrap_or_default()) };
        let kept = self.manifest(Manifest { name, place, field: "", above: 0, text, values })?;
        match part {
            Some(part) if !has_templates => {
                part.out(self.import, "the manifest has no templates, and so no use for values");
            }
            Some(part) if !kept => part.lost(self.import, "these are values of a manifest that is left out"),
            _ => {}
        }
        Ok(())
    }

    /// Manifests of a pack whose folder is not there: those that the values hold.
    fn absent_manifests(&mut self, parts: Vec<Part>) -> Result<(), PaletteError> {
        for part in parts {
            let Some((text, above)) = part.contents() else {
                part.lost(self.import, "these are values of a manifest that is in the pack's folder");
                continue;
            };
            part.beside_contents(self.import);
            let (place, field) = (&part.place, &format!("{}.contents", part.field));
            self.manifest(Manifest { name: &part.name, place, field, above, text, values: None })?;
        }
        Ok(())
    }
}
