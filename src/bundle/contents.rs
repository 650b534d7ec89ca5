//! What a bundle holds, as values: the part of the format that both sides speak of.

use std::collections::HashSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::annotation;
use super::artifact::{ChartFile, ConfigFile, HostFile, ManifestFile};
use super::documents::{Artifact, Document, at_most, references};
use super::head::{MAX_DESCRIPTORS, Named, NamedImage};
use super::indexes::{Below, Within};
use super::texts;
use crate::oci::{Blob, Descriptor, Digest, Platform, PlatformError, Reference, ReferenceError, media_type};
use crate::requirements::Requirements;
use crate::text::shown;
use crate::variables::Variable;

/// Platforms that a bundle serves, at most.
const MAX_PLATFORMS: usize = 16;
/// Packs of a profile, its variables, and what one pack depends on or starts, at most.
const MAX_ITEMS: usize = 1 << 10;
/// Image texts that a profile ignores, at most.
const MAX_IGNORED: usize = 16 << 10;

/// Everything in a bundle, read from its head and checked against its digests.
#[derive(Debug, Clone)]
pub struct Contents {
    /// SHA-256 of `index.json`: the bundle's identity.
    pub identity: Digest,
    /// The resolved profile.
    pub profile: ResolvedProfile,
    /// When it says it was made (RFC 3339), where it does.
    pub created: Option<String>,
    /// The oldest installer that may apply it.
    pub requires_installer: Option<semver::Version>,
    /// Files for the host, in the profile's order.
    pub files: Vec<HostFile>,
    /// Kubernetes manifests, in the profile's order.
    pub manifests: Vec<ManifestFile>,
    /// Helm charts, in the profile's order.
    pub charts: Vec<ChartFile>,
    /// What is added to the distribution's own configuration.
    pub config: Option<ConfigFile>,
    /// Images, in the index's order.
    pub images: Vec<BundledImage>,
}

/// The config of the profile's artifact manifest: what the profile asks for, without sources.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ResolvedProfile {
    /// The profile's name, a DNS-1123 label.
    pub name: String,
    /// The profile's version, a semantic version.
    pub version: String,
    /// The profile's description, possibly empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Platforms that the bundle serves.
    #[serde(deserialize_with = "at_most::<_, _, MAX_PLATFORMS>")]
    pub platforms: Vec<Platform>,
    /// What differs from site to site: the profile's own variables, then those of its packs, each name once.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "at_most::<_, _, MAX_ITEMS>")]
    pub variables: Vec<Variable>,
    /// What a host must have for the cluster as a whole.
    #[serde(default, skip_serializing_if = "Requirements::is_empty")]
    pub requirements: Requirements,
    /// Seconds for which what was applied is waited for; 0 waits for nothing, and the installer decides where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready_seconds: Option<u32>,
    /// What manifests may name although the bundle lacks it; only where a manifest is a template, whose images are looked
    /// for again on the host.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "at_most::<_, _, MAX_IGNORED>")]
    pub ignore_images: Vec<String>,
    /// Packs in the order of the profile.
    #[serde(deserialize_with = "at_most::<_, _, MAX_ITEMS>")]
    pub packs: Vec<ResolvedPack>,
}

/// One pack of a resolved profile.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ResolvedPack {
    /// The pack's name, unique in the profile.
    pub name: String,
    /// `os`, `k8s`, `cni`, `csi` or `addon`.
    pub layer: String,
    /// The pack's version, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// `k3s`, `rke2`, `kubeadm`, `canonical` or `none`; only on the `k8s` layer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distribution: Option<String>,
    /// The packs that it needs.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "at_most::<_, _, MAX_ITEMS>")]
    pub depends_on: Vec<ResolvedDependency>,
    /// What a host must have for this pack, besides the others'.
    #[serde(default, skip_serializing_if = "Requirements::is_empty")]
    pub requirements: Requirements,
    /// The versions of this pack from which a host can be upgraded to this one; every one where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upgrade_from: Option<semver::VersionReq>,
    /// systemd units that run once the files are there, by name with ending.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "at_most::<_, _, MAX_ITEMS>")]
    pub services: Vec<String>,
    /// The references that the pack needs, sorted.
    #[serde(deserialize_with = "references")]
    pub images: Vec<Reference>,
}

/// A pack that another one needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ResolvedDependency {
    /// Its name.
    pub pack: String,
    /// The versions that will do; every one where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<semver::VersionReq>,
}

