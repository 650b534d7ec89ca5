//! What helm has rendered before, kept in a folder of the user's.
//!
//! Not beside the profile: what is kept cannot be checked without rendering again, so nobody else may bring it, least of all the
//! repository that a profile comes in.

use std::collections::HashMap;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, Once, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

use crate::oci::Digest;

/// After how long without use a render is removed.
const OLDEST: Duration = Duration::from_secs(30 * 24 * 3600);
/// How many bytes all of them have, at most, when a command begins to add some.
const MOST: u64 = 512 << 20;
/// How much one may have, in bytes, as helm's output.
const LARGEST: u64 = 64 << 20;
const LEVEL: i32 = 1;
/// Bytes of a SHA-256.
const HASH: usize = 64;

/// Renders by what they were made from.
#[derive(Debug)]
pub(super) struct Renders {
    /// Where they are kept, if anywhere.
    folder: Option<PathBuf>,
    /// Where they are for as long as this lives, where there is no such folder, or it cannot be written.
    for_now: OnceLock<Option<TempDir>>,
    pruned: Once,
    /// What helm said of what it refused. A later run may find the machine in a better state, so this is not written down.
    refused: Mutex<HashMap<Digest, Vec<String>>>,
}

impl Renders {
    /// In `folder`, which is made when it is needed; for as long as this lives where there is none.
    pub(super) fn kept_in(folder: Option<PathBuf>) -> Self {
        Self { folder, for_now: OnceLock::new(), pruned: Once::new(), refused: Mutex::default() }
    }

    /// The folder for now. Without room for temporary files there is none, and helm has none either.
    fn for_now(&self) -> Option<&Path> {
        self.for_now.get_or_init(|| tempfile::tempdir().ok()).as_ref().map(TempDir::path)
    }

    /// What helm printed for `key`. What is damaged is not there.
    pub(super) fn get(&self, key: &Digest) -> Option<Vec<u8>> {
        let other = || self.for_now.get()?.as_ref().map(TempDir::path);
        self.folder.as_deref().and_then(|folder| from(folder, key)).or_else(|| from(other()?, key))
    }

    /// Keeps what helm printed for `key`. Where that fails, it is rendered again: no reason to stop.
    pub(super) fn put(&self, key: &Digest, output: &[u8]) {
        let Ok(packed) = zstd::encode_all(output, LEVEL) else { return };
        let kept = self.folder.as_deref().is_some_and(|folder| {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
            self.pruned.call_once(|| prune(folder));
            made.and_then(|()| write(folder, key, &packed)).is_ok()
        });
        if !kept {
            self.for_now().map(|folder| write(folder, key, &packed));
        }
    }

    /// What helm said when it refused `key` in this run.
    pub(super) fn refused(&self, key: &Digest) -> Option<Vec<String>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    /// Remembers that helm refused `key`.
    pub(super) fn refuse(&self, key: Digest, said: &[String]) {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).insert(key, said.to_vec());
    }
}

/// What is kept in `folder` for `key`. What is damaged is not there.
fn from(folder: &Path, key: &Digest) -> Option<Vec<u8>> {
    let mut kept = Vec::new();
    let mut opened = File::open(folder.join(key.hex())).ok()?;
    Read::by_ref(&mut opened).take(LARGEST).read_to_end(&mut kept).ok()?;
    let (hash, packed) = kept.split_at_checked(HASH)?;
    if Digest::of(packed).hex().as_bytes() != hash {
        return None;
    }
    let mut output = Vec::new();
    let unpacked = zstd::Decoder::new(packed).ok()?.take(LARGEST + 1).read_to_end(&mut output).ok()?;
    // So that it is not the oldest; where this fails, it is rendered again some day.
    let _ = opened.set_modified(SystemTime::now());
    (unpacked as u64 <= LARGEST).then_some(output)
}

/// Whole or not at all. It need not reach the disk: what is damaged is rendered again.
fn write(folder: &Path, key: &Digest, packed: &[u8]) -> io::Result<()> {
    let mut file = tempfile::Builder::new().prefix(".rendered-").tempfile_in(folder)?;
    file.write_all(Digest::of(packed).hex().as_bytes())?;
    file.write_all(packed)?;
    file.persist(folder.join(key.hex()))?;
    Ok(())
}

/// Removes renders that nobody has asked for lately, and the oldest where they are too many. Others' files stay.
fn prune(folder: &Path) {
    let is_ours = |name: &str| name.len() == HASH && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    let ours = files.filter(|entry| entry.file_name().to_str().is_some_and(is_ours));
    let mut kept: Vec<(SystemTime, u64, PathBuf)> = ours
        .filter_map(|entry| {
            let data = entry.metadata().ok().filter(fs::Metadata::is_file)?;
            Some((data.modified().ok()?, data.len(), entry.path()))
        })
        .collect();
    kept.sort();
    let mut total: u64 = kept.iter().map(|(_, size, _)| size).sum();
    for (used, size, file) in kept {
        let old = used.elapsed().is_ok_and(|age| age > OLDEST);
        if !old && total <= MOST {
            break;
        }
        if fs::remove_file(&file).is_ok() {
            total -= size;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_comes_back_and_what_is_damaged_does_not() {
        let place = tempfile::tempdir().unwrap();
        let renders = Renders::kept_in(Some(place.path().join("a/b")));
        let (one, other) = (Digest::of(b"one"), Digest::of(b"other"));
        assert_eq!(renders.get(&one), None);
        renders.put(&one, b"kind: Pod");
        assert_eq!(renders.get(&one).as_deref(), Some(&b"kind: Pod"[..]));
        assert_eq!(renders.get(&other), None);
        let file = place.path().join("a/b").join(one.hex());
        for damaged in [&b""[..], b"short", &[b'0'; 100], &[fs::read(&file).unwrap(), b"x".to_vec()].concat()] {
            fs::write(&file, damaged).unwrap();
            assert_eq!(renders.get(&one), None, "{damaged:?}");
        }
        renders.refuse(other, &["no".to_owned()]);
        assert_eq!(renders.refused(&other), Some(vec!["no".to_owned()]));
        assert_eq!(renders.refused(&one), None);
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_no_reason_to_stop() {
        let place = tempfile::tempdir().unwrap();
        fs::write(place.path().join("file"), "").unwrap();
        let renders = Renders::kept_in(Some(place.path().join("file/below")));
        renders.put(&Digest::of(b"x"), b"y");
        assert_eq!(renders.get(&Digest::of(b"x")).as_deref(), Some(&b"y"[..]), "for now");
        assert_eq!(Renders::kept_in(Some(place.path().join("file/below"))).get(&Digest::of(b"x")), None);
    }

    #[test]
    fn what_is_old_goes_and_others_files_stay() {
        let place = tempfile::tempdir().unwrap();
        let path = |name: &str| place.path().join(name);
        let renders = Renders::kept_in(Some(place.path().to_owned()));
        let (old, new) = (Digest::of(b"old").hex(), Digest::of(b"new").hex());
        for name in [&*old, &new, "notes.txt"] {
            fs::write(path(name), "x").unwrap();
        }
        let long_ago = SystemTime::now() - OLDEST * 2;
        for name in [&*old, "notes.txt"] {
            File::options().write(true).open(path(name)).unwrap().set_modified(long_ago).unwrap();
        }
        renders.put(&Digest::of(b"more"), b"y");
        assert!(!path(&old).exists() && path(&new).exists() && path("notes.txt").exists());
    }
}
