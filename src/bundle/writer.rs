//! Writing a planned bundle: every blob straight to its place in `OUT.partial`, which becomes `OUT` as the last act.
//!
//! The partial file is its own journal. Its first bytes, the head, tell which plan it belongs to, and what it holds of a
//! blob is believed after hashing alone, so nothing has to be synced or recorded on the way.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;
use std::sync::Arc;

use rustix::fs::FileType;

use super::frame::{self, BLOCK_DATA, stored_position};
use super::plan::{BundlePlan, StoredPlace};
use super::seek_table;
use super::tail::TailWriter;
use crate::io::{AtPath, Mismatch, PathError, Place, file_type};
use crate::oci::Digester;

/// Data bytes that are written at once. An interruption costs less than two of them of each blob that was under way: what
/// had not been written, and the last that had, which may be torn.
const CHUNK_DATA: u64 = 512 << 10;

/// A bundle under construction.
pub struct PartialBundle {
    file: Arc<File>,
    partial: Place,
    target: Place,
    resumed: bool,
}

/// Why a blob could not be put in its place.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The disk.
    #[error(transparent)]
    Io(#[from] PathError),
    /// The blob is not what the plan says.
    #[error(transparent)]
    Mismatch(#[from] Mismatch),
}

impl PartialBundle {
    /// Opens `TARGET.partial` for `plan`, going on with what an interrupted build of the same plan left there.
    ///
    /// # Errors
    /// Where the file cannot be made, locked, read or written, its disk has no room for the whole bundle, or a folder has
    /// the target's name.
    pub fn open(target: &Place, plan: &BundlePlan) -> Result<Self, PathError> {
        // The rename would replace a device or a link, and tell of a folder after everything has been fetched.
        match target.stat()?.as_ref().map(file_type) {
            Some(FileType::Directory) => {
                return Err(io::Error::from(io::ErrorKind::IsADirectory)).at("write", target.shown());
            }
            Some(other) if other != FileType::RegularFile => {
                return Err(io::Error::other("it is there and is not a regular file")).at("replace", target.shown());
            }
            _ => {}
        }
        let partial = partial_place(target)?;
        let (file, shown) = (partial.open_or_create(0o666)?, partial.shown());
        let lock = rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive);
        lock.map_err(|_| io::Error::other("another build is writing it")).at("open", shown)?;
        if !is_named(&file, &partial).at("examine", shown)? {
            // Whoever held the lock has finished, and what was opened here is the finished bundle.
            return Err(io::Error::other("another build has just finished it")).at("open", shown);
        }
        let resumed = begins_with(&file, &plan.head);
        if !resumed {
            file.set_len(0).at("empty", shown)?;
        }
        let this = Self { file: Arc::new(file), partial, target: target.clone(), resumed };
        if let Err(error) = this.reserve(plan) {
            if !resumed {
                // Nothing is in it. Where it stays nevertheless, the next build takes it over.
                let _ = this.partial.remove();
            }
            return Err(error);
        }
        if !resumed {
            this.write(&plan.head, 0)?;
        }
        for blob in &plan.stored {
            let gap = blob.gap().encoded;
            this.write(&gap, blob.offset - gap.len() as u64)?;
        }
        Ok(this)
    }

    /// A full disk is told before the first blob is fetched, not after the last but one.
    fn reserve(&self, plan: &BundlePlan) -> Result<(), PathError> {
        let stat = rustix::fs::fstatvfs(&*self.file).at("examine the filesystem of", self.partial.shown())?;
        let metadata = self.file.metadata().at("examine", self.partial.shown())?;
        let held = metadata.blocks() * 512;
        let (free, needed) = (stat.f_bavail * stat.f_frsize, plan.length_at_most().saturating_sub(held));
        // Some network file systems do not tell.
        if stat.f_blocks > 0 && free < needed {
            let text = format!("the bundle needs {needed} bytes more and its filesystem has {free} free");
            return Err(io::Error::new(io::ErrorKind::StorageFull, text)).at("write", self.partial.shown());
        }
        Ok(())
    }

    fn write(&self, bytes: &[u8], offset: u64) -> Result<(), PathError> {
        self.file.write_all_at(bytes, offset).at("write", self.partial.shown())
    }

    /// Where the blob `place` is to be streamed to.
    ///
    /// # Errors
    /// Where what is there already cannot be read.
    pub fn stored(&self, place: &StoredPlace) -> Result<StoredBlob, PathError> {
        let mut blob = StoredBlob {
            file: Arc::clone(&self.file),
            partial: self.partial.shown().to_owned(),
            place: place.clone(),
            position: 0,
            digester: Digester::new(),
            buffer: Vec::new(),
            chunk_start: 0,
        };
        if self.resumed {
            blob.resume()?;
        }
        Ok(blob)
    }

    /// Where the blobs of the tail are to be streamed to, one after another.
    pub fn tail(&self, plan: &BundlePlan, level: i32) -> TailWriter {
        TailWriter::new(Arc::clone(&self.file), self.partial.shown().to_owned(), plan, level)
    }

    /// Ends the file and gives it its name, replacing what had it. `tail` are the lengths of the tail's frames, as
    /// [`TailWriter::finish`] returned them. Returns the bundle's length in bytes.
    ///
    /// # Errors
    /// Where writing, syncing or renaming fails; then `TARGET` is what it was.
    pub fn commit(self, plan: &BundlePlan, tail: &[(u32, u32)]) -> Result<u64, PathError> {
        let length = self.finish(plan, tail)?;
        self.rename()?;
        Ok(length)
    }

    /// Ends the file and syncs it, without giving it its name yet. Returns its length in bytes.
    ///
    /// # Errors
    /// Where writing or syncing fails.
    pub fn finish(&self, plan: &BundlePlan, tail: &[(u32, u32)]) -> Result<u64, PathError> {
        let mut frames = plan.frames.clone();
        frames.extend(tail);
        let end_offset = frames.iter().map(|(length, _)| u64::from(*length)).sum();
        frames.push((plan.end.encoded.len() as u32, plan.end.data));
        let mut end = plan.end.encoded.clone();
        end.extend(seek_table::encode(frames.into_iter()));
        self.write(&end, end_offset)?;
        let length = end_offset + end.len() as u64;
        self.file.set_len(length).at("set the length of", self.partial.shown())?;
        self.file.sync_all().at("sync", self.partial.shown())?;
        Ok(length)
    }

    /// Gives a finished file its name, replacing what had it.
    ///
    /// # Errors
    /// Where the file cannot be renamed, or the new name not be made durable.
    pub fn rename(&self) -> Result<(), PathError> {
        self.partial.rename(&self.target).at("rename to", self.target.shown())?;
        self.target.sync_folder()
    }

    /// The file under its provisional name.
    pub fn file(&self) -> &File {
        &self.file
    }
}