/// An image that the bundle names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundledImage {
    /// The reference, as the profile has it, normalised.
    pub reference: Reference,
    /// What the reference names: a manifest, or an index.
    pub target: Blob,
    /// The only platforms of the profile that the image is for; empty where it is for all.
    pub platforms: Vec<Platform>,
    /// The index that the reference names, and those within it that lead to manifests that are present, each after those that it
    /// lists: the reference's own is the last. Empty where the reference names a manifest.
    pub indexes: Vec<BundledIndex>,
    /// The manifests that are present. Empty in an exported definition.
    pub manifests: Vec<BundledManifest>,
}

/// An index of images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundledIndex {
    /// The index.
    pub blob: Blob,
    /// What it lists and the bundle has: manifests, and indexes of the same image.
    pub children: Box<[Digest]>,
}

/// One platform's image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundledManifest {
    /// The manifest.
    pub manifest: Blob,
    /// The platform, where an index or the configuration names one.
    pub platform: Option<Arc<Platform>>,
    /// The image's configuration.
    pub config: Blob,
    /// The image's layers, lowest first.
    pub layers: Arc<[Blob]>,
}

impl Contents {
    /// What needs the blob: paths of host files, `PACK/NAME` of manifests, releases of charts, references of images.
    pub fn users(&self, digest: &Digest) -> Vec<String> {
        let files = self.files.iter().filter(|file| file.blob.digest == *digest).map(|file| file.path.clone());
        let manifests = self.manifests.iter().filter(|manifest| manifest.blob.digest == *digest);
        let manifests = manifests.map(|manifest| format!("{}/{}", manifest.pack, manifest.name));
        let charts = self.charts.iter().filter(|chart| chart.needs(digest)).map(|chart| chart.release.clone());
        let config = self.config.iter().filter(|config| config.blob.digest == *digest);
        let config = config.map(|config| format!("configuration of {}", config.pack));
        let images = self.images.iter().filter(|image| image.needs(digest)).map(|image| image.reference.to_string());
        files.chain(manifests).chain(charts).chain(config).chain(images).collect()
    }

    /// What the bundle holds besides images: host files, manifests, charts with their values, and configuration.
    pub fn profile_blobs(&self) -> impl Iterator<Item = &Descriptor> {
        let files = self.files.iter().map(|file| &file.blob);
        let manifests = self.manifests.iter().map(|manifest| &manifest.blob);
        let packages = self.charts.iter().map(|chart| &chart.blob);
        let values = self.charts.iter().filter_map(|chart| chart.values.as_ref()).map(|values| &values.blob);
        files.chain(manifests).chain(packages).chain(values).chain(self.config.iter().map(|config| &config.blob))
    }

    /// The same for people: `, needed by A, B and 3 more`; empty where nothing in particular does.
    pub fn needed_by(&self, digest: &Digest) -> String {
        match self.users(digest).as_slice() {
            [] => String::new(),
            few if few.len() <= 3 => format!(", needed by {}", few.join(", ")),
            many => format!(", needed by {} and {} more", many[..2].join(", "), many.len() - 2),
        }
    }
}

impl BundledImage {
    /// Whether the image is not in the bundle, so that the host's runtime has to pull it.
    pub fn is_absent(&self) -> bool {
        self.manifests.is_empty()
    }

    /// Whether a machine of `platform` is to have the image.
    pub fn is_for(&self, platform: &Platform) -> bool {
        self.platforms.is_empty() || self.platforms.iter().any(|only| only.satisfies(platform))
    }

    fn needs(&self, digest: &Digest) -> bool {
        let in_manifest = |manifest: &BundledManifest| {
            manifest.manifest.digest == *digest
                || manifest.config.digest == *digest
                || manifest.layers.iter().any(|layer| layer.digest == *digest)
        };
        self.target.digest == *digest
            || self.indexes.iter().any(|index| index.blob.digest == *digest)
            || self.manifests.iter().any(in_manifest)
    }
}

/// The oldest installer that may apply the bundle, where that is later than this one. Such a bundle may well say something
/// that this one does not understand, and is not damaged for that.
pub(super) fn later_installer(named: &Named) -> Option<semver::Version> {
    let needs: semver::Version = named.artifact.as_ref()?.requires_installer.as_ref()?.parse().ok()?;
    let this: semver::Version = env!("CARGO_PKG_VERSION").parse().ok()?;
    (needs > this).then_some(needs)
}

