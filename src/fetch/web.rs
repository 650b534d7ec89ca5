//! Files of web servers: their place is planned by the lock, and their bytes go straight into the bundle.

use std::collections::{BTreeMap, HashMap};

use super::local::INLINE_BYTES;
use super::{FetchError, Source};
use crate::bundle::FileContent;
use crate::download::{Address, Downloader};
use crate::io::Mismatch;
use crate::lock::LockedFile;
use crate::oci::{Descriptor, Digest, media_type};

/// The files of a profile that servers have.
pub(super) struct Web<'a> {
    pub(super) downloader: &'a Downloader,
    /// By their address.
    pub(super) locked: &'a BTreeMap<String, LockedFile>,
}

impl Web<'_> {
    /// The file at `url`, in the place that a local file of the same bytes has: small ones are fetched now.
    pub(super) async fn describe(
        &self,
        url: &str,
        sha256: Digest,
        sources: &mut HashMap<Digest, Source>,
    ) -> Result<(Descriptor, FileContent), FetchError> {
        let address: Address = url.parse()?;
        let locked = self.locked.get(url).filter(|locked| locked.digest == sha256);
        let locked = locked.ok_or_else(|| FetchError::Unlocked(address.clone()))?;
        let blob = Descriptor::new(media_type::HOST_FILE, sha256, locked.size);
        if locked.size <= INLINE_BYTES as u64 {
            return Ok((blob, FileContent::Inline(self.small(&address, sha256, locked.size).await?)));
        }
        // A local file of the same content is nearer.
        sources.entry(sha256).or_insert(Source::Web(address));
        Ok((blob, if locked.compressed { FileContent::Stored } else { FileContent::Tail }))
    }

    async fn small(&self, address: &Address, want: Digest, size: u64) -> Result<Vec<u8>, FetchError> {
        let bytes = self.downloader.document(address, INLINE_BYTES as u64, None).await?;
        let (got, length) = (Digest::of(&bytes), bytes.len() as u64);
        let source = match got == want {
            true if length == size => return Ok(bytes.to_vec()),
            true => Mismatch::Size { digest: want, got: length, want: size },
            false => Mismatch::Digest { got, want },
        };
        Err(FetchError::WrongDownload { address: address.clone(), source })
    }
}
