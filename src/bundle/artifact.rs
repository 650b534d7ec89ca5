//! The layers of the profile's artifact: host files, manifests, charts and configuration, from descriptors and back.

use std::collections::BTreeMap;

use super::annotation;
use crate::oci::{Descriptor, Digest, Platform, media_type};
use crate::text::{self, shown};

/// A file that the installer puts on the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostFile {
    /// Its bytes.
    pub blob: Descriptor,
    /// The pack that asked for it.
    pub pack: String,
    /// Absolute path on the host, without `..` components.
    pub path: String,
    /// Permission bits, such as `0o755`.
    pub mode: u32,
    /// User and group names or numbers, `USER[:GROUP]`; root where absent.
    pub owner: Option<String>,
    /// The only platform that gets it; every one where absent.
    pub platform: Option<Platform>,
    /// Whether placeholders in it are filled on the host.
    pub template: bool,
}

/// A file of Kubernetes manifests that the bundle carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestFile {
    /// Its bytes.
    pub blob: Descriptor,
    /// The pack that asked for it.
    pub pack: String,
    /// File name, a single path component, unique within the pack.
    pub name: String,
    /// Whether it has placeholders.
    pub template: bool,
}

/// A Helm chart that the bundle carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChartFile {
    /// Its package, `.tgz`.
    pub blob: Descriptor,
    /// The pack that asked for it.
    pub pack: String,
    /// The chart's name.
    pub name: String,
    /// The chart's version.
    pub version: String,
    /// Name of the release.
    pub release: String,
    /// Namespace of the release.
    pub namespace: String,
    /// Its values as one YAML document, where it has any.
    pub values: Option<ChartValues>,
}

/// Values of a chart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChartValues {
    /// Its bytes.
    pub blob: Descriptor,
    /// Whether it has placeholders.
    pub template: bool,
}

/// What is added to the configuration of a Kubernetes distribution: a YAML mapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigFile {
    /// Its bytes.
    pub blob: Descriptor,
    /// The pack that asked for it.
    pub pack: String,
    /// Whether it has placeholders.
    pub template: bool,
}

impl HostFile {
    pub(super) fn describe(&self) -> Descriptor {
        let title = self.path.rsplit('/').next().unwrap_or(&self.path);
        let mut annotations = BTreeMap::from([
            (annotation::TITLE, title.to_owned()),
            (annotation::PACK, self.pack.clone()),
            (annotation::PATH, self.path.clone()),
            (annotation::MODE, format!("{:04o}", self.mode)),
        ]);
        annotations.extend(self.owner.clone().map(|owner| (annotation::OWNER, owner)));
        annotations.extend(self.platform.as_ref().map(|platform| (annotation::PLATFORM, platform.to_string())));
        annotated(&self.blob, annotations, self.template)
    }

    pub(super) fn read(layer: &Descriptor) -> Result<Self, String> {
        let path = required(layer, annotation::PATH)?;
        text::check_host_path(path).map_err(|reason| format!("the path of a host file {reason}"))?;
        let mode = required(layer, annotation::MODE)?;
        let octal = !mode.is_empty() && mode.len() <= 4 && mode.bytes().all(|byte| matches!(byte, b'0'..=b'7'));
        let bits = u32::from_str_radix(mode, 8).ok().filter(|_| octal);
        let mode =
            bits.ok_or_else(|| format!("the mode of the host file {path} is {}, expected octal digits", shown(mode)))?;
        let platform = layer.annotation(annotation::PLATFORM);
        let platform = platform.map(|text| text.parse().map_err(|error| format!("the host file {path:?}: {error}")));
        Ok(Self {
            blob: plain(layer),
            pack: required(layer, annotation::PACK)?.to_owned(),
            path: path.to_owned(),
            mode,
            owner: layer.annotation(annotation::OWNER).map(str::to_owned),
            platform: platform.transpose()?,
            template: is_template(layer),
        })
    }
}

impl ManifestFile {
    pub(super) fn describe(&self) -> Descriptor {
        let annotations = [(annotation::TITLE, self.name.clone()), (annotation::PACK, self.pack.clone())];
        annotated(&self.blob, annotations.into(), self.template)
    }

    pub(super) fn read(layer: &Descriptor) -> Result<Self, String> {
        let (pack, name) = (word(layer, annotation::PACK)?, word(layer, annotation::TITLE)?);
        Ok(Self { blob: plain(layer), pack, name, template: is_template(layer) })
    }
}

