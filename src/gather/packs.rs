//! Packs from registries: an artifact with a layer for each file, as a folder.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use super::kept::{self, fetch, is};
use super::{GatherError, Gatherer, titles};
use crate::io::{AtPath, AtomicFile};
use crate::lock::{Entry, LockedPack};
use crate::oci::{Digest, ImageManifest, Manifest, Reference, media_type};
use crate::registry::{FetchedManifest, RegistryError};

impl Gatherer<'_> {
    /// The folder of a pack. Where the lock has it, or the reference says its digest, and it is kept, nothing is asked.
    ///
    /// # Errors
    /// Where the registry fails, has no pack there, or the pack cannot be kept.
    pub async fn pack(&self, reference: &Reference) -> Result<(PathBuf, LockedPack), GatherError> {
        let locked = self.lock.packs.get(reference);
        let locked = locked.filter(|_| !self.update.includes(&Entry::Pack(reference.clone())));
        let digest = locked.map(|locked| locked.digest).or(reference.digest());
        if let Some(digest) = digest
            && let Some(kept) = self.kept_pack(&digest)?
        {
            return Ok(kept);
        }
        let fetched = self.pack_manifest(reference, digest).await?;
        match self.kept_pack(&fetched.digest)? {
            Some(kept) => Ok(kept),
            None => self.bring_pack(reference, &fetched).await,
        }
    }

    /// Errors name the reference that people wrote, also where a digest is asked for.
    pub(super) async fn pack_manifest(
        &self,
        reference: &Reference,
        digest: Option<Digest>,
    ) -> Result<FetchedManifest, GatherError> {
        let pinned = digest.map(|digest| reference.pinned(digest));
        let fetched = self.registry.manifest(pinned.as_ref().unwrap_or(reference)).await;
        Ok(fetched.map_err(|error| RegistryError { reference: reference.clone(), ..error })?)
    }

    /// A pack that was brought before, where it still is what it was.
    fn kept_pack(&self, digest: &Digest) -> Result<Option<(PathBuf, LockedPack)>, GatherError> {
        let folder = self.place("packs", digest, "")?;
        let Ok(raw) = fs::read(folder.with_extension("json")) else { return Ok(None) };
        if Digest::of(&raw) != *digest {
            return Ok(None);
        }
        let Ok(Manifest::Image(manifest)) = Manifest::parse(&raw, media_type::IMAGE_MANIFEST) else { return Ok(None) };
        let whole = is_whole(&folder, &manifest)?;
        Ok(whole.then_some((folder, LockedPack { digest: *digest, size: raw.len() as u64 })))
    }

    async fn bring_pack(
        &self,
        reference: &Reference,
        fetched: &FetchedManifest,
    ) -> Result<(PathBuf, LockedPack), GatherError> {
        let unusable =
            |reason: String| GatherError::Unusable { reference: reference.to_string(), what: "pack", reason };
        let manifest = match fetched.parse() {
            Ok(Manifest::Image(manifest)) => manifest,
            Ok(Manifest::Index(_)) => return Err(unusable("it is an index of images".to_owned())),
            Err(error) => return Err(unusable(crate::io::with_causes(&error))),
        };
        let files = titles::files(&manifest).map_err(unusable)?;
        let folder = self.place("packs", &fetched.digest, "")?;
        let coming = self.coming("packs")?;
        for (title, blob) in files {
            fetch(self.registry, reference, blob, &coming.path().join(title)).await?;
        }
        let readable = fs::Permissions::from_mode(0o755);
        fs::set_permissions(coming.path(), readable).at("set the mode of", coming.path())?;
        // Somebody else may have been faster, and be reading theirs.
        if !is_whole(&folder, &manifest)? {
            kept::remove(&folder)?;
            fs::rename(coming.path(), &folder).at("rename to", &folder)?;
        }
        AtomicFile::write_all(&folder.with_extension("json"), 0o644, &fetched.raw)?;
        Ok((folder, LockedPack { digest: fetched.digest, size: fetched.raw.len() as u64 }))
    }
}

/// Whether `folder` has the files of the manifest, each as it should be, and no others. A link is not what was kept.
fn is_whole(folder: &Path, manifest: &ImageManifest) -> Result<bool, GatherError> {
    if folder.is_symlink() {
        return Ok(false);
    }
    let Ok(files) = titles::files(manifest) else { return Ok(false) };
    for (title, blob) in &files {
        if !is(&folder.join(title), blob)? {
            return Ok(false);
        }
    }
    // What else a pattern of the pack could find.
    let others = WalkDir::new(folder).into_iter().filter(|entry| match entry {
        Ok(entry) => !entry.file_type().is_dir(),
        Err(_) => true,
    });
    Ok(others.count() == files.len())
}
