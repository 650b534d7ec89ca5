//! The folder `.carrack` beside a profile: what was brought, by digest, and checked before it is used.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::{GatherError, Gatherer};
use crate::io::{AtPath, AtomicFile, Mismatch, PathError, create_folders};
use crate::oci::{Descriptor, Digest, Digester, Reference};
use crate::registry::Registry;

impl Gatherer<'_> {
    /// Sees that what was brought can be kept in the folder `kind`, and only there.
    pub(super) fn ready(&self, kind: &str) -> Result<(), GatherError> {
        let beside = self.keep.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        check(&self.keep, beside)?;
        check(&self.keep.join(kind), beside)?;
        Ok(ignore(&self.keep)?)
    }

    /// A folder of one's own in the folder `kind`, where something comes together before it gets its name: another process, or
    /// another chart of the same package, may be at the same.
    pub(super) fn coming(&self, kind: &str) -> Result<tempfile::TempDir, GatherError> {
        self.ready(kind)?;
        let folder = self.keep.join(kind);
        create_folders(&folder)?;
        Ok(tempfile::Builder::new().prefix(".coming-").tempdir_in(&folder).at("create a folder in", &folder)?)
    }

    /// The place of a digest, with the folder around it made.
    pub(super) fn place(&self, kind: &str, digest: &Digest, suffix: &str) -> Result<PathBuf, GatherError> {
        self.ready(kind)?;
        Ok(self.keep.join(kind).join(format!("sha256-{}{suffix}", digest.hex())))
    }
}

/// Keeps `.carrack` out of version control: all in it can be brought again.
fn ignore(keep: &Path) -> Result<(), PathError> {
    let file = keep.join(".gitignore");
    // A link, wherever it leads, is somebody else's, and stays.
    if file.symlink_metadata().is_ok() { Ok(()) } else { AtomicFile::write_all(&file, 0o644, b"*\n") }
}

/// Refuses a folder in `beside` that a person did not mean to be written into: a repository may have a link in its place, which
/// leads to files of whoever runs this.
fn check(folder: &Path, beside: &Path) -> Result<(), GatherError> {
    let found = match folder.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        found => found.at("look at", folder)?,
    };
    let around = beside.metadata().at("look at", beside)?;
    let me = rustix::process::geteuid().as_raw();
    let why = if found.is_symlink() {
        "it is a symbolic link".to_owned()
    } else if !found.is_dir() {
        "it is not a folder".to_owned()
    } else if ![me, around.uid()].contains(&found.uid()) {
        format!("it belongs to user {}", found.uid())
    } else if found.dev() != around.dev() {
        "it is on another file system".to_owned()
    } else {
        return Ok(());
    };
    Err(GatherError::Folder { folder: folder.to_owned(), why })
}

/// Whether `path` is a file of exactly this content.
pub(super) fn is(path: &Path, blob: &Descriptor) -> Result<bool, PathError> {
    // A link is not what was kept, and a pipe would be waited for.
    match path.symlink_metadata() {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(false);
        }
        facts => {
            if !facts.at("look at", path)?.is_file() {
                return Ok(false);
            }
        }
    }
    let file = File::open(path).at("open", path)?;
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
