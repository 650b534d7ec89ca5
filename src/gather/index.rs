//! Classic chart repositories: an `index.yaml` with every version of every chart.

use std::collections::HashMap;
use std::sync::Arc;

use semver::{Version, VersionReq};
use serde::Deserialize;

use super::{GatherError, Gatherer};
use crate::download::Address;
use crate::lock::ChartKey;
use crate::oci::Digest;

/// Bytes of an index that are read; the largest public ones have some 30 MiB.
const MAX_INDEX: u64 = 128 << 20;
const MAX_NODES: usize = 20_000_000;

/// What a repository has, as far as it matters here.
#[derive(Debug, Deserialize)]
pub(super) struct Index {
    #[serde(default)]
    entries: HashMap<String, Option<Vec<Item>>>,
}

#[derive(Debug, Deserialize)]
struct Item {
    version: Option<String>,
    #[serde(default)]
    urls: Option<Vec<String>>,
    digest: Option<String>,
}

/// One version of a chart in a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Packaged {
    pub(super) version: String,
    pub(super) address: Address,
    /// Not every repository says it.
    pub(super) digest: Option<Digest>,
}

impl Index {
    fn parse(text: &str) -> Result<Self, String> {
        let options = serde_saphyr::options! {
            budget: serde_saphyr::budget! {
                max_events: 2 * MAX_NODES,
                max_nodes: MAX_NODES,
                max_total_scalar_bytes: MAX_INDEX as usize,
            },
            with_snippet: false,
        };
        serde_saphyr::from_str_with_options(text, options).map_err(|error| {
            let text = error.to_string();
            crate::problem::printable(text.lines().next().unwrap_or_default())
        })
    }

    /// The newest version in the range of `key`, from an index at `address`.
    fn newest(&self, key: &ChartKey, range: &VersionReq, address: &Address) -> Result<Packaged, GatherError> {
        let name = key.name.as_deref().unwrap_or_default();
        let malformed = |reason: String| GatherError::Index { address: address.clone(), reason };
        let items = self.entries.get(name).and_then(Option::as_ref);
        let items = items.ok_or_else(|| malformed(format!("it has no chart {name:?}")))?;
        let versions = items.iter().filter_map(|item| Some((semantic(item.version.as_deref()?)?, item)));
        let (version, item) =
            newest(versions, range).map_err(|newest| GatherError::NoVersion { key: key.clone(), newest })?;
        let url = item.urls.iter().flatten().next();
        let url = url.ok_or_else(|| malformed(format!("{name} {version} in it has no address")))?;
        let digest = match item.digest.as_deref().filter(|digest| !digest.is_empty()) {
            None => None,
            Some(text) => Some(
                Digest::from_hex(text.strip_prefix("sha256:").unwrap_or(text))
                    .map_err(|error| malformed(format!("{name} {version} in it has no usable digest: {error}")))?,
            ),
        };
        let version = item.version.clone().unwrap_or_default();
        let package = address.join(url)?;
        // This machine's plain HTTP is for who asked for it, as with redirects.
        if address.as_str().starts_with("https://") && !package.as_str().starts_with("https://") {
            return Err(malformed(format!("{name} {version} in it is at {package}, which is not https://")));
        }
        Ok(Packaged { version, address: package, digest })
    }
}

/// A version as a semantic one; some write a `v` in front.
pub(super) fn semantic(text: &str) -> Option<Version> {
    Version::parse(text.strip_prefix('v').unwrap_or(text)).ok()
}

/// The newest of `versions` in `range`, else the newest few that there are.
pub(super) fn newest<T>(
    versions: impl Iterator<Item = (Version, T)>,
    range: &VersionReq,
) -> Result<(Version, T), Vec<String>> {
    let mut versions: Vec<_> = versions.collect();
    versions.sort_by(|(one, _), (other, _)| other.cmp(one));
    match versions.iter().position(|(version, _)| range.matches(version)) {
        Some(at) => Ok(versions.swap_remove(at)),
        None => Err(versions.iter().take(5).map(|(version, _)| version.to_string()).collect()),
    }
}

