//! The folder `.carrack` beside a profile: what was brought, by digest, and checked before it is used.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::{GatherError, Gatherer};
use crate::io::{AtPath, AtomicFile, Mismatch, PathError, create_folders};
use crate::oci::{Descriptor, Digest, Digester, Reference};
use crate::registry::Registry;

impl Gatherer<'_> {
    /// The place of a digest, with the folder around it made.
    pub(super) fn place(&self, kind: &str, digest: &Digest, suffix: &str) -> Result<PathBuf, PathError> {
        ignore(&self.keep)?;
        Ok(self.keep.join(kind).join(format!("sha256-{}{suffix}", digest.hex())))
    }
}

/// Keeps `.carrack` out of version control: all in it can be brought again.
pub(super) fn ignore(keep: &Path) -> Result<(), PathError> {
    let file = keep.join(".gitignore");
    if file.exists() { Ok(()) } else { AtomicFile::write_all(&file, 0o644, b"*\n") }
}

/// Whether `path` is a file of exactly this content.
pub(super) fn is(path: &Path, blob: &Descriptor) -> Result<bool, PathError> {
    let file = match File::open(path) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(false);
        }
        file => file.at("open", path)?,
    };
    let facts = file.metadata().at("look at", path)?;
    if !facts.is_file() || facts.len() != blob.size {
        return Ok(false);
    }
    let (mut digester, mut buffer) = (Digester::new(), vec![0; 256 << 10]);
    let mut file = file.take(blob.size);
    loop {
        match file.read(&mut buffer).at("read", path)? {
            0 => return Ok(digester.finish() == blob.digest),
            count => digester.update(&buffer[..count]),
        }
    }
}

/// Fetches a blob of a registry to `target`, which appears when all of it is there and is what its digest names.
pub(super) async fn fetch(
    registry: &Registry,
    reference: &Reference,
    blob: &Descriptor,
    target: &Path,
) -> Result<(), GatherError> {
    let mut stream = registry.blob(reference, &blob.digest, blob.size, 0).await?;
    let mut file = AtomicFile::create(target, 0o644)?;
    let mut digester = Digester::new();
    while let Some(chunk) = stream.next().await? {
        digester.update(&chunk);
        io::Write::write_all(&mut file, &chunk).at("write", target)?;
    }
    let got = digester.finish();
    if got != blob.digest {
        let source = Mismatch::Digest { got, want: blob.digest };
        return Err(GatherError::WrongContent { reference: reference.to_string(), source });
    }
    Ok(file.commit()?)
}

/// A folder of one's own in `folder`, where something comes together before it gets its name: another process, or another
/// chart of the same package, may be at the same.
pub(super) fn coming(folder: &Path) -> Result<tempfile::TempDir, PathError> {
    create_folders(folder)?;
    tempfile::Builder::new().prefix(".coming-").tempdir_in(folder).at("create a folder in", folder)
}

/// Removes what lies at `path`, whatever it is.
pub(super) fn remove(path: &Path) -> Result<(), PathError> {
    let removed = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => Err(error),
        Ok(facts) if facts.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
    };
    removed.at("remove", path)
}