/// Builds the contents from what the documents say, which is used up. The error is a reason, for
/// [`super::BundleError::Damaged`].
pub(super) fn assemble(identity: Digest, created: Option<String>, named: &mut Named) -> Result<Contents, String> {
    let Artifact { layers, requires_installer: requires, .. } =
        named.artifact.take().ok_or("its profile is missing")?;
    let config = named.resolved.take().ok_or("its profile's content is missing")?;
    let resolved: ResolvedProfile =
        serde_json::from_slice(&config).map_err(|error| format!("its profile cannot be read: {error}"))?;
    drop(config);
    let no_version = |text: &str| format!("the installer that it requires is {}, which is no version", shown(text));
    let requires = requires.map(|text| text.parse().map_err(|_| no_version(&text))).transpose()?;
    let mut contents = Contents {
        identity,
        profile: resolved,
        created,
        requires_installer: requires,
        files: Vec::new(),
        manifests: Vec::new(),
        charts: Vec::new(),
        config: None,
        images: Vec::new(),
    };
    for layer in &layers {
        match layer.media_type.as_str() {
            media_type::HOST_FILE => contents.files.push(HostFile::read(layer)?),
            media_type::KUBERNETES_MANIFEST => contents.manifests.push(ManifestFile::read(layer)?),
            media_type::HELM_CHART => contents.charts.push(ChartFile::read(layer)?),
            media_type::CHART_VALUES => ChartFile::read_values(layer, &mut contents.charts)?,
            media_type::CONFIG if contents.config.is_none() => contents.config = Some(ConfigFile::read(layer)?),
            other => return Err(format!("its profile holds a {}, which this Carrack does not know", shown(other))),
        }
    }
    let (mut uses, mut within) = (0, Within::default());
    for named_image in std::mem::take(&mut named.images) {
        let image = image(named_image, named, &mut within)?;
        // Images may share a document: what it names counts for each of them.
        uses += image.manifests.iter().map(|manifest| manifest.layers.len() + 2).sum::<usize>() + 1;
        uses += image.indexes.iter().map(|index| index.children.len()).sum::<usize>();
        if uses > MAX_DESCRIPTORS {
            return Err(format!(
                "its images need more than {MAX_DESCRIPTORS} blobs, counted for each, which no bundle's do"
            ));
        }
        contents.images.push(image);
    }
    let mut names = HashSet::new();
    if let Some(twice) = contents.images.iter().find(|image| !names.insert(&image.reference)) {
        return Err(format!("it lists {} twice", twice.reference));
    }
    drop(names);
    texts::check(&contents)?;
    Ok(contents)
}

fn image(image: NamedImage, named: &Named, within: &mut Within) -> Result<BundledImage, String> {
    let NamedImage { target, name, absent, platforms } = image;
    let key = annotation::CONTAINERD_NAME;
    let name = name.ok_or_else(|| format!("blob {} has no annotation {key}", target.digest))?;
    let reference: Reference = name.parse().map_err(|error: ReferenceError| error.to_string())?;
    if reference.to_string() != name {
        return Err(format!("the image name {} is not in its full form", shown(&name)));
    }
    let platforms = platforms.map_or(Ok(Vec::new()), |text| only_platforms(&text, &reference))?;
    let mut image = BundledImage { reference, target, platforms, indexes: Vec::new(), manifests: Vec::new() };
    match named.documents.get(&image.target.digest) {
        None if absent => return Ok(image),
        None | Some(Document::Config(_)) => return Err(format!("the image {name} is missing")),
        Some(Document::Image { .. }) => image.manifests.extend(bundled_manifest(&image.target, None, named)?),
        Some(Document::Index(_)) => {
            let Below { indexes, manifests } = within.below(&image.target, named)?;
            (image.indexes, image.manifests) = (indexes, manifests);
            image.manifests.shrink_to_fit();
        }
    }
    if image.manifests.is_empty() {
        return Err(format!("the image {name} has an index and none of its manifests"));
    }
    Ok(image)
}

fn only_platforms(text: &str, image: &Reference) -> Result<Vec<Platform>, String> {
    let bad = || format!("the platforms of the image {image} are {}, expected some such as linux/amd64", shown(text));
    let platforms: Vec<Platform> =
        text.split(',').map(str::parse).collect::<Result<_, _>>().map_err(|_: PlatformError| bad())?;
    if platforms.len() > MAX_PLATFORMS { Err(bad()) } else { Ok(platforms) }
}

/// The manifest, where it is in the bundle.
pub(super) fn bundled_manifest(
    manifest: &Blob,
    platform: Option<&Arc<Platform>>,
    named: &Named,
) -> Result<Option<BundledManifest>, String> {
    let Some(Document::Image { config, layers }) = named.documents.get(&manifest.digest) else { return Ok(None) };
    let of_config = match named.documents.get(&config.digest) {
        Some(Document::Config(platform)) => platform.as_ref(),
        // Named as a manifest too, somewhere.
        Some(_) => None,
        None if named.is_resolved(&config.digest) => None,
        None => return Err(format!("blob {} is missing", config.digest)),
    };
    Ok(Some(BundledManifest {
        manifest: manifest.clone(),
        platform: platform.or(of_config).cloned(),
        config: config.clone(),
        layers: Arc::clone(layers),
    }))
}
