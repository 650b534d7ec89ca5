//! Writing the tail of a bundle: large compressible blobs, one after another, each cut into frames that are encoded on
//! all processors and written in order, so that the bytes do not depend on how many there are.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use super::frame::{self, FRAME_DATA};
use super::plan::{BundlePlan, Gap, TailPlace};
use super::writer::WriteError;
use crate::io::{AtPath, Mismatch, PathError};
use crate::oci::Digester;

/// Frames encoded at once, at most: each needs a buffer of its own on both sides and an encoder.
const MAX_PARALLEL: usize = 4;

/// See the module. Blobs are put in the plan's order, all of them.
pub struct TailWriter {
    file: Arc<File>,
    partial: PathBuf,
    blobs: std::vec::IntoIter<TailPlace>,
    level: i32,
    offset: u64,
    frames: Vec<(u32, u32)>,
}

/// A blob of the tail that is being written; see [`TailWriter::next_blob`].
pub struct TailBlob<'w> {
    writer: &'w mut TailWriter,
    place: TailPlace,
    position: u64,
    digester: Digester,
    /// The writer's offset and count of frames before the first frame of the blob.
    begin: (u64, usize),
}

impl TailWriter {
    pub(super) fn new(file: Arc<File>, partial: PathBuf, plan: &BundlePlan, level: i32) -> Self {
        Self {
            file,
            partial,
            blobs: plan.tail.clone().into_iter(),
            level,
            offset: plan.tail_offset,
            frames: Vec::new(),
        }
    }

    /// Begins the next blob of the plan, taking over what an interrupted build wrote of it.
    ///
    /// # Errors
    /// Where the disk fails.
    pub fn next_blob(&mut self) -> Result<Option<TailBlob<'_>>, PathError> {
        let Some(place) = self.blobs.next() else { return Ok(None) };
        let Gap { encoded, data } = place.gap();
        self.append(&encoded, data)?;
        let begin = (self.offset, self.frames.len());
        let mut blob = TailBlob { writer: self, place, position: 0, digester: Digester::new(), begin };
        blob.resume()?;
        Ok(Some(blob))
    }

    /// The lengths of all frames written, for [`super::PartialBundle::commit`].
    pub fn finish(self) -> Vec<(u32, u32)> {
        self.frames
    }

    fn append(&mut self, frame: &[u8], data: u32) -> Result<(), PathError> {
        self.file.write_all_at(frame, self.offset).at("write", &self.partial)?;
        self.account(frame.len(), data);
        Ok(())
    }

    fn account(&mut self, length: usize, data: u32) {
        self.frames.push((length as u32, data));
        self.offset += length as u64;
    }
}

impl TailBlob<'_> {
    /// The blob's place in the plan.
    pub fn place(&self) -> &TailPlace {
        &self.place
    }

    /// Data bytes that are there already; [`TailBlob::put`] wants what follows them.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Takes over whole frames. One counts only when encoding its data anew gives the same bytes: another level or another
    /// release of Carrack may have written it.
    fn resume(&mut self) -> Result<(), PathError> {
        while self.position < self.place.size {
            let data = FRAME_DATA.min(self.place.size - self.position);
            let mut found = vec![0; frame::packed_frame_bound(data as u32)];
            let count =
                read_up_to(&self.writer.file, &mut found, self.writer.offset).at("read", &self.writer.partial)?;
            let Ok(length) = zstd::zstd_safe::find_frame_compressed_size(&found[..count]) else { break };
            let Ok(content) = frame::unpack(&found[..length], data as u32) else { break };
            if !frame::pack(&content, self.writer.level).is_ok_and(|again| again == found[..length]) {
                break;
            }
            self.digester.update(&content);
            self.writer.account(length, data as u32);
            self.position += data;
        }
        Ok(())
    }

    /// Begins again with the first byte: what had been written turned out not to be the blob.
    pub fn restart(&mut self) {
        (self.position, self.digester) = (0, Digester::new());
        self.writer.offset = self.begin.0;
        self.writer.frames.truncate(self.begin.1);
    }

    /// Reads the rest of the blob from `source` and writes it. `advanced` is told the data bytes written.
    ///
    /// # Errors
    /// Where `source` fails, or is not the rest of the blob, or the disk fails.
    pub fn put(&mut self, source: &mut dyn Read, mut advanced: impl FnMut(u64)) -> Result<(), TailError> {
        let parallel = std::thread::available_parallelism().map_or(1, usize::from).min(MAX_PARALLEL);
        while self.position < self.place.size {
            let mut batch = Vec::with_capacity(parallel);
            while batch.len() < parallel && self.position < self.place.size {
                let mut data = vec![0; FRAME_DATA.min(self.place.size - self.position) as usize];
                let count = read_full(source, &mut data).map_err(TailError::Source)?;
                self.digester.update(&data[..count]);
                self.position += count as u64;
                if count < data.len() {
                    return Err(self.size_mismatch());
                }
                batch.push(data);
            }
            self.write_batch(&batch)?;
            advanced(batch.iter().map(|data| data.len() as u64).sum());
        }
        if read_full(source, &mut [0]).map_err(TailError::Source)? > 0 {
            self.position += 1;
            return Err(self.size_mismatch());
        }
        let got = self.digester.clone().finish();
        if got == self.place.digest {
            Ok(())
        } else {
            Err(WriteError::from(Mismatch::Digest { got, want: self.place.digest }).into())
        }
    }

    fn write_batch(&mut self, batch: &[Vec<u8>]) -> Result<(), TailError> {
        let level = self.writer.level;
        let packed: Vec<io::Result<Vec<u8>>> = std::thread::scope(|scope| {
            let threads: Vec<_> = batch.iter().map(|data| scope.spawn(move || frame::pack(data, level))).collect();
            let panicked = |_| Err(io::Error::other("the encoder panicked"));
            threads.into_iter().map(|thread| thread.join().unwrap_or_else(panicked)).collect()
        });
        for (packed, data) in packed.into_iter().zip(batch) {
            let packed = packed.at("encode for", &self.writer.partial).map_err(WriteError::from)?;
            self.writer.append(&packed, data.len() as u32).map_err(WriteError::from)?;
        }
        Ok(())
    }

    fn size_mismatch(&self) -> TailError {
        let mismatch = Mismatch::Size { digest: self.place.digest, got: self.position, want: self.place.size };
        WriteError::from(mismatch).into()
    }
}

/// Why a blob of the tail was not written.
#[derive(Debug, thiserror::Error)]
pub enum TailError {
    /// Where the bytes come from failed.
    #[error("cannot read the source")]
    Source(#[source] io::Error),
    /// They are wrong, or could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// Reads until `buffer` is full or the source ends.
fn read_full(source: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut count = 0;
    while count < buffer.len() {
        match source.read(&mut buffer[count..]) {
            Ok(0) => break,
            Ok(more) => count += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(count)
}

fn read_up_to(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut count = 0;
    while count < buffer.len() {
        match file.read_at(&mut buffer[count..], offset + count as u64)? {
            0 => break,
            more => count += more,
        }
    }
    Ok(count)
}
