//! What registries, repositories and servers have now, against what is locked.

use super::charts::range_of;
use super::{GatherError, Gatherer, key, needed};
use crate::download::Address;
use crate::lock::{ChartKey, Entry, LockedChart, Moved};
use crate::oci::{Digest, Digester};
use crate::profile::{ChartLocation, ChartSource, Profile};

impl Gatherer<'_> {
    /// The packs, charts and files of `profile` that have come to be others since they were locked. Files are read to
    /// their end for it, since nothing else tells.
    ///
    /// # Errors
    /// The first failure.
    pub async fn moved(&self, profile: &Profile) -> Result<Vec<Moved>, GatherError> {
        let mut moved = Vec::new();
        for chart in profile.packs.iter().flat_map(|pack| &pack.charts) {
            let Some(key) = key(chart) else { continue };
            let Some(locked) = self.lock.charts.get(&key) else { continue };
            moved.extend(self.moved_chart(key, locked, chart).await?);
        }
        let needed = needed(profile);
        for reference in needed.packs.iter().filter(|reference| reference.digest().is_none()) {
            let Some(locked) = self.lock.packs.get(reference) else { continue };
            let to = self.pack_manifest(reference, None).await?.digest;
            moved.extend(of(Entry::Pack(reference.clone()), locked.digest, to));
        }
        for (url, from) in &needed.files {
            let to = self.digest_at(&url.parse()?).await?;
            moved.extend(of(Entry::File(url.clone()), *from, to));
        }
        moved.sort_by(|one, other| one.entry.cmp(&other.entry));
        moved.dedup();
        Ok(moved)
    }

    async fn moved_chart(
        &self,
        key: ChartKey,
        locked: &LockedChart,
        source: &ChartSource,
    ) -> Result<Option<Moved>, GatherError> {
        let (to, version) = match &source.location {
            ChartLocation::Oci(text) => {
                let (stored, _) = self.stored_chart(&key, text, source).await?;
                (stored.package.digest, stored.version)
            }
            _ => {
                let packaged = self.packaged(&key, &range_of(source)).await?;
                let digest = match packaged.digest {
                    Some(digest) => digest,
                    None => self.digest_at(&packaged.address).await?,
                };
                (digest, Some(packaged.version))
            }
        };
        let versions = version.map(|version| (locked.version.clone(), version));
        Ok(of(Entry::Chart(key), locked.digest, to).map(|moved| Moved { versions, ..moved }))
    }

    /// What the server's file hashes to.
    async fn digest_at(&self, address: &Address) -> Result<Digest, GatherError> {
        let mut download = self.downloader.stream(address, None, 0, None).await?;
        let mut digester = Digester::new();
        while let Some(chunk) = download.next().await? {
            digester.update(&chunk);
        }
        Ok(digester.finish())
    }
}

fn of(entry: Entry, from: Digest, to: Digest) -> Option<Moved> {
    (from != to).then_some(Moved { entry, from, to, versions: None })
}