/// The provisional place of `target`, where it is until it is whole.
///
/// # Errors
/// Where `target` has no name.
pub fn partial_place(target: &Place) -> Result<Place, PathError> {
    target.with_ending(".partial")
}

/// Whether `place` still names the open `file`.
fn is_named(file: &File, place: &Place) -> io::Result<bool> {
    let (opened, named) = (file.metadata()?, place.stat().ok().flatten());
    Ok(named.is_some_and(|named| (named.st_dev, named.st_ino) == (opened.dev(), opened.ino())))
}

fn begins_with(file: &File, head: &[u8]) -> bool {
    let mut found = vec![0; head.len()];
    file.read_exact_at(&mut found, 0).is_ok() && found == head
}

/// A blob being streamed to its fixed place.
pub struct StoredBlob {
    file: Arc<File>,
    partial: PathBuf,
    place: StoredPlace,
    position: u64,
    digester: Digester,
    buffer: Vec<u8>,
    chunk_start: u64,
}

impl StoredBlob {
    /// Data bytes that are there; what is pushed next goes after them.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Takes over what an interrupted build wrote. A chunk is whole when the one after it was begun, because one writer
    /// wrote them in order; the last one is believed only when the blob's digest says so.
    fn resume(&mut self) -> Result<(), PathError> {
        let (mut chunk, mut before_last) = (Vec::new(), None);
        while self.position < self.place.size {
            let data = CHUNK_DATA.min(self.place.size - self.position);
            if !self.read_chunk(data, &mut chunk)? {
                break;
            }
            before_last = Some((self.position, self.digester.clone()));
            self.digester.update(&chunk);
            self.position += data;
        }
        let complete = self.position == self.place.size && self.digester.clone().finish() == self.place.digest;
        if let (false, Some((position, digester))) = (complete, before_last) {
            (self.position, self.digester) = (position, digester);
        }
        Ok(())
    }

