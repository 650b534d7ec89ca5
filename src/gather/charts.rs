//! Charts from registries and repositories, as packages.

use std::path::PathBuf;

use semver::{Version, VersionReq};

use super::index::{newest, semantic};
use super::kept::{self, fetch, is};
use super::{GatherError, Gatherer, key, reference_of};
use crate::chart::{self, Chart};
use crate::download::Address;
use crate::io::AtPath;
use crate::lock::{ChartKey, Entry, LockedChart};
use crate::oci::{Descriptor, Digest, Manifest, Reference, media_type};
use crate::profile::{ChartLocation, ChartSource};
use crate::registry::RegistryError;

/// Bytes of a package; Helm's own bound.
const MAX_PACKAGE: u64 = 100 << 20;

/// A chart in a registry.
pub(super) struct Stored {
    pub(super) package: Descriptor,
    /// What its tag or its manifest says, which its Chart.yaml may not.
    pub(super) version: Option<String>,
}

impl Gatherer<'_> {
    /// The chart that `source` of `pack` names, and what a lock says of it where it is from elsewhere.
    ///
    /// # Errors
    /// Where a registry or a repository fails, has no such chart or version, or the package cannot be used or kept.
    pub async fn chart(
        &self,
        pack: &str,
        source: &ChartSource,
    ) -> Result<(Chart, Option<(ChartKey, LockedChart)>), GatherError> {
        let Some(key) = key(source) else {
            kept::ignore(&self.keep)?;
            let chart = chart::local(source, pack, &self.keep.join("charts"));
            return Ok((chart.map_err(GatherError::Chart)?, None));
        };
        let locked = self.lock.charts.get(&key);
        let locked = locked.filter(|_| !self.update.includes(&Entry::Chart(key.clone())));
        let (package, url) = match (locked, &source.location) {
            (Some(locked), location) => (self.locked_package(location, locked).await?, locked.url.clone()),
            (None, ChartLocation::Oci(text)) => (self.newest_of_registry(&key, text, source).await?, None),
            (None, _) => self.newest_of_repository(&key, source).await?,
        };
        let chart = Chart::from_package(source, pack, shown(&key), package);
        let chart = chart.map_err(|error| GatherError::Brought { shown: shown(&key), source: Box::new(error) })?;
        let version = chart.metadata.version.clone();
        if let Some(locked) = locked.filter(|locked| locked.version != version) {
            return Err(GatherError::Locked { key, locked: locked.version.clone(), found: version });
        }
        let (digest, size) = (chart.digest, chart.size);
        Ok((chart, Some((key, LockedChart { version, url, digest, size }))))
    }

    /// The package with the digest that the lock has: kept, or from where it was found.
    async fn locked_package(&self, location: &ChartLocation, locked: &LockedChart) -> Result<PathBuf, GatherError> {
        let blob = Descriptor::new(media_type::HELM_CHART, locked.digest, locked.size);
        let target = self.place("charts", &locked.digest, ".tgz")?;
        if is(&target, &blob)? {
            return Ok(target);
        }
        match (location, &locked.url) {
            (ChartLocation::Oci(text), _) => fetch(self.registry, &reference_of(text)?.0, &blob, &target).await?,
            (_, Some(url)) => {
                let address: Address = url.parse()?;
                self.downloader.to_file(&address, Some(locked.digest), MAX_PACKAGE, &target, None).await?;
            }
            (ChartLocation::Repository { url, name }, None) => {
                return Err(unusable(&format!("{url} {name}"), "the lock has no address of its package".to_owned()));
            }
            (ChartLocation::Local(path), None) => return Err(unusable(&path.display().to_string(), String::new())),
        }
        Ok(target)
    }

    async fn newest_of_registry(
        &self,
        key: &ChartKey,
        text: &str,
        source: &ChartSource,
    ) -> Result<PathBuf, GatherError> {
        let (stored, reference) = self.stored_chart(key, text, source).await?;
        let target = self.place("charts", &stored.package.digest, ".tgz")?;
        if !is(&target, &stored.package)? {
            fetch(self.registry, &reference, &stored.package, &target).await?;
        }
        Ok(target)
    }

    /// What the registry has for `source` now: what its tag names, or the newest in its range.
    pub(super) async fn stored_chart(
        &self,
        key: &ChartKey,
        text: &str,
        source: &ChartSource,
    ) -> Result<(Stored, Reference), GatherError> {
        let (mut reference, said) = reference_of(text)?;
        let mut version = None;
        if !said {
            let range = range_of(source);
            let tags = self.registry.tags(&reference).await?;
            let versions = tags.iter().filter_map(|tag| Some((version_of_tag(tag)?, tag)));
            let (found, tag) =
                newest(versions, &range).map_err(|newest| GatherError::NoVersion { key: key.clone(), newest })?;
            reference = format!("{}:{tag}", reference.name()).parse().map_err(GatherError::Reference)?;
            version = Some(found.to_string());
        }
        let fetched = self.registry.manifest(&reference).await.map_err(|error: RegistryError| error)?;
        let unusable = |reason: String| unusable(&reference.to_string(), reason);
        let manifest = match fetched.parse() {
            Ok(Manifest::Image(manifest)) => manifest,
            Ok(Manifest::Index(_)) => return Err(unusable("it is an index of images".to_owned())),
            Err(error) => return Err(unusable(crate::io::with_causes(&error))),
        };
        if manifest.config.media_type != media_type::HELM_CONFIG {
            return Err(unusable(format!("its configuration is {:?}, not Helm's", manifest.config.media_type)));
        }
        let packages: Vec<_> =
            manifest.layers.iter().filter(|layer| layer.media_type == media_type::HELM_CHART).collect();
        let [package] = packages[..] else {
            return Err(unusable(format!("it has {} packages, expected one", packages.len())));
        };
        if package.size > MAX_PACKAGE {
            return Err(unusable(format!("its package is larger than {} MiB", MAX_PACKAGE >> 20)));
        }
        let version = version.or_else(|| manifest.annotations.get("org.opencontainers.image.version").cloned());
        Ok((Stored { package: package.clone(), version }, reference))
    }

    async fn newest_of_repository(
        &self,
        key: &ChartKey,
        source: &ChartSource,
    ) -> Result<(PathBuf, Option<String>), GatherError> {
        let packaged = self.packaged(key, &range_of(source)).await?;
        let url = Some(packaged.address.as_str().to_owned());
        if let Some(digest) = packaged.digest {
            let target = self.place("charts", &digest, ".tgz")?;
            let kept = std::fs::metadata(&target).map(|facts| facts.len()).unwrap_or_default();
            if !is(&target, &Descriptor::new(media_type::HELM_CHART, digest, kept))? {
                self.downloader.to_file(&packaged.address, Some(digest), MAX_PACKAGE, &target, None).await?;
            }
            return Ok((target, url));
        }
        // Without a digest, its name is known when it has come.
        let coming = self.place("charts", &Digest::of(packaged.address.as_str().as_bytes()), ".coming")?;
        let (digest, _) = self.downloader.to_file(&packaged.address, None, MAX_PACKAGE, &coming, None).await?;
        let target = self.place("charts", &digest, ".tgz")?;
        std::fs::rename(&coming, &target).at("rename to", &target)?;
        Ok((target, url))
    }
}

pub(super) fn range_of(source: &ChartSource) -> VersionReq {
    source.version.clone().unwrap_or(VersionReq::STAR)
}

/// Tags have no `+`; Helm writes `_` for it.
fn version_of_tag(tag: &str) -> Option<Version> {
    semantic(&tag.replace('_', "+"))
}

/// Where it comes from, for people.
fn shown(key: &ChartKey) -> String {
    key.name.as_ref().map_or_else(|| key.source.clone(), |name| format!("{} {name}", key.source))
}

fn unusable(reference: &str, reason: String) -> GatherError {
    GatherError::Unusable { reference: reference.to_owned(), what: "chart", reason }
}
