//! Charts from registries and repositories, as packages.

use semver::{Version, VersionReq};

use super::index::{newest, semantic};
use super::kept::{fetch, is};
use super::{GatherError, Gatherer, key, reference_of};
use crate::chart::{self, Chart, ChartError};
use crate::download::Address;
use crate::io::AtPath;
use crate::lock::{ChartKey, Entry, LockedChart};
use crate::oci::{Descriptor, Digest, Manifest, Reference, media_type};
use crate::profile::{ChartLocation, ChartSource};

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
            // Only a folder is packed and kept; a package is used where it lies, which may be read-only.
            if matches!(&source.location, ChartLocation::Local(path) if path.is_dir()) {
                self.ready("charts")?;
            }
            let chart = chart::local(source, pack, &self.keep.join("charts"));
            return Ok((chart.map_err(GatherError::Chart)?, None));
        };
        let locked = self.lock.charts.get(&key);
        let locked = locked.filter(|_| !self.update.includes(&Entry::Chart(key.clone())));
        let (digest, url) = match (locked, &source.location) {
            (Some(locked), location) => (self.locked_package(location, locked).await?, locked.url.clone()),
            (None, ChartLocation::Oci(text)) => (self.newest_of_registry(&key, text, source).await?, None),
            (None, _) => self.newest_of_repository(&key, source).await?,
        };
        let package = self.place("charts", &digest, ".tgz")?;
        let chart = Chart::from_package(source, pack, shown(&key), package.clone());
        let chart = chart.and_then(|chart| match chart.digest == digest {
            true => Ok(chart),
            false => Err(ChartError::Changed { path: package, wanted: digest }),
        });
        let chart = chart.map_err(|error| GatherError::Brought { shown: shown(&key), source: Box::new(error) })?;
        let version = chart.metadata.version.clone();
        if let Some(locked) = locked.filter(|locked| locked.version != version) {
            return Err(GatherError::Locked { key, locked: locked.version.clone(), found: version });
        }
        let size = chart.size;
        Ok((chart, Some((key, LockedChart { version, url, digest, size }))))
    }

    /// The package with the digest that the lock has: kept, or from where it was found.
    async fn locked_package(&self, location: &ChartLocation, locked: &LockedChart) -> Result<Digest, GatherError> {
        let blob = Descriptor::new(media_type::HELM_CHART, locked.digest, locked.size);
        match (location, &locked.url) {
            (ChartLocation::Oci(text), _) => self.keep_stored(&reference_of(text)?.0, &blob).await?,
            (_, Some(url)) => drop(self.keep_packaged(&url.parse()?, Some(locked.digest)).await?),
            _ => {
                let reason = "the lock has no address of its package".to_owned();
                return Err(unusable(&format!("{location:?}"), reason));
            }
        }
        Ok(locked.digest)
    }

    async fn newest_of_registry(
        &self,
        key: &ChartKey,
        text: &str,
        source: &ChartSource,
    ) -> Result<Digest, GatherError> {
        let (stored, reference) = self.stored_chart(key, text, source).await?;
        self.keep_stored(&reference, &stored.package).await?;
        Ok(stored.package.digest)
    }

    async fn newest_of_repository(
        &self,
        key: &ChartKey,
        source: &ChartSource,
    ) -> Result<(Digest, Option<String>), GatherError> {
        let packaged = self.packaged(key, &range_of(source)).await?;
        let digest = self.keep_packaged(&packaged.address, packaged.digest).await?;
        Ok((digest, Some(packaged.address.as_str().to_owned())))
    }

    async fn keep_stored(&self, reference: &Reference, blob: &Descriptor) -> Result<(), GatherError> {
        let target = self.place("charts", &blob.digest, ".tgz")?;
        if is(&target, blob)? {
            return Ok(());
        }
        let coming = self.coming("charts")?;
        let file = coming.path().join("package");
        fetch(self.registry, reference, blob, &file).await?;
        Ok(std::fs::rename(&file, &target).at("rename to", &target)?)
    }

    /// Keeps the package at `address`, unless it is kept, and tells its digest.
    async fn keep_packaged(&self, address: &Address, digest: Option<Digest>) -> Result<Digest, GatherError> {
        if let Some(digest) = digest {
            let target = self.place("charts", &digest, ".tgz")?;
            let size = target.metadata().map(|facts| facts.len()).unwrap_or_default();
            if is(&target, &Descriptor::new(media_type::HELM_CHART, digest, size))? {
                return Ok(digest);
            }
        }
        let coming = self.coming("charts")?;
        let file = coming.path().join("package");
        let (digest, _) = self.downloader.to_file(address, digest, MAX_PACKAGE, &file, None).await?;
        let target = self.place("charts", &digest, ".tgz")?;
        std::fs::rename(&file, &target).at("rename to", &target)?;
        Ok(digest)
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
        let fetched = self.registry.manifest(&reference).await?;
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