impl Gatherer<'_> {
    /// The newest version of a repository's chart in its range.
    pub(super) async fn packaged(&self, key: &ChartKey, range: &VersionReq) -> Result<Packaged, GatherError> {
        let address: Address = format!("{}/index.yaml", key.source).parse()?;
        let mut indexes = self.indexes.lock().await;
        let index = match indexes.get(&key.source) {
            Some(index) => Arc::clone(index),
            None => {
                let bytes = self.downloader.document(&address, MAX_INDEX, None).await?;
                let text = std::str::from_utf8(&bytes).map_err(|error| error.to_string());
                let index = text.and_then(Index::parse);
                let index = index.map_err(|reason| GatherError::Index { address: address.clone(), reason })?;
                let index = Arc::new(index);
                indexes.insert(key.source.clone(), Arc::clone(&index));
                index
            }
        };
        index.newest(key, range, &address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "apiVersion: v1\ngenerated: 2026-01-01T00:00:00Z\nentries:\n  shop:\n  \
        - {version: 1.9.0-rc.1, urls: [a]}\n  - {version: v1.8.0, name: shop, maintainers: [{name: x}], urls: [charts/shop-1.8.0.tgz, b]}\n  \
        - {version: 1.10.2, urls: [\"https://other.example.org/shop.tgz\"], digest: DIGEST}\n  - {version: not, urls: [c]}\n  \
        - {version: 1.0, urls: [c]}\n  - {version: 2.0.0}\n  \
        - {version: 4.0.0, urls: [\"http://127.0.0.1:1/x\"]}\n  none:\n";

    fn newest(range: &str) -> Result<Packaged, String> {
        let index = Index::parse(&TEXT.replace("DIGEST", &Digest::of(b"x").hex())).unwrap();
        let address = "https://example.org/charts/index.yaml".parse().unwrap();
        let key = |name: &str| ChartKey {
            source: "https://example.org/charts".into(),
            name: Some(name.into()),
            range: Some(range.into()),
        };
        assert!(index.newest(&key("none"), &VersionReq::STAR, &address).is_err());
        index.newest(&key("shop"), &range.parse().unwrap(), &address).map_err(|error| match error {
            GatherError::NoVersion { newest, .. } => newest.join(" "),
            other => other.to_string(),
        })
    }

    #[test]
    fn the_newest_version_in_range_is_chosen() {
        let found = newest("^1").unwrap();
        assert_eq!((found.version.as_str(), found.digest), ("1.10.2", Some(Digest::of(b"x"))));
        assert_eq!(found.address.to_string(), "https://other.example.org/shop.tgz");
        let found = newest("~1.8").unwrap();
        assert_eq!((found.version.as_str(), found.digest), ("v1.8.0", None));
        assert_eq!(found.address.to_string(), "https://example.org/charts/charts/shop-1.8.0.tgz");
        assert_eq!(newest("=1.9.0-rc.1").unwrap().version, "1.9.0-rc.1");
        assert_eq!(newest("3").unwrap_err(), "4.0.0 2.0.0 1.10.2 1.9.0-rc.1 1.8.0");
        assert!(newest("2").unwrap_err().ends_with("shop 2.0.0 in it has no address"));
        assert!(newest("4").unwrap_err().ends_with("at http://127.0.0.1:1/x, which is not https://"));
    }

    #[test]
    fn what_is_no_index_is_told_in_a_line() {
        for bad in ["<html>", "entries: 5", "entries: {a: {b: c}}", "[", "a: b: c"] {
            let error = Index::parse(bad).err();
            assert!(bad == "<html>" || error.is_some(), "{bad}");
            assert!(error.is_none_or(|error| !error.contains('\n')), "{bad}");
        }
        let bomb = format!("entries: {}{}", "[".repeat(2000), "]".repeat(2000));
        assert!(Index::parse(&bomb).is_err());
        assert!(
            Index::parse("{\"entries\": {\"a\": [{\"version\": \"1.0.0\", \"urls\": [\"x\"], \"digest\": null}]}}")
                .is_ok()
        );
    }
}