    /// Reads `data` bytes at the current position, or tells that no chunk was written there.
    fn read_chunk(&self, data: u64, chunk: &mut Vec<u8>) -> Result<bool, PathError> {
        chunk.clear();
        let (mut at, end) = (self.position, self.position + data);
        while at < end {
            let (prefix, block) = frame::block_prefix(at, self.place.size);
            let prefix: Vec<u8> = prefix.collect();
            let mut found = vec![0; prefix.len() + block];
            match self.file.read_exact_at(&mut found, self.place.offset + stored_position(at)) {
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
                other => other.at("read", &self.partial)?,
            }
            let Some(data) = found.strip_prefix(prefix.as_slice()) else { return Ok(false) };
            chunk.extend_from_slice(data);
            at += block as u64;
        }
        Ok(true)
    }

    /// Begins again with the first byte: what had been written turned out not to be the blob.
    pub fn restart(&mut self) {
        (self.position, self.chunk_start, self.digester) = (0, 0, Digester::new());
        self.buffer.clear();
    }

    /// Adds the next bytes of the blob.
    ///
    /// # Errors
    /// Where the disk fails, or there are more bytes than planned.
    pub fn push(&mut self, mut data: &[u8]) -> Result<(), WriteError> {
        let (got, want) = (self.position + data.len() as u64, self.place.size);
        if got > want {
            return Err(Mismatch::Size { digest: self.place.digest, got, want }.into());
        }
        self.digester.update(data);
        while !data.is_empty() {
            if self.buffer.is_empty() {
                self.chunk_start = self.position;
            }
            let within = self.position % BLOCK_DATA;
            let (prefix, block) = frame::block_prefix(self.position - within, want);
            if within == 0 {
                self.buffer.extend(prefix);
            }
            let count = (block - within as usize).min(data.len());
            self.buffer.extend_from_slice(&data[..count]);
            self.position += count as u64;
            data = &data[count..];
            if self.position.is_multiple_of(CHUNK_DATA) || self.position == want {
                self.write_chunk()?;
            }
        }
        Ok(())
    }

    fn write_chunk(&mut self) -> Result<(), PathError> {
        let offset = self.place.offset + stored_position(self.chunk_start);
        self.file.write_all_at(&self.buffer, offset).at("write", &self.partial)?;
        self.buffer.clear();
        Ok(())
    }

    /// Checks that all bytes came and are the right ones.
    ///
    /// # Errors
    /// [`Mismatch`] otherwise.
    pub fn finish(&self) -> Result<(), Mismatch> {
        let (digest, got, want) = (self.place.digest, self.position, self.place.size);
        if got != want {
            return Err(Mismatch::Size { digest, got, want });
        }
        let got = self.digester.clone().finish();
        if got == digest { Ok(()) } else { Err(Mismatch::Digest { got, want: digest }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_renamed_is_not_taken_for_the_partial_one() {
        let folder = tempfile::tempdir().unwrap();
        let target = Place::of(&folder.path().join("b")).unwrap();
        let partial = partial_place(&target).unwrap();
        let file = partial.open_or_create(0o666).unwrap();
        assert!(is_named(&file, &partial).unwrap());
        partial.rename(&target).unwrap();
        assert!(!is_named(&file, &partial).unwrap());
        partial.create(0o644).unwrap();
        assert!(!is_named(&file, &partial).unwrap());
    }
}
