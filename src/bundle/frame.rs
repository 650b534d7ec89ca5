//! zstd frames (RFC 8878) in the two shapes that a bundle uses, and the seek table that lists them.
//!
//! Data is cut into frames of at most [`FRAME_DATA`] bytes. A *raw* frame is made of raw blocks, so its length is a
//! pure function of the length of its data and the place of every byte is known before the data is. A *packed* frame is
//! libzstd's encoding with a content checksum. Both have one canonical header, so that no byte of it can change unseen.

use std::io;

use super::blocks;

/// Data bytes in a frame, at most.
pub(super) const FRAME_DATA: u64 = 4 << 20;
/// Data bytes in a block of a raw frame, at most (RFC 8878 §3.1.1.2.3).
pub(super) const BLOCK_DATA: u64 = 128 << 10;
/// Length of a raw block's header (RFC 8878 §3.1.1.2).
pub(super) const BLOCK_HEADER: u64 = 3;
/// Length of a raw frame's header.
pub(super) const RAW_HEADER: u64 = 10;
/// An encoder's window as a power of two: it covers a frame, so every packed frame is a single segment.
const WINDOW_LOG: u32 = 22;

/// What every zstd frame begins with (RFC 8878 §3.1.1), and so every bundle.
pub const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// Four-byte content size, window descriptor present.
const RAW_DESCRIPTOR: u8 = 0x80;
/// 128 KiB (RFC 8878 §3.1.1.1.2): readers need no more memory than a block.
const RAW_WINDOW: u8 = 7 << 3;

/// Where a frame lies in the file, and how much data it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame {
    /// First byte in the file.
    pub(super) offset: u64,
    /// Bytes in the file.
    pub(super) length: u32,
    /// Bytes of data.
    pub(super) data: u32,
}

/// The lengths of the frames that hold `size` bytes of data.
pub(super) fn frame_sizes(size: u64) -> impl Iterator<Item = u32> {
    let whole = size / FRAME_DATA;
    let rest = size % FRAME_DATA;
    (0..whole).map(|_| FRAME_DATA as u32).chain((rest > 0).then_some(rest as u32))
}

/// Length in the file of a raw frame with `data` bytes of data.
pub(super) fn raw_frame_length(data: u32) -> u32 {
    let blocks = u64::from(data).div_ceil(BLOCK_DATA);
    (RAW_HEADER + blocks * BLOCK_HEADER) as u32 + data
}

/// Where the frame header or block header that precedes data byte `at` lies, relative to the first frame. `at` must be
/// a multiple of [`BLOCK_DATA`].
pub(super) fn stored_position(at: u64) -> u64 {
    let whole_frames = at / FRAME_DATA * u64::from(raw_frame_length(FRAME_DATA as u32));
    match at % FRAME_DATA {
        0 => whole_frames,
        within => whole_frames + RAW_HEADER + within / BLOCK_DATA * (BLOCK_HEADER + BLOCK_DATA),
    }
}

/// The header of a raw frame with `data` bytes of data.
pub(super) fn raw_header(data: u32) -> [u8; RAW_HEADER as usize] {
    let [m0, m1, m2, m3] = ZSTD_MAGIC;
    let [s0, s1, s2, s3] = data.to_le_bytes();
    [m0, m1, m2, m3, RAW_DESCRIPTOR, RAW_WINDOW, s0, s1, s2, s3]
}

/// The header of a raw block with `data` bytes; `last` in its frame or not.
pub(super) fn block_header(data: u32, last: bool) -> [u8; BLOCK_HEADER as usize] {
    let [b0, b1, b2, _] = (data << 3 | u32::from(last)).to_le_bytes();
    [b0, b1, b2]
}

/// The bytes that precede data byte `at` of a blob of `size` bytes stored as raw frames: a block's header, with a frame's
/// before it where one begins. `at` is a multiple of [`BLOCK_DATA`]. With them, the length of the block.
pub(super) fn block_prefix(at: u64, size: u64) -> (impl Iterator<Item = u8>, usize) {
    let within = at % FRAME_DATA;
    let frame_data = FRAME_DATA.min(size - (at - within));
    let block = BLOCK_DATA.min(frame_data - within);
    let frame = (within == 0).then(|| raw_header(frame_data as u32));
    let header = block_header(block as u32, within + block == frame_data);
    (frame.into_iter().flatten().chain(header), block as usize)
}

/// Appends the raw encoding of a whole small blob.
pub(super) fn encode_raw(data: &[u8], out: &mut Vec<u8>) {
    let mut at = 0;
    while at < data.len() {
        let (prefix, block) = block_prefix(at as u64, data.len() as u64);
        out.extend(prefix);
        out.extend_from_slice(&data[at..at + block]);
        at += block;
    }
}

/// Encodes at most [`FRAME_DATA`] bytes as one packed frame.
///
/// # Errors
/// Where libzstd refuses, which it does for want of memory alone.
pub(super) fn pack(data: &[u8], level: i32) -> io::Result<Vec<u8>> {
    let mut compressor = zstd::bulk::Compressor::new(level)?;
    compressor.set_parameter(zstd::zstd_safe::CParameter::WindowLog(WINDOW_LOG))?;
    compressor.set_parameter(zstd::zstd_safe::CParameter::ChecksumFlag(true))?;
    compressor.compress(data)
}

