//! Where every byte of a bundle goes, before any large blob is there.
//!
//! Owns the order of entries and their places. It is a pure function of the blobs' digests and sizes and of the bytes of
//! the small ones, which is why the same lock gives the same bundle.

use std::io;

use super::frame::{self, frame_sizes, raw_frame_length};
use super::tar_header::{END, padding, preamble};
use crate::oci::{Digest, layout};

/// Effort for the small blobs at the head: they are few, and read first.
const HEAD_LEVEL: i32 = 9;

/// The blobs of a bundle by region, each once, in order of first use. Within and across regions a digest stands once.
#[derive(Debug, Clone, Default)]
pub struct Regions {
    /// Bytes of `index.json`.
    pub index: Vec<u8>,
    /// Small blobs, with their bytes; metadata before files.
    pub head: Vec<(Digest, Vec<u8>)>,
    /// Blobs that are compressed already: digest and size.
    pub stored: Vec<(Digest, u64)>,
    /// Large compressible blobs: digest and size.
    pub tail: Vec<(Digest, u64)>,
}

/// See the module.
#[derive(Debug, Clone)]
pub struct BundlePlan {
    /// The file's first bytes: version file, index and small blobs, encoded.
    pub(super) head: Vec<u8>,
    head_blobs: usize,
    /// Lengths in the file and of the data of all frames before the tail.
    pub(super) frames: Vec<(u32, u32)>,
    /// Blobs with a fixed place.
    pub stored: Vec<StoredPlace>,
    /// Blobs that follow one another after the stored ones.
    pub tail: Vec<TailPlace>,
    /// Where the tail begins in the file.
    pub(super) tail_offset: u64,
    /// Padding after the last blob and the end of the archive.
    pub(super) end: Gap,
}

/// A raw frame with what is between two blobs: padding of the one before, tar header of the next.
#[derive(Debug, Clone)]
pub(super) struct Gap {
    /// The frame.
    pub(super) encoded: Vec<u8>,
    /// Data bytes in it.
    pub(super) data: u32,
}

impl Gap {
    fn new(data: &[u8]) -> Self {
        let mut encoded = Vec::with_capacity(raw_frame_length(data.len() as u32) as usize);
        frame::encode_raw(data, &mut encoded);
        Self { encoded, data: data.len() as u32 }
    }

    /// What is between a blob of `before` bytes and the file `path` of `size` bytes.
    fn between(before: u64, path: &str, size: u64) -> Self {
        let mut data = vec![0; padding(before)];
        data.extend(preamble(path, size));
        Self::new(&data)
    }

    fn length(&self) -> u64 {
        self.encoded.len() as u64
    }
}

/// The place of a blob whose encoded length is known.
#[derive(Debug, Clone)]
pub struct StoredPlace {
    /// Digest of the blob.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// Where its first data frame begins in the file.
    pub(super) offset: u64,
    /// Length of the blob before it, on which the gap between them depends.
    before: u64,
}

impl StoredPlace {
    /// The frame just before.
    pub(super) fn gap(&self) -> Gap {
        Gap::between(self.before, &layout::blob_path(&self.digest), self.size)
    }
}

/// A blob whose place depends on how well the ones before it compress.
#[derive(Debug, Clone)]
pub struct TailPlace {
    /// Digest of the blob.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// Length of the blob before it, on which the gap between them depends.
    before: u64,
}

impl TailPlace {
    /// The frame just before.
    pub(super) fn gap(&self) -> Gap {
        Gap::between(self.before, &layout::blob_path(&self.digest), self.size)
    }
}

impl BundlePlan {
    /// Plans a bundle.
    ///
    /// # Errors
    /// Where libzstd cannot encode the head, for want of memory.
    pub fn new(regions: &Regions) -> io::Result<Self> {
        let mut planner = Planner::default();
        planner.pack(layout::VERSION_FILE, layout::VERSION_CONTENT)?;
        planner.pack(layout::INDEX_FILE, &regions.index)?;
        for (digest, content) in &regions.head {
            planner.pack(&layout::blob_path(digest), content)?;
        }
        let head = std::mem::take(&mut planner.bytes);
        let stored = regions.stored.iter().map(|(digest, size)| planner.store(*digest, *size)).collect();
        let tail_offset = planner.offset;
        let frames = std::mem::take(&mut planner.frames);
        let tail = regions.tail.iter().map(|(digest, size)| planner.tail(*digest, *size)).collect();
        let end = Gap::new(&vec![0; padding(planner.last_size) + END]);
        Ok(Self { head_blobs: regions.head.len(), head, frames, stored, tail, tail_offset, end })
    }

    /// How many blobs the bundle holds.
    pub fn blobs(&self) -> usize {
        self.head_blobs + self.stored.len() + self.tail.len()
    }

    /// Length of the head in the file.
    pub fn head_length(&self) -> u64 {
        self.head.len() as u64
    }

    /// An upper bound of the bundle's length in bytes; exact where there is no tail, but for the seek table.
    pub fn length_at_most(&self) -> u64 {
        let packed = |size| frame_sizes(size).map(|data| frame::packed_frame_bound(data) as u64).sum::<u64>();
        let tail: u64 = self.tail.iter().map(|blob| packed(blob.size) + blob.gap().length()).sum();
        let tail_frames: u64 = self.tail.iter().map(|blob| blob.size / frame::FRAME_DATA + 2).sum();
        let seek_table = (self.frames.len() as u64 + tail_frames) * 8 + 64;
        self.tail_offset + tail + self.end.length() + seek_table
    }
}

#[derive(Default)]
struct Planner {
    bytes: Vec<u8>,
    frames: Vec<(u32, u32)>,
    offset: u64,
    last_size: u64,
}

impl Planner {
    /// The length of the blob before the next one, which has `size` bytes.
    fn before(&mut self, size: u64) -> u64 {
        std::mem::replace(&mut self.last_size, size)
    }

    fn add(&mut self, length: usize, data: u32) {
        self.frames.push((length as u32, data));
        self.offset += length as u64;
    }

    fn pack(&mut self, path: &str, content: &[u8]) -> io::Result<()> {
        let size = content.len() as u64;
        let gap = Gap::between(self.before(size), path, size);
        self.add(gap.encoded.len(), gap.data);
        self.bytes.extend(gap.encoded);
        for chunk in content.chunks(frame::FRAME_DATA as usize) {
            let packed = frame::pack(chunk, HEAD_LEVEL)?;
            self.add(packed.len(), chunk.len() as u32);
            self.bytes.extend(packed);
        }
        Ok(())
    }

    fn store(&mut self, digest: Digest, size: u64) -> StoredPlace {
        let mut place = StoredPlace { digest, size, offset: 0, before: self.before(size) };
        let gap = place.gap();
        self.add(gap.encoded.len(), gap.data);
        place.offset = self.offset;
        for data in frame_sizes(size) {
            self.add(raw_frame_length(data) as usize, data);
        }
        place
    }

    fn tail(&mut self, digest: Digest, size: u64) -> TailPlace {
        TailPlace { digest, size, before: self.before(size) }
    }
}