impl ChartFile {
    /// The package, and then the values.
    pub(super) fn describe(&self) -> Vec<Descriptor> {
        let whose = [
            (annotation::PACK, self.pack.clone()),
            (annotation::RELEASE, self.release.clone()),
            (annotation::NAMESPACE, self.namespace.clone()),
        ];
        let package = BTreeMap::from([
            (annotation::TITLE, format!("{}-{}.tgz", self.name, self.version)),
            (annotation::CHART, self.name.clone()),
            (annotation::CHART_VERSION, self.version.clone()),
        ]);
        let values = BTreeMap::from([(annotation::TITLE, format!("{}-values.yaml", self.release))]);
        let of = |blob: &Descriptor, own: BTreeMap<&'static str, String>, template| {
            annotated(blob, own.into_iter().chain(whose.clone()).collect(), template)
        };
        let values = self.values.as_ref().map(|one| of(&one.blob, values, one.template));
        std::iter::once(of(&self.blob, package, false)).chain(values).collect()
    }

    pub(super) fn read(layer: &Descriptor) -> Result<Self, String> {
        Ok(Self {
            blob: plain(layer),
            pack: word(layer, annotation::PACK)?,
            name: word(layer, annotation::CHART)?,
            version: word(layer, annotation::CHART_VERSION)?,
            release: word(layer, annotation::RELEASE)?,
            namespace: word(layer, annotation::NAMESPACE)?,
            values: None,
        })
    }

    /// Gives the values in `layer` to the chart that they are for, which comes before them.
    pub(super) fn read_values(layer: &Descriptor, charts: &mut [Self]) -> Result<(), String> {
        let (pack, release) = (word(layer, annotation::PACK)?, word(layer, annotation::RELEASE)?);
        let namespace = word(layer, annotation::NAMESPACE)?;
        let mine = |chart: &&mut Self| chart.pack == pack && chart.release == release && chart.namespace == namespace;
        let chart = charts.iter_mut().rev().find(mine).filter(|chart| chart.values.is_none());
        let chart = chart
            .ok_or_else(|| format!("it has values for the release {}, whose chart is not there", shown(&release)))?;
        chart.values = Some(ChartValues { blob: plain(layer), template: is_template(layer) });
        Ok(())
    }

    /// Whether the blob is a part of it.
    pub fn needs(&self, digest: &Digest) -> bool {
        self.blob.digest == *digest || self.values.as_ref().is_some_and(|values| values.blob.digest == *digest)
    }
}

impl ConfigFile {
    pub(super) fn describe(&self) -> Descriptor {
        let annotations = [(annotation::TITLE, "config.yaml".to_owned()), (annotation::PACK, self.pack.clone())];
        annotated(&self.blob, annotations.into(), self.template)
    }

    pub(super) fn read(layer: &Descriptor) -> Result<Self, String> {
        Ok(Self { blob: plain(layer), pack: word(layer, annotation::PACK)?, template: is_template(layer) })
    }
}

fn annotated(blob: &Descriptor, annotations: BTreeMap<&str, String>, template: bool) -> Descriptor {
    let annotations = annotations.into_iter().map(|(key, value)| (key.to_owned(), value));
    let template = template.then(|| (annotation::TEMPLATE.to_owned(), "true".to_owned()));
    Descriptor { annotations: annotations.chain(template).collect(), ..blob.clone() }
}

/// The descriptor without what was read from its annotations.
fn plain(layer: &Descriptor) -> Descriptor {
    Descriptor::new(&layer.media_type, layer.digest, layer.size)
}

fn is_template(layer: &Descriptor) -> bool {
    layer.annotation(annotation::TEMPLATE) == Some("true")
}

/// The annotation `key` of a blob that must have it.
fn required<'a>(layer: &'a Descriptor, key: &str) -> Result<&'a str, String> {
    layer.annotation(key).ok_or_else(|| format!("blob {} has no annotation {key}", layer.digest))
}

/// The same where it becomes a part of a path.
fn word(layer: &Descriptor, key: &str) -> Result<String, String> {
    let text = required(layer, key)?;
    let kind = layer.media_type.as_str();
    let what = if kind == media_type::KUBERNETES_MANIFEST { "manifest" } else { "part of the profile" };
    text::check_name(text).map_err(|reason| format!("the annotation {key} of a {what} {reason}"))?;
    Ok(text.to_owned())
}