/// Length that a packed frame of `data` bytes has at most. What does not compress gets longer than a raw frame.
pub(super) fn packed_frame_bound(data: u32) -> usize {
    zstd::zstd_safe::compress_bound(data as usize)
}

/// The header that [`pack`] gives to `data` bytes: single segment, checksum, the shortest content size field.
fn packed_header(data: u32) -> Vec<u8> {
    let (flag, size): (u8, Vec<u8>) = match data {
        0..=0xff => (0, vec![data as u8]),
        0x100..=0x100ff => (1, ((data - 0x100) as u16).to_le_bytes().to_vec()),
        _ => (2, data.to_le_bytes().to_vec()),
    };
    ZSTD_MAGIC.into_iter().chain([flag << 6 | 0x24]).chain(size).collect()
}

/// How a frame's data is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// Raw blocks after a header of [`RAW_HEADER`] bytes.
    Raw,
    /// libzstd's encoding.
    Packed,
}

/// Tells the shape from the first bytes of a frame (at least 16, or the whole frame) that should hold `data` bytes in
/// `length`. `None` means that the header is not canonical.
pub(super) fn shape(start: &[u8], data: u32, length: u32) -> Option<Shape> {
    if start.starts_with(&raw_header(data)) {
        (length == raw_frame_length(data)).then_some(Shape::Raw)
    } else {
        start.starts_with(&packed_header(data)).then_some(Shape::Packed)
    }
}

/// The longest packed frame of `data` bytes that is read: longer than any that an encoder writes, so that hardly
/// compressible data and a header for each block fit.
pub(super) fn longest_packed(data: u32) -> u32 {
    data + data / 256 + 64
}

/// Decodes a packed frame that should hold `data` bytes.
///
/// # Errors
/// Where the frame is damaged, holds another number of bytes, or has parts that carry no data. Never allocates more than
/// `data`.
pub(super) fn unpack(frame: &[u8], data: u32) -> io::Result<Vec<u8>> {
    let invalid = |message: String| io::Error::new(io::ErrorKind::InvalidData, message);
    let blocks = frame.strip_prefix(packed_header(data).as_slice()).ok_or("has a damaged header");
    blocks.and_then(blocks::check).map_err(|reason| invalid(format!("it {reason}")))?;
    let mut out = vec![0; data as usize];
    let count = zstd::bulk::decompress_to_buffer(frame, &mut out)?;
    if count != out.len() {
        return Err(invalid(format!("a frame holds {count} bytes where the seek table says {data}")));
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(count: usize) -> Vec<u8> {
        (0..count).map(|i| (i * 31 % 251) as u8).collect()
    }

    #[test]
    fn raw_frames_are_valid_zstd_and_as_long_as_planned() {
        for size in [1, 2, 131_071, 131_072, 131_073, 4 << 20, (4 << 20) + 1, 9_000_000] {
            let (data, mut out) = (bytes(size), Vec::new());
            encode_raw(&data, &mut out);
            assert_eq!(out.len() as u32, frame_sizes(size as u64).map(raw_frame_length).sum::<u32>(), "{size}");
            assert_eq!(zstd::stream::decode_all(out.as_slice()).unwrap(), data, "{size}");
        }
    }

    #[test]
    fn every_block_is_where_its_position_says() {
        let size = 9_000_000_u64;
        let mut whole = Vec::new();
        encode_raw(&bytes(size as usize), &mut whole);
        for at in (0..size).step_by(BLOCK_DATA as usize) {
            let prefix: Vec<u8> = block_prefix(at, size).0.collect();
            assert!(whole[stored_position(at) as usize..].starts_with(&prefix), "{at}");
        }
    }

    #[test]
    fn packed_frames_have_the_canonical_header_at_every_level() {
        for size in [1, 255, 256, 65_535, 65_791, 65_792, 1 << 20, 4 << 20] {
            for level in [1, 3, 9, 19] {
                let frame = pack(&bytes(size), level).unwrap();
                assert_eq!(shape(&frame, size as u32, frame.len() as u32), Some(Shape::Packed), "{size} at {level}");
                assert_eq!(unpack(&frame, size as u32).unwrap(), bytes(size));
            }
        }
    }

    #[test]
    fn no_frame_is_longer_than_the_longest_that_is_read() {
        for data in [1, 2, 63, 64, 255, 256, 4095, 131_071, 131_072, 131_073, 1 << 20, (4 << 20) - 1, 4 << 20] {
            assert!(packed_frame_bound(data) <= longest_packed(data) as usize, "{data}");
            assert!(raw_frame_length(data) <= longest_packed(data), "{data}");
        }
    }

    #[test]
    fn a_frame_that_lies_about_its_size_is_refused() {
        let frame = pack(&bytes(5000), 3).unwrap();
        assert!(unpack(&frame, 4999).is_err());
        assert!(unpack(&frame, 5001).is_err());
        assert_eq!(shape(&frame, 4999, frame.len() as u32), None);
    }
}
