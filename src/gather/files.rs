//! Files of web servers: what a build must know of them before it fetches them.

use super::{GatherError, Gatherer};
use crate::download::Address;
use crate::lock::{Entry, LockedFile};
use crate::oci::{Digest, media_type};

impl Gatherer<'_> {
    /// Size and kind of the file at `url`, whose digest the profile states. Its content is checked when it is fetched.
    ///
    /// # Errors
    /// Where the server fails or has no such file.
    pub async fn file(&self, url: &str, digest: Digest) -> Result<LockedFile, GatherError> {
        let locked = self.lock.files.get(url).filter(|locked| locked.digest == digest);
        if let Some(locked) = locked.filter(|_| !self.update.includes(&Entry::File(url.to_owned()))) {
            return Ok(*locked);
        }
        let address: Address = url.parse()?;
        let facts = self.downloader.facts(&address, media_type::MAGIC_BYTES).await?;
        let compressed = media_type::begins_compressed(&facts.start);
        Ok(LockedFile { digest, size: facts.size, compressed })
    }
}
